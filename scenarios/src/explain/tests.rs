use super::*;
use crate::parse::parse;

#[test]
fn the_crash_scenario_reads_as_a_page() {
    let entry = crate::catalogue::find("upstream-crash-mid-fanout").unwrap();
    insta::assert_snapshot!(explain(&parse(&entry.file(), entry.text).unwrap()));
}

#[test]
fn a_fault_that_waits_for_an_event_says_for_which() {
    let entry = crate::catalogue::find("next-source-crashes-too").unwrap();
    let page = explain(&parse(&entry.file(), entry.text).unwrap());
    let words: Vec<&str> = page.split_whitespace().collect();
    let sentence = "after the 1st tick at the proxy since the 1st leg to a source up at the proxy the process of source-active dies; 4s later it starts again";
    assert!(words.join(" ").contains(sentence), "{page}");
    // Nobody knows when: anywhere in the steady phase.
    assert!(page.contains("????????????????????????????????????????\n"), "{page}");
    assert!(page.contains("# fault   ? waits\n"), "{page}");
}

#[test]
fn every_built_in_scenario_fits_the_page() {
    for variant in crate::catalogue::all().iter().flat_map(|entry| entry.scenarios().unwrap()) {
        let (name, text) = (&variant.scenario.name, explain(&variant.scenario));
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{name}: {line}");
            assert_eq!(line, line.trim_end(), "{name}");
        }
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{name}");
    }
}
