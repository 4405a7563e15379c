//! Shards and `merge`: a sweep that is cut up and put together is the sweep.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Place, SMALL};

/// A second scenario.
fn other() -> String {
    SMALL.replace("\"small\"", "\"other\"").replace("count = 6", "count = 9")
}

/// A sweep of two scenarios, in one piece or a shard of it, in a folder of its own: paths in reports are then the same.
fn sweep(shard: Option<&str>, more: &[&str]) -> Place {
    let place = Place::with_small();
    place.write("other.toml", &other());
    let run = ["run", "small.toml", "other.toml", "--seeds", "1..8", "--orders", "0..1", "--reports", "all"];
    let cut: Vec<&str> = shard.into_iter().flat_map(|shard| ["--shard", shard]).collect();
    let said = place.windtunnel(&[&run[..], more, &cut, &["--out", "out"]].concat());
    assert!([0, 1].contains(&said.code), "{}{}", said.out, said.err);
    place
}

/// The folders of the shards, below one place.
fn gathered(shards: &[&Place]) -> Place {
    let all = Place::new();
    for (n, shard) in (1..).zip(shards) {
        std::fs::rename(shard.path().join("out"), all.path().join(format!("part-{n}"))).expect("one file system");
    }
    all
}

/// Every file below a folder without what tells of the wall.
fn files(folder: &Path) -> BTreeMap<String, String> {
    fn walk(folder: &Path, top: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, top, found);
            } else {
                let text = std::fs::read_to_string(&path).expect("text");
                let name = path.strip_prefix(top).expect("below").display().to_string();
                found.insert(name.clone(), without_wall(&name, &text));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// Times on the wall, and speeds made from them, have forms of their own in each file.
fn without_wall(name: &str, text: &str) -> String {
    let cut = |text: &str, begin: &str, end: &str| {
        let mut parts = text.split(begin);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |sum, part| {
            let rest = part.find(end).map_or("", |at| &part[at..]);
            format!("{sum}{begin}{rest}")
        })
    };
    match name {
        "junit.xml" => cut(text, " time=\"", "\""),
        "summary.md" => cut(&cut(text, " inconclusive, in ", "\n"), "| × ", " |"),
        "index.html" => {
            let text = cut(&cut(text, "<td class=\"n wall\">", "<"), "<dd class=\"wall\">", "<");
            cut(&text, "<table class=\"dense wall\">", "</table>")
        }
        _ => {
            let timed = |line: &&str| {
                line.contains("\"wall_") || line.contains("<dt>Time on the wall<") || line.contains("<dt>Speed<")
            };
            text.lines().filter(|line| !timed(line)).map(|line| format!("{line}\n")).collect()
        }
    }
}

#[track_caller]
fn same(whole: &Place, merged: &Place) {
    let (one, two) = (files(&whole.path().join("out")), files(&merged.path().join("out")));
    assert!(one.keys().eq(two.keys()), "{:?} {:?}", one.keys(), two.keys());
    for (name, text) in &one {
        let differs = text.lines().zip(two[name].lines()).find(|(one, two)| one != two);
        assert!(*text == two[name], "{name}: {differs:?}");
    }
}

#[test]
fn merged_shards_are_the_whole_byte_for_byte_but_for_the_wall() {
    let whole = sweep(None, &[]);
    let shards = ["1/3", "2/3", "3/3"].map(|shard| sweep(Some(shard), &[]));
    // In any order.
    let all = gathered(&[&shards[2], &shards[0], &shards[1]]);
    let said = all.windtunnel(&["merge", "part-1", "part-2", "part-3", "--out", "out"]).exits(0);
    let said = said.outputs("pass: 32 passed, 0 failed, 0 inconclusive");
    assert_eq!(said.err, "");
    same(&whole, &all);
    // The figures are those of merged histograms, over all seeds in the usual order.
    let measures: serde_json::Value = serde_json::from_str(&all.read("out/measures.json")).expect("JSON");
    assert_eq!(measures["scenarios"]["small"]["runs"], 8);
    assert!(measures["scenarios"]["other"]["figures"]["latency_us_p99"].as_u64() > Some(0), "{measures}");
    all.windtunnel(&["replay", "out/other/3/capsule.json"]).exits(0).outputs("replayed bit for bit");
}

#[test]
fn merged_shards_that_fail_are_the_whole_that_fails() {
    let bug = ["--mutant", "repeats-a-message"];
    let whole = sweep(None, &bug);
    let shards = ["1/2", "2/2"].map(|shard| sweep(Some(shard), &bug));
    let all = gathered(&[&shards[0], &shards[1]]);
    let said = all.windtunnel(&["merge", "part-1", "part-2", "--out", "out"]).exits(1);
    said.outputs("again: cargo windtunnel replay out/small/1/capsule.json");
    same(&whole, &all);
    let marked = all.windtunnel(&["merge", "part-1", "part-2", "--out", "again", "--annotations"]).exits(1);
    marked.outputs("::error file=small.toml,line=");
    // A page says how to run it again where it now is.
    assert!(all.read("again/small/1/report.html").contains("cargo windtunnel replay again/small/1/capsule.json"));
}

#[test]
fn a_shard_that_is_missing_and_runs_that_are_there_twice_are_named() {
    let shards = ["1/3", "2/3", "3/3"].map(|shard| sweep(Some(shard), &[]));
    let all = gathered(&[&shards[0], &shards[1], &shards[2]]);
    let said = all.windtunnel(&["merge", "part-1", "part-3", "--out", "out"]).exits(2).outputs("shard 2/3 is missing");
    assert!(said.out.contains("inconclusive: "), "{}", said.out);
    let summary: serde_json::Value = serde_json::from_str(&all.read("out/summary.json")).expect("JSON");
    assert_eq!((&summary["verdict"], &summary["missing"][0]), (&"inconclusive".into(), &"shard 2/3".into()));

    let said = all.windtunnel(&["merge", "part-1", "part-2", "part-3", "part-2", "--out", "twice"]).exits(0);
    let said = said.outputs("pass: 32 passed, 0 failed, 0 inconclusive");
    assert!(said.err.lines().count() > 3, "{}", said.err);
    assert!(said.err.lines().all(|line| line.ends_with(" is in part-2 and in part-2: it counts once")), "{}", said.err);

    // The same run that came out otherwise is no duplicate, but a broken promise.
    let run = std::fs::read_dir(all.path().join("part-2/small")).expect("runs").next().expect("one").expect("an entry");
    let label = run.file_name().into_string().expect("text");
    let verdict = all.read(&format!("part-2/small/{label}/verdict.json"));
    let json: serde_json::Value = serde_json::from_str(&verdict).expect("JSON");
    let hash = json["trace_hash"].as_str().expect("a hash");
    let copied = std::process::Command::new("cp").args(["-r", "part-2", "liar"]).current_dir(all.path()).status();
    assert!(copied.expect("cp").success());
    all.write(&format!("liar/small/{label}/verdict.json"), &verdict.replace(hash, &"0".repeat(32)));
    all.windtunnel(&["merge", "part-2", "liar", "--out", "no"]).exits(70).complains("must give the same run");
}

#[test]
fn what_cannot_be_merged_is_refused() {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--shard", "1/2", "--out", "one", "--seeds-from", "a"]).exits(0);
    place.windtunnel(&["run", "small.toml", "--shard", "2/2", "--out", "two", "--seeds-from", "b"]).exits(0);
    let said = place.windtunnel(&["merge", "one", "two", "--out", "out"]).exits(64);
    said.complains("two has seeds from b, the first folder has a");
    place.windtunnel(&["merge", "one", "--out", "one"]).exits(64).complains("choose another for --out");
    place.windtunnel(&["merge", "nowhere", "--out", "out"]).exits(74).complains("nowhere/summary.json");
    let said = place.windtunnel(&["merge", "one", "--out", "out", "--baseline", "none"]).exits(64);
    said.complains("there is no folder none");
    place.write("one/summary.json", "{}");
    place.windtunnel(&["merge", "one", "--out", "out"]).exits(64).complains("one/summary.json: missing field");
    for shard in ["0/2", "3/2", "x"] {
        place.windtunnel(&["run", "small.toml", "--shard", shard]).exits(64).complains("expected I/N");
    }
    place.windtunnel(&["run", "small.toml", "--shard", "1/2", "--baseline"]).exits(64);
}

#[test]
fn a_merged_sweep_is_held_against_the_baseline() {
    let place = Place::with_small();
    place.windtunnel(&["run", "small.toml", "--out", "run", "--reports", "none"]).exits(0);
    place.windtunnel(&["bless", "run", "--baseline", "base", "--reason", "as it is"]).exits(0);
    for shard in ["1/2", "2/2"] {
        let out = format!("part-{}", &shard[..1]);
        place.windtunnel(&["run", "small.toml", "--seeds", "1..6", "--shard", shard, "--out", &out]).exits(0);
    }
    let said = place.windtunnel(&["merge", "part-1", "part-2", "--out", "out", "--baseline", "base"]).exits(0);
    said.outputs("no worse than base: 1 compared, 0 differ");
}

#[test]
fn one_shards_surplus_does_not_pay_for_anothers_lack() {
    let shards = ["1/2", "2/2"].map(|shard| sweep(Some(shard), &[]));
    let all = gathered(&[&shards[0], &shards[1]]);
    let share = |part: &str, by: i64| {
        let name = format!("{part}/summary.json");
        let mut summary: serde_json::Value = serde_json::from_str(&all.read(&name)).expect("JSON");
        let done = summary["shares"][0]["done"].as_i64().expect("a count");
        summary["shares"][0]["minimum"] = (done + by).into();
        all.write(&name, &summary.to_string());
        done
    };
    // The first did more than it had to, the second not all.
    share("part-1", -1);
    let done = share("part-2", 1);
    let said = all.windtunnel(&["merge", "part-1", "part-2", "--out", "out"]).exits(2);
    said.outputs(&format!("a part of small (shard 2/2 did {done} of at least {} runs) is missing", done + 1));
    assert!(all.read("out/junit.xml").contains("classname=\"campaign\""));
}

#[test]
fn parts_that_were_not_made_alike_are_refused() {
    let place = Place::with_small();
    let run = |out: &str, more: &[&str]| {
        place.windtunnel(&[&["run", "small.toml", "--reports", "none", "--out", out][..], more].concat())
    };
    run("one", &["--seeds", "1..3"]).exits(0);
    run("bug", &["--seeds", "4..6", "--mutant", "repeats-a-message"]).exits(1);
    let said = place.windtunnel(&["merge", "one", "bug", "--out", "out"]).exits(64);
    said.complains("small in bug/small/4 was run with engine sim, repeats-a-message, text ");
    run("half", &["--seeds", "1..8", "--shard", "1/2"]).exits(0);
    run("rest", &["--seeds", "1..9", "--shard", "2/2"]).exits(0);
    let said = place.windtunnel(&["merge", "half", "rest", "--out", "out"]).exits(64);
    said.complains("rest has runs asked for seeds 1..9 in orders 0..0, the first folder has seeds 1..8 in orders 0..0");
    place.windtunnel(&["bless", "one", "--baseline", "base", "--reason", "as it is"]).exits(0);
    run("else", &["--seeds", "1..3", "--engine", "turmoil"]).exits(0);
    let said = place.windtunnel(&["merge", "else", "--out", "out", "--baseline", "base"]).exits(64);
    said.complains("baselines are of sim: leave out --baseline");
    assert!(!place.has("out/summary.json"));
}

#[test]
fn a_merge_that_fails_leaves_no_summary_of_an_earlier_one() {
    let place = Place::with_small();
    for (out, seeds) in [("one", "1..1"), ("two", "2..2")] {
        place.windtunnel(&["run", "small.toml", "--seeds", seeds, "--reports", "none", "--out", out]).exits(0);
    }
    place.windtunnel(&["merge", "one", "two", "--out", "out"]).exits(0);
    assert!(place.has("out/summary.json"));
    // A merge that is refused before it begins leaves the folder as it is; one that breaks off does not.
    place.windtunnel(&["merge", "one", "no", "--out", "out"]).exits(74);
    assert!(place.has("out/summary.json"));
    std::fs::remove_file(place.path().join("two/small/2/verdict.json")).expect("it was there");
    place.windtunnel(&["merge", "one", "two", "--out", "out"]).exits(74).complains("two/small/2/verdict.json");
    assert!(!place.has("out/summary.json") && place.has("out/small/1/verdict.json"));
}

#[test]
fn whole_sweeps_that_overlap_count_each_run_once_and_each_scenario_is_compared() {
    let place = Place::with_small();
    let run = |out: &str, more: &[&str]| {
        place.windtunnel(&[&["run", "small.toml", "--reports", "none", "--out", out][..], more].concat()).exits(0);
    };
    run("one", &["--seeds", "1..3"]);
    run("two", &["--seeds", "3..5"]);
    let said = place.windtunnel(&["merge", "one", "two", "--out", "out"]).exits(0);
    said.outputs("pass: 5 passed").complains("small seed 3 is in one and in two: it counts once");
    place.windtunnel(&["bless", "one", "--baseline", "base", "--reason", "as it is"]).exits(0);
    run("orders", &["--seeds", "1..3", "--orders", "1..2"]);
    let said = place.windtunnel(&["merge", "orders", "--out", "again", "--baseline", "base"]).exits(2);
    said.outputs("small: not comparable: the baseline is of seeds 1, 2, 3, of which none were");
}
