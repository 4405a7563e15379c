//! How proxies leave and change: keys.

use super::{Choice, HOUR, Key, Kind, MS, SLOW_CLIENT, Table, Without, key, word};

const fn time(name: &'static str, about: &'static str) -> Key {
    key(name, Kind::Span(0, HOUR), Without::Means("the proxy's default"), about)
}

pub(super) static DRAIN: Table = Table {
    about: "How a proxy leaves: it tells, shuts its doors, and closes its clients one after the other.",
    keys: &[
        time("tell", "From the beginning of a drain to the end of accepting."),
        time("grace", "Then clients may go by themselves for so long."),
        time("time", "Then they are closed, one after the other, over this time."),
        time(
            "deadline",
            "From the beginning of a drain to its end: who is still there is cut. `tell`, `grace` and `time` together or more.",
        ),
        time(
            "close-timeout",
            "How long a client that is closed may take for what waits for it and for its Close, in a drain and elsewhere.",
        ),
        key(
            "code",
            Kind::OneOf(CODE),
            Without::Means("the proxy's default"),
            "With which close code clients are sent away.",
        ),
    ],
};

const CODE: &[Choice] =
    &[word("going-away", "1001."), word("service-restart", "1012: come again, to this proxy or another.")];

const fn changed(name: &'static str, kind: Kind, about: &'static str) -> Key {
    key(name, kind, Without::Means("stays"), about)
}

pub(super) static RELOADED: Table = Table {
    about: "What a reload changes: at least one of these keys of `proxy`.",
    keys: &[
        changed("clients-max", Kind::Whole(1, u32::MAX as u64), "Counts at once, and nobody inside is closed for it."),
        changed("queue-bytes", Kind::Whole(1, 1 << 40), "For clients that come from then on."),
        changed("slow-client", Kind::OneOf(SLOW_CLIENT), "For clients that come from then on."),
        changed("stale-after", Kind::Span(MS, HOUR), "For legs that open from then on."),
        changed("clients-per-upstream-max", Kind::Whole(1, u32::MAX as u64), "Counts at once. For `relay`."),
        changed("pending-max", Kind::Whole(1, u32::MAX as u64), "Counts at once. For `relay`."),
        changed("pending-timeout", Kind::Span(MS, HOUR), "Counts at once. For `relay`."),
        changed("dials-per-second-max", Kind::Whole(0, u32::MAX as u64), "Counts at once."),
        changed("dials-burst", Kind::Whole(1, u32::MAX as u64), "Counts at once."),
    ],
};
