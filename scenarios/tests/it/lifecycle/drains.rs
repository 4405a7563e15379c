//! A proxy drains while its clients listen, read slowly or do not read at all: nobody is let in any more, everyone leaves at a slot of its own with a Close frame, and has before it
//! what the proxy had for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use proxy::{Config, Handle, Mode, Policies, Server, SlowClient};
use scenarios::mutants;
use sim::SimNet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::event::Observer;
use wire::feed::{Request, Strong};
use wire::id::{SourceId, Symbol};
use wire::net::{Network, SocketOptions};
use wire::tick::Tick;
use wire::ws::{self, Message};

use super::{LATENCY_MAX, MS, S, assert_blamed, assert_blameless, open, world};

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Full,
    /// Less than comes: its queue is full.
    Slow,
    /// Nothing at all.
    Stalled,
}

/// Sixteen that keep up, three that are behind, one that is stuck. In relay nobody is behind: who reads slowly is served slowly by its source.
const CLIENTS: usize = 20;

fn reader(mode: Mode, number: usize) -> Reader {
    match number {
        0..=15 => Reader::Full,
        16..=18 if mode == Mode::Fanout => Reader::Slow,
        16..=18 => Reader::Full,
        _ => Reader::Stalled,
    }
}

/// Bytes a second of a slow reader; the feed is more than twice as much.
const SLOW_BYTES_PER_S: f64 = 15_000.0;

const TELL: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_millis(500);
const TIME: Duration = Duration::from_secs(6);
const DEADLINE: Duration = Duration::from_secs(20);
const CODE: u16 = 1012;

/// The number of one symbol's message: epoch and seq; of a plain client, 0 and the source's own.
type Place = (Symbol, u64, u64);

#[derive(Debug, Default)]
struct Life {
    delivered: BTreeSet<Place>,
    gaps: Vec<(Symbol, u64, u64, u64)>,
    /// When it ended, and with which code, if with any.
    end: Option<(Instant, Option<u16>)>,
}

impl Life {
    fn covers(&self, place: &Place) -> bool {
        let (symbol, epoch, seq) = *place;
        self.delivered.contains(place)
            || self.gaps.iter().any(|gap| gap.0 == symbol && gap.1 == epoch && (gap.2..=gap.3).contains(&seq))
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// When each message was due at the source.
    due: BTreeMap<Place, Instant>,
    lives: Vec<Life>,
    asked_at: Option<Instant>,
    gone_at: Option<Instant>,
    /// Somebody was let in after the doors were shut.
    late_guest: bool,
}

type Record = Arc<Mutex<Seen>>;

type Plant = fn(&mut Policies, Config) -> Config;

async fn run_proxy(
    net: SimNet,
    mode: Mode,
    plant: Plant,
    handle: Arc<Mutex<Option<Handle<SimNet>>>>,
    seed: u64,
) -> Result<(), String> {
    let mut config = Config::new(([0, 0, 0, 0], 80).into(), mode, ["ws://source-0:80/"]);
    (config.drain_tell, config.drain_grace, config.drain_time) = (TELL, GRACE, TIME);
    (config.drain_deadline, config.drain_code) = (DEADLINE, CODE);
    config.limits.close_timeout = 8 * S;
    config.limits.slow_client = if seed.is_multiple_of(3) { SlowClient::Conflate } else { SlowClient::DropOldest };
    let mut policies = Policies::default();
    let config = plant(&mut policies, config);
    let server = Server::bind(config, policies, net, Observer::none()).await.map_err(|error| error.to_string())?;
    *handle.lock().unwrap() = Some(server.handle());
    server.run(CancellationToken::new()).await;
    Ok(())
}

/// A client of all symbols, a strong one in fan-out, until it is closed.
async fn live(net: SimNet, mode: Mode, number: usize, symbols: Vec<Symbol>, record: Record, zero: (Instant, u64)) {
    let small = SocketOptions { recv_buffer: Some(4 << 10), ..SocketOptions::default() };
    let options = if reader(mode, number) == Reader::Full { SocketOptions::default() } else { small };
    let subprotocols: &[&str] = if mode == Mode::Fanout { &[ws::SUBPROTOCOL] } else { &[] };
    let mut session = open(&net, subprotocols, options).await.unwrap();
    session.send(Message::text(Request::new("K".to_owned(), symbols).encode())).await.unwrap();
    if reader(mode, number) == Reader::Stalled {
        sleep(90 * S).await;
        return;
    }
    let mut code = None;
    while let Some(Ok(message)) = session.next().await {
        match message {
            Message::Close(frame) => code = frame.map(|frame| frame.code.into()),
            Message::Text(text) => {
                if reader(mode, number) == Reader::Slow {
                    sleep(S.mul_f64(text.len() as f64 / SLOW_BYTES_PER_S)).await;
                }
                let due = |payload: &str| {
                    let due_us = Tick::due(payload).map_or(0, wire::net::WallTime::as_micros);
                    zero.0 + Duration::from_micros(due_us.saturating_sub(zero.1))
                };
                let mut seen = record.lock().unwrap();
                match Strong::decode(text.as_str()) {
                    Ok(Strong::Data { symbol, epoch, seq, data, .. }) => {
                        seen.due.insert((symbol, epoch, seq), due(&data));
                        seen.lives[number].delivered.insert((symbol, epoch, seq));
                    }
                    Ok(Strong::Gap { symbol, epoch, from, to, .. }) => {
                        seen.lives[number].gaps.push((symbol, epoch, from, to.unwrap_or(u64::MAX)));
                    }
                    Ok(_) => {}
                    Err(_) => {
                        if let Some(Tick { symbol, n }) = Tick::decode(text.as_str()) {
                            seen.due.insert((symbol, 0, n), due(text.as_str()));
                            seen.lives[number].delivered.insert((symbol, 0, n));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    record.lock().unwrap().lives[number].end = Some((Instant::now(), code));
}

fn story(mode: Mode, plant: Plant, seed: u64) -> Vec<String> {
    let record = Record::default();
    record.lock().unwrap().lives.resize_with(CLIENTS, Life::default);
    let kept = Arc::clone(&record);
    let run = sim::run(world(seed), move |world| {
        let symbols: Vec<_> = (0..4).map(Symbol::numbered).collect();
        let feed = symbols.clone();
        world.host("source-0", move |net| {
            let config = mock_upstream::Config {
                symbols: feed.clone(),
                period: 20 * MS,
                ..mock_upstream::Config::new(SourceId(0), ([0, 0, 0, 0], 80).into())
            };
            mock_upstream::serve(config, net, CancellationToken::new(), Observer::none())
        });
        let handle: Arc<Mutex<Option<Handle<SimNet>>>> = Arc::default();
        let (given, record) = (Arc::clone(&handle), Arc::clone(&kept));
        world.foreground("proxy", move |net| {
            let (given, record) = (Arc::clone(&given), Arc::clone(&record));
            async move {
                let ran = run_proxy(net, mode, plant, given, seed).await;
                record.lock().unwrap().gone_at = Some(Instant::now());
                ran
            }
        });
        let record = Arc::clone(&kept);
        world.foreground("clients", move |net| {
            let (record, handle, symbols) = (Arc::clone(&record), Arc::clone(&handle), symbols.clone());
            async move {
                sleep(S).await;
                let zero = (Instant::now(), net.wall_clock().as_micros());
                let live = |number| live(net.clone(), mode, number, symbols.clone(), Arc::clone(&record), zero);
                let lives: Vec<_> = (0..CLIENTS).map(|number| net.spawn("client", live(number))).collect();
                // Long enough for the slow to be behind with all that is held for them.
                sleep(8 * S + MS * (seed % 100) as u32 * 10).await;
                let asked_at = Instant::now();
                record.lock().unwrap().asked_at = Some(asked_at);
                handle.lock().unwrap().as_ref().unwrap().drain();
                sleep_until(asked_at + TELL + 50 * MS).await;
                record.lock().unwrap().late_guest = open(&net, &[], SocketOptions::default()).await.is_ok();
                for (number, life) in lives.into_iter().enumerate() {
                    if reader(mode, number) != Reader::Stalled {
                        life.await.unwrap();
                    }
                }
                sleep_until(asked_at + DEADLINE + 10 * S).await;
            }
        });
    });
    run.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    let seen = record.lock().unwrap();
    judge(mode, &seen)
}

fn judge(mode: Mode, seen: &Seen) -> Vec<String> {
    let mut blames = Vec::new();
    let Some(asked_at) = seen.asked_at else { return vec!["nothing: no drain was asked for".to_owned()] };
    let first_slot = asked_at + TELL + GRACE;
    let slot = TIME / CLIENTS as u32;
    if seen.late_guest {
        blames.push("let in: somebody came in after the doors were shut".to_owned());
    }
    if seen.gone_at.is_none_or(|at| at > asked_at + DEADLINE + S / 10) {
        blames.push(format!("late: gone at {:?}", seen.gone_at.map(|at| at - asked_at)));
    }
    // Who keeps up tells its slot by when its Close frame comes. Whoever does not has one of the others.
    let mut free: BTreeSet<u32> = (0..CLIENTS as u32).collect();
    let mut ends = Vec::new();
    for (number, life) in seen.lives.iter().enumerate().filter(|(number, _)| reader(mode, *number) != Reader::Stalled) {
        let Some((at, code)) = life.end else {
            blames.push(format!("open: client {number} is still there"));
            continue;
        };
        if at < first_slot {
            blames.push(format!("early: client {number} ends {:?} after the drain was asked for", at - asked_at));
        }
        if code != Some(CODE) {
            blames.push(format!("code: client {number} is closed with {code:?}"));
        }
        if reader(mode, number) == Reader::Full {
            ends.push(at);
            free.remove(&(((at - first_slot).as_nanos() / slot.as_nanos()) as u32));
        }
    }
    let a_quarter = (ends.len() / 4) as f64;
    for (n, at) in ends.iter().enumerate() {
        let within = ends.iter().filter(|other| **other >= *at && **other < *at + TIME / 4).count();
        if within as f64 > a_quarter * 1.3 + 2.0 {
            blames.push(format!("bunched: {within} clients leave within a quarter of the time, {n} first"));
        }
    }
    let slow_slot = first_slot + slot * free.first().copied().unwrap_or(0);
    let mut told = 0;
    for (number, life) in seen.lives.iter().enumerate().filter(|(number, _)| reader(mode, *number) != Reader::Stalled) {
        let Some((at, _)) = life.end else { continue };
        told += usize::from(reader(mode, number) == Reader::Slow && !life.gaps.is_empty());
        // What was due so early had reached the proxy before it turned to this client's farewell.
        let before =
            if reader(mode, number) == Reader::Full { at - LATENCY_MAX } else { slow_slot } - 2 * LATENCY_MAX - 5 * MS;
        let mut first: BTreeMap<(Symbol, u64), u64> = BTreeMap::new();
        for &(symbol, epoch, seq) in &life.delivered {
            let first = first.entry((symbol, epoch)).or_insert(seq);
            *first = seq.min(*first);
        }
        let owed = seen.due.iter().filter(|(place, due)| {
            **due < before && first.get(&(place.0, place.1)).is_some_and(|first| *first <= place.2)
        });
        let lost: Vec<_> = owed.map(|(place, _)| place).filter(|place| !life.covers(place)).collect();
        if !lost.is_empty() {
            blames.push(format!("lost: client {number} misses {} messages untold, {:?} first", lost.len(), lost[0]));
        }
    }
    if seen.due.len() < 1_000 {
        blames.push(format!("nothing: only {} messages were delivered", seen.due.len()));
    }
    if mode == Mode::Fanout && told < 3 {
        blames.push(format!("nothing: {told} of 3 slow clients were behind"));
    }
    blames
}

#[test]
fn a_drain_gives_everyone_what_waits_for_it_and_a_slot_of_its_own_full_queues_too() {
    for mode in [Mode::Fanout, Mode::Relay] {
        assert_blameless(|seed| story(mode, |_, config| config, seed));
    }
}

#[test]
fn a_drain_that_closes_all_at_once_is_blamed() {
    for mode in [Mode::Fanout, Mode::Relay] {
        assert_blamed("bunched", |seed| {
            story(
                mode,
                |_, mut config| {
                    config.drain_time = Duration::ZERO;
                    config
                },
                seed,
            )
        });
    }
}

#[test]
fn a_drain_that_does_not_wait_for_full_queues_is_blamed() {
    assert_blamed("code", |seed| {
        story(
            Mode::Fanout,
            |_, mut config| {
                config.limits.close_timeout = 50 * MS;
                config
            },
            seed,
        )
    });
}

#[test]
fn a_drain_that_leaves_the_last_messages_in_the_queue_is_blamed() {
    let plant = mutants::find("waits-for-company").unwrap().plant;
    assert_blamed("lost", |seed| story(Mode::Fanout, plant, seed));
}
