//! Clients live through what happens around them: drains, reloads, ends of sessions, lost instances. Each story runs the real proxy over many seeds and is judged from
//! outside, by what its clients and sources saw; and each judge is shown to find fault with a proxy that is wrong.
//!
//! `LIFECYCLE_SEEDS=100 cargo test -p scenarios --test it lifecycle` runs more seeds than the usual three.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod closes;
mod drains;
mod failovers;
mod reloads;

use std::ops::RangeInclusive;
use std::time::Duration;

use sim::{Latency, LinkConfig, Order, SimConfig, SimNet, SimStream};
use wire::net::{ListenOptions, Listener, Network, SocketOptions, WallTime};
use wire::ws::{self, Ask, ConnectError, Limits, Session};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// The longest one-way delay between two hosts.
const LATENCY_MAX: Duration = Duration::from_millis(8);

fn seeds() -> RangeInclusive<u64> {
    1..=std::env::var("LIFECYCLE_SEEDS").map_or(3, |count| count.parse().expect("LIFECYCLE_SEEDS is a number"))
}

/// A world with this seed: delays are drawn, and so is the order of ready tasks, in two ways, with two seeds of three.
fn world(seed: u64) -> SimConfig {
    let link = LinkConfig { latency: Latency::Uniform { min: MS, max: LATENCY_MAX }, ..LinkConfig::default() };
    // Ticks are numbered from their origin on.
    let epoch = WallTime(wire::tick::ORIGIN_US + 100 * 86_400_000_000);
    SimConfig { horizon: 120 * S, link, order: Order::numbered(seed % 3), epoch, ..SimConfig::seeded(seed) }
}

async fn dial(net: &SimNet, host: &str, options: SocketOptions) -> std::io::Result<SimStream> {
    let addr = net.lookup(host, 80).await?[0];
    net.connect(addr, options).await
}

/// Opens a session with the proxy.
async fn open(net: &SimNet, subprotocols: &[&str], options: SocketOptions) -> Result<Session<SimStream>, ConnectError> {
    let url = "ws://proxy/".to_owned();
    let stream =
        dial(net, "proxy", options).await.map_err(|source| ConnectError::Broken { url: url.clone(), source })?;
    let subprotocols = subprotocols.iter().map(|&word| word.to_owned()).collect();
    Ok(ws::connect(stream, &Ask { url, subprotocols, ..Ask::default() }, Limits::default()).await?.session)
}

/// What is wrong with a relay that is none: every byte goes to the first source, and comes from there.
async fn tunnel(net: SimNet) -> std::io::Result<()> {
    let listener = net.bind(([0, 0, 0, 0], 80).into(), ListenOptions::default()).await?;
    loop {
        let (mut client, _) = listener.accept().await?;
        let within = net.clone();
        net.spawn("tunnel", async move {
            if let Ok(mut leg) = dial(&within, "source-0", SocketOptions::default()).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut leg).await;
            }
        });
    }
}

/// No seed has anything to blame.
#[track_caller]
fn assert_blameless(blames: impl Fn(u64) -> Vec<String>) {
    for seed in seeds() {
        let blames = blames(seed);
        assert!(blames.is_empty(), "seed {seed}: {blames:#?}");
    }
}

/// In every seed something is blamed for this.
#[track_caller]
fn assert_blamed(rule: &str, blames: impl Fn(u64) -> Vec<String>) {
    for seed in seeds() {
        let blames = blames(seed);
        assert!(blames.iter().any(|blame| blame.starts_with(rule)), "seed {seed}: no {rule} among {blames:#?}");
    }
}
