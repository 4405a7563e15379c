//! Figures against figures.

use std::collections::BTreeMap;

use reports::gate::{Change, Difference};

use super::rules::{Better, Rules};

/// Holds figures against earlier ones: how many metrics there are, and each that differs, the worst first. A part of a figure (`drops.overflow`) that is not
/// there is 0. One that was measured and is not any more is worse, if either way is better: nothing can be said for it.
#[must_use]
pub fn compare(before: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>, rules: &Rules) -> (u64, Vec<Difference>) {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let mut found: Vec<(f64, Difference)> = names
        .iter()
        .filter_map(|name| {
            let of = |figures: &BTreeMap<String, f64>| {
                figures.get(*name).copied().or_else(|| name.contains('.').then_some(0.0))
            };
            judge(name, of(before), of(now), rules)
        })
        .collect();
    found.sort_by(|(a, one), (b, two)| {
        one.change.cmp(&two.change).then(b.total_cmp(a)).then_with(|| one.metric.cmp(&two.metric))
    });
    (names.len() as u64, found.into_iter().map(|(_, difference)| difference).collect())
}

/// The difference of one metric, and how great it is: as a multiple of what is tolerated, or of what it was.
fn judge(metric: &str, before: Option<f64>, now: Option<f64>, rules: &Rules) -> Option<(f64, Difference)> {
    /// Two sums of the same floating-point numbers in other orders are the same.
    const EQUAL: f64 = 1e-9;
    let rule = rules.of(metric);
    let tolerance = rule.tolerance.in_force(rule.better, before.unwrap_or_default());
    let difference = |change| Difference { metric: metric.to_owned(), before, now, change, tolerance };
    let (Some(was), Some(is)) = (before, now) else {
        let change = if now.is_none() && rule.better != Better::Neither { Change::Worse } else { Change::Other };
        return Some((f64::INFINITY, difference(change)));
    };
    let delta = is - was;
    if delta.abs() <= EQUAL * was.abs().max(1.0) {
        return None;
    }
    let relative = (delta / was).abs();
    if metric.starts_with("wall_") {
        return Some((relative, difference(Change::Advisory)));
    }
    let worse_by = match rule.better {
        Better::Lower => delta,
        Better::Higher => -delta,
        Better::Neither => return Some((relative, difference(Change::Other))),
    };
    if worse_by < 0.0 {
        return Some((relative, difference(Change::Better)));
    }
    let allowed = rule.tolerance.allowed(was);
    let change = if worse_by > allowed + EQUAL { Change::Worse } else { Change::Tolerated };
    Some((if allowed > 0.0 { worse_by / allowed } else { f64::INFINITY }, difference(change)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figures(figures: &[(&str, f64)]) -> BTreeMap<String, f64> {
        figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    fn check(before: &[(&str, f64)], now: &[(&str, f64)], expect: &[(&str, Change)]) {
        let (_, found) = compare(&figures(before), &figures(now), &Rules::default());
        let found: Vec<(&str, Change)> = found.iter().map(|found| (found.metric.as_str(), found.change)).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn every_difference_is_found_and_the_worst_comes_first() {
        check(
            &[
                ("failover_outage_us_p50", 1_000_000.0),
                ("latency_us_p50", 1_000.0),
                ("latency_us_p99", 10_000.0),
                ("deliveries", 5_000.0),
                ("source_sends", 70.0),
                ("closed", 0.0),
                ("jain_latency_min", 0.9),
            ],
            &[
                ("failover_outage_us_p50", 1_200_000.0),
                ("latency_us_p50", 1_090.0),
                ("latency_us_p99", 9_000.0),
                ("deliveries", 4_000.0),
                ("source_sends", 71.0),
                ("closed", 0.0),
                ("jain_latency_min", 0.95),
            ],
            &[
                ("deliveries", Change::Worse),
                ("failover_outage_us_p50", Change::Worse),
                ("latency_us_p50", Change::Tolerated),
                ("source_sends", Change::Other),
                ("latency_us_p99", Change::Better),
                ("jain_latency_min", Change::Better),
            ],
        );
    }

    #[test]
    fn a_tolerance_is_to_be_passed_not_reached() {
        check(
            &[("latency_us_p50", 10_000.0)],
            &[("latency_us_p50", 10_500.0)],
            &[("latency_us_p50", Change::Tolerated)],
        );
        check(&[("latency_us_p50", 10_000.0)], &[("latency_us_p50", 10_501.0)], &[("latency_us_p50", Change::Worse)]);
        check(&[("garbled", 0.0)], &[("garbled", 1.0)], &[("garbled", Change::Worse)]);
    }

    #[test]
    fn what_is_not_measured_any_more_is_worse_and_what_is_new_is_not() {
        check(
            &[("latency_us_p50", 1.0), ("run_us", 1.0), ("drops.slow", 3.0)],
            &[("echo_us_p50", 1.0), ("drops.overflow", 2.0)],
            &[
                ("latency_us_p50", Change::Worse),
                ("drops.overflow", Change::Other),
                ("echo_us_p50", Change::Other),
                ("run_us", Change::Other),
                ("drops.slow", Change::Other),
            ],
        );
    }

    #[test]
    fn what_the_wall_shows_is_never_a_verdict() {
        check(&[("wall_seconds", 1.0)], &[("wall_seconds", 100.0)], &[("wall_seconds", Change::Advisory)]);
    }

    proptest! {
        #[test]
        fn the_same_figures_differ_in_nothing(values in proptest::collection::btree_map("[a-z_]{1,20}", 0.0_f64..1e12, 0..40)) {
            let (metrics, found) = compare(&values, &values, &Rules::default());
            prop_assert_eq!(metrics, values.len() as u64);
            prop_assert!(found.is_empty());
        }

        #[test]
        fn what_is_worse_one_way_is_better_the_other(before in 0.0_f64..1e9, now in 0.0_f64..1e9) {
            let (one, two) = (figures(&[("latency_us_max", before)]), figures(&[("latency_us_max", now)]));
            let worse = |found: Vec<Difference>| found.iter().any(|found| matches!(found.change, Change::Worse | Change::Tolerated));
            let there = worse(compare(&one, &two, &Rules::default()).1);
            let back = worse(compare(&two, &one, &Rules::default()).1);
            prop_assert!(!(there && back));
        }
    }
}
