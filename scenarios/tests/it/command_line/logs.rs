//! `--log`: into `log.txt`, and of a single run to standard error as it comes.

use super::{Place, SMALL};

/// [`SMALL`], in which a source dies.
fn place() -> Place {
    let place = Place::new();
    let fault = "\n[[faults]]\nkind = \"kill\"\ntarget = \"source-active\"\nat = \"1s\"\nfor = \"300ms\"\n";
    place.write("small.toml", &format!("{SMALL}{fault}"));
    place
}

/// The lines of `log.txt` after what the engine counted.
fn records(place: &Place, path: &str) -> Vec<String> {
    let text = place.read(path);
    let mut lines = text.lines().skip_while(|line| !line.starts_with("log "));
    assert!(lines.next().is_some(), "{path} has no log:\n{text}");
    lines.map(str::to_owned).collect()
}

#[test]
fn the_log_of_a_single_run_is_written_and_seen_as_it_comes() {
    let place = place();
    let said = place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "out", "--log", "proxy=debug"]).exits(0);
    let written = records(&place, "out/small/1/log.txt");
    let lost = written.iter().find(|line| line.contains("lost the leg to a source")).expect("the source died");
    assert!(lost.starts_with("1.5") && lost.contains(" proxy-0 WARN proxy::fanout::leg "), "{lost}");
    let seen: Vec<&str> = said.err.lines().filter(|line| line.contains(" proxy::")).collect();
    assert_eq!(seen, written);
    // Another process says the same, and a replay too.
    let again = place.windtunnel(&["replay", "out/small/1/capsule.json", "--log", "proxy=debug"]).exits(0);
    assert_eq!(again.err.lines().collect::<Vec<_>>(), written);
    assert_eq!(records(&place, "out/small/1/log.txt"), written);
}

#[test]
fn several_runs_write_their_logs_and_keep_the_terminal_clear() {
    let place = place();
    let args = ["run", "small.toml", "--seeds", "1..3", "--jobs", "2", "--log", "proxy=debug", "--out"];
    let said = place.windtunnel(&[&args[..], &["both"]].concat()).exits(0);
    assert!(!said.err.contains("proxy::"), "{}", said.err);
    let single = [&args[..4], &["--jobs", "1"], &args[6..], &["one"]].concat();
    place.windtunnel(&single).exits(0);
    for seed in 1..=3 {
        let of = |out: &str| records(&place, &format!("{out}/small/{seed}/log.txt"));
        assert_eq!(of("both"), of("one"), "seed {seed}");
        assert!(!of("one").is_empty());
    }
}

#[test]
fn without_it_a_failing_run_has_its_log_and_a_passing_one_has_none() {
    let place = place();
    place.windtunnel(&["run", "small.toml", "--seed", "1", "--out", "well"]).exits(0);
    assert!(!place.read("well/small/1/log.txt").contains("log info"));
    let args = ["run", "small.toml", "--seed", "1", "--out", "ill", "--mutant", "repeats-a-message"];
    let said = place.windtunnel(&args).exits(1);
    assert!(records(&place, "ill/small/1/log.txt").iter().any(|line| line.contains("lost the leg to a source")));
    assert!(!said.err.contains("proxy::"), "{}", said.err);
}

#[test]
fn a_filter_that_is_none_is_refused_in_one_line() {
    let place = place();
    let refused = |filter| place.windtunnel(&["run", "small.toml", "--log", filter]).exits(64);
    refused("proxy=loud").complains("no filter of logs: give a level (error, warn, info, debug, trace)");
    refused("proxi=debug").complains("no program has a target \"proxi\": there are proxy, mock_upstream");
}
