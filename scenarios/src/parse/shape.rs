//! The first pass: every key known, every value of the right type and in range.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problems;
use super::distance::{did_you_mean, did_you_mean_or_list, nearest};
use super::format::{Choice, Key, Kind, Table, Without};
use super::keys::{FILE, REGRESSION, SCENARIO, moved, renamed};
use super::place::get;
use crate::cost::Cost;
use crate::span::Span;

/// Holds the tree against the table of keys, and takes unknown keys out of it.
pub(super) fn check(root: &mut Spanned<DeTable<'_>>, problems: &mut Problems) {
    // The file as a whole begins where it begins, whatever comes first in it.
    table(&SCENARIO, root.get_mut(), 0..0, "the file", problems);
}

/// Takes the table of the bank out of a tree, and holds it against its keys.
pub(super) fn take_regression(root: &mut DeTable<'_>, problems: &mut Problems) {
    const KEY: &str = "regression";
    static KIND: Kind = Kind::Table(&REGRESSION);
    if let Some((_, mut value)) = root.remove_entry(KEY) {
        check_value(&KIND, &mut value, KEY, problems);
    }
}

fn table(known: &'static Table, table: &mut DeTable<'_>, span: Range<usize>, name: &str, problems: &mut Problems) {
    let mut meant = Vec::new();
    let mut unknown = Vec::new();
    for (key, value) in table.iter_mut() {
        let Some(known) = known.key(key.get_ref()) else {
            unknown.push((key.get_ref().to_string(), key.span()));
            continue;
        };
        let path = if name == "the file" { known.name.to_owned() } else { format!("{name}.{}", known.name) };
        check_value(&known.kind, value, &path, problems);
    }
    for (key, span) in unknown {
        // A key that stands there already was not meant.
        if let Some(hint) = moved(known, &key) {
            problems.unknown_key(span, &key, hint.to_owned());
            table.remove(key.as_str());
            continue;
        }
        let more: &[Key] = if std::ptr::eq(known, &SCENARIO) { FILE } else { &[] };
        let all = || known.keys.iter().chain(more).map(|key| key.name);
        let open: Vec<&str> = all().filter(|name| get(table, name).is_none()).collect();
        meant.extend(nearest(&key, open.iter().copied()));
        let hint = did_you_mean(&key, open.iter().copied()).unwrap_or_else(|| did_you_mean_or_list(&key, all()));
        problems.unknown_key(span, &key, hint);
        table.remove(key.as_str());
    }
    for key in known.keys {
        let Without::Apart(other, _) = key.without else { continue };
        let at = |name| table.iter().find(|(key, _)| key.get_ref() == name).map(|(key, _)| key.span());
        let (Some(own), Some(others)) = (at(key.name), at(other)) else { continue };
        // Said once, at the later of the two.
        if others.start < own.start {
            let message = format!("{name} has both \"{other}\" and \"{}\"", key.name);
            problems.hinted(own, message, Some("leave one of them out".to_owned()));
        }
    }
    for key in known.keys.iter().filter(|key| key.without == Without::Wrong && !meant.contains(&key.name)) {
        if get(table, key.name).is_none() {
            let hint = format!("it must be {}", key.kind);
            problems.hinted(span.clone(), format!("{name} lacks the key \"{}\"", key.name), Some(hint));
        }
    }
}

fn check_value(kind: &'static Kind, value: &mut Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) {
    let span = value.span();
    let fits = match (kind, value.get_mut()) {
        (Kind::Table(known), DeValue::Table(given)) => {
            table(known, given, span, path, problems);
            return;
        }
        (Kind::List(kind), DeValue::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                check_value(kind, item, &format!("{path}[{index}]"), problems);
            }
            return;
        }
        (Kind::Pair(kind), DeValue::Array(items)) if items.len() == 2 => {
            for (index, item) in items.iter_mut().enumerate() {
                check_value(kind, item, &format!("{path}[{index}]"), problems);
            }
            return;
        }
        (Kind::OneOf(choices), given) => {
            one_of(kind, choices, given, span, path, problems);
            return;
        }
        (Kind::Any, _) | (Kind::Map(_), DeValue::Table(_)) => true,
        (Kind::Text, DeValue::String(_)) | (Kind::Flag, DeValue::Boolean(_)) => true,
        (Kind::Whole(low, high), DeValue::Integer(given)) => {
            whole(given).is_some_and(|given| (i128::from(*low)..=i128::from(*high)).contains(&given))
        }
        (Kind::Number(low, high), given) => number(given).is_some_and(|given| (*low..=*high).contains(&given)),
        (Kind::Span(low, high), DeValue::String(text)) => match text.parse::<Span>() {
            Ok(span) => (*low..=*high).contains(&span.as_micros()),
            Err(error) => {
                let hint = "a duration is a number and a unit: \"250ms\", \"1.5s\", \"2min\"".to_owned();
                problems.hinted(span, format!("{path} is not a duration: {error}"), Some(hint));
                return;
            }
        },
        (Kind::Cost(low, high), DeValue::String(text)) => match text.parse::<Cost>() {
            Ok(cost) => (*low..=*high).contains(&cost.as_nanos()),
            Err(error) => {
                let hint = "a cost is a number and a unit: \"1340ns\", \"5us\"".to_owned();
                problems.hinted(span, format!("{path} is not a cost: {error}"), Some(hint));
                return;
            }
        },
        _ => false,
    };
    if !fits {
        let hint = hint(kind, value.get_ref());
        problems.hinted(span, format!("{path} must be {kind}, not {}", shown(value.get_ref())), hint);
    }
}

fn one_of(
    kind: &'static Kind,
    choices: &'static [Choice],
    given: &mut DeValue<'_>,
    span: Range<usize>,
    path: &str,
    problems: &mut Problems,
) {
    let words = || choices.iter().map(|choice| choice.word);
    match given {
        DeValue::String(word) => match choices.iter().find(|choice| choice.word == *word) {
            Some(Choice { with: None, .. }) => {}
            Some(Choice { word, with: Some(with), .. }) => {
                let message = format!("{path} = \"{word}\" lacks its value: {with}");
                problems.hinted(span, message, Some(format!("write {{ {word} = .. }}")));
            }
            None => {
                let message = format!("{path} must be {kind}, not \"{word}\"");
                let renamed = renamed(choices, word).map(|now| format!("write \"{now}\""));
                problems.hinted(
                    span,
                    message,
                    renamed.or_else(|| did_you_mean(word, words())).or_else(|| wrapped(choices, word)),
                );
            }
        },
        DeValue::Table(table) if table.len() == 1 => {
            let Some((key, value)) = table.iter_mut().next() else { return };
            match choices.iter().find(|choice| choice.word == *key.get_ref()) {
                Some(Choice { word, with: Some(with), .. }) => {
                    check_value(with, value, &format!("{path}.{word}"), problems)
                }
                Some(Choice { word, with: None, .. }) => {
                    let message = format!("{path}.{word} takes no value");
                    problems.hinted(key.span(), message, Some(format!("write \"{word}\"")));
                }
                None => {
                    let message = format!("{path} must be {kind}, not {{ {} = .. }}", key.get_ref());
                    problems.hinted(key.span(), message, did_you_mean(key.get_ref(), words()));
                }
            }
        }
        other => {
            let hint = hint(kind, other);
            problems.hinted(span, format!("{path} must be {kind}, not {}", shown(other)), hint);
        }
    }
}

/// A bare duration where one of the choices takes one.
fn wrapped(choices: &[Choice], text: &str) -> Option<String> {
    text.parse::<Span>().ok()?;
    let choice = choices.iter().find(|choice| matches!(choice.with, Some(Kind::Span(..))))?;
    Some(format!("write {{ {} = \"{text}\" }}", choice.word))
}

/// What would do instead.
fn hint(kind: &Kind, given: &DeValue<'_>) -> Option<String> {
    match (kind, given) {
        (Kind::Span(..), DeValue::Integer(_) | DeValue::Float(_)) => {
            let bare = shown(given);
            Some(format!("a duration has a unit: \"{bare}ms\" or \"{bare}s\""))
        }
        (Kind::Cost(..), DeValue::Integer(_) | DeValue::Float(_)) => {
            let bare = shown(given);
            Some(format!("a cost has a unit: \"{bare}ns\" or \"{bare}us\""))
        }
        (Kind::Whole(..) | Kind::Number(..), DeValue::String(text)) if text.parse::<f64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        (Kind::Flag, DeValue::String(text)) if text.parse::<bool>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        (Kind::List(Kind::Table(_)), DeValue::Table(_)) => Some("double its brackets: [[..]]".to_owned()),
        (Kind::List(_), DeValue::String(text)) => Some(format!("write [\"{text}\"]")),
        (Kind::Table(_), DeValue::Array(_)) => Some("there is only one: [..], not [[..]]".to_owned()),
        _ => None,
    }
}

/// A value as it may stand in a message.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 40 => format!("\"{text}\""),
        DeValue::String(_) => "a long text".to_owned(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(items) => format!("a list of {}", items.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn whole(number: &toml::de::DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => whole(number).map(|number| number as f64),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}
