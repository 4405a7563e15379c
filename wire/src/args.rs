//! How the programs read symbols and durations from their command lines and scripts: one grammar for all of them.

use std::time::Duration;

use crate::feed::SYMBOLS_MAX;
use crate::id::Symbol;

/// A list of symbols from a command line. (A type of its own, since command-line parsers take a plain list for an argument that may be repeated.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbols(pub Vec<Symbol>);

/// A number N for the first N generated symbols, or the symbols themselves with commas between them; without duplicates.
///
/// # Errors
/// A line that says what is wrong: more than [`SYMBOLS_MAX`] by number, or a word that is no symbol.
pub fn symbols(text: &str) -> Result<Symbols, String> {
    if let Ok(count) = text.parse::<u32>() {
        return if count as usize <= SYMBOLS_MAX {
            Ok(Symbols((0..count).map(Symbol::numbered).collect()))
        } else {
            Err(format!("at most {SYMBOLS_MAX} symbols"))
        };
    }
    let mut list: Vec<Symbol> = Vec::new();
    for word in text.split(',') {
        let symbol = Symbol::new(word.trim()).map_err(|error| format!("{word:?}: {error}"))?;
        if !list.contains(&symbol) {
            list.push(symbol);
        }
    }
    Ok(Symbols(list))
}

/// `500ms`, `2s`, `1.5m`; at most a year.
///
/// # Errors
/// A line that says how to write one.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => f64::NAN,
    };
    let seconds = number.trim().parse::<f64>().unwrap_or(f64::NAN) * scale;
    if (0.0..=31_536_000.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("{text:?} is not a duration: write 500ms, 2s or 1.5m"))
    }
}

/// `512`, `16KiB`, `1MiB`, `16kB`: bytes, in whole numbers.
///
/// # Errors
/// A line that says how to write them.
pub fn bytes(text: &str) -> Result<u64, String> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let scale: Option<u64> = match unit {
        "" | "B" => Some(1),
        "kB" => Some(1_000),
        "KiB" => Some(1 << 10),
        "MB" => Some(1_000_000),
        "MiB" => Some(1 << 20),
        _ => None,
    };
    let number = number.trim().parse::<u64>().ok();
    let bytes = number.zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
    bytes.ok_or_else(|| format!("{text:?} is no number of bytes: write 512, 16KiB or 1MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_come_by_number_or_by_name() {
        let names = |text| symbols(text).map(|list| list.0.iter().map(Symbol::to_string).collect::<Vec<_>>());
        assert_eq!(names("2"), Ok(vec!["S0000".to_owned(), "S0001".to_owned()]));
        assert_eq!(names("B, A,B"), Ok(vec!["B".to_owned(), "A".to_owned()]));
        assert!(names("1001").is_err());
        assert!(names("A,,B").is_err());
    }

    #[test]
    fn bytes_may_carry_a_unit() {
        for (text, expect) in
            [("512", 512), ("0", 0), ("7B", 7), ("16kB", 16_000), ("16KiB", 16_384), ("2 MiB", 2 << 20)]
        {
            assert_eq!(bytes(text), Ok(expect), "{text}");
        }
        for text in ["", "kB", "-1", "1.5KiB", "4k", "1GiB", "99999999999999999999", "18446744073709551615MiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_carry_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for text in ["", "5", "-1s", "1h", "1e99s", "s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
