//! Every key of a scenario file.

mod balancer;
mod behaviour;
mod faults;
mod life;
mod messages;

use super::format::{Choice, Key, Kind, Table, Without};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

const fn key(name: &'static str, kind: Kind, without: Without, about: &'static str) -> Key {
    Key { name, kind, without, about }
}

const fn word(word: &'static str, about: &'static str) -> Choice {
    Choice { word, with: None, about }
}

const fn with(word: &'static str, kind: Kind, about: &'static str) -> Choice {
    Choice { word, with: Some(kind), about }
}

/// The whole file.
pub static SCENARIO: Table = Table {
    about: "One scenario.",
    keys: &[
        key("schema", Kind::Whole(1, 1), Without::Wrong, "The version of this format."),
        key("name", Kind::Text, Without::Wrong, "In kebab-case; the file's name without `.toml`."),
        key("about", Kind::Text, Without::Wrong, "What it is about and why it matters, for a person."),
        key("tags", Kind::List(&Kind::Text), Without::Default("[]"), "Words to select it by (`run --tag`)."),
        key(
            "warmup",
            Kind::Span(0, HOUR),
            Without::Default("\"2s\""),
            "Clients arrive; latency is not judged. The run begins with it.",
        ),
        key(
            "steady",
            Kind::Span(100 * MS, DAY),
            Without::Wrong,
            "Load and faults. Fault times count from its beginning.",
        ),
        key(
            "recovery",
            Kind::Span(0, HOUR),
            Without::Default("\"3s\""),
            "After the steady phase: whatever still lasts is over, and everything must come right.",
        ),
        key(
            "network",
            Kind::Table(&NETWORK),
            Without::Means("500us everywhere, unlimited, no loss"),
            "The links between hosts.",
        ),
        key(
            "sources",
            Kind::Table(&SOURCES),
            Without::Wrong,
            "The instances of the source, which send the same ticks.",
        ),
        key("proxy", Kind::Table(&PROXY), Without::Wrong, "The proxy under test."),
        key(
            "edge",
            Kind::Table(&PROXY),
            Without::Means("clients connect to `proxy`"),
            "A tier of proxies before `proxy`, with the same keys: hosts `edge-0`, ... Clients connect to these; what they have for sources are the `proxy-*` hosts.",
        ),
        key(
            "balancer",
            Kind::Table(&balancer::BALANCER),
            Without::Means("each client knows all instances and takes them in turn"),
            "One address before the instances that clients connect to.",
        ),
        key("clients", Kind::List(&Kind::Table(&CLIENTS)), Without::Wrong, "Groups of like clients, at least one."),
        key(
            "faults",
            Kind::List(&Kind::Table(&faults::FAULT)),
            Without::Means("nothing goes wrong"),
            "What goes wrong, in any order.",
        ),
        key(
            "service-time",
            Kind::Table(&SERVICE_TIME),
            Without::Means("CPU is free, and no objective may stand on queueing"),
            "What CPU work costs in virtual time.",
        ),
        key("check", Kind::Table(&super::objectives::CHECK), Without::Wrong, "What must hold."),
        key(
            "reach",
            Kind::List(&Kind::Table(&REACH)),
            Without::Means("nothing in particular"),
            "States that the run must have reached to mean anything; else it is inconclusive, not green.",
        ),
        key(
            "engines",
            Kind::List(&Kind::OneOf(ENGINE)),
            Without::Default("[]"),
            "Engines that can express it besides `sim`, which always can.",
        ),
    ],
};

/// What is read before the scenario: keys of the file, not of the scenario.
pub static FILE: &[Key] = &[
    key(
        "include",
        Kind::List(&Kind::Text),
        Without::Default("[]"),
        "Files that this one is laid over, relative to it: tables key by key, lists of tables after theirs, all else in place of theirs.",
    ),
    key(
        "matrix",
        Kind::Map(&Kind::List(&Kind::Any)),
        Without::Means("one scenario"),
        "Paths of values (`\"proxy.queue-bytes\"`, `\"clients.viewers.count\"`), each with a list of what they are in turn: the cross product of all lists, 100 scenarios at most.",
    ),
    key(
        "regression",
        Kind::Table(&REGRESSION),
        Without::Means("a scenario like any other"),
        "What is known of a failure that was kept, see [shrink.md](shrink.md).",
    ),
];

/// What a file of the bank says of its scenario, see [`crate::regressions`].
pub static REGRESSION: Table = Table {
    about: "A failure that was found once, and what is expected of it now. `windtunnel keep` writes it; files of `scenarios/regressions` have it.",
    keys: &[
        key("expect", Kind::OneOf(EXPECT), Without::Wrong, "What is expected now."),
        key(
            "fingerprint",
            Kind::Text,
            Without::Wrong,
            "How it failed: `invariant: what was seen`, with `#` for numbers.",
        ),
        key("seed", Kind::Whole(0, u64::MAX), Without::Wrong, "With which seed."),
        key("order", Kind::Whole(0, u64::MAX), Without::Default("0"), "In which order of ready tasks."),
        key(
            "mutant",
            Kind::Text,
            Without::Means("a bug of the proxy's own"),
            "The planted bug with which it failed, and with which it must fail still.",
        ),
        key("found-by", Kind::Text, Without::Wrong, "How it came to light."),
        key("commit", Kind::Text, Without::Means("not known"), "The commit in which it was kept."),
        key("date", Kind::Text, Without::Wrong, "The day on which it was kept."),
        key("why", Kind::Text, Without::Means("nothing"), "What a person has to say of it."),
    ],
};

const EXPECT: &[Choice] = &[
    word(
        "fails",
        "An open bug: it fails as it did. Where it does not, it no longer reproduces, which is inconclusive.",
    ),
    word("holds", "A mended one: it passes, reaches what `[[reach]]` asks for, and fails with its planted bug."),
];

const ENGINE: &[Choice] = &[
    word("sim", "Our simulator."),
    word(
        "turmoil",
        "turmoil's own: kills, restarts, outages and fixed delays of whole links, wrong clocks, trouble with names, refused connections; no slow readers, no bandwidth, no loss.",
    ),
    word("sockets", "Real processes on loopback."),
];

static NETWORK: Table = Table {
    about: "The links between hosts: all alike, but for those in `links`.",
    keys: &[
        key("latency", Kind::OneOf(LATENCY), Without::Default("{ fixed = \"500us\" }"), "Delay of a link, one way."),
        key("bandwidth", Kind::Whole(1, u64::MAX), Without::Means("unlimited"), "Bits per second and direction."),
        key(
            "loss",
            Kind::Number(0.0, 1.0),
            Without::Default("0.0"),
            "Share of segments lost. Each loss is a delay (retransmission), never missing bytes.",
        ),
        key(
            "links",
            Kind::List(&Kind::Table(&LINK)),
            Without::Means("all links are alike"),
            "Links that are not like the others; where two speak of one link, the later one wins.",
        ),
    ],
};

static LINK: Table = Table {
    about: "The links between some hosts and some others, both ways. What is left out stays as it is.",
    keys: &[
        key(
            "between",
            Kind::Pair(&Kind::Text),
            Without::Wrong,
            "Whom it joins: hosts (`proxy-0`), groups of clients (`mobile`), `clients`, names that end in `*` (`source-*`).",
        ),
        key("latency", Kind::OneOf(LATENCY), Without::Means("as it is"), "Delay, one way."),
        key("bandwidth", Kind::Whole(1, u64::MAX), Without::Means("as it is"), "Bits per second and direction."),
        key("loss", Kind::Number(0.0, 1.0), Without::Means("as it is"), "Share of segments lost."),
    ],
};

const LATENCY: &[Choice] = &[
    with("fixed", Kind::Span(0, 60 * SECOND), "Always the same."),
    with("uniform", Kind::Pair(&Kind::Span(0, 60 * SECOND)), "Evenly between the two."),
    with("log-normal", Kind::Table(&LOG_NORMAL), "Most near the median, some far above."),
    with("spikes", Kind::Table(&SPIKES), "Nothing for most, much for some."),
];

static SPIKES: Table = Table {
    about: "A delay of some.",
    keys: &[
        key("share", Kind::Number(0.0, 1.0), Without::Wrong, "The share of segments that have it."),
        key("delay", Kind::Span(0, 60 * SECOND), Without::Wrong, "What they take."),
    ],
};

static LOG_NORMAL: Table = Table {
    about: "A log-normal delay.",
    keys: &[
        key("median", Kind::Span(1, 60 * SECOND), Without::Wrong, "Half of the delays are below."),
        key("tail", Kind::Number(1.0, 1_000.0), Without::Wrong, "The 99th percentile divided by the median, above 1."),
    ],
};

static SOURCES: Table = Table {
    about: "The source: several instances that send the same ticks.",
    keys: &[
        key("count", Kind::Whole(1, 64), Without::Wrong, "Instances: hosts `source-0`, `source-1`, ..."),
        key("mode", Kind::OneOf(SOURCE_MODE), Without::Default("\"v1\""), "What they speak."),
        key("symbols", Kind::Whole(1, 1_000), Without::Default("4"), "Symbols `S0000`, `S0001`, ..."),
        key("period", Kind::Span(MS, HOUR), Without::Default("\"100ms\""), "Between two ticks of one symbol."),
        key(
            "rates",
            Kind::OneOf(RATES),
            Without::Means("all symbols tick alike, at the same instants"),
            "Which symbols tick more or less often than `period` says. Each symbol's ticks are then due at instants of their own, spread over its period.",
        ),
        key(
            "key-limit",
            Kind::Whole(1, u32::MAX as u64),
            Without::Means("no limit"),
            "Connections that one instance allows for one key.",
        ),
        key(
            "denied",
            Kind::List(&Kind::Table(&DENIED)),
            Without::Means("none"),
            "Subscriptions that are denied; needs `v2`.",
        ),
        key(
            "padding",
            Kind::Table(&messages::PADDING),
            Without::Means("none"),
            "Filler that makes ticks large. Not for `echo`.",
        ),
        key(
            "fragments",
            Kind::Table(&messages::FRAGMENTS),
            Without::Means("each is one frame"),
            "In how many frames a tick, or an echo, comes.",
        ),
    ],
};

const RATES: &[Choice] = &[
    with("own", OWN, "Some have a period of their own; the others have `period`."),
    with("zipf", Kind::Table(&SHARED), "All share one rate, the first symbols most of it; `period` is not read."),
];

const OWN: Kind = Kind::List(&Kind::Table(&RATE));

static RATE: Table = Table {
    about: "Symbols with a period of their own.",
    keys: &[
        key("symbols", Kind::List(&Kind::Text), Without::Wrong, "Their names, `S0000`."),
        key("period", Kind::Span(MS, HOUR), Without::Wrong, "Between two ticks of one of them."),
    ],
};

static SHARED: Table = Table {
    about: "A rate that all symbols share: of rank k (the first has 1) with weight `k ^ -exponent`.",
    keys: &[
        key("per-s", Kind::Number(0.001, 1_000_000.0), Without::Wrong, "Ticks of all symbols together a second."),
        key(
            "exponent",
            Kind::Number(0.0, 8.0),
            Without::Default("1.0"),
            "0: all alike; 1: the second ticks half as often as the first.",
        ),
    ],
};

static DENIED: Table = Table {
    about: "Subscriptions to a symbol are denied.",
    keys: &[
        key("symbol", Kind::Text, Without::Wrong, "Its name, `S0003`."),
        key("by", Kind::Text, Without::Means("by all"), "The instance that denies it, `source-1`."),
    ],
};

const SOURCE_MODE: &[Choice] = &[
    word("v1", "The v1 feed protocol: ticks of symbols."),
    word(
        "v2",
        "The v2 feed protocol: logins, and subscriptions that are accepted or denied. Plain clients speak it, too.",
    ),
    word("echo", "Sends every message back; needs `relay`."),
];

static PROXY: Table = Table {
    about: "The proxy under test.",
    keys: &[
        key(
            "count",
            Kind::Whole(1, 16),
            Without::Default("1"),
            "Instances: hosts `proxy-0`, ... (of `edge`: `edge-0`, ...). Each knows all that is behind.",
        ),
        key("mode", Kind::OneOf(PROXY_MODE), Without::Wrong, "How it serves."),
        key(
            "sources",
            Kind::OneOf(CONSUMED),
            Without::Means("the proxy's default"),
            "Which of the sources fan-out consumes.",
        ),
        key(
            "clients-max",
            Kind::Whole(1, u32::MAX as u64),
            Without::Means("the proxy's default"),
            "Open client sessions that one instance admits.",
        ),
        key(
            "queue-bytes",
            Kind::Whole(1, 1 << 40),
            Without::Means("the proxy's default"),
            "Bytes queued for one client at most.",
        ),
        key(
            "slow-client",
            Kind::OneOf(SLOW_CLIENT),
            Without::Means("the proxy's default"),
            "What becomes of a client whose queue is full.",
        ),
        key(
            "stale-after",
            Kind::Span(MS, HOUR),
            Without::Means("the proxy's default"),
            "A source that ticked and then says nothing for so long is given up. Longer than the period of a symbol.",
        ),
        key(
            "clients-per-upstream-max",
            Kind::Whole(1, u32::MAX as u64),
            Without::Means("the proxy's default"),
            "Legs to one source at once. For `relay`.",
        ),
        key(
            "pending-max",
            Kind::Whole(1, u32::MAX as u64),
            Without::Means("the proxy's default"),
            "Clients that may wait at once for a place at a source. For `relay`.",
        ),
        key(
            "pending-timeout",
            Kind::Span(MS, HOUR),
            Without::Means("the proxy's default"),
            "How long a client may wait for a place at a source. For `relay`.",
        ),
        key(
            "slow-start",
            Kind::Span(0, HOUR),
            Without::Means("the proxy's default"),
            "Over how long a source that came back gets its whole share of new legs.",
        ),
        key(
            "moves-per-second",
            Kind::Whole(0, u32::MAX as u64),
            Without::Means("the proxy's default"),
            "Symbols that move to another source a second, where they are delivered well. For `sources = \"sharded\"`. 0: no bound.",
        ),
        key(
            "dials-per-second-max",
            Kind::Whole(0, u32::MAX as u64),
            Without::Means("the proxy's default"),
            "Dials of one proxy to one source a second. 0: no bound.",
        ),
        key(
            "dials-burst",
            Kind::Whole(1, u32::MAX as u64),
            Without::Means("the proxy's default"),
            "Dials of one proxy to one source that may come at once.",
        ),
        key(
            "guard",
            Kind::Table(&behaviour::GUARD),
            Without::Means("the proxy's defaults"),
            "What it has against clients that do not behave.",
        ),
        key(
            "drain",
            Kind::Table(&life::DRAIN),
            Without::Means("the proxy's defaults"),
            "How it drains, see [Faults](#faults).",
        ),
        key(
            "shards",
            Kind::Whole(1, 64),
            Without::Means("1"),
            "Shards of each proxy: each has its part of the clients. In the simulator they take turns on one core.",
        ),
    ],
};

const PROXY_MODE: &[Choice] =
    &[word("fanout", "One upstream leg for all clients."), word("relay", "One upstream leg for each client.")];

const CONSUMED: &[Choice] = &[
    word("active", "One; the others are spares."),
    word("hot", "Two at once; each tick is passed on once."),
    word("sharded", "All, each its share of the symbols."),
];

const SLOW_CLIENT: &[Choice] = &[
    word("conflate", "Once behind, it gets the newest of each symbol, and each in its turn."),
    word("drop-oldest", "The oldest queued message goes first."),
    word("disconnect", "The client is closed with 1013."),
];

static CLIENTS: Table = Table {
    about: "A group of like clients.",
    keys: &[
        key(
            "name",
            Kind::Text,
            Without::Wrong,
            "A word in kebab-case for charts; its hosts are `NAME-0`, `NAME-1`, ...",
        ),
        key("count", Kind::Whole(1, 20_000), Without::Wrong, "How many."),
        key(
            "start",
            Kind::Span(0, DAY),
            Without::Default("\"0s\""),
            "When the group begins to arrive, from the beginning of the run.",
        ),
        key(
            "open",
            Kind::Table(&OPEN),
            Without::Apart("closed", "`{}`, unless `closed` stands"),
            "Load by a plan, whatever the server does: what a slow one does to those who come anyway.",
        ),
        key(
            "closed",
            Kind::Table(&CLOSED),
            Without::Apart("open", "the load is open"),
            "A population that is held: each waits for its answer, and whoever leaves is replaced. A slow server slows its own load.",
        ),
        key(
            "subscriptions",
            Kind::OneOf(SUBSCRIPTIONS),
            Without::Default("\"all\""),
            "Which of the source's symbols each client wants.",
        ),
        key(
            "strong",
            Kind::Number(0.0, 1.0),
            Without::Default("0.0"),
            "Share of the group that asks for the strong contract (numbered messages, gap notices, resume).",
        ),
        key(
            "resume",
            Kind::Flag,
            Without::Default("false"),
            "Whether strong clients that come again name their last stamp of each symbol, to go on from there.",
        ),
        key("reader", Kind::OneOf(READER), Without::Default("\"full\""), "How fast they read."),
        key(
            "recv-buffer",
            Kind::Whole(256, 1 << 30),
            Without::Means("the engine's default"),
            "Bytes of each client's receive buffer. A small one makes a slow reader felt soon.",
        ),
        key(
            "request-bytes",
            Kind::Whole(20, 1 << 30),
            Without::Means("64"),
            "Bytes of each request to an echo: its number, and whose it is, over and over.",
        ),
        key("reconnect", Kind::Flag, Without::Default("true"), "Whether they come again after a loss or a refusal."),
        key(
            "backoff",
            Kind::Table(&balancer::BACKOFF),
            Without::Means("exponential from 500 ms to 30 s, full jitter"),
            "After how long they come again.",
        ),
        key(
            "behaviour",
            Kind::Table(&behaviour::BEHAVIOUR),
            Without::Means("they listen"),
            "What they do beside listening.",
        ),
        key(
            "hosts",
            Kind::Whole(1, 1_000),
            Without::Means("one for each 250 clients"),
            "Hosts that the group is spread over.",
        ),
    ],
};

static OPEN: Table = Table {
    about: "Load by a plan, whatever the server does. Latencies count from the plan.",
    keys: &[
        key("arrival", Kind::OneOf(ARRIVAL), Without::Default("{ ramp = \"1s\" }"), "How the group arrives."),
        key(
            "requests-per-s",
            Kind::Number(0.001, 10_000.0),
            Without::Means("none are sent"),
            "Requests per second and client, each at its planned instant; for `echo` sources only.",
        ),
        key(
            "stay",
            Kind::Span(MS, DAY),
            Without::Means("to the end of the run"),
            "How long each client stays, from its planned arrival.",
        ),
        key(
            "session",
            Kind::Span(MS, DAY),
            Without::Means("to the end of its stay"),
            "How long a session lasts until its client closes it and comes again: half to one and a half times this, drawn.",
        ),
    ],
};

static CLOSED: Table = Table {
    about: "A population that is held. Who is lost comes again; who leaves is replaced at once by another with the same number, with symbols of its own, and nothing to resume.",
    keys: &[
        key("ramp", Kind::Span(0, DAY), Without::Default("\"1s\""), "Over how long the population arrives."),
        key(
            "think",
            Kind::Span(MS, HOUR),
            Without::Means("none are sent"),
            "From an answer to the client's next request: half to one and a half times this, drawn; for `echo` sources only. One request of a client is under way at a time, and its latency counts from when it was sent.",
        ),
        key(
            "session",
            Kind::Span(MS, DAY),
            Without::Means("to the end of the run"),
            "How long a client stays until it leaves: half to one and a half times this, drawn.",
        ),
    ],
};

const ARRIVAL: &[Choice] = &[
    word("at-once", "All at once."),
    with("ramp", Kind::Span(MS, DAY), "Evenly over this time."),
    with("poisson", Kind::Number(0.001, 100_000.0), "At random, this many a second on average."),
    with("waves", Kind::Table(&WAVES), "So many at once, every so often."),
];

static WAVES: Table = Table {
    about: "Arrivals in waves. The first comes at the group's `start`.",
    keys: &[
        key("each", Kind::Whole(1, 20_000), Without::Wrong, "Clients of a wave; the last may have fewer."),
        key("every", Kind::Span(MS, DAY), Without::Wrong, "From one wave to the next."),
    ],
};

const SUBSCRIPTIONS: &[Choice] = &[
    word("all", "All of them."),
    with("uniform", Kind::Whole(1, 1_000), "So many, drawn, each symbol as likely as another."),
    with("zipf", Kind::Table(&ZIPF), "So many, drawn as popularity goes."),
    with("symbols", Kind::List(&Kind::Text), "These, by name."),
];

static ZIPF: Table = Table {
    about: "Symbols by popularity (Zipf's law): `S0000` has rank 1, and rank k is drawn with a weight of `k ^ -exponent`.",
    keys: &[
        key("each", Kind::Whole(1, 1_000), Without::Wrong, "Symbols of each client, all different."),
        key(
            "exponent",
            Kind::Number(0.0, 10.0),
            Without::Default("1.0"),
            "0: all alike. Measured popularities lie about 1.",
        ),
    ],
};

/// What is to be written in place of a key that a table has no more, or that belongs to its neighbour.
pub(super) fn moved(table: &'static Table, key: &str) -> Option<&'static str> {
    if std::ptr::eq(table, &CLIENTS) {
        return Some(match key {
            "arrival" => "write open = { arrival = .. }",
            "requests-per-s" => "write open = { requests-per-s = .. }",
            "stay" => "write open = { stay = .. }",
            "session" => "write open = { session = .. }",
            "think" => "write closed = { think = .. }",
            "symbols-each" => "write subscriptions = { uniform = .. }",
            _ => return None,
        });
    }
    if std::ptr::eq(table, &CLOSED) {
        return Some(match key {
            "requests-per-s" => {
                "who waits for answers has no rate: write think = \"..\" for the pause, or open = { requests-per-s = .. }"
            }
            "arrival" => {
                "a population that is held arrives over its ramp; write ramp = \"..\", or open = { arrival = .. }"
            }
            "stay" => "write session = \"..\": whoever leaves is replaced; or open = { stay = .. }",
            _ => return None,
        });
    }
    (std::ptr::eq(table, &OPEN) && key == "think")
        .then_some("who thinks waits for an answer: write closed = { think = .. }")
}

/// What a word is called now.
pub(super) fn renamed(choices: &'static [Choice], word: &str) -> Option<&'static str> {
    (std::ptr::eq(choices, ARRIVAL) && word == "burst").then_some("at-once")
}

const READER: &[Choice] = &[
    word("full", "As fast as bytes come."),
    with("bytes-per-s", Kind::Whole(1, 1 << 40), "This many bytes a second."),
    with("stops-after", Kind::Span(0, DAY), "Not at all from this long after connecting."),
];

static SERVICE_TIME: Table = Table {
    about: "What network work costs the CPU of each proxy, in virtual time: a queue, first come, first served. `windtunnel run --service-time FILE` takes it \
            from a calibration file instead.",
    keys: &[
        key(
            "proxy-per-segment",
            Kind::Cost(1, COST_MAX),
            Without::Wrong,
            "For each segment sent or received. What is written at once, up to 64 KiB, is one.",
        ),
        key(
            "proxy-per-kib",
            Kind::Cost(0, COST_MAX),
            Without::Default("\"0ns\""),
            "For 1024 bytes of payload, sent or received.",
        ),
        key(
            "proxy-per-connection",
            Kind::Cost(0, COST_MAX),
            Without::Default("\"0ns\""),
            "For each connection that a client opens, beyond its segments.",
        ),
        key("proxy-cores", Kind::Whole(1, 256), Without::Default("1"), "Cores of each proxy."),
        key("proxy-queues", Kind::OneOf(QUEUES), Without::Default("\"per-core\""), "Which core does what."),
        key(
            "proxy-spread",
            Kind::OneOf(SPREAD),
            Without::Default("\"fixed\""),
            "How the costs of pieces of work spread.",
        ),
        key(
            "proxy-reads",
            Kind::OneOf(READS),
            Without::Default("\"each\""),
            "How segments of a connection are read that arrive while the core is busy.",
        ),
    ],
};

/// A second, in nanoseconds.
const COST_MAX: u64 = 1_000_000_000;

const QUEUES: &[Choice] = &[
    word("per-core", "Each has its queue; a connection always uses the core that its number picks."),
    word("shared", "There is one queue, and whichever core is free takes the next piece of work."),
];

const SPREAD: &[Choice] =
    &[word("fixed", "Each costs the same."), word("exponential", "Exponentially, with the costs given as means.")];

const READS: &[Choice] = &[
    word("each", "Each by itself, in its turn."),
    word(
        "joined",
        "Together, in the turn of the first, as a program reads whatever has come: the first costs a segment, the others their bytes. Under load more is then done at once, and cheaper.",
    ),
];

static REACH: Table = Table {
    about: "A state, or a mark in the programs, that the run must have reached.",
    keys: &[
        key("state", Kind::OneOf(STATE), Without::Means("`mark` says which"), "Which state."),
        key(
            "mark",
            Kind::Text,
            Without::Means("`state` says which"),
            "Which mark: a rare branch of a program, by its name. `windtunnel marks` lists them, with file and line.",
        ),
        key("at-least", Kind::Whole(1, u64::MAX), Without::Default("1"), "How often at least."),
    ],
};

const STATE: &[Choice] = &[
    word("fault-on-active-source", "A fault hit a source that carried a leg of a proxy."),
    word("failover", "A proxy moved to another source: a leg went down and a later one came up."),
    word("client-shed", "A client was turned away by admission."),
    word("message-dropped", "A message to a slow client was dropped."),
    word("slow-client-closed", "A slow client was closed."),
    word("gap-told", "A strong client was told of a gap."),
    word("client-opened", "A client's session opened."),
    word("delivered", "A message was delivered, or an echo came back."),
    word("host-restarted", "A killed or dark host came back."),
    word("subscription-denied", "A client was told that a subscription is denied."),
    word("proxy-drained", "A drain of a proxy was over."),
    word("proxy-reloaded", "A proxy went over to another configuration."),
];
