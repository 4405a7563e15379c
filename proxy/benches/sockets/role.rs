//! The processes of a run: what a child is, and what the kernel says of it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::Receiver;

use rustix::thread::CpuSet;

use super::clients::Speech;
use super::frames::PAYLOAD_LEN;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What a child is asked for, a line each, until the parent lets go.
pub(crate) fn commands() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map_while(Result::ok)
}

/// The same for a child that has other things to do: it looks whether one has come. It ends when the parent lets go.
pub(crate) fn orders() -> Receiver<String> {
    let (told, orders) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in commands() {
            if told.send(line).is_err() {
                return;
            }
        }
        std::process::exit(0)
    });
    orders
}

/// For a child that has other things to do, and is told nothing: it ends when the parent lets go.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        for _ in commands() {}
        std::process::exit(0)
    });
}

/// A line to the parent.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    // A parent that is gone ends the child by its input.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs as a child.
pub(crate) fn run(core: &str, nice: &str, role: &[&str]) -> Outcome<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    if let Ok(core) = core.parse() {
        let mut cores = CpuSet::new();
        cores.set(core);
        rustix::thread::sched_setaffinity(None, &cores)?;
    }
    if nice == "nice" {
        rustix::process::nice(NICE)?;
        // Where the kernel weighs sessions, not threads (CONFIG_SCHED_AUTOGROUP), the priority is one of the session.
        if rustix::process::setsid().is_ok() {
            let _ = fs::write("/proc/self/autogroup", NICE.to_string());
        }
    }
    match role {
        ["source", symbols, payload_len] => super::source::run(symbols.parse()?, payload_len.parse()?),
        ["bare", "churn"] => super::bare::churn(),
        ["plain", "churn"] => super::plain::churn(),
        ["bare", source, clients, writes] => super::bare::run(source, clients.parse()?, *writes == "joined"),
        ["clients", server, clients, symbols, payload_len] => {
            super::clients::run(Speech::WebSocket, server, clients.parse()?, symbols.parse()?, payload_len.parse()?)
        }
        ["nats"] => super::nats::serve(),
        ["nats-source", server, symbols] => super::source::publish(server, symbols.parse()?),
        ["nats-clients", server, clients, symbols] => {
            super::clients::run(Speech::Nats, server, clients.parse()?, symbols.parse()?, PAYLOAD_LEN)
        }
        ["echo"] => super::relay::echo(),
        ["trips", server] => super::relay::trips(server),
        ["nginx", folder, echo] => super::relay::nginx(folder, echo),
        ["proxy" | "relay", source] => {
            end_with_parent();
            let url = format!("ws://{source}");
            let args = ["proxy", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &url];
            let mode: &[&str] = if role[0] == "relay" { &["--mode", "relay", "--protocol", "raw"] } else { &[] };
            proxy::program::main(args.iter().chain(mode).map(Into::into));
            Ok(())
        }
        _ => Err(format!("unknown role {role:?}").into()),
    }
}

/// The priority that all children of a run ask for.
const NICE: i32 = -10;

/// Where children run, and whether they may have a better priority than the rest of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) cores: usize,
    pub(crate) nice: bool,
}

impl Place {
    /// What this machine and this user allow.
    pub(crate) fn find() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Tried out on a thread of its own: Linux gives each thread its priority.
        let nice = std::thread::spawn(|| rustix::process::nice(NICE).is_ok()).join().unwrap_or(false);
        Self { cores, nice }
    }
}

/// A child; ended when dropped.
pub(crate) struct Role {
    child: std::process::Child,
    orders: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Role {
    /// Starts a role on the server's core or on that of everything else.
    pub(crate) fn start(place: Place, server: bool, role: &[&str]) -> Outcome<Self> {
        let core = if place.cores < 2 {
            "any"
        } else if server {
            "1"
        } else {
            "0"
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["role", core, if place.nice { "nice" } else { "as-is" }])
            .args(role)
            .env("RUST_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().ok_or("no input")?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        Ok(Self { child, orders, lines })
    }

    /// Its next line.
    pub(crate) fn line(&mut self) -> Outcome<String> {
        self.lines.next().ok_or("a child ended early; its own words are above")?.map_err(Into::into)
    }

    /// Tells it something.
    pub(crate) fn tell(&mut self, order: &str) -> Outcome<()> {
        writeln!(self.orders, "{order}")?;
        Ok(self.orders.flush()?)
    }

    /// Asks it something.
    pub(crate) fn ask(&mut self, order: &str) -> Outcome<String> {
        self.tell(order)?;
        self.line()
    }

    /// Ends it. It is awaited when dropped.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
    }

    /// CPU time that it used so far, in microseconds: of all its threads, from the scheduler's own account.
    pub(crate) fn cpu_us(&self) -> Outcome<f64> {
        let mut ns = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let account = fs::read_to_string(thread?.path().join("schedstat"))?;
            ns += account.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
        if ns > 0 {
            return Ok(ns as f64 / 1e3);
        }
        // A kernel without schedstat: user and system time in hundredths of a second.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default();
        Ok(fields.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum::<f64>() * 1e4)
    }

    /// Its resident memory, in bytes.
    pub(crate) fn rss(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}
