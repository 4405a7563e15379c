//! States that this scenario cannot reach: it could never be green.

use super::Rules;
use crate::marks;
use crate::model::{Clients, FaultKind, Handshake, ProxyMode, Reader, Scenario, SlowClient, State};

pub(super) fn check(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    for (index, reach) in scenario.reach.iter().enumerate() {
        let at = |key: &'static str| ["reach".into(), index.into(), key.into()];
        let twice = scenario.reach[..index].iter().any(|earlier| earlier.name() == reach.name());
        match (reach.state, &reach.mark) {
            (Some(_), Some(_)) => {
                rules.wrong_but(&at("mark"), "an entry of reach names a state or a mark, not both", "write two entries")
            }
            (None, None) => rules.wrong(&at("state")[..2], "an entry of reach names neither a state nor a mark"),
            (Some(state), None) if twice => {
                rules.wrong(&at("state"), format!("state \"{}\" is asked for twice", state.word()));
            }
            (Some(state), None) => {
                if let Some(lack) = lacks(scenario, state) {
                    rules.wrong(&at("state"), format!("state \"{}\" cannot be reached: {lack}", state.word()));
                }
            }
            (None, Some(mark)) if twice => rules.wrong(&at("mark"), format!("mark \"{mark}\" is asked for twice")),
            (None, Some(mark)) => {
                if marks::find(mark).is_none() {
                    let message = format!("no program has a mark \"{mark}\" (`windtunnel marks` lists them)");
                    rules.wrong_word(&at("mark"), message, mark, marks::all().iter().map(|mark| mark.name));
                }
            }
        }
    }
}

/// What the scenario lacks to reach a state.
fn lacks(scenario: &Scenario, state: State) -> Option<&'static str> {
    let faults = &scenario.faults;
    let on_source = hits_source(scenario);
    // Those that feed edges are sources to them.
    let on_upstream =
        on_source || scenario.edge.is_some() && faults.iter().any(|fault| fault.target.contains("proxy-"));
    let front = scenario.front();
    let back = faults
        .iter()
        .any(|fault| fault.kind.ends_process() && (fault.lasts.is_some() || fault.kind == FaultKind::Restart));
    let slow = has_slow(scenario);
    let can = match state {
        State::ClientOpened | State::Delivered => true,
        State::FaultOnActiveSource => on_source,
        State::Failover => on_upstream,
        State::HostRestarted => back,
        State::ClientShed => {
            let refused = |group: &Clients| {
                group.behaviour.handshake != Handshake::Whole || !front.lets_origin_of(&group.behaviour)
            };
            front.clients_max.or(front.pending_max).is_some() || scenario.clients.iter().any(refused)
        }
        State::SubscriptionDenied => !scenario.sources.denied.is_empty(),
        State::ProxyDrained => faults.iter().any(|fault| fault.kind == FaultKind::Drain),
        State::ProxyReloaded => faults.iter().any(|fault| fault.kind == FaultKind::Reload),
        State::MessageDropped => slow && front.slow_client != Some(SlowClient::Disconnect),
        State::SlowClientClosed => slow && front.slow_client != Some(SlowClient::DropOldest),
        State::GapTold => {
            scenario.proxy.mode == ProxyMode::Fanout && scenario.clients.iter().any(|group| group.strong > 0.0)
        }
    };
    let lack = match state {
        State::ClientOpened | State::Delivered => "",
        State::FaultOnActiveSource | State::Failover => "no fault hits a source or its link",
        State::HostRestarted => {
            "no \"kill\" or \"power-off\" has a \"for\" after which the host returns, and none is a \"restart\""
        }
        State::ClientShed => "neither proxy.clients-max nor proxy.pending-max is set",
        State::SubscriptionDenied => "no source denies anything",
        State::ProxyDrained => "no fault is a \"drain\"",
        State::ProxyReloaded => "no fault is a \"reload\"",
        State::MessageDropped => "it takes slow readers and proxy.slow-client = \"drop-oldest\"",
        State::SlowClientClosed => "it takes slow readers and proxy.slow-client = \"disconnect\"",
        State::GapTold => "no group has strong clients",
    };
    (!can).then_some(lack)
}

/// Whether a fault hits a source, or a link, which always has a source at one end.
pub(crate) fn hits_source(scenario: &Scenario) -> bool {
    scenario.faults.iter().any(|fault| fault.target.contains("source-"))
}

/// Whether a group reads slowly.
pub(crate) fn has_slow(scenario: &Scenario) -> bool {
    scenario.clients.iter().any(|group| group.reader != Reader::Full)
}
