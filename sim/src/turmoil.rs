//! The second engine: the same programs under turmoil 0.7's own simulator, a model that others wrote.
//!
//! When the two engines disagree about an invariant, one of them is wrong. What turmoil cannot express, it refuses
//! ([`NotExpressible`]). Known differences: time goes in ticks of 1 ms, and faults take effect at the next tick; a connect takes one one-way
//! delay; a host that is killed while a request is under way refuses it a round trip later than it should, and once started again may see
//! it arrive and end; buffers count writes, not bytes; socket options are ignored; a failed connect leaks one of 49,152 ports; the
//! handshake's answer ignores an outage; tasks are polled by tokio. The trace hash covers what programs read.

mod control;
mod net;
mod state;

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, UNIX_EPOCH};

pub use self::control::{Control, expressible};
pub use self::net::{Listener, Net, Stream};
use self::state::{Command, State};
use crate::config::{AtHorizon, Latency, LinkConfig, SimConfig, micros};
use crate::engine::{Build, NotExpressible};
use crate::failure::{Cause, Ended, Failure, Report};
use crate::kernel::address::Address;
use crate::run::fresh_thread;
use crate::setup::{HostId, Outcome};
use crate::{guard, interpose, panics};

pub(crate) use self::state::{host_name, now_us};

type Program = Box<dyn Fn(Net) -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>>;

/// A turmoil world being built.
pub struct Setup {
    hosts: Vec<(String, Program, bool)>,
    links: Vec<(HostId, HostId, Duration)>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Setup({} hosts)", self.hosts.len())
    }
}

impl Setup {
    fn add<P, F, O>(&mut self, name: &str, program: P, foreground: bool) -> HostId
    where
        P: Fn(Net) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        assert!(self.hosts.iter().all(|(known, ..)| known != name), "two hosts are named {name}");
        let id = HostId(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX));
        let program: Program = Box::new(move |net| {
            let main = program(net);
            Box::pin(async move { main.await.outcome() })
        });
        self.hosts.push((name.to_owned(), program, foreground));
        id
    }
}

impl Build for Setup {
    type Net = Net;
    type Control = Control;

    fn host<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(Net) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        self.add(name, program, false)
    }

    fn foreground<P, F, O>(&mut self, name: &str, program: P) -> HostId
    where
        P: Fn(Net) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        self.add(name, program, true)
    }

    fn link(&mut self, a: HostId, b: HostId, link: LinkConfig) -> Result<(), NotExpressible> {
        let (min, max) = latencies(link)?;
        if min != max {
            return Err(NotExpressible("a varying latency on one link"));
        }
        self.links.push((a, b, min));
        Ok(())
    }

    fn address(&mut self, _name: &str, _address: Address) -> Result<(), NotExpressible> {
        Err(NotExpressible("one address for several hosts"))
    }

    fn control(&self) -> Control {
        Control
    }
}

/// What turmoil makes of a link: the shortest and the longest delay, in whole milliseconds, rounded up.
fn latencies(link: LinkConfig) -> Result<(Duration, Duration), NotExpressible> {
    if link.loss > 0.0 {
        return Err(NotExpressible("loss as delay"));
    }
    if link.bandwidth.is_some() {
        return Err(NotExpressible("bandwidth"));
    }
    let whole = |delay: Duration| Duration::from_millis(micros(delay).div_ceil(1000).max(1));
    match link.latency {
        Latency::Fixed(delay) => Ok((whole(delay), whole(delay))),
        Latency::Uniform { .. } => Err(NotExpressible("a uniform latency")),
        Latency::Exponential { .. } => Err(NotExpressible("this exponential latency")),
        Latency::LogNormal { .. } => Err(NotExpressible("a log-normal latency")),
        Latency::Spikes { .. } => Err(NotExpressible("spikes of latency")),
    }
}

/// Runs one world under turmoil. Of the configuration it takes: seed, horizon and what then, the default link (a fixed latency), epoch, shards,
/// `trace_events_max`. Service times and another order of tasks are refused.
///
/// # Errors
/// As [`crate::run`]; [`Cause::NotExpressible`] for a world that turmoil cannot be.
pub fn run(config: SimConfig, setup: impl FnOnce(&mut Setup) + Send) -> Result<Report, Failure> {
    fresh_thread(|| {
        panics::catch_here();
        interpose::enter(wire::draw::Draws::new(config.seed, "getrandom", 0).nth(0));
        state::install(State::new(&config));
        let outcome = catch_unwind(AssertUnwindSafe(|| checked(&config, setup)));
        let result = outcome.unwrap_or_else(|_| Err(panics::taken("", "turmoil or the set-up")));
        let result = guard::verdict().map_or(result, Err);
        let state = state::uninstall();
        interpose::leave();
        let mut report = state.map_or_else(Report::default, |state| Report {
            trace_hash: state.trace.hash,
            trace_count: state.trace.count,
            hosts: state.names(),
            trace_events: state.trace.events,
            trace_checkpoints: state.trace.checkpoints,
            elapsed_us: state.elapsed_us,
            ..Report::default()
        });
        match result {
            Ok(ended) => {
                report.ended = ended;
                Ok(report)
            }
            Err(cause) => Err(Failure { cause, report: Box::new(report) }),
        }
    })
}

fn checked(config: &SimConfig, setup: impl FnOnce(&mut Setup)) -> Result<Ended, Cause> {
    interpose::check().map_err(|what| Cause::Harness(what.to_owned()))?;
    if !config.service.is_free() {
        return Err(NotExpressible("service times").into());
    }
    if config.stop_at.is_some() || config.pause_at.is_some() {
        return Err(NotExpressible("a stop at an instant").into());
    }
    if config.reseed.is_some() {
        return Err(NotExpressible("another seed from an instant on").into());
    }
    let (min, max) = latencies(config.link)?;
    let mut built = Setup { hosts: Vec::new(), links: Vec::new() };
    setup(&mut built);
    let mut sim = turmoil::Builder::new()
        .epoch(UNIX_EPOCH + Duration::from_micros(config.epoch.as_micros()))
        .rng_seed(config.seed)
        .simulation_duration(config.horizon + Duration::from_secs(3600))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(min)
        .max_message_latency(max)
        // The backlog and the buffers, in writes: overflow of the backlog is a panic, so it is high.
        .tcp_capacity(16_384)
        // Hosts run in the order of set-up in each tick; another order is not drawn.
        // A failed connect never gives its port back.
        .ephemeral_ports(16_384..=65_535)
        .build();
    state::with(|state| state.set_default_delay(min));
    let mut addrs = Vec::new();
    for (index, (name, _, foreground)) in built.hosts.iter().enumerate() {
        let addr = std::net::IpAddr::from(HostId(index as u32).addr());
        addrs.push(addr);
        state::with(|state| state.add_host(name, addr, *foreground));
    }
    for (index, (_, program, _)) in built.hosts.into_iter().enumerate() {
        let host = index as u32;
        sim.host(addrs[index], move || {
            let boot = state::with(|state| state.boot(host)).unwrap_or_default();
            let main = state::caught(host, "main", program(Net::new(host, boot)));
            async move {
                // The process ends with its main future: the runner drops the rest of it.
                state::ended(host, boot, main.await);
                std::future::pending().await
            }
        });
    }
    for (a, b, delay) in built.links {
        sim.set_link_latency(addrs[a.index()], addrs[b.index()], delay);
        state::with(|state| state.set_delay(a, b, delay));
    }
    steps(&mut sim, config, &addrs)
}

fn steps(sim: &mut turmoil::Sim<'_>, config: &SimConfig, addrs: &[std::net::IpAddr]) -> Result<Ended, Cause> {
    loop {
        let stepped = sim.step();
        let elapsed = sim.elapsed();
        state::with(|state| state.elapsed_us = micros(elapsed));
        stepped.map_err(|error| Cause::Harness(format!("turmoil: {error}")))?;
        // One by one: dropping a crashed host's futures may give more commands.
        while let Some(command) = state::with(|state| state.commands.pop_front()).flatten() {
            carry_out(sim, command, addrs);
        }
        if let Some(verdict) = state::with(State::verdict).flatten() {
            return verdict.map(|()| Ended::Finished);
        }
        if elapsed >= config.horizon {
            let unfinished = state::with(|state| state.is_unfinished()).unwrap_or(false);
            return if unfinished && config.at_horizon == AtHorizon::FailIfUnfinished {
                Err(Cause::Horizon { waiting: Vec::new() })
            } else {
                Ok(Ended::Horizon)
            };
        }
    }
}

fn carry_out(sim: &mut turmoil::Sim<'_>, command: Command, addrs: &[std::net::IpAddr]) {
    let addr = |host: HostId| addrs[host.index()];
    match command {
        Command::Kill(host) => {
            if state::with(|state| state.stop(host)) == Some(true) {
                sim.crash(addr(host));
            }
        }
        Command::Start(host) => {
            if state::with(|state| state.start(host)) == Some(true) {
                sim.bounce(addr(host));
            }
        }
        Command::Hold(a, b) => {
            state::with(|state| state.set_held(a, b, true));
            sim.hold(addr(a), addr(b));
        }
        Command::Release(a, b) => {
            state::with(|state| state.set_held(a, b, false));
            sim.release(addr(a), addr(b));
        }
        Command::Latency(a, b, delay) => {
            state::with(|state| state.set_delay(a, b, delay));
            relay(sim, (a, b), addrs);
        }
        Command::Extra(a, b, extra) => {
            state::with(|state| state.set_extra(a, b, extra));
            relay(sim, (a, b), addrs);
        }
    }
}

/// Tells turmoil the delay of a link.
fn relay(sim: &mut turmoil::Sim<'_>, (a, b): (HostId, HostId), addrs: &[std::net::IpAddr]) {
    let delay = state::with(|state| state.delay(a, b)).unwrap_or_default();
    sim.set_link_latency(addrs[a.index()], addrs[b.index()], delay);
}

/// Commands wait for the end of the tick.
type Commands = VecDeque<Command>;
