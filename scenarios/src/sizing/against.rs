//! Is it worse than before? By whole runs, never by messages: those of one run have its luck in common.

use capacity::compare::{self, Judgement};
use reports::capacity::{CapacityReport, Conditions, Regression, RegressionRow};
use wire::draw::Draws;

use super::model;

/// The least change that is worth talking about.
const MATTERS: f64 = 0.05;
/// Resamples of a bootstrap.
const RESAMPLES: u32 = 2_000;
/// Runs on each side, below which nothing is concluded.
const RUNS_MIN: usize = 3;

/// A figure, and whether more of it is better.
struct Figure {
    name: &'static str,
    more_is_better: bool,
    of: fn(&CapacityReport) -> Option<f64>,
}

const FIGURES: [Figure; 5] = [
    Figure { name: "connections that one instance holds", more_is_better: true, of: |one| found(one, "mixed") },
    Figure { name: "deliveries/s", more_is_better: true, of: |one| found(one, "rate") },
    Figure { name: "connections/s", more_is_better: true, of: |one| found(one, "connect") },
    Figure { name: "CPU a delivery at the capacity (us)", more_is_better: false, of: cpu_a_delivery },
    Figure { name: "memory a subscribed connection (bytes)", more_is_better: false, of: memory },
];

/// What was confirmed, and above which something failed: a search that was broken off stands on its own first steps, and those are the same for everybody; where
/// nothing failed, the greatest load that was tried is the generator's, or a limit of ours.
fn found(report: &CapacityReport, axis: &str) -> Option<f64> {
    model::knee(report.axis(axis)?)
}

fn cpu_a_delivery(report: &CapacityReport) -> Option<f64> {
    found(report, "mixed")?;
    let step = model::of_found(report.axis("mixed")?)?;
    let per_s = step.delivered as f64 / step.window_s;
    (per_s > 0.0).then_some(step.proxy?.cpu * 1e6 / per_s)
}

fn memory(report: &CapacityReport) -> Option<f64> {
    Some(report.memory.iter().find(|memory| memory.state == "subscribed")?.line?.slope)
}

/// Holds the reports of now against those of `before`, which is called so.
///
/// A figure that lacks runs on a side is inconclusive; two sides that are not alike are shown and nothing is concluded.
#[must_use]
pub fn against(name: &str, before: &[CapacityReport], now: &[CapacityReport]) -> Regression {
    let unlike = match (before.first(), now.first()) {
        (Some(before), Some(now)) => unlike(&before.conditions, &now.conditions),
        _ => vec!["there is nothing on one side".to_owned()],
    };
    let mut rows = Vec::new();
    let mut p_values = Vec::new();
    for Figure { name, more_is_better, of } in FIGURES {
        let of = |reports: &[CapacityReport]| reports.iter().filter_map(of).collect::<Vec<f64>>();
        let (before, now) = (of(before), of(now));
        if before.is_empty() || now.is_empty() {
            continue;
        }
        let compared = (before.len() >= RUNS_MIN && now.len() >= RUNS_MIN)
            .then(|| compare::compare(&before, &now, MATTERS, RESAMPLES, &mut Draws::new(1, name, 0)))
            .flatten();
        p_values.push(compared.map(|compared| compared.p));
        let judgement = match compared.map(|compared| compared.judgement) {
            None | Some(Judgement::Unclear) => "inconclusive",
            Some(Judgement::Same) => "same",
            Some(Judgement::Greater) if more_is_better => "better",
            Some(Judgement::Smaller) if !more_is_better => "better",
            Some(_) => "worse",
        };
        rows.push(RegressionRow {
            metric: name.to_owned(),
            before,
            now,
            shift: compared.map(|one| (one.relative_shift, (one.interval.low, one.interval.high))),
            p: None,
            judgement: if unlike.is_empty() { judgement } else { "inconclusive" }.to_owned(),
        });
    }
    let known: Vec<f64> = p_values.iter().flatten().copied().collect();
    let mut corrected = compare::holm(&known).into_iter();
    for (row, p) in rows.iter_mut().zip(&p_values) {
        row.p = p.and_then(|_| corrected.next());
    }
    Regression { before: name.to_owned(), unlike, rows }
}

/// What is not alike, a line each.
fn unlike(before: &Conditions, now: &Conditions) -> Vec<String> {
    let pairs = [
        ("processor", before.cpu.clone(), now.cpu.clone()),
        ("cores", before.cores.to_string(), now.cores.to_string()),
        ("kernel", before.kernel.clone(), now.kernel.clone()),
        ("profile", before.profile.clone(), now.profile.clone()),
        ("placement", before.placement.clone(), now.placement.clone()),
        ("mix", before.mix.clone(), now.mix.clone()),
        ("objective", before.objective_us.to_string(), now.objective_us.to_string()),
        ("goodput", before.goodput_min.to_string(), now.goodput_min.to_string()),
    ];
    let differ = pairs.into_iter().filter(|(_, before, now)| before != now);
    differ.map(|(what, before, now)| format!("{what}: {before} before, {now} now")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use reports::capacity::{Axis, Found};
    use reports::record::Outcome;

    use super::super::sentence::FOUND;

    use super::*;

    pub(in crate::sizing) fn report(holds: f64) -> CapacityReport {
        let axis = Axis {
            name: "mixed".into(),
            what: String::new(),
            unit: "connections".into(),
            steps: Vec::new(),
            found: Some(Found { load: holds, fails_at: Some(holds * 1.05), confirmations: 2, confirmed: true }),
            end: FOUND.into(),
            binds: None,
        };
        let conditions = Conditions { profile: "sim".into(), cpu: "one".into(), cores: 2, ..Conditions::default() };
        CapacityReport { outcome: Outcome::Pass, axes: vec![axis], ..CapacityReport::new(conditions) }
    }

    fn reports(holds: &[f64]) -> Vec<CapacityReport> {
        holds.iter().map(|holds| report(*holds)).collect()
    }

    fn judged(before: &[f64], now: &[f64]) -> String {
        against("x", &reports(before), &reports(now)).rows[0].judgement.clone()
    }

    #[test]
    fn what_is_worse_by_more_than_matters_is_told_from_noise_and_from_too_few_runs() {
        let before = [10_000.0, 10_100.0, 9_900.0, 10_050.0, 9_950.0];
        assert_eq!(judged(&before, &[8_000.0, 8_100.0, 7_900.0, 8_050.0, 7_950.0]), "worse");
        assert_eq!(judged(&before, &[12_000.0, 12_100.0, 11_900.0, 12_050.0, 11_950.0]), "better");
        assert_eq!(judged(&before, &[10_020.0, 10_080.0, 9_920.0, 10_030.0, 9_970.0]), "same");
        assert_eq!(judged(&before, &[8_000.0, 12_000.0, 9_000.0, 11_000.0, 10_000.0]), "inconclusive");
        assert_eq!(judged(&before[..2], &[8_000.0, 8_100.0]), "inconclusive");
    }

    #[test]
    fn searches_that_were_broken_off_or_met_no_end_are_not_compared() {
        let changed = |change: fn(&mut Axis)| {
            let mut changed = reports(&[8_000.0, 8_000.0, 8_000.0]);
            changed.iter_mut().flat_map(|one| &mut one.axes).for_each(change);
            against("x", &changed, &changed).rows.len()
        };
        assert_eq!(changed(|axis| axis.found = axis.found.map(|found| Found { confirmed: false, ..found })), 0);
        assert_eq!(changed(|axis| axis.found = axis.found.map(|found| Found { fails_at: None, ..found })), 0);
        assert_eq!(changed(|axis| axis.end = "the generator gave out".into()), 0);
        assert_eq!(changed(|_| {}), 1);
    }

    #[test]
    fn nothing_is_concluded_from_two_machines() {
        let before = reports(&[10_000.0, 10_100.0, 9_900.0]);
        let mut now = reports(&[5_000.0, 5_100.0, 4_900.0]);
        for one in &mut now {
            one.conditions.cpu = "another".into();
        }
        let regression = against("x", &before, &now);
        assert_eq!(regression.unlike, ["processor: one before, another now"]);
        assert_eq!(regression.rows[0].judgement, "inconclusive");
    }
}
