//! What a source sends that is no tick. Pure.

use wire::ws::Message;

/// The nth such message, with a tick of the connection's to spoil if it has any.
pub(crate) fn garbage(nth: u32, tick: Option<&str>) -> Message {
    const BROKEN: &str = "{\"symbol\":\"\u{fffd}\",,,";
    match (nth % 4, tick) {
        (1, _) => Message::binary(vec![0x2d, 0xff, 0x00, 0x41, 0xfe]),
        // Ticks are ASCII, so half of one is a text.
        (2, Some(tick)) => Message::text(tick.get(..tick.len() / 2).unwrap_or(BROKEN)),
        (3, _) => Message::text(r#"{"event":"maintenance","symbol":null}"#),
        _ => Message::text(BROKEN),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wire::feed::{symbol_of, v2};
    use wire::id::Symbol;
    use wire::tick::{Schedule, Tick};

    use super::*;

    #[test]
    fn four_kinds_come_in_turn_and_none_of_them_is_a_tick() {
        let tick = Tick { symbol: Symbol::new("S0001").unwrap(), n: 7 };
        let schedule = Schedule::every(Duration::from_millis(100)).unwrap();
        for whole in [tick.encode(3, schedule), tick.encode_v2(3, schedule)] {
            let all: Vec<Message> = (0..4).map(|nth| garbage(nth, Some(&whole))).collect();
            assert!((1..4).all(|nth| all[..nth].iter().all(|earlier| *earlier != all[nth])), "{all:?}");
            for message in &all {
                let Message::Text(text) = message else { continue };
                assert_eq!((symbol_of(text), v2::symbol_of(text), Tick::decode(text)), (None, None, None), "{text}");
            }
            assert_eq!(garbage(4, Some(&whole)), all[0]);
        }
        assert_eq!(garbage(2, None), garbage(0, None));
    }
}
