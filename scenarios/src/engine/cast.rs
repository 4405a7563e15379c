//! Who plays in a run, for any world: sources, proxies, clients, and the driver that makes things go wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loadgen::{Arrival, Reader, Reconnect};
use sim::{Build, HostId, NotExpressible};
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Sink};
use wire::id::{ProxyId, SourceId, Symbol};
use wire::net::{Network, SocketOptions};

use super::driver;
use super::reins::Reins;
use crate::engine::Options;
use crate::model::{self, Consumed, Engine, FaultKind, ProxyMode, SlowClient, SourceMode, Subscriptions, Waves, Zipf};
use crate::mutants::{Mutant, WrongWorld};
use crate::plan::{ClientHost, PROXY_PORT, Plan, Planned, SOURCE_PORT, Start, source_host};
use crate::recorder::Recorder;
use crate::span::Span;

/// Who was put into a world, by name.
pub(super) type Hosts = BTreeMap<String, HostId>;

/// A proxy could not serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProxy {
    #[error("the plan has no proxy {0}")]
    Unknown(u16),
    #[error(transparent)]
    Serve(#[from] proxy::ServeError),
}

/// Puts everyone into a world, the driver last.
pub(super) fn assemble<B: Build>(world: &mut B, plan: &Plan, options: Options, recorder: &Arc<Recorder>) -> Hosts {
    let mut hosts = Hosts::new();
    let sink: Arc<dyn Sink> = Arc::<Recorder>::clone(recorder);
    let observer = Observer::new(sink);
    for index in 0..plan.scenario.sources.count {
        let config = source(plan, index);
        let observer = observer.clone();
        let id = world.host(&source_host(index), move |net| {
            let (config, observer) = (config.clone(), observer.clone());
            async move {
                // The counters are the program's own; each life begins with new ones.
                let config = mock_upstream::Config { counters: mock_upstream::Counters::default(), ..config };
                mock_upstream::serve(config, net, CancellationToken::new(), observer).await
            }
        });
        hosts.insert(source_host(index), id);
    }
    let reins = reins(plan, options.mutant);
    let behind = behind_proxies(plan, Arc::<Recorder>::clone(recorder));
    for (index, host) in (0..).zip(plan.proxy_hosts().chain(plan.edge_hosts())) {
        let observer = if index < plan.scenario.proxy.count { observer.clone() } else { behind.clone() };
        let (mutant, reins) = (options.mutant, reins.clone());
        let id = world.host(&host, move |net| {
            let (reins, observer) = (reins.clone(), observer.clone());
            async move { play(index, net, observer, mutant, &reins).await }
        });
        hosts.insert(host, id);
    }
    for host in &plan.client_hosts {
        let config = clients(plan, host);
        let observer = observer.clone();
        let id = world.host(&host.name, move |net| {
            let (config, observer) = (config.clone(), observer.clone());
            async move { loadgen::run(config, net, CancellationToken::new(), observer).await }
        });
        hosts.insert(host.name.clone(), id);
    }
    let (plan, recorder, control, looked_at) = (plan.clone(), Arc::clone(recorder), world.control(), hosts.clone());
    world.foreground("driver", move |_net| {
        driver::drive(plan.clone(), Arc::clone(&recorder), control, reins.clone(), looked_at.clone())
    });
    hosts
}

/// One life of a proxy, which is under the driver's hand meanwhile.
pub(super) async fn play<N: Network>(
    index: u16,
    net: N,
    observer: Observer,
    mutant: Option<&'static Mutant>,
    reins: &Reins,
) -> Result<(), NoProxy> {
    let config = reins.config(index).ok_or(NoProxy::Unknown(index))?;
    let mut policies = proxy::Policies::default();
    let config = match mutant {
        Some(mutant) => (mutant.plant)(&mut policies, config),
        None => config,
    };
    match mutant.and_then(Mutant::world) {
        Some(wrong) => serve(index, config, policies, WrongWorld::new(net, wrong), observer, reins).await,
        None => serve(index, config, policies, net, observer, reins).await,
    }
}

async fn serve<N: Network>(
    index: u16,
    config: proxy::Config,
    policies: proxy::Policies,
    net: N,
    observer: Observer,
    reins: &Reins,
) -> Result<(), NoProxy> {
    let server = proxy::Server::bind(config, policies, net, observer).await?;
    let _held = reins.hold(index, server.handle());
    server.run(CancellationToken::new()).await;
    Ok(())
}

/// The name that stands for all instances where there is a balancer.
const FRONT: &str = "front";

/// Gives the instances that clients connect to one address, where there is one.
pub(super) fn address<B: Build>(world: &mut B, plan: &Plan, hosts: &Hosts) -> Result<(), NotExpressible> {
    let Some(balancer) = plan.scenario.balancer else { return Ok(()) };
    let fronts = plan.front_hosts();
    world.address(FRONT, balancer.simulated(fronts.iter().filter_map(|host| hosts.get(host).copied()).collect()))
}

/// Sets the links that are not like the others.
pub(super) fn links<B: Build>(world: &mut B, plan: &Plan, engine: Engine, hosts: &Hosts) -> Result<(), NotExpressible> {
    for ((one, other), shape) in &plan.links {
        if let (Some(one), Some(other)) = (hosts.get(one), hosts.get(other)) {
            world.link(*one, *other, super::simulated::link(*shape, engine))?;
        }
    }
    Ok(())
}

pub(super) fn source(plan: &Plan, index: u16) -> mock_upstream::Config {
    let sources = &plan.scenario.sources;
    let mut config = mock_upstream::Config {
        symbols: plan.symbols(),
        period: sources.period.as_duration(),
        rates: sources.simulated_rates(),
        seed: plan.seed,
        mode: match sources.mode {
            SourceMode::V1 => mock_upstream::Mode::V1,
            SourceMode::V2 => mock_upstream::Mode::V2,
            SourceMode::Echo => mock_upstream::Mode::Echo,
        },
        key_limit: sources.key_limit,
        script: script(plan, &source_host(index)),
        denied: plan.denied(index),
        ..mock_upstream::Config::new(SourceId(index), ([0, 0, 0, 0], SOURCE_PORT).into())
    };
    sources.apply_messages(&mut config);
    config
}

/// What proxies and clients speak in front of such sources.
fn protocol(sources: SourceMode) -> wire::feed::Protocol {
    match sources {
        SourceMode::V1 => wire::feed::Protocol::V1,
        SourceMode::V2 => wire::feed::Protocol::V2,
        SourceMode::Echo => wire::feed::Protocol::Raw,
    }
}

/// The faults that a source does by itself.
fn script(plan: &Plan, host: &str) -> mock_upstream::Script {
    let own = plan.faults.iter().filter(|fault| fault.simulated.is_none() && fault.target == host);
    let step = |fault: &Planned| {
        // One that waits for an event was refused before: a script goes by the clock.
        let Start::At(at) = fault.start else { return Vec::new() };
        let for_ = fault.lasts.unwrap_or(plan.end_at);
        let action = match fault.kind {
            FaultKind::Garbage => {
                let times = (0..model::Fault::GARBAGE_MAX as u32).map(|nth| fault.every.saturating_mul(nth));
                let within = times.take_while(|since| *since < for_);
                let one = |since| mock_upstream::Step { at: at + since, action: mock_upstream::Action::Garbage };
                return within.map(one).collect();
            }
            FaultKind::CloseAll => mock_upstream::Action::CloseAll { code: fault.code },
            FaultKind::Oversized => mock_upstream::Action::Oversized { bytes: fault.bytes },
            FaultKind::Slam => mock_upstream::Action::Slam { for_ },
            _ => mock_upstream::Action::Silence { symbol: None, for_ },
        };
        vec![mock_upstream::Step { at, action }]
    };
    mock_upstream::Script { steps: own.flat_map(step).collect() }
}

/// What edges report, on its way to the record. What an edge has for a source is a proxy, numbered after the sources.
struct BehindProxies {
    record: Arc<dyn Sink>,
    sources: u16,
}

/// The observer of an edge, on the way to `record`.
pub(super) fn behind_proxies(plan: &Plan, record: Arc<dyn Sink>) -> Observer {
    Observer::new(Arc::new(BehindProxies { record, sources: plan.scenario.sources.count }))
}

impl Sink for BehindProxies {
    fn record(&self, mut event: Event) {
        if let Some(upstream) = event.upstream_mut() {
            upstream.0 += self.sources;
        }
        self.record.record(event);
    }

    fn wants_ticks(&self) -> bool {
        self.record.wants_ticks()
    }
}

/// The proxies under the driver's hand, edges after those that feed them. A bug that is planted in a configuration is planted in each that a reload brings, too.
pub(super) fn reins(plan: &Plan, mutant: Option<&'static Mutant>) -> Reins {
    let protocol = protocol(plan.scenario.sources.mode);
    let sources: Vec<String> = plan.source_hosts().map(|host| format!("ws://{host}:{SOURCE_PORT}/")).collect();
    let proxies: Vec<String> = plan.proxy_hosts().map(|host| format!("ws://{host}:{PROXY_PORT}/")).collect();
    let first_edge = plan.scenario.proxy.count;
    let said = std::iter::repeat_n(&plan.scenario.proxy, usize::from(first_edge));
    let of_edges = plan.scenario.edge.iter().flat_map(|edge| std::iter::repeat_n(edge, usize::from(edge.count)));
    Reins::new((0..).zip(said.chain(of_edges).cloned()), move |index, said| {
        proxy(said, index, if index < first_edge { &sources } else { &proxies }, protocol)
    })
    .planting(mutant)
}

fn proxy(said: &model::Proxy, index: u16, upstreams: &[String], protocol: wire::feed::Protocol) -> proxy::Config {
    let mode = match said.mode {
        ProxyMode::Fanout => proxy::Mode::Fanout,
        ProxyMode::Relay => proxy::Mode::Relay,
    };
    let mut config = proxy::Config::new(([0, 0, 0, 0], PROXY_PORT).into(), mode, upstreams);
    config.id = ProxyId(index);
    config = config.with_protocol(protocol);
    if let Some(consumed) = said.sources {
        config.sources = match consumed {
            Consumed::Active => proxy::Sources::Active,
            Consumed::Hot => proxy::Sources::Hot,
            Consumed::Sharded => proxy::Sources::Sharded,
        };
    }
    if let Some(most) = said.clients_max {
        config.limits.clients_max = most as _;
    }
    if let Some(bytes) = said.queue_bytes {
        config.limits.queue_bytes_max = bytes as _;
    }
    if let Some(policy) = said.slow_client {
        config.limits.slow_client = match policy {
            SlowClient::Conflate => proxy::SlowClient::Conflate,
            SlowClient::DropOldest => proxy::SlowClient::DropOldest,
            SlowClient::Disconnect => proxy::SlowClient::Disconnect,
        };
    }
    if let Some(after) = said.stale_after {
        config.health.stale_after = after.as_duration();
    }
    if let Some(over) = said.slow_start {
        config.slow_start = over.as_duration();
    }
    config.moves_per_second = said.moves_per_second.unwrap_or(config.moves_per_second);
    let limits = &mut config.limits;
    limits.clients_per_upstream_max = said.clients_per_upstream_max.or(limits.clients_per_upstream_max);
    limits.pending_max = said.pending_max.map_or(limits.pending_max, |most| most as _);
    limits.pending_timeout = said.pending_timeout.map_or(limits.pending_timeout, |longest| longest.as_duration());
    limits.dials_per_second_max = said.dials_per_second_max.unwrap_or(limits.dials_per_second_max);
    limits.dials_burst = said.dials_burst.unwrap_or(limits.dials_burst);
    said.guard.apply(&mut config);
    said.drain.apply(&mut config);
    config
}

pub(super) fn clients(plan: &Plan, host: &ClientHost) -> loadgen::Config {
    let group = &plan.scenario.clients[host.group];
    let start = group.start.as_duration();
    let share = |whole: Duration| whole.mul_f64(f64::from(host.count) / f64::from(group.count));
    let (start_after, arrival) = match group.load.arrival() {
        model::Arrival::AtOnce => (start, Arrival::AtOnce),
        model::Arrival::Ramp(over) => {
            let over = over.as_duration();
            let offset = over.mul_f64(f64::from(host.offset) / f64::from(group.count));
            (start + offset, Arrival::Ramp { over: share(over) })
        }
        model::Arrival::Poisson(per_s) => {
            (start, Arrival::Poisson { per_s: per_s * f64::from(host.count) / f64::from(group.count) })
        }
        model::Arrival::Waves(Waves { each, every }) => {
            let (waves, ahead) = (host.offset / each, host.offset % each);
            (start + every.as_duration() * waves, Arrival::Waves { each, every: every.as_duration(), ahead })
        }
    };
    let fronts = if plan.scenario.balancer.is_some() { vec![FRONT.to_owned()] } else { plan.front_hosts() };
    let mut config = loadgen::Config::new(fronts.iter().map(|host| format!("ws://{host}:{PROXY_PORT}/")).collect());
    // A few ticks: the library clears all of a buffer before each read, and ten thousand clients have ten thousand of them.
    config.limits.read_buffer = if plan.scenario.sources.padding.is_some() { 4_096 } else { 512 };
    // The proxy's envelope comes on top.
    config.limits.message_max = config.limits.message_max.max(plan.limits().source_message_max + 1_024);
    // As many requests as may fall due together.
    let most = 128 * group.request_bytes.unwrap_or(0) as usize;
    config.limits.write_buffer_max = config.limits.write_buffer_max.max(most);
    config.clients = host.count;
    config.first = host.first;
    config.load = match &group.load {
        model::Load::Open(open) => loadgen::Load::Open {
            arrival,
            requests_per_s: open.requests_per_s,
            stay: open.stay.map(Span::as_duration),
            session: open.session.map(Span::as_duration),
        },
        model::Load::Closed(closed) => loadgen::Load::Closed {
            ramp: share(closed.ramp.as_duration()),
            think: closed.think.map(Span::as_duration),
            session: closed.session.map(Span::as_duration),
        },
    };
    config.start_after = start_after;
    // Who is not told to leave outlasts the run.
    config.duration = plan.end_at + Duration::from_secs(3600);
    config.symbols = plan.symbols();
    config.subscriptions = match &group.subscriptions {
        Subscriptions::All => loadgen::Subscriptions::All,
        Subscriptions::Uniform(each) => loadgen::Subscriptions::Uniform { each: *each },
        Subscriptions::Zipf(Zipf { each, exponent }) => {
            loadgen::Subscriptions::Zipf { each: *each, exponent: *exponent }
        }
        Subscriptions::Symbols(names) => {
            config.symbols = names.iter().filter_map(|name| Symbol::new(name).ok()).collect();
            loadgen::Subscriptions::All
        }
    };
    config.protocol = protocol(plan.scenario.sources.mode);
    config.strong = group.strong;
    config.resume = group.resume;
    config.seed = Some(plan.seed);
    config.reader = match group.reader {
        model::Reader::Full => Reader::Full,
        model::Reader::BytesPerS(bytes) => Reader::BytesPerSecond(bytes),
        model::Reader::StopsAfter(after) => Reader::Stopped { after: after.as_duration() },
    };
    config.request_bytes = group.request_bytes.map_or(config.request_bytes, |bytes| bytes as _);
    config.reconnect = group.reconnect.then(|| match group.backoff {
        None => Reconnect::default(),
        Some(model::Backoff { base, cap }) => {
            Reconnect { base: base.as_duration(), cap: cap.as_duration(), ..Reconnect::default() }
        }
    });
    let behaviour = &group.behaviour;
    let guard = &plan.scenario.proxy.guard;
    config.user_key = behaviour.user_key.as_ref().or(guard.keys.first()).cloned().unwrap_or(config.user_key);
    config.behaviour = does(behaviour, plan);
    config.socket = SocketOptions { recv_buffer: group.recv_buffer, nodelay: Some(true), ..SocketOptions::default() };
    config
}

/// What clients do beside listening.
fn does(said: &model::Behaviour, plan: &Plan) -> loadgen::Behaviour {
    const OFFENDS_AFTER: Duration = Duration::from_secs(1);
    loadgen::Behaviour {
        pings_every: said.pings_every.map(|every| every.as_duration()),
        pongs: said.pongs,
        resubscribe_every: said.resubscribe_every.map(|every| every.as_duration()),
        asks_per_s: said.asks_per_s,
        origin: said.origin.clone(),
        handshake: match said.handshake {
            model::Handshake::Whole => loadgen::Handshake::Whole,
            model::Handshake::Slow(pause) => loadgen::Handshake::Slow { pause: pause.as_duration() },
            model::Handshake::Unfinished(bytes) => loadgen::Handshake::Unfinished { bytes: bytes as _ },
        },
        offence: said.offends.map(|offence| {
            let after = said.offends_after.map_or(OFFENDS_AFTER, |after| after.as_duration());
            (offence.done(plan.limits().client_message_max), after)
        }),
    }
}
