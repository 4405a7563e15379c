//! The simulated machines' kernels and the wires between them: one value, in a thread-local, that owns all sockets.
//!
//! ```text
//!   flow    one direction of a connection: bytes, counters, what is on the way
//!   stall   outages, retransmission, giving up
//!   conn    a connection: two ends, two flows; open, close, reset
//!   listen  listeners, SYN handling, accept queues, ports
//!   inspect who waits for what, what a host holds
//!   link    latency, bandwidth, loss and outages between two hosts
//!   tap     where packets are seen, for a capture
//!   cpu     cores: what network work costs, and who waits for whom
//!   faults  what is in force, and what that makes of hosts and links
//!   middle  what faults do to connections on their way: hold, slice, close, reset
//!   address one name for several hosts
//! ```
//!
//! Handles outside hold ids, never references. No waker is woken and no future dropped while the world is borrowed.

pub(crate) mod address;
mod conn;
mod cpu;
mod faults;
mod flow;
mod inspect;
mod link;
mod listen;
mod middle;
mod stall;
mod tap;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::task::Waker;

use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;
use wire::draw::Draws;

pub(crate) use self::conn::{Conn, ConnId, EndState, Waiter};
use self::cpu::Work;
pub(crate) use self::faults::Hit;
pub(crate) use self::flow::Fin;
pub use self::inspect::Sockets;
pub(crate) use self::listen::{ListenId, Listening};
use crate::config::{SimConfig, micros};
use crate::fault::Due;
use crate::setup::HostId;
use crate::trace::Trace;

/// An instant that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// What happens at an instant. Stale entries are recognised by their time: each kind is scheduled at most once for its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happening {
    /// The head of a flow's segments arrives.
    Arrive { conn: ConnId, dir: u8 },
    /// News of the receiver reaches a sender that waits for it.
    Credit { conn: ConnId, dir: u8 },
    /// A sender without an answer tries again.
    Retransmit { conn: ConnId, dir: u8 },
    /// A connection request reaches the server's host.
    Syn { conn: ConnId },
    /// The server's consent reaches the client.
    SynAck { conn: ConnId },
    /// The client asks again, or gives up.
    SynRetry { conn: ConnId, tries: u8 },
    /// A refusal reaches the client.
    Refused { conn: ConnId },
    /// Nobody has that address.
    Unreachable { conn: ConnId },
    /// A fault's time has come.
    Fault(Due),
    /// A fault closes a connection from the middle.
    Close { conn: ConnId, fault: u32 },
}

/// One machine, as its kernel sees it.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) ip: Ipv4Addr,
    /// Counts the boots of the machine: connections of an earlier boot are unknown to it.
    pub(crate) powered: bool,
    /// Sockets that its process may hold.
    descriptors_max: usize,
    /// What its accept queues hold at most, whatever was asked for.
    backlog_max: usize,
    /// Connections that it opened so far: numbers them.
    opened: u32,
    port_next: u16,
    cpu: cpu::Cpu,
    /// Since when its program does not run, if it does not and did before.
    down_since_us: Option<u64>,
}

/// Everything but the tasks.
pub(crate) struct World {
    pub(crate) config: SimConfig,
    pub(crate) now_us: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) conns: Slab<Conn>,
    pub(crate) trace: Trace,
    capture: Option<Box<crate::capture::Recorder>>,
    /// What was captured, once that has ended.
    pub(crate) captured: Option<crate::capture::Capture>,
    pub(crate) faults: faults::Faults,
    /// When something last moved: a segment, a handshake.
    pub(crate) moved_us: u64,
    links: Vec<link::LinkState>,
    links_by_pair: FxHashMap<(u32, u32), u32>,
    listeners: Slab<Listening>,
    listeners_by_port: FxHashMap<(u32, u16), Vec<ListenId>>,
    ports_used: FxHashSet<(u32, u16, std::net::SocketAddrV4)>,
    heap: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    scheduled: u64,
    serial: u32,
    wakes: Vec<Waker>,
    service_free: bool,
    addresses: Vec<address::Spread>,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    static NOW_US: Cell<u64> = const { Cell::new(0) };
    static RUN: Cell<u32> = const { Cell::new(0) };
}

/// Puts a new world into this thread.
pub(crate) fn install(config: SimConfig, run: u32) {
    let trace = Trace::new(&config);
    let service_free = config.service.is_free();
    let world = World {
        config,
        now_us: 0,
        hosts: Vec::new(),
        conns: Slab::new(),
        trace,
        capture: None,
        captured: None,
        faults: faults::Faults::default(),
        moved_us: 0,
        links: Vec::new(),
        links_by_pair: FxHashMap::default(),
        listeners: Slab::new(),
        listeners_by_port: FxHashMap::default(),
        ports_used: FxHashSet::default(),
        heap: BinaryHeap::new(),
        scheduled: 0,
        serial: 0,
        wakes: Vec::new(),
        service_free,
        addresses: Vec::new(),
    };
    RUN.set(run);
    NOW_US.set(0);
    WORLD.with(|cell| *cell.borrow_mut() = Some(world));
}

/// Takes the world out: handles that outlive it do nothing.
pub(crate) fn uninstall() -> Option<World> {
    RUN.set(0);
    WORLD.with(|cell| cell.borrow_mut().take())
}

/// Virtual microseconds since the run began; 0 outside a run.
pub(crate) fn now_us() -> u64 {
    NOW_US.try_with(Cell::get).unwrap_or(0)
}

/// Which run this thread is in; 0 outside.
pub(crate) fn run_id() -> u32 {
    RUN.try_with(Cell::get).unwrap_or(0)
}

/// Borrows the world; None outside a run. Wakes afterwards whom the call made ready.
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD
        .try_with(|cell| {
            let mut guard = cell.borrow_mut();
            let world = guard.as_mut()?;
            let result = f(world);
            if !world.wakes.is_empty() {
                let mut wakes = std::mem::take(&mut world.wakes);
                drop(guard);
                for waker in wakes.drain(..) {
                    waker.wake();
                }
                // Keep the allocation.
                if let Some(world) = cell.borrow_mut().as_mut()
                    && world.wakes.is_empty()
                {
                    world.wakes = wakes;
                }
            }
            Some(result)
        })
        .ok()
        .flatten()
}

impl World {
    /// Adds a machine, powered and without a program.
    pub(crate) fn add_host(&mut self, name: &str) -> u32 {
        let index = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        assert!(index < 65_000, "a world holds at most 65,000 hosts");
        let ip = HostId(index).addr();
        let cpu = cpu::Cpu::new(self.config.service, self.draws("cpu", u64::from(index)));
        self.hosts.push(Host {
            name: name.to_owned(),
            ip,
            powered: true,
            descriptors_max: usize::MAX,
            backlog_max: usize::MAX,
            opened: 0,
            port_next: PORT_FIRST,
            cpu,
            down_since_us: None,
        });
        index
    }

    /// The machine with this address, seen from `from`.
    pub(crate) fn host_at(&self, ip: Ipv4Addr, from: u32) -> Option<u32> {
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        let [a, b, x, y] = ip.octets();
        let index = u32::from(x) * 250 + u32::from(y).checked_sub(1)?;
        (a == 10 && b == 0 && y <= 250 && (index as usize) < self.hosts.len()).then_some(index)
    }

    /// The time of the next happening.
    pub(crate) fn next_at(&self) -> u64 {
        self.heap.peek().map_or(NEVER, |Reverse((at, _, _))| *at)
    }

    /// Moves the clock.
    pub(crate) fn set_now(&mut self, now_us: u64) {
        debug_assert!(now_us >= self.now_us, "time went backwards: {} to {now_us}", self.now_us);
        self.now_us = now_us;
        NOW_US.set(now_us);
    }

    /// Carries out all that is due now.
    pub(crate) fn happen(&mut self) -> u64 {
        let mut count = 0;
        while let Some(Reverse((at, _, _))) = self.heap.peek()
            && *at <= self.now_us
        {
            let Some(Reverse((at, _, happening))) = self.heap.pop() else { break };
            count += 1;
            match happening {
                Happening::Arrive { conn, dir } => self.arrive(conn, dir, at),
                Happening::Credit { conn, dir } => self.credit(conn, dir, at),
                Happening::Retransmit { conn, dir } => self.retransmit(conn, dir, at),
                Happening::Syn { conn } => self.syn_arrives(conn),
                Happening::SynAck { conn } => self.syn_ack_arrives(conn),
                Happening::SynRetry { conn, tries } => self.syn_again(conn, tries),
                Happening::Refused { conn } => self.refused_arrives(conn),
                Happening::Unreachable { conn } => self.connect_fails(conn, std::io::ErrorKind::HostUnreachable),
                Happening::Close { conn, fault } => self.close_at(conn, fault),
                // It reaches programs: it waits until the world is given back.
                Happening::Fault(due) => self.faults.due.push(due),
            }
        }
        count
    }

    pub(crate) fn schedule(&mut self, at: u64, happening: Happening) {
        self.scheduled += 1;
        self.heap.push(Reverse((at, self.scheduled, happening)));
    }

    fn wake(&mut self, waiter: Option<Waiter>) {
        if let Some(waiter) = waiter {
            self.wakes.push(waiter.waker);
        }
    }

    /// Draws of the world itself.
    pub(crate) fn draws(&self, purpose: &str, entity: u64) -> Draws {
        Draws::of_world(self.config.seed, purpose, entity)
    }

    /// Sets what the CPU of a host costs from now on.
    pub(crate) fn set_service(&mut self, host: u32, service: crate::ServiceTime) {
        if let Some(host) = self.hosts.get_mut(host as usize) {
            host.cpu.set(service);
            self.service_free &= service.is_free();
        }
    }

    /// For how long the cores of a host have worked so far.
    pub(crate) fn busy(&self, host: u32) -> std::time::Duration {
        self.hosts.get(host as usize).map_or_else(Default::default, |host| host.cpu.busy(self.now_us))
    }

    /// When the CPU of a host is done with work that comes up now, for the connection with this number.
    fn serve(&mut self, host: u32, number: u64, work: Work) -> u64 {
        let now = self.now_us;
        if self.service_free {
            return now;
        }
        let wants_lane = self.hosts[host as usize].cpu.wants_lane();
        let lane = if wants_lane { self.lane(number) } else { 0 };
        self.hosts[host as usize].cpu.serve(now, lane, work)
    }

    /// Which of several listeners of a port, and which of several cores, has a connection: what it is modulo their number.
    fn lane(&self, number: u64) -> u64 {
        // The same as long as the connection lives, whatever becomes of the world's draws.
        Draws::new(self.config.seed, "reuse_port", number).nth(0)
    }

    fn retransmit_after(&self, tries: u32, round_trip_us: u64) -> u64 {
        let tcp = &self.config.tcp;
        let first = micros(tcp.retransmit_min) + round_trip_us;
        first.saturating_mul(1_u64.checked_shl(tries.min(40)).unwrap_or(u64::MAX)).min(micros(tcp.retransmit_max))
    }
}

/// Linux's range of ephemeral ports (ip_local_port_range).
const PORT_FIRST: u16 = 32_768;
const PORT_LAST: u16 = 60_999;
