//! What clients do beside listening, and what the proxy has against it: keys.

use super::{Choice, DAY, HOUR, Key, Kind, MS, Table, Without, key, with, word};

const fn default(name: &'static str, kind: Kind, about: &'static str) -> Key {
    key(name, kind, Without::Means("the proxy's default"), about)
}

pub(super) static GUARD: Table = Table {
    about: "What the proxy has against clients that do not behave.",
    keys: &[
        default("ping-interval", Kind::Span(MS, HOUR), "A client that says nothing for so long is pinged."),
        default("pong-timeout", Kind::Span(MS, HOUR), "And given up when it says nothing for so long after that."),
        default("handshake-timeout", Kind::Span(MS, HOUR), "From the accept to the end of the handshake."),
        default("handshakes-max", Kind::Whole(1, u32::MAX as u64), "Handshakes under way at once."),
        default(
            "handshakes-per-s",
            Kind::Whole(0, u32::MAX as u64),
            "Handshakes begun in a second; who comes sooner waits in the backlog. 0: no bound.",
        ),
        default("handshakes-burst", Kind::Whole(1, u32::MAX as u64), "And at once."),
        default("message-bytes", Kind::Whole(128, 1 << 30), "The largest message of a client."),
        default("source-message-bytes", Kind::Whole(128, 1 << 30), "The largest message of a source."),
        default(
            "requests-per-s",
            Kind::Whole(0, u32::MAX as u64),
            "Changes of subscription that a client may ask for in a second. 0: no bound. For `fanout`.",
        ),
        default("requests-burst", Kind::Whole(1, u32::MAX as u64), "And at once. For `fanout`."),
        key("keys", Kind::List(&Kind::Text), Without::Means("any"), "Keys that are known. For `fanout`."),
        key("origins", Kind::List(&Kind::Text), Without::Means("any"), "Values of `Origin` that are let in."),
    ],
};

pub(super) static BEHAVIOUR: Table = Table {
    about: "What each client of the group does beside listening. A group that breaks a rule is hostile: what is promised to honest clients is not judged on it.",
    keys: &[
        key(
            "pings-every",
            Kind::Span(MS, DAY),
            Without::Means("never"),
            "It pings the proxy so often, each time with another payload.",
        ),
        key("pongs", Kind::Flag, Without::Default("true"), "Whether it answers the proxy's pings."),
        key(
            "resubscribe-every",
            Kind::Span(MS, DAY),
            Without::Means("never"),
            "It changes what it is subscribed to so often: half of its symbols, then the other half.",
        ),
        key(
            "asks-per-s",
            Kind::Number(0.001, 10_000.0),
            Without::Means("once"),
            "It asks again for what it has so many times a second.",
        ),
        key(
            "user-key",
            Kind::Text,
            Without::Means("the first of `proxy.guard.keys`, or any"),
            "The key that it presents.",
        ),
        key("origin", Kind::Text, Without::Means("none"), "The `Origin` of its handshake."),
        key("handshake", Kind::OneOf(HANDSHAKE), Without::Default("\"whole\""), "How it says its handshake."),
        key(
            "offends",
            Kind::OneOf(OFFENCE),
            Without::Means("not at all"),
            "It breaks the protocol, once in each session; it is to be closed with the code given.",
        ),
        key("offends-after", Kind::Span(MS, DAY), Without::Means("1s"), "So long after its session opened."),
    ],
};

const HANDSHAKE: &[Choice] = &[
    word("whole", "At once."),
    with("slow", Kind::Span(MS, HOUR), "A byte, and then so long nothing."),
    with("unfinished", Kind::Whole(0, 65_536), "So many bytes, and then nothing ever."),
];

const OFFENCE: &[Choice] = &[
    word("reserved-bits", "A frame with a reserved bit: 1002."),
    word("bad-opcode", "A frame with an opcode that means nothing: 1002."),
    word("unmasked", "A frame that is not masked: 1002."),
    word("fragmented-control", "A ping in two fragments: 1002."),
    word("long-control", "A ping of 126 bytes: 1002."),
    word("bad-utf8", "A text that is not UTF-8: 1007."),
    word("too-big", "A message of a byte more than `proxy.guard.message-bytes`: 1009."),
    word("wrong-continuation", "A continuation of nothing: 1002."),
    word("unfinished-message", "A message in the middle of another: 1002."),
    word("half-close-code", "A Close frame of one byte: 1002."),
    word("reserved-close-code", "A Close frame with 1005: 1002."),
    word("nonsense", "A request that makes no sense: 1008. For `fanout`."),
];
