//! Figures against figures.

use std::collections::BTreeMap;

use reports::gate::{Change, Difference};

use super::rules::{Better, Rules};

/// Holds figures against earlier ones: how many metrics there are, and each that differs, the worst first. A part of a figure (`drops.overflow`) that is not
/// there is 0. One that was measured and is not any more is worse, if either way is better: nothing can be said for it. But quantiles come and go with the number
/// of samples: one is compared only where both sides have it. What a failover or a recovery takes is held against 0 where there was none before.
#[must_use]
pub fn compare(before: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>, rules: &Rules) -> (u64, Vec<Difference>) {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let mut found: Vec<(f64, Difference)> = names
        .iter()
        .filter_map(|name| {
            let of = |figures: &BTreeMap<String, f64>| {
                figures.get(*name).copied().or_else(|| name.contains('.').then_some(0.0))
            };
            judge(name, of(before), of(now), appears(name, before), rules)
        })
        .collect();
    found.sort_by(|(a, one), (b, two)| {
        one.change.cmp(&two.change).then(b.total_cmp(a)).then_with(|| one.metric.cmp(&two.metric))
    });
    (names.len() as u64, found.into_iter().map(|(_, difference)| difference).collect())
}

/// What a figure of a histogram is of: `failover_outage_us_` of `failover_outage_us_p50`.
fn histogram(metric: &str) -> Option<&str> {
    ["p50", "p90", "p99", "p999", "max"]
        .into_iter()
        .find_map(|of| metric.strip_suffix(of))
        .filter(|it| it.ends_with("_us_"))
}

/// Whether a metric is one of a failover or a recovery of which nothing was there before.
fn appears(metric: &str, before: &BTreeMap<String, f64>) -> bool {
    let of = histogram(metric).unwrap_or(metric);
    (metric.starts_with("failover_") || metric.starts_with("recovery_"))
        && !before.keys().any(|name| name.starts_with(of))
}

/// The difference of one metric, and how great it is: as a multiple of what is tolerated, or of what it was.
fn judge(
    metric: &str,
    before: Option<f64>,
    now: Option<f64>,
    appears: bool,
    rules: &Rules,
) -> Option<(f64, Difference)> {
    /// Two sums of the same floating-point numbers in other orders are the same.
    const EQUAL: f64 = 1e-9;
    let rule = rules.of(metric);
    let tolerance = rule.tolerance.in_force(rule.better, before.unwrap_or_default());
    let difference = |change| Difference { metric: metric.to_owned(), before, now, change, tolerance };
    let (Some(was), Some(is)) = (before, now) else {
        let gone = now.is_none() && rule.better != Better::Neither && histogram(metric).is_none();
        let past = |is: f64| is > rule.tolerance.allowed(0.0) + EQUAL;
        let change = match now {
            _ if gone => Change::Worse,
            Some(is) if appears && rule.better == Better::Lower && is > 0.0 => {
                if past(is) {
                    Change::Worse
                } else {
                    Change::Tolerated
                }
            }
            _ => Change::Other,
        };
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
            &[("jain_latency_min", 1.0), ("run_us", 1.0), ("drops.slow", 3.0)],
            &[("echo_us_p50", 1.0), ("drops.overflow", 2.0)],
            &[
                ("jain_latency_min", Change::Worse),
                ("drops.overflow", Change::Other),
                ("echo_us_p50", Change::Other),
                ("run_us", Change::Other),
                ("drops.slow", Change::Other),
            ],
        );
    }

    #[test]
    fn a_quantile_that_has_too_few_samples_now_or_had_before_says_nothing() {
        let three = [("failovers", 3.0), ("failover_outage_us_p50", 9e5), ("failover_outage_us_max", 1e6)];
        check(
            &three,
            &[("failovers", 0.0)],
            &[
                ("failover_outage_us_max", Change::Other),
                ("failover_outage_us_p50", Change::Other),
                ("failovers", Change::Better),
            ],
        );
        let many = [three[1], three[2], ("failover_outage_us_p90", 9e5)];
        check(&many, &many[..2], &[("failover_outage_us_p90", Change::Other)]);
        check(&many[..2], &many, &[("failover_outage_us_p90", Change::Other)]);
    }

    #[test]
    fn the_first_failover_is_held_against_none() {
        check(
            &[("failovers", 0.0)],
            &[("failovers", 1.0), ("failover_outage_us_max", 3e7), ("failover_silence_us_max", 1_000.0)],
            &[
                ("failover_outage_us_max", Change::Worse),
                ("failover_silence_us_max", Change::Tolerated),
                ("failovers", Change::Tolerated),
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
