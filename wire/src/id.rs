//! Who: small copyable names for what takes part in a run.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident($of:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $of);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl $name {
            /// The number as an index into a list.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index!(
    /// One instance of the real-time source: its place in the proxy's list of upstreams, from 0.
    SourceId(u16), "source-"
);
index!(
    /// One proxy instance, from 0.
    ProxyId(u16), "proxy-"
);
index!(
    /// One virtual client, from 0. It keeps its number over reconnects.
    ClientId(u32), "client-"
);
index!(
    /// One connection of one client, from 0: a client that reconnects opens its next session.
    SessionId(u32), "session-"
);
index!(
    /// One connection that a source accepted, numbered by that source from 0 over its whole life (restarts included, where the
    /// ledger survives them).
    LegId(u32), "leg-"
);

/// The greatest length of a symbol, in bytes.
pub const SYMBOL_BYTES_MAX: usize = 24;

/// What a client subscribes to: `EURUSD`, `BTC-PERP`, a room of a chat.
///
/// 1 to [`SYMBOL_BYTES_MAX`] bytes of printable ASCII without comma, quote and backslash, so that it can stand in a v1 subscription
/// and in JSON as it is. Copied, never allocated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(ArrayString<SYMBOL_BYTES_MAX>);

/// Why a text is not a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    /// It has no bytes.
    #[error("symbol is empty")]
    Empty,
    /// It is longer than [`SYMBOL_BYTES_MAX`].
    #[error("symbol is longer than {SYMBOL_BYTES_MAX} bytes")]
    TooLong,
    /// It holds a byte that cannot stand in a subscription.
    #[error("symbol holds a byte other than printable ASCII, or a comma, quote or backslash")]
    BadByte,
}

impl Symbol {
    /// Checks a text and makes it a symbol.
    ///
    /// # Errors
    /// [`SymbolError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, SymbolError> {
        if text.is_empty() {
            return Err(SymbolError::Empty);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b',' | b'"' | b'\\')) {
            return Err(if text.len() > SYMBOL_BYTES_MAX { SymbolError::TooLong } else { SymbolError::BadByte });
        }
        ArrayString::from(text).map(Self).map_err(|_| SymbolError::TooLong)
    }

    /// The n-th generated symbol: `S0000`, `S0001`, ...
    #[must_use]
    pub fn numbered(n: u32) -> Self {
        Self::new(&format!("S{n:04}")).expect("a letter and at most ten digits")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Symbol {
    type Err = SymbolError;
    fn from_str(text: &str) -> Result<Self, SymbolError> {
        Self::new(text)
    }
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Symbol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_checked() {
        for (text, expect) in [
            ("EURUSD", Ok(())),
            ("EURUSD:QUOTE", Ok(())),
            ("", Err(SymbolError::Empty)),
            ("A,B", Err(SymbolError::BadByte)),
            ("A\"", Err(SymbolError::BadByte)),
            ("Ä", Err(SymbolError::BadByte)),
            ("ABCDEFGHIJKLMNOPQRSTUVWX", Ok(())),
            ("ABCDEFGHIJKLMNOPQRSTUVWXY", Err(SymbolError::TooLong)),
        ] {
            assert_eq!(Symbol::new(text).map(drop), expect, "{text}");
        }
    }
}
