//! `run`: what it refuses, what it leaves on disk, how it ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Place, SMALL};

#[test]
fn an_unknown_scenario_is_refused_with_the_nearest() {
    let place = Place::new();
    place.windtunnel(&["run", "steady-fanot", "--out", "out"]).exits(64).complains("did you mean \"steady-fanout\"?");
    place.windtunnel(&["run", "nowhere.toml", "--out", "out"]).exits(74).complains("nowhere.toml");
    place.windtunnel(&["run", "--tag", "no-such-tag", "--out", "out"]).exits(64).complains("no-such-tag");
    place.windtunnel(&["run", "--mutant", "panic", "--out", "out"]).exits(64).complains("did you mean \"panics\"?");
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_bad_file_is_refused_before_anything_is_written() {
    let place = Place::new();
    place.write("small.toml", &SMALL.replace("period =", "peroid ="));
    place.windtunnel(&["run", "small.toml"]).exits(64).complains("small.toml:9:37: unknown key \"peroid\"");
    assert_eq!(place.names(), ["small.toml"]);
}

#[test]
fn seeds_that_are_no_seeds_are_refused() {
    let place = Place::with_small();
    for seeds in ["3", "3..1", "a..b", "1..", "..", "-1..2", "0..18446744073709551615", "1..18446744073709551616"] {
        place.windtunnel(&["run", "small.toml", "--out", "out", &format!("--seeds={seeds}")]).exits(64);
    }
    place.windtunnel(&["run", "small.toml", "--out", "out", "--seed", "x"]).exits(64);
    place.windtunnel(&["run", "small.toml", "--out", "out", "--seed", "1", "--seeds", "1..2"]).exits(64);
    assert_eq!(place.names(), ["small.toml"]);
}

#[test]
fn what_an_engine_cannot_run_is_refused_before_anything_is_written() {
    let place = Place::new();
    place.windtunnel(&["run", "slow-consumers", "--engine", "turmoil"]).exits(64).complains("turmoil");
    place.windtunnel(&["run", "hour-long-soak", "--engine", "sockets"]).exits(64).complains("real time");
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn two_scenarios_of_one_name_are_refused() {
    let place = Place::with_small();
    std::fs::create_dir(place.path().join("other")).expect("a writable folder");
    place.write("other/small.toml", SMALL);
    let said = place.windtunnel(&["run", "small.toml", "other/small.toml", "--out", "out"]).exits(64);
    assert!(said.err.contains("\"small\""), "{}", said.err);
    assert!(!place.has("out"));
}

#[test]
fn an_out_that_cannot_be_a_folder_is_an_io_error() {
    let place = Place::with_small();
    place.write("file", "in the way");
    place.windtunnel(&["run", "small.toml", "--out", "file"]).exits(74).complains("failed to make the folder file:");
    place.windtunnel(&["run", "small.toml", "--out", "file/below"]).exits(74).complains("file/below");
    assert_eq!(place.read("file"), "in the way");
}

#[test]
fn a_file_in_the_way_within_the_folder_is_an_io_error() {
    let place = Place::with_small();
    std::fs::create_dir(place.path().join("out")).expect("a writable folder");
    place.write("out/small", "in the way");
    let said = place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out"]).exits(74);
    assert!(said.err.contains("out/small") && said.err.contains("not whole"), "{}", said.err);
    // What can be written is.
    assert!(place.has("out/summary.json"));
}

#[test]
fn a_run_leaves_a_folder_with_everything_in_it() {
    let place = Place::with_small();
    let said = place.windtunnel(&["run", "small.toml", "--seeds", "1..2", "--out", "out"]).exits(0);
    assert!(said.out.contains("pass: 2 passed, 0 failed, 0 inconclusive"), "{}", said.out);
    assert!(said.out.contains("report: out/index.html"), "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "colours that nobody sees");
    for name in ["index.html", "summary.json", "summary.md", "junit.xml"] {
        assert!(!place.read(&format!("out/{name}")).is_empty(), "{name}");
    }
    for seed in [1, 2] {
        for name in ["verdict.json", "metrics.json", "capsule.json", "log.txt"] {
            assert!(!place.read(&format!("out/small/{seed}/{name}")).is_empty(), "{name}");
        }
        // A page for the first seed only, by default; events for a failing run only.
        assert_eq!(place.has(&format!("out/small/{seed}/report.html")), seed == 1);
        assert_eq!(place.has(&format!("out/small/{seed}/charts")), seed == 1);
        assert!(!place.has(&format!("out/small/{seed}/events.jsonl")));
    }
    let charts: Vec<_> = std::fs::read_dir(place.path().join("out/small/1/charts"))
        .expect("charts")
        .map(|chart| chart.expect("an entry").path())
        .collect();
    assert!(!charts.is_empty());
    for chart in charts {
        assert_eq!(chart.extension().and_then(|extension| extension.to_str()), Some("svg"));
        assert!(std::fs::read_to_string(&chart).expect("text").contains("<svg"), "{}", chart.display());
    }
    let verdict: serde_json::Value = serde_json::from_str(&place.read("out/small/1/verdict.json")).expect("JSON");
    assert_eq!(verdict["verdict"], "pass");
    assert_eq!(verdict["seed"], 1);
}

#[test]
fn pages_and_events_come_as_asked_for() {
    let place = Place::with_small();
    let run = ["run", "small.toml", "--seed", "3"];
    place.windtunnel(&[&run[..], &["--out", "all", "--events", "--reports", "all"]].concat()).exits(0);
    assert!(place.has("all/small/3/report.html"));
    let verdict: serde_json::Value = serde_json::from_str(&place.read("all/small/3/verdict.json")).expect("JSON");
    let events = place.read("all/small/3/events.jsonl");
    assert_eq!(verdict["events"], events.lines().count());
    place.windtunnel(&[&run[..], &["--out", "none", "--reports", "none"]].concat()).exits(0);
    assert!(!place.has("none/small/3/report.html"));
    assert!(place.has("none/small/3/verdict.json"));
}

/// Every file below a folder, by its path, without the lines on the wall's time.
fn files(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<String>>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).expect("text");
            let timed = |line: &&str| {
                line.contains("\"wall_") || line.contains("<dt>Time on the wall<") || line.contains("<dt>Speed<")
            };
            found.insert(path, text.lines().filter(|line| !timed(line)).map(str::to_owned).collect());
        }
    }
}

#[test]
fn the_files_of_the_same_runs_are_the_same_but_for_the_wall() {
    let all = |place: &Place| {
        let args = ["run", "small.toml", "--seeds", "1..2", "--events", "--reports", "all", "--out", "out"];
        place.windtunnel(&args).exits(0);
        let mut found = BTreeMap::new();
        files(&place.path().join("out/small"), &mut found);
        let below = |path: &Path| path.strip_prefix(place.path()).expect("below").to_owned();
        found.into_iter().map(|(path, lines)| (below(&path), lines)).collect::<BTreeMap<_, _>>()
    };
    let (one, two) = (all(&Place::with_small()), all(&Place::with_small()));
    assert!(one.len() > 12, "{:?}", one.keys());
    assert!(one.keys().eq(two.keys()), "{:?} {:?}", one.keys(), two.keys());
    for (path, lines) in &one {
        assert!(!lines.is_empty(), "{}", path.display());
        let differs = lines.iter().zip(&two[path]).find(|(one, two)| one != two);
        assert!(*lines == two[path], "{}: {differs:?}", path.display());
    }
}

#[test]
fn many_jobs_at_once_come_to_the_same_as_one_after_another() {
    let place = Place::with_small();
    for (jobs, out) in [("1", "one"), ("5", "five")] {
        place.windtunnel(&["run", "small.toml", "--seeds", "1..8", "--jobs", jobs, "--out", out]).exits(0);
    }
    let hashes = |out: &str| -> Vec<(serde_json::Value, serde_json::Value)> {
        let summary: serde_json::Value =
            serde_json::from_str(&place.read(&format!("{out}/summary.json"))).expect("JSON");
        let runs = summary["runs"].as_array().expect("a list");
        runs.iter().map(|run| (run["seed"].clone(), run["trace_hash"].clone())).collect()
    };
    let one = hashes("one");
    assert_eq!(one.len(), 8);
    assert!(one.iter().all(|(seed, hash)| seed.is_u64() && hash.is_string()), "{one:?}");
    assert_eq!(one, hashes("five"));
}

#[test]
fn a_folder_used_again_holds_nothing_of_the_earlier_run() {
    let place = Place::with_small();
    let run = ["run", "small.toml", "--seed", "1", "--out", "out", "--reports", "failed"];
    place.windtunnel(&[&run[..], &["--mutant", "repeats-a-message"]].concat()).exits(1);
    assert!(place.has("out/small/1/events.jsonl"));
    place.windtunnel(&run).exits(0);
    for name in ["events.jsonl", "report.html", "charts"] {
        assert!(!place.has(&format!("out/small/1/{name}")), "{name} is the earlier run's");
    }
    place.windtunnel(&["replay", "out/small/1/capsule.json"]).exits(0).outputs("replayed bit for bit");
}

#[test]
fn without_out_a_link_leads_to_the_latest() {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--seed", "1"]).exits(0);
    assert!(place.has("target/windtunnel/latest/small/1/verdict.json"));
}

#[test]
fn json_is_the_summary_and_quiet_is_one_line() {
    let place = Place::with_small();
    let said = place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out", "--json"]).exits(0);
    let summary: serde_json::Value = serde_json::from_str(&said.out).expect("JSON and nothing else");
    assert_eq!(summary["verdict"], "pass");
    assert_eq!(said.out, place.read("out/summary.json"));
    assert_eq!(said.err, "");

    let said = place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out", "--quiet"]).exits(0);
    assert_eq!(said.out, "1 passed, 0 failed, 0 inconclusive\n");
    assert_eq!(said.err, "");

    place.windtunnel(&["run", "small.toml", "--quiet", "--json"]).exits(64);
}

#[test]
fn too_little_reached_is_inconclusive() {
    let place = Place::new();
    // A stall that is over before anyone can tell it from a quiet moment: nobody fails over.
    let stall = "[[faults]]\nat = \"500ms\"\nfor = \"100ms\"\nkind = \"stall\"\ntarget = \"proxy-0/source-active\"\n";
    place.write("small.toml", &format!("{SMALL}\n[[reach]]\nstate = \"failover\"\n\n{stall}"));
    let said = place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out"]).exits(2);
    assert!(said.out.contains("inconclusive: 0 passed, 0 failed, 1 inconclusive"), "{}", said.out);
    assert!(said.out.contains("failover"), "what was not reached is missing: {}", said.out);
    let capsule = "out/small/1/capsule.json";
    place.windtunnel(&["replay", capsule]).exits(2).outputs("replayed bit for bit");
}

#[test]
fn a_fault_runs_in_the_engine_that_can_express_it_and_is_refused_in_the_other() {
    let place = Place::new();
    let fault = |lines: &str| format!("{SMALL}\n[[faults]]\nat = \"500ms\"\nfor = \"500ms\"\n{lines}");
    place.write("small.toml", &fault("kind = \"slow-host\"\ntimes = 2\ntarget = \"proxy-*\"\n"));
    let run =
        |engine: &str| place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out", "--engine", engine]);
    run("sim").exits(0);
    let said = run("turmoil").exits(64);
    let why = "cannot express: slow-host of proxy-0: turmoil does not have a process that stands still";
    assert!(said.err.contains(why), "{}", said.err);
    place.write(
        "small.toml",
        &fault("kind = \"latency\"\nlatency = { fixed = \"30ms\" }\ntarget = \"clients/proxy-0\"\n"),
    );
    run("sim").exits(0);
    run("turmoil").exits(0);
}

#[test]
fn marks_are_counted_and_one_that_is_required_and_missed_is_named_with_its_line() {
    let place = Place::new();
    let fault = "[[faults]]\nat = \"500ms\"\nfor = \"500ms\"\nkind = \"kill\"\ntarget = \"source-active\"\n";
    let reach = |mark: &str| format!("{SMALL}\n{fault}\n[[reach]]\nmark = \"{mark}\"\n");
    place.write("small.toml", &reach("first data after a failover"));
    let run = |more: &[&str]| {
        place.windtunnel(&[&["run", "small.toml", "--seed", "1", "--out", "out", "--reports", "none"], more].concat())
    };
    let all = place.windtunnel(&["marks"]).exits(0).out.lines().count() / 2;
    let said = run(&[]).exits(0);
    let verdict: serde_json::Value = serde_json::from_str(&place.read("out/small/1/verdict.json")).expect("JSON");
    assert_eq!(verdict["marks"]["first data after a failover"], 1);
    assert_eq!(verdict["reached"][1], serde_json::json!({ "name": "first data after a failover", "times": 1 }));
    let count = verdict["marks"].as_object().expect("a table").len();
    assert!(said.out.contains(&format!("marks reached: {count} of {all}")), "{}", said.out);
    // Each mark that is required and was not reached is named, and each that was is not.
    let said = run(&["--require-reached"]).exits(2);
    assert!(said.out.contains("never reached: panic rule used (proxy/src/pool.rs:"), "{}", said.out);
    assert!(!said.out.contains("first data after a failover"), "{}", said.out);
    assert_eq!(said.out.matches("never reached: ").count(), all - count);
    // And a scenario that asks for one by name.
    place.write("small.toml", &reach("panic rule used"));
    run(&[]).exits(2);
    let listed = place.windtunnel(&["marks", "--json"]).exits(0);
    let listed: serde_json::Value = serde_json::from_str(&listed.out).expect("JSON");
    assert!(listed[0]["name"].is_string() && listed[0]["line"].as_u64() > Some(0), "{listed}");
}

#[test]
fn a_budget_too_short_for_the_minimum_is_inconclusive_and_names_the_scenario() {
    let place = Place::with_small();
    let said = place.windtunnel(&["run", "small.toml", "--seeds", "1..5", "--out", "out", "--time-budget", "0s"]);
    let said = said.exits(2).outputs("3 runs are missing");
    let said = said.outputs("small: 0 runs done, at least 3 are needed");
    assert!(said.out.contains("inconclusive: 0 passed"), "{}", said.out);
    let summary: serde_json::Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    assert_eq!(summary["runs_left_out"], 3);
    assert_eq!(summary["shares"], serde_json::json!([{"scenario": "small", "done": 0, "minimum": 3}]));
    assert_eq!(summary["verdict"], "inconclusive");
}

#[test]
fn a_budget_runs_more_than_the_minimum_and_always_a_beginning_of_the_sequence() {
    let place = Place::with_small();
    place.write("other.toml", &SMALL.replace("\"small\"", "\"other\"").replace("count = 6", "count = 60"));
    let run = ["run", "small.toml", "other.toml", "--out", "out", "--reports", "none", "--time-budget", "6s"];
    place.windtunnel(&run).exits(0);
    let summary: serde_json::Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    let seeds = |name: &str| -> Vec<u64> {
        let runs = summary["runs"].as_array().expect("a list").iter().filter(|run| run["scenario"] == name);
        runs.map(|run| run["seed"].as_u64().expect("a seed")).collect()
    };
    let (small, other) = (seeds("small"), seeds("other"));
    // The cheap one gets more; each runs 1, 2, 3 and so on.
    assert!(small.len() > other.len() && other.len() >= 3, "{} {}", small.len(), other.len());
    for seeds in [small, other] {
        assert!(seeds.iter().copied().eq(1..=seeds.len() as u64), "{seeds:?}");
    }
}

#[test]
fn seeds_from_a_word_are_varied_and_the_same_again() {
    let place = Place::with_small();
    let seeds = |word: &str, more: &[&str]| -> (Vec<u64>, String) {
        let run = ["run", "small.toml", "--out", "out", "--reports", "none", "--seeds-from", word];
        let said = place.windtunnel(&[&run[..], more].concat()).exits(0);
        let summary: serde_json::Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
        let runs = summary["runs"].as_array().expect("a list");
        let word = summary["seeds_from"].as_str().expect("a word").to_owned();
        assert!(said.out.contains(&format!("--seeds-from {word}")), "{}", said.out);
        (runs.iter().map(|run| run["seed"].as_u64().expect("a seed")).collect(), word)
    };
    let (one, word) = seeds("4f1c2aa", &[]);
    assert_eq!((one.len(), word.as_str()), (3, "4f1c2aa"));
    assert_eq!(seeds("4f1c2aa", &[]).0, one);
    assert_ne!(seeds("4f1c2ab", &[]).0, one);
    let (chance, word) = seeds("random", &["--quiet"]);
    assert_ne!(word, "random");
    assert_eq!(seeds(&word, &[]).0, chance);
    // With a baseline its own seeds come first, so that it can be compared.
    place.windtunnel(&["run", "small.toml", "--out", "run", "--reports", "none"]).exits(0);
    place.windtunnel(&["bless", "run", "--baseline", "base", "--reason", "as it is"]).exits(0);
    let (with, _) = seeds("4f1c2aa", &["--baseline", "base"]);
    assert_eq!(with, [&[1, 2, 3], &one[..]].concat());
    place.windtunnel(&["run", "small.toml", "--seeds-from", "x", "--seeds", "1..3"]).exits(64);
}

#[test]
fn the_canary_sings_and_the_bank_is_run_beside_the_whole_catalogue_only() {
    let place = Place::with_small();
    // Nobody has to wait for the catalogue: a budget that is over at once.
    let said = place.windtunnel(&["run", "--out", "out", "--time-budget", "0s"]).exits(2);
    let said = said.outputs("canary: the alarm works (no-duplicates fails where it must)");
    assert!(said.out.contains("steady-fanout: 0 runs done, at least 3 are needed"), "{}", said.out);
    let summary: serde_json::Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    assert_eq!((&summary["canary"]["rang"], &summary["counts"]["fail"]), (&true.into(), &0.into()));
    let junit = place.read("out/junit.xml");
    assert!(junit.contains("the alarm works"));
    let bank = scenarios::regressions::all();
    assert!(said.out.contains(&format!("regressions: {0} replayed: {0} as mended", bank.len())), "{}", said.out);
    assert_eq!(summary["regressions"].as_array().map(Vec::len), Some(bank.len()));
    let cases =
        bank.iter().filter(|entry| junit.contains(&format!("name=\"{}\" classname=\"regressions\"", entry.name)));
    assert_eq!(cases.count(), bank.len(), "{junit}");
    let without = place.windtunnel(&["run", "--out", "out", "--time-budget", "0s", "--no-regressions"]).exits(2);
    assert!(!without.out.contains("regressions") && !place.read("out/summary.json").contains("regressions\": ["));
    for some in [&["small.toml"][..], &["--tag", "failover"]] {
        let said = place.windtunnel(&[&["run", "--out", "some", "--time-budget", "0s"][..], some].concat()).exits(2);
        assert!(!said.out.contains("canary") && !said.out.contains("regressions"), "{}", said.out);
    }
}

#[test]
fn a_canary_that_hangs_is_exit_code_70_and_stands_in_the_summary() {
    let place = Place::new();
    let said = place.windtunnel(&["run", "--no-regressions", "--out", "out", "--watchdog", "1ms"]).exits(70);
    assert!(said.err.contains("the canary hangs on the wall"), "{}", said.err);
    let summary: serde_json::Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    assert_eq!((&summary["canary"]["rang"], &summary["verdict"]), (&false.into(), &"inconclusive".into()));
    assert!(place.read("out/junit.xml").contains("more than 1ms on the wall"));
}

#[test]
fn a_regression_that_hangs_is_exit_code_70_and_stands_in_the_summary() {
    let place = Place::new();
    let said = place.windtunnel(&["run", "--out", "out", "--jobs", "1", "--watchdog", "0ms"]).exits(70);
    assert!(said.err.contains("the regression a-digit-that-changes hangs on the wall"), "{}", said.err);
    let summary: serde_json::Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    let hung = &summary["regressions"][0];
    assert_eq!((&hung["name"], &hung["verdict"]), (&"a-digit-that-changes".into(), &"inconclusive".into()));
    assert!(place.read("out/junit.xml").contains("more than 0s on the wall"));
}

#[test]
fn a_run_that_hangs_is_exit_code_70_and_what_was_done_before_it_is_written() {
    let place = Place::with_small();
    // Half a day of simulated time: whatever the machine, the watchdog comes first.
    place.write("long.toml", &SMALL.replace("\"small\"", "\"long\"").replace("\"2s\"", "\"12h\""));
    let run = ["run", "small.toml", "long.toml", "--seed", "1", "--jobs", "1", "--out", "out", "--watchdog", "5s"];
    let said = place.windtunnel(&run).exits(70);
    assert!(said.err.contains("long seed 1 hangs on the wall"), "{}", said.err);
    let summary: serde_json::Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    let runs = summary["runs"].as_array().expect("a list");
    assert_eq!(runs.len(), 1, "{summary}");
    assert_eq!((&runs[0]["scenario"], &summary["runs_left_out"]), (&"small".into(), &1.into()));
}

#[test]
fn a_mutant_fails_the_run_and_the_output_names_the_checker_and_the_way_back() {
    let place = Place::with_small();
    let args = ["run", "small.toml", "--seed", "1", "--out", "out", "--mutant", "repeats-a-message"];
    let said = place.windtunnel(&args).exits(1);
    assert!(said.out.contains("seed 1, no-duplicates at "), "{}", said.out);
    assert!(said.out.contains("again: cargo windtunnel replay out/small/1/capsule.json"), "{}", said.out);
    assert!(said.out.contains("report: out/small/1/report.html"), "{}", said.out);
    assert!(said.out.contains("mutant repeats-a-message: caught by no-duplicates"), "{}", said.out);
    assert!(place.has("out/small/1/events.jsonl"));
    assert!(place.has("out/small/1/report.html"));
    let verdict: serde_json::Value = serde_json::from_str(&place.read("out/small/1/verdict.json")).expect("JSON");
    assert_eq!(verdict["verdict"], "fail");
    assert_eq!(verdict["mutant"], "repeats-a-message");
    // The breach lies where the evidence says.
    let broken = verdict["invariants"].as_array().expect("a list");
    let broken = broken.iter().find(|invariant| invariant["name"] == "no-duplicates").expect("it is judged");
    let number = broken["violations"][0]["events"].as_array().and_then(|events| events.last()?.as_u64());
    let number = usize::try_from(number.expect("evidence")).expect("a line");
    let events = place.read("out/small/1/events.jsonl");
    assert!(events.lines().nth(number).is_some_and(|line| line.contains("deliver")), "line {number}");
    let junit = place.read("out/junit.xml");
    assert!(junit.contains("<failure") && junit.contains("no-duplicates"), "{junit}");
}

#[test]
fn in_the_frames_of_a_report_an_answer_stands_behind_what_it_answers() {
    let place = Place::new();
    let kill = "[[faults]]\nkind = \"kill\"\ntarget = \"source-active\"\nat = \"500ms\"\nfor = \"500ms\"\n";
    place.write("small.toml", &format!("{}\n{kill}", SMALL.replace("[check]\n", "[check]\nno-client-close = {}\n")));
    let args = ["run", "small.toml", "--seed", "1", "--mutant", "closes-clients-at-failover", "--out", "red"];
    place.windtunnel(&args).exits(1);
    let page = place.read("red/small/1/report.html");
    let (_, frames) = page.split_once("id=\"frames\"").expect("a client was closed");
    let frames = frames.split("</section>").next().unwrap_or_default();
    let closes: Vec<bool> =
        frames.split("<tr").filter(|row| row.contains("<td>close")).map(|row| row.contains("masked")).collect();
    // The client echoes the proxy's close in the instant in which it gets it.
    assert_eq!(closes, [false, true], "{frames}");
}
