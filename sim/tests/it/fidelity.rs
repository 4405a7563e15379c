//! Is our network true? Every probe runs against the kernel's sockets, our simulator and turmoil, and says what it saw; docs/fidelity.md is the
//! table. A difference to the kernel is explained beside its probe, or it fails.
//!
//! ```text
//!   opening, bytes, closing   on the loopback        outage, timing   over a wire of our own between two namespaces (path), as root on Linux
//!   crate::any_net, worlds, wire   how a probe gets into each world       turmoil_faults   what turmoil does wrong by itself
//! ```
//!
//! `FIDELITY=write cargo test -p sim-tests fidelity` writes the page.

mod bytes;
mod closing;
mod opening;
mod outage;
mod page;
mod path;
mod probe;
mod timing;
mod turmoil_faults;
mod wire;
mod worlds;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use self::probe::{Probe, World};
use self::timing::Timed;
use self::wire::WireProbe;

/// A probe and what it saw.
#[derive(Clone, Debug)]
struct Row {
    place: &'static str,
    asks: &'static str,
    /// None where this machine cannot ask its kernel.
    kernel: Option<String>,
    sim: String,
    turmoil: String,
    differs: &'static [(World, &'static str)],
}

impl Row {
    fn on_the_loopback<P: Probe>(place: &'static str) -> Self {
        let programs = worlds::Programs::of::<P>();
        Self {
            place,
            asks: P::ASKS,
            kernel: Some(worlds::kernel(programs)),
            sim: worlds::simulated(programs),
            turmoil: worlds::under_turmoil(programs),
            differs: P::DIFFERS,
        }
    }

    fn over_a_wire<P: WireProbe>(place: &'static str) -> Self {
        let programs = wire::Programs::of::<P>();
        Self {
            place,
            asks: P::ASKS,
            kernel: wire::kernel(programs),
            sim: wire::simulated(programs),
            turmoil: wire::under_turmoil(programs),
            differs: P::DIFFERS,
        }
    }

    fn why(&self, world: World) -> Option<&'static str> {
        self.differs.iter().find(|(other, _)| *other == world).map(|(_, why)| *why)
    }

    /// What is wrong with it: a difference without an explanation, or the reverse.
    fn faults(&self) -> Vec<String> {
        let Some(kernel) = &self.kernel else { return Vec::new() };
        [(World::Sim, &self.sim), (World::Turmoil, &self.turmoil)]
            .into_iter()
            .filter_map(|(world, cell)| match (cell == kernel, self.why(world)) {
                (false, None) => Some(format!("{}\n  kernel: {kernel}\n  {world:?}, unexplained: {cell}", self.asks)),
                (true, Some(_)) => Some(format!("{}\n  {world:?} does as the kernel, yet is explained", self.asks)),
                _ => None,
            })
            .collect()
    }
}

/// A time that is known in advance, and those that were taken. In milliseconds.
#[derive(Clone, Debug)]
struct Time {
    asks: &'static str,
    form: (f64, &'static str),
    sim: f64,
    /// The fastest of a few runs; none where this machine cannot ask its kernel.
    kernel: Option<f64>,
    tolerance: (f64, &'static str),
}

impl Time {
    fn of<P: Timed>() -> Self {
        /// A busy machine may be slow; it is not slow every time.
        const RUNS: usize = 5;
        let programs = wire::Programs::of::<P>();
        let mut time = Self {
            asks: P::ASKS,
            form: P::FORM,
            sim: wire::simulated(programs).parse().unwrap_or(f64::NAN),
            kernel: None,
            tolerance: P::KERNEL,
        };
        for _ in 0..RUNS {
            let Some(said) = wire::kernel(programs) else { break };
            let took = said.parse().unwrap_or(f64::INFINITY);
            time.kernel = Some(time.kernel.map_or(took, |best: f64| best.min(took)));
            if time.kernel_agrees() {
                break;
            }
        }
        time
    }

    /// No wire is faster than its form (one percent for clocks that are read in different places); how much slower is the probe's to say.
    fn kernel_agrees(&self) -> bool {
        let (form, most) = (self.form.0, self.form.0 * (1.0 + self.tolerance.0) + 15.0);
        self.kernel.is_none_or(|took| (form * 0.99..=most).contains(&took))
    }

    fn faults(&self) -> Option<String> {
        // tokio's timers know whole milliseconds.
        let exact = (self.form.0 - 0.001..=self.form.0 + 1.0).contains(&self.sim);
        (!exact || !self.kernel_agrees()).then(|| format!("{self:?}"))
    }
}

macro_rules! probes {
    ($way:ident: $($place:ident: $($name:ident)+;)+) => {
        &[$($(|| Row::$way::<$place::$name>(stringify!($place)),)+)+]
    };
}

/// How to make each row, in the order of the page.
const PROBES: &[fn() -> Row] = probes! { on_the_loopback:
    opening: Refused RefusedAgainAndAgain Addresses EphemeralPorts BindTwice BindUnderWildcard BindElsewhere BindAny ReusePort
        RebindAfterListener RebindAfterClose BacklogFull BacklogRetry Crowd AcceptOrder CancelledConnect WriteBeforeAccept AbortBeforeAccept
        ListenerDroppedPending ListenerDroppedAccepted ConnectUnspecified ConnectOwn;
    bytes: PartialReads WritesMelt ReadNothing WriteNothing Vectored VectoredPartial HoldsBack Unacknowledged OneByteIsNotRoom SmallReads
        LowWater Megabytes BothWays OneWayFull Flush EndBehindMuch NoDelay;
    closing: HalfClose WriteAfterShutdown EndStaysEnd WriteAfterPeersClose WriteAfterUnseenClose PeerStillReads DropUnread WriteMeetsReset
        BytesBeforeReset Abort AbortLosesUnsent CloseDeliversUnsent WriteToAnOrphan SimultaneousClose SimultaneousAbort ShutdownAfterReset
        AddressesAfterReset AfterBothEnds AbortedTask WaitingWriterMeetsReset;
};

const WIRE_PROBES: &[fn() -> Row] = probes! { over_a_wire:
    outage: NothingIsLost ComesWithARetry ConnectInAnOutage ConnectIntoNothing NoWayBack BytesPassWithoutAnswers GivesUp SilenceIsNoEnd
        EndInAnOutage ResetInAnOutage FillsUp;
};

const TIMES: &[fn() -> Time] = &[
    Time::of::<timing::Handshake>,
    Time::of::<timing::Question>,
    Time::of::<timing::Megabyte>,
    Time::of::<timing::TwoShare>,
    Time::of::<timing::BehindAQueue>,
    Time::of::<timing::WindowBound>,
    Time::of::<timing::LostSyn>,
    Time::of::<timing::LostBytes>,
];

/// Makes all of them, a few at a time: most of a probe is waiting.
fn all<T: Send + Clone>(makers: &[fn() -> T], at_once: usize) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let made = Mutex::new(vec![None; makers.len()]);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Relaxed);
                    let Some(make) = makers.get(at) else { break };
                    let one = make();
                    made.lock().unwrap()[at] = Some(one);
                }
            });
        }
    });
    made.into_inner().unwrap().into_iter().map(Option::unwrap).collect()
}

#[test]
fn every_difference_to_the_kernel_is_explained_and_the_page_says_so() {
    let (mut rows, over_wires) = std::thread::scope(|scope| {
        let over_wires = scope.spawn(|| all(WIRE_PROBES, 6));
        (all(PROBES, 6), over_wires.join().unwrap())
    });
    rows.extend(over_wires);
    let times = all(TIMES, 2);
    let faults: Vec<String> = rows.iter().flat_map(Row::faults).chain(times.iter().filter_map(Time::faults)).collect();
    page::check_or_write("docs/fidelity.md", &rows, &times);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_difference_without_a_reason_is_a_fault_and_so_is_a_reason_without_a_difference() {
    let row = |sim: &str, differs| Row {
        place: "opening",
        asks: "?",
        kernel: Some("yes".to_owned()),
        sim: sim.to_owned(),
        turmoil: "yes".to_owned(),
        differs,
    };
    const WHY: &[(World, &str)] = &[(World::Sim, "because")];
    for (sim, differs, faults) in [("yes", &[][..], 0), ("no", &[], 1), ("no", WHY, 0), ("yes", WHY, 1)] {
        assert_eq!(row(sim, differs).faults().len(), faults, "{sim} {differs:?}");
    }
    let time = |sim, kernel| Time { asks: "?", form: (100.0, ""), sim, kernel: Some(kernel), tolerance: (0.25, "") };
    for (sim, kernel, fine) in
        [(100.0, 110.0, true), (100.0, 98.0, false), (100.0, 141.0, false), (99.0, 110.0, false), (102.0, 110.0, false)]
    {
        assert_eq!(time(sim, kernel).faults().is_none(), fine, "{sim} {kernel}");
    }
}
