//! One message of the source on its way to the clients.

use std::sync::OnceLock;

use tokio::time::Instant;
use wire::feed::{Kind, Strong};
use wire::id::Symbol;
use wire::ws::{Bytes, Message};

use super::frame;

/// One message of the source with its stamp. Made once and shared by all clients that get it, as are its encoded frames.
#[derive(Debug)]
pub struct Delivery {
    /// Its symbol.
    pub symbol: Symbol,
    /// The epoch of its stamp.
    pub epoch: u64,
    /// Its number within symbol and epoch, from 1.
    pub seq: u64,
    /// The source's own message.
    pub message: Message,
    /// How it comes to the client.
    pub kind: Kind,
    /// When it was read from the source.
    pub received: Instant,
    plain: OnceLock<Bytes>,
    strong: OnceLock<Bytes>,
}

impl Delivery {
    /// A stamped message that came just now.
    #[must_use]
    pub fn new(symbol: Symbol, (epoch, seq): (u64, u64), message: Message) -> Self {
        Self {
            symbol,
            epoch,
            seq,
            message,
            kind: Kind::Live,
            received: Instant::now(),
            plain: OnceLock::new(),
            strong: OnceLock::new(),
        }
    }

    /// The same message, as another kind.
    #[must_use]
    pub fn again(&self, kind: Kind) -> Self {
        let (plain, strong) = (self.plain.clone(), OnceLock::new());
        Self { message: self.message.clone(), kind, plain, strong, ..*self }
    }

    /// What it counts for in a queue: its payload, in bytes; at least 1, so that a bound in bytes bounds empty messages too.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.message.len().max(1)
    }

    /// The frame of a plain client: the source's own bytes. Encoded at the first call.
    #[must_use]
    pub fn plain(&self) -> Bytes {
        self.plain.get_or_init(|| frame::encode(&self.message)).clone()
    }

    /// The frame of a `windtunnel.v1` client: the message in its envelope, encoded at the first call. Binary data cannot stand in it and goes as it is.
    #[must_use]
    pub fn strong(&self) -> Bytes {
        let Message::Text(text) = &self.message else { return self.plain() };
        self.strong
            .get_or_init(|| {
                let (kind, symbol, epoch, seq) = (self.kind, self.symbol, self.epoch, self.seq);
                frame::text(&Strong::Data { kind, symbol, epoch, seq, data: text.as_str().into() }.encode())
            })
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_made_once_and_holds_the_source_text() {
        let delivery = Delivery::new(Symbol::numbered(0), (1, 2), Message::text(r#"{"symbol":"S0000"}"#));
        let envelope = r#"{"type":"live","symbol":"S0000","epoch":1,"seq":2,"data":{"symbol":"S0000"}}"#;
        assert_eq!(delivery.strong(), frame::text(envelope));
        assert_eq!(delivery.strong().as_ptr(), delivery.strong().as_ptr());
        assert_eq!(delivery.plain(), frame::text(r#"{"symbol":"S0000"}"#));
        let again = delivery.again(Kind::Snapshot);
        assert_eq!(again.strong(), frame::text(&envelope.replace("live", "snapshot")));
        assert_eq!(again.plain().as_ptr(), delivery.plain().as_ptr());
    }
}
