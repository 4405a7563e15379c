//! One virtual client: waits for its planned arrival, dials, talks, and comes again if it is told to.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Why};
use wire::feed::Protocol;
use wire::id::{ClientId, SessionId, Symbol};
use wire::net::Network;

use crate::backoff::Backoff;
use crate::config::{Config, Load};
use crate::dial::{Dial, Failed, Failure};
use crate::drain::Drain;
use crate::measure::{Meter, Shard};
use crate::order::Book;
use crate::publish::{Board, Plan};
use crate::run::{Role, Target};
use crate::session::{Ended, Letters, Since, Talk};
use crate::summary::Tally;
use crate::tls::Trust;

/// What all clients share.
pub(crate) struct Crowd<N> {
    pub(crate) config: Config,
    pub(crate) targets: Vec<Target>,
    /// Whom to trust, where a target speaks TLS.
    pub(crate) trust: Option<Trust>,
    /// What each client is, by its place.
    pub(crate) roles: Vec<Role>,
    /// Where there are publishers.
    pub(crate) board: Option<Board>,
    pub(crate) net: N,
    pub(crate) observer: Observer,
    pub(crate) stop: CancellationToken,
    /// When every client closes.
    pub(crate) end: Instant,
}

/// Lives one client's life, from its planned arrival to the end of the run.
pub(crate) async fn live<N: Network>(crowd: Arc<Crowd<N>>, client: ClientId, arrival: Instant, shard: Shard) -> Tally {
    let mut tally = Tally::default();
    let crowd = &*crowd;
    let end = match crowd.config.load {
        Load::Open { stay: Some(stay), .. } => arrival.checked_add(stay).map_or(crowd.end, |own| own.min(crowd.end)),
        _ => crowd.end,
    };
    let over = async {
        wire::select! {
            () = crowd.stop.cancelled() => {}
            () = sleep_until(end) => {}
        }
    };
    let mut over = pin!(over.fuse());
    let mut symbols = symbols_of(&crowd.config, &crowd.net, client, 0);
    let mut backoff = crowd.config.reconnect.map(|policy| {
        let draws = crowd.net.draws("reconnect", u64::from(client.0));
        Backoff::new(policy, draws)
    });
    let mut lengths = crowd.net.draws("session length", u64::from(client.0));
    let new_book = |symbols: &[Symbol]| Book::new(if crowd.config.protocol == Protocol::Raw { &[] } else { symbols });
    let mut book = new_book(&symbols);
    // The peer ended the last session, and the client has not come again yet.
    let mut away = false;
    let mut target = client.index() % crowd.targets.len();
    let mut planned = arrival;
    // When the session before was lost.
    let mut lost = None;
    let role = crowd.roles[(client.0 - crowd.config.first.0) as usize];
    let mut plan =
        crowd.board.as_ref().filter(|_| role.publishes.is_some()).and_then(|board| plan(crowd, board, client));
    for number in 0_u32.. {
        wire::select! {
            () = &mut over => {
                // Its time had come, and nobody dialled.
                tally.dials.dropped += u64::from(number == 0 && planned < Instant::now());
                break;
            }
            () = sleep_until(planned) => {}
        }
        let session_id = SessionId(number);
        let dial = Dial { crowd, client, session_id, target, shard: &shard };
        tally.counts.dialled += 1;
        crowd.observer.record(|| Event::ClientDial { client, session: session_id, target: dial.place() });
        let began = Instant::now();
        shard.record(Meter::DialLate, began.duration_since(planned), began);
        shard.count(began, |counters| counters.dialled += 1);
        let dialled = wire::select! {
            () = &mut over => Err(Failed { status: 0, why: Why::Shutdown, failure: Failure::Abandoned }),
            dialled = dial.run() => dialled,
        };
        match dialled {
            Ok(opened) => {
                tally.counts.opened += 1;
                tally.dials.opened += 1;
                let strong = opened.strong;
                let now = Instant::now();
                shard.record(Meter::Connect, now.duration_since(planned), now);
                shard.count(now, |counters| counters.opened += 1);
                let since = Since { opened: now, lost: lost.take(), ended: None };
                let enough = crowd.config.load.session().filter(|_| backoff.is_some()).map(|length| {
                    let drawn = length / 2 + lengths.jitter(length);
                    Instant::now() + drawn
                });
                let (ended, useful, missed) = if role.checks {
                    let resume = crowd.config.resume && strong;
                    tally.counts.came_back += u64::from(std::mem::take(&mut away) && resume);
                    let positions = book.begin(resume);
                    let session = opened.upgraded.session(crowd.config.limits).await;
                    let mut talk = Talk::new(
                        &crowd.config,
                        &crowd.net,
                        &crowd.observer,
                        &shard,
                        &mut tally,
                        (client, session_id),
                        strong,
                        session,
                        &mut book,
                        since,
                    );
                    talk.letters = crowd.board.as_ref().map(|board| Letters::new(crowd, board, role, plan.as_mut()));
                    let ended = talk.run(&symbols, positions, enough, &mut over).await;
                    (ended, talk.useful, talk.since)
                } else {
                    let masks = crowd.net.draws("masks", entity(client, session_id));
                    let mut drain = Drain::new(&crowd.config, &shard, opened.upgraded.stream, strong, masks, since);
                    let ended = drain.run(&opened.upgraded.rest, &symbols, enough, &mut over).await;
                    tally.counts.drained += drain.messages;
                    tally.counts.bytes += drain.bytes;
                    tally.counts.garbled += drain.unlawful;
                    let (by, code) = ended.told();
                    tally.closed(by, code);
                    crowd.observer.record(|| Event::ClientClose { client, session: session_id, by, code });
                    (ended, drain.useful, drain.since)
                };
                shard.count(Instant::now(), |counters| counters.closed += 1);
                if useful && let Some(backoff) = &mut backoff {
                    backoff.succeeded();
                }
                if ended == Ended::Over {
                    break;
                }
                if let Some(plan) = plan.as_mut().filter(|_| ended == Ended::Enough) {
                    plan.rest();
                }
                if ended == Ended::Enough && matches!(crowd.config.load, Load::Closed { .. }) {
                    // Another takes the place, and knows nothing of the one before.
                    symbols = symbols_of(&crowd.config, &crowd.net, client, number + 1);
                    book = new_book(&symbols);
                    planned = Instant::now();
                    target = (target + 1) % crowd.targets.len();
                    continue;
                }
                away = matches!(ended, Ended::PeerClosed(_) | Ended::Broken);
                lost = away.then(|| missed.lost.or(missed.ended).unwrap_or_else(Instant::now));
            }
            Err(Failed { status, why, failure }) => {
                tally.counts.refused += 1;
                tally.dials.failed(failure, status);
                shard.count(Instant::now(), |counters| counters.failed += 1);
                crowd.observer.record(|| Event::ClientRefused { client, session: session_id, status, why });
            }
        }
        if over.is_terminated() {
            break;
        }
        let Some(backoff) = &mut backoff else { break };
        let Some(wait) = backoff.next() else {
            tally.counts.gave_up += 1;
            break;
        };
        planned = Instant::now() + wait;
        wire::reached!("client tries the next proxy", if crowd.targets.len() > 1);
        target = (target + 1) % crowd.targets.len();
    }
    if let (Some(plan), Some(board)) = (&mut plan, &crowd.board) {
        // Who stays away leaves out all the rest.
        let until = if over.is_terminated() { Instant::now() } else { board.until };
        tally.counts.publications_missed += plan.skip(until);
    }
    tally
}

/// When a client publishes.
fn plan<N: Network>(crowd: &Crowd<N>, board: &Board, client: ClientId) -> Option<Plan> {
    let draws = crowd.net.draws("publish", u64::from(client.0));
    match crowd.config.load {
        Load::Open { requests_per_s: Some(per_s), .. } => Some(Plan::open(per_s, board.from, board.until, draws)),
        Load::Closed { think: Some(think), .. } => Some(Plan::closed(think, board.from, board.until, draws)),
        Load::Open { .. } | Load::Closed { .. } => None,
    }
}

/// The symbols that a client asks for from this session on, in the order of the configuration.
fn symbols_of<N: Network>(config: &Config, net: &N, client: ClientId, session: u32) -> Vec<Symbol> {
    let draws = net.draws("symbols", entity(client, SessionId(session)));
    config.subscriptions.draw(config.symbols.len(), draws).into_iter().map(|place| config.symbols[place]).collect()
}

/// The key of what a client draws for one session; the first session's is the client's number.
pub(crate) fn entity(client: ClientId, session: SessionId) -> u64 {
    u64::from(session.0) << 32 | u64::from(client.0)
}
