//! What the steps mean beyond themselves: the law of their throughput, the queues in them, what each resource would hold, instances for a demand.

use capacity::little;
use capacity::queue::{Mg1, Mmc};
use capacity::redundancy::{self, Demand, Storm};
use capacity::usl::{self, Peak, Point};
use reports::capacity::{
    Axis, Basis, Cost, CostRow, FleetRow, Law, LawPoint, Limit, Little, Memory, QueueRow, Step, WhatIf,
};
use wire::draw::Draws;

use super::machine;
use super::prices::Prices;
use super::sentence::FOUND;
use super::settings::Mix;

/// An instance is run at this part of what it holds.
pub const OPERATE: f64 = 0.7;
/// The part of the machine's memory that may be used.
const MEMORY_SHARE: f64 = 0.8;
/// Resamples of a bootstrap.
const RESAMPLES: u32 = 1_000;
/// Points of the drawn curve.
const CURVE: u32 = 60;
/// Instances that may be lost at once, in the tables.
const LOSSES: u32 = 1;

fn throughput(step: &Step) -> f64 {
    step.delivered as f64 / step.window_s
}

/// Steps that say something of the proxy, one for each load: that with the longest window.
fn told(steps: &[Step]) -> Vec<&Step> {
    let mut told: Vec<&Step> = steps.iter().filter(|step| step.answer != "unhealthy" && step.delivered > 0).collect();
    told.sort_by(|a, b| a.load.total_cmp(&b.load).then(b.window_s.total_cmp(&a.window_s)));
    told.dedup_by(|a, b| a.load == b.load);
    told
}

/// The law over the steps of an axis; none where they are too few to fit it.
#[must_use]
pub fn law(axis: &Axis) -> Option<Law> {
    let steps = told(&axis.steps);
    // The law counts from a load of 1: thousands of connections would leave alpha and beta beyond any digit.
    let unit = steps.first()?.load;
    let points: Vec<Point> =
        steps.iter().map(|step| Point { load: step.load / unit, throughput: throughput(step) }).collect();
    let fit = usl::fit(&points).ok()?;
    let intervals = usl::intervals(&points, &fit, RESAMPLES, &mut Draws::new(1, "usl", 0));
    let mut all: Vec<LawPoint> = points
        .iter()
        .zip(&intervals.band)
        .map(|(point, band)| LawPoint {
            load: point.load * unit,
            measured: Some(point.throughput),
            law: fit.usl.at(point.load),
            low: band.low,
            high: band.high,
        })
        .collect();
    let greatest = points.last()?.load;
    for place in 1..=CURVE {
        // A fifth beyond the greatest, which the page shades.
        let load = 1.0 + (greatest * 1.2 - 1.0) * f64::from(place) / f64::from(CURVE);
        let law = fit.usl.at(load);
        all.push(LawPoint { load: load * unit, measured: None, law, low: law, high: law });
    }
    all.sort_by(|a, b| a.load.total_cmp(&b.load));
    let peak = match &intervals.peak {
        Peak::Identified { load, interval, .. } => Some((load * unit, (interval.low * unit, interval.high * unit))),
        Peak::NotIdentified { .. } => None,
    };
    let unit_words = format!("counted by {unit:.0} {}: {}", axis.unit, fit.usl.words());
    let words = match &intervals.peak {
        Peak::Identified { .. } => unit_words,
        Peak::NotIdentified { why } => format!("{unit_words}; {why}"),
    };
    Some(Law {
        load_unit: axis.unit.clone(),
        points: all,
        gamma: fit.usl.gamma,
        alpha: fit.usl.alpha,
        beta: fit.usl.beta,
        alpha_interval: (intervals.alpha.low, intervals.alpha.high),
        beta_interval: (intervals.beta.low, intervals.beta.high),
        peak,
        words,
    })
}

/// Ages of messages beside those of queues in which a tick is one piece of work: passed on to all its subscribers.
#[must_use]
pub fn queues(axis: &Axis, mix: &Mix) -> Vec<QueueRow> {
    let arrivals_per_s = f64::from(mix.symbols) * mix.ticks_per_s;
    told(&axis.steps).into_iter().filter_map(|step| queue(step, arrivals_per_s)).collect()
}

fn queue(step: &Step, arrivals_per_s: f64) -> Option<QueueRow> {
    let (utilisation, latency) = (step.proxy?.cpu, step.latency?);
    let service_s = utilisation / arrivals_per_s;
    // A subscriber stands anywhere in its tick's row: half of the service, on average.
    let stay = |wait: Option<f64>| wait.map(|wait| (wait + service_s / 2.0) * 1e6);
    let markov = Mmc { arrivals_per_s, service_s, servers: 1 };
    let fixed = Mg1 { arrivals_per_s, service_s, service_cv2: 0.0 };
    let wait_s = latency.mean_us / 1e6 - service_s / 2.0;
    let implied = 2.0 * wait_s * (1.0 - utilisation) / (utilisation * service_s) - 1.0;
    let words = if utilisation >= 1.0 {
        "beyond what a queue can hold: what waits is conflated"
    } else if implied < 0.0 {
        "less than chance arrivals would wait: ticks come by a plan, evenly"
    } else if implied < 2.0 {
        "as a queue explains"
    } else {
        "more than a queue of this work explains: the scheduler, other work on the machine, or batches"
    };
    Some(QueueRow {
        load: step.load,
        utilisation,
        service_us: service_s * 1e6,
        measured_us: latency.mean_us,
        mm1_us: stay(markov.mean_wait_s()),
        md1_us: stay(fixed.mean_wait_s()),
        implied_cv2: (utilisation < 1.0 && implied.is_finite()).then_some(implied),
        words: words.to_owned(),
    })
}

/// Little's law on connections: those that are there, against how fast they came and how long they stay.
#[must_use]
pub fn little(counted: f64, rate_per_s: f64, mean_stay_s: f64) -> Little {
    let audit = little::audit(counted, rate_per_s, mean_stay_s);
    let off = (audit.under_way - audit.expected).abs() / audit.expected.max(audit.under_way).max(f64::MIN_POSITIVE);
    Little { counted: audit.under_way, computed: audit.expected, off, agrees: audit.holds }
}

/// What each resource would hold, in connections of the mix, and which one binds.
#[must_use]
pub fn limits(
    mixed: &Axis,
    subscribed: Option<&Memory>,
    memory_bytes: u64,
    descriptors_max: Option<u64>,
) -> Vec<Limit> {
    let mut limits = Vec::new();
    let mut add = |resource: &str, capacity: f64, basis, how: String| {
        limits.push(Limit { resource: resource.to_owned(), capacity, basis, how, binds: false });
    };
    if let Some(found) = mixed.found {
        let cpu = of_found(mixed).and_then(|step| step.proxy).map(|proxy| proxy.cpu);
        match (&mixed.binds, cpu) {
            (Some(binds), _) if binds.starts_with("CPU") || binds.starts_with("lateness") => {
                let resource = if binds.starts_with("CPU") { "CPU" } else { "latency" };
                add(resource, found.load, Basis::Measured, format!("the greatest load that held; beyond it: {binds}"));
            }
            (_, Some(cpu)) if cpu > 0.0 => {
                let how = format!("{:.0} % of a core at {:.0}, in proportion", cpu * 100.0, found.load);
                add("CPU", found.load / cpu, Basis::Extrapolated, how);
            }
            _ => {}
        }
    }
    if let Some(line) = subscribed.and_then(|memory| memory.line) {
        let kernel = subscribed.and_then(|memory| memory.kernel).map_or(0.0, |line| line.slope.max(0.0));
        // The kernel's account is of both ends; the proxy has one of them.
        let each = line.slope + kernel / 2.0;
        if each > 0.0 {
            let capacity = (memory_bytes as f64 * MEMORY_SHARE - line.intercept) / each;
            let how = format!(
                "{:.1} KiB a connection (the proxy {:.1}, half of the kernel's {:.1}), {:.0} % of the machine's memory",
                each / 1024.0,
                line.slope / 1024.0,
                kernel / 1024.0,
                MEMORY_SHARE * 100.0
            );
            add("memory", capacity, Basis::Extrapolated, how);
        }
    }
    if let Some(most) = descriptors_max {
        let spare = machine::descriptors_beside_clients();
        let how = format!("{most} descriptors, one a connection, {spare} for all else");
        add("descriptors", most.saturating_sub(spare) as f64, Basis::Modelled, how);
    }
    let named: Vec<(&str, f64)> = limits.iter().map(|limit| (limit.resource.as_str(), limit.capacity)).collect();
    let binding = redundancy::binding(&named).map(|binding| binding.resource.to_owned());
    for limit in &mut limits {
        limit.binds = Some(&limit.resource) == binding.as_ref();
    }
    limits
}

/// The step of the greatest load that held, in its longest window.
#[must_use]
pub fn of_found(axis: &Axis) -> Option<&Step> {
    let found = axis.found?;
    let at = axis.steps.iter().filter(|step| step.load == found.load && step.answer == "holds");
    at.max_by(|a, b| a.window_s.total_cmp(&b.window_s))
}

/// The knee of an axis: the greatest load that held, confirmed, beyond which something failed in good health. None where the search was broken off, or met another end.
#[must_use]
pub fn knee(axis: &Axis) -> Option<f64> {
    let found = axis.found.filter(|found| found.confirmed && found.fails_at.is_some())?;
    (axis.end == FOUND).then_some(found.load)
}

/// Instances for demands, with one that may be lost. `accepts_per_s`: connections a second that an instance takes that does nothing else.
#[must_use]
pub fn fleet(capacity: f64, accepts_per_s: Option<f64>, demands: &[f64]) -> Vec<FleetRow> {
    demands.iter().filter_map(|demand| fleet_row(capacity, accepts_per_s, *demand)).collect()
}

fn fleet_row(capacity: f64, accepts_per_s: Option<f64>, demand: f64) -> Option<FleetRow> {
    let fleet = Demand { amount: demand, capacity, utilisation_max: OPERATE, losses: LOSSES }.fleet()?;
    let survivors = fleet.instances - LOSSES;
    let jitter = accepts_per_s.map(|per_s| {
        // What survivors have left beside their clients.
        let spare = per_s * (1.0 - fleet.utilisation_after_losses).max(0.05);
        let connections = demand / f64::from(fleet.instances);
        Storm { connections, survivors, jitter_s: 1.0, accepts_per_s: spare }.smallest_jitter_s()
    });
    Some(FleetRow {
        demand,
        losses: LOSSES,
        instances: fleet.instances,
        utilisation: fleet.utilisation,
        utilisation_after_losses: fleet.utilisation_after_losses,
        smallest_jitter_s: jitter,
    })
}

/// What 1,000 connections cost, with each type of instance of the file. It is taken to hold what this machine's core holds.
#[must_use]
pub fn cost(file: &str, prices: &Prices, row: &FleetRow) -> Cost {
    let rows = prices.instance.iter().map(|instance| CostRow {
        instance: instance.name.clone(),
        currency: prices.currency.clone(),
        price_per_hour: instance.per_hour,
        per_thousand_hour: redundancy::cost_per_thousand(row.instances, row.demand, instance.per_hour),
        demand: row.demand,
        instances: row.instances,
    });
    Cost { file: file.to_owned(), date: prices.date.clone(), rows: rows.collect() }
}

/// What is known of the instance whose load changes.
#[derive(Clone, Copy, Debug)]
pub struct Instance<'a> {
    /// Connections of the mix that it holds.
    pub capacity: f64,
    /// Those that are asked for in all.
    pub demand: f64,
    /// Deliveries a second that it makes at `fixed_connections`, if that was measured.
    pub deliveries_per_s: Option<f64>,
    /// Messages a second of each connection of the mix.
    pub messages_per_s: f64,
    /// Of subscribed connections.
    pub subscribed: Option<&'a Memory>,
    /// Of stalled ones.
    pub stalled: Option<&'a Memory>,
}

/// The table.
#[must_use]
pub fn what_if(of: &Instance<'_>) -> Vec<WhatIf> {
    let instances = |demand: f64, capacity: f64| {
        let fleet = Demand { amount: demand, capacity, utilisation_max: OPERATE, losses: LOSSES }.fleet();
        fleet.map_or_else(|| "none is enough".to_owned(), |fleet| format!("{} instances", fleet.instances))
    };
    let row = |change: &str, demand: f64, capacity: f64, basis: Basis| WhatIf {
        change: change.to_owned(),
        cells: vec![
            ("instances".to_owned(), instances(demand, capacity), basis),
            ("one instance holds".to_owned(), format!("{capacity:.0} connections"), basis),
        ],
    };
    let mut rows = vec![
        row("as asked for", of.demand, of.capacity, Basis::Measured),
        row("half as many clients again", of.demand * 1.5, of.capacity, Basis::Modelled),
        row("twice as many clients", of.demand * 2.0, of.capacity, Basis::Modelled),
    ];
    // The work is in deliveries: twice the messages, half the connections, where messages are what binds.
    rows.push(row("twice the messages a client", of.demand, of.capacity / 2.0, Basis::Modelled));
    if let Some(per_s) = of.deliveries_per_s {
        let burst = per_s / (of.messages_per_s * 10.0);
        rows.push(row("a burst of ten times the messages", of.demand, burst.min(of.capacity), Basis::Modelled));
    }
    if let (Some(normal), Some(stalled)) = (of.subscribed.and_then(|one| one.line), of.stalled.and_then(|one| one.line))
    {
        let share = 0.05;
        let bytes = of.capacity * OPERATE * (normal.slope * (1.0 - share) + stalled.slope * share) + normal.intercept;
        let memory = format!("{:.0} MiB at the operating point", bytes / 1_048_576.0);
        rows.push(WhatIf {
            change: "one client in twenty reads nothing".to_owned(),
            cells: vec![("memory of the proxy".to_owned(), memory, Basis::Extrapolated)],
        });
    }
    rows
}

#[cfg(test)]
pub(super) mod tests {
    use reports::capacity::{Footprint, Found, Health, Line, Quantiles};

    use super::*;

    pub(in super::super) fn step(load: f64, per_s: f64, cpu: f64, mean_us: f64) -> Step {
        Step {
            load,
            stage: "grow".into(),
            answer: "holds".into(),
            why: String::new(),
            window_s: 2.0,
            connections: load as u64,
            planned: (load * 20.0) as u64,
            delivered: (per_s * 2.0) as u64,
            goodput: Some(1.0),
            latency: Some(Quantiles { count: 1_000, mean_us, p50_us: 1, p90_us: 1, p99_us: 1, p999_us: 1, max_us: 1 }),
            proxy: Some(Footprint {
                cpu,
                rss_bytes: 1,
                kernel_bytes: None,
                descriptors: 1,
                threads: 1,
                segments_per_s: None,
            }),
            generator: Health { healthy: true, reasons: Vec::new(), cpu: None, lateness_p99_us: None },
            source_cpu: None,
            little: None,
        }
    }

    fn axis(steps: Vec<Step>, found: f64, binds: Option<&str>) -> Axis {
        Axis {
            name: "mixed".into(),
            what: String::new(),
            unit: "connections".into(),
            steps,
            found: Some(Found { load: found, fails_at: None, confirmations: 3, confirmed: true }),
            end: String::new(),
            binds: binds.map(str::to_owned),
        }
    }

    #[test]
    fn a_law_that_bends_is_found_and_one_that_does_not_has_no_peak() {
        let truth = usl::Usl { gamma: 10_000.0, alpha: 0.03, beta: 0.001 };
        let loads = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
        let steps = loads.map(|n| step(n * 1_000.0, truth.at(n), 0.1, 1.0)).to_vec();
        let law = law(&axis(steps, 64_000.0, None)).expect("seven loads");
        let (peak, _) = law.peak.expect("it bends");
        assert!((peak / 1_000.0 - truth.peak().expect("beta")).abs() < 1.0, "{peak}");
        assert!((law.alpha - 0.03).abs() < 1e-3, "{}", law.alpha);
        let straight = loads.map(|n| step(n * 1_000.0, n * 10_000.0, 0.1, 1.0)).to_vec();
        let law = super::law(&axis(straight, 64_000.0, None)).expect("seven loads");
        assert!(law.peak.is_none() && law.words.contains("not"), "{}", law.words);
    }

    #[test]
    fn a_queue_of_one_piece_of_work_at_half_of_the_core_waits_half_a_service_or_a_whole_one() {
        // 100 ticks a second, half of the core: 5 ms each. M/D/1 waits 2.5 ms, M/M/1 5 ms, and half a service on top.
        let row = queue(&step(1_000.0, 1.0, 0.5, 7_500.0), 100.0).expect("measured");
        assert!((row.service_us - 5_000.0).abs() < 1e-6);
        assert!(row.md1_us.is_some_and(|us| (us - 5_000.0).abs() < 1e-6), "{row:?}");
        assert!(row.mm1_us.is_some_and(|us| (us - 7_500.0).abs() < 1e-6), "{row:?}");
        assert!(row.implied_cv2.is_some_and(|cv2| (cv2 - 1.0).abs() < 1e-9), "{row:?}");
        let full = queue(&step(1_000.0, 1.0, 1.0, 7_500.0), 100.0).expect("measured");
        assert!(full.mm1_us.is_none() && full.implied_cv2.is_none());
    }

    #[test]
    fn the_least_of_what_resources_hold_binds_and_is_marked_as_seen_or_reckoned() {
        let line = Line { slope: 10_240.0, slope_low: 0.0, slope_high: 0.0, intercept: 0.0, r_squared: 1.0 };
        let memory =
            Memory { state: "subscribed".into(), what: String::new(), levels: vec![], line: Some(line), kernel: None };
        let mixed = axis(vec![step(8_000.0, 1.0, 0.8, 1.0)], 8_000.0, Some("CPU of the proxy (98 % of a core)"));
        let all = limits(&mixed, Some(&memory), 10_737_418_240, Some(20_000));
        let binding: Vec<&str> = all.iter().filter(|one| one.binds).map(|one| one.resource.as_str()).collect();
        assert_eq!(binding, ["CPU"]);
        assert_eq!((all[0].basis, all[0].capacity), (Basis::Measured, 8_000.0));
        assert!((all[1].capacity - 10_737_418_240.0 * 0.8 / 10_240.0).abs() < 1.0);
        // The search ended before anything gave out: what the CPU would hold is reckoned.
        let all = limits(&axis(vec![step(8_000.0, 1.0, 0.5, 1.0)], 8_000.0, None), None, 0, Some(10_322));
        assert_eq!((all[0].capacity, all[0].basis), (16_000.0, Basis::Extrapolated));
        assert!(all[1].binds && all[1].capacity == 10_000.0);
    }

    #[test]
    fn fleets_hold_the_demand_when_one_is_lost() {
        let rows = fleet(10_000.0, Some(2_000.0), &[50_000.0]);
        // 50,000 / 7,000 = 7.14: eight, and one to lose.
        assert_eq!(rows[0].instances, 9);
        assert!(rows[0].utilisation_after_losses <= OPERATE);
        let jitter = rows[0].smallest_jitter_s.expect("connections a second are known");
        let spare = 2_000.0 * (1.0 - 50_000.0 / 80_000.0);
        assert!((jitter - 50_000.0 / 9.0 / (spare * 8.0)).abs() < 1e-9, "{jitter}");
    }
}
