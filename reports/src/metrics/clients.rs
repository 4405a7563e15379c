//! Each client's state and share.

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
    /// When it dialled last.
    dialled_us: u64,
    delivered: u64,
    latency: Steps,
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

    pub(super) fn dial(&mut self, at_us: u64, client: ClientId, session: SessionId) {
        let (was, connecting) = {
            let Some(entry) = self.get(client) else { return };
            entry.dialled = true;
            entry.dialled_us = at_us;
            entry.session = session;
            (std::mem::replace(&mut entry.state, State::Connecting), 1)
        };
        self.leave(was);
        self.connecting += connecting;
    }

    /// A session opened. Gives when its client dialled for it, if the record knows.
    pub(super) fn opened(&mut self, client: ClientId, session: SessionId, proxy: Option<usize>) -> Option<u64> {
        let entry = self.get(client)?;
        let dialled_us = (entry.session == session && entry.state == State::Connecting).then_some(entry.dialled_us);
        entry.dialled = true;
        entry.session = session;
        entry.proxy = proxy;
        let was = std::mem::replace(&mut entry.state, State::Open);
        self.leave(was);
        self.open += 1;
        dialled_us
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
        let latency_us_p50: Vec<Option<u64>> = took_part().map(|client| client.latency.median()).collect();
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
        self.latency.record(latency_us);
    }
}

/// Counts of values by steps of a sixteenth of an octave, for one figure a client. A histogram with a header of its own would be two cache lines more for each message.
#[derive(Default)]
struct Steps {
    /// As many as the greatest value needs.
    counts: Vec<u32>,
    max: u64,
}

/// Steps in an octave.
const STEPS: u64 = 16;

impl Steps {
    #[inline]
    fn record(&mut self, value: u64) {
        let step = step(value);
        if self.counts.len() <= step {
            self.counts.resize(step + 1, 0);
        }
        self.counts[step] = self.counts[step].saturating_add(1);
        self.max = self.max.max(value);
    }

    /// The greatest value of the step that the middle one is in, and none above the greatest at all. None without values.
    fn median(&self) -> Option<u64> {
        let total: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let mut left = total.div_ceil(2);
        let step = self.counts.iter().position(|count| {
            left = left.saturating_sub(u64::from(*count));
            left == 0
        });
        step.filter(|_| total > 0).map(|step| greatest(step).min(self.max))
    }
}

/// The step of a value: each value below 32 has its own.
fn step(value: u64) -> usize {
    let octave = (value | STEPS).ilog2() - STEPS.ilog2();
    usize::try_from(u64::from(octave) * STEPS + (value >> octave)).unwrap_or(usize::MAX)
}

/// The greatest value of a step.
fn greatest(step: usize) -> u64 {
    let octave = (step as u64 / STEPS).saturating_sub(1);
    let within = step as u64 - octave * STEPS;
    (within << octave) + ((1 << octave) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_step_ends_at_its_greatest_value(value in proptest::prop_oneof![0_u64..1 << 40, proptest::prelude::any::<u64>()]) {
            let last = greatest(step(value));
            proptest::prop_assert!(last >= value && (last - value) <= value / STEPS);
            proptest::prop_assert_eq!(step(last), step(value));
            proptest::prop_assert!(last == u64::MAX || step(last + 1) == step(value) + 1);
        }

        #[test]
        fn the_median_is_the_middle_value_to_a_sixteenth(values in proptest::collection::vec(0_u64..1 << 34, 1..200)) {
            let mut steps = Steps::default();
            for value in &values {
                steps.record(*value);
            }
            let mut sorted = values;
            sorted.sort_unstable();
            let middle = sorted[(sorted.len() - 1) / 2];
            let median = steps.median().unwrap();
            proptest::prop_assert!(median >= middle && (median - middle) * STEPS <= middle, "{median} for {middle}");
            proptest::prop_assert!(median <= sorted[sorted.len() - 1]);
        }
    }

    #[test]
    fn without_values_there_is_no_median() {
        assert_eq!(Steps::default().median(), None);
    }
}
