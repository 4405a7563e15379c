//! How large the messages of sources are, and in how many frames they come: keys.

use wire::tick::PADDING_MAX;

use super::{Kind, Table, Without, key};

pub(super) static PADDING: Table = Table {
    about: "Filler in ticks: a function of seed, symbol and number, of which clients check every byte.",
    keys: &[
        key(
            "bytes",
            Kind::Whole(1, PADDING_MAX as u64),
            Without::Wrong,
            "Of filler in each tick; with `bytes-min`, the largest size.",
        ),
        key(
            "bytes-min",
            Kind::Whole(0, PADDING_MAX as u64),
            Without::Means("all have the same size"),
            "The smallest size; each from here to the largest is as likely as the others.",
        ),
        key(
            "symbols",
            Kind::List(&Kind::Text),
            Without::Means("all"),
            "The symbols whose ticks carry it; those of the others have none.",
        ),
    ],
};

pub(super) static FRAGMENTS: Table = Table {
    about: "Messages in several frames: the first has the opcode, the others continue it.",
    keys: &[
        key("bytes", Kind::Whole(1, 1 << 30), Without::Wrong, "Payload bytes of a frame at most."),
        key(
            "pings",
            Kind::Flag,
            Without::Default("false"),
            "Whether a ping stands between each two frames of a message.",
        ),
    ],
};
