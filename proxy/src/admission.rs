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
    /// Open connections from the same address, handshakes included. An IPv6 /64 counts as one address.
    pub same_address: u64,
}

/// What to do with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Serve its handshake.
    Yes,
    /// Answer HTTP 503 (or 429, where the client's own address is the reason) with `Retry-After`, in seconds.
    Refuse {
        /// Why.
        why: Refusal,
        /// When to come again.
        retry_after_s: u32,
    },
    /// Reset it without a word: even refusing costs too much now.
    Reset,
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The proxy holds as many clients or handshakes as it may: HTTP 503.
    Full,
    /// The client's address holds as many connections as one may: HTTP 429.
    Address,
}

/// Decides about each new connection, before a byte of it is read.
pub trait Admission: Send {
    /// What to do with the next connection.
    fn decide(&mut self, load: Load) -> Admit;
}

/// Fixed caps on sessions (in all and for each address), handshakes and refusals.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    clients_max: u64,
    clients_per_ip_max: u64,
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
            clients_per_ip_max: limits.clients_per_ip_max,
            handshakes_max: limits.handshakes_max,
            refusals_max: limits.refusals_max,
            retry_after_s: limits.retry_after_s,
        }
    }
}

impl Admission for Caps {
    fn decide(&mut self, load: Load) -> Admit {
        let full = load.handshakes >= self.handshakes_max || load.clients + load.handshakes >= self.clients_max;
        let address_full = self.clients_per_ip_max > 0 && load.same_address >= self.clients_per_ip_max;
        let why = match (full, address_full) {
            (false, false) => return Admit::Yes,
            // The client's own doing is said first: it is what the client can change.
            (_, true) => Refusal::Address,
            (true, false) => Refusal::Full,
        };
        if load.refusals < self.refusals_max {
            Admit::Refuse { why, retry_after_s: self.retry_after_s }
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
        let refuse = Admit::Refuse { why: Refusal::Full, retry_after_s: 1 };
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
                caps.decide(Load { clients, handshakes, refusals, same_address: clients }),
                expect,
                "{clients} {handshakes} {refusals}"
            );
        }
    }

    #[test]
    fn an_address_at_its_cap_is_refused_for_itself_and_zero_is_no_cap() {
        let limits = Limits { clients_max: 3, clients_per_ip_max: 2, refusals_max: 1, ..Limits::default() };
        let mut caps = Caps::new(&limits);
        let refuse = |why| Admit::Refuse { why, retry_after_s: 1 };
        for (clients, same_address, refusals, expect) in [
            (1, 1, 0, Admit::Yes),
            (2, 0, 0, Admit::Yes),
            (2, 2, 0, refuse(Refusal::Address)),
            (3, 2, 0, refuse(Refusal::Address)),
            (3, 1, 0, refuse(Refusal::Full)),
            (2, 2, 1, Admit::Reset),
        ] {
            let load = Load { clients, same_address, refusals, handshakes: 0 };
            assert_eq!(caps.decide(load), expect, "{load:?}");
        }
        let mut open = Caps::new(&Limits { clients_per_ip_max: 0, ..limits });
        assert_eq!(open.decide(Load { clients: 2, same_address: 2, ..Load::default() }), Admit::Yes);
    }
}
