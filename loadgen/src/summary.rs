//! What all clients saw, added up.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::{Serialize, Serializer};
use wire::event::Side;

use crate::dial::Failure;
use crate::distribution::{Distribution, Quantiles};
use crate::health::Health;
use crate::measure::{Meter, Meters};
use crate::publish::{Board, Received};
use crate::require::Requirement;

/// Declares the counts once: their names, and their sum.
macro_rules! counts {
    ($($(#[$doc:meta])* pub $name:ident: u64,)*) => {
        /// What clients saw, counted over all clients and sessions.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// The names of all counts.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The count of this name.
            #[must_use]
            pub fn named(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($name) => Some(self.$name),)*
                    _ => None,
                }
            }

            fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Clients that were to arrive.
    pub clients: u64,
    /// Clients of whom nothing is known, because a bug of ours ended them.
    pub clients_lost: u64,
    /// Dials begun.
    pub dialled: u64,
    /// Sessions opened.
    pub opened: u64,
    /// Dials that failed or were turned away.
    pub refused: u64,
    /// Clients that stopped trying after too many attempts.
    pub gave_up: u64,
    /// Ticks delivered.
    pub delivered: u64,
    /// Messages of clients that only count: from the first tick of each session on.
    pub drained: u64,
    /// Bytes of all messages received (payloads, without frames).
    pub bytes: u64,
    /// Ticks that a plain session passed over and never got: n must be consecutive within a session.
    pub missing: u64,
    /// Stamps of strong sessions that neither came nor were named in a gap.
    pub unannounced: u64,
    /// Ticks that came twice within a session (n or stamp).
    pub duplicates: u64,
    /// Ticks that came after a newer one, or from an epoch that was over.
    pub out_of_order: u64,
    /// Messages that could not be read, or whose bytes were not those of their tick.
    pub garbled: u64,
    /// Ticks of symbols that the client had not asked for.
    pub unasked: u64,
    /// Gap notices.
    pub gaps_told: u64,
    /// Messages that gap notices named; those that end an epoch name an unknown number, counted as 0.
    pub gap_messages_told: u64,
    /// Ticks that came as the newest value at the time of subscribing.
    pub snapshots: u64,
    /// Ticks that came from the proxy's memory after a resume.
    pub replayed: u64,
    /// Symbols that a session asked to go on with where an earlier one stood.
    pub resumes: u64,
    /// Those of which everything since was replayed.
    pub resumes_recovered: u64,
    /// Sessions ended by the peer after which their client came again to resume: what it missed in between is in `unannounced`, or it was told.
    pub came_back: u64,
    /// Sessions that were told that their key has too many connections.
    pub key_limited: u64,
    /// Sessions whose v2 login was rejected for another cause.
    pub logins_rejected: u64,
    /// Denials of symbols that a v2 source refuses.
    pub denied: u64,
    /// Requests sent.
    pub requests: u64,
    /// Planned requests that were left out, because too many were unanswered already.
    pub requests_skipped: u64,
    /// Requests that were planned and never sent: the answer to the one before did not come (one at a time), or the target's side of the connection took nothing for as long as our
    /// Close waits, up to the end.
    pub requests_unsent: u64,
    /// Requests answered.
    pub echoes: u64,
    /// Requests unanswered when their session ended.
    pub unanswered: u64,
    /// Those of them that had been under way for as long as our Close waits for the peer's, or longer: they are lost, and not only late.
    pub requests_lost: u64,
    /// Messages that publishers sent.
    pub publications: u64,
    /// Publications that were planned, and left out because their publisher had no session.
    pub publications_missed: u64,
    /// Publishers of a closed loop whose last message did not come back to them in `settle` before their session ended: from then on they published nothing.
    pub publications_unreturned: u64,
    /// Publications that reached a subscriber that checks, each counted for each of them.
    pub heard: u64,
    /// Publications of another run that came: a target may keep some. No fault.
    pub foreign: u64,
    /// Messages without a publication in them: a greeting, an acknowledgement. No fault.
    pub unrelated: u64,
}

/// What a run's clients saw. Its counts are its own: `summary.delivered`.
///
/// What was not measured is absent (None), and never 0; but for the four [`Quantiles`], whose `count` is 0 then.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The version of this form: 1.
    pub schema: u32,
    /// What it comes to: `passed`, `failed` or `inconclusive`; None where nobody judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<&'static str>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// The counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// How sessions ended, by side and code.
    pub closes: Vec<Closes>,
    /// What became of dials.
    pub dials: Dials,
    /// From the planned arrival (or the end of a back-off) to the open session.
    pub connect_latency: Quantiles,
    /// From a tick's due instant, as its time stamp says (whole milliseconds), to its delivery, by this host's wall clock: as good as the clocks agree.
    pub tick_latency: Quantiles,
    /// From a request's planned instant to its answer.
    pub echo_latency: Quantiles,
    /// How late requests were sent against their plan by the generator's own fault: its health.
    pub send_lateness: Quantiles,
    /// The phases of all sessions, over the whole run.
    pub phases: Phases,
    /// What publishers sent, and what became of it; None: there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// What came in the measured window; None: the run ended before it.
    pub window: Option<Window>,
    /// Whether the generator itself could keep up; None where nobody looked (in a simulated world it always can).
    pub health: Option<Health>,
    /// What was required, and whether it held.
    pub requirements: Vec<Requirement>,
}

impl Deref for Summary {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.counts
    }
}

/// Phases of sessions, timed apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Phases {
    /// Looking up the target's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Distribution>,
    /// Opening the TCP connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Distribution>,
    /// Agreeing on TLS (`wss://`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Distribution>,
    /// From the request of the handshake to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Distribution>,
    /// From the planned arrival (or the end of a back-off) to the open session: all of the above, and this generator's lateness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Distribution>,
    /// From the open session to its first tick or answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_message: Option<Distribution>,
    /// The age of a tick at its delivery, from its due instant on (clients that check).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_age: Option<Distribution>,
    /// Between two ticks or answers of one session (clients that check).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<Distribution>,
    /// From the loss of a session to the first tick or answer of the same client's next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect: Option<Distribution>,
    /// From a request's planned instant to its answer (or, where none came, to the end of its session): corrected for coordinated omission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<Distribution>,
    /// From when a request was really sent to its answer: what is seen without a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_uncorrected: Option<Distribution>,
    /// From a publication's planned instant to its delivery: corrected for coordinated omission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publication: Option<Distribution>,
    /// From when a publication was really sent to its delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publication_uncorrected: Option<Distribution>,
}

/// What publishers sent, and what became of it at the subscribers that check, over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Published {
    /// Clients that publish.
    pub publishers: u64,
    /// Clients that were to arrive, to listen and to check.
    pub subscribers: u64,
    /// Those that were there for so long that it is known what they were owed, in one session at least: from `settle` after its opening to `settle` before its end.
    pub settled: u64,
    /// Messages sent.
    pub sent: u64,
    /// Deliveries that were owed: each subscriber is owed each message from its first on, or from `settle` after its arrival, to `settle` before its session's end.
    pub owed: u64,
    /// Those that came.
    pub delivered: u64,
    /// `delivered / owed`; None: nothing was owed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_share: Option<f64>,
    /// The same by publisher, in the order of their numbers.
    pub by_publisher: Vec<ByPublisher>,
}

/// What became of one publisher's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByPublisher {
    /// The client.
    pub client: u32,
    /// Messages that it sent.
    pub sent: u64,
    /// Deliveries to subscribers, doubled ones not counted.
    pub delivered: u64,
    /// Deliveries that were owed, and did not come.
    pub missing: u64,
    /// Deliveries that came again.
    pub duplicates: u64,
    /// Deliveries that came after a newer one of the same publisher.
    pub out_of_order: u64,
}

/// What came in the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Window {
    /// How long it was.
    pub seconds: f64,
    /// Ticks, answers, publications and counted messages that came within.
    pub deliveries: u64,
    /// Payload bytes of all messages.
    pub bytes: u64,
    /// Of clients that read and check all.
    pub checked: Checked,
    /// Of clients that only count.
    pub drained: Drained,
    /// Answers of an echo; None: there was no request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<Echo>,
    /// Publications; None: there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Echo>,
    /// Between two ticks, answers or publications of one session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<Distribution>,
}

/// What clients that check got in the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Checked {
    /// How many clients there were to arrive.
    pub clients: u64,
    /// Ticks and publications that came within.
    pub deliveries: u64,
    /// Ticks that came within and whose age is known (what a proxy says again from its memory is as old as it is), and publications that were planned within.
    pub aged: u64,
    /// Those no older than the objective at their delivery; None without an objective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_objective: Option<u64>,
    /// The age of ticks at their delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_latency: Option<Distribution>,
}

/// What clients that only count got in the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Drained {
    /// How many clients there were to arrive.
    pub clients: u64,
    /// Messages.
    pub messages: u64,
}

/// Answers (or publications) in the window, measured both ways: where the two differ, who measures without a plan is misled (coordinated omission).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Echo {
    /// Answers, or deliveries of publications, that came within.
    pub answers: u64,
    /// From the planned instant, of what was planned within, whenever it came. A request that had no answer when its session ended counts with its age then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected: Option<Distribution>,
    /// From the instant of sending, of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncorrected: Option<Distribution>,
}

/// What became of dials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dials {
    /// Clients that were to arrive: their first dials.
    pub planned: u64,
    /// Dials begun, those of clients that came again among them.
    pub attempted: u64,
    /// Sessions opened.
    pub opened: u64,
    /// Nobody listened.
    pub refused: u64,
    /// The connection was reset before the handshake was over.
    pub reset: u64,
    /// The connection was closed before the handshake was over.
    pub closed: u64,
    /// No answer in time.
    pub timed_out: u64,
    /// No TLS could be agreed on.
    pub tls_failed: u64,
    /// Of those, by cause.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tls_causes: BTreeMap<&'static str, u64>,
    /// An answer that was no upgrade, in HTTP or not.
    pub upgrade_failed: u64,
    /// Of those, HTTP answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// The target's name could not be looked up.
    pub lookup_failed: u64,
    /// This generator had no port left (or not the address that it was to connect from).
    pub no_port: u64,
    /// This generator had no file descriptor left.
    pub no_descriptor: u64,
    /// The run ended before the answer.
    pub abandoned: u64,
    /// Planned, and not begun though its time had come: this generator was too late.
    pub dropped: u64,
}

impl Dials {
    pub(crate) fn failed(&mut self, failure: Failure, status: u16) {
        let count = match failure {
            Failure::Refused => &mut self.refused,
            Failure::Reset => &mut self.reset,
            Failure::Closed => &mut self.closed,
            Failure::TimedOut => &mut self.timed_out,
            Failure::Tls(_) => &mut self.tls_failed,
            Failure::UpgradeRefused | Failure::NotWebSocket => &mut self.upgrade_failed,
            Failure::LookupFailed => &mut self.lookup_failed,
            Failure::NoPort => &mut self.no_port,
            Failure::NoDescriptor => &mut self.no_descriptor,
            Failure::Abandoned => &mut self.abandoned,
        };
        *count += 1;
        if failure == Failure::UpgradeRefused {
            *self.statuses.entry(status).or_default() += 1;
        }
        if let Failure::Tls(fault) = failure {
            *self.tls_causes.entry(fault.word()).or_default() += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.refused += other.refused;
        self.reset += other.reset;
        self.closed += other.closed;
        self.timed_out += other.timed_out;
        self.tls_failed += other.tls_failed;
        for (cause, count) in &other.tls_causes {
            *self.tls_causes.entry(cause).or_default() += count;
        }
        self.upgrade_failed += other.upgrade_failed;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.lookup_failed += other.lookup_failed;
        self.no_port += other.no_port;
        self.no_descriptor += other.no_descriptor;
        self.abandoned += other.abandoned;
        self.dropped += other.dropped;
    }
}

impl Summary {
    /// Sessions that the peer ended.
    #[must_use]
    pub fn closed_by_peer(&self) -> u64 {
        self.closes.iter().filter(|closes| closes.by == Side::Peer).map(|closes| closes.count).sum()
    }

    /// Whether anything came that should not have, or did not come that should have: missing or unannounced ticks, duplicates, disorder, garbled
    /// messages, sessions ended by the peer (unless their client came again and resumed), requests that had no answer or could not be sent, publications that could not be sent or did not
    /// come back to who waits for them, clients that a bug of ours ended.
    #[must_use]
    pub fn is_flawed(&self) -> bool {
        let ended = self.closed_by_peer().saturating_sub(self.came_back);
        let wrong = self.missing + self.unannounced + self.duplicates + self.out_of_order + self.garbled;
        let requests = self.requests_lost + self.requests_unsent;
        let publications = self.publications_missed + self.publications_unreturned;
        wrong + ended + requests + publications + self.clients_lost > 0
    }

    /// What was read and checked: ticks, answers, and publications.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.delivered + self.echoes + self.heard
    }

    /// Whether nothing at all was received, so that nothing was checked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.checked() + self.drained == 0
    }
}

/// Sessions that ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closes {
    /// Who began it; `own` is the client.
    pub by: Side,
    /// The close code; None where the connection broke.
    pub code: Option<u16>,
    /// How many.
    pub count: u64,
}

impl Closes {
    /// What the code means.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.code.map_or("broken", wire::close::word)
    }
}

impl Serialize for Closes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Form {
            by: Side,
            code: Option<u16>,
            word: &'static str,
            count: u64,
        }
        let Self { by, code, count } = *self;
        Form { by, code, word: self.word(), count }.serialize(serializer)
    }
}

/// One client's counts, and then all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) dials: Dials,
    closed: BTreeMap<(bool, Option<u16>), u64>,
    /// What came of each publisher; empty where there are none.
    received: Vec<Received>,
    /// A session was there for so long that it is known what it was owed.
    pub(crate) owed: bool,
    /// Clients of which that is so.
    settled: u64,
}

/// How many clients were to arrive, and when the run was over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cast {
    pub(crate) checking: u64,
    pub(crate) draining: u64,
    /// Seconds of the window; None: it never began.
    pub(crate) seconds: Option<f64>,
    pub(crate) objective: bool,
}

impl Tally {
    /// What a session got of each publisher.
    pub(crate) fn received(&mut self, received: &[Received]) {
        self.received.resize(self.received.len().max(received.len()), Received::default());
        for (sum, received) in self.received.iter_mut().zip(received) {
            sum.add(received);
        }
    }

    /// A client of whom nothing is known.
    pub(crate) fn lost(&mut self) {
        self.counts.clients += 1;
        self.counts.clients_lost += 1;
    }

    pub(crate) fn closed(&mut self, by: Side, code: Option<u16>) {
        *self.closed.entry((by == Side::Peer, code)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.counts.clients += 1;
        self.dials.add(&other.dials);
        for (end, count) in &other.closed {
            *self.closed.entry(*end).or_default() += count;
        }
        self.received(&other.received);
        self.settled += u64::from(other.owed);
    }

    pub(crate) fn finish(mut self, meters: &Meters, cast: Cast, board: Option<&Board>) -> Summary {
        let published = board.map(|board| published(&mut self.counts, &self.received, self.settled, cast, board));
        let closes = self.closed.into_iter().map(|((peer, code), count)| {
            let by = if peer { Side::Peer } else { Side::Own };
            Closes { by, code, count }
        });
        let whole = |meter| meters.histogram(meter, false).map(Distribution::new);
        let inside = |meter| meters.histogram(meter, true).map(Distribution::new);
        let phases = Phases {
            lookup: whole(Meter::Lookup),
            tcp: whole(Meter::Tcp),
            tls: whole(Meter::Tls),
            upgrade: whole(Meter::Upgrade),
            connect: whole(Meter::Connect),
            first_message: whole(Meter::First),
            tick_age: whole(Meter::Tick),
            gap: whole(Meter::Gap),
            reconnect: whole(Meter::Reconnect),
            echo: whole(Meter::Echo),
            echo_uncorrected: whole(Meter::EchoSent),
            publication: whole(Meter::Published),
            publication_uncorrected: whole(Meter::PublishedSent),
        };
        let window = cast.seconds.map(|seconds| {
            let counters = meters.counters(true);
            let echo =
                Echo { answers: counters.echoes, corrected: inside(Meter::Echo), uncorrected: inside(Meter::EchoSent) };
            let heard = Echo {
                answers: counters.heard,
                corrected: inside(Meter::Published),
                uncorrected: inside(Meter::PublishedSent),
            };
            Window {
                seconds,
                deliveries: counters.came(),
                bytes: counters.bytes,
                checked: Checked {
                    clients: cast.checking,
                    deliveries: counters.ticks + counters.heard,
                    aged: counters.aged,
                    within_objective: cast.objective.then_some(counters.within),
                    tick_latency: inside(Meter::Tick),
                },
                drained: Drained { clients: cast.draining, messages: counters.drained },
                // What was planned within and came after it has its latency here all the same.
                echo: (echo.answers > 0 || echo.corrected.is_some()).then_some(echo),
                published: (heard.answers > 0 || heard.corrected.is_some()).then_some(heard),
                gap: inside(Meter::Gap),
            }
        });
        let quantiles = |distribution: &Option<Distribution>| {
            distribution.as_ref().map_or_else(Quantiles::default, |distribution| distribution.quantiles)
        };
        Summary {
            schema: 1,
            verdict: None,
            sentence: None,
            dials: Dials { planned: self.counts.clients, attempted: self.counts.dialled, ..self.dials },
            counts: self.counts,
            closes: closes.collect(),
            connect_latency: quantiles(&phases.connect),
            tick_latency: quantiles(&phases.tick_age),
            echo_latency: quantiles(&phases.echo),
            send_lateness: quantiles(&whole(Meter::SendLate)),
            phases,
            published,
            window,
            health: None,
            requirements: Vec::new(),
        }
    }
}

/// What became of the messages of publishers; faults are counted with those of feeds.
fn published(counts: &mut Counts, received: &[Received], settled: u64, cast: Cast, board: &Board) -> Published {
    let sent = board.sent();
    let by_publisher: Vec<ByPublisher> = (0..)
        .zip(board.clients.iter().zip(&sent))
        .map(|(place, (client, sent))| {
            let Received { delivered, missing, duplicates, out_of_order } =
                received.get::<usize>(place).copied().unwrap_or_default();
            ByPublisher { client: client.0, sent: *sent, delivered, missing, duplicates, out_of_order }
        })
        .collect();
    let sum = |part: fn(&ByPublisher) -> u64| by_publisher.iter().map(part).sum::<u64>();
    let (delivered, missing) = (sum(|it| it.delivered), sum(|it| it.missing));
    counts.heard += delivered;
    counts.missing += missing;
    counts.duplicates += sum(|it| it.duplicates);
    counts.out_of_order += sum(|it| it.out_of_order);
    let owed = delivered + missing;
    Published {
        publishers: board.clients.len() as u64,
        subscribers: cast.checking,
        settled,
        sent: sent.iter().sum(),
        owed,
        delivered,
        delivered_share: (owed > 0).then(|| delivered as f64 / owed as f64),
        by_publisher,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_come_or_go_is_a_flaw_of_a_run_whatever_it_was() {
        let check = |change: fn(&mut Counts), expect| {
            let mut summary = Summary::default();
            change(&mut summary.counts);
            assert_eq!(summary.is_flawed(), expect, "{:?}", summary.counts);
        };
        check(|_| (), false);
        check(|counts| counts.unanswered = 1, false);
        check(|counts| counts.missing = 1, true);
        check(|counts| counts.requests_lost = 1, true);
        check(|counts| counts.requests_unsent = 1, true);
        check(|counts| counts.publications_missed = 1, true);
        check(|counts| counts.publications_unreturned = 1, true);
        check(|counts| counts.clients_lost = 1, true);
    }
}
