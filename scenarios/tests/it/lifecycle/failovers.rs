//! The relay loses instances under its clients, which must not see more of it than a pause: each is introduced to the next instance by its own first message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sim::{HostId, SimNet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use wire::draw::Draws;
use wire::event::Observer;
use wire::feed::Protocol;
use wire::net::{ListenOptions, Listener, Network, SocketOptions};
use wire::ws::{self, Answer, Limits, Message};

use super::{MS, S, assert_blamed, assert_blameless, open, world};

const CLIENTS: u64 = 10;

/// When the clients leave by themselves.
const END: Duration = Duration::from_secs(40);

/// The longest silence: detection 0.8 s, a dial into an instance that is frozen 2 s, and one more of each where that one is picked first.
const SILENCE_MAX: Duration = Duration::from_secs(6);

/// What instances and clients saw.
#[derive(Debug, Default)]
struct Seen {
    /// By session of a source: what its client said.
    said: BTreeMap<u64, Vec<String>>,
    /// By client: which session's word came when.
    heard: BTreeMap<u64, Vec<(Instant, u64)>>,
    /// Clients whose session ended before they left.
    closed: Vec<String>,
}

type Record = Arc<Mutex<Seen>>;

/// An instance: takes down what its clients say, and ticks to who has logged in.
async fn serve(net: SimNet, record: Record) -> std::io::Result<()> {
    let listener = net.bind(([0, 0, 0, 0], 80).into(), ListenOptions::default()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let record = Arc::clone(&record);
        net.spawn("session", async move {
            let accept = |_: &ws::Asked| Answer::Accept { subprotocol: None };
            let Ok(accepted) = ws::accept(stream, Limits::default(), accept).await else { return };
            let mut session = accepted.session;
            let id = {
                let mut seen = record.lock().unwrap();
                let id = seen.said.len() as u64;
                seen.said.insert(id, Vec::new());
                id
            };
            let mut pace = interval(20 * MS);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut logged_in = false;
            loop {
                wire::select! {
                    message = session.next() => match message {
                        Some(Ok(Message::Text(text))) => {
                            logged_in |= text.as_str().starts_with("login ");
                            record.lock().unwrap().said.entry(id).or_default().push(text.to_string());
                        }
                        Some(Ok(_)) => {}
                        _ => return,
                    },
                    _ = pace.tick(), if logged_in => {
                        if session.send(Message::text(id.to_string())).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
    }
}

/// A client: logs in, asks ten times a second, and listens until it leaves.
async fn live(net: SimNet, number: u64, record: Record, leaves_at: Instant) {
    let mut session = open(&net, &[], SocketOptions::default()).await.unwrap();
    session.send(Message::text(format!("login {number}"))).await.unwrap();
    let mut pace = interval(100 * MS);
    let mut asked = 0;
    let end = loop {
        wire::select! {
            message = session.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let heard = (Instant::now(), text.as_str().parse().unwrap());
                    record.lock().unwrap().heard.entry(number).or_default().push(heard);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                end => break format!("{end:?}"),
            },
            () = sleep_until(leaves_at) => {
                let _ = session.close(None).await;
                return;
            }
            _ = pace.tick() => {
                asked += 1;
                if let Err(error) = session.send(Message::text(format!("ask {number} {asked}"))).await {
                    break format!("{error:?}");
                }
            }
        }
    };
    record.lock().unwrap().closed.push(format!("client {number}: {end}"));
}

/// Hurts one instance at a time, each for a while, with a pause in which all are well.
async fn hurt(control: sim::Control, sources: [HostId; 2], seed: u64) {
    let mut draws = Draws::new(seed, "hurt", 0);
    sleep(3 * S).await;
    for _ in 0..4 {
        let source = sources[draws.below(2) as usize];
        let lasts = S + draws.jitter(2 * S);
        match draws.below(3) {
            0 => {
                control.kill(source);
                sleep(lasts).await;
                control.start(source);
            }
            1 => {
                control.power_off(source);
                sleep(lasts).await;
                control.start(source);
            }
            _ => {
                control.freeze(source);
                sleep(lasts).await;
                control.thaw(source);
            }
        }
        sleep(4 * S + draws.jitter(S)).await;
    }
}

fn story(subject: fn(SimNet, proxy::Config) -> Running, seed: u64) -> Vec<String> {
    let record = Record::default();
    let kept = Arc::clone(&record);
    let run = sim::run(world(seed), move |world| {
        let source = |record: &Record| {
            let record = Arc::clone(record);
            move |net| serve(net, Arc::clone(&record))
        };
        let sources = [world.host("source-0", source(&kept)), world.host("source-1", source(&kept))];
        world.host("proxy", move |net| {
            let urls = ["ws://source-0:80/", "ws://source-1:80/"];
            let mut config =
                proxy::Config::new(([0, 0, 0, 0], 80).into(), proxy::Mode::Relay, urls).with_protocol(Protocol::Raw);
            config.preamble_messages = 1;
            (config.health.ping_interval, config.health.pong_timeout) = (300 * MS, 500 * MS);
            subject(net, config)
        });
        let control = world.control();
        world.foreground("hand", move |_| hurt(control, sources, seed));
        let record = Arc::clone(&kept);
        world.foreground("clients", move |net| {
            let record = Arc::clone(&record);
            async move {
                let leaves_at = Instant::now() + END;
                sleep(S).await;
                let live = |number| net.spawn("client", live(net.clone(), number, Arc::clone(&record), leaves_at));
                let clients: Vec<_> = (0..CLIENTS).map(live).collect();
                for client in clients {
                    client.await.unwrap();
                }
                sleep(S).await;
            }
        });
    });
    run.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    let seen = record.lock().unwrap();
    judge(&seen)
}

/// A client that is introduced again and again must not notice more than a pause.
fn judge(seen: &Seen) -> Vec<String> {
    let mut blames: Vec<String> = seen.closed.iter().map(|end| format!("closed: {end}")).collect();
    let mut asked = BTreeSet::new();
    for (id, said) in &seen.said {
        // A leg that was lost before its first message has heard nothing.
        let Some(first) = said.first() else { continue };
        if !first.starts_with("login ") {
            blames.push(format!("unintroduced: session {id} of a source begins with {first:?}"));
        }
        for (n, text) in said.iter().enumerate() {
            if text.starts_with("login ") && n > 0 {
                blames.push(format!("introduced twice: session {id} of a source hears {text:?} at {n}"));
            }
            if text.starts_with("ask ") && !asked.insert(text.clone()) {
                blames.push(format!("repeated: {text:?} reaches a source twice"));
            }
        }
    }
    let mut moved = 0;
    for (client, heard) in &seen.heard {
        let mut sessions: Vec<u64> = heard.iter().map(|(_, id)| *id).collect();
        sessions.dedup();
        moved += sessions.len() - 1;
        if sessions.iter().collect::<BTreeSet<_>>().len() < sessions.len() {
            blames.push(format!("mixed: client {client} hears an old leg after a new one: {sessions:?}"));
        }
        if let Some(pair) = heard.windows(2).find(|pair| pair[1].0 - pair[0].0 > SILENCE_MAX) {
            blames.push(format!("silence: client {client} hears nothing for {:?}", pair[1].0 - pair[0].0));
        }
    }
    if moved == 0 || seen.heard.len() < CLIENTS as usize {
        blames.push("nothing: no client was moved".to_owned());
    }
    blames
}

type Running = std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

fn relay(net: SimNet, config: proxy::Config) -> Running {
    let stop = tokio_util::sync::CancellationToken::new();
    Box::pin(async move { proxy::serve(config, net, stop, Observer::none()).await.map_err(|error| error.to_string()) })
}

#[test]
fn a_lost_instance_is_a_pause_for_its_clients_and_the_next_hears_their_preamble_first() {
    assert_blameless(|seed| story(relay, seed));
}

#[test]
fn a_relay_that_does_not_say_the_preamble_again_is_blamed() {
    assert_blamed("unintroduced", |seed| {
        story(
            |net, mut config| {
                config.preamble_messages = 0;
                relay(net, config)
            },
            seed,
        )
    });
}

#[test]
fn a_relay_that_closes_clients_with_their_leg_is_blamed() {
    assert_blamed("closed", |seed| {
        story(
            |net, mut config| {
                config.failover = false;
                relay(net, config)
            },
            seed,
        )
    });
}
