//! A scenario as the shortest file that says it: without what holds anyway, in the order in which the keys are explained.

use std::fmt::Write as _;

use toml::Value;

use super::format::{Kind, Table};
use super::keys::SCENARIO;
use super::tree::{self, Step};
use crate::model::Scenario;

/// Characters of a line of `about`.
const LINE: usize = 150;

/// The keys of the file that stand as tables of their own.
const BLOCKS: [&str; 4] = ["clients", "faults", "check", "reach"];

/// The file. `parse` reads the same scenario from it.
///
/// # Errors
/// What TOML cannot hold, which no file can have brought.
pub fn brief(scenario: &Scenario) -> Result<String, toml::ser::Error> {
    let whole = scenario.to_toml()?;
    let Some(root) = tree::of(scenario) else { return Ok(whole) };
    let root = without_defaults(scenario, root);
    let mut text = String::new();
    let blocks = |name: &str| BLOCKS.contains(&name);
    for key in SCENARIO.keys.iter().filter(|key| !blocks(key.name)) {
        let Some(value) = root.get(key.name) else { continue };
        let value = match value {
            Value::String(about) if key.name == "about" => long(about),
            value => inline(&key.kind, value),
        };
        let _ = writeln!(text, "{} = {value}", key.name);
    }
    for key in SCENARIO.keys.iter().filter(|key| blocks(key.name)) {
        match (&key.kind, root.get(key.name)) {
            (Kind::Table(known), Some(value)) => block(&mut text, &format!("[{}]", key.name), known, value),
            (Kind::List(Kind::Table(known)), Some(Value::Array(items))) => {
                items.iter().for_each(|item| block(&mut text, &format!("[[{}]]", key.name), known, item));
            }
            _ => {}
        }
    }
    // Whatever a key's place, what is written is what is meant.
    Ok(if toml::from_str::<Scenario>(&text).is_ok_and(|again| again == *scenario) { text } else { whole })
}

/// The tree without what a file need not say.
fn without_defaults(scenario: &Scenario, mut root: Value) -> Value {
    let mut gone: Vec<Vec<Step>> = Vec::new();
    for node in tree::nodes(&root) {
        let is_key = matches!(node.path.last(), Some(Step::Key(_)));
        if !node.loose || !is_key || gone.iter().any(|gone| node.path.starts_with(gone)) {
            continue;
        }
        let Some(less) = tree::changed(&root, &node.path, None) else { continue };
        if tree::read(less.clone()).is_some_and(|again| again == *scenario) {
            root = less;
            gone.push(node.path);
        }
    }
    root
}

fn block(text: &mut String, head: &str, known: &'static Table, value: &Value) {
    let _ = writeln!(text, "\n{head}");
    for key in known.keys {
        if let Some(value) = value.get(key.name) {
            let _ = writeln!(text, "{} = {}", key.name, inline(&key.kind, value));
        }
    }
}

/// A value on one line, keys of tables in the order of their explanation.
fn inline(kind: &'static Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Table(known), Value::Table(_)) => {
            let keys = known.keys.iter().filter_map(|key| Some((key.name, inline(&key.kind, value.get(key.name)?))));
            braces(keys)
        }
        (Kind::OneOf(choices), Value::Table(_)) => {
            let with = |choice: &'static super::format::Choice| {
                Some((choice.word, inline(choice.with.as_ref()?, value.get(choice.word)?)))
            };
            braces(choices.iter().filter_map(with))
        }
        (Kind::List(kind) | Kind::Pair(kind), Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| inline(kind, item)).collect();
            format!("[{}]", items.join(", "))
        }
        (_, value) => value.to_string(),
    }
}

fn braces(keys: impl Iterator<Item = (&'static str, String)>) -> String {
    let keys: Vec<String> = keys.map(|(key, value)| format!("{key} = {value}")).collect();
    if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) }
}

/// A text of some sentences over several lines, if it can stand so.
fn long(about: &str) -> String {
    let plain = about.split_whitespace().collect::<Vec<_>>().join(" ") == about && !about.contains(['"', '\\']);
    if !plain || about.len() <= LINE {
        return Value::from(about).to_string();
    }
    // A word that is broken would come back as two.
    let whole_words = textwrap::Options::new(LINE)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    let lines: Vec<String> = textwrap::wrap(about, whole_words).iter().map(|line| line.trim_end().to_owned()).collect();
    format!("\"\"\"\n{}\"\"\"", lines.join(" \\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue, parse};

    #[test]
    fn the_brief_file_of_each_scenario_of_the_catalogue_says_the_same() {
        for entry in catalogue::all() {
            for variant in entry.scenarios().unwrap() {
                let text = brief(&variant.scenario).unwrap();
                let again =
                    parse::parse(&entry.file(), &text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
                assert_eq!(again, variant.scenario, "{text}");
                let whole = variant.scenario.to_toml().unwrap();
                assert!(text.lines().count() < whole.lines().count(), "{text}\n{whole}");
            }
        }
    }

    #[test]
    fn what_holds_anyway_is_not_said() {
        let text = "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = { count = 2 }\nproxy = { mode = \"fanout\" }\n\n\
            [[clients]]\nname = \"all\"\ncount = 10\nsubscriptions = { zipf = { each = 2 } }\n\n\
            [[faults]]\nat = \"1s\"\nkind = \"kill\"\ntarget = \"source-active\"\n\n[check]\nsymbol-order = {}\n";
        assert_eq!(brief(&parse::parse("x.toml", text).unwrap()).unwrap(), text);
    }
}
