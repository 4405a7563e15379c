//! Histograms of latencies, over the whole run and by bucket.

use hdrhistogram::Histogram;

use super::{Latency, Quantiles};

/// The greatest latency told apart from greater ones: one hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, digits).expect("bounds are constants in range")
}

/// Latencies of one kind: a histogram over the run, and quantiles by bucket.
pub(super) struct Recorder {
    whole: Histogram<u64>,
    whole_sum: u64,
    whole_max: u64,
    bucket: Histogram<u64>,
    bucket_max: u64,
    series: Quantiles,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            whole: histogram(3),
            whole_sum: 0,
            whole_max: 0,
            bucket: histogram(2),
            bucket_max: 0,
            series: Quantiles::default(),
        }
    }

    #[inline]
    pub(super) fn record(&mut self, latency_us: u64) {
        self.whole.saturating_record(latency_us);
        self.whole_sum = self.whole_sum.saturating_add(latency_us);
        self.whole_max = self.whole_max.max(latency_us);
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

    pub(super) fn finish(self) -> (Latency, Quantiles) {
        (of(&self.whole, self.whole_sum, self.whole_max), self.series)
    }
}

/// The distribution of a list of samples.
pub(super) fn of_samples(samples: impl IntoIterator<Item = u64>) -> Latency {
    let mut recorder = Recorder::new();
    for sample in samples {
        recorder.record(sample);
    }
    recorder.finish().0
}

fn of(histogram: &Histogram<u64>, sum: u64, max: u64) -> Latency {
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
