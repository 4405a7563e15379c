//! A latency as a summary has it: a few quantiles to read, and the whole histogram to merge.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde::{Serialize, Serializer};

/// Quantiles of a latency, in microseconds; all 0 where `count` is. Within 0.1 % up to ten minutes, where they are cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "a quantile is a quantile")]
pub struct Quantiles {
    pub count: u64,
    pub mean_us: f64,
    pub min_us: u64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

impl Quantiles {
    /// Of a histogram of microseconds.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            mean_us: histogram.mean(),
            min_us: histogram.min(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

/// How many samples a quantile needs to say anything: ten beyond it, `10 / (1 - quantile)`. 1,000 for p99.
#[must_use]
pub fn samples_needed(quantile: f64) -> u64 {
    // The hair keeps 10 / (1 - 0.9) from becoming 101.
    (10.0 / (1.0 - quantile) - 1e-6).ceil().max(1.0) as u64
}

/// A latency's quantiles and its histogram. Serialises as the quantiles and `hdr`: the histogram of microseconds in the interchange form of HdrHistogram (V2, deflated, base64: it
/// begins with `HISTFAAAA`), which programs of many languages read and add up. Quantiles of several programs are never averaged.
#[derive(Clone, PartialEq)]
pub struct Distribution {
    /// The quantiles.
    pub quantiles: Quantiles,
    /// All of it, in microseconds.
    pub histogram: Histogram<u64>,
}

impl Distribution {
    /// Of a histogram of microseconds.
    #[must_use]
    pub fn new(histogram: Histogram<u64>) -> Self {
        Self { quantiles: Quantiles::of(&histogram), histogram }
    }

    fn text(&self) -> String {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail, and counts of so many bits are lawful.
        if V2DeflateSerializer::new().serialize(&self.histogram, &mut bytes).is_err() {
            return String::new();
        }
        BASE64_STANDARD.encode(&bytes)
    }
}

impl fmt::Debug for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.quantiles.fmt(f)
    }
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Form {
            #[serde(flatten)]
            quantiles: Quantiles,
            hdr: String,
        }
        Form { quantiles: self.quantiles, hdr: self.text() }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    #[test]
    fn a_quantile_needs_ten_samples_beyond_it() {
        for (quantile, expect) in [(0.5, 20), (0.9, 100), (0.99, 1_000), (0.999, 10_000)] {
            assert_eq!(samples_needed(quantile), expect, "{quantile}");
        }
    }

    #[test]
    fn a_distribution_carries_its_histogram_as_text_that_others_read() {
        let mut histogram = crate::measure::histogram();
        (1..=2_000).for_each(|us| histogram.record(us * 10).unwrap());
        let json = serde_json::to_value(Distribution::new(histogram.clone())).unwrap();
        assert_eq!((&json["count"], &json["min_us"]), (&2_000.into(), &10.into()));
        let text = json["hdr"].as_str().unwrap();
        assert!(text.starts_with("HISTFAAAA"), "{text}");
        let bytes = BASE64_STANDARD.decode(text).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!(read, histogram);
    }
}
