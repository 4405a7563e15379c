//! `snapshot-then-live`: who subscribes under the strong contract gets the newest value first, and then what happens.
//!
//! - The first message of a symbol after subscribing is a snapshot, if the proxy has a value. It has one, as far as the record can show, if another client of
//!   the same proxy got a tick of the symbol before, and a source sent that tick so shortly before this first message that the proxy cannot have given the symbol
//!   up since.
//! - No live message is as old as the snapshot, or older.
//! - After that, a snapshot comes only if a gap was told in between, or the client subscribed again.
//!
//! A value goes with the leg that brought it if nobody wants the symbol then: it only lingers on its leg. It goes later, too, with the last who wanted it, if nothing came since: it may have been on no leg
//! then. A proxy that starts again, after a drain too, has nothing of what it had before. What is under way of a subscription that a client gave up may come after it
//! subscribed again, before the snapshot (see [`Border`]).
//!
//! A client that reads slowly on purpose may find its snapshot overtaken in its queue: of it only the second and third are asked. A resume that was served in
//! full takes the place of the snapshot, see `resume-all-or-nothing`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::event::{Event, Stamp, ends_process};
use wire::feed::Kind;
use wire::id::SessionId;

use super::border::{Border, Side};
use super::homes::Homes;
use super::{At, Checker, Facts, Findings, Origin};

/// How long a proxy surely keeps a symbol that nobody wants (it lingers for a second).
const KEPT_US: u64 = 900_000;

/// The fault in which an operator has a proxy leave.
const DRAIN: &str = "drain";

/// The checker. A check is a first message that could be judged, or a later snapshot.
pub(super) struct SnapshotFirst {
    homes: Homes,
    facts: Facts,
    /// By proxy and symbol: when a source first sent the newest tick that a client had through that proxy. Only looked up, and emptied, whatever the order.
    values: Vec<FxHashMap<u32, u64>>,
    /// By proxy: when it lost a leg last.
    broke_us: Vec<Option<u64>>,
    /// By client: its session, while it is open, by its own account and by its proxy's.
    open: Vec<Option<SessionId>>,
    by_local: FxHashMap<SocketAddr, u32>,
    /// By proxy: the event with which its present life began.
    lives: Vec<u64>,
    /// Faults that end with a new life of a proxy.
    deaths: BTreeMap<u16, usize>,
    pairs: Vec<Option<Pair>>,
    snapshots: u64,
}

/// One strong client's view of one symbol in one session.
struct Pair {
    client: u32,
    symbol: u32,
    session: SessionId,
    /// It gave the symbol up.
    left: bool,
    /// It reads slowly: when it says that it has left, its proxy may have known for long.
    slow: bool,
    stage: Stage,
    /// When a source sent the tick that the proxy had when the client asked.
    value_us: Option<u64>,
    snapshot: Option<(u64, u64)>,
    border: Border,
    /// The event in which the stage was entered.
    event: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It asked, and has got nothing.
    Asked,
    /// Everything since its last message will be replayed.
    Recovered,
    /// It has got something.
    Told,
    /// A gap was told after that.
    Gap,
}

impl SnapshotFirst {
    pub(super) fn new(facts: &Facts) -> Self {
        let values = (0..facts.proxies).map(|_| FxHashMap::default()).collect();
        Self {
            homes: Homes::new(facts),
            facts: facts.clone(),
            values,
            broke_us: vec![None; usize::from(facts.proxies)],
            open: Vec::new(),
            by_local: FxHashMap::default(),
            lives: vec![0; usize::from(facts.proxies)],
            deaths: BTreeMap::new(),
            pairs: Vec::new(),
            snapshots: 0,
        }
    }

    fn close(&mut self, client: u32) {
        if let Some(open) = self.open.get_mut(client as usize) {
            *open = None;
        }
        self.left(client);
    }

    /// A proxy has lost a leg: it keeps what its clients want.
    fn leg_down(&mut self, us: u64, proxy: usize) {
        if let Some(broke_us) = self.broke_us.get_mut(proxy) {
            *broke_us = Some(us);
        }
        let wanted = self.wanted(proxy);
        if let Some(values) = self.values.get_mut(proxy) {
            values.retain(|symbol, _| wanted.contains(symbol));
        }
    }

    /// A client gave a symbol up, or has gone: what came before its proxy lost a leg is kept for those alone who want it still.
    fn left(&mut self, client: u32) {
        let Some(proxy) = self.homes.proxy(client) else { return };
        let Some(Some(broke_us)) = self.broke_us.get(proxy).copied() else { return };
        if !self.values.get(proxy).is_some_and(|values| values.values().any(|us| *us <= broke_us)) {
            return;
        }
        let wanted = self.wanted(proxy);
        let Some(values) = self.values.get_mut(proxy) else { return };
        values.retain(|symbol, us| *us > broke_us || wanted.contains(symbol));
        // Somebody may have asked before the record shows that the last one had left.
        for pair in self.pairs.iter_mut().flatten().filter(|pair| pair.stage == Stage::Asked) {
            let old = pair.value_us.is_some_and(|us| us <= broke_us) && !wanted.contains(&pair.symbol);
            if old && self.homes.proxy(pair.client) == Some(proxy) {
                pair.value_us = None;
            }
        }
    }

    /// What clients of a proxy surely want: they have had something of it.
    fn wanted(&self, proxy: usize) -> BTreeSet<u32> {
        let wants = |pair: &&Pair| {
            pair.stage != Stage::Asked
                && !pair.left
                && !pair.slow
                && self.open.get(pair.client as usize) == Some(&Some(pair.session))
                && self.homes.proxy(pair.client) == Some(proxy)
        };
        self.pairs.iter().flatten().filter(wants).map(|pair| pair.symbol).collect()
    }

    /// A proxy starts again.
    fn start(&mut self, at: At, proxy: usize) {
        if let Some(values) = self.values.get_mut(proxy) {
            values.clear();
            self.lives[proxy] = at.event;
        }
    }

    fn value_us(&self, at: At) -> Option<u64> {
        let proxy = self.homes.proxy(at.client)?;
        self.values.get(proxy)?.get(&at.symbol).copied()
    }

    /// The pair, if it subscribed in this session.
    fn pair(&mut self, at: At, session: SessionId) -> Option<&mut Pair> {
        self.pairs.get_mut(at.pair as usize)?.as_mut().filter(|pair| pair.session == session)
    }

    /// A tick came through a proxy: it had that value, unless it came in a session with a former life of it.
    fn note(&mut self, at: At) {
        let Origin::Sent { us, .. } = at.origin else { return };
        let Some(home) = self.homes.of(at.client) else { return };
        let proxy =
            self.homes.proxy(at.client).filter(|proxy| self.lives.get(*proxy).is_some_and(|life| *life <= home.event));
        if let Some(values) = proxy.and_then(|proxy| self.values.get_mut(proxy)) {
            let newest = values.entry(at.symbol).or_default();
            *newest = us.max(*newest);
        }
    }

    fn deliver(&mut self, at: At, event: &Event, stamp: Stamp, findings: &mut Findings) {
        let Event::ClientDeliver { client, session, symbol, n, .. } = event else { return };
        let slow = self.facts.is_slow(client.0);
        let Some(pair) = self.pair(at, *session) else { return };
        let Stamp { epoch, seq, kind } = stamp;
        let side = pair.border.deliver(*session, stamp);
        if side == Side::Open && kind != Kind::Snapshot {
            return;
        }
        let earlier = std::mem::replace(&mut pair.event, at.event);
        let stage = std::mem::replace(&mut pair.stage, Stage::Told);
        if kind == Kind::Snapshot {
            pair.snapshot = Some((epoch, seq));
            match stage {
                _ if side == Side::First => findings.check(),
                Stage::Asked | Stage::Gap => findings.check(),
                Stage::Recovered => {}
                Stage::Told => {
                    findings.check();
                    findings.violation(at, &[earlier], || {
                        format!("{client} {session} got a snapshot of {symbol} ({n}), though no gap was told since its last message")
                    });
                }
            }
            self.snapshots += 1;
            return;
        }
        if let Some((snapshot_epoch, snapshot_seq)) = pair.snapshot
            && (epoch, seq) <= (snapshot_epoch, snapshot_seq)
        {
            findings.violation(at, &[earlier], || {
                format!(
                    "{client} {session} got {symbol} epoch {epoch} seq {seq} after a snapshot of epoch {snapshot_epoch} seq {snapshot_seq}"
                )
            });
        }
        let had = pair.value_us.filter(|us| at.us.saturating_sub(*us) < KEPT_US);
        if stage == Stage::Asked
            && !slow
            && let Some(us) = had
        {
            findings.check();
            findings.violation(at, &[earlier], || {
                format!(
                    "{client} {session} got {symbol} {n} first, and no snapshot, though its proxy had a tick that was sent {} us before",
                    at.us - us
                )
            });
        }
    }
}

impl Checker for SnapshotFirst {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::ClientSubscribe { client: id, session, .. } => {
                let value_us = self.value_us(at);
                let pair = at.pair as usize;
                if self.pairs.len() <= pair {
                    self.pairs.resize_with(pair + 1, || None);
                }
                let (session, event) = (*session, at.event);
                let mut border = self.pairs[pair].take().map(|pair| pair.border).unwrap_or_default();
                border.subscribe(session);
                let (client, symbol, stage) = (at.client, at.symbol, Stage::Asked);
                let slow = self.facts.is_slow(id.0);
                let new =
                    Pair { client, symbol, session, left: false, slow, stage, value_us, snapshot: None, border, event };
                self.pairs[pair] = Some(new);
            }
            Event::ClientResumed { session, recovered: true, .. } => {
                if let Some(pair) = self.pair(at, *session) {
                    pair.stage = Stage::Recovered;
                }
            }
            Event::ClientGap { session, .. } => {
                if let Some(pair) = self.pair(at, *session) {
                    pair.border.gap(*session);
                    if pair.stage == Stage::Told {
                        (pair.stage, pair.event) = (Stage::Gap, at.event);
                    }
                }
            }
            Event::ClientDeliver { session, stamp, .. } => {
                if let Some(stamp) = stamp {
                    self.deliver(at, event, *stamp, findings);
                } else if let Some(pair) = self.pair(at, *session) {
                    pair.stage = Stage::Told;
                }
                if stamp.is_none_or(|stamp| stamp.kind == Kind::Live) {
                    self.note(at);
                }
            }
            Event::ClientUnsubscribe { session, .. } => {
                if let Some(pair) = self.pair(at, *session) {
                    pair.left = true;
                }
                self.left(at.client);
            }
            Event::ClientOpen { session, local, .. } => {
                self.homes.observe(at, event);
                self.by_local.insert(*local, at.client);
                let client = at.client as usize;
                if self.open.len() <= client {
                    self.open.resize(client + 1, None);
                }
                self.open[client] = Some(*session);
            }
            Event::ClientClose { .. } => self.close(at.client),
            Event::ProxyClientClose { peer, .. } => {
                if let Some(client) = self.by_local.remove(peer) {
                    self.close(client);
                }
            }
            Event::ProxyLegDown { proxy, local: Some(_), .. } => self.leg_down(at.us, proxy.index()),
            Event::FaultStart { fault, kind, target } => {
                let Some(proxy) = self.facts.proxy_named(target) else { return };
                if ends_process(kind) {
                    self.start(at, proxy);
                }
                // A proxy that drains starts again at the end of the fault.
                if ends_process(kind) || **kind == *DRAIN {
                    self.deaths.insert(*fault, proxy);
                } else if let Some(values) = self.values.get_mut(proxy) {
                    values.clear();
                }
            }
            Event::FaultStop { fault } => {
                if let Some(proxy) = self.deaths.remove(fault) {
                    self.start(at, proxy);
                }
            }
            _ => self.homes.observe(at, event),
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!(
            "{} snapshots; {} of {} not in their place, or missing",
            self.snapshots,
            findings.broken(),
            findings.checked()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::feed::Kind::{Live, Replay, Snapshot};

    /// Client 1 has had tick 5 of symbol 0 through the proxy, and client 0 subscribes.
    fn tape() -> Tape {
        let tape = Tape::new("snapshot-then-live = {}").open(1, 0).subscribe(1, 0).send(0, 0, 0, 5).deliver(1, 0, 5);
        tape.open(0, 0).subscribe(0, 0)
    }

    #[test]
    fn a_snapshot_and_then_live_passes() {
        let tape = tape().stamped(0, 0, 5, Snapshot, (1, 9)).stamped(0, 0, 6, Live, (1, 10));
        check(tape.stamped(0, 0, 7, Live, (1, 11)), Pass, 1);
    }

    #[test]
    fn live_first_fails_where_the_proxy_surely_had_a_value() {
        check(tape().stamped(0, 0, 6, Live, (1, 10)), Fail, 1);
        // It may have given the symbol up by then; it was another proxy; nobody had it.
        check(tape().after(900_000).stamped(0, 0, 6, Live, (1, 10)), Inconclusive, 0);
        check(
            tape().fault(0, "kill", "proxy-0").session(1).open(0, 1).subscribe(0, 0).stamped(0, 0, 6, Live, (1, 1)),
            Inconclusive,
            0,
        );
        check(tape().subscribe(0, 1).stamped(0, 1, 6, Live, (1, 1)), Inconclusive, 0);
    }

    #[test]
    fn a_proxy_that_starts_again_has_no_value() {
        // Seed 362 of `explore`: the fault of a drain ends with a new start.
        let asks = |tape: Tape| tape.session(1).open(0, 1).subscribe(0, 0).stamped(0, 0, 6, Live, (2, 1));
        for kind in ["drain", "kill"] {
            check(asks(tape().fault(0, kind, "proxy-0").heal(0)), Inconclusive, 0);
            // What comes late through the former life is no value of the present one.
            check(asks(tape().fault(0, kind, "proxy-0").heal(0).deliver(1, 0, 5)), Inconclusive, 0);
        }
        // While it drains it has what it had.
        check(asks(tape().fault(0, "drain", "proxy-0")), Fail, 1);
        let known = tape().fault(0, "drain", "proxy-0").heal(0).session(1).open(1, 1).subscribe(1, 0).deliver(1, 0, 5);
        check(known.open(0, 1).subscribe(0, 0).stamped(0, 0, 6, Live, (2, 1)), Fail, 1);
    }

    #[test]
    fn a_value_that_nobody_wants_goes_with_its_leg() {
        // Seed 973 of `explore`: the only client that had it left, and the leg was lost while the symbol lingered.
        let asks = |tape: Tape| tape.leg_down(0, 0).open(2, 0).subscribe(2, 0).stamped(2, 0, 6, Live, (2, 1));
        let lost = || tape().leg(0, 0);
        check(asks(lost()), Fail, 1);
        check(asks(lost().close_own(1)), Inconclusive, 0);
        check(asks(lost().closed_by_proxy(1)), Inconclusive, 0);
        check(asks(lost().unsubscribe(1, 0)), Inconclusive, 0);
        check(lost().close_own(1).open(2, 0).subscribe(2, 0).stamped(2, 0, 6, Live, (2, 1)), Fail, 1);
    }

    #[test]
    fn a_value_goes_with_the_last_who_wants_it_while_no_leg_brings_it() {
        // Seed 8474 of `explore`: the leg was lost, then the last left who wanted the symbol, and another came before the next leg was up.
        let lost = || {
            let tape = Tape::new("snapshot-then-live = {}").leg(0, 0).open(1, 0).subscribe(1, 0).send(0, 0, 0, 5);
            tape.deliver(1, 0, 5).after(1).leg_down(0, 0)
        };
        let asks = |tape: Tape| tape.open(2, 0).subscribe(2, 0);
        let live = |tape: Tape| tape.stamped(2, 0, 6, Live, (2, 1));
        check(live(asks(lost())), Fail, 1);
        for left in [Tape::close_own, Tape::closed_by_proxy, |tape: Tape, client| tape.unsubscribe(client, 0)] {
            check(live(asks(left(lost(), 1))), Inconclusive, 0);
            // It may have left before this shows.
            check(live(left(asks(lost()), 1)), Inconclusive, 0);
            // The next leg has brought something since, or somebody else wants it.
            let since = lost().leg(1, 1).send(1, 1, 0, 6).deliver(1, 0, 6);
            check(asks(left(since, 1)).stamped(2, 0, 7, Live, (2, 2)), Fail, 1);
            // One that reads slowly may have left long ago, and its proxy knows.
            let slow = lost().open(9, 0).subscribe(9, 0).deliver(9, 0, 5).leg(1, 1).leg_down(1, 1);
            check(live(asks(left(slow, 1))), Inconclusive, 0);
            let other = asks(lost()).stamped(2, 0, 5, Snapshot, (1, 1));
            check(left(other, 1).open(3, 0).subscribe(3, 0).stamped(3, 0, 6, Live, (2, 1)), Fail, 2);
        }
    }

    #[test]
    fn what_is_under_way_of_the_former_subscription_may_come_before_the_snapshot() {
        let live = tape().stamped(0, 0, 5, Snapshot, (1, 9)).unsubscribe(0, 0).subscribe(0, 0);
        let late = live.clone().stamped(0, 0, 6, Live, (1, 10));
        check(late.clone().stamped(0, 0, 6, Snapshot, (1, 10)).stamped(0, 0, 7, Live, (1, 11)), Pass, 2);
        check(late.clone().stamped(0, 0, 6, Snapshot, (1, 10)).stamped(0, 0, 6, Snapshot, (1, 10)), Fail, 3);
        // What does not go on where the former one stopped is not of it.
        check(live.clone().stamped(0, 0, 7, Live, (1, 11)), Fail, 2);
        check(late.stamped(0, 0, 8, Live, (1, 12)), Fail, 2);
    }

    #[test]
    fn a_slow_client_s_snapshot_may_be_overtaken() {
        check(tape().open(9, 0).subscribe(9, 0).stamped(9, 0, 6, Live, (1, 10)), Inconclusive, 0);
    }

    #[test]
    fn live_no_newer_than_the_snapshot_fails() {
        check(tape().stamped(0, 0, 5, Snapshot, (1, 9)).stamped(0, 0, 5, Live, (1, 9)), Fail, 1);
        check(tape().stamped(0, 0, 5, Snapshot, (2, 1)).stamped(0, 0, 4, Live, (1, 8)), Fail, 1);
    }

    #[test]
    fn a_second_snapshot_needs_a_gap_or_a_subscription() {
        let live = tape().stamped(0, 0, 5, Snapshot, (1, 9)).stamped(0, 0, 6, Live, (1, 10));
        check(live.clone().stamped(0, 0, 6, Snapshot, (1, 10)), Fail, 2);
        check(live.clone().gap(0, 0, 1, 11, None).stamped(0, 0, 6, Snapshot, (1, 10)), Pass, 2);
        check(live.subscribe(0, 0).stamped(0, 0, 6, Snapshot, (1, 10)), Pass, 2);
    }

    #[test]
    fn a_resume_in_full_takes_the_place_of_the_snapshot() {
        check(tape().resumed(0, 0, (1, 7), true).stamped(0, 0, 5, Replay, (1, 8)), Inconclusive, 0);
        check(tape().resumed(0, 0, (1, 7), false).stamped(0, 0, 5, Live, (1, 8)), Fail, 1);
    }
}
