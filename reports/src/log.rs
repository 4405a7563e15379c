//! What the programs said: the records of their logs, as data and as lines of text.
//!
//! ```text
//!   12.400123 proxy-0 WARN proxy::fanout::leg lost the leg to a source source=1 why=reset
//!   |         |       |    |                  message                  fields
//!   virtual s host    level target
//! ```

use std::fmt;

use serde::Serialize;

/// How much a record matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something is wrong and is being dealt with.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// As it stands in a line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// One record of a program's log. It shows as a line without an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Virtual microseconds since the run began.
    pub at_us: u64,
    /// The host whose program said it; empty for the world itself.
    pub host: String,
    /// How much it matters.
    pub level: Level,
    /// Where it was said: `proxy::fanout::leg`.
    pub target: String,
    /// The message, then the fields as `name=value`. One line.
    pub text: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_us, host, level, target, text } = self;
        let host = if host.is_empty() { "-" } else { host };
        write!(f, "{}.{:06} {host} {} {target} {text}", at_us / 1_000_000, at_us % 1_000_000, level.word())
    }
}

/// What the programs of one run said, as far as it was wanted. It shows as a heading and its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    /// What was wanted: a filter such as `proxy=debug`.
    pub filter: String,
    /// The records, in order of time: the last ones, if there were more than are kept.
    pub lines: Vec<LogLine>,
    /// How many earlier ones were not kept.
    pub cut: u64,
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { filter, lines, cut } = self;
        match cut {
            0 => writeln!(f, "log {filter}: {} records", lines.len())?,
            cut => writeln!(
                f,
                "log {filter}: the last {} of {} records; {cut} earlier ones were cut",
                lines.len(),
                lines.len() as u64 + cut
            )?,
        }
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The text of `log.txt`: what the engine counted, then what the programs said, if that was kept.
#[must_use]
pub fn text(counted: &str, said: Option<&Log>) -> String {
    said.map_or_else(|| counted.to_owned(), |said| format!("{counted}{said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_shows_as_its_heading_and_a_line_for_each_record() {
        let line = LogLine {
            at_us: 12_400_123,
            host: "proxy-0".to_owned(),
            level: Level::Warn,
            target: "proxy::fanout::leg".to_owned(),
            text: "lost the leg to a source source=1 why=reset".to_owned(),
        };
        let world = LogLine { at_us: 7, host: String::new(), level: Level::Info, ..line.clone() };
        let log = Log { filter: "info".to_owned(), lines: vec![world, line], cut: 0 };
        let said = "proxy::fanout::leg lost the leg to a source source=1 why=reset";
        let lines = format!("0.000007 - INFO {said}\n12.400123 proxy-0 WARN {said}\n");
        assert_eq!(log.to_string(), format!("log info: 2 records\n{lines}"));
        let cut = Log { cut: 3, ..log };
        let heading = "log info: the last 2 of 5 records; 3 earlier ones were cut";
        assert_eq!(cut.to_string(), format!("{heading}\n{lines}"));
    }
}
