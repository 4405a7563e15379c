//! What a new instance must hear first, so that it stands where the lost one stood.

use std::collections::VecDeque;

use wire::feed::{Protocol, Request};
use wire::ws::{Bytes, Message, Utf8Bytes};

use crate::config::{Config, Pattern};

/// Which of the client's messages are kept.
#[derive(Debug)]
enum Rule {
    /// Those that match; a newer one drives the oldest out.
    Matching(Pattern),
    /// The last v1 subscription, which replaces the one before.
    Subscription,
    /// The first that the client says. `left` counts down with each message that it says, kept or not.
    First { left: usize },
}

/// The client's messages that are said again to a new instance. Pure; bounded in messages and in bytes of payload.
#[derive(Debug)]
pub(super) struct Preamble {
    rule: Rule,
    messages_max: usize,
    bytes_max: usize,
    bytes: usize,
    messages: VecDeque<Message>,
}

impl Preamble {
    pub(super) fn new(config: &Config) -> Self {
        let rule = match (&config.preamble_match, config.protocol) {
            (Some(pattern), _) => Rule::Matching(pattern.clone()),
            (None, Protocol::V1) => Rule::Subscription,
            (None, _) => Rule::First { left: config.preamble_messages },
        };
        Self {
            rule,
            messages_max: config.preamble_messages,
            bytes_max: config.limits.preamble_bytes_max,
            bytes: 0,
            messages: VecDeque::new(),
        }
    }

    /// The client's message is on its way to a source. False if it belongs to the preamble and was not kept, because it would have passed the bound of bytes.
    pub(super) fn said(&mut self, message: &Message) -> bool {
        if self.messages_max == 0 || !self.concerns(message) {
            return true;
        }
        let bytes = message.len();
        if let Rule::First { .. } = self.rule {
            if self.bytes + bytes > self.bytes_max {
                return false;
            }
        } else {
            if bytes > self.bytes_max {
                return false;
            }
            let messages_max = if matches!(self.rule, Rule::Subscription) { 1 } else { self.messages_max };
            while self.messages.len() >= messages_max || self.bytes + bytes > self.bytes_max {
                let Some(oldest) = self.messages.pop_front() else { break };
                self.bytes -= oldest.len();
            }
        }
        self.bytes += bytes;
        self.messages.push_back(owned(message));
        true
    }

    fn concerns(&mut self, message: &Message) -> bool {
        match &mut self.rule {
            Rule::Matching(pattern) => match message {
                Message::Text(text) => pattern.is_match(text.as_bytes()),
                Message::Binary(bytes) => pattern.is_match(bytes),
                _ => false,
            },
            Rule::Subscription => match message {
                Message::Text(text) => Request::decode(text.as_str()).is_ok(),
                _ => false,
            },
            Rule::First { left: 0 } => false,
            Rule::First { left } => {
                *left -= 1;
                true
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What a new instance must hear, in the order in which it was said.
    pub(super) fn replay(&self) -> VecDeque<Message> {
        self.messages.clone()
    }
}

/// A copy with memory of its own: a received message is a slice of its session's read buffer, and would keep all of that alive.
fn owned(message: &Message) -> Message {
    match message {
        Message::Text(text) => Message::Text(Utf8Bytes::from(text.as_str())),
        Message::Binary(bytes) => Message::Binary(Bytes::copy_from_slice(bytes)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;

    fn preamble(protocol: Protocol, messages: usize, bytes: usize, pattern: Option<&str>) -> Preamble {
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), Mode::Relay, ["ws://a:1"]).with_protocol(protocol);
        config.preamble_messages = messages;
        config.preamble_match = pattern.map(|pattern| pattern.parse().unwrap());
        config.limits.preamble_bytes_max = bytes;
        Preamble::new(&config)
    }

    /// Says each message; those that would be said again, and those that were refused.
    fn check(mut preamble: Preamble, said: &[&str]) -> (Vec<String>, Vec<String>) {
        let refused = said.iter().filter(|text| !preamble.said(&Message::text(**text))).map(|text| (*text).to_owned());
        let refused = refused.collect();
        let bytes: usize = preamble.messages.iter().map(Message::len).sum();
        assert_eq!(bytes, preamble.bytes);
        assert!(bytes <= preamble.bytes_max);
        (preamble.replay().iter().map(|message| message.to_text().unwrap().to_owned()).collect(), refused)
    }

    #[test]
    fn with_v1_it_is_the_last_subscription() {
        let [a, b] = [r#"{"userKey":"K","symbol":"A"}"#, r#"{"userKey":"K","symbol":"B"}"#];
        let check = |messages, said: &[&str]| check(preamble(Protocol::V1, messages, 1000, None), said).0;
        assert_eq!(check(1, &[a, "noise", b, "noise"]), [b]);
        assert_eq!(check(5, &[a, b]), [b], "a later one replaces it");
        assert_eq!(check(0, &[a]), [""; 0]);
    }

    #[test]
    fn otherwise_it_is_the_first_messages_and_one_too_many_bytes_takes_its_place_all_the_same() {
        let check = |messages, bytes, said: &[&str]| check(preamble(Protocol::Raw, messages, bytes, None), said);
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(check(2, 100, &["a", "b", "c"]), (owned(&["a", "b"]), owned(&[])));
        assert_eq!(check(3, 4, &["aaa", "bb", "c", "d"]), (owned(&["aaa", "c"]), owned(&["bb"])));
        assert_eq!(check(0, 4, &["a"]), (owned(&[]), owned(&[])));
    }

    #[test]
    fn with_a_pattern_it_is_the_latest_that_match() {
        let check = |messages, bytes, said: &[&str]| {
            check(preamble(Protocol::Raw, messages, bytes, Some("^(auth|sub) ")), said)
        };
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let said = ["auth K", "order 1", "sub A", "sub B", "order 2"];
        assert_eq!(check(3, 100, &said), (owned(&["auth K", "sub A", "sub B"]), owned(&[])));
        assert_eq!(check(2, 100, &said).0, owned(&["sub A", "sub B"]));
        assert_eq!(check(3, 10, &said).0, owned(&["sub A", "sub B"]), "the oldest gives way to bytes, too");
        assert_eq!(check(3, 5, &["sub A", "sub BB"]), (owned(&["sub A"]), owned(&["sub BB"])));
    }

    #[test]
    fn a_client_of_v2_moves_only_where_a_pattern_says_what_the_next_source_must_hear() {
        let config = |protocol| {
            Config::new(([127, 0, 0, 1], 0).into(), Mode::Relay, ["ws://a:1"]).with_protocol(protocol).moves_clients()
        };
        assert_eq!([Protocol::V1, Protocol::Raw, Protocol::V2].map(config), [true, true, false]);
        let mut v2 = Config::new(([127, 0, 0, 1], 0).into(), Mode::Relay, ["ws://a:1"]).with_protocol(Protocol::V2);
        v2.preamble_match = Some("login|subscribe".parse().unwrap());
        assert!(v2.moves_clients());
        v2.failover = false;
        assert!(!v2.moves_clients());
    }

    #[test]
    fn a_kept_message_has_memory_of_its_own() {
        let buffer = Bytes::from(vec![7; 4096]);
        let message = Message::Binary(buffer.slice(..1));
        let mut preamble = preamble(Protocol::Raw, 1, 100, None);
        assert!(preamble.said(&message));
        drop(message);
        assert!(buffer.is_unique(), "the read buffer is free again");
        assert_eq!(preamble.replay(), [Message::Binary(Bytes::from_static(&[7]))]);
    }
}
