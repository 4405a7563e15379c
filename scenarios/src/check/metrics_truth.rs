//! `metrics-truth`: what a proxy counts is what the wire shows.
//!
//! Each gauge is held against what sources and clients saw up to then, and up to half a second later:
//!
//! - received: no more than the sources sent; all of that, half a second later, as long as no leg was lost;
//! - forwarded: no less than reached the clients; no more than has reached them half a second later, unless clients are slow or have left;
//! - dropped: as many as the drops that it reported one by one, and no fewer than its strong clients were told of;
//! - clients: as many as held a session at some instant within half a second.
//!
//! For one proxy. A fault on the proxy or on a client ends the watch: what they would have shown is gone with them.

use std::collections::VecDeque;

use wire::event::{Event, Phase};
use wire::feed::GapReason;

use super::{At, Checker, Facts, Findings};

/// What may be under way between a count and its witness.
const SETTLE_US: u64 = 500_000;

/// The checker. A check is a gauge.
pub(super) struct Truth {
    one_proxy: bool,
    slow_clients: bool,
    sent: u64,
    reached: u64,
    drops: u64,
    told: u64,
    open: u64,
    /// A leg was lost, or a source hurt: what was sent may never have arrived.
    legs_lost: bool,
    /// A client left: what was forwarded may never have been read.
    clients_left: bool,
    over: bool,
    /// How many were sent at earlier gauges, latest last.
    sent_before: VecDeque<(u64, u64)>,
    /// Sessions open from an instant on, for the last half second.
    open_since: VecDeque<(u64, u64)>,
    pending: VecDeque<Pending>,
    gauges: u64,
}

/// A gauge whose witnesses are still under way.
struct Pending {
    at: At,
    clients: u64,
    forwarded: u64,
    open_min: u64,
    open_max: u64,
}

impl Truth {
    pub(super) fn new(facts: &Facts) -> Self {
        Self {
            one_proxy: facts.proxies == 1,
            slow_clients: !facts.slow_clients.is_empty(),
            sent: 0,
            reached: 0,
            drops: 0,
            told: 0,
            open: 0,
            legs_lost: false,
            clients_left: false,
            over: false,
            sent_before: VecDeque::new(),
            open_since: VecDeque::new(),
            pending: VecDeque::new(),
            gauges: 0,
        }
    }

    fn opened(&mut self, us: u64, open: u64) {
        self.open_since.push_back((us, self.open));
        while self.open_since.front().is_some_and(|(until, _)| until + SETTLE_US < us) {
            self.open_since.pop_front();
        }
        self.open = open;
        for gauge in &mut self.pending {
            gauge.open_min = gauge.open_min.min(open);
            gauge.open_max = gauge.open_max.max(open);
        }
    }

    /// Judges the gauges whose witnesses have had their time.
    fn settle(&mut self, us: u64, findings: &mut Findings) {
        while self.pending.front().is_some_and(|gauge| gauge.at.us + SETTLE_US <= us) {
            let Some(Pending { at, clients, forwarded, open_min, open_max }) = self.pending.pop_front() else { return };
            findings.check();
            if !(open_min..=open_max).contains(&clients) {
                findings.violation(at, &[], || {
                    format!("the proxy counts {clients} clients, and {open_min} to {open_max} had a session")
                });
            }
            let reached = self.reached;
            if forwarded > reached && !self.slow_clients && !self.clients_left {
                findings.violation(at, &[], || {
                    format!("the proxy counts {forwarded} messages forwarded, and {reached} have reached clients")
                });
            }
        }
    }

    fn gauge(&mut self, at: At, [clients, received, forwarded, dropped]: [u64; 4], findings: &mut Findings) {
        self.gauges += 1;
        let Self { sent, reached, drops, told, .. } = *self;
        let mut wrong = |is: bool, what: &str, count: u64, rest: &str, seen: u64| {
            if is {
                findings.violation(at, &[], || format!("the proxy counts {count} messages {what}, and {rest} {seen}"));
            }
        };
        // A source of echoes keeps no ledger.
        wrong(sent > 0 && received > sent, "received", received, "the sources sent", sent);
        while self.sent_before.len() > 1 && self.sent_before[1].0 + SETTLE_US <= at.us {
            self.sent_before.pop_front();
        }
        if let Some((us, sent)) = self.sent_before.front().copied()
            && us + SETTLE_US <= at.us
        {
            wrong(
                !self.legs_lost && received < sent,
                "received",
                received,
                "half a second ago the sources had sent",
                sent,
            );
        }
        self.sent_before.push_back((at.us, sent));
        wrong(forwarded < reached, "forwarded", forwarded, "clients have read", reached);
        wrong(dropped != drops, "dropped", dropped, "reported one by one", drops);
        wrong(dropped < told, "dropped", dropped, "told its clients of", told);
        let recent = self.open_since.iter().filter(|(until, _)| until + SETTLE_US >= at.us).map(|(_, open)| *open);
        let (open_min, open_max) =
            recent.fold((self.open, self.open), |(min, max), open| (min.min(open), max.max(open)));
        self.pending.push_back(Pending { at, clients, forwarded, open_min, open_max });
    }
}

impl Checker for Truth {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        if !self.one_proxy || self.over {
            return;
        }
        self.settle(at.us, findings);
        match event {
            Event::SourceSend { .. } => self.sent += 1,
            Event::SourceClose { .. } | Event::ProxyLegDown { .. } => self.legs_lost = true,
            Event::ClientDeliver { .. } | Event::ClientEcho { .. } | Event::ClientGarbled { .. } => self.reached += 1,
            Event::ClientGap { from, to: Some(to), reason: GapReason::Overflow | GapReason::Conflated, .. } => {
                self.told += to.saturating_sub(*from) + 1;
            }
            Event::ClientOpen { .. } => self.opened(at.us, self.open + 1),
            Event::ClientClose { .. } => {
                self.clients_left = true;
                self.opened(at.us, self.open.saturating_sub(1));
            }
            Event::ProxyDrop { .. } => self.drops += 1,
            Event::ProxyGauge { clients, received, forwarded, dropped, .. } => {
                self.gauge(at, [*clients, *received, *forwarded, *dropped], findings);
            }
            Event::FaultStart { target, .. } if target.contains("source") => self.legs_lost = true,
            Event::FaultStart { .. } | Event::Phase { phase: Phase::End } => self.over = true,
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!("{} wrong counts in {} gauges", findings.broken(), self.gauges)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    /// Two clients, three ticks sent on one leg, each of which reached both.
    fn tape() -> Tape {
        let tape = Tape::new("metrics-truth = {}").facts(|facts| facts.slow_clients.clear());
        let tape = tape.leg(0, 1).open(0, 0).open(1, 0).after(600_000);
        (1..=3).fold(tape, |tape, n| tape.send(0, 1, 0, n).deliver(0, 0, n).deliver(1, 0, n))
    }

    /// Something that happens when the witnesses have had their time.
    fn later(tape: Tape) -> Tape {
        tape.after(600_000).subscribe(0, 0)
    }

    #[test]
    fn true_counts_pass() {
        check(later(tape().counts(2, 3, 6, 0)), Pass, 1);
        check(later(tape().counts(2, 3, 6, 0).after(600_000).counts(2, 3, 6, 0)), Pass, 2);
    }

    #[test]
    fn what_is_under_way_is_not_held_against_a_count() {
        let sent = tape().send(0, 1, 0, 4);
        check(later(sent.clone().counts(2, 3, 6, 0)), Pass, 1);
        check(later(sent.clone().counts(2, 4, 8, 0).deliver(0, 0, 4).deliver(1, 0, 4)), Pass, 1);
        check(later(sent.open(2, 0).counts(2, 3, 6, 0)), Pass, 1);
    }

    #[test]
    fn each_wrong_count_fails() {
        for (clients, received, forwarded, dropped) in
            [(3, 3, 6, 0), (1, 3, 6, 0), (2, 4, 6, 0), (2, 3, 7, 0), (2, 3, 5, 0), (2, 3, 6, 1)]
        {
            check(later(tape().counts(clients, received, forwarded, dropped)), Fail, 1);
        }
        // Sent half a second ago, and still not received.
        check(later(tape().counts(2, 3, 6, 0).after(600_000).counts(2, 2, 6, 0)), Fail, 2);
    }

    #[test]
    fn drops_are_those_reported_and_cover_those_told() {
        check(later(tape().dropped(0, 0).counts(2, 3, 6, 1)), Pass, 1);
        check(later(tape().dropped(0, 0).gap(0, 0, 1, 4, Some(4)).counts(2, 3, 6, 1)), Pass, 1);
        check(later(tape().dropped(0, 0).gap(0, 0, 1, 4, Some(5)).counts(2, 3, 6, 1)), Fail, 1);
        check(later(tape().gap(0, 0, 1, 4, None).counts(2, 3, 6, 0)), Pass, 1);
    }

    #[test]
    fn losses_excuse_what_they_explain_and_no_more() {
        let lost = tape().counts(2, 3, 6, 0).leg_closed(0, 1).send(0, 1, 0, 4).after(600_000);
        check(later(lost.clone().counts(2, 3, 6, 0).after(600_000).counts(2, 3, 6, 0)), Pass, 3);
        check(later(lost.counts(2, 5, 6, 0)), Fail, 2);
        check(later(tape().close_own(1).counts(1, 3, 7, 0)), Pass, 1);
        let slow = tape().facts(|facts| facts.slow_clients = std::iter::once(1..2).collect());
        check(later(slow.counts(2, 3, 7, 0)), Pass, 1);
    }

    #[test]
    fn a_fault_on_the_proxy_or_two_proxies_are_not_watched() {
        check(later(tape().fault(0, "kill", "proxy-0").counts(9, 9, 9, 9)), Inconclusive, 0);
        check(later(tape().facts(|facts| facts.proxies = 2).counts(9, 9, 9, 9)), Inconclusive, 0);
    }
}
