//! How often symbols tick: whether that can be, and what it makes of a client's load.

use super::Rules;
use crate::model::{Consumed, ProxyMode, Rates, Scenario, SourceMode, Sources, Subscriptions, Zipf};
use crate::span::Span;

/// The shortest and the longest time between two ticks of one symbol, as of `sources.period`.
const PERIOD_US: std::ops::RangeInclusive<u64> = 1_000..=3_600_000_000;

pub(super) fn check(rules: &mut Rules<'_>) {
    let sources = &rules.scenario.sources;
    let Some(rates) = &sources.rates else { return };
    if sources.mode == SourceMode::Echo {
        let message = "sources.rates: echo sources send no ticks";
        rules.wrong_but(&["sources".into(), "rates".into()], message, "leave rates out");
        return;
    }
    match rates {
        Rates::Own(own) => {
            if own.is_empty() {
                let message = "sources.rates.own names no symbol";
                rules.wrong_but(&["sources".into(), "rates".into()], message, "leave rates out");
            }
            names(rules, sources);
        }
        Rates::Zipf(_) if !rules.values_right => {}
        Rates::Zipf(_) => zipf(rules, sources),
    }
}

fn names(rules: &mut Rules<'_>, sources: &Sources) {
    let Some(Rates::Own(own)) = &sources.rates else { return };
    let known: Vec<String> = sources.names().iter().map(ToString::to_string).collect();
    let mut seen: Vec<&String> = Vec::new();
    for (index, rate) in own.iter().enumerate() {
        let at = ["sources".into(), "rates".into(), "own".into(), index.into(), "symbols".into()];
        if rate.symbols.is_empty() {
            rules.wrong(&at, format!("sources.rates.own[{index}] names no symbol"));
        }
        for (place, symbol) in rate.symbols.iter().enumerate() {
            let path: Vec<_> = at.iter().copied().chain([place.into()]).collect();
            if !known.contains(symbol) {
                let message = format!("the sources have no symbol \"{symbol}\"");
                let last = known.last().map_or("", String::as_str);
                rules.wrong_but(&path, message, format!("they have {} to {last}", known[0]));
            } else if seen.contains(&symbol) {
                rules.wrong(&path, format!("symbol \"{symbol}\" has two periods"));
            }
            seen.push(symbol);
        }
    }
}

fn zipf(rules: &mut Rules<'_>, sources: &Sources) {
    let path = |key: &'static str| ["sources".into(), "rates".into(), "zipf".into(), key.into()];
    let (shortest, longest) = (sources.shortest_period(), sources.longest_period());
    if shortest.as_micros() < *PERIOD_US.start() {
        let message = format!("the first symbol would tick every {shortest}, more than 1000 times a second");
        rules.wrong_but(&path("per-s"), message, "a lower per-s or exponent, or more symbols");
    }
    if longest.as_micros() > *PERIOD_US.end() {
        let message = format!("the last symbol would tick every {longest}, less than once an hour");
        rules.wrong_but(&path("per-s"), message, "a higher per-s, or a lower exponent");
    }
}

/// How long a healthy source may say nothing: it has the most lively of all symbols to speak of, or, where a leg has a part of them, the least lively.
pub(super) fn quiet(scenario: &Scenario) -> Span {
    let part = scenario.proxy.mode == ProxyMode::Relay || scenario.proxy.sources == Some(Consumed::Sharded);
    if part { scenario.sources.longest_period() } else { scenario.sources.shortest_period() }
}

/// Ticks a second of each symbol.
pub(super) fn each(sources: &Sources) -> Vec<f64> {
    sources.periods().iter().map(|period| 1e6 / period.as_micros().max(1) as f64).collect()
}

/// Ticks a second of the symbols that a client wants, on average where it draws them.
pub(super) fn per_s(sources: &Sources, wanted: &Subscriptions) -> f64 {
    shares(sources, wanted).iter().zip(each(sources)).map(|(share, rate)| share * rate).sum()
}

/// Of how many of a group's clients each symbol is wanted, as a share.
pub(super) fn shares(sources: &Sources, wanted: &Subscriptions) -> Vec<f64> {
    let names = sources.names();
    match wanted {
        Subscriptions::All => vec![1.0; names.len()],
        Subscriptions::Uniform(each) => vec![f64::from(*each) / f64::from(sources.symbols.max(1)); names.len()],
        Subscriptions::Symbols(wanted) => {
            names.iter().map(|name| if wanted.iter().any(|it| it == name.as_str()) { 1.0 } else { 0.0 }).collect()
        }
        Subscriptions::Zipf(zipf) => likely(*zipf, names.len()),
    }
}

/// How likely each symbol is to be among those that a client draws, by popularity and without returning any. Symbols wait for exponential times at the rate of their weights,
/// and the first to come are taken (as `loadgen` draws); so by time t symbol i has come with probability 1 - exp(-w_i t), and t is where so many have come on average
/// (Rosén 1997: exact as their number grows).
fn likely(Zipf { each, exponent }: Zipf, all: usize) -> Vec<f64> {
    if each as usize >= all {
        return vec![1.0; all];
    }
    let weights: Vec<f64> = (1..=all).map(|rank| libm::pow(rank as f64, -exponent)).collect();
    let come = |log_t: f64| weights.iter().map(move |weight| -libm::expm1(-weight * libm::exp(log_t)));
    // At the beginning nobody has come; at the end the rarest of a thousand at the steepest exponent has.
    let (mut low, mut high) = (-60.0, 120.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if come(middle).sum::<f64>() < f64::from(each) {
            low = middle;
        } else {
            high = middle;
        }
    }
    come(high).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Rate, Shared};

    fn sources(symbols: u32, rates: Option<Rates>) -> Sources {
        Sources { symbols, rates, ..Sources::new(1) }
    }

    #[test]
    fn where_all_tick_alike_only_the_number_of_symbols_counts() {
        let alike = sources(20, None);
        let zipf = |each| Subscriptions::Zipf(Zipf { each, exponent: 1.1 });
        for (wanted, expect) in
            [(Subscriptions::All, 200.0), (Subscriptions::Uniform(5), 50.0), (zipf(5), 50.0), (zipf(20), 200.0)]
        {
            assert!((per_s(&alike, &wanted) - expect).abs() < 1e-6, "{wanted:?}");
        }
    }

    #[test]
    fn a_hot_symbol_weighs_as_often_as_it_is_drawn() {
        let own = Rate { symbols: vec!["S0000".to_owned()], period: Span::from_millis(5) };
        let hot = sources(101, Some(Rates::Own(vec![own])));
        let named = |name: &str| Subscriptions::Symbols(vec![name.to_owned()]);
        for (wanted, expect) in [
            (named("S0000"), 200.0),
            (named("S0007"), 10.0),
            (Subscriptions::All, 1_200.0),
            (Subscriptions::Uniform(1), 1_200.0 / 101.0),
        ] {
            assert!((per_s(&hot, &wanted) - expect).abs() < 1e-6, "{wanted:?}");
        }
        let popular = per_s(&hot, &Subscriptions::Zipf(Zipf { each: 1, exponent: 1.0 }));
        // One drawn of 101 by Zipf's law: the first with 1 / H(101). The formula is within a tenth of it for one, and closer for more.
        let first = 1.0 / (1..=101).map(|rank| 1.0 / f64::from(rank)).sum::<f64>();
        assert!((popular / (first * 200.0 + (1.0 - first) * 10.0) - 1.0).abs() < 0.15, "{popular}");
    }

    #[test]
    fn a_quiet_leg_is_one_of_rare_symbols_where_each_has_its_own() {
        let text = include_str!("../../../catalogue/relay-balance.toml");
        let mut relay = crate::parse::parse("relay-balance.toml", text).unwrap();
        relay.sources.rates = Some(Rates::Zipf(Shared { per_s: 10.0, exponent: 1.0 }));
        assert_eq!(quiet(&relay), relay.sources.longest_period());
        relay.proxy.mode = ProxyMode::Fanout;
        assert_eq!(quiet(&relay), relay.sources.shortest_period());
    }
}
