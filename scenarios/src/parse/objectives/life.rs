//! Objectives on how proxies leave and change.

use super::{CHECKED_MIN, HOUR_US, key, wrong};
use crate::model::{Behaviour, Fault, FaultKind, ProxyMode, SourceMode};
use crate::parse::format::{Kind, Table, Without};
use crate::parse::meaning::Rules;

pub(super) static DRAIN: Table = Table {
    about: "A proxy that drains, see `proxy.drain`, lets nobody in, gives everyone what was sent before its Close, spreads the closes, and is gone by its deadline.",
    keys: &[
        key(
            "settle",
            Kind::Span(0, HOUR_US),
            Without::Default("\"100ms\""),
            "How much later than the proxy does it a client may see it: above some round trips.",
        ),
        CHECKED_MIN,
    ],
};

pub(super) static RELOAD: Table = Table {
    about: "A reload closes nobody, and a new `clients-max` counts for who comes next.",
    keys: &[
        key(
            "settle",
            Kind::Span(0, HOUR_US),
            Without::Default("\"1s\""),
            "How long after a reload closes are laid to it.",
        ),
        key(
            "counts-within",
            Kind::Span(0, HOUR_US),
            Without::Default("\"50ms\""),
            "After which time a new limit counts.",
        ),
        CHECKED_MIN,
    ],
};

pub(super) static PING_PONG: Table = Table {
    about: "A client's ping is answered with its payload, or a newer one is; who answers no ping is given up after `proxy.guard.ping-interval` and `pong-timeout`.",
    keys: &[
        key(
            "within",
            Kind::Span(1, HOUR_US),
            Without::Wrong,
            "From a ping to its pong, and how far from its time a client that answers none may be given up.",
        ),
        CHECKED_MIN,
    ],
};

pub(super) static STRICTNESS: Table = Table {
    about: "Who breaks the rules (`behaviour.offends`, a key or an origin that `proxy.guard` does not know) gets the one outcome that they name, and nobody else is closed for it.",
    keys: &[
        key("within", Kind::Span(1, HOUR_US), Without::Wrong, "From the offence to the end of the session."),
        CHECKED_MIN,
    ],
};

pub(super) static HANDSHAKE_BOUNDS: Table = Table {
    about: "A handshake ends within `proxy.guard.handshake-timeout`, and no more are under way than `handshakes-max`, by the proxy's gauges.",
    keys: &[
        key("settle", Kind::Span(0, HOUR_US), Without::Default("\"500ms\""), "Beyond the proxy's own bound."),
        CHECKED_MIN,
    ],
};

pub(super) static PREAMBLE: Table = Table {
    about: "The instance that a client is moved to hears what the client asked for last, all of it and once. For `relay` and v1.",
    keys: &[
        key(
            "settle",
            Kind::Span(0, HOUR_US),
            Without::Default("\"500ms\""),
            "How long after a leg came up, or the client changed its mind, the source may not know.",
        ),
        CHECKED_MIN,
    ],
};

pub(super) static QUOTA: Table = Table {
    about: "Who asks for more than `proxy.guard.requests-per-s` is closed with 1008, and who does not is not. For `fanout`.",
    keys: &[
        key(
            "settle",
            Kind::Span(0, HOUR_US),
            Without::Default("\"1s\""),
            "From the request that was too much to the end of the session.",
        ),
        CHECKED_MIN,
    ],
};

pub(super) static CLOSE_CODES: Table = Table {
    about: "The code with which a source closes reaches its client, unchanged, unless the source only leaves (1001, 1011, 1012, 1013). For `relay`.",
    keys: &[
        key("within", Kind::Span(1, HOUR_US), Without::Wrong, "From one side's close to the other's."),
        CHECKED_MIN,
    ],
};

pub(super) fn check(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let has = |kind: FaultKind| scenario.faults.iter().any(|fault: &Fault| fault.kind == kind);
    if scenario.check.drain.is_some() && !has(FaultKind::Drain) {
        wrong(rules, "drain", "no fault is a \"drain\"", "add one under [[faults]], with target = \"proxy-0\"");
    }
    let any = |is: &dyn Fn(&Behaviour) -> bool| scenario.clients.iter().any(|group| is(&group.behaviour));
    let proxy = &scenario.proxy;
    if scenario.check.ping_pong.is_some() && !any(&|does| does.pings_every.is_some() || !does.pongs) {
        let hint = "give a group behaviour = { pings-every = \"1s\" } or { pongs = false }";
        wrong(rules, "ping-pong", "no group pings, and each answers", hint);
    }
    let breaks = |does: &Behaviour| does.offends.is_some() || !proxy.knows_key_of(does) || !proxy.lets_origin_of(does);
    if scenario.check.strictness.is_some() && !any(&breaks) && !has(FaultKind::Oversized) {
        let hint = "give a group behaviour = { offends = \"bad-utf8\" }";
        wrong(rules, "strictness", "every group keeps to the rules", hint);
    }
    if scenario.check.close_codes.is_some() {
        if proxy.mode == ProxyMode::Fanout {
            wrong(rules, "close-codes", "a fan-out ends its legs by itself", "write proxy.mode = \"relay\"");
        } else if !has(FaultKind::CloseAll) {
            wrong(rules, "close-codes", "no source closes", "add a fault of kind \"close-all\" with a code");
        }
    }
    if scenario.check.preamble.is_some() {
        if scenario.proxy.mode == ProxyMode::Fanout {
            wrong(rules, "preamble", "a fanout asks for all its clients together", "write proxy.mode = \"relay\"");
        } else if scenario.sources.mode != SourceMode::V1 {
            wrong(rules, "preamble", "only a v1 request says all that a client wants", "write sources.mode = \"v1\"");
        } else if scenario.clients.iter().any(|group| group.behaviour.asks_per_s.is_some()) {
            wrong(rules, "preamble", "a group asks again for what it has", "leave out behaviour.asks-per-s");
        }
    }
    if scenario.check.quota.is_some() {
        if proxy.mode == ProxyMode::Relay {
            wrong(rules, "quota", "a relay passes on what clients ask for", "write proxy.mode = \"fanout\"");
        } else if !any(&|does| does.asks_per_s.is_some() || does.resubscribe_every.is_some()) {
            wrong(rules, "quota", "no group asks again", "give a group behaviour = { asks-per-s = 50.0 }");
        }
    }
    if scenario.check.reload.is_some() && !has(FaultKind::Reload) {
        wrong(rules, "reload", "no fault is a \"reload\"", "add one under [[faults]], with target = \"proxy-0\"");
    }
}
