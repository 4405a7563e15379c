//! Wrong queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use proxy::{Config, Delivery, Dropped, Policies, Pressure, Pushed, Queue};
use wire::event::Why;
use wire::feed::Kind;
use wire::id::Symbol;
use wire::tick::{Schedule, Tick};
use wire::ws::Message;

/// What comes to a queue, and the right queue that it should go to.
pub(super) struct Coming<'q> {
    right: &'q mut dyn Queue,
    delivery: Arc<Delivery>,
    pressure: Pressure,
    dropped: &'q mut Vec<Dropped>,
}

impl Coming<'_> {
    /// Does what is right with it.
    pub(super) fn pass(self) -> Pushed {
        self.right.push(self.delivery, self.pressure, self.dropped)
    }

    /// The message.
    pub(super) fn delivery(&self) -> Arc<Delivery> {
        Arc::clone(&self.delivery)
    }

    /// Whether the client takes nothing now.
    pub(super) fn blocked(&self) -> bool {
        self.pressure.blocked
    }

    /// Does with another message what is right.
    pub(super) fn push(&mut self, delivery: Arc<Delivery>) -> Pushed {
        self.right.push(delivery, self.pressure, self.dropped)
    }
}

/// What a wrong queue does otherwise than the right one.
pub(super) trait Tamper: Send + 'static {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        coming.pass()
    }

    /// Whether messages are kept back now.
    fn holds(&self, _waiting: usize) -> bool {
        false
    }

    /// Whether the client is read, where something waits or does not.
    fn lets_read(&self, _waiting: bool) -> bool {
        true
    }

    /// Bytes that are counted, though nothing holds them.
    fn phantom_bytes(&self) -> usize {
        0
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
        self.tamper.push(Coming { right: self.right.as_mut(), delivery, pressure, dropped })
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
        self.right.bytes() + self.tamper.phantom_bytes()
    }

    fn lets_read(&self) -> bool {
        self.tamper.lets_read(!self.right.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.right.is_empty() || self.tamper.holds(self.waiting)
    }
}

/// A queue with something wrong.
pub(super) fn wrong(right: Box<dyn Queue>, tamper: impl Tamper) -> Box<dyn Queue> {
    Box::new(Wrong { right, waiting: 0, tamper })
}

pub(super) fn plant<T: Tamper>(
    policies: &mut Policies,
    config: Config,
    make: impl Fn() -> T + Send + Sync + 'static,
) -> Config {
    let right = Arc::clone(&policies.queue);
    policies.queue = Arc::new(move |config| wrong(right(config), make()));
    config
}

#[derive(Default)]
struct Swaps {
    count: u64,
    held: Option<Arc<Delivery>>,
}

impl Tamper for Swaps {
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        self.count += 1;
        if let Some(held) = self.held.take() {
            if held.symbol == coming.delivery.symbol && held.epoch == coming.delivery.epoch {
                let newer = Arc::clone(&coming.delivery);
                coming.push(newer);
                return coming.push(held);
            }
            self.held = Some(held);
        } else if self.count.is_multiple_of(100) {
            self.held = Some(coming.delivery);
            return Pushed::Queued;
        }
        coming.pass()
    }
}

pub(super) fn swaps_neighbours(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Swaps::default)
}

/// Keeps the newest message of each symbol back by one, and lets it out when its epoch is over.
#[derive(Default)]
struct Lingers {
    held: std::collections::BTreeMap<Symbol, Arc<Delivery>>,
}

impl Tamper for Lingers {
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        let delivery = Arc::clone(&coming.delivery);
        match self.held.insert(delivery.symbol, Arc::clone(&delivery)) {
            // The new leg's first, and then what was left of the old one.
            Some(held) if held.epoch != delivery.epoch => {
                self.held.remove(&delivery.symbol);
                coming.push(delivery);
                coming.push(held)
            }
            Some(held) => coming.push(held),
            None => Pushed::Queued,
        }
    }
}

pub(super) fn lets_the_old_leg_through(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Lingers::default)
}

/// Loses what comes from the proxy's memory, of one kind, every so many times, and says nothing.
struct Loses(Kind, u64, u64);

impl Tamper for Loses {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        if coming.delivery.kind == self.0 {
            self.2 += 1;
            if self.2.is_multiple_of(self.1) {
                return Pushed::Queued;
            }
        }
        coming.pass()
    }
}

pub(super) fn loses_the_snapshot(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || Loses(Kind::Snapshot, 1, 0))
}

pub(super) fn replays_a_part(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || Loses(Kind::Replay, 2, 0))
}

/// Hands a symbol's snapshot out once more, as live, if the leg changed before the first live message.
#[derive(Default)]
struct ShowsAgain {
    snapshots: std::collections::BTreeMap<Symbol, Arc<Delivery>>,
}

impl Tamper for ShowsAgain {
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        let Delivery { symbol, epoch, kind, .. } = *coming.delivery;
        if kind == Kind::Snapshot {
            self.snapshots.insert(symbol, Arc::clone(&coming.delivery));
        } else if let Some(shown) = self.snapshots.remove(&symbol).filter(|shown| shown.epoch != epoch) {
            coming.push(Arc::new(shown.again(Kind::Live)));
        }
        coming.pass()
    }
}

pub(super) fn repeats_the_snapshot_after_a_failover(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, ShowsAgain::default)
}

/// Every so many messages of a client.
struct Every(u64, fn(Coming<'_>) -> Pushed, u64);

impl Tamper for Every {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        self.2 += 1;
        if self.2.is_multiple_of(self.0) { (self.1)(coming) } else { coming.pass() }
    }
}

pub(super) fn repeats(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || {
        Every(
            200,
            |mut coming| {
                let once = Arc::clone(&coming.delivery);
                coming.push(once);
                coming.pass()
            },
            0,
        )
    })
}

pub(super) fn counts_what_nobody_gets(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || {
        Every(
            5,
            |mut coming| {
                // A pong reaches the socket and is counted; no client sees a message.
                let right = Arc::clone(&coming.delivery);
                let nothing = Delivery::new(right.symbol, (right.epoch, right.seq), Message::Pong(Default::default()));
                coming.push(right);
                coming.push(Arc::new(nothing))
            },
            0,
        )
    })
}

pub(super) fn skips(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || Every(200, |_| Pushed::Queued, 0))
}

pub(super) fn changes_a_digit(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || {
        Every(
            100,
            |mut coming| {
                let delivery = Arc::clone(&coming.delivery);
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
                coming.push(Arc::new(wrong))
            },
            0,
        )
    })
}

/// A good tick that no source has sent yet: that of a later time.
fn never_sent(text: &str) -> Option<String> {
    let tick = Tick::decode(text)?;
    // The seed is among the small numbers that runs are started with.
    let seed = (0..10_000).find(|seed| Tick::verify(text, *seed))?;
    let schedule = Schedule::every(Duration::from_millis(100)).ok()?;
    Some(Tick { n: tick.n + 1_000, ..tick }.encode(seed, schedule))
}

pub(super) fn invents_a_tick(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || {
        Every(
            200,
            |mut coming| {
                let delivery = Arc::clone(&coming.delivery);
                let Some(text) = delivery.message.to_text().ok().and_then(never_sent) else { return coming.pass() };
                let wrong = Delivery::new(delivery.symbol, (delivery.epoch, delivery.seq), Message::text(text));
                coming.push(Arc::new(wrong))
            },
            0,
        )
    })
}

/// Some clients, to whom one round in twenty comes with the next.
struct Last {
    is_last: bool,
    pushed: u64,
}

impl Tamper for Last {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        self.pushed += 1;
        coming.pass()
    }

    fn holds(&self, _waiting: usize) -> bool {
        // Ten symbols are a round.
        self.is_last && (1..=10).contains(&(self.pushed % 200))
    }
}

pub(super) fn serves_some_last(policies: &mut Policies, config: Config) -> Config {
    let clients = AtomicUsize::new(0);
    let is_last = move || clients.fetch_add(1, Ordering::Relaxed).is_multiple_of(10);
    plant(policies, config, move || Last { is_last: is_last(), pushed: 0 })
}

#[derive(Default)]
struct Starves {
    was_behind: bool,
    count: u64,
}

impl Tamper for Starves {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        self.was_behind |= coming.pressure.blocked;
        if self.was_behind && coming.delivery.symbol == Symbol::numbered(0) {
            self.count += 1;
            if !self.count.is_multiple_of(10) {
                coming.dropped.push(Dropped { delivery: coming.delivery, why: Why::Conflated });
                return Pushed::Queued;
            }
        }
        coming.pass()
    }
}

/// Makes rare symbols wait for every fourth message of the hot one.
#[derive(Default)]
struct HotFirst {
    hot: u64,
    waiting: Vec<Arc<Delivery>>,
}

impl Tamper for HotFirst {
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        let delivery = coming.delivery();
        if delivery.symbol != Symbol::numbered(0) {
            self.waiting.push(delivery);
            return Pushed::Queued;
        }
        self.hot += 1;
        let pushed = coming.push(delivery);
        if self.hot.is_multiple_of(4) {
            for late in self.waiting.drain(..) {
                coming.push(late);
            }
        }
        pushed
    }
}

pub(super) fn serves_the_hot_first(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, HotFirst::default)
}

pub(super) fn starves_a_symbol(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Starves::default)
}

#[derive(Default)]
struct NeverFrees(usize);

impl Tamper for NeverFrees {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        self.0 += 1;
        coming.pass()
    }

    fn phantom_bytes(&self) -> usize {
        self.0 / 100
    }
}

pub(super) fn never_frees(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, NeverFrees::default)
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
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        if *self.epoch.get_or_insert(coming.delivery.epoch) != coming.delivery.epoch {
            return Pushed::Overflow;
        }
        coming.pass()
    }
}

pub(super) fn closes_at_failover(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Closes::default)
}

pub(super) fn without_bound(_: &mut Policies, mut config: Config) -> Config {
    config.limits.queue_bytes_max = usize::MAX / 4;
    config
}

/// Queues that know of one another: how many of them are full.
struct Together {
    full: Arc<AtomicUsize>,
    is_full: bool,
    bound: usize,
}

impl Tamper for Together {
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        let delivery = Arc::clone(&coming.delivery);
        let pushed = coming.push(delivery);
        // More than half full with messages given out long ago: a slow client.
        let full = coming.right.bytes() > self.bound / 2;
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
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        let Coming { delivery, dropped, .. } = &mut coming;
        let first = *self.epoch.get_or_insert(delivery.epoch);
        if delivery.epoch != first && delivery.symbol == Symbol::numbered(0) {
            dropped.push(Dropped { delivery: Arc::clone(delivery), why: Why::Overflow });
            return Pushed::Queued;
        }
        coming.pass()
    }
}

pub(super) fn forgets_a_symbol(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Forgets::default)
}

struct Panics(Arc<AtomicU64>);

impl Tamper for Panics {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < 10_000, "a planted panic");
        coming.pass()
    }
}

pub(super) fn panics(policies: &mut Policies, config: Config) -> Config {
    let count = Arc::new(AtomicU64::new(0));
    plant(policies, config, move || Panics(Arc::clone(&count)))
}
