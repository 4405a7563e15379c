//! `trace.json` of real runs, held against what both readers of the format ask for.

use std::collections::{BTreeMap, BTreeSet};

use scenarios::engine::{self, Options, Run};
use scenarios::model::Engine;
use scenarios::perfetto::{self, ENTRIES_MAX};
use scenarios::plan::Plan;
use scenarios::{catalogue, parse};
use serde_json::Value;

const KILL: &str = "[[faults]]\nkind = \"kill\"\ntarget = \"source-active\"\nat = \"1s\"\nfor = \"500ms\"";

/// Two steady seconds with plain and strong clients.
fn plan(proxy: &str, faults: &str) -> Plan {
    let text = format!(
        r#"
        schema = 1
        name = "traced"
        about = "Eight clients and three symbols."
        warmup = "500ms"
        steady = "2s"
        recovery = "500ms"
        sources = {{ count = 2, symbols = 3, period = "20ms" }}
        proxy = {proxy}
        {faults}
        [[clients]]
        name = "plain"
        count = 4
        reconnect = false
        [[clients]]
        name = "strong"
        count = 4
        hosts = 2
        strong = 1.0
        reconnect = true
        [check]
        symbol-order = {{}}
        "#
    );
    let scenario = parse::parse("traced.toml", &text).unwrap_or_else(|problems| panic!("{problems:?}"));
    Plan::new(&scenario, 1)
}

fn run(plan: &Plan) -> Run {
    let options = Options { engine: Engine::Sim, mutant: None, order: 0, keep_events: true };
    engine::run(plan, options).expect("the simulator runs it")
}

/// The file of a run.
fn file(plan: &Plan, run: &Run, entries_max: usize) -> String {
    let mut file = Vec::new();
    perfetto::trace(plan, run, entries_max).write(&mut file).expect("memory takes it all");
    String::from_utf8(file).expect("text")
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_else(|| panic!("no text {key} in {entry}"))
}

fn number(entry: &Value, key: &str) -> u64 {
    entry[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {entry}"))
}

/// A file's entries, each of which is as the format has it: see [`Checked`].
fn checked(file: &str) -> Vec<Value> {
    // Perfetto reads it in pieces and wants the unit before all entries.
    assert!(file.starts_with("{\"displayTimeUnit\":\"ms\",\"otherData\":{"), "{}", &file[..100]);
    let whole: Value = serde_json::from_str(file).expect("JSON");
    let entries = whole["traceEvents"].as_array().expect("a list").clone();
    let mut seen = Checked::default();
    for entry in &entries {
        seen.entry(entry);
    }
    seen.end();
    entries
}

/// A slice of a thread: from, to.
type Slice = (u64, u64);

/// What is known while entries are walked.
#[derive(Default)]
struct Checked {
    last_us: u64,
    /// The process of each thread: a thread's number is its own over all processes.
    threads: BTreeMap<u64, u64>,
    named: BTreeSet<(String, u64)>,
    /// Asynchronous slices under way, by category and id; an id is used once.
    open: BTreeMap<(String, String), (String, u64)>,
    ids: BTreeSet<String>,
    slices: BTreeMap<u64, Vec<Slice>>,
    arrows: BTreeMap<String, u64>,
}

impl Checked {
    fn entry(&mut self, entry: &Value) {
        let (at_us, pid, tid) = (number(entry, "ts"), number(entry, "pid"), number(entry, "tid"));
        assert!(at_us >= self.last_us, "entries stand in the order of time: {entry}");
        self.last_us = at_us;
        assert!(pid > 0 && tid > 0, "{entry}");
        assert_eq!(*self.threads.entry(tid).or_insert(pid), pid, "a thread lies in one process: {entry}");
        let name = text(entry, "name").to_owned();
        assert!(!name.is_empty(), "{entry}");
        let id = || text(entry, "id").to_owned();
        // An asynchronous slice bears an id of its process, so that it is shown there.
        let local = || text(&entry["id2"], "local").to_owned();
        let key = || (text(entry, "cat").to_owned(), local());
        match text(entry, "ph") {
            "M" => {
                let owner = if name.starts_with("process") { pid } else { tid };
                assert!(entry["args"].as_object().is_some_and(|args| args.len() == 1), "{entry}");
                assert!(self.named.insert((name, owner)), "said twice: {entry}");
            }
            "X" => self.slice(tid, (at_us, at_us + number(entry, "dur")), entry),
            "b" => {
                assert!(self.ids.insert(local()), "an id is used once: {entry}");
                self.open.insert(key(), (name, pid));
            }
            "e" => assert_eq!(self.open.remove(&key()), Some((name, pid)), "an end has its beginning: {entry}"),
            "i" => assert!(matches!(text(entry, "s"), "g" | "t"), "{entry}"),
            "C" => {
                let args = entry["args"].as_object().expect("a counter has values");
                assert!(!args.is_empty() && args.values().all(Value::is_u64), "{entry}");
            }
            "s" => {
                assert!(self.ids.insert(id()), "an id is used once: {entry}");
                self.on_a_slice(tid, at_us, entry);
                self.arrows.insert(id(), at_us);
            }
            "f" => {
                assert_eq!(text(entry, "bp"), "e");
                self.on_a_slice(tid, at_us, entry);
                assert!(self.arrows.remove(&id()).is_some_and(|from_us| from_us <= at_us), "no beginning: {entry}");
            }
            other => panic!("{other:?} is no phase that is used here: {entry}"),
        }
    }

    /// Slices of one thread lie side by side or inside one another.
    fn slice(&mut self, tid: u64, (from, to): Slice, entry: &Value) {
        let slices = self.slices.entry(tid).or_default();
        let around = slices.iter().rev().find(|(begun, ended)| *begun <= from && from < *ended);
        assert!(around.is_none_or(|(_, ended)| to <= *ended), "a slice ends after the one around it: {entry}");
        slices.push((from, to));
    }

    fn on_a_slice(&self, tid: u64, at_us: u64, entry: &Value) {
        let slices = self.slices.get(&tid).map(Vec::as_slice).unwrap_or_default();
        assert!(slices.iter().any(|(from, to)| (*from..=*to).contains(&at_us)), "an arrow hangs in the air: {entry}");
    }

    fn end(self) {
        assert!(self.open.is_empty(), "never ended: {:?}", self.open);
        assert!(self.arrows.is_empty(), "lead nowhere: {:?}", self.arrows);
        for (tid, pid) in &self.threads {
            assert!(self.named.contains(&("process_name".to_owned(), *pid)), "process {pid} has no name");
            assert!(self.named.contains(&("thread_name".to_owned(), *tid)), "thread {tid} has no name");
        }
    }
}

fn count(entries: &[Value], phase: &str, name: &str) -> usize {
    entries.iter().filter(|entry| text(entry, "ph") == phase && text(entry, "name") == name).count()
}

/// The process of each host.
fn processes(entries: &[Value]) -> BTreeMap<String, u64> {
    let names = entries.iter().filter(|entry| text(entry, "name") == "process_name");
    names.map(|entry| (text(&entry["args"], "name").to_owned(), number(entry, "pid"))).collect()
}

#[test]
fn a_lost_source_shows_on_every_host_that_it_touches() {
    let plan = plan("{ mode = \"fanout\" }", KILL);
    let entries = checked(&file(&plan, &run(&plan), ENTRIES_MAX));
    let names: Vec<String> = processes(&entries).into_keys().collect();
    assert_eq!(names, ["plain-0", "proxy-0", "run", "source-0", "source-1", "strong-0", "strong-1"]);
    for phase in ["warmup", "steady", "recovery"] {
        assert_eq!(count(&entries, "X", phase), 1, "{phase}");
    }
    // The fault as a whole, and on the source's own process.
    assert_eq!(count(&entries, "b", "kill of source-0"), 1);
    let fault = entries.iter().find(|entry| text(entry, "name") == "fault: kill").expect("a fault on its target");
    assert_eq!(number(fault, "pid"), processes(&entries)["source-0"]);
    assert_eq!(number(fault, "ts"), 1_500_000);
    // The leg before and the leg after; its connection at the source ends without a word.
    assert_eq!((count(&entries, "b", "leg to source-0"), count(&entries, "b", "leg to source-1")), (1, 1));
    let killed = entries.iter().filter(|entry| entry["args"]["ended"] == "with its process").count();
    assert_eq!(killed, 1);
    // All eight clients, connected once and to the end; three symbols of four strong ones are told of the gap, with an arrow from the leg each.
    assert_eq!(count(&entries, "X", "connected"), 8);
    assert_eq!(count(&entries, "X", "gap: reset"), 12);
    assert_eq!((count(&entries, "s", "leg lost"), count(&entries, "f", "leg lost")), (12, 12));
    let lost = entries.iter().find(|entry| text(entry, "name").starts_with("lost source-0: ")).expect("a leg lost");
    let arrow = entries.iter().find(|entry| text(entry, "ph") == "s").expect("an arrow");
    assert_eq!((&lost["ts"], &lost["tid"]), (&arrow["ts"], &arrow["tid"]));
}

#[test]
fn deliveries_in_counters_are_those_of_the_metrics() {
    let plan = plan("{ mode = \"fanout\" }", "");
    let run = run(&plan);
    let entries = checked(&file(&plan, &run, ENTRIES_MAX));
    let name = "deliveries per 100 ms";
    let samples: Vec<(u64, u64)> = entries
        .iter()
        .filter(|entry| text(entry, "name") == name)
        .map(|entry| (number(entry, "ts"), number(&entry["args"], "messages")))
        .collect();
    // A value holds until the next sample; the last bucket may be shorter.
    let ends = samples.iter().skip(1).map(|sample| sample.0).chain([run.metrics.end_us]);
    let total: u64 =
        samples.iter().zip(ends).map(|((at_us, value), end_us)| value * (end_us - at_us).div_ceil(100_000)).sum();
    assert_eq!(total, run.metrics.totals.deliveries);
    let messages = entries.iter().filter(|entry| text(entry, "name") == "connected");
    let messages: u64 = messages.map(|entry| entry["args"]["messages"].as_u64().unwrap_or(0)).sum();
    assert_eq!(messages, run.metrics.totals.deliveries);
}

#[test]
fn a_proxy_that_dies_ends_its_legs_and_its_clients_sessions() {
    let fault = "[[faults]]\nkind = \"kill\"\ntarget = \"proxy-0\"\nat = \"500ms\"\nfor = \"300ms\"";
    let plan = plan("{ mode = \"fanout\" }", fault);
    let entries = checked(&file(&plan, &run(&plan), ENTRIES_MAX));
    let ended = |how: &str, name: &str| {
        entries.iter().filter(|entry| text(entry, "name") == name && entry["args"]["ended"] == how).count()
    };
    assert_eq!(ended("with its process", "leg to source-0"), 1);
    assert_eq!(ended("by the other end", "connected"), 8);
    // Four come back, four do not.
    assert_eq!(ended("with the run", "connected"), 4);
}

#[test]
fn a_trace_that_reaches_its_bound_keeps_faults_and_counters_and_says_where_it_ends() {
    let plan = plan("{ mode = \"fanout\" }", KILL);
    let run = run(&plan);
    let whole = checked(&file(&plan, &run, ENTRIES_MAX));
    assert_eq!(perfetto::trace(&plan, &run, ENTRIES_MAX).cut(), None);
    for bound in [0, 1, 7, 20, 31] {
        let text_of = file(&plan, &run, bound);
        let entries = checked(&text_of);
        let cut = perfetto::trace(&plan, &run, bound).cut().expect("a bound that is reached").to_owned();
        assert!(cut.contains(&format!("the bound of {bound} entries is reached")), "{cut}");
        assert!(text_of.contains(&format!("\"cut\":\"{cut}\"")), "the file says it, too");
        let of = |entries: &[Value], phases: &[&str]| {
            entries.iter().filter(|entry| phases.contains(&text(entry, "ph"))).count()
        };
        assert_eq!(of(&entries, &["C"]), of(&whole, &["C"]));
        assert_eq!(count(&entries, "b", "kill of source-0"), 1);
        // Names of hosts, phases and faults aside, what is there is what was paid for.
        let free = of(&checked(&file(&plan, &run, 0)), &["M", "X", "b", "e", "i", "s", "f"]);
        assert!(of(&entries, &["M", "X", "b", "e", "i", "s", "f"]) <= free + bound, "bound {bound}");
    }
}

#[test]
fn traces_of_other_kinds_of_scenarios_are_well_formed_too() {
    for (name, seconds, expect) in [
        ("relay-balance", 3, "leg to source-0"),
        ("resume-elsewhere", 5, "not resumed"),
        ("slow-consumers-disconnected", 3, "connected"),
        ("sharded-sources-crash", 8, "health"),
    ] {
        let text_of = catalogue::find(name).expect("in the catalogue").text;
        let mut scenario = parse::parse(name, text_of).unwrap_or_else(|problems| panic!("{problems:?}"));
        scenario.steady = scenarios::span::Span::from_millis(seconds * 1000);
        scenario.faults.retain(|fault| fault.at.is_none_or(|at| at.as_micros() < seconds * 1_000_000));
        let plan = Plan::new(&scenario, 1);
        let text_of = file(&plan, &run(&plan), 20_000);
        checked(&text_of);
        assert!(text_of.contains(expect), "{name} shows no {expect:?}");
    }
}
