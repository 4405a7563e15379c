//! Where in what a session hears of a symbol one subscription ends and the next begins.
//!
//! A client that gives a symbol up and takes it up again in one session may hear what is under way of its former subscription after it asked for the new one, and
//! nothing that it is told marks the border. What can be known:
//!
//! - A snapshot begins a subscription, of each at most one (but after a gap).
//! - A message that does not go on where the one before it stopped is not of the former subscription.
//!
//! ```text
//!   subscribe   4.1   4.2   unsubscribe   subscribe   4.3          snapshot 4.3          4.4
//!                                                      '- of the former  '- the border    '- of the new one
//! ```

use wire::event::Stamp;
use wire::feed::Kind;
use wire::id::SessionId;

/// One client's view of one symbol in its newest session.
#[derive(Clone, Debug, Default)]
pub(super) struct Border {
    session: Option<SessionId>,
    /// Subscriptions whose beginning has surely not been heard, at least; the last of them is the one that holds.
    pending: u32,
    /// Whether the one that holds has a former one.
    again: bool,
    last: Last,
}

/// What was heard last.
#[derive(Clone, Copy, Debug, Default)]
enum Last {
    #[default]
    Nothing,
    Stamp(u64, u64),
    Gap,
}

/// On which side of the border a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It may be of a former subscription.
    Open,
    /// It is the first of the subscription that holds, or a snapshot that begins one.
    First,
    /// It is a later one of the subscription that holds.
    Later,
}

impl Border {
    /// The client asks for the symbol.
    pub(super) fn subscribe(&mut self, session: SessionId) {
        if self.session == Some(session) {
            (self.pending, self.again) = (self.pending.saturating_add(1), true);
        } else {
            *self = Self { session: Some(session), pending: 1, again: false, last: Last::Nothing };
        }
    }

    /// It is told of a gap.
    pub(super) fn gap(&mut self, session: SessionId) {
        if self.session == Some(session) {
            self.last = Last::Gap;
        }
    }

    /// It gets a message.
    pub(super) fn deliver(&mut self, session: SessionId, stamp: Stamp) -> Side {
        if self.session != Some(session) {
            return Side::Later;
        }
        let Stamp { epoch, seq, kind } = stamp;
        let last = std::mem::replace(&mut self.last, Last::Stamp(epoch, seq));
        if self.pending == 0 {
            return Side::Later;
        }
        if kind == Kind::Snapshot {
            self.pending -= 1;
            return Side::First;
        }
        let goes_on = match last {
            Last::Nothing => false,
            Last::Stamp(last_epoch, last_seq) => (epoch, seq) == (last_epoch, last_seq.saturating_add(1)),
            Last::Gap => true,
        };
        if self.again && goes_on {
            return Side::Open;
        }
        self.pending -= 1;
        if self.pending == 0 { Side::First } else { Side::Open }
    }
}

#[cfg(test)]
mod tests {
    use super::Side::{First, Later, Open};
    use super::*;

    enum Heard {
        Subscribe,
        Gap,
        Message(Kind, u64, u64, Side),
    }
    use Heard::{Gap, Message, Subscribe};

    #[track_caller]
    fn check(heard: &[Heard]) {
        let mut border = Border::default();
        for (at, heard) in heard.iter().enumerate() {
            match *heard {
                Subscribe => border.subscribe(SessionId(0)),
                Gap => border.gap(SessionId(0)),
                Message(kind, epoch, seq, side) => {
                    assert_eq!(border.deliver(SessionId(0), Stamp { epoch, seq, kind }), side, "message {at}");
                }
            }
        }
    }

    #[test]
    fn the_first_subscription_has_no_former_one() {
        check(&[Subscribe, Message(Kind::Live, 1, 1, First), Message(Kind::Live, 1, 2, Later)]);
        check(&[Subscribe, Message(Kind::Snapshot, 1, 1, First), Message(Kind::Snapshot, 1, 2, Later)]);
        check(&[Subscribe, Gap, Message(Kind::Live, 1, 1, First), Message(Kind::Live, 1, 2, Later)]);
    }

    #[test]
    fn what_goes_on_may_be_of_the_former_one_until_a_snapshot_comes() {
        check(&[
            Subscribe,
            Message(Kind::Snapshot, 4, 1, First),
            Subscribe,
            Message(Kind::Live, 4, 2, Open),
            Message(Kind::Live, 4, 3, Open),
            Message(Kind::Snapshot, 4, 3, First),
            Message(Kind::Live, 4, 4, Later),
        ]);
    }

    #[test]
    fn what_does_not_go_on_is_of_the_new_one() {
        check(&[Subscribe, Message(Kind::Live, 4, 1, First), Subscribe, Message(Kind::Live, 4, 3, First)]);
        check(&[Subscribe, Message(Kind::Live, 4, 1, First), Subscribe, Message(Kind::Live, 5, 1, First)]);
        check(&[Subscribe, Message(Kind::Live, 4, 1, First), Subscribe, Gap, Message(Kind::Live, 5, 1, Open)]);
    }

    #[test]
    fn of_two_that_were_asked_for_before_anything_came_the_first_may_begin_first() {
        check(&[
            Subscribe,
            Subscribe,
            Message(Kind::Live, 4, 1, Open),
            Message(Kind::Snapshot, 4, 1, First),
            Message(Kind::Snapshot, 4, 2, Later),
        ]);
    }

    #[test]
    fn a_session_has_its_own() {
        let mut border = Border::default();
        border.subscribe(SessionId(0));
        border.subscribe(SessionId(1));
        let stamp = Stamp { epoch: 1, seq: 1, kind: Kind::Live };
        assert_eq!((border.deliver(SessionId(0), stamp), border.deliver(SessionId(1), stamp)), (Later, First));
    }
}
