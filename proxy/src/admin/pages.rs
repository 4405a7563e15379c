//! What the admin address shows as JSON.

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use wire::net::Network;

use crate::config::KEYS;
use crate::context::Context;
use crate::lock::lock;
use crate::roster::{Client, Holds};

/// The instances, and what is known of each.
pub(super) fn upstreams<N: Network>(context: &Context<N>) -> Value {
    let now = Instant::now();
    let states = lock(&context.pool).states();
    let failures = lock(&context.failures);
    let instance = |state: crate::pool::InstanceState| {
        let failure = failures.get(&state.source);
        json!({
            "source": state.source.0,
            "url": state.upstream.shown(),
            "weight": state.upstream.weight,
            "leaving": state.leaving,
            "drained": state.held,
            "healthy": state.healthy,
            "ejected": state.ejected,
            "open": state.open.saturating_sub(state.dialing),
            "dialing": state.dialing,
            "failures": state.failures,
            "rests_ms": state.rests_until.map(|until| millis(until.saturating_duration_since(now))),
            "last_failure": failure.map(|failure| json!({
                "ago_ms": millis(now.saturating_duration_since(failure.at)), "why": failure.why
            })),
        })
    };
    states.into_iter().map(instance).collect()
}

/// A page of clients; `next` is what to ask for `after` to get the one that follows.
pub(super) fn clients<N: Network>(context: &Context<N>, after: Option<std::net::SocketAddr>, limit: usize) -> Value {
    let now = Instant::now();
    let (page, count) = context.roster.page(after, limit);
    let next = page.last().filter(|_| page.len() == limit).map(|client| client.peer.to_string());
    let client = |client: &Client| {
        let held = |of: fn(&Holds) -> u64| client.holds.as_ref().map(of);
        json!({
            "peer": client.peer.to_string(),
            "age_ms": millis(now.saturating_duration_since(client.since)),
            "symbols": held(|holds| holds.symbols as u64),
            "queue_bytes": held(|holds| holds.queue_bytes as u64),
            "dropped": held(|holds| holds.dropped),
        })
    };
    json!({ "count": count, "clients": page.iter().map(client).collect::<Vec<_>>(), "next": next })
}

/// The configuration as it stands, in the shape of the file. What may be a secret is masked.
pub(super) fn config<N: Network>(context: &Context<N>) -> Value {
    let config = context.config();
    let mut top = Map::new();
    for key in KEYS {
        let value = serde_json::to_value((key.value)(&config)).unwrap_or(Value::Null);
        match key.name.split_once('.') {
            None => top.insert(key.name.to_owned(), value),
            Some((table, name)) => {
                let table = top.entry(table).or_insert_with(|| Map::new().into());
                table.as_object_mut().and_then(|table| table.insert(name.to_owned(), value))
            }
        };
    }
    top.into()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
