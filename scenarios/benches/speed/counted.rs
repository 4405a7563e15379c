//! Instructions and memory of the worlds. Both are differences between two runs of one world, a shorter and a longer one, or one with few and one with many clients: what a start costs
//! is in neither.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use scenarios::model::Engine;

use super::worlds::{self, World};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Whose instructions: a word, and what the path of a source file contains. The first that fits.
const OWNERS: [(&str, &[&str]); 11] = [
    ("tungstenite", &["tungstenite"]),
    ("sim", &["sim/src/"]),
    ("proxy", &["proxy/src/"]),
    ("clients", &["loadgen/src/"]),
    ("sources", &["mock-upstream/src/"]),
    ("checkers", &["scenarios/src/", "reports/src/", "hdrhistogram"]),
    ("wire", &["wire/src/"]),
    ("tokio", &["tokio-", "tokio_"]),
    ("allocator and copies", &["malloc", "free", "realloc", "calloc", "memcpy", "memmove", "memset", "memcmp"]),
    ("standard library", &["/library/"]),
    (REST, &[""]),
];

/// Simulated seconds of the shorter and the longer run.
fn lengths(world: &World) -> (u64, u64) {
    match world.name {
        "quiet" | "hosts" => (20, 120),
        // Arrivals are in the longer one only: see `few`.
        "flood" => (5, 5),
        _ => (9, 11),
    }
}

/// Clients of the run that is taken off.
fn few(world: &World) -> u32 {
    if world.name == "flood" { 100 } else { clients(world) }
}

/// Fewer than are timed: valgrind is some fifty times slower.
fn clients(world: &World) -> u32 {
    if world.name == "flood" { 1_100 } else { world.clients }
}

/// Counts the worlds named, or all but `wide`, and takes the memory of `wide`.
pub(crate) fn main(names: &[&str]) -> ExitCode {
    let done = (|| {
        if Command::new("valgrind").arg("--version").output().is_ok() {
            count(names)?;
        } else {
            println!("no valgrind here: instructions are not counted");
        }
        if names.is_empty() || names.contains(&"wide") { memory() } else { Ok(()) }
    })();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("counted: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The child: one run, and what it did.
pub(crate) fn once(name: &str, clients: &str, seconds: &str, turmoil: bool) -> ExitCode {
    let (Some(world), Ok(clients), Ok(seconds)) =
        (worlds::ALL.iter().find(|world| world.name == name), clients.parse(), seconds.parse())
    else {
        return ExitCode::FAILURE;
    };
    let run = super::run(
        &super::plan(&world.scenario(clients, seconds)),
        if turmoil { Engine::Turmoil } else { Engine::Sim },
    );
    let segments = run.log.lines().find_map(|line| line.strip_prefix("deliveries ")).unwrap_or("0");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    println!("{segments} {}", peak.unwrap_or("0"));
    ExitCode::SUCCESS
}

/// Segments delivered and peak of memory in KiB, from a child's line.
fn child(command: &mut Command) -> Outcome<(f64, f64)> {
    let output = command.output()?;
    let line = String::from_utf8(output.stdout)?;
    let mut numbers = line.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(segments)), Some(Ok(peak))) => Ok((segments, peak)),
        _ => Err(format!("a run failed: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn memory() -> Outcome<()> {
    let wide = worlds::ALL.iter().find(|world| world.name == "wide").ok_or("no such world")?;
    let peak = |clients: u32| -> Outcome<f64> {
        let args = ["once", wide.name, &clients.to_string(), "8"];
        Ok(child(Command::new(std::env::current_exe()?).args(args))?.1)
    };
    let (few, many) = (peak(1_000)?, peak(10_000)?);
    println!(
        "\nmemory of a client, its two ends, the proxy's part and the checkers' included: {:.1} KiB",
        (many - few) / 9_000.0
    );
    Ok(())
}

/// Instructions by owner.
type Count = BTreeMap<&'static str, f64>;

fn count(names: &[&str]) -> Outcome<()> {
    println!("| world | instructions for a simulated second | for a segment | of which | |\n|---|--:|--:|---|---|");
    for world in worlds::ALL
        .iter()
        // Ten thousand clients under valgrind take too long, and show no other instructions than a thousand.
        .filter(|world| world.name != "wide" && (names.is_empty() || names.contains(&world.name)))
    {
        let (short, long) = lengths(world);
        let (less, less_segments) = callgrind(world, few(world), short)?;
        let (more, more_segments) = callgrind(world, clients(world), long)?;
        let difference: Count =
            more.iter().map(|(owner, count)| (*owner, count - less.get(owner).copied().unwrap_or(0.0))).collect();
        let total: f64 = difference.values().sum();
        let shares: Vec<String> = OWNERS
            .iter()
            .map(|(owner, _)| (owner, difference.get(owner).copied().unwrap_or(0.0) / total * 100.0))
            .filter(|(_, share)| *share >= 0.5)
            .map(|(owner, share)| format!("{owner} {share:.0} %"))
            .collect();
        let unit = if long > short {
            format!("{:.2} M", total / (long - short) as f64 / 1e6)
        } else {
            format!("({:.1} k a client)", total / f64::from(clients(world) - few(world)) / 1e3)
        };
        println!(
            "| {} | {unit} | {:.0} | {} |",
            world.name,
            total / (more_segments - less_segments),
            shares.join(", ")
        );
    }
    Ok(())
}

/// One run under callgrind: instructions by owner, and segments.
fn callgrind(world: &World, clients: u32, seconds: u64) -> Outcome<(Count, f64)> {
    let out = std::env::temp_dir().join(format!("windtunnel-callgrind-{}-{}", std::process::id(), world.name));
    let (clients, seconds) = (clients.to_string(), seconds.to_string());
    let run = child(
        Command::new("valgrind")
            // A `rep stos` counts as an instruction for each byte: the C library must clear and copy in its other way.
            .env(
                "GLIBC_TUNABLES",
                "glibc.cpu.x86_rep_stosb_threshold=1073741824:glibc.cpu.x86_rep_movsb_threshold=1073741824",
            )
            .args(["--tool=callgrind", "--dump-line=yes", "--compress-strings=no", "--compress-pos=no"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(std::env::current_exe()?)
            .args(["once", world.name, &clients, &seconds]),
    );
    let counted = run.and_then(|(segments, _)| Ok((by_owner(&out)?, segments)));
    let _ = std::fs::remove_file(&out);
    counted
}

/// Sums a profile in callgrind's format by the source file that each instruction comes from, inlined code included. What is inlined from the standard library belongs to who called it.
fn by_owner(path: &Path) -> Outcome<Count> {
    let mut count = Count::new();
    let (mut function, mut owner) = (REST, REST);
    let mut inclusive = false;
    for line in std::fs::read_to_string(path)?.lines() {
        if let Some(file) = line.strip_prefix("fl=") {
            function = owner_of(file);
            owner = function;
        } else if let Some(name) = line.strip_prefix("fn=") {
            if function == REST {
                // Code without lines: the allocator and copies of the C library.
                function = owner_of(name);
            }
            owner = function;
        } else if let Some(file) = line.strip_prefix("fi=").or_else(|| line.strip_prefix("fe=")) {
            owner = if file.contains("/library/") { function } else { owner_of(file) };
        } else if line.starts_with("calls=") {
            inclusive = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            // What follows a call is the callee's cost, which stands with the callee, too.
            if !std::mem::take(&mut inclusive)
                && let Some(cost) = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<f64>().ok())
            {
                *count.entry(owner).or_default() += cost;
            }
        }
    }
    Ok(count)
}

const REST: &str = "the rest";

fn owner_of(path: &str) -> &'static str {
    OWNERS.iter().find(|(_, parts)| parts.iter().any(|part| path.contains(part))).map_or(REST, |it| it.0)
}
