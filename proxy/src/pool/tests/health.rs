//! Opinions of instances: how they change, and when they are not listened to.

use super::*;

#[test]
fn it_takes_failures_in_turn_to_be_unhealthy_and_successes_in_turn_to_be_healthy() {
    let mut pool = pool_of(1, |config| {
        (config.health.fall, config.health.rise) = (3, 2);
        config.health.panic_threshold_percent = 0;
    });
    let mut now = Instant::now();
    for lost in [false, false, true] {
        assert_eq!(pool.pick(now), Pick::Dial(A));
        assert_eq!(pool.closed(A, now, None, Ending::Fault), lost);
        now = wait(pool.pick(now));
    }
    for back in [false, true] {
        assert_eq!(pool.pick(now), Pick::Dial(A));
        wait(pool.pick(now));
        assert_eq!(pool.up(A, now), back, "one at a time, until it has proved itself");
    }
    assert_eq!([pool.pick(now), pool.pick(now)], [Pick::Dial(A), Pick::Dial(A)]);
}

#[test]
fn a_failure_between_two_successes_begins_the_count_again() {
    let mut pool = pool_of(1, |config| (config.health.fall, config.health.rise) = (1, 2));
    let mut now = Instant::now();
    assert_eq!(pool.pick(now), Pick::Dial(A));
    assert!(pool.closed(A, now, None, Ending::Fault));
    for (well, opinion) in [(true, None), (false, None), (true, None), (true, Some(true))] {
        now += Duration::from_secs(11);
        assert_eq!(pool.probed(A, now, well), opinion);
    }
}

#[test]
fn bad_probes_below_the_bound_change_nothing() {
    let now = Instant::now();
    let mut pool = pool_of(1, |config| config.health.fall = 3);
    assert_eq!([pool.probed(A, now, false), pool.probed(A, now, false)], [None, None]);
    assert_eq!([pool.pick(now), pool.pick(now)], [Pick::Dial(A), Pick::Dial(A)]);
    assert_eq!(pool.probed(A, now, false), Some(false));
    wait(pool.pick(now));
}

/// Dials `source` alone and lets it end in a failure or not, `times` over, each as soon as may be.
fn try_out(pool: &mut Pool, source: SourceId, now: &mut Instant, outcomes: &[bool]) {
    for well in outcomes {
        let it = &mut pool.instances[source.index()];
        *now = it.state(source).rests_until.map_or(*now, |until| until.max(*now));
        it.take(*now, &pool.rules);
        if *well {
            pool.up(source, *now);
            pool.closed(source, *now, Some(*now), Ending::Orderly);
        } else {
            pool.closed(source, *now, None, Ending::Fault);
        }
    }
}

const HALF: [bool; 10] = [true, false, true, false, true, false, true, false, true, false];

#[test]
fn an_instance_that_fails_far_more_often_than_its_siblings_is_ejected_for_a_while() {
    let mut now = Instant::now();
    let mut pool = pool(3);
    for sibling in [B, SourceId(2)] {
        try_out(&mut pool, sibling, &mut now, &[true; 10]);
    }
    try_out(&mut pool, A, &mut now, &HALF);
    assert!(pool.states()[0].ejected && !pool.states()[0].healthy);
    let ejected_at = now;
    // Good probes do not bring it back, time does: then one at a time.
    assert_eq!(pool.probed(A, ejected_at + Duration::from_secs(20), true), None);
    let of_a = |pool: &mut Pool, now| (0..30).filter(|_| pool.pick(now) == Pick::Dial(A)).count();
    assert_eq!(of_a(&mut pool, ejected_at + Duration::from_secs(29)), 0);
    assert_eq!(of_a(&mut pool, ejected_at + Duration::from_secs(30)), 1);
    assert!(pool.up(A, ejected_at + Duration::from_secs(30)));
    assert!(!pool.states()[0].ejected);
}

#[test]
fn where_all_fail_or_too_many_would_be_out_nobody_is_ejected() {
    let mut now = Instant::now();
    let mut all_fail = pool(2);
    try_out(&mut all_fail, A, &mut now, &HALF);
    try_out(&mut all_fail, B, &mut now, &HALF);
    assert!(all_fail.states().iter().all(|it| !it.ejected));
    let mut pool = pool(3);
    try_out(&mut pool, SourceId(2), &mut now, &[true; 40]);
    try_out(&mut pool, A, &mut now, &HALF);
    try_out(&mut pool, B, &mut now, &HALF);
    let ejected: Vec<bool> = pool.states().iter().map(|it| it.ejected).collect();
    assert_eq!(ejected, [true, false, false], "one of three, at most half of them");
}

#[test]
fn where_too_few_are_healthy_all_are_used() {
    for (threshold, used) in [(50, vec![0, 1, 2]), (0, vec![2])] {
        let mut now = Instant::now();
        let mut pool = pool_of(4, |config| config.health.panic_threshold_percent = threshold);
        for sibling in [SourceId(2), SourceId(3)] {
            try_out(&mut pool, sibling, &mut now, &[true; 20]);
        }
        try_out(&mut pool, A, &mut now, &HALF);
        try_out(&mut pool, B, &mut now, &HALF);
        assert_eq!(pool.states().iter().filter(|it| it.ejected).count(), 2);
        now += Duration::from_secs(11);
        for ejected in [A, B] {
            // They have one success since their last failure: what is left against them is the opinion.
            pool.instances[ejected.index()].take(now, &pool.rules);
            pool.up(ejected, now);
            pool.closed(ejected, now, Some(now), Ending::Orderly);
        }
        assert!(!pool.panics(), "half of them are healthy");
        assert!(pool.pick(now) == Pick::Dial(SourceId(2)) && pool.pick(now) == Pick::Dial(SourceId(3)));
        pool.closed(SourceId(3), now, None, Ending::Fault);
        assert_eq!(pool.panics(), threshold == 50);
        let mut dialled: Vec<u16> = (0..9)
            .filter_map(|_| match pool.pick(now) {
                Pick::Dial(source) => Some(source.0),
                Pick::Wait(_) => None,
            })
            .collect();
        dialled.sort_unstable();
        dialled.dedup();
        assert_eq!(dialled, used, "but the one that rests");
    }
}

#[derive(Clone, Copy, Debug)]
enum News {
    Pick,
    Up(usize),
    Ends(usize, bool),
    Probe(u16, bool),
    Time(u64),
}

fn news() -> impl Strategy<Value = News> {
    prop_oneof![
        4 => Just(News::Pick),
        2 => (0_usize..9).prop_map(News::Up),
        3 => (0_usize..9, any::<bool>()).prop_map(|(which, fault)| News::Ends(which, fault)),
        1 => (0_u16..4, any::<bool>()).prop_map(|(source, well)| News::Probe(source, well)),
        2 => (0_u64..3_000).prop_map(News::Time),
    ]
}

proptest! {
    /// Against the rules, each put as simply as can be.
    #[test]
    fn the_rules_hold_whatever_happens(
        news in proptest::collection::vec(news(), 0..300),
        count in 1_u64..5,
        (fall, rise) in (1_u32..4, 1_u32..4),
        percent in 0_u32..=100,
    ) {
        let mut now = Instant::now();
        let mut pool = pool_of(count, |config| {
            (config.health.fall, config.health.rise) = (fall, rise);
            config.health.panic_threshold_percent = percent;
            config.ejection.ejected_percent_max = percent;
            config.ejection.dials_min = 3;
        });
        let mut dials: Vec<SourceId> = Vec::new();
        let mut legs: Vec<(SourceId, Instant)> = Vec::new();
        for news in news {
            let before = pool.states();
            let panic = pool.panics();
            match news {
                News::Pick => match pool.pick(now) {
                    Pick::Dial(source) => {
                        let it = &before[source.index()];
                        prop_assert!(it.rests_until.is_none_or(|until| until <= now), "a rest is a rest");
                        let open = it.rests_until.is_none() && (it.healthy || panic);
                        prop_assert!(open || it.dialing == 0, "half open: one at a time");
                        dials.push(source);
                    }
                    Pick::Wait(until) => {
                        prop_assert!(until > now);
                        let open = before.iter().any(|it| it.rests_until.is_none() && it.healthy && it.dialing < 64);
                        prop_assert!(!open, "nobody waits while one is there for all");
                    }
                },
                News::Up(which) if which < dials.len() => {
                    let source = dials.remove(which);
                    pool.up(source, now);
                    legs.push((source, now));
                }
                News::Ends(which, fault) => {
                    let ending = if fault { Ending::Fault } else { Ending::Orderly };
                    if which < dials.len() {
                        pool.closed(dials.remove(which), now, None, ending);
                    } else if which - dials.len() < legs.len() {
                        let (source, since) = legs.remove(which - dials.len());
                        pool.closed(source, now, Some(since), ending);
                    }
                }
                News::Probe(source, well) => drop(pool.probed(SourceId(source), now, well)),
                News::Time(ms) => now += Duration::from_millis(ms),
                News::Up(_) => {}
            }
            let after = pool.states();
            let unhealthy = after.iter().filter(|it| !it.healthy).count();
            let ejected = after.iter().filter(|it| it.ejected).count();
            if ejected > before.iter().filter(|it| it.ejected).count() {
                prop_assert!(unhealthy * 100 <= after.len() * percent as usize, "{unhealthy} are out");
            }
            prop_assert_eq!(pool.panics(), (after.len() - unhealthy) * 100 < after.len() * percent as usize);
            for (was, is) in before.iter().zip(&after) {
                if was.healthy && !is.healthy {
                    prop_assert!(is.ejected || is.failures >= fall, "{} failures", is.failures);
                }
                let of = |sources: &[SourceId]| sources.iter().filter(|source| **source == is.source).count();
                let legs: Vec<SourceId> = legs.iter().map(|(source, _)| *source).collect();
                prop_assert_eq!((is.dialing as usize, is.open as usize), (of(&dials), of(&dials) + of(&legs)));
            }
        }
    }
}
