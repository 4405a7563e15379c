//! Who is let in.

use crate::limits::Limits;

/// What the proxy holds when a connection is accepted, that connection not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Open client sessions.
    pub clients: u64,
    /// Handshakes under way.
    pub handshakes: u64,
    /// Refusals being written.
    pub refusals: u64,
}

/// What to do with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Serve its handshake.
    Yes,
    /// Answer HTTP 503 with `Retry-After`, in seconds.
    Refuse {
        /// When to come again.
        retry_after_s: u32,
    },
    /// Reset it without a word: even refusing costs too much now.
    Reset,
}

/// Decides about each new connection, before a byte of it is read.
pub trait Admission: Send {
    /// What to do with the next connection.
    fn decide(&mut self, load: Load) -> Admit;
}

/// Fixed caps on sessions, handshakes and refusals.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    clients_max: u64,
    handshakes_max: u64,
    refusals_max: u64,
    retry_after_s: u32,
}

impl Caps {
    /// The caps of the limits given.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            clients_max: limits.clients_max,
            handshakes_max: limits.handshakes_max,
            refusals_max: limits.refusals_max,
            retry_after_s: limits.retry_after_s,
        }
    }
}

impl Admission for Caps {
    fn decide(&mut self, load: Load) -> Admit {
        if load.handshakes < self.handshakes_max && load.clients + load.handshakes < self.clients_max {
            Admit::Yes
        } else if load.refusals < self.refusals_max {
            Admit::Refuse { retry_after_s: self.retry_after_s }
        } else {
            Admit::Reset
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_count_handshakes_as_clients_to_be() {
        let limits = Limits { clients_max: 3, handshakes_max: 2, refusals_max: 1, ..Limits::default() };
        let mut caps = Caps::new(&limits);
        let refuse = Admit::Refuse { retry_after_s: 1 };
        for (clients, handshakes, refusals, expect) in [
            (0, 0, 0, Admit::Yes),
            (2, 0, 0, Admit::Yes),
            (1, 1, 0, Admit::Yes),
            (2, 1, 0, refuse),
            (3, 0, 0, refuse),
            (0, 2, 0, refuse),
            (3, 0, 1, Admit::Reset),
        ] {
            assert_eq!(
                caps.decide(Load { clients, handshakes, refusals }),
                expect,
                "{clients} {handshakes} {refusals}"
            );
        }
    }
}
