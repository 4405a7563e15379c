//! docs/fidelity.md, made from what the probes saw.

use std::fmt::Write as _;
use std::path::Path;

use super::probe::World;
use super::turmoil_faults::FAULTS;
use super::{Row, Time};

const HEAD: &str = "\
# How true the network is

Written by `FIDELITY=write cargo test -p sim-tests fidelity`; the same test fails where this page and the worlds disagree.

Each probe is one pair of programs, run unchanged on kernel sockets (Linux), in our simulator and under turmoil 0.7.2. A cell says what the
programs saw. `=` means: the same as the kernel. Every difference has its reason below the table; one without a reason fails the test.

What no cell can show, because the simulator leaves it out: congestion control (slow start, and rates that fall after a loss), fast retransmission
and tail loss probes (a lost segment always costs a retransmission time-out), headers, Nagle's delay, keep-alive probes, TIME_WAIT, IPv6, UDP.
";

/// The chapters, by the module of their probes.
const CHAPTERS: &[(&str, &str, &str)] = &[
    ("opening", "How connections begin", "The kernel on its loopback."),
    ("bytes", "How bytes travel", "The kernel on its loopback."),
    ("closing", "How connections end", "The kernel on its loopback."),
    (
        "outage",
        "Outages",
        "The kernel between two network namespaces, over a wire that the test cuts (TUN devices; needs root, and is taken from this page \
         elsewhere). 20 ms each way. The kernel's patience is shortened where a probe waits for its end (`tcp_syn_retries` 1, `tcp_retries2` 3), ours is Linux's default.",
    ),
];

fn text(rows: &[Row], times: &[Time], old: &str) -> String {
    let rows: Vec<(&Row, String)> = rows
        .iter()
        .map(|row| (row, row.kernel.clone().unwrap_or_else(|| old_cell(old, row.asks, 1).to_owned())))
        .collect();
    let mut page = HEAD.to_owned();
    let same = |pick: fn(&Row) -> &String| rows.iter().filter(|(row, kernel)| pick(row) == kernel).count();
    let _ = writeln!(
        page,
        "\nOf {} probes the simulator does {} as the kernel does, turmoil {}.",
        rows.len(),
        same(|row| &row.sim),
        same(|row| &row.turmoil)
    );
    for (place, title, how) in CHAPTERS {
        let _ = writeln!(page, "\n## {title}\n\n{how}\n\n| | kernel | simulator | turmoil |\n|---|---|---|---|");
        let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
        for (row, kernel) in rows.iter().filter(|(row, _)| row.place == *place) {
            let mut cell = |world: World, cell: &str| {
                if cell == kernel {
                    return "=".to_owned();
                }
                let name = match world {
                    World::Sim => "The simulator",
                    World::Turmoil => "turmoil",
                };
                let note = format!("{name}: {}.", row.why(world).unwrap_or("NOT EXPLAINED"));
                match notes.iter_mut().find(|(known, _)| *known == note) {
                    Some((_, of)) => of.push(row.asks),
                    None => notes.push((note, vec![row.asks])),
                }
                cell.to_owned()
            };
            let (sim, turmoil) = (cell(World::Sim, &row.sim), cell(World::Turmoil, &row.turmoil));
            let _ = writeln!(page, "| {} | {kernel} | {sim} | {turmoil} |", row.asks);
        }
        for (n, (note, of)) in notes.iter().enumerate() {
            let gap = if n == 0 { "\n" } else { "" };
            let _ = writeln!(page, "{gap}- {note} ({})", of.join("; "));
        }
    }
    page.push_str(&timed(times, old));
    page.push_str(&turmoil());
    page
}

fn timed(times: &[Time], old: &str) -> String {
    let mut page = "\n## Times\n\nWhat follows from the wire alone: 20 ms each way, and a rate where one is named. The kernel's TCP runs over the \
                    same wire as above; the fastest of up to five runs must lie between the form and the tolerance above it, plus 15 ms of a busy \
                    machine.\n\n| | closed form | simulator | kernel | tolerance of the kernel |\n|---|---|---|---|---|\n"
        .to_owned();
    for time in times {
        let kernel = match time.kernel {
            Some(_) if time.kernel_agrees() => "agrees",
            Some(_) => "DIFFERS",
            None => old_cell(old, time.asks, 3),
        };
        let ((form, sum), (share, why)) = (time.form, time.tolerance);
        let _ = writeln!(
            page,
            "| {} | {form} ms: {sum} | {:.1} ms | {kernel} | {:.0} %: {why} |",
            time.asks,
            time.sim,
            share * 100.0
        );
    }
    page
}

fn turmoil() -> String {
    let mut page = "\n## Faults of turmoil 0.7.2\n\nShown with turmoil's own defaults, each by a program of its own. Our engine `turmoil` works \
                    around them (holds instead of partitions, a capacity of 16384, a wide range of ports) or refuses what it cannot express.\n\n\
                    | | a kernel, and our simulator | turmoil |\n|---|---|---|\n"
        .to_owned();
    for fault in FAULTS {
        let shown = (fault.shown)();
        assert_ne!(shown, fault.network, "turmoil has this fault no more: {}", fault.asks);
        let _ = writeln!(page, "| {} | {} | {shown} |", fault.asks, fault.network);
    }
    page
}

/// A cell of the page as it stands, for a machine that cannot fill it.
fn old_cell<'a>(old: &'a str, asks: &str, column: usize) -> &'a str {
    let line = old.lines().find(|line| line.starts_with(&format!("| {asks} |"))).unwrap_or_default();
    line.split(" | ").nth(column).unwrap_or_default().trim_matches(['|', ' '])
}

/// Compares the page with the file in the repository, or writes it if `FIDELITY=write` asks for it.
pub(crate) fn check_or_write(path: &str, rows: &[Row], times: &[Time]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let page = text(rows, times, &there);
    if std::env::var("FIDELITY").is_ok_and(|word| word == "write") {
        std::fs::write(&path, page).unwrap();
        return;
    }
    for (ours, theirs) in page.lines().zip(there.lines()) {
        assert_eq!(ours, theirs, "{} is stale: FIDELITY=write cargo test -p sim-tests fidelity", path.display());
    }
    assert_eq!(page.lines().count(), there.lines().count(), "{} is stale", path.display());
}
