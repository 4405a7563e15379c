//! A host with a service time is a queue: waits as queueing theory has them, and a rate that it never passes.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::{AtHorizon, LinkConfig, Queues, ServiceTime, SimConfig, SimNet, Spread, TcpConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use wire::draw::Draws;
use wire::net::{ListenOptions, Listener, Network};

use super::{connect, connect_times, measured};

/// Numbers that reached the server, and when, in microseconds.
type Delivered = Arc<Mutex<Vec<(u64, u64)>>>;

/// Notes each number that comes, and when.
async fn note(net: SimNet, delivered: Delivered) -> io::Result<()> {
    let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let delivered = delivered.clone();
        net.spawn("note", async move {
            while let Ok(number) = stream.read_u64().await {
                delivered.lock().unwrap().push((number, sim::now_us()));
            }
        });
    }
}

/// Says the time at random instants, that many seconds apart on average.
async fn say(net: SimNet, key: u64, gap: f64) -> io::Result<()> {
    let mut stream = connect(&net).await?;
    let mut gaps = Draws::new(5, "gaps", key);
    let mut due = gaps.exponential(gap);
    loop {
        let now = Duration::from_micros(sim::now_us());
        sleep(Duration::from_secs_f64(due).saturating_sub(now)).await;
        stream.write_u64(sim::now_us()).await?;
        due += gaps.exponential(gap);
    }
}

/// Says one number several times at once, at one second.
async fn repeat(net: SimNet, number: u64, times: u64) -> io::Result<()> {
    let mut stream = connect(&net).await?;
    tokio::time::sleep_until(Instant::now() + Duration::from_micros(1_000_000 - sim::now_us())).await;
    for _ in 0..times {
        stream.write_u64(number).await?;
    }
    std::future::pending().await
}

/// What a service time does to messages that come at random: how long they wait beyond the service itself, and how many are delivered a second.
struct Queued {
    /// Microseconds, in order of delivery.
    waits: Vec<f64>,
    per_s: f64,
}

/// The mean cost of a message. tokio's timers fire on whole milliseconds: senders keep to their instants within a twentieth of it.
const COST: Duration = Duration::from_millis(20);

/// A hundred senders at random, to a host whose cores are to be busy for `load` of the time; for `lasts`, after a minute of running in.
fn queued(service: ServiceTime, load: f64, lasts: Duration) -> Queued {
    const SENDERS: u64 = 100;
    const WAY: Duration = Duration::from_micros(500);
    let begins = Duration::from_secs(60);
    let gap = COST.as_secs_f64() * SENDERS as f64 / load / f64::from(service.cores);
    let delivered = Delivered::default();
    let inside = delivered.clone();
    let config = SimConfig {
        link: LinkConfig::fixed(WAY),
        horizon: begins + lasts,
        at_horizon: AtHorizon::End,
        // Nobody waits for a window, however long the queue.
        tcp: TcpConfig { send_buffer: 4 << 20, recv_buffer: 4 << 20, ..TcpConfig::default() },
        ..SimConfig::seeded(3)
    };
    let run = sim::run(config, move |world| {
        let server = world.host("server", move |net| note(net, inside.clone()));
        world.control().set_service(server, service);
        for key in 0..SENDERS {
            world.host(&format!("client-{key}"), move |net| say(net, key, gap));
        }
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
    let fixed = (WAY + COST).as_micros() as f64;
    let waits: Vec<f64> = delivered
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, at)| u128::from(*at) >= begins.as_micros())
        .map(|(sent, at)| (at - sent) as f64 - fixed)
        .collect();
    Queued { per_s: waits.len() as f64 / lasts.as_secs_f64(), waits }
}

/// The mean wait is within four standard errors and the millisecond of the senders; the means of long batches tell the error.
fn waits_on_average(service: ServiceTime, load: f64, expected_us: f64) {
    const BATCHES: usize = 30;
    let waits = queued(service, load, Duration::from_secs(3_000)).waits;
    let batches = waits.chunks_exact(waits.len() / BATCHES);
    let batches: Vec<f64> = batches.map(|batch| batch.iter().sum::<f64>() / batch.len() as f64).collect();
    let mean = batches.iter().sum::<f64>() / batches.len() as f64;
    let variance = batches.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>() / (batches.len() - 1) as f64;
    let error = (variance / batches.len() as f64).sqrt();
    assert!(error < 0.08 * expected_us, "load {load}: the mean is known to {error} only, of {expected_us}");
    assert!((mean - expected_us).abs() < 4.0 * error + 1_000.0, "load {load}: {mean} for {expected_us}, error {error}");
}

#[test]
fn a_host_with_one_core_and_a_fixed_cost_is_m_d_1() {
    let service = ServiceTime { per_segment: COST, ..ServiceTime::default() };
    for load in [0.3, 0.5, 0.8] {
        // Pollaczek and Khinchine, without variance.
        waits_on_average(service, load, load / (2.0 * (1.0 - load)) * COST.as_micros() as f64);
    }
}

#[test]
fn a_host_whose_cores_share_a_queue_is_m_m_c() {
    let (queues, spread) = (Queues::Shared, Spread::Exponential);
    // The last is Erlang's C: the probability that all cores are busy.
    for (cores, load, all_busy) in [(1, 0.7, 0.7), (2, 0.7, 0.576_471), (4, 0.75, 0.509_434)] {
        let service = ServiceTime { per_segment: COST, cores, queues, spread, ..ServiceTime::default() };
        waits_on_average(service, load, all_busy / (f64::from(cores) * (1.0 - load)) * COST.as_micros() as f64);
    }
}

#[test]
fn deliveries_saturate_at_what_the_cores_can() {
    let two = ServiceTime { per_segment: COST, cores: 2, queues: Queues::Shared, ..ServiceTime::default() };
    for (service, can) in [(ServiceTime { cores: 1, ..two }, 50.0), (two, 100.0)] {
        let minute = Duration::from_secs(60);
        let half = queued(service, 0.5, 5 * minute).per_s;
        assert!((half / can - 0.5).abs() < 0.02, "half of what it can is offered: {half} of {can}");
        let over = queued(service, 1.5, minute);
        assert!((over.per_s / can - 1.0).abs() < 0.001, "{} of {can}", over.per_s);
        // A third of what comes stays in the queue: over a minute the wait of those served grows by a third of it.
        let grown = (over.waits[over.waits.len() - 1] - over.waits[0]) / 1e6;
        assert!((grown - 20.0).abs() < 1.5, "the wait has grown by {grown} s in a minute");
    }
}

#[test]
fn what_waits_behind_its_own_connection_keeps_its_place() {
    // The first says three things that arrive 20 us apart, the second one that comes last; each costs 100 us.
    let us = Duration::from_micros;
    let cost = |per_segment| ServiceTime { per_segment: us(per_segment), ..ServiceTime::default() };
    let delivered = Delivered::default();
    let inside = delivered.clone();
    let config = SimConfig { horizon: Duration::from_secs(2), at_horizon: AtHorizon::End, ..SimConfig::default() };
    let run = sim::run(config, move |world| {
        let server = world.host("server", move |net| note(net, inside.clone()));
        let (first, second) =
            (world.host("first", |net| repeat(net, 1, 3)), world.host("second", |net| repeat(net, 2, 1)));
        let control = world.control();
        control.set_service(server, cost(100));
        control.set_service(first, cost(20));
        control.set_link(second, server, LinkConfig::fixed(us(570)));
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
    let delivered: Vec<(u64, u64)> = delivered.lock().unwrap().iter().map(|(who, at)| (*who, at - 1_000_000)).collect();
    assert_eq!(delivered, [(1, 620), (1, 720), (1, 820), (2, 920)]);
}

/// Four cores with one queue, on which a byte costs a microsecond.
fn byte_by_byte() -> ServiceTime {
    ServiceTime { per_kib: Duration::from_micros(1_024), cores: 4, queues: Queues::Shared, ..ServiceTime::default() }
}

#[test]
fn what_a_connection_sends_leaves_in_order_whichever_core_is_done_first() {
    // 4,000 bytes and then 8, at once. Another core is done with the 8 long before; they leave when the 4,000 do, by then over a longer way.
    let delivered = Delivered::default();
    let inside = delivered.clone();
    let config = SimConfig { horizon: Duration::from_secs(2), at_horizon: AtHorizon::End, ..SimConfig::default() };
    let run = sim::run(config, move |world| {
        let server = world.host("server", move |net| note(net, inside.clone()));
        let control = world.control();
        let client = world.host("client", move |net| async move {
            let mut stream = connect(&net).await?;
            tokio::time::sleep_until(Instant::now() + Duration::from_micros(1_000_000 - sim::now_us())).await;
            stream.write_all(&1_u64.to_be_bytes().repeat(500)).await?;
            control.set_link(net.host(), server, LinkConfig::fixed(Duration::from_millis(10)));
            stream.write_u64(2).await?;
            std::future::pending::<io::Result<()>>().await
        });
        control.set_service(client, byte_by_byte());
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
    let delivered: Vec<(u64, u64)> = delivered.lock().unwrap().iter().map(|(who, at)| (*who, at - 1_000_000)).collect();
    assert_eq!((delivered.len(), delivered[499], delivered[500]), (501, (1, 4_500), (2, 14_000)));
}

#[test]
fn a_consent_does_not_leave_before_its_request_is_dealt_with() {
    // The request costs 5 ms; the consent costs nothing, and three cores are free.
    let service = ServiceTime { per_connection: Duration::from_millis(5), ..byte_by_byte() };
    let times = measured(SimConfig { service, ..SimConfig::default() }, |net| connect_times(net, 1));
    assert_eq!(times, [500 + 5_000 + 500]);
}

#[test]
fn connections_are_accepted_no_faster_than_their_cost_allows() {
    let service = ServiceTime {
        per_segment: Duration::from_micros(10),
        per_connection: Duration::from_micros(980),
        ..ServiceTime::default()
    };
    let times = measured(SimConfig { service, ..SimConfig::default() }, |net| connect_times(net, 100));
    // Each request costs the server 990 us, and each consent 10 us. Before the first, the client has spent 10 us, and after the last is half a round trip.
    let expected: Vec<u64> = (1..=100).map(|n| 10 + 500 + n * 1_000 + 500).collect();
    assert_eq!(times, expected);
}
