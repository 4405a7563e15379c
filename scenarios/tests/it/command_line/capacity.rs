//! `capacity`: over real sockets, so that what it measures is not said here, but that it says it as it is.

use super::Place;

const AXES: [&str; 4] = ["mixed", "rate", "connect", "held"];

fn report(place: &Place) -> serde_json::Value {
    serde_json::from_str(&place.read("cap/capacity.json")).expect("JSON")
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_started() {
    let place = Place::new();
    let refused = |args: &[&str], says: &str| {
        place.windtunnel(&[&["capacity"], args].concat()).exits(64).complains(says);
    };
    refused(
        &["--symbols", "5", "--symbols-per-connection", "6"],
        "--symbols-per-connection 6 is more than --symbols 5",
    );
    refused(&["--goodput", "1"], "must be from 0.5 to 0.9999");
    refused(&["--rate", "0"], "must be from 0.01 to 1000");
    refused(&["--against", "x", "--runs", "2"], "2 is not in 3..=50");
    refused(&["--against", "x"], "--against x: there is no such program");
    place.write("prices.toml", "date = \"2026-11-01\"\ncurrency = \"EUR\"\n[[instance]]\nname = \"a\"\nper_day = 1\n");
    refused(&["--prices", "prices.toml"], "unknown field `per_day`");
    place.write("other.json", "{}");
    refused(&["--before", "other.json"], "other.json is no capacity.json");
    place.windtunnel(&["capacity", "--before", "absent.json"]).exits(74).complains("absent.json");
}

#[test]
fn a_measurement_without_time_is_inconclusive_and_says_so() {
    let place = Place::new();
    let said = place.windtunnel(&["capacity", "--time-budget", "1s", "--out", "cap"]).exits(2);
    said.outputs("No number of connections held").outputs("the time was over before the search was");
    let report = report(&place);
    assert_eq!(report["outcome"], "inconclusive");
    assert!(report["limits"].as_array().is_some_and(Vec::is_empty), "nothing is reckoned from nothing");
    assert!(report["law"].is_null());
}

#[test]
fn a_short_measurement_leaves_a_report_in_which_every_step_is_judged_for_a_reason() {
    let place = Place::new();
    let args = ["capacity", "--time-budget", "40s", "--connections-max", "100", "--out", "cap", "--verify", "1"];
    let said = place.windtunnel(&args);
    // Nobody knows how fast this machine is; but whatever it is, the command comes to a verdict, and not to an error.
    assert!((0..=2).contains(&said.code), "{}: {}", said.code, said.err);
    let report = report(&place);
    let axes = report["axes"].as_array().expect("axes");
    let names: Vec<&str> = axes.iter().filter_map(|axis| axis["name"].as_str()).collect();
    assert_eq!(names, AXES);
    let steps: Vec<&serde_json::Value> = axes.iter().filter_map(|axis| axis["steps"].as_array()).flatten().collect();
    assert!(!steps.is_empty(), "{}", said.err);
    for step in steps {
        assert!(step["planned"].as_u64().is_some_and(|planned| planned > 0), "{step}");
        assert!(step["why"].as_str().is_some_and(|why| !why.is_empty()), "{step}");
        // Who holds has been seen to.
        if step["answer"] == "holds" {
            // Held connections have no messages to speak of.
            assert!(step["goodput"].as_f64().is_none_or(|share| (0.99..=1.0).contains(&share)), "{step}");
            assert!(step["proxy"]["rss_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{step}");
        }
    }
    assert!(place.has("cap/logs/proxy.log"));
}
