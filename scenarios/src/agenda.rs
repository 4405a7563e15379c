//! What is run next: seeds spread over scenarios, within a budget of time if there is one.
//!
//! Each scenario has a sequence of runs of its own, which never depends on how fast anything was: what is run of it is a beginning of that sequence. So a
//! budget changes how much is seen, never what a seed shows.
//!
//! With a budget, every scenario first gets its minimum; then the next run goes where it tells most for its cost. After n passed runs a failure is
//! rarer than 3/n (the rule of three, at 95 %), so the next run lowers that bound by 3/(n (n + 1)): the scenario whose n (n + 1) times the cost of a run is the
//! least comes next. A run that would not end in time is not begun. What a run costs is known once the scenario's first is done: before, it gets no more than its minimum, and who has nothing
//! else to do waits for it.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

/// Runs that a scenario must finish with a budget, where nothing else is said: fewer are inconclusive.
pub const MINIMUM: u64 = 3;

/// The most seeds of one command.
pub const SEEDS_MAX: u64 = 1_000_000;

/// Bits of a derived seed: as many as JSON's numbers hold everywhere.
const SEED_BITS: u32 = 52;

/// One run of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The scenario, by its place.
    pub scenario: usize,
    /// The run's place in the scenario's sequence, shards or no shards.
    pub nth: u64,
    /// The seed.
    pub seed: u64,
    /// The order of ready tasks.
    pub order: u64,
}

/// The seeds of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// From one to another, both included.
    Range(u64, u64),
    /// Some that are given, then so many that follow from a word and the scenario's name.
    From {
        /// The first ones.
        given: Vec<u64>,
        /// Where the others come from: the hash of a commit, say.
        word: String,
        /// How many others.
        count: u64,
    },
}

impl Seeds {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Seeds::Range(first, last) => (last - first).saturating_add(1),
            Seeds::From { given, count, .. } => count.saturating_add(given.len() as u64),
        }
    }

    /// The one in this place of a scenario's sequence. `None`: there are not so many.
    #[must_use]
    pub fn nth(&self, scenario: &str, nth: u64) -> Option<u64> {
        if nth >= self.count() {
            return None;
        }
        Some(match self {
            Seeds::Range(first, _) => first + nth,
            Seeds::From { given, word, .. } => match usize::try_from(nth).ok().and_then(|nth| given.get(nth)) {
                Some(seed) => *seed,
                None => derived(word, scenario, nth - given.len() as u64),
            },
        })
    }
}

/// Reads `A..B`, or `A..=B`, which is the same: the first and the last seed, both included.
///
/// # Errors
/// What is wrong with it, in words.
pub fn range(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once("..").ok_or("expected A..B, both included, such as 1..10")?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| format!("{text:?} is not a seed (a u64)"));
    let (first, last) = (number(first)?, number(last.strip_prefix('=').unwrap_or(last))?);
    if last < first {
        return Err(format!("the last seed {last} comes before the first {first}"));
    }
    if last - first >= SEEDS_MAX {
        return Err(format!("more than {SEEDS_MAX} seeds"));
    }
    Ok((first, last))
}

/// A seed that follows from a word, a scenario's name and a number.
#[must_use]
pub fn derived(word: &str, scenario: &str, n: u64) -> u64 {
    xxh3_64(format!("{word}\0{scenario}\0{n}").as_bytes()) >> (u64::BITS - SEED_BITS)
}

/// A part of all runs: number `index` of `of`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// Which, from 1.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// Whether a run falls into this part. It follows from the scenario's name and the seed alone (all orders of a seed together), so that shards need not know of one
    /// another, and a run does not move when others are added.
    #[must_use]
    pub fn has(self, scenario: &str, seed: u64) -> bool {
        xxh3_64(format!("{scenario}\0{seed}").as_bytes()) % self.of.max(1) == self.index - 1
    }
}

/// What is asked of each scenario.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its seeds.
    pub seeds: Seeds,
    /// Each seed in each of these orders of ready tasks, from the first to the last.
    pub orders: (u64, u64),
    /// Runs that it must finish; all, where there is no budget.
    pub minimum: u64,
    /// Only those of this part.
    pub shard: Option<Shard>,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<K> {
    /// This.
    Run(K),
    /// Something, perhaps, once a run that is under way is done: ask again then.
    Wait,
    /// Nothing any more.
    Over,
}

impl<K> Next<K> {
    /// The run, if there is one.
    pub fn run(self) -> Option<K> {
        match self {
            Next::Run(run) => Some(run),
            Next::Wait | Next::Over => None,
        }
    }
}

/// What is to be run, and what was.
#[derive(Debug)]
pub struct Agenda {
    budget: Option<Duration>,
    lists: Vec<List>,
}

/// The runs of one scenario.
#[derive(Debug)]
struct List {
    name: String,
    wish: Wish,
    /// Place of the next run to look at.
    at: u64,
    /// Runs of the minimum that fall into this part.
    minimum: u64,
    begun: u64,
    done: u64,
    cost: Duration,
}

impl Agenda {
    /// Nothing was run yet.
    #[must_use]
    pub fn new(wishes: impl IntoIterator<Item = (String, Wish)>, budget: Option<Duration>) -> Self {
        let lists = wishes.into_iter().map(|(name, wish)| List::new(name, wish, budget.is_none()));
        Self { budget, lists: lists.collect() }
    }

    /// The next run, told how long all has taken so far. [`Next::Over`]: there is none, or none that would end in time.
    pub fn next(&mut self, elapsed: Duration) -> Next<Place> {
        let left = match self.budget {
            None => Duration::MAX,
            Some(budget) if elapsed >= budget => return Next::Over,
            Some(budget) => budget - elapsed,
        };
        let chosen = self.choose(left);
        if let Next::Run(scenario) = chosen
            && let Some(list) = self.lists.get_mut(scenario)
            && let Some((nth, seed, order)) = list.peek()
        {
            list.at = nth + 1;
            list.begun += 1;
            return Next::Run(Place { scenario, nth, seed, order });
        }
        if matches!(chosen, Next::Wait) { Next::Wait } else { Next::Over }
    }

    /// The scenario whose turn it is.
    fn choose(&self, left: Duration) -> Next<usize> {
        let lists = self.lists.iter().enumerate().filter(|(_, list)| list.peek().is_some());
        let next = |found: Option<(usize, &List)>| found.map(|(place, _)| Next::Run(place));
        if self.budget.is_none() {
            return next(lists.clone().next()).unwrap_or(Next::Over);
        }
        let owed = lists.clone().filter(|(_, list)| list.begun < list.minimum);
        // All get their first run before one gets its second, the cheapest first.
        let owed = owed.min_by_key(|(place, list)| (list.begun, list.mean(), *place));
        // One that has nothing to do in any case is measured first.
        let measured = |list: &List| list.mean().map_or(list.begun == 0, |mean| mean <= left);
        let fits = lists.clone().filter(|(_, list)| measured(list)).min_by_key(|(place, list)| (list.price(), *place));
        let unknown = || lists.clone().any(|(_, list)| list.mean().is_none());
        next(owed.or(fits)).unwrap_or_else(|| if unknown() { Next::Wait } else { Next::Over })
    }

    /// A run is done, and took so long.
    pub fn done(&mut self, scenario: usize, took: Duration) {
        if let Some(list) = self.lists.get_mut(scenario) {
            list.done += 1;
            list.cost += took;
        }
    }

    /// Each scenario: its name, how many of its runs are done, and how many it had to finish.
    pub fn shares(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.lists.iter().map(|list| (list.name.as_str(), list.done, list.minimum))
    }

    /// How many runs there will be, where no budget decides that.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.budget.is_none().then(|| self.lists.iter().map(|list| list.minimum).sum())
    }
}

impl List {
    fn new(name: String, wish: Wish, all: bool) -> Self {
        let mut list = Self { name, wish, at: 0, minimum: 0, begun: 0, done: 0, cost: Duration::ZERO };
        let runs = if all { u64::MAX } else { list.wish.minimum };
        list.minimum =
            (0..runs.min(list.length())).filter(|nth| list.run(*nth).is_some_and(|run| list.mine(run))).count() as u64;
        list
    }

    fn orders(&self) -> u64 {
        self.wish.orders.1 - self.wish.orders.0 + 1
    }

    fn length(&self) -> u64 {
        self.wish.seeds.count().saturating_mul(self.orders())
    }

    /// Seed and order of a place in the sequence.
    fn run(&self, nth: u64) -> Option<(u64, u64)> {
        let seed = self.wish.seeds.nth(&self.name, nth / self.orders())?;
        Some((seed, self.wish.orders.0 + nth % self.orders()))
    }

    fn mine(&self, (seed, _): (u64, u64)) -> bool {
        self.wish.shard.is_none_or(|shard| shard.has(&self.name, seed))
    }

    /// The next run of this part: its place, seed and order.
    fn peek(&self) -> Option<(u64, u64, u64)> {
        (self.at..self.length()).find_map(|nth| {
            let run = self.run(nth)?;
            self.mine(run).then_some((nth, run.0, run.1))
        })
    }

    /// What a run cost so far, on average; nothing is known before the first is done.
    fn mean(&self) -> Option<Duration> {
        u32::try_from(self.done).ok().and_then(|done| self.cost.checked_div(done))
    }

    /// What one more run would cost for what it would tell.
    fn price(&self) -> u128 {
        let n = u128::from(self.begun);
        n.saturating_mul(n + 1).saturating_mul(self.mean().unwrap_or_default().as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn wish(seeds: Seeds) -> Wish {
        Wish { seeds, orders: (0, 0), minimum: MINIMUM, shard: None }
    }

    /// Plays an agenda on one thread with runs of fixed cost. Gives what was run of each, in order.
    fn play(costs: &[(&str, Duration)], wish: &Wish, budget: Option<Duration>) -> BTreeMap<String, Vec<Place>> {
        let mut agenda = Agenda::new(costs.iter().map(|(name, _)| ((*name).to_owned(), wish.clone())), budget);
        let mut elapsed = Duration::ZERO;
        let mut ran: BTreeMap<String, Vec<Place>> = BTreeMap::new();
        while let Next::Run(place) = agenda.next(elapsed) {
            let (name, cost) = costs[place.scenario];
            elapsed += cost;
            agenda.done(place.scenario, cost);
            ran.entry(name.to_owned()).or_default().push(place);
        }
        ran
    }

    fn seeds(places: &[Place]) -> Vec<u64> {
        places.iter().map(|place| place.seed).collect()
    }

    #[test]
    fn seeds_are_a_closed_range() {
        assert_eq!(range("1..3"), Ok((1, 3)));
        assert_eq!(range("1..=3"), Ok((1, 3)));
        assert_eq!(range(" 7 .. 7 "), Ok((7, 7)));
        for text in ["", "3", "3..1", "a..b", "1..", "1..==3", "0..18446744073709551615"] {
            assert!(range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn without_a_budget_all_is_run_scenario_by_scenario() {
        let wish = Wish { orders: (0, 1), ..wish(Seeds::Range(1, 2)) };
        let mut agenda = Agenda::new([("a".to_owned(), wish.clone()), ("b".to_owned(), wish)], None);
        assert_eq!(agenda.total(), Some(8));
        let ran: Vec<(usize, u64, u64)> = std::iter::from_fn(|| agenda.next(1_000 * S).run())
            .map(|place| (place.scenario, place.seed, place.order))
            .collect();
        let of = |scenario| [(scenario, 1, 0), (scenario, 1, 1), (scenario, 2, 0), (scenario, 2, 1)];
        assert_eq!(ran, [of(0), of(1)].concat());
    }

    #[test]
    fn each_gets_its_minimum_and_the_cheap_get_more() {
        let ran = play(&[("dear", 4 * S), ("cheap", S)], &wish(Seeds::Range(1, 1_000)), Some(60 * S));
        let (dear, cheap) = (&ran["dear"], &ran["cheap"]);
        assert!(dear.len() >= 3 && cheap.len() > dear.len(), "{} {}", dear.len(), cheap.len());
        // As the square root of the costs: half as many of what costs four times as much.
        assert!((cheap.len() as f64 / dear.len() as f64 - 2.0).abs() < 0.3, "{} {}", dear.len(), cheap.len());
        assert!(dear.len() * 4 + cheap.len() <= 60);
    }

    #[test]
    fn a_scenario_of_which_nothing_is_known_gets_no_more_than_its_minimum() {
        let names = ["slow", "quick"].map(|name| (name.to_owned(), wish(Seeds::Range(1, 1_000))));
        let mut agenda = Agenda::new(names, Some(60 * S));
        let minimum: Vec<usize> = (0..6).map_while(|_| agenda.next(S).run()).map(|place| place.scenario).collect();
        assert_eq!(minimum, [0, 1, 0, 1, 0, 1]);
        assert_eq!(agenda.next(S), Next::Wait, "six are under way, and what one costs nobody knows");
        agenda.done(1, S);
        assert!((0..9).all(|_| agenda.next(2 * S).run().is_some_and(|place| place.scenario == 1)));
        // What costs more than is left is not begun, be the other one as unknown as it may.
        agenda.done(1, 99 * S);
        assert_eq!(agenda.next(20 * S), Next::Wait);
        agenda.done(0, 50 * S);
        assert_eq!(agenda.next(20 * S), Next::Over);
    }

    #[test]
    fn a_scenario_without_a_minimum_is_measured_by_one_run() {
        let mut agenda = Agenda::new([("a".to_owned(), Wish { minimum: 0, ..wish(Seeds::Range(1, 9)) })], Some(9 * S));
        assert!(agenda.next(S).run().is_some());
        assert_eq!(agenda.next(S), Next::Wait);
        agenda.done(0, 3 * S);
        assert!(agenda.next(4 * S).run().is_some());
        assert_eq!(agenda.next(7 * S), Next::Over);
    }

    #[test]
    fn a_budget_that_is_too_short_leaves_less_than_the_minimum() {
        let mut agenda = Agenda::new([("a".to_owned(), wish(Seeds::Range(1, 9)))], Some(2 * S));
        assert_eq!(agenda.next(Duration::ZERO).run().map(|place| place.seed), Some(1));
        agenda.done(0, 3 * S);
        assert_eq!(agenda.next(3 * S), Next::Over);
        assert_eq!(agenda.shares().collect::<Vec<_>>(), [("a", 1, 3)]);
    }

    #[test]
    fn seeds_from_a_word_are_the_same_each_time_and_differ_by_word_and_scenario() {
        let seeds = |word: &str, scenario: &str| -> Vec<u64> { (0..50).map(|n| derived(word, scenario, n)).collect() };
        assert_eq!(seeds("a1b2", "x"), seeds("a1b2", "x"));
        // Pinned: another function would break every link to an old run.
        assert_eq!(derived("a1b2c3d", "steady-fanout", 0), 171_965_987_385_167);
        let all: std::collections::BTreeSet<u64> =
            [seeds("a1b2", "x"), seeds("a1b2", "y"), seeds("a1b3", "x")].concat().into_iter().collect();
        assert_eq!(all.len(), 150);
        assert!(all.iter().all(|seed| *seed < 1 << SEED_BITS));
        let given = Seeds::From { given: vec![1, 2, 3], word: "a1b2".to_owned(), count: 2 };
        let sequence: Vec<u64> = (0..).map_while(|n| given.nth("x", n)).collect();
        assert_eq!(sequence, [1, 2, 3, derived("a1b2", "x", 0), derived("a1b2", "x", 1)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_run_is_a_beginning_of_the_sequence_whatever_the_costs(
            costs in proptest::collection::vec(1_u32..5_000, 1..6),
            budget in 0_u32..100_000,
            word in "[a-f0-9]{7}",
        ) {
            let names = ["a", "b", "c", "d", "e"];
            let costs: Vec<(&str, Duration)> =
                names.into_iter().zip(&costs).map(|(name, ms)| (name, Duration::from_millis(u64::from(*ms)))).collect();
            let wish = wish(Seeds::From { given: vec![1], word: word.clone(), count: 400 });
            let budget = Duration::from_millis(u64::from(budget));
            let ran = play(&costs, &wish, Some(budget));
            for (name, places) in &ran {
                let expect: Vec<u64> = (0..).map_while(|n| wish.seeds.nth(name, n)).take(places.len()).collect();
                prop_assert_eq!(seeds(places), expect);
                prop_assert!(places.iter().map(|place| place.nth).eq(0..places.len() as u64));
            }
            // Once every scenario has its minimum, nothing is begun that would not end in time.
            if ran.len() == costs.len() && ran.values().all(|places| places.len() as u64 > MINIMUM) {
                let spent: Duration = costs.iter().map(|(name, cost)| *cost * ran[*name].len() as u32).sum();
                prop_assert!(spent <= budget);
            }
        }

        #[test]
        fn shards_are_a_partition_of_the_runs(of in 1_u64..7, first in 0_u64..1_000, orders in 0_u64..3) {
            let all = Wish { orders: (0, orders), minimum: 5, ..wish(Seeds::Range(first, first + 40)) };
            let places = |wish: &Wish| -> Vec<Place> {
                let mut agenda = Agenda::new(["x", "y"].map(|name| (name.to_owned(), wish.clone())), None);
                std::iter::from_fn(|| agenda.next(Duration::ZERO).run()).collect()
            };
            let mut parts: Vec<Place> = (1..=of)
                .flat_map(|index| places(&Wish { shard: Some(Shard { index, of }), ..all.clone() }))
                .collect();
            parts.sort();
            prop_assert_eq!(parts, places(&all));
            // And so is the minimum.
            let owed = |shard| {
                let wish = Wish { shard, ..all.clone() };
                Agenda::new([("x".to_owned(), wish)], Some(S)).shares().map(|(_, _, minimum)| minimum).sum::<u64>()
            };
            prop_assert_eq!((1..=of).map(|index| owed(Some(Shard { index, of }))).sum::<u64>(), owed(None));
        }
    }

    #[test]
    fn shards_are_about_as_large_as_one_another() {
        for index in 1..=4 {
            let shard = Shard { index, of: 4 };
            let mine = (0..4_000).filter(|seed| shard.has("steady-fanout", *seed)).count();
            assert!((900..1_100).contains(&mine), "{mine}");
        }
    }
}
