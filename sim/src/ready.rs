//! Who may run next: the ready queue, and wakers that hold nothing but a task's number.
//!
//! A waker never holds a future, so that dropping the last waker drops nothing else, and a host can be killed at any instant. The queue
//! lives in a thread-local of its own: a wake-up borrows nothing but this.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};

use wire::draw::Draws;

/// A task's place in the slab, and which of the place's tenants is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    queue: VecDeque<TaskKey>,
    slots: Vec<Slot>,
    shuffle: Option<Draws>,
    /// Wakes the executor itself, for wake-ups that come from outside of its own poll: timers.
    root: Option<Waker>,
    inside: bool,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    generation: u32,
    queued: bool,
}

impl Ready {
    const fn new() -> Self {
        Self { queue: VecDeque::new(), slots: Vec::new(), shuffle: None, root: None, inside: false }
    }

    fn push(&mut self, key: TaskKey) {
        self.queue.push_back(key);
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
pub(crate) fn start(shuffle: Option<Draws>) {
    READY.with(|ready| *ready.borrow_mut() = Ready { shuffle, ..Ready::new() });
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
        let slot = &mut ready.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.queued = true;
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
            if let Some(draws) = &mut ready.shuffle
                && ready.queue.len() > 1
            {
                let chosen = draws.below(ready.queue.len() as u64) as usize;
                ready.queue.swap(0, chosen);
            }
            let key = ready.queue.pop_front()?;
            let slot = &mut ready.slots[key.index as usize];
            if slot.generation == key.generation {
                slot.queued = false;
                return Some(key);
            }
        }
    })
}

/// The task that is being polled.
pub(crate) fn current() -> TaskKey {
    CURRENT.try_with(Cell::get).unwrap_or(TaskKey::NONE)
}

/// Sets the task that is being polled and gives the one before.
pub(crate) fn set_current(key: TaskKey) -> TaskKey {
    CURRENT.try_with(|current| current.replace(key)).unwrap_or(TaskKey::NONE)
}
