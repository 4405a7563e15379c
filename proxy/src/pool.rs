//! The instances of the source: who is usable, who holds how many connections, when to try again.
//!
//! ```text
//!            dial fails, leg breaks              the delay is over: one probe at a time
//!   healthy ------------------------> resting ---------------------------------------> probing
//!      ^                                 ^                                               |   |
//!      |                                 `------------------- fails ---------------------'   |
//!      `------------------------------------------------ up ---------------------------------'
//! ```
//!
//! Pure: told the time and the news. Fan-out asks it for its one leg, relay for each client's.

mod slow_start;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use wire::draw::Draws;
use wire::id::SourceId;

use crate::backoff::Redial;
use crate::balance::{Balance, Candidate};
use crate::config::{Config, Upstream};
use crate::policy::Policies;

/// What to do about a connection that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Dial this instance. Its place is taken until [`Pool::closed`].
    Dial(SourceId),
    /// No instance can be used: ask again then.
    Wait(Instant),
}

/// The state of one instance, for the admin address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstanceState {
    pub(crate) source: SourceId,
    pub(crate) upstream: Upstream,
    /// The configuration names it no more: its connections last as long as they last, and no new ones are made.
    pub(crate) leaving: bool,
    pub(crate) open: u32,
    pub(crate) dialing: u32,
    pub(crate) healthy: bool,
    pub(crate) failures: u32,
    pub(crate) rests_until: Option<Instant>,
}

struct Instance {
    upstream: Upstream,
    leaving: bool,
    /// Since when it is healthy again; None if it always was. Its weight rises from there.
    back_since: Option<Instant>,
    open: u32,
    dialing: u32,
    failures: u32,
    /// Not to be used before; None while healthy.
    rests_until: Option<Instant>,
    probing: bool,
    draws: Draws,
}

/// A configuration names more instances than there are numbers left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than 65,536 instances have been named since the proxy started: restart it")]
pub(crate) struct NumbersSpent;

pub(crate) struct Pool {
    /// By number. One that left keeps its number, so that a number means one instance for as long as the proxy lives.
    instances: Vec<Instance>,
    balance: Box<dyn Balance>,
    redial: Box<dyn Redial>,
    stable_after: Duration,
    slow_start: Duration,
    dials_max: u32,
    choices: Draws,
    waits: Draws,
    draws: Box<dyn Fn(&'static str, u64) -> Draws + Send>,
}

/// How long to wait at most when others probe or dial already.
const WAIT: Duration = Duration::from_millis(100);

impl Pool {
    /// `draws` makes the streams of chance, by purpose and entity.
    pub(crate) fn new(
        config: &Config,
        policies: &Policies,
        draws: impl Fn(&'static str, u64) -> Draws + Send + 'static,
    ) -> Self {
        let mut pool = Self {
            instances: Vec::new(),
            balance: (policies.balance)(config),
            redial: (policies.redial)(config),
            stable_after: Duration::ZERO,
            slow_start: Duration::ZERO,
            dials_max: 0,
            choices: draws("balance", 0),
            waits: draws("pool-wait", 0),
            draws: Box::new(draws),
        };
        // A checked configuration names no more instances than there are numbers.
        let _ = pool.reconfigure(config, policies, None);
        pool
    }

    /// Goes over to another configuration, and other rules. Instances are known by their URL: those that stay keep their number, their connections and their
    /// history; new ones get a number never used before; those no longer named get no new connections, and come back under their old number if they are named
    /// again. Nobody's connection is touched. `now` is None at the beginning, where nobody starts slowly.
    ///
    /// # Errors
    /// [`NumbersSpent`]; then nothing has changed.
    pub(crate) fn reconfigure(
        &mut self,
        config: &Config,
        policies: &Policies,
        now: Option<Instant>,
    ) -> Result<(), NumbersSpent> {
        let places = places(&self.instances, &config.upstreams)?;
        self.balance = (policies.balance)(config);
        self.redial = (policies.redial)(config);
        self.stable_after = config.backoff.stable_after;
        self.slow_start = config.slow_start;
        self.dials_max = config.limits.dials_max;
        let stays: BTreeSet<usize> = places.iter().copied().collect();
        for (place, upstream) in places.into_iter().zip(&config.upstreams) {
            match self.instances.get_mut(place) {
                Some(it) => {
                    if std::mem::take(&mut it.leaving) {
                        it.back_since = now;
                    }
                    it.upstream.clone_from(upstream);
                }
                None => {
                    let draws = (self.draws)("backoff", place as u64);
                    self.instances.push(Instance::new(upstream.clone(), now, draws));
                }
            }
        }
        for (place, it) in self.instances.iter_mut().enumerate() {
            it.leaving |= !stays.contains(&place);
        }
        Ok(())
    }

    /// Picks an instance and takes a place there.
    pub(crate) fn pick(&mut self, now: Instant) -> Pick {
        let candidates: Vec<Candidate> = self
            .instances
            .iter()
            .enumerate()
            .filter(|(_, it)| it.usable(now, self.dials_max))
            .map(|(i, it)| Candidate { source: source(i), open: it.open, weight: it.weight(now, self.slow_start) })
            .collect();
        match self.balance.pick(&candidates, &mut self.choices).and_then(|index| candidates.get(index)) {
            Some(candidate) => {
                let it = &mut self.instances[candidate.source.index()];
                it.open += 1;
                it.dialing += 1;
                it.probing |= it.rests_until.is_some();
                Pick::Dial(candidate.source)
            }
            None => Pick::Wait(self.soonest(now)),
        }
    }

    /// When an instance may become usable. Jittered where it depends on others' dials, so that those who wait do not come at once.
    fn soonest(&mut self, now: Instant) -> Instant {
        let rests = self.instances.iter().filter(|it| !it.leaving && !it.probing).filter_map(|it| it.rests_until).min();
        match rests {
            Some(until) if until > now => until,
            _ => now + WAIT / 2 + self.waits.jitter(WAIT),
        }
    }

    /// The dial succeeded. True if the instance was not healthy before and is now. A dial that began before a failure cuts no rest short.
    pub(crate) fn up(&mut self, source: SourceId, now: Instant) -> bool {
        let Some(it) = self.instances.get_mut(source.index()) else { return false };
        it.dialing = it.dialing.saturating_sub(1);
        it.probing = false;
        if it.rests_until.is_some_and(|until| until > now) {
            return false;
        }
        it.back(now)
    }

    /// A connection ended or a dial failed: gives the place back. `up_since` is None for a dial. `fault` tells whether the instance is to blame.
    /// True if the instance was healthy before and is not now.
    pub(crate) fn closed(&mut self, source: SourceId, now: Instant, up_since: Option<Instant>, fault: bool) -> bool {
        let Some(it) = self.instances.get_mut(source.index()) else { return false };
        debug_assert!(it.open > 0, "a place is given back once");
        it.open = it.open.saturating_sub(1);
        if up_since.is_none() {
            it.dialing = it.dialing.saturating_sub(1);
            it.probing = false;
        }
        if up_since.is_some_and(|since| now.saturating_duration_since(since) >= self.stable_after) {
            it.failures = 0;
        }
        if !fault {
            return false;
        }
        // A crash ends many connections in one instant: it is one failure.
        if it.rests_until.is_some_and(|until| until > now) {
            return false;
        }
        let was_healthy = it.rests_until.is_none();
        it.failures = it.failures.saturating_add(1);
        it.rests_until = Some(now + self.redial.delay(it.failures, &mut it.draws));
        was_healthy
    }

    /// What a probe found. The new opinion of the instance, if it changed. A good probe does not cut a rest short: an instance that answers probes and breaks
    /// connections is not well.
    pub(crate) fn probed(&mut self, source: SourceId, now: Instant, well: bool) -> Option<bool> {
        let it = self.instances.get_mut(source.index())?;
        match it.rests_until {
            Some(until) if until > now => None,
            _ if well => it.back(now).then_some(true),
            rested => {
                it.failures = it.failures.saturating_add(1);
                it.rests_until = Some(now + self.redial.delay(it.failures, &mut it.draws));
                rested.is_none().then_some(false)
            }
        }
    }

    /// The states of all instances that may be used or are, in the order of their numbers.
    pub(crate) fn states(&self) -> Vec<InstanceState> {
        self.instances
            .iter()
            .enumerate()
            .filter(|(_, it)| !it.leaving || it.open > 0)
            .map(|(i, it)| InstanceState {
                source: source(i),
                upstream: it.upstream.clone(),
                leaving: it.leaving,
                open: it.open,
                dialing: it.dialing,
                healthy: it.rests_until.is_none(),
                failures: it.failures,
                rests_until: it.rests_until,
            })
            .collect()
    }

    /// Whether any instance is healthy.
    pub(crate) fn any_healthy(&self) -> bool {
        self.instances.iter().any(|it| !it.leaving && it.rests_until.is_none())
    }

    /// The instances that may be picked.
    pub(crate) fn sources(&self) -> Vec<SourceId> {
        self.instances.iter().enumerate().filter(|(_, it)| !it.leaving).map(|(i, _)| source(i)).collect()
    }

    /// The URL of an instance; empty if there is none of this number.
    pub(crate) fn url(&self, source: SourceId) -> &str {
        self.instances.get(source.index()).map_or("", |it| it.upstream.url.as_str())
    }
}

/// For each upstream the place of the instance that it is: the first with its URL that no upstream before it took, else the next place that is free.
fn places(instances: &[Instance], upstreams: &[Upstream]) -> Result<Vec<usize>, NumbersSpent> {
    let mut known: BTreeMap<&str, VecDeque<usize>> = BTreeMap::new();
    for (place, it) in instances.iter().enumerate() {
        known.entry(it.upstream.url.as_str()).or_default().push_back(place);
    }
    let mut free = instances.len();
    let place = |upstream: &Upstream| {
        let place = known.get_mut(upstream.url.as_str()).and_then(VecDeque::pop_front).unwrap_or_else(|| {
            free += 1;
            free - 1
        });
        if place > usize::from(u16::MAX) { Err(NumbersSpent) } else { Ok(place) }
    };
    upstreams.iter().map(place).collect()
}

impl Instance {
    fn new(upstream: Upstream, back_since: Option<Instant>, draws: Draws) -> Self {
        Self {
            upstream,
            leaving: false,
            back_since,
            open: 0,
            dialing: 0,
            failures: 0,
            rests_until: None,
            probing: false,
            draws,
        }
    }

    /// It is healthy. True if it was not before.
    fn back(&mut self, now: Instant) -> bool {
        let back = self.rests_until.take().is_some();
        if back {
            self.back_since = Some(now);
        }
        back
    }

    fn weight(&self, now: Instant, slow_start: Duration) -> u32 {
        slow_start::weight(
            self.upstream.weight,
            self.back_since.map(|since| now.saturating_duration_since(since)),
            slow_start,
        )
    }

    fn usable(&self, now: Instant, dials_max: u32) -> bool {
        if self.leaving || self.dialing >= dials_max {
            return false;
        }
        match self.rests_until {
            None => true,
            Some(until) => now >= until && !self.probing,
        }
    }
}

fn source(index: usize) -> SourceId {
    SourceId(u16::try_from(index).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::config::Mode;

    const A: SourceId = SourceId(0);
    const B: SourceId = SourceId(1);

    fn pool(n: u64) -> Pool {
        pool_of(n, |_| {})
    }

    fn pool_of(n: u64, adjust: impl FnOnce(&mut Config)) -> Pool {
        let mut config = config((0..n).map(|i| format!("ws://{i}:1")));
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
        assert!(pool.closed(A, now, None, true), "it was healthy");
        assert_eq!(pool.pick(now), Pick::Dial(B));
        assert!(pool.closed(B, now, None, true));
        let until = wait(pool.pick(now));
        assert!(until > now && until <= now + Duration::from_millis(100));
        assert!(!pool.any_healthy());
    }

    #[test]
    fn a_resting_instance_is_probed_by_one_at_a_time() {
        let now = Instant::now();
        let mut pool = pool(1);
        assert_eq!(pool.pick(now), Pick::Dial(A));
        pool.closed(A, now, None, true);
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
            pool.closed(A, now + Duration::from_millis(1), Some(now), true);
        }
        assert_eq!(pool.states()[0].failures, 1);
        let later = now + Duration::from_secs(60);
        pool.closed(A, later, Some(now), true);
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
        assert!(pool.closed(A, now, Some(now), true), "accepted, and left at once");
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
        assert!(pool.closed(B, now, None, true));
        for _ in 0..9 {
            pool.closed(B, now, None, true);
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
        assert!(!pool.closed(A, now, Some(now), false));
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
        pool.closed(A, now, Some(now), false);
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
}
