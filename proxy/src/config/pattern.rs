//! A regular expression as a value of the configuration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A regular expression over the bytes of a message, compiled once; syntax of the crate `regex`. Matching takes time linear in the message.
#[derive(Clone, Debug)]
pub struct Pattern(regex::bytes::Regex);

impl Pattern {
    /// Whether it matches anywhere in these bytes.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        regex::bytes::Regex::new(text).map(Self).map_err(|error| {
            // The crate draws a picture over several lines; its last line says what is wrong.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("{text:?} is not a regular expression: {why}")
        })
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_bytes_and_a_bad_one_says_what_is_wrong() {
        let pattern: Pattern = r#""op":\s*"subscribe""#.parse().unwrap();
        assert!(pattern.is_match(br#"{"op": "subscribe"}"#));
        assert!(!pattern.is_match(b"\xFF\x00"));
        let error = "(".parse::<Pattern>().unwrap_err();
        assert_eq!(error, r#""(" is not a regular expression: unclosed group"#);
    }
}
