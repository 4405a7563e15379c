//! Magnitudes: round numbers in place of crooked ones.

use toml::Value;

use super::{Candidate, Now};
use crate::cost::Cost;
use crate::parse::format::Kind;
use crate::parse::tree;
use crate::span::Span;

/// Not magnitudes, or what the run is judged by.
const NOT_ROUNDED: [&[&str]; 11] = [
    &["schema"],
    &["warmup"],
    &["steady"],
    &["recovery"],
    &["check"],
    &["reach"],
    &["clients", "count"],
    &["sources", "count"],
    &["sources", "symbols"],
    &["faults", "code"],
    &["proxy", "count"],
];

/// With fewer digits in each number, the fewest first.
pub(super) fn candidates(now: &Now<'_>) -> Vec<Candidate> {
    let Some(root) = tree::of(now.scenario) else { return Vec::new() };
    let mut found = Vec::new();
    for (part, node) in tree::nodes(&root).into_iter().enumerate() {
        if NOT_ROUNDED.iter().any(|keys| node.is_under(keys)) {
            continue;
        }
        let Some(value) = tree::at(&root, &node.path) else { continue };
        for rounder in rounder(node.kind, value) {
            let what = format!("{} = {rounder}, not {value}", node.name());
            let scenario = tree::changed(&root, &node.path, Some(rounder)).and_then(tree::read);
            found.extend(scenario.map(|scenario| Candidate { scenario, what, part }));
        }
    }
    found
}

fn rounder(kind: &Kind, value: &Value) -> Vec<Value> {
    match (kind, value) {
        (Kind::Span(..), Value::String(text)) => {
            let Ok(span) = text.parse::<Span>() else { return Vec::new() };
            let to = |us| Value::from(Span::from_micros(us).to_string());
            fewer_digits(span.as_micros()).into_iter().map(to).collect()
        }
        (Kind::Cost(..), Value::String(text)) => {
            let Ok(cost) = text.parse::<Cost>() else { return Vec::new() };
            let to = |nanos| Value::from(Cost::from_nanos(nanos).to_string());
            fewer_digits(cost.as_nanos()).into_iter().map(to).collect()
        }
        (Kind::Whole(..), Value::Integer(number)) => {
            let number = u64::try_from(*number).unwrap_or_default();
            // Round for those who count bytes.
            if number.is_power_of_two() {
                return Vec::new();
            }
            fewer_digits(number).into_iter().filter_map(|number| i64::try_from(number).ok()).map(Value::from).collect()
        }
        (Kind::Number(..), Value::Float(number)) if number.is_finite() && *number != 0.0 => {
            let short: Option<f64> = format!("{number:.0e}").parse().ok();
            short.filter(|short| short != number).map(Value::from).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The numbers on both sides with one digit, then with two, and so on, but fewer than it has; the nearer first.
fn fewer_digits(number: u64) -> Vec<u64> {
    let Some(magnitude) = number.checked_ilog10() else { return Vec::new() };
    let mut found = Vec::new();
    for place in (1..=magnitude).rev() {
        let unit = 10_u64.pow(place);
        if number.is_multiple_of(unit) {
            break;
        }
        let (down, up) = (number / unit * unit, (number / unit).saturating_add(1).saturating_mul(unit));
        found.extend(if number - down <= up - number { [down, up] } else { [up, down] });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_get_fewer_digits_and_never_more() {
        assert_eq!(fewer_digits(7_301), [7_000, 8_000, 7_300, 7_400, 7_300, 7_310]);
        assert_eq!(fewer_digits(96), [100, 90]);
        for round in [0, 4, 70, 5_000, 2_000_000] {
            assert_eq!(fewer_digits(round), [0; 0], "{round}");
        }
    }

    #[test]
    fn each_kind_of_number_is_written_as_files_write_it() {
        let text = |kind: Kind, value: Value| -> Vec<String> {
            rounder(&kind, &value).iter().map(ToString::to_string).collect()
        };
        assert_eq!(text(Kind::Span(0, u64::MAX), "1250ms".into()), ["\"1s\"", "\"2s\"", "\"1200ms\"", "\"1300ms\""]);
        assert_eq!(text(Kind::Span(0, u64::MAX), "2s".into()), [""; 0]);
        assert_eq!(text(Kind::Whole(0, u64::MAX), 65_536.into()), [""; 0]);
        assert_eq!(text(Kind::Whole(0, u64::MAX), 37.into()), ["40", "30"]);
        assert_eq!(text(Kind::Number(0.0, 1.0), 0.137.into()), ["0.1"]);
        assert_eq!(text(Kind::Text, "1250ms".into()), [""; 0]);
    }
}
