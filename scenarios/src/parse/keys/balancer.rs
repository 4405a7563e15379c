//! One address before several instances, and when clients come again: keys.

use super::{Choice, HOUR, Kind, MS, Table, Without, key, word};

pub(super) static BALANCER: Table = Table {
    about: "What clients dial: one address that stands for all instances, as a balancer's, or a name's that is resolved anew for each dial. Under `sim` only.",
    keys: &[
        key("pick", Kind::OneOf(PICK), Without::Default("\"round-robin\""), "Which instance takes the next dial."),
        key(
            "detect",
            Kind::Span(0, HOUR),
            Without::Default("\"0s\""),
            "How long an instance that was lost is dialled all the same: refused after `kill`, unheard after `power-off`. It is dialled again as soon as it is back.",
        ),
    ],
};

const PICK: &[Choice] = &[
    word("round-robin", "Each in its turn."),
    word(
        "least-connections",
        "The one with the fewest connections. One that was lost has none: until that is detected it gets nearly all dials.",
    ),
    word("random", "Any, drawn."),
];

pub(super) static BACKOFF: Table = Table {
    about: "When clients come again: exponential, with full jitter.",
    keys: &[
        key(
            "base",
            Kind::Span(MS, HOUR),
            Without::Wrong,
            "The first time after a time drawn evenly from nothing to this; the window doubles with each failure in turn.",
        ),
        key("cap", Kind::Span(MS, HOUR), Without::Default("\"30s\""), "The largest window."),
    ],
};
