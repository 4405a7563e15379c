//! What one subscriber's session got of each publisher, and what it is owed. Pure.
//!
//! A subscriber joins at an instant that only the target knows. So it is owed the messages from the first that it got of a publisher on; and, of one that it got nothing of, those that
//! were sent when it had been there for a while.

use crate::order::{Arrived, Numbers};

/// One publisher's messages as they came to subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) delivered: u64,
    pub(crate) missing: u64,
    pub(crate) duplicates: u64,
    pub(crate) out_of_order: u64,
}

impl Received {
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivered = self.delivered.saturating_add(other.delivered);
        self.missing = self.missing.saturating_add(other.missing);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.out_of_order = self.out_of_order.saturating_add(other.out_of_order);
    }
}

/// Whether a message counts as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// For the first time.
    New,
    /// It was here before.
    Again,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    numbers: Numbers,
    /// What was sent up to here may come or not.
    free: u64,
    received: Received,
}

/// The account of one session.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    rows: Vec<Row>,
    settled: bool,
}

impl Audit {
    pub(crate) fn new(publishers: usize) -> Self {
        Self { rows: vec![Row::default(); publishers], settled: false }
    }

    /// The session has been there for a while: what is sent from here on it is owed. `sent`: how many each publisher has.
    pub(crate) fn settle(&mut self, sent: &[u64]) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        for (row, sent) in self.rows.iter_mut().zip(sent) {
            if row.numbers.newest().is_none() {
                (row.numbers, row.free) = (Numbers::after(*sent), *sent);
            }
        }
    }

    /// Message `n` of a publisher came; None: there is no such publisher.
    pub(crate) fn take(&mut self, publisher: u32, n: u64) -> Option<Took> {
        let row = self.rows.get_mut(publisher as usize)?;
        let received = &mut row.received;
        match row.numbers.take(n) {
            Arrived::Next => {}
            Arrived::Ahead(missing) => received.missing += missing,
            Arrived::Duplicate => {
                received.duplicates += 1;
                return Some(Took::Again);
            }
            // It was sent before, and was on its way.
            Arrived::Late { filled: false } if n <= row.free => {}
            Arrived::Late { filled } => {
                received.out_of_order += 1;
                received.missing -= u64::from(filled);
            }
        }
        received.delivered += 1;
        Some(Took::New)
    }

    /// The session is over. `sent`: how many each publisher had sent that had the time to come, in all or up to some time before.
    pub(crate) fn end(mut self, sent: &[u64], skip: Option<u32>) -> Vec<Received> {
        if let Some(own) = skip
            && let Some(row) = self.rows.get_mut(own as usize)
        {
            // Whether a target says to a client what the client said is the target's affair.
            row.received = Received::default();
        }
        let settled = self.settled;
        let rows = self.rows.iter_mut().enumerate();
        rows.map(|(place, row)| {
            if settled
                && skip != u32::try_from(place).ok()
                && let Some(newest) = row.numbers.newest()
            {
                row.received.missing += sent[place].saturating_sub(newest);
            }
            row.received
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(delivered: u64, missing: u64, duplicates: u64, out_of_order: u64) -> Received {
        Received { delivered, missing, duplicates, out_of_order }
    }

    /// What a session makes of messages of one publisher: those before it settled at `sent`, those after, and how many there were in all.
    fn check(before: &[u64], sent: u64, after: &[u64], all: u64, expect: Received) {
        let mut audit = Audit::new(1);
        before.iter().for_each(|n| _ = audit.take(0, *n));
        audit.settle(&[sent]);
        after.iter().for_each(|n| _ = audit.take(0, *n));
        assert_eq!(audit.end(&[all], None), [expect], "{before:?} {sent} {after:?} {all}");
    }

    #[test]
    fn what_is_owed_and_does_not_come_is_missed_wherever_it_was() {
        check(&[], 0, &[1, 2, 3], 3, received(3, 0, 0, 0));
        // It joined at the third, or while the fifth was on its way.
        check(&[3, 4], 4, &[5], 5, received(3, 0, 0, 0));
        check(&[], 5, &[5, 6, 7], 7, received(3, 0, 0, 0));
        // A hole, the end, the beginning, all.
        check(&[1], 1, &[3], 3, received(2, 1, 0, 0));
        check(&[1], 1, &[2], 4, received(2, 2, 0, 0));
        check(&[], 2, &[4, 5], 5, received(2, 1, 0, 0));
        check(&[], 2, &[], 5, received(0, 3, 0, 0));
        // Doubled; late, and then it is not missing.
        check(&[1, 2], 2, &[2, 3], 3, received(3, 0, 1, 0));
        check(&[1, 3], 3, &[2, 4], 4, received(4, 0, 0, 1));
    }

    #[test]
    fn nothing_is_owed_before_the_time_to_join_is_over_nor_what_had_no_time_to_come() {
        let mut audit = Audit::new(2);
        audit.take(0, 1);
        assert_eq!(audit.clone().end(&[9, 9], None), [received(1, 0, 0, 0), received(0, 0, 0, 0)]);
        audit.settle(&[1, 0]);
        assert_eq!(audit.clone().end(&[0, 0], None), [received(1, 0, 0, 0), received(0, 0, 0, 0)]);
        assert_eq!(audit.clone().end(&[1, 3], None), [received(1, 0, 0, 0), received(0, 3, 0, 0)]);
        assert_eq!(audit.clone().end(&[1, 9], Some(1)), [received(1, 0, 0, 0), received(0, 0, 0, 0)]);
        assert_eq!(audit.take(2, 1), None);
    }
}
