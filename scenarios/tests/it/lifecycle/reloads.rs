//! A proxy is told other configurations, one after the other, while its clients listen: nobody is closed, nothing is lost, and a new limit counts at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use proxy::{Config, Handle, Mode, Policies, Server};
use sim::SimNet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use wire::draw::Draws;
use wire::event::Observer;
use wire::feed::Request;
use wire::id::{SourceId, Symbol};
use wire::net::{Network, SocketOptions};
use wire::tick::Tick;
use wire::ws::{ConnectError, Message};

use super::{MS, S, assert_blamed, assert_blameless, open, world};

const CLIENTS: u32 = 12;

/// From a reload to the newcomer that the new limit must meet.
const EFFECTIVE_WITHIN: Duration = Duration::from_millis(50);

/// How a proxy goes over to another configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reload {
    /// As ours does.
    InPlace,
    /// The old program ends, and a new one takes its place.
    ByRestart,
    /// Only newcomers that are asked about later would notice: it says yes, and nothing changes.
    NotAtAll,
}

#[derive(Debug, Default)]
struct Seen {
    /// By client and symbol: numbers, in the order in which they came.
    heard: BTreeMap<(u32, Symbol), Vec<u64>>,
    closed: Vec<String>,
    limits: Vec<String>,
    reloads: u32,
}

type Record = Arc<Mutex<Seen>>;

/// What the hand that reloads reaches.
#[derive(Debug, Default)]
struct Inside {
    handle: Option<Handle<SimNet>>,
    stop: CancellationToken,
    /// What the next life begins with.
    next: Option<Config>,
}

fn first_config(mode: Mode) -> Config {
    let mut config = Config::new(([0, 0, 0, 0], 80).into(), mode, ["ws://source-0:80/"]);
    config.limits.clients_max = 100;
    config
}

/// Runs the proxy, and again when it was stopped for another configuration.
async fn run_proxy(net: SimNet, mode: Mode, inside: Arc<Mutex<Inside>>) -> Result<(), String> {
    let mut config = first_config(mode);
    loop {
        let server = Server::bind(config.clone(), Policies::default(), net.clone(), Observer::none());
        let server = server.await.map_err(|error| error.to_string())?;
        let stop = CancellationToken::new();
        {
            let mut inside = inside.lock().unwrap();
            (inside.handle, inside.stop) = (Some(server.handle()), stop.clone());
        }
        server.run(stop).await;
        match inside.lock().unwrap().next.take() {
            Some(next) => config = next,
            None => return Ok(()),
        }
    }
}

/// A plain client of all symbols, until the end of the story.
async fn live(net: SimNet, number: u32, symbols: Vec<Symbol>, record: Record) {
    let mut session = open(&net, &[], SocketOptions::default()).await.unwrap();
    session.send(Message::text(Request::new("K".to_owned(), symbols).encode())).await.unwrap();
    loop {
        match session.next().await {
            Some(Ok(Message::Text(text))) => {
                if let Some(tick) = Tick::decode(text.as_str()) {
                    record.lock().unwrap().heard.entry((number, tick.symbol)).or_default().push(tick.n);
                }
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            end => {
                record.lock().unwrap().closed.push(format!("client {number}: {end:?}"));
                return;
            }
        }
    }
}

/// Draws other configurations and has the proxy go over to them; each has a limit that the next newcomer meets.
async fn reload(net: SimNet, mode: Mode, how: Reload, inside: Arc<Mutex<Inside>>, record: Record, seed: u64) {
    let mut draws = Draws::new(seed, "reloads", 0);
    let mut config = first_config(mode);
    for _ in 0..6 {
        sleep(500 * MS + draws.jitter(S)).await;
        let full = draws.chance(0.5);
        // Below those who are inside, or above.
        config.limits.clients_max = if full { 1 + draws.below(u64::from(CLIENTS)) } else { 50 };
        config.limits.client_ping_interval = S * (1 + draws.below(30) as u32);
        config.limits.queue_bytes_max = (16 + draws.below(32) as usize) << 10;
        config.drain_time = S * draws.below(10) as u32;
        config.slow_start = S * draws.below(3) as u32;
        config.upstreams = vec![proxy::Upstream::new("ws://source-0:80/")];
        if draws.chance(0.5) {
            config.upstreams.insert(draws.below(2) as usize, proxy::Upstream::new("ws://source-1:80/"));
        }
        match how {
            Reload::InPlace => {
                let handle = inside.lock().unwrap().handle.clone().unwrap();
                handle.reconfigure(config.clone()).unwrap();
            }
            Reload::ByRestart => {
                let mut inside = inside.lock().unwrap();
                inside.next = Some(config.clone());
                inside.stop.cancel();
            }
            Reload::NotAtAll => {}
        }
        let told_at = Instant::now();
        sleep(EFFECTIVE_WITHIN / 2).await;
        let guest = open(&net, &[], SocketOptions::default()).await;
        let refused = matches!(guest, Err(ConnectError::Refused { status: 503, .. }));
        let mut seen = record.lock().unwrap();
        seen.reloads += 1;
        if refused != full {
            let (after, max) = (told_at.elapsed(), config.limits.clients_max);
            seen.limits.push(format!("{after:?} after clients_max = {max} a newcomer is refused: {refused}"));
        }
    }
}

fn story(mode: Mode, how: Reload, seed: u64) -> Vec<String> {
    let record = Record::default();
    let kept = Arc::clone(&record);
    let run = sim::run(world(seed), move |world| {
        let symbols: Vec<_> = (0..3).map(Symbol::numbered).collect();
        for number in 0..2 {
            let feed = symbols.clone();
            world.host(&format!("source-{number}"), move |net| {
                let config = mock_upstream::Config {
                    symbols: feed.clone(),
                    period: 20 * MS,
                    ..mock_upstream::Config::new(SourceId(number), ([0, 0, 0, 0], 80).into())
                };
                mock_upstream::serve(config, net, CancellationToken::new(), Observer::none())
            });
        }
        let inside: Arc<Mutex<Inside>> = Arc::default();
        let within = Arc::clone(&inside);
        world.host("proxy", move |net| run_proxy(net, mode, Arc::clone(&within)));
        world.foreground("clients", move |net| {
            let (record, inside, symbols) = (Arc::clone(&kept), Arc::clone(&inside), symbols.clone());
            async move {
                sleep(S).await;
                let live = |number| live(net.clone(), number, symbols.clone(), Arc::clone(&record));
                let lives: Vec<_> = (0..CLIENTS).map(|number| net.spawn("client", live(number)).guard()).collect();
                reload(net.clone(), mode, how, inside, record.clone(), seed).await;
                sleep(2 * S).await;
                drop(lives);
            }
        });
    });
    run.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    let seen = record.lock().unwrap();
    judge(&seen)
}

fn judge(seen: &Seen) -> Vec<String> {
    let mut blames: Vec<String> = seen.closed.iter().map(|end| format!("closed: {end}")).collect();
    blames.extend(seen.limits.iter().map(|limit| format!("limit: {limit}")));
    for ((client, symbol), heard) in &seen.heard {
        if let Some(pair) = heard.windows(2).find(|pair| pair[1] != pair[0] + 1) {
            blames.push(format!("lost: client {client} gets {symbol} number {} after {}", pair[1], pair[0]));
        }
    }
    if seen.reloads < 6 || seen.heard.len() != CLIENTS as usize * 3 {
        blames.push("nothing: not every client heard every symbol over six reloads".to_owned());
    }
    blames
}

#[test]
fn reloads_close_nobody_lose_nothing_and_count_at_once() {
    for mode in [Mode::Fanout, Mode::Relay] {
        assert_blameless(|seed| story(mode, Reload::InPlace, seed));
    }
}

#[test]
fn a_reload_by_restart_is_blamed() {
    assert_blamed("closed", |seed| story(Mode::Fanout, Reload::ByRestart, seed));
}

#[test]
fn a_reload_that_changes_nothing_is_blamed() {
    assert_blamed("limit", |seed| story(Mode::Relay, Reload::NotAtAll, seed));
}
