//! All clients of one population, from the first arrival to the sum.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::sync::CancellationToken;
use url::Url;
use wire::event::Observer;
use wire::feed::Protocol;
use wire::id::ClientId;
use wire::net::Network;

use crate::arrival::Arrival;
use crate::client::{Crowd, live};
use crate::config::{Config, Load, RunError};
use crate::measure::{Meters, Window};
use crate::pick::pick;
use crate::publish::{Board, PLACE, REST_MAX};
use crate::subscriptions::Subscriptions;
use crate::summary::{Cast, Summary, Tally};
use crate::tls::Trust;

/// A target taken apart once.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whose certificate it must show, where it speaks TLS.
    pub(crate) tls: Option<ServerName<'static>>,
}

impl Target {
    fn parse(text: &str) -> Result<Self, RunError> {
        let bad = |why: &str| RunError::BadTarget { url: text.to_owned(), why: why.to_owned() };
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        let secure = match url.scheme() {
            "ws" => false,
            "wss" => true,
            _ => return Err(bad("only ws:// and wss://")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("it has no host"))?;
        // An IPv6 address stands in brackets in a URL, and without them in a lookup.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port().unwrap_or(if secure { 443 } else { 80 });
        let name = || ServerName::try_from(host.clone()).map_err(|_| bad("no certificate can be for this host"));
        let tls = secure.then(name).transpose()?;
        Ok(Self { url: url.to_string(), host, port, tls })
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
    if !(0.0..=1.0).contains(&config.verify) {
        return out("verify", "a share is from 0 to 1");
    }
    let behaves = &config.behaviour;
    let says = behaves.pings_every.is_some()
        || behaves.resubscribe_every.is_some()
        || behaves.asks_per_s.is_some()
        || behaves.offence.is_some();
    if config.verify < 1.0 && (config.load.asks() && config.publishers.is_none() || says) {
        return out("verify", "clients that send have something to check: only those that listen may just count");
    }
    publishers(config)?;
    if config.one_at_a_time && !matches!(config.load, Load::Open { requests_per_s: Some(_), .. }) {
        return out("one_at_a_time", "says something of requests by plan only");
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

/// What publishers need.
fn publishers(config: &Config) -> Result<(), RunError> {
    let out = |field, why| Err(RunError::OutOfRange { field, why });
    if !config.hello.is_empty() && config.protocol != Protocol::Raw {
        return out("hello", "only where there is nothing to subscribe to: it needs raw");
    }
    let Some(publishers) = &config.publishers else { return Ok(()) };
    if !config.load.asks() {
        return out(
            "publishers",
            "how often do they publish? it needs requests per second (--rate), or a closed loop (--closed --think)",
        );
    }
    if config.protocol != Protocol::Raw {
        return out("publishers", "feeds take no messages: it needs raw");
    }
    if config.one_at_a_time {
        return out("one_at_a_time", "says something of requests to an echo only");
    }
    if publishers.count == 0 || publishers.count > config.clients {
        return out("publishers", "at least one, and no more than there are clients");
    }
    if publishers.count == config.clients && !publishers.listen {
        return out("publishers", "nobody is left to listen: have more clients, or let publishers listen");
    }
    if let Some(envelope) = &publishers.envelope {
        // Twice in it, each message would come twice, and the target be blamed.
        if envelope.matches(PLACE).count() != 1 {
            return out("envelope", "it must have {message} in it once, no more and no less");
        }
        let said = (envelope.len() - PLACE.len()).saturating_add(config.request_bytes.max(REST_MAX));
        if said > config.limits.message_max {
            return out("envelope", "it and the bytes of a publication (--bytes) together must fit a message");
        }
    }
    Ok(())
}

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    /// It offers the strong contract.
    pub(crate) strong: bool,
    /// It reads and checks all that comes to it; or it only counts.
    pub(crate) checks: bool,
    /// Its place among those who publish.
    pub(crate) publishes: Option<u32>,
}

/// The roles of so many clients, on so many shards.
fn roles(config: &Config, clients: usize, shards: usize) -> Vec<Role> {
    let ids = || (0..clients).map(|i| ClientId(config.first.0 + i as u32));
    let place =
        |client: ClientId| (client.index() % config.targets.len(), (client.0 - config.first.0) as usize % shards);
    let publishers = config.publishers.as_ref().map_or(0, |publishers| publishers.count as usize);
    let places: Vec<_> = ids().map(place).collect();
    let count = |of: usize, share: f64| (of as f64 * share + 1e-9).floor() as usize;
    let strong = if config.strong_alike {
        pick(&places, count(clients, config.strong))
    } else {
        ids().map(|client| config.is_strong(client)).collect()
    };
    let role = |strong| Role { strong, checks: config.verify >= 1.0, publishes: None };
    let mut roles: Vec<Role> = strong.into_iter().map(role).collect();
    let publish = pick(&places, publishers);
    for (n, i) in (0..clients).filter(|i| publish[*i]).enumerate() {
        (roles[i].checks, roles[i].publishes) = (true, u32::try_from(n).ok());
    }
    if config.verify < 1.0 {
        let listen: Vec<usize> = (0..clients).filter(|i| !publish[*i]).collect();
        let groups: Vec<_> = listen.iter().map(|i| (roles[*i].strong, places[*i])).collect();
        // One at least, where any are asked for.
        let checking = count(listen.len(), config.verify).max(usize::from(config.verify > 0.0));
        for (i, checks) in listen.into_iter().zip(pick(&groups, checking)) {
            roles[i].checks = checks;
        }
    }
    roles
}

/// When what happens: the plan of a run.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// The first planned arrival's origin.
    pub(crate) began: Instant,
    /// The measured window.
    pub(crate) window: Window,
    /// When every client closes: the window's end, and what is on its way then has come.
    ends: Instant,
    /// Planned arrivals within the run, since `began`.
    arrivals: Vec<Duration>,
}

impl Schedule {
    fn of(config: &Config, arrivals: Vec<Duration>) -> Result<Self, RunError> {
        let began = Instant::now() + config.start_after;
        let last = |arrivals: &[Duration]| arrivals.last().copied().unwrap_or_default();
        let settle = config.publishers.as_ref().map_or(Duration::ZERO, |publishers| publishers.settle);
        // Nothing is published before all have settled.
        let warm_up = config.warm_up.max(settle);
        let (duration, arrivals) = match config.window {
            Some(window) => (last(&arrivals).saturating_add(warm_up).saturating_add(window), arrivals),
            // Who would arrive after the end does not arrive.
            None => (config.duration, arrivals.into_iter().filter(|at| *at < config.duration).collect()),
        };
        let begins = last(&arrivals).saturating_add(warm_up);
        if begins >= duration && !arrivals.is_empty() {
            let why = "it leaves nothing to measure: the run ends before the last arrival and the warm-up are over";
            return Err(RunError::OutOfRange { field: "warm_up", why });
        }
        let at = |after| began.checked_add(after);
        let late = RunError::OutOfRange { field: "duration", why: "longer than a clock goes" };
        let (Some(begins), Some(closes), Some(ends)) = (at(begins), at(duration), at(duration.saturating_add(settle)))
        else {
            return Err(late);
        };
        Ok(Self { began, window: Window { begins, ends: closes }, ends, arrivals })
    }
}

/// Runs the population to its end: `duration` (and the time that publications have to settle) after the first planned arrival, or at `shutdown`, every client closes with 1000. It returns early where all
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
    run_watched(config, net, shutdown, observer, |_, _| ()).await.map(|(summary, _)| summary)
}

/// As [`run`], and `watch` is told of the plan and of the figures before anything is dialled.
pub(crate) async fn run_watched<N: Network>(
    config: Config,
    net: N,
    shutdown: CancellationToken,
    observer: Observer,
    watch: impl FnOnce(&Schedule, &Meters),
) -> Result<(Summary, Meters), RunError> {
    let targets = check(&config)?;
    let secure = targets.iter().any(|target| target.tls.is_some());
    let trust = secure.then(|| config.trust.clone().unwrap_or_else(Trust::public));
    let plan = config.load.arrival().plan(config.clients, net.draws("arrival", u64::from(config.first.0)));
    let schedule = Schedule::of(&config, plan)?;
    let Schedule { began, window, ends, arrivals } = &schedule;
    let meters = Meters::new(net.shards(), *window, config.objective);
    watch(&schedule, &meters);
    let (first, shards) = (config.first, net.shards().max(1));
    let roles = roles(&config, arrivals.len(), shards);
    let board = config.publishers.as_ref().map(|publishers| {
        let clients = (0..).zip(&roles).filter(|(_, role)| role.publishes.is_some());
        let run = net.draws("publishers", u64::from(first.0)).draw();
        let from = *began + arrivals.last().copied().unwrap_or_default() + publishers.settle;
        let instants = [*began, from, window.ends, *ends];
        Board::new(run, instants, publishers.settle, clients.map(|(i, _)| ClientId(first.0 + i)).collect())
    });
    let crowd = Arc::new(Crowd {
        config,
        targets,
        trust,
        roles,
        board,
        net: net.clone(),
        observer,
        stop: shutdown,
        end: *ends,
    });
    let mut cast = Cast { objective: crowd.config.objective.is_some(), ..Cast::default() };
    // Guards: if this future is dropped, its clients end with it.
    let clients: Vec<_> = (0..)
        .zip(arrivals)
        .map(|(i, arrival)| {
            let client = ClientId(first.0 + i);
            let role = crowd.roles[i as usize];
            let listens = role.publishes.is_none() || crowd.config.publishers.as_ref().is_some_and(|it| it.listen);
            cast.checking += u64::from(role.checks && listens);
            cast.draining += u64::from(!role.checks);
            let shard = i as usize % shards;
            let life = live(Arc::clone(&crowd), client, *began + *arrival, meters.shard(shard));
            net.spawn_on(shard, "loadgen client", life).guard()
        })
        .collect();
    let mut sum = Tally::default();
    for client in clients {
        match client.await {
            Ok(tally) => sum.add(&tally),
            // Nobody ends one before its time but a panic of ours. (Where a host is killed, this function is, too.)
            Err(_) => sum.lost(),
        }
    }
    let measured = window.ends.min(Instant::now()).saturating_duration_since(window.begins);
    // Where no session opened there was nothing to measure.
    cast.seconds = (!measured.is_zero() && sum.counts.opened > 0).then_some(measured.as_secs_f64());
    Ok((sum.finish(&meters, cast, crowd.board.as_ref()), meters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::Publishers;

    #[test]
    fn who_checks_and_who_is_strong_is_at_all_targets_and_on_all_threads() {
        let mut config = Config::new(vec!["ws://a".to_owned(), "ws://b".to_owned()]);
        (config.clients, config.verify, config.strong, config.strong_alike) = (400, 0.05, 0.5, true);
        let roles = roles(&config, 400, 2);
        let checks = |of: &dyn Fn(usize) -> bool| (0..400).filter(|i| roles[*i].checks && of(*i)).count();
        let strong = |of: &dyn Fn(usize) -> bool| (0..400).filter(|i| roles[*i].strong && of(*i)).count();
        assert_eq!((checks(&|i| i % 2 == 0), checks(&|i| i % 2 == 1)), (10, 10));
        assert_eq!((strong(&|i| i % 2 == 0), strong(&|i| i % 2 == 1)), (100, 100));
        assert_eq!((checks(&|i| roles[i].strong), checks(&|i| !roles[i].strong)), (10, 10));
    }

    #[test]
    fn an_envelope_holds_its_message_once_and_both_fit_a_message() {
        let check = |envelope: &str, bytes: usize, expect: bool| {
            let mut config = Config::new(vec!["ws://a".to_owned()]);
            (config.clients, config.protocol, config.request_bytes) = (2, Protocol::Raw, bytes);
            config.load = Load::Open { arrival: Arrival::AtOnce, requests_per_s: Some(1.0), stay: None, session: None };
            config.publishers = Some(Publishers { envelope: Some(envelope.to_owned()), ..Publishers::new(1) });
            let checked = super::check(&config).map(|_| ());
            assert_eq!(checked.is_ok(), expect, "{envelope} {bytes}: {checked:?}");
            assert!(checked.err().is_none_or(|error| error.to_string().starts_with("envelope")));
        };
        let max = wire::ws::Limits::default().message_max;
        check("<{message}>", 64, true);
        check("<>", 64, false);
        check("{message} {message}", 64, false);
        check("<{message}>", max - 2, true);
        check("<{message}>", max - 1, false);
        // Few bytes are asked for, and a message has its own length.
        check(&("{message}".to_owned() + &" ".repeat(max - REST_MAX)), 20, true);
        check(&("{message}".to_owned() + &" ".repeat(max - REST_MAX + 1)), 20, false);
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_begins_after_the_last_arrival_and_the_warm_up_and_lasts_to_the_end() {
        let s = Duration::from_secs;
        let check = |change: &dyn Fn(&mut Config), expect: Option<(u64, u64, usize)>| {
            let mut config = Config::new(vec!["ws://a".to_owned()]);
            config.duration = s(30);
            change(&mut config);
            let schedule = Schedule::of(&config, vec![s(0), s(4), s(10)]).ok();
            let told = schedule.map(|Schedule { began, window, arrivals, .. }| {
                let since = |at: Instant| at.duration_since(began).as_secs();
                (since(window.begins), since(window.ends), arrivals.len())
            });
            assert_eq!(told, expect);
        };
        check(&|_| (), Some((10, 30, 3)));
        check(&|config| config.warm_up = s(5), Some((15, 30, 3)));
        check(&|config| config.warm_up = s(20), None);
        check(&|config| config.duration = s(10), Some((4, 10, 2)));
        check(&|config| (config.warm_up, config.window) = (s(5), Some(s(7))), Some((15, 22, 3)));
        check(&|config| config.publishers = Some(Publishers { settle: s(2), ..Publishers::new(1) }), Some((12, 30, 3)));
    }
}
