//! What a world has too little of: places at the proxies, connections for a key at the sources, symbols that sources grant.
//!
//! Each is a family of its own, with dice of its own: what was drawn before stays as it is. What may bind is often met, and often just missed.

use proptest::option;
use proptest::sample::subsequence;

use super::dice::Dice;
use super::swarm::{Families, Family};
use super::world::ms;
use crate::model::{Consumed, Denied, Proxy, ProxyMode, Scenario, SourceMode};

/// The limits of a world, in place.
pub(super) fn draw(seed: u64, families: Families, scenario: &mut Scenario) {
    if families.has(Family::Limits) {
        places(&mut Dice::of(seed, "limits"), scenario);
    }
    if families.has(Family::Keys) && scenario.sources.mode == SourceMode::V1 {
        keys(&mut Dice::of(seed, "keys"), scenario);
    }
    if families.has(Family::Denials) && scenario.sources.mode == SourceMode::V2 {
        denials(&mut Dice::of(seed, "denials"), scenario);
    }
}

/// Clients of all groups.
pub(super) fn clients(scenario: &Scenario) -> u32 {
    scenario.clients.iter().map(|group| group.count).sum()
}

/// How many clients, handshakes, dials and requests the proxies take.
fn places(dice: &mut Dice, scenario: &mut Scenario) {
    let clients = clients(scenario);
    let relay = scenario.proxy.mode == ProxyMode::Relay;
    let each = clients.div_ceil(u32::from(scenario.front().count));
    let clients_max = dice.draw(option::weighted(0.6, each.div_ceil(2)..=clients));
    let handshakes_max = dice.draw(option::weighted(0.3, 1_u64..=4));
    let message_bytes = dice.draw(option::weighted(0.3, 1_024_u64..=16_384));
    // What is asked for in good faith is less than this, even all at once after an outage.
    let requests = dice.draw(option::weighted(0.4, (8_u32..=25, 60_u32..=120))).filter(|_| !relay);
    // A relay dials for each client: all of them find a leg anew before the first has waited for too long.
    let slowest = if relay { clients.div_ceil(2) } else { 1 };
    let dials = dice.draw(option::weighted(0.4, (slowest..=slowest + 10, 1_u32..=6)));
    let met = |proxy: &mut Proxy| {
        proxy.clients_max = clients_max;
        proxy.guard.handshakes_max = handshakes_max;
        proxy.guard.message_bytes = message_bytes;
        (proxy.guard.requests_per_s, proxy.guard.requests_burst) = requests.unzip();
    };
    let dials = |proxy: &mut Proxy| (proxy.dials_per_second_max, proxy.dials_burst) = dials.unzip();
    dials(&mut scenario.proxy);
    match &mut scenario.edge {
        Some(edge) => {
            met(edge);
            dials(edge);
        }
        None => met(&mut scenario.proxy),
    }
    let sources = u32::from(scenario.sources.count);
    let cap = dice.draw(option::weighted(0.6, clients.div_ceil(sources * 2)..=clients));
    let pending_max = dice.draw(option::weighted(0.5, 1_u32..=6));
    let pending_timeout = dice.draw(option::weighted(0.5, ms(500..=8_000)));
    let slow_start = dice.draw(option::weighted(0.4, ms(500..=4_000)));
    let moves = dice.draw(option::weighted(0.5, 1_u32..=20));
    let proxy = &mut scenario.proxy;
    if relay {
        (proxy.clients_per_upstream_max, proxy.slow_start) = (cap, slow_start);
        (proxy.pending_max, proxy.pending_timeout) = (cap.and(pending_max), cap.and(pending_timeout));
    }
    proxy.moves_per_second = moves.filter(|_| proxy.sources == Some(Consumed::Sharded));
}

/// Legs that a source may have to bear at once: each proxy's, and one of each that is gone and that the source does not know to be gone.
fn legs_max(scenario: &Scenario) -> u32 {
    match scenario.proxy.mode {
        ProxyMode::Fanout => 2 * u32::from(scenario.proxy.count),
        ProxyMode::Relay => 2 * clients(scenario),
    }
}

fn keys(dice: &mut Dice, scenario: &mut Scenario) {
    scenario.sources.key_limit = Some(dice.draw(1..=legs_max(scenario) + 1));
}

/// Some symbols are denied by all sources, and some by one; by all where symbols move among the sources: there one that moves to a source that denies it is lost to its clients, which is
/// said of them and of no proxy.
fn denials(dice: &mut Dice, scenario: &mut Scenario) {
    let sharded = scenario.proxy.sources == Some(Consumed::Sharded);
    let by = option::weighted(0.7, 0..scenario.sources.count);
    let symbols: Vec<u32> = (0..scenario.sources.symbols).collect();
    let most = symbols.len();
    let denied = dice.draw(subsequence(symbols, 1..=most));
    scenario.sources.denied = denied
        .into_iter()
        .map(|symbol| Denied {
            symbol: wire::id::Symbol::numbered(symbol).to_string(),
            by: dice.draw(by.clone()).filter(|_| !sharded).map(crate::plan::source_host),
        })
        .collect();
}

/// Whether a source may refuse a leg that a proxy cannot do without.
pub(super) fn keys_are_short(scenario: &Scenario) -> bool {
    scenario.sources.key_limit.is_some_and(|limit| limit < legs_max(scenario))
}

/// Whether a relay may have to leave a client without a leg, or send it away.
pub(super) fn legs_are_short(scenario: &Scenario) -> bool {
    let relay = scenario.proxy.mode == ProxyMode::Relay;
    relay && (scenario.proxy.clients_per_upstream_max.is_some() || keys_are_short(scenario))
}

/// Whether all sources say the same of each symbol.
pub(super) fn sources_agree(scenario: &Scenario) -> bool {
    scenario.sources.denied.iter().all(|denied| denied.by.is_none())
}

/// Whether a client may be refused while there is room for its session.
pub(super) fn handshakes_are_short(scenario: &Scenario) -> bool {
    scenario.front().guard.handshakes_max.is_some() || legs_are_short(scenario)
}

/// The largest number of sessions that the proxies let in together, where that turns somebody away.
pub(super) fn turns_away_beyond(scenario: &Scenario) -> Option<u64> {
    let front = scenario.front();
    let admitted = u64::from(front.clients_max?) * u64::from(front.count);
    (u64::from(clients(scenario)) > admitted).then_some(admitted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{Ground, world};

    #[test]
    fn limits_come_up_and_bind_in_some_worlds_and_not_in_others() {
        let worlds: Vec<Scenario> =
            (0..400).map(|seed| world(&Ground::default(), seed).expect("a lawful world").scenario).collect();
        type Is = fn(&Scenario) -> bool;
        let cases: [(&str, Is); 8] = [
            ("somebody is turned away", |world| turns_away_beyond(world).is_some()),
            ("a relay is short of legs", legs_are_short),
            ("keys are short", keys_are_short),
            ("keys are not short", |world| world.sources.key_limit.is_some() && !keys_are_short(world)),
            ("handshakes are short", handshakes_are_short),
            ("a symbol is denied by all", |world| world.sources.denied.iter().any(|denied| denied.by.is_none())),
            ("a symbol is denied by one", |world| world.sources.denied.iter().any(|denied| denied.by.is_some())),
            ("dials are rationed", |world| world.proxy.dials_per_second_max.is_some()),
        ];
        for (what, is) in cases {
            let count = worlds.iter().filter(|world| is(world)).count();
            assert!((5..200).contains(&count), "{what} in {count} of 400");
        }
    }

    #[test]
    fn a_limit_is_short_only_where_it_can_bind() {
        let mut scenario = world(&Ground::default(), 1).expect("a lawful world").scenario;
        scenario.edge = None;
        scenario.proxy = Proxy { count: 2, ..Proxy::new(ProxyMode::Fanout) };
        scenario.clients = vec![crate::model::Clients::new("desk", 6)];
        for (limit, short) in [(1, true), (3, true), (4, false)] {
            scenario.sources.key_limit = Some(limit);
            assert_eq!(keys_are_short(&scenario), short, "{limit}");
            assert!(!legs_are_short(&scenario));
        }
        for (places, beyond) in [(2, Some(4)), (3, None), (6, None)] {
            scenario.proxy.clients_max = Some(places);
            assert_eq!(turns_away_beyond(&scenario), beyond, "{places}");
        }
        scenario.proxy.mode = ProxyMode::Relay;
        assert!(keys_are_short(&scenario) && legs_are_short(&scenario));
        scenario.sources.key_limit = Some(12);
        assert!(!legs_are_short(&scenario));
        scenario.proxy.clients_per_upstream_max = Some(6);
        assert!(legs_are_short(&scenario) && handshakes_are_short(&scenario));
    }
}
