//! Planted bugs that prove the checkers: wrong implementations of the proxy's policies, and wrong configurations of it.
//!
//! Nothing of them is in the shipped proxy: they are values handed to `proxy::serve_with` at run time. Each names the checkers that must blame it (one of
//! them at least, in each seed) and those that may; a blame on anyone else is a checker's mistake. Many are bugs that real proxies had.

mod answers;
mod frames;
mod life;
mod messages;
pub mod proof;
mod queues;
mod rare;
mod rules;
mod world;

use proxy::{Config, Policies};
use reports::gate::{Change, Gate};
use reports::record::Verdict;

use self::proof::Proof;
use crate::campaign::Job;
use crate::engine::{Look, Options};
use crate::model::{Engine, Scenario};

pub(crate) use self::world::{Wrong, WrongWorld};

/// One planted bug.
#[derive(Clone, Copy)]
pub struct Mutant {
    /// In kebab-case.
    pub name: &'static str,
    /// What is wrong with the proxy.
    pub about: &'static str,
    /// The scenario of the catalogue that brings it to light.
    pub scenario: &'static str,
    /// Checkers of which one at least must blame it.
    pub must: &'static [&'static str],
    /// Checkers that may blame it, too.
    pub may: &'static [&'static str],
    /// The order of ready tasks in which it shows, see [`sim::Order::numbered`]; 0: first come, first served.
    pub order: u64,
    /// Plants it.
    pub plant: fn(&mut Policies, Config) -> Config,
}

impl std::fmt::Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mutant({})", self.name)
    }
}

/// Who blamed a mutant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Checkers of its `must` set that blamed it in every run.
    pub caught: Vec<String>,
    /// Runs in which one of its `must` set blamed it, whichever.
    pub seen: u64,
    /// Runs.
    pub runs: u64,
    /// Checkers outside of `must` and `may` that blamed it.
    pub wrongly: Vec<String>,
}

impl Mutant {
    /// What is wrong with the world that its proxy runs in, if that is the bug.
    pub(crate) fn world(&self) -> Option<Wrong> {
        world::WORLDS.iter().find(|(name, _)| *name == self.name).map(|(_, wrong)| *wrong)
    }

    /// Whether it breaks nothing, and only drifts: what must see it are metrics, held against a baseline.
    #[must_use]
    pub fn drifts(&self) -> bool {
        DRIFTS.iter().any(|drift| drift.name == self.name)
    }

    /// The metrics of its `must` set that are worse than a baseline.
    #[must_use]
    pub fn worse(&self, gate: &Gate) -> Vec<String> {
        let found = gate.scenarios.iter().flat_map(|compared| &compared.differences);
        found
            .filter(|found| found.change == Change::Worse && self.must.contains(&found.metric.as_str()))
            .map(|found| found.metric.clone())
            .collect()
    }

    /// A run of its scenario, which is handed in, with the bug planted. The events are kept: the campaign would run a failing run a second time to have them.
    #[must_use]
    pub fn job(&'static self, scenario: Scenario, text: String, seed: u64) -> Job {
        let options = Options { engine: Engine::Sim, mutant: Some(self), order: self.order, keep_events: true };
        Job { scenario, text, seed, options, service_time: None, pcap: None, trace: false, look: Look::default() }
    }

    /// Sorts the blame of some runs with this bug planted.
    #[must_use]
    pub fn judge<'v>(&self, verdicts: impl IntoIterator<Item = &'v Verdict>) -> Judged {
        let Proof { runs, blame, caught: seen, wrongly, .. } = Proof::of(self, verdicts);
        let always = |name: &&&str| runs > 0 && blame.get(**name) == Some(&runs);
        let caught = self.must.iter().filter(always).map(|name| (*name).to_owned()).collect();
        Judged { caught, seen, runs, wrongly: wrongly.into_keys().collect() }
    }
}

/// No mutant has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown mutant {name:?}{}; see `windtunnel mutants`", suggestion.map(|known| format!("; did you mean {known:?}?")).unwrap_or_default())]
pub struct Unknown {
    /// What was asked for.
    pub name: String,
    /// What was probably meant.
    pub suggestion: Option<&'static str>,
}

/// The mutant with this name.
///
/// # Errors
/// [`Unknown`], with the nearest name.
pub fn find(name: &str) -> Result<&'static Mutant, Unknown> {
    let all = || ALL.iter().chain(DRIFTS).chain(rare::ALL);
    all().find(|mutant| mutant.name == name).ok_or_else(|| {
        let nearest = all().map(|mutant| (strsim::damerau_levenshtein(name, mutant.name), mutant.name)).min();
        Unknown {
            name: name.to_owned(),
            suggestion: nearest.filter(|(distance, _)| *distance <= 4).map(|(_, known)| known),
        }
    })
}

/// All that break an invariant.
#[must_use]
pub fn all() -> &'static [Mutant] {
    ALL
}

/// Those that break an invariant in one lawful world in many, and in no scenario of the catalogue: [`Mutant::scenario`] is the nearest.
#[must_use]
pub fn rare() -> &'static [Mutant] {
    rare::ALL
}

/// Those that break none, and make something worse: their `must` names metrics that a baseline must show to be worse.
#[must_use]
pub fn drifts() -> &'static [Mutant] {
    DRIFTS
}

const DRIFTS: &[Mutant] = &[
    Mutant {
        name: "notices-a-fifth-later",
        about: "A source's silence is noticed after 1.2 times what the configuration says: every bound holds, and each failover from silence takes a fifth longer.",
        scenario: "upstream-silent-stall",
        must: &["failover_outage_us_p50"],
        may: &[],
        order: 0,
        plant: rules::notices_a_fifth_later,
    },
    Mutant {
        name: "dials-a-fifth-slower",
        about: "The proxy dials a fifth fewer clients of a lost instance a second: the last of them waits a fifth longer for its next source.",
        scenario: "relay-dial-storm",
        must: &["failover_outage_us_max"],
        may: &[],
        order: 0,
        plant: rules::dials_a_fifth_slower,
    },
];

const ALL: &[Mutant] = &[
    Mutant {
        name: "swaps-neighbours",
        about: "Now and then a client's queue hands out a symbol's newer message before the older one.",
        scenario: "steady-fanout",
        must: &["symbol-order"],
        may: &["metrics-truth", "no-silent-gap"],
        order: 0,
        plant: queues::swaps_neighbours,
    },
    Mutant {
        name: "repeats-a-message",
        about: "Every two-hundredth message of a client is queued twice.",
        scenario: "steady-fanout",
        must: &["no-duplicates"],
        may: &["symbol-order", "no-silent-gap"],
        order: 0,
        plant: queues::repeats,
    },
    Mutant {
        name: "counts-what-nobody-gets",
        about: "Every fifth message of a client is counted twice as forwarded, and written once.",
        scenario: "steady-fanout",
        must: &["metrics-truth"],
        may: &["no-silent-gap"],
        order: 0,
        plant: queues::counts_what_nobody_gets,
    },
    Mutant {
        name: "skips-silently",
        about: "Every two-hundredth message of a client vanishes, uncounted and untold: what a lagging broadcast channel does that resubscribes by itself.",
        scenario: "steady-fanout",
        must: &["no-silent-gap"],
        may: &["metrics-truth"],
        order: 0,
        plant: queues::skips,
    },
    Mutant {
        name: "repeats-the-snapshot-after-a-failover",
        about: "If the leg changes between a client's snapshot and its first live message, the snapshot comes once more, as live.",
        scenario: "crash-after-snapshot",
        must: &["no-duplicates", "snapshot-then-live"],
        may: &[],
        order: 0,
        plant: queues::repeats_the_snapshot_after_a_failover,
    },
    Mutant {
        name: "trusts-the-first-source",
        about: "Of two sources, what the first one sends is passed on unseen, for its leg comes first: so it does at each instant, first come, first served, and in no other order.",
        scenario: "hot-twins",
        must: &["no-duplicates"],
        may: &["symbol-order", "no-silent-gap"],
        order: 1,
        plant: rules::trusts_the_first_source,
    },
    Mutant {
        name: "sends-all-to-all",
        about: "Every client gets every symbol, asked for or not.",
        scenario: "upstream-crash-mid-fanout",
        must: &["no-leakage"],
        may: &["no-silent-gap", "symbol-order"],
        order: 0,
        plant: rules::sends_all_to_all,
    },
    Mutant {
        name: "changes-a-digit",
        about: "One digit of every hundredth price is another.",
        scenario: "steady-fanout",
        must: &["payload-intact"],
        may: &[],
        order: 0,
        plant: queues::changes_a_digit,
    },
    Mutant {
        name: "invents-a-tick",
        about: "In the place of every two-hundredth message of a client stands a tick, whole and well formed, that no source has sent.",
        scenario: "steady-fanout",
        must: &["payload-intact"],
        may: &["symbol-order", "no-silent-gap", "delivery-latency", "no-duplicates", "latency-fairness"],
        order: 0,
        plant: queues::invents_a_tick,
    },
    Mutant {
        name: "serves-some-last",
        about: "Every tenth client gets one round of messages in twenty late, with the next: too few to be seen in the whole.",
        scenario: "steady-fanout",
        must: &["latency-fairness"],
        may: &[],
        order: 0,
        plant: queues::serves_some_last,
    },
    Mutant {
        name: "waits-for-company",
        about: "A client's messages wait until forty are there.",
        scenario: "steady-fanout",
        must: &["delivery-latency"],
        may: &["convergence", "no-silent-gap", "client-memory", "latency-fairness"],
        order: 0,
        plant: queues::waits_for_company,
    },
    Mutant {
        name: "trusts-silence",
        about: "A source that says nothing any more is taken to have nothing to say.",
        scenario: "upstream-silent-stall",
        must: &["failover-time"],
        may: &["recovery", "convergence", "delivery-latency", "no-client-close", "upstream-connections"],
        order: 0,
        plant: rules::trusts_silence,
    },
    Mutant {
        name: "closes-clients-at-failover",
        about: "When the source changes, the clients are closed and may come again: what every tunnelling proxy does.",
        scenario: "upstream-crash-mid-fanout",
        must: &["no-client-close"],
        may: &["recovery", "failover-time", "convergence", "no-silent-gap", "client-memory"],
        order: 0,
        plant: queues::closes_at_failover,
    },
    Mutant {
        name: "one-source-at-a-time",
        about: "Of the sources that should be consumed at once, one is; the next is dialled when it has died.",
        scenario: "hot-sources-crash",
        must: &["no-loss"],
        may: &[],
        order: 0,
        plant: rules::one_source_at_a_time,
    },
    Mutant {
        name: "passes-both-copies",
        about: "What two sources at once bring is passed on as it comes, each tick twice.",
        scenario: "hot-sources-crash",
        must: &["no-duplicates"],
        may: &["symbol-order", "no-silent-gap", "no-loss", "convergence"],
        order: 0,
        plant: rules::passes_both_copies,
    },
    Mutant {
        name: "lets-a-client-hold-its-source",
        about: "A source is read no faster than a client takes what it says: the one that stalls holds up what the source sends.",
        scenario: "slow-consumers",
        must: &["metrics-truth"],
        may: &[
            "upstream-connections",
            "no-silent-gap",
            "client-memory",
            "slow-policy",
            "convergence",
            "isolation",
            "no-client-close",
            "symbol-order",
        ],
        order: 0,
        plant: rules::one_leg_for_each_client,
    },
    Mutant {
        name: "one-leg-for-each-client",
        about: "Fan-out is not done: each client gets a connection to the source of its own.",
        scenario: "steady-fanout",
        must: &["upstream-connections"],
        may: &["no-silent-gap", "delivery-latency", "no-client-close", "symbol-order", "convergence"],
        order: 0,
        plant: rules::one_leg_for_each_client,
    },
    Mutant {
        name: "gives-back-at-once",
        about: "A symbol is given back to the source as soon as its last client leaves: each client that comes and goes costs the source two requests.",
        scenario: "come-and-go",
        must: &["subscription-dedup"],
        may: &["snapshot-then-live"],
        order: 0,
        plant: rules::gives_back_at_once,
    },
    Mutant {
        name: "never-gives-back",
        about: "What was once subscribed to stays subscribed for ever.",
        scenario: "come-and-go",
        must: &["subscription-dedup"],
        may: &[],
        order: 0,
        plant: rules::never_gives_back,
    },
    Mutant {
        name: "asks-two-sources",
        about: "Two sources are asked for what one is to deliver.",
        scenario: "come-and-go",
        must: &["subscription-dedup"],
        may: &["upstream-connections"],
        order: 0,
        plant: rules::asks_two_sources,
    },
    Mutant {
        name: "accepts-before-the-source",
        about: "A subscription is acknowledged as soon as it comes, whatever the source will say.",
        scenario: "v2-denials",
        must: &["subscription-answers"],
        may: &["no-leakage"],
        order: 0,
        plant: answers::accepts_at_once,
    },
    Mutant {
        name: "tells-everybody-of-denials",
        about: "What the source denies to one client is told to all.",
        scenario: "v2-denials",
        must: &["subscription-answers"],
        may: &[],
        order: 0,
        plant: answers::tells_everybody,
    },
    Mutant {
        name: "keeps-a-change-to-itself",
        about: "When the next source says otherwise, clients are not told: what was denied comes, and what was accepted does not.",
        scenario: "v2-denials",
        must: &["no-leakage", "subscription-answers"],
        may: &["recovery"],
        order: 0,
        plant: answers::keeps_changes,
    },
    Mutant {
        name: "believes-one-source",
        about: "Of several sources that answer a subscription, the word of one is taken for that of all.",
        scenario: "v2-hot-denials",
        must: &["subscription-answers"],
        may: &["no-leakage"],
        order: 0,
        plant: answers::believes_one_source,
    },
    Mutant {
        name: "lets-the-old-leg-through",
        about: "One message of each symbol that waits from the old leg is written after the first of the new one.",
        scenario: "sharded-sources-crash",
        must: &["symbol-order"],
        may: &["no-silent-gap", "no-duplicates"],
        order: 0,
        plant: queues::lets_the_old_leg_through,
    },
    Mutant {
        name: "loses-the-snapshot",
        about: "Who subscribes waits for the next tick, though the newest value is there.",
        scenario: "come-and-go",
        must: &["snapshot-then-live"],
        may: &[],
        order: 0,
        plant: queues::loses_the_snapshot,
    },
    Mutant {
        name: "replays-a-part",
        about: "A resume is granted in full, and every other message of it is lost.",
        scenario: "come-and-go",
        must: &["resume-all-or-nothing"],
        may: &[],
        order: 0,
        plant: queues::replays_a_part,
    },
    Mutant {
        name: "takes-a-strangers-stamps",
        about: "Epochs count from 1 in each proxy: a client that comes from another is taken for one that was here, and gets what bears the same number.",
        scenario: "resume-elsewhere",
        must: &["resume-all-or-nothing"],
        may: &["no-silent-gap", "symbol-order", "no-duplicates", "snapshot-then-live"],
        order: 0,
        plant: rules::takes_a_strangers_stamps,
    },
    Mutant {
        name: "always-the-first",
        about: "The first healthy instance gets every connection.",
        scenario: "relay-balance",
        must: &["even-spread"],
        may: &[],
        order: 0,
        plant: rules::always_the_first,
    },
    Mutant {
        name: "counts-up-only",
        about: "The balancer goes by counts of its own, and forgets to count down when a connection ends: what a gateway's least_conn did.",
        scenario: "relay-balance",
        must: &["even-spread"],
        may: &[],
        order: 0,
        plant: rules::counts_up_only,
    },
    Mutant {
        name: "fills-at-once",
        about: "An instance that has just come up gets every new connection until it carries as many as the others.",
        scenario: "relay-scale-out",
        must: &["slow-start"],
        may: &[],
        order: 0,
        plant: rules::fills_at_once,
    },
    Mutant {
        name: "believes-the-mute",
        about: "An instance that lets everyone in and answers pings is taken to be well, whatever its siblings deliver.",
        scenario: "relay-mute-instances",
        must: &["first-tick"],
        may: &["recovery", "convergence", "failover-time"],
        order: 0,
        plant: rules::believes_the_mute,
    },
    Mutant {
        name: "never-panics",
        about: "Instances that are left out stay so, however few are left.",
        scenario: "relay-panic",
        must: &["failover-time"],
        may: &["recovery", "convergence", "no-client-close", "no-silent-gap"],
        order: 0,
        plant: rules::never_panics,
    },
    Mutant {
        name: "knows-no-cap",
        about: "An instance gets every client that comes.",
        scenario: "relay-full",
        must: &["upstream-caps"],
        may: &["upstream-connections"],
        order: 0,
        plant: rules::knows_no_cap,
    },
    Mutant {
        name: "lets-them-wait",
        about: "The line before full instances has no end, neither in length nor in time.",
        scenario: "relay-full",
        must: &["upstream-caps"],
        may: &["first-tick"],
        order: 0,
        plant: rules::lets_them_wait,
    },
    Mutant {
        name: "moves-all-at-once",
        about: "All clients of a lost instance are dialled to the next in the same instant.",
        scenario: "relay-dial-storm",
        must: &["upstream-dials"],
        may: &[],
        order: 0,
        plant: rules::moves_all_at_once,
    },
    Mutant {
        name: "redials-at-once",
        about: "What failed is dialled again without a pause, after an orderly close too.",
        scenario: "fleet-outage",
        must: &["upstream-dials"],
        may: &[],
        order: 0,
        plant: rules::redials_at_once,
    },
    Mutant {
        name: "retries-every-3s",
        about: "What failed is dialled again after exactly three seconds: a whole fleet that fails together comes back together, each time.",
        scenario: "fleet-outage",
        must: &["upstream-dials"],
        may: &[],
        order: 0,
        plant: rules::retries_every_3s,
    },
    Mutant {
        name: "forgets-its-failures",
        about: "Each failure is waited for as if it were the first: the delays do not grow.",
        scenario: "fleet-outage",
        must: &["upstream-dials"],
        may: &[],
        order: 0,
        plant: rules::forgets_its_failures,
    },
    Mutant {
        name: "sleeps-through-the-recovery",
        about: "What failed is dialled again after 25 seconds, however soon it is back.",
        scenario: "fleet-outage",
        must: &["recovery"],
        may: &["upstream-dials", "convergence", "no-silent-gap"],
        order: 0,
        plant: rules::sleeps_through_the_recovery,
    },
    Mutant {
        name: "rebalances-at-once",
        about: "All symbols of an instance that joins are moved to it in one instant.",
        scenario: "sharded-scale-out",
        must: &["gentle-rebalance"],
        may: &[],
        order: 0,
        plant: rules::rebalances_at_once,
    },
    Mutant {
        name: "hardly-rebalances",
        about: "An instance that joins gets one symbol a second, and is idle for long.",
        scenario: "sharded-scale-out",
        must: &["gentle-rebalance"],
        may: &[],
        order: 0,
        plant: rules::hardly_rebalances,
    },
    Mutant {
        name: "queues-without-bound",
        about: "A slow client's queue grows for as long as the client is slow.",
        scenario: "slow-consumers",
        must: &["client-memory"],
        may: &["convergence", "isolation"],
        order: 0,
        plant: queues::without_bound,
    },
    Mutant {
        name: "keeps-what-is-old",
        about: "A client that is behind gets everything in its turn, as far as its queue reaches, and not the newest.",
        scenario: "slow-consumers-conflated",
        must: &["staleness"],
        may: &["fair-turns"],
        order: 0,
        plant: rules::drops_the_oldest,
    },
    Mutant {
        name: "starves-a-symbol",
        about: "With a client that was behind, one symbol has a turn in ten; what it loses is counted and told.",
        scenario: "slow-consumers-conflated",
        must: &["fair-turns"],
        may: &[],
        order: 0,
        plant: queues::starves_a_symbol,
    },
    Mutant {
        name: "drowns-the-rare",
        about: "A client that is behind loses the oldest message, whosesoever: those of rare symbols go down in the flood of a hot one.",
        scenario: "hot-symbol",
        must: &["fair-turns"],
        may: &["staleness"],
        order: 0,
        plant: rules::drops_the_oldest,
    },
    Mutant {
        name: "serves-the-hot-first",
        about: "A message of a rare symbol waits until the hot one has had its next four.",
        scenario: "hot-symbol",
        must: &["symbol-fairness"],
        may: &[],
        order: 0,
        plant: queues::serves_the_hot_first,
    },
    Mutant {
        name: "drops-instead-of-closing",
        about: "A client that is too slow is kept, and loses messages, where it should have been closed.",
        scenario: "slow-consumers-disconnected",
        must: &["slow-policy"],
        may: &[],
        order: 0,
        plant: rules::drops_the_oldest,
    },
    Mutant {
        name: "closes-instead-of-dropping",
        about: "A client that is too slow is closed, where it should have lost messages.",
        scenario: "slow-consumers",
        must: &["slow-policy"],
        may: &["no-client-close", "metrics-truth"],
        order: 0,
        plant: rules::disconnects,
    },
    Mutant {
        name: "never-frees",
        about: "A byte in a hundred messages stays counted as queued when its client is long gone.",
        scenario: "everyone-leaves",
        must: &["nothing-leaks"],
        may: &[],
        order: 0,
        plant: queues::never_frees,
    },
    Mutant {
        name: "keeps-a-task-for-each-leg",
        about: "A task is begun for each leg, and waits for ever once its leg is gone: no gauge of the proxy's own counts it.",
        scenario: "upstream-crash-mid-fanout",
        must: &["host-leaks"],
        may: &[],
        order: 0,
        plant: world::nothing_else,
    },
    Mutant {
        name: "keeps-the-socket-of-each-leg",
        about: "The socket of a leg that is given up is never closed: after enough failovers the proxy has no descriptor left.",
        scenario: "upstream-silent-stall",
        must: &["host-leaks"],
        may: &["upstream-connections", "no-silent-gap", "subscription-dedup"],
        order: 0,
        plant: world::nothing_else,
    },
    Mutant {
        name: "slow-client-holds-all",
        about: "While one client's queue is full, the others' messages wait, too.",
        scenario: "slow-consumers",
        must: &["isolation"],
        may: &["delivery-latency", "convergence", "client-memory", "no-silent-gap", "failover-time"],
        order: 0,
        plant: queues::slow_client_holds_all,
    },
    Mutant {
        name: "forgets-a-symbol",
        about: "After the source changed, one symbol is dropped for good; the drops are counted and told.",
        scenario: "upstream-crash-mid-fanout",
        must: &["convergence"],
        may: &["recovery", "failover-time", "no-silent-gap"],
        order: 0,
        plant: queues::forgets_a_symbol,
    },
    Mutant {
        name: "keeps-the-epoch",
        about: "The numbers of a symbol begin again with a new source, but the epoch stays.",
        scenario: "upstream-crash-mid-fanout",
        must: &["symbol-order", "no-duplicates"],
        may: &["no-silent-gap"],
        order: 0,
        plant: rules::keeps_the_epoch,
    },
    Mutant {
        name: "turns-back-time",
        about: "What a new source brings is passed on, also where the clients have had it, and newer, from the one before.",
        scenario: "lagging-replica",
        must: &["no-duplicates"],
        may: &["symbol-order", "no-silent-gap"],
        order: 0,
        plant: rules::turns_back_time,
    },
    Mutant {
        name: "lets-everyone-in",
        about: "The limit on clients is not looked at.",
        scenario: "connection-flood",
        must: &["admission"],
        may: &["delivery-latency", "convergence", "no-client-close", "isolation"],
        order: 0,
        plant: rules::lets_everyone_in,
    },
    Mutant {
        name: "drains-all-at-once",
        about: "A drain closes everyone in the same instant: they all come back in the next.",
        scenario: "rolling-restart",
        must: &["drain"],
        may: &[],
        order: 0,
        plant: life::drains_all_at_once,
    },
    Mutant {
        name: "keeps-its-doors-open",
        about: "A proxy that drains lets everyone in who comes, for half a second longer than it may.",
        scenario: "drain-in-mid-burst",
        must: &["drain"],
        may: &[],
        order: 0,
        plant: life::keeps_its_doors_open,
    },
    Mutant {
        name: "says-another-code",
        about: "Who is sent away by a drain is told that the proxy goes for good.",
        scenario: "drain-in-mid-burst",
        must: &["drain"],
        may: &[],
        order: 0,
        plant: life::says_another_code,
    },
    Mutant {
        name: "cuts-instead-of-closing",
        about: "A drain cuts the connections of whoever is still there when its grace is over.",
        scenario: "drain-in-mid-burst",
        must: &["drain"],
        may: &[],
        order: 0,
        plant: life::cuts_instead_of_closing,
    },
    Mutant {
        name: "leaves-what-waits",
        about: "Who is sent away by a drain does not get what its queue holds.",
        scenario: "drain-in-mid-burst",
        must: &["drain"],
        may: &["convergence", "no-silent-gap"],
        order: 0,
        plant: queues::waits_for_company,
    },
    Mutant {
        name: "keeps-the-old-limit",
        about: "A reload says yes, and who comes next meets the limit with which the proxy was started.",
        scenario: "reload-in-mid-burst",
        must: &["reload"],
        may: &[],
        order: 0,
        plant: life::keeps_the_old_limit,
    },
    Mutant {
        name: "closes-clients-at-reload",
        about: "A reload closes who is inside, for the new configuration is for new clients: what proxies do that start anew.",
        scenario: "reload-in-mid-burst",
        must: &["reload"],
        may: &["no-client-close", "no-silent-gap"],
        order: 0,
        plant: life::closes_clients_at_reload,
    },
    Mutant {
        name: "reads-when-it-has-written",
        about: "A client is not read while something waits for it: its pings wait behind all that it does not take, and so does its farewell.",
        scenario: "clients-that-never-pong",
        must: &["ping-pong"],
        may: &["no-client-close", "convergence"],
        order: 0,
        plant: life::reads_when_it_has_written,
    },
    Mutant {
        name: "waits-for-ever-for-pongs",
        about: "Who answers no ping is kept.",
        scenario: "clients-that-never-pong",
        must: &["ping-pong"],
        may: &[],
        order: 0,
        plant: life::waits_for_ever_for_pongs,
    },
    Mutant {
        name: "gives-up-at-once",
        about: "Who answers no ping is given up a moment after it was pinged.",
        scenario: "clients-that-never-pong",
        must: &["ping-pong"],
        may: &["no-client-close", "convergence"],
        order: 0,
        plant: life::gives_up_at_once,
    },
    Mutant {
        name: "one-code-for-all",
        about: "Every mistake of a client is answered with 1002.",
        scenario: "malformed-frames",
        must: &["strictness"],
        may: &[],
        order: 0,
        plant: life::one_code_for_all,
    },
    Mutant {
        name: "holds-what-is-too-big",
        about: "A message is taken however big it is.",
        scenario: "oversized-messages",
        must: &["strictness"],
        may: &[],
        order: 0,
        plant: life::holds_what_is_too_big,
    },
    Mutant {
        name: "takes-any-key",
        about: "The keys that clients present are not looked at.",
        scenario: "wrong-keys",
        must: &["strictness"],
        may: &["subscription-dedup"],
        order: 0,
        plant: life::takes_any_key,
    },
    Mutant {
        name: "takes-any-origin",
        about: "Where a browser comes from is not looked at.",
        scenario: "origin-refused",
        must: &["strictness"],
        may: &["upstream-connections"],
        order: 0,
        plant: life::takes_any_origin,
    },
    Mutant {
        name: "waits-for-handshakes",
        about: "A handshake may take as long as it likes.",
        scenario: "slow-handshakes",
        must: &["handshake-bounds"],
        may: &["convergence"],
        order: 0,
        plant: life::waits_for_handshakes,
    },
    Mutant {
        name: "counts-no-handshakes",
        about: "As many handshakes are under way as there are connections.",
        scenario: "slow-handshakes",
        must: &["handshake-bounds"],
        may: &[],
        order: 0,
        plant: life::counts_no_handshakes,
    },
    Mutant {
        name: "takes-any-number-of-requests",
        about: "A client may ask as often as it likes.",
        scenario: "asks-too-often",
        must: &["quota"],
        may: &["delivery-latency"],
        order: 0,
        plant: life::takes_any_number_of_requests,
    },
    Mutant {
        name: "closes-askers-with-another-code",
        about: "Who asks too often is told to come again later.",
        scenario: "asks-too-often",
        must: &["quota"],
        may: &[],
        order: 0,
        plant: life::closes_askers_with_another_code,
    },
    Mutant {
        name: "shows-what-was-given-up",
        about: "Now and then a client gets once more what it had last of a symbol that it has given up.",
        scenario: "resubscribing-in-a-loop",
        must: &["no-leakage"],
        may: &["no-duplicates", "symbol-order", "no-silent-gap", "snapshot-then-live", "metrics-truth"],
        order: 0,
        plant: life::shows_what_was_given_up,
    },
    Mutant {
        name: "passes-garbage-on",
        about: "What a source sends that cannot be read goes to the subscribers of a symbol.",
        scenario: "garbage-from-a-source",
        must: &["payload-intact"],
        may: &["no-silent-gap"],
        order: 0,
        plant: life::passes_garbage_on,
    },
    Mutant {
        name: "reads-the-head-only",
        about: "A message that begins like a tick is taken for one, whether it ends like one or not.",
        scenario: "garbage-from-a-source",
        must: &["payload-intact"],
        may: &["no-silent-gap"],
        order: 0,
        plant: life::reads_the_head_only,
    },
    Mutant {
        name: "ends-the-leg-over-garbage",
        about: "The first message of a source that cannot be read ends the leg.",
        scenario: "garbage-from-a-source",
        must: &["no-loss"],
        may: &[],
        order: 0,
        plant: life::ends_the_leg_over_garbage,
    },
    Mutant {
        name: "forgets-the-preamble",
        about: "A client of a relay whose source is lost is moved to another, which is told nothing of what the client asked for.",
        scenario: "relay-goes-on",
        must: &["preamble"],
        may: &["failover-time", "first-tick", "no-client-close", "convergence", "recovery"],
        order: 0,
        plant: life::forgets_the_preamble,
    },
    Mutant {
        name: "says-the-preamble-twice",
        about: "The instance that a client of a relay is moved to hears its subscription twice.",
        scenario: "relay-goes-on",
        must: &["preamble"],
        may: &[],
        order: 0,
        plant: life::says_the_preamble_twice,
    },
    Mutant {
        name: "rewrites-codes",
        about: "Whatever a source closes with, its client is told 1000.",
        scenario: "relay-close-codes",
        must: &["close-codes"],
        may: &[],
        order: 0,
        plant: life::rewrites_codes,
    },
    Mutant {
        name: "hides-the-end",
        about: "A source that ends a session is taken to leave: the client is moved to the next, which ends it, too.",
        scenario: "relay-close-codes",
        must: &["close-codes"],
        may: &[],
        order: 0,
        plant: life::hides_the_end,
    },
    Mutant {
        name: "passes-departures-on",
        about: "A source that leaves takes its clients along.",
        scenario: "relay-close-codes",
        must: &["close-codes"],
        may: &["no-client-close", "failover-time", "convergence"],
        order: 0,
        plant: life::passes_departures_on,
    },
    Mutant {
        name: "spoils-a-byte-beyond-64-kib",
        about: "In messages that are longer than 64 KiB the byte at that place is another: a place that is counted in 16 bits somewhere.",
        scenario: "large-messages",
        must: &["payload-intact"],
        may: &[],
        order: 0,
        plant: messages::spoils_a_byte,
    },
    Mutant {
        name: "drops-half-a-message",
        about: "Of a message that a slow client's queue holds when a newer one comes, the second half gives way to that of the newer one.",
        scenario: "large-messages",
        must: &["payload-intact"],
        may: &["no-silent-gap", "symbol-order", "no-duplicates", "convergence"],
        order: 0,
        plant: messages::drops_half_a_message,
    },
    Mutant {
        name: "loses-the-last-fragment",
        about: "Of a message in several frames the last one is lost, and the message is over with the one before.",
        scenario: "fragmented-messages",
        must: &["no-loss"],
        may: &["no-silent-gap", "convergence"],
        order: 0,
        plant: world::nothing_else,
    },
    Mutant {
        name: "takes-a-fragment-for-all",
        about: "The first frame of a message is taken for the whole, and the rest of it for nothing.",
        scenario: "fragmented-messages",
        must: &["no-loss"],
        may: &["no-silent-gap", "convergence"],
        order: 0,
        plant: world::nothing_else,
    },
    Mutant {
        name: "starts-anew-after-a-ping",
        about: "A ping between two frames of a message ends it: what came before is forgotten.",
        scenario: "fragmented-messages",
        must: &["no-loss"],
        may: &["no-silent-gap", "convergence"],
        order: 0,
        plant: world::nothing_else,
    },
    Mutant {
        name: "mixes-fragments",
        about: "A frame in the middle of a message is that of another message, as the buffer was given back too soon.",
        scenario: "relay-conversations",
        must: &["no-leakage"],
        may: &["payload-intact"],
        order: 0,
        plant: world::nothing_else,
    },
    Mutant {
        name: "passes-on-what-is-too-big",
        about: "What a source sends is taken, and handed on, however large it is.",
        scenario: "oversized-from-a-source",
        must: &["strictness"],
        may: &["payload-intact", "no-silent-gap", "symbol-order", "no-duplicates"],
        order: 0,
        plant: messages::passes_on_what_is_too_big,
    },
    Mutant {
        name: "closes-clients-over-a-large-message",
        about: "A leg that ends as its source sent too much takes all clients along.",
        scenario: "oversized-from-a-source",
        must: &["no-client-close"],
        may: &["convergence", "no-silent-gap"],
        order: 0,
        plant: queues::closes_at_failover,
    },
    Mutant {
        name: "panics",
        about: "The proxy panics at the ten-thousandth message.",
        scenario: "steady-fanout",
        must: &["programs-live"],
        may: &["convergence", "no-client-close", "delivery-latency", "no-silent-gap"],
        order: 0,
        plant: queues::panics,
    },
];
