//! The parts of a scenario in words.

use crate::model::{
    Arrival, Clients, FaultKind, Latency, Network, ProxyMode, Reader, Scenario, SlowClient, SourceMode,
};

pub(super) use crate::parse::arrived_us;

/// Who is there.
pub(super) fn cast(scenario: &Scenario) -> Vec<(&'static str, String)> {
    let mut cast =
        vec![("sources", sources(scenario)), ("proxy", proxy(scenario)), ("network", network(&scenario.network))];
    if let Some(cost) = scenario.service_time {
        cast.push(("cpu", format!("{} of the proxy for each segment", cost.proxy_per_segment)));
    }
    cast.extend(scenario.clients.iter().map(|group| ("clients", clients(group))));
    cast
}

fn sources(scenario: &Scenario) -> String {
    let sources = &scenario.sources;
    let mut text = match sources.mode {
        SourceMode::V1 => {
            format!("{}, v1, {} symbols, a tick of each every {}", sources.count, sources.symbols, sources.period)
        }
        SourceMode::Echo => format!("{}, echo: they send every message back", sources.count),
    };
    if let Some(limit) = sources.key_limit {
        text += &format!(", {limit} connections a key");
    }
    text
}

fn proxy(scenario: &Scenario) -> String {
    let proxy = &scenario.proxy;
    let mode = match proxy.mode {
        ProxyMode::Fanout => "fanout (one leg for all)",
        ProxyMode::Relay => "relay (one leg a client)",
    };
    let mut text = format!("{}, {mode}", proxy.count);
    if let Some(most) = proxy.clients_max {
        text += &format!(", {most} clients at most");
    }
    if let Some(bytes) = proxy.queue_bytes {
        text += &format!(", {bytes} bytes queued a client");
    }
    match proxy.slow_client {
        Some(SlowClient::DropOldest) => text += ", slow clients lose the oldest message",
        Some(SlowClient::Disconnect) => text += ", slow clients are closed",
        None => {}
    }
    if let Some(stale) = proxy.stale_after {
        text += &format!(", a source silent for {stale} is given up");
    }
    text
}

fn network(network: &Network) -> String {
    let mut text = match network.latency {
        Latency::Fixed(span) => format!("{span} one way"),
        Latency::Uniform(low, high) => format!("{low} to {high} one way"),
        Latency::LogNormal { median, tail } => format!("{median} one way, one in a hundred above {tail} times that"),
    };
    if let Some(bits) = network.bandwidth {
        text += &format!(", {bits} bit/s");
    }
    if network.loss > 0.0 {
        text += &format!(", {}% lost and sent again", network.loss * 100.0);
    }
    text
}

fn clients(group: &Clients) -> String {
    let arrival = match group.arrival {
        Arrival::Burst => "all at once".to_owned(),
        Arrival::Ramp(span) => format!("over {span}"),
        Arrival::Poisson(rate) => format!("{rate} a second at random"),
    };
    let mut text = format!("{} {}, from {} {arrival}", group.count, group.name, group.start);
    if let Some(stay) = group.stay {
        text += &format!(", staying {stay}");
    }
    if let Some(each) = group.symbols_each {
        text += &format!(", {each} {} each", if each == 1 { "symbol" } else { "symbols" });
    }
    if group.strong > 0.0 {
        text += &format!(", {}% under the strong contract", group.strong * 100.0);
    }
    match group.reader {
        Reader::Full => {}
        Reader::BytesPerS(rate) => text += &format!(", reading {rate} bytes/s"),
        Reader::StopsAfter(span) => text += &format!(", no longer reading {span} after connecting"),
    }
    if let Some(bytes) = group.recv_buffer {
        text += &format!(", receive buffers of {bytes} bytes");
    }
    if let Some(rate) = group.requests_per_s {
        text += &format!(", {rate} requests/s each");
    }
    if !group.reconnect {
        text += ", not coming again";
    }
    text
}

/// What goes wrong, in order of time; times of the run, not of the steady phase.
pub(super) fn faults(scenario: &Scenario) -> Vec<String> {
    let mut faults: Vec<_> = scenario.faults.iter().collect();
    faults.sort_by_key(|fault| fault.at);
    faults
        .into_iter()
        .map(|fault| {
            let at = crate::span::Span::from_micros(scenario.warmup.as_micros() + fault.at.as_micros());
            let target = &fault.target;
            let (what, end) = match fault.kind {
                FaultKind::Kill => (format!("the process of {target} dies"), "it starts again"),
                FaultKind::PowerOff => (format!("{target} goes dark"), "it boots again"),
                FaultKind::Freeze => {
                    (format!("the process of {target} stops running, its kernel lives on"), "it thaws")
                }
                FaultKind::Stall => (format!("the link {target} carries nothing"), "it heals"),
            };
            match fault.lasts {
                Some(lasts) => format!("at {at} {what}; {lasts} later {end}"),
                None => format!("at {at} {what}, for good"),
            }
        })
        .collect()
}

/// What must have happened.
pub(super) fn reach(scenario: &Scenario) -> Vec<String> {
    scenario
        .reach
        .iter()
        .map(|reach| match reach.at_least {
            1 => reach.state.word().to_owned(),
            times => format!("{}, at least {times} times", reach.state.word()),
        })
        .collect()
}

/// What must hold.
pub(super) fn objectives(_scenario: &Scenario) -> Vec<String> {
    Vec::new()
}
