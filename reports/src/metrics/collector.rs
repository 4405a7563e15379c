//! The streaming consumer: sees each event once and keeps bounded memory.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use wire::event::{Event, Why, ends_process};
use wire::feed::{GapReason, Kind};
use wire::id::{ClientId, LegId, ProxyId, SourceId};

use super::clients::{CLIENTS_MAX, Clients};
use super::failover::Incidents;
use super::latency::{Recorder, Whole};
use super::sends::Sends;
use super::{
    Cause, FaultWindow, Gaps, Histograms, Metrics, PhaseMark, ProxySeries, Series, SourceSeries, Totals, jain,
};
use crate::record::SCHEMA;
use crate::tiers::Tiers;

/// The most buckets of the time axis; what happens later falls into the last.
const BUCKETS_MAX: u64 = 100_000;
/// The most proxies and sources that have series; further ones are counted in the totals only.
const INSTANCES_MAX: usize = 256;
/// The most fault windows and phase marks kept.
const MARKS_MAX: usize = 10_000;

/// What the collector should know beforehand. The counts are hints: what is met beyond them finds its place, what is not met still has its (flat) series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The width of one bucket of the time axis, 1 or more; default 100 ms.
    pub bucket_us: u64,
    /// Proxies in the scenario; default 0.
    pub proxies: u16,
    /// How many of these, the last ones, are edges: what they have for sources are the other proxies, numbered after the sources; default 0.
    pub edges: u16,
    /// Instances of the source; default 0.
    pub sources: u16,
    /// Clients; default 0.
    pub clients: u32,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { bucket_us: 100_000, proxies: 0, edges: 0, sources: 0, clients: 0 }
    }
}

/// Turns the events of a run into [`Metrics`] as they come.
///
/// Cheap enough for every event of every run: a look-up or two, no allocation but for what is met the first time. Memory is bounded: it grows with the
/// numbers of clients, symbols and buckets, not with that of events.
pub struct Collector {
    bucket_us: u64,
    bucket_end_us: u64,
    buckets: u64,
    delivery: Recorder,
    echo: Recorder,
    connect: Whole,
    sends: Sends,
    clients: Clients,
    incidents: Incidents,
    addresses: Addresses,
    proxies: Vec<Proxy>,
    tiers: Tiers,
    sources: Vec<Source>,
    now: Bucket,
    series: Series,
    jain: Vec<Option<f64>>,
    /// Whether any proxy ever told of a leg.
    legs_told: bool,
    totals: Totals,
    faults: Vec<FaultWindow>,
    phases: Vec<PhaseMark>,
}

/// Counts of the bucket under way.
#[derive(Default)]
struct Bucket {
    deliveries: u64,
    source_sends: u64,
    client_sends: u64,
    echoes: u64,
    drops: u64,
    gaps: u64,
}

/// Who stands behind an address; never walked. It holds one entry for each session of the run.
#[derive(Default)]
struct Addresses {
    admitted: FxHashMap<SocketAddr, usize>,
    client: FxHashMap<SocketAddr, ClientId>,
    /// The client that a leg in relay mode serves, by the leg's own address.
    relayed: FxHashMap<SocketAddr, SocketAddr>,
}

#[derive(Default)]
struct Proxy {
    clients: u64,
    handshakes: u64,
    legs: u64,
    queue_bytes: u64,
    queue_bytes_max: u64,
    /// The greatest samples of the bucket under way.
    bucket_queue_bytes: Option<u64>,
    bucket_queue_bytes_max: Option<u64>,
    /// When a client of this proxy last got a message.
    heard_us: Option<u64>,
    /// Incidents (fan-out) that the next delivery heals.
    waits: Vec<u32>,
    columns: [Vec<u64>; 5],
}

#[derive(Default)]
struct Source {
    open: Vec<bool>,
    connections: u64,
    legs: u64,
    faults: u32,
    columns: [Vec<u64>; 2],
}

impl Default for Collector {
    fn default() -> Self {
        Self::new(MetricsConfig::default())
    }
}

impl Collector {
    /// An empty collector.
    #[must_use]
    pub fn new(config: MetricsConfig) -> Self {
        let bucket_us = config.bucket_us.max(1);
        let mut collector = Self {
            bucket_us,
            bucket_end_us: bucket_us,
            buckets: 0,
            delivery: Recorder::new(),
            echo: Recorder::new(),
            connect: Whole::default(),
            sends: Sends::default(),
            clients: Clients::with_capacity(config.clients as usize),
            incidents: Incidents::default(),
            addresses: Addresses::default(),
            proxies: Vec::new(),
            tiers: Tiers { sources: config.sources, proxies: config.proxies, edges: config.edges },
            sources: Vec::new(),
            now: Bucket::default(),
            series: Series::default(),
            jain: Vec::new(),
            legs_told: false,
            totals: Totals::default(),
            faults: Vec::new(),
            phases: Vec::new(),
        };
        for proxy in 0..config.proxies {
            collector.proxy(ProxyId(proxy));
        }
        for source in 0..config.sources {
            collector.source(SourceId(source));
        }
        collector
    }

    /// Takes the next event. Times should not run backwards; one that does counts for the bucket under way.
    #[inline]
    pub fn observe(&mut self, at_us: u64, event: &Event) {
        if at_us >= self.bucket_end_us {
            self.close_buckets(at_us);
        }
        match event {
            Event::ClientDeliver { client, symbol, n, stamp, intact, .. } => {
                self.now.deliveries += 1;
                self.totals.deliveries_damaged += u64::from(!intact);
                let latency_us = if stamp.is_some_and(|stamp| stamp.kind != Kind::Live) {
                    self.totals.deliveries_old += 1;
                    None
                } else {
                    let sent = self.sends.first(symbol, *n);
                    self.totals.deliveries_unmatched += u64::from(sent.is_none());
                    sent.map(|sent| at_us.saturating_sub(sent))
                };
                if let Some(latency_us) = latency_us {
                    self.delivery.record(latency_us);
                }
                self.reached(at_us, *client, latency_us);
            }
            Event::SourceSend { symbol, n, .. } => {
                self.now.source_sends += 1;
                self.sends.sent(at_us, *symbol, *n);
            }
            Event::ClientSend { late_us, .. } => {
                self.now.client_sends += 1;
                self.totals.client_send_late_us_max = self.totals.client_send_late_us_max.max(*late_us);
            }
            Event::ClientEcho { client, latency_us, .. } => {
                self.now.echoes += 1;
                self.echo.record(*latency_us);
                self.reached(at_us, *client, Some(*latency_us));
            }
            Event::ProxyDrop { why, .. } => {
                self.now.drops += 1;
                count(&mut self.totals.drops, *why);
            }
            _ => self.observe_rare(at_us, event),
        }
    }

    /// What happens once a connection, not once a message.
    fn observe_rare(&mut self, at_us: u64, event: &Event) {
        match event {
            Event::SourceOpen { source, leg, .. } => self.source_leg(*source, *leg, true),
            Event::SourceClose { source, leg, .. } => self.source_leg(*source, *leg, false),
            Event::ClientDial { client, session, .. } => {
                self.totals.clients_dialled += 1;
                self.clients.dial(at_us, *client, *session);
            }
            Event::ClientOpen { client, session, local, .. } => {
                self.totals.clients_opened += 1;
                self.addresses.client.insert(*local, *client);
                let proxy = self.addresses.admitted.get(local).copied();
                if let Some(dialled_us) = self.clients.opened(*client, *session, proxy) {
                    self.connect.record(at_us.saturating_sub(dialled_us));
                }
            }
            Event::ClientRefused { client, session, why, .. } => {
                count(&mut self.totals.clients_refused, *why);
                self.clients.refused(*client, *session);
            }
            Event::ClientClose { client, session, .. } => self.clients.closed(*client, *session),
            Event::ClientGap { from, to, reason, .. } => {
                self.now.gaps += 1;
                let messages = to.map_or(0, |to| to.saturating_sub(*from).saturating_add(1));
                self.gap(*reason, messages);
            }
            Event::ClientGarbled { .. } => self.totals.garbled += 1,
            Event::ProxyAdmit { proxy, peer } => self.admitted(*proxy, *peer),
            Event::ProxyLegUp { proxy, source, local, client, .. } => {
                self.proxy(*proxy);
                self.legs_told = true;
                if self.tiers.is_proxy(*source) {
                    return;
                }
                if let Some(source) = self.source(*source) {
                    source.legs += 1;
                }
                if let Some(client) = client {
                    self.addresses.relayed.insert(*local, *client);
                }
            }
            Event::ProxyLegDown { proxy, source, local: Some(local), why } => {
                self.leg_down(at_us, *proxy, *source, *local, *why);
            }
            Event::ProxyGauge { proxy, clients, handshakes, legs, queue_bytes, queue_bytes_max, .. } => {
                let Some(place) = self.proxy(*proxy) else { return };
                let proxy = &mut self.proxies[place];
                (proxy.clients, proxy.handshakes, proxy.legs) = (*clients, *handshakes, *legs);
                (proxy.queue_bytes, proxy.queue_bytes_max) = (*queue_bytes, *queue_bytes_max);
                proxy.bucket_queue_bytes = proxy.bucket_queue_bytes.max(Some(*queue_bytes));
                proxy.bucket_queue_bytes_max = proxy.bucket_queue_bytes_max.max(Some(*queue_bytes_max));
            }
            Event::FaultStart { fault, kind, target } => self.fault_starts(at_us, *fault, kind, target),
            Event::FaultStop { fault } => self.fault_stops(at_us, *fault),
            Event::Phase { phase } if self.phases.len() < MARKS_MAX => {
                self.phases.push(PhaseMark { at_us, phase: *phase });
            }
            _ => {}
        }
    }

    /// Ends the record at `end_us` (or at the last event, if that was later).
    #[must_use]
    pub fn finish(mut self, end_us: u64) -> Metrics {
        if end_us > self.bucket_end_us {
            self.close_buckets(end_us - 1);
        }
        self.close_bucket();
        let (delivery, delivery_series) = self.delivery.finish();
        let (echo, echo_series) = self.echo.finish();
        let (failovers, silence, outage) = self.incidents.finish();
        let mut series = self.series;
        let sum = |column: &[u64]| column.iter().sum();
        let totals = Totals {
            source_sends: sum(&series.source_sends),
            deliveries: sum(&series.deliveries),
            client_sends: sum(&series.client_sends),
            echoes: sum(&series.echoes),
            clients_closed: self.clients.closed,
            ..self.totals
        };
        (series.delivery_us, series.echo_us) = (delivery_series, echo_series);
        let measured: Vec<f64> = self.jain.iter().flatten().copied().collect();
        let mut fairness = self.clients.fairness();
        fairness.instances_jain_mean =
            (!measured.is_empty()).then(|| measured.iter().sum::<f64>() / measured.len() as f64);
        fairness.instances_jain = self.jain;
        Metrics {
            schema: SCHEMA,
            bucket_us: self.bucket_us,
            end_us,
            delivery: delivery.latency(),
            echo: echo.latency(),
            connect: self.connect.latency(),
            histograms: Histograms {
                delivery: delivery.histogram(),
                echo: echo.histogram(),
                connect: self.connect.histogram(),
                silence,
                outage,
            },
            totals,
            series,
            proxies: numbered(self.proxies)
                .map(|(id, Proxy { columns: [clients, handshakes, legs, queue_bytes, queue_bytes_max], .. })| {
                    ProxySeries { proxy: ProxyId(id), clients, handshakes, legs, queue_bytes, queue_bytes_max }
                })
                .collect(),
            sources: numbered(self.sources)
                .map(|(id, Source { columns: [connections, legs], .. })| SourceSeries {
                    source: SourceId(id),
                    connections,
                    legs,
                })
                .collect(),
            edges: self.tiers.edges,
            fairness,
            failovers,
            recovery_us: None,
            faults: self.faults,
            phases: self.phases,
        }
    }

    /// Something reached a client: its share, and the end of a silence.
    #[inline]
    fn reached(&mut self, at_us: u64, client: ClientId, latency_us: Option<u64>) {
        let Some(client) = self.clients.get(client) else { return };
        client.heard(at_us);
        if let Some(latency_us) = latency_us {
            client.latency(latency_us);
        }
        if let Some(number) = client.waits.take() {
            self.incidents.heal(number, at_us);
        }
        if let Some(proxy) = client.proxy.and_then(|place| self.proxies.get_mut(place)) {
            proxy.heard_us = Some(at_us);
            for number in proxy.waits.drain(..) {
                self.incidents.heal(number, at_us);
            }
        }
    }

    fn leg_down(&mut self, at_us: u64, proxy: ProxyId, source: SourceId, local: SocketAddr, why: Why) {
        count(&mut self.totals.legs_lost, why);
        if let Some(source) =
            Some(source).filter(|source| !self.tiers.is_proxy(*source)).and_then(|source| self.source(source))
        {
            source.legs = source.legs.saturating_sub(1);
        }
        let served = self.addresses.relayed.remove(&local);
        if matches!(why, Why::Shutdown | Why::Superseded) {
            return;
        }
        let Some(place) = self.proxy(proxy) else { return };
        let what = (proxy, source, why);
        match served {
            // Relay: the leg's own client waits. One that closed in order (and so ended its leg) has nothing to wait for.
            Some(_) if why == Why::Closed => {}
            Some(address) => {
                let client = self.addresses.client.get(&address).copied();
                let Some(client) = client.and_then(|client| self.clients.get(client)) else { return };
                client.waits = self.incidents.open(at_us, what, client.heard_us);
            }
            None => {
                let proxy = &mut self.proxies[place];
                let number = self.incidents.open(at_us, what, proxy.heard_us);
                proxy.waits.extend(number);
            }
        }
    }

    /// A proxy admitted a client: the client's session may be open already, or not yet.
    fn admitted(&mut self, proxy: ProxyId, peer: SocketAddr) {
        let Some(place) = self.proxy(proxy) else { return };
        self.addresses.admitted.insert(peer, place);
        if let Some(client) = self.addresses.client.get(&peer).copied()
            && let Some(client) = self.clients.get(client)
        {
            client.proxy = Some(place);
        }
    }

    fn gap(&mut self, reason: GapReason, messages: u64) {
        let gaps = &mut self.totals.gaps;
        let place = gaps.binary_search_by_key(&reason, |gaps| gaps.reason).unwrap_or_else(|place| {
            gaps.insert(place, Gaps { reason, times: 0, messages: 0 });
            place
        });
        gaps[place].times += 1;
        gaps[place].messages = gaps[place].messages.saturating_add(messages);
    }

    fn fault_starts(&mut self, at_us: u64, fault: u16, kind: &str, target: &str) {
        if let Some(source) = source_of(target).and_then(|source| self.source(source)) {
            source.faults += 1;
            if ends_process(kind) {
                // It reports nothing any more.
                source.open.clear();
                source.connections = 0;
            }
        }
        if self.faults.len() < MARKS_MAX {
            let window =
                FaultWindow { fault, kind: kind.into(), target: target.into(), start_us: at_us, stop_us: None };
            self.faults.push(window);
        }
    }

    fn fault_stops(&mut self, at_us: u64, fault: u16) {
        let open = self.faults.iter_mut().rev().find(|window| window.fault == fault && window.stop_us.is_none());
        let Some(window) = open else { return };
        window.stop_us = Some(at_us);
        let source = source_of(&window.target);
        if let Some(source) = source.and_then(|source| self.source(source)) {
            source.faults = source.faults.saturating_sub(1);
        }
    }

    fn source_leg(&mut self, source: SourceId, leg: LegId, opens: bool) {
        let Some(source) = self.source(source) else { return };
        if leg.index() >= CLIENTS_MAX {
            return;
        }
        if opens && leg.index() >= source.open.len() {
            source.open.resize(leg.index() + 1, false);
        }
        let Some(open) = source.open.get_mut(leg.index()) else { return };
        if std::mem::replace(open, opens) != opens {
            source.connections = if opens { source.connections + 1 } else { source.connections - 1 };
        }
    }

    /// The proxy's place, made if need be.
    fn proxy(&mut self, proxy: ProxyId) -> Option<usize> {
        grow(&mut self.proxies, proxy.index(), self.buckets, |proxy, length| {
            proxy.columns = std::array::from_fn(|_| vec![0; length]);
        })?;
        Some(proxy.index())
    }

    fn source(&mut self, source: SourceId) -> Option<&mut Source> {
        grow(&mut self.sources, source.index(), self.buckets, |source, length| {
            source.columns = std::array::from_fn(|_| vec![0; length]);
        })?;
        self.sources.get_mut(source.index())
    }

    #[cold]
    fn close_buckets(&mut self, at_us: u64) {
        while at_us >= self.bucket_end_us {
            if self.buckets >= BUCKETS_MAX - 1 {
                self.bucket_end_us = u64::MAX;
                return;
            }
            self.close_bucket();
            self.bucket_end_us = self.bucket_end_us.saturating_add(self.bucket_us);
        }
    }

    fn close_bucket(&mut self) {
        self.buckets += 1;
        self.delivery.close_bucket();
        self.echo.close_bucket();
        let now = std::mem::take(&mut self.now);
        let series = &mut self.series;
        for (column, value) in [
            (&mut series.deliveries, now.deliveries),
            (&mut series.source_sends, now.source_sends),
            (&mut series.client_sends, now.client_sends),
            (&mut series.echoes, now.echoes),
            (&mut series.drops, now.drops),
            (&mut series.gaps, now.gaps),
            (&mut series.clients_connecting, self.clients.connecting),
            (&mut series.clients_open, self.clients.open),
            (&mut series.clients_refused, self.clients.refused),
            (&mut series.clients_closed, self.clients.closed),
        ] {
            column.push(value);
        }
        for proxy in &mut self.proxies {
            let queue_bytes = proxy.bucket_queue_bytes.take().unwrap_or(proxy.queue_bytes);
            let queue_bytes_max = proxy.bucket_queue_bytes_max.take().unwrap_or(proxy.queue_bytes_max);
            let values = [proxy.clients, proxy.handshakes, proxy.legs, queue_bytes, queue_bytes_max];
            for (column, value) in proxy.columns.iter_mut().zip(values) {
                column.push(value);
            }
        }
        // The proxies' account where there is one: it survives the death of a source.
        let by_legs = self.legs_told;
        let shares = self.sources.iter().filter(|source| source.faults == 0);
        self.jain.push(jain(shares.map(|source| if by_legs { source.legs } else { source.connections } as f64)));
        for source in &mut self.sources {
            for (column, value) in source.columns.iter_mut().zip([source.connections, source.legs]) {
                column.push(value);
            }
        }
    }
}

/// Makes a place for `index`, its columns as long as the others'. `None`: too many.
fn grow<T: Default>(list: &mut Vec<T>, index: usize, buckets: u64, fill: impl Fn(&mut T, usize)) -> Option<()> {
    if index >= INSTANCES_MAX {
        return None;
    }
    while list.len() <= index {
        let mut entry = T::default();
        fill(&mut entry, usize::try_from(buckets).ok()?);
        list.push(entry);
    }
    Some(())
}

fn numbered<T>(list: Vec<T>) -> impl Iterator<Item = (u16, T)> {
    (0..).zip(list)
}

fn count(causes: &mut Vec<Cause>, why: Why) {
    let place = causes.binary_search_by_key(&why, |cause| cause.why).unwrap_or_else(|place| {
        causes.insert(place, Cause { why, times: 0 });
        place
    });
    causes[place].times += 1;
}

/// The source that a fault hits: `source-1`, or the link `proxy-0/source-1`.
fn source_of(target: &str) -> Option<SourceId> {
    let name = target.rsplit('/').next()?;
    name.strip_prefix("source-")?.parse().ok().map(SourceId)
}
