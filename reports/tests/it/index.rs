//! The page over all runs.

use std::collections::BTreeMap;

use reports::record::{Invariant, Outcome, Reached, SCHEMA, Verdict, Violation};
use reports::summary::regressions::Replayed;
use reports::summary::{self, MarkMissed, MarkReached, Marks, RunSummary, SummaryMeta};

/// A run that passed, with two invariants and one state.
fn run(scenario: &str, seed: u64) -> RunSummary {
    let invariant = |name: &str| Invariant {
        name: name.to_owned(),
        verdict: Outcome::Pass,
        checked: 1_000,
        summary: "0 of 1000 wrong".to_owned(),
        broken: 0,
        violations: Vec::new(),
    };
    let verdict = Verdict {
        schema: SCHEMA,
        scenario: scenario.to_owned(),
        seed,
        order: 0,
        engine: "sim".to_owned(),
        mutant: None,
        verdict: Outcome::Pass,
        trace_hash: format!("{seed:032x}"),
        events: 5_000,
        sim_seconds: 20.0 + seed as f64,
        wall_seconds: 0.5,
        invariants: vec![invariant("symbol-order"), invariant("no-duplicates")],
        reached: vec![Reached { name: "failover".to_owned(), times: 2, at_least: 1 }],
        marks: BTreeMap::new(),
        recovery_us: Some(100_000 * seed),
        proxy: None,
        not_applicable: Vec::new(),
    };
    RunSummary {
        verdict,
        report: Some(format!("{scenario}/{seed}/report.html")),
        replay_command: format!("cargo windtunnel replay out/{scenario}/{seed}/capsule.json"),
        nth: seed,
        figures: BTreeMap::from([("latency_us_p99".to_owned(), 10_000)]),
    }
}

fn breaks(mut run: RunSummary, invariant: usize, broken: u64) -> RunSummary {
    run.verdict.verdict = Outcome::Fail;
    let at = &mut run.verdict.invariants[invariant];
    (at.verdict, at.broken) = (Outcome::Fail, broken);
    let message = format!("{broken} ticks came twice");
    at.violations = vec![Violation { at_us: 1_500_000, message, events: vec![7] }];
    run
}

fn page(runs: &[RunSummary], meta: &SummaryMeta) -> String {
    summary::index(runs, meta).expect("a page")
}

/// What stands between two words, the first time.
#[track_caller]
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from:?} in {text}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to:?} behind {from:?}")).0
}

/// The rows of the table of verdicts, the head first.
fn matrix(page: &str) -> Vec<&str> {
    between(page, "<table id=\"matrix\">", "</table>").split("<tr").skip(1).collect()
}

#[test]
fn the_table_of_verdicts_has_the_worst_scenario_and_the_worst_invariant_first() {
    let mut weak = run("weak", 1);
    weak.verdict.verdict = Outcome::Inconclusive;
    weak.verdict.reached[0].times = 0;
    let runs = [
        run("good", 1),
        run("good", 2),
        weak,
        run("once", 1),
        breaks(run("once", 2), 1, 5),
        breaks(run("always", 1), 1, 3),
        breaks(run("always", 2), 1, 30),
    ];
    let page = page(&runs, &SummaryMeta::default());
    let rows = matrix(&page);
    let names: Vec<&str> = rows[1..].iter().map(|row| between(row, "data-name=\"", "\"")).collect();
    assert_eq!(names, ["always", "once", "weak", "good"]);
    let columns: Vec<&str> = rows[0].split("<span>").skip(1).map(|it| it.split('<').next().expect("text")).collect();
    assert_eq!(columns, ["no-duplicates", "reached", "symbol-order"]);
    // The run in which it is broken most often, at its invariant.
    let worst = between(rows[1], "<td class=\"fail\"", "</td>");
    assert!(
        worst.contains("no-duplicates in always: failed in 2 of 2 runs, 2,000 checks; seed 2: 30 ticks"),
        "{worst}"
    );
    assert!(worst.ends_with("><a href=\"always/2/report.html#broken-no-duplicates\">✗<small>2</small></a>"), "{worst}");
    let once = between(rows[2], "<td class=\"fail\"", "</td>");
    assert!(once.contains("✗<small>1/2</small>"), "{once}");
    let weak = between(rows[3], "<td class=\"inconclusive\"", "</td>");
    assert!(weak.contains("reached in weak") && weak.contains("href=\"weak/1/report.html\""), "{weak}");
    assert!(!rows[4].contains("data-bad") && rows[4].matches("<td class=\"pass\"").count() == 3, "{}", rows[4]);
    // What was not asked for is an empty cell.
    let mut other = run("other", 1);
    other.verdict.invariants.remove(0);
    let page = self::page(&[run("good", 1), other], &SummaryMeta::default());
    assert_eq!(matrix(&page)[2].matches("<td></td>").count(), 1);
}

#[test]
fn a_state_reached_less_often_than_asked_is_missed_wherever_it_is_shown() {
    let mut rare = run("rare", 3);
    rare.verdict.verdict = Outcome::Inconclusive;
    rare.verdict.reached[0].at_least = 5;
    let page = page(&[run("rare", 1), rare.clone()], &SummaryMeta::default());
    let cell = between(matrix(&page)[1], "<td class=\"inconclusive\"", "</td>");
    assert!(cell.contains("reached in rare: inconclusive in 1 of 2 runs; seed 3: failover"), "{cell}");
    assert!(page.contains("<strong>reached</strong>, seed 3: reached failover 2 times, at least 5 are asked for"));
    let states = between(&page, "States and marks that scenarios ask for", "</table>");
    assert!(
        states.contains("failover</th><td class=\"n\">5</td><td class=\"n\">1</td><td class=\"n\">2</td>"),
        "{states}"
    );
    assert!(states.contains("seed 3</a>: 2</td>"), "{states}");
    let mut report = crate::synthetic::report();
    report.verdict.invariants.clear();
    (report.verdict.verdict, report.verdict.reached) = (Outcome::Inconclusive, rare.verdict.reached);
    let page = reports::page::report(&report).unwrap();
    let headline = between(&page, "<p class=\"headline inconclusive\">", "</p>");
    assert_eq!(headline, "Too little to say: the run reached failover 2 times, at least 5 are asked for.");
    assert!(page.contains("1 of 1 reached too rarely"));
    let xml = reports::junit::xml(&[RunSummary { verdict: report.verdict, ..run("rare", 3) }], &SummaryMeta::default());
    assert!(xml.unwrap().contains("seed 7: reached failover 2 times, at least 5 are asked for"));
}

#[test]
fn what_broke_stands_at_the_head_with_its_report_and_the_way_back() {
    let mut broken = breaks(run("bad", 2), 1, 5);
    broken.verdict.invariants[0].verdict = Outcome::Fail;
    let page = page(&[run("bad", 1), broken], &SummaryMeta::default());
    let one = between(&page, "<article", "</article>");
    for wanted in [
        "<a href=\"bad/2/report.html\">bad</a>",
        "1 of 2 runs fail",
        "<strong>no-duplicates</strong>, seed 2, at 1.500 s: 5 ticks came twice",
        "Also broken: symbol-order",
        "cargo windtunnel replay out/bad/2/capsule.json",
    ] {
        assert!(one.contains(wanted), "{wanted}: {one}");
    }
    assert!(page.find("<article").expect("there") < page.find("id=\"matrix\"").expect("there"));
    assert!(!self::page(&[run("good", 1)], &SummaryMeta::default()).contains("<h2 id=\"broken\">"));
}

#[test]
fn the_figure_that_differs_most_from_seed_to_seed_stands_first() {
    let measured = |scenario: &str, seed, name: &str, us| {
        let mut run = run(scenario, seed);
        run.figures = BTreeMap::from([(name.to_owned(), us)]);
        run
    };
    let runs = [
        // Twice the median, in 10 ms; nine times, but below a millisecond; a half.
        measured("wide", 1, "latency_us_p99", 5_000),
        measured("wide", 2, "latency_us_p99", 15_000),
        measured("wide", 3, "latency_us_p99", 5_000),
        measured("tiny", 1, "latency_us_p99", 100),
        measured("tiny", 2, "latency_us_p99", 1_000),
        measured("half", 1, "failover_outage_us_max", 1_000_000),
        measured("half", 2, "failover_outage_us_max", 1_500_000),
        measured("once", 1, "recovery_us_max", 1_500_000),
    ];
    let page = page(&runs, &SummaryMeta::default());
    let table = between(&page, "<h2 id=\"spread\">", "</table>");
    let rows: Vec<&str> = table.split("<tr data-name=").skip(1).collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(rows[0].starts_with("\"wide p99 of delivery\""), "{table}");
    assert!(rows[0].contains("5.00 ms <small><a href=\"wide/1/report.html\">seed 1</a>"), "{table}");
    assert!(rows[0].contains("15.0 ms <small><a href=\"wide/2/report.html\">seed 2</a>"), "{table}");
    assert!(rows[0].contains("<strong>200 %</strong>"), "{table}");
    assert_eq!(rows[0].matches("<circle").count(), 3);
    assert!(rows[1].starts_with("\"half longest outage of a failover\"") && rows[1].contains("50 %"), "{table}");
}

#[test]
fn a_planted_bug_that_all_runs_have_is_named_once() {
    let planted = |mut run: RunSummary| {
        run.verdict.mutant = Some("repeats-a-message".to_owned());
        run
    };
    let all = page(&[planted(run("one", 1)), planted(run("two", 1))], &SummaryMeta::default());
    assert_eq!(all.matches("repeats-a-message").count(), 1);
    assert!(all.contains("planted bug: repeats-a-message"));
    let some = page(&[planted(run("one", 1)), run("one", 1)], &SummaryMeta::default());
    assert!(some.contains("one with repeats-a-message") && !some.contains("planted bug"));
}

#[test]
fn the_slowest_runs_are_one_a_scenario() {
    let mut slow = run("slow", 9);
    (slow.verdict.wall_seconds, slow.verdict.recovery_us) = (7.0, None);
    let runs = [run("quick", 1), run("quick", 2), slow];
    let page = page(&runs, &SummaryMeta::default());
    let kind = |what: &str| between(&page, &format!("<caption>{what}</caption>"), "</table>").to_owned();
    let wall = kind("On the wall");
    assert!(wall.find("slow").expect("it is slowest") < wall.find("quick").expect("it was run"), "{wall}");
    assert!(wall.contains("7.00 s") && wall.matches("<tr>").count() == 2, "{wall}");
    let recovery = kind("To recover");
    assert!(recovery.contains("200 ms") && recovery.contains("seed 2") && !recovery.contains("slow"), "{recovery}");
}

#[test]
fn marks_stand_with_their_places_reached_or_not() {
    let marks = Marks {
        all: 3,
        missed: vec![MarkMissed { name: "never".to_owned(), place: "proxy/src/a.rs:1".to_owned() }],
        reached: vec![MarkReached { name: "rare".to_owned(), place: "proxy/src/b.rs:2".to_owned(), runs: 1, times: 4 }],
        required: false,
    };
    let page = page(&[run("good", 1)], &SummaryMeta { marks: Some(marks), ..SummaryMeta::default() });
    let reached = between(&page, "<h2 id=\"reached\">", "</section>");
    for wanted in
        ["2 of 3 marks", "never</th><td><code>proxy/src/a.rs:1", "<td class=\"n\">4</td><td><code>proxy/src/b.rs:2"]
    {
        assert!(reached.contains(wanted), "{wanted}: {reached}");
    }
    assert!(reached.contains("failover"), "what the scenario asks for: {reached}");
}

#[test]
fn ten_thousand_runs_are_a_page_of_bounded_size_that_says_what_it_leaves_out() {
    for scenarios in [1, 69, 10_000] {
        let mut runs: Vec<RunSummary> = (0..10_000)
            .map(|n| {
                let run = run(&format!("scenario-{:04}-{}", n % scenarios, "long-".repeat(10)), n);
                if n % 7 == 3 { breaks(run, 1, n) } else { run }
            })
            .collect();
        for (n, run) in runs.iter_mut().enumerate() {
            let names = (0..30).map(|k| format!("invariant-{}", (n + k) % 100));
            let one = run.verdict.invariants[0].clone();
            run.verdict.invariants.extend(names.map(|name| Invariant { name, ..one.clone() }));
            run.figures.insert("latency_us_p99".to_owned(), 1_000 + 97 * n as u64);
            let long = "<&*_`".repeat(4_000);
            run.verdict
                .invariants
                .iter_mut()
                .flat_map(|it| &mut it.violations)
                .for_each(|it| it.message.push_str(&long));
        }
        let page = page(&runs, &SummaryMeta::default());
        assert!(page.len() < 3_500_000, "{scenarios}: {}", page.len());
        assert!(page.contains("43 more invariants are not shown here; summary.json has all."), "{scenarios}");
        let (scenario, run) = match scenarios {
            10_000 => ("9,750 more scenarios are not shown here", None),
            69 => ("", Some("and 121 more")),
            _ => ("", Some("and 9,976 more")),
        };
        assert!(page.contains(scenario), "{scenarios}");
        assert!(run.is_none_or(|run| page.contains(run)), "{scenarios}");
        // The first thing that is read is what broke.
        assert!(page.contains("1429 failed") && page.contains("<article"), "{scenarios}");
    }
}

#[test]
fn what_was_found_before_has_its_own_table_and_what_is_amiss_stands_on_top() {
    let replayed = |name: &str, verdict| Replayed {
        name: name.to_owned(),
        expect: "holds".to_owned(),
        verdict,
        message: format!("{name} in words"),
        replay: format!("cargo windtunnel run {name} --seed 1"),
    };
    let of = |regressions| page(&[run("good", 1)], &SummaryMeta { regressions, ..SummaryMeta::default() });
    assert!(!of(Vec::new()).contains("id=\"bank\""));
    let good = of(vec![replayed("b-kept", Outcome::Pass), replayed("a-kept", Outcome::Pass)]);
    let rows = between(&good, "id=\"bank\"", "</table>");
    assert!(
        rows.find("a-kept in words") < rows.find("b-kept in words") && !rows.contains("cargo windtunnel"),
        "{rows}"
    );
    assert!(!good.contains("href=\"#bank\">regressions"));
    let bad = of(vec![replayed("a-kept", Outcome::Pass), replayed("b-kept", Outcome::Fail)]);
    let rows = between(&bad, "id=\"bank\"", "</table>");
    assert!(rows.find("b-kept in words") < rows.find("a-kept in words"), "{rows}");
    assert!(rows.contains("<code>cargo windtunnel run b-kept --seed 1</code>"), "{rows}");
    assert!(bad.contains("<p class=\"headline fail\"><a href=\"#bank\">regressions: 2 replayed"));
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let page = page(&[run("good", 1), breaks(run("bad", 1), 0, 1)], &SummaryMeta::default());
    for outside in ["src=", "url(", "@import", "http:", "https:", "fetch(", "XMLHttpRequest"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(between(&page, "<link ", ">"), "rel=\"icon\" href=\"data:,\"");
    for wanted in ["Content-Security-Policy", "scope=\"col\"", "lang=\"en\"", "aria-label="] {
        assert!(page.contains(wanted), "{wanted}");
    }
}
