//! What a segment, a byte and a connection cost the proxy, fitted from its CPU time over loopback, in a file that the simulator charges from:
//! `windtunnel run --service-time FILE`. docs/scenarios.md explains the file.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::cases::{self, Run};
use super::frames::head_len;
use super::role::{Outcome, Place};
use super::table;

/// Clients, each of whom gets every tick: what comes in is then next to nothing beside what goes out.
const CLIENTS: usize = 1_000;

/// Ticks of so many bytes, so many due at once, so often a second.
struct Case {
    payload_len: usize,
    ticks: u32,
    bursts_per_s: u32,
}

impl Case {
    fn name(&self) -> String {
        let &Self { payload_len, ticks, bursts_per_s } = self;
        format!("{payload_len} bytes, {ticks} at once, {bursts_per_s} times a second, {CLIENTS} clients")
    }

    /// CPU time of the proxy for each message that reached a client.
    fn cpu_ns(&self, place: Place, window: Duration) -> Outcome<f64> {
        let mut run = Run::of_proxy(place, CLIENTS, self.payload_len)?;
        run.pace(self.bursts_per_s, self.ticks)?;
        std::thread::sleep(Duration::from_secs(1));
        let sample = run.sample(window)?;
        run.end();
        let due = f64::from(self.ticks * self.bursts_per_s) * CLIENTS as f64;
        if (sample.per_s / due - 1.0).abs() > 0.15 {
            let (name, per_s) = (self.name(), sample.per_s);
            return Err(
                format!("{name}: {per_s:.0} deliveries a second where {due} were due; is the machine busy?").into()
            );
        }
        Ok(sample.cpu_us * 1e3)
    }

    /// What is due at once is read at once and written at once; each burst comes in once and goes out to every client.
    fn point(&self, cpu_ns: f64) -> Point {
        let ways = 1.0 + 1.0 / CLIENTS as f64;
        Point {
            case: self.name(),
            segments: ways / f64::from(self.ticks),
            bytes: ways * (head_len(self.payload_len) + self.payload_len) as f64,
            messages: ways,
            cpu_ns,
        }
    }
}

const CASES: [Case; 6] = [
    Case { payload_len: 112, ticks: 1, bursts_per_s: 20 },
    Case { payload_len: 112, ticks: 8, bursts_per_s: 5 },
    Case { payload_len: 112, ticks: 32, bursts_per_s: 5 },
    Case { payload_len: 1_024, ticks: 1, bursts_per_s: 20 },
    Case { payload_len: 1_024, ticks: 8, bursts_per_s: 5 },
    Case { payload_len: 4_096, ticks: 1, bursts_per_s: 20 },
];

/// Segments that the simulator charges a proxy for a connection that comes, upgrades, is greeted and says goodbye: SYN, SYN-ACK, ACK, request, answer with greeting,
/// Close there and back, FIN there and back. And their payload: request, answer with greeting, two Close frames.
const CHURN_SEGMENTS: f64 = 9.0;
const CHURN_BYTES: f64 = 158.0 + 140.0 + 8.0 + 4.0;

/// A case as it was measured; all for one message that reached a client.
struct Point {
    case: String,
    segments: f64,
    bytes: f64,
    messages: f64,
    cpu_ns: f64,
}

/// Nanoseconds for a segment, for a byte and for a message.
#[derive(Clone, Copy)]
struct Costs {
    segment: f64,
    byte: f64,
    message: f64,
}

impl Point {
    fn terms(&self) -> [f64; 3] {
        [self.segments, self.bytes, self.messages]
    }
}

impl Costs {
    /// Those whose sum of squared relative errors is least; no cost is below nothing. Of all sets of costs that may be above nothing, the best whose own are.
    fn fitted(points: &[Point]) -> Self {
        let mut best: Option<(f64, [f64; 3])> = None;
        for set in 1..8_usize {
            let kept: Vec<usize> = (0..3).filter(|term| set >> term & 1 == 1).collect();
            let Some(found) = least_squares(points, &kept) else { continue };
            let error = |point: &Point| {
                let sum: f64 = point.terms().iter().zip(found).map(|(term, cost)| term * cost).sum();
                (sum / point.cpu_ns - 1.0).powi(2)
            };
            let error: f64 = points.iter().map(error).sum();
            if found.iter().all(|cost| *cost >= 0.0) && best.is_none_or(|(least, _)| error < least) {
                best = Some((error, found));
            }
        }
        let [segment, byte, message] = best.map_or([f64::NAN; 3], |(_, costs)| costs);
        Self { segment, byte, message }
    }

    fn of(self, segments: f64, bytes: f64, messages: f64) -> f64 {
        self.segment * segments + self.byte * bytes + self.message * messages
    }
}

/// The costs of some terms by the normal equations of relative errors, those of the others nothing; none where the points do not tell them apart.
fn least_squares(points: &[Point], kept: &[usize]) -> Option<[f64; 3]> {
    let n = kept.len();
    let mut rows = vec![vec![0.0; n + 1]; n];
    for point in points {
        let terms: Vec<f64> = kept.iter().map(|term| point.terms()[*term] / point.cpu_ns).collect();
        for (row, own) in rows.iter_mut().zip(&terms) {
            row.iter_mut().zip(&terms).for_each(|(cell, other)| *cell += own * other);
            row[n] += own;
        }
    }
    for pivot in 0..n {
        let best = (pivot..n).max_by(|one, next| rows[*one][pivot].abs().total_cmp(&rows[*next][pivot].abs()))?;
        rows.swap(pivot, best);
        if rows[pivot][pivot].abs() < 1e-300 {
            return None;
        }
        let own = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(place, _)| *place != pivot) {
            let times = row[pivot] / own[pivot];
            row.iter_mut().zip(&own).for_each(|(cell, own)| *cell -= times * own);
        }
    }
    let mut found = [0.0; 3];
    kept.iter().enumerate().for_each(|(row, term)| found[*term] = rows[row][n] / rows[row][row]);
    Some(found)
}

/// Measures, fits, and writes the file. A relative path counts from the workspace, wherever cargo runs benches.
pub(crate) fn run(file: Option<&str>, quick: bool) -> Outcome<()> {
    let file = file.filter(|file| !file.starts_with('-')).ok_or("--calibrate wants a file to write")?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    // Whether it can be written is known now, not after minutes; what stands there stays until there is something better.
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
    cases::give_up_in_the_end();
    let place = Place::find();
    table::machine(place);
    let (repeats, window) = if quick { (1, Duration::from_secs(2)) } else { (3, Duration::from_secs(4)) };
    let (mut cpu, mut churn) = (vec![Vec::new(); CASES.len()], Vec::new());
    // All cases in each repeat, as machines have moods.
    for repeat in 1..=repeats {
        for (case, cpu) in CASES.iter().zip(&mut cpu) {
            eprintln!("{} ({repeat} of {repeats})", case.name());
            cpu.push(case.cpu_ns(place, window)?);
        }
        eprintln!("connections ({repeat} of {repeats})");
        let mut run = Run::of_proxy(place, 0, CASES[0].payload_len)?;
        churn.push(cases::churn_cpu_us(&run.server, &mut run.clients)?[1] * 1e3);
        run.end();
    }
    let points: Vec<Point> =
        CASES.iter().zip(cpu).map(|(case, cpu)| case.point(table::median(cpu.into_iter()))).collect();
    let churn_ns = table::median(churn.into_iter());
    let costs = Costs::fitted(&points);
    if !(costs.segment >= 1.0 && costs.byte.is_finite()) {
        return Err(format!(
            "no costs fit these measurements ({:.1} ns a segment, {:.3} ns a byte, {:.1} ns a message): is the machine busy? Nothing was written",
            costs.segment, costs.byte, costs.message
        )
        .into());
    }
    let text = written(place, file, quick, costs, churn_ns, &points)?;
    std::fs::write(&path, &text)?;
    println!("{text}\nwritten to {}", path.display());
    Ok(())
}

fn written(place: Place, file: &str, quick: bool, costs: Costs, churn_ns: f64, points: &[Point]) -> Outcome<String> {
    let rustc = std::process::Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or_else(|_| String::new(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = date.split('T').next().unwrap_or_default();
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let churn_segments_ns = costs.of(CHURN_SEGMENTS, CHURN_BYTES, 0.0);
    let connection = (churn_ns - churn_segments_ns).max(0.0);
    let errors: Vec<f64> =
        points.iter().map(|it| (costs.of(it.segments, it.bytes, it.messages) / it.cpu_ns - 1.0).abs()).collect();
    let rms = (errors.iter().map(|it| it * it).sum::<f64>() / errors.len() as f64).sqrt();
    let mut text = String::new();
    writeln!(
        text,
        "# What network work costs the proxy, for `windtunnel run --service-time`. docs/scenarios.md explains each key."
    )?;
    writeln!(text, "schema = 1")?;
    writeln!(text, "machine = {}", quoted(&table::described(place)))?;
    writeln!(text, "date = {}", quoted(date))?;
    writeln!(text, "versions = {{ proxy = {}, rustc = {} }}", quoted(env!("CARGO_PKG_VERSION")), quoted(&rustc))?;
    let options = if quick { " --quick" } else { "" };
    writeln!(
        text,
        "command = {}",
        quoted(&format!("cargo bench -p proxy --bench sockets -- --calibrate {file}{options}"))
    )?;
    writeln!(text, "caveats = [")?;
    let mut caveats = vec![
        "over loopback the kernel does the receiver's part of the network work in the sender's time".to_owned(),
        format!("fan-out to {CLIENTS} clients, one shard; the relay, TLS and the strong contract cost more"),
        "of messages that are written together each costs per-message, beside its bytes".to_owned(),
        format!(
            "a connection's cost is what is left of connect, upgrade and close after {CHURN_SEGMENTS} segments and {CHURN_BYTES} bytes"
        ),
        "costs are fixed and for one core: how they spread was not measured".to_owned(),
    ];
    if connection == 0.0 {
        let times = churn_segments_ns / churn_ns;
        caveats.push(format!(
            "a segment without payload costs less than a write: connections are charged {times:.2} times what they cost"
        ));
    }
    for caveat in caveats {
        writeln!(text, "    {},", quoted(&caveat))?;
    }
    writeln!(text, "]\n\n[cost]")?;
    writeln!(text, "per-segment = \"{:.0}ns\"", costs.segment)?;
    writeln!(text, "per-kib = \"{:.0}ns\"", costs.byte * 1024.0)?;
    writeln!(text, "per-message = \"{:.0}ns\"", costs.message)?;
    writeln!(text, "per-connection = \"{connection:.0}ns\"")?;
    writeln!(text, "cores = 1\nqueues = \"per-core\"\nspread = \"fixed\"\n")?;
    writeln!(text, "# Relative errors of the points below, but for the connection.\n[fit]")?;
    writeln!(
        text,
        "residual-rms = {rms:.4}\nresidual-max = {:.4}",
        errors.iter().fold(0.0, |most: f64, it| most.max(*it))
    )?;
    for point in points {
        writeln!(text, "\n[[points]]\ncase = {}", quoted(&point.case))?;
        writeln!(
            text,
            "segments = {:.6}\nbytes = {:.3}\nmessages = {:.6}",
            point.segments, point.bytes, point.messages
        )?;
        writeln!(text, "cpu-ns = {:.1}", point.cpu_ns)?;
        writeln!(text, "fitted-ns = {:.1}", costs.of(point.segments, point.bytes, point.messages))?;
    }
    writeln!(text, "\n[[points]]\ncase = \"connect, upgrade and close, 32 at once\"")?;
    writeln!(text, "segments = {CHURN_SEGMENTS}\nbytes = {CHURN_BYTES}\nconnections = 1")?;
    writeln!(text, "cpu-ns = {churn_ns:.1}")?;
    writeln!(text, "fitted-ns = {:.1}", costs.of(CHURN_SEGMENTS, CHURN_BYTES, 0.0) + connection)?;
    Ok(text)
}
