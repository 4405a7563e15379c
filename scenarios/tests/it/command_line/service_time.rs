//! `--service-time`: what work costs, from a calibration file, over what a scenario says.

use super::Place;

const COSTS: &str = r#"
schema = 1
machine = "made up"
date = "2026-01-31"
versions = {}
command = "none"
caveats = []
points = []
cost = { per-segment = "12.5us", per-kib = "100ns", per-connection = "40us", cores = 2, queues = "shared", spread = "exponential" }
fit = { residual-rms = 0.0, residual-max = 0.0 }
"#;

const CAPSULE: &str = "out/small/1/capsule.json";

fn place() -> Place {
    let place = Place::with_small();
    place.write("costs.toml", COSTS);
    place
}

fn hash(place: &Place) -> String {
    let capsule: serde_json::Value = serde_json::from_str(&place.read(CAPSULE)).expect("JSON");
    capsule["trace_hash"].to_string()
}

#[test]
fn costs_of_a_file_change_the_run_and_are_in_its_capsule() {
    let place = place();
    let run = ["run", "small.toml", "--seed", "1", "--out", "out"];
    place.windtunnel(&run).exits(0);
    let free = hash(&place);
    assert!(!place.read(CAPSULE).contains("service_time"), "a run without says nothing of it");
    place.windtunnel(&[run.as_slice(), &["--service-time", "costs.toml"]].concat()).exits(0);
    assert_ne!(hash(&place), free);
    assert!(place.read(CAPSULE).contains(r#""proxy-per-segment": "12500ns""#), "{}", place.read(CAPSULE));
    assert!(place.read("out/small/1/report.html").contains("12500ns of the proxy for each segment"));
    // The costs are inside: the file is not needed any more.
    std::fs::remove_file(place.path().join("costs.toml")).expect("it was there");
    place.windtunnel(&["replay", CAPSULE]).exits(0).outputs("replayed bit for bit");
}

#[test]
fn explain_tells_the_costs_of_a_file() {
    let said = place().windtunnel(&["explain", "small.toml", "--service-time", "costs.toml"]).exits(0);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let cpu = "cpu 12500ns of the proxy for each segment, 100ns for 1024 bytes, 40us for a connection, on 2 cores with one queue, spread exponentially";
    assert!(words.contains(cpu), "{words}");
}

#[test]
fn a_file_that_will_not_do_is_named_with_the_place() {
    let place = place();
    let run = |file| ["run", "small.toml", "--seed", "1", "--out", "out", "--service-time", file];
    place.windtunnel(&run("none.toml")).exits(74).complains("failed to read calibration file none.toml");
    place.write("bad.toml", &COSTS.replace("cores = 2", "cores = 0"));
    place.windtunnel(&run("bad.toml")).exits(64).complains("bad.toml:9:").complains("cores must be 1 to 256, not 0");
    place.write("bad.toml", &COSTS.replace("12.5us", "-12us"));
    place.windtunnel(&run("bad.toml")).exits(64).complains("bad.toml:9:").complains("does not begin with a number");
    assert!(!place.has("out"), "nothing was run");
    let turmoil = [run("costs.toml").as_slice(), &["--engine", "turmoil"]].concat();
    place.windtunnel(&turmoil).exits(64).complains("turmoil has no service time: leave out --service-time");
}
