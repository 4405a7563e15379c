//! Wrong queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use proxy::{Config, Delivery, Dropped, Policies, Pressure, Pushed, Queue};
use wire::event::Why;
use wire::feed::Kind;
use wire::id::Symbol;
use wire::ws::Message;

/// What a wrong queue does otherwise than the right one.
trait Tamper: Send + 'static {
    fn push(
        &mut self,
        right: &mut dyn Queue,
        delivery: Arc<Delivery>,
        pressure: Pressure,
        dropped: &mut Vec<Dropped>,
    ) -> Pushed {
        right.push(delivery, pressure, dropped)
    }

    /// Whether messages are kept back now.
    fn holds(&self, _waiting: usize) -> bool {
        false
    }
}

struct Wrong<T> {
    right: Box<dyn Queue>,
    waiting: usize,
    tamper: T,
}

impl<T: Tamper> Queue for Wrong<T> {
    fn push(&mut self, delivery: Arc<Delivery>, pressure: Pressure, dropped: &mut Vec<Dropped>) -> Pushed {
        self.waiting += 1;
        self.tamper.push(self.right.as_mut(), delivery, pressure, dropped)
    }

    fn pop(&mut self) -> Option<Arc<Delivery>> {
        if self.tamper.holds(self.waiting) {
            return None;
        }
        let next = self.right.pop();
        if self.right.is_empty() {
            self.waiting = 0;
        }
        next
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&Delivery) -> bool) {
        self.right.retain(keep);
    }

    fn bytes(&self) -> usize {
        self.right.bytes()
    }

    fn is_empty(&self) -> bool {
        self.right.is_empty() || self.tamper.holds(self.waiting)
    }
}

fn plant<T: Tamper>(policies: &mut Policies, config: Config, make: impl Fn() -> T + Send + Sync + 'static) -> Config {
    let right = Arc::clone(&policies.queue);
    policies.queue = Arc::new(move |config| Box::new(Wrong { right: right(config), waiting: 0, tamper: make() }));
    config
}

#[derive(Default)]
struct Swaps {
    count: u64,
    held: Option<Arc<Delivery>>,
}

impl Tamper for Swaps {
    fn push(
        &mut self,
        right: &mut dyn Queue,
        delivery: Arc<Delivery>,
        pressure: Pressure,
        dropped: &mut Vec<Dropped>,
    ) -> Pushed {
        self.count += 1;
        if let Some(held) = self.held.take() {
            if held.symbol == delivery.symbol && held.epoch == delivery.epoch {
                right.push(delivery, pressure, dropped);
                return right.push(held, pressure, dropped);
            }
            self.held = Some(held);
        } else if self.count.is_multiple_of(100) {
            self.held = Some(delivery);
            return Pushed::Queued;
        }
        right.push(delivery, pressure, dropped)
    }
}

pub(super) fn swaps_neighbours(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Swaps::default)
}

/// Loses what comes from the proxy's memory, of one kind, every so many times, and says nothing.
struct Loses(Kind, u64, u64);

impl Tamper for Loses {
    fn push(
        &mut self,
        right: &mut dyn Queue,
        delivery: Arc<Delivery>,
        pressure: Pressure,
        dropped: &mut Vec<Dropped>,
    ) -> Pushed {
        if delivery.kind == self.0 {
            self.2 += 1;
            if self.2.is_multiple_of(self.1) {
                return Pushed::Queued;
            }
        }
        right.push(delivery, pressure, dropped)
    }
}

pub(super) fn loses_the_snapshot(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || Loses(Kind::Snapshot, 1, 0))
}

pub(super) fn replays_a_part(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || Loses(Kind::Replay, 2, 0))
}

/// Every so many messages of a client.
struct Every(u64, fn(&mut dyn Queue, Arc<Delivery>, Pressure, &mut Vec<Dropped>) -> Pushed, u64);

impl Tamper for Every {
    fn push(
        &mut self,
        right: &mut dyn Queue,
        delivery: Arc<Delivery>,
        pressure: Pressure,
        dropped: &mut Vec<Dropped>,
    ) -> Pushed {
        self.2 += 1;
        if self.2.is_multiple_of(self.0) {
            (self.1)(right, delivery, pressure, dropped)
        } else {
            right.push(delivery, pressure, dropped)
        }
    }
}

pub(super) fn repeats(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || {
        Every(
            200,
            |right, delivery, pressure, dropped| {
                right.push(Arc::clone(&delivery), pressure, dropped);
                right.push(delivery, pressure, dropped)
            },
            0,
        )
    })
}

pub(super) fn counts_what_nobody_gets(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || {
        Every(
            5,
            |right, delivery, pressure, dropped| {
                // A pong reaches the socket and is counted; no client sees a message.
                let stamp = (delivery.epoch, delivery.seq);
                let nothing = Delivery::new(delivery.symbol, stamp, Message::Pong(Default::default()));
                right.push(delivery, pressure, dropped);
                right.push(Arc::new(nothing), pressure, dropped)
            },
            0,
        )
    })
}

pub(super) fn skips(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || Every(200, |_, _, _, _| Pushed::Queued, 0))
}

pub(super) fn changes_a_digit(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || {
        Every(
            100,
            |right, delivery, pressure, dropped| {
                let text = delivery.message.to_text().unwrap_or_default();
                // The first digit after the bid's point.
                let changed = match text.find("\"bid\":1.") {
                    Some(at) => {
                        let at = at + "\"bid\":1.".len();
                        let digit = if text[at..].starts_with('7') { "8" } else { "7" };
                        format!("{}{digit}{}", &text[..at], &text[at + 1..])
                    }
                    None => text.to_owned(),
                };
                let wrong = Delivery::new(delivery.symbol, (delivery.epoch, delivery.seq), Message::text(changed));
                right.push(Arc::new(wrong), pressure, dropped)
            },
            0,
        )
    })
}

struct Company;

impl Tamper for Company {
    fn holds(&self, waiting: usize) -> bool {
        waiting < 40
    }
}

pub(super) fn waits_for_company(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || Company)
}

#[derive(Default)]
struct Closes {
    epoch: Option<u64>,
}

impl Tamper for Closes {
    fn push(
        &mut self,
        right: &mut dyn Queue,
        delivery: Arc<Delivery>,
        pressure: Pressure,
        dropped: &mut Vec<Dropped>,
    ) -> Pushed {
        if *self.epoch.get_or_insert(delivery.epoch) != delivery.epoch {
            return Pushed::Overflow;
        }
        right.push(delivery, pressure, dropped)
    }
}

pub(super) fn closes_at_failover(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Closes::default)
}

pub(super) fn without_bound(policies: &mut Policies, mut config: Config) -> Config {
    config.limits.queue_bytes_max = usize::MAX / 4;
    plant(policies, config, || {
        Every(u64::MAX, |right, delivery, pressure, dropped| right.push(delivery, pressure, dropped), 0)
    })
}

/// Queues that know of one another: how many of them are full.
struct Together {
    full: Arc<AtomicUsize>,
    is_full: bool,
    bound: usize,
}

impl Tamper for Together {
    fn push(
        &mut self,
        right: &mut dyn Queue,
        delivery: Arc<Delivery>,
        pressure: Pressure,
        dropped: &mut Vec<Dropped>,
    ) -> Pushed {
        let pushed = right.push(delivery, pressure, dropped);
        // More than half full with messages given out long ago: a slow client.
        let full = right.bytes() > self.bound / 2;
        if full != self.is_full {
            self.is_full = full;
            if full {
                self.full.fetch_add(1, Ordering::Relaxed);
            } else {
                self.full.fetch_sub(1, Ordering::Relaxed);
            }
        }
        pushed
    }

    fn holds(&self, waiting: usize) -> bool {
        !self.is_full && self.full.load(Ordering::Relaxed) > 0 && waiting < 20
    }
}

pub(super) fn slow_client_holds_all(policies: &mut Policies, config: Config) -> Config {
    let full = Arc::new(AtomicUsize::new(0));
    let bound = config.limits.queue_bytes_max;
    plant(policies, config, move || Together { full: Arc::clone(&full), is_full: false, bound })
}

#[derive(Default)]
struct Forgets {
    epoch: Option<u64>,
}

impl Tamper for Forgets {
    fn push(
        &mut self,
        right: &mut dyn Queue,
        delivery: Arc<Delivery>,
        pressure: Pressure,
        dropped: &mut Vec<Dropped>,
    ) -> Pushed {
        let first = *self.epoch.get_or_insert(delivery.epoch);
        if delivery.epoch != first && delivery.symbol == Symbol::numbered(0) {
            dropped.push(Dropped { delivery, why: Why::Overflow });
            return Pushed::Queued;
        }
        right.push(delivery, pressure, dropped)
    }
}

pub(super) fn forgets_a_symbol(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Forgets::default)
}

struct Panics(Arc<AtomicU64>);

impl Tamper for Panics {
    fn push(
        &mut self,
        right: &mut dyn Queue,
        delivery: Arc<Delivery>,
        pressure: Pressure,
        dropped: &mut Vec<Dropped>,
    ) -> Pushed {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < 10_000, "a planted panic");
        right.push(delivery, pressure, dropped)
    }
}

pub(super) fn panics(policies: &mut Policies, config: Config) -> Config {
    let count = Arc::new(AtomicU64::new(0));
    plant(policies, config, move || Panics(Arc::clone(&count)))
}
