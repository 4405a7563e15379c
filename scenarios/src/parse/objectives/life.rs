//! Objectives on how proxies leave and change.

use super::{CHECKED_MIN, HOUR_US, key, wrong};
use crate::model::{Fault, FaultKind};
use crate::parse::format::{Kind, Table, Without};
use crate::parse::meaning::Rules;

pub(super) static DRAIN: Table = Table {
    about: "A proxy that drains, see `proxy.drain`, lets nobody in, gives everyone what was sent before its Close, spreads the closes, and is gone by its deadline.",
    keys: &[
        key(
            "settle",
            Kind::Span(0, HOUR_US),
            Without::Default("\"100ms\""),
            "How much later than the proxy does it a client may see it: above some round trips.",
        ),
        CHECKED_MIN,
    ],
};

pub(super) static RELOAD: Table = Table {
    about: "A reload closes nobody, and a new `clients-max` counts for who comes next.",
    keys: &[
        key(
            "settle",
            Kind::Span(0, HOUR_US),
            Without::Default("\"1s\""),
            "How long after a reload closes are laid to it.",
        ),
        key(
            "counts-within",
            Kind::Span(0, HOUR_US),
            Without::Default("\"50ms\""),
            "After which time a new limit counts.",
        ),
        CHECKED_MIN,
    ],
};

pub(super) fn check(rules: &mut Rules<'_>) {
    let scenario = rules.scenario;
    let has = |kind: FaultKind| scenario.faults.iter().any(|fault: &Fault| fault.kind == kind);
    if scenario.check.drain.is_some() && !has(FaultKind::Drain) {
        wrong(rules, "drain", "no fault is a \"drain\"", "add one under [[faults]], with target = \"proxy-0\"");
    }
    if scenario.check.reload.is_some() && !has(FaultKind::Reload) {
        wrong(rules, "reload", "no fault is a \"reload\"", "add one under [[faults]], with target = \"proxy-0\"");
    }
}
