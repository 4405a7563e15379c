use proptest::prelude::*;

use super::super::v2::{Guest, SubAck, Wish};
use super::*;

fn symbols(names: &str) -> Vec<Symbol> {
    names.split_whitespace().map(|name| Symbol::new(name).unwrap()).collect()
}

/// All that a dialect has to say now.
fn said(dialect: &mut Dialect) -> Vec<String> {
    std::iter::from_fn(|| dialect.say()).take(100).collect()
}

#[test]
fn v1_tells_the_whole_set_and_is_up_with_the_first_text() {
    let mut leg = Dialect::v1("K".to_owned());
    leg.want(symbols("B A"));
    assert_eq!(said(&mut leg), [r#"{"userKey":"K","symbol":"A,B"}"#]);
    assert!(!leg.is_up());
    assert_eq!(leg.hear("Connected"), Heard::Up);
    assert!(leg.is_up() && leg.expects_data());
    assert_eq!(leg.hear(r#"{"symbol":"A","bid":1}"#), Heard::Data(symbols("A")[0]));
    leg.want(symbols("A B"));
    assert!(said(&mut leg).is_empty(), "nothing changed");
    leg.want(symbols("C"));
    assert_eq!(said(&mut leg), [r#"{"userKey":"K","symbol":"C"}"#]);
    assert_eq!(leg.hear("{garbage"), Heard::Unreadable);
    assert_eq!(leg.hear(KEY_LIMIT_TEXT), Heard::Refused(Refusal::KeyLimit));
    leg.want(symbols("D"));
    assert!(said(&mut leg).is_empty() && !leg.is_up());
}

#[test]
fn v1_says_something_even_where_nothing_is_wanted() {
    let mut leg = Dialect::v1(String::new());
    assert_eq!(said(&mut leg), [r#"{"userKey":"","symbol":""}"#]);
    assert!(said(&mut leg).is_empty() && !leg.expects_data());
}

#[test]
fn v2_logs_in_and_then_says_what_changes() {
    let mut leg = Dialect::v2("K".to_owned());
    leg.want(symbols("A B"));
    assert_eq!(said(&mut leg), [r#"{"action":"login","key":"K","fmt":"JSON"}"#]);
    assert_eq!(leg.hear("Connected"), Heard::Greeting);
    assert!(said(&mut leg).is_empty() && !leg.is_up());
    assert_eq!(leg.hear(r#"{"type":"login_ok","symbol_limit":3}"#), Heard::Up);
    assert_eq!(said(&mut leg), [r#"{"action":"subscribe","symbols":["A:QUOTE","B:QUOTE"]}"#]);
    assert_eq!(leg.unanswered(), 2);
    let ack = r#"{"type":"sub_ack","accepted":["A:QUOTE"],"denied":["B:QUOTE"],"denied_reasons":{"B:QUOTE":"plan"}}"#;
    let denied = vec![(symbols("B")[0], "plan".to_owned())];
    assert_eq!(leg.hear(ack), Heard::Answer { accepted: symbols("A"), denied });
    assert_eq!((leg.unanswered(), leg.denied().collect::<Vec<_>>()), (0, vec![(symbols("B")[0], "plan")]));
    leg.want(symbols("A B C"));
    assert_eq!(
        said(&mut leg),
        [r#"{"action":"subscribe","symbols":["C:QUOTE"]}"#],
        "what is denied is not asked again"
    );
    assert_eq!(leg.hear(r#"{"t":"QUOTE","s":"A:QUOTE","b":1}"#), Heard::Data(symbols("A")[0]));
    leg.want(symbols("A"));
    assert_eq!(said(&mut leg), [r#"{"action":"unsubscribe","symbols":["C:QUOTE"]}"#]);
    // Nobody wanted B for a while: it may be asked for again.
    leg.want(symbols("A B"));
    assert_eq!(said(&mut leg), [r#"{"action":"subscribe","symbols":["B:QUOTE"]}"#]);
}

#[test]
fn v2_keeps_within_the_source_s_limit() {
    let mut leg = Dialect::v2("K".to_owned());
    leg.want(symbols("A B C"));
    said(&mut leg);
    leg.hear(r#"{"type":"login_ok","symbol_limit":2}"#);
    assert_eq!(said(&mut leg), [r#"{"action":"subscribe","symbols":["A:QUOTE","B:QUOTE"]}"#]);
    assert_eq!(leg.waiting().collect::<Vec<_>>(), symbols("C"));
    leg.want(symbols("B C"));
    let unsubscribe = r#"{"action":"unsubscribe","symbols":["A:QUOTE"]}"#;
    assert_eq!(said(&mut leg), [unsubscribe, r#"{"action":"subscribe","symbols":["C:QUOTE"]}"#]);
    assert_eq!(leg.waiting().count(), 0);
}

#[test]
fn v2_takes_refusals_complaints_and_signs_of_life() {
    let mut leg = Dialect::v2("K".to_owned());
    said(&mut leg);
    assert_eq!(leg.hear(r#"{"type":"heartbeat"}"#), Heard::Heartbeat);
    assert_eq!(leg.hear(r#"{"type":"error","reason":"busy"}"#), Heard::Complaint("busy".to_owned()));
    assert_eq!(leg.hear(r#"{"type":"new"}"#), Heard::Unreadable);
    let refused = Heard::Refused(Refusal::Login("no such key".to_owned()));
    assert_eq!(leg.hear(r#"{"type":"login_reject","reason":"no such key"}"#), refused);
    leg.want(symbols("A"));
    assert!(said(&mut leg).is_empty() && !leg.is_up());
    // A login that was refused does not become good later.
    leg.hear(r#"{"type":"login_ok"}"#);
    assert!(!leg.is_up());
}

#[test]
fn a_key_limit_is_told_as_a_text_or_at_the_login() {
    let mut leg = Dialect::v2("K".to_owned());
    assert_eq!(leg.hear(KEY_LIMIT_TEXT), Heard::Refused(Refusal::KeyLimit));
    let reject = Said::LoginReject { reason: KEY_LIMIT_TEXT.into() }.encode();
    assert_eq!(Dialect::v2("K".to_owned()).hear(&reject), Heard::Refused(Refusal::KeyLimit));
}

#[test]
fn raw_messages_have_the_key_where_the_pointer_says() {
    let mut all = Dialect::raw(None);
    all.want(symbols("A"));
    assert!(said(&mut all).is_empty() && all.is_up() && all.expects_data());
    assert_eq!(all.hear(KEY_LIMIT_TEXT), Heard::Data(symbols("*")[0]));
    let mut keyed = Dialect::raw(Some("/data/symbol".parse().unwrap()));
    assert_eq!(keyed.hear(r#"{"data":{"symbol":"A"}}"#), Heard::Data(symbols("A")[0]));
    assert_eq!(keyed.hear(r#"{"data":{}}"#), Heard::Unreadable);
}

proptest! {
    /// Against a server that denies some symbols and counts: whatever was wanted in between, in the end it has exactly what is wanted and not denied, and it is
    /// never asked for more than its limit.
    #[test]
    fn what_a_v2_source_has_is_what_is_wanted(
        limit in 1_u32..6,
        denies in proptest::collection::btree_set(0_u32..8, 0..3),
        unions in proptest::collection::vec((proptest::collection::btree_set(0_u32..8, 0..8), any::<bool>()), 1..12),
    ) {
        let denies: BTreeSet<_> = denies.into_iter().map(Symbol::numbered).collect();
        let (mut leg, mut source) = (Dialect::v2("K".to_owned()), Guest::new());
        let mut answers = Vec::new();
        let mut has = BTreeSet::new();
        for (union, answered) in unions {
            let union: Vec<_> = union.into_iter().map(Symbol::numbered).collect();
            leg.want(union.iter().copied());
            while let Some(text) = leg.say() {
                match Ask::decode(&text).unwrap() {
                    Ask::Login { .. } => answers.push(source.admit(limit)),
                    Ask::Subscribe { symbols, .. } => {
                        let (denied, accepted): (Vec<_>, Vec<_>) = symbols.iter().partition(|it| denies.contains(it));
                        for symbol in &accepted {
                            prop_assert!(has.insert(*symbol), "{} was asked for twice", symbol);
                        }
                        prop_assert!(has.len() <= limit as usize);
                        let denied = denied.into_iter().map(|symbol| (symbol, "no".to_owned())).collect();
                        answers.push(Said::SubAck(SubAck { accepted, denied, invalid: Vec::new() }).encode());
                    }
                    Ask::Unsubscribe { symbols } => {
                        for symbol in symbols {
                            // A denial that is still under way is not known yet.
                            prop_assert!(has.remove(&symbol) || denies.contains(&symbol));
                        }
                    }
                    Ask::Ping => prop_assert!(false, "nobody asked for a ping"),
                }
                if answered {
                    for answer in answers.drain(..) {
                        leg.hear(&answer);
                    }
                }
            }
            // In the end all answers have come.
            while !answers.is_empty() {
                for answer in std::mem::take(&mut answers) {
                    leg.hear(&answer);
                }
                while let Some(text) = leg.say() {
                    if let Ask::Subscribe { symbols, .. } = Ask::decode(&text).unwrap() {
                        let (denied, accepted): (Vec<_>, Vec<_>) = symbols.iter().partition(|it| denies.contains(it));
                        has.extend(accepted.iter().copied());
                        let denied = denied.into_iter().map(|symbol| (symbol, "no".to_owned())).collect();
                        answers.push(Said::SubAck(SubAck { accepted, denied, invalid: Vec::new() }).encode());
                    }
                }
            }
            prop_assert_eq!(leg.unanswered(), 0);
            let granted: BTreeSet<_> = union.iter().copied().filter(|symbol| !denies.contains(symbol)).collect();
            prop_assert!(has.is_subset(&granted), "{:?} {:?}", has, granted);
            prop_assert_eq!(has.len(), granted.len().min(limit as usize));
        }
    }

    #[test]
    fn no_text_makes_a_dialect_panic(texts in proptest::collection::vec(r#"(\{"(type|t)":"[a-zQ_]{0,12}"(,"[a-z_]{0,8}":[\[\]{}"a0]{0,6})?\}|.{0,20})"#, 0..8)) {
        for mut leg in [Dialect::v1("K".to_owned()), Dialect::v2("K".to_owned()), Dialect::raw(Some("/t".parse().unwrap()))] {
            leg.want(symbols("A B"));
            for text in &texts {
                leg.hear(text);
                said(&mut leg);
            }
        }
    }
}

#[test]
fn a_leg_and_a_guest_understand_one_another() {
    let (mut leg, mut guest) = (Dialect::v2("K".to_owned()), Guest::new());
    leg.want(symbols("A B"));
    let login = leg.say().unwrap();
    assert_eq!(guest.hear(&login, 1), Ok(Wish::Login { key: "K".to_owned() }));
    assert_eq!(leg.hear(&guest.admit(1)), Heard::Up);
    let Ok(Wish::Want { symbols: wanted, ack }) = guest.hear(&leg.say().unwrap(), 1) else { panic!("a want") };
    assert_eq!(wanted, symbols("A"));
    assert_eq!(
        leg.hear(&Said::SubAck(ack.unwrap()).encode()),
        Heard::Answer { accepted: symbols("A"), denied: Vec::new() }
    );
}

#[test]
fn a_denial_is_remembered_with_the_beginning_of_its_reason_only() {
    let mut leg = Dialect::v2("K".to_owned());
    leg.want(symbols("A"));
    said(&mut leg);
    leg.hear(r#"{"type":"login_ok"}"#);
    said(&mut leg);
    let ack = SubAck { denied: vec![(symbols("A")[0], "no ".repeat(10_000))], ..SubAck::default() };
    leg.hear(&Said::SubAck(ack).encode());
    let (_, reason) = leg.denied().next().unwrap();
    assert!(reason.starts_with("no no ") && reason.len() < 300, "{} bytes", reason.len());
}
