//! Fan-out: one upstream leg in all, or a few, their messages to the clients that subscribed to them.
//!
//! ```text
//!            legs (a task each)            hub (a lock)              shards (a loop each)                  client (a task each)
//!   source ---> read, judge ---> stamp (epoch, seq), fan out ---> route, queue, write in batches ---> client
//!      ^                            |  union of subscriptions <------------------------------------- requests, pings
//!      `---- reconcile the union <--'
//! ```
//!
//! Neither the leg's task nor a shard's loop ever waits for a client: a message goes into each client's bounded queue, and from there into the socket as far as that takes it. The
//! client's own task reads what the client says; it writes only where the socket was full.

mod answers;
mod books;
mod client;
mod conflate;
mod conn;
mod delivery;
mod fence;
mod frame;
mod gaps;
mod hub;
mod inbox;
mod leg;
mod legs;
mod memory;
mod merge;
mod outgoing;
mod queue;
mod reconcile;
mod round;
mod shard;
mod stamp;
mod subscriptions;
mod union;

use std::sync::Arc;

use wire::id::Symbol;
use wire::net::{Network, TaskGuard};

pub use self::answers::{Acknowledge, Answer, AskersOnly};
pub(crate) use self::client::{routed, serve as serve_client};
pub use self::conflate::Conflating;
pub use self::delivery::Delivery;
pub(crate) use self::hub::Hub;
pub(crate) use self::leg::keep_all as keep_legs;
pub use self::queue::{Bounded, Dropped, Pressure, Pushed, Queue};
pub use self::stamp::{Stamp, Stamps};
pub use self::subscriptions::{
    Change, ClientKey, Members, Replaced, Route, Slot, SubscribersOnly, Subscriptions, Table, UnionFull,
};
use crate::context::Context;

/// Starts the shards' loops, each on its core.
pub(crate) fn start_shards<N: Network>(context: &Arc<Context<N>>) -> Vec<TaskGuard<()>> {
    let net = context.net.clone();
    (0..net.shards().max(1))
        .map(|index| net.spawn_on(index, "shard", shard::run(Arc::clone(context), index)).guard())
        .collect()
}

/// The one symbol of the raw protocol, where everything goes to everyone.
pub(crate) fn raw_symbol() -> Symbol {
    Symbol::new("*").expect("an asterisk is printable")
}
