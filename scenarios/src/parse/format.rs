//! The file format as data: one table says which keys there are, what they may be and what they mean. The first pass of [`crate::parse`], the JSON
//! Schema and the reference in `docs/scenarios.md` all read it, and a test holds it against what serde really accepts.

use std::fmt;

use crate::cost::Cost;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds, both included.
    Whole(u64, u64),
    /// A number within these bounds, both included.
    Number(f64, f64),
    /// A duration within these bounds in microseconds, both included.
    Span(u64, u64),
    /// A cost within these bounds in nanoseconds, both included.
    Cost(u64, u64),
    /// Exactly two of a kind.
    Pair(&'static Kind),
    /// Any number of a kind.
    List(&'static Kind),
    /// A table.
    Table(&'static Table),
    /// A table whose keys are not known beforehand, each with this.
    Map(&'static Kind),
    /// Anything.
    Any,
    /// One of several, each a bare word or a table with that word as its only key.
    OneOf(&'static [Choice]),
}

/// A table and its keys.
#[derive(Debug)]
pub struct Table {
    /// What it is, in a line.
    pub about: &'static str,
    /// Its keys, in the order in which they are explained.
    pub keys: &'static [Key],
}

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// As it stands in the file.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What holds without it.
    pub without: Without,
    /// What it means.
    pub about: &'static str,
}

/// What holds when a key is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// It must not be left out.
    Wrong,
    /// This value.
    Default(&'static str),
    /// This, in words.
    Means(&'static str),
    /// It may not stand beside that other key. This holds without it, in words.
    Apart(&'static str, &'static str),
}

/// One word of a [`Kind::OneOf`].
#[derive(Debug)]
pub struct Choice {
    /// As it stands in the file.
    pub word: &'static str,
    /// None: written as a bare word. Some: written `{ word = value }`.
    pub with: Option<Kind>,
    /// What it means.
    pub about: &'static str,
}

impl Table {
    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// In words, to continue "must be".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Kind::Text => f.write_str("text"),
            Kind::Flag => f.write_str("true or false"),
            Kind::Whole(low, high) if low == high => write!(f, "{low}"),
            Kind::Whole(low, u64::MAX) => write!(f, "a whole number, at least {low}"),
            Kind::Whole(low, high) => write!(f, "a whole number, {low} to {high}"),
            Kind::Number(low, high) if high == f64::MAX => write!(f, "a number, at least {low}"),
            Kind::Number(low, high) => write!(f, "a number, {low} to {high}"),
            Kind::Span(low, high) => write!(f, "a duration, {} to {}", shown(low), shown(high)),
            Kind::Cost(low, high) => {
                write!(f, "a cost, {} to {}", Cost::from_nanos(low), Cost::from_nanos(high))
            }
            Kind::Pair(kind) => write!(f, "a list of two, each {kind}"),
            Kind::List(Kind::Table(_)) => f.write_str("tables"),
            Kind::List(kind) => write!(f, "a list, each {kind}"),
            Kind::Map(kind) => write!(f, "a table, each value {kind}"),
            Kind::Any => f.write_str("anything"),
            Kind::Table(_) => f.write_str("a table"),
            Kind::OneOf(choices) => {
                for (index, choice) in choices.iter().enumerate() {
                    let before = if index == 0 {
                        ""
                    } else if index + 1 == choices.len() {
                        " or "
                    } else {
                        ", "
                    };
                    match choice.with {
                        None => write!(f, "{before}\"{}\"", choice.word)?,
                        Some(_) => write!(f, "{before}{{ {} = .. }}", choice.word)?,
                    }
                }
                Ok(())
            }
        }
    }
}

fn shown(us: u64) -> String {
    crate::span::Span::from_micros(us).to_string()
}
