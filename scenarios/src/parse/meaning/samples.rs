//! Whether the planned load can give what is asked of it: samples for a quantile, checks, messages.

use super::Rules;
use super::load::{arrived_us, deliveries, per_s};
use super::rates::{each, shares};
use crate::check::{DeliveryLatency, FromPhase};
use crate::model::{Clients, Reader, Scenario, SourceMode, State};

/// Samples beyond a quantile, without which it is a matter of chance.
const BEYOND: f64 = 10.0;

/// What snapshots, replays and new sessions may add to the planned messages.
const MORE: f64 = 2.0;

pub(super) fn check(rules: &mut Rules<'_>) {
    let check = &rules.scenario.check;
    let (delivery, isolation) = (check.delivery_latency, check.isolation);
    if let Some(bound) = delivery {
        quantile(rules, "delivery-latency", bound, &|_| true);
    }
    if let Some(bound) = isolation {
        quantile(rules, "isolation", bound, &|group| group.reader == Reader::Full);
    }
    symbols(rules);
    counts(rules);
}

fn quantile(rules: &mut Rules<'_>, name: &'static str, bound: DeliveryLatency, counts: &dyn Fn(&Clients) -> bool) {
    let scenario = rules.scenario;
    let groups: Vec<&Clients> = scenario.clients.iter().filter(|group| counts(group)).collect();
    if groups.is_empty() {
        // That is said of the objective as a whole.
        return;
    }
    let planned: f64 = groups.iter().map(|group| samples(scenario, group, bound.from_phase)).sum();
    let q = bound.quantile.get();
    let needed = if q < 1.0 { (BEYOND / (1.0 - q)).round() } else { 1.0 };
    let at = |key: &'static str| ["check".into(), name.into(), key.into()];
    if planned < needed {
        let message = format!("the quantile {q} takes {needed:.0} samples, and the load gives about {planned:.0}");
        rules.wrong_but(&at("quantile"), message, "more clients or symbols, a longer steady, or a lower quantile");
    } else if bound.samples_min as f64 > planned {
        let message = format!("{name}.samples-min is {}, and the load gives about {planned:.0}", bound.samples_min);
        rules.wrong_but(&at("samples-min"), message, format!("{:.0} and some room below it", planned * 0.9));
    }
}

/// Whether enough symbols have enough samples to be compared.
fn symbols(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let Some(bound) = scenario.check.symbol_fairness.filter(|_| scenario.sources.mode != SourceMode::Echo) else {
        return;
    };
    let mut planned = vec![0.0; scenario.sources.symbols as usize];
    for group in scenario.clients.iter().filter(|group| group.reader == Reader::Full) {
        let clients_s = f64::from(group.count) * there_s(scenario, group, FromPhase::Steady);
        let shares = shares(&scenario.sources, &group.subscriptions);
        for ((planned, share), rate) in planned.iter_mut().zip(shares).zip(each(&scenario.sources)) {
            *planned += clients_s * share * rate;
        }
    }
    let at = |key: &'static str| ["check".into(), "symbol-fairness".into(), key.into()];
    let enough = planned.iter().filter(|planned| **planned >= bound.samples_min as f64).count();
    let most = planned.iter().copied().fold(0.0, f64::max);
    if enough < 2 {
        let message = format!(
            "symbol-fairness.samples-min is {}, and the load gives {enough} symbols as many: about {most:.0} of the most wanted one",
            bound.samples_min
        );
        rules.wrong_but(&at("samples-min"), message, "fewer samples, more clients, or a longer steady");
    } else if bound.checked_min > enough as u64 {
        let message = format!(
            "symbol-fairness.checked-min is {}, and the load gives {enough} symbols {} samples",
            bound.checked_min, bound.samples_min
        );
        rules.wrong_but(&at("checked-min"), message, "a lower floor, or a lower samples-min");
    }
}

/// Live messages that a group is planned to get from a phase on.
fn samples(scenario: &Scenario, group: &Clients, from: FromPhase) -> f64 {
    f64::from(group.count) * per_s(scenario, group) * there_s(scenario, group, from)
}

/// How long each client of a group is there from a phase on, in seconds.
fn there_s(scenario: &Scenario, group: &Clients, from: FromPhase) -> f64 {
    let steady_us = scenario.warmup.as_micros();
    let recovery_us = steady_us.saturating_add(scenario.steady.as_micros());
    let end_us = recovery_us.saturating_add(scenario.recovery.as_micros());
    let from_us = match from {
        FromPhase::Warmup => 0,
        FromPhase::Steady => steady_us,
        FromPhase::Recovery => recovery_us,
    };
    let leaves_us = group.load.stay().map_or(end_us, |stay| arrived_us(group).saturating_add(stay.as_micros()));
    leaves_us.min(end_us).saturating_sub(from_us.max(group.start.as_micros())) as f64 / 1e6
}

/// Floors of what happens once a message.
fn counts(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let planned = deliveries(scenario);
    let most = planned * MORE + 1_000.0;
    let check = &scenario.check;
    let plain = |plain: Option<crate::check::Plain>| plain.map_or(0, |plain| plain.checked_min);
    for (name, floor) in [
        ("symbol-order", plain(check.symbol_order)),
        ("no-duplicates", plain(check.no_duplicates)),
        ("no-silent-gap", plain(check.no_silent_gap)),
        ("no-leakage", plain(check.no_leakage)),
        ("payload-intact", plain(check.payload_intact)),
        ("staleness", check.staleness.map_or(0, |bound| bound.checked_min)),
    ] {
        if floor as f64 > most {
            let message = format!("{name}.checked-min is {floor}, and the load gives about {planned:.0} messages");
            rules.wrong_but(&["check".into(), name.into(), "checked-min".into()], message, "a floor below that");
        }
    }
    for (index, reach) in scenario.reach.iter().enumerate() {
        if reach.state == Some(State::Delivered) && reach.at_least as f64 > most {
            let message = format!(
                "state \"delivered\" cannot be reached {} times: the load gives about {planned:.0} messages",
                reach.at_least
            );
            rules.wrong(&["reach".into(), index.into(), "at-least".into()], message);
        }
    }
}
