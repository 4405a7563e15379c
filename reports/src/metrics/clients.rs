//! Each client's state and share.

use hdrhistogram::Histogram;
use wire::id::{ClientId, SessionId};

use super::Fairness;
use super::fairness::jain;

/// Clients told apart; what further ones do is counted, but they have no place in the fairness figures.
pub(super) const CLIENTS_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Away,
    Connecting,
    Open,
}

/// All clients, by number.
#[derive(Default)]
pub(super) struct Clients {
    list: Vec<Client>,
    pub(super) connecting: u64,
    pub(super) open: u64,
    pub(super) refused: u64,
    pub(super) closed: u64,
}

#[derive(Default)]
pub(super) struct Client {
    state: State,
    session: SessionId,
    dialled: bool,
    delivered: u64,
    latency: Option<Box<Histogram<u32>>>,
    /// The proxy that serves it, where that is known.
    pub(super) proxy: Option<usize>,
    /// When something last reached it.
    pub(super) heard_us: Option<u64>,
    /// The incident (relay) that its next delivery heals.
    pub(super) waits: Option<u32>,
}

impl Clients {
    pub(super) fn with_capacity(clients: usize) -> Self {
        Self { list: Vec::with_capacity(clients.min(CLIENTS_MAX)), ..Self::default() }
    }

    /// The client's place, made if need be.
    #[inline]
    pub(super) fn get(&mut self, client: ClientId) -> Option<&mut Client> {
        let index = client.index();
        if index >= self.list.len() {
            if index >= CLIENTS_MAX {
                return None;
            }
            self.list.resize_with(index + 1, Client::default);
        }
        self.list.get_mut(index)
    }

    pub(super) fn dial(&mut self, client: ClientId, session: SessionId) {
        let (was, connecting) = {
            let Some(entry) = self.get(client) else { return };
            entry.dialled = true;
            entry.session = session;
            (std::mem::replace(&mut entry.state, State::Connecting), 1)
        };
        self.leave(was);
        self.connecting += connecting;
    }

    pub(super) fn opened(&mut self, client: ClientId, session: SessionId, proxy: Option<usize>) {
        let Some(entry) = self.get(client) else { return };
        entry.dialled = true;
        entry.session = session;
        entry.proxy = proxy;
        let was = std::mem::replace(&mut entry.state, State::Open);
        self.leave(was);
        self.open += 1;
    }

    pub(super) fn refused(&mut self, client: ClientId, session: SessionId) {
        self.refused += 1;
        let Some(entry) = self.get(client) else { return };
        if entry.session == session && entry.state == State::Connecting {
            entry.state = State::Away;
            self.connecting -= 1;
        }
    }

    pub(super) fn closed(&mut self, client: ClientId, session: SessionId) {
        let Some(entry) = self.get(client) else { return };
        if entry.session == session {
            let was = std::mem::replace(&mut entry.state, State::Away);
            if was == State::Away {
                return;
            }
            if was == State::Connecting {
                self.closed += 1;
            }
            self.leave(was);
        }
    }

    /// A client leaves a state, be it that nobody said so: a new dial ends the old session.
    fn leave(&mut self, was: State) {
        match was {
            State::Away => {}
            State::Connecting => self.connecting -= 1,
            State::Open => {
                self.open -= 1;
                self.closed += 1;
            }
        }
    }

    pub(super) fn fairness(&self) -> Fairness {
        let took_part = || self.list.iter().filter(|client| client.dialled);
        let delivered: Vec<u64> = took_part().map(|client| client.delivered).collect();
        let latency_us_p50: Vec<Option<u64>> = took_part()
            .map(|client| client.latency.as_ref().map(|latency| latency.value_at_quantile(0.5).min(latency.max())))
            .collect();
        Fairness {
            delivered_jain: jain(delivered.iter().map(|count| *count as f64)),
            latency_jain: jain(latency_us_p50.iter().flatten().map(|latency| *latency as f64)),
            delivered,
            latency_us_p50,
            ..Fairness::default()
        }
    }
}

impl Client {
    /// Something reached it. Tells when something last did before.
    #[inline]
    pub(super) fn heard(&mut self, at_us: u64) -> Option<u64> {
        self.delivered += 1;
        self.heard_us.replace(at_us)
    }

    #[inline]
    pub(super) fn latency(&mut self, latency_us: u64) {
        self.latency
            .get_or_insert_with(|| {
                // One digit: 16 steps an octave, under 2 KiB a client.
                let bounds = Histogram::new_with_bounds(1, 3_600_000_000, 1);
                Box::new(bounds.expect("bounds are constants in range"))
            })
            .saturating_record(latency_us);
    }
}
