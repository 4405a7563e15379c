use proptest::prelude::*;

use super::*;

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

#[track_caller]
fn check(text: &str, expect: &Said<'_>) {
    assert_eq!(&Said::decode(text).unwrap(), expect, "{text}");
}

fn quote<'a>(last: bool, bid: &'a str, ask: &'a str, ts: &'a str) -> Said<'a> {
    Said::Tick(Quote { symbol: symbol("EURUSD"), last, bid: bid.into(), ask: ask.into(), ts: ts.into() })
}

#[test]
fn ticks_are_read_with_prices_as_strings_and_as_numbers() {
    let ts = "20260515-12:36:35.588";
    let real =
        r#"{"t":"QUOTE","s":"EURUSD","b":"1.16270","a":"1.16272","bv":"1","av":"2","ts":"20260515-12:36:35.588"}"#;
    check(real, &quote(false, "1.16270", "1.16272", ts));
    let ladder = r#"{"ts":"20260515-12:36:35.588","t":"LAST_QUOTE","s":"EURUSD:QUOTE","b":1.16270,"a":1e-2,"ladder":{"a":[[1,2]],"b":[]}}"#;
    check(ladder, &quote(true, "1.16270", "1e-2", ts));
    check(r#"{"t":"QUOTE","s":"EURUSD","b":null,"ts":5}"#, &quote(false, "", "", "5"));
    for text in [r#"{"t":"QUOTE"}"#, r#"{"t":"QUOTE","s":""}"#, r#"{"t":"QUOTE","s":[]}"#, "Connected", "", "[1]"] {
        assert!(Said::decode(text).is_err(), "{text}");
    }
}

#[test]
fn control_messages_are_read() {
    check(r#"{"type":"login_ok","symbol_limit":54,"plan":"x"}"#, &Said::LoginOk { symbol_limit: Some(54) });
    check(r#"{"type":"login_ok","symbol_limit":"5000"}"#, &Said::LoginOk { symbol_limit: Some(5000) });
    check(r#"{"type":"login_ok"}"#, &Said::LoginOk { symbol_limit: None });
    check(r#"{"type":"login_reject","reason":"no \"key\""}"#, &Said::LoginReject { reason: r#"no "key""#.into() });
    check(r#"{"type":"error","reason":"slow down"}"#, &Said::Error { reason: "slow down".into() });
    check(r#"{"type":"heartbeat"}"#, &Said::Heartbeat);
    check(r#"{"type":"news"}"#, &Said::Unknown);
    check(r#"{"t":"TRADE","s":"EURUSD"}"#, &Said::Unknown);
    check(
        r#"{"type":"sub_ack","accepted":["EURUSD:QUOTE"],"denied":["XAUUSD:QUOTE","A"],"denied_reasons":{"XAUUSD:QUOTE":"plan"},"invalid":["?,"]}"#,
        &Said::SubAck(SubAck {
            accepted: vec![symbol("EURUSD")],
            denied: vec![(symbol("XAUUSD"), "plan".to_owned()), (symbol("A"), String::new())],
            invalid: vec!["?,".to_owned()],
        }),
    );
    check(r#"{"type":"sub_ack"}"#, &Said::SubAck(SubAck::default()));
}

#[test]
fn the_symbol_of_a_v2_tick_is_found_in_any_place() {
    let eurusd = Some(symbol("EURUSD"));
    for (text, expect) in [
        (r#"{"t":"QUOTE","s":"EURUSD","b":"1"}"#, eurusd),
        (r#"{"t":"LAST_QUOTE","s":"EURUSD:QUOTE"}"#, eurusd),
        (r#" {"s":"EUR\u0055SD","t":"QUOTE"}"#, eurusd),
        (r#"{"t":"QUOTE","s":"EUR\u0055SD:QUOTE:QUOTE"}"#, eurusd),
        (r#"{"t":"QUOTE","s":""#, None),
        (r#"{"t":"QUOTE","s":"EURUSD","b":"1."#, None),
        (r#"{"type":"login_ok"}"#, None),
        ("Connected", None),
    ] {
        assert_eq!(symbol_of(text), expect, "{text}");
    }
}

fn said() -> impl Strategy<Value = Said<'static>> {
    let name = || "[!#-+.-9;-\\[\\]-~]{1,18}".prop_map(|text| Symbol::new(&text).unwrap());
    let text = || ".{0,12}".prop_map(Cow::<'static, str>::Owned);
    let denied = proptest::collection::btree_map(name(), ".{0,8}", 0..4);
    let ack = (proptest::collection::vec(name(), 0..4), denied, proptest::collection::vec(".{0,8}", 0..3));
    prop_oneof![
        (name(), any::<bool>(), text(), text(), text()).prop_map(|(symbol, last, bid, ask, ts)| Said::Tick(Quote {
            symbol,
            last,
            bid,
            ask,
            ts
        })),
        any::<Option<u32>>().prop_map(|symbol_limit| Said::LoginOk { symbol_limit }),
        text().prop_map(|reason| Said::LoginReject { reason }),
        text().prop_map(|reason| Said::Error { reason }),
        Just(Said::Heartbeat),
        ack.prop_map(|(accepted, denied, invalid)| Said::SubAck(SubAck {
            accepted,
            denied: denied.into_iter().collect(),
            invalid
        })),
    ]
}

proptest! {
    #[test]
    fn every_message_survives_the_wire(said in said(), cut in 0_usize..200) {
        let text = said.encode();
        prop_assert_eq!(Said::decode(&text).unwrap(), said);
        let part = text.get(..cut.min(text.len())).unwrap_or_default();
        prop_assert!(part == text || Said::decode(part).is_err());
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in r#"[{}\[\]":,a-z0-9_\\ ]{0,40}"#, other in ".{0,40}") {
        for text in [&text, &other] {
            let _ = (Said::decode(text), Ask::decode(text), symbol_of(text), Guest::new().hear(text, 5));
            // What can be read can be written, and reads the same again.
            if let Ok(said) = Said::decode(text)
                && said != Said::Unknown
            {
                let again = said.encode();
                prop_assert_eq!(Said::decode(&again).unwrap(), said);
            }
            if let Ok(ask) = Ask::decode(text) {
                prop_assert_eq!(Ask::decode(&ask.encode()).unwrap(), ask);
            }
        }
    }
}
