//! The `[check]` table of a scenario: which invariants must hold, and their bounds.

pub(super) mod life;

use serde::{Deserialize, Serialize};
use wire::event::Phase;

use self::life::{CloseCodes, Drains, HandshakeBounds, PingPong, Preamble, Quota, Reloads, Strictness};
use super::admission::AdmissionLimit;
use super::client_memory::ClientQueues;
use super::close_codes::Kept;
use super::convergence::Converged;
use super::delivery_latency::Delivery;
use super::drain::Leaves;
use super::even_spread::Spread;
use super::failover_time::Failover;
use super::fair_turns::Turns;
use super::first_tick::Served;
use super::gentle_rebalance::Moves;
use super::handshake_bounds::Bounded;
use super::host_leaks::Holdings;
use super::isolation::Isolated;
use super::latency_fairness::{FairLatency, Over};
use super::metrics_truth::Truth;
use super::no_client_close::ClientsStay;
use super::no_duplicates::Once;
use super::no_leakage::Private;
use super::no_loss::Complete;
use super::no_silent_gap::Accounted;
use super::nothing_leaks::Leaks;
use super::payload_intact::Intact;
use super::ping_pong::Answered as Pings;
use super::preamble::Introduced;
use super::quota::Rated;
use super::recovery::Recovered;
use super::reload::Stays;
use super::resume_all_or_nothing::AllOrNothing;
use super::slow_policy::Policy;
use super::slow_start::Gentle;
use super::snapshot_then_live::SnapshotFirst;
use super::staleness::Fresh;
use super::strictness::Strict;
use super::subscription_answers::Answered;
use super::subscription_dedup::Union;
use super::symbol_order::Ordered;
use super::upstream_caps::Capped;
use super::upstream_connections::Connections;
use super::upstream_dials::Dials;
use super::{Bench, Facts};
use crate::span::Span;

/// What must hold. Each key present is an invariant to watch, named as the key; `checked-min` is its floor of real checks (default 1), below which it is
/// inconclusive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Objectives {
    /// Ticks of a symbol reach a session in order.
    pub symbol_order: Option<Plain>,
    /// No tick reaches a session twice.
    pub no_duplicates: Option<Plain>,
    /// Each missing tick is told of (strong) or charged to a cause (plain).
    pub no_silent_gap: Option<Plain>,
    /// No tick is missing, told or not.
    pub no_loss: Option<Plain>,
    /// Clients get only what they asked for.
    pub no_leakage: Option<Plain>,
    /// Payloads are the source's, byte for byte, and none is invented.
    pub payload_intact: Option<Plain>,
    /// Who subscribes under the strong contract gets the newest value first, and then what happens.
    pub snapshot_then_live: Option<Plain>,
    /// A resume is served in full or not at all, and the client is told which.
    pub resume_all_or_nothing: Option<Plain>,
    /// A source is asked for the union of what a proxy's clients want, once.
    pub subscription_dedup: Option<SubscriptionDedup>,
    /// Clients are told what the source says to their subscriptions.
    pub subscription_answers: Option<SubscriptionAnswers>,
    /// From the source's send to the client.
    pub delivery_latency: Option<DeliveryLatency>,
    /// The age of what is delivered.
    pub staleness: Option<Staleness>,
    /// No client is served later than the others.
    pub latency_fairness: Option<LatencyFairness>,
    /// No symbol is served later than the others, however seldom it ticks.
    pub symbol_fairness: Option<SymbolFairness>,
    /// Each symbol has its turn.
    pub fair_turns: Option<FairTurns>,
    /// The pause that a client sees when a source fails.
    pub failover_time: Option<FailoverTime>,
    /// From a client's subscription to its first tick.
    pub first_tick: Option<FirstTick>,
    /// Clients keep their sessions while a source is healthy.
    pub no_client_close: Option<NoClientClose>,
    /// Legs that the sources see.
    pub upstream_connections: Option<UpstreamConnections>,
    /// Legs of one source, and the line of those who wait for one.
    pub upstream_caps: Option<UpstreamCaps>,
    /// Dials to one source.
    pub upstream_dials: Option<UpstreamDials>,
    /// Legs over the healthy sources.
    pub even_spread: Option<EvenSpread>,
    /// Legs of a source that came back.
    pub slow_start: Option<SlowStart>,
    /// Symbols of a source that came back.
    pub gentle_rebalance: Option<GentleRebalance>,
    /// What the proxy holds for its clients.
    pub client_memory: Option<ClientMemory>,
    /// A full queue has the configured outcome and no other.
    pub slow_policy: Option<Plain>,
    /// When everyone has gone, nothing of them is left.
    pub nothing_leaks: Option<NothingLeaks>,
    /// What the proxy counts is what the wire shows.
    pub metrics_truth: Option<Plain>,
    /// Latency of the others while slow clients are there.
    pub isolation: Option<Isolation>,
    /// All is well again at the end.
    pub convergence: Option<Convergence>,
    /// After the faults everyone is live and caught up soon: measured.
    pub recovery: Option<Recovery>,
    /// After the faults each host holds what it held before.
    pub host_leaks: Option<HostLeaks>,
    /// The limit on sessions holds, and those inside do not pay.
    pub admission: Option<Admission>,
    /// A drain loses nothing, tells everyone, and ends.
    pub drain: Option<Drains>,
    /// A reload closes nobody, and counts.
    pub reload: Option<Reloads>,
    /// Pings are answered, and who answers none is given up.
    pub ping_pong: Option<PingPong>,
    /// Who breaks the rules gets the outcome that they name.
    pub strictness: Option<Strictness>,
    /// Handshakes are bounded in time and number.
    pub handshake_bounds: Option<HandshakeBounds>,
    /// Who asks too often is closed with 1008.
    pub quota: Option<Quota>,
    /// The instance that a client is moved to hears what it asked for, once.
    pub preamble: Option<Preamble>,
    /// Close codes are lawful, and cross the relay.
    pub close_codes: Option<CloseCodes>,
}

/// An invariant without a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Plain {
    /// Fewer real checks make it inconclusive. Default 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// No floor of checks but the one that always holds, and that a file need not name.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(checked_min: &u64) -> bool {
    *checked_min == 0
}

/// A share above 0 and up to 1: a quantile, Jain's index.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(f64);

impl Share {
    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.0
    }
}

impl TryFrom<f64> for Share {
    type Error = String;
    fn try_from(share: f64) -> Result<Self, String> {
        if share > 0.0 && share <= 1.0 { Ok(Self(share)) } else { Err(format!("{share} is not above 0 and at most 1")) }
    }
}

/// From which phase on samples count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromPhase {
    /// From the beginning.
    Warmup,
    /// From the steady phase on.
    #[default]
    Steady,
    /// In the recovery only.
    Recovery,
}

impl FromPhase {
    /// Whether samples count in this phase. (Once the run is over, none do.)
    #[must_use]
    pub fn counts(self, phase: Phase) -> bool {
        match phase {
            Phase::Warmup => self == Self::Warmup,
            Phase::Steady => self != Self::Recovery,
            Phase::Recovery => true,
            Phase::End => false,
        }
    }
}

/// Bound on a quantile of latency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeliveryLatency {
    /// Which quantile, 0..=1: `0.99`.
    pub quantile: Share,
    /// The bound on it.
    pub at_most: Span,
    /// Fewer samples make it inconclusive. Default 1,000.
    #[serde(default = "samples_min")]
    pub samples_min: u64,
    /// From which phase on samples count. Default `steady`.
    #[serde(default)]
    pub from_phase: FromPhase,
    /// As in [`Plain`]; a sample is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// Bound on a quantile of the latency of clients that are not slow, while slow ones are there.
pub type Isolation = DeliveryLatency;

fn samples_min() -> u64 {
    1_000
}

/// Bound on the age of what is delivered as live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Staleness {
    /// Of each delivery to each client, slow ones too.
    pub at_most: Span,
    /// As in [`Plain`]; each live delivery from the steady phase on is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// Bound on how unlike the mean latencies of clients may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LatencyFairness {
    /// Jain's index over the mean latencies.
    pub jain_min: Share,
    /// The greatest mean as a multiple of the mean of all. Default 2.
    #[serde(default = "worst_at_most")]
    pub worst_at_most: f64,
    /// One with fewer samples is not judged. Default 100.
    #[serde(default = "client_samples_min")]
    pub samples_min: u64,
    /// As in [`Plain`]; each client that is judged is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

fn worst_at_most() -> f64 {
    2.0
}

fn client_samples_min() -> u64 {
    100
}

/// Bound on how unlike the mean latencies of symbols may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SymbolFairness {
    /// The greatest mean as a multiple of the least. Default 2.
    pub worst_at_most: f64,
    /// A symbol with fewer samples, over all clients, is not judged. Default 100.
    pub samples_min: u64,
    /// As in [`Plain`]; each symbol that is judged is a check.
    #[serde(skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

impl Default for SymbolFairness {
    fn default() -> Self {
        Self { worst_at_most: worst_at_most(), samples_min: client_samples_min(), checked_min: 0 }
    }
}

/// Bound on how far one symbol may be ahead of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FairTurns {
    /// Messages.
    pub apart_at_most: u64,
    /// Messages of its own that a symbol may lack, however far behind it is. Default 2: one waits, one is on its way.
    #[serde(default = "lacks_at_most")]
    pub lacks_at_most: u64,
    /// As in [`Plain`]; each delivery is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

fn lacks_at_most() -> u64 {
    2
}

/// Bound on how long something may be left of clients that have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NothingLeaks {
    /// After the end of the last session. Default 2 s.
    pub settle: Span,
    /// As in [`Plain`]; each gauge after that is a check.
    #[serde(skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

impl Default for NothingLeaks {
    fn default() -> Self {
        Self { settle: Span::from_millis(2_000), checked_min: 0 }
    }
}

/// Bound on the silence of a symbol at a client when a source fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FailoverTime {
    /// Longest silence; one tick period is added to it.
    pub at_most: Span,
    /// As in [`Plain`]; each (fault, client, symbol) is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// Bound on the wait of a new subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FirstTick {
    /// From the subscription to the first tick; one tick period is added to it.
    pub at_most: Span,
    /// As in [`Plain`]; each subscription that is served, or waits for too long, is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// Clients keep their sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NoClientClose {
    /// Whether closes with 1013 of clients that are slow on purpose are in order. Default false.
    pub allow_slow: bool,
    /// How long after a fault closes are still laid to it. Default 1 s.
    pub settle: Span,
    /// As in [`Plain`]; each session that opens is a check.
    #[serde(skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

impl Default for NoClientClose {
    fn default() -> Self {
        Self { allow_slow: false, settle: Span::from_millis(1_000), checked_min: 0 }
    }
}

/// Bound on legs to the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UpstreamConnections {
    /// Open legs of one proxy over all sources.
    pub at_most: u32,
    /// Legs beyond that while it moves to another source: the old one may linger. Default 1.
    #[serde(default = "switching")]
    pub switching: u32,
    /// How long it may be above `at-most` at a time. Default 10 s.
    #[serde(default = "linger")]
    pub linger: Span,
    /// As in [`Plain`]; each leg that opens is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

fn switching() -> u32 {
    1
}

fn linger() -> Span {
    Span::from_millis(10_000)
}

/// Bounds on what one source bears, and on the line before it (relay).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UpstreamCaps {
    /// Open legs of one proxy to one source.
    pub each_at_most: u64,
    /// Clients of one proxy without a leg at once.
    pub waiting_at_most: u64,
    /// How long one of them may be without.
    pub waits_at_most: Span,
    /// As in [`Plain`]; each leg that opens, and each wait that ends, is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// Bounds on dials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UpstreamDials {
    /// Of one proxy to one source, a second, in the long run.
    pub per_s: f64,
    /// And so many at once.
    pub burst: u32,
    /// Proxies that dial one source within 20 ms, more than a second after a fault began or ended; none: not judged.
    #[serde(default)]
    pub together: Option<u32>,
    /// As in [`Plain`]; each dial is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// Bounds on how long a symbol that nobody wants stays subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SubscriptionDedup {
    /// For so long, at least. Default 1 s.
    pub linger: Span,
    /// And for so much longer, at most. Default 2 s.
    pub settle: Span,
    /// As in [`Plain`]; each symbol that a source is asked for, or given back, is a check.
    #[serde(skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

impl Default for SubscriptionDedup {
    fn default() -> Self {
        Self { linger: Span::from_millis(1_000), settle: Span::from_millis(2_000), checked_min: 0 }
    }
}

/// Bound on how long an answer may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SubscriptionAnswers {
    /// From the source's answer, or the loss of its leg, to the client. Default 2 s.
    pub settle: Span,
    /// As in [`Plain`]; each answer that a client got or should have got is a check.
    #[serde(skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

impl Default for SubscriptionAnswers {
    fn default() -> Self {
        Self { settle: Span::from_millis(2_000), checked_min: 0 }
    }
}

/// Bound on the evenness of legs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EvenSpread {
    /// Jain's index over the legs of healthy sources: 1 is even, 1/k is all on one of k.
    pub jain_min: Share,
    /// Judged only when no leg opened or closed and no fault began or ended for so long. Default 1 s.
    #[serde(default = "settled")]
    pub settled: Span,
    /// A source that came back from a fault counts again after so long; none: never, as connections do not move by themselves.
    #[serde(default)]
    pub rebalance_within: Option<Span>,
    /// As in [`Plain`]; each settled second is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

fn settled() -> Span {
    Span::from_millis(1_000)
}

/// Bound on how fast a source that came back is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SlowStart {
    /// Over how long its share rises to the whole.
    pub over: Span,
    /// Legs beyond its share, for dials under way. Default 2.
    #[serde(default = "slack")]
    pub slack: u32,
    /// As in [`Plain`]; each leg that opens at a source which starts slowly is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

fn slack() -> u32 {
    2
}

/// Bounds on how symbols come to a source that came back (sharded).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GentleRebalance {
    /// Symbols that it is asked for a second, in the long run.
    pub per_s: f64,
    /// And so many at once.
    pub burst: u32,
    /// After which time it has its share.
    pub within: Span,
    /// Jain's index over the symbols of healthy sources by then.
    pub jain_min: Share,
    /// As in [`Plain`]; each symbol that such a source is asked for is a check, and the spread at the end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// Bound on what the proxy holds for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClientMemory {
    /// Bytes in one client's queue.
    pub queue_bytes_max: u64,
    /// The largest message: a queue may pass its bound by one. Default 1,024 bytes.
    #[serde(default = "message_bytes_max")]
    pub message_bytes_max: u64,
    /// As in [`Plain`]; each gauge is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

fn message_bytes_max() -> u64 {
    1_024
}

/// Everything comes right after the faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Convergence {
    /// From the beginning of the recovery; and the age that the newest delivery of a symbol may have at the end.
    pub within: Span,
    /// As in [`Plain`]; each client and each of its symbols at the end is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// Budget of the time until everyone is live and caught up after the faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recovery {
    /// From the end of the last fault in force; one period of the sources is added.
    pub within: Span,
    /// As in [`Plain`]; each client and each of its symbols in a stretch without faults is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// Bounds on what hosts hold after the faults and did not hold before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostLeaks {
    /// What came or went within this time of a look may be half there. Default 1 s.
    #[serde(default = "settled")]
    pub settle: Span,
    /// Tasks and sockets of one host that nothing need explain. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slack: u64,
    /// Bytes in one host's kernel beyond those before. Default 65,536.
    #[serde(default = "queued_bytes")]
    pub queued_bytes: u64,
    /// As in [`Plain`]; each figure of each host is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

fn queued_bytes() -> u64 {
    65_536
}

/// The limit on sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Admission {
    /// Open sessions, over all proxies.
    pub open_at_most: u64,
    /// As in [`Plain`]; each refusal by admission (503, 429) is a check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checked_min: u64,
}

/// The checkers that a scenario asks for, in the order of [`Objectives`].
#[must_use]
pub fn build(objectives: &Objectives, facts: &Facts) -> Bench {
    let mut bench = Bench::default();
    if let Some(plain) = objectives.symbol_order {
        bench.add("symbol-order", plain.checked_min, Box::new(Ordered::default()));
    }
    if let Some(plain) = objectives.no_duplicates {
        bench.add("no-duplicates", plain.checked_min, Box::new(Once::default()));
    }
    if let Some(plain) = objectives.no_silent_gap {
        bench.add("no-silent-gap", plain.checked_min, Box::new(Accounted::new(facts)));
    }
    if let Some(plain) = objectives.no_loss {
        bench.add("no-loss", plain.checked_min, Box::new(Complete::default()));
    }
    if let Some(plain) = objectives.no_leakage {
        bench.add("no-leakage", plain.checked_min, Box::new(Private::new(facts)));
    }
    if let Some(plain) = objectives.payload_intact {
        bench.add("payload-intact", plain.checked_min, Box::new(Intact::new(facts)));
    }
    if let Some(plain) = objectives.snapshot_then_live {
        bench.add("snapshot-then-live", plain.checked_min, Box::new(SnapshotFirst::new(facts)));
    }
    if let Some(plain) = objectives.resume_all_or_nothing {
        bench.add("resume-all-or-nothing", plain.checked_min, Box::new(AllOrNothing::new(facts)));
    }
    if let Some(bound) = objectives.subscription_dedup {
        bench.add("subscription-dedup", bound.checked_min, Box::new(Union::new(bound, facts)));
    }
    if let Some(bound) = objectives.subscription_answers {
        bench.add("subscription-answers", bound.checked_min, Box::new(Answered::new(bound, facts)));
    }
    if let Some(bound) = objectives.delivery_latency {
        let floor = bound.checked_min.max(bound.samples_min);
        bench.add("delivery-latency", floor, Box::new(Delivery::new(bound)));
    }
    if let Some(bound) = objectives.staleness {
        bench.add("staleness", bound.checked_min, Box::new(Fresh::new(bound)));
    }
    if let Some(bound) = objectives.latency_fairness {
        bench.add("latency-fairness", bound.checked_min, Box::new(FairLatency::new(Over::Clients(bound), facts)));
    }
    if let Some(bound) = objectives.symbol_fairness {
        bench.add("symbol-fairness", bound.checked_min, Box::new(FairLatency::new(Over::Symbols(bound), facts)));
    }
    if let Some(bound) = objectives.fair_turns {
        bench.add("fair-turns", bound.checked_min, Box::new(Turns::new(bound)));
    }
    if let Some(bound) = objectives.failover_time {
        bench.add("failover-time", bound.checked_min, Box::new(Failover::new(bound, facts)));
    }
    if let Some(bound) = objectives.first_tick {
        bench.add("first-tick", bound.checked_min, Box::new(Served::new(bound, facts)));
    }
    if let Some(bound) = objectives.no_client_close {
        bench.add("no-client-close", bound.checked_min, Box::new(ClientsStay::new(bound, facts)));
    }
    if let Some(bound) = objectives.upstream_connections {
        bench.add("upstream-connections", bound.checked_min, Box::new(Connections::new(bound, facts)));
    }
    if let Some(bound) = objectives.upstream_caps {
        bench.add("upstream-caps", bound.checked_min, Box::new(Capped::new(bound, facts)));
    }
    if let Some(bound) = objectives.upstream_dials {
        bench.add("upstream-dials", bound.checked_min, Box::new(Dials::new(bound, facts)));
    }
    if let Some(bound) = objectives.even_spread {
        bench.add("even-spread", bound.checked_min, Box::new(Spread::new(bound, facts)));
    }
    if let Some(bound) = objectives.slow_start {
        bench.add("slow-start", bound.checked_min, Box::new(Gentle::new(bound, facts)));
    }
    if let Some(bound) = objectives.gentle_rebalance {
        bench.add("gentle-rebalance", bound.checked_min, Box::new(Moves::new(bound, facts)));
    }
    if let Some(bound) = objectives.client_memory {
        bench.add("client-memory", bound.checked_min, Box::new(ClientQueues::new(bound)));
    }
    if let Some(plain) = objectives.slow_policy {
        bench.add("slow-policy", plain.checked_min, Box::new(Policy::new(facts)));
    }
    if let Some(bound) = objectives.nothing_leaks {
        bench.add("nothing-leaks", bound.checked_min, Box::new(Leaks::new(bound, facts)));
    }
    if let Some(plain) = objectives.metrics_truth {
        bench.add("metrics-truth", plain.checked_min, Box::new(Truth::new(facts)));
    }
    if let Some(bound) = objectives.isolation {
        let floor = bound.checked_min.max(bound.samples_min);
        bench.add("isolation", floor, Box::new(Isolated::new(bound, facts)));
    }
    if let Some(bound) = objectives.convergence {
        bench.add("convergence", bound.checked_min, Box::new(Converged::new(bound, facts)));
    }
    if let Some(bound) = objectives.recovery {
        bench.add("recovery", bound.checked_min, Box::new(Recovered::new(bound, facts)));
    }
    if let Some(bound) = objectives.host_leaks {
        bench.add("host-leaks", bound.checked_min, Box::new(Holdings::new(bound, facts)));
    }
    if let Some(bound) = objectives.admission {
        bench.add("admission", bound.checked_min, Box::new(AdmissionLimit::new(bound)));
    }
    if let Some(bound) = objectives.drain {
        bench.add("drain", bound.checked_min, Box::new(Leaves::new(bound, facts)));
    }
    if let Some(bound) = objectives.reload {
        bench.add("reload", bound.checked_min, Box::new(Stays::new(bound, facts)));
    }
    if let Some(bound) = objectives.ping_pong {
        bench.add("ping-pong", bound.checked_min, Box::new(Pings::new(bound, facts)));
    }
    if let Some(bound) = objectives.strictness {
        bench.add("strictness", bound.checked_min, Box::new(Strict::new(bound, facts)));
    }
    if let Some(bound) = objectives.handshake_bounds {
        bench.add("handshake-bounds", bound.checked_min, Box::new(Bounded::new(bound, facts)));
    }
    if let Some(bound) = objectives.quota {
        bench.add("quota", bound.checked_min, Box::new(Rated::new(bound, facts)));
    }
    if let Some(bound) = objectives.preamble {
        bench.add("preamble", bound.checked_min, Box::new(Introduced::new(bound, facts)));
    }
    if let Some(bound) = objectives.close_codes {
        bench.add("close-codes", bound.checked_min, Box::new(Kept::new(bound, facts)));
    }
    bench
}
