//! Pictures of forecasts, as SVG, and the figures that they show.

use reports::chart::{Plane, Series, plane};

use super::knee::Prediction;
use super::storm::{Storm, Storms};
use super::window::Window;

/// Points of a line at most, beyond its ends.
const POINTS_MAX: usize = 400;

/// The share of seeds in which all were back by each time, and 99 of 100.
#[must_use]
pub fn recovery_data(storms: &Storms) -> Vec<Series> {
    let share = |label: &str, of: fn(&Storm) -> Option<f64>| {
        let mut times: Vec<f64> = storms.runs.iter().filter_map(of).collect();
        times.sort_by(f64::total_cmp);
        let seeds = storms.runs.len().max(1) as f64;
        let points = times.iter().enumerate().map(|(place, at)| (*at, (place + 1) as f64 / seeds * 100.0));
        Series { label: label.to_owned(), points: std::iter::once((0.0, 0.0)).chain(points).collect(), steps: true }
    };
    vec![share("99 of 100 back", |run| run.back_99_s), share("all back", |run| run.back_s)]
}

/// How long the clients of a lost instance were away, over the seeds.
#[must_use]
pub fn recovery(storms: &Storms) -> String {
    let mark = |at: Option<f64>, label: &str| at.map(|at| (at, format!("{label} {at:.2} s")));
    let back = &storms.back_s;
    let marks = [mark(back.median, "median"), mark(back.p99, "p99"), mark(back.worst, "worst")];
    let title = format!("Until the clients of a lost instance are back, {} seeds", back.seeds);
    let describe = format!("{title}: the share of seeds by time from the loss; {}", super::words::verdict(storms));
    plane(
        &Plane {
            title: &title,
            describe: &describe,
            x_label: "time from the loss (s)",
            y_label: "seeds (%)",
            marks: marks.into_iter().flatten().collect(),
            bound: None,
        },
        &recovery_data(storms),
    )
}

/// Real clients that have messages, over the time from the loss, in the median and in the worst run.
#[must_use]
pub fn connections_data(storms: &Storms) -> Vec<Series> {
    let run = |seed: u64, label: &str| {
        let run = storms.runs.iter().find(|run| run.seed == seed)?;
        let (all, each) = (f64::from(storms.fleet.clients), storms.population.each);
        let after = &run.aftermath;
        let away = |back: usize| all - (f64::from(after.lost) - back as f64) * each;
        let end = after.watched_us.min(after.back_us.last().map_or(u64::MAX, |last| last + last / 20));
        let every = after.back_us.len().div_ceil(POINTS_MAX).max(1);
        let last = after.back_us.len().saturating_sub(1);
        let back = after.back_us.iter().enumerate().filter(|(place, _)| place % every == 0 || *place == last);
        let points = [(0.0, away(0))]
            .into_iter()
            .chain(back.map(|(place, at)| (*at as f64 / 1e6, away(place + 1))))
            .chain([(end as f64 / 1e6, away(after.back_us.len()))]);
        Some(Series { label: format!("{label} (seed {seed})"), points: points.collect(), steps: true })
    };
    [run(storms.median_seed, "median"), run(storms.back_s.worst_seed, "worst")].into_iter().flatten().collect()
}

/// How the clients of a lost instance come back.
#[must_use]
pub fn connections(storms: &Storms) -> String {
    let title = "Clients with messages after the loss of an instance";
    let describe = format!("{title}, of {} in all, over the time from the loss", storms.fleet.clients);
    plane(
        &Plane {
            title,
            describe: &describe,
            x_label: "time from the loss (s)",
            y_label: "clients",
            marks: Vec::new(),
            bound: Some((f64::from(storms.fleet.clients), "all".to_owned())),
        },
        &connections_data(storms),
    )
}

/// The worst of each window's seeds, in seconds: dial to session, all back, age for the others.
#[must_use]
pub fn window_data(window: &Window) -> Vec<Series> {
    let mut tried: Vec<_> = window.tried.iter().collect();
    // Of one window the row with most seeds.
    tried.sort_by(|one, next| one.jitter_s.total_cmp(&next.jitter_s).then(next.seeds.cmp(&one.seeds)));
    tried.dedup_by(|next, one| next.jitter_s == one.jitter_s);
    let line = |label: &str, of: fn(&super::Tried) -> Option<f64>| Series {
        label: label.to_owned(),
        points: tried.iter().filter_map(|tried| Some((tried.jitter_s, of(tried)?))).collect(),
        steps: false,
    };
    vec![
        line("all back", |tried| tried.back_s),
        line("dial to session, p99", |tried| tried.connect_p99_s),
        line("age for the others, p99", |tried| tried.untouched_p99_s),
    ]
}

/// What each window that was tried came to.
#[must_use]
pub fn window(window: &Window) -> String {
    let title = "The window in which clients come again: the worst of the seeds";
    let mark = window.smallest_s.map(|at| (at, format!("smallest that holds {at:.2} s")));
    let describe = format!("{title}, in seconds over the window; {}", super::words::found(window));
    plane(
        &Plane {
            title,
            describe: &describe,
            x_label: "window (s)",
            y_label: "seconds",
            marks: mark.into_iter().collect(),
            bound: window.objective.back.map(|back| (back.as_secs_f64(), format!("all back within {back}"))),
        },
        &window_data(window),
    )
}

/// Deliveries that were planned, made, and made in time, over the load.
#[must_use]
pub fn knee_data(prediction: &Prediction) -> Vec<Series> {
    let line = |label: &str, of: fn(&super::Step) -> f64| Series {
        label: label.to_owned(),
        points: prediction.steps.iter().map(|step| (step.planned_per_s, of(step))).collect(),
        steps: false,
    };
    vec![
        line("planned", |step| step.planned_per_s),
        line("delivered", |step| step.delivered_per_s),
        line("in time", |step| step.goodput * step.planned_per_s),
    ]
}

/// One instance under growing load.
#[must_use]
pub fn knee(prediction: &Prediction) -> String {
    let title = "Deliveries under growing load, simulated";
    let knee = prediction.knee.map(|knee| (knee.planned_per_s, format!("knee {:.0}/s", knee.planned_per_s)));
    let describe = format!("{title}; {}", super::words::knee_found(prediction));
    plane(
        &Plane {
            title,
            describe: &describe,
            x_label: "deliveries planned (1/s)",
            y_label: "deliveries (1/s)",
            marks: knee.into_iter().collect(),
            bound: None,
        },
        &knee_data(prediction),
    )
}
