//! Worlds against sums that can be done on paper.

use super::*;
use crate::cost::Cost;
use crate::model::{Pick, ServiceTime};
use crate::span::Span;

/// One after the other; `reversed`: the last first.
struct InTurn {
    seeds: std::ops::RangeInclusive<u64>,
    reversed: bool,
}

impl Seeds for InTurn {
    fn each<T: Send>(&self, work: impl Fn(u64) -> Result<T, ForecastError> + Sync) -> Result<Vec<T>, ForecastError> {
        let seeds: Vec<u64> = self.seeds.clone().collect();
        if self.reversed {
            let mut done: Vec<T> = seeds.into_iter().rev().map(work).collect::<Result<_, _>>()?;
            done.reverse();
            return Ok(done);
        }
        seeds.into_iter().map(work).collect()
    }
}

fn seeds(last: u64) -> InTurn {
    InTurn { seeds: 1..=last, reversed: false }
}

fn ms(ms: u64) -> Span {
    Span::from_millis(ms)
}

fn feed(ticks_per_s: f64) -> Feed {
    Feed { symbols: 1, each: 1, ticks_per_s, message_bytes: None, together: true }
}

/// Four instances with 25 clients each, whose window is 4 s.
fn fleet() -> Fleet {
    Fleet {
        instances: 4,
        clients: 400,
        simulated_max: 400,
        feed: feed(10.0),
        jitter: ms(4_000),
        cap: ms(4_000),
        pick: Pick::RoundRobin,
        detect: ms(0),
        dials: Dials::Refused,
        limits: Limits::default(),
        latency: Span::from_micros(500),
    }
}

/// CPU is as good as free.
fn free() -> ServiceTime {
    ServiceTime::per_segment(Cost::from_nanos(1))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn clients_that_cost_nothing_come_back_as_they_were_drawn_and_evenly_over_the_others() {
    let fleet = fleet();
    let found = storms(&fleet, free(), &seeds(10), ms(60_000)).unwrap();
    let (lost, window, tick) = (100.0, 4.0, 0.1);
    assert!(found.runs.iter().all(|run| run.aftermath.lost == 100 && run.aftermath.dials.refused == 0));
    // Of so many evenly drawn times the k-th is k / (n + 1) of the window on average, a tick's half later a message comes. Half a tick and two standard
    // errors of the last one (window / lost) are left on both sides.
    for (share, place) in [(1.0, 100.0), (0.99, 99.0)] {
        let found = mean(found.runs.iter().map(|run| run.aftermath.back(share).unwrap() as f64 / 1e6));
        let expected = window * place / (lost + 1.0) + tick / 2.0;
        assert!(
            (found - expected).abs() < tick / 2.0 + 2.0 * window / lost / 10_f64.sqrt(),
            "{share}: {found} for {expected}"
        );
    }
    // The rate at each of the others, and the sum beside it; a sum that is off by the lost instance is found out.
    let survivors =
        found.runs.iter().flat_map(|run| run.aftermath.opened_at.values().map(|opened| f64::from(*opened) / window));
    let rate = mean(survivors);
    let is = |rate: f64, of: &capacity::redundancy::Storm| (rate / of.rate_per_survivor() - 1.0).abs() < 0.05;
    let sum = found.beside.storm;
    assert!(is(rate, &sum), "{rate} a second at each, for {}", sum.rate_per_survivor());
    let wrong = capacity::redundancy::Storm { survivors: sum.survivors + 1, ..sum };
    assert!(!is(rate, &wrong), "{} as well", wrong.rate_per_survivor());
    // The last is back a little before the end of the window, and the sum takes all of it.
    assert!(found.beside.error.is_some_and(|error| error.abs() < 0.05), "{:?}", found.beside);
}

/// A client costs 10 ms to take on; no window to speak of.
fn rush() -> (Fleet, ServiceTime) {
    let costs = ServiceTime { proxy_per_connection: "10ms".parse().unwrap(), ..free() };
    (Fleet { jitter: ms(10), cap: ms(10), ..fleet() }, costs)
}

#[test]
fn clients_that_cost_something_queue_for_as_long_as_the_others_need() {
    let (fleet, costs) = rush();
    let found = storms(&fleet, costs, &seeds(3), ms(60_000)).unwrap();
    let sum = found.beside.storm;
    // 100 clients over three instances at 10 ms each.
    assert!((sum.smallest_jitter_s() - 1.0 / 3.0).abs() < 0.001, "{sum:?}");
    let is = |last: f64, of: &capacity::redundancy::Storm| (last / of.smallest_jitter_s() - 1.0).abs() < 0.1;
    let wrong = capacity::redundancy::Storm { survivors: sum.survivors + 1, ..sum };
    let last = |run: &Storm| *run.aftermath.opened_us.last().unwrap() as f64 / 1e6;
    for run in &found.runs {
        assert!(is(last(run), &sum) && !is(last(run), &wrong), "{} s, for {}", last(run), sum.smallest_jitter_s());
    }
    // Half as many clients, half as long a queue.
    let half = storms(&Fleet { clients: 200, ..fleet }, costs, &seeds(1), ms(60_000)).unwrap();
    let part = last(&half.runs[0]) / last(&found.runs[0]);
    assert!((part - 0.5).abs() < 0.05, "{part}");
    assert!(found.connect_p99_s.median.is_some_and(|p99| (p99 / 0.33 - 1.0).abs() < 0.1), "{:?}", found.connect_p99_s);
}

#[test]
fn few_clients_for_many_take_as_long_as_many() {
    let (fleet, costs) = rush();
    let many = storms(&fleet, costs, &seeds(2), ms(60_000)).unwrap();
    let few = storms(&Fleet { simulated_max: 100, ..fleet }, costs, &seeds(2), ms(60_000)).unwrap();
    assert_eq!((few.population.simulated, few.population.each), (100, 4.0));
    let last = |storms: &Storms| mean(storms.runs.iter().map(|run| *run.aftermath.opened_us.last().unwrap() as f64));
    // One of the few is four of the many: it cannot be told more finely.
    assert!((last(&few) - last(&many)).abs() < 4.0 * 10_000.0 + 5_000.0, "{} and {}", last(&few), last(&many));
}

#[test]
fn a_loss_that_is_detected_late_costs_dials_and_the_paper_is_told_why_it_is_wrong() {
    let fleet = Fleet { detect: ms(1_000), cap: ms(30_000), ..fleet() };
    let found = storms(&fleet, free(), &seeds(4), ms(60_000)).unwrap();
    // A quarter of the dials of the first quarter of the window.
    assert!((0.04..0.09).contains(&found.wasted_dials), "{}", found.wasted_dials);
    let late = found.back_s.worst.unwrap();
    assert!((4.0..12.2).contains(&late), "one comes again within 8 s: {late}");
    assert!(found.beside.because[0].starts_with("until the loss was detected"), "{:?}", found.beside.because);
    let unheard = Fleet { dials: Dials::Unheard, ..fleet };
    let found = storms(&unheard, free(), &seeds(1), ms(60_000)).unwrap();
    assert!(found.back_s.worst.unwrap() > 10.0 && found.runs[0].aftermath.dials.unheard > 0, "{:?}", found.back_s);
    // Who has no connections is the least busy: nearly all dials go there until it is known.
    let herded = Fleet { pick: Pick::LeastConnections, ..fleet };
    let found = storms(&herded, free(), &seeds(2), ms(60_000)).unwrap();
    assert!(found.wasted_dials > 0.2, "{}", found.wasted_dials);
}

#[test]
fn the_same_arguments_give_the_same_bytes_in_whatever_order_the_seeds_are_run() {
    let fleet = Fleet { jitter: ms(500), detect: ms(200), ..fleet() };
    let text = |reversed| {
        let found = storms(&fleet, free(), &InTurn { seeds: 1..=3, reversed }, ms(60_000)).unwrap();
        let pictures = charts::recovery(&found) + &charts::connections(&found);
        serde_json::to_string(&found).unwrap() + &words::storms(&found) + &pictures
    };
    let once = text(false);
    assert_eq!(once, text(true));
    let scenario = scenario(&fleet, free(), 2, ms(2_000)).unwrap();
    assert_eq!(crate::parse::parse("storm.toml", &scenario.to_toml().unwrap()).unwrap(), scenario);
}

#[test]
fn the_smallest_window_is_what_the_queue_allows() {
    // A third of a second of work comes to each instance: in a window as long as that it queues by chance only, in none at all everybody waits for all of it.
    let (fleet, costs) = rush();
    let objective = Objective { connect_p99: Some(ms(200)), back: Some(ms(3_000)), untouched_p99: None };
    let range = Range { from: ms(20), to: ms(3_000), tolerance: 0.1 };
    let found = smallest_window(&fleet, costs, objective, range, &seeds(1), &seeds(3)).unwrap();
    let smallest = found.smallest_s.unwrap();
    assert!((0.1..0.34).contains(&smallest), "{found:?}");
    assert!(found.fails_at_s.is_some_and(|fails| fails < smallest && smallest < fails * 1.12), "{found:?}");
    assert_eq!((found.confirmed, found.breaks_at_most), (3, Some(1.0)));
    let hopeless = Objective { connect_p99: Some(ms(5)), back: Some(ms(100)), ..objective };
    let found = smallest_window(&fleet, costs, hopeless, range, &seeds(1), &seeds(3)).unwrap();
    assert_eq!((found.smallest_s, found.confirmed), (None, 0));
    assert!(words::window(&found).contains("No window does, up to 0.10 s"), "{}", words::window(&found));
}

#[test]
fn a_core_under_load_writes_more_at_once_and_its_knee_is_where_the_sum_has_it() {
    // 100 clients: 20 us a write and 20 us a message in it. Of b messages a round takes 2 ms (1 + b), and b come in meanwhile: b = r (1 + b) with r the
    // ticks of two milliseconds. Whoever comes right after a round began waits for it and for its own: 4 ms / (1 - r) within 10 ms, so r is 0.6, 300 a second.
    let plain = f64::from(population::plain_bytes()) + 2.0;
    let costs = ServiceTime {
        proxy_per_kib: Cost::from_nanos((20_000.0 * 1_024.0 / plain) as u64),
        ..ServiceTime::per_segment("20us".parse().unwrap())
    };
    let workload = Workload {
        grows: Grows::Rate,
        clients: 100,
        simulated_max: 100,
        feed: feed(1.0),
        latency: Span::from_micros(50),
    };
    let found = predict(&workload, costs, Goodput { within: ms(10), share_min: 0.99 }, &[100.0]).unwrap();
    let knee = found.knee.unwrap();
    assert!((260.0..360.0).contains(&knee.ticks_per_s), "{}", words::knee(&found));
    // A tick at a time: 4 ms of work every 10.
    let asked = found.at[0];
    assert!((asked.utilisation - 0.4).abs() < 0.01, "{asked:?}");
    assert!((asked.delivered_per_s / 10_000.0 - 1.0).abs() < 0.02 && asked.goodput == 1.0, "{asked:?}");
}

#[test]
fn clients_grow_until_their_ticks_fill_the_core_and_each_gets_what_it_subscribed_to() {
    // 10 of 100 symbols, each once a second and at an instant of its own: 10 messages a second and client, at 20 us a write. A second of work at 5,000 clients,
    // and a little more of them, as what waits for the same client is then written together; a tick is a burst of a tenth of them, 10 ms there, of which five fit
    // into the 50 ms.
    let workload = Workload {
        grows: Grows::Clients,
        clients: 1,
        simulated_max: 250,
        feed: Feed { symbols: 100, each: 10, ticks_per_s: 1.0, message_bytes: None, together: false },
        latency: Span::from_micros(50),
    };
    let objective = Goodput { within: ms(50), share_min: 0.99 };
    let found = predict(&workload, ServiceTime::per_segment("20us".parse().unwrap()), objective, &[2_500.0]).unwrap();
    let knee = found.knee.unwrap();
    assert!((4_800..6_000).contains(&knee.clients), "{}", words::knee(&found));
    assert!((knee.planned_per_s / f64::from(knee.clients) - 10.0).abs() < 0.2, "{knee:?}");
    // What comes in costs as much as what goes out to one of the 25 simulated clients of a tick.
    let (asked, expected) = (found.at[0], 0.5 * 26.0 / 25.0);
    assert!((asked.utilisation - expected).abs() < 0.01 && asked.goodput == 1.0, "{asked:?}");
    let none = Workload { feed: Feed { each: 101, ..workload.feed }, ..workload };
    assert!(predict(&none, free(), objective, &[]).is_err_and(|error| error.to_string().contains("draws 101 symbols")));
}
