//! `run --baseline`, `bless` and `diff`: what got worse is seen, named, and told from what cannot be compared.

use super::{Place, SMALL};

/// A source that goes silent for a while: what a failover takes is what the proxy waits before it believes it.
fn stall() -> String {
    let text = SMALL.replace("\"small\"", "\"stall\"").replace("steady = \"2s\"", "steady = \"6s\"");
    let text = text.replace("{ mode = \"fanout\" }", "{ mode = \"fanout\", stale-after = \"1s\" }");
    format!(
        "{text}\n[check.failover-time]\nat-most = \"2s\"\n\n[[reach]]\nstate = \"failover\"\n\n[[faults]]\nat = \"1s\"\nfor = \"3s\"\nkind = \"stall\"\ntarget = \"proxy-0/source-active\"\n"
    )
}

/// With baselines of `stall.toml` in `base`, and its run folder in `run`.
fn blessed() -> Place {
    let place = Place::new();
    place.write("stall.toml", &stall());
    place.windtunnel(&["run", "stall.toml", "--out", "run", "--reports", "none"]).exits(0);
    place
        .windtunnel(&["bless", "run", "--baseline", "base", "--reason", "as it is"])
        .exits(0)
        .outputs("1 baselines written");
    place
}

const RUN: [&str; 6] = ["run", "stall.toml", "--out", "out", "--reports", "none"];

#[test]
fn the_same_runs_differ_in_nothing() {
    let place = blessed();
    let said = place.windtunnel(&[&RUN[..], &["--baseline", "base"]].concat()).exits(0);
    let said = said.outputs("no worse than base: 1 compared, 0 differ, 0 worse");
    assert!(!said.out.contains("metric"), "{}", said.out);
    let summary: serde_json::Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    assert_eq!(summary["baseline"]["scenarios"][0]["differences"], serde_json::json!([]));
    assert!(summary["baseline"]["scenarios"][0]["metrics"].as_u64().expect("a count") > 30);
    place.windtunnel(&["diff", "base", "out"]).exits(0).outputs("no worse than base");
    // Of two run folders the time on the wall is compared, too, and decides nothing.
    place.windtunnel(&["diff", "run", "out"]).exits(0).outputs("(wall)");
}

#[test]
fn a_failover_that_takes_a_fifth_longer_is_worse_and_breaks_nothing() {
    let place = blessed();
    let slower = [&RUN[..], &["--mutant", "notices-a-fifth-later", "--baseline", "base"]].concat();
    let said = place.windtunnel(&slower).exits(3).outputs("3 passed, 0 failed, 0 inconclusive");
    let said = said.outputs("mutant notices-a-fifth-later: caught by failover_outage_us_p50");
    let line = said.out.lines().find(|line| line.contains("failover_outage_us_p50")).expect("a row");
    assert!(line.ends_with("WORSE") && line.contains("+5 %"), "{line}");
    let summary: serde_json::Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    assert_eq!(summary["verdict"], "worse");
    let scenario = &summary["baseline"]["scenarios"][0];
    assert_eq!(scenario["scenario"], "stall");
    let worst = &scenario["differences"][0];
    assert_eq!((&worst["metric"], &worst["change"]), (&"failover_outage_us_p50".into(), &"worse".into()));
    let ratio = worst["now"].as_f64().expect("a number") / worst["before"].as_f64().expect("a number");
    assert!((1.15..=1.25).contains(&ratio), "{ratio}");
    let junit = place.read("out/junit.xml");
    assert!(junit.contains("type=\"worse\"") && junit.contains("failover_outage_us_p50 was "), "{junit}");
    assert!(place.read("out/summary.md").contains("failover_outage_us_p50"));
    assert!(place.read("out/index.html").contains("failover_outage_us_p50"));
    place.windtunnel(&["diff", "run", "out"]).exits(3).outputs("WORSE than run");
    // And back: what was worse is better, which fails nothing.
    place.windtunnel(&["diff", "out", "run"]).exits(0).outputs("better");
}

#[test]
fn what_is_broken_is_broken_and_not_only_worse() {
    let place = blessed();
    place.windtunnel(&[&RUN[..], &["--mutant", "skips-silently", "--baseline", "base"]].concat()).exits(1);
}

#[test]
fn an_improvement_passes_and_says_how_to_keep_it() {
    let place = blessed();
    let file = place.read("base/stall.json");
    let line = file.lines().find(|line| line.contains("\"failover_outage_us_p50\"")).expect("it is measured");
    place.write("base/stall.json", &file.replace(line, "    \"failover_outage_us_p50\": 2000000,"));
    let said = place.windtunnel(&[&RUN[..], &["--baseline", "base"]].concat()).exits(0).outputs("better");
    said.outputs("to make that the baseline: windtunnel bless out --reason");
}

#[test]
fn a_tolerance_in_the_baseline_counts_and_stays_when_blessed_again() {
    let place = blessed();
    let file = place.read("base/stall.json");
    let tolerance = "\"tolerance\": {\"failover_outage_us_p50\": \"+30 %\", \"failover_outage_us_p90\": \"+30 %\", \"failover_outage_us_max\": \"+30 %\"}";
    place.write("base/stall.json", &file.replace("\"tolerance\": {}", tolerance));
    let slower = [&RUN[..], &["--mutant", "notices-a-fifth-later", "--baseline", "base"]].concat();
    let said = place.windtunnel(&slower);
    let line = said.out.lines().find(|line| line.contains("failover_outage_us_p50")).expect("a row").to_owned();
    assert!(line.ends_with("worse") && line.contains("+30 %"), "{line}");

    place.write("stall.toml", &stall().replace("stale-after = \"1s\"", "stale-after = \"900ms\""));
    place.windtunnel(&["run", "stall.toml", "--out", "run", "--reports", "none"]).exits(0);
    place.windtunnel(&["bless", "run", "--baseline", "base", "--reason", "quicker"]).exits(0);
    let baseline: serde_json::Value = serde_json::from_str(&place.read("base/stall.json")).expect("JSON");
    assert_eq!(baseline["tolerance"]["failover_outage_us_p50"], "+30 %");
    let history = baseline["history"].as_array().expect("a list");
    assert_eq!((&history[0]["reason"], &history[1]["reason"]), (&"quicker".into(), &"as it is".into()));
    let [was, is] =
        [0, 1].map(|place| history[0]["changes"]["failover_outage_us_p50"][place].as_f64().expect("a number"));
    assert!(was > is && is > 0.0, "{was} {is}");

    place.write("base/stall.json", &place.read("base/stall.json").replace("+30 %", "-30 %"));
    place.windtunnel(&[&RUN[..], &["--baseline", "base"]].concat()).exits(64).complains("worse is + here");
}

#[test]
fn what_cannot_be_compared_is_named_and_inconclusive() {
    let place = blessed();
    let gated = [&RUN[..], &["--baseline", "base"]].concat();
    // Of other seeds.
    place.windtunnel(&[&gated[..], &["--seeds", "2..4"]].concat()).exits(2).outputs("--seeds 1..3");
    // Of another text; a remark is none.
    place.write("stall.toml", &format!("# A remark.\n{}", stall()));
    place.windtunnel(&gated).exits(0);
    place.write("stall.toml", &stall().replace("count = 6", "count = 7"));
    place.windtunnel(&gated).exits(2).outputs("another text");
    // Of another version.
    place.write("stall.toml", &stall());
    let file = place.read("base/stall.json");
    place.write("base/stall.json", &file.replace("\"schema\": 1", "\"schema\": 0"));
    place.windtunnel(&gated).exits(2).outputs("schema 0");
    // Of nothing.
    std::fs::remove_file(place.path().join("base/stall.json")).expect("it is there");
    let said = place.windtunnel(&gated).exits(2).outputs("not comparable: there is no");
    assert!(said.out.contains("windtunnel bless"), "{}", said.out);
    let junit = place.read("out/junit.xml");
    assert!(junit.contains("<error") && junit.contains("not comparable"), "{junit}");
}

#[test]
fn a_baseline_that_is_none_is_refused_before_anything_runs() {
    let place = blessed();
    let gated = [&RUN[..], &["--baseline", "base"]].concat();
    place.write("base/stall.json", "{\n  \"schema\": 1,\n<<<<<<< HEAD\n");
    place.windtunnel(&gated).exits(64).complains("base/stall.json:3:1");
    place
        .windtunnel(&[&RUN[..], &["--baseline", "nowhere"]].concat())
        .exits(64)
        .complains("there is no folder nowhere");
    place
        .windtunnel(&[&RUN[..], &["--baseline"]].concat())
        .exits(64)
        .complains("there is no folder scenarios/baseline");
    let turmoil = [&gated[..], &["--engine", "turmoil"]].concat();
    place.windtunnel(&turmoil).exits(64).complains("baselines are of engine sim");
    assert!(!place.has("out"));
}

#[test]
fn bless_wants_a_reason_and_runs_that_passed() {
    let place = blessed();
    let before = place.read("base/stall.json");
    place.windtunnel(&["bless", "run", "--baseline", "base"]).exits(64).complains("--reason");
    place.windtunnel(&["bless", "run", "--baseline", "base", "--reason", " "]).exits(64).complains("--reason");
    let reason = ["--baseline", "base", "--reason", "because"];
    place.windtunnel(&[&["bless", "base"][..], &reason].concat()).exits(64).complains("holds baselines");
    place.windtunnel(&[&["bless", "nowhere"][..], &reason].concat()).exits(74).complains("nowhere");

    place.windtunnel(&[&RUN[..], &["--seed", "1"]].concat()).exits(0);
    place.windtunnel(&[&["bless", "out"][..], &reason].concat()).exits(64).complains("no run of stall with seed 2");
    let strict = stall().replace("at-most = \"2s\"", "at-most = \"100ms\"");
    place.write("stall.toml", &strict);
    place.windtunnel(&RUN).exits(1);
    place.windtunnel(&[&["bless", "out"][..], &reason].concat()).exits(1).complains("stall seed 1 failed");
    place.write("stall.toml", &stall());
    place.windtunnel(&[&RUN[..], &["--mutant", "notices-a-fifth-later"]].concat()).exits(0);
    place.windtunnel(&[&["bless", "out"][..], &reason].concat()).exits(64).complains("planted bug");
    assert_eq!(place.read("base/stall.json"), before);

    // What is as it was is not written again: no reason is kept for nothing.
    place.windtunnel(&[&["bless", "run"][..], &reason].concat()).exits(0).outputs("0 baselines written");
    assert_eq!(place.read("base/stall.json"), before);
}

#[test]
fn diff_names_what_only_one_side_has() {
    let place = blessed();
    place.write("small.toml", SMALL);
    place.windtunnel(&["run", "small.toml", "--out", "other", "--reports", "none"]).exits(0);
    let said =
        place.windtunnel(&["diff", "run", "other"]).exits(2).outputs("stall: not comparable: only the first has it");
    said.outputs("small: not comparable: only the second has it");
    place.windtunnel(&["diff", "run", "nowhere"]).exits(74).complains("nowhere");
    std::fs::create_dir(place.path().join("empty")).expect("a writable folder");
    place.windtunnel(&["diff", "run", "empty"]).exits(64).complains("empty holds neither runs");
    place
        .windtunnel(&["diff", "run", "run/stall/1"])
        .exits(64)
        .complains("run/stall/1/capsule.json has schema 2, this program writes 1");
}

#[test]
fn only_runs_that_the_summary_names_are_compared_and_only_of_one_engine() {
    let place = Place::with_small();
    place.write("stall.toml", &stall());
    let run = |name: &str, out: &str, more: &[&str]| {
        place.windtunnel(&[&["run", name, "--reports", "none", "--out", out][..], more].concat()).exits(0);
    };
    run("small.toml", "one", &[]);
    run("small.toml", "two", &[]);
    // What an earlier command left there is none of the later one's.
    run("stall.toml", "two", &[]);
    run("small.toml", "two", &[]);
    place.windtunnel(&["diff", "one", "two"]).exits(0).outputs("1 compared");
    run("small.toml", "else", &["--engine", "turmoil"]);
    let said = place.windtunnel(&["diff", "one", "else"]).exits(2);
    said.outputs("small: not comparable: the first is of engine sim, the second of turmoil");
    // A run over which another one was written.
    let verdict = place.read("else/small/1/verdict.json");
    place.write("two/small/1/verdict.json", &verdict);
    place
        .windtunnel(&["diff", "one", "two"])
        .exits(64)
        .complains("two/small/1 is not the run that summary.json tells of");
}
