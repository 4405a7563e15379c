//! What sources and clients say.
//!
//! - **v1**: the source greets with the text `Connected`, the client's first message is `{"userKey":"K","symbol":"EURUSD,GBPUSD"}`, and every
//!   tick is a JSON object with a `symbol`. The source limits connections per key and says so in-band ([`KEY_LIMIT_TEXT`]).
//! - **v2** ([`v2`]): a login, subscriptions that say what changes and are acknowledged or denied symbol by symbol, ticks with `t` and `s`.
//! - **raw**: any message, everything to everyone.
//! - **`windtunnel.v1`** ([`crate::ws::SUBPROTOCOL`]): what a client that offers the subprotocol gets from the proxy instead of the source's own
//!   bytes, see [`Strong`].

mod brief;
mod dialect;
mod identity;
mod pointer;
mod strong;
mod v1;
pub mod v2;

pub use self::dialect::{Dialect, Heard, Refusal};
pub use self::identity::Identity;
pub use self::pointer::{Pointer, PointerError, STEPS_MAX};
pub use self::strong::{GapReason, Kind, Strong, StrongError};
pub use self::v1::{GREETING, KEY_LIMIT_TEXT, Request, RequestError, SYMBOLS_MAX, symbol_of};

use serde::{Deserialize, Serialize};

/// The protocol that a source speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TraderMade-style v1: greeting, one subscription message, JSON ticks with a `symbol`.
    #[default]
    V1,
    /// TraderMade-style v2: login, subscriptions that say what changes and are acknowledged, JSON ticks with `t` and `s`.
    V2,
    /// Any message; everything to everyone, or by a key in each message.
    Raw,
}
