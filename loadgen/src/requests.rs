//! When a client sends its next request to an echo, by plan or after the last answer. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use wire::draw::Draws;

use crate::pace::{phase, planned, thought};

/// Requests of one session that may be unanswered; further ones are skipped and counted.
const IN_FLIGHT_MAX: usize = 1_024;

/// The requests of one session.
#[derive(Debug)]
pub(crate) struct Requests {
    pace: Pace,
    next: u64,
    /// Unanswered requests, when their latency begins, and when they were really sent; oldest first.
    in_flight: VecDeque<(u64, Instant, Instant)>,
}

#[derive(Debug)]
enum Pace {
    /// Request n is due at `began + n / per_s`.
    Open {
        per_s: f64,
        began: Instant,
        /// One after the other: a request waits for the answer to the one before, and its latency counts from its plan all the same.
        serial: bool,
        /// When the last answer came.
        free: Instant,
    },
    /// The next one is due then; None: an answer is waited for.
    Closed { think: Duration, draws: Draws, due: Option<Instant> },
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing is due.
    Wait,
    /// One is due, and too many are unanswered: it is left out.
    Skip,
    /// Send request `n`, so much later than it was due; and so much later than it could be sent, which is the generator's own fault.
    Send { n: u64, late: Duration, own: Duration },
}

/// An answer that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) latency: Duration,
    /// Since it was really sent: what is seen by who measures without a plan.
    pub(crate) uncorrected: Duration,
    /// No older request is unanswered.
    pub(crate) in_order: bool,
}

impl Requests {
    /// By plan. Each client's loop has a phase of its own, or all would send at once.
    pub(crate) fn open(per_s: f64, serial: bool, now: Instant, mut draws: Draws) -> Self {
        let pace = Pace::Open { per_s, began: now + phase(per_s, &mut draws), serial, free: now };
        Self { pace, next: 0, in_flight: VecDeque::new() }
    }

    /// One after the other, each so long after the last answer as is drawn.
    pub(crate) fn closed(think: Duration, now: Instant, mut draws: Draws) -> Self {
        let due = Some(now + thought(think, &mut draws));
        Self { pace: Pace::Closed { think, draws, due }, next: 0, in_flight: VecDeque::new() }
    }

    /// When the next one is due; None before there is an answer.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.pace {
            Pace::Open { serial: true, .. } if !self.in_flight.is_empty() => None,
            Pace::Open { per_s, began, .. } => Some(planned(*per_s, *began, self.next)),
            Pace::Closed { due, .. } => *due,
        }
    }

    /// How many were planned up to now, and never sent: an answer is missing, or nothing could be sent for so long or longer. (What is due since just now is no loss.)
    pub(crate) fn overdue(&self, now: Instant, for_: Duration) -> u64 {
        let Pace::Open { per_s, began, serial, .. } = &self.pace else { return 0 };
        let waits = *serial && !self.in_flight.is_empty();
        let held = now.saturating_duration_since(planned(*per_s, *began, self.next)) >= for_;
        if now < *began || !(waits || held) {
            return 0;
        }
        let passed = (now.duration_since(*began).as_secs_f64() * per_s).floor() as u64;
        (passed + 1).saturating_sub(self.next)
    }

    /// When those were planned that are [`Self::overdue`].
    pub(crate) fn overdue_since(&self, now: Instant, for_: Duration) -> impl Iterator<Item = Instant> {
        let overdue = self.next..self.next + self.overdue(now, for_);
        overdue.filter_map(|n| match &self.pace {
            Pace::Open { per_s, began, .. } => Some(planned(*per_s, *began, n)),
            Pace::Closed { .. } => None,
        })
    }

    /// Since when those have had no answer that were sent: by plan, and from the sending.
    pub(crate) fn unanswered_since(&self) -> impl Iterator<Item = (Instant, Instant)> {
        self.in_flight.iter().map(|(_, since, sent)| (*since, *sent))
    }

    /// What to do now; what it says to send counts as sent.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        let Some(due) = self.due().filter(|due| *due <= now) else { return Next::Wait };
        let n = self.next;
        self.next += 1;
        let (since, own) = match &mut self.pace {
            Pace::Open { free, .. } => (due, now.duration_since(due.max(*free))),
            Pace::Closed { due: next, .. } => {
                *next = None;
                (now, now.duration_since(due))
            }
        };
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return Next::Skip;
        }
        self.in_flight.push_back((n, since, now));
        Next::Send { n, late: now.duration_since(due), own }
    }

    /// Takes the answer to request `n`; None if none is waited for.
    pub(crate) fn answered(&mut self, n: u64, now: Instant) -> Option<Answered> {
        // Answers come in order from any lawful echo; others are looked for among the bounded rest.
        let place = self.in_flight.iter().position(|(sent, ..)| *sent == n)?;
        let (_, since, sent) = self.in_flight.remove(place)?;
        match &mut self.pace {
            Pace::Open { serial: true, free, .. } => *free = now,
            Pace::Open { .. } => {}
            Pace::Closed { think, draws, due } => *due = Some(now + thought(*think, draws)),
        }
        let (latency, uncorrected) = (now.duration_since(since), now.duration_since(sent));
        Some(Answered { latency, uncorrected, in_order: place == 0 })
    }

    /// How many have had no answer for so long, or longer.
    pub(crate) fn lost(&self, now: Instant, for_: Duration) -> u64 {
        self.in_flight.iter().filter(|(.., sent)| now.saturating_duration_since(*sent) >= for_).count() as u64
    }

    /// How many have no answer.
    pub(crate) fn unanswered(&self) -> usize {
        self.in_flight.len()
    }
}

/// The way to the socket. While a peer does not read, nothing can be sent: that is late by its fault.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Way {
    blocked: bool,
    free: Option<Instant>,
}

impl Way {
    /// The socket takes nothing.
    pub(crate) fn blocked(&mut self) {
        self.blocked = true;
    }

    /// All is with the socket.
    pub(crate) fn free(&mut self, now: Instant) {
        if std::mem::take(&mut self.blocked) {
            self.free = Some(now);
        }
    }

    /// The part of a lateness that is the generator's own: what passed since it could have sent.
    pub(crate) fn own(&self, late: Duration, now: Instant) -> Duration {
        self.free.map_or(late, |free| late.min(now.saturating_duration_since(free)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draws() -> Draws {
        Draws::new(7, "think", 3)
    }

    #[tokio::test(start_paused = true)]
    async fn by_plan_a_late_answer_delays_nothing_and_counts_from_the_plan() {
        let now = Instant::now();
        let mut requests = Requests::open(10.0, false, now, draws());
        let first = requests.due().unwrap();
        assert!(first < now + Duration::from_millis(100));
        let late = first + Duration::from_millis(250);
        let sent: Vec<Next> =
            std::iter::repeat_with(|| requests.next(late)).take_while(|next| *next != Next::Wait).collect();
        let ms = Duration::from_millis;
        let send = |(late, n)| Next::Send { n, late: ms(late), own: ms(late) };
        assert_eq!(sent, [250, 150, 50].into_iter().zip(0..).map(send).collect::<Vec<_>>());
        let answered = Answered { latency: ms(150), uncorrected: ms(0), in_order: false };
        assert_eq!(requests.answered(1, late), Some(answered));
        assert_eq!(requests.answered(1, late), None);
        assert_eq!(requests.unanswered(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_what_waits_for_an_answer_is_late_by_plan_and_not_by_its_own_fault() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let mut requests = Requests::open(10.0, true, now, draws());
        let first = requests.due().unwrap();
        let sent = |n, late| Next::Send { n, late: ms(late), own: ms(0) };
        assert_eq!(requests.next(first), sent(0, 0));
        assert_eq!((requests.due(), requests.next(first + ms(250))), (None, Next::Wait));
        // Those planned 100 and 200 ms after the first.
        assert_eq!((requests.overdue(first + ms(99), ms(1_000)), requests.overdue(first + ms(250), ms(1_000))), (0, 2));
        let answered = |latency, uncorrected| {
            Some(Answered { latency: ms(latency), uncorrected: ms(uncorrected), in_order: true })
        };
        assert_eq!(requests.answered(0, first + ms(250)), answered(250, 250));
        assert_eq!(requests.next(first + ms(250)), sent(1, 150));
        assert_eq!(requests.answered(1, first + ms(251)), answered(151, 1));
        assert_eq!(requests.next(first + ms(251)), sent(2, 51));
        assert_eq!(requests.answered(2, first + ms(252)), answered(52, 1));
        assert_eq!((requests.due(), requests.overdue(first + ms(252), ms(1_000))), (Some(first + ms(300)), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_full_socket_held_up_is_not_the_generator_s_own_lateness() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let mut way = Way::default();
        // It never waited: all lateness is its own.
        way.free(now);
        assert_eq!(way.own(ms(70), now + ms(100)), ms(70));
        way.blocked();
        way.free(now + ms(90));
        assert_eq!((way.own(ms(70), now + ms(100)), way.own(ms(5), now + ms(100))), (ms(10), ms(5)));
        // That it could send again and again since does not make it new.
        way.free(now + ms(200));
        assert_eq!(way.own(ms(70), now + ms(200)), ms(70));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_sent_just_now_is_not_lost() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let mut requests = Requests::open(10.0, false, now, draws());
        let first = requests.due().unwrap();
        requests.next(first);
        requests.next(first + ms(100));
        assert_eq!((requests.unanswered(), requests.lost(first + ms(120), ms(100))), (2, 1));
        requests.answered(0, first + ms(120));
        assert_eq!(requests.lost(first + ms(120), ms(100)), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_full_socket_held_up_to_the_end_is_told_and_counts_from_its_plan() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let mut requests = Requests::open(10.0, false, now, draws());
        let first = requests.due().unwrap();
        requests.next(first);
        // The next is due after 100 ms: held up for less than a second, it is only late.
        let overdue = |at| requests.overdue(first + ms(at), ms(1_000));
        assert_eq!([overdue(0), overdue(99), overdue(1_099), overdue(1_100), overdue(1_250)], [0, 0, 0, 11, 12]);
        let unsent: Vec<_> = requests.overdue_since(first + ms(1_100), ms(1_000)).collect();
        assert_eq!((unsent.len(), unsent[0], unsent[10]), (11, first + ms(100), first + ms(1_100)));
        assert_eq!(requests.unanswered_since().collect::<Vec<_>>(), [(first, first)]);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_so_many_unanswered_requests_are_left_out() {
        let now = Instant::now();
        let mut requests = Requests::open(1_000.0, false, now, draws());
        let later = now + Duration::from_secs(10);
        let skipped = std::iter::repeat_with(|| requests.next(later))
            .take_while(|next| *next != Next::Wait)
            .filter(|next| *next == Next::Skip);
        assert_eq!(skipped.count(), 10_000 - IN_FLIGHT_MAX);
    }

    proptest! {
        #[test]
        fn in_a_closed_loop_one_is_under_way_and_the_next_waits_for_its_answer(think_us in 2_u64..1_000_000, answers_us in prop::collection::vec(0_u64..5_000_000, 1..30)) {
            let mut now = Instant::now();
            let think = Duration::from_micros(think_us);
            let mut requests = Requests::closed(think, now, draws());
            for (n, answer_us) in (0..).zip(answers_us) {
                let due = requests.due().unwrap();
                prop_assert!(due - now >= think / 2 && due - now < think / 2 + think);
                prop_assert_eq!(requests.next(due - Duration::from_micros(1)), Next::Wait);
                prop_assert_eq!(requests.next(due), Next::Send { n, late: Duration::ZERO, own: Duration::ZERO });
                prop_assert_eq!(requests.due(), None);
                now = due + Duration::from_micros(answer_us);
                prop_assert_eq!(requests.next(now), Next::Wait);
                prop_assert_eq!(requests.answered(n, now), Some(Answered { latency: now - due, uncorrected: now - due, in_order: true }));
                prop_assert_eq!(requests.answered(n, now), None);
            }
        }
    }
}
