//! The `[check]` table: its keys, and which objectives a scenario can check at all. One that cannot be checked would never be more than inconclusive, and
//! one that cannot fail would be green for nothing.

mod life;

use super::format::{Choice, Key, Kind, Table, Without};
use super::meaning::Rules;
use super::meaning::reach::{has_slow, hits_source};
use crate::check::Objectives;
use crate::model::{Consumed, ProxyMode, Reader, SlowClient, SourceMode};
use crate::span::Span;

const HOUR_US: u64 = 3_600_000_000;

const CHECKED_MIN: Key = Key {
    name: "checked-min",
    kind: Kind::Whole(1, u64::MAX),
    without: Without::Default("1"),
    about: "Fewer real checks make it inconclusive.",
};

const fn key(name: &'static str, kind: Kind, without: Without, about: &'static str) -> Key {
    Key { name, kind, without, about }
}

const fn objective(name: &'static str, table: &'static Table) -> Key {
    key(name, Kind::Table(table), Without::Means("not watched"), table.about)
}

/// What must hold.
pub static CHECK: Table = Table {
    about: "What must hold. Each key present is an invariant to watch; `name = {}` watches one that needs no bound.",
    keys: &[
        objective(
            "symbol-order",
            &Table { about: "Ticks of a symbol reach a session in order.", keys: &[CHECKED_MIN] },
        ),
        objective("no-duplicates", &Table { about: "No tick reaches a session twice.", keys: &[CHECKED_MIN] }),
        objective(
            "no-silent-gap",
            &Table {
                about: "Each missing tick is told of (strong clients) or charged to a cause (plain ones).",
                keys: &[CHECKED_MIN],
            },
        ),
        objective("no-loss", &Table { about: "No tick is missing, told or not.", keys: &[CHECKED_MIN] }),
        objective("no-leakage", &Table { about: "Clients get only what they asked for.", keys: &[CHECKED_MIN] }),
        objective(
            "payload-intact",
            &Table { about: "Payloads are the source's, byte for byte, and none is invented.", keys: &[CHECKED_MIN] },
        ),
        objective(
            "snapshot-then-live",
            &Table {
                about: "Strong clients that subscribe get the newest value first, and then what happens.",
                keys: &[CHECKED_MIN],
            },
        ),
        objective(
            "resume-all-or-nothing",
            &Table {
                about: "A resume is served in full or not at all, and the client is told which.",
                keys: &[CHECKED_MIN],
            },
        ),
        objective("subscription-dedup", &SUBSCRIPTION_DEDUP),
        objective("subscription-answers", &SUBSCRIPTION_ANSWERS),
        objective("delivery-latency", &DELIVERY_LATENCY),
        objective("staleness", &STALENESS),
        objective("latency-fairness", &LATENCY_FAIRNESS),
        objective("symbol-fairness", &SYMBOL_FAIRNESS),
        objective("fair-turns", &FAIR_TURNS),
        objective("failover-time", &FAILOVER_TIME),
        objective("first-tick", &FIRST_TICK),
        objective("no-client-close", &NO_CLIENT_CLOSE),
        objective("upstream-connections", &UPSTREAM_CONNECTIONS),
        objective("upstream-caps", &UPSTREAM_CAPS),
        objective("upstream-dials", &UPSTREAM_DIALS),
        objective("even-spread", &EVEN_SPREAD),
        objective("slow-start", &SLOW_START),
        objective("gentle-rebalance", &GENTLE_REBALANCE),
        objective("client-memory", &CLIENT_MEMORY),
        objective(
            "slow-policy",
            &Table {
                about: "A full queue has the outcome that `proxy.slow-client` says, and no other.",
                keys: &[CHECKED_MIN],
            },
        ),
        objective("nothing-leaks", &NOTHING_LEAKS),
        objective(
            "metrics-truth",
            &Table {
                about: "What the proxy counts is what sources and clients saw. For one proxy.",
                keys: &[CHECKED_MIN],
            },
        ),
        objective("isolation", &ISOLATION),
        objective("convergence", &CONVERGENCE),
        objective("recovery", &RECOVERY),
        objective("host-leaks", &HOST_LEAKS),
        objective("admission", &ADMISSION),
        objective("drain", &life::DRAIN),
        objective("reload", &life::RELOAD),
        objective("ping-pong", &life::PING_PONG),
        objective("strictness", &life::STRICTNESS),
        objective("handshake-bounds", &life::HANDSHAKE_BOUNDS),
        objective("quota", &life::QUOTA),
        objective("preamble", &life::PREAMBLE),
        objective("close-codes", &life::CLOSE_CODES),
    ],
};

const QUANTILE: [Key; 5] = [
    key("quantile", Kind::Number(0.001, 1.0), Without::Wrong, "Which quantile: `0.99`."),
    key("at-most", Kind::Span(1, HOUR_US), Without::Wrong, "The bound on it."),
    key("samples-min", Kind::Whole(1, u64::MAX), Without::Default("1000"), "Fewer samples make it inconclusive."),
    key("from-phase", Kind::OneOf(FROM_PHASE), Without::Default("\"steady\""), "From which phase on samples count."),
    CHECKED_MIN,
];

static SUBSCRIPTION_DEDUP: Table = Table {
    about: "A source is asked for the union of what a proxy's clients want, once. For `fanout`.",
    keys: &[
        key(
            "linger",
            Kind::Span(0, HOUR_US),
            Without::Default("\"1s\""),
            "How long a symbol that nobody wants stays subscribed at least.",
        ),
        key("settle", Kind::Span(0, HOUR_US), Without::Default("\"2s\""), "And how much longer at most."),
        CHECKED_MIN,
    ],
};

static SUBSCRIPTION_ANSWERS: Table = Table {
    about: "Clients are told what the source says to their subscriptions, when it has said it, and nobody else is. For `v2`.",
    keys: &[
        key(
            "settle",
            Kind::Span(0, HOUR_US),
            Without::Default("\"2s\""),
            "From the source's answer, or the loss of its leg, to the client.",
        ),
        CHECKED_MIN,
    ],
};

const FROM_PHASE: &[Choice] = &[
    Choice { word: "warmup", with: None, about: "From the beginning." },
    Choice { word: "steady", with: None, about: "From the steady phase on." },
    Choice { word: "recovery", with: None, about: "In the recovery only." },
];

static DELIVERY_LATENCY: Table = Table {
    about: "A quantile of the time from a tick's first send by any source to its arrival at a client. Needs `service-time`.",
    keys: &QUANTILE,
};

static ISOLATION: Table = Table {
    about: "The delivery latency of clients that read well, while slow ones are connected. Needs `service-time` and a group of each.",
    keys: &QUANTILE,
};

static STALENESS: Table = Table {
    about: "No value that is delivered as live is older than the bound, to whomever.",
    keys: &[
        key(
            "at-most",
            Kind::Span(1, HOUR_US),
            Without::Wrong,
            "From a tick's first send by any source to its arrival, from the steady phase on.",
        ),
        CHECKED_MIN,
    ],
};

static LATENCY_FAIRNESS: Table = Table {
    about: "No client is served later than the others, time after time. Needs `service-time`; slow readers are not judged.",
    keys: &[
        key("jain-min", Kind::Number(0.001, 1.0), Without::Wrong, "Jain's index over the clients' mean latencies."),
        key(
            "worst-at-most",
            Kind::Number(1.0, 1_000.0),
            Without::Default("2.0"),
            "The greatest mean as a multiple of the mean of all.",
        ),
        key(
            "samples-min",
            Kind::Whole(1, u64::MAX),
            Without::Default("100"),
            "A client with fewer samples is not judged.",
        ),
        CHECKED_MIN,
    ],
};

static SYMBOL_FAIRNESS: Table = Table {
    about: "No symbol is served later than the others, however seldom it ticks: each counts alike. Needs `service-time`; what slow readers get is not judged.",
    keys: &[
        key(
            "worst-at-most",
            Kind::Number(1.0, 1_000.0),
            Without::Default("2.0"),
            "The greatest mean latency of a symbol as a multiple of the least.",
        ),
        key(
            "samples-min",
            Kind::Whole(1, u64::MAX),
            Without::Default("100"),
            "A symbol with fewer samples, over all clients, is not judged.",
        ),
        CHECKED_MIN,
    ],
};

static FAIR_TURNS: Table = Table {
    about: "Each symbol of a session has its turn: none that lacks messages of its own is far behind another, be it rare or not. For sources of which none fails, and clients that do not change what they want.",
    keys: &[
        key(
            "apart-at-most",
            Kind::Whole(1, u64::MAX),
            Without::Wrong,
            "Messages that one symbol of a session may be ahead of another that lacks some.",
        ),
        key(
            "lacks-at-most",
            Kind::Whole(0, u64::MAX),
            Without::Default("2"),
            "Messages of its own that a symbol may lack or wait for, however far behind it is: a rare one is not blamed for being rare.",
        ),
        CHECKED_MIN,
    ],
};

static NOTHING_LEAKS: Table = Table {
    about: "When everyone has gone, the proxy holds nothing of them.",
    keys: &[
        key("settle", Kind::Span(0, HOUR_US), Without::Default("\"2s\""), "After the end of the last session."),
        CHECKED_MIN,
    ],
};

static FAILOVER_TIME: Table = Table {
    about: "The pause that a client sees when a source fails.",
    keys: &[
        key(
            "at-most",
            Kind::Span(1, HOUR_US),
            Without::Wrong,
            "Longest silence of a symbol; one period of it is added.",
        ),
        CHECKED_MIN,
    ],
};

static FIRST_TICK: Table = Table {
    about: "Who subscribes to a symbol has a tick of it soon.",
    keys: &[
        key(
            "at-most",
            Kind::Span(1, HOUR_US),
            Without::Wrong,
            "From the subscription to the first tick; one period of the symbol is added.",
        ),
        CHECKED_MIN,
    ],
};

static UPSTREAM_CAPS: Table = Table {
    about: "Legs of one source, and the line of those who wait for one. For `relay` with `proxy.clients-per-upstream-max`.",
    keys: &[
        key("each-at-most", Kind::Whole(1, u64::MAX), Without::Wrong, "Open legs of one proxy to one source."),
        key(
            "waiting-at-most",
            Kind::Whole(1, u64::MAX),
            Without::Wrong,
            "Clients of one proxy without a leg at once: `proxy.pending-max`, and some whose dial is under way.",
        ),
        key("waits-at-most", Kind::Span(1, HOUR_US), Without::Wrong, "How long one of them may be without."),
        CHECKED_MIN,
    ],
};

static UPSTREAM_DIALS: Table = Table {
    about: "Dials to one source, whether it answers or not.",
    keys: &[
        key(
            "per-s",
            Kind::Number(0.001, 1_000_000.0),
            Without::Wrong,
            "Of one proxy to one source, a second, in the long run.",
        ),
        key("burst", Kind::Whole(1, u32::MAX as u64), Without::Wrong, "And so many at once."),
        key(
            "together",
            Kind::Whole(1, u32::MAX as u64),
            Without::Means("not judged"),
            "Proxies that dial one source within 20 ms, more than a second after a fault began or ended.",
        ),
        CHECKED_MIN,
    ],
};

static SLOW_START: Table = Table {
    about: "A source that came back is filled as its share rises. For `relay`, balanced by least connections.",
    keys: &[
        key("over", Kind::Span(1, HOUR_US), Without::Wrong, "Over how long its share rises to the whole."),
        key(
            "slack",
            Kind::Whole(0, u32::MAX as u64),
            Without::Default("2"),
            "Legs beyond its share, for dials under way.",
        ),
        CHECKED_MIN,
    ],
};

static GENTLE_REBALANCE: Table = Table {
    about: "A source that came back gets its share of the symbols, a few at a time. For `fanout` with `proxy.sources = \"sharded\"`.",
    keys: &[
        key(
            "per-s",
            Kind::Number(0.001, 1_000_000.0),
            Without::Wrong,
            "Symbols that it is asked for a second, in the long run.",
        ),
        key("burst", Kind::Whole(1, u32::MAX as u64), Without::Wrong, "And so many at once."),
        key("within", Kind::Span(1, HOUR_US), Without::Wrong, "After which time it has its share."),
        key(
            "jain-min",
            Kind::Number(0.001, 1.0),
            Without::Wrong,
            "Jain's index over the symbols of healthy sources at the end.",
        ),
        CHECKED_MIN,
    ],
};

static NO_CLIENT_CLOSE: Table = Table {
    about: "Clients keep their sessions while a source is healthy.",
    keys: &[
        key(
            "allow-slow",
            Kind::Flag,
            Without::Default("false"),
            "Whether closes with 1013 of clients that are slow on purpose are in order.",
        ),
        key(
            "settle",
            Kind::Span(0, HOUR_US),
            Without::Default("\"1s\""),
            "How long after a fault closes are still laid to it.",
        ),
        CHECKED_MIN,
    ],
};

static UPSTREAM_CONNECTIONS: Table = Table {
    about: "Open legs of one proxy over all sources.",
    keys: &[
        key("at-most", Kind::Whole(1, u32::MAX as u64), Without::Wrong, "Legs."),
        key(
            "switching",
            Kind::Whole(0, u32::MAX as u64),
            Without::Default("1"),
            "Legs beyond that while it moves to another source: the old one may linger.",
        ),
        key(
            "linger",
            Kind::Span(0, HOUR_US),
            Without::Default("\"10s\""),
            "How long it may be above `at-most` at a time.",
        ),
        CHECKED_MIN,
    ],
};

static EVEN_SPREAD: Table = Table {
    about: "Legs over the healthy sources.",
    keys: &[
        key(
            "jain-min",
            Kind::Number(0.001, 1.0),
            Without::Wrong,
            "Jain's index over the legs of healthy sources: 1 is even, 1/k is all on one of k.",
        ),
        key(
            "settled",
            Kind::Span(0, HOUR_US),
            Without::Default("\"1s\""),
            "Judged only when no leg opened or closed and no fault began or ended for so long.",
        ),
        key(
            "rebalance-within",
            Kind::Span(0, HOUR_US),
            Without::Means("never, as connections do not move by themselves"),
            "A source that came back from a fault counts again after so long.",
        ),
        CHECKED_MIN,
    ],
};

static CLIENT_MEMORY: Table = Table {
    about: "What the proxy holds for its clients, by its own gauges.",
    keys: &[
        key("queue-bytes-max", Kind::Whole(1, 1 << 40), Without::Wrong, "Bytes in one client's queue."),
        key(
            "message-bytes-max",
            Kind::Whole(0, 1 << 40),
            Without::Default("1024"),
            "The largest message: a queue may pass its bound by one.",
        ),
        CHECKED_MIN,
    ],
};

static RECOVERY: Table = Table {
    about: "After the last fault everyone is live and caught up soon. Measured: `recovery_us` in the verdict and the metrics.",
    keys: &[
        key(
            "within",
            Kind::Span(1, HOUR_US),
            Without::Wrong,
            "From the end of the last fault in force until every client has a session and something new of each symbol; one period of the symbol is added.",
        ),
        CHECKED_MIN,
    ],
};

static HOST_LEAKS: Table = Table {
    about: "Tasks, sockets and bytes in the kernel of each host are at the end what they were before the faults, or what those who are there explain. Under `sim` only.",
    keys: &[
        key(
            "settle",
            Kind::Span(0, HOUR_US),
            Without::Default("\"1s\""),
            "Sessions and legs that came or went within this time of a look may be half there.",
        ),
        key(
            "slack",
            Kind::Whole(0, 1 << 20),
            Without::Default("0"),
            "Tasks and sockets of one host that nothing need explain.",
        ),
        key(
            "queued-bytes",
            Kind::Whole(0, 1 << 40),
            Without::Default("65536"),
            "Bytes unread and unsent in one host's kernel beyond those before the faults. Not judged where clients are slow.",
        ),
        CHECKED_MIN,
    ],
};

static CONVERGENCE: Table = Table {
    about: "All is well again at the end: everyone connected and caught up.",
    keys: &[
        key(
            "within",
            Kind::Span(1, HOUR_US),
            Without::Wrong,
            "From the beginning of the recovery; and the age that the newest delivery of a symbol may have at the end.",
        ),
        CHECKED_MIN,
    ],
};

static ADMISSION: Table = Table {
    about: "The limit on sessions holds, and those inside do not pay.",
    keys: &[
        key("open-at-most", Kind::Whole(1, u64::MAX), Without::Wrong, "Open sessions over all proxies."),
        CHECKED_MIN,
    ],
};

/// Holds each objective against the scenario.
pub(super) fn check(rules: &mut Rules<'_>) {
    // An objective whose name is misspelt was meant to be there.
    if rules.scenario.check == Objectives::default() && !rules.has_unknown_keys() {
        rules.wrong_but(&["check".into()], "nothing is checked", "write symbol-order = {}, for a start");
    }
    ticks(rules);
    contract(rules);
    answers(rules);
    latency(rules);
    tiers(rules);
    balanced(rules);
    faults(rules);
    clients(rules);
    caps(rules);
    life::check(rules);
}

/// The key of an objective is wrong, and this would do.
fn wrong(rules: &mut Rules<'_>, name: &str, lack: &str, hint: &str) {
    rules.wrong_but(&["check".into(), name.into()], format!("\"{name}\" cannot be checked: {lack}"), hint);
}

fn ticks(rules: &mut Rules<'_>) {
    if rules.scenario.sources.mode != SourceMode::Echo {
        return;
    }
    let check = &rules.scenario.check;
    for (name, asked) in [
        ("symbol-order", check.symbol_order.is_some()),
        ("no-duplicates", check.no_duplicates.is_some()),
        ("no-silent-gap", check.no_silent_gap.is_some()),
        ("no-loss", check.no_loss.is_some()),
        ("subscription-dedup", check.subscription_dedup.is_some()),
        ("failover-time", check.failover_time.is_some()),
        ("first-tick", check.first_tick.is_some()),
        ("staleness", check.staleness.is_some()),
        ("latency-fairness", check.latency_fairness.is_some()),
        ("symbol-fairness", check.symbol_fairness.is_some()),
        ("fair-turns", check.fair_turns.is_some()),
    ] {
        if asked {
            wrong(rules, name, "echo sources send no ticks", "take it out or write sources.mode = \"v1\"");
        }
    }
}

fn contract(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    if scenario.check.snapshot_then_live.is_some() && scenario.clients.iter().all(|group| group.strong == 0.0) {
        wrong(rules, "snapshot-then-live", "no group has strong clients", "give a group strong = 1.0");
    }
    if scenario.check.resume_all_or_nothing.is_some() && scenario.clients.iter().all(|group| !group.resume) {
        wrong(rules, "resume-all-or-nothing", "no group resumes", "give a group of strong clients resume = true");
    }
    if scenario.check.subscription_dedup.is_some() && scenario.proxy.mode == ProxyMode::Relay {
        let lack = "a relay passes on what each client asks for";
        wrong(rules, "subscription-dedup", lack, "write proxy.mode = \"fanout\"");
    }
}

/// What is judged of one tier only.
fn tiers(rules: &mut Rules<'_>) {
    if rules.scenario.edge.is_none() {
        return;
    }
    let check = &rules.scenario.check;
    for (name, asked, lack) in [
        ("metrics-truth", check.metrics_truth.is_some(), "what clients see, edges count, and what sources see, others"),
        ("subscription-dedup", check.subscription_dedup.is_some(), "between clients and sources stand two unions"),
        ("subscription-answers", check.subscription_answers.is_some(), "between clients and sources stand two unions"),
        ("drain", check.drain.is_some(), "the clients of the proxies that drain are edges"),
        ("reload", check.reload.is_some(), "the clients of the proxies that reload are edges"),
    ] {
        if asked {
            wrong(rules, name, lack, "take it out, or take [edge] out");
        }
    }
}

/// What is judged by whom a client dialled: with one address for all, nobody can tell.
fn balanced(rules: &mut Rules<'_>) {
    if rules.scenario.balancer.is_none() {
        return;
    }
    let check = &rules.scenario.check;
    for (name, asked) in [
        ("drain", check.drain.is_some()),
        ("reload", check.reload.is_some()),
        ("host-leaks", check.host_leaks.is_some()),
    ] {
        if asked {
            let lack = "behind a balancer it is not known which instance a client dials";
            wrong(rules, name, lack, "take it out, or take [balancer] out");
        }
    }
}

fn answers(rules: &mut Rules<'_>) {
    if rules.scenario.check.subscription_answers.is_some() && rules.scenario.sources.mode != SourceMode::V2 {
        let lack = "only v2 answers subscriptions";
        wrong(rules, "subscription-answers", lack, "write sources.mode = \"v2\"");
    }
}

fn latency(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let check = &scenario.check;
    for (name, asked) in [
        ("delivery-latency", check.delivery_latency.is_some()),
        ("isolation", check.isolation.is_some()),
        ("latency-fairness", check.latency_fairness.is_some()),
        ("symbol-fairness", check.symbol_fairness.is_some()),
    ] {
        if asked && scenario.service_time.is_none() {
            let lack = "CPU is free without service-time, so no queue ever forms";
            wrong(rules, name, lack, "write service-time.proxy-per-segment = \"5us\"");
        }
    }
    if scenario.check.isolation.is_some() {
        if !has_slow(scenario) {
            wrong(rules, "isolation", "no group reads slowly", "give a group reader = { stops-after = \"1s\" }");
        } else if scenario.clients.iter().all(|group| group.reader != Reader::Full) {
            wrong(rules, "isolation", "every group reads slowly", "add a group with reader = \"full\"");
        }
    }
}

fn faults(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let hits_middle = scenario.edge.is_some() && scenario.faults.iter().any(|fault| fault.target.contains("proxy-"));
    if scenario.check.failover_time.is_some() && !hits_source(scenario) && !hits_middle {
        wrong(rules, "failover-time", "no fault hits a source or its link", "add one under [[faults]]");
    } else if scenario.check.failover_time.is_some() && hits_source(scenario) && scenario.sources.count < 2 {
        wrong(rules, "failover-time", "there is no other source to move to", "write sources.count = 2 or more");
    } else if scenario.check.failover_time.is_some() && hits_middle && scenario.proxy.count < 2 {
        wrong(rules, "failover-time", "there is no other proxy to move to", "write proxy.count = 2 or more");
    }
    if let Some(bound) = scenario.check.convergence
        && bound.within > scenario.recovery
    {
        let lack = format!("the recovery of {} ends before {}", scenario.recovery, bound.within);
        wrong(rules, "convergence", &lack, "lengthen recovery");
    }
    if scenario.check.host_leaks.is_some() && scenario.warmup.as_micros() == 0 {
        wrong(
            rules,
            "host-leaks",
            "a warmup of 0s leaves nothing to look at before the faults",
            "write warmup = \"1s\" or more",
        );
    }
    if let Some(bound) = scenario.check.recovery {
        let path = ["check".into(), "recovery".into(), "within".into()];
        let budget = bound.within.as_micros().saturating_add(scenario.sources.longest_period().as_micros());
        let length = |span: Option<Span>| span.map_or(0, Span::as_micros);
        let ends = scenario.faults.iter().map(|fault| length(fault.at).saturating_add(length(fault.lasts)));
        let steady = scenario.steady.as_micros().saturating_sub(ends.max().unwrap_or(0));
        let calm = scenario.recovery.as_micros().saturating_add(steady);
        if scenario.faults.is_empty() {
            wrong(rules, "recovery", "nothing goes wrong", "add a fault under [[faults]]");
        } else if budget > calm {
            let message = format!(
                "recovery.within and one period end after the run does, {} after the last fault",
                Span::from_micros(calm)
            );
            rules.wrong_but(&path, message, "lengthen recovery");
        }
    }
    if scenario.check.even_spread.is_some() {
        if scenario.sources.count < 2 {
            wrong(rules, "even-spread", "there is one source", "write sources.count = 2 or more");
        } else if scenario.proxy.mode == ProxyMode::Fanout && scenario.proxy.count < 2 {
            wrong(rules, "even-spread", "one fanout proxy has one leg", "write proxy.mode = \"relay\"");
        }
    }
}

fn caps(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let relay = scenario.proxy.mode == ProxyMode::Relay;
    if let Some(bound) = scenario.check.upstream_caps {
        let path = |key: &'static str| ["check".into(), "upstream-caps".into(), key.into()];
        match scenario.proxy.clients_per_upstream_max {
            _ if !relay => wrong(rules, "upstream-caps", "a fanout has one leg", "write proxy.mode = \"relay\""),
            None => {
                let lack = "proxy.clients-per-upstream-max is not set";
                wrong(rules, "upstream-caps", lack, "set it so that not all clients find a place");
            }
            Some(cap) if bound.each_at_most < u64::from(cap) => {
                let message = format!("upstream-caps.each-at-most is below the proxy's own cap, {cap}");
                rules.wrong_but(&path("each-at-most"), message, format!("did you mean {cap}?"));
            }
            Some(_) => {}
        }
        if let Some(longest) = scenario.proxy.pending_timeout.filter(|longest| bound.waits_at_most <= *longest) {
            let message = format!("upstream-caps.waits-at-most is not above proxy.pending-timeout, {longest}");
            rules.wrong_but(&path("waits-at-most"), message, "some room for a dial");
        }
    }
    let back = scenario.faults.iter().any(|fault| fault.target.starts_with("source-") && fault.lasts.is_some());
    if scenario.check.gentle_rebalance.is_some() {
        let hint = "write proxy.sources = \"sharded\"";
        if relay || scenario.proxy.sources != Some(Consumed::Sharded) {
            wrong(rules, "gentle-rebalance", "symbols are not shared out among the sources", hint);
        } else if !back {
            wrong(rules, "gentle-rebalance", "no source comes back", "add a fault on a source with a \"for\"");
        }
    }
    if scenario.check.slow_start.is_some() {
        if !relay {
            wrong(rules, "slow-start", "a fanout has one leg", "write proxy.mode = \"relay\"");
        } else if !back {
            wrong(rules, "slow-start", "no source comes back", "add a fault on a source with a \"for\"");
        } else if scenario.sources.count < 2 {
            wrong(rules, "slow-start", "there is one source", "write sources.count = 2 or more");
        }
    }
}

fn clients(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    if let Some(bound) = scenario.check.admission {
        let path = ["check".into(), "admission".into(), "open-at-most".into()];
        let come: u64 = scenario.clients.iter().map(|group| u64::from(group.count)).sum();
        match scenario.front().clients_max {
            None => wrong(rules, "admission", "proxy.clients-max is not set", "set it below the number of clients"),
            Some(each) => {
                let admitted = u64::from(each) * u64::from(scenario.front().count);
                if bound.open_at_most < admitted {
                    let message = format!("admission.open-at-most is below what the proxies admit, {admitted}");
                    rules.wrong_but(&path, message, format!("did you mean {admitted}?"));
                }
                if come <= admitted {
                    let lack = format!("{come} clients come and {admitted} are admitted, so none is turned away");
                    wrong(rules, "admission", &lack, "more clients, or a lower proxy.clients-max");
                }
            }
        }
    }
    if let (Some(bound), Some(queue)) = (scenario.check.client_memory, scenario.proxy.queue_bytes)
        && bound.queue_bytes_max < queue
    {
        let path = ["check".into(), "client-memory".into(), "queue-bytes-max".into()];
        let message = format!("client-memory.queue-bytes-max is below what the proxy may queue, {queue}");
        rules.wrong_but(&path, message, format!("did you mean {queue}?"));
    }
    if scenario.check.slow_policy.is_some() {
        if scenario.front().slow_client.is_none() {
            wrong(rules, "slow-policy", "proxy.slow-client is not set", "write proxy.slow-client = \"conflate\"");
        } else if !has_slow(scenario) {
            wrong(rules, "slow-policy", "no group reads slowly", "give a group reader = { stops-after = \"1s\" }");
        }
    }
    if scenario.check.nothing_leaks.is_some()
        && let Some(group) = scenario.clients.iter().find(|group| group.load.stay().is_none())
    {
        let lack = format!("group \"{}\" stays to the end", group.name);
        wrong(rules, "nothing-leaks", &lack, "give each group an open.stay that ends some seconds before the run does");
    }
    if let Some(bound) = scenario.check.no_client_close
        && !bound.allow_slow
        && scenario.front().slow_client == Some(SlowClient::Disconnect)
        && has_slow(scenario)
    {
        let message = "\"no-client-close\" forbids what proxy.slow-client = \"disconnect\" does to the slow readers";
        rules.wrong_but(&["check".into(), "no-client-close".into()], message, "write allow-slow = true");
    }
}
