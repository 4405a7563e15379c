//! What the runner, the networks and the control share: one value in a thread-local.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::Commands;
use crate::config::{SimConfig, micros};
use crate::control::HostState;
use crate::failure::Cause;
use crate::panics;
use crate::setup::HostId;
use crate::trace::Trace;

/// What the control asks for, until the tick's end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Kill(HostId),
    Start(HostId),
    Hold(HostId, HostId),
    Release(HostId, HostId),
    Latency(HostId, HostId, Duration),
}

struct Host {
    name: String,
    addr: IpAddr,
    foreground: bool,
    finished: bool,
    running: bool,
    boot: u32,
}

pub(super) struct State {
    pub(super) seed: u64,
    pub(super) epoch_us: u64,
    pub(super) elapsed_us: u64,
    pub(super) trace: Trace,
    pub(super) commands: Commands,
    pub(super) finish: bool,
    failure: Option<Cause>,
    hosts: Vec<Host>,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

pub(super) fn install(state: State) {
    STATE.with(|cell| *cell.borrow_mut() = Some(state));
}

pub(super) fn uninstall() -> Option<State> {
    STATE.with(|cell| cell.borrow_mut().take())
}

pub(super) fn with<R>(f: impl FnOnce(&mut State) -> R) -> Option<R> {
    STATE.try_with(|cell| cell.borrow_mut().as_mut().map(f)).ok().flatten()
}

/// Virtual microseconds since the run began.
pub(crate) fn now_us() -> u64 {
    match turmoil::sim_elapsed() {
        Some(elapsed) => micros(elapsed),
        None => with(|state| state.elapsed_us).unwrap_or(0),
    }
}

/// Runs a future so that a panic of it fails the run and ends only this task.
pub(super) async fn caught<F: Future>(host: u32, task: &'static str, future: F) -> Option<F::Output> {
    let mut future: Pin<Box<F>> = Box::pin(future);
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => {
            with(|state| {
                let name = state.hosts.get(host as usize).map_or("", |host| host.name.as_str());
                let cause = panics::taken(name, task);
                state.failure.get_or_insert(cause);
            });
            Poll::Ready(None)
        }
    })
    .await
}

/// The main future of a host has ended.
pub(super) fn ended(host: u32, boot: u32, result: Option<Result<(), String>>) {
    with(|state| {
        let machine = &mut state.hosts[host as usize];
        if machine.boot != boot {
            return;
        }
        machine.finished = result.is_some();
        if let Some(Err(error)) = result {
            state.failure.get_or_insert(Cause::Program { host: machine.name.clone(), error });
        }
        state.commands.push_back(Command::Kill(HostId(host)));
    });
}

impl State {
    pub(super) fn new(config: &SimConfig) -> Self {
        Self {
            seed: config.seed,
            epoch_us: config.epoch.as_micros(),
            elapsed_us: 0,
            trace: Trace::new(config.trace_events_max),
            commands: Commands::new(),
            finish: false,
            failure: None,
            hosts: Vec::new(),
        }
    }

    pub(super) fn add_host(&mut self, name: &str, addr: IpAddr, foreground: bool) {
        let name = name.to_owned();
        self.hosts.push(Host { name, addr, foreground, finished: false, running: true, boot: 0 });
    }

    /// A program starts: its incarnation, from 1.
    pub(super) fn boot(&mut self, host: u32) -> u32 {
        let machine = &mut self.hosts[host as usize];
        machine.boot += 1;
        machine.boot
    }

    pub(super) fn stop(&mut self, host: HostId) -> bool {
        std::mem::replace(&mut self.hosts[host.index()].running, false)
    }

    pub(super) fn start(&mut self, host: HostId) -> bool {
        let machine = &mut self.hosts[host.index()];
        machine.finished = false;
        !std::mem::replace(&mut machine.running, true)
    }

    pub(super) fn host_state(&self, host: HostId) -> Option<HostState> {
        let machine = self.hosts.get(host.index())?;
        Some(if machine.running { HostState::Running } else { HostState::Stopped })
    }

    pub(super) fn name(&self, host: u32) -> &str {
        &self.hosts[host as usize].name
    }

    pub(super) fn addr(&self, name: &str) -> Option<IpAddr> {
        self.hosts.iter().find(|host| host.name == name).map(|host| host.addr)
    }

    pub(super) fn is_own_addr(&self, host: u32, addr: IpAddr) -> bool {
        self.hosts[host as usize].addr == addr
    }

    pub(super) fn is_unfinished(&self) -> bool {
        self.hosts.iter().any(|host| host.foreground && !host.finished)
    }

    pub(super) fn verdict(&mut self) -> Option<Result<(), Cause>> {
        if let Some(cause) = self.failure.take() {
            return Some(Err(cause));
        }
        let done = self.hosts.iter().any(|host| host.foreground) && !self.is_unfinished();
        (self.finish || done).then_some(Ok(()))
    }
}
