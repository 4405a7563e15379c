//! The lame duck: how a proxy leaves without hurting anyone.
//!
//! ```text
//!   asked --- drain_tell ---> shut --- drain_grace ---> leaving --- drain_time ---> empty
//!   /readyz says 503,         nobody is let in          client k of n leaves
//!   clients still come in                               at k/n of the time
//!   '------------------- drain_deadline: whoever is still here is cut -------------------'
//! ```
//!
//! Who leaves when is a permutation drawn once (Durstenfeld 1964): n clients, n slots, evenly spaced, so that those who come again elsewhere arrive at a steady
//! rate. Each is given what waits for it before its Close frame.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::draw::Draws;
use wire::event::Event;
use wire::net::Network;

use crate::context::Context;
use crate::lock::lock;

/// How far a drain has come, and who leaves when.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    asked: CancellationToken,
    shut: CancellationToken,
    leaving: CancellationToken,
    cut: CancellationToken,
    slots: Mutex<Slots>,
}

impl Drain {
    /// Begins it. False if it had begun.
    pub(crate) fn ask(&self) -> bool {
        let first = !self.asked.is_cancelled();
        self.asked.cancel();
        first
    }

    /// Whether it was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Waits until nobody is let in any more.
    pub(crate) async fn shut(&self) {
        self.shut.cancelled().await;
    }

    /// Whether nobody is let in any more.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.is_cancelled()
    }

    /// Waits for the deadline, after which nothing is waited for.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Waits for the drain, and in it for the slot of the one who waits. `late` draws for who comes after the slots were given away, by its number.
    pub(crate) async fn turn(&self, late: impl FnOnce(u64) -> Draws) {
        let place = Place { slots: &self.slots, number: lock(&self.slots).enter(Instant::now(), late) };
        self.leaving.cancelled().await;
        let at = lock(&self.slots).at(place.number);
        if let Some(at) = at {
            tokio::time::sleep_until(at).await;
        }
    }
}

/// A waiting client; given up when dropped.
struct Place<'d> {
    slots: &'d Mutex<Slots>,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(self.slots).here.remove(&self.number);
    }
}

/// Who leaves when. Pure.
#[derive(Debug, Default)]
struct Slots {
    next: u64,
    /// Everyone here, and the instant at which it leaves once that is drawn.
    here: BTreeMap<u64, Option<Instant>>,
    /// The end of the drain time, once it has begun.
    end: Option<Instant>,
}

impl Slots {
    fn enter(&mut self, now: Instant, late: impl FnOnce(u64) -> Draws) -> u64 {
        let number = self.next;
        self.next += 1;
        let at = self.end.map(|end| now + late(number).jitter(end.saturating_duration_since(now)));
        self.here.insert(number, at);
        number
    }

    /// Gives each of the n who are here one of n slots, the first at once, evenly spaced over `time`.
    fn draw(&mut self, now: Instant, time: Duration, mut draws: Draws) {
        self.end = Some(now + time);
        let count = self.here.len() as u64;
        let mut order: Vec<u64> = (0..count).collect();
        for last in (1..order.len()).rev() {
            let other = draws.below(last as u64 + 1) as usize;
            order.swap(last, other);
        }
        for (at, slot) in self.here.values_mut().zip(order) {
            let nanos = time.as_nanos() * u128::from(slot) / u128::from(count);
            *at = Some(now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        }
    }

    fn at(&self, number: u64) -> Option<Instant> {
        self.here.get(&number).copied().flatten()
    }
}

/// Waits for a drain to be asked for and carries it out: returns when nobody is left, or at the deadline.
pub(crate) async fn conduct<N: Network>(context: &Context<N>) {
    let drain = &context.drain;
    drain.asked.cancelled().await;
    let config = context.config();
    let clients = context.meter.clients.get();
    context.observer.record(|| Event::ProxyDrainStart { proxy: context.id });
    tracing::info!(
        clients, tell = ?config.drain_tell, grace = ?config.drain_grace, time = ?config.drain_time,
        deadline = ?config.drain_deadline, "draining: clients leave one after the other; a second signal stops at once"
    );
    let orderly = async {
        tokio::time::sleep(config.drain_tell).await;
        drain.shut.cancel();
        tokio::time::timeout(config.drain_grace, emptied(context)).await.ok();
        lock(&drain.slots).draw(Instant::now(), config.drain_time, context.net.draws("drain", 0));
        drain.leaving.cancel();
        emptied(context).await;
    };
    let mut left = 0;
    if tokio::time::timeout(config.drain_deadline, orderly).await.is_err() {
        let clients = context.meter.clients.get();
        left = clients;
        tracing::warn!(clients, deadline = ?config.drain_deadline, "the drain did not end in time: cutting who is left");
        drain.cut.cancel();
    }
    context.observer.record(|| Event::ProxyDrainStop { proxy: context.id, left });
}

/// Waits until no client is left and no handshake is under way.
pub(crate) async fn emptied<N: Network>(context: &Context<N>) {
    while context.meter.clients.get() + context.meter.handshakes.get() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(seed: u64) -> Draws {
        Draws::new(seed, "drain", 0)
    }

    /// The slots of `count` clients in their order of arrival, in microseconds.
    fn slots(count: u64, seed: u64) -> Vec<u128> {
        let now = Instant::now();
        let mut slots = Slots::default();
        let numbers: Vec<u64> = (0..count).map(|_| slots.enter(now, |_| unreachable!("nobody is late"))).collect();
        slots.draw(now, Duration::from_secs(10), draws(seed));
        numbers.iter().map(|number| (slots.at(*number).unwrap() - now).as_micros()).collect()
    }

    #[test]
    fn everyone_has_a_slot_of_its_own_and_they_are_evenly_spaced() {
        for count in [1, 2, 3, 7, 1000] {
            let mut at = slots(count, 5);
            at.sort_unstable();
            let even: Vec<u128> = (0..u128::from(count)).map(|k| 10_000_000 * k / u128::from(count)).collect();
            assert_eq!(at, even);
        }
    }

    #[test]
    fn the_order_is_drawn_and_favours_no_age() {
        let at = slots(1000, 5);
        assert_eq!(at, slots(1000, 5), "by the seed alone");
        assert_ne!(at, slots(1000, 6));
        // Spearman's rank correlation between age and slot: its deviation is 1/sqrt(n - 1), 0.032 here.
        let mean = at.iter().sum::<u128>() as f64 / 1000.0;
        let covariance: f64 =
            at.iter().enumerate().map(|(age, at)| (age as f64 - 499.5) * (*at as f64 - mean) / 10_000.0).sum();
        let correlation = covariance / (1000.0 * (1_000_000.0 - 1.0) / 12.0);
        assert!(correlation.abs() < 0.1, "{correlation}");
    }

    #[test]
    fn who_left_before_holds_no_slot_and_who_comes_late_leaves_within_the_time() {
        let now = Instant::now();
        let mut slots = Slots::default();
        let [gone, stays] = [(); 2].map(|()| slots.enter(now, |_| draws(1)));
        slots.here.remove(&gone);
        slots.draw(now, Duration::from_secs(10), draws(1));
        assert_eq!((slots.at(gone), slots.at(stays)), (None, Some(now)));
        let later = now + Duration::from_secs(9);
        for seed in 0..100 {
            let late = slots.enter(later, |_| draws(seed));
            assert!((later..now + Duration::from_secs(10)).contains(&slots.at(late).unwrap()));
        }
        let too_late = now + Duration::from_secs(11);
        let last = slots.enter(too_late, |_| draws(1));
        assert_eq!(slots.at(last), Some(too_late));
    }
}
