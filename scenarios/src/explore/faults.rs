//! What goes wrong in a world: faults of the families that are on, each on something that is there, each with an end.
//!
//! Most stand alone. Some are waves: one kind on several targets, hurt in one order and healed in another ("swizzled", as FoundationDB calls it), which shows who relies on the
//! order in which things come back.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::budget;
use super::dice::Dice;
use super::swarm::{Families, Family};
use super::world::ms;
use super::{limits, triggers};
use crate::model::{Clients, Fault, FaultKind, Latency, ProxyMode, Reader, Reloaded, Scenario, SlowClient, SourceMode};
use crate::plan::SOURCE_ACTIVE;
use crate::span::Span;

/// Faults of a world at most, each of a wave by itself.
const FAULTS_MAX: usize = 8;

/// The hosts and links of a world that faults may hit.
struct There {
    sources: Vec<String>,
    /// Proxies and edges.
    proxies: Vec<String>,
    /// The proxies that an operator may drain and reload.
    operated: Vec<String>,
    /// From tier to tier, the nearer to the sources second.
    links: Vec<(String, String)>,
}

impl There {
    fn of(scenario: &Scenario) -> Self {
        let numbered = |name: &str, count: u16| (0..count).map(|n| format!("{name}-{n}")).collect::<Vec<String>>();
        let sources = numbered("source", scenario.sources.count);
        let middle = numbered("proxy", scenario.proxy.count);
        let edges = numbered("edge", scenario.edge.as_ref().map_or(0, |edge| edge.count));
        let groups: Vec<String> = scenario.clients.iter().map(|group| group.name.clone()).collect();
        let joined = |one: &[String], other: &[String]| -> Vec<(String, String)> {
            one.iter().flat_map(|a| other.iter().map(move |b| (a.clone(), b.clone()))).collect()
        };
        let front = if edges.is_empty() { &middle } else { &edges };
        let mut links = joined(&middle, &sources);
        links.extend(joined(&edges, &middle));
        links.extend(joined(&groups, front));
        let proxies = middle.iter().chain(&edges).cloned().collect();
        Self { sources, proxies, operated: middle, links }
    }
}

/// The faults of a world; `bounded`: so that it can recover from all of them.
pub(super) fn draw(seed: u64, scenario: &Scenario, families: Families, bounded: bool) -> Vec<Fault> {
    let dice = &mut Dice::of(seed, "faults");
    let there = There::of(scenario);
    let kinds: Vec<FaultKind> = families.iter().flat_map(Family::kinds).copied().collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let wanted = dice.draw(prop_oneof![3 => 1_usize..=3, 2 => 4_usize..=FAULTS_MAX]);
    let mut faults: Vec<Fault> = Vec::new();
    while faults.len() < wanted {
        let kind = dice.draw(select(kinds.clone()));
        let wave = dice.chance(25).then(|| targets(dice, kind, &there)).filter(|targets| targets.len() > 1);
        match wave {
            Some(targets) => faults.extend(swizzled(dice, scenario, kind, targets)),
            None => {
                let target = target(dice, kind, &there, scenario);
                let (at, lasts) = dice.draw(times(kind, scenario, bounded));
                faults.push(dice.draw(fault(kind, target, scenario, at, lasts)));
            }
        }
    }
    if !all_speak(scenario) {
        faults.retain(|fault| !leaves_clients_in_the_dark(fault, &there));
    }
    let mut faults = lawful(faults);
    if families.has(Family::Triggers) {
        faults = triggers::waiting(&mut Dice::of(seed, "triggers"), scenario, faults);
    }
    if bounded { budget::within(faults, scenario.sources.count, scenario.steady) } else { faults }
}

/// Whether every client that keeps to the rules says something now and then.
fn all_speak(scenario: &Scenario) -> bool {
    let front = scenario.front();
    let judged = |group: &&Clients| group.reader == Reader::Full && !front.finds_hostile(&group.behaviour);
    scenario.clients.iter().filter(judged).all(|group| group.behaviour.pings_every.is_some())
}

/// Whether a proxy may forget its clients without a word. One that only listens never learns of it, as nobody answers what it does not say.
fn leaves_clients_in_the_dark(fault: &Fault, there: &There) -> bool {
    let ends: Vec<&str> = fault.target.split(['/', '>']).collect();
    let of_proxy = |end: &&str| there.proxies.iter().any(|proxy| proxy == end);
    match fault.kind {
        FaultKind::PowerOff => ends.iter().any(of_proxy),
        FaultKind::HalfOpen => !ends.iter().any(|end| end.starts_with("source-")),
        _ => false,
    }
}

/// Whether a client that only listens may wait for ever in this world: the proxy gives a session up while a link carries nothing. A reset is said once, and lost there; nobody
/// answers what the client does not say.
pub(super) fn hide_resets(scenario: &Scenario) -> bool {
    !all_speak(scenario) && scenario.faults.iter().any(|fault| hides_resets(fault, scenario))
}

/// Whether what the proxy gives up may be lost in this outage.
pub(super) fn hides_resets(fault: &Fault, scenario: &Scenario) -> bool {
    let front = if scenario.edge.is_some() { "edge-" } else { "proxy-" };
    let of_front = |fault: &Fault| fault.target.split(['/', '>']).any(|end| end.starts_with(front));
    let of_sources = fault.target.contains("source-") || scenario.edge.is_some() && fault.target.contains("proxy-");
    let ends = |fault: &Fault| fault.kind.ends_process() || fault.kind == FaultKind::Drain;
    // A relay gives up a client whose leg it cannot replace.
    let gives_up =
        scenario.front().mode == ProxyMode::Relay || scenario.faults.iter().any(|fault| ends(fault) && of_front(fault));
    fault.kind == FaultKind::Partition && of_front(fault) && !of_sources && gives_up
}

/// One kind on all of these, one after the other, and healed in an order of its own.
fn swizzled(dice: &mut Dice, scenario: &Scenario, kind: FaultKind, targets: Vec<String>) -> Vec<Fault> {
    let steady = scenario.steady.as_micros();
    let count = targets.len() as u64;
    let apart = dice.draw(ms(20..=400)).as_micros().min(steady / 4 / count);
    let begin = dice.draw(0..=steady / 3);
    let hurt_by = begin + apart * count;
    let heal = dice.draw(hurt_by + 100_000..=hurt_by + 2_500_000).min(steady - apart * count);
    let healed = dice.draw(Just((0..count).collect::<Vec<u64>>()).prop_shuffle());
    let first = dice.draw(fault(kind, String::new(), scenario, Span::default(), None));
    targets
        .into_iter()
        .enumerate()
        .map(|(place, target)| {
            let at = begin + apart * place as u64;
            let end = heal + apart * healed[place];
            let lasts =
                (!kind.is_instant()).then(|| Span::from_micros(at_least(kind, scenario, end.saturating_sub(at))));
            Fault { target, at: Some(Span::from_micros(at)), lasts, ..first.clone() }
        })
        .filter(|fault| ends_us(fault) <= steady)
        .collect()
}

fn ends_us(fault: &Fault) -> u64 {
    fault.at.unwrap_or_default().as_micros() + fault.lasts.unwrap_or_default().as_micros()
}

/// A drain is over before its program comes back.
fn at_least(kind: FaultKind, scenario: &Scenario, us: u64) -> u64 {
    let (_, _, _, deadline, _) = scenario.proxy.drain.worked_out();
    let least = if kind == FaultKind::Drain { deadline.as_micros() + 200_000 } else { 100_000 };
    us.max(least)
}

/// When a fault begins, and how long it lasts.
fn times(kind: FaultKind, scenario: &Scenario, bounded: bool) -> impl Strategy<Value = (Span, Option<Span>)> {
    let steady = scenario.steady.as_micros();
    let least = at_least(kind, scenario, 0);
    let latest = steady.saturating_sub(least).max(1);
    let long = if bounded { 4_000_000 } else { steady };
    let lengths = prop_oneof![
        // Blinks, outages that are noticed, and outages that are waited for.
        100_000_u64..=400_000,
        400_000_u64..=1_500_000,
        1_500_000_u64..=long.max(1_600_000),
    ];
    let endless = !bounded && !kind.is_operated();
    (0..latest, lengths, 0_u32..100).prop_map(move |(at, lasts, chance)| {
        let lasts = lasts.max(least).min(steady - at);
        let no_end = kind.is_instant() || endless && chance < 30;
        let lasts = (!no_end).then(|| Span::from_micros(lasts));
        (Span::from_micros(at), lasts)
    })
}

/// What a kind may hit.
fn targets(dice: &mut Dice, kind: FaultKind, there: &There) -> Vec<String> {
    let all = if kind.is_scripted() {
        there.sources.clone()
    } else if kind.is_operated() {
        there.operated.clone()
    } else if matches!(kind, FaultKind::ClockJump | FaultKind::ClockDrift) {
        // A source tells the time by its clock: with a wrong one it is not a replica of the others.
        there.proxies.clone()
    } else if kind.is_of_host() {
        if dice.chance(60) { there.sources.clone() } else { there.proxies.clone() }
    } else {
        let one_way = dice.chance(20);
        let sign = if one_way { '>' } else { '/' };
        there.links.iter().map(|(one, other)| format!("{one}{sign}{other}")).collect()
    };
    let most = all.len().min(4);
    dice.draw(proptest::sample::subsequence(all, 1..=most).prop_shuffle())
}

fn target(dice: &mut Dice, kind: FaultKind, there: &There, scenario: &Scenario) -> String {
    let active = matches!(kind, FaultKind::Kill | FaultKind::PowerOff | FaultKind::Restart | FaultKind::Freeze);
    if active && scenario.proxy.mode == ProxyMode::Fanout && scenario.edge.is_none() && dice.chance(30) {
        return SOURCE_ACTIVE.to_owned();
    }
    if !kind.is_of_host() {
        let back = dice.chance(25);
        if dice.chance(30) {
            // A whole host, or the links of a whole tier.
            return dice.draw(select(if back { there.proxies.clone() } else { there.sources.clone() }));
        }
        let (one, other) = dice.draw(select(there.links.clone()));
        return match dice.draw(0_u32..10) {
            0 | 1 => format!("{one}>{other}"),
            2 | 3 => format!("{other}>{one}"),
            _ => format!("{one}/{other}"),
        };
    }
    let first = targets(dice, kind, there).into_iter().next();
    first.unwrap_or_else(|| there.sources[0].clone())
}

/// The fault with parameters that its kind takes.
fn fault(
    kind: FaultKind,
    target: String,
    scenario: &Scenario,
    at: Span,
    lasts: Option<Span>,
) -> impl Strategy<Value = Fault> + use<> {
    let plain = Fault { lasts, ..Fault::at(at, kind, &target) };
    let build = move |change: fn(Fault, u64, Span, f64) -> Fault| {
        let plain = plain.clone();
        (0_u64..10_000, ms(1..=1_000), 0_u32..=100)
            .prop_map(move |(number, span, percent)| change(plain.clone(), number, span, f64::from(percent) / 100.0))
            .boxed()
    };
    match kind {
        FaultKind::SlowHost => build(|fault, number, _, _| Fault { times: Some(2.0 + (number % 40) as f64), ..fault }),
        FaultKind::ClockJump => build(|fault, number, span, _| {
            let far = Some(Span::from_micros(span.as_micros() * 50));
            if number % 2 == 0 { Fault { ahead: far, ..fault } } else { Fault { behind: far, ..fault } }
        }),
        FaultKind::ClockDrift => {
            build(|fault, number, _, _| Fault { ppm: Some(number as f64 * 40.0 - 200_000.0), ..fault })
        }
        FaultKind::Backlog => build(|fault, number, _, _| Fault { at_most: Some((number % 4) as u32), ..fault }),
        FaultKind::Descriptors => build(|fault, number, _, _| Fault { at_most: Some((number % 20) as u32), ..fault }),
        FaultKind::SlowLookup => build(|fault, _, span, _| Fault { delay: Some(span), ..fault }),
        FaultKind::SlowClose => build(|fault, _, span, _| Fault { delay: Some(span), ..fault }),
        FaultKind::Latency => build(|fault, number, span, share| {
            let most = Span::from_micros(span.as_micros() / 4);
            let latency = if number % 2 == 0 { Latency::Fixed(most) } else { Latency::Spikes { share, delay: span } };
            Fault { latency: Some(latency), ..fault }
        }),
        FaultKind::Bandwidth => build(|fault, number, _, _| Fault { bandwidth: Some(16_000 + number * 100), ..fault }),
        FaultKind::Loss => build(|fault, _, _, share| Fault { loss: Some(share * 0.4), ..fault }),
        FaultKind::BurstLoss => build(|fault, number, span, _| Fault {
            good: Some(span),
            bad: Some(Span::from_millis(20 + number % 300)),
            ..fault
        }),
        FaultKind::Slicer => build(|fault, number, span, _| Fault {
            size: Some(1 + (number % 200) as u32),
            delay: Some(Span::from_micros(span.as_micros() / 1_000)),
            ..fault
        }),
        FaultKind::Timeout => {
            build(|fault, number, span, _| Fault { closes_after: (number % 2 == 0).then_some(span), ..fault })
        }
        FaultKind::LimitData => build(|fault, number, _, _| Fault { bytes: Some(number), ..fault }),
        FaultKind::ResetPeer => {
            build(|fault, number, _, _| Fault { bytes: (number % 2 == 0).then_some(number), ..fault })
        }
        FaultKind::CloseAll => build(|fault, number, _, _| {
            let codes = [1000, 1001, 1011, 1012, 1013, 4001];
            Fault { code: Some(codes[number as usize % codes.len()]), ..fault }
        }),
        FaultKind::Garbage => {
            build(|fault, number, _, _| Fault { every: Some(Span::from_millis(20 + number % 300)), ..fault })
        }
        FaultKind::Reload => {
            let fanout = scenario.proxy.mode == ProxyMode::Fanout;
            let echo = scenario.sources.mode == SourceMode::Echo;
            let period = scenario.sources.period;
            build_reload(
                Fault { lasts, ..Fault::at(at, kind, &target) },
                fanout,
                echo,
                period,
                limits::clients(scenario),
            )
        }
        _ => build(|fault, _, _, _| fault),
    }
}

/// A reload that leaves room for everyone, and changes what is for those who come next.
fn build_reload(fault: Fault, fanout: bool, echo: bool, period: Span, clients: u32) -> BoxedStrategy<Fault> {
    let policies = select(vec![SlowClient::Conflate, SlowClient::DropOldest, SlowClient::Disconnect]);
    let stale = Span::from_micros(period.as_micros() * 6 + 400_000);
    (0_u32..=3, 8_192_u64..=65_536, policies, option::of(clients..=clients * 2), 10_u32..=100)
        .prop_map(move |(which, bytes, policy, room, dials)| {
            let mut set = Reloaded { clients_max: room, ..Reloaded::default() };
            match which {
                0 if fanout => set.queue_bytes = Some(bytes),
                1 if fanout => set.slow_client = Some(policy),
                2 if !echo => set.stale_after = Some(stale),
                _ => set.dials_burst = Some(dials),
            }
            Fault { set: Some(set), ..fault.clone() }
        })
        .boxed()
}

/// Those of the faults that can be in one file: a source's script does one thing at a time, and the source is not killed meanwhile.
fn lawful(mut faults: Vec<Fault>) -> Vec<Fault> {
    // The order of the file says nothing else: earlier faults first reads best.
    faults.sort_by_key(|fault| fault.at);
    let ends = |fault: &Fault| fault.lasts.map_or(u64::MAX, |_| ends_us(fault));
    let begins = |fault: &Fault| fault.at.unwrap_or_default().as_micros();
    let mut kept: Vec<Fault> = Vec::new();
    for fault in faults {
        let scripted = fault.kind.is_scripted();
        let kills = |fault: &Fault, of: &str| {
            fault.kind.ends_process() && (fault.target == of || fault.target == SOURCE_ACTIVE)
        };
        let clash = kept.iter().any(|other| {
            let both = scripted && other.kind.is_scripted() && other.target == fault.target;
            // One process dies once at a time.
            let twice = fault.kind.ends_process() && other.kind.ends_process() || fault.kind == FaultKind::Drain;
            let same = other.target == fault.target && twice || both;
            same && begins(&fault) < ends(other).max(begins(other) + 1)
                && begins(other) < ends(&fault).max(begins(&fault) + 1)
                || scripted && kills(other, &fault.target)
                || other.kind.is_scripted() && kills(&fault, &other.target)
        });
        if !clash {
            kept.push(fault);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{Ground, world};

    fn listeners(mode: ProxyMode, faults: &[(FaultKind, &str)]) -> Scenario {
        let mut scenario = world(&Ground::default(), 1).expect("a lawful world").scenario;
        scenario.proxy = crate::model::Proxy::new(mode);
        scenario.edge = None;
        scenario.clients = vec![Clients::new("desk", 1)];
        scenario.faults = faults.iter().map(|(kind, target)| Fault::at(Span::default(), *kind, target)).collect();
        scenario
    }

    #[test]
    fn who_only_listens_does_not_hear_what_is_given_up_in_an_outage() {
        use FaultKind::{Drain, Partition, Stall};
        let hides = |mode, faults: &[(FaultKind, &str)]| hide_resets(&listeners(mode, faults));
        assert!(hides(ProxyMode::Relay, &[(Partition, "desk/proxy-0")]));
        assert!(hides(ProxyMode::Relay, &[(Partition, "proxy-0")]));
        assert!(!hides(ProxyMode::Relay, &[(Partition, "proxy-0/source-1")]));
        // What is held up arrives; and a fan-out gives nobody up, unless it is told to.
        assert!(!hides(ProxyMode::Relay, &[(Stall, "desk/proxy-0")]));
        assert!(!hides(ProxyMode::Fanout, &[(Partition, "desk/proxy-0")]));
        assert!(hides(ProxyMode::Fanout, &[(Partition, "desk/proxy-0"), (Drain, "proxy-0")]));
        let mut speaks = listeners(ProxyMode::Relay, &[(Partition, "desk/proxy-0")]);
        speaks.clients[0].behaviour.pings_every = Some(Span::from_millis(1_000));
        assert!(!hide_resets(&speaks));
    }

    #[test]
    fn in_no_world_waits_a_client_for_a_reset_that_was_lost() {
        for seed in 0..400 {
            assert!(!hide_resets(&world(&Ground::default(), seed).expect("a lawful world").scenario), "seed {seed}");
        }
    }
}
