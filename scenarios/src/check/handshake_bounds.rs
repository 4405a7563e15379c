//! `handshake-bounds`: a handshake that is not finished in time is cut off, whoever dawdles, and no more are under way at once than may be.
//!
//! A dial ends, with a session or without, within `proxy.guard.handshake-timeout` and `settle`, unless a fault was in force for a part of it. How many are under way is the proxy's own account.

use wire::event::{Event, Phase};

use super::objectives::life::HandshakeBounds;
use super::{At, Checker, Facts, Findings};

/// The checker. A check is a dial that ends or should, and a gauge.
pub(super) struct Bounded {
    settle_us: u64,
    facts: Facts,
    /// By client.
    dials: Vec<Option<Dial>>,
    faults: u32,
    most: u64,
    cut: u64,
    over: bool,
}

#[derive(Clone, Copy)]
struct Dial {
    since_us: u64,
    event: u64,
    client: u32,
    /// A fault was in force for a part of it.
    disturbed: bool,
}

impl Bounded {
    pub(super) fn new(bound: HandshakeBounds, facts: &Facts) -> Self {
        Self {
            settle_us: bound.settle.as_micros(),
            facts: facts.clone(),
            dials: Vec::new(),
            faults: 0,
            most: 0,
            cut: 0,
            over: false,
        }
    }

    fn ends(&mut self, at: At, refused: bool, findings: &mut Findings) {
        let Some(Dial { since_us, event, client, disturbed }) =
            self.dials.get_mut(at.client as usize).and_then(Option::take)
        else {
            return;
        };
        if disturbed {
            return;
        }
        findings.check();
        self.cut += u64::from(refused && self.facts.dawdles(client));
        let (took_us, most_us) = (at.us - since_us, self.facts.handshake_us + self.settle_us);
        if took_us > most_us {
            findings.violation(at, &[event], || {
                let how = if refused { "without a session" } else { "with a session" };
                format!("the handshake of c{client} ended {how} after {took_us} us: {most_us} us are the bound")
            });
        }
    }
}

impl Checker for Bounded {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            _ if self.over => {}
            Event::ClientDial { client, .. } => {
                let place = at.client as usize;
                if self.dials.len() <= place {
                    self.dials.resize(place + 1, None);
                }
                self.dials[place] =
                    Some(Dial { since_us: at.us, event: at.event, client: client.0, disturbed: self.faults > 0 });
            }
            Event::ClientOpen { .. } => self.ends(at, false, findings),
            Event::ClientRefused { .. } => self.ends(at, true, findings),
            Event::ProxyGauge { proxy, handshakes, .. } => {
                findings.check();
                self.most = self.most.max(*handshakes);
                let bound = self.facts.handshakes_max;
                if *handshakes > bound {
                    findings.violation(at, &[], || {
                        format!("{handshakes} handshakes are under way at {proxy}: {bound} may be")
                    });
                }
            }
            Event::FaultStart { .. } => {
                self.faults += 1;
                for dial in self.dials.iter_mut().flatten() {
                    dial.disturbed = true;
                }
            }
            Event::FaultStop { .. } => self.faults = self.faults.saturating_sub(1),
            Event::Phase { phase: Phase::End } => {
                let most_us = self.facts.handshake_us + self.settle_us;
                for Dial { since_us, event, client, disturbed } in self.dials.drain(..).flatten() {
                    if !disturbed && at.us > since_us + most_us {
                        findings.check();
                        findings.violation(at, &[event], || {
                            format!(
                                "the handshake of c{client} is under way for {} us: {most_us} us are the bound",
                                at.us - since_us
                            )
                        });
                    }
                }
                self.over = true;
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!(
            "{} handshakes at most under way against {}; {} dawdlers cut off; {} breaches",
            self.most,
            self.facts.handshakes_max,
            self.cut,
            findings.broken()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    fn tape() -> Tape {
        Tape::new(r#"handshake-bounds = { settle = "500ms" }"#).facts(|facts| {
            facts.handshake_us = 2_000_000;
            facts.handshakes_max = 3;
            facts.dawdlers = std::iter::once(1..2).collect();
        })
    }

    #[test]
    fn a_handshake_that_ends_in_time_passes() {
        check(tape().dial(0).open(0, 0).dial(1).after(2_400_000).refused(1, 0), Pass, 2);
        check(tape().dial(1).after(1_000_000).phase(Phase::End), Inconclusive, 0);
    }

    #[test]
    fn a_handshake_that_ends_late_or_never_fails() {
        check(tape().dial(1).after(2_600_000).refused(1, 0), Fail, 1);
        check(tape().dial(0).after(2_600_000).open(0, 0), Fail, 1);
        check(tape().dial(1).after(2_600_000).phase(Phase::End), Fail, 1);
    }

    #[test]
    fn a_dial_that_a_fault_fell_into_is_not_judged() {
        let during = tape().dial(1).after(1_000_000).fault(0, "stall", "proxy-0").after(2_000_000);
        check(during.clone().phase(Phase::End), Inconclusive, 0);
        check(during.clone().heal(0).phase(Phase::End), Inconclusive, 0);
        check(during.clone().heal(0).refused(1, 0), Inconclusive, 0);
        check(during.heal(0).refused(1, 0).dial(1).after(2_600_000).phase(Phase::End), Fail, 1);
    }

    #[test]
    fn too_many_at_once_fail_by_the_proxys_account() {
        check(tape().handshakes(3), Pass, 1);
        check(tape().handshakes(4), Fail, 1);
    }
}
