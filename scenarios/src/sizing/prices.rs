//! The user's price file: what an instance costs an hour, and when that was so. Nothing is known here of anybody's prices.
//!
//! ```toml
//! date = "2026-11-01"
//! currency = "EUR"
//!
//! [[instance]]
//! name = "two cores, 4 GiB"
//! per_hour = 0.042
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// When the prices were so, `YYYY-MM-DD`.
    pub date: String,
    /// Their currency, as it is to be shown.
    pub currency: String,
    /// What there is to be had.
    pub instance: Vec<Instance>,
}

/// One type of instance.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// What it costs an hour; not below 0.
    pub per_hour: f64,
}

/// Why there are no prices. The user's to mend.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the prices in {path}: {why}")]
pub struct PricesError {
    path: PathBuf,
    why: String,
}

/// Reads it.
///
/// # Errors
/// [`PricesError`] with line and column.
pub fn read(path: &Path) -> Result<Prices, PricesError> {
    let failed = |why: String| PricesError { path: path.to_owned(), why };
    parse(&std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?).map_err(failed)
}

fn parse(text: &str) -> Result<Prices, String> {
    let prices: Prices = toml::from_str(text).map_err(|error| error.to_string())?;
    let parts: Vec<&str> = prices.date.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    if lengths != [4, 2, 2] || !parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(format!("date {:?} must be like 2026-11-01: a price without a date says nothing", prices.date));
    }
    if prices.instance.is_empty() {
        return Err("there is no [[instance]]".to_owned());
    }
    if let Some(bad) = prices.instance.iter().find(|one| !(one.per_hour.is_finite() && one.per_hour >= 0.0)) {
        return Err(format!("per_hour of {:?} must not be below 0", bad.name));
    }
    Ok(prices)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "date = \"2026-11-01\"\ncurrency = \"EUR\"\n[[instance]]\nname = \"small\"\nper_hour = 0.042\n";

    #[test]
    fn a_price_has_a_date_a_currency_and_a_sane_value() {
        assert_eq!(parse(FILE).expect("lawful").instance[0].per_hour, 0.042);
        for (from, to, says) in [
            ("2026-11-01", "last week", "a price without a date says nothing"),
            ("0.042", "-1", "must not be below 0"),
            ("per_hour", "per_day", "unknown field"),
            ("currency = \"EUR\"\n", "", "missing field `currency`"),
        ] {
            let error = parse(&FILE.replace(from, to)).expect_err(to);
            assert!(error.contains(says), "{error}");
        }
    }
}
