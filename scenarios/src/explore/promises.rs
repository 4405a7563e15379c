//! What holds in every lawful world of a kind, whatever goes wrong in it; and from when to when it is watched.

use crate::check::{
    ClientMemory, CloseCodes, Convergence, Drains, HandshakeBounds, HostLeaks, NoClientClose, Objectives, PingPong,
    Plain, Quota, Reloads, Strictness, SubscriptionAnswers, SubscriptionDedup, UpstreamConnections,
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
    if sheltered { SOURCES_RECOVER } else { CLIENTS_RECOVER }
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
        // Who asks again is answered again.
        subscription_answers: (scenario.sources.mode == SourceMode::V2 && one_tier && !asks)
            .then(SubscriptionAnswers::default),
        no_client_close: (!ends_sessions && !closes).then(|| NoClientClose {
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
        convergence: bounded.then_some(Convergence { within: WITHIN, checked_min: 0 }),
        host_leaks: (bounded && one_tier && scenario.warmup > Span::default()).then_some(HostLeaks {
            settle: Span::from_millis(1_000),
            slack: 0,
            queued_bytes: 65_536,
            checked_min: 0,
        }),
        drain: (one_tier && has(FaultKind::Drain)).then(|| Drains { settle: Span::from_millis(500), checked_min: 0 }),
        reload: (one_tier && has(FaultKind::Reload)).then(Reloads::default),
        ping_pong: pings.then(|| PingPong { within: Span::from_millis(2_000), checked_min: 0 }),
        strictness: rude.then(|| Strictness { within: Span::from_millis(10_000), checked_min: 0 }),
        // Who says its handshake byte by byte learns with a byte that it was cut off, and with the next one by whom.
        handshake_bounds: Some(HandshakeBounds { settle: Span::from_millis(2_500), checked_min: 0 }),
        quota: (fanout && asks).then(Quota::default),
        // Clients of v2 are not moved, see `closes`.
        close_codes: (ends_sessions && scenario.sources.mode != SourceMode::V2)
            .then(|| CloseCodes { within: Span::from_millis(1_000), checked_min: 0 }),
        ..Objectives::default()
    }
}
