//! Annotations for GitHub's pages: lines on standard output that its runner takes for remarks on files.
//!
//! A step may have ten of each kind; what is beyond is dropped without a word. So at most ten are written, the gravest first, and one that says how many there are
//! besides.

use std::fmt::Write as _;

/// Annotations written; the rest are counted.
const MAX: usize = 10;
/// Characters of a message.
const MESSAGE_MAX: usize = 2_000;

/// A remark on a line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// How grave it is.
    pub level: Level,
    /// The file's path from the top of the tree.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// A few words.
    pub title: String,
    /// What there is to say; may have several lines.
    pub message: String,
}

/// How grave a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken or worse.
    Error,
    /// Something could not be judged.
    Warning,
}

/// The lines: at most ten annotations, errors before warnings, and one more that counts the others.
#[must_use]
pub fn lines(annotations: &[Annotation]) -> String {
    let mut sorted: Vec<&Annotation> = annotations.iter().collect();
    sorted.sort_by_key(|annotation| annotation.level);
    let mut text = String::new();
    for Annotation { level, file, line, title, message } in sorted.iter().take(MAX) {
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let (file, title) = (property(file), property(title));
        let message = data(&crate::figure::cut(message, MESSAGE_MAX));
        let _ = writeln!(text, "::{level} file={file},line={line},title={title}::{message}");
    }
    if sorted.len() > MAX {
        let more = sorted.len() - MAX;
        let _ = writeln!(text, "::notice title=windtunnel::{more} more are in summary.md and index.html");
    }
    text
}

/// A message: what would end it is written as `%XX`.
fn data(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '%' => out.push_str("%25"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            other if other.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// A property: what would end it or the list of them, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(level: Level, n: usize) -> Annotation {
        Annotation {
            level,
            file: "scenarios/catalogue/x.toml".to_owned(),
            line: n,
            title: format!("x: invariant-{n}"),
            message: "seed 1".to_owned(),
        }
    }

    #[test]
    fn what_would_end_an_annotation_is_escaped() {
        let hostile = Annotation {
            level: Level::Error,
            file: "a,b:c.toml".to_owned(),
            line: 7,
            title: "50 %::error::, x".to_owned(),
            message: "one\r\n::error::two 100 %: \u{1b}[2J".to_owned(),
        };
        assert_eq!(
            lines(&[hostile]),
            "::error file=a%2Cb%3Ac.toml,line=7,title=50 %25%3A%3Aerror%3A%3A%2C x::one%0D%0A::error::two 100 %25:  [2J\n"
        );
    }

    #[test]
    fn there_are_ten_at_most_errors_first_and_the_rest_is_counted() {
        let many: Vec<Annotation> =
            (0..25).map(|n| annotation(if n % 2 == 0 { Level::Warning } else { Level::Error }, n)).collect();
        let text = lines(&many);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 11);
        assert!(lines[..10].iter().all(|line| line.starts_with("::error ")), "{text}");
        assert_eq!(lines[10], "::notice title=windtunnel::15 more are in summary.md and index.html");
        assert_eq!(super::lines(&many[..10]).lines().count(), 10);
        assert_eq!(super::lines(&[]), "");
    }
}
