//! How proxies leave and change, in words.

use crate::check::Objectives;
use crate::model::{Balancer, Behaviour, Guard, Handshake, Pick};
use crate::model::{Drain, DrainCode};
use crate::span::Span;

/// How a proxy drains, to go on with; nothing where all is as the proxy has it.
pub(super) fn drain(drain: Drain) -> String {
    if drain == Drain::default() {
        return String::new();
    }
    let mut text = ", drains".to_owned();
    for (time, what) in [
        (drain.tell, " telling for"),
        (drain.grace, " with a grace of"),
        (drain.time, " over"),
        (drain.deadline, " by a deadline of"),
        (drain.close_timeout, " with a farewell of"),
    ] {
        if let Some(time) = time {
            text += &format!("{what} {time}");
        }
    }
    match drain.code {
        Some(DrainCode::GoingAway) => text += " with 1001",
        Some(DrainCode::ServiceRestart) => text += " with 1012",
        None => {}
    }
    text
}

/// What must hold of it.
pub(super) fn objectives(check: &Objectives) -> impl Iterator<Item = String> {
    [
        check
            .drain
            .map(|_| "drain: who is sent away by a drain lost nothing, heard why, and left in its turn".to_owned()),
        check.reload.map(|bound| {
            format!("reload: a reload closes nobody, and its limits count within {}", bound.counts_within)
        }),
        check.ping_pong.map(|bound| {
            format!("ping-pong: pings are answered within {}, and who answers none is given up", bound.within)
        }),
        check.strictness.map(|bound| {
            format!(
                "strictness: who breaks a rule has the outcome that it names within {}, and nobody else",
                bound.within
            )
        }),
        check.handshake_bounds.map(|bound| {
            format!(
                "handshake-bounds: handshakes end within the proxy's bound and {}, and are no more than it allows",
                bound.settle
            )
        }),
        check.close_codes.map(|bound| {
            format!("close-codes: what a source closes with reaches its client within {}, unchanged", bound.within)
        }),
        check.preamble.map(|bound| {
            format!(
                "preamble: the instance that a client is moved to knows all that it wants, and is told once, within {}",
                bound.settle
            )
        }),
        check.quota.map(|bound| format!("quota: who asks too often is closed with 1008 within {}", bound.settle)),
    ]
    .into_iter()
    .flatten()
}

/// What clients do beside listening, to go on with; nothing where they do nothing.
pub(super) fn behaviour(behaviour: &Behaviour) -> String {
    let mut text = String::new();
    if let Some(every) = behaviour.pings_every {
        text += &format!(", pinging every {every}");
    }
    if !behaviour.pongs {
        text += ", answering no ping";
    }
    if let Some(every) = behaviour.resubscribe_every {
        text += &format!(", changing their symbols every {every}");
    }
    if let Some(per_s) = behaviour.asks_per_s {
        text += &format!(", asking again {per_s} times a second");
    }
    if let Some(key) = &behaviour.user_key {
        text += &format!(", with the key {key}");
    }
    if let Some(origin) = &behaviour.origin {
        text += &format!(", from the origin {origin}");
    }
    match behaviour.handshake {
        Handshake::Whole => {}
        Handshake::Slow(pause) => text += &format!(", saying a byte of their handshake every {pause}"),
        Handshake::Unfinished(bytes) => text += &format!(", saying {bytes} bytes of their handshake and no more"),
    }
    if let Some(offence) = behaviour.offends {
        let after = behaviour.offends_after.unwrap_or(Span::from_millis(1_000));
        text += &format!(", breaking the protocol after {after} ({})", kebab(&format!("{offence:?}")));
    }
    text
}

/// One address for all instances.
pub(super) fn balancer(balancer: Balancer) -> String {
    let Balancer { pick, detect } = balancer;
    let pick = match pick {
        Pick::RoundRobin => "in turns",
        Pick::LeastConnections => "to whoever has fewest connections",
        Pick::Random => "at random",
    };
    format!("one address for all instances, {pick}; a lost one is known after {detect}")
}

/// What a proxy has against them, to go on with; nothing where all is as the proxy has it.
pub(super) fn guard(guard: &Guard) -> String {
    let mut text = String::new();
    if let Some(interval) = guard.ping_interval {
        text += &format!(", pings after {interval} of silence");
    }
    if let Some(timeout) = guard.pong_timeout {
        text += &format!(", gives up {timeout} after a ping");
    }
    if let Some(timeout) = guard.handshake_timeout {
        text += &format!(", handshakes within {timeout}");
    }
    if let Some(most) = guard.handshakes_max {
        text += &format!(", {most} handshakes at once");
    }
    if let Some(per_s) = guard.handshakes_per_s.filter(|per_s| *per_s > 0) {
        text += &format!(", {per_s} handshakes a second");
    }
    if let Some(burst) = guard.handshakes_burst {
        text += &format!(", {burst} of them in a burst");
    }
    if let Some(bytes) = guard.message_bytes {
        text += &format!(", messages of {bytes} bytes at most");
    }
    if let Some(bytes) = guard.source_message_bytes {
        text += &format!(", {bytes} bytes of a source");
    }
    if let Some(most) = guard.requests_per_s.filter(|most| *most > 0) {
        text += &format!(", {most} requests a second of a client");
    }
    if let Some(burst) = guard.requests_burst {
        text += &format!(", {burst} at once");
    }
    if !guard.keys.is_empty() {
        text += &format!(", {} keys known", guard.keys.len());
    }
    if !guard.origins.is_empty() {
        text += &format!(", origins {}", guard.origins.join(" "));
    }
    text
}

/// A variant's name as the word in files.
fn kebab(name: &str) -> String {
    let mut word = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            word.push('-');
        }
        word.extend(letter.to_lowercase());
    }
    word
}
