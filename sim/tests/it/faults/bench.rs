//! Two hosts under a plan of faults: a server that says the time every 100 ms, and a client that notes when it hears it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::{Fault, FaultKind, FaultPlan, Report, SimConfig, SimNet, SimStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};
use wire::net::{ListenOptions, Listener, Network, SocketOptions};

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A fault from `start` to `stop`, in milliseconds.
pub(super) fn fault(start: u64, stop: impl Into<Option<u64>>, target: &str, kind: FaultKind) -> Fault {
    Fault { start: ms(start), stop: stop.into().map(ms), target: target.parse().unwrap(), kind }
}

pub(super) fn config() -> SimConfig {
    SimConfig { horizon: Duration::from_secs(7_200), trace_events_max: 1 << 16, ..SimConfig::default() }
}

/// Runs a server and a client under a plan.
pub(super) fn told<S, SF, C, CF>(config: SimConfig, plan: FaultPlan, server: S, client: C) -> Report
where
    S: Fn(SimNet) -> SF + Send + 'static,
    SF: Future<Output = io::Result<()>> + Send + 'static,
    C: Fn(SimNet) -> CF + Send + 'static,
    CF: Future<Output = io::Result<()>> + Send + 'static,
{
    let result = sim::run(config, |world| {
        world.host("server", server);
        world.foreground("client", client);
        world.faults(plan).unwrap();
    });
    result.unwrap_or_else(|failure| panic!("{failure}"))
}

pub(super) async fn connect(net: &SimNet) -> io::Result<SimStream> {
    let addr = net.lookup("server", 7).await?[0];
    net.connect(addr, SocketOptions::default()).await
}

/// Sleeps until so many milliseconds of the run, in a program that began at its beginning.
pub(super) async fn at(millis: u64) {
    let left = millis * 1_000 - sim::now_us();
    sleep_until(Instant::now() + Duration::from_micros(left)).await;
}

/// Says the time, in microseconds, to everybody who is connected, at each tenth of a second.
pub(super) async fn clock(net: SimNet) -> io::Result<()> {
    let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        net.spawn("clock", async move {
            loop {
                at(sim::now_us() / 100_000 * 100 + 100).await;
                if stream.write_u64(sim::now_us()).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// What a client hears from its connection at the beginning until a second before `until`: when each was said, and how much later it came, in
/// microseconds.
pub(super) fn heard(config: SimConfig, plan: FaultPlan, until: u64) -> Vec<(u64, u64)> {
    let ticks = Arc::new(Mutex::new(Vec::new()));
    let inside = ticks.clone();
    told(config, plan, clock, move |net| {
        let ticks = inside.clone();
        async move {
            let mut stream = connect(&net).await?;
            loop {
                let said = stream.read_u64().await?;
                ticks.lock().unwrap().push((said, sim::now_us() - said));
                if said >= until * 1_000 {
                    return Ok(());
                }
            }
        }
    });
    let ticks = std::mem::take(&mut *ticks.lock().unwrap());
    // None is missing, none is twice, all in order.
    let all: Vec<u64> = (1..=until / 100).map(|n| n * 100_000).collect();
    assert_eq!(ticks.iter().map(|(said, _)| *said).collect::<Vec<_>>(), all);
    ticks
}

/// The delays of what was said in `[from, to)` milliseconds.
pub(super) fn delays(ticks: &[(u64, u64)], from: u64, to: u64) -> Vec<u64> {
    ticks.iter().filter(|(said, _)| (from * 1_000..to * 1_000).contains(said)).map(|(_, late)| *late).collect()
}
