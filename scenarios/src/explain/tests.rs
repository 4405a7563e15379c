use super::*;
use crate::parse::parse;

#[test]
fn the_crash_scenario_reads_as_a_page() {
    let entry = crate::catalogue::find("upstream-crash-mid-fanout").unwrap();
    insta::assert_snapshot!(explain(&parse(&entry.file(), entry.text).unwrap()));
}

#[test]
fn every_built_in_scenario_fits_the_page() {
    for entry in crate::catalogue::all() {
        let text = explain(&parse(&entry.file(), entry.text).unwrap());
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{}: {line}", entry.name);
            assert_eq!(line, line.trim_end(), "{}", entry.name);
        }
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{}", entry.name);
    }
}
