//! `admission`: the limit on sessions holds, and those inside do not pay for those outside.
//!
//! Open sessions, as the clients see them, never exceed the limit; and a client that was inside before the first refusal is not thrown out.

use wire::event::{Event, Phase, Side};

use super::{Admission, At, Checker, Findings};

/// The checker. A check is a refusal with status 503 or 429.
pub(super) struct AdmissionLimit {
    open_max: u64,
    open: Vec<bool>,
    open_count: u64,
    worst: u64,
    /// Who was inside before the first refusal; empty before it.
    veterans: Option<Vec<bool>>,
    over: bool,
}

impl AdmissionLimit {
    pub(super) fn new(bound: Admission) -> Self {
        let open_max = bound.open_at_most;
        Self { open_max, open: Vec::new(), open_count: 0, worst: 0, veterans: None, over: false }
    }

    fn set(&mut self, client: u32, open: bool) {
        let client = client as usize;
        if self.open.len() <= client {
            self.open.resize(client + 1, false);
        }
        match (std::mem::replace(&mut self.open[client], open), open) {
            (false, true) => self.open_count += 1,
            (true, false) => self.open_count -= 1,
            _ => {}
        }
    }
}

impl Checker for AdmissionLimit {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        match event {
            Event::Phase { phase: Phase::End } => self.over = true,
            _ if self.over => {}
            Event::ClientOpen { client, .. } => {
                self.set(at.client, true);
                self.worst = self.worst.max(self.open_count);
                if self.open_count > self.open_max {
                    let (open, bound) = (self.open_count, self.open_max);
                    findings.violation(at, &[], || {
                        format!("{client} is let in as number {open}, and {bound} are the limit")
                    });
                }
            }
            Event::ClientClose { client, by, .. } => {
                self.set(at.client, false);
                let veteran = self
                    .veterans
                    .as_mut()
                    .and_then(|veterans| veterans.get_mut(at.client as usize))
                    .is_some_and(std::mem::take);
                if veteran && *by == Side::Peer {
                    findings
                        .violation(at, &[], || format!("{client} was inside before the flood, and lost its session"));
                }
            }
            Event::ClientRefused { status: 503 | 429, .. } => {
                findings.check();
                if self.veterans.is_none() {
                    self.veterans = Some(self.open.clone());
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        format!("{} open at most against {}; {} turned away", self.worst, self.open_max, findings.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::event::Phase;

    fn tape() -> Tape {
        Tape::new("admission = { open-at-most = 2 }").open(0, 0).open(1, 0)
    }

    #[test]
    fn who_comes_too_late_is_turned_away() {
        check(tape().refused(2, 503).close_own(0).open(2, 1).refused(3, 429), Pass, 2);
    }

    #[test]
    fn one_too_many_fails() {
        check(tape().refused(3, 503).open(2, 0), Fail, 1);
    }

    #[test]
    fn throwing_out_a_veteran_fails() {
        check(tape().refused(2, 503).close_by_peer(0, Some(1013)), Fail, 1);
        check(tape().refused(2, 503).phase(Phase::End).close_by_peer(0, Some(1001)), Pass, 1);
    }

    #[test]
    fn nobody_turned_away_is_inconclusive() {
        check(tape().refused(2, 0), Inconclusive, 0);
    }
}
