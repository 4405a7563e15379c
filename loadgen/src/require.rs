//! What is required of a run: `tick_p99<50ms`, `missing=0`, `objective_share>=99.9%`. Pure.
//!
//! Ticks, answers and gaps are those of the measured window; phases of dials are those of the whole run, and so are counts.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::distribution::{Distribution, samples_needed};
use crate::summary::{Counts, Summary, Window};

/// A threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Require {
    text: String,
    metric: Metric,
    compare: Compare,
    /// Microseconds, a share, a count or a rate, as the metric is.
    bound: f64,
}

/// What became of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Requirement {
    /// As it was given.
    pub text: String,
    /// Whether it held.
    pub verdict: Held,
    /// What was measured: microseconds, a share, a count or a rate; None: nothing, or too little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
    /// What was measured, in words.
    pub said: String,
}

/// Whether a threshold held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// It did.
    Held,
    /// It did not.
    Broken,
    /// There are too few samples to tell.
    Inconclusive,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Latency(Latency, Statistic),
    /// By its name in the summary.
    Count(&'static str),
    Share(Share),
    Rate(Rate),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latency {
    Tick,
    Echo,
    EchoUncorrected,
    Publication,
    PublicationUncorrected,
    Gap,
    Lookup,
    Tcp,
    Tls,
    Upgrade,
    Connect,
    FirstMessage,
    Reconnect,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Statistic {
    Min,
    Mean,
    Max,
    Quantile(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    /// Ticks of the window within the objective.
    Objective,
    /// Dials that opened.
    Opened,
    /// Planned requests that were answered.
    Answered,
    /// Deliveries of publications that were owed.
    Delivered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    Deliveries,
    Bytes,
}

const LATENCIES: [(&str, Latency); 13] = [
    ("tick", Latency::Tick),
    ("echo", Latency::Echo),
    ("echo_uncorrected", Latency::EchoUncorrected),
    ("publication", Latency::Publication),
    ("publication_uncorrected", Latency::PublicationUncorrected),
    ("gap", Latency::Gap),
    ("lookup", Latency::Lookup),
    ("tcp", Latency::Tcp),
    ("tls", Latency::Tls),
    ("upgrade", Latency::Upgrade),
    ("connect", Latency::Connect),
    ("first_message", Latency::FirstMessage),
    ("reconnect", Latency::Reconnect),
];

const STATISTICS: [(&str, Statistic); 7] = [
    ("min", Statistic::Min),
    ("mean", Statistic::Mean),
    ("max", Statistic::Max),
    ("p50", Statistic::Quantile(0.5)),
    ("p90", Statistic::Quantile(0.9)),
    ("p99", Statistic::Quantile(0.99)),
    ("p999", Statistic::Quantile(0.999)),
];

const SHARES: [(&str, Share); 4] = [
    ("objective_share", Share::Objective),
    ("opened_share", Share::Opened),
    ("answered_share", Share::Answered),
    ("delivered_share", Share::Delivered),
];

const RATES: [(&str, Rate); 2] = [("deliveries_per_s", Rate::Deliveries), ("bytes_per_s", Rate::Bytes)];

/// Sessions that the peer ended, beside the counts of the summary.
const CLOSED_BY_PEER: &str = "closed_by_peer";

/// Counts of what can only be wrong with what is checked.
const CHECKED: [&str; 11] = [
    "missing",
    "unannounced",
    "duplicates",
    "out_of_order",
    "garbled",
    "unasked",
    "gap_messages_told",
    "unanswered",
    "requests_lost",
    "publications_missed",
    "publications_unreturned",
];

impl Metric {
    fn all() -> impl Iterator<Item = (String, Self)> {
        let latencies = LATENCIES.into_iter().flat_map(|(latency, which)| {
            STATISTICS
                .into_iter()
                .map(move |(word, statistic)| (format!("{latency}_{word}"), Self::Latency(which, statistic)))
        });
        let counts = Counts::NAMES.iter().copied().chain([CLOSED_BY_PEER]);
        latencies
            .chain(counts.map(|name| (name.to_owned(), Self::Count(name))))
            .chain(SHARES.into_iter().map(|(name, share)| (name.to_owned(), Self::Share(share))))
            .chain(RATES.into_iter().map(|(name, rate)| (name.to_owned(), Self::Rate(rate))))
    }

    fn named(name: &str) -> Result<Self, String> {
        if let Some((_, metric)) = Self::all().find(|(known, _)| known == name) {
            return Ok(metric);
        }
        let near = Self::all().map(|(known, _)| (strsim::damerau_levenshtein(name, &known), known)).min();
        let meant = near.filter(|(distance, known)| *distance <= known.len() / 2);
        Err(match meant {
            Some((_, known)) => format!("no metric {name:?}: did you mean {known:?}?"),
            None => format!(
                "no metric {name:?}: write a latency ({}) with a statistic ({}), as in tick_p99; or a count, a share or a rate of summary.json",
                LATENCIES.map(|(word, _)| word).join(", "),
                STATISTICS.map(|(word, _)| word).join(", ")
            ),
        })
    }

    fn bound(self, text: &str) -> Result<f64, String> {
        let number = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        match self {
            Self::Latency(..) => {
                let text = text.trim();
                let us = text.strip_suffix("us").and_then(number);
                let bound = us.or_else(|| wire::args::duration(text).ok().map(|time| time.as_secs_f64() * 1e6));
                bound.ok_or_else(|| format!("{text:?} is not a time: write 900us, 50ms or 2s"))
            }
            Self::Share(_) => {
                let share = match text.trim().strip_suffix('%') {
                    // Read as a share at once: 99.9 / 100 is a hair more than 0.999, and 999 of 1,000 would not reach it.
                    Some(percent) => number(&format!("{}e-2", percent.trim())),
                    None => number(text),
                };
                share
                    .filter(|share| *share <= 1.0)
                    .ok_or_else(|| format!("{text:?} is not a share: write 99.9% or 0.999"))
            }
            Self::Count(_) | Self::Rate(_) => number(text).ok_or_else(|| format!("{text:?} is not a number")),
        }
    }

    fn say(self, value: f64) -> String {
        match self {
            Self::Latency(..) => format!("{:.2} ms", value / 1_000.0),
            Self::Share(_) => format!("{:.3} %", value * 100.0),
            Self::Count(_) => format!("{value}"),
            Self::Rate(_) => format!("{value:.1}"),
        }
    }

    /// What was measured, or why nothing can be said.
    fn measured(self, summary: &Summary) -> Result<f64, String> {
        let window = || measured_window(summary);
        match self {
            Self::Latency(latency, statistic) => {
                let distribution = latency.of(summary).ok_or_else(|| "nothing was measured".to_owned())?;
                statistic.of(distribution)
            }
            Self::Count(CLOSED_BY_PEER) => Ok(summary.closed_by_peer() as f64),
            // That nothing went wrong with what nobody looked at says nothing.
            Self::Count(name)
                if CHECKED.contains(&name) && summary.checked() == 0 && summary.named(name) == Some(0) =>
            {
                Err("nothing was checked".to_owned())
            }
            Self::Count(name) => {
                summary.counts.named(name).map(|count| count as f64).ok_or_else(|| "no such count".to_owned())
            }
            Self::Share(share) => share.of(summary).map(|(part, whole)| part as f64 / whole as f64),
            Self::Rate(Rate::Deliveries) => window().map(|window| window.deliveries as f64 / window.seconds),
            Self::Rate(Rate::Bytes) => window().map(|window| window.bytes as f64 / window.seconds),
        }
    }
}

fn measured_window(summary: &Summary) -> Result<&Window, String> {
    summary.window.as_ref().ok_or_else(|| "the run ended before the measured window".to_owned())
}

impl Share {
    /// The part and the whole, which is not 0.
    fn of(self, summary: &Summary) -> Result<(u64, u64), String> {
        let (part, whole) = match self {
            Self::Objective => {
                let checked = &measured_window(summary)?.checked;
                (checked.within_objective.ok_or_else(|| "there is no objective".to_owned())?, checked.aged)
            }
            Self::Opened => (summary.dials.opened, summary.dials.attempted),
            Self::Answered => (summary.echoes, summary.requests + summary.requests_skipped + summary.requests_unsent),
            Self::Delivered => summary.published.as_ref().map_or((0, 0), |it| (it.delivered, it.owed)),
        };
        if whole == 0 { Err("there was none".to_owned()) } else { Ok((part, whole)) }
    }
}

impl Latency {
    fn of(self, summary: &Summary) -> Option<&Distribution> {
        let (phases, window) = (&summary.phases, summary.window.as_ref());
        let echo = window.and_then(|window| window.echo.as_ref());
        let published = window.and_then(|window| window.published.as_ref());
        match self {
            Self::Tick => window?.checked.tick_latency.as_ref(),
            Self::Echo => echo?.corrected.as_ref(),
            Self::EchoUncorrected => echo?.uncorrected.as_ref(),
            Self::Publication => published?.corrected.as_ref(),
            Self::PublicationUncorrected => published?.uncorrected.as_ref(),
            Self::Gap => window?.gap.as_ref(),
            Self::Lookup => phases.lookup.as_ref(),
            Self::Tcp => phases.tcp.as_ref(),
            Self::Tls => phases.tls.as_ref(),
            Self::Upgrade => phases.upgrade.as_ref(),
            Self::Connect => phases.connect.as_ref(),
            Self::FirstMessage => phases.first_message.as_ref(),
            Self::Reconnect => phases.reconnect.as_ref(),
        }
    }
}

impl Statistic {
    fn of(self, distribution: &Distribution) -> Result<f64, String> {
        let quantiles = &distribution.quantiles;
        Ok(match self {
            Self::Min => quantiles.min_us as f64,
            Self::Mean => quantiles.mean_us,
            Self::Max => quantiles.max_us as f64,
            Self::Quantile(quantile) => {
                let needed = samples_needed(quantile);
                if quantiles.count < needed {
                    return Err(format!("{} samples, and this quantile needs {needed}", quantiles.count));
                }
                distribution.histogram.value_at_quantile(quantile) as f64
            }
        })
    }
}

impl Require {
    /// Whether it cannot be told without an objective.
    #[must_use]
    pub fn needs_objective(&self) -> bool {
        self.metric == Metric::Share(Share::Objective)
    }

    /// Holds it against what was measured.
    #[must_use]
    pub fn judge(&self, summary: &Summary) -> Requirement {
        let text = self.text.clone();
        let enough = match self.metric {
            Metric::Share(share) => share.of(summary).and_then(|counted| self.enough(counted)),
            Metric::Latency(..) | Metric::Count(_) | Metric::Rate(_) => Ok(()),
        };
        match enough.and_then(|()| self.metric.measured(summary)) {
            Err(why) => Requirement { text, verdict: Held::Inconclusive, measured: None, said: why },
            Ok(measured) => {
                let verdict = if self.holds(measured) { Held::Held } else { Held::Broken };
                Requirement { text, verdict, measured: Some(measured), said: self.metric.say(measured) }
            }
        }
    }

    fn holds(&self, measured: f64) -> bool {
        let bound = self.bound;
        match self.compare {
            Compare::Below => measured < bound,
            Compare::AtMost => measured <= bound,
            Compare::Above => measured > bound,
            Compare::AtLeast => measured >= bound,
            Compare::Equal => measured == bound,
        }
    }

    /// A share needs as many samples as the quantile of its bound: ten that may be otherwise. Where none may, one that is otherwise says it. Fewer are enough where they break it
    /// already, whatever those that lack had been.
    fn enough(&self, (part, whole): (u64, u64)) -> Result<(), String> {
        let at_most = matches!(self.compare, Compare::Below | Compare::AtMost);
        let quantile = if at_most { 1.0 - self.bound } else { self.bound };
        if quantile >= 1.0 {
            return Ok(());
        }
        let needed = samples_needed(quantile);
        let Some(lacking) = needed.checked_sub(whole).filter(|lacking| *lacking > 0) else { return Ok(()) };
        let best = if at_most { part } else { part + lacking };
        if self.compare != Compare::Equal && !self.holds(best as f64 / needed as f64) {
            return Ok(());
        }
        Err(format!("{whole} samples, and this share needs {needed}"))
    }
}

impl FromStr for Require {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let how = || {
            format!(
                "{text:?} is not a requirement: write NAME<VALUE (or <=, >, >=, =), as in tick_p99<50ms or missing=0"
            )
        };
        let at = text.find(['<', '>', '=']).ok_or_else(how)?;
        let (name, rest) = text.split_at(at);
        let (compare, bound) = [
            ("<=", Compare::AtMost),
            (">=", Compare::AtLeast),
            ("==", Compare::Equal),
            ("<", Compare::Below),
            (">", Compare::Above),
            ("=", Compare::Equal),
        ]
        .into_iter()
        .find_map(|(sign, compare)| rest.strip_prefix(sign).map(|bound| (compare, bound)))
        .ok_or_else(how)?;
        let metric = Metric::named(name.trim())?;
        Ok(Self { text: text.to_owned(), metric, compare, bound: metric.bound(bound)? })
    }
}

impl fmt::Display for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::histogram;
    use crate::summary::Checked;

    /// A summary with so many ticks, each of 10 ms, half of them within the objective.
    fn summary(ticks: u64) -> Summary {
        let mut ages = histogram();
        ages.record_n(10_000, ticks).unwrap();
        let checked = Checked {
            deliveries: ticks + 5,
            aged: ticks,
            within_objective: Some(ticks / 2),
            tick_latency: Some(Distribution::new(ages)),
            ..Checked::default()
        };
        let counts = Counts { missing: 3, delivered: ticks, ..Counts::default() };
        let window = Some(Window { seconds: 2.0, deliveries: ticks, checked, ..Window::default() });
        Summary { counts, window, ..Summary::default() }
    }

    #[test]
    fn thresholds_hold_break_or_cannot_be_told() {
        let check = |text: &str, ticks, expect, said: &str| {
            let judged = text.parse::<Require>().unwrap().judge(&summary(ticks));
            assert_eq!((judged.verdict, judged.said.as_str()), (expect, said), "{text}");
        };
        check("tick_p99<50ms", 1_000, Held::Held, "10.01 ms");
        check("tick_p99 < 9500us", 1_000, Held::Broken, "10.01 ms");
        check("tick_p99<50ms", 999, Held::Inconclusive, "999 samples, and this quantile needs 1000");
        check("tick_p999<50ms", 1_000, Held::Inconclusive, "1000 samples, and this quantile needs 10000");
        check("tick_max>=1s", 1, Held::Broken, "10.01 ms");
        check("echo_p99<50ms", 1_000, Held::Inconclusive, "nothing was measured");
        check("missing=0", 10, Held::Broken, "3");
        check("missing<=3", 10, Held::Held, "3");
        check("duplicates=0", 10, Held::Held, "0");
        check("duplicates=0", 0, Held::Inconclusive, "nothing was checked");
        check("missing=0", 0, Held::Broken, "3");
        check("objective_share>=50%", 20, Held::Held, "50.000 %");
        check("objective_share>0.5", 20, Held::Broken, "50.000 %");
        check("opened_share>=1", 10, Held::Inconclusive, "there was none");
        check("deliveries_per_s>=5", 10, Held::Held, "5.0");
    }

    #[test]
    fn a_share_of_few_says_nothing_unless_it_is_broken_whatever_the_others_had_been() {
        let check = |text: &str, ticks, expect, said: &str| {
            let judged = text.parse::<Require>().unwrap().judge(&summary(ticks));
            assert_eq!((judged.verdict, judged.said.as_str()), (expect, said), "{text}");
        };
        check("objective_share>=50%", 19, Held::Inconclusive, "19 samples, and this share needs 20");
        check("objective_share>=0", 3, Held::Inconclusive, "3 samples, and this share needs 10");
        check("objective_share=50%", 10, Held::Inconclusive, "10 samples, and this share needs 20");
        // 10 of 10,000 may be late: 10 of 20 say nothing yet, and 11 of 22 say it.
        check("objective_share>=99.9%", 20, Held::Inconclusive, "20 samples, and this share needs 10000");
        check("objective_share>=99.9%", 22, Held::Broken, "50.000 %");
        // None may: one that is says it.
        check("objective_share>=100%", 2, Held::Broken, "50.000 %");
        check("objective_share<=1%", 20, Held::Inconclusive, "20 samples, and this share needs 1000");
        check("objective_share<=1%", 22, Held::Broken, "50.000 %");
        check("objective_share<=0", 2, Held::Broken, "50.000 %");
        let mut summary = summary(10);
        (summary.dials.opened, summary.dials.attempted) = (3, 3);
        let judged = |text: &str| text.parse::<Require>().unwrap().judge(&summary).verdict;
        assert_eq!((judged("opened_share>=99%"), judged("opened_share>=100%")), (Held::Inconclusive, Held::Held));
    }

    #[test]
    fn what_is_not_understood_is_answered_with_what_was_meant() {
        let check = |text: &str, word: &str| {
            let error = text.parse::<Require>().unwrap_err();
            assert!(error.contains(word), "{error}");
        };
        check("tick_p99", "write NAME<VALUE");
        check("tick_p95<5ms", "did you mean \"tick_p90\"?");
        check("mising=0", "did you mean \"missing\"?");
        check("q=0", "write a latency (tick,");
        check("tick_p99<5", "is not a time");
        check("objective_share>99", "is not a share");
        check("missing<x", "is not a number");
    }
}
