//! The report for a terminal of 80 columns: the verdict, then short tables.

use super::page::{error, median, said};
use super::{Axis, CapacityReport, Step, words};
use crate::figure;
use crate::text::clean;

const COLUMNS: usize = 80;
/// Trials of the first search that are shown.
const STEPS_MAX: usize = 12;
/// Rows of each other table.
const ROWS_MAX: usize = 10;

pub(super) fn text(report: &CapacityReport) -> String {
    let mut page = Lines::default();
    page.wrapped("", &report.sentence, 8);
    page.wrapped("", &format!("{}: {}", verdict(report), reasons(report)), 12);
    page.blank();
    page.wrapped("  ", &conditions(report), 4);
    generator(report, &mut page);
    for axis in &report.axes {
        page.blank();
        page.wrapped("", &format!("{}: {}", words::axis_title(&axis.name), said(axis)), 6);
        // The others stand in the page and in steps.csv.
        if std::ptr::eq(axis, &report.axes[0]) {
            steps(axis, &mut page);
        }
    }
    parts(report, &mut page);
    page.blank();
    page.list("not tested", &report.not_tested);
    let absent = super::absent(report);
    if !absent.is_empty() {
        page.wrapped("  ", &format!("not measured: {}", absent.join(", ")), 4);
    }
    page.text
}

fn verdict(report: &CapacityReport) -> &'static str {
    match report.outcome {
        crate::record::Outcome::Pass => "pass",
        crate::record::Outcome::Inconclusive => "inconclusive",
        crate::record::Outcome::Fail => "FAIL",
    }
}

fn reasons(report: &CapacityReport) -> String {
    if report.reasons.is_empty() { "nothing speaks against it".to_owned() } else { report.reasons.join("; ") }
}

fn conditions(report: &CapacityReport) -> String {
    let of = &report.conditions;
    format!(
        "{} {}; {}, {} cores, {}; {} within {}; {}",
        of.proxy,
        of.proxy_version,
        of.cpu,
        of.cores,
        words::bytes(of.memory_bytes as f64),
        words::asked(of.goodput_min),
        words::micros(of.objective_us as f64),
        of.mix
    )
}

fn generator(report: &CapacityReport, page: &mut Lines) {
    let all: Vec<&Step> = report.axes.iter().flat_map(|axis| &axis.steps).collect();
    let sick = all.iter().filter(|step| !step.generator.healthy).count();
    let words = match (all.len(), sick) {
        (0, _) => "generator: not measured".to_owned(),
        (all, 0) => format!("generator: in order in all {all} trials"),
        (all, sick) => format!("generator: NOT in order in {sick} of {all} trials, which say nothing of the proxy"),
    };
    page.wrapped("  ", &words, 3);
}

fn steps(axis: &Axis, page: &mut Lines) {
    if axis.steps.is_empty() {
        return;
    }
    let row = |cells: [&str; 8]| {
        let [load, stage, answer, goodput, rate, p50, p99, cpu] = cells;
        format!("  {load:>9}  {stage:<7}  {answer:<9}  {goodput:>9}  {rate:>9}  {p50:>7}  {p99:>7}  {cpu:>5}")
    };
    page.line(&row(["load", "stage", "answer", "in time", "came/s", "p50", "p99", "CPU"]));
    let (shown, more) = super::page::nearest(axis, STEPS_MAX);
    for (_, step) in shown {
        let cut = |text: &str, width| figure::cut(&clean(text), width);
        page.line(&row([
            &cut(&words::amount(step.load), 9),
            &cut(&step.stage, 7),
            &cut(&step.answer, 9),
            &step.goodput.map_or_else(|| words::DASH.to_owned(), words::goodput),
            &cut(&words::amount_or_dash(words::rate(step)), 9),
            &cut(&figure::latency_or_dash(step.latency.map(|latency| latency.p50_us)), 7),
            &cut(&figure::latency_or_dash(words::p99(step)), 7),
            &cut(&words::share_or_dash(step.proxy.map(|proxy| proxy.cpu)), 5),
        ]));
    }
    if more > 0 {
        page.line(&format!("  {more} more in steps.csv"));
    }
}

/// What was reckoned from the trials, a short table each.
fn parts(report: &CapacityReport, page: &mut Lines) {
    page.table("limits", report.limits.iter(), |limit| {
        let binds = if limit.binds { "  binds" } else { "" };
        let (_, basis) = limit.basis.words();
        (limit.resource.clone(), format!("{:>14}  {basis}{binds}", words::amount(limit.capacity)))
    });
    if let Some(law) = &report.law {
        page.blank();
        page.wrapped("", &format!("law: {} {}", peak(law), law.words), 5);
    }
    page.table("bytes a connection", report.memory.iter(), |state| {
        let slope =
            |line: Option<super::Line>| line.map_or_else(|| "not measured".to_owned(), |line| words::bytes(line.slope));
        (
            state.state.clone(),
            format!("proxy {:>12}   kernel, both ends {:>12}", slope(state.line), slope(state.kernel)),
        )
    });
    page.table("instances: how many, busy, busy when lost, smallest jitter", report.fleet.iter(), |row| {
        let jitter = row.smallest_jitter_s.filter(|s| s.is_finite());
        let jitter = jitter.map_or_else(|| words::DASH.to_owned(), figure::seconds);
        let busy = [row.utilisation, row.utilisation_after_losses].map(words::share);
        (
            format!("{} connections, {} lost", words::amount(row.demand), row.losses),
            format!("{:>5}  {:>5}  {:>5}  {jitter:>7}", row.instances, busy[0], busy[1]),
        )
    });
    if let Some(cost) = &report.cost {
        page.table(&format!("1,000 connections an hour ({}, {})", cost.file, cost.date), cost.rows.iter(), |row| {
            (row.instance.clone(), format!("{:>10} {}", words::amount(row.per_thousand_hour), row.currency))
        });
    }
    if let Some(forecast) = &report.forecast {
        page.table("predicted, measured, error", forecast.predicted.iter(), |row| {
            let measured = row.measured.map_or_else(|| "not measured".to_owned(), words::amount);
            let error = error(row).map_or_else(String::new, words::difference);
            (row.what.clone(), format!("{:>11}  {measured:>12}  {error:>8}", words::amount(row.predicted)))
        });
        if let Some(storm) = &forecast.storm {
            page.table(&format!("storm, {} seeds: median, worst", storm.seeds), storm.figures.iter(), |row| {
                (row.name.clone(), format!("{:>11}  {:>12}", words::amount(row.median), words::amount(row.worst)))
            });
        }
    }
    if let Some(regression) = &report.regression {
        let title = format!("against {}: before, now, shift", regression.before);
        page.table(&title, regression.rows.iter(), |row| {
            let [before, now] = [&row.before, &row.now].map(|values| words::amount_or_dash(median(values)));
            let shift = row.shift.map_or_else(|| words::DASH.to_owned(), |(shift, _)| words::difference(shift));
            (row.metric.clone(), format!("{before:>10} {now:>10} {shift:>8}  {}", row.judgement))
        });
        page.list("not alike, so nothing is concluded", &regression.unlike);
    }
}

fn peak(law: &super::Law) -> String {
    match law.peak {
        Some((peak, (low, high))) => {
            let [peak, low, high] = [peak, low, high].map(words::amount);
            format!("peak at {peak} {} ({low} to {high}).", law.load_unit)
        }
        None => "peak not identified.".to_owned(),
    }
}

/// Lines of at most 80 characters, without anything that a terminal obeys.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, line: &str) {
        self.text.push_str(figure::cut(clean(line).trim_end(), COLUMNS).as_str());
        self.text.push('\n');
    }

    /// An empty line, unless there is one.
    fn blank(&mut self) {
        if !self.text.ends_with("\n\n") && !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn wrapped(&mut self, indent: &str, text: &str, lines_max: usize) {
        for line in figure::wrapped(&clean(text), COLUMNS - indent.len(), lines_max) {
            self.line(&format!("{indent}{line}"));
        }
    }

    fn list(&mut self, title: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.line(&format!("{title}:"));
        for line in lines.iter().take(ROWS_MAX) {
            let wrapped = figure::wrapped(&clean(line), COLUMNS - 4, 4);
            for (nth, line) in wrapped.iter().enumerate() {
                self.line(&format!("  {} {line}", if nth == 0 { '-' } else { ' ' }));
            }
        }
        if lines.len() > ROWS_MAX {
            self.line(&format!("  and {} more", lines.len() - ROWS_MAX));
        }
    }

    /// A name and figures a row; nothing where there is no row.
    fn table<T>(&mut self, title: &str, rows: impl ExactSizeIterator<Item = T>, cells: impl Fn(T) -> (String, String)) {
        let all = rows.len();
        if all == 0 {
            return;
        }
        self.blank();
        self.line(title);
        let shown: Vec<(String, String)> = rows.take(ROWS_MAX).map(cells).collect();
        let widest = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(36);
        for (name, figures) in shown {
            let name = figure::cut(&clean(&name), widest);
            self.line(&format!("  {name:<widest$}  {figures}"));
        }
        if all > ROWS_MAX {
            self.line(&format!("  and {} more rows in the page", all - ROWS_MAX));
        }
    }
}
