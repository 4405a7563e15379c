//! The decisions, as values that can be exchanged: what a test replaces with a wrong one to see whether the checkers notice.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use wire::event::Why;
use wire::feed::Protocol;
use wire::id::{SourceId, Symbol};
use wire::ws::Message;

use crate::admission::{Admission, Caps};
use crate::backoff::{FullJitter, Redial};
use crate::balance::{Balance, LeastConnections, PowerOfTwo};
use crate::config::{Balancing, Config, Sources};
use crate::fanout::{Acknowledge, AskersOnly, Bounded, Conflating, Queue, Route, Stamp, Stamps, SubscribersOnly};
use crate::health::{Judge, Opening, PingAndStale};
use crate::limits::SlowClient;

/// Makes a policy from the configuration.
pub type Make<T> = Arc<dyn Fn(&Config) -> Box<T> + Send + Sync>;

/// Makes a judge for each leg that opens.
pub type MakeJudge = Arc<dyn Fn(&Config, Opening) -> Box<dyn Judge> + Send + Sync>;

/// What becomes of a message of a source that is neither a tick nor anything else of its protocol (fan-out).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is passed over; it is a sign of life, and no data.
    Skip,
    /// It goes to the subscribers of this symbol. That is right for none: they cannot read it either.
    Pass(Symbol),
    /// The leg ends. That is right for none: the ticks between are in order.
    End,
}

/// How the proxy decides. The default is what is shipped.
///
/// ```
/// # use std::sync::Arc;
/// let mut policies = proxy::Policies::default();
/// policies.balance = Arc::new(|_| Box::new(proxy::LeastConnections::default()));
/// ```
#[derive(Clone)]
pub struct Policies {
    /// Which instance takes the next leg. One is made.
    pub balance: Make<dyn Balance>,
    /// How long a failed instance is left alone. One is made.
    pub redial: Make<dyn Redial>,
    /// Whether a silent leg is alive. One is made for each leg.
    pub judge: MakeJudge,
    /// The stamps (epoch, seq) of fan-out. One is made.
    pub stamp: Make<dyn Stamp>,
    /// Whether one tick may come by several legs, so that what they bring is merged (fan-out).
    pub merges: Arc<dyn Fn(&Config) -> bool + Send + Sync>,
    /// Whether what a source brings is passed on without a look at whether another one has brought it before, or something newer. That is right for none: which of two legs has its
    /// turn first at an instant, nobody promises, and a replica may be behind.
    pub trusts: Arc<dyn Fn(SourceId) -> bool + Send + Sync>,
    /// Which clients get a message of fan-out. One is made.
    pub route: Make<dyn Route>,
    /// What clients hear of a source's answers to their subscriptions (v2). One is made.
    pub acknowledge: Make<dyn Acknowledge>,
    /// A client's queue in fan-out. One is made for each client.
    pub queue: Make<dyn Queue>,
    /// Who is let in. One is made.
    pub admission: Make<dyn Admission>,
    /// The code of a Close frame that a client gets, by why its session ends and by the code that this calls for.
    pub close_code: Arc<dyn Fn(Why, u16) -> u16 + Send + Sync>,
    /// What the next instance of a client hears first, of the client's messages that were kept to be said again (relay). Right is all of them, in order and once.
    pub preamble: Arc<dyn Fn(VecDeque<Message>) -> VecDeque<Message> + Send + Sync>,
    /// What becomes of what a source sends that cannot be read (fan-out).
    pub unread: Arc<dyn Fn(&Message) -> Unread + Send + Sync>,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            balance: Arc::new(|config| match config.balance {
                Balancing::LeastConnections => Box::new(LeastConnections::default()),
                Balancing::P2c => Box::new(PowerOfTwo),
            }),
            redial: Arc::new(|config| Box::new(FullJitter::new(config.backoff))),
            judge: Arc::new(|config, opening| Box::new(PingAndStale::new(config.health, opening))),
            stamp: Arc::new(|_| Box::new(Stamps::default())),
            merges: Arc::new(|config| config.sources != Sources::Active),
            trusts: Arc::new(|_| false),
            route: Arc::new(|_| Box::new(SubscribersOnly)),
            acknowledge: Arc::new(|_| Box::new(AskersOnly)),
            queue: Arc::new(|config| match config.limits.slow_client {
                SlowClient::Conflate if config.protocol != Protocol::Raw => {
                    Box::new(Conflating::new(config.limits.queue_bytes_max))
                }
                _ => Box::new(Bounded::new(&config.limits)),
            }),
            admission: Arc::new(|config| Box::new(Caps::new(&config.limits))),
            close_code: Arc::new(|_, code| code),
            preamble: Arc::new(|kept| kept),
            unread: Arc::new(|_| Unread::Skip),
        }
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policies")
    }
}
