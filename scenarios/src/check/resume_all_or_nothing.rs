//! `resume-all-or-nothing`: a resume is served in full or not at all, and the client is told which.
//!
//! ```text
//!   resume 3.17 --> resumed 3.17 recovered     --> replay 3.18, 3.19, ... --> live, contiguous
//!              '--> resumed 3.17 not recovered --> gap 3.18.. (resume)    --> snapshot or live, never a replay
//! ```
//!
//! - The answer names what was asked, and comes before anything else of the symbol.
//! - After a full one, every seq from the next one on comes, in the same epoch, as replay until the first live message. Only the end of the epoch (a gap with reason
//!   `reset` at the next seq) may cut it short; a client that reads slowly on purpose may be told of a gap of any kind.
//! - The ticks are those that follow what the client has: as many later, at least, as their seqs say. (A proxy that takes another's stamps for its own fails here.)
//! - After a refusal a gap with reason `resume` names everything from the next seq on, before any message, and nothing is ever replayed.
//!
//! A client that gives the symbol up has ended its resume: nothing is owed to it any more, whether it subscribes again or not, and what is under way may still come.

use wire::event::{Event, Stamp};
use wire::feed::{GapReason, Kind};
use wire::id::SessionId;

use super::{At, Checker, Facts, Findings};

/// The checker. A check is an answer to a resume.
pub(super) struct AllOrNothing {
    facts: Facts,
    recovered: u64,
    refused: u64,
    replayed: u64,
    pairs: Vec<Option<Pair>>,
}

/// One client's view of one symbol, over all its sessions.
struct Pair {
    session: SessionId,
    stage: Stage,
    /// The last stamp delivered, in whatever session, with its tick.
    had: Option<(u64, u64, u64)>,
    /// The event to point at.
    event: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No resume is under way: a replay has no place.
    Idle,
    Asked {
        epoch: u64,
        seq: u64,
    },
    Recovered {
        epoch: u64,
        next: u64,
    },
    Refused {
        epoch: u64,
        next: u64,
        told: bool,
    },
    /// The client gave the symbol up with its resume under way.
    Left,
}

impl AllOrNothing {
    pub(super) fn new(facts: &Facts) -> Self {
        Self { facts: facts.clone(), recovered: 0, refused: 0, replayed: 0, pairs: Vec::new() }
    }

    fn pair(&mut self, at: At, session: SessionId) -> &mut Pair {
        let place = at.pair as usize;
        if self.pairs.len() <= place {
            self.pairs.resize_with(place + 1, || None);
        }
        let new = Pair { session, stage: Stage::Idle, had: None, event: at.event };
        let pair = self.pairs[place].get_or_insert(new);
        if pair.session != session {
            (pair.session, pair.stage) = (session, Stage::Idle);
        }
        pair
    }
}

impl Pair {
    /// Takes a delivery; what was wrong with it, if anything.
    fn deliver(&mut self, stamp: Stamp, n: u64) -> Option<String> {
        let Stamp { epoch, seq, kind } = stamp;
        let had = self.had.replace((epoch, seq, n));
        match self.stage {
            Stage::Idle => {
                (kind == Kind::Replay).then(|| format!("epoch {epoch} seq {seq} replayed, and no resume was granted"))
            }
            Stage::Left => {
                // No replay comes after another message.
                self.stage = if kind == Kind::Replay { Stage::Left } else { Stage::Idle };
                None
            }
            Stage::Asked { .. } => {
                self.stage = Stage::Idle;
                Some(format!("epoch {epoch} seq {seq} came before the answer to the resume"))
            }
            Stage::Recovered { epoch: resumed, next } => {
                self.stage = if kind == Kind::Replay {
                    Stage::Recovered { epoch: resumed, next: next.saturating_add(1) }
                } else {
                    Stage::Idle
                };
                if kind == Kind::Snapshot {
                    Some("a snapshot, after a resume that was granted in full".to_owned())
                } else if (epoch, seq) != (resumed, next) {
                    self.stage = Stage::Idle;
                    Some(format!(
                        "epoch {epoch} seq {seq} where a resume in full goes on with epoch {resumed} seq {next}"
                    ))
                } else {
                    had.filter(|(had_epoch, had_seq, had_n)| {
                        *had_epoch == epoch && *had_seq < seq && n.saturating_sub(*had_n) < seq - *had_seq
                    })
                    .map(|(_, had_seq, had_n)| {
                        format!("seq {seq} is tick {n}, but seq {had_seq}, which it has, was tick {had_n}")
                    })
                }
            }
            Stage::Refused { told, .. } => {
                self.stage = if kind == Kind::Replay { self.stage } else { Stage::Idle };
                if kind == Kind::Replay {
                    Some(format!("epoch {epoch} seq {seq} replayed, though the resume was refused"))
                } else {
                    (!told).then(|| format!("epoch {epoch} seq {seq} after a refused resume, and no gap told"))
                }
            }
        }
    }

    fn gap(&mut self, (epoch, from, to): (u64, u64, Option<u64>), reason: GapReason, slow: bool) -> Option<String> {
        match self.stage {
            Stage::Idle | Stage::Left => None,
            Stage::Asked { .. } => {
                self.stage = Stage::Idle;
                Some(format!("a gap in epoch {epoch} from {from} came before the answer to the resume"))
            }
            Stage::Recovered { epoch: resumed, next } => {
                self.stage = Stage::Idle;
                let ends = reason == GapReason::Reset && to.is_none();
                let lawful = (epoch, from) == (resumed, next) && (ends || slow);
                (!lawful).then(|| format!("a gap in epoch {epoch} from {from} where a resume in full goes on with epoch {resumed} seq {next}"))
            }
            Stage::Refused { told: true, .. } => None,
            Stage::Refused { epoch: resumed, next, told: false } => {
                self.stage = Stage::Refused { epoch: resumed, next, told: true };
                let lawful = reason == GapReason::Resume && (epoch, from) == (resumed, next);
                (!lawful).then(|| format!("a gap in epoch {epoch} from {from} where a refused resume is told from epoch {resumed} seq {next}"))
            }
        }
    }
}

impl Checker for AllOrNothing {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        let (client, session, symbol, fault, earlier) = match event {
            Event::ClientResume { session, epoch, seq, .. } => {
                let pair = self.pair(at, *session);
                (pair.stage, pair.event) = (Stage::Asked { epoch: *epoch, seq: *seq }, at.event);
                return;
            }
            Event::ClientUnsubscribe { session, .. } => {
                let pair = self.pair(at, *session);
                if pair.stage != Stage::Idle {
                    pair.stage = Stage::Left;
                }
                return;
            }
            Event::ClientResumed { client, session, symbol, epoch, seq, recovered } => {
                findings.check();
                *(if *recovered { &mut self.recovered } else { &mut self.refused }) += 1;
                let pair = self.pair(at, *session);
                let asked = pair.stage == Stage::Left || pair.stage == Stage::Asked { epoch: *epoch, seq: *seq };
                let (epoch, next) = (*epoch, seq.saturating_add(1));
                pair.stage = if pair.stage == Stage::Left {
                    Stage::Left
                } else if *recovered {
                    Stage::Recovered { epoch, next }
                } else {
                    Stage::Refused { epoch, next, told: false }
                };
                let earlier = std::mem::replace(&mut pair.event, at.event);
                let fault = (!asked)
                    .then(|| format!("an answer to a resume from epoch {epoch} seq {seq}, which was not asked"));
                (client, session, symbol, fault, earlier)
            }
            Event::ClientDeliver { client, session, symbol, n, stamp: Some(stamp), .. } => {
                self.replayed += u64::from(stamp.kind == Kind::Replay);
                let pair = self.pair(at, *session);
                (client, session, symbol, pair.deliver(*stamp, *n), pair.event)
            }
            Event::ClientGap { client, session, symbol, epoch, from, to, reason } => {
                let slow = self.facts.is_slow(client.0);
                let pair = self.pair(at, *session);
                (client, session, symbol, pair.gap((*epoch, *from, *to), *reason, slow), pair.event)
            }
            _ => return,
        };
        if let Some(fault) = fault {
            findings.violation(at, &[earlier], || format!("{client} {session} {symbol}: {fault}"));
        }
    }

    fn finish(&mut self, _end: At, findings: &mut Findings) -> String {
        let Self { recovered, refused, replayed, .. } = self;
        format!(
            "{recovered} resumes in full with {replayed} ticks replayed, {refused} refused; {} breaches",
            findings.broken()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};
    use wire::feed::GapReason;
    use wire::feed::Kind::{Live, Replay, Snapshot};

    /// Client 0 has had epoch 3 seq 17, tick 117, and asks in its next session to go on.
    fn tape() -> Tape {
        let tape = Tape::new("resume-all-or-nothing = {}").open(0, 0).stamped(0, 0, 117, Live, (3, 17));
        tape.session(1).open(0, 1).subscribe(0, 0).resume(0, 0, (3, 17))
    }

    #[test]
    fn a_resume_in_full_passes() {
        let full = tape().resumed(0, 0, (3, 17), true);
        let replayed = full.clone().stamped(0, 0, 118, Replay, (3, 18)).stamped(0, 0, 119, Replay, (3, 19));
        check(replayed.stamped(0, 0, 120, Live, (3, 20)).stamped(0, 0, 122, Live, (3, 22)), Pass, 1);
        check(full.clone().stamped(0, 0, 118, Live, (3, 18)), Pass, 1);
        check(
            full.stamped(0, 0, 118, Replay, (3, 18)).gap(0, 0, 3, 19, None).stamped(0, 0, 130, Live, (4, 1)),
            Pass,
            1,
        );
    }

    #[test]
    fn a_hole_in_a_replay_fails_and_so_does_one_before_the_first_live_message() {
        let full = tape().resumed(0, 0, (3, 17), true);
        check(full.clone().stamped(0, 0, 119, Replay, (3, 19)), Fail, 1);
        check(full.clone().stamped(0, 0, 118, Replay, (3, 18)).stamped(0, 0, 121, Live, (3, 21)), Fail, 1);
        check(full.clone().stamped(0, 0, 118, Replay, (4, 18)), Fail, 1);
        check(full.clone().stamped(0, 0, 118, Snapshot, (3, 18)), Fail, 1);
        check(full.gap(0, 0, 3, 18, Some(20)), Fail, 1);
    }

    #[test]
    fn stamps_of_another_history_fail() {
        // Another proxy's epoch 3: its seq 18 is not the tick after 117.
        let full = tape().resumed(0, 0, (3, 17), true);
        check(full.clone().stamped(0, 0, 117, Replay, (3, 18)), Fail, 1);
        check(full.stamped(0, 0, 40, Replay, (3, 18)), Fail, 1);
    }

    #[test]
    fn a_refusal_that_is_told_passes() {
        let refused = tape().resumed(0, 0, (3, 17), false).gap_because(0, 0, (3, 18, None), GapReason::Resume);
        check(refused.clone().stamped(0, 0, 150, Snapshot, (4, 2)).stamped(0, 0, 151, Live, (4, 3)), Pass, 1);
        check(refused.stamped(0, 0, 151, Live, (4, 3)), Pass, 1);
    }

    #[test]
    fn a_refusal_with_a_replay_or_without_a_gap_fails() {
        let refused = tape().resumed(0, 0, (3, 17), false);
        check(refused.clone().stamped(0, 0, 150, Snapshot, (4, 2)), Fail, 1);
        check(refused.clone().gap_because(0, 0, (3, 19, None), GapReason::Resume), Fail, 1);
        check(refused.clone().gap_because(0, 0, (3, 18, None), GapReason::Reset), Fail, 1);
        let told = refused.gap_because(0, 0, (3, 18, Some(25)), GapReason::Resume);
        check(told.stamped(0, 0, 126, Replay, (3, 26)), Fail, 1);
    }

    #[test]
    fn who_gives_the_symbol_up_is_owed_nothing_of_its_resume() {
        // Seed 2756 of `explore`: refused while no source was up, given up, and asked for anew before one was.
        let refused = tape().resumed(0, 0, (3, 17), false).unsubscribe(0, 0).subscribe(0, 0);
        check(refused.stamped(0, 0, 150, Snapshot, (4, 2)).stamped(0, 0, 151, Live, (4, 3)), Pass, 1);
        // What is under way of it may come still, its answer too; but no replay after another message.
        let late = tape().unsubscribe(0, 0).resumed(0, 0, (3, 17), true).subscribe(0, 0);
        let late = late.stamped(0, 0, 118, Replay, (3, 18)).stamped(0, 0, 130, Snapshot, (3, 30));
        check(late.clone(), Pass, 1);
        check(late.stamped(0, 0, 131, Replay, (3, 31)), Fail, 1);
        // Its next resume is judged again.
        let next = tape().unsubscribe(0, 0).session(2).open(0, 2).subscribe(0, 0).resume(0, 0, (3, 17));
        check(next.resumed(0, 0, (3, 17), false).stamped(0, 0, 150, Snapshot, (4, 2)), Fail, 1);
    }

    #[test]
    fn an_answer_comes_first_and_to_what_was_asked() {
        check(tape().stamped(0, 0, 118, Live, (3, 18)), Fail, 0);
        check(tape().resumed(0, 0, (3, 16), true), Fail, 1);
        check(tape().session(2).open(0, 2).resumed(0, 0, (3, 17), true), Fail, 1);
        check(tape().session(2).open(0, 2).stamped(0, 0, 118, Replay, (3, 18)), Fail, 0);
    }

    #[test]
    fn a_slow_client_may_lose_a_part_if_it_is_told() {
        let tape = tape().session(1).open(9, 1).resume(9, 0, (1, 1)).resumed(9, 0, (1, 1), true);
        check(tape.gap(9, 0, 1, 2, Some(4)), Pass, 1);
        check(tape_without_resume(), Inconclusive, 0);
    }

    fn tape_without_resume() -> Tape {
        Tape::new("resume-all-or-nothing = {}").open(0, 0).stamped(0, 0, 1, Live, (1, 1)).stamped(0, 0, 2, Live, (1, 2))
    }
}
