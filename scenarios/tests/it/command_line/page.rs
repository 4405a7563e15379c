//! The page of a failure: what takes further runs, and that it is the same each time.

use super::{Place, SMALL};

/// A source dies, and a proxy that closes its clients then.
fn failing() -> (Place, Vec<&'static str>) {
    let place = Place::new();
    let kill = "[[faults]]\nkind = \"kill\"\ntarget = \"source-active\"\nat = \"500ms\"\nfor = \"500ms\"\n";
    let stall = "[[faults]]\nkind = \"latency\"\ntarget = \"proxy-0/source-1\"\nlatency = { fixed = \"1ms\" }\nat = \"400ms\"\nfor = \"1ms\"\n";
    place.write("small.toml", &format!("{SMALL}\n[check.no-client-close]\n\n{kill}\n{stall}"));
    (place, vec!["run", "small.toml", "--mutant", "closes-clients-at-failover", "--out", "out"])
}

fn page(place: &Place, seed: u64) -> String {
    let path = place.path().join(format!("out/small/{seed}/report.html"));
    std::fs::read_to_string(path).expect("a page")
}

#[test]
fn the_page_names_the_fault_that_brings_the_failure_about_and_the_frame_in_which_it_crossed() {
    let (place, run) = failing();
    place.windtunnel(&[&run[..], &["--seed", "1"]].concat()).exits(1);
    let page = page(&place, 1);
    // Without the kill nothing breaks, and then the legs part; the delay is not to blame.
    let of =
        |fault: &str| page.lines().find(|line| line.starts_with(&format!("<tr><td>{fault}"))).expect("it is tried");
    assert!(of("kill source-active at 1s").contains("nothing breaks"), "{}", of("kill"));
    assert!(of("latency proxy-0/source-1").contains("still breaks"), "{}", of("latency"));
    assert!(page.contains("The first thing that the programs did differently"));
    let frame = page.lines().find(|line| line.starts_with("<tr class=\"shows\">")).expect("a frame is marked");
    assert!(
        frame.contains("proxy-0 → client-") && frame.contains("<td>close</td>") && frame.contains("code 1013"),
        "{frame}"
    );
    // The lanes know the client, and the diagram how it ended.
    assert!(page.contains("closes session-0 with 1013") && page.contains("data-name=\"client-0\""));
}

#[test]
fn the_page_is_the_same_each_time_but_for_the_wall() {
    let (place, run) = failing();
    let run = [&run[..], &["--seeds", "1..5", "--jobs", "3"]].concat();
    let pages = || -> Vec<String> {
        place.windtunnel(&run).exits(1);
        let wall = |line: &&str| !line.contains("<dt>Time on the wall</dt>") && !line.contains("<dt>Speed</dt>");
        (1..=5).map(|seed| page(&place, seed).lines().filter(wall).collect::<Vec<_>>().join("\n")).collect()
    };
    let first = pages();
    assert!(first == pages(), "two runs of the same seeds leave other pages");
    // Three are looked at more closely, the first of the seeds; the others say that they are not.
    let closer: Vec<bool> = first.iter().map(|page| page.contains("id=\"twin\"")).collect();
    assert_eq!(closer, [true, true, true, false, false]);
    assert!(first[3].contains("only the first runs of a scenario have them"));
}
