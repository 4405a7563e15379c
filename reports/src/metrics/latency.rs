//! Histograms of latencies, over the whole run and by bucket.

use hdrhistogram::Histogram;

use super::{Histogram as Merging, Latency, Quantiles};

/// The greatest latency told apart from greater ones: one hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, digits).expect("bounds are constants in range")
}

/// An empty one for a whole run.
pub(super) fn whole() -> Histogram<u64> {
    histogram(3)
}

/// Latencies of one kind over the run.
pub(super) struct Whole {
    histogram: Histogram<u64>,
    sum: u64,
    max: u64,
}

impl Default for Whole {
    fn default() -> Self {
        Self { histogram: whole(), sum: 0, max: 0 }
    }
}

impl Whole {
    #[inline]
    pub(super) fn record(&mut self, latency_us: u64) {
        self.histogram.saturating_record(latency_us);
        self.sum = self.sum.saturating_add(latency_us);
        self.max = self.max.max(latency_us);
    }

    pub(super) fn latency(&self) -> Latency {
        of(&self.histogram, self.sum, self.max)
    }

    pub(super) fn histogram(&self) -> Merging {
        Merging::new(&self.histogram, self.sum, self.max)
    }
}

impl FromIterator<u64> for Whole {
    fn from_iter<T: IntoIterator<Item = u64>>(samples: T) -> Self {
        let mut whole = Self::default();
        samples.into_iter().for_each(|sample| whole.record(sample));
        whole
    }
}

/// Latencies of one kind: a histogram over the run, and quantiles by bucket.
pub(super) struct Recorder {
    whole: Whole,
    bucket: Histogram<u64>,
    bucket_max: u64,
    series: Quantiles,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self { whole: Whole::default(), bucket: histogram(2), bucket_max: 0, series: Quantiles::default() }
    }

    #[inline]
    pub(super) fn record(&mut self, latency_us: u64) {
        self.whole.record(latency_us);
        self.bucket.saturating_record(latency_us);
        self.bucket_max = self.bucket_max.max(latency_us);
    }

    /// Ends the bucket.
    pub(super) fn close_bucket(&mut self) {
        let series = &mut self.series;
        if self.bucket.is_empty() {
            for column in [&mut series.p50, &mut series.p90, &mut series.p99, &mut series.max] {
                column.push(None);
            }
            return;
        }
        let max = self.bucket_max;
        let quantile = |q| Some(self.bucket.value_at_quantile(q).min(max));
        series.p50.push(quantile(0.50));
        series.p90.push(quantile(0.90));
        series.p99.push(quantile(0.99));
        series.max.push(Some(max));
        self.bucket.reset();
        self.bucket_max = 0;
    }

    pub(super) fn finish(self) -> (Whole, Quantiles) {
        (self.whole, self.series)
    }
}

pub(super) fn of(histogram: &Histogram<u64>, sum: u64, max: u64) -> Latency {
    let count = histogram.len();
    let quantile = |q: f64, samples_min: u64| (count >= samples_min).then(|| histogram.value_at_quantile(q).min(max));
    Latency {
        count,
        mean_us: sum.checked_div(count),
        p50_us: quantile(0.50, 1),
        p90_us: quantile(0.90, 10),
        p99_us: quantile(0.99, 100),
        p999_us: quantile(0.999, 1000),
        max_us: (count > 0).then_some(max),
    }
}
