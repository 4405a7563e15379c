//! All clients of one population, from the first arrival to the sum.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;
use wire::event::Observer;
use wire::id::ClientId;
use wire::net::Network;

use crate::arrival::Arrival;
use crate::client::{Crowd, live};
use crate::config::{Config, Load, RunError};
use crate::subscriptions::Subscriptions;
use crate::summary::{Meters, Summary, Tally};

/// A target taken apart once.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    fn parse(text: &str) -> Result<Self, RunError> {
        let bad = |why: &str| RunError::BadTarget { url: text.to_owned(), why: why.to_owned() };
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        if url.scheme() != "ws" {
            return Err(bad("only ws:// (TLS ends in front of what is tested)"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("it has no host"))?;
        // An IPv6 address stands in brackets in a URL, and without them in a lookup.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port().unwrap_or(80);
        Ok(Self { url: url.to_string(), host, port })
    }
}

fn check(config: &Config) -> Result<Vec<Target>, RunError> {
    if config.targets.is_empty() {
        return Err(RunError::NoTarget);
    }
    let out = |field, why| Err(RunError::OutOfRange { field, why });
    if config.targets.len() > usize::from(u16::MAX) {
        return out("targets", "at most 65535");
    }
    if config.first.0.checked_add(config.clients).is_none() {
        return out("clients", "numbers must fit 32 bits");
    }
    if !(0.0..=1.0).contains(&config.strong) {
        return out("strong", "a share is from 0 to 1");
    }
    if config.symbols.len() > wire::feed::SYMBOLS_MAX {
        return out("symbols", "a v1 request takes at most 1000");
    }
    let above_0 = |rate: f64| rate.is_finite() && rate > 0.0;
    match config.load.arrival() {
        Arrival::Poisson { per_s } if !above_0(per_s) => return out("arrival", "arrivals per second must be above 0"),
        Arrival::Waves { each: 0, .. } => return out("arrival", "a wave has at least one client"),
        _ => {}
    }
    if let Subscriptions::Zipf { exponent, .. } = config.subscriptions
        && !(exponent.is_finite() && exponent >= 0.0)
    {
        return out("subscriptions", "Zipf's exponent is not below 0");
    }
    match config.load {
        Load::Open { requests_per_s: Some(per_s), .. } if !above_0(per_s) => {
            return out("requests", "requests per second must be above 0");
        }
        Load::Closed { .. } if config.reconnect.is_none() => {
            return out("load", "a population that is held takes lost clients back: it needs reconnect");
        }
        _ => {}
    }
    if config.load.asks() && config.request_bytes > config.limits.message_max {
        return out("requests", "a request must fit a message");
    }
    if config.behaviour.asks_per_s.is_some_and(|per_s| !(per_s.is_finite() && per_s > 0.0)) {
        return out("asks", "asks per second must be above 0");
    }
    let every = [config.behaviour.pings_every, config.behaviour.resubscribe_every];
    if every.into_iter().flatten().any(|every| every.is_zero()) {
        return out("behaviour", "intervals must be above 0");
    }
    config.targets.iter().map(|text| Target::parse(text)).collect()
}

/// Runs the population to its end: `duration` after the first planned arrival, or at `shutdown`, every client closes with 1000. It returns early where all
/// clients are through before.
///
/// # Errors
/// [`RunError`], before anything is dialled.
pub async fn run<N: Network>(
    config: Config,
    net: N,
    shutdown: CancellationToken,
    observer: Observer,
) -> Result<Summary, RunError> {
    let targets = check(&config)?;
    let began = Instant::now() + config.start_after;
    let plan = config.load.arrival().plan(config.clients, net.draws("arrival", u64::from(config.first.0)));
    let meters = Meters::new(net.shards());
    let end = began + config.duration;
    let first = config.first;
    let crowd = Arc::new(Crowd { config, targets, net: net.clone(), observer, stop: shutdown, end });
    // Guards: if this future is dropped, its clients end with it.
    let clients: Vec<_> = (0..)
        .zip(plan)
        // Who would arrive after the end does not arrive.
        .filter(|(_, arrival)| *arrival < crowd.config.duration)
        .map(|(i, arrival)| {
            let shard = i as usize % net.shards().max(1);
            let life = live(Arc::clone(&crowd), ClientId(first.0 + i), began + arrival, meters.shard(shard));
            net.spawn_on(shard, "loadgen client", life).guard()
        })
        .collect();
    let mut sum = Tally::default();
    for client in clients {
        // A client that was lost (its host was killed) has nothing to add.
        if let Ok(tally) = client.await {
            sum.add(&tally);
        }
    }
    Ok(sum.finish(&meters))
}
