//! Scenarios in Rust, equal to files: one model, one set of rules.
//!
//! What is built is written as a file would say it and read back, so that nothing can be built that a file could not say, and each mistake is told in the same
//! words; in place of a line and a column stands the path of the value.
//!
//! ```
//! use scenarios::builder::Builder;
//! use scenarios::catalogue;
//! use scenarios::check::{Convergence, DeliveryLatency, FromPhase, HostLeaks, LatencyFairness, Objectives, Share, UpstreamConnections};
//! use scenarios::model::{Clients, Engine, Latency, Network, Proxy, ProxyMode, ServiceTime, Sources, State};
//! use scenarios::parse::parse;
//! use scenarios::span::Span;
//!
//! let ms = Span::from_millis;
//! let file = catalogue::find("steady-fanout")?;
//! let about = "\
//! A hundred clients watch ten symbols through one proxy, and nothing goes wrong. Every tick must reach every client, in order, once, soon, and no client \
//! may be served later than its neighbours. The baseline that all other scenarios are read against.";
//!
//! let built = Builder::new("steady-fanout", about)
//!     .tags(["smoke", "fanout"])
//!     .steady(ms(20_000))
//!     .engine(Engine::Turmoil)
//!     .sources(Sources { symbols: 10, period: ms(100), ..Sources::new(2) })
//!     .proxy(Proxy::new(ProxyMode::Fanout))
//!     .network(Network { latency: Latency::Uniform(Span::from_micros(300), Span::from_micros(1_500)), ..Network::default() })
//!     .service_time(ServiceTime::per_segment("5us".parse()?))
//!     .clients(Clients::new("plain", 50))
//!     .clients(Clients { strong: 1.0, ..Clients::new("strong", 50) })
//!     .check(Objectives {
//!         symbol_order: Some(Default::default()),
//!         no_duplicates: Some(Default::default()),
//!         no_silent_gap: Some(Default::default()),
//!         no_leakage: Some(Default::default()),
//!         payload_intact: Some(Default::default()),
//!         no_client_close: Some(Default::default()),
//!         metrics_truth: Some(Default::default()),
//!         convergence: Some(Convergence { within: ms(1_000), checked_min: 0 }),
//!         host_leaks: Some(HostLeaks { settle: ms(1_000), slack: 0, queued_bytes: 65_536, checked_min: 0 }),
//!         delivery_latency: Some(DeliveryLatency {
//!             quantile: Share::try_from(0.99)?,
//!             at_most: ms(15),
//!             samples_min: 100_000,
//!             from_phase: FromPhase::Steady,
//!             checked_min: 0,
//!         }),
//!         latency_fairness: Some(LatencyFairness {
//!             jain_min: Share::try_from(0.98)?,
//!             worst_at_most: 1.25,
//!             samples_min: 100,
//!             checked_min: 100,
//!         }),
//!         upstream_connections: Some(UpstreamConnections { at_most: 1, switching: 1, linger: ms(10_000), checked_min: 0 }),
//!         ..Objectives::default()
//!     })
//!     .reach(State::ClientOpened, 100)
//!     .reach(State::Delivered, 200_000)
//!     .build()?;
//!
//! assert_eq!(built, parse(&file.file(), file.text).map_err(|problems| problems[0].clone())?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use serde::de::DeserializeOwned;
use toml::Value;

use crate::check::Objectives;
use crate::cost::Cost;
use crate::model::{
    Clients, Engine, Fault, FaultKind, Link, Network, Proxy, ProxyMode, Reach, SCHEMA, Scenario, ServiceTime, Sources,
    State,
};
use crate::parse::{Misplaced, judge};
use crate::span::Span;

/// A scenario under way. What is not said has the default of a file.
#[derive(Clone, Debug)]
pub struct Builder(Scenario);

/// Why a scenario cannot be: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(pub Vec<Misfit>);

/// One thing that is wrong with a scenario that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The value: `clients[0].open.arrival`; empty for the scenario as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would do.
    pub hint: Option<String>,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the scenario" } else { &self.path };
        write!(f, "{path}: {}", self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for BuildError {}

/// A scenario that is to be changed.
impl From<Scenario> for Builder {
    fn from(scenario: Scenario) -> Self {
        Self(scenario)
    }
}

impl From<Misplaced> for Misfit {
    fn from(Misplaced { path, message, hint }: Misplaced) -> Self {
        Self { path, message, hint }
    }
}

impl Builder {
    /// A scenario of that name, which says what it is about: two sources, one fan-out, ten seconds; no clients yet, and nothing that must hold.
    #[must_use]
    pub fn new(name: &str, about: &str) -> Self {
        let schema = Value::Integer(i64::from(SCHEMA));
        let none = || Value::Array(Vec::new());
        Self(with_defaults([
            ("schema", schema),
            ("name", name.into()),
            ("about", about.into()),
            ("steady", "10s".into()),
            ("sources", table([("count", Value::Integer(2))])),
            ("proxy", table([("mode", "fanout".into())])),
            ("clients", none()),
            ("check", table([])),
        ]))
    }

    /// Words to select it by.
    #[must_use]
    pub fn tags<'w>(mut self, tags: impl IntoIterator<Item = &'w str>) -> Self {
        self.0.tags.extend(tags.into_iter().map(str::to_owned));
        self
    }

    /// Clients arrive.
    #[must_use]
    pub fn warmup(mut self, span: Span) -> Self {
        self.0.warmup = span;
        self
    }

    /// Load and faults.
    #[must_use]
    pub fn steady(mut self, span: Span) -> Self {
        self.0.steady = span;
        self
    }

    /// Everything comes right.
    #[must_use]
    pub fn recovery(mut self, span: Span) -> Self {
        self.0.recovery = span;
        self
    }

    /// An engine that can express it, besides `sim`.
    #[must_use]
    pub fn engine(mut self, engine: Engine) -> Self {
        self.0.engines.push(engine);
        self
    }

    /// The links between hosts.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.0.network = network;
        self
    }

    /// Links that are not like the others.
    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        self.0.network.links.push(link);
        self
    }

    /// The source.
    #[must_use]
    pub fn sources(mut self, sources: Sources) -> Self {
        self.0.sources = sources;
        self
    }

    /// The proxy under test.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.0.proxy = proxy;
        self
    }

    /// A tier of proxies before it.
    #[must_use]
    pub fn edge(mut self, edge: Proxy) -> Self {
        self.0.edge = Some(edge);
        self
    }

    /// A group of clients more.
    #[must_use]
    pub fn clients(mut self, clients: Clients) -> Self {
        self.0.clients.push(clients);
        self
    }

    /// One more thing that goes wrong.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.0.faults.push(fault);
        self
    }

    /// What network work costs.
    #[must_use]
    pub fn service_time(mut self, cost: ServiceTime) -> Self {
        self.0.service_time = Some(cost);
        self
    }

    /// What must hold.
    #[must_use]
    pub fn check(mut self, check: Objectives) -> Self {
        self.0.check = check;
        self
    }

    /// What must have happened, so often at least.
    #[must_use]
    pub fn reach(mut self, state: State, at_least: u64) -> Self {
        self.0.reach.push(Reach { state: Some(state), mark: None, at_least });
        self
    }

    /// Anything else of it.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Scenario)) -> Self {
        change(&mut self.0);
        self
    }

    /// The scenario, held against the rules that files are held against.
    ///
    /// # Errors
    /// Everything that is wrong, each with the path of its value.
    pub fn build(self) -> Result<Scenario, BuildError> {
        let text = self.0.to_toml().map_err(|error| {
            let (path, message) = (String::new(), format!("cannot be written as TOML: {error}"));
            BuildError(vec![Misfit { path, message, hint: None }])
        })?;
        judge(&text).map_err(|problems| BuildError(problems.into_iter().map(Misfit::from).collect()))
    }
}

impl Sources {
    /// So many instances, with the defaults of a file.
    #[must_use]
    pub fn new(count: u16) -> Self {
        with_defaults([("count", i64::from(count).into())])
    }
}

impl Proxy {
    /// One instance, with the defaults of a file.
    #[must_use]
    pub fn new(mode: ProxyMode) -> Self {
        Self { mode, ..with_defaults([("mode", "fanout".into())]) }
    }
}

impl Clients {
    /// A group, with the defaults of a file.
    #[must_use]
    pub fn new(name: &str, count: u32) -> Self {
        with_defaults([("name", name.into()), ("count", i64::from(count).into())])
    }
}

impl Link {
    /// Between these two, which so far is like all others.
    #[must_use]
    pub fn between(one: &str, other: &str) -> Self {
        Self { between: (one.to_owned(), other.to_owned()), latency: None, bandwidth: None, loss: None }
    }
}

impl Fault {
    /// A fault at a time of the steady phase, to its end; its other fields say what its kind takes.
    #[must_use]
    pub fn at(at: Span, kind: FaultKind, target: &str) -> Self {
        let required = [("kind", kind.word().into()), ("target", target.into())];
        Self { at: Some(at), ..with_defaults(required) }
    }
}

impl ServiceTime {
    /// So much for a segment, with the defaults of a file.
    #[must_use]
    pub fn per_segment(cost: Cost) -> Self {
        with_defaults([("proxy-per-segment", cost.to_string().into())])
    }
}

fn table<const N: usize>(keys: [(&str, Value); N]) -> Value {
    Value::Table(keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// As a file has it that says only what it must: there is one place for defaults.
fn with_defaults<T: DeserializeOwned, const N: usize>(keys: [(&str, Value); N]) -> T {
    table(keys).try_into().expect("a file needs no other key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Arrival, Load, Open, Subscriptions, Zipf};
    use crate::parse::parse;

    fn good() -> Builder {
        let check = Objectives { symbol_order: Some(Default::default()), ..Objectives::default() };
        Builder::new("x", "A test.").clients(Clients::new("all", 10)).check(check)
    }

    fn misfits(builder: Builder) -> Vec<String> {
        builder.build().unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_built_is_what_a_file_says() {
        let text = "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = { count = 2 }\nproxy = { mode = \"fanout\" }\n\
            check = { symbol-order = {} }\n[[clients]]\nname = \"all\"\ncount = 10\n\
            open = { arrival = \"at-once\" }\nsubscriptions = { zipf = { each = 2 } }\n\
            [[network.links]]\nbetween = [\"all\", \"proxy-0\"]\nloss = 0.1\n\
            [[faults]]\nat = \"1s\"\nfor = \"2s\"\nkind = \"kill\"\ntarget = \"source-active\"\n[[reach]]\nstate = \"failover\"\n";
        let built = Builder::new("x", "A test.")
            .check(Objectives { symbol_order: Some(Default::default()), ..Objectives::default() })
            .clients(Clients {
                load: Load::Open(Open { arrival: Arrival::AtOnce, ..Open::default() }),
                subscriptions: Subscriptions::Zipf(Zipf { each: 2, exponent: 1.0 }),
                ..Clients::new("all", 10)
            })
            .link(Link { loss: Some(0.1), ..Link::between("all", "proxy-0") })
            .fault(Fault {
                lasts: Some(Span::from_millis(2_000)),
                ..Fault::at(Span::from_millis(1_000), FaultKind::Kill, "source-active")
            })
            .reach(State::Failover, 1);
        assert_eq!(built.build().unwrap(), parse("x.toml", text).unwrap());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        assert_eq!(
            misfits(good().clients(Clients { subscriptions: Subscriptions::Uniform(9), ..Clients::new("more", 10) })),
            ["clients[1].subscriptions.uniform: group \"more\" draws 9 symbols each, and the source has 4"]
        );
        assert_eq!(
            misfits(good().sources(Sources::new(65))),
            ["sources.count: sources.count must be a whole number, 1 to 64, not 65"]
        );
        assert_eq!(
            misfits(good().fault(Fault::at(Span::from_millis(1_000), FaultKind::Kill, "source-7"))),
            [
                "faults[0].target: target \"source-7\" is not there: source-0, source-1, source-active, proxy-0, clients, all; did you mean \"source-0\"?"
            ]
        );
        let nothing = Builder::new("x", "A test.")
            .check(Objectives { symbol_order: Some(Default::default()), ..Objectives::default() });
        assert_eq!(misfits(nothing), ["clients: there is no group of clients; add one with [[clients]]"]);
    }
}
