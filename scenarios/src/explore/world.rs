//! Worlds of a few hosts, drawn: who there is, who speaks what, who wants what.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::dice::Dice;
use super::swarm::{Families, Family};
use crate::builder::Builder;
use crate::cost::Cost;
use crate::model::{
    Arrival, Behaviour, Clients, Closed, Consumed, Drain, DrainCode, Guard, Handshake, Latency, Link, Load, Network,
    Offence, Open, Proxy, ProxyMode, Reader, ServiceTime, SlowClient, SourceMode, Sources, Subscriptions, Waves, Zipf,
};
use crate::span::Span;

/// Messages that all clients of a world get in a second, about: more would make it slow, and show nothing else.
const PER_S_MAX: u64 = 250;

/// The name of every world that was drawn whole; its seed says which.
pub(super) const NAME: &str = "explored";

pub(super) fn ms(range: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Span> {
    range.prop_map(Span::from_millis)
}

/// How proxies stand between sources and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A fan-out of what some of the sources send.
    Fanout(Consumed),
    /// Fan-outs before fan-outs.
    Tiers,
    /// A leg for each client.
    Relay,
    /// A leg for each client, and answers.
    Echo,
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        4 => Just(Shape::Fanout(Consumed::Active)),
        2 => Just(Shape::Fanout(Consumed::Hot)),
        2 => Just(Shape::Fanout(Consumed::Sharded)),
        2 => Just(Shape::Tiers),
        3 => Just(Shape::Relay),
        1 => Just(Shape::Echo),
    ]
}

/// A world without faults and promises.
pub(super) fn draw(seed: u64, families: Families) -> Builder {
    let mut dice = Dice::of(seed, "topology");
    let shape = dice.draw(shape());
    let (sources, proxy, edge) = hosts(&mut dice, shape);
    let mut dice = Dice::of(seed, "clients");
    let groups = groups(&mut dice, shape, &sources, families);
    let mut dice = Dice::of(seed, "guard");
    let (groups, proxy, edge) = guarded(&mut dice, shape, families, groups, proxy, edge);
    let mut dice = Dice::of(seed, "network");
    let network = network(&mut dice, families, &sources, &proxy, edge.as_ref(), &groups);
    let cost = dice.draw((1_u64..=40).prop_map(|us| format!("{us}us")));
    let steady = dice.draw(ms(6_000..=12_000));
    let sources = paced(sources, &groups);
    Builder::new(NAME, "A world that was drawn: see the seed.").warmup(Span::from_millis(2_000)).steady(steady).with(
        move |scenario| {
            scenario.tags = vec!["explored".to_owned()];
            scenario.sources = sources;
            scenario.proxy = proxy;
            scenario.edge = edge;
            scenario.clients = groups;
            scenario.network = network;
            if families.has(Family::Cost) {
                scenario.service_time = cost.parse::<Cost>().ok().map(ServiceTime::per_segment);
            }
        },
    )
}

fn hosts(dice: &mut Dice, shape: Shape) -> (Sources, Proxy, Option<Proxy>) {
    let fewest = if matches!(shape, Shape::Fanout(Consumed::Hot | Consumed::Sharded)) { 2 } else { 1 };
    let count = dice.draw(fewest..=4_u16);
    let v2 = dice.chance(30);
    let symbols = dice.draw(1_u32..=6);
    let mode = match shape {
        Shape::Echo => SourceMode::Echo,
        Shape::Fanout(_) | Shape::Relay if v2 => SourceMode::V2,
        _ => SourceMode::V1,
    };
    let period = dice.draw(select(vec![20_u64, 50, 100, 200, 400]));
    let sources = Sources { mode, symbols, period: Span::from_millis(period), ..Sources::new(count) };
    let proxies = dice.draw(prop_oneof![3 => Just(1_u16), 2 => Just(2), 1 => Just(3)]);
    let shards = dice.draw(option::weighted(0.3, 2_u16..=3));
    let edges = dice.draw(1_u16..=2);
    let proxy = match shape {
        Shape::Fanout(consumed) => Proxy { sources: Some(consumed), ..Proxy::new(ProxyMode::Fanout) },
        Shape::Tiers => Proxy::new(ProxyMode::Fanout),
        Shape::Relay | Shape::Echo => Proxy::new(ProxyMode::Relay),
    };
    let proxy = Proxy { count: proxies, shards, ..proxy };
    let edge = (shape == Shape::Tiers).then(|| Proxy { count: edges, shards, ..Proxy::new(ProxyMode::Fanout) });
    (sources, proxy, edge)
}

/// A source that does not tick faster than the clients together bear.
fn paced(sources: Sources, groups: &[Clients]) -> Sources {
    let each = groups.iter().map(|group| u64::from(group.count) * u64::from(group.subscriptions.each(sources.symbols)));
    let fastest = each.sum::<u64>().saturating_mul(1_000).div_ceil(PER_S_MAX);
    Sources { period: Span::from_millis(fastest.max(sources.period.as_micros() / 1_000)), ..sources }
}

fn subscriptions(symbols: u32) -> impl Strategy<Value = Subscriptions> {
    let zipf = (1..=symbols, 0_u32..=20).prop_map(|(each, tenths)| Zipf { each, exponent: f64::from(tenths) / 10.0 });
    let some = proptest::sample::subsequence((0..symbols).collect::<Vec<u32>>(), 1..=symbols as usize);
    let names = some.prop_map(|some| some.into_iter().map(|n| wire::id::Symbol::numbered(n).to_string()).collect());
    prop_oneof![
        2 => Just(Subscriptions::All),
        2 => (1..=symbols).prop_map(Subscriptions::Uniform),
        1 => zipf.prop_map(Subscriptions::Zipf),
        1 => names.prop_map(Subscriptions::Symbols),
    ]
}

fn arrival() -> impl Strategy<Value = Arrival> {
    prop_oneof![
        Just(Arrival::AtOnce),
        ms(100..=3_000).prop_map(Arrival::Ramp),
        (2_u32..=20).prop_map(|rate| Arrival::Poisson(f64::from(rate))),
        (1_u32..=3, ms(100..=1_000)).prop_map(|(each, every)| Arrival::Waves(Waves { each, every })),
    ]
}

/// Groups of clients that keep to the rules, and those that do not.
fn groups(dice: &mut Dice, shape: Shape, sources: &Sources, families: Families) -> Vec<Clients> {
    let fanout = matches!(shape, Shape::Fanout(_) | Shape::Tiers);
    let mut groups = Vec::new();
    let several = dice.draw(1_usize..=3);
    for name in ["desk", "mobile", "board"].into_iter().take(several) {
        groups.push(group(dice, name, shape, sources, families));
    }
    if families.has(Family::SlowClients) {
        let reader = dice.draw(prop_oneof![
            ms(200..=6_000).prop_map(Reader::StopsAfter),
            (200_u64..=4_000).prop_map(Reader::BytesPerS)
        ]);
        let slow = group(dice, "slow", shape, sources, families);
        let recv_buffer = Some(dice.draw(select(vec![2_048_usize, 4_096, 16_384])));
        // What it asks for anew, it would read only after what was on its way of old.
        let behaviour = Behaviour { pings_every: None, resubscribe_every: None, ..slow.behaviour };
        groups.push(Clients { count: slow.count.min(2), hosts: None, reader, recv_buffer, behaviour, ..slow });
    }
    if families.has(Family::Rogues) {
        let rogue = group(dice, "rogue", shape, sources, families);
        let behaviour = dice.draw(rogue_behaviour(fanout, sources.mode));
        // Whoever breaks the protocol is ended for that, and not by itself.
        let load = match rogue.load {
            Load::Open(open) => Load::Open(Open { session: None, ..open }),
            Load::Closed(closed) => {
                let requests_per_s = closed.think.map(|think| 1e6 / think.as_micros().max(1) as f64);
                Load::Open(Open { requests_per_s, ..Open::default() })
            }
        };
        groups.push(Clients { count: rogue.count.min(2), hosts: None, behaviour, load, ..rogue });
    }
    groups
}

fn group(dice: &mut Dice, name: &str, shape: Shape, sources: &Sources, families: Families) -> Clients {
    let fanout = matches!(shape, Shape::Fanout(_) | Shape::Tiers);
    let echo = shape == Shape::Echo;
    let count = dice.draw(1_u32..=5);
    let hosts = dice.draw(option::weighted(0.3, 1..=count.min(3) as u16));
    let start = dice.draw(prop_oneof![3 => Just(Span::default()), 1 => ms(0..=4_000)]);
    let subscriptions = dice.draw(subscriptions(sources.symbols));
    let strong = dice.draw(select(vec![0.0, 0.0, 0.5, 1.0]));
    let resume = dice.chance(60);
    let session = dice.draw(ms(800..=6_000));
    let (leaves, held) = (dice.chance(50), dice.chance(30));
    let requests = dice.draw((5_u32..=60).prop_map(|tenths| f64::from(tenths) / 10.0));
    let session = (families.has(Family::Churn) && leaves).then_some(session);
    let arrival = dice.draw(arrival());
    let ramp = dice.draw(ms(100..=2_000));
    let load = match session {
        Some(session) if held => {
            let think = echo.then(|| Span::from_micros((1e6 / requests) as u64));
            Load::Closed(Closed { ramp, think, session: Some(session) })
        }
        session => Load::Open(Open { arrival, requests_per_s: echo.then_some(requests), stay: None, session }),
    };
    let behaviour = dice.draw(behaviour());
    let several = subscriptions.each(sources.symbols) >= 2;
    let mut behaviour = if families.has(Family::Behaviours) { behaviour } else { Behaviour::default() };
    if echo || !several {
        behaviour.resubscribe_every = None;
    }
    if echo {
        behaviour.asks_per_s = None;
    }
    let strong = if fanout { strong } else { 0.0 };
    Clients {
        start,
        load,
        subscriptions: if echo { Subscriptions::All } else { subscriptions },
        strong,
        resume: resume && strong > 0.0,
        behaviour,
        hosts,
        ..Clients::new(name, count)
    }
}

/// What is within the rules.
fn behaviour() -> impl Strategy<Value = Behaviour> {
    let pings = option::of(ms(300..=3_000));
    let changes = option::of(ms(400..=3_000));
    let asks = option::weighted(0.3, (1_u32..=40).prop_map(|tenths| f64::from(tenths) / 10.0));
    (pings, changes, asks).prop_map(|(pings_every, resubscribe_every, asks_per_s)| Behaviour {
        pings_every,
        resubscribe_every,
        asks_per_s,
        ..Behaviour::default()
    })
}

/// What is not.
fn rogue_behaviour(fanout: bool, mode: SourceMode) -> impl Strategy<Value = Behaviour> {
    let mut offences = vec![
        Offence::ReservedBits,
        Offence::BadOpcode,
        Offence::Unmasked,
        Offence::FragmentedControl,
        Offence::LongControl,
        Offence::BadUtf8,
        Offence::TooBig,
        Offence::WrongContinuation,
        Offence::UnfinishedMessage,
        Offence::HalfCloseCode,
        Offence::ReservedCloseCode,
    ];
    // To v2 the answer is a message that no tick is.
    offences.extend((fanout && mode != SourceMode::V2).then_some(Offence::Nonsense));
    let plain = Behaviour::default;
    let offends = (select(offences), option::of(ms(50..=4_000))).prop_map(move |(offence, after)| Behaviour {
        offends: Some(offence),
        offends_after: after,
        ..plain()
    });
    let slow = ms(50..=900).prop_map(Handshake::Slow);
    let unfinished = (0_u32..=200).prop_map(Handshake::Unfinished);
    let dawdles = prop_oneof![slow, unfinished].prop_map(move |handshake| Behaviour { handshake, ..plain() });
    let asks =
        (300_u32..=600).prop_map(move |tenths| Behaviour { asks_per_s: Some(f64::from(tenths) / 10.0), ..plain() });
    let silent = Just(Behaviour { pongs: false, ..plain() });
    prop_oneof![
        4 => offends,
        2 => dawdles,
        u32::from(fanout) => asks,
        2 => silent,
    ]
}

/// What the proxies that clients meet have against them, and for those who are slow.
fn guarded(
    dice: &mut Dice,
    shape: Shape,
    families: Families,
    groups: Vec<Clients>,
    proxy: Proxy,
    edge: Option<Proxy>,
) -> (Vec<Clients>, Proxy, Option<Proxy>) {
    // Who does not read sees no ping, and would be given up for that.
    let ping_interval =
        dice.draw(option::weighted(0.6, ms(1_000..=4_000))).filter(|_| !families.has(Family::SlowClients));
    let pong_timeout = ping_interval.map(|_| dice.draw(ms(1_000..=4_000)));
    let handshake_timeout = dice.draw(option::weighted(0.5, ms(1_000..=3_000)));
    let guard = Guard { ping_interval, pong_timeout, handshake_timeout, ..Guard::default() };
    let policy = dice.draw(select(vec![SlowClient::Conflate, SlowClient::DropOldest, SlowClient::Disconnect]));
    let queue_bytes = dice.draw(option::weighted(0.7, 4_096_u64..=32_768));
    let slow_client = families.has(Family::SlowClients).then_some(policy);
    let drain = dice.draw(drain());
    let fanout = matches!(shape, Shape::Fanout(_) | Shape::Tiers);
    let groups = if ping_interval.is_some() { groups.into_iter().map(speaking).collect() } else { groups };
    let met = |proxy: Proxy| Proxy {
        guard: guard.clone(),
        slow_client: slow_client.filter(|_| fanout),
        queue_bytes: queue_bytes.filter(|_| fanout && slow_client.is_some()),
        ..proxy
    };
    match edge {
        Some(edge) => (groups, Proxy { drain, ..proxy }, Some(met(edge))),
        None => (groups, Proxy { drain, ..met(proxy) }, None),
    }
}

/// A client that only listens never learns that it was given up where what it was told of that is lost: a reset is said once.
pub(super) fn speaking(group: Clients) -> Clients {
    let pings_every = group.behaviour.pings_every.or(group.behaviour.pongs.then_some(Span::from_millis(2_500)));
    Clients { behaviour: Behaviour { pings_every, ..group.behaviour }, ..group }
}

/// Short: all of it is over before the program comes back.
fn drain() -> impl Strategy<Value = Drain> {
    let codes = option::of(select(vec![DrainCode::GoingAway, DrainCode::ServiceRestart]));
    (ms(0..=500), ms(0..=500), ms(200..=1_000), ms(100..=1_000), codes).prop_map(|(tell, grace, time, more, code)| {
        Drain {
            tell: Some(tell),
            grace: Some(grace),
            time: Some(time),
            deadline: Some(Span::from_micros(
                tell.as_micros() + grace.as_micros() + time.as_micros() + more.as_micros(),
            )),
            close_timeout: None,
            code,
        }
    })
}

fn latency() -> impl Strategy<Value = Latency> {
    prop_oneof![
        (0_u64..=2_000, 1_u64..=4_000)
            .prop_map(|(low, more)| Latency::Uniform(Span::from_micros(low), Span::from_micros(low + more))),
        (100_u64..=25_000).prop_map(|us| Latency::Fixed(Span::from_micros(us))),
        (200_u64..=2_000, 15_u32..=80).prop_map(|(us, tenths)| Latency::LogNormal {
            median: Span::from_micros(us),
            tail: f64::from(tenths) / 10.0
        }),
        // Two modes: at once, or much later.
        (1_u32..=20, ms(5..=50))
            .prop_map(|(percent, delay)| Latency::Spikes { share: f64::from(percent) / 100.0, delay }),
    ]
}

/// All links alike, and in bad weather a pair of hosts that is slower than the others all the time.
fn network(
    dice: &mut Dice,
    families: Families,
    sources: &Sources,
    proxy: &Proxy,
    edge: Option<&Proxy>,
    groups: &[Clients],
) -> Network {
    let weather = families.has(Family::Weather);
    let drawn = dice.draw(latency());
    let calm = dice.draw((100_u64..=1_000, 1_u64..=1_500).prop_map(|(low, more)| (low, low + more)));
    let calm = Latency::Uniform(Span::from_micros(calm.0), Span::from_micros(calm.1));
    let slow = dice.draw(ms(5..=60)).as_micros();
    let source = dice.draw(0..sources.count);
    let middle = dice.draw(0..proxy.count);
    let group = dice.draw(select(groups.iter().map(|group| group.name.clone()).collect::<Vec<_>>()));
    let front = match edge {
        Some(edge) => format!("edge-{}", dice.draw(0..edge.count)),
        None => format!("proxy-{middle}"),
    };
    let ends = if dice.chance(50) { (format!("proxy-{middle}"), format!("source-{source}")) } else { (group, front) };
    let slow = Link { latency: Some(Latency::Fixed(Span::from_micros(slow))), ..Link::between(&ends.0, &ends.1) };
    let pair = dice.chance(50);
    Network {
        latency: if weather { drawn } else { calm },
        links: Vec::from_iter((weather && pair).then_some(slow)),
        ..Network::default()
    }
}
