//! What a CI page shows: annotations at the lines that asked for what broke, and the job's summary.

use super::{Place, SMALL};

const BROKEN: [&str; 8] = ["run", "small.toml", "--seeds", "1..2", "--out", "out", "--mutant", "repeats-a-message"];

/// The line of a text, from 1.
fn line(text: &str, what: &str) -> usize {
    text.lines().position(|line| line.starts_with(what)).expect("it is there") + 1
}

#[test]
fn a_broken_invariant_is_marked_where_the_scenario_asks_for_it() {
    let place = Place::with_small();
    let said = place.windtunnel(&[&BROKEN[..], &["--annotations"]].concat()).exits(1);
    let marks: Vec<&str> = said.out.lines().filter(|line| line.starts_with("::")).collect();
    let expect = format!(
        "::error file=small.toml,line={},title=small%3A no-duplicates::seed 1 at ",
        line(SMALL, "no-duplicates")
    );
    assert!(marks.iter().any(|mark| mark.starts_with(&expect)), "{marks:?}");
    let mark = marks.iter().find(|mark| mark.starts_with(&expect)).expect("found before");
    assert!(mark.contains("%0Aand 1 more runs%0Aagain: cargo windtunnel replay out/small/1/capsule.json"), "{mark}");
    // Nobody asked for it.
    let said = place.windtunnel(&BROKEN).exits(1);
    assert!(!said.out.contains("::error"), "{}", said.out);
    place.windtunnel(&[&BROKEN[..], &["--annotations", "--json"]].concat()).exits(64);
}

#[test]
fn on_github_annotations_come_of_themselves_and_the_summary_goes_to_the_jobs_page() {
    let place = Place::with_small();
    let page = place.path().join("page.md");
    std::fs::write(&page, "before\n").expect("a writable folder");
    let on_github = |more: &[&str]| {
        let mut command = place.command(&[&BROKEN[..], more].concat());
        Place::said(command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &page))
    };
    on_github(&[]).exits(1).outputs("::error file=small.toml,line=");
    let text = place.read("page.md");
    assert!(text.starts_with("before\n## Windtunnel: "), "{text}");
    assert!(text.contains(&place.read("out/summary.md")), "{text}");
    // JSON stays JSON.
    let said = on_github(&["--json"]).exits(1);
    serde_json::from_str::<serde_json::Value>(&said.out).expect("JSON and nothing else");
    // A page that cannot be written changes no verdict.
    let mut command = place.command(&["run", "small.toml", "--seed", "1", "--out", "out"]);
    Place::said(command.env("GITHUB_STEP_SUMMARY", place.path())).exits(0).complains("failed to add summary.md");
}

#[test]
fn a_metric_that_is_worse_is_marked_at_its_line_in_the_baseline() {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--out", "run", "--reports", "none"]).exits(0);
    place.windtunnel(&["bless", "run", "--baseline", "base", "--reason", "as it is"]).exits(0);
    let file = place.read("base/small.json");
    let was = file.lines().find(|line| line.contains("\"deliveries\"")).expect("it is measured").to_owned();
    let file = file.replace(&was, "    \"deliveries\": 99999999,");
    place.write("base/small.json", &file);
    let said = place.windtunnel(&["run", "small.toml", "--out", "out", "--baseline", "base", "--annotations"]).exits(3);
    let number = line(&file, "    \"deliveries\"");
    said.outputs(&format!(
        "::error file=base/small.json,line={number},title=small%3A deliveries is worse::was 99999999, is "
    ));
}

#[test]
fn what_could_not_be_judged_is_a_warning() {
    let place = Place::new();
    let text = SMALL.replace("at-least = 100", "at-least = 100\n\n[[reach]]\nstate = \"failover\"");
    let stall = "[[faults]]\nat = \"500ms\"\nfor = \"100ms\"\nkind = \"stall\"\ntarget = \"proxy-0/source-active\"\n";
    place.write("small.toml", &format!("{text}\n{stall}"));
    let said = place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out", "--annotations"]).exits(2);
    said.outputs("::warning file=small.toml,line=").outputs("never reached failover");
}
