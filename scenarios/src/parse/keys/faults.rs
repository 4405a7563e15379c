//! The keys of a fault. Which belong to which kind: [`crate::model::FaultKind::parameters`].

use super::{Choice, DAY, HOUR, Key, Kind, LATENCY, MS, SECOND, Table, Without, key, word};

/// A key that only some kinds take.
const fn only(name: &'static str, kind: Kind, without: &'static str, about: &'static str) -> Key {
    key(name, kind, Without::Means(without), about)
}

pub(super) static FAULT: Table = Table {
    about: "One fault. Faults that overlap on one target add up, and each ends by itself. The keys after `target` belong to some kinds only, see \
            [Faults](#faults).",
    keys: &[
        key(
            "at",
            Kind::Span(0, DAY),
            Without::Means("`after` says when"),
            "When it begins, from the beginning of the steady phase.",
        ),
        key(
            "after",
            Kind::Table(&AFTER),
            Without::Means("`at` says when"),
            "After which event it begins, see [After an event](#after-an-event). Not for `mute`, `slam`, `close-all`, `garbage` and `oversized`.",
        ),
        key(
            "for",
            Kind::Span(MS, DAY),
            Without::Means("to the end of the run"),
            "How long it lasts; then the host starts again or thaws, or the link heals. Must end within the steady phase; one that \
             began after an event ends with it at the latest.",
        ),
        key("kind", Kind::OneOf(FAULT_KIND), Without::Wrong, "What goes wrong."),
        key(
            "target",
            Kind::Text,
            Without::Wrong,
            "A host (`source-1`, `proxy-0`, `NAME-0`), a link both ways (`proxy-0/source-1`) or one way of it (`source-1>proxy-0`: what the source \
             sends). A name may be a group of clients, `clients` (all of them), or end in `*` (`proxy-*`): then each is hit. `source-active` is the \
             source that carries most legs when the fault begins. Kinds of links hit all links of a host; `mute`, `slam`, `close-all`, `garbage` and `oversized` take a source by \
             its number.",
        ),
        key(
            "stagger",
            Kind::Span(1, DAY),
            Without::Means("all at once"),
            "Where the target stands for several: each is hit so much later than the one before.",
        ),
        only("code", Kind::Whole(1_000, 4_999), "no such fault", "`close-all`: the close code, a lawful one."),
        only(
            "every",
            Kind::Span(MS, HOUR),
            "`\"100ms\"`",
            "`garbage`: between two messages that are no ticks; 1,000 of them at most.",
        ),
        only("set", Kind::Table(&super::life::RELOADED), "no such fault", "`reload`: the keys of `proxy` that change."),
        only(
            "latency",
            Kind::OneOf(LATENCY),
            "nothing",
            "`latency`: what the delay of each segment grows by, one way.",
        ),
        only(
            "jitter",
            Kind::Span(0, 60 * SECOND),
            "nothing",
            "`latency`: and up to this, evenly. Segments of one connection keep their order.",
        ),
        only("bandwidth", Kind::Whole(1, u64::MAX), "no such fault", "`bandwidth`: bits per second and direction."),
        only(
            "queue-bytes",
            Kind::Whole(1, 1 << 40),
            "1048576",
            "`bandwidth`: bytes that may wait for it; a segment beyond is lost and sent again.",
        ),
        only(
            "loss",
            Kind::Number(0.0, 1.0),
            "1 in bad spells",
            "`loss`, `burst-loss`: share of segments lost (in a bad spell). Each loss is a delay: the time-out doubles with each try, from 200 ms and a \
             round trip.",
        ),
        only("loss-good", Kind::Number(0.0, 1.0), "0", "`burst-loss`: share lost in a good spell."),
        only("good", Kind::Span(MS, DAY), "no such fault", "`burst-loss`: mean time of a good spell, exponential."),
        only("bad", Kind::Span(MS, DAY), "no such fault", "`burst-loss`: mean time of a bad spell, exponential."),
        only("size", Kind::Whole(1, 1 << 20), "no such fault", "`slicer`: bytes of a piece on average."),
        only("size-variation", Kind::Whole(0, 1 << 20), "0", "`slicer`: how much larger or smaller a piece may be."),
        only(
            "delay",
            Kind::Span(0, HOUR),
            "no such fault",
            "`slicer`: between two pieces; `slow-close`: of the end of a stream; `slow-lookup`: of the answer.",
        ),
        only(
            "closes-after",
            Kind::Span(0, DAY),
            "never, and all arrives at the end",
            "`timeout`: when silent connections are closed, since the fault began or they opened.",
        ),
        only(
            "bytes",
            Kind::Whole(0, 1 << 40),
            "0",
            "`limit-data`, `reset-peer`: what may arrive in one direction of a connection since the fault began. 0 with `reset-peer`: those that are open \
             end at once. `oversized`: the message's size, beyond what the proxy takes of a source; without it a byte more than that.",
        ),
        only("times", Kind::Number(1.0, 10_000.0), "no such fault", "`slow-host`: how many times slower, above 1."),
        only(
            "period",
            Kind::Span(2 * MS, 60 * SECOND),
            "10ms",
            "`slow-host`: where CPU is free, one turn: the process runs for one `times`-th of it and stands still for the rest.",
        ),
        only(
            "at-most",
            Kind::Whole(0, 1 << 30),
            "no such fault",
            "`backlog`: connections that wait to be accepted (one more fits in); `descriptors`: sockets of the process.",
        ),
        only("ahead", Kind::Span(1, 365 * DAY), "not", "`clock-jump`: how far the wall clock goes ahead."),
        only("behind", Kind::Span(1, 365 * DAY), "not", "`clock-jump`: how far the wall clock falls behind."),
        only(
            "ppm",
            Kind::Number(-500_000.0, 500_000.0),
            "no such fault",
            "`clock-drift`: microseconds that the wall clock gains in each second; negative: loses.",
        ),
    ],
};

/// What narrows an event down, the same for both tables.
macro_rules! moment {
    ($about:literal, $($more:expr),* $(,)?) => {
        Table {
            about: $about,
            keys: &[
                key("event", Kind::OneOf(EVENT), Without::Wrong, "What happens, see [events.md](events.md)."),
                key("count", Kind::Whole(1, 1_000_000), Without::Default("1"), "How many times."),
                key("symbol", Kind::Text, Without::Means("of any"), "Only with this symbol, `S0003`."),
                key("source", Kind::Text, Without::Means("at any"), "Only at this source, `source-1`."),
                key("proxy", Kind::Text, Without::Means("at any"), "Only at this proxy, `proxy-0`."),
                key(
                    "client",
                    Kind::Whole(0, 1_000_000),
                    Without::Means("at any"),
                    "Only at the client with this number; they count from 0 over all groups.",
                ),
                key("group", Kind::Text, Without::Means("of any"), "Only at clients of this group."),
                key(
                    "kind",
                    Kind::OneOf(STAMPED),
                    Without::Means("any, and what bears none"),
                    "Only messages of the strong contract of this kind.",
                ),
                $($more,)*
            ],
        }
    };
}

static AFTER: Table = moment!(
    "The fault begins when this has happened. Events count from the beginning of the steady phase to its end.",
    key(
        "delay",
        Kind::Span(0, DAY),
        Without::Default("\"0s\""),
        "How much later the fault begins: 0 at the very instant, else at the next whole millisecond.",
    ),
    key(
        "since",
        Kind::Table(&SINCE),
        Without::Means("from the beginning of the steady phase"),
        "Events count only when this has happened before.",
    ),
);

static SINCE: Table = moment!("From which event on the others count.",);

const STAMPED: &[Choice] = &[
    word("snapshot", "The newest value, for a subscription that begins."),
    word("live", "As it came from the source."),
    word("replay", "Again, after a resume."),
];

const EVENT: &[Choice] = &[
    word("source_open", "A source finished the handshake of a connection."),
    word("source_subscribe", "A source accepted a subscription to a symbol."),
    word("source_deny", "A source denied a subscription to a symbol (v2)."),
    word("source_unsubscribe", "A source was told that a symbol is no longer wanted on a connection."),
    word("source_send", "A source handed a tick to a connection's socket."),
    word("source_close", "A source's connection ended. A killed source says nothing."),
    word("source_refuse", "A source turned a connection away."),
    word("client_dial", "A client begins to connect."),
    word("client_open", "A client's session is open."),
    word("client_refused", "A client was turned away, or could not connect."),
    word("client_subscribe", "A client asked for a symbol."),
    word("client_unsubscribe", "A client gave up a symbol."),
    word("client_ask", "A client asked again for what it has."),
    word("client_ping", "A client sent a ping."),
    word("client_pong", "A pong came back to a client."),
    word("client_offend", "A hostile client breaks the protocol."),
    word("client_answer", "A client was told what became of a subscription (v2)."),
    word("client_deliver", "A message reached a client; `kind` says which of the strong contract."),
    word("client_gap", "A client was told of missing messages."),
    word("client_resume", "A client asked to go on where it stood."),
    word("client_resumed", "A client was told how its resume went."),
    word("client_send", "A client sent a request (echo)."),
    word("client_echo", "The answer to a request came back (echo)."),
    word("client_close", "A client's session ended."),
    word("proxy_tick", "A tick of a source reached the proxy, on any leg (fan-out)."),
    word("proxy_admit", "The proxy admitted a client."),
    word("proxy_shed", "The proxy turned a client away."),
    word("proxy_client_close", "The proxy ended a client's session."),
    word("proxy_drop", "The proxy dropped a message to a client (fan-out)."),
    word("proxy_dial", "The proxy dials a source."),
    word("proxy_leg_up", "The proxy's leg to a source is up."),
    word("proxy_leg_down", "The proxy's leg to a source ended, or a dial failed."),
    word("proxy_health", "The proxy's opinion of a source changed."),
    word("proxy_drain_start", "The proxy begins to drain."),
    word("proxy_drain_stop", "The proxy's drain is over."),
    word("proxy_reload", "The proxy went over to another configuration."),
    word("fault_start", "Another fault begins."),
    word("fault_stop", "Another fault ends."),
];

const FAULT_KIND: &[Choice] = &[
    word("kill", "The process dies; its kernel says FIN or RST. With `for`, it starts again afterwards."),
    word(
        "power-off",
        "The machine goes dark: silence. With `for`, it boots again and answers RST to what it has forgotten.",
    ),
    word("restart", "The process dies and starts again at once. Takes no `for`."),
    word("freeze", "The process stops running; its kernel lives on and acknowledges."),
    word("slow-host", "The CPU is slower: `service-time` is multiplied; where CPU is free, the process runs by turns."),
    word("clock-jump", "The wall clock is off; it is right again afterwards. Timers go on."),
    word("clock-drift", "The wall clock gains or loses; it is set right afterwards."),
    word("backlog", "Accept queues are short: requests beyond vanish and come again after 1, 3, 7 s."),
    word("descriptors", "The process may hold few sockets: beyond, accept and connect fail with EMFILE."),
    word("refuse", "Connection requests are answered with RST. Open connections go on."),
    word("black-hole", "Connection requests vanish and come again after 1, 3, 7 s. Open connections go on."),
    word("accept-close", "Connection requests are granted, and the connection is closed before the listener sees it."),
    word("nxdomain", "The name of the host does not resolve."),
    word("slow-lookup", "The name of the host resolves late."),
    word(
        "partition",
        "A link carries nothing, and what is on it is lost and sent again at growing intervals. Requests vanish.",
    ),
    word("stall", "A link carries nothing; what was sent arrives after the heal, all at once."),
    word("latency", "Segments take longer."),
    word("bandwidth", "A link carries less, with a bounded queue before it."),
    word("loss", "Segments are lost, each by itself. No byte is missing for that, it is late."),
    word("burst-loss", "Segments are lost in bursts (Gilbert-Elliott)."),
    word("slicer", "Bytes trickle: small pieces with a pause between."),
    word("slow-close", "The end of a stream (FIN) comes late."),
    word("timeout", "Bytes stop arriving; after a while each connection is closed on its way."),
    word("limit-data", "Each connection is closed on its way after so many bytes."),
    word("reset-peer", "Each connection is reset at both ends, at once or after so many bytes."),
    word("half-open", "The host (of `a>b`: a) forgets its connections without a word. Takes no `for`."),
    word("mute", "A source sends no ticks; it takes connections and subscriptions and answers pings."),
    word("slam", "A source finishes each new handshake and closes the connection at once; those that are open stay."),
    word("close-all", "A source closes every connection that it has, once, with a code. Takes no `for`."),
    word(
        "garbage",
        "A source sends what is no tick between its ticks, in turn broken JSON, binary, a tick that breaks off, and JSON of another kind.",
    ),
    word(
        "oversized",
        "A source sends each of its connections one message that is larger than the proxy takes. Takes no `for`.",
    ),
    word(
        "drain",
        "A proxy leaves in order, as after `POST /drain`, with the times of `proxy.drain`. With `for`, its program starts again so long after it was told.",
    ),
    word("reload", "A proxy goes over to another configuration, and stays. Takes no `for`."),
];
