//! What was measured goes into the simulator, and the simulator says what no load tool can: what becomes of everybody when an instance is lost.
//!
//! ```text
//!   trials below the knees --> CPU a write and a message  \
//!                                                          > service time --> forecast::predict   the knees, beside the measured ones
//!   trials of connections a second --> CPU a connection   /            `---> forecast::storms    1,000 losses
//!                                                                      `---> forecast::smallest_window
//! ```

use std::time::Duration;

use capacity::line;
use reports::capacity::{CapacityReport, Forecast, Predicted, Step, Storm, StormFigure};
use reports::figure::number;

use super::settings::Settings;
use crate::cost::Cost;
use crate::forecast::{
    self, Dials, Feed, Fleet, ForecastError, Goodput, Grows, Limits, Objective, Over, Range, Seeds, Workload, charts,
    words,
};
use crate::model::{Pick, Queues, Reads, ServiceTime, Spread};
use crate::span::Span;

/// Predicted and measured may differ by so much.
const TARGET: f64 = 0.2;
/// Segments of a connection that comes, upgrades, subscribes and goes: what the bench charges, too (docs/scenarios.md).
const SEGMENTS_A_CONNECTION: f64 = 9.0;
/// Loads that a cost is fitted through, at least.
const LOADS_MIN: usize = 2;
/// And two costs.
const LOADS_TO_SPLIT: usize = 3;
/// Costs are fitted to loads up to this part of the greatest that held: what is predicted is what lies beyond.
const BELOW_THE_KNEE: f64 = 0.8;
/// From the loss of an instance until the address does not give it out any more.
const DETECT: Span = Span::from_millis(1_000);
/// The window of jitter of the storm that is shown.
const JITTER: Span = Span::from_millis(5_000);
/// The longest window of a client that keeps failing.
const CAP: Span = Span::from_millis(30_000);
/// A run is watched for so long after the loss.
const WATCHED: Span = Span::from_millis(120_000);
/// One way, within a data centre.
const LATENCY: Span = Span::from_micros(500);
/// One way, over loopback.
const LOOPBACK: Span = Span::from_micros(50);

/// What network work costs, from the report's own steps of an axis below its knee, and of connections a second. None where there are too few of them.
///
/// A write costs something, and each message in it, too: the simulator knows nothing of messages, so that part is charged with their bytes. Axes are not mixed: to
/// write to one of many connections costs more than to one of few (processor's caches), and to a reader who sleeps more than to one who is at it.
#[must_use]
pub fn costs(report: &CapacityReport, axis: &str, message_bytes: f64) -> Option<ServiceTime> {
    let healthy = |axis: &str| -> Vec<&Step> {
        let steps = report.axis(axis).map(|axis| axis.steps.as_slice()).unwrap_or_default();
        steps.iter().filter(|step| step.answer == "holds").collect()
    };
    let most = report.axis(axis)?.found.map_or(f64::INFINITY, |found| found.load * BELOW_THE_KNEE);
    let below = healthy(axis).into_iter().filter(|step| step.load <= most);
    let mut loads: Vec<f64> = below.clone().map(|step| step.load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    let points: Vec<Work> = below.filter_map(Work::of).collect();
    if loads.len() < LOADS_MIN || points.len() < LOADS_MIN {
        return None;
    }
    let (write_s, message_s) = if loads.len() < LOADS_TO_SPLIT { (together(&points), 0.0) } else { shares(&points) };
    let comes: Vec<(f64, f64)> = healthy("connect")
        .into_iter()
        .filter_map(|step| Some((step.delivered as f64 / step.window_s, step.proxy?.cpu)))
        .collect();
    let connection_s = line::line(&comes).map_or(0.0, |line| line.slope);
    let cost = |seconds: f64| Cost::from_nanos((seconds.max(0.0) * 1e9).round() as u64);
    Some(ServiceTime {
        proxy_per_segment: cost(write_s),
        proxy_per_kib: cost(message_s * 1024.0 / message_bytes),
        proxy_per_connection: cost(connection_s - SEGMENTS_A_CONNECTION * (write_s + message_s)),
        proxy_cores: 1,
        proxy_queues: Queues::default(),
        proxy_spread: Spread::default(),
        proxy_reads: Reads::default(),
    })
}

/// A step's work, a second.
#[derive(Clone, Copy, Debug)]
struct Work {
    writes: f64,
    messages: f64,
    cpu: f64,
}

impl Work {
    fn of(step: &Step) -> Option<Self> {
        let (proxy, messages) = (step.proxy?, step.delivered as f64 / step.window_s);
        // Without the kernel's count each message is taken to be a write of its own; there are never more writes than messages.
        let writes = proxy.segments_per_s.unwrap_or(messages).min(messages);
        (messages > 0.0).then_some(Self { writes, messages, cpu: proxy.cpu })
    }
}

/// CPU seconds of a write and of a message: cpu = writes x a + messages x b by least squares of relative errors, neither below 0. Where messages are never written
/// together, nothing tells the two apart, and all of it is the write's.
fn shares(points: &[Work]) -> (f64, f64) {
    let (mut ww, mut wm, mut mm, mut wc, mut mc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for point in points {
        let (w, m) = (point.writes / point.cpu, point.messages / point.cpu);
        ww += w * w;
        wm += w * m;
        mm += m * m;
        wc += w;
        mc += m;
    }
    let determinant = ww * mm - wm * wm;
    // Not a number, too, where nothing was written.
    if !(determinant >= 1e-3 * ww * mm && determinant > 0.0) {
        return (together(points), 0.0);
    }
    let (write, message) = ((wc * mm - mc * wm) / determinant, (mc * ww - wc * wm) / determinant);
    if message < 0.0 {
        return (together(points), 0.0);
    }
    if write < 0.0 { (0.0, mc / mm) } else { (write, message) }
}

/// All of the CPU for the writes, by least squares of relative errors.
fn together(points: &[Work]) -> f64 {
    let per_cpu = points.iter().map(|point| point.writes / point.cpu);
    let (ww, w) = per_cpu.fold((0.0, 0.0), |(ww, w), one| (ww + one * one, w + one));
    if ww > 0.0 { w / ww } else { 0.0 }
}

/// Predicts what was measured, loses instances once for each of `all`, and looks for the smallest window of jitter, first with the few seeds of `probe`.
///
/// # Errors
/// [`ForecastError`].
pub fn foresee(
    report: &CapacityReport,
    settings: &Settings,
    probe: &impl Seeds,
    all: &impl Seeds,
) -> Result<Option<Forecast>, ForecastError> {
    let message_bytes = f64::from(feed(settings).bytes());
    let Some(costs) = costs(report, "mixed", message_bytes) else { return Ok(None) };
    let us = |cost: Cost| cost.as_duration().as_secs_f64() * 1e6;
    let message = match us(costs.proxy_per_kib) * message_bytes / 1024.0 {
        0.0 => "what a message in it costs could not be told".to_owned(),
        us => format!("{us:.2} us a message in it"),
    };
    let calibration = format!(
        "trials of the mix below the knee: {:.2} us a write, {message}, {:.0} us a connection beyond its segments",
        us(costs.proxy_per_segment),
        us(costs.proxy_per_connection)
    );
    let predicted = predicted(report, settings, message_bytes)?;
    let storm = match report.fleet.first() {
        Some(row) => {
            let fleet = fleet(settings, row.instances, row.demand);
            Some(storm(&fleet, costs, settings, probe, all)?)
        }
        None => None,
    };
    Ok(Some(Forecast { calibration, predicted, storm }))
}

/// What is measured with: each client draws its symbols.
fn feed(settings: &Settings) -> Feed {
    let mix = settings.mix;
    Feed {
        symbols: mix.symbols,
        each: mix.symbols_per_connection,
        ticks_per_s: mix.ticks_per_s,
        message_bytes: forecast::padded_bytes(mix.padding),
        together: false,
    }
}

/// The same number of messages for each client, and all of them get all of it: there are too few of a storm's on each instance to be shared out among many symbols.
fn feed_of_storms(settings: &Settings) -> Feed {
    Feed { symbols: settings.mix.symbols_per_connection, ..feed(settings) }
}

fn span(time: Duration) -> Span {
    Span::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// The knees of both axes on which messages are what is varied, and how busy the core is there.
fn predicted(
    report: &CapacityReport,
    settings: &Settings,
    message_bytes: f64,
) -> Result<Vec<Predicted>, ForecastError> {
    let mut rows = Vec::new();
    for (name, grows, clients) in [("mixed", Grows::Clients, 1), ("rate", Grows::Rate, settings.fixed_connections)] {
        let Some((axis, costs)) = report.axis(name).zip(costs(report, name, message_bytes)) else { continue };
        let workload =
            Workload { grows, clients, simulated_max: forecast::CLIENTS_MAX, feed: feed(settings), latency: LOOPBACK };
        // A delivery a second, as this axis counts its load, and as the simulated one does.
        let (per_load, per_tick) = match grows {
            Grows::Clients => (settings.mix.messages_per_s(), 1.0),
            Grows::Rate => (1.0, f64::from(clients) * f64::from(workload.feed.each)),
        };
        let objective = Goodput { within: span(settings.objective), share_min: settings.goodput_min };
        let at: Vec<f64> = axis.found.iter().map(|found| found.load / per_tick).collect();
        let prediction = forecast::predict(&workload, costs, objective, &at)?;
        // Short enough for a line of a terminal.
        let of = if grows == Grows::Clients { "mix" } else { "rate" };
        // A client of few messages has seldom two at once; one of many has, and without what each of them costs the simulated core would be many times too fast.
        let told = grows == Grows::Clients || costs.proxy_per_kib.as_nanos() > 0;
        if let Some(knee) = prediction.knee.filter(|_| told) {
            let measured = super::model::knee(axis).map(|load| load * per_load);
            let what = format!("deliveries/s at the {of}'s knee");
            rows.push(Predicted { what, predicted: knee.delivered_per_s, measured, target: Some(TARGET) });
        }
        if let (Some(step), Some(busy)) = (prediction.at.first(), super::model::of_found(axis)) {
            let at = format!("at {}/s of the {of}", number((busy.load * per_load).round()));
            let cpu = busy.proxy.map(|proxy| proxy.cpu);
            let what = format!("core busy {at}");
            rows.push(Predicted { what, predicted: step.utilisation, measured: cpu, target: Some(TARGET) });
            if let Some(p99_ms) = step.p99_ms {
                let measured = busy.latency.map(|latency| latency.p99_us as f64 / 1e3);
                rows.push(Predicted { what: format!("p99 (ms) {at}"), predicted: p99_ms, measured, target: None });
            }
        }
    }
    Ok(rows)
}

fn fleet(settings: &Settings, instances: u32, clients: f64) -> Fleet {
    let few = u16::try_from(instances).unwrap_or(u16::MAX).clamp(2, 16);
    Fleet {
        instances: few,
        // Of a fleet that is larger than what is simulated: as many to each instance.
        clients: (clients * f64::from(few) / f64::from(instances)).round() as u32,
        simulated_max: forecast::CLIENTS_MAX,
        feed: feed_of_storms(settings),
        jitter: JITTER,
        cap: CAP,
        pick: Pick::RoundRobin,
        detect: DETECT,
        dials: Dials::Refused,
        limits: Limits::default(),
        latency: LATENCY,
    }
}

fn storm(
    fleet: &Fleet,
    costs: ServiceTime,
    settings: &Settings,
    probe: &impl Seeds,
    all: &impl Seeds,
) -> Result<Storm, ForecastError> {
    let storms = forecast::storms(fleet, costs, all, WATCHED)?;
    let figures = [
        ("seconds until 99 of 100 lost clients are back", Some(&storms.back_99_s)),
        ("seconds until all are", Some(&storms.back_s)),
        ("p99 of connecting meanwhile, seconds", Some(&storms.connect_p99_s)),
        ("p99 of messages of the other clients, seconds (every client gets every tick)", Some(&storms.untouched_p99_s)),
    ];
    let objective = Objective {
        connect_p99: Some(span(settings.connect_objective)),
        back: None,
        // In the simulated world every client gets every tick, so that one tick is a larger burst than the mix's: its age there says nothing of the mix's.
        untouched_p99: None,
    };
    let range = Range { from: Span::from_millis(100), to: Span::from_millis(60_000), tolerance: 0.1 };
    let window = forecast::smallest_window(fleet, costs, objective, range, probe, all)?;
    let chart = |name: &str, title: &str, svg: String| (name.to_owned(), title.to_owned(), title.to_owned(), svg);
    Ok(Storm {
        what: format!(
            "one of {} instances is lost, with {} clients in all behind one address; they come back within {}",
            fleet.instances,
            number(f64::from(fleet.clients)),
            humantime::format_duration(JITTER.as_duration())
        ),
        seeds: storms.back_s.seeds,
        figures: figures.into_iter().filter_map(|(name, over)| figure(name, over?)).collect(),
        smallest_jitter: Some(words::found(&window)),
        command: settings.command.clone(),
        charts: vec![
            chart("recovery", "Time until lost clients are back, over all seeds", charts::recovery(&storms)),
            chart("connections", "Connections after the loss, median and worst seed", charts::connections(&storms)),
            chart("window", "Windows of jitter that were tried", charts::window(&window)),
        ],
    })
}

/// A figure that some seeds do not have has no p99 or worst that could be told.
fn figure(name: &str, over: &Over) -> Option<StormFigure> {
    let within = over.median_within.and_then(|within| Some((within.low, within.high?)));
    Some(StormFigure {
        name: name.to_owned(),
        median: over.median?,
        median_interval: within,
        p99: over.p99?,
        worst: over.worst?,
        worst_seed: over.worst_seed,
    })
}

#[cfg(test)]
mod tests {
    use reports::capacity::Axis;

    use super::*;

    fn work(writes: f64, messages: f64) -> Work {
        Work { writes, messages, cpu: writes * 5e-6 + messages * 1e-6 }
    }

    #[test]
    fn what_a_write_and_a_message_cost_are_told_apart_where_messages_are_written_together() {
        let together = [work(10_000.0, 10_000.0), work(20_000.0, 40_000.0), work(30_000.0, 120_000.0)];
        let (write, message) = shares(&together);
        assert!((write - 5e-6).abs() < 1e-9 && (message - 1e-6).abs() < 1e-9, "{write} {message}");
        let never = [work(10_000.0, 10_000.0), work(20_000.0, 20_000.0), work(30_000.0, 30_000.0)];
        let (write, message) = shares(&never);
        assert!((write - 6e-6).abs() < 1e-9 && message == 0.0, "{write} {message}");
    }

    #[test]
    fn costs_are_of_one_axis_and_of_loads_below_its_knee() {
        use super::super::against::tests::report;
        use super::super::model::tests::step;
        // 10 us a delivery up to 6,000; what is nearer to the knee, and what another axis costs, would tell otherwise.
        let mut report = report(8_000.0);
        let at = |load: f64, us: f64| step(load, load * 10.0, load * us / 1e5, 1.0);
        report.axes[0].steps = vec![at(3_000.0, 10.0), at(6_000.0, 10.0), at(8_000.0, 7.0)];
        report.axes.push(Axis {
            name: "rate".into(),
            steps: vec![at(1_000.0, 5.0), at(2_000.0, 5.0)],
            ..report.axes[0].clone()
        });
        let us = |axis: &str| {
            costs(&report, axis, 92.0).map(|costs| costs.proxy_per_segment.as_duration().as_secs_f64() * 1e6)
        };
        assert!(us("mixed").is_some_and(|us| (us - 10.0).abs() < 0.01), "{:?}", us("mixed"));
        assert!(us("rate").is_some_and(|us| (us - 5.0).abs() < 0.01), "{:?}", us("rate"));
        report.axes[0].steps.remove(0);
        assert_eq!(costs(&report, "mixed", 92.0), None, "one load is none");
    }
}
