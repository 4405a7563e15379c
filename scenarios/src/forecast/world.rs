//! The world of a storm: n instances behind one address, their clients, and the loss of one of them.
//!
//! ```text
//!   0 s           ramp            + settle      + drawn                  watched
//!   |-- arrive ----|-- all there --|-- 0 to 1 s --x-- they come again ------|
//!                                            proxy-0 is lost
//! ```

use serde::Serialize;
use wire::draw::Draws;

use super::population::{Feed, Population, TooLarge};
use crate::builder::{BuildError, Builder};
use crate::calibration::frame_head;
use crate::check::Objectives;
use crate::model::{
    Arrival, Backoff, Balancer, Clients, Fault, FaultKind, Latency, Load, Network, Open, Pick, Proxy, ProxyMode,
    Scenario, ServiceTime,
};
use crate::span::Span;

/// A fleet behind one address, and how its clients come again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fleet {
    /// Instances, 2 to 16.
    pub instances: u16,
    /// Clients of all of them together.
    pub clients: u32,
    /// Simulated clients at most, up to [`super::CLIENTS_MAX`].
    pub simulated_max: u32,
    /// What the source sends, and each client gets of it.
    pub feed: Feed,
    /// The window of the clients' first try: a time drawn evenly from nothing to this. It doubles with each failure.
    pub jitter: Span,
    /// The largest window; never less than `jitter`.
    pub cap: Span,
    /// Which instance takes the next dial.
    pub pick: Pick,
    /// How long the address still gives out the lost instance.
    pub detect: Span,
    /// What becomes of dials to it.
    pub dials: Dials,
    /// What an instance lets in.
    pub limits: Limits,
    /// One way from clients to instances and from these to the source.
    pub latency: Span,
}

/// What becomes of a dial to the lost instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dials {
    /// It is refused after a round trip: the process is gone, the machine is there.
    #[default]
    Refused,
    /// Nothing answers; the client gives up after its own 10 s.
    Unheard,
}

/// What an instance lets in, in numbers of real clients. None: the proxy's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Limits {
    /// Handshakes under way at once.
    pub handshakes_max: Option<u32>,
    /// Handshakes begun in a second.
    pub handshakes_per_s: Option<u32>,
    /// And at once.
    pub handshakes_burst: Option<u32>,
}

/// After the arrivals, before anything happens.
const SETTLE_US: u64 = 1_000_000;
/// The loss comes within so long after that, drawn.
const DRAWN_US: u64 = 1_000_000;
/// How busy the arrivals may make a core, as a part of what the messages leave.
const ARRIVALS_SHARE: f64 = 0.5;

/// Why there is no such world.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoWorld {
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error("no such world: {0}")]
    Refused(#[from] BuildError),
}

impl Fleet {
    /// Who is simulated.
    #[must_use]
    pub fn population(&self) -> Population {
        Population::new(self.clients, self.instances, self.simulated_max)
    }

    /// How busy each core of an instance is with handing out messages to so many clients of its own: 1 is all of it. A tick for each client is a write of its own.
    #[must_use]
    pub fn utilisation(&self, real: ServiceTime, clients: f64) -> f64 {
        self.feed.writes_per_s() * clients * self.write_s(real) / f64::from(real.proxy_cores.max(1))
    }

    /// Seconds of one core for one write to one client.
    fn write_s(&self, real: ServiceTime) -> f64 {
        let bytes =
            f64::from(self.feed.bytes() + frame_head(self.feed.bytes())) * self.feed.per_s() / self.feed.writes_per_s();
        seconds(real.proxy_per_segment) + seconds(real.proxy_per_kib) * bytes / 1024.0
    }

    /// Seconds of one core for a client that comes, until it has its first messages: SYN, SYN-ACK, ACK, request, answer with greeting, subscription, and a write.
    #[must_use]
    pub fn accept_s(&self, real: ServiceTime) -> f64 {
        const SEGMENTS: f64 = 6.0;
        const BYTES: f64 = 158.0 + 140.0 + 60.0;
        seconds(real.proxy_per_connection)
            + SEGMENTS * seconds(real.proxy_per_segment)
            + seconds(real.proxy_per_kib) * BYTES / 1024.0
            + self.write_s(real)
    }

    /// Clients that an instance can take on in a second beside what it does for so many of its own: what its cores have left, or what it lets in.
    #[must_use]
    pub fn accepts_per_s(&self, real: ServiceTime, clients: f64) -> f64 {
        let spare = (1.0 - self.utilisation(real, clients)).max(0.0) * f64::from(real.proxy_cores.max(1));
        let limit = self.limits.handshakes_per_s.filter(|per_s| *per_s > 0).map_or(f64::INFINITY, f64::from);
        (spare / self.accept_s(real)).min(limit)
    }

    /// Over how long clients arrive at the beginning, so that nobody is turned away.
    fn ramp(&self, real: ServiceTime) -> Span {
        let each = f64::from(self.clients) / f64::from(self.instances);
        let per_s = self.accepts_per_s(real, each).max(1.0);
        Span::from_millis((each / per_s / ARRIVALS_SHARE * 1e3).clamp(1_000.0, 600_000.0).ceil() as u64)
    }

    /// When the instance is lost, counted from the beginning of the steady phase: drawn from the seed.
    pub(super) fn lost_at(seed: u64) -> Span {
        Span::from_micros(SETTLE_US + Draws::new(seed, "the loss of an instance", 0).below(DRAWN_US))
    }

    /// The world of a seed, watched for so long after the loss, as a scenario that a file could say.
    pub(super) fn scenario(&self, real: ServiceTime, seed: u64, watched: Span) -> Result<Scenario, NoWorld> {
        let population = self.population();
        let at = Self::lost_at(seed);
        let steady = Span::from_micros(at.as_micros() + watched.as_micros());
        let about = format!(
            "One of {} instances behind one address is lost; each simulated client stands for {:.3}.",
            self.instances, population.each
        );
        let mut proxy = Proxy { count: self.instances, ..Proxy::new(ProxyMode::Fanout) };
        // However seldom it ticks, the source is well.
        proxy.stale_after =
            Some(Span::from_micros(self.feed.period().as_micros().saturating_mul(4).clamp(2_000_000, 3_600_000_000)));
        let fewer = |real: Option<u32>| real.map(|real| if real == 0 { 0 } else { population.fewer(real) });
        proxy.guard.handshakes_max = fewer(self.limits.handshakes_max).map(u64::from);
        proxy.guard.handshakes_per_s = fewer(self.limits.handshakes_per_s);
        proxy.guard.handshakes_burst = fewer(self.limits.handshakes_burst);
        let clients = Clients {
            load: Load::Open(Open { arrival: Arrival::Ramp(self.ramp(real)), ..Open::default() }),
            subscriptions: self.feed.subscriptions(),
            backoff: Some(Backoff { base: self.jitter, cap: self.cap.max(self.jitter) }),
            ..Clients::new("all", population.simulated)
        };
        let mut builder = Builder::new("storm", &about)
            .warmup(self.ramp(real))
            .steady(steady)
            .recovery(Span::from_millis(0))
            .network(Network { latency: Latency::Fixed(self.latency), ..Network::default() })
            .sources(self.feed.sources())
            .proxy(proxy)
            .clients(clients)
            .fault(Fault::at(at, FaultKind::Kill, LOST))
            .service_time(population.costs(real)?)
            .check(Objectives { symbol_order: Some(Default::default()), ..Objectives::default() })
            .with(|scenario| scenario.balancer = Some(Balancer { pick: self.pick, detect: self.detect }));
        if self.dials == Dials::Unheard {
            builder = builder.fault(Fault::at(at, FaultKind::BlackHole, LOST));
        }
        Ok(builder.build()?)
    }
}

/// Which instance is lost. They are all alike.
const LOST: &str = "proxy-0";

pub(super) fn seconds(cost: crate::cost::Cost) -> f64 {
    cost.as_nanos() as f64 / 1e9
}
