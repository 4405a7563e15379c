//! A summary as the page and the table show it: names, words, and only the quantiles that there are samples for.

use hdrhistogram::Histogram;
use reports::load::{Distribution as Drawn, Load, Phase, Second};
use reports::record::Outcome;
use wire::event::Side;

use super::verdict::{Finding, Verdict};
use crate::config::Config;
use crate::distribution::{Distribution, samples_needed};
use crate::health::{Bounds, judged};
use crate::require::Held;
use crate::summary::Summary;

/// The phases in the order in which a session goes through them.
pub(super) fn phases(summary: &Summary) -> Vec<Phase> {
    let (phases, window) = (&summary.phases, summary.window.as_ref());
    let echo = window.and_then(|window| window.echo.as_ref());
    let published = window.and_then(|window| window.published.as_ref());
    let list: [(&str, &str, Option<&Distribution>); 13] = [
        ("lookup", "the target's name", phases.lookup.as_ref()),
        ("tcp", "from SYN to connection", phases.tcp.as_ref()),
        ("tls", "the TLS handshake", phases.tls.as_ref()),
        ("upgrade", "from the handshake's request to its answer", phases.upgrade.as_ref()),
        ("connect", "from the planned arrival to the open session", phases.connect.as_ref()),
        ("first message", "from the open session to its first tick or answer", phases.first_message.as_ref()),
        (
            "tick age",
            "window: from a tick's due time (whole ms) to its delivery",
            window.and_then(|it| it.checked.tick_latency.as_ref()),
        ),
        ("gap", "window: between two messages of a session", window.and_then(|it| it.gap.as_ref())),
        ("echo", "window: from the planned instant (corrected)", echo.and_then(|echo| echo.corrected.as_ref())),
        ("echo, sent", "window: from the sending (uncorrected)", echo.and_then(|echo| echo.uncorrected.as_ref())),
        (
            "publication",
            "window: from a message's planned instant to a subscriber (corrected)",
            published.and_then(|it| it.corrected.as_ref()),
        ),
        (
            "publ., sent",
            "window: from a message's sending to a subscriber (uncorrected)",
            published.and_then(|it| it.uncorrected.as_ref()),
        ),
        ("reconnect", "from a loss to the first message again", phases.reconnect.as_ref()),
    ];
    let shown = list.into_iter().filter_map(|(name, meaning, distribution)| Some((name, meaning, distribution?)));
    shown
        .map(|(name, meaning, distribution)| Phase {
            name: name.to_owned(),
            meaning: meaning.to_owned(),
            count: distribution.quantiles.count,
            ms: supported(distribution),
        })
        .collect()
}

/// p50, p90, p99, p99.9 and the greatest, in milliseconds.
fn supported(distribution: &Distribution) -> [Option<f64>; 5] {
    let ms = |us: u64| us as f64 / 1_000.0;
    let at = |quantile| {
        let enough = distribution.quantiles.count >= samples_needed(quantile);
        enough.then(|| ms(distribution.histogram.value_at_quantile(quantile)))
    };
    [at(0.5), at(0.9), at(0.99), at(0.999), Some(ms(distribution.quantiles.max_us))]
}

/// The curve of a distribution: one sample in N is slower, for N from 1 to as many as there are samples for.
fn curve(label: &str, histogram: &Histogram<u64>) -> Drawn {
    let most = histogram.len() as f64 / 10.0;
    // Twenty points a decade.
    let points = (0..140).map(|step| 10_f64.powf(f64::from(step) / 20.0)).take_while(|n| *n <= most);
    let at = |n: f64| histogram.value_at_quantile(1.0 - 1.0 / n) as f64 / 1_000.0;
    Drawn { label: label.to_owned(), points: points.map(|n| (n, at(n))).collect() }
}

pub(super) fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Passed => Outcome::Pass,
        Verdict::Failed => Outcome::Fail,
        Verdict::Inconclusive => Outcome::Inconclusive,
    }
}

/// How the generator fared: what, measured, and what is healthy.
pub(super) fn health(summary: &Summary, bounds: Bounds) -> Vec<(String, String, String)> {
    let Some(health) = &summary.health else { return Vec::new() };
    let row = |name: &str, value: String, bound: String| (name.to_owned(), value, bound);
    let mut rows = Vec::new();
    if let Some(share) = health.cpu_share {
        let threads = if health.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", health.threads) };
        let most = format!("at most {:.0} %", bounds.cpu_share_max * 100.0);
        rows.push(row("CPU in the window", format!("{:.1} % of {threads}", share * 100.0), most));
    }
    for (name, lateness) in [
        ("timers late", health.timer_lateness),
        ("requests sent late", health.send_lateness),
        ("dials begun late", health.dial_lateness),
    ] {
        if let Some(late) = lateness {
            let ms = |us: u64| us as f64 / 1_000.0;
            let (us, word) = judged(&late);
            let value = format!("{word} {:.2} ms, greatest {:.2} ms", ms(us), ms(late.max_us));
            rows.push(row(
                name,
                value,
                format!("{word} at most {:.1} ms", bounds.lateness_p99_max.as_secs_f64() * 1e3),
            ));
        }
    }
    rows.push(row("dials never begun", health.dials_dropped.to_string(), "0".to_owned()));
    rows.push(row("requests left out", health.sends_dropped.to_string(), "0".to_owned()));
    rows
}

/// The page's data.
pub(super) fn load(
    summary: &Summary,
    finding: &Finding,
    config: &Config,
    bounds: Bounds,
    command: &str,
    seconds: Vec<Second>,
    window: Option<(f64, f64)>,
) -> Load {
    let say = |name: &str, value: String| (name.to_owned(), value);
    let share = |part: u64, whole: u64| format!("{part} of {whole}");
    let checking = summary.window.as_ref().map_or(0, |window| window.checked.clients);
    let mut conditions = vec![
        say("command", command.to_owned()),
        say("targets", config.targets.join(", ")),
        say("clients", summary.clients.to_string()),
        say("clients that check what they read", share(checking, summary.clients)),
        say("arrival", config.load.arrival().to_string()),
        say("warm-up", format!("{:.1} s", config.warm_up.as_secs_f64())),
    ];
    if let Some(window) = &summary.window {
        conditions.push(say("measured window", format!("{:.1} s", window.seconds)));
    }
    if let Some(objective) = config.objective {
        conditions.push(say("objective", format!("{:.1} ms", objective.as_secs_f64() * 1e3)));
    }
    if let Some(publishers) = &config.publishers {
        conditions.push(say("clients that publish", share(u64::from(publishers.count), summary.clients)));
        conditions.push(say("time to settle", format!("{:.1} s", publishers.settle.as_secs_f64())));
    }
    if !config.source_addresses.is_empty() {
        let all: Vec<String> = config.source_addresses.iter().map(ToString::to_string).collect();
        conditions.push(say("connects from", all.join(", ")));
    }
    let dials = &summary.dials;
    let counts = [
        ("dials", dials.attempted),
        ("sessions opened", dials.opened),
        ("dials refused", dials.refused),
        ("dials reset", dials.reset),
        ("dials closed during the handshake", dials.closed),
        ("dials without an answer in time", dials.timed_out),
        ("dials without TLS", dials.tls_failed),
        ("dials answered with no upgrade", dials.upgrade_failed),
        ("dials without a port", dials.no_port),
        ("dials without a descriptor", dials.no_descriptor),
        ("ticks checked", summary.delivered),
        ("messages counted only", summary.drained),
        ("missing", summary.missing),
        ("stamps missing without notice", summary.unannounced),
        ("duplicates", summary.duplicates),
        ("out of order", summary.out_of_order),
        ("garbled", summary.garbled),
        ("requests sent", summary.requests),
        ("requests answered", summary.echoes),
        ("requests unanswered", summary.unanswered),
        ("requests never sent", summary.requests_unsent + summary.requests_skipped),
        ("messages published", summary.publications),
        ("messages planned and not published for want of a session", summary.publications_missed),
        ("publishers whose messages did not come back", summary.publications_unreturned),
        ("subscribers that check", summary.published.as_ref().map_or(0, |it| it.subscribers)),
        ("subscribers of whom it is known what they are owed", summary.published.as_ref().map_or(0, |it| it.settled)),
        ("deliveries owed to subscribers that check", summary.published.as_ref().map_or(0, |it| it.owed)),
        ("deliveries to subscribers that check", summary.heard),
        ("messages of other runs", summary.foreign),
        ("messages without a publication", summary.unrelated),
    ];
    let always = ["dials", "sessions opened", "missing", "duplicates", "out of order", "garbled"];
    let counts = counts.into_iter().filter(|(name, count)| *count > 0 || always.contains(name));
    let mut counts: Vec<(String, String)> = counts.map(|(name, count)| say(name, count.to_string())).collect();
    if let Some(window) = &summary.window {
        counts.push(say("deliveries in the window", window.deliveries.to_string()));
        counts.push(say(
            "deliveries per second in the window",
            format!("{:.1}", window.deliveries as f64 / window.seconds),
        ));
        if let Some(within) = window.checked.within_objective {
            counts.push(say("ticks checked within the objective", share(within, window.checked.aged)));
        }
    }
    let closes = summary.closes.iter().map(|closes| {
        let by = if closes.by == Side::Own { "us" } else { "the target" };
        let code = closes.code.map_or_else(String::new, |code| format!("{code} ")) + closes.word();
        (by.to_owned(), code, closes.count)
    });
    let echo = summary.window.as_ref().and_then(|window| window.echo.as_ref());
    let drawn = [
        ("tick age", summary.window.as_ref().and_then(|window| window.checked.tick_latency.as_ref())),
        ("echo, corrected", echo.and_then(|echo| echo.corrected.as_ref())),
        ("echo, uncorrected", echo.and_then(|echo| echo.uncorrected.as_ref())),
        (
            "publication, corrected",
            summary.window.as_ref().and_then(|it| it.published.as_ref()).and_then(|it| it.corrected.as_ref()),
        ),
        (
            "publication, uncorrected",
            summary.window.as_ref().and_then(|it| it.published.as_ref()).and_then(|it| it.uncorrected.as_ref()),
        ),
        ("connect", summary.phases.connect.as_ref()),
    ];
    let requirements = summary.requirements.iter().map(|requirement| {
        let held = match requirement.verdict {
            Held::Held => Outcome::Pass,
            Held::Broken => Outcome::Fail,
            Held::Inconclusive => Outcome::Inconclusive,
        };
        (requirement.text.clone(), held, requirement.said.clone())
    });
    Load {
        title: config.targets.first().cloned().unwrap_or_default(),
        verdict: outcome(finding.verdict),
        sentence: finding.sentence.clone(),
        reasons: summary.health.as_ref().map(|health| health.reasons.clone()).unwrap_or_default(),
        conditions,
        health: health(summary, bounds),
        requirements: requirements.collect(),
        phases: phases(summary),
        counts,
        closes: closes.collect(),
        distributions: drawn
            .into_iter()
            .filter_map(|(label, distribution)| Some(curve(label, &distribution?.histogram)))
            .filter(|drawn| drawn.points.len() > 1)
            .collect(),
        seconds,
        window,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::Quantiles;
    use crate::health::{Facts, Health};

    #[test]
    fn the_lateness_that_is_shown_is_the_one_that_is_judged() {
        let late = |count| Quantiles { count, p90_us: 9_000, p99_us: 11_000, max_us: 12_000, ..Quantiles::default() };
        let check = |count, expect: &str| {
            let facts = Facts { timers: late(count), ..Facts::default() };
            let summary = Summary { health: Some(Health::judge(&facts, Bounds::of(None))), ..Summary::default() };
            let rows = health(&summary, Bounds::of(None));
            assert_eq!((rows[0].1.as_str(), summary.health.unwrap().is_healthy()), (expect, count < 1_000));
        };
        check(999, "p90 9.00 ms, greatest 12.00 ms");
        check(1_000, "p99 11.00 ms, greatest 12.00 ms");
    }

    #[test]
    fn only_quantiles_with_samples_enough_are_shown() {
        let mut histogram = crate::measure::histogram();
        histogram.record_n(2_000, 999).unwrap();
        let distribution = Distribution::new(histogram.clone());
        assert!(matches!(supported(&distribution), [Some(_), Some(_), None, None, Some(_)]));
        let drawn = curve("x", &histogram);
        assert!(drawn.points.first() == Some(&(1.0, 2.0)) && drawn.points.last().unwrap().0 < 100.0, "{drawn:?}");
    }
}
