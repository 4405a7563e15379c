//! Who may run next: the ready queue, and wakers that hold nothing but a task's number.
//!
//! A waker never holds a future, so that dropping the last waker drops nothing else, and a host can be killed at any instant. The queue
//! lives in a thread-local of its own: a wake-up borrows nothing but this.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::task::{Wake, Waker};

use wire::draw::Draws;

use crate::config::Order;

/// A task's place in the slab, and which of the place's tenants is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl TaskKey {
    /// Stands for "no task is running".
    pub(crate) const NONE: Self = Self { index: u32::MAX, generation: 0 };
}

thread_local! {
    static READY: RefCell<Ready> = const { RefCell::new(Ready::new()) };
    static CURRENT: Cell<TaskKey> = const { Cell::new(TaskKey::NONE) };
}

struct Ready {
    queue: Queue,
    slots: Vec<Slot>,
    /// Wakes the executor itself, for wake-ups that come from outside of its own poll: timers.
    root: Option<Waker>,
    inside: bool,
    /// The task that goes before all others, see [`put_first`], and whether it is ready.
    first: TaskKey,
    first_ready: bool,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    generation: u32,
    queued: bool,
    /// Where tasks have priorities.
    priority: u64,
}

/// One in so many turns changes the priority of the task whose turn it is.
const CHANGES_ONE_IN: u64 = 200;

/// Those that are ready, and who of them is next.
enum Queue {
    Fifo(VecDeque<TaskKey>),
    Shuffled {
        ready: VecDeque<TaskKey>,
        draws: Draws,
    },
    Prioritised {
        /// By priority, then by arrival.
        ready: BinaryHeap<(u64, Reverse<u64>, TaskKey)>,
        arrived: u64,
        /// Priorities below all that are drawn, each lower than the one before.
        lowest: u64,
        draws: Draws,
    },
}

/// Drawn priorities lie above it, those of tasks that fell behind below.
const DRAWN_MIN: u64 = 1 << 63;

impl Queue {
    fn new(order: Order, seed: u64) -> Self {
        match order {
            Order::Fifo => Self::Fifo(VecDeque::new()),
            Order::Shuffled(number) => {
                Self::Shuffled { ready: VecDeque::new(), draws: Draws::of_world(seed, "ready order", number) }
            }
            Order::Prioritised(number) => Self::Prioritised {
                ready: BinaryHeap::new(),
                arrived: 0,
                lowest: DRAWN_MIN,
                draws: Draws::of_world(seed, "ready order", number),
            },
        }
    }

    /// The priority of a new task.
    fn priority(&mut self) -> u64 {
        match self {
            Self::Fifo(_) | Self::Shuffled { .. } => 0,
            Self::Prioritised { draws, .. } => draws.below(DRAWN_MIN) + DRAWN_MIN,
        }
    }

    /// A task is ready. `priority` may fall: one that wakes itself lets all others go first, or they would never have a turn.
    fn push(&mut self, key: TaskKey, priority: &mut u64, wakes_itself: bool) {
        match self {
            Self::Fifo(ready) | Self::Shuffled { ready, .. } => ready.push_back(key),
            Self::Prioritised { ready, arrived, lowest, draws } => {
                if wakes_itself || draws.below(CHANGES_ONE_IN) == 0 {
                    *lowest -= 1;
                    *priority = *lowest;
                }
                *arrived += 1;
                ready.push((*priority, Reverse(*arrived), key));
            }
        }
    }

    fn pop(&mut self) -> Option<TaskKey> {
        match self {
            Self::Fifo(ready) => ready.pop_front(),
            Self::Shuffled { ready, draws } => {
                if ready.len() > 1 {
                    let chosen = usize::try_from(draws.below(ready.len() as u64)).unwrap_or(0);
                    ready.swap(0, chosen);
                }
                ready.pop_front()
            }
            Self::Prioritised { ready, .. } => ready.pop().map(|(_, _, key)| key),
        }
    }
}

impl Ready {
    const fn new() -> Self {
        Self {
            queue: Queue::Fifo(VecDeque::new()),
            slots: Vec::new(),
            root: None,
            inside: false,
            first: TaskKey::NONE,
            first_ready: false,
        }
    }

    fn push(&mut self, key: TaskKey) {
        if key == self.first {
            self.first_ready = true;
        } else if let Some(slot) = self.slots.get_mut(key.index as usize) {
            self.queue.push(key, &mut slot.priority, current() == key);
        }
        if !self.inside
            && let Some(root) = &self.root
        {
            root.wake_by_ref();
        }
    }
}

struct TaskWaker(TaskKey);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        wake(self.0);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        wake(self.0);
    }
}

/// The waker of a task.
pub(crate) fn waker(key: TaskKey) -> Waker {
    Waker::from(Arc::new(TaskWaker(key)))
}

/// Queues the task, unless it is queued already or gone. Called on a foreign thread it does nothing.
pub(crate) fn wake(key: TaskKey) {
    let _ = READY.try_with(|ready| {
        let mut ready = ready.borrow_mut();
        if let Some(slot) = ready.slots.get_mut(key.index as usize)
            && slot.generation == key.generation
            && !slot.queued
        {
            slot.queued = true;
            ready.push(key);
        }
    });
}

/// Begins a run: an empty queue.
pub(crate) fn start(order: Order, seed: u64) {
    READY.with(|ready| *ready.borrow_mut() = Ready { queue: Queue::new(order, seed), ..Ready::new() });
}

/// Says who is to be woken when a task becomes ready while the executor sleeps.
pub(crate) fn enter(root: &Waker) {
    READY.with(|ready| {
        let mut ready = ready.borrow_mut();
        ready.inside = true;
        if !ready.root.as_ref().is_some_and(|old| old.will_wake(root)) {
            ready.root = Some(root.clone());
        }
    });
}

/// The executor is about to sleep.
pub(crate) fn leave() {
    READY.with(|ready| ready.borrow_mut().inside = false);
}

/// Takes a place for a new task and queues it.
pub(crate) fn admit(index: u32) -> TaskKey {
    READY.with(|ready| {
        let mut ready = ready.borrow_mut();
        if ready.slots.len() <= index as usize {
            ready.slots.resize(index as usize + 1, Slot::default());
        }
        let priority = ready.queue.priority();
        let slot = &mut ready.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.queued = true;
        slot.priority = priority;
        let key = TaskKey { index, generation: slot.generation };
        ready.push(key);
        key
    })
}

/// The task is gone: its wakers do nothing from now on. A queued entry of it may remain; [`pop`] skips it.
pub(crate) fn retire(key: TaskKey) {
    let _ = READY.try_with(|ready| {
        let mut ready = ready.borrow_mut();
        if let Some(slot) = ready.slots.get_mut(key.index as usize)
            && slot.generation == key.generation
        {
            slot.generation = slot.generation.wrapping_add(1);
            slot.queued = false;
        }
    });
}

/// The next task to run.
pub(crate) fn pop() -> Option<TaskKey> {
    READY.with(|ready| {
        let mut ready = ready.borrow_mut();
        let ready = &mut *ready;
        loop {
            let key = if std::mem::take(&mut ready.first_ready) { ready.first } else { ready.queue.pop()? };
            let slot = &mut ready.slots[key.index as usize];
            if slot.generation == key.generation {
                slot.queued = false;
                return Some(key);
            }
        }
    })
}

/// From now on this task goes before all others whenever it is woken, in every order.
pub(crate) fn put_first(key: TaskKey) {
    READY.with(|ready| ready.borrow_mut().first = key);
}

/// The task that is being polled.
pub(crate) fn current() -> TaskKey {
    CURRENT.try_with(Cell::get).unwrap_or(TaskKey::NONE)
}

/// Sets the task that is being polled and gives the one before.
pub(crate) fn set_current(key: TaskKey) -> TaskKey {
    CURRENT.try_with(|current| current.replace(key)).unwrap_or(TaskKey::NONE)
}
