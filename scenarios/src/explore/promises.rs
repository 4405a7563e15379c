//! What holds in every lawful world of a kind, whatever goes wrong in it; and from when to when it is watched.

use super::limits::{self, handshakes_are_short, keys_are_short, legs_are_short, sources_agree};
use crate::check::{
    Admission, ClientMemory, CloseCodes, Convergence, Drains, HandshakeBounds, HostLeaks, NoClientClose, Objectives,
    PingPong, Plain, Quota, Reloads, Strictness, SubscriptionAnswers, SubscriptionDedup, UpstreamConnections,
    UpstreamDials,
};
use crate::model::{Consumed, Fault, FaultKind, ProxyMode, Reader, Scenario, SlowClient, SourceMode};
use crate::span::Span;

/// How long everything has to come right.
///
/// Clients that lost their proxy wait for up to 30 s before they dial again (exponential backoff with full jitter), and may then wait for one handshake that gets lost.
const CLIENTS_RECOVER: Span = Span::from_millis(42_000);

/// The same where no client loses its proxy: a source is dialled again after 10 s at the latest.
const SOURCES_RECOVER: Span = Span::from_millis(16_000);

/// When all of it must be right, counted back from the end.
const WITHIN: Span = Span::from_millis(4_000);

/// How long the recovery of a world takes at most.
pub(super) fn recovery(scenario: &Scenario) -> Span {
    let of_sources = |fault: &Fault| {
        let ends = || fault.target.split(['/', '>']);
        let front = ends().any(|end| !end.starts_with("source-") && !end.starts_with("proxy-"));
        let alone = ends().count() == 1;
        let whole_proxy = alone && fault.target.starts_with("proxy-");
        !(front || whole_proxy || scenario.edge.is_some())
    };
    let sheltered = scenario.proxy.mode == ProxyMode::Fanout && scenario.faults.iter().all(of_sources);
    // A source that has refused a key is left alone for longer than one that was away.
    if sheltered && scenario.sources.key_limit.is_none() { SOURCES_RECOVER } else { CLIENTS_RECOVER }
}

/// So many are inside at once, and who is inside stays, where nothing but the sources is hurt and nobody is sent away for what it does.
fn admission(scenario: &Scenario) -> Option<Admission> {
    let open_at_most = limits::turns_away_beyond(scenario)?;
    let front = scenario.front();
    let calm = scenario.proxy.mode == ProxyMode::Fanout
        && scenario.faults.iter().all(|fault| fault.target.split(['/', '>']).all(|end| end.starts_with("source-")));
    let nobody_leaves = front.slow_client != Some(SlowClient::Disconnect)
        && front.guard.ping_interval.is_none()
        // Who leaves has gone for the proxy before it has gone for itself.
        && scenario.clients.iter().all(|group| !front.finds_hostile(&group.behaviour) && group.load.session().is_none());
    (calm && nobody_leaves).then_some(Admission { open_at_most, checked_min: 0 })
}

/// One source is dialled no more often than it may be, by a proxy that remembers how often it was.
fn upstream_dials(scenario: &Scenario) -> Option<UpstreamDials> {
    let proxy = &scenario.proxy;
    let (per_s, burst) = (proxy.dials_per_second_max?, proxy.dials_burst?);
    let forgets = |fault: &Fault| {
        let of_sources = fault.target.starts_with("source-");
        fault.kind == FaultKind::Reload || fault.kind == FaultKind::Drain || fault.kind.ends_process() && !of_sources
    };
    let one_tier = scenario.edge.is_none();
    let remembers = one_tier && !scenario.faults.iter().any(forgets);
    remembers.then(|| UpstreamDials { per_s: f64::from(per_s), burst: burst + 1, together: None, checked_min: 0 })
}

/// How long a host holds what belongs to somebody who has left. Who does not read takes a closing handshake and what was begun before it (`limits.close_timeout`, twice); who waits for a
/// leg and has spoken is heard of again when the wait is over (`limits.no_source_timeout`).
fn settles(scenario: &Scenario, slow: bool) -> Span {
    let ms = match (legs_are_short(scenario), slow) {
        (true, _) => 13_000,
        (false, true) => 3_000,
        (false, false) => 1_000,
    };
    Span::from_millis(ms)
}

/// The promises of a world; `bounded`: it can recover from its faults.
pub(super) fn of(scenario: &Scenario, bounded: bool) -> Objectives {
    let plain = Some(Plain::default());
    let fanout = scenario.proxy.mode == ProxyMode::Fanout;
    let ticks = (scenario.sources.mode != SourceMode::Echo).then(Plain::default);
    let one_tier = scenario.edge.is_none();
    let has = |kind: FaultKind| scenario.faults.iter().any(|fault| fault.kind == kind);
    let front = scenario.front();
    let slow = scenario.clients.iter().any(|group| group.reader != Reader::Full);
    let strong = scenario.clients.iter().any(|group| group.strong > 0.0);
    let resumes = scenario.clients.iter().any(|group| group.resume);
    let pings = scenario.clients.iter().any(|group| group.behaviour.pings_every.is_some() || !group.behaviour.pongs);
    let rude = scenario.clients.iter().any(|group| group.behaviour.offends.is_some());
    let asks = scenario
        .clients
        .iter()
        .any(|group| group.behaviour.asks_per_s.is_some() || group.behaviour.resubscribe_every.is_some());
    // A relay does not move clients that have logged in; and who does not read may not read its Close either.
    let closes = (!fanout && scenario.sources.mode == SourceMode::V2)
        || (slow && front.slow_client == Some(SlowClient::Disconnect));
    let ends_sessions = !fanout && has(FaultKind::CloseAll);
    Objectives {
        symbol_order: ticks,
        no_duplicates: ticks,
        no_silent_gap: ticks,
        no_leakage: ticks,
        // A relay passes on whatever a source says.
        payload_intact: ticks.filter(|_| fanout || !has(FaultKind::Garbage)),
        snapshot_then_live: plain.filter(|_| strong),
        resume_all_or_nothing: plain.filter(|_| resumes),
        // What breaks a session breaks it at both ends, and not at one instant.
        subscription_dedup: (fanout && one_tier)
            .then(|| SubscriptionDedup { linger: Span::from_millis(900), ..SubscriptionDedup::default() }),
        // Who asks again is answered again; and where sources disagree, each proxy says what its own say, and a relay to each client what its source says.
        subscription_answers: (scenario.sources.mode == SourceMode::V2 && one_tier && !asks)
            .then(SubscriptionAnswers::default)
            .filter(|_| fanout && scenario.proxy.count == 1 || sources_agree(scenario)),
        no_client_close: (!ends_sessions && !closes && !legs_are_short(scenario)).then(|| NoClientClose {
            allow_slow: front.slow_client == Some(SlowClient::Disconnect),
            settle: Span::from_millis(3_000),
            ..NoClientClose::default()
        }),
        // A source that has nothing to say to a proxy which has forgotten it never learns of that.
        upstream_connections: (fanout && !has(FaultKind::HalfOpen) && !has(FaultKind::PowerOff)).then(|| {
            let at_most = match scenario.proxy.sources {
                Some(Consumed::Hot) => 2,
                Some(Consumed::Sharded) => u32::from(scenario.sources.count),
                _ => 1,
            };
            UpstreamConnections { at_most, switching: 2, linger: Span::from_millis(10_000), checked_min: 0 }
        }),
        client_memory: front
            .queue_bytes
            .filter(|_| fanout && !has(FaultKind::Reload))
            .map(|queue_bytes_max| ClientMemory { queue_bytes_max, message_bytes_max: 1_024, checked_min: 0 }),
        slow_policy: plain.filter(|_| slow && front.slow_client.is_some() && !has(FaultKind::Reload)),
        // Who is short of a place may wait for one for ever.
        convergence: (bounded && !legs_are_short(scenario) && !keys_are_short(scenario))
            .then_some(Convergence { within: WITHIN, checked_min: 0 }),
        host_leaks: (bounded && one_tier && scenario.warmup > Span::default()).then_some(HostLeaks {
            settle: settles(scenario, slow),
            slack: 0,
            queued_bytes: 65_536,
            checked_min: 0,
        }),
        drain: (one_tier && has(FaultKind::Drain)).then(|| Drains { settle: Span::from_millis(500), checked_min: 0 }),
        // With its limit on clients alone in the way, none is refused while there is room.
        reload: (one_tier && has(FaultKind::Reload) && !handshakes_are_short(scenario)).then(Reloads::default),
        // A relay hears no ping, and no offence, of a client that has spoken and waits for a leg.
        ping_pong: (pings && !legs_are_short(scenario))
            .then(|| PingPong { within: Span::from_millis(2_000), checked_min: 0 }),
        strictness: (rude && !legs_are_short(scenario))
            .then(|| Strictness { within: Span::from_millis(10_000), checked_min: 0 }),
        // Who says its handshake byte by byte learns with a byte that it was cut off, and with the next one by whom.
        handshake_bounds: Some(HandshakeBounds { settle: Span::from_millis(2_500), checked_min: 0 }),
        quota: (fanout && asks).then(Quota::default),
        // Clients of v2 are not moved, see `closes`.
        close_codes: (ends_sessions && scenario.sources.mode != SourceMode::V2 && !legs_are_short(scenario))
            .then(|| CloseCodes { within: Span::from_millis(1_000), checked_min: 0 }),
        admission: admission(scenario),
        upstream_dials: upstream_dials(scenario),
        ..Objectives::default()
    }
}
