//! What a run comes to: an exit code, a word, and a sentence. Pure.

use crate::require::Held;
use crate::summary::{Dials, Summary};
use crate::tls::TlsFault;

/// What a run comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What came was right, and what was required held.
    Passed,
    /// Something is wrong with what was loaded.
    Failed,
    /// Nothing can be said.
    Inconclusive,
}

/// A verdict with its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) sentence: String,
}

/// What a summary comes to. What came wrong is wrong whatever the generator's state; what came late or not at all may be its own doing.
pub(super) fn find(summary: &Summary) -> Finding {
    let failed = |sentence| Finding { verdict: Verdict::Failed, sentence };
    let inconclusive = |sentence| Finding { verdict: Verdict::Inconclusive, sentence };
    if let Some(wrong) = wrong(summary) {
        return failed(format!("Failed: {wrong}."));
    }
    if let Some(gone) = gone(summary) {
        return inconclusive(format!("Inconclusive: {gone}."));
    }
    let first = summary.health.as_ref().and_then(|health| health.reasons.first());
    let lost = lost(summary);
    // That all is lost is no less a fault than that one is.
    if summary.is_empty() && lost.is_none() {
        // Ports and descriptors are the generator's own want, and say more.
        let dials = &summary.dials;
        let own = first.filter(|_| dials.no_port + dials.no_descriptor > 0);
        return inconclusive(format!("Inconclusive: {}.", own.cloned().unwrap_or_else(|| nothing(summary))));
    }
    if let Some(reason) = first {
        return inconclusive(format!("Inconclusive: {reason}."));
    }
    if let Some(lost) = lost {
        // Where no session opened, or all were ended, how that was says more.
        let how = summary.is_empty() && (summary.dials.opened == 0 || summary.closed_by_peer() > 0);
        return failed(format!("Failed: {}.", if how { nothing(summary) } else { lost }));
    }
    match &summary.window {
        None => return inconclusive("Inconclusive: the run ended before the measured window.".to_owned()),
        Some(window) if window.deliveries == 0 => {
            let seconds = window.seconds;
            return inconclusive(format!("Inconclusive: nothing came in the measured window of {seconds:.1} s."));
        }
        Some(_) => {}
    }
    let judged = |held| summary.requirements.iter().find(|requirement| requirement.verdict == held);
    if let Some(broken) = judged(Held::Broken) {
        return failed(format!("Failed: {} was required, and {} was measured.", broken.text, broken.said));
    }
    if let Some(published) = summary.published.as_ref().filter(|it| it.settled < it.subscribers) {
        let (settled, all) = (published.settled, many(published.subscribers, "subscriber"));
        return inconclusive(format!(
            "Inconclusive: of {all} that check {settled} were there for long enough to know what they are owed (--settle twice)."
        ));
    }
    if let Some(open) = judged(Held::Inconclusive) {
        return inconclusive(format!("Inconclusive: {} cannot be told: {}.", open.text, open.said));
    }
    Finding { verdict: Verdict::Passed, sentence: passed(summary) }
}

impl Verdict {
    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// The exit code.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Inconclusive => 2,
        }
    }
}

/// `1 tick is missing`, `2 ticks are missing`.
fn many(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// Parts that there are, in one list.
fn listed(parts: impl IntoIterator<Item = (u64, String)>) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, said)| said).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Clients of whom nothing is known.
pub(super) fn gone(summary: &Summary) -> Option<String> {
    let (gone, all) = (summary.clients_lost, summary.clients);
    (gone > 0).then(|| {
        format!(
            "{gone} of {all} clients ended by a bug of ours (their panics stand above): what they counted is missing"
        )
    })
}

fn wrong(summary: &Summary) -> Option<String> {
    let counts = &summary.counts;
    listed([
        (counts.garbled, format!("{} could not be read", many(counts.garbled, "message"))),
        (counts.duplicates, format!("{} came twice", many(counts.duplicates, "message"))),
        (counts.out_of_order, format!("{} came out of order", many(counts.out_of_order, "message"))),
        (counts.unannounced, format!("{} missing without notice", many(counts.unannounced, "stamp"))),
    ])
}

fn lost(summary: &Summary) -> Option<String> {
    let closed = summary.closed_by_peer().saturating_sub(summary.came_back);
    listed([
        (
            summary.missing,
            format!(
                "{} never came",
                many(summary.missing, if summary.published.is_some() { "message" } else { "tick" })
            ),
        ),
        (closed, format!("the target ended {}", many(closed, "session"))),
        (
            summary.requests_unsent,
            format!("{} never sent, as the target was waited for", many(summary.requests_unsent, "planned request")),
        ),
        (summary.requests_lost, format!("{} had no answer", many(summary.requests_lost, "request"))),
        (
            summary.publications_missed,
            format!("{} not sent, for want of a session", many(summary.publications_missed, "planned message")),
        ),
        (
            summary.publications_unreturned,
            format!("{} stopped: their messages did not come back", many(summary.publications_unreturned, "publisher")),
        ),
    ])
}

/// What most failed of that could not agree on TLS, and what to do.
fn tls_fault(dials: &Dials) -> &'static str {
    TlsFault::said(dials.tls_causes.iter().max_by_key(|(_, count)| **count).map_or("", |(cause, _)| cause))
}

/// Why nothing came: the first want on the way.
fn nothing(summary: &Summary) -> String {
    let dials = &summary.dials;
    let statuses =
        dials.statuses.iter().map(|(status, count)| format!("{status} ({count})")).collect::<Vec<_>>().join(", ");
    let causes = [
        (dials.refused, "nobody listens there (connection refused)".to_owned()),
        (
            dials.timed_out,
            "no answer came in time: the target accepts and does not answer, or does not accept".to_owned(),
        ),
        (dials.reset, "the target reset the connection during the handshake".to_owned()),
        (dials.closed, "the target closed the connection during the handshake".to_owned()),
        (dials.tls_failed, tls_fault(dials).to_owned()),
        (dials.statuses.values().sum(), format!("the target answered HTTP {statuses} in place of an upgrade")),
        (dials.upgrade_failed, "what the target answered is not WebSocket".to_owned()),
        (dials.lookup_failed, "the target's name could not be looked up".to_owned()),
        (dials.no_port, "this host had no local port left".to_owned()),
        (dials.no_descriptor, "this host had no file descriptor left".to_owned()),
        (dials.abandoned, "the run ended before the first answer".to_owned()),
    ];
    if dials.opened == 0 {
        let most = causes.into_iter().rev().max_by_key(|(count, _)| *count).filter(|(count, _)| *count > 0);
        return match most {
            Some((count, cause)) => {
                format!("no session opened; of {} {count} failed so: {cause}", many(dials.attempted, "dial"))
            }
            None => "nobody dialled".to_owned(),
        };
    }
    let ended = summary.closed_by_peer();
    if ended > 0 {
        let how: Vec<String> = summary
            .closes
            .iter()
            .filter(|closes| closes.by == wire::event::Side::Peer)
            .map(|closes| {
                format!(
                    "{} {}",
                    closes.count,
                    closes
                        .code
                        .map_or_else(|| closes.word().to_owned(), |code| format!("with {code} ({})", closes.word()))
                )
            })
            .collect();
        return format!(
            "the target opened {} and said nothing; it ended {}",
            many(dials.opened, "session"),
            how.join(", ")
        );
    }
    format!("the target opened {} and said nothing that counts", many(dials.opened, "session"))
}

fn passed(summary: &Summary) -> String {
    let counts = &summary.counts;
    let Some(window) = &summary.window else { return "Passed: what came was right.".to_owned() };
    let mut parts = vec![format!(
        "{} in {:.1} s ({:.0}/s)",
        if counts.echoes > 0 { many(window.deliveries, "answer") } else { many(window.deliveries, "message") },
        window.seconds,
        window.deliveries as f64 / window.seconds
    )];
    match (counts.delivered + counts.echoes + counts.heard, counts.drained) {
        (0, _) => parts.push("none checked".to_owned()),
        (_, 0) => parts.push("all in order".to_owned()),
        _ => parts.push("those of clients that check all in order".to_owned()),
    }
    if let Some(published) = &summary.published {
        parts.push(format!("{} of {} owed deliveries came", published.delivered, published.owed));
    }
    if counts.refused > 0 {
        parts.push(format!("{} failed", many(counts.refused, "dial")));
    }
    format!("Passed: {} by {}: {}.", many(counts.opened, "session"), many(counts.clients, "client"), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use wire::event::Side;

    use super::*;
    use crate::health::{Bounds, Facts, Health};
    use crate::require::Requirement;
    use crate::summary::{Closes, Counts, Published, Window};

    fn check(change: impl FnOnce(&mut Summary), code: u8, word: &str) {
        let counts = Counts { clients: 3, dialled: 3, opened: 3, delivered: 90, ..Counts::default() };
        let mut summary = Summary {
            counts,
            dials: Dials { planned: 3, attempted: 3, opened: 3, ..Dials::default() },
            window: Some(Window { seconds: 3.0, deliveries: 90, ..Window::default() }),
            ..Summary::default()
        };
        change(&mut summary);
        let finding = find(&summary);
        assert_eq!(finding.verdict.code(), code, "{finding:?}");
        assert!(finding.sentence.contains(word), "{}", finding.sentence);
    }

    fn unwell(summary: &mut Summary) {
        let facts = Facts { threads: 1, cpu_share: Some(0.9), ..Facts::default() };
        summary.health = Some(Health::judge(&facts, Bounds::of(None)));
    }

    fn requires(verdict: Held) -> impl FnOnce(&mut Summary) {
        move |summary| {
            let (text, said) = ("tick_p99<5ms".to_owned(), "9.00 ms".to_owned());
            summary.requirements = vec![Requirement { text, verdict, measured: None, said }];
        }
    }

    #[test]
    fn each_end_has_its_code_and_its_sentence() {
        check(|_| (), 0, "Passed: 3 sessions by 3 clients: 90 messages in 3.0 s (30/s), all in order.");
        check(|summary| summary.counts.missing = 1, 1, "1 tick never came");
        check(|summary| summary.counts.requests_lost = 2, 1, "2 requests had no answer");
        // Under way when the run ended.
        check(|summary| summary.counts.unanswered = 2, 0, "Passed");
        check(|summary| summary.counts.duplicates = 2, 1, "2 messages came twice");
        check(|summary| summary.counts.publications_unreturned = 1, 1, "1 publisher stopped");
        check(|summary| summary.counts.clients_lost = 1, 2, "1 of 3 clients ended by a bug of ours");
        check(|summary| (summary.counts.clients_lost = 1, summary.counts.garbled = 1).1, 1, "could not be read");
        let there = |settled, subscribers| Some(Published { settled, subscribers, ..Published::default() });
        check(|summary| summary.published = there(40, 40), 0, "Passed");
        check(|summary| summary.published = there(40, 100), 2, "of 100 subscribers that check 40 were there");
        check(|summary| (summary.published = there(40, 100), summary.counts.missing = 1).1, 1, "1 message never came");
        check(unwell, 2, "computed 90 %");
        // What came wrong is wrong; what did not come may be the generator's doing.
        check(|summary| (unwell(summary), summary.counts.garbled = 1).1, 1, "1 message could not be read");
        check(|summary| (unwell(summary), summary.counts.missing = 1).1, 2, "computed 90 %");
        check(requires(Held::Held), 0, "Passed");
        check(requires(Held::Broken), 1, "tick_p99<5ms was required, and 9.00 ms was measured");
        check(requires(Held::Inconclusive), 2, "cannot be told");
    }

    #[test]
    fn why_nothing_came_is_said() {
        let nothing = |dials: Dials| {
            move |summary: &mut Summary| {
                (summary.counts.delivered, summary.window) = (0, None);
                summary.dials = Dials { attempted: 3, ..dials };
            }
        };
        let none = Dials::default;
        check(nothing(Dials { refused: 3, ..none() }), 2, "of 3 dials 3 failed so: nobody listens there");
        check(nothing(Dials { timed_out: 3, ..none() }), 2, "no answer came in time");
        check(nothing(Dials { closed: 3, ..none() }), 2, "closed the connection during the handshake");
        check(nothing(Dials { upgrade_failed: 3, ..none() }), 2, "not WebSocket");
        let status = Dials { upgrade_failed: 3, statuses: [(503, 3)].into(), ..none() };
        check(nothing(status), 2, "answered HTTP 503 (3)");
        check(nothing(Dials { opened: 3, ..none() }), 2, "opened 3 sessions and said nothing that counts");
        let closed = |summary: &mut Summary| {
            nothing(Dials { opened: 3, ..none() })(summary);
            summary.closes = vec![Closes { by: Side::Peer, code: Some(1011), count: 3 }];
        };
        check(closed, 1, "it ended 3 with 1011 (internal error)");
        // All is lost: no less than where one is.
        let lost = |change: fn(&mut Counts)| {
            move |summary: &mut Summary| {
                nothing(Dials { opened: 3, ..none() })(summary);
                change(&mut summary.counts);
            }
        };
        check(lost(|counts| counts.missing = 90), 1, "90 ticks never came");
        check(lost(|counts| counts.requests_lost = 90), 1, "90 requests had no answer");
        check(lost(|counts| counts.requests_unsent = 90), 1, "90 planned requests never sent");
        check(|summary| (lost(|counts| counts.missing = 90)(summary), unwell(summary)).1, 2, "computed 90 %");
        let missed = |summary: &mut Summary| {
            nothing(Dials { refused: 3, ..none() })(summary);
            summary.counts.publications_missed = 20;
        };
        check(missed, 1, "of 3 dials 3 failed so: nobody listens there");
        let ports = |summary: &mut Summary| {
            nothing(Dials { no_port: 3, ..none() })(summary);
            summary.health = Some(Health::judge(&Facts { no_port: 3, ..Facts::default() }, Bounds::of(None)));
        };
        check(ports, 2, "3 dials found no local port");
    }
}
