//! What a simulated world is like: every knob with its unit, range and default.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::draw::Draws;
use wire::net::WallTime;

/// The configuration of one run. Everything but the programs themselves.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// The seed of every draw. Equal configuration, programs and seed give equal runs, to the byte.
    pub seed: u64,
    /// Virtual time at which the run ends at the latest. Rounded up to whole milliseconds. Default 60 s.
    pub horizon: Duration,
    /// What happens at the horizon. Default [`AtHorizon::FailIfUnfinished`].
    pub at_horizon: AtHorizon,
    /// A run that reaches the horizon unfinished, and in which nothing happened for at least this long before, is stuck, not slow. Default 10 s.
    pub stuck_after: Duration,
    /// The link between two hosts where none is set. Default: a fixed 500 us, no loss, unlimited bandwidth.
    pub link: LinkConfig,
    /// The link of a host to itself. Default: a fixed 20 us.
    pub loopback: LinkConfig,
    /// Buffers and time-outs of the transport.
    pub tcp: TcpConfig,
    /// What a host's CPU costs. Default: nothing.
    pub service: ServiceTime,
    /// The wall clock at the start. Default 2024-01-01 00:00 UTC.
    pub epoch: WallTime,
    /// How many shards each host offers, at least 1. All of them run on the one thread. Default 1.
    pub shards: usize,
    /// In which order tasks that are ready at the same instant run. Default first come, first served.
    pub order: Order,
    /// Task polls allowed at one instant before the run is a livelock. Default 5 million.
    pub polls_per_instant_max: u64,
    /// How many of the first trace events are kept, for naming the first difference of two runs. Default 0: only the hash.
    pub trace_events_max: usize,
    /// The number of the first delivery that is kept, counted from 0. Default 0.
    pub trace_events_from: u64,
    /// The run ends well at this virtual time, before what happens then, and tells how the world stands ([`crate::Report::standing`]). Default: never.
    pub stop_at: Option<Duration>,
    /// When this virtual time has come, [`crate::paused_at`] is called, for a debugger to break on; the run goes on as if nothing had been. Default: never.
    pub pause_at: Option<Duration>,
    /// From some time on all draws are others. Default: never.
    pub reseed: Option<Reseed>,
}

/// A run that keeps its beginning and takes another end: whatever is drawn from `at` on is drawn as under another seed. What was drawn before stays, and so
/// does what programs have worked out from it for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reseed {
    /// From this virtual time on, before what happens then.
    pub at: Duration,
    /// Which other end.
    pub seed: u64,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            horizon: Duration::from_secs(60),
            at_horizon: AtHorizon::FailIfUnfinished,
            stuck_after: Duration::from_secs(10),
            link: LinkConfig::default(),
            loopback: LinkConfig { latency: Latency::Fixed(Duration::from_micros(20)), ..LinkConfig::default() },
            tcp: TcpConfig::default(),
            service: ServiceTime::default(),
            epoch: WallTime(1_704_067_200_000_000),
            shards: 1,
            order: Order::Fifo,
            polls_per_instant_max: 5_000_000,
            trace_events_max: 0,
            trace_events_from: 0,
            stop_at: None,
            pause_at: None,
            reseed: None,
        }
    }
}

impl SimConfig {
    /// The default world with this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
}

/// What the end of virtual time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtHorizon {
    /// A run whose foreground programs have not finished fails; a run without foreground programs just ends.
    FailIfUnfinished,
    /// The run ends well in any case.
    End,
}

/// The order of tasks that are ready at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First come, first served, as tokio's scheduler does.
    Fifo,
    /// Any of those that are ready, drawn anew each time from the seed and this number: finds races between tasks that FIFO never shows.
    Shuffled(u64),
    /// Each task has a priority drawn from the seed and this number, and the highest goes first; now and then one changes, and a task that wakes itself falls
    /// behind all others. Holds one task back for long while others go on, which shuffling seldom does: probabilistic concurrency testing
    /// (Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, ASPLOS 2010), without its bound on the length of a run.
    Prioritised(u64),
}

impl Order {
    /// One of very many orders, the two ways of drawing in turn. 0 is [`Order::Fifo`].
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        match number {
            0 => Self::Fifo,
            odd if odd % 2 == 1 => Self::Shuffled(odd),
            even => Self::Prioritised(even),
        }
    }
}

/// One direction of the link between two hosts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkConfig {
    /// One-way delay of each segment. Segments of one connection never overtake one another.
    pub latency: Latency,
    /// Bits per second of payload. None: unlimited.
    pub bandwidth: Option<u64>,
    /// Bytes that may wait for the bandwidth; a segment beyond is lost, and a loss is a delay. Default 1 MiB.
    pub queue_bytes_max: u64,
    /// Probability that a segment is lost, 0 to below 1. A lost segment comes again after the retransmission time-out.
    pub loss: f64,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            latency: Latency::Fixed(Duration::from_micros(500)),
            bandwidth: None,
            queue_bytes_max: 1 << 20,
            loss: 0.0,
        }
    }
}

impl LinkConfig {
    /// A perfect link with a fixed one-way delay.
    #[must_use]
    pub fn fixed(latency: Duration) -> Self {
        Self { latency: Latency::Fixed(latency), ..Self::default() }
    }
}

/// A distribution of one-way delays, in whole microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// Always the same.
    Fixed(Duration),
    /// Evenly spread over `min..=max`.
    Uniform {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// `min` plus an exponentially distributed part with the given mean.
    Exponential {
        /// The shortest.
        min: Duration,
        /// The mean of what comes on top of `min`.
        mean: Duration,
    },
    /// Log-normal: half of the delays are below `median`; `sigma` is the standard deviation of the logarithm (0.5 is a mild tail).
    LogNormal {
        /// The median.
        median: Duration,
        /// The standard deviation of the natural logarithm, at least 0.
        sigma: f64,
    },
    /// Nothing for most segments, `delay` for a share of them.
    Spikes {
        /// The share, 0 to 1.
        share: f64,
        /// What they take.
        delay: Duration,
    },
}

/// A day: no drawn delay is longer.
const DELAY_MAX_US: f64 = 86_400.0 * 1e6;

impl Latency {
    /// One delay in microseconds.
    #[must_use]
    pub fn draw(&self, draws: &mut Draws) -> u64 {
        match *self {
            Self::Fixed(delay) => bounded(delay),
            Self::Uniform { min, max } => {
                let (min, max) = (bounded(min), bounded(max));
                min + draws.below(max.saturating_sub(min) + 1)
            }
            Self::Exponential { min, mean } => {
                bounded(min) + draws.exponential(micros(mean) as f64).clamp(0.0, DELAY_MAX_US) as u64
            }
            Self::LogNormal { median, sigma } => {
                (micros(median) as f64 * libm::exp(sigma * draws.normal())).clamp(0.0, DELAY_MAX_US) as u64
            }
            Self::Spikes { share, delay } => {
                if draws.chance(share) {
                    bounded(delay)
                } else {
                    0
                }
            }
        }
    }

    /// The delay that acknowledgements take and time-outs reckon with: the mean, the median of a log-normal, nothing for spikes. Needs no draw.
    pub(crate) fn typical(&self) -> u64 {
        match *self {
            Self::Fixed(delay) => bounded(delay),
            Self::Uniform { min, max } => u64::midpoint(bounded(min), bounded(max)),
            Self::Exponential { min, mean } => bounded(min) + bounded(mean),
            Self::LogNormal { median, .. } => bounded(median),
            Self::Spikes { .. } => 0,
        }
    }
}

/// A configured delay in microseconds: at most a day, so that sums of delays stay far from the end of time.
fn bounded(delay: Duration) -> u64 {
    micros(delay).min(DELAY_MAX_US as u64)
}

/// Whole microseconds of a duration, saturating.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Buffers and time-outs of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpConfig {
    /// Bytes that a socket takes before a write waits, until acknowledged. Default 256 KiB.
    pub send_buffer: usize,
    /// Bytes that a socket keeps unread: the window. Default 128 KiB.
    pub recv_buffer: usize,
    /// The least retransmission time-out; the typical round trip of the link comes on top. It doubles with each try. Default 200 ms.
    pub retransmit_min: Duration,
    /// The longest retransmission time-out. Default 120 s.
    pub retransmit_max: Duration,
    /// Retransmissions without an answer after which a connection ends with `TimedOut`. Default 15, about a quarter of an hour.
    pub retransmits_max: u32,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            send_buffer: 256 << 10,
            recv_buffer: 128 << 10,
            retransmit_min: Duration::from_millis(200),
            retransmit_max: Duration::from_secs(120),
            retransmits_max: 15,
        }
    }
}

/// What a host's cores need for network work: a queueing station, first come, first served. It delays sending and delivery; it does not delay the program's
/// own code. The costs of one piece of work add up, in nanoseconds, so that costs below a microsecond are not lost; it arrives and is done on whole
/// microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceTime {
    /// For each segment sent and each segment delivered. What a program writes at once, up to 64 KiB, is one segment. Default 0.
    pub per_segment: Duration,
    /// For 1024 bytes of payload, sent and delivered; a part of them costs its part. Default 0.
    pub per_kib: Duration,
    /// For each connection that arrives at a listener. Default 0.
    pub per_connection: Duration,
    /// Cores, at least 1. Default 1.
    pub cores: u16,
    /// Who works on what. Default [`Queues::PerCore`].
    pub queues: Queues,
    /// How the costs of pieces of work spread. Default [`Spread::Fixed`].
    pub spread: Spread,
    /// What becomes of segments that arrive while the CPU is busy. Default [`Reads::Each`].
    pub reads: Reads,
}

impl Default for ServiceTime {
    fn default() -> Self {
        Self {
            per_segment: Duration::ZERO,
            per_kib: Duration::ZERO,
            per_connection: Duration::ZERO,
            cores: 1,
            queues: Queues::default(),
            spread: Spread::default(),
            reads: Reads::default(),
        }
    }
}

impl ServiceTime {
    /// Whether all work is free: then nothing ever queues.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.per_segment.is_zero() && self.per_kib.is_zero() && self.per_connection.is_zero()
    }
}

/// Which core does what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Queues {
    /// Each core has a queue of its own, and all work of a connection is done by the core that its number picks: by the same draw that picks one of several
    /// listeners of a port.
    #[default]
    PerCore,
    /// One queue: whichever core is free takes the next piece of work. Segments of a connection still leave and are delivered in their order: one that is done
    /// before its forerunner waits for it.
    Shared,
}

/// How a connection's segments are read that arrive one after the other while the CPU is busy with something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// Each by itself, in its turn: what comes in costs as much under load as without it.
    #[default]
    Each,
    /// Together, in the turn of the first of them, as a program does that reads whatever has come when it gets to it: the first costs a segment, the others their
    /// bytes. Under load a program then does more at once, and does it cheaper.
    Joined,
}

/// How the costs of pieces of work spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// Each costs what it costs.
    #[default]
    Fixed,
    /// Exponentially, with that mean. Drawn in the order in which a host does its work: a client more or less gives all that comes later other costs.
    Exponential,
}
