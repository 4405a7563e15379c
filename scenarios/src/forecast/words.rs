//! Forecasts in 80 columns.

use std::fmt::Write as _;

use super::knee::{Grows, Prediction, Step};
use super::over::{Over, Within};
use super::storm::Storms;
use super::window::{Tried, Window};
use super::world::Dials;
use capacity::search::End;

/// Lines are no longer than this.
pub(super) const COLUMNS: usize = 80;

/// What the loss of an instance came to.
#[must_use]
pub fn storms(storms: &Storms) -> String {
    let mut text = String::new();
    let fleet = &storms.fleet;
    let (each, survivors) = (fleet.clients / u32::from(fleet.instances), fleet.instances - 1);
    push(
        &mut text,
        &format!(
            "One of {} instances behind one address ({}) is lost with {each} of {} clients; they come again within {} to {}, and the address knows of it after {}.",
            fleet.instances,
            fleet.pick.word(),
            fleet.clients,
            fleet.jitter,
            fleet.cap.max(fleet.jitter),
            fleet.detect
        ),
    );
    push(&mut text, &verdict(storms));
    text.push('\n');
    let _ = writeln!(
        text,
        "{:<30} {:>15} {:>15} {:>15}",
        format!("{} seeds", storms.back_s.seeds),
        "median",
        "p99",
        "worst (seed)"
    );
    for (name, over) in [
        ("99 of 100 back (s)", &storms.back_99_s),
        ("all back (s)", &storms.back_s),
        ("dial to session, p99 (s)", &storms.connect_p99_s),
        ("age for the others, p99 (ms)", &scaled(&storms.untouched_p99_s, 1e3)),
    ] {
        row(&mut text, name, over);
    }
    let _ = writeln!(text);
    if let Some(before) = storms.before_p99_s {
        push(&mut text, &format!("Before the loss the age was {:.2} ms at p99 (median of the seeds).", before * 1e3));
    }
    let each = storms.population.each;
    push(
        &mut text,
        &format!(
            "For each lost client: {:.3} dials to the lost instance {}, {:.3} turned away by admission. Sessions of others lost: {}.",
            storms.wasted_dials,
            if fleet.dials == Dials::Refused { "refused" } else { "unheard" },
            storms.shed,
            storms.touched_worst
        ),
    );
    push(
        &mut text,
        &format!(
            "Each of the {survivors} others is {:.0} % busy with messages before, {:.0} % afterwards, by the calibration.",
            storms.utilisation_before * 100.0,
            storms.utilisation_after * 100.0
        ),
    );
    if each > 1.0 {
        push(
            &mut text,
            &format!(
                "Simulated: {} clients, each for {each:.1} real ones at {each:.1} times the cost, limits divided by as many. Times of one client are no finer than that, and the last of so few comes sooner than the last of as many as there are.",
                storms.population.simulated
            ),
        );
    }
    let beside = &storms.beside;
    let error = beside.error.map_or("longer than was watched".to_owned(), |error| format!("{:+.0} %", error * 100.0));
    text.push('\n');
    push(
        &mut text,
        &format!(
            "On paper: {:.1} dials/s to each of the others, which take on {:.1} a second; all back in {:.2} s; smallest window {:.2} s. The median of the seeds beside it: {error}.",
            beside.rate_per_survivor, beside.storm.accepts_per_s, beside.recovery_s, beside.smallest_jitter_s
        ),
    );
    for why in &beside.because {
        item(&mut text, why);
    }
    text
}

/// The sentence that matters.
#[must_use]
pub fn verdict(storms: &Storms) -> String {
    let Over { seeds, beyond, median, worst, worst_seed, worse_at_most, .. } = storms.back_s;
    let watched = storms.runs.iter().map(|run| run.aftermath.watched_us).max().unwrap_or(0) as f64 / 1e6;
    match (median, worst) {
        (Some(median), Some(worst)) => format!(
            "All are back within {median:.2} s in half of {seeds} seeds, within {worst:.2} s in the worst (seed {worst_seed}); a further one is worse with a probability below {}.",
            share(worse_at_most)
        ),
        (Some(median), None) => format!(
            "All are back within {median:.2} s in half of {seeds} seeds; in {beyond} of them not all were back within {watched:.0} s, when it was watched no longer (the first: seed {worst_seed})."
        ),
        _ => format!(
            "In {beyond} of {seeds} seeds not all were back within {watched:.0} s, when it was watched no longer (the first: seed {worst_seed})."
        ),
    }
}

/// What became of a search for the smallest window.
#[must_use]
pub fn window(window: &Window) -> String {
    let mut text = String::new();
    let objective = window.objective;
    let bounds = [
        objective.connect_p99.map(|bound| format!("p99 from dial to session at most {bound}")),
        objective.back.map(|bound| format!("all back within {bound}")),
        objective.untouched_p99.map(|bound| format!("p99 of the age for the others at most {bound}")),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    push(
        &mut text,
        &format!("One of {} instances is lost; in each seed: {}.", window.fleet.instances, bounds.join(", ")),
    );
    push(&mut text, &found(window));
    let _ = writeln!(
        text,
        "\n{:<12} {:>10} {:>17} {:>14} {:>17}",
        "window (s)", "kept", "connect p99 (s)", "all back (s)", "others p99 (ms)"
    );
    for Tried { jitter_s, seeds, kept, connect_p99_s, back_s, untouched_p99_s } in &window.tried {
        let figure = |value: Option<f64>, none: &str| value.map_or(none.to_owned(), |value| format!("{value:.3}"));
        let _ = writeln!(
            text,
            "{jitter_s:<12.3} {:>10} {:>17} {:>14} {:>17}",
            format!("{kept} of {seeds}"),
            figure(*connect_p99_s, "no session"),
            figure(*back_s, "not all"),
            figure(untouched_p99_s.map(|age| age * 1e3), "-")
        );
    }
    text.push_str("The worst of each row's seeds.\n");
    text
}

/// The sentence that matters.
#[must_use]
pub fn found(window: &Window) -> String {
    let longest = window.tried.iter().map(|tried| tried.jitter_s).fold(0.0, f64::max);
    match (window.smallest_s, window.fails_at_s) {
        (Some(smallest), fails) => {
            let above =
                fails.map_or("the shortest that was tried".to_owned(), |fails| format!("{fails:.2} s does not do"));
            format!(
                "The smallest window that does is {smallest:.2} s ({above}); confirmed on {} seeds, so a further one breaks it with a probability below {}.",
                window.confirmed,
                share(window.breaks_at_most.unwrap_or(1.0))
            )
        }
        (None, _) => format!("No window does, up to {longest:.2} s."),
    }
}

/// What is to be expected of one instance.
#[must_use]
pub fn knee(prediction: &Prediction) -> String {
    let mut text = String::new();
    push(&mut text, &knee_found(prediction));
    let _ = writeln!(
        text,
        "\n{:<12} {:>13} {:>13} {:>9} {:>7} {:>9} {:>9}",
        match prediction.workload.grows {
            Grows::Rate => "ticks/s each",
            Grows::Clients => "clients",
        },
        "planned/s",
        "delivered/s",
        "in time",
        "CPU",
        "p50 (ms)",
        "p99 (ms)"
    );
    let mut line = |step: &Step, sign: &str| {
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let _ = writeln!(
            text,
            "{:<12} {:>13.0} {:>13.0} {:>8.2}% {:>6.1}% {:>9} {:>9}",
            match prediction.workload.grows {
                Grows::Rate => format!("{:.1}{sign}", step.ticks_per_s),
                Grows::Clients => format!("{}{sign}", step.clients),
            },
            step.planned_per_s,
            step.delivered_per_s,
            step.goodput * 100.0,
            step.utilisation * 100.0,
            figure(step.p50_ms),
            figure(step.p99_ms)
        );
    };
    prediction.steps.iter().for_each(|step| line(step, if step.held { "" } else { " x" }));
    prediction.at.iter().for_each(|step| line(step, " *"));
    let asked = if prediction.at.is_empty() { "" } else { "; *: asked for" };
    let _ = writeln!(text, "x: the objective does not hold{asked}");
    let most = prediction.steps.iter().max_by_key(|step| step.clients);
    if let Some(step) = most.filter(|step| step.clients > step.simulated) {
        let each = f64::from(step.clients) / f64::from(step.simulated);
        let up_to = if prediction.workload.grows == Grows::Clients { "up to " } else { "" };
        push(
            &mut text,
            &format!(
                "Simulated: {up_to}{} clients, each for {up_to}{each:.1} real ones at as many times the cost. Ages are no finer than one of these takes.",
                step.simulated
            ),
        );
    }
    text
}

/// The sentence that matters.
#[must_use]
pub fn knee_found(prediction: &Prediction) -> String {
    let objective = prediction.objective;
    let of = format!("{:.1} % of planned messages within {}", objective.share_min * 100.0, objective.within);
    match &prediction.knee {
        None => format!("No load holds: {of}."),
        Some(knee) => {
            let end = match prediction.end {
                Some(End::Found) => "",
                Some(End::AtMost) if prediction.workload.grows == Grows::Rate => {
                    ", and all that the source can send; the knee is higher: take more symbols"
                }
                Some(End::AtMost) => ", and no more are tried; the knee is higher",
                _ => ", though the search did not come to its end",
            };
            format!(
                "{:.0} deliveries a second to {} clients hold{end}: {of}. The core is then {:.0} % busy, and p99 of the age is {:.1} ms.",
                knee.planned_per_s,
                knee.clients,
                knee.utilisation * 100.0,
                knee.p99_ms.unwrap_or(0.0)
            )
        }
    }
}

fn share(p: f64) -> String {
    if p >= 0.01 { format!("{:.0} %", p * 100.0) } else { format!("{:.2} %", p * 100.0) }
}

fn scaled(over: &Over, times: f64) -> Over {
    let scale = |value: Option<f64>| value.map(|value| value * times);
    let within = |within: Option<Within>| within.map(|it| Within { low: it.low * times, high: scale(it.high) });
    Over {
        median: scale(over.median),
        median_within: within(over.median_within),
        p99: scale(over.p99),
        p99_within: within(over.p99_within),
        worst: scale(over.worst),
        ..over.clone()
    }
}

/// A figure with its intervals below it.
fn row(text: &mut String, name: &str, over: &Over) {
    let figure = |value: Option<f64>| value.map_or("not watched".to_owned(), |value| format!("{value:.3}"));
    let worst = format!("{} ({})", figure(over.worst), over.worst_seed);
    let _ = writeln!(text, "{name:<30} {:>15} {:>15} {worst:>15}", figure(over.median), figure(over.p99));
    let within = |within: Option<Within>| match within {
        None => "too few seeds".to_owned(),
        Some(Within { low, high: Some(high) }) => format!("{low:.3}..{high:.3}"),
        Some(Within { low, high: None }) => format!("from {low:.3}"),
    };
    let _ = writeln!(text, "{:<30} {:>15} {:>15}", "  at 95 %", within(over.median_within), within(over.p99_within));
}

/// A paragraph, broken into lines.
pub(super) fn push(text: &mut String, paragraph: &str) {
    wrapped(text, paragraph, "", "");
}

/// A point of a list.
pub(super) fn item(text: &mut String, paragraph: &str) {
    wrapped(text, paragraph, "- ", "  ");
}

fn wrapped(text: &mut String, paragraph: &str, first: &str, others: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in paragraph.split_whitespace() {
        if !empty && line.len() + 1 + word.len() > COLUMNS {
            text.push_str(&line);
            text.push('\n');
            (line, empty) = (others.to_owned(), true);
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_the_terminal_and_no_word_is_lost() {
        let paragraph = "one two three four five six seven eight nine ten ".repeat(12);
        let mut text = String::new();
        item(&mut text, &paragraph);
        assert!(text.lines().all(|line| line.len() <= COLUMNS) && text.lines().count() > 5);
        assert!(text.lines().skip(1).all(|line| line.starts_with("  ")));
        assert_eq!(text.split_whitespace().count(), 121, "with the dash");
    }
}
