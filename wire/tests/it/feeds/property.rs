//! Whatever messages a peer sends, as a source to its client or as a client to its server, in v1, v2, raw or `windtunnel.v1`: nothing panics, what is held and what is
//! said of it is bounded, what was read survives the wire, and a leg's own messages stay lawful. Run by `wire/tests` on mutated transcripts and by the fuzz target
//! `feeds` on anything.
//!
//! Each line of an input is a message. A line `want A B` changes what the leg wants of its source instead.

use std::collections::BTreeSet;

use serde_json::Value;
use wire::feed::v2::{self, Ask, Guest, Said, Wish};
use wire::feed::{Dialect, Heard, Identity, Pointer, Refusal, Request, SYMBOLS_MAX, Strong, symbol_of};
use wire::id::Symbol;
use wire::tick::Tick;

/// What the reading of one message may hold at most: a thousand symbols in a few sets, and as many times the message as JSON needs to take it apart.
fn held_max(message: &str) -> u64 {
    (256 << 10) + 32 * message.len() as u64
}

/// An error is for a person or a log: one line of this many bytes at most, however long the message.
const ERROR_BYTES_MAX: usize = 400;

/// What one subscription may come to in messages: 1,000 symbols given back and 1,000 asked for, a hundred in each, and one more.
const SAID_AT_ONCE_MAX: usize = 21;

const SYMBOL_LIMIT: u32 = 3;

/// Gives how many messages some reader understood.
///
/// # Panics
/// Where the property does not hold.
pub(crate) fn check(input: &[u8]) -> usize {
    let text = String::from_utf8_lossy(input);
    let lines: Vec<_> = text.split('\n').collect();
    let mut understood = lines.iter().filter(|line| alone(line)).count();
    understood += guest(&lines);
    understood += leg(Dialect::v1("K".into()), &lines, false);
    understood += leg(Dialect::v2("K".into()), &lines, true);
    let pointers = [None, Some("/s"), Some("/0/symbol"), Some("/data/symbol")];
    for pointer in pointers {
        leg(Dialect::raw(pointer.map(|text: &str| text.parse::<Pointer>().expect("a pointer"))), &lines, false);
    }
    understood
}

/// Runs one reading and holds it to its bound.
fn bounded<T>(message: &str, read: impl FnOnce() -> T) -> T {
    let mut result = None;
    let held = allocation_counter::measure(|| result = Some(read()));
    assert!(held.bytes_max <= held_max(message), "{} bytes were held for {message:?}", held.bytes_max);
    result.expect("measuring runs it")
}

fn brief(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= ERROR_BYTES_MAX && !text.contains('\n'), "an error of {} bytes: {text}", text.len());
}

/// Readers that remember nothing. Tells whether one understood.
fn alone(message: &str) -> bool {
    let strong = match bounded(message, || Strong::decode(message)) {
        Ok(strong) => {
            let again = strong.encode();
            assert_eq!(Strong::decode(&again).as_ref(), Ok(&strong), "{message:?} became {again:?}");
            true
        }
        Err(error) => {
            brief(&error);
            false
        }
    };
    let request = match bounded(message, || Request::decode(message)) {
        Ok(request) => {
            assert!(request.symbols.len() <= SYMBOLS_MAX && request.resume.len() <= SYMBOLS_MAX);
            assert_eq!(Request::decode(&request.encode()).as_ref(), Ok(&request), "{message:?}");
            true
        }
        Err(error) => {
            brief(&error);
            false
        }
    };
    let repeats = bounded(message, || Request::repeats(message));
    assert!(repeats.len() <= SYMBOLS_MAX);
    match bounded(message, || Said::decode(message)) {
        Ok(said @ (Said::Tick(_) | Said::LoginOk { .. } | Said::Error { .. } | Said::SubAck(_))) => {
            let again = said.encode();
            // An acknowledgement may name a symbol twice, with two reasons.
            if !matches!(said, Said::SubAck(_)) {
                assert_eq!(Said::decode(&again).as_ref(), Ok(&said), "{message:?} became {again:?}");
            }
        }
        Ok(_) => {}
        Err(error) => brief(&error),
    }
    let _ = bounded(message, || (Tick::decode(message), Tick::due(message), Tick::verify(message, 1)));
    let v1 = bounded(message, || symbol_of(message));
    let v2 = bounded(message, || v2::symbol_of(message));
    if let Some((whole, keys)) = object(message) {
        let named = |key: &str| whole.get(key).and_then(Value::as_str);
        if keys.iter().filter(|key| *key == "symbol").count() == 1 {
            assert_eq!(v1, named("symbol").and_then(|name| Symbol::new(name).ok()), "{message:?}");
        }
        if let (Some("QUOTE"), Some(name)) = (named("t"), named("s"))
            && keys.iter().collect::<BTreeSet<_>>().len() == keys.len()
            && Said::decode(message).is_ok()
        {
            assert_eq!(v2, v2::symbol_named(name), "{message:?}");
        }
    }
    let identities = bounded(message, || (Identity::v1(message), Identity::v2(message)));
    assert!(identities.0.is_none_or(|identity| Some(identity.symbol) == v1), "{message:?}");
    assert!(identities.1.is_none_or(|identity| Some(identity.symbol) == v2), "{message:?}");
    strong || request
}

/// A message that is one JSON object, and its keys, repeated ones too.
fn object(message: &str) -> Option<(Value, Vec<String>)> {
    struct Keys;
    impl<'de> serde::de::Visitor<'de> for Keys {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, serde::de::IgnoredAny)) = map.next_entry()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    let whole = serde_json::from_str(message).ok().filter(Value::is_object)?;
    let mut reader = serde_json::Deserializer::from_str(message);
    let keys = serde::Deserializer::deserialize_map(&mut reader, Keys).ok()?;
    Some((whole, keys))
}

/// A v2 client with its server.
fn guest(lines: &[&str]) -> usize {
    let mut guest = Guest::new();
    let mut understood = 0;
    for line in lines {
        let deny = |symbol: Symbol| (symbol.as_str() == "B").then(|| "plan".to_owned());
        match bounded(line, || guest.hear_with(line, SYMBOL_LIMIT, deny)) {
            Err(error) => brief(&error),
            Ok(wish) => {
                understood += 1;
                match wish {
                    Wish::Login { .. } => drop(guest.admit(SYMBOL_LIMIT)),
                    Wish::Answer(text) => assert!(Said::decode(&text).is_ok(), "{text}"),
                    Wish::Want { symbols, ack } => {
                        assert!(symbols.len() <= SYMBOL_LIMIT as usize, "{symbols:?}");
                        assert!(symbols.iter().all(|symbol| symbol.as_str() != "B"), "it was denied");
                        let told =
                            ack.as_ref().map_or(0, |ack| ack.accepted.len() + ack.denied.len() + ack.invalid.len());
                        assert!(told <= SYMBOLS_MAX);
                        if let Some(ack) = ack {
                            assert!(ack.accepted.iter().all(|symbol| symbols.contains(symbol)), "{ack:?}");
                            assert_eq!(Said::decode(&Said::SubAck(ack.clone()).encode()), Ok(Said::SubAck(ack)));
                        }
                    }
                }
            }
        }
    }
    understood
}

/// A leg with its source: of v2, which may set a limit of symbols and knows a suffix, or not.
fn leg(mut dialect: Dialect, lines: &[&str], v2: bool) -> usize {
    let mut source = Source::default();
    let mut wanted = BTreeSet::new();
    let mut understood = 0;
    // The leg speaks first.
    for line in ["want "].iter().chain(lines) {
        if let Some(names) = line.strip_prefix("want ") {
            let symbol = |name: &str| if v2 { v2::symbol_named(name) } else { Symbol::new(name).ok() };
            wanted = names.split(' ').filter_map(symbol).take(SYMBOLS_MAX).collect();
            bounded(line, || dialect.want(wanted.iter().copied()));
        } else {
            match bounded(line, || dialect.hear(line)) {
                Heard::Answer { accepted, denied } => {
                    for symbol in accepted.iter().chain(denied.iter().map(|(symbol, _)| symbol)) {
                        assert!(source.asked.contains(symbol), "{symbol} was never asked for");
                    }
                    denied.iter().for_each(|(symbol, reason)| {
                        source.asked.remove(symbol);
                        assert!(reason.len() <= ERROR_BYTES_MAX, "{reason}");
                    });
                    understood += 1;
                }
                Heard::Up if source.limit.is_none() => {
                    source.limit = Some(match Said::decode(line) {
                        Ok(Said::LoginOk { symbol_limit: Some(limit) }) if v2 => limit as usize,
                        _ => usize::MAX,
                    });
                    understood += 1;
                }
                Heard::Refused(refusal) => {
                    assert!(!dialect.is_up());
                    if let Refusal::Login(reason) = refusal {
                        assert!(reason.len() <= ERROR_BYTES_MAX, "{reason}");
                    }
                }
                Heard::Data(_) => understood += 1,
                _ => {}
            }
        }
        for n in 0.. {
            let Some(said) = dialect.say() else { break };
            assert!(n < SAID_AT_ONCE_MAX, "it does not stop: {said}");
            source.hear(&said, &wanted);
        }
        assert!(source.asked.len() <= source.limit.unwrap_or(usize::MAX).min(SYMBOLS_MAX));
        assert!(dialect.unanswered() <= source.asked.len());
        let denied = dialect.denied().map(|(symbol, _)| symbol).collect::<BTreeSet<_>>();
        assert!(denied.is_subset(&wanted), "what nobody wants is remembered: {denied:?}");
    }
    understood
}

/// What a source was asked, told by its leg's messages alone.
#[derive(Default)]
struct Source {
    asked: BTreeSet<Symbol>,
    /// From its login's answer.
    limit: Option<usize>,
}

impl Source {
    fn hear(&mut self, said: &str, wanted: &BTreeSet<Symbol>) {
        if let Ok(request) = Request::decode(said) {
            self.asked = request.symbols.into_iter().collect();
            assert_eq!(&self.asked, wanted, "v1 asks for the whole set");
            return;
        }
        match Ask::decode(said).unwrap_or_else(|error| panic!("{error} in {said}")) {
            Ask::Login { key } => assert_eq!(key, "K"),
            Ask::Subscribe { symbols, invalid } => {
                assert!(invalid.is_empty() && !symbols.is_empty() && symbols.len() <= v2::SYMBOLS_A_MESSAGE, "{said}");
                for symbol in symbols {
                    assert!(wanted.contains(&symbol), "{symbol} is not wanted");
                    assert!(self.asked.insert(symbol), "{symbol} is asked for twice");
                }
            }
            Ask::Unsubscribe { symbols } => {
                assert!(symbols.iter().all(|symbol| self.asked.remove(symbol) && !wanted.contains(symbol)), "{said}");
            }
            Ask::Ping => {}
        }
    }
}
