//! The pictures of a report, each from the data that its tables show.

use plotters::style::RGBColor;

use super::picture::Picture;
use super::{Axis, Conditions, Law, Memory, QueueRow, Step, words};
use crate::chart::scale::Scale;
use crate::chart::xy::{Band, Level, Line, Plot, Series, Sign, Upright, drawable};
use crate::chart::{BLUE, GREEN, GREY, ORANGE, PURPLE, SKY};

/// What is shown of one search: what came over what was asked for, how late, what it missed, and who was busy.
pub(super) fn axis(axis: &Axis, conditions: &Conditions) -> Vec<Picture> {
    let mut pictures = Vec::new();
    let mut add = |kind: &str, plot: Option<Plot>| {
        let says = axis_words(axis);
        pictures.extend(plot.map(|plot| Picture::of(&format!("{}-{kind}", axis.name), &plot, &says)));
    };
    add("throughput", throughput(axis));
    add("latency", latency(axis, conditions));
    add("missed", missed(axis, conditions));
    add("cpu", cpu(axis));
    pictures
}

fn axis_words(axis: &Axis) -> String {
    let trials = format!("{} trials over {}", axis.steps.len(), axis.unit);
    match axis.found {
        Some(found) => {
            let fails = found.fails_at.map_or_else(String::new, |load| format!(", {} fails", words::amount(load)));
            format!("{trials}; {} holds{fails}", words::amount(found.load))
        }
        None => format!("{trials}; none was found that holds"),
    }
}

/// Loads of trials, the greatest of which is the end of the scale.
fn loads(axis: &Axis) -> Scale {
    Scale::linear(greatest(axis.steps.iter().map(|step| step.load)), 5)
}

fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|value| drawable(*value)).fold(0.0, f64::max)
}

/// The bounds of the search.
fn uprights(axis: &Axis) -> Vec<Upright> {
    let Some(found) = axis.found else { return Vec::new() };
    let mark = |word: &str, at: f64, dashed| Upright { at, label: format!("{word} {}", words::amount(at)), dashed };
    let holds = mark("holds", found.load, false);
    std::iter::once(holds).chain(found.fails_at.map(|at| mark("fails", at, true))).collect()
}

/// Of the trials at each load the middle one, the lower of two; by load. Trials that say nothing of the proxy are left out.
fn middle(axis: &Axis, value: impl Fn(&Step) -> Option<f64>) -> Vec<(f64, f64)> {
    let healthy = axis.steps.iter().filter(|step| step.answer != "unhealthy");
    let mut all: Vec<(f64, f64)> = healthy
        .filter_map(|step| Some((step.load, value(step)?)))
        .filter(|(load, value)| drawable(*load) && drawable(*value))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    all.chunk_by(|a, b| a.0 == b.0).map(|alike| alike[(alike.len() - 1) / 2]).collect()
}

/// A line through the middle trials, without a sign and a name.
fn through(color: RGBColor, points: Vec<(f64, f64)>) -> Series {
    Series { label: String::new(), color, line: Line::Solid, sign: Sign::None, points }
}

/// Every trial with the sign of its answer; answers that did not occur have none.
fn by_answer(axis: &Axis, value: impl Fn(&Step) -> Option<f64>) -> Vec<Series> {
    let answers = [
        ("holds", "holds", BLUE, Sign::Dot),
        ("fails", "fails", ORANGE, Sign::Cross),
        ("unhealthy", "generator unhealthy: says nothing", GREY, Sign::Ring),
    ];
    let mut series = Vec::new();
    for (answer, label, color, sign) in answers {
        let of = axis.steps.iter().filter(|step| step.answer == answer);
        let points: Vec<(f64, f64)> = of.filter_map(|step| Some((step.load, value(step)?))).collect();
        if !points.is_empty() {
            series.push(Series { label: label.to_owned(), color, line: Line::None, sign, points });
        }
    }
    series
}

fn throughput(axis: &Axis) -> Option<Plot> {
    // Where nothing was to be delivered, what counts are the connections themselves.
    let held = axis.steps.iter().all(|step| step.planned == 0);
    let value = |step: &Step| if held { Some(step.connections as f64) } else { words::rate(step) };
    let planned = |step: &Step| (step.window_s > 0.0).then(|| step.planned as f64 / step.window_s);
    let mut series = Vec::new();
    if !held {
        let points = middle(axis, planned);
        series.push(Series { label: "planned".to_owned(), color: GREY, line: Line::Dashed, sign: Sign::None, points });
    }
    series.push(through(BLUE, middle(axis, value)));
    series.extend(by_answer(axis, value));
    let top = greatest(series.iter().flat_map(|series| series.points.iter().map(|point| point.1)));
    let plot = Plot {
        title: if held { "Connections that were open" } else { "Throughput over load" }.to_owned(),
        x_label: axis.unit.clone(),
        y_label: match axis.unit.as_str() {
            _ if held => "connections",
            "connections/s" => "connections/s",
            _ => "messages/s that came",
        }
        .to_owned(),
        x: loads(axis),
        y: Scale::linear(top, 5),
        series,
        bands: Vec::new(),
        uprights: uprights(axis),
        levels: Vec::new(),
        beyond: None,
    };
    (!plot.is_empty()).then_some(plot)
}

fn latency(axis: &Axis, conditions: &Conditions) -> Option<Plot> {
    let ms = |us: u64| us as f64 / 1e3;
    let p50 = middle(axis, |step| step.latency.map(|latency| ms(latency.p50_us)));
    let p99 = middle(axis, |step| words::p99(step).map(ms));
    let values: Vec<f64> = p50.iter().chain(&p99).map(|point| point.1).filter(|ms| *ms > 0.0).collect();
    let objective = ms(conditions.objective_us);
    let most = greatest(values.iter().copied().chain([objective]));
    let least = values.iter().copied().chain([objective]).filter(|ms| *ms > 0.0).fold(f64::INFINITY, f64::min);
    let is_log = most / least > 20.0;
    let y = if is_log { Scale::log(least.max(1e-3), most) } else { Scale::linear(most, 5) };
    let line =
        |label: &str, color, sign, points| Series { label: label.to_owned(), color, line: Line::Solid, sign, points };
    let plot = Plot {
        title: "Latency over load".to_owned(),
        x_label: axis.unit.clone(),
        y_label: if is_log { "ms from the planned instant, log" } else { "ms from the planned instant" }.to_owned(),
        x: loads(axis),
        y,
        series: vec![line("p99", ORANGE, Sign::Triangle, p99), line("p50", BLUE, Sign::Dot, p50)],
        bands: Vec::new(),
        uprights: uprights(axis),
        levels: vec![Level {
            at: objective,
            label: format!("objective {}", words::micros(conditions.objective_us as f64)),
        }],
        beyond: None,
    };
    (!plot.is_empty()).then_some(plot)
}

/// What was planned and did not come within the objective: the very figure that trials are judged by.
fn missed(axis: &Axis, conditions: &Conditions) -> Option<Plot> {
    let percent = |step: &Step| step.goodput.map(|goodput| (100.0 * (1.0 - goodput)).clamp(0.0, 100.0));
    let all: Vec<f64> = axis.steps.iter().filter_map(percent).filter(|value| drawable(*value)).collect();
    let least = all.iter().copied().filter(|value| *value > 1e-7).fold(100.0, f64::min);
    let allowed = (100.0 * (1.0 - conditions.goodput_min)).clamp(0.0, 100.0);
    let floor = if drawable(allowed) && allowed > 1e-7 { least.min(allowed) } else { least };
    let scale = Scale::log(floor.max(1e-5), 100.0);
    let plot = Plot {
        title: "Late or lost, of what was planned".to_owned(),
        x_label: axis.unit.clone(),
        y_label: "%, log; none lies on the axis".to_owned(),
        x: loads(axis),
        y: scale,
        series: by_answer(axis, percent),
        bands: Vec::new(),
        uprights: uprights(axis),
        levels: vec![Level { at: allowed, label: format!("allowed: {}", words::asked(allowed / 100.0)) }],
        beyond: None,
    };
    (!plot.is_empty()).then_some(plot)
}

fn cpu(axis: &Axis) -> Option<Plot> {
    let percent = |share: f64| 100.0 * share;
    let of = |label: &str, color, sign, line, points: Vec<(f64, f64)>| {
        (!points.is_empty()).then(|| Series { label: label.to_owned(), color, line, sign, points })
    };
    let series: Vec<Series> = [
        of("proxy", BLUE, Sign::Dot, Line::Solid, middle(axis, |step| step.proxy.map(|proxy| percent(proxy.cpu)))),
        of(
            "generator, of the cores that it may use",
            GREY,
            Sign::Ring,
            Line::Dashed,
            middle(axis, |step| step.generator.cpu.map(percent)),
        ),
        of("source", GREEN, Sign::Triangle, Line::Solid, middle(axis, |step| step.source_cpu.map(percent))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let top = greatest(series.iter().flat_map(|series| series.points.iter().map(|point| point.1))).max(100.0);
    let plot = Plot {
        title: "CPU over load".to_owned(),
        x_label: axis.unit.clone(),
        y_label: "% of one core".to_owned(),
        x: loads(axis),
        y: Scale::linear(top, 5),
        series,
        bands: Vec::new(),
        uprights: uprights(axis),
        levels: vec![Level { at: 100.0, label: "one core".to_owned() }],
        beyond: None,
    };
    (!plot.is_empty()).then_some(plot)
}

/// The law with its band, and how far what was measured lies from it.
pub(super) fn law(law: &Law) -> Vec<Picture> {
    let measured: Vec<(f64, f64)> = law.points.iter().filter_map(|at| Some((at.load, at.measured?))).collect();
    let known = greatest(measured.iter().map(|point| point.0));
    let curve: Vec<(f64, f64)> = law.points.iter().map(|at| (at.load, at.law)).collect();
    let band: Vec<(f64, f64, f64)> = law.points.iter().map(|at| (at.load, at.low, at.high)).collect();
    let x_most = greatest(curve.iter().map(|point| point.0));
    // A band that has no bound must not press everything else to the floor.
    let y_law = greatest(curve.iter().chain(&measured).map(|point| point.1));
    let y_most = greatest(band.iter().map(|point| point.2)).min(y_law * 1.5).max(y_law);
    let mut uprights = Vec::new();
    if let Some((peak, (low, high))) = law.peak {
        let [peak_words, low, high] = [peak, low, high].map(words::amount);
        uprights.push(Upright { at: peak, label: format!("peak {peak_words} ({low} to {high})"), dashed: false });
    }
    let fit = Plot {
        title: "The law through what was measured".to_owned(),
        x_label: law.load_unit.clone(),
        y_label: "throughput a second".to_owned(),
        x: Scale::linear(x_most, 5),
        y: Scale::linear(y_most, 5),
        series: vec![
            through(BLUE, curve),
            Series { label: "measured".to_owned(), color: ORANGE, line: Line::None, sign: Sign::Dot, points: measured },
        ],
        bands: vec![Band { label: "law, 95 %".to_owned(), color: SKY, points: band }],
        uprights,
        levels: Vec::new(),
        beyond: (known < x_most).then(|| (known, "beyond what was measured".to_owned())),
    };
    let residuals: Vec<(f64, f64)> = law
        .points
        .iter()
        .filter_map(|at| Some((at.load, 100.0 * (at.measured? - at.law) / at.law)))
        .filter(|(load, percent)| drawable(*load) && drawable(*percent))
        .collect();
    let rest = Plot {
        title: "Residuals: measured less law".to_owned(),
        x_label: law.load_unit.clone(),
        y_label: "% of the law".to_owned(),
        x: Scale::linear(greatest(residuals.iter().map(|point| point.0)), 5),
        y: Scale::around(greatest(residuals.iter().map(|point| point.1.abs())).max(0.5), 3),
        series: vec![Series {
            label: "each load that was measured".to_owned(),
            color: ORANGE,
            line: Line::None,
            sign: Sign::Dot,
            points: residuals,
        }],
        bands: Vec::new(),
        uprights: Vec::new(),
        levels: vec![Level { at: 0.0, label: "the law".to_owned() }],
        beyond: None,
    };
    let says = if law.peak.is_some() { law.words.clone() } else { format!("peak not identified; {}", law.words) };
    vec![Picture::of("law", &fit, &says), Picture::of("law-residuals", &rest, &says)]
}

const STATES: [(RGBColor, Sign); 4] =
    [(BLUE, Sign::Dot), (GREEN, Sign::Square), (ORANGE, Sign::Triangle), (PURPLE, Sign::Diamond)];

/// Resident bytes, and the kernel's, over connections.
pub(super) fn memory(memory: &[Memory]) -> Vec<Picture> {
    let user = |state: &Memory| state.levels.iter().map(|level| (level.0 as f64, level.1 as f64)).collect::<Vec<_>>();
    let kernel = |state: &Memory| {
        state.levels.iter().filter_map(|level| Some((level.0 as f64, level.2? as f64))).collect::<Vec<_>>()
    };
    let own = bytes(memory, "Memory of the proxy", user, |state| state.line);
    let kernels = bytes(memory, "Memory of the kernel, both ends", kernel, |state| state.kernel);
    let named = [("memory-proxy", own), ("memory-kernel", kernels)].into_iter();
    let says = |plot: &Plot| {
        let states: Vec<&str> =
            plot.series.iter().map(|series| series.label.as_str()).filter(|l| !l.is_empty()).collect();
        format!("bytes over connections: {}", states.join(", "))
    };
    named.filter_map(|(name, plot)| plot.map(|plot| Picture::of(name, &plot, &says(&plot)))).collect()
}

fn bytes(
    memory: &[Memory],
    title: &str,
    points: impl Fn(&Memory) -> Vec<(f64, f64)>,
    line: impl Fn(&Memory) -> Option<super::Line>,
) -> Option<Plot> {
    let all: Vec<Vec<(f64, f64)>> = memory.iter().take(STATES.len()).map(points).collect();
    let most = greatest(all.iter().flatten().map(|point| point.1));
    let (unit, word) = match most {
        size if size < 10_240.0 => (1.0, "B"),
        size if size < 10_485_760.0 => (1024.0, "KiB"),
        size if size < 10_737_418_240.0 => (1_048_576.0, "MiB"),
        _ => (1_073_741_824.0, "GiB"),
    };
    let mut series = Vec::new();
    for ((state, points), (color, sign)) in memory.iter().zip(&all).zip(STATES) {
        let scaled: Vec<(f64, f64)> = points.iter().map(|(n, bytes)| (*n, bytes / unit)).collect();
        if scaled.is_empty() {
            continue;
        }
        if let Some(line) = line(state) {
            let end = greatest(scaled.iter().map(|point| point.0));
            let at = |n: f64| (n, ((line.intercept + line.slope * n) / unit).max(0.0));
            series.push(through(color, vec![at(0.0), at(end)]));
        }
        series.push(Series { label: state.state.clone(), color, line: Line::None, sign, points: scaled });
    }
    let plot = Plot {
        title: title.to_owned(),
        x_label: "connections".to_owned(),
        y_label: word.to_owned(),
        x: Scale::linear(greatest(all.iter().flatten().map(|point| point.0)), 5),
        y: Scale::linear(most / unit, 5),
        series,
        bands: Vec::new(),
        uprights: Vec::new(),
        levels: Vec::new(),
        beyond: None,
    };
    (!plot.is_empty()).then_some(plot)
}

/// Mean ages measured beside those of queues, over how busy the proxy is.
pub(super) fn queues(rows: &[QueueRow]) -> Option<Picture> {
    let of = |label: &str, color, sign, line, value: &dyn Fn(&QueueRow) -> Option<f64>| {
        let mut points: Vec<(f64, f64)> = rows
            .iter()
            .filter_map(|row| Some((100.0 * row.utilisation, value(row)? / 1e3)))
            .filter(|(x, y)| drawable(*x) && drawable(*y) && *y > 0.0)
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { label: label.to_owned(), color, line, sign, points }
    };
    let series = vec![
        of("measured", ORANGE, Sign::Dot, Line::None, &|row| Some(row.measured_us)),
        of("M/M/1", BLUE, Sign::Triangle, Line::Dashed, &|row| row.mm1_us),
        of("M/D/1", GREEN, Sign::Square, Line::Dashed, &|row| row.md1_us),
    ];
    let values: Vec<f64> = series.iter().flat_map(|series| series.points.iter().map(|point| point.1)).collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = greatest(values.iter().copied());
    let x = Scale::linear(greatest(rows.iter().map(|row| 100.0 * row.utilisation)).max(100.0), 5);
    let is_log = most / least > 20.0;
    let plot = Plot {
        title: "Mean age beside queueing models".to_owned(),
        x_label: "the proxy's CPU, % of one core".to_owned(),
        y_label: if is_log { "mean, ms, log" } else { "mean, ms" }.to_owned(),
        x,
        y: if is_log { Scale::log(least.max(1e-6), most) } else { Scale::linear(most, 5) },
        series,
        bands: Vec::new(),
        uprights: Vec::new(),
        levels: Vec::new(),
        beyond: None,
    };
    let says = "what was measured, M/M/1 and M/D/1 over utilisation";
    (!plot.is_empty()).then(|| Picture::of("queues", &plot, says))
}
