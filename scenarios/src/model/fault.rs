//! A fault of a scenario, and what of its parameters each kind takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{After, Latency, Reloaded};
use crate::span::Span;

/// One fault: what, where, from when, for how long. Which parameters belong to which kind: [`FaultKind::parameters`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// When, from the beginning of the steady phase; None: `after` says it.
    #[serde(default)]
    pub at: Option<Span>,
    /// After which event; None: `at` says when.
    #[serde(default)]
    pub after: Option<After>,
    /// How long; then the host starts again, thaws, or the link heals. None: to the end.
    #[serde(default, rename = "for")]
    pub lasts: Option<Span>,
    /// What.
    pub kind: FaultKind,
    /// A host (`source-1`), a link (`proxy-0/source-1`) or one way of it (`source-1>proxy-0`); `*` at the end of a name, a group of clients and
    /// `clients` stand for several hosts. `source-active` is the source that carries a proxy's legs when the fault starts.
    pub target: String,
    /// Of several targets, each is hit so much later than the one before; none: all at once.
    #[serde(default)]
    pub stagger: Option<Span>,
    /// The code with which connections are closed.
    #[serde(default)]
    pub code: Option<u16>,
    /// Between two messages that are no ticks.
    #[serde(default)]
    pub every: Option<Span>,
    /// What a reload changes.
    #[serde(default)]
    pub set: Option<Reloaded>,
    /// What a segment's delay grows by.
    #[serde(default)]
    pub latency: Option<Latency>,
    /// And up to this, evenly.
    #[serde(default)]
    pub jitter: Option<Span>,
    /// Bits per second.
    #[serde(default)]
    pub bandwidth: Option<u64>,
    /// Bytes that may wait for the bandwidth.
    #[serde(default)]
    pub queue_bytes: Option<u64>,
    /// Share of segments lost; of `burst-loss` in a bad spell.
    #[serde(default)]
    pub loss: Option<f64>,
    /// Share lost in a good spell.
    #[serde(default)]
    pub loss_good: Option<f64>,
    /// Mean time of a good spell.
    #[serde(default)]
    pub good: Option<Span>,
    /// Mean time of a bad spell.
    #[serde(default)]
    pub bad: Option<Span>,
    /// Bytes of a piece.
    #[serde(default)]
    pub size: Option<u32>,
    /// How much larger or smaller a piece may be.
    #[serde(default)]
    pub size_variation: Option<u32>,
    /// Between pieces, of an end, of a lookup.
    #[serde(default)]
    pub delay: Option<Span>,
    /// When a silent connection is closed.
    #[serde(default)]
    pub closes_after: Option<Span>,
    /// Bytes after which a connection ends.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// How many times slower.
    #[serde(default)]
    pub times: Option<f64>,
    /// A turn of a slow host.
    #[serde(default)]
    pub period: Option<Span>,
    /// Of the backlog, or sockets.
    #[serde(default)]
    pub at_most: Option<u32>,
    /// How far a clock goes ahead.
    #[serde(default)]
    pub ahead: Option<Span>,
    /// How far it falls behind.
    #[serde(default)]
    pub behind: Option<Span>,
    /// What it gains, in millionths.
    #[serde(default)]
    pub ppm: Option<f64>,
}

/// A parameter of a kind: its key, and whether the kind means nothing without it.
pub type Parameter = (&'static str, bool);

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $word:literal [$($key:literal $needed:literal),*];)*) => {
        /// What can go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultKind {
            $($(#[$doc])* $kind,)*
        }

        impl FaultKind {
            /// Every one.
            pub const ALL: &[FaultKind] = &[$(FaultKind::$kind),*];

            /// The word in files and events.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(FaultKind::$kind => $word,)*
                }
            }

            /// The parameters that it takes.
            #[must_use]
            pub fn parameters(self) -> &'static [Parameter] {
                match self {
                    $(FaultKind::$kind => &[$(($key, $needed)),*],)*
                }
            }
        }
    };
}

kinds! {
    /// The process dies: its kernel says FIN or RST. With `for`, it starts again afterwards.
    Kill "kill" [];
    /// The machine goes dark: silence. With `for`, it boots again afterwards and answers RST to what it has forgotten.
    PowerOff "power-off" [];
    /// The process dies and starts again at once.
    Restart "restart" [];
    /// The process stops running; its kernel lives on.
    Freeze "freeze" [];
    /// The CPU is slower.
    SlowHost "slow-host" ["times" true, "period" false];
    /// The wall clock is off.
    ClockJump "clock-jump" ["ahead" false, "behind" false];
    /// The wall clock gains or loses.
    ClockDrift "clock-drift" ["ppm" true];
    /// Accept queues are short.
    Backlog "backlog" ["at-most" true];
    /// Sockets are few.
    Descriptors "descriptors" ["at-most" true];
    /// Connection requests are answered with RST.
    Refuse "refuse" [];
    /// Connection requests vanish.
    BlackHole "black-hole" [];
    /// Connection requests are granted, and closed before the listener sees them.
    AcceptClose "accept-close" [];
    /// The name does not resolve.
    Nxdomain "nxdomain" [];
    /// The name resolves late.
    SlowLookup "slow-lookup" ["delay" true];
    /// Nothing passes; what is on the way is lost and sent again.
    Partition "partition" [];
    /// A link carries nothing; what was sent arrives after the heal.
    Stall "stall" [];
    /// Segments take longer.
    Latency "latency" ["latency" false, "jitter" false];
    /// A link carries less.
    Bandwidth "bandwidth" ["bandwidth" true, "queue-bytes" false];
    /// Segments are lost, each by itself.
    Loss "loss" ["loss" true];
    /// Segments are lost in bursts.
    BurstLoss "burst-loss" ["good" true, "bad" true, "loss" false, "loss-good" false];
    /// Bytes trickle.
    Slicer "slicer" ["size" true, "size-variation" false, "delay" true];
    /// The end of a stream comes late.
    SlowClose "slow-close" ["delay" true];
    /// Bytes stop, and after a while the connection is closed.
    Timeout "timeout" ["closes-after" false];
    /// Connections are closed after so many bytes.
    LimitData "limit-data" ["bytes" true];
    /// Connections are reset at both ends.
    ResetPeer "reset-peer" ["bytes" false];
    /// A host forgets its connections without a word.
    HalfOpen "half-open" [];
    /// A source sends no ticks; it takes connections and subscriptions and answers pings.
    Mute "mute" [];
    /// A source finishes each new handshake and closes the connection at once.
    Slam "slam" [];
    /// A source closes every connection, once, with this code.
    CloseAll "close-all" ["code" true];
    /// A source sends what is no tick, between its ticks.
    Garbage "garbage" ["every" false];
    /// A source sends one message to each of its connections that is larger than the proxy takes.
    Oversized "oversized" ["bytes" false];
    /// A proxy leaves in order, as it is told by an operator. With `for`, its program starts again afterwards.
    Drain "drain" [];
    /// A proxy goes over to another configuration.
    Reload "reload" ["set" true];
}

impl FaultKind {
    /// Whether a source does it by its script, so that it is known beforehand which source.
    #[must_use]
    pub fn is_scripted(self) -> bool {
        matches!(
            self,
            FaultKind::Mute | FaultKind::Slam | FaultKind::CloseAll | FaultKind::Garbage | FaultKind::Oversized
        )
    }

    /// Whether it is what an operator does to a proxy.
    #[must_use]
    pub fn is_operated(self) -> bool {
        matches!(self, FaultKind::Drain | FaultKind::Reload)
    }

    /// Whether connections of the process end with it.
    #[must_use]
    pub fn ends_process(self) -> bool {
        wire::event::ends_process(self.word())
    }

    /// Whether it hits a host and never a link.
    #[must_use]
    pub fn is_of_host(self) -> bool {
        self.is_scripted()
            || self.is_operated()
            || self.ends_process()
            || matches!(
                self,
                FaultKind::Freeze
                    | FaultKind::SlowHost
                    | FaultKind::ClockJump
                    | FaultKind::ClockDrift
                    | FaultKind::Backlog
                    | FaultKind::Descriptors
            )
    }

    /// Whether it is over as soon as it has begun.
    #[must_use]
    pub fn is_instant(self) -> bool {
        matches!(
            self,
            FaultKind::Restart | FaultKind::HalfOpen | FaultKind::Reload | FaultKind::CloseAll | FaultKind::Oversized
        )
    }
}

impl Fault {
    /// Messages of one `garbage` at most.
    pub const GARBAGE_MAX: u64 = 1_000;

    /// Between two messages that are no ticks.
    #[must_use]
    pub fn garbage_every(&self) -> Duration {
        self.every.map_or(Duration::from_millis(100), Span::as_duration)
    }

    /// The parameters that were given, by their keys.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        [
            ("code", self.code.is_some()),
            ("every", self.every.is_some()),
            ("set", self.set.is_some()),
            ("latency", self.latency.is_some()),
            ("jitter", self.jitter.is_some()),
            ("bandwidth", self.bandwidth.is_some()),
            ("queue-bytes", self.queue_bytes.is_some()),
            ("loss", self.loss.is_some()),
            ("loss-good", self.loss_good.is_some()),
            ("good", self.good.is_some()),
            ("bad", self.bad.is_some()),
            ("size", self.size.is_some()),
            ("size-variation", self.size_variation.is_some()),
            ("delay", self.delay.is_some()),
            ("closes-after", self.closes_after.is_some()),
            ("bytes", self.bytes.is_some()),
            ("times", self.times.is_some()),
            ("period", self.period.is_some()),
            ("at-most", self.at_most.is_some()),
            ("ahead", self.ahead.is_some()),
            ("behind", self.behind.is_some()),
            ("ppm", self.ppm.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect()
    }

    /// As the simulator does it; None for what a source does by its script, and an operator to a proxy. What is missing of a file that was not checked counts as nothing.
    #[must_use]
    pub fn simulated(&self) -> Option<sim::FaultKind> {
        let span = |span: Option<Span>| span.map_or(Duration::ZERO, Span::as_duration);
        let delay = span(self.delay);
        Some(match self.kind {
            FaultKind::Mute
            | FaultKind::Slam
            | FaultKind::CloseAll
            | FaultKind::Garbage
            | FaultKind::Oversized
            | FaultKind::Drain
            | FaultKind::Reload => return None,
            FaultKind::Kill => sim::FaultKind::Kill,
            FaultKind::PowerOff => sim::FaultKind::PowerOff,
            FaultKind::Restart => sim::FaultKind::Restart,
            FaultKind::Freeze => sim::FaultKind::Freeze,
            FaultKind::SlowHost => sim::FaultKind::SlowHost {
                times: self.times.unwrap_or(1.0),
                period: self.period.map_or(Duration::from_millis(10), Span::as_duration),
            },
            FaultKind::ClockJump => {
                let us =
                    |span: Option<Span>| span.map_or(0, |span| i64::try_from(span.as_micros()).unwrap_or(i64::MAX));
                sim::FaultKind::ClockJump { by_us: us(self.ahead) - us(self.behind) }
            }
            FaultKind::ClockDrift => sim::FaultKind::ClockDrift { ppm: self.ppm.unwrap_or(0.0) as i32 },
            FaultKind::Backlog => sim::FaultKind::Backlog { at_most: self.at_most.unwrap_or(0) },
            FaultKind::Descriptors => sim::FaultKind::Descriptors { at_most: self.at_most.unwrap_or(0) },
            FaultKind::Refuse => sim::FaultKind::Refuse,
            FaultKind::BlackHole => sim::FaultKind::BlackHole,
            FaultKind::AcceptClose => sim::FaultKind::AcceptClose,
            FaultKind::Nxdomain => sim::FaultKind::Nxdomain,
            FaultKind::SlowLookup => sim::FaultKind::SlowLookup { delay },
            FaultKind::Partition => sim::FaultKind::Partition,
            FaultKind::Stall => sim::FaultKind::Stall,
            FaultKind::Latency => sim::FaultKind::Latency {
                latency: self.latency.map_or(sim::Latency::Fixed(Duration::ZERO), Latency::drawn),
                jitter: span(self.jitter),
            },
            FaultKind::Bandwidth => sim::FaultKind::Bandwidth {
                bits_per_s: self.bandwidth.unwrap_or(u64::MAX),
                queue_bytes: self.queue_bytes.unwrap_or(1 << 20),
            },
            FaultKind::Loss => sim::FaultKind::Loss { share: self.loss.unwrap_or(0.0) },
            FaultKind::BurstLoss => sim::FaultKind::BurstLoss {
                good: span(self.good),
                bad: span(self.bad),
                loss_good: self.loss_good.unwrap_or(0.0),
                loss_bad: self.loss.unwrap_or(1.0),
            },
            FaultKind::Slicer => sim::FaultKind::Slicer {
                size: self.size.unwrap_or(1),
                variation: self.size_variation.unwrap_or(0),
                delay,
            },
            FaultKind::SlowClose => sim::FaultKind::SlowClose { delay },
            FaultKind::Timeout => sim::FaultKind::Timeout { closes_after: self.closes_after.map(Span::as_duration) },
            FaultKind::LimitData => sim::FaultKind::LimitData { bytes: self.bytes.unwrap_or(0) },
            FaultKind::ResetPeer => sim::FaultKind::ResetPeer { bytes: self.bytes.unwrap_or(0) },
            FaultKind::HalfOpen => sim::FaultKind::HalfOpen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fault of each kind, with the parameters that it needs and no others.
    fn all() -> Vec<Fault> {
        let value = |key: &str| match key {
            "delay" | "good" | "bad" => "\"1s\"",
            "times" => "2.0",
            "ppm" => "-3.0",
            "loss" => "0.5",
            "code" => "4001",
            "set" => "{ clients-max = 5 }",
            _ => "7",
        };
        let fault = |kind: FaultKind| {
            let needed = kind.parameters().iter().filter(|(_, needed)| *needed);
            let lines: String = needed.map(|(key, _)| format!("{key} = {}\n", value(key))).collect();
            let text = format!("at = \"1s\"\ntarget = \"source-0\"\nkind = \"{}\"\n{lines}", kind.word());
            toml::from_str(&text).unwrap_or_else(|error| panic!("{text}{error}"))
        };
        FaultKind::ALL.iter().copied().map(fault).collect()
    }

    #[test]
    fn each_kind_is_the_simulators_of_the_same_name() {
        for fault in all() {
            let kind = fault.kind;
            let Some(simulated) = fault.simulated() else {
                assert!(kind.is_scripted() || kind.is_operated(), "{kind:?}");
                continue;
            };
            assert_eq!(simulated.word(), kind.word());
            assert_eq!(simulated.is_instant(), kind.is_instant(), "{kind:?}");
            assert_eq!(simulated.scope() == sim::Scope::Host, kind.is_of_host(), "{kind:?}");
        }
    }

    #[test]
    fn what_a_kind_takes_is_a_key_and_what_is_given_is_found() {
        for fault in all() {
            let needed = fault.kind.parameters().iter().filter(|(_, needed)| *needed).map(|(key, _)| *key);
            let mut given = fault.given();
            given.sort_unstable();
            let mut needed: Vec<_> = needed.collect();
            needed.sort_unstable();
            assert_eq!(given, needed, "{:?}", fault.kind);
        }
    }

    #[test]
    fn parameters_arrive_as_they_stand_in_the_file() {
        let read = |lines: &str| {
            let text = format!("at = \"1s\"\ntarget = \"source-0\"\n{lines}");
            toml::from_str::<Fault>(&text).unwrap().simulated().unwrap()
        };
        let ms = Duration::from_millis;
        assert_eq!(
            read("kind = \"burst-loss\"\ngood = \"2s\"\nbad = \"300ms\"\nloss-good = 0.01\n"),
            sim::FaultKind::BurstLoss { good: ms(2_000), bad: ms(300), loss_good: 0.01, loss_bad: 1.0 }
        );
        assert_eq!(
            read("kind = \"latency\"\nlatency = { spikes = { share = 0.1, delay = \"5ms\" } }\njitter = \"2ms\"\n"),
            sim::FaultKind::Latency { latency: sim::Latency::Spikes { share: 0.1, delay: ms(5) }, jitter: ms(2) }
        );
        assert_eq!(
            read("kind = \"slicer\"\nsize = 10\nsize-variation = 3\ndelay = \"1ms\"\n"),
            sim::FaultKind::Slicer { size: 10, variation: 3, delay: ms(1) }
        );
        assert_eq!(read("kind = \"clock-jump\"\nbehind = \"1s\"\n"), sim::FaultKind::ClockJump { by_us: -1_000_000 });
        assert_eq!(
            read("kind = \"timeout\"\ncloses-after = \"4s\"\n"),
            sim::FaultKind::Timeout { closes_after: Some(ms(4_000)) }
        );
        assert_eq!(read("kind = \"reset-peer\"\n"), sim::FaultKind::ResetPeer { bytes: 0 });
        assert_eq!(
            read("kind = \"bandwidth\"\nbandwidth = 64_000\n"),
            sim::FaultKind::Bandwidth { bits_per_s: 64_000, queue_bytes: 1 << 20 }
        );
    }
}
