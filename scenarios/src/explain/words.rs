//! The parts of a scenario in words.

mod life;

use crate::check::{DeliveryLatency, FromPhase, Objectives};
use crate::cost::Cost;
use crate::model::{
    Arrival, Clients, Consumed, Fault, FaultKind, Latency, Link, Load, Network, Proxy, ProxyMode, Queues, Rate, Rates,
    Reader, Scenario, ServiceTime, Shared, SlowClient, SourceMode, Sources, Spread, Subscriptions, Waves, Zipf,
};

pub(super) use crate::parse::arrived_us;

/// Who is there.
pub(super) fn cast(scenario: &Scenario) -> Vec<(&'static str, String)> {
    let mut cast = vec![
        ("sources", sources(scenario)),
        ("proxy", proxy(&scenario.proxy)),
        ("network", network(&scenario.network)),
    ];
    if let Some(edge) = &scenario.edge {
        cast.insert(2, ("edge", format!("{}; clients connect to these, and they to the proxies", proxy(edge))));
    }
    cast.extend(scenario.network.links.iter().map(|link| ("link", self::link(link))));
    if let Some(balancer) = scenario.balancer {
        cast.push(("balancer", life::balancer(balancer)));
    }
    if let Some(cost) = scenario.service_time {
        cast.push(("cpu", cpu(cost)));
    }
    cast.extend(scenario.clients.iter().map(|group| ("clients", clients(group))));
    cast
}

pub(super) fn cpu(cost: ServiceTime) -> String {
    let mut text = format!("{} of the proxy for each segment", cost.proxy_per_segment);
    for (cost, what) in [(cost.proxy_per_kib, "for 1024 bytes"), (cost.proxy_per_connection, "for a connection")] {
        if cost != Cost::default() {
            text += &format!(", {cost} {what}");
        }
    }
    match (cost.proxy_cores, cost.proxy_queues) {
        (1, _) => {}
        (cores, Queues::PerCore) => text += &format!(", on {cores} cores with a queue each"),
        (cores, Queues::Shared) => text += &format!(", on {cores} cores with one queue"),
    }
    if cost.proxy_spread == Spread::Exponential {
        text += ", spread exponentially";
    }
    text
}

fn sources(scenario: &Scenario) -> String {
    let sources = &scenario.sources;
    let mut text = match sources.mode {
        SourceMode::V1 | SourceMode::V2 => {
            let protocol = if sources.mode == SourceMode::V1 { "v1" } else { "v2" };
            let denied: std::collections::BTreeSet<&str> =
                sources.denied.iter().map(|denied| denied.symbol.as_str()).collect();
            let denied = if denied.is_empty() { String::new() } else { format!(", {} of them denied", denied.len()) };
            format!("{}, {protocol}, {} symbols{denied}, {}", sources.count, sources.symbols, rates(sources))
        }
        SourceMode::Echo => format!("{}, echo: they send every message back", sources.count),
    };
    if let Some(limit) = sources.key_limit {
        text += &format!(", {limit} connections a key");
    }
    if let Some(padding) = &sources.padding {
        let least = padding.bytes_min.map_or_else(String::new, |least| format!("{least} to "));
        let of = if padding.symbols.is_empty() { String::new() } else { format!(" of {}", padding.symbols.join(", ")) };
        text += &format!(", ticks{of} with {least}{} bytes of filler", padding.bytes);
    }
    if let Some(fragments) = sources.fragments {
        let pings = if fragments.pings { ", a ping between them" } else { "" };
        text += &format!(", in frames of {} bytes{pings}", fragments.bytes);
    }
    text
}

/// How often the symbols tick.
fn rates(sources: &Sources) -> String {
    match &sources.rates {
        None => format!("a tick of each every {}", sources.period),
        Some(Rates::Own(own)) => {
            let named = |rate: &Rate| match rate.symbols.as_slice() {
                [one] => format!("of {one} every {}", rate.period),
                several => format!("of each of {} others every {}", several.len(), rate.period),
            };
            let own: Vec<String> = own.iter().map(named).collect();
            format!("a tick of each every {}, but {}", sources.period, own.join(", "))
        }
        Some(Rates::Zipf(Shared { per_s, exponent })) => {
            let (shortest, longest) = (sources.shortest_period(), sources.longest_period());
            format!(
                "{per_s} ticks of them a second by Zipf's law with exponent {exponent}: of the first every {shortest}, of the last every {longest}"
            )
        }
    }
}

fn proxy(proxy: &Proxy) -> String {
    let mode = match proxy.mode {
        ProxyMode::Fanout => "fanout (one leg for all)",
        ProxyMode::Relay => "relay (one leg a client)",
    };
    let mut text = format!("{}, {mode}", proxy.count);
    match proxy.sources {
        None | Some(Consumed::Active) => {}
        Some(Consumed::Hot) => text += ", two sources at once",
        Some(Consumed::Sharded) => text += ", the symbols shared out among the sources",
    }
    if let Some(most) = proxy.clients_max {
        text += &format!(", {most} clients at most");
    }
    if let Some(bytes) = proxy.queue_bytes {
        text += &format!(", {bytes} bytes queued a client");
    }
    match proxy.slow_client {
        Some(SlowClient::Conflate) => text += ", slow clients get the newest of each symbol",
        Some(SlowClient::DropOldest) => text += ", slow clients lose the oldest message",
        Some(SlowClient::Disconnect) => text += ", slow clients are closed",
        None => {}
    }
    if let Some(stale) = proxy.stale_after {
        text += &format!(", a source silent for {stale} is given up");
    }
    if let Some(most) = proxy.clients_per_upstream_max {
        text += &format!(", {most} legs a source at most");
    }
    if let Some(most) = proxy.pending_max {
        text += &format!(", {most} clients wait for one at most");
    }
    if let Some(longest) = proxy.pending_timeout {
        text += &format!(", each for {longest} at most");
    }
    if let Some(over) = proxy.slow_start {
        text += &format!(", a source that came back is filled over {over}");
    }
    if let Some(rate) = proxy.moves_per_second.filter(|rate| *rate > 0) {
        text += &format!(", {rate} symbols move a second");
    }
    if let Some(rate) = proxy.dials_per_second_max.filter(|rate| *rate > 0) {
        text += &format!(", {rate} dials a second to a source");
    }
    if let Some(burst) = proxy.dials_burst {
        text += &format!(", {burst} dials at once");
    }
    text += &life::guard(&proxy.guard);
    text += &life::drain(proxy.drain);
    if let Some(shards) = proxy.shards.filter(|shards| *shards > 1) {
        text += &format!(", {shards} shards");
    }
    text
}

fn network(network: &Network) -> String {
    let mut text = latency(network.latency);
    if let Some(bits) = network.bandwidth {
        text += &format!(", {bits} bit/s");
    }
    if network.loss > 0.0 {
        text += &format!(", {}% lost and sent again", network.loss * 100.0);
    }
    text
}

/// A link that is not like the others.
fn link(link: &Link) -> String {
    let bandwidth = link.bandwidth.map(|bits| format!("{bits} bit/s"));
    let loss = link.loss.map(|loss| format!("{}% lost and sent again", loss * 100.0));
    let said: Vec<String> = [link.latency.map(latency), bandwidth, loss].into_iter().flatten().collect();
    format!("{} to {}: {}", link.between.0, link.between.1, said.join(", "))
}

fn latency(latency: Latency) -> String {
    match latency {
        Latency::Fixed(span) => format!("{span} one way"),
        Latency::Uniform(low, high) => format!("{low} to {high} one way"),
        Latency::LogNormal { median, tail } => format!("{median} one way, one in a hundred above {tail} times that"),
        Latency::Spikes { share, delay } => format!("{delay} for {}%", share * 100.0),
    }
}

fn clients(group: &Clients) -> String {
    let arrival = match group.load.arrival() {
        Arrival::AtOnce => "all at once".to_owned(),
        Arrival::Ramp(span) => format!("over {span}"),
        Arrival::Poisson(rate) => format!("{rate} a second at random"),
        Arrival::Waves(Waves { each, every }) => format!("in waves of {each} every {every}"),
    };
    let mut text = format!("{} {}, from {} {arrival}", group.count, group.name, group.start);
    if let Some(stay) = group.load.stay() {
        text += &format!(", staying {stay}");
    }
    let symbols = |each: u32| if each == 1 { "symbol" } else { "symbols" };
    match &group.subscriptions {
        Subscriptions::All => {}
        Subscriptions::Uniform(each) => text += &format!(", {each} {} each", symbols(*each)),
        Subscriptions::Zipf(Zipf { each, exponent }) => {
            text += &format!(", {each} {} each by popularity (Zipf, {exponent})", symbols(*each));
        }
        Subscriptions::Symbols(names) => text += &format!(", for {}", names.join(", ")),
    }
    if group.strong > 0.0 {
        text += &format!(", {}% under the strong contract", group.strong * 100.0);
    }
    match (&group.load, group.load.session()) {
        (_, None) => {}
        (Load::Open(_), Some(length)) => text += &format!(", coming again every {length} or so"),
        (Load::Closed(_), Some(length)) => text += &format!(", another in each one's place every {length} or so"),
    }
    if group.resume {
        text += ", resuming when they come again";
    }
    match group.reader {
        Reader::Full => {}
        Reader::BytesPerS(rate) => text += &format!(", reading {rate} bytes/s"),
        Reader::StopsAfter(span) => text += &format!(", no longer reading {span} after connecting"),
    }
    if let Some(bytes) = group.recv_buffer {
        text += &format!(", receive buffers of {bytes} bytes");
    }
    match &group.load {
        Load::Open(open) => {
            if let Some(rate) = open.requests_per_s {
                text += &format!(", {rate} requests/s each{}", of_bytes(group));
            }
        }
        Load::Closed(closed) => {
            if let Some(think) = closed.think {
                text += &format!(", a request{} each {think} or so after the last answer", of_bytes(group));
            }
            text += ", held at that number";
        }
    }
    text += &life::behaviour(&group.behaviour);
    if !group.reconnect {
        text += ", not coming again";
    }
    if let Some(backoff) = group.backoff {
        text += &format!(", coming again within {} to {}", backoff.base, backoff.cap);
    }
    text
}

/// What goes wrong, in order of time and then what waits for an event; times of the run, not of the steady phase.
pub(super) fn faults(scenario: &Scenario) -> Vec<String> {
    let mut faults: Vec<_> = scenario.faults.iter().collect();
    faults.sort_by_key(|fault| (fault.at.is_none(), fault.at));
    faults
        .into_iter()
        .map(|fault| {
            let at = fault.at.unwrap_or_default();
            let begins = match &fault.after {
                Some(after) => format!("after the {after}"),
                None => format!("at {}", crate::span::Span::from_micros(scenario.warmup.as_micros() + at.as_micros())),
            };
            let (mut what, end) = fault_words(fault);
            if let Some(apart) = fault.stagger {
                what += &format!(", one every {apart}");
            }
            match (fault.lasts, end) {
                (_, "") => format!("{begins} {what}"),
                (Some(lasts), end) => format!("{begins} {what}; {lasts} later {end}"),
                (None, _) => format!("{begins} {what}, for good"),
            }
        })
        .collect()
}

/// What happens, and how it ends; nothing for what is over at once.
pub(super) fn fault_words(fault: &Fault) -> (String, &'static str) {
    let target = &fault.target;
    let span = |span: Option<crate::span::Span>| span.unwrap_or_default();
    let share = |share: f64| format!("{}%", share * 100.0);
    let bytes = fault.bytes.unwrap_or(0);
    match fault.kind {
        FaultKind::Kill => (format!("the process of {target} dies"), "it starts again"),
        FaultKind::PowerOff => (format!("{target} goes dark"), "it boots again"),
        FaultKind::Restart => (format!("the process of {target} dies and starts again"), ""),
        FaultKind::Freeze => (format!("the process of {target} stops running, its kernel lives on"), "it thaws"),
        FaultKind::SlowHost => {
            (format!("{target} is {} times slower", fault.times.unwrap_or(1.0)), "it is as fast as before")
        }
        FaultKind::ClockJump => {
            let (by, how) = fault.ahead.map_or((span(fault.behind), "behind"), |ahead| (ahead, "ahead"));
            (format!("the clock of {target} is {by} {how}"), "it is right again")
        }
        FaultKind::ClockDrift => {
            (format!("the clock of {target} gains {} us a second", fault.ppm.unwrap_or(0.0)), "it is set right")
        }
        FaultKind::Backlog => {
            (format!("{target} lets {} connections wait for accept", fault.at_most.unwrap_or(0)), "as many as before")
        }
        FaultKind::Descriptors => {
            (format!("{target} may hold {} sockets", fault.at_most.unwrap_or(0)), "as many as before")
        }
        FaultKind::Refuse => (format!("{target} refuses connections"), "it grants them"),
        FaultKind::BlackHole => (format!("requests to {target} vanish"), "they arrive"),
        FaultKind::AcceptClose => (format!("new connections to {target} are closed at once"), "they stay"),
        FaultKind::Nxdomain => (format!("the name of {target} does not resolve"), "it does"),
        FaultKind::SlowLookup => {
            (format!("the name of {target} takes {} to resolve", span(fault.delay)), "it resolves at once")
        }
        FaultKind::Partition => (format!("the link {target} loses everything"), "it heals"),
        FaultKind::Stall => (format!("the link {target} carries nothing"), "it heals"),
        FaultKind::Latency => {
            let added = fault.latency.map(latency).map_or("0s".to_owned(), |words| words.replace(" one way", ""));
            let jitter = fault.jitter.map_or(String::new(), |jitter| format!(" and up to {jitter}"));
            (format!("{target} takes {added}{jitter} longer one way"), "it does not")
        }
        FaultKind::Bandwidth => {
            (format!("{target} carries {} bit/s", fault.bandwidth.unwrap_or(0)), "it carries what it did")
        }
        FaultKind::Loss => (format!("{target} loses {}", share(fault.loss.unwrap_or(0.0))), "it does not"),
        FaultKind::BurstLoss => (
            format!(
                "{target} loses {} for {} every {} or so",
                share(fault.loss.unwrap_or(1.0)),
                span(fault.bad),
                span(fault.good)
            ),
            "it does not",
        ),
        FaultKind::Slicer => (
            format!("bytes over {target} trickle, {} every {}", fault.size.unwrap_or(1), span(fault.delay)),
            "they flow",
        ),
        FaultKind::SlowClose => (format!("ends over {target} come {} later", span(fault.delay)), "they do not"),
        FaultKind::Timeout => match fault.closes_after {
            Some(after) => (format!("connections over {target} go silent and are closed after {after}"), "they last"),
            None => (format!("connections over {target} go silent"), "all arrives"),
        },
        FaultKind::LimitData => (format!("connections over {target} are closed after {bytes} bytes"), "they last"),
        FaultKind::ResetPeer if bytes == 0 => (format!("connections over {target} are reset"), "they last"),
        FaultKind::ResetPeer => (format!("connections over {target} are reset after {bytes} bytes"), "they last"),
        FaultKind::HalfOpen => (format!("{target} forgets its connections without a word"), ""),
        FaultKind::Mute => (format!("{target} sends no ticks and answers everything else"), "it ticks again"),
        FaultKind::Slam => (format!("{target} closes each new connection at once"), "it lets them stay"),
        FaultKind::CloseAll => (format!("{target} closes its connections with {}", fault.code.unwrap_or_default()), ""),
        FaultKind::Garbage => {
            let every =
                crate::span::Span::from_micros(u64::try_from(fault.garbage_every().as_micros()).unwrap_or(u64::MAX));
            (format!("{target} sends what is no tick every {every}, between its ticks"), "it sends ticks only")
        }
        FaultKind::Oversized if bytes == 0 => {
            (format!("{target} sends a message that is larger than the proxy takes"), "")
        }
        FaultKind::Oversized => (format!("{target} sends a message of {bytes} bytes, more than the proxy takes"), ""),
        FaultKind::Drain => (format!("{target} drains"), "its program starts again"),
        FaultKind::Reload => {
            let keys = fault.set.as_ref().map(crate::model::Reloaded::keys).unwrap_or_default().join(", ");
            (format!("{target} is told another {keys}"), "")
        }
    }
}

/// What must have happened.
pub(super) fn reach(scenario: &Scenario) -> Vec<String> {
    scenario
        .reach
        .iter()
        .map(|reach| match reach.at_least {
            1 => reach.name().to_owned(),
            times => format!("{}, at least {times} times", reach.name()),
        })
        .collect()
}

/// What must hold.
pub(super) fn objectives(scenario: &Scenario) -> Vec<String> {
    let check = &scenario.check;
    let plain = [
        (check.symbol_order.is_some(), "symbol-order: ticks of a symbol reach a session in order"),
        (check.no_duplicates.is_some(), "no-duplicates: no tick reaches a session twice"),
        (check.no_silent_gap.is_some(), "no-silent-gap: each missing tick is told of or charged to a cause"),
        (check.no_loss.is_some(), "no-loss: no tick is missing, told or not"),
        (check.no_leakage.is_some(), "no-leakage: clients get only what they asked for"),
        (check.payload_intact.is_some(), "payload-intact: payloads are the source's, byte for byte"),
        (check.snapshot_then_live.is_some(), "snapshot-then-live: strong clients get the newest value first"),
        (check.resume_all_or_nothing.is_some(), "resume-all-or-nothing: a resume is served in full or not at all"),
        (check.slow_policy.is_some(), "slow-policy: a full queue has the configured outcome and no other"),
        (check.nothing_leaks.is_some(), "nothing-leaks: when everyone has gone, nothing of them is left"),
        (check.metrics_truth.is_some(), "metrics-truth: what the proxy counts is what sources and clients saw"),
    ];
    let mut lines: Vec<String> = plain.iter().filter(|(asked, _)| *asked).map(|(_, line)| (*line).to_owned()).collect();
    lines.extend(bounds(check));
    lines.extend(life::objectives(check));
    lines
}

/// Objectives with a bound.
fn bounds(check: &Objectives) -> impl Iterator<Item = String> {
    let quantile = |bound: DeliveryLatency| {
        let phase = match bound.from_phase {
            FromPhase::Warmup => "from the beginning",
            FromPhase::Steady => "from the steady phase on",
            FromPhase::Recovery => "in the recovery",
        };
        format!("{}% within {}, {phase}", bound.quantile.get() * 100.0, bound.at_most)
    };
    [
        check.subscription_dedup.map(|bound| {
            format!(
                "subscription-dedup: a source is asked once for what clients want, and given it back {} after, at the earliest",
                bound.linger
            )
        }),
        check.subscription_answers.map(|bound| {
            format!("subscription-answers: clients hear what the source says to them within {}, and nothing else", bound.settle)
        }),
        check.delivery_latency.map(|bound| format!("delivery-latency: {}", quantile(bound))),
        check
            .staleness
            .map(|bound| format!("staleness: nothing that is delivered as live is older than {}", bound.at_most)),
        check.latency_fairness.map(|bound| {
            format!(
                "latency-fairness: the clients' mean latencies have a Jain's index of at least {}, none is above {} times the mean",
                bound.jain_min.get(),
                bound.worst_at_most
            )
        }),
        check.symbol_fairness.map(|bound| {
            format!(
                "symbol-fairness: no symbol's mean latency is above {} times that of another",
                bound.worst_at_most
            )
        }),
        check.fair_turns.map(|bound| {
            format!(
                "fair-turns: no symbol of a session that lacks more than {} of its messages is more than {} behind another",
                bound.lacks_at_most, bound.apart_at_most
            )
        }),
        check.failover_time.map(|bound| {
            format!(
                "failover-time: no symbol is silent for more than {} and a period when a source fails",
                bound.at_most
            )
        }),
        check.no_client_close.map(|bound| {
            let slow = if bound.allow_slow { ", slow ones apart" } else { "" };
            format!("no-client-close: clients keep their sessions while a source is healthy{slow}")
        }),
        check.upstream_connections.map(|bound| {
            format!(
                "upstream-connections: at most {} legs a proxy, {} more for up to {} while it moves",
                bound.at_most, bound.switching, bound.linger
            )
        }),
        check.even_spread.map(|bound| {
            format!(
                "even-spread: legs over the healthy sources with a Jain's index of at least {}",
                bound.jain_min.get()
            )
        }),
        check.first_tick.map(|bound| {
            format!("first-tick: who subscribes has a tick within {} and a period", bound.at_most)
        }),
        check.upstream_caps.map(|bound| {
            format!(
                "upstream-caps: at most {} legs a source, and {} clients without one, for {} at most",
                bound.each_at_most, bound.waiting_at_most, bound.waits_at_most
            )
        }),
        check.upstream_dials.map(|bound| {
            let together =
                bound.together.map_or_else(String::new, |most| format!(", {most} proxies at one instant at most"));
            format!(
                "upstream-dials: a proxy dials a source {} times at once and {} times a second at most{together}",
                bound.burst, bound.per_s
            )
        }),
        check.gentle_rebalance.map(|bound| {
            format!(
                "gentle-rebalance: a source that came back is asked for {} symbols at once and {} a second at most, and has its share after {}",
                bound.burst, bound.per_s, bound.within
            )
        }),
        check.slow_start.map(|bound| format!("slow-start: a source that came back is filled over {}", bound.over)),
        check.client_memory.map(|bound| {
            format!(
                "client-memory: at most {} bytes queued for a client, and one message of up to {}",
                bound.queue_bytes_max, bound.message_bytes_max
            )
        }),
        check
            .isolation
            .map(|bound| format!("isolation: while slow clients are there, the others get {}", quantile(bound))),
        check.recovery.map(|bound| {
            format!("recovery: {} after the last fault everyone is live and caught up; how long it takes is measured", bound.within)
        }),
        check.host_leaks.map(|bound| {
            let slack = if bound.slack == 0 { String::new() } else { format!(", but for {}", bound.slack) };
            format!("host-leaks: at the end each host has the tasks and sockets that it had before the faults{slack}")
        }),
        check.convergence.map(|bound| {
            format!("convergence: {} into the recovery everyone is connected and caught up", bound.within)
        }),
        check.admission.map(|bound| format!("admission: at most {} sessions are open", bound.open_at_most)),
    ]
    .into_iter()
    .flatten()
}

/// The size of a group's requests, where the file says it.
fn of_bytes(group: &Clients) -> String {
    group.request_bytes.map_or_else(String::new, |bytes| format!(" of {bytes} bytes"))
}
