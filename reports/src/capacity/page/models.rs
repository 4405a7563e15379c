//! Models beside what was measured: the scalability law, memory by connections, queues.

use super::ROWS_MAX;
use crate::capacity::block::{Block, Cell, Section, Table, figures, words};
use crate::capacity::words as say;
use crate::capacity::{CapacityReport, Law, Line, charts, notes};

pub(super) fn law(report: &CapacityReport) -> Option<Section> {
    let law = report.law.as_ref()?;
    let mut section = Section::new("law", "Scaling", "How it scales: the Universal Scalability Law");
    match law.peak {
        Some((peak, (low, high))) => {
            let [peak, low, high] = [peak, low, high].map(say::amount);
            let words = format!("Throughput peaks at {peak} {} (95 %: {low} to {high}) by this law.", law.load_unit);
            section = section.with(Block::Text(words));
        }
        None => {
            let words = "The peak is not identified by these data: they fit laws with a peak nearby, far away, and without one. Do not read one off the curve.";
            section = section.with(Block::Alert("inconclusive", words.to_owned()));
        }
    }
    if !law.words.is_empty() {
        section = section.with(Block::Text(law.words.clone()));
    }
    section.with(Block::Pictures(charts::law(law))).with(Block::Table(coefficients(law))).into()
}

fn coefficients(law: &Law) -> Table {
    let mut table = Table::new(vec![
        words("Coefficient").note(notes::LAW),
        figures("Value"),
        figures("95 % from").note(notes::BOOTSTRAP),
        figures("to"),
        words("Means"),
    ]);
    let mut row = |name: &str, value: f64, interval: Option<(f64, f64)>, means: &str| {
        let [low, high] = [interval.map(|i| i.0), interval.map(|i| i.1)].map(say::amount_or_dash);
        table.row(vec![name.into(), say::amount(value).into(), low.into(), high.into(), means.into()]);
    };
    row("γ", law.gamma, None, "throughput of one unit of load, a second");
    row("α, contention", law.alpha, Some(law.alpha_interval), "the part of the work that only one may do at a time");
    row(
        "β, coherency",
        law.beta,
        Some(law.beta_interval),
        "what each pair costs: above 0, throughput falls beyond a peak",
    );
    table
}

pub(super) fn memory(report: &CapacityReport) -> Option<Section> {
    if report.memory.is_empty() {
        return None;
    }
    let mut table = Table::new(vec![
        words("State"),
        figures("Proxy, a connection").note(notes::LINE),
        figures("95 %"),
        figures("Without any"),
        figures("R²"),
        figures("Kernel, a connection").note(notes::KERNEL),
        figures("95 %"),
        figures("Levels"),
        words("Means"),
    ]);
    let slope = |line: Option<Line>| line.map_or_else(|| "not measured".to_owned(), |line| say::bytes(line.slope));
    let interval = |line: Option<Line>| {
        line.map_or_else(
            || say::DASH.to_owned(),
            |line| format!("{} to {}", say::bytes(line.slope_low), say::bytes(line.slope_high)),
        )
    };
    for state in &report.memory {
        table.row(vec![
            state.state.clone().into(),
            slope(state.line).into(),
            interval(state.line).into(),
            state.line.map_or_else(|| say::DASH.to_owned(), |line| say::bytes(line.intercept)).into(),
            state
                .line
                .map_or_else(
                    || say::DASH.to_owned(),
                    |line| crate::figure::index(Some(line.r_squared).filter(|r| r.is_finite())),
                )
                .into(),
            slope(state.kernel).into(),
            interval(state.kernel).into(),
            state.levels.len().to_string().into(),
            state.what.clone().into(),
        ]);
    }
    let mut section =
        Section::new("memory", "Memory", "Memory by connections").with(Block::Table(table.bounded(ROWS_MAX)));
    let missing: Vec<&str> = ["idle", "subscribed", "stalled"]
        .into_iter()
        .filter(|name| report.memory.iter().all(|state| state.state != *name))
        .collect();
    if !missing.is_empty() {
        section = section.with(Block::Faint(format!("Not measured: {}.", missing.join(", "))));
    }
    let pictures = charts::memory(&report.memory);
    Some(if pictures.is_empty() { section } else { section.with(Block::Pictures(pictures)) })
}

pub(super) fn queues(report: &CapacityReport) -> Option<Section> {
    if report.queues.is_empty() {
        return None;
    }
    let mut table = Table::new(vec![
        figures("Load"),
        figures("Utilisation").note(notes::CPU),
        figures("CPU time of a unit"),
        figures("Mean age measured"),
        figures("M/M/1").note(notes::QUEUES),
        figures("M/D/1"),
        figures("Implied cv²"),
        words("What a difference says"),
    ]);
    for row in &report.queues {
        let unstable = |us: Option<f64>| us.map_or_else(|| "not stable".to_owned(), say::micros);
        table.row(vec![
            say::amount(row.load).into(),
            say::share(row.utilisation).into(),
            say::micros(row.service_us).into(),
            say::micros(row.measured_us).into(),
            unstable(row.mm1_us).into(),
            unstable(row.md1_us).into(),
            say::amount_or_dash(row.implied_cv2).into(),
            Cell::new(row.words.clone()),
        ]);
    }
    let about = "What a queue for the proxy's core alone would make of the mean age. The distance to what was measured is what something else adds.";
    let section =
        Section::new("queues", "Queues", "Waiting: measured beside queues").with(Block::Faint(about.to_owned()));
    let pictures: Vec<_> = charts::queues(&report.queues).into_iter().collect();
    let section = if pictures.is_empty() { section } else { section.with(Block::Pictures(pictures)) };
    Some(section.with(Block::Table(table.bounded(ROWS_MAX))))
}
