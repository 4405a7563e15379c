//! How fast the simulator is on this machine: `cargo run --release -p sim --example speed`.
#![expect(clippy::disallowed_methods, reason = "this measures real time, outside of any run")]

use std::io;
use std::time::{Duration, Instant};

use sim::{SimConfig, SimNet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval, sleep};
use wire::net::{ListenOptions, Listener, Network, SocketOptions};

fn main() -> Result<(), sim::Failure> {
    idle(20, 600)?;
    quiet(600)?;
    echo(1_000, 10, 20)?;
    echo(10_000, 10, 5)?;
    Ok(())
}

fn report(name: &str, sim_seconds: u64, messages: u64, start: Instant) {
    let wall = start.elapsed().as_secs_f64();
    let speed = sim_seconds as f64 / wall;
    let each = if messages == 0 { 0.0 } else { wall * 1e6 / messages as f64 };
    println!("{name}: {sim_seconds} s in {wall:.3} s, {speed:.0}x real time, {messages} messages, {each:.3} us each");
}

/// Hosts with a timer each, and nothing else.
fn idle(hosts: u64, seconds: u64) -> Result<(), sim::Failure> {
    let start = Instant::now();
    let config = SimConfig { horizon: Duration::from_secs(seconds + 1), ..SimConfig::default() };
    sim::run(config, |world| {
        for n in 0..hosts {
            world.foreground(&format!("host-{n}"), move |_| async move {
                for _ in 0..seconds * 10 {
                    sleep(Duration::from_millis(100)).await;
                }
            });
        }
    })?;
    report(&format!("idle, {hosts} hosts with a 100 ms timer"), seconds, 0, start);
    Ok(())
}

async fn serve(net: SimNet) -> io::Result<()> {
    let listener =
        net.bind(([0, 0, 0, 0], 7).into(), ListenOptions { backlog: 65_535, ..ListenOptions::default() }).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        net.spawn("echo", async move {
            let mut buf = [0; 1024];
            while let Ok(n @ 1..) = stream.read(&mut buf).await {
                if stream.write_all(&buf[..n]).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// 20 hosts with a client each that says something every five seconds.
fn quiet(seconds: u64) -> Result<(), sim::Failure> {
    let start = Instant::now();
    let config = SimConfig { horizon: Duration::from_secs(seconds + 2), ..SimConfig::default() };
    sim::run(config, |world| {
        world.host("server", serve);
        for n in 0..20 {
            world.foreground(&format!("host-{n}"), move |net| talk(net, n, seconds / 5, Duration::from_secs(5)));
        }
    })?;
    report("quiet, 20 clients at 0.2 messages a second", seconds, 2 * 20 * seconds / 5, start);
    Ok(())
}

async fn talk(net: SimNet, n: u64, rounds: u64, period: Duration) -> io::Result<()> {
    let addr = net.lookup("server", 7).await?[0];
    sleep(net.draws("start", n).jitter(period)).await;
    let mut stream = net.connect(addr, SocketOptions::default()).await?;
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let message = [7; 100];
    let mut back = [0; 100];
    for _ in 0..rounds {
        ticks.tick().await;
        stream.write_all(&message).await?;
        stream.read_exact(&mut back).await?;
    }
    Ok(())
}

/// Many connections from ten hosts, each echoing `rate` small messages a second.
fn echo(clients: u64, rate: u64, seconds: u64) -> Result<(), sim::Failure> {
    let start = Instant::now();
    let config = SimConfig { horizon: Duration::from_secs(seconds + 5), ..SimConfig::default() };
    sim::run(config, |world| {
        world.host("server", serve);
        for host in 0..10 {
            world.foreground(&format!("host-{host}"), move |net| async move {
                let mut tasks = Vec::new();
                for n in 0..clients / 10 {
                    let period = Duration::from_millis(1000 / rate);
                    tasks.push(net.spawn("client", talk(net.clone(), n, seconds * rate, period)));
                }
                for task in tasks {
                    task.await.map_err(io::Error::other)??;
                }
                Ok::<(), io::Error>(())
            });
        }
    })?;
    report(
        &format!("echo, {clients} clients x {rate} messages a second"),
        seconds,
        2 * clients * rate * seconds,
        start,
    );
    Ok(())
}
