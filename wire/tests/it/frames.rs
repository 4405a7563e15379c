//! A peer's bytes against a session.

use proptest::prelude::*;

use crate::mutation::{mutated, seeds};

mod property;

/// A frame as a peer writes it, lawful but for what it says.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![4 => Just(1_u8), 2 => Just(2_u8), 3 => Just(0_u8), 1 => Just(8_u8), 2 => Just(9_u8), 1 => Just(10_u8)];
    let payload = prop_oneof![
        4 => "[a-zé€😀]{0,30}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..130),
        1 => (120..=130_usize).prop_map(|size| vec![b'x'; size]),
        1 => (2040..=2056_usize).prop_map(|size| vec![b'x'; size]),
        1 => Just([0x03, 0xe8].to_vec()),
    ];
    (opcode, payload, any::<bool>(), any::<Option<[u8; 4]>>(), prop::bool::weighted(0.02)).prop_map(
        |(opcode, payload, fin, mask, reserved)| {
            let mut frame = vec![opcode | u8::from(fin) << 7 | u8::from(reserved) << 6];
            let masked = u8::from(mask.is_some()) << 7;
            match payload.len() {
                short @ 0..126 => frame.push(masked | short as u8),
                long => {
                    frame.push(masked | 126);
                    frame.extend((long as u16).to_be_bytes());
                }
            }
            frame.extend(mask.unwrap_or_default().iter().filter(|_| mask.is_some()));
            frame.extend(payload.iter().zip(mask.unwrap_or_default().iter().cycle()).map(|(byte, key)| byte ^ key));
            frame
        },
    )
}

/// A setting and frames that are all masked, or all not, as it wants them.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), prop::collection::vec(frame(), 0..12)).prop_map(|(setting, frames)| {
        let setting = setting & !property::OWN_HANDSHAKE;
        let masked = setting & property::CLIENT == 0;
        let fitting = frames.into_iter().filter(|frame| (frame[1] & 0x80 != 0) == masked).flatten();
        [setting].into_iter().chain(fitting).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn frames_of_a_peer_are_read_as_the_model_reads_them(input in frames()) {
        property::check(&input);
    }

    #[test]
    fn hurt_frames_of_a_peer_panic_nothing_and_fill_nothing(input in mutated(frames())) {
        property::check(&input);
    }

    #[test]
    fn hurt_handshakes_and_first_words_panic_nothing_and_fill_nothing(
        setting in any::<u8>(),
        seed in mutated(prop::sample::select(seeds("frames"))),
    ) {
        property::check(&seed);
        let with_setting: Vec<_> = [setting].into_iter().chain(seed.into_iter().skip(1)).collect();
        property::check(&with_setting);
    }
}

/// Noise rarely makes a header long: here each has one word of the whole room, or as many as fit.
#[test]
fn headers_as_long_as_they_may_be_fill_nothing() {
    for (client, seed) in [(property::CLIENT, "own-response"), (0, "own-request")] {
        let canned =
            seeds("frames").into_iter().find(|it| it[1..].starts_with(if client == 0 { b"GET" } else { b"HTTP" }));
        let canned = canned.unwrap_or_else(|| panic!("no {seed}"));
        for header in [
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions",
            "Upgrade",
            "Connection",
            "Sec-WebSocket-Accept",
            "Origin",
            "Host",
        ] {
            for word in ["x", "\"", "b,", "x,", "\t, "] {
                let room = if client == 0 { 7 << 10 } else { 15 << 10 };
                let line = format!("{header}: {}\r\n", word.repeat(room / word.len()));
                let at = 1 + canned[1..].windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
                let mut input = canned.clone();
                // The whole of it in one piece, then byte by byte.
                for piece in [7 << 3, 0] {
                    input[0] = client | property::OWN_HANDSHAKE | piece;
                    property::check(&[&input[..at], line.as_bytes(), &input[at..]].concat());
                }
            }
        }
    }
}

/// Without this the properties above might compare nothing with nothing.
#[test]
fn the_canned_sessions_are_read_to_their_end() {
    let seeds = seeds("frames");
    assert!(seeds.len() >= 6);
    // A client's own request is all that it may say before it is answered.
    let speaks = |seed: &&Vec<u8>| seed[0] & (property::CLIENT | property::OWN_HANDSHAKE) != property::OWN_HANDSHAKE;
    let read: Vec<_> = seeds.iter().filter(speaks).map(|seed| property::check(seed)).collect();
    assert!(read.iter().all(|messages| *messages > 0), "messages read of each: {read:?}");
}
