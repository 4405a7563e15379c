//! `slow-policy`: what becomes of a client whose queue is full is what the configuration says, and nothing else.
//!
//! - `drop-oldest`: messages are dropped for want of room, none is conflated, and nobody is closed for being slow.
//! - `conflate`: messages are replaced by newer ones of their symbol, and nobody is closed for being slow. (Where the queue's bound is too small even for one
//!   message of each symbol, some are dropped for want of room.)
//! - `disconnect`: nothing is dropped, and whoever is closed for being slow is closed with 1013.
//!
//! By the proxy's own account, as nothing outside can tell why a message is missing; that it accounts for all is what `no-silent-gap` and `metrics-truth` watch.

use wire::event::{Event, Why};

use super::{At, Checker, Facts, Findings};
use crate::model::SlowClient;

/// Try again later.
const TRY_AGAIN_LATER: u16 = 1013;

/// The checker. A check is a message dropped, or a client closed for being slow.
pub(super) struct Policy {
    facts: Facts,
    dropped: u64,
    conflated: u64,
    closed: u64,
}

impl Policy {
    pub(super) fn new(facts: &Facts) -> Self {
        Self { facts: facts.clone(), dropped: 0, conflated: 0, closed: 0 }
    }
}

impl Checker for Policy {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        let (Event::ProxyDrop { proxy, .. } | Event::ProxyClientClose { proxy, .. }) = event else { return };
        let edge = self.facts.is_edge(proxy.index());
        let Some(said) = (if edge { self.facts.edge_slow_client } else { self.facts.slow_client }) else { return };
        match event {
            Event::ProxyDrop { peer, symbol, seq, why: why @ (Why::Overflow | Why::Conflated), .. } => {
                findings.check();
                let conflated = *why == Why::Conflated;
                if conflated {
                    self.conflated += 1
                } else {
                    self.dropped += 1
                }
                let lawful = match said {
                    SlowClient::DropOldest => !conflated,
                    SlowClient::Conflate => true,
                    SlowClient::Disconnect => false,
                };
                if !lawful {
                    let how = if conflated { "replaced by a newer one" } else { "dropped" };
                    findings.violation(at, &[], || format!("{symbol} {seq} for {peer} was {how}, against the policy"));
                }
            }
            Event::ProxyClientClose { peer, code, why: Why::Slow | Why::Overflow, .. } => {
                findings.check();
                self.closed += 1;
                // A client that takes nothing cannot be told: then there is no code.
                if said != SlowClient::Disconnect || code.is_some_and(|code| code != TRY_AGAIN_LATER) {
                    findings.violation(at, &[], || {
                        format!("{peer} was closed for being slow with {code:?}, against the policy")
                    });
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, _findings: &mut Findings) -> String {
        let Self { dropped, conflated, closed, .. } = self;
        format!(
            "{dropped} messages dropped, {conflated} replaced by newer ones, {closed} clients closed for being slow"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use super::*;
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    fn tape(policy: SlowClient) -> Tape {
        Tape::new("slow-policy = {}").facts(|facts| facts.slow_client = Some(policy)).open(0, 0)
    }

    #[test]
    fn each_policy_does_what_it_says_and_nothing_else() {
        use SlowClient::{Conflate, Disconnect, DropOldest};
        for (policy, dropped, closed) in [(DropOldest, Pass, Fail), (Conflate, Pass, Fail), (Disconnect, Fail, Pass)] {
            check(tape(policy).dropped(0, 0), dropped, 1);
            check(tape(policy).closed_by_proxy(0), closed, 1);
        }
    }

    #[test]
    fn without_a_slow_client_or_a_known_policy_it_is_inconclusive() {
        check(tape(SlowClient::Conflate), Inconclusive, 0);
        check(Tape::new("slow-policy = {}").open(0, 0).dropped(0, 0), Inconclusive, 0);
    }
}
