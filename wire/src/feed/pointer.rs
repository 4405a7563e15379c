//! Routing keys of feeds that have no protocol of their own: a JSON Pointer (RFC 6901) says where in a message its key stands.
//!
//! Only the way to the key is read; the rest of the message is skipped without being built, and with it whatever depth it has.

use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::id::Symbol;

/// The most steps of a pointer.
pub const STEPS_MAX: usize = 16;

/// Where in a JSON message its key stands: `/data/symbol`, `/0/s`. An array is entered by its index, an object by its key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Pointer {
    steps: Vec<Box<str>>,
}

/// Why a text is no pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It is empty, or does not begin with a slash.
    #[error("a JSON pointer begins with a slash: /data/symbol")]
    NoSlash,
    /// More than [`STEPS_MAX`] steps.
    #[error("a JSON pointer of more than {STEPS_MAX} steps")]
    TooDeep,
    /// A tilde that is not `~0` (a tilde) or `~1` (a slash).
    #[error("in a JSON pointer ~ is written ~0 and / within a key ~1")]
    Tilde,
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        let steps = text.strip_prefix('/').ok_or(PointerError::NoSlash)?.split('/');
        let steps = steps
            .take(STEPS_MAX + 1)
            .map(|step| {
                let lawful = step.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
                let step = step.replace("~1", "/").replace("~0", "~");
                lawful.then(|| step.into_boxed_str()).ok_or(PointerError::Tilde)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if steps.len() > STEPS_MAX { Err(PointerError::TooDeep) } else { Ok(Self { steps }) }
    }
}

impl TryFrom<String> for Pointer {
    type Error = PointerError;

    fn try_from(text: String) -> Result<Self, PointerError> {
        text.parse()
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

impl Pointer {
    /// The key of a message: the string, whole number or truth value to which the pointer leads. None where the message is no JSON, has nothing there, or
    /// something that cannot be a symbol. Of two keys of one name the first counts.
    #[must_use]
    pub fn find(&self, message: &str) -> Option<Symbol> {
        let mut reader = serde_json::Deserializer::from_str(message);
        let found = Walk(&self.steps).deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        found
    }
}

/// What is left of the way.
struct Walk<'p>(&'p [Box<str>]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<Symbol>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<Symbol>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut passed) = (None, false);
        while let Some(here) = map.next_key_seed(Here(self.0.first().map(AsRef::as_ref)))? {
            if here && !passed {
                passed = true;
                found = map.next_value_seed(Walk(&self.0[1..]))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let index = self.0.first().and_then(|step| step.parse::<usize>().ok());
        let mut found = None;
        for place in 0_usize.. {
            if index == Some(place) {
                match seq.next_element_seed(Walk(&self.0[1..]))? {
                    Some(it) => found = it,
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Symbol::new(text).ok().filter(|_| self.0.is_empty()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<Self::Value, E> {
        self.visit_str(if truth { "true" } else { "false" })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a key of an object is the next step.
struct Here<'p>(Option<&'p str>);

impl<'de> DeserializeSeed<'de> for Here<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Here<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(self.0.is_some_and(|step| step == key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[track_caller]
    fn check(pointer: &str, message: &str, expect: Option<&str>) {
        let pointer: Pointer = pointer.parse().unwrap();
        assert_eq!(pointer.find(message).as_ref().map(Symbol::as_str), expect, "{pointer} in {message}");
    }

    #[test]
    fn keys_are_found_where_the_pointer_leads() {
        check("/data/symbol", r#"{"x":[{"symbol":"no"}],"data":{"a":{},"symbol":"EURUSD"}}"#, Some("EURUSD"));
        check("/s", r#"{"s":"EUR\u0055SD"}"#, Some("EURUSD"));
        check("/1/s", r#"[{"s":"A"},{"s":"B"}]"#, Some("B"));
        check("/id", r#"{"id":17}"#, Some("17"));
        check("/id", r#"{"id":-17}"#, Some("-17"));
        check("/a~1b/m~0n", r#"{"a/b":{"m~n":"X"}}"#, Some("X"));
        check("/", r#"{"":"X"}"#, Some("X"));
        check("/s", r#"{"s":"A","s":"B"}"#, Some("A"));
    }

    #[test]
    fn a_message_without_a_key_has_none() {
        for message in ["", "Connected", "{}", r#"{"s":1.5}"#, r#"{"s":null}"#, r#"{"s":{}}"#, r#"{"s":["A"]}"#] {
            check("/s", message, None);
        }
        check("/s/t", r#"{"s":"A"}"#, None);
        check("/s", r#"{"s":"A,B"}"#, None);
        check("/s", r#"{"s":"A"} x"#, None);
        check("/7", r#"["A"]"#, None);
        let deep = format!(r#"{{"x":{}{},"s":"A"}}"#, "[".repeat(100_000), "]".repeat(100_000));
        check("/s", &deep, Some("A"));
    }

    #[test]
    fn pointers_are_checked() {
        let parse = |text: &str| text.parse::<Pointer>();
        assert_eq!(parse(""), Err(PointerError::NoSlash));
        assert_eq!(parse("data"), Err(PointerError::NoSlash));
        assert_eq!(parse("/a~2"), Err(PointerError::Tilde));
        assert_eq!(parse("/a~"), Err(PointerError::Tilde));
        assert_eq!(parse(&"/a".repeat(STEPS_MAX + 1)), Err(PointerError::TooDeep));
        assert_eq!(parse("/a~1b/~01/0").unwrap().to_string(), "/a~1b/~01/0");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c,]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_whole_parse_finds(value in values(), steps in "(/[ab012]){1,4}") {
            let expect = match value.pointer(&steps) {
                Some(Value::String(text)) => Symbol::new(text).ok(),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Symbol::new(&value.to_string()).ok(),
                _ => None,
            };
            prop_assert_eq!(steps.parse::<Pointer>().unwrap().find(&value.to_string()), expect);
        }

        #[test]
        fn no_text_makes_it_panic(pointer in "[/~a01]{0,8}", text in r#"[{}\[\]":,a0-9.\\ ]{0,40}"#) {
            if let Ok(pointer) = pointer.parse::<Pointer>() {
                let _ = pointer.find(&text);
                prop_assert_eq!(pointer.to_string().parse::<Pointer>(), Ok(pointer));
            }
        }
    }
}
