//! The pool as its callers see it.

mod health;

use proptest::prelude::*;

use super::*;
use crate::config::Mode;

const A: SourceId = SourceId(0);
const B: SourceId = SourceId(1);

fn pool(n: u64) -> Pool {
    pool_of(n, |_| {})
}

fn pool_of(n: u64, adjust: impl FnOnce(&mut Config)) -> Pool {
    let mut config = config((0..n).map(|i| format!("ws://{i}:1")));
    config.health.fall = 1;
    adjust(&mut config);
    Pool::new(&config, &Policies::default(), |purpose, entity| Draws::new(1, purpose, entity))
}

fn config<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> Config {
    Config::new(([127, 0, 0, 1], 0).into(), Mode::Relay, urls)
}

fn wait(pick: Pick) -> Instant {
    match pick {
        Pick::Wait(until) => until,
        Pick::Dial(source) => panic!("{source} was picked"),
    }
}

#[test]
fn after_a_failure_another_instance_is_tried_at_once() {
    let now = Instant::now();
    let mut pool = pool(2);
    assert_eq!(pool.pick(now), Pick::Dial(A));
    assert!(pool.closed(A, now, None, Ending::Fault), "it was healthy");
    assert_eq!(pool.pick(now), Pick::Dial(B));
    assert!(pool.closed(B, now, None, Ending::Fault));
    let until = wait(pool.pick(now));
    assert!(until > now && until <= now + Duration::from_millis(100));
    assert!(!pool.any_healthy());
}

#[test]
fn a_resting_instance_is_probed_by_one_at_a_time() {
    let now = Instant::now();
    let mut pool = pool(1);
    assert_eq!(pool.pick(now), Pick::Dial(A));
    pool.closed(A, now, None, Ending::Fault);
    let later = wait(pool.pick(now));
    assert_eq!(pool.pick(later), Pick::Dial(A));
    let again = wait(pool.pick(later));
    assert!(again > later);
    assert!(pool.up(A, later), "it was not healthy");
    assert_eq!(pool.pick(later), Pick::Dial(A));
    assert_eq!(pool.states()[0].open, 2);
}

#[test]
fn a_crash_of_many_connections_is_one_failure_and_a_stable_leg_forgives() {
    let now = Instant::now();
    let mut pool = pool(1);
    for _ in 0..10 {
        assert_eq!(pool.pick(now), Pick::Dial(A));
        pool.up(A, now);
    }
    for _ in 0..9 {
        pool.closed(A, now + Duration::from_millis(1), Some(now), Ending::Fault);
    }
    assert_eq!(pool.states()[0].failures, 1);
    let later = now + Duration::from_secs(60);
    pool.closed(A, later, Some(now), Ending::Fault);
    let state = &pool.states()[0];
    assert_eq!((state.open, state.dialing, state.healthy, state.failures), (0, 0, false, 1));
}

#[test]
fn probes_change_the_opinion_but_cut_no_rest_short() {
    let now = Instant::now();
    let mut pool = pool(1);
    assert_eq!(pool.probed(A, now, true), None);
    assert_eq!(pool.probed(A, now, false), Some(false));
    assert_eq!(pool.probed(A, now, true), None, "it rests");
    let later = wait(pool.pick(now));
    assert_eq!(pool.probed(A, later, true), Some(true));
    assert_eq!(pool.pick(later), Pick::Dial(A));
}

#[test]
fn a_dial_begun_before_a_failure_cuts_no_rest_short() {
    let now = Instant::now();
    let mut pool = pool(1);
    assert_eq!([pool.pick(now), pool.pick(now)], [Pick::Dial(A), Pick::Dial(A)]);
    pool.up(A, now);
    assert!(pool.closed(A, now, Some(now), Ending::Fault), "accepted, and left at once");
    assert!(!pool.up(A, now), "the second dial says nothing about what came after it began");
    let later = wait(pool.pick(now));
    assert_eq!(pool.pick(later), Pick::Dial(A));
    assert!(pool.up(A, later));
}

#[test]
fn an_instance_that_came_back_is_filled_as_its_weight_rises() {
    let now = Instant::now();
    let mut pool = pool_of(2, |config| config.slow_start = Duration::from_secs(10));
    let fill = |pool: &mut Pool, now, clients: u32| {
        for _ in 0..clients {
            pool.pick(now);
        }
        pool.states().iter().map(|it| it.open).collect::<Vec<_>>()
    };
    assert_eq!(fill(&mut pool, now, 20), [10, 10], "at the beginning all are as good");
    assert!(pool.closed(B, now, None, Ending::Fault));
    for _ in 0..9 {
        pool.closed(B, now, None, Ending::Fault);
    }
    let back = now + Duration::from_secs(1);
    assert_eq!(pool.probed(B, back, true), Some(true));
    assert_eq!(fill(&mut pool, back, 23), [30, 3], "a tenth of the weight");
    assert_eq!(fill(&mut pool, back + Duration::from_secs(5), 15), [32, 16], "half of it");
    assert_eq!(fill(&mut pool, back + Duration::from_secs(10), 16), [32, 32], "all of it");
}

#[test]
fn an_orderly_end_is_nobodys_fault() {
    let now = Instant::now();
    let mut pool = pool(1);
    assert_eq!(pool.pick(now), Pick::Dial(A));
    pool.up(A, now);
    assert!(!pool.closed(A, now, Some(now), Ending::Orderly));
    assert_eq!(pool.pick(now), Pick::Dial(A));
}

#[test]
fn a_reload_moves_nobody_and_an_instance_keeps_its_number() {
    let now = Instant::now();
    let mut pool = pool(2);
    assert_eq!([pool.pick(now), pool.pick(now)], [Pick::Dial(A), Pick::Dial(B)]);
    let reload = |pool: &mut Pool, urls: &[&str]| {
        pool.reconfigure(&config(urls.iter().copied()), &Policies::default(), Some(now)).unwrap();
        pool.states().iter().map(|it| (it.source.0, it.leaving, it.open)).collect::<Vec<_>>()
    };
    // The second stays, the first leaves and keeps its connection, a third comes and gets the next.
    assert_eq!(reload(&mut pool, &["ws://2:1", "ws://1:1"]), [(0, true, 1), (1, false, 1), (2, false, 0)]);
    assert_eq!([pool.pick(now), pool.pick(now)], [Pick::Dial(SourceId(2)), Pick::Dial(B)]);
    pool.up(A, now);
    pool.closed(A, now, Some(now), Ending::Orderly);
    assert_eq!(pool.states().len(), 2, "the last connection of one that left is gone");
    assert_eq!(pool.url(A), "ws://0:1");
    // It comes back as who it was.
    assert_eq!(reload(&mut pool, &["ws://0:1", "ws://1:1"]), [(0, false, 0), (1, false, 2), (2, true, 1)]);
    assert_eq!(pool.pick(now), Pick::Dial(A));
}

#[test]
fn numbers_are_not_used_twice_and_run_out_with_a_word() {
    let now = Instant::now();
    let mut pool = pool(2);
    let many = |from: u32| config((from..from + 40_000).map(|i| format!("ws://{i}:1")));
    pool.reconfigure(&many(2), &Policies::default(), Some(now)).unwrap();
    let before = pool.sources();
    assert_eq!(pool.reconfigure(&many(50_000), &Policies::default(), Some(now)), Err(NumbersSpent));
    assert_eq!(pool.sources(), before);
}

proptest! {
    /// Against a naive model: a list of the URLs by number.
    #[test]
    fn a_number_means_one_url_for_ever(lists in proptest::collection::vec(proptest::collection::vec(0_u8..6, 1..6), 1..8)) {
        let now = Instant::now();
        let url = |n: &u8| format!("ws://{n}:1");
        let mut pool = Pool::new(&config(lists[0].iter().map(url)), &Policies::default(), |p, e| Draws::new(1, p, e));
        let mut model: Vec<String> = Vec::new();
        for list in &lists {
            pool.reconfigure(&config(list.iter().map(url)), &Policies::default(), Some(now)).unwrap();
            let mut named: Vec<String> = list.iter().map(url).collect();
            let mut used: Vec<String> = pool.sources().iter().map(|source| pool.url(*source).to_owned()).collect();
            for (number, was) in model.iter().enumerate() {
                prop_assert_eq!(pool.url(source(number)), was);
            }
            model = (0..pool.instances.len()).map(|number| pool.url(source(number)).to_owned()).collect();
            named.sort();
            used.sort();
            prop_assert_eq!(used, named, "what is named is what may be picked");
            // No more numbers than the most that were named at once under each URL.
            let most = |n: u8| lists.iter().map(|list| list.iter().filter(|it| **it == n).count()).max().unwrap_or(0);
            prop_assert!(model.len() <= (0..6).map(most).sum());
        }
    }
}

#[test]
fn who_finds_no_place_waits_and_is_served_in_turn() {
    let now = Instant::now();
    let mut pool = pool_of(1, |config| config.limits.clients_per_upstream_max = Some(2));
    let mut turns: Vec<Turn> = (0..5).map(|_| pool.arrive()).collect();
    let offers: Vec<_> = turns.iter_mut().map(|turn| pool.pick_in_turn(turn, now)).collect();
    assert_eq!(offers[..2], [Offer::Dial(A), Offer::Dial(A)]);
    assert!(offers[2..].iter().all(|offer| matches!(offer, Offer::Wait(_))), "{offers:?}");
    // The fourth goes, then a place becomes free: it is the third's, whoever asks first.
    pool.leave(&turns.remove(3));
    pool.up(A, now);
    pool.closed(A, now, Some(now), Ending::Orderly);
    let mut newcomer = pool.arrive();
    assert!(matches!(pool.pick_in_turn(&mut newcomer, now), Offer::Wait(_)));
    assert!(matches!(pool.pick_in_turn(&mut turns[3], now), Offer::Wait(_)));
    assert_eq!(pool.pick_in_turn(&mut turns[2], now), Offer::Dial(A));
    assert_eq!(pool.pending(), 2);
    // Its dial fails: it comes before those who came later.
    pool.closed(A, now, None, Ending::Orderly);
    assert!(matches!(pool.pick_in_turn(&mut newcomer, now), Offer::Wait(_)));
    assert_eq!(pool.pick_in_turn(&mut turns[2], now), Offer::Dial(A));
}

#[test]
fn the_line_has_a_bound_in_length_and_in_time() {
    let now = Instant::now();
    let mut pool = pool_of(1, |config| {
        config.limits.clients_per_upstream_max = Some(1);
        config.limits.pending_max = 1;
        config.limits.pending_timeout = Duration::from_secs(3);
    });
    let [mut a, mut b, mut c] = [pool.arrive(), pool.arrive(), pool.arrive()];
    assert_eq!(pool.pick_in_turn(&mut a, now), Offer::Dial(A));
    assert!(matches!(pool.pick_in_turn(&mut b, now), Offer::Wait(_)));
    assert_eq!(pool.pick_in_turn(&mut c, now), Offer::LineFull);
    let late = now + Duration::from_secs(3);
    assert!(matches!(pool.pick_in_turn(&mut b, late - Duration::from_millis(1)), Offer::Wait(until) if until <= late));
    assert_eq!(pool.pick_in_turn(&mut b, late), Offer::TooLong);
    pool.leave(&b);
    assert_eq!(pool.pending(), 0);
}

#[tokio::test]
async fn a_place_that_becomes_free_wakes_the_first_and_its_departure_the_next() {
    use futures_util::FutureExt as _;
    let now = Instant::now();
    let mut pool = pool_of(1, |config| config.limits.clients_per_upstream_max = Some(1));
    let [mut a, mut b, mut c] = [pool.arrive(), pool.arrive(), pool.arrive()];
    for turn in [&mut a, &mut b, &mut c] {
        pool.pick_in_turn(turn, now);
    }
    let woken = |turn: &Turn| turn.wake.notified().now_or_never().is_some();
    assert!(!woken(&b) && !woken(&c));
    pool.closed(A, now, None, Ending::Orderly);
    assert!(woken(&b) && !woken(&c));
    pool.leave(&b);
    assert!(woken(&c), "no place is forgotten with the one who was woken for it");
}

#[test]
fn dials_keep_to_their_rate_at_each_instance_and_in_all() {
    let now = Instant::now();
    let mut pool = pool_of(2, |config| {
        config.limits.dials_per_second_max = 10;
        config.limits.dials_burst = 2;
        config.limits.dials_total_per_second_max = 5;
        config.limits.dials_total_burst = 3;
    });
    let picks: Vec<_> = (0..4).map(|_| pool.pick(now)).collect();
    assert_eq!(picks[..3], [Pick::Dial(A), Pick::Dial(B), Pick::Dial(A)]);
    assert_eq!(picks[3], Pick::Wait(now + Duration::from_millis(200)), "three in all at once, and five a second");
    let mut alone = pool_of(1, |config| (config.limits.dials_per_second_max, config.limits.dials_burst) = (10, 2));
    assert_eq!([alone.pick(now), alone.pick(now)], [Pick::Dial(A), Pick::Dial(A)]);
    assert_eq!(alone.pick(now), Pick::Wait(now + Duration::from_millis(100)));
}

#[test]
fn an_orderly_close_by_the_source_backs_off_and_a_refusal_backs_off_longer() {
    let now = Instant::now();
    for (ending, floor) in [(Ending::Fault, Duration::from_millis(10)), (Ending::Refused, Duration::from_millis(500))] {
        let mut pool = pool(1);
        let mut at = now;
        for turn in 1..=12_u32 {
            assert_eq!(pool.pick(at), Pick::Dial(A));
            pool.up(A, at);
            pool.closed(A, at, Some(at), ending);
            let until = wait(pool.pick(at));
            assert!(until >= at + floor, "{ending:?} {turn}: no hot loop");
            at = until;
        }
        let cap = if ending == Ending::Refused { 60 } else { 10 };
        assert!(at <= now + 12 * Duration::from_secs(cap));
        assert_eq!(pool.states()[0].failures > 0, ending == Ending::Fault, "a refusal is no failure");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Come,
    Ask(usize),
    GiveUp(usize),
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Come),
        3 => (0_usize..12).prop_map(Step::Ask),
        1 => (0_usize..12).prop_map(Step::GiveUp),
        3 => Just(Step::End),
    ]
}

proptest! {
    /// Against a naive model: a list of those who wait, a count of places.
    #[test]
    fn no_instance_passes_its_cap_and_nobody_overtakes(
        steps in proptest::collection::vec(step(), 0..150),
        instances in 1_u64..4,
        cap in 1_u32..4,
    ) {
        let now = Instant::now();
        let mut pool = pool_of(instances, |config| config.limits.clients_per_upstream_max = Some(cap));
        let mut waiting: Vec<Turn> = Vec::new();
        let mut open: VecDeque<SourceId> = VecDeque::new();
        let places = instances as usize * cap as usize;
        for step in steps {
            match step {
                Step::Come => {
                    let mut turn = pool.arrive();
                    let free = waiting.is_empty() && open.len() < places;
                    match pool.pick_in_turn(&mut turn, now) {
                        Offer::Dial(source) => {
                            prop_assert!(free, "it overtook, or there was no place");
                            open.push_back(source);
                        }
                        offer => {
                            prop_assert!(matches!(offer, Offer::Wait(_)) && !free);
                            waiting.push(turn);
                        }
                    }
                }
                Step::Ask(index) if index < waiting.len() => {
                    let free = index == 0 && open.len() < places;
                    let offer = pool.pick_in_turn(&mut waiting[index], now);
                    prop_assert_eq!(matches!(offer, Offer::Dial(_)), free);
                    if let Offer::Dial(source) = offer {
                        open.push_back(source);
                        waiting.remove(index);
                    }
                }
                Step::GiveUp(index) if index < waiting.len() => pool.leave(&waiting.remove(index)),
                Step::End => {
                    if let Some(source) = open.pop_front() {
                        pool.closed(source, now, None, Ending::Orderly);
                    }
                }
                Step::Ask(_) | Step::GiveUp(_) => {}
            }
            prop_assert_eq!(pool.pending(), waiting.len());
            prop_assert!(pool.states().iter().all(|it| it.open <= cap));
            prop_assert_eq!(pool.states().iter().map(|it| it.open as usize).sum::<usize>(), open.len());
        }
    }
}
