//! `sweep`: over a real NATS server on loopback, where there is one.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use scenarios::sweep::{Manifest, Queue, SCHEMA};

use super::{Place, Said};

/// A server of this test, with a store and a port of its own.
struct Server {
    child: Child,
    url: String,
    _store: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// None, and a word on it, where the machine has no server.
fn server() -> Option<Server> {
    let store = tempfile::tempdir().expect("a temporary folder");
    let dir = store.path().display().to_string();
    // Port -1: any; it writes the one that it took into a file.
    let args = ["-js", "-a", "127.0.0.1", "-p", "-1", "-sd", &dir, "--ports_file_dir", &dir];
    let quiet = || Stdio::null();
    let Ok(mut child) = Command::new("nats-server").args(args).stdout(quiet()).stderr(quiet()).spawn() else {
        eprintln!("skipped: no nats-server on this machine");
        return None;
    };
    let file = store.path().join(format!("nats-server_{}.ports", child.id()));
    for _ in 0..200 {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if let Ok(ports) = serde_json::from_str::<serde_json::Value>(&text) {
            let url = ports["nats"][0].as_str().expect("an address").to_owned();
            return Some(Server { child, url, _store: store });
        }
        pause(Duration::from_millis(50));
    }
    let _ = child.kill();
    panic!("nats-server did not say where it listens");
}

#[expect(clippy::disallowed_methods, reason = "other processes are waited for")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn spawn(place: &Place, args: &[&str]) -> Child {
    place.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn ended(child: Child) -> Said {
    let output = child.wait_with_output().expect("it was started");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Each file of a run folder's runs that a wall clock has no part in.
fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for run in std::fs::read_dir(out.join("small")).expect("runs of the scenario") {
        let dir = run.expect("an entry").path();
        for name in ["capsule.json", "metrics.json", "log.txt"] {
            let path = dir.join(name);
            let shown = path.strip_prefix(out).expect("below").display().to_string();
            files.insert(shown, std::fs::read(&path).expect("a file of each run"));
        }
    }
    files
}

#[test]
fn four_workers_of_whom_one_is_killed_do_each_part_once_and_the_folder_is_that_of_one_command() {
    let Some(server) = server() else { return };
    let place = Place::with_small();
    let seeds = ["run", "small.toml", "--seeds", "1..24", "--reports", "none"];
    place.windtunnel(&[&seeds[..], &["--out", "one"]].concat()).exits(0);

    let at = ["--nats", &server.url, "--name", "four"];
    let start = ["--parts", "8", "--lease", "1s", "--patience", "60s", "--out", "many", "--", "small.toml"];
    let runs = ["--seeds", "1..24", "--reports", "none"];
    let start = spawn(&place, &[&["sweep", "start"], &at[..], &start, &runs].concat());
    let work = [&["sweep", "work", "--idle", "30s", "--jobs", "1"], &at[..]].concat();
    // It has a part when it says so, and dies before that is done.
    let mut dead = spawn(&place, &work);
    let mut lines = BufReader::new(dead.stderr.take().expect("piped")).lines();
    let has = lines.next().expect("a line").expect("text");
    dead.kill().expect("it lives");
    dead.wait().expect("it was started");
    let part = has.strip_prefix("part ").and_then(|rest| rest.split(' ').next()).expect("a part");

    let workers: Vec<Child> = (0..3).map(|_| spawn(&place, &work)).collect();
    let done: u32 = workers
        .into_iter()
        .map(|worker| {
            let said = ended(worker).exits(0);
            let last = said.err.lines().last().expect("a last word").to_owned();
            last.strip_suffix(" parts done").and_then(|done| done.parse::<u32>().ok()).expect(&last)
        })
        .sum();
    assert_eq!(done, 8, "each part was done once, and none by the dead");
    let said = ended(start).exits(0).outputs("24/24");
    assert!(said.err.contains(&format!("part {part} of 8 by ")), "{}", said.err);
    let again = said.err.lines().find(|line| line.starts_with(&format!("part {part} of 8"))).expect("found before");
    assert!(again.ends_with("handed out 2 times"), "{again}");
    assert_eq!(said.err.lines().filter(|line| line.starts_with("part ")).count(), 8, "{}", said.err);

    assert_eq!(files(&place.path().join("many")), files(&place.path().join("one")), "as one command would have");
    assert!(!place.has("many.parts"), "what was merged is cleared away");
    // Nothing is left on the server.
    place.windtunnel(&[&["sweep", "remove"], &at[..]].concat()).exits(64).complains("there is no sweep named four");
}

#[test]
fn failures_come_back_with_their_capsules() {
    let Some(server) = server() else { return };
    let place = Place::with_small();
    let at = ["--nats", &server.url, "--name", "red"];
    let start = ["--parts", "2", "--out", "red", "--", "small.toml", "--seeds", "1..2"];
    let start = spawn(&place, &[&["sweep", "start"], &at[..], &start, &["--mutant", "repeats-a-message"]].concat());
    let worker = ended(spawn(&place, &[&["sweep", "work"], &at[..]].concat())).exits(0);
    assert!(worker.err.ends_with("2 parts done\n"), "{}", worker.err);
    ended(start).exits(1).outputs("no-duplicates");
    place.windtunnel(&["replay", "red/small/1/capsule.json"]).exits(1).outputs("replayed bit for bit");
    assert!(place.has("red/small/2/events.jsonl"));
}

#[test]
fn a_sweep_that_nobody_works_on_is_inconclusive_and_a_second_start_goes_on_with_it() {
    let Some(server) = server() else { return };
    let place = Place::with_small();
    let at = ["--nats", &server.url, "--name", "idle"];
    let start = ["--parts", "2", "--lease", "1s", "--patience", "1s", "--keep", "--out", "idle", "--", "small.toml"];
    let start = [&["sweep", "start"], &at[..], &start].concat();
    let said = place.windtunnel(&[&start[..], &["--seeds", "1..4"]].concat()).exits(2);
    assert!(said.err.contains("missing: part 1, 2"), "{}", said.err);
    place
        .windtunnel(&[&start[..], &["--seeds", "1..5"]].concat())
        .exits(64)
        .complains("under way with other arguments");
    let again = spawn(&place, &[&start[..], &["--seeds", "1..4"]].concat());
    let worker = ended(spawn(&place, &[&["sweep", "work"], &at[..]].concat())).exits(0);
    assert!(worker.err.ends_with("2 parts done\n"), "published once, though started twice: {}", worker.err);
    let again = ended(again);
    // Where the worker took longer than the second start's patience, a third has all of it.
    let said = if again.code == 0 { again } else { place.windtunnel(&[&start[..], &["--seeds", "1..4"]].concat()) };
    said.exits(0).outputs("4/4");
    place.windtunnel(&[&["sweep", "remove"], &at[..]].concat()).exits(0);
}

/// A worker that has a part, and what it says from then on.
fn with_a_part(place: &Place, at: &[&str], seeds: &str) -> (Child, impl FnOnce(Child) -> Said) {
    let start = ["--parts", "1", "--lease", "1s", "--patience", "1s", "--keep", "--out", "none", "--"];
    let runs = ["small.toml", "--seeds", seeds, "--reports", "none"];
    place.windtunnel(&[&["sweep", "start"], at, &start, &runs].concat()).exits(2);
    let mut worker = spawn(place, &[&["sweep", "work", "--jobs", "1"], at].concat());
    let mut lines = BufReader::new(worker.stderr.take().expect("piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "part 1 of 1");
    let rest = move |mut worker: Child| {
        let err: Vec<String> = lines.map(|line| line.expect("text")).collect();
        let code = worker.wait().expect("it was started").code().unwrap_or(-1);
        Said { code, out: String::new(), err: err.join("\n") }
    };
    (worker, rest)
}

#[test]
fn a_worker_whose_sweep_is_taken_away_meanwhile_ends_in_peace() {
    let Some(server) = server() else { return };
    let place = Place::with_small();
    let at = ["--nats", &server.url, "--name", "gone"];
    let (worker, rest) = with_a_part(&place, &at, "1..40");
    place.windtunnel(&[&["sweep", "remove"], &at[..]].concat()).exits(0);
    let said = rest(worker).exits(0);
    assert_eq!(said.err, "0 parts done");
}

/// It goes last, so who asks whether the sweep is over may be reading it then.
#[test]
fn a_manifest_that_is_taken_away_while_it_is_read_is_not_there() {
    let Some(server) = server() else { return };
    let manifest = Manifest {
        schema: SCHEMA,
        args: Vec::new(),
        parts: 1,
        lease_ms: 1_000,
        program: None,
        version: "1".to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (reader, other) = (Queue::connect(&server.url, "brief").await, Queue::connect(&server.url, "brief").await);
        let (reader, other) = (reader.expect("it runs"), other.expect("it runs"));
        for _ in 0..20 {
            other.begin(&manifest).await.expect("nothing in the way");
            let reading = async {
                while let Some(read) = reader.manifest().await.expect("there, or not there") {
                    assert_eq!(read, manifest);
                }
            };
            let (removed, ()) = tokio::join!(other.remove(), reading);
            removed.expect("it was there");
        }
    });
}

#[test]
fn a_worker_whose_server_is_lost_says_so_and_does_not_take_the_sweep_for_gone() {
    let Some(mut server) = server() else { return };
    let place = Place::with_small();
    let url = server.url.clone();
    let at = ["--nats", &url, "--name", "lost"];
    let (worker, rest) = with_a_part(&place, &at, "1..4");
    server.child.kill().expect("it lives");
    let said = rest(worker).exits(74);
    assert!(said.err.contains("failed to find the sweep"), "{}", said.err);
}

#[test]
fn what_an_earlier_start_left_of_a_part_does_not_get_into_the_result() {
    let Some(server) = server() else { return };
    let place = Place::with_small();
    // It was interrupted, and what it ran failed.
    std::fs::create_dir_all(place.path().join("again.parts/1/small/1")).expect("a new folder");
    place.write("again.parts/1/small/1/events.jsonl", "of another run");
    let at = ["--nats", &server.url, "--name", "again"];
    let start = ["--parts", "1", "--out", "again", "--", "small.toml", "--seeds", "1..1", "--reports", "none"];
    let start = spawn(&place, &[&["sweep", "start"], &at[..], &start].concat());
    ended(spawn(&place, &[&["sweep", "work"], &at[..]].concat())).exits(0);
    ended(start).exits(0).outputs("1/1");
    assert!(place.has("again/small/1/capsule.json") && !place.has("again/small/1/events.jsonl"));
}

#[test]
fn a_machine_without_the_scenario_says_so_and_leaves_the_parts_to_others() {
    let Some(server) = server() else { return };
    let (place, elsewhere) = (Place::with_small(), Place::new());
    let at = ["--nats", &server.url, "--name", "lacks"];
    let start = ["--parts", "2", "--out", "lacks", "--", "small.toml", "--seeds", "1..4", "--reports", "none"];
    let start = spawn(&place, &[&["sweep", "start"], &at[..], &start].concat());
    let work = [&["sweep", "work"], &at[..]].concat();
    ended(spawn(&elsewhere, &work)).exits(74).complains("failed to read scenario file small.toml");
    ended(spawn(&place, &work)).exits(0);
    ended(start).exits(0).outputs("4/4");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_handed_out() {
    let place = Place::with_small();
    let refused = |args: &[&str], why: &str| {
        let said = place.windtunnel(&[&["sweep"], args].concat()).exits(64);
        assert!(said.err.contains(why), "{why} in {}", said.err);
    };
    refused(&["start", "--name", "A b"], "small letters");
    refused(&["start", "--name", "a", "--parts", "0"], "--parts 0");
    refused(&["start", "--name", "a", "--lease", "10ms"], "--lease is at least 1s");
    refused(&["start", "--name", "a", "--", "nosuch"], "nosuch");
    refused(&["start", "--name", "a", "--", "small.toml", "--sed", "1"], "--sed");
    for (own, value) in [("--shard", "1/2"), ("--out", "x"), ("--time-budget", "1s"), ("--jobs", "1")] {
        refused(&["start", "--name", "a", "--", "small.toml", own, value], own);
    }
    // Nobody listens on port 1.
    let said = place.windtunnel(&["sweep", "work", "--name", "a", "--nats", "nats://me:secret@127.0.0.1:1"]).exits(74);
    assert!(said.err.contains("failed to reach a NATS server at 127.0.0.1:1"), "{}", said.err);
    assert!(!said.err.contains("secret"), "{}", said.err);
}
