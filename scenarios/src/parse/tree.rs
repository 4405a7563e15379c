//! A scenario as a tree of values that knows of each which kind it is of: what can be left out, and what is a number.

use toml::Value;

use super::format::{Kind, Table, Without};
use super::keys::SCENARIO;
use crate::model::Scenario;

/// One step of a path from the file to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Of a table.
    Key(&'static str),
    /// Of a list.
    Item(usize),
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// From the file.
    pub(crate) path: Vec<Step>,
    /// What it may be.
    pub(crate) kind: &'static Kind,
    /// A file may leave it out, as far as its key goes.
    pub(crate) loose: bool,
}

impl Node {
    /// Whether the path begins with these keys, whatever items stand between them.
    pub(crate) fn is_under(&self, keys: &[&str]) -> bool {
        let own: Vec<&str> = self.path.iter().filter_map(Step::key).collect();
        own.starts_with(keys)
    }

    /// `clients[0].behaviour`.
    pub(crate) fn name(&self) -> String {
        self.path.iter().fold(String::new(), |name, step| match step {
            Step::Key(key) if name.is_empty() => (*key).to_owned(),
            Step::Key(key) => format!("{name}.{key}"),
            Step::Item(index) => format!("{name}[{index}]"),
        })
    }
}

impl Step {
    fn key(&self) -> Option<&'static str> {
        match self {
            Step::Key(key) => Some(key),
            Step::Item(_) => None,
        }
    }
}

/// The whole scenario, every default written out.
pub(crate) fn of(scenario: &Scenario) -> Option<Value> {
    toml::from_str(&scenario.to_toml().ok()?).ok()
}

/// All values of a scenario, each before those within it, in the order of the table of keys.
pub(crate) fn nodes(root: &Value) -> Vec<Node> {
    let mut found = Vec::new();
    table(&SCENARIO, root, &mut Vec::new(), &mut found);
    found
}

fn table(known: &'static Table, value: &Value, path: &mut Vec<Step>, found: &mut Vec<Node>) {
    for key in known.keys {
        let Some(value) = value.get(key.name) else { continue };
        path.push(Step::Key(key.name));
        found.push(Node { path: path.clone(), kind: &key.kind, loose: key.without != Without::Wrong });
        within(&key.kind, value, path, found);
        path.pop();
    }
}

fn within(kind: &'static Kind, value: &Value, path: &mut Vec<Step>, found: &mut Vec<Node>) {
    match (kind, value) {
        (Kind::Table(known), Value::Table(_)) => table(known, value, path, found),
        (Kind::List(kind) | Kind::Pair(kind), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Item(index));
                // A pair is no pair without one of the two: what cannot be read is refused later.
                found.push(Node { path: path.clone(), kind, loose: true });
                within(kind, item, path, found);
                path.pop();
            }
        }
        (Kind::OneOf(choices), Value::Table(given)) => {
            let with = choices.iter().find_map(|choice| Some((choice, given.get(choice.word)?, choice.with.as_ref()?)));
            if let Some((choice, value, kind)) = with {
                path.push(Step::Key(choice.word));
                found.push(Node { path: path.clone(), kind, loose: false });
                within(kind, value, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

/// The value at a path.
pub(crate) fn at<'v>(root: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get(*key),
        Step::Item(index) => value.get(*index),
    })
}

/// The tree with another value at a path, or with none there.
pub(crate) fn changed(root: &Value, path: &[Step], to: Option<Value>) -> Option<Value> {
    let mut root = root.clone();
    let (last, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(&mut root, |value, step| match step {
        Step::Key(key) => value.get_mut(*key),
        Step::Item(index) => value.get_mut(*index),
    })?;
    match (last, parent, to) {
        (Step::Key(key), Value::Table(table), Some(to)) => {
            table.insert((*key).to_owned(), to);
        }
        (Step::Key(key), Value::Table(table), None) => {
            table.remove(*key)?;
        }
        (Step::Item(index), Value::Array(items), Some(to)) => *items.get_mut(*index)? = to,
        (Step::Item(index), Value::Array(items), None) if *index < items.len() => {
            items.remove(*index);
        }
        _ => return None,
    }
    Some(root)
}

/// The scenario that a tree says, not yet held against the rules.
pub(crate) fn read(root: Value) -> Option<Scenario> {
    root.try_into().ok()
}
