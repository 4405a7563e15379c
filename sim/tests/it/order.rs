//! Orders of the tasks that are ready at one instant: races that one order never shows, and others do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use sim::{Order, SimConfig};
use tokio::sync::Notify;
use wire::net::Network;

/// How many of these seeds show a race. `race` sets its argument where it was lost.
fn found(orders: impl Fn(u64) -> Order, race: fn(&mut sim::Setup, Arc<AtomicBool>)) -> usize {
    let shows = |seed| {
        let lost = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&lost);
        let config = SimConfig { order: orders(seed), ..SimConfig::seeded(seed) };
        sim::run(config, move |world| race(world, seen)).expect("the programs end");
        lost.load(Relaxed)
    };
    (1..=200).filter(|seed| shows(*seed)).count()
}

/// Two timers end at one instant. The first task to be started writes; the second trusts that it has.
fn reader_trusts_writer(world: &mut sim::Setup, lost: Arc<AtomicBool>) {
    world.foreground("host", move |net| {
        let lost = Arc::clone(&lost);
        async move {
            let written = Arc::new(AtomicBool::new(false));
            let writes = Arc::clone(&written);
            let writer = net.spawn("writer", async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                writes.store(true, Relaxed);
            });
            let reader = net.spawn("reader", async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                lost.store(!written.load(Relaxed), Relaxed);
            });
            let _ = writer.await;
            let _ = reader.await;
        }
    });
}

/// A message passes through a row of tasks within one instant, and overtakes only who does not run for all that time.
fn one_task_is_held_back_for_long(world: &mut sim::Setup, lost: Arc<AtomicBool>) {
    const ROW: usize = 16;
    world.foreground("host", move |net| {
        let lost = Arc::clone(&lost);
        async move {
            let row: Arc<Vec<Notify>> = Arc::new((0..=ROW).map(|_| Notify::new()).collect());
            let early = Arc::new(AtomicU32::new(0));
            let mut tasks = Vec::new();
            for place in 0..ROW {
                let row = Arc::clone(&row);
                tasks.push(net.spawn("hop", async move {
                    row[place].notified().await;
                    row[place + 1].notify_one();
                }));
            }
            let looks = Arc::clone(&early);
            tasks.push(net.spawn("start", {
                let row = Arc::clone(&row);
                async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    row[0].notify_one();
                }
            }));
            tasks.push(net.spawn("early", async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                looks.store(1, Relaxed);
            }));
            tasks.push(net.spawn("late", async move {
                row[ROW].notified().await;
                lost.store(early.load(Relaxed) == 0, Relaxed);
            }));
            for task in tasks {
                let _ = task.await;
            }
        }
    });
}

/// A script answers to what one of many does, all at one instant. Lost if another of them moves in between.
fn script_answers<const FIRST: bool>(world: &mut sim::Setup, lost: Arc<AtomicBool>) {
    let control = world.control();
    let called = Arc::new(Notify::new());
    let open = Arc::new(AtomicBool::new(false));
    for number in 0..5 {
        let (called, open, lost) = (Arc::clone(&called), Arc::clone(&open), Arc::clone(&lost));
        world.host(&format!("actor-{number}"), move |_net| {
            let (called, open, lost) = (Arc::clone(&called), Arc::clone(&open), Arc::clone(&lost));
            async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if open.load(Relaxed) {
                    lost.store(true, Relaxed);
                }
                if number == 2 {
                    open.store(true, Relaxed);
                    called.notify_one();
                }
            }
        });
    }
    world.foreground("script", move |_net| {
        let (called, open) = (Arc::clone(&called), Arc::clone(&open));
        async move {
            if FIRST {
                control.go_first();
            }
            called.notified().await;
            open.store(false, Relaxed);
        }
    });
}

#[test]
fn who_goes_first_has_its_turn_before_all_others_in_every_order() {
    let orders = [|_| Order::Fifo, Order::Shuffled as fn(u64) -> Order, Order::Prioritised];
    for order in orders {
        assert_eq!(found(order, script_answers::<true>), 0, "{:?}", order(1));
        // Others are ready, too, and would have come before.
        assert!(found(order, script_answers::<false>) > 50, "{:?}", order(1));
    }
}

#[test]
fn a_race_that_first_come_first_served_never_shows_is_found_by_either_way_of_drawing() {
    assert_eq!(found(|_| Order::Fifo, reader_trusts_writer), 0);
    for orders in [Order::Shuffled as fn(u64) -> Order, Order::Prioritised] {
        let found = found(orders, reader_trusts_writer);
        assert!((50..=150).contains(&found), "about half of 200 seeds, not {found}");
    }
}

#[test]
fn priorities_hold_a_task_back_for_longer_than_shuffling_does() {
    assert_eq!(found(|_| Order::Fifo, one_task_is_held_back_for_long), 0);
    // One of two is chosen sixteen times in turn: once in 65,536 seeds.
    assert_eq!(found(Order::Shuffled, one_task_is_held_back_for_long), 0);
    // One is the lowest of some seventeen priorities: about twelve of 200 seeds.
    let found = found(Order::Prioritised, one_task_is_held_back_for_long);
    assert!((4..=40).contains(&found), "{found}");
}

#[test]
fn a_task_that_gives_way_to_itself_holds_nobody_up() {
    for order in (0..20).map(Order::numbered) {
        let config = SimConfig { order, ..SimConfig::seeded(1) };
        sim::run(config, |world| {
            world.foreground("host", |net| async move {
                let done = Arc::new(AtomicBool::new(false));
                let until = Arc::clone(&done);
                let waits = net.spawn("waits", async move {
                    while !until.load(Relaxed) {
                        // Wakes itself at once, as a future does that only wants another turn.
                        let mut polled = false;
                        std::future::poll_fn(|cx| {
                            if std::mem::replace(&mut polled, true) {
                                return std::task::Poll::Ready(());
                            }
                            cx.waker().wake_by_ref();
                            std::task::Poll::Pending
                        })
                        .await;
                    }
                });
                let ends = net.spawn("ends", async move { done.store(true, Relaxed) });
                let _ = (waits.await, ends.await);
            });
        })
        .unwrap_or_else(|failure| panic!("{order:?}: {failure}"));
    }
}
