//! Footnotes: what each column means, how it was reckoned, and where the formula comes from.

use super::block::{Block, Section, Table};

/// One footnote; its number is its place in [`ALL`], from 1.
pub(super) struct Note {
    pub(super) number: usize,
    pub(super) term: &'static str,
    pub(super) words: &'static str,
}

pub(super) const GOODPUT: usize = 1;
pub(super) const QUANTILES: usize = 2;
pub(super) const CPU: usize = 3;
pub(super) const SEARCH: usize = 4;
pub(super) const HEALTH: usize = 5;
pub(super) const LAW: usize = 6;
pub(super) const BOOTSTRAP: usize = 7;
pub(super) const LINE: usize = 8;
pub(super) const KERNEL: usize = 9;
pub(super) const QUEUES: usize = 10;
pub(super) const LIMITS: usize = 11;
pub(super) const LITTLE: usize = 12;
pub(super) const FLEET: usize = 13;
pub(super) const JITTER: usize = 14;
pub(super) const COST: usize = 15;
pub(super) const BASIS: usize = 16;
pub(super) const ERROR: usize = 17;
pub(super) const STORM: usize = 18;
pub(super) const SHIFT: usize = 19;
pub(super) const RANKS: usize = 20;

const ALL: [(&str, &str); 20] = [
    (
        "Goodput",
        "The share of planned messages that came within the objective. What came late, was lost, or could not be sent because the system was slow counts against it: each age is taken from \
         the instant at which the message was due, and not from when it was sent, so that a stall hides nothing (Tene's “coordinated omission”).",
    ),
    (
        "p50, p99, p99.9",
        "Quantiles of the age, from the planned instant to arrival; on the axis of connections a second, from the beginning of a dial to its upgrade. A quantile stands only where there are \
         samples enough that an upper bound of it exists at 95 %, n ≥ ln 0.05 / ln q: 299 for p99, 2,995 for p99.9. Quantiles of trials are never averaged: lines in charts go through the \
         middle trial of each load.",
    ),
    (
        "CPU",
        "CPU time that the kernel charged to the process in the window, over the length of the window: 100 % is one core kept busy. The generator's is a share of all cores that it may use.",
    ),
    (
        "The search",
        "The load is grown until a trial fails, then the gap is closed until it is within the tolerance (where to look next is guessed from the proxy's CPU), then the greatest load that held is tried again in longer windows; where that fails, \
         the search steps back. “Holds” is the greatest load so confirmed, “fails” the least that did not hold. The knee lies between the two.",
    ),
    (
        "Generator health",
        "A trial in which the generator's own timers were late, its CPU was full, it could not send what was planned, or others took the core of the proxy, says nothing of the proxy. It is marked unhealthy, and ends the search \
         below it: a limit of the generator is never told as one of the proxy.",
    ),
    (
        "Scalability law",
        "X(N) = γN / (1 + α(N−1) + βN(N−1)): throughput X over load N. γ: what one unit achieves; α, contention: the part of the work that only one may do at a time; β, coherency: what each \
         pair costs. The peak is at N* = √((1−α)/β), the ceiling without β is γ/α. Gunther, Guerrilla Capacity Planning (2007); bounded non-linear least squares as in the R package usl.",
    ),
    (
        "Intervals",
        "95 % by resampling residuals: the law is fitted again to many data sets, each the fitted curve with residuals drawn anew. Efron, Bootstrap methods (1979). Where the interval of the \
         peak has no end, or is wider than a quarter to either side, the peak is not identified by these data, and is not told.",
    ),
    (
        "Bytes a connection",
        "The slope of a straight line by least squares over several levels of connections, with its interval of 95 % by Student's t; the intercept is what the program takes without any. R² \
         is the part of the variance that the line explains.",
    ),
    (
        "Kernel",
        "The kernel's memory for TCP sockets, which resident memory does not hold. Over loopback it is that of both ends of each connection: a proxy whose clients are elsewhere has about \
         half of it, and of what a slow link keeps in flight more.",
    ),
    (
        "Queueing models",
        "Mean stay S/(1−ρ) for M/M/1 and S(1 + ρ/(2(1−ρ))) for M/D/1, with S the CPU time of a unit of work and ρ the proxy's utilisation; in general a wait of ρS(1+cv²)/(2(1−ρ)) (Pollaczek \
         1930, Khinchine 1932). “Implied cv²” is the variability of service that M/G/1 would need to explain what was measured: far above 1, something other than a queue for the CPU made \
         messages wait (bursts, batches, the scheduler).",
    ),
    (
        "Limits",
        "What each resource would hold by itself, in connections of the mix. Capacity is the least of them, and the resource that it belongs to binds. “Of the binding one” says how far the \
         others are.",
    ),
    (
        "Little's law",
        "L = λW: what is under way is the rate times the mean stay, whatever the order of service (Little 1961). What is under way is counted, the rate is measured, the stay is the planned one; where they are more than a tenth apart, \
         the measurement is wrong, and not the system.",
    ),
    (
        "Instances",
        "losses + ⌈demand / (capacity × utilisation allowed)⌉: enough that those that are left carry the demand. Necessary, not sufficient: clients of a lost instance come back all at once.",
    ),
    (
        "Smallest jitter",
        "The shortest time over which the clients of lost instances must spread their coming back, so that the survivors accept them as fast as they come: K / ((n − f) × H), with K \
         connections that were lost, n − f survivors, and H the connections a second that each takes on beside its load.",
    ),
    (
        "Cost",
        "Instances × price of an hour ÷ (demand / 1,000), losses allowed for; prices are those of the file named, on its date.",
    ),
    (
        "Where a figure comes from",
        "■ measured: seen in a trial. ◧ modelled: reckoned from what was seen, within its range. □ extrapolated: reckoned beyond the greatest load that was seen; treat it as a question for the \
         next measurement. ◇ simulated: from the simulator, in virtual time, with service times calibrated on this machine.",
    ),
    (
        "Error",
        "(predicted − measured) / measured. The prediction was made from a calibration of single costs, without the measurement that it stands beside.",
    ),
    (
        "Over seeds",
        "Each seed is a world of its own: the same loss, other instants, orders and links. The interval of the median is that of order statistics at 95 %. The worst is the worst of these \
         seeds: with n seeds and nothing worse, what is worse happens in at most 3/n of worlds, at 95 % (rule of three).",
    ),
    (
        "Shift",
        "Hodges and Lehmann's (1963): the median of all differences between a run now and a run before, as a share of the median before, with a bootstrap interval. The unit is a run, not a \
         request: requests of one run go up and down together.",
    ),
    (
        "p",
        "Mann and Whitney's rank test (1947), corrected for the number of figures by Holm (1979). A small p alone says only that there were runs enough: “worse” also asks that the shift is \
         large enough to matter.",
    ),
];

/// The footnotes that the tables of these sections lead to.
pub(super) fn of(sections: &[Section]) -> Vec<Note> {
    let mut numbers: Vec<usize> = sections
        .iter()
        .flat_map(|section| &section.blocks)
        .filter_map(|block| match block {
            Block::Table(table) | Block::Folded(_, table) => Some(table),
            _ => None,
        })
        .flat_map(|table: &Table| table.heads.iter().filter_map(|head| head.note))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let note = |number: usize| {
        let (term, words) = ALL.get(number.checked_sub(1)?)?;
        Some(Note { number, term, words })
    };
    numbers.into_iter().filter_map(note).collect()
}
