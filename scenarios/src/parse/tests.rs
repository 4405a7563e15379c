//! What holds for every file; the messages stand in [`messages`], several files and scenarios in [`several`].

mod messages;
mod several;

use proptest::prelude::*;

use super::*;
use crate::model::{Arrival, Latency, Reader};
use crate::span::Span;

/// A scenario without a fault, to be spoiled line by line.
const GOOD: &str = "\
schema = 1
name = \"x\"
about = \"A test.\"
steady = \"10s\"

[sources]
count = 2

[proxy]
mode = \"fanout\"

[[clients]]
name = \"all\"
count = 10

[check]
symbol-order = {}
";

/// [`GOOD`] with `from` replaced by `to`; an empty `from` means the end.
fn spoiled(from: &str, to: &str) -> String {
    if from.is_empty() {
        return format!("{GOOD}{to}");
    }
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} must stand once");
    GOOD.replacen(from, to, 1)
}

/// The problems of a spoiled file, without the file's name.
fn check(from: &str, to: &str, expect: &[&str]) {
    let problems = match parse("catalogue/x.toml", &spoiled(from, to)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    let shown: Vec<&str> = problems.iter().map(|line| line.strip_prefix("catalogue/x.toml:").unwrap()).collect();
    assert_eq!(shown, expect, "{from:?} -> {to:?}");
}

#[test]
fn the_good_one_is_good() {
    check("", "", &[]);
}

#[test]
fn what_is_left_out_has_its_default() {
    let scenario = parse("x.toml", GOOD).unwrap();
    assert_eq!((scenario.warmup, scenario.recovery), (Span::from_millis(2_000), Span::from_millis(3_000)));
    assert_eq!(scenario.network.latency, Latency::Fixed(Span::from_micros(500)));
    assert_eq!((scenario.sources.symbols, scenario.sources.period), (4, Span::from_millis(100)));
    let group = &scenario.clients[0];
    assert_eq!((group.load.arrival(), group.reader), (Arrival::Ramp(Span::from_millis(1_000)), Reader::Full));
    assert!(group.reconnect);
}

#[test]
fn a_file_without_a_toml_name_may_bear_any_scenario() {
    assert_eq!(parse("<stdin>", GOOD).unwrap().name, "x");
}

#[test]
fn no_text_however_broken_makes_it_panic() {
    for end in 0..GOOD.len() {
        let _ = parse("x.toml", &GOOD[..end]);
        let _ = parse("x.toml", &GOOD[end..]);
    }
    for text in
        ["", "\u{feff}", "a", "[", "[[", "\"", "= 1", "é = ü", "schema = 99999999999999999999999", "clients = [1, {}]"]
    {
        let _ = parse("x.toml", text);
    }
}

/// Values that fit almost nowhere.
const ODD: &[&str] = &[
    "0",
    "-1",
    "1",
    "4294967296",
    "18446744073709551615",
    "1e300",
    "nan",
    "inf",
    "true",
    "\"\"",
    "\"source-active\"",
    "\"0s\"",
    "\"18446744073709551615us\"",
    "\"é\"",
    "[]",
    "[1, \"a\", {}]",
    "{}",
    "{ ramp = \"1s\" }",
    "{ uniform = [\"1s\", \"0s\"] }",
    "1979-05-27",
    "=",
    "",
];

proptest! {
    #[test]
    fn odd_values_make_problems_within_the_file_and_no_panic(entry in 0..6_usize, line: prop::sample::Index, odd in prop::sample::select(ODD)) {
        let text = crate::catalogue::all()[entry].text;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let places: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains(" = ")).collect();
        let at = places[line.index(places.len())];
        let key = lines[at].split(" = ").next().unwrap_or_default().to_owned();
        lines[at] = format!("{key} = {odd}");
        let spoiled = lines.join("\n");
        for problem in parse("x.toml", &spoiled).err().into_iter().flatten() {
            prop_assert!((1..=lines.len()).contains(&problem.line), "{problem}");
            let width = lines[problem.line - 1].chars().count();
            prop_assert!((1..=width + 1).contains(&problem.column), "{problem}");
        }
    }
}
