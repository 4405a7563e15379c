//! A message-sequence diagram: columns for who takes part, rows for what they said.

use crate::figure;
use crate::story::{Moment, Row, stamp};

/// The column of times and numbers.
const GUTTER: usize = 148;
/// Between two parties.
const COLUMN: usize = 208;
const HEAD: usize = 34;
const ROW: usize = 30;
/// A row that says how much time passes.
const PAUSE: usize = 20;
/// A pause that is told, in microseconds.
const PAUSE_US: u64 = 2_000;
/// Letters of a label: between two columns, and where there is room.
const LETTERS: usize = 32;
const LETTERS_WIDE: usize = 62;
/// A letter is hardly wider, if bold.
const LETTER: usize = 7;
/// Where one party alone is drawn, what happens to it needs the room of the next one.
const COLUMNS_MIN: usize = 2;

/// Where everything is drawn.
pub(super) struct Diagram<'a> {
    pub(super) invariant: &'a str,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) parties: Vec<(usize, &'a str)>,
    pub(super) rows: Vec<DiagramRow<'a>>,
    pub(super) pauses: Vec<(usize, String)>,
    pub(super) describe: String,
    pub(super) cut: Option<&'a str>,
}

pub(super) struct DiagramRow<'a> {
    pub(super) y: usize,
    pub(super) event: u64,
    pub(super) at: String,
    /// Against the breach: `−99.9 ms`.
    pub(super) apart: String,
    pub(super) class: String,
    /// An arrow from here to there; equal where it is none.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) text_x: usize,
    pub(super) anchor: &'static str,
    pub(super) text: String,
    pub(super) whole: &'a str,
    /// Whence and where to, in words: for where there is no room for a diagram.
    pub(super) way: String,
    /// It concerns all.
    pub(super) across: bool,
    pub(super) marked: bool,
}

impl<'a> Diagram<'a> {
    pub(super) fn new(moment: &'a Moment) -> Self {
        let sequence = &moment.sequence;
        let x = |column: usize| GUTTER + COLUMN / 2 + column * COLUMN;
        let count = sequence.parties.len().max(1);
        let width = GUTTER + count.max(COLUMNS_MIN) * COLUMN;
        let mut y = HEAD;
        let mut before_us: Option<u64> = None;
        let mut pauses = Vec::new();
        let mut rows = Vec::new();
        for row in &sequence.rows {
            if let Some(pause_us) =
                before_us.map(|before| row.at_us.saturating_sub(before)).filter(|us| *us >= PAUSE_US)
            {
                pauses.push((y + PAUSE / 2 + 3, figure::latency(pause_us)));
                y += PAUSE;
            }
            before_us = Some(row.at_us);
            y += ROW;
            rows.push(DiagramRow {
                way: way(row, &sequence.parties),
                ..placed(row, y - 8, moment.at_us, count, width, x)
            });
        }
        let parties: Vec<_> =
            sequence.parties.iter().enumerate().map(|(place, name)| (x(place), name.as_str())).collect();
        let describe = format!(
            "Messages around the first breach of {}: {} of them between {}",
            moment.invariant,
            sequence.rows.len(),
            sequence.parties.join(", ")
        );
        let cut = sequence.cut.as_deref();
        Self { invariant: &moment.invariant, width, height: y + 12, parties, rows, pauses, describe, cut }
    }
}

fn placed<'a>(
    row: &'a Row,
    y: usize,
    breach_us: u64,
    count: usize,
    width: usize,
    x: impl Fn(usize) -> usize,
) -> DiagramRow<'a> {
    let across = row.from.is_none();
    let from = row.from.map_or(GUTTER, &x);
    let to = row.to.map_or(from, &x);
    let last = row.from == Some(count - 1) && count > 1;
    let (text_x, anchor, letters) = match (across, from == to) {
        (true, _) => (GUTTER + (width - GUTTER) / 2, "middle", LETTERS_WIDE.min((width - GUTTER) / LETTER)),
        (_, false) => ((from + to) / 2, "middle", LETTERS * from.abs_diff(to) / COLUMN),
        (_, true) if last => (from - 10, "end", if count > 2 { LETTERS_WIDE } else { LETTERS + 12 }),
        (_, true) => (from + 10, "start", LETTERS + 10),
    };
    let mut class = row.tone.class().to_owned();
    for (is, word) in [(row.shows, " shows"), (row.decisive, " decisive")] {
        if is {
            class.push_str(word);
        }
    }
    DiagramRow {
        y,
        event: row.event,
        at: stamp(row.at_us),
        apart: apart(row.at_us, breach_us),
        class,
        from,
        to: match to.cmp(&from) {
            std::cmp::Ordering::Greater => to - 2,
            std::cmp::Ordering::Less => to + 2,
            std::cmp::Ordering::Equal => to,
        },
        text_x,
        anchor,
        text: figure::cut(&row.text, letters),
        whole: &row.text,
        way: String::new(),
        across,
        marked: row.shows || row.decisive,
    }
}

/// `source-0 → proxy-0: `, or who it happened to.
fn way(row: &Row, parties: &[String]) -> String {
    let name = |place: Option<usize>| place.and_then(|place| parties.get(place)).map(String::as_str);
    match (name(row.from), name(row.to)) {
        (Some(from), Some(to)) => format!("{from} → {to}: "),
        (Some(from), None) => format!("{from}: "),
        _ => String::new(),
    }
}

/// How long before or after.
fn apart(at_us: u64, breach_us: u64) -> String {
    match at_us.cmp(&breach_us) {
        std::cmp::Ordering::Less => format!("−{}", figure::latency(breach_us - at_us)),
        std::cmp::Ordering::Equal => "breach".to_owned(),
        std::cmp::Ordering::Greater => format!("+{}", figure::latency(at_us - breach_us)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{Sequence, Tone};

    #[test]
    fn no_label_leaves_the_picture_however_few_take_part() {
        let row = |from: Option<usize>, to: Option<usize>| Row {
            event: 0,
            at_us: 0,
            from,
            to,
            text: "x".repeat(100),
            tone: Tone::Talk,
            shows: false,
            decisive: true,
        };
        for count in 1..=6 {
            let mut rows = vec![row(None, None)];
            for one in 0..count {
                rows.extend((0..count).map(|other| row(Some(one), (other != one).then_some(other))));
            }
            let parties = (0..count).map(|n| format!("proxy-{n}")).collect();
            let sequence = Sequence { parties, rows, cut: None };
            let moment = Moment { invariant: "x".to_owned(), at_us: 0, sequence, around: Vec::new() };
            let diagram = Diagram::new(&moment);
            for row in &diagram.rows {
                // Letters are seven pixels wide at most, the middle of many is six and a half.
                let long = row.text.chars().count() * 13 / 2;
                let (left, right) = match row.anchor {
                    "start" => (row.text_x, row.text_x + long),
                    "end" => (row.text_x.saturating_sub(long), row.text_x),
                    _ => (row.text_x.saturating_sub(long / 2), row.text_x + long / 2),
                };
                assert!(
                    left >= GUTTER - 8 && right <= diagram.width,
                    "{count}: {left} to {right} of {}",
                    diagram.width
                );
            }
        }
    }
}
