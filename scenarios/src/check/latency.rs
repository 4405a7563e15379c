//! A quantile of latency against its bound, with the slowest deliveries as evidence.

use hdrhistogram::Histogram;
use wire::event::{Event, Phase};
use wire::feed::Kind;

use super::{At, DeliveryLatency, Findings, Origin};

/// Longer latencies count as this: an hour.
const LONGEST_US: u64 = 3_600_000_000;
/// Deliveries named when the bound is broken.
const SLOWEST: usize = 5;

/// Latencies of one population.
pub(super) struct Latency {
    bound: DeliveryLatency,
    phase: Phase,
    histogram: Histogram<u64>,
    /// The slowest, in falling order.
    slowest: Vec<Slow>,
}

struct Slow {
    us: u64,
    at: At,
    sent: Option<u64>,
    what: String,
}

impl Latency {
    pub(super) fn new(bound: DeliveryLatency) -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("1 to an hour at three digits is in range");
        Self { bound, phase: Phase::Warmup, histogram, slowest: Vec::new() }
    }

    /// Takes an event: live ticks count from the first send by any source, echoes from their planned instant.
    #[inline]
    pub(super) fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        let (us, sent) = match event {
            Event::ClientDeliver { stamp, .. } => {
                if stamp.is_some_and(|stamp| stamp.kind != Kind::Live) {
                    return;
                }
                let Origin::Sent { us, event } = at.origin else { return };
                (at.us.saturating_sub(us), Some(event))
            }
            Event::ClientEcho { latency_us, .. } => (*latency_us, None),
            Event::Phase { phase } => {
                self.phase = *phase;
                return;
            }
            _ => return,
        };
        if !self.bound.from_phase.counts(self.phase) {
            return;
        }
        findings.check();
        self.histogram.saturating_record(us);
        if self.slowest.len() < SLOWEST || self.slowest.last().is_some_and(|slow| us > slow.us) {
            self.keep(us, at, sent, event);
        }
    }

    /// Events that are not of the population still tell the phase.
    pub(super) fn observe_phase(&mut self, event: &Event) {
        if let Event::Phase { phase } = event {
            self.phase = *phase;
        }
    }

    fn keep(&mut self, us: u64, at: At, sent: Option<u64>, event: &Event) {
        let what = match event {
            Event::ClientDeliver { client, symbol, n, .. } => format!("{client} got {symbol} {n}"),
            Event::ClientEcho { client, n, .. } => format!("{client} got the answer to request {n}"),
            _ => String::new(),
        };
        let place = self.slowest.partition_point(|slow| slow.us >= us);
        self.slowest.insert(place, Slow { us, at, sent, what });
        self.slowest.truncate(SLOWEST);
    }

    /// Judges.
    pub(super) fn finish(&mut self, findings: &mut Findings) -> String {
        let samples = self.histogram.len();
        let quantile = self.bound.quantile.get();
        let bound_us = self.bound.at_most.as_micros();
        if samples == 0 {
            return "no sample".to_owned();
        }
        // The histogram rounds up by up to a thousandth: the greatest value is known exactly.
        let exact = self.slowest.first().map_or(u64::MAX, |slow| slow.us);
        let found_us = self.histogram.value_at_quantile(quantile).min(exact);
        let percent = quantile * 100.0;
        if found_us > bound_us && samples >= self.bound.samples_min {
            for slow in std::mem::take(&mut self.slowest) {
                if slow.us > bound_us {
                    findings.violation(slow.at, slow.sent.as_slice(), || {
                        format!("{} after {} us; p{percent} is {found_us} us, bound {bound_us} us", slow.what, slow.us)
                    });
                }
            }
        }
        let p50 = self.histogram.value_at_quantile(0.5).min(exact);
        format!("p{percent} {found_us} us against {bound_us} us; median {p50} us, worst {exact} us, {samples} samples")
    }
}
