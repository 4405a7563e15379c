//! The report of a measurement of capacity: the page, the table of trials, the terminal, the folder.

use reports::capacity::{self, CapacityReport, Found, Health, Law, LawPoint, Quantiles, Step};

mod synthetic;

/// The same conditions, and nothing measured.
fn nothing() -> CapacityReport {
    let full = synthetic::report();
    CapacityReport {
        sentence: full.sentence,
        reasons: vec!["nothing was measured".to_owned()],
        ..CapacityReport::new(full.conditions)
    }
}

#[test]
fn the_terminal_gets_the_sentence_first_and_eighty_columns() {
    let text = capacity::text(&synthetic::report());
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:#?}");
    assert!(text.starts_with("One instance on this machine holds 2,000 connections"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn every_trial_is_a_row() {
    let report = synthetic::report();
    let csv = capacity::csv(&report);
    let trials: usize = report.axes.iter().map(|axis| axis.steps.len()).sum();
    assert_eq!(csv.matches("\r\n").count(), trials + 1);
    insta::assert_snapshot!(csv.replace("\r\n", "\n"));
}

#[test]
fn the_page_has_the_verdict_first_and_every_part() {
    let page = capacity::page(&synthetic::report()).unwrap();
    let place = |what: &str| page.find(what).unwrap_or_else(|| panic!("{what} is not on the page"));
    let order = [
        "One instance on this machine holds 2,000 connections",
        "id=\"conditions\"",
        "id=\"generator\"",
        "id=\"axis-1\"",
        "id=\"axis-4\"",
        "id=\"law\"",
        "id=\"memory\"",
        "id=\"queues\"",
        "id=\"limits\"",
        "id=\"little\"",
        "id=\"fleet\"",
        "id=\"cost\"",
        "id=\"what-if\"",
        "id=\"forecast\"",
        "id=\"storm\"",
        "id=\"regression\"",
        "id=\"not-tested\"",
        "id=\"notes\"",
    ];
    let places: Vec<usize> = order.iter().map(|what| place(what)).collect();
    assert!(places.is_sorted(), "{places:?}");
    for words in [
        "Not in order in 1 of 52 trials",
        "its CPU was 93 % of its cores",
        "peak is not identified",
        "beyond what was measured",
        "▶ CPU binds",
        "□</span> extrapolated",
        "◇</span> simulated",
        "+9.6 %",
        "Gunther",
        "Pollaczek",
        "Efron",
        "Mann and Whitney",
        "Hodges and Lehmann",
        "Holm",
        "Little",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn what_was_not_measured_is_named_and_never_zero() {
    let report = nothing();
    let page = capacity::page(&report).unwrap();
    let text = capacity::text(&report).split_whitespace().collect::<Vec<_>>().join(" ");
    for (what, shown) in [("page", &page), ("text", &text)] {
        let parts = ["cost (no price file)", "memory by connections", "held connections", "the loss of an instance"];
        for part in parts {
            assert!(shown.contains(part), "{what}: {part}: {shown}");
        }
        assert!(shown.contains("ot measured"), "{what}");
    }
    for absent in ["id=\"law\"", "id=\"cost\"", "id=\"storm\"", "<figure", "id=\"notes\""] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert_eq!(capacity::csv(&report).lines().count(), 1);
}

#[test]
fn a_trial_without_figures_has_dashes_and_empty_fields() {
    let mut report = synthetic::report();
    let step = &mut report.axes[0].steps[0];
    *step = Step {
        goodput: None,
        latency: None,
        proxy: None,
        source_cpu: None,
        little: None,
        planned: 0,
        delivered: 0,
        generator: Health { cpu: None, lateness_p99_us: None, ..step.generator.clone() },
        ..step.clone()
    };
    let csv = capacity::csv(&report);
    let row = csv.lines().nth(1).unwrap();
    assert_eq!(row, "mixed,1,grow,holds,100,connections,4,100,0,0,,,,,,,,,,,,,,,,true,,,,,,,,");
    let page = capacity::page(&report).unwrap();
    assert!(page.contains("<th scope=\"row\" class=\"n\">100</th>"), "{page}");
}

#[test]
fn a_quantile_that_too_few_samples_support_is_not_shown() {
    let mut report = synthetic::report();
    report.axes.truncate(1);
    let measured = report.axes[0].steps[0].latency.unwrap();
    let quantiles = |count| Some(Quantiles { count, p99_us: 7_654_321, p999_us: 8_765_432, ..measured });
    let mut shown = |count| {
        report.axes[0].steps[0].latency = quantiles(count);
        let page = capacity::page(&report).unwrap();
        (page.contains("7.65 s"), page.contains("8.77 s"))
    };
    assert_eq!([298, 299, 2_994, 2_995].map(&mut shown), [(false, false), (true, false), (true, false), (true, true)]);
}

/// Every text of the report is `text`.
fn hostile(text: &str) -> CapacityReport {
    fn fill(value: &mut serde_json::Value, text: &str) {
        match value {
            serde_json::Value::String(own) => *own = text.to_owned(),
            serde_json::Value::Array(list) => list.iter_mut().for_each(|value| fill(value, text)),
            serde_json::Value::Object(map) => {
                // What is one of a few words cannot be anything else.
                map.iter_mut()
                    .filter(|(key, _)| !["outcome", "basis", "cells"].contains(&key.as_str()))
                    .for_each(|(_, v)| fill(v, text));
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(synthetic::report()).expect("it is what it was");
    fill(&mut value, text);
    let mut report: CapacityReport = serde_json::from_value(value).expect("it is what it was");
    report.what_if.iter_mut().flat_map(|row| &mut row.cells).for_each(|cell| {
        (cell.0, cell.1) = (text.to_owned(), text.to_owned());
    });
    report
}

#[test]
fn whatever_a_name_or_a_command_holds_stays_text() {
    let text = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'\u{1b}[2J\u{7}&lt;";
    let report = hostile(text);
    let page = capacity::page(&report).unwrap();
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    for bad in ["<img", "onerror=alert(2)>'\u{1b}\"", "\"><script"] {
        assert!(!page.contains(bad), "{bad}");
    }
    let shown = capacity::text(&report);
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let dir = tempfile::tempdir().unwrap();
    capacity::write(dir.path(), &report).unwrap();
    for file in std::fs::read_dir(dir.path().join("charts")).unwrap() {
        let path = file.unwrap().path();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(!svg.contains("<script") && !svg.contains("<img"), "{}: {svg}", path.display());
        assert!(svg.chars().all(|c| c == '\n' || !c.is_control()), "{}", path.display());
    }
}

#[test]
fn a_picture_that_is_more_than_a_drawing_is_not_shown() {
    let mut report = synthetic::report();
    let storm = report.forecast.as_mut().unwrap().storm.as_mut().unwrap();
    storm.charts[0].3 = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>".to_owned();
    let page = capacity::page(&report).unwrap();
    assert!(!page.contains("alert(1)") && page.contains("Not shown, as they hold more than a drawing"));
}

#[test]
fn five_hundred_trials_are_a_page_that_can_be_read() {
    let mut report = synthetic::report();
    for axis in &mut report.axes {
        let steps = axis.steps.clone();
        axis.steps = (0..500).map(|n| Step { load: steps[n % 13].load + n as f64, ..steps[n % 13].clone() }).collect();
    }
    let page = capacity::page(&report).unwrap();
    assert!(page.len() < 1_500_000, "{}", page.len());
    assert!(page.matches("<tr").count() < 400, "{}", page.matches("<tr").count());
    assert!(
        page.contains("The 40 trials nearest to the knee; 460 more are in steps.csv."),
        "it says what it leaves out"
    );
    assert_eq!(capacity::csv(&report).lines().count(), 2_001);
    assert!(capacity::text(&report).lines().count() < 120);
}

#[test]
fn figures_that_are_none_do_not_end_the_report() {
    for hostile in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, -1.0, 0.0] {
        for alone in [false, true] {
            let mut report = synthetic::report();
            for axis in &mut report.axes {
                axis.found = Some(Found { load: hostile, fails_at: Some(hostile), confirmations: 0, confirmed: false });
                axis.steps.truncate(if alone { 1 } else { 13 });
                for step in &mut axis.steps {
                    (step.load, step.window_s, step.goodput, step.source_cpu) =
                        (hostile, hostile, Some(hostile), Some(hostile));
                    step.proxy.as_mut().unwrap().cpu = hostile;
                    step.generator.cpu = Some(hostile);
                    if let Some(latency) = &mut step.latency {
                        *latency =
                            Quantiles { mean_us: hostile, p50_us: u64::MAX, p99_us: 0, max_us: u64::MAX, ..*latency };
                    }
                    if let Some(little) = &mut step.little {
                        (little.counted, little.computed, little.off) = (hostile, hostile, hostile);
                    }
                }
            }
            let point = LawPoint { load: hostile, measured: Some(hostile), law: hostile, low: hostile, high: hostile };
            let points = vec![point; if alone { 1 } else { 5 }];
            report.law = Some(Law { points, peak: Some((hostile, (hostile, hostile))), ..report.law.unwrap() });
            for state in &mut report.memory {
                let line = state.line.as_mut().unwrap();
                (line.slope, line.intercept, line.r_squared) = (hostile, hostile, hostile);
                state.levels = vec![(u64::MAX, u64::MAX, Some(0))];
            }
            report.queues.iter_mut().for_each(|row| {
                (row.utilisation, row.measured_us, row.mm1_us, row.md1_us) =
                    (hostile, hostile, Some(hostile), Some(hostile));
            });
            report.limits.iter_mut().for_each(|limit| limit.capacity = hostile);
            report.fleet.iter_mut().for_each(|row| (row.demand, row.smallest_jitter_s) = (hostile, Some(hostile)));
            report.cost.as_mut().unwrap().rows.iter_mut().for_each(|row| row.per_thousand_hour = hostile);
            let forecast = report.forecast.as_mut().unwrap();
            forecast.predicted.iter_mut().for_each(|row| (row.predicted, row.measured) = (hostile, Some(hostile)));
            let regression = report.regression.as_mut().unwrap();
            regression
                .rows
                .iter_mut()
                .for_each(|row| (row.before, row.shift) = (vec![hostile], Some((hostile, (hostile, hostile)))));
            report.conditions.objective_us = u64::MAX;
            report.conditions.goodput_min = hostile;
            let page = capacity::page(&report).unwrap();
            assert!(!page.contains("NaN"), "{hostile}");
            let (text, csv) = (capacity::text(&report), capacity::csv(&report));
            assert!(!text.contains("NaN") && !csv.contains("NaN") && !csv.contains("inf"), "{text}\n{csv}");
        }
    }
}

#[test]
fn the_folder_has_the_page_its_data_and_every_picture() {
    let dir = tempfile::tempdir().unwrap();
    let report = synthetic::report();
    capacity::write(&dir.path().join("new/folder"), &report).unwrap();
    let dir = dir.path().join("new/folder");
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let again: CapacityReport = serde_json::from_str(&read("capacity.json")).unwrap();
    // JSON keeps figures to the last digit but one.
    assert_eq!(capacity::text(&again), capacity::text(&report));
    assert_eq!(read("index.html"), capacity::page(&report).unwrap());
    assert_eq!(read("steps.csv"), capacity::csv(&report));
    let mut charts: Vec<String> = std::fs::read_dir(dir.join("charts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    charts.sort();
    assert_eq!(charts.len(), read("index.html").matches("<figure").count(), "{charts:?}");
    assert!(
        charts.contains(&"mixed-throughput.svg".to_owned()) && charts.contains(&"law.svg".to_owned()),
        "{charts:?}"
    );
}

#[test]
fn a_folder_that_cannot_be_written_says_which_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = capacity::write(&file.join("below"), &synthetic::report()).unwrap_err().to_string();
    assert!(error.contains("file/below") && error.contains("--out"), "{error}");
}
