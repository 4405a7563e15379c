//! The events that show a violation, as lines of text.

use serde::Serialize;
use serde_json::Value;
use wire::event::Timed;

use crate::record::Verdict;

/// The most lines of evidence of one violation.
const LINES_MAX: usize = 60;

/// The events around one violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The invariant that it breaks, by name.
    pub invariant: String,
    /// Its place in [`crate::record::Invariant::violations`].
    pub violation: usize,
    /// The lines, in the order of the record.
    pub lines: Vec<EvidenceLine>,
}

/// One event in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceLine {
    /// Its number: its line in `events.jsonl`, from 0.
    pub event: u64,
    /// What happened, with its time.
    pub text: String,
}

/// Collects, for each violation, the events that show it and `around` events before and after each of them; at most 60 a violation, those that show it
/// first.
#[must_use]
pub fn gather(verdict: &Verdict, events: &[Timed], around: u64) -> Vec<Evidence> {
    let mut all = Vec::new();
    for invariant in &verdict.invariants {
        for (place, violation) in invariant.violations.iter().enumerate() {
            let mut numbers: Vec<u64> = violation.events.iter().copied().take(LINES_MAX).collect();
            // The nearest neighbours come first, so that the bound cuts the farthest.
            for distance in 1..=around {
                for number in &violation.events {
                    numbers.extend([number.checked_sub(distance), number.checked_add(distance)].into_iter().flatten());
                }
            }
            let mut kept: Vec<u64> = Vec::new();
            for number in numbers {
                if kept.len() < LINES_MAX && !kept.contains(&number) {
                    kept.push(number);
                }
            }
            kept.sort_unstable();
            let line = |number: u64| {
                let event = events.get(usize::try_from(number).ok()?)?;
                Some(EvidenceLine { event: number, text: words(event) })
            };
            let lines = kept.into_iter().filter_map(line).collect();
            all.push(Evidence { invariant: invariant.name.clone(), violation: place, lines });
        }
    }
    all
}

/// `12.345000 s  client_deliver  client=1 n=7 symbol=EURUSD`
fn words(timed: &Timed) -> String {
    // All of one length, so that the columns stand below one another.
    let mut text = format!("{}.{:06} s", timed.at_us / 1_000_000, timed.at_us % 1_000_000);
    let Ok(Value::Object(fields)) = serde_json::to_value(&timed.event) else { return text };
    text.push_str("  ");
    text.push_str(fields.get("event").and_then(Value::as_str).unwrap_or_default());
    text.push(' ');
    let mut fields: Vec<_> = fields.iter().filter(|(name, value)| *name != "event" && !value.is_null()).collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!(" {name}={value}"));
    }
    text
}
