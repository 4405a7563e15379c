//! Whether the load generator itself could keep up: where it could not, its figures say more of it than of what it loads. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::distribution::{Quantiles, samples_needed};

/// What a healthy generator stays within.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Share of its threads' time that it may compute. Default 0.7: beyond it queues inside the generator are part of every latency.
    pub cpu_share_max: f64,
    /// p99 (p90 of fewer than 1,000) of the lateness of its timers and of what it planned to send or to dial. Default 10 ms, or a tenth of the objective where that is less, but not
    /// below 3 ms: its timers fire on whole milliseconds.
    pub lateness_p99_max: Duration,
}

impl Bounds {
    /// The bounds for an objective.
    #[must_use]
    pub fn of(objective: Option<Duration>) -> Self {
        let (least, most) = (Duration::from_millis(3), Duration::from_millis(10));
        let lateness_p99_max = objective.map_or(most, |objective| (objective / 10).clamp(least, most));
        Self { cpu_share_max: 0.7, lateness_p99_max }
    }
}

/// What was seen of the generator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Event loops, each on a thread of its own.
    pub threads: u64,
    /// Processor seconds by wall seconds and threads, over the window; None where nobody looked.
    pub cpu_share: Option<f64>,
    /// How late timers of its event loops fired, over the window.
    pub timers: Quantiles,
    /// How late it sent, by its own fault.
    pub sends: Quantiles,
    /// How late it dialled.
    pub dials: Quantiles,
    /// Whether many were to dial at one instant: then most are late by the plan's fault.
    pub dials_together: bool,
    /// Dials whose time came and passed.
    pub dials_dropped: u64,
    /// Sends that were left out because too many were unanswered.
    pub sends_dropped: u64,
    /// Dials that found no local port.
    pub no_port: u64,
    /// Dials that found no descriptor.
    pub no_descriptor: u64,
}

/// The quantile of a lateness that is judged, in microseconds, and its name: of few samples p99 would be the one worst.
pub(crate) fn judged(lateness: &Quantiles) -> (u64, &'static str) {
    if lateness.count < samples_needed(0.99) { (lateness.p90_us, "p90") } else { (lateness.p99_us, "p99") }
}

/// Whether figures may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The generator kept up.
    Healthy,
    /// It did not: what was measured is about the generator, too.
    Inconclusive,
}

/// The generator's own health.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// Whether it kept up.
    pub verdict: Verdict,
    /// Why not: a sentence each, with what to do.
    pub reasons: Vec<String>,
    /// Event loops, each on a thread of its own.
    pub threads: u64,
    /// The share of their time that they computed, over the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_share: Option<f64>,
    /// How late timers of its event loops fired, over the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer_lateness: Option<Quantiles>,
    /// How late it sent against the plan, by its own fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_lateness: Option<Quantiles>,
    /// How late it dialled against the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dial_lateness: Option<Quantiles>,
    /// Planned dials that were not begun though their time had come.
    pub dials_dropped: u64,
    /// Planned sends that were left out because too many were unanswered.
    pub sends_dropped: u64,
}

impl Health {
    /// Judges.
    #[must_use]
    pub fn judge(facts: &Facts, bounds: Bounds) -> Self {
        let mut reasons = Vec::new();
        let mut reason = |holds: bool, why: String| {
            if !holds {
                reasons.push(why);
            }
        };
        if let Some(share) = facts.cpu_share {
            let threads =
                if facts.threads == 1 { "its 1 thread".to_owned() } else { format!("its {} threads", facts.threads) };
            let why = format!(
                "the load generator computed {:.0} % of the time of {threads}, and more than {:.0} % is too much: give it more cores (--threads), \
                 let fewer clients check what they read (--verify), or have fewer clients",
                share * 100.0,
                bounds.cpu_share_max * 100.0
            );
            reason(share <= bounds.cpu_share_max, why);
        }
        let ms = |us: u64| us as f64 / 1_000.0;
        let most_us = u64::try_from(bounds.lateness_p99_max.as_micros()).unwrap_or(u64::MAX);
        for (what, lateness) in [
            ("timers fired", Some(&facts.timers)),
            ("requests were sent", Some(&facts.sends)),
            ("dials began", Some(&facts.dials).filter(|_| !facts.dials_together)),
        ] {
            let (late, word) = lateness.map_or((0, "p99"), judged);
            let why = format!(
                "the load generator's {what} up to {:.1} ms late ({word}), and more than {:.1} ms is too much: give it a core of its own, or more of them (--threads)",
                ms(late),
                ms(most_us)
            );
            reason(late <= most_us, why);
        }
        let dropped = format!(
            "{} planned dials were never begun: the load generator could not keep up; give it more cores (--threads), or let clients arrive more slowly",
            facts.dials_dropped
        );
        reason(facts.dials_dropped == 0, dropped);
        let dropped = format!(
            "{} planned requests were left out, because their clients had 1,024 without an answer: the latency of what was never sent is not known; ask for less (--rate)",
            facts.sends_dropped
        );
        reason(facts.sends_dropped == 0, dropped);
        let ports = format!(
            "{} dials found no local port: this host ran out, not the target; give more addresses (--source-address), or widen net.ipv4.ip_local_port_range",
            facts.no_port
        );
        reason(facts.no_port == 0, ports);
        let descriptors = format!(
            "{} dials found no file descriptor: this host ran out, not the target; raise the limit (ulimit -n)",
            facts.no_descriptor
        );
        reason(facts.no_descriptor == 0, descriptors);
        let some = |quantiles: Quantiles| (quantiles.count > 0).then_some(quantiles);
        Self {
            verdict: if reasons.is_empty() { Verdict::Healthy } else { Verdict::Inconclusive },
            reasons,
            threads: facts.threads,
            cpu_share: facts.cpu_share,
            timer_lateness: some(facts.timers),
            send_lateness: some(facts.sends),
            dial_lateness: some(facts.dials),
            dials_dropped: facts.dials_dropped,
            sends_dropped: facts.sends_dropped,
        }
    }

    /// Whether it kept up.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.verdict == Verdict::Healthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(ms: u64) -> Quantiles {
        Quantiles { count: 1_000, p99_us: ms * 1_000, max_us: ms * 2_000, ..Quantiles::default() }
    }

    #[test]
    fn each_want_of_the_generator_is_said_with_what_to_do() {
        let well = Facts {
            threads: 1,
            cpu_share: Some(0.69),
            timers: late(10),
            sends: late(2),
            dials: late(1),
            ..Facts::default()
        };
        let check = |facts: Facts, word: &str| {
            let health = Health::judge(&facts, Bounds::of(None));
            let Some(reason) = health.reasons.first() else { return assert_eq!(word, "") };
            assert!(health.reasons.len() == 1 && !health.is_healthy());
            assert!(!word.is_empty() && reason.contains(word), "{reason}");
        };
        check(well.clone(), "");
        check(Facts { cpu_share: None, ..well.clone() }, "");
        check(Facts { cpu_share: Some(0.71), ..well.clone() }, "computed 71 %");
        check(Facts { timers: late(11), ..well.clone() }, "timers fired up to 11.0 ms late");
        check(Facts { sends: late(11), ..well.clone() }, "requests were sent");
        check(Facts { dials: late(11), ..well.clone() }, "dials began");
        let few = Quantiles { count: 999, p90_us: 9_000, ..late(11) };
        check(Facts { dials: few, ..well.clone() }, "");
        check(Facts { dials: Quantiles { p90_us: 11_000, ..few }, ..well.clone() }, "up to 11.0 ms late (p90)");
        check(Facts { dials: late(11), dials_together: true, ..well.clone() }, "");
        check(Facts { dials_dropped: 1, ..well.clone() }, "never begun");
        check(Facts { sends_dropped: 1, ..well.clone() }, "left out");
        check(Facts { no_port: 1, ..well.clone() }, "--source-address");
        check(Facts { no_descriptor: 1, ..well }, "ulimit -n");
    }

    #[test]
    fn lateness_is_held_against_a_tenth_of_the_objective() {
        let ms = Duration::from_millis;
        let bound = |objective| Bounds::of(objective).lateness_p99_max;
        assert_eq!([None, Some(ms(50)), Some(ms(1)), Some(ms(1_000))].map(bound), [ms(10), ms(5), ms(3), ms(10)]);
    }
}
