//! What is written of a run and of many.

use std::collections::BTreeMap;

use reports::folder::{RunReport, WriteError, write_events, write_run};
use reports::gate::{Change, Comparison, Difference, Gate};
use reports::record::{Outcome, Verdict};
use reports::summary::regressions::Replayed;
use reports::summary::{Canary, MarkMissed, Marks, Overall, RunSummary, Share, SummaryMeta, overall, write_summary};
use reports::{chart, junit, page, summary, text};

use crate::synthetic;

#[test]
fn what_makes_the_whole_inconclusive_is_an_error_in_junit() {
    let short = Share { scenario: "short".to_owned(), done: 1, minimum: 3 };
    let marks = Marks {
        all: 2,
        missed: vec![MarkMissed { name: "late".to_owned(), place: "a.rs:1".to_owned() }],
        required: true,
        ..Marks::default()
    };
    let weak = SummaryMeta { shares: vec![short], missing: vec!["shard 2/3".to_owned()], marks: Some(marks), ..meta() };
    let xml = junit::xml(&[], &weak).unwrap();
    for case in ["runs", "runs of short", "shard 2/3", "mark late"] {
        assert!(xml.contains(&format!("<testcase name=\"{case}\" classname=\"campaign\">")), "{case}: {xml}");
    }
    assert!(xml.contains("errors=\"4\""), "{xml}");
}

fn meta() -> SummaryMeta {
    SummaryMeta {
        command: "cargo windtunnel run --seeds 7..8".to_owned(),
        version: "0.1.0".to_owned(),
        profile: "sim".to_owned(),
        wall_seconds: 0.1,
        ..SummaryMeta::default()
    }
}

/// Two of three marks reached.
fn marks(required: bool) -> Marks {
    let missed = MarkMissed { name: "panic rule | used".to_owned(), place: "proxy/src/pool.rs:212".to_owned() };
    Marks { all: 3, missed: vec![missed], required, ..Marks::default() }
}

fn summary_of(verdict: Verdict, report: Option<&str>) -> RunSummary {
    let replay_command = format!("cargo windtunnel run {} --seed {}", verdict.scenario, verdict.seed);
    RunSummary { verdict, report: report.map(str::to_owned), replay_command, nth: 0, figures: BTreeMap::new() }
}

/// A failed run, a passed one, and one that could not be judged.
fn runs() -> Vec<RunSummary> {
    let failed = synthetic::verdict(40_000);
    let mut passed = Verdict { mutant: None, verdict: Outcome::Pass, ..failed.clone() };
    passed.reached.retain(|reached| reached.times > 0);
    for invariant in &mut passed.invariants {
        (invariant.verdict, invariant.broken) = (Outcome::Pass, 0);
        invariant.violations.clear();
    }
    let mut weak = Verdict { seed: 8, verdict: Outcome::Inconclusive, ..passed.clone() };
    weak.reached[0].times = 0;
    vec![
        summary_of(failed, Some("upstream-crash-mid-fanout/7/report.html")),
        summary_of(passed, None),
        summary_of(weak, None),
    ]
}

#[test]
fn the_terminals_table_fits_eighty_columns() {
    let table = text::table(&runs(), &meta(), false);
    let long = table.lines().find(|line| line.chars().count() > 80 && !line.contains("again: "));
    assert_eq!(long, None);
    insta::assert_snapshot!(table);
}

#[test]
fn the_terminal_obeys_nothing_that_a_message_holds() {
    let mut runs = runs();
    runs[0].verdict.invariants[2].violations[0].message = "\u{1b}[2Jgone\r\nFAKE".to_owned();
    assert!(!text::table(&runs, &meta(), false).contains('\u{1b}'));
}

#[test]
fn markdown_for_a_ci_job() {
    insta::assert_snapshot!(summary::markdown(&runs(), &meta()));
}

#[test]
fn junit_counts_weak_evidence_as_an_error() {
    insta::assert_snapshot!(junit::xml(&runs(), &meta()).unwrap());
}

/// Ten thousand scenarios that fail, each with a long message.
fn ten_thousand(scenarios: usize) -> Vec<RunSummary> {
    let one = runs().swap_remove(0);
    (0..10_000)
        .map(|n| {
            let mut run = one.clone();
            run.verdict.scenario = format!("scenario-{:05}-{}", n % scenarios, "long-".repeat(20));
            run.verdict.seed = n as u64;
            for invariant in &mut run.verdict.invariants {
                for violation in &mut invariant.violations {
                    violation.message = format!("|{n}| {}", "<&*_`".repeat(400));
                }
            }
            run
        })
        .collect()
}

#[test]
fn the_jobs_summary_stays_below_200_kb_whatever_fails() {
    for scenarios in [1, 300, 10_000] {
        let runs = ten_thousand(scenarios);
        let differences: Vec<Comparison> = (0..10_000)
            .map(|n| Comparison { scenario: format!("s-{n}"), ..gate(Some(Change::Worse), None).scenarios.remove(0) })
            .collect();
        let meta = SummaryMeta {
            gate: Some(Gate { against: "x".repeat(10_000), scenarios: differences }),
            shares: (0..10_000).map(|n| Share { scenario: format!("s-{n}"), done: 0, minimum: 3 }).collect(),
            canary: Some(Canary { message: "x".repeat(100_000), ..canary(false) }),
            ..meta()
        };
        let text = summary::markdown(&runs, &meta);
        assert!(text.len() < 200_000, "{scenarios}: {}", text.len());
        // The way back is there, and what is not shown is counted.
        assert!(text.contains("    cargo windtunnel run upstream-crash-mid-fanout --seed 7"), "{scenarios}");
        assert!(text.contains("more failed runs are in `index.html`"), "{scenarios}");
    }
}

#[test]
fn the_worst_scenarios_stand_first_in_the_jobs_summary() {
    let mut runs = runs();
    runs.reverse();
    let text = summary::markdown(&runs, &meta());
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is not in {text}"));
    assert!(at("### upstream-crash-mid-fanout, seed 7") < at("| upstream-crash-mid-fanout with"));
    assert!(at("| upstream-crash-mid-fanout with") < at("| upstream-crash-mid-fanout |"));
}

/// Elements, their attributes, and what may stand in them: `junit-10.xsd` of Jenkins' xUnit plugin, as far as we write it.
const SCHEMA: &[(&str, &[&str], &[&str])] = &[
    ("testsuites", &["testsuite"], &["name", "time", "tests", "failures", "errors"]),
    ("testsuite", &["testcase"], &["name", "tests", "failures", "errors", "skipped", "time"]),
    ("testcase", &["failure", "error", "system-out"], &["name", "classname", "time"]),
    ("failure", &[], &["message", "type"]),
    ("error", &[], &["message", "type"]),
    ("system-out", &[], &[]),
];

#[test]
fn junit_holds_to_the_schema_of_its_readers() {
    let meta = SummaryMeta { gate: Some(gate(Some(Change::Worse), None)), canary: Some(canary(false)), ..meta() };
    let text = junit::xml(&runs(), &meta).unwrap();
    let mut open: Vec<&str> = Vec::new();
    let mut elements = 0;
    for tag in text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        if tag.starts_with('?') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        let (name, _, attributes) =
            SCHEMA.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| panic!("<{name}> is not in the schema"));
        if let Some(parent) = open.last() {
            let (_, children, _) = SCHEMA.iter().find(|(known, ..)| known == parent).unwrap();
            assert!(children.contains(name), "<{name}> in <{parent}>");
        }
        for attribute in tag
            .split("=\"")
            .filter_map(|part| part.rsplit(['"', ' ']).next())
            .filter(|word| tag.contains(&format!(" {word}=\"")))
        {
            assert!(attributes.contains(&attribute), "<{name} {attribute}=...>");
        }
        if *name == "testsuite" {
            for needed in ["name", "tests", "failures", "errors"] {
                assert!(tag.contains(&format!(" {needed}=\"")), "<{tag}> lacks {needed}");
            }
        }
        elements += 1;
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty() && elements > 20, "{elements}");
}

#[test]
fn junit_names_do_not_depend_on_seeds() {
    let names = |seed: u64| -> Vec<String> {
        let mut runs = runs();
        runs.iter_mut().for_each(|run| run.verdict.seed += seed);
        let text = junit::xml(&runs, &meta()).unwrap();
        let cases = text.split("<testcase ").skip(1).map(|case| case[..case.find('>').unwrap()].to_owned());
        cases.collect()
    };
    assert_eq!(names(0), names(1_000));
    assert!(names(0)[0].contains("name=\"symbol-order\" classname=\"upstream-crash-mid-fanout with no-isolation\""));
}

#[test]
fn a_mark_that_was_required_and_missed_is_named_everywhere_and_does_not_pass() {
    let passed = runs().split_off(1).swap_remove(0);
    let meta = |required| SummaryMeta { marks: Some(marks(required)), ..meta() };
    let runs = [passed];
    assert_eq!(overall(&runs, &meta(false)), Overall::Pass);
    assert_eq!(overall(&runs, &meta(true)), Overall::Inconclusive);
    let (asked, unasked) = (text::table(&runs, &meta(true), false), text::table(&runs, &meta(false), false));
    assert!(asked.ends_with("marks reached: 2 of 3\n    never reached: panic rule | used (proxy/src/pool.rs:212)\n"));
    assert!(unasked.ends_with("marks reached: 2 of 3\n"));
    let markdown = summary::markdown(&runs, &meta(true));
    assert!(markdown.contains("**Required, and never reached:**\n\n- panic rule \\| used (proxy/src/pool.rs:212)\n"));
    let page = summary::index(&runs, &meta(true)).unwrap();
    assert!(page.contains("1 marks were required") && page.contains("proxy/src/pool.rs:212"), "{page}");
    let dir = tempfile::tempdir().unwrap();
    write_summary(dir.path(), &runs, &meta(true)).unwrap();
    let json = std::fs::read_to_string(dir.path().join("summary.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["verdict"], &json["marks"]["all"]), (&"inconclusive".into(), &3.into()));
    assert_eq!(json["marks"]["missed"][0]["place"], "proxy/src/pool.rs:212");
}

#[test]
fn a_campaign_with_runs_left_out_does_not_pass() {
    let passed = runs().split_off(1).swap_remove(0);
    assert_eq!(overall(std::slice::from_ref(&passed), &meta()), Overall::Pass);
    assert_eq!(overall(&[passed], &SummaryMeta { shares: vec![share(2)], ..meta() }), Overall::Inconclusive);
    assert_eq!(overall(&[], &meta()), Overall::Inconclusive);
}

/// One of which so many runs of three are done.
fn share(done: u64) -> Share {
    Share { scenario: "upstream-crash-mid-fanout".to_owned(), done, minimum: 3 }
}

fn canary(rang: bool) -> Canary {
    let message = if rang { "tick 7 came twice" } else { "the planted bug was not seen" };
    Canary { rang, invariant: "no-duplicates".to_owned(), message: message.to_owned() }
}

#[test]
fn the_canary_is_shown_everywhere_and_counts_only_where_it_is_silent() {
    let passed = &runs()[1..2];
    for (rang, expect, words) in [
        (true, Overall::Pass, "canary: the alarm works (no-duplicates fails where it must)"),
        (false, Overall::Inconclusive, "CANARY: the planted bug was not seen"),
    ] {
        let meta = SummaryMeta { canary: Some(canary(rang)), ..meta() };
        assert_eq!(overall(passed, &meta), expect);
        for (what, shown) in [
            ("text", text::table(passed, &meta, false)),
            ("summary.md", summary::markdown(passed, &meta)),
            ("index.html", summary::index(passed, &meta).unwrap()),
            ("junit.xml", junit::xml(passed, &meta).unwrap()),
        ] {
            assert!(shown.contains(words), "{what}: {shown}");
        }
        assert_eq!(junit::xml(passed, &meta).unwrap().contains("<error"), !rang);
    }
}

#[test]
fn what_was_found_once_counts_and_is_named_where_it_is_not_as_expected() {
    let passed = &runs()[1..2];
    for (verdict, expect, case) in [
        (Outcome::Pass, Overall::Pass, "expected: holds"),
        (Outcome::Inconclusive, Overall::Inconclusive, "<error"),
        (Outcome::Fail, Overall::Fail, "<failure"),
    ] {
        let replayed = Replayed {
            name: "told-twice".to_owned(),
            expect: "holds".to_owned(),
            verdict,
            message: "as it was".to_owned(),
            replay: "cargo windtunnel run told-twice --seed 1".to_owned(),
        };
        let meta = SummaryMeta { regressions: vec![replayed], ..meta() };
        assert_eq!(overall(passed, &meta), expect);
        let xml = junit::xml(passed, &meta).unwrap();
        assert!(
            xml.contains("<testcase name=\"told-twice\" classname=\"regressions\">") && xml.contains(case),
            "{xml}"
        );
        for shown in [text::table(passed, &meta, false), summary::markdown(passed, &meta)] {
            assert!(shown.contains("regressions: 1 replayed"), "{shown}");
            assert_eq!(shown.contains("told-twice"), verdict != Outcome::Pass, "{shown}");
        }
    }
}

#[test]
fn scenarios_with_too_few_runs_are_named_everywhere() {
    let passed = &runs()[1..2];
    let meta = SummaryMeta { shares: vec![share(3), Share { scenario: "short".to_owned(), ..share(1) }], ..meta() };
    assert_eq!(meta.runs_left_out(), 2);
    for shown in
        [text::table(passed, &meta, false), summary::markdown(passed, &meta), summary::index(passed, &meta).unwrap()]
    {
        assert!(shown.contains("short: 1 runs done, at least 3 are needed"), "{shown}");
        assert!(shown.contains("2 runs are missing") && !shown.contains("mid-fanout: 3"), "{shown}");
    }
}

fn gate(change: Option<Change>, incomparable: Option<&str>) -> Gate {
    let difference = |change| Difference {
        metric: "latency_us_p99".to_owned(),
        before: Some(10_000.0),
        now: Some(20_000.0),
        change,
        tolerance: "+5 %".to_owned(),
    };
    let compared = Comparison {
        scenario: "upstream-crash-mid-fanout".to_owned(),
        incomparable: incomparable.map(str::to_owned),
        metrics: 40,
        differences: change.map(difference).into_iter().collect(),
        ..Comparison::default()
    };
    Gate { against: "scenarios/baseline".to_owned(), scenarios: vec![compared] }
}

#[test]
fn worse_weighs_more_than_inconclusive_and_less_than_broken() {
    let runs = runs();
    let (failed, passed, weak) = (&runs[..1], &runs[1..2], &runs[2..]);
    for (gate, runs, expect) in [
        (gate(Some(Change::Worse), None), passed, Overall::Worse),
        (gate(Some(Change::Worse), None), weak, Overall::Worse),
        (gate(Some(Change::Worse), None), failed, Overall::Fail),
        (gate(Some(Change::Tolerated), None), passed, Overall::Pass),
        (gate(Some(Change::Better), None), passed, Overall::Pass),
        (gate(Some(Change::Advisory), None), passed, Overall::Pass),
        (gate(None, Some("no baseline")), passed, Overall::Inconclusive),
    ] {
        let meta = SummaryMeta { gate: Some(gate.clone()), ..meta() };
        assert_eq!(overall(runs, &meta), expect, "{gate:?}");
    }
}

/// A page without the one script that is ours.
fn without_ours(page: &str) -> String {
    let (before, rest) = page.split_once("<script>\n(() => {").expect("the page has its script");
    let (_, after) = rest.split_once("</script>").expect("which ends");
    format!("{before}{after}")
}

#[test]
fn a_message_that_is_markup_stays_text_everywhere() {
    let report = synthetic::report();
    let runs = runs();
    for (what, text) in [
        ("report.html", without_ours(&page::report(&report).unwrap())),
        ("index.html", summary::index(&runs, &meta()).unwrap()),
        ("summary.md", summary::markdown(&runs, &meta())),
        ("junit.xml", junit::xml(&runs, &meta()).unwrap()),
    ] {
        // The page's own, and no other.
        let own = usize::from(what == "index.html");
        assert_eq!(text.matches("<script").count(), own, "{what}");
        let shown = text.replace("&#60;", "&lt;").replace("&#62;", "&gt;");
        assert!(shown.contains("&lt;script&gt;"), "{what} shows the message");
    }
    let mut report = report;
    report.metrics.faults[0].target = "<script>\"x".into();
    for chart in chart::all(&report.metrics, &report.verdict) {
        assert!(!chart.svg.contains("<script"), "{}", chart.name);
    }
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let page = without_ours(&page::report(&synthetic::report()).unwrap());
    for outside in ["src=", "<script", "<link", "url(http", "@import", "https://"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for wanted in ["role=\"img\"", "aria-label=", "scope=\"col\"", "lang=\"en\"", "planted bug: no-isolation"] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn charts_are_the_same_bytes_each_time_and_say_where_nothing_was_measured() {
    let report = synthetic::report();
    let charts = chart::all(&report.metrics, &report.verdict);
    assert_eq!(charts, chart::all(&report.metrics, &report.verdict));
    assert!(charts.iter().all(|chart| !chart.svg.contains("nothing measured")));
    let empty = reports::metrics::Collector::default().finish(0);
    for chart in chart::all(&empty, &report.verdict) {
        assert!(chart.svg.contains("nothing measured"), "{}", chart.name);
    }
    let clients = charts.iter().find(|chart| chart.name == "clients").unwrap();
    insta::assert_snapshot!(clients.svg);
}

#[test]
fn a_bucket_that_the_end_cuts_short_draws_no_fall_of_the_rates() {
    let mut report = synthetic::report();
    let rates = |report: &RunReport| {
        let charts = chart::all(&report.metrics, &report.verdict);
        charts.into_iter().find(|chart| chart.name == "rates").unwrap()
    };
    let whole = (report.metrics.end_us / report.metrics.bucket_us) as usize;
    report.metrics.series.deliveries.truncate(whole);
    report.metrics.series.source_sends.truncate(whole);
    let before = rates(&report);
    report.metrics.series.deliveries.push(1);
    report.metrics.series.source_sends.push(0);
    assert_eq!(rates(&report), before);
}

#[test]
fn a_folder_holds_every_file_whole_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let report = RunReport { html: false, ..synthetic::report() };
    write_run(dir.path(), &report).unwrap();
    write_events(dir.path(), &synthetic::events()[..3]).unwrap();
    write_summary(dir.path(), &runs(), &meta()).unwrap();
    let mut names: Vec<String> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "events.jsonl",
            "index.html",
            "junit.xml",
            "log.txt",
            "metrics.json",
            "summary.json",
            "summary.md",
            "verdict.json"
        ]
    );
    let text = std::fs::read_to_string(dir.path().join("verdict.json")).unwrap();
    assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), report.verdict);
    insta::assert_snapshot!("verdict.json", text);
    insta::assert_snapshot!("summary.json", std::fs::read_to_string(dir.path().join("summary.json")).unwrap());
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_leaves_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    // A folder stands where the file should.
    std::fs::create_dir(dir.path().join("verdict.json")).unwrap();
    let report = RunReport { html: false, ..synthetic::report() };
    let error = write_run(dir.path(), &report).unwrap_err();
    assert!(matches!(error, WriteError::File { .. }));
    assert!(error.to_string().contains("verdict.json") && error.to_string().contains("--out"), "{error}");
    let mut left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.any(|name| name.to_string_lossy().ends_with(".partial")));
}

#[test]
fn what_another_process_has_half_written_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    // It has this name open under which it writes until the file is whole.
    let other = dir.path().join(".verdict.json.partial");
    std::fs::create_dir(&other).unwrap();
    std::fs::create_dir(dir.path().join(".verdict.json.1.partial")).unwrap();
    let report = RunReport { html: false, ..synthetic::report() };
    write_run(dir.path(), &report).unwrap();
    assert!(dir.path().join("verdict.json").is_file() && other.is_dir());
}
