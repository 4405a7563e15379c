//! Faults that wait for an event: what goes wrong just when something else has happened, which a time hardly ever meets.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::dice::Dice;
use super::world::ms;
use crate::model::{After, EventName, Fault, FaultKind, Field, ProxyMode, Scenario, Since, SourceMode, Stamped};
use crate::span::Span;

/// These faults, about half of which wait for an event now: those that no source's script and no operator brings.
pub(super) fn waiting(dice: &mut Dice, scenario: &Scenario, mut faults: Vec<Fault>) -> Vec<Fault> {
    let events = events(scenario, &faults);
    for index in 0..faults.len() {
        let waits = dice.chance(50);
        let after = dice.draw(after(&events, scenario));
        if waits && may_wait(&faults, index) {
            (faults[index].at, faults[index].after) = (None, Some(after));
        }
    }
    faults
}

/// Whether it can come at any time, whatever the others do: a process dies once at a time, and not while it follows a script.
fn may_wait(faults: &[Fault], index: usize) -> bool {
    let fault = &faults[index];
    let others = || faults.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
    let ends = |fault: &Fault| fault.kind.ends_process() || fault.kind.is_scripted() || fault.kind.is_operated();
    let timed = fault.kind.is_scripted() || fault.kind.is_operated();
    !(timed || fault.kind.ends_process() && others().any(ends))
}

/// What happens in such a world now and then, with how often it may be waited for.
fn events(scenario: &Scenario, faults: &[Fault]) -> Vec<(EventName, u32)> {
    use EventName as E;
    let fanout = scenario.proxy.mode == ProxyMode::Fanout;
    let mode = scenario.sources.mode;
    let any = |does: &dyn Fn(&crate::model::Clients) -> bool| scenario.clients.iter().any(does);
    let has = |kind: FaultKind| faults.iter().any(|fault| fault.kind == kind);
    let changes = any(&|group| group.behaviour.resubscribe_every.is_some());
    let ticks = mode != SourceMode::Echo;
    let candidates = [
        (true, E::ClientOpen, 4),
        (true, E::ClientDial, 4),
        (true, E::ClientClose, 3),
        (true, E::SourceOpen, 3),
        (true, E::SourceClose, 2),
        (true, E::ProxyDial, 3),
        (true, E::ProxyLegUp, 3),
        (true, E::ProxyLegDown, 3),
        (faults.len() > 1, E::FaultStart, 2),
        (faults.len() > 1, E::FaultStop, 2),
        (ticks, E::ClientDeliver, 80),
        (ticks, E::SourceSend, 80),
        (ticks, E::ClientSubscribe, 6),
        (ticks, E::SourceSubscribe, 4),
        (ticks && fanout, E::ProxyTick, 60),
        (ticks && changes, E::ClientUnsubscribe, 6),
        (ticks && changes, E::SourceUnsubscribe, 3),
        (!ticks, E::ClientSend, 40),
        (!ticks, E::ClientEcho, 40),
        (any(&|group| group.behaviour.pings_every.is_some()), E::ClientPing, 10),
        (any(&|group| group.behaviour.offends.is_some()), E::ClientOffend, 3),
        (fanout && any(&|group| group.strong > 0.0), E::ClientGap, 2),
        (any(&|group| group.resume), E::ClientResume, 2),
        (any(&|group| group.resume), E::ClientResumed, 2),
        (mode == SourceMode::V2, E::ClientAnswer, 6),
        (!scenario.sources.denied.is_empty(), E::SourceDeny, 3),
        (scenario.sources.key_limit.is_some(), E::SourceRefuse, 2),
        (scenario.front().clients_max.is_some(), E::ClientRefused, 3),
        (has(FaultKind::Drain), E::ProxyDrainStart, 1),
        (has(FaultKind::Reload), E::ProxyReload, 1),
    ];
    candidates.into_iter().filter_map(|(can, event, most)| can.then_some((event, most))).collect()
}

/// An event, and soon after it if not at that very instant.
fn after(events: &[(EventName, u32)], scenario: &Scenario) -> impl Strategy<Value = After> + use<> {
    let moment =
        |events: &[(EventName, u32)]| select(events.to_vec()).prop_flat_map(|(event, most)| (Just(event), 1..=most));
    let delay = prop_oneof![2 => Just(Span::default()), 1 => ms(1..=400)];
    let since = option::weighted(0.2, moment(events));
    let fanout = scenario.proxy.mode == ProxyMode::Fanout;
    let strong = fanout && scenario.clients.iter().any(|group| group.strong > 0.0);
    let groups: Vec<String> = scenario.clients.iter().map(|group| group.name.clone()).collect();
    let source = option::weighted(0.2, (0..scenario.sources.count).prop_map(crate::plan::source_host));
    let group = option::weighted(0.2, select(groups));
    let snapshot = proptest::bool::weighted(0.3);
    (moment(events), delay, since, source, group, snapshot).prop_map(
        move |(moment, delay, since, source, group, snapshot)| {
            let (event, count) = moment;
            let says = |field: Field| event.fields().contains(&field);
            // What only some clients do may not happen in a group at all.
            let all_do = matches!(event, EventName::ClientOpen | EventName::ClientDial | EventName::ClientSubscribe);
            let kind = (snapshot && strong && event == EventName::ClientDeliver).then_some(Stamped::Snapshot);
            After {
                source: source.filter(|_| says(Field::Source) && !says(Field::Proxy)),
                group: group.filter(|_| all_do),
                kind,
                delay,
                since: since.map(|(event, count)| Since::new(event, count)),
                ..After::new(event, if kind.is_some() { count.div_ceil(10) } else { count })
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{Ground, world};

    #[test]
    fn some_faults_wait_and_no_script_and_no_operator_does() {
        let mut waits = 0;
        for seed in 0..400 {
            let scenario = world(&Ground::default(), seed).expect("a lawful world").scenario;
            for fault in scenario.faults.iter().filter(|fault| fault.after.is_some()) {
                waits += 1;
                assert!(fault.at.is_none() && !fault.kind.is_scripted() && !fault.kind.is_operated(), "seed {seed}");
                assert!(fault.lasts.is_some() || fault.kind.is_instant(), "seed {seed}: no end of {}", fault.target);
            }
        }
        assert!((200..800).contains(&waits), "{waits}");
    }

    #[test]
    fn what_ends_a_process_waits_only_where_nothing_else_could_end_it() {
        let fault = |kind| Fault::at(Span::default(), kind, "source-0");
        let may = |kinds: &[FaultKind]| may_wait(&kinds.iter().copied().map(fault).collect::<Vec<_>>(), 0);
        assert!(may(&[FaultKind::Kill]) && may(&[FaultKind::Kill, FaultKind::Stall]));
        assert!(may(&[FaultKind::Stall, FaultKind::Kill]));
        assert!(!may(&[FaultKind::Kill, FaultKind::Restart]) && !may(&[FaultKind::Kill, FaultKind::Mute]));
        assert!(!may(&[FaultKind::Mute]) && !may(&[FaultKind::Drain]));
    }
}
