//! The file format for other tools: JSON Schema for editors, and the reference of `docs/scenarios.md`. Both come from the table of keys that
//! [`crate::parse`] checks against, so they cannot drift from it.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::parse::format::{Choice, Key, Kind, Table, Without};
use crate::parse::keys::{FILE, SCENARIO};

/// Durations as [`crate::span::Span`] reads them.
const SPAN_PATTERN: &str = r"^[0-9]+(\.[0-9]+)? *(h|min|s|ms|us)$";

/// Costs as [`crate::cost::Cost`] reads them.
const COST_PATTERN: &str = r"^[0-9]+(\.[0-9]+)? *(s|ms|us|ns)$";

/// JSON Schema (draft 2020-12) of scenario files, as TOML tools such as taplo read it. It knows types, ranges and words; what `windtunnel check` knows
/// about how values bind one another is beyond it.
#[must_use]
pub fn json_schema() -> Value {
    let Value::Object(mut schema) = table_schema(&SCENARIO) else { return Value::Null };
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("Windtunnel scenario"));
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.extend(FILE.iter().map(|key| (key.name.to_owned(), key_schema(key))));
    }
    // What a file lacks may be in what it includes.
    if let Some(required) = schema.remove("required") {
        schema.insert("anyOf".to_owned(), json!([{ "required": required }, { "required": ["include"] }]));
    }
    Value::Object(schema)
}

fn table_schema(table: &'static Table) -> Value {
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.without == Without::Wrong).map(|key| key.name).collect();
    let properties: Map<String, Value> = table.keys.iter().map(|key| (key.name.to_owned(), key_schema(key))).collect();
    let mut schema = json!({
        "type": "object",
        "description": table.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let apart: Vec<Value> = table.keys.iter().filter_map(apart).collect();
    if let Value::Object(schema) = &mut schema
        && !apart.is_empty()
    {
        schema.insert("not".to_owned(), json!({ "anyOf": apart }));
    }
    schema
}

/// Two keys that may not stand together, said by the first of them in the order of words.
fn apart(key: &'static Key) -> Option<Value> {
    match key.without {
        Without::Apart(other, _) if key.name < other => Some(json!({ "required": [key.name, other] })),
        _ => None,
    }
}

fn key_schema(key: &'static Key) -> Value {
    let mut schema = kind_schema(&key.kind);
    if let Value::Object(schema) = &mut schema {
        let about = match key.without {
            Without::Wrong => key.about.to_owned(),
            Without::Default(value) => format!("{} Default: {value}.", key.about),
            Without::Means(words) | Without::Apart(_, words) => format!("{} Left out: {words}.", key.about),
        };
        schema.insert("description".to_owned(), json!(about));
    }
    schema
}

fn kind_schema(kind: &'static Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Whole(low, u64::MAX) => json!({ "type": "integer", "minimum": low }),
        Kind::Whole(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Kind::Number(low, high) => json!({ "type": "number", "minimum": low, "maximum": high }),
        Kind::Span(..) => json!({ "type": "string", "pattern": SPAN_PATTERN }),
        Kind::Cost(..) => json!({ "type": "string", "pattern": COST_PATTERN }),
        Kind::Pair(kind) => json!({ "type": "array", "items": kind_schema(kind), "minItems": 2, "maxItems": 2 }),
        Kind::List(kind) => json!({ "type": "array", "items": kind_schema(kind) }),
        Kind::Map(kind) => json!({ "type": "object", "additionalProperties": kind_schema(kind) }),
        Kind::Any => json!({}),
        Kind::Table(table) => table_schema(table),
        Kind::OneOf(choices) => {
            let words = choices.iter().filter(|choice| choice.with.is_none()).map(|choice| choice.word);
            let words: Vec<&str> = words.collect();
            let tables = choices.iter().filter_map(choice_schema);
            let any: Vec<Value> =
                (!words.is_empty()).then(|| json!({ "enum": words })).into_iter().chain(tables).collect();
            if any.len() == 1 { any.into_iter().next().unwrap_or_default() } else { json!({ "anyOf": any }) }
        }
    }
}

fn choice_schema(choice: &'static Choice) -> Option<Value> {
    let with = choice.with.as_ref()?;
    Some(json!({
        "type": "object",
        "description": choice.about,
        "properties": { choice.word: kind_schema(with) },
        "required": [choice.word],
        "additionalProperties": false,
    }))
}

/// The reference of all keys in Markdown, one section a table.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "### What is read first\n\nKeys of the file, beside those of the scenario.\n\n| key | value | left out | meaning |\n|---|---|---|---|\n",
    );
    FILE.iter().for_each(|key| row(key, &mut text));
    text.push('\n');
    FILE.iter().for_each(|key| sections_within(&key.kind, key.name, &mut text));
    section(&SCENARIO, "", "The file", &mut text);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// `path` leads to the table from the root of the file; empty for the root itself.
fn section(table: &'static Table, path: &str, title: &str, text: &mut String) {
    let _ = writeln!(text, "### {title}\n\n{}\n\n| key | value | left out | meaning |\n|---|---|---|---|", table.about);
    table.keys.iter().for_each(|key| row(key, text));
    for key in table.keys {
        choices(key, text);
    }
    text.push('\n');
    for key in table.keys {
        let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        sections_within(&key.kind, &path, text);
    }
}

fn row(key: &Key, text: &mut String) {
    let without = match key.without {
        Without::Wrong => "**required**".to_owned(),
        Without::Default(value) => format!("`{value}`"),
        Without::Means(words) | Without::Apart(_, words) => words.to_owned(),
    };
    let _ = writeln!(text, "| `{}` | {} | {without} | {} |", key.name, value_words(&key.kind), key.about);
}

fn sections_within(kind: &'static Kind, path: &str, text: &mut String) {
    match kind {
        Kind::Table(table) => section(table, path, &format!("`[{path}]`"), text),
        Kind::List(Kind::Table(table)) => section(table, path, &format!("`[[{path}]]`"), text),
        Kind::OneOf(choices) => {
            for choice in *choices {
                if let Some(with) = &choice.with {
                    sections_within(with, &format!("{path}.{}", choice.word), text);
                }
            }
        }
        _ => {}
    }
}

fn choices(key: &'static Key, text: &mut String) {
    let (Kind::OneOf(choices) | Kind::List(Kind::OneOf(choices))) = &key.kind else { return };
    let _ = writeln!(text, "\n`{}`:\n", key.name);
    for choice in *choices {
        let _ = match &choice.with {
            None => writeln!(text, "- `\"{}\"`: {}", choice.word, choice.about),
            Some(with) => writeln!(text, "- `{{ {} = .. }}` ({}): {}", choice.word, value_words(with), choice.about),
        };
    }
}

fn value_words(kind: &Kind) -> String {
    match kind {
        Kind::OneOf(_) => "one of those below".to_owned(),
        Kind::List(Kind::OneOf(_)) => "a list of those below".to_owned(),
        Kind::Table(_) => "a table, see below".to_owned(),
        Kind::List(Kind::Table(_)) => "tables, see below".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
