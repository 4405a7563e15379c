//! When clients come and what they want.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::span::Span;

/// Who decides when a group's load comes. In a file they are two keys of the group, `open` and `closed`, of which one may stand; with neither it is an open load
/// with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// A plan, whatever the server does: a slow one has more and more to do.
    Open(Open),
    /// The answers, and those who leave: a population is held, and a slow server slows its own load.
    Closed(Closed),
}

/// Load by a plan.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Open {
    /// How the group arrives. Default a ramp over one second.
    pub arrival: Arrival,
    /// Requests per second and client, each at its planned instant, for `echo` sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_s: Option<f64>,
    /// How long each client stays, from its planned arrival; none: to the end of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stay: Option<Span>,
    /// How long a session lasts, about, until its client closes it and comes again; none: to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Span>,
}

/// A population that is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Closed {
    /// Over how long it arrives. Default 1 s.
    pub ramp: Span,
    /// From an answer to the client's next request, about, for `echo` sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think: Option<Span>,
    /// How long a client stays, about, until another takes its place; none: to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Span>,
}

impl Default for Closed {
    fn default() -> Self {
        Self { ramp: Span::from_millis(1_000), think: None, session: None }
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::Open(Open::default())
    }
}

impl Load {
    /// How the group arrives.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        match self {
            Load::Open(open) => open.arrival,
            Load::Closed(closed) => Arrival::Ramp(closed.ramp),
        }
    }

    /// How long each client stays; none: to the end of the run, or until another takes its place.
    #[must_use]
    pub fn stay(&self) -> Option<Span> {
        match self {
            Load::Open(open) => open.stay,
            Load::Closed(_) => None,
        }
    }

    /// How long a session lasts, about.
    #[must_use]
    pub fn session(&self) -> Option<Span> {
        match self {
            Load::Open(open) => open.session,
            Load::Closed(closed) => closed.session,
        }
    }

    /// Requests of a client a second at most, if each is answered at once; none: it sends none.
    #[must_use]
    pub fn requests_per_s(&self) -> Option<f64> {
        match self {
            Load::Open(open) => open.requests_per_s,
            Load::Closed(closed) => closed.think.map(|think| 1.0 / think.as_secs_f64()),
        }
    }
}

/// How a group arrives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// All at once.
    AtOnce,
    /// Evenly over this time.
    Ramp(Span),
    /// At random, this many a second.
    Poisson(f64),
    /// So many at once, every so often.
    Waves(Waves),
}

impl Default for Arrival {
    fn default() -> Self {
        Self::Ramp(Span::from_millis(1_000))
    }
}

/// Arrivals in waves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Waves {
    /// Clients of a wave; the last one may have fewer.
    pub each: u32,
    /// From one wave to the next.
    pub every: Span,
}

/// Which of the source's symbols a client wants.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subscriptions {
    /// All of them.
    #[default]
    All,
    /// So many, drawn, each symbol as likely as another.
    Uniform(u32),
    /// So many, drawn as popularity goes.
    Zipf(Zipf),
    /// These, by name.
    Symbols(Vec<String>),
}

/// Symbols by popularity: of rank k (the first has 1) with weight `k ^ -exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Zipf {
    /// How many each client draws, all different.
    pub each: u32,
    /// 0: all alike. Default 1.
    #[serde(default = "default_exponent")]
    pub exponent: f64,
}

fn default_exponent() -> f64 {
    1.0
}

impl Subscriptions {
    /// Symbols of a client, of so many that the source has.
    #[must_use]
    pub fn each(&self, all: u32) -> u32 {
        match self {
            Self::All => all,
            Self::Uniform(each) | Self::Zipf(Zipf { each, .. }) => *each,
            Self::Symbols(names) => u32::try_from(names.len()).unwrap_or(u32::MAX),
        }
    }
}

/// The two keys of which one may stand.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Keys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Open>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed: Option<Closed>,
}

pub(super) fn serialize<S: Serializer>(load: &Load, serializer: S) -> Result<S::Ok, S::Error> {
    match load.clone() {
        Load::Open(open) => Keys { open: Some(open), closed: None },
        Load::Closed(closed) => Keys { open: None, closed: Some(closed) },
    }
    .serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Load, D::Error> {
    match Keys::deserialize(deserializer)? {
        Keys { open: Some(_), closed: Some(_) } => Err(de::Error::custom("a load is open or closed, not both")),
        Keys { closed: Some(closed), .. } => Ok(Load::Closed(closed)),
        Keys { open, .. } => Ok(Load::Open(open.unwrap_or_default())),
    }
}
