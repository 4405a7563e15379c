//! The station against queueing theory: Kleinrock, Queueing Systems I (1975), M/G/1 (5.70, Pollaczek and Khinchine) and M/M/m (3.40, Erlang's C).

use super::*;

/// The mean cost of a piece of work in these tests, in microseconds.
const COST_US: f64 = 100.0;

/// Pieces of work in a case, and the batches that tell how far their mean may be off.
const JOBS: u64 = 400_000;
const BATCHES: u64 = 40;

fn station(cores: u16, queues: Queues, spread: Spread) -> Cpu {
    let per_segment = Duration::from_micros(COST_US as u64);
    let service = ServiceTime { per_segment, cores, queues, spread, ..ServiceTime::default() };
    Cpu::new(service, Draws::new(1, "cpu", 0))
}

fn segment() -> Work {
    Work { segments: 1, ..Work::default() }
}

/// The mean wait, without the service itself, and its standard error. Work comes up at random, so much that each core is busy for `load` of the time, and is
/// spread over the cores at random. Waits of neighbours depend on one another: the error is that of the means of long batches.
fn mean_wait(cpu: &mut Cpu, load: f64) -> (f64, f64) {
    let gap = COST_US / load / cpu.free_ns.len() as f64;
    let (mut gaps, lanes) = (Draws::new(7, "arrivals", 0), Draws::new(7, "lanes", 0));
    let mut clock = 0.0;
    let mut batches = Vec::new();
    for batch in 0..BATCHES {
        let mut sum = 0.0;
        for n in 0..JOBS / BATCHES {
            clock += gaps.exponential(gap);
            let at = clock as u64;
            sum += (cpu.serve(at, lanes.nth(batch * JOBS + n), segment()) - at) as f64;
        }
        batches.push(sum / (JOBS / BATCHES) as f64 - COST_US);
    }
    let mean = batches.iter().sum::<f64>() / BATCHES as f64;
    let variance = batches.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>() / (BATCHES - 1) as f64;
    (mean, (variance / BATCHES as f64).sqrt())
}

/// The mean is within four standard errors and the microsecond that whole microseconds cost, and the error is small enough for that to say something.
fn check(what: &str, (mean, error): (f64, f64), expected: f64) {
    assert!(error < 0.05 * expected, "{what}: the mean is known to {error} only, of {expected}");
    assert!((mean - expected).abs() < 4.0 * error + 1.0, "{what}: {mean} for {expected}, error {error}");
}

/// The probability that all of `cores` are busy, at a load of `load` each (Erlang C).
fn erlang_c(cores: u16, load: f64) -> f64 {
    let offered = f64::from(cores) * load;
    let mut term = 1.0;
    let mut below = 0.0;
    for n in 0..cores {
        below += term;
        term *= offered / f64::from(n + 1);
    }
    let all = term / (1.0 - load);
    all / (below + all)
}

#[test]
fn erlang_c_is_that_of_the_tables() {
    // One server is busy for its load; two servers by 2 load^2 / (1 + load).
    assert!((erlang_c(1, 0.7) - 0.7).abs() < 1e-12);
    assert!((erlang_c(2, 0.5) - 1.0 / 3.0).abs() < 1e-12);
    assert!((erlang_c(4, 0.75) - 0.509_434).abs() < 1e-6);
}

#[test]
fn one_core_of_fixed_cost_waits_as_m_d_1_does() {
    for load in [0.3, 0.5, 0.7, 0.8, 0.9] {
        let expected = load * COST_US / (2.0 * (1.0 - load));
        check(&format!("load {load}"), mean_wait(&mut station(1, Queues::PerCore, Spread::Fixed), load), expected);
    }
}

#[test]
fn shared_cores_of_exponential_cost_wait_as_m_m_c_does() {
    for cores in [1, 2, 4] {
        for load in [0.5, 0.7, 0.8, 0.9] {
            let expected = erlang_c(cores, load) * COST_US / (f64::from(cores) * (1.0 - load));
            let found = mean_wait(&mut station(cores, Queues::Shared, Spread::Exponential), load);
            check(&format!("{cores} cores, load {load}"), found, expected);
        }
    }
}

#[test]
fn cores_with_a_queue_each_wait_as_so_many_single_ones() {
    for cores in [2, 4] {
        let expected = 0.7 * COST_US / (1.0 - 0.7);
        let found = mean_wait(&mut station(cores, Queues::PerCore, Spread::Exponential), 0.7);
        check(&format!("{cores} cores"), found, expected);
    }
}

#[test]
fn beyond_its_load_a_station_does_what_its_cores_can() {
    for (cores, queues, spread) in [
        (1, Queues::PerCore, Spread::Fixed),
        (4, Queues::PerCore, Spread::Fixed),
        (4, Queues::Shared, Spread::Fixed),
        (2, Queues::Shared, Spread::Exponential),
    ] {
        let mut cpu = station(cores, queues, spread);
        // Twice what it can: after a second of work half is done, and the last has waited for a second.
        let can = u64::from(cores) * 10_000;
        let done: Vec<u64> = (0..2 * can).map(|n| cpu.serve(n * 1_000_000 / (2 * can), n, segment())).collect();
        let in_time = done.iter().filter(|at| **at <= 1_000_000).count() as f64;
        let slack = if spread == Spread::Fixed { 0.001 } else { 0.03 };
        assert!((in_time / can as f64 - 1.0).abs() < slack, "{cores} {queues:?}: {in_time} of {can}");
        assert!((done[done.len() - 1] as f64 / 2e6 - 1.0).abs() < slack, "{cores} {queues:?}: {:?}", done.last());
    }
}

#[test]
fn costs_below_a_microsecond_add_up() {
    let per_segment = Duration::from_nanos(300);
    let mut cpu = Cpu::new(ServiceTime { per_segment, ..ServiceTime::default() }, Draws::new(1, "cpu", 0));
    let done: Vec<u64> = (0..10).map(|_| cpu.serve(5, 0, segment())).collect();
    assert_eq!(done, [6, 6, 6, 7, 7, 7, 8, 8, 8, 8]);
}

#[test]
fn segments_bytes_and_connections_each_have_their_cost() {
    let service = ServiceTime {
        per_segment: Duration::from_micros(7),
        per_kib: Duration::from_micros(4),
        per_connection: Duration::from_micros(100),
        ..ServiceTime::default()
    };
    let cost = |work: Work| Cpu::new(service, Draws::new(1, "cpu", 0)).serve(1_000, 0, work) - 1_000;
    assert_eq!(cost(Work::default()), 0);
    assert_eq!(cost(segment()), 7);
    assert_eq!(cost(Work { bytes: 1024, ..segment() }), 11);
    assert_eq!(cost(Work { bytes: 256, ..segment() }), 8, "a quarter of a KiB");
    assert_eq!(cost(Work { bytes: 1, ..segment() }), 8, "rounded up");
    assert_eq!(cost(Work { connections: 2, ..segment() }), 207);
    let mut slow = Cpu::new(service, Draws::new(1, "cpu", 0));
    slow.slow_down(3.0);
    assert_eq!(slow.serve(1_000, 0, Work { bytes: 1024, segments: 1, connections: 1 }), 1_333);
    assert_eq!(Cpu::new(ServiceTime::default(), Draws::new(1, "cpu", 0)).serve(9, 3, segment()), 9, "free");
}

#[test]
fn a_lane_is_served_by_its_core_and_a_shared_queue_by_whichever_is_free() {
    let mut own = station(2, Queues::PerCore, Spread::Fixed);
    assert_eq!([4, 6, 5, 5].map(|lane| own.serve(0, lane, segment())), [100, 200, 100, 200]);
    let mut shared = station(2, Queues::Shared, Spread::Fixed);
    assert_eq!([4, 6, 4, 4].map(|lane| shared.serve(0, lane, segment())), [100, 100, 200, 200]);
}

#[test]
fn cores_change_while_they_work() {
    let mut cpu = station(1, Queues::Shared, Spread::Fixed);
    assert_eq!(cpu.serve(0, 0, segment()), 100);
    cpu.set(ServiceTime { cores: 2, ..cpu.service });
    assert_eq!([(); 2].map(|()| cpu.serve(10, 0, segment())), [110, 200]);
    cpu.set(ServiceTime { cores: 1, ..cpu.service });
    assert_eq!(cpu.serve(10, 0, segment()), 300);
    cpu.stop();
    assert_eq!(cpu.serve(10, 0, segment()), 110);
}

#[test]
fn the_same_seed_draws_the_same_costs() {
    let run = |seed| {
        let service = ServiceTime { spread: Spread::Exponential, ..station(1, Queues::Shared, Spread::Fixed).service };
        let mut cpu = Cpu::new(service, Draws::new(seed, "cpu", 3));
        (0..100).map(|n| cpu.serve(n * 50, 0, segment())).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
