//! What goes wrong and when.

mod file;
mod garbage;
mod timeline;

use std::time::Duration;

use wire::id::Symbol;

pub use self::file::ScriptError;
pub(crate) use self::garbage::garbage;
pub(crate) use self::timeline::{Effect, Timeline};

/// Steps of a source's life. The order of the list decides between steps of one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The steps, in any order of time.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Since `serve` began.
    pub at: Duration,
    /// What happens.
    pub action: Action,
}

/// What a source can be told to do. Overlapping spans of one kind last until the last of them ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keeps sockets open but sends nothing, reads nothing, and answers no ping and no handshake. Ticks that fall due are skipped for good.
    Stall {
        /// For how long.
        for_: Duration,
    },
    /// Answers new handshakes with 503.
    Refuse {
        /// For how long.
        for_: Duration,
    },
    /// Finishes new handshakes, and closes each at once with 1011.
    Slam {
        /// For how long.
        for_: Duration,
    },
    /// Sends no ticks, while pings are answered and subscriptions taken: alive, but stale.
    Silence {
        /// Of this symbol only; None: of all.
        symbol: Option<Symbol>,
        /// For how long.
        for_: Duration,
    },
    /// Closes every connection with this code.
    CloseAll {
        /// None: ends the TCP connection in order, without a Close frame.
        code: Option<u16>,
    },
    /// Resets every connection (RST).
    ResetAll,
    /// Sends each connection one message that is no tick. They come in turn: broken JSON, binary, a tick that breaks off, a JSON of another kind.
    Garbage,
    /// Sends each connection one message of so many bytes: a tick that is none of its feed's, with as much filler as that takes.
    Oversized {
        /// Of the payload.
        bytes: u32,
    },
    /// Denies new subscriptions (v2).
    Deny {
        /// To this symbol only; None: to all.
        symbol: Option<Symbol>,
        /// For how long.
        for_: Duration,
    },
    /// Rejects logins (v2).
    RejectLogins {
        /// For how long.
        for_: Duration,
    },
    /// Changes the number of symbols that a connection may have, for logins and subscriptions from now on (v2). None: as configured.
    SymbolLimit(Option<u32>),
    /// Changes the limit of connections per key for those that come from now on. None: no limit.
    KeyLimit(Option<u32>),
}
