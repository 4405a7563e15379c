//! The proxy under test: a WebSocket proxy for real-time feeds, a production program and a library.
//!
//! ```text
//!   config, limits      what it is told; all bounds, with the sum that justifies them
//!   policy              the decisions as exchangeable values: balance, backoff, health, admission, fanout::{queue, stamp, route}
//!   serve               bind, run, stop
//!   listener            accept, admit or refuse, handshake under a deadline
//!   admission, addresses, keys, pace   who is let in, how many from one address and with one key, how fast
//!   fanout              one upstream leg in all; its messages to those who subscribed
//!   relay               one upstream leg for each client, balanced
//!   pool, dial          the instances of the source, and reaching them
//!   shares              which of several instances delivers which symbol
//!   reload              going over to another configuration
//!   drain               how the proxy leaves
//!   farewell, liveness  how client sessions end
//!   roster              who is here
//!   admin               /metrics, /healthz, /readyz, /upstreams, POST /drain
//!   meter, metrics      what is counted, and its text for Prometheus
//!   program             the command line
//! ```
//!
//! What must always hold:
//!
//! - **A source is never blocked by a client.** The reader of a leg leaves a pointer in each bounded queue and goes on.
//! - **Nothing grows without bound**: queues, handshakes, refusals, dials and waits all have theirs ([`Limits`]).
//! - **No silent gap** for a `windtunnel.v1` client: each stamp is delivered or named in a notice, and an epoch ends with one.
//! - **The loss of a source is no reason to close a client** while any instance can be reached; nothing of an old leg follows the new one.
//! - **A client gets what it subscribed to and nothing else**; one that subscribed to nothing gets nothing.
//! - **Close codes that cross the wire are lawful** ([`wire::close::is_lawful`]).
//! - **Nothing that a peer sends may panic us.**
//!
//! TLS is spoken on both legs where it is asked for, below the sessions: nothing above `tls` knows of it.

mod addresses;
mod admin;
mod admission;
mod backoff;
mod balance;
mod bucket;
mod config;
mod context;
mod descriptors;
mod dial;
mod drain;
mod fanout;
mod farewell;
mod health;
mod keys;
mod limits;
mod listener;
mod liveness;
mod lock;
mod meter;
mod metrics;
mod pace;
mod policy;
mod pool;
pub mod program;
mod quota;
mod relay;
mod reload;
mod roster;
mod secret;
mod serve;
mod shares;
mod siblings;
mod tls;

pub use self::admission::{Admission, Admit, Caps, Load, Refusal};
pub use self::backoff::{FullJitter, Redial};
pub use self::balance::{Balance, Candidate, LeastConnections, PowerOfTwo};
pub use self::config::{
    Backoff, Balancing, Changed, Config, ConfigError, Ejection, Frozen, Health, Mode, Pattern, Roots, Sources,
    Upstream, WEIGHT_MAX,
};
pub use self::descriptors::descriptors_beside_clients;
pub use self::fanout::{
    Acknowledge, Answer, AskersOnly, Bounded, Change, ClientKey, Conflating, Delivery, Dropped, Members, Pressure,
    Pushed, Queue, Replaced, Route, Slot, Stamp, Stamps, SubscribersOnly, Subscriptions, Table, UnionFull,
};
pub use self::health::{Heard, Judge, Opening, PingAndStale, Verdict};
pub use self::limits::{Limits, SlowClient};
pub use self::policy::{Make, MakeJudge, Policies, Unread};
pub use self::reload::ReloadError;
pub use self::secret::Secret;
pub use self::serve::{Handle, ServeError, Server, serve, serve_with};
pub use self::shares::{Move, Moves, Rebalance, Shares};
pub use self::tls::TlsError;
