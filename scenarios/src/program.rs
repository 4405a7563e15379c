//! The program `windtunnel`: the command line and its exit codes.

mod shrink;

mod annotations;
mod bank;
mod bless;
mod capacity;
mod diff;
mod difference;
mod explore;
mod forecast;
mod merge;
mod mutants;
mod pin;
mod replay;
mod run;
mod select;
mod stop;
mod sweep;
mod twice;

// A server, and no story.
mod open;
mod peers;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::agenda::Shard;
use crate::campaign::{self, Job};
use crate::engine::{EngineError, Look, Options, Run};
use crate::gate;
use crate::logs;
use crate::model::Engine;
use crate::pcap::{self, Pcap};
use crate::span::Span;

/// Exit codes, the same for all commands.
pub mod exit {
    /// Everything held.
    pub const PASSED: u8 = 0;
    /// An invariant or objective is broken.
    pub const BROKEN: u8 = 1;
    /// Nothing, or too little, was checked.
    pub const INCONCLUSIVE: u8 = 2;
    /// All held, but something is worse than the baseline past its tolerance.
    pub const WORSE: u8 = 3;
    /// Usage, or a bad scenario file or capsule.
    pub const USAGE: u8 = 64;
    /// A bug in the harness.
    pub const HARNESS: u8 = 70;
    /// Input or output failed.
    pub const IO: u8 = 74;

    /// Of one run.
    #[must_use]
    pub fn of(outcome: reports::record::Outcome) -> u8 {
        match outcome {
            reports::record::Outcome::Pass => PASSED,
            reports::record::Outcome::Fail => BROKEN,
            reports::record::Outcome::Inconclusive => INCONCLUSIVE,
        }
    }
}

/// A wind tunnel for WebSocket proxies: real proxy, feed servers and clients in a deterministic network simulator.
#[derive(Debug, Parser)]
#[command(
    name = "windtunnel",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 passed, 1 an invariant is broken, 2 inconclusive, 3 worse than the baseline, 64 usage or bad file, 70 harness bug, 74 I/O."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The catalogue of scenarios
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Run scenarios and judge them (default: the whole catalogue, seeds 1..3)
    Run(Box<RunArgs>),
    /// Make what runs measured the baseline that later ones are held against
    Bless(BlessArgs),
    /// What got better and worse from one run folder (or baseline) to another, the worst first; exit code 3 if worse past a tolerance
    Diff {
        /// A run folder, a folder of baselines, or one baseline: how it was
        before: PathBuf,
        /// The same: how it is
        now: PathBuf,
    },
    /// Runs spread over several machines by a NATS server
    Sweep {
        #[command(subcommand)]
        command: sweep::SweepCommand,
    },
    /// Put the run folders of all shards together: the same summary, verdicts and JUnit as one command would have given
    Merge(MergeArgs),
    /// What one instance of the proxy carries, over real sockets on this machine: connections under an objective, what binds, and what follows from it
    Capacity(Box<capacity::CapacityArgs>),
    /// Proxies of others, and ours, through the same scenarios over sockets: the page docs/peers.md, on standard output
    Peers(peers::PeersArgs),
    /// A run folder in the browser: serves it on loopback, prints the address, and ends with ctrl-c
    Open(open::OpenArgs),
    /// Lint scenario files: file:line:column, what is wrong, what was probably meant
    Check {
        /// Scenario files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// A scenario as a timeline in text, or as the file that says all of it
    Explain {
        /// A scenario of the catalogue, or a file
        scenario: String,
        /// With what network work costs the proxies from this calibration file
        #[arg(long, value_name = "FILE")]
        service_time: Option<PathBuf>,
        /// As one scenario file, with every default written out
        #[arg(long)]
        toml: bool,
    },
    /// Random but lawful worlds until the time is over: what breaks, by kind, each with a capsule
    Explore(Box<ExploreArgs>),
    /// What the simulator says beforehand of proxies that were calibrated
    Forecast {
        #[command(subcommand)]
        command: forecast::ForecastCommand,
    },
    /// JSON Schema of scenario files
    Schema,
    /// Run a capsule again and compare
    Replay {
        /// A capsule.json from a run folder
        capsule: PathBuf,
        /// Write its report beside it, with the closer look that only the first failing runs of a campaign have; also of a run that passed
        #[arg(long, conflicts_with_all = ["stop_at", "debugger"])]
        report: bool,
        /// A run that takes longer than this on the wall is a bug in the harness
        #[arg(long, value_parser = humantime::parse_duration, default_value = "5m", conflicts_with = "debugger")]
        watchdog: Duration,
        #[command(flatten)]
        captures: CaptureArgs,
    },
    /// When did a failure become inevitable? The run up to a time, drawn anew from there on, many times: how often it still fails in the same way, over a grid of times
    /// that is refined where it rises. Writes pin.json and pin.svg
    Pin(pin::PinArgs),
    /// Determinism check: each run in a fresh process against the same run in this one, after fifty others
    Twice(TwiceArgs),
    /// The planted bugs that prove the checkers
    Mutants(MutantsArgs),
    /// Make a failing run smaller while it fails in the same way, until nothing can be taken away (exit code 1: it fails; 2: it does not fail any more)
    Shrink(ShrinkArgs),
    /// Keep a failure as a scenario of the bank, which is run again first beside the whole catalogue
    Keep(KeepArgs),
    /// The marks in the programs: rare branches that a run can reach, and where they stand
    Marks {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One of the three programs, from this build
    #[command(disable_help_flag = true)]
    Role {
        /// `proxy`, `mock-upstream` or `loadgen`
        role: Role,
        /// Its own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Takes a core and the fate of its parent, and becomes a program (used by what runs over real sockets)
    #[command(hide = true)]
    Child {
        /// The only core that it may use
        #[arg(long)]
        core: Option<usize>,
        /// The process without which it ends
        #[arg(long)]
        parent: Option<u32>,
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
    /// One host of a run over sockets (used by `run --engine sockets`)
    #[command(hide = true)]
    Host {
        /// The folder of the run
        #[arg(long)]
        stage: PathBuf,
        /// Which host
        #[arg(long)]
        name: String,
        /// Its how-manieth life, from 0
        #[arg(long)]
        life: u32,
    },
    /// One run without a report: prints its hash (used by `twice`)
    #[command(hide = true)]
    Trace {
        scenario: String,
        #[arg(long)]
        seed: u64,
        #[arg(long, default_value_t = 0)]
        order: u64,
        #[arg(long, value_enum, default_value_t = EngineArg::Sim)]
        engine: EngineArg,
        /// Write all events here
        #[arg(long)]
        events: Option<PathBuf>,
        /// Print what the network delivered from this number on instead
        #[arg(long, conflicts_with = "events")]
        segments: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Proxy,
    MockUpstream,
    Loadgen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineArg {
    /// Our simulator
    Sim,
    /// turmoil's, where it can express the scenario
    Turmoil,
    /// Real processes on loopback
    Sockets,
}

impl From<EngineArg> for Engine {
    fn from(arg: EngineArg) -> Self {
        match arg {
            EngineArg::Sim => Engine::Sim,
            EngineArg::Turmoil => Engine::Turmoil,
            EngineArg::Sockets => Engine::Sockets,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportsArg {
    /// For every run
    All,
    /// For failing runs and the first seed of each scenario
    First,
    /// For failing runs
    Failed,
    /// None
    None,
}

/// Which scenarios and seeds.
#[derive(Debug, Args)]
struct SelectArgs {
    /// Scenarios of the catalogue by name, or scenario files; default: the whole catalogue
    scenarios: Vec<String>,
    /// Only scenarios with this tag
    #[arg(long)]
    tag: Option<String>,
    /// One seed
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Seeds from A to B, both included [default: 1..3]
    #[arg(long, value_parser = select::seeds)]
    seeds: Option<select::Seeds>,
    /// Orders in which tasks that are ready at one instant take their turns, from A to B: 0 is first come, first served, each other one is drawn
    #[arg(long, value_parser = select::seeds, default_value = "0..0")]
    orders: select::Seeds,
}

impl SelectArgs {
    /// The seeds that were asked for in so many words.
    fn asked(&self) -> Option<select::Seeds> {
        self.seed.map(|seed| select::Seeds { first: seed, last: seed }).or(self.seeds)
    }

    /// Each seed with each order.
    fn runs(&self, seeds: select::Seeds) -> impl Iterator<Item = (u64, u64)> + use<> {
        let orders = self.orders;
        (seeds.first..=seeds.last).flat_map(move |seed| (orders.first..=orders.last).map(move |order| (seed, order)))
    }
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Which world
    #[arg(long, value_enum, default_value_t = EngineArg::Sim)]
    engine: EngineArg,
    /// Runs at the same time; default: one for each core
    #[arg(long)]
    jobs: Option<usize>,
    /// Run for this long: each scenario its first three seeds, then more where they tell most for what they cost. Fewer than three make the result inconclusive
    #[arg(long, value_parser = humantime::parse_duration)]
    time_budget: Option<Duration>,
    /// Seeds that follow from WORD (the hash of a commit; `random`: a new one, which is printed) and each scenario's name: varied, and the same again with
    /// the same word. With --baseline those of the baseline come first
    #[arg(long, value_name = "WORD", conflicts_with_all = ["seed", "seeds"])]
    seeds_from: Option<String>,
    /// A run that takes longer than this on the wall is a bug in the harness
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5m")]
    watchdog: Duration,
    /// Another program in the proxy's place, over sockets: its command, as `haproxy -db -f {config}`; placeholders stand in docs/sockets.md
    #[arg(long, value_name = "CMD")]
    proxy_cmd: Option<String>,
    /// The template of its configuration
    #[arg(long, value_name = "FILE", requires = "proxy_cmd")]
    proxy_config: Option<PathBuf>,
    /// The run folder; default: target/windtunnel/TIME-NAME, with a link `latest` beside it
    #[arg(long)]
    out: Option<PathBuf>,
    /// What network work costs the proxies, from a calibration file, in place of what scenarios say
    #[arg(long, value_name = "FILE")]
    service_time: Option<PathBuf>,
    /// A planted bug, see `windtunnel mutants`
    #[arg(long)]
    mutant: Option<String>,
    /// Inconclusive (exit code 2) unless the runs together reach every mark in the programs; those missed are named, see `windtunnel marks`
    #[arg(long)]
    require_reached: bool,
    /// Which runs get a report.html with charts
    #[arg(long, value_enum, default_value_t = ReportsArg::First)]
    reports: ReportsArg,
    /// Only part I of N, by scenario and seed; `windtunnel merge` puts the parts together. Baselines and required marks are for the whole: give them to merge
    #[arg(long, value_name = "I/N", value_parser = select::shard, conflicts_with_all = ["baseline", "require_reached"])]
    shard: Option<Shard>,
    /// Hold the runs against the baselines in DIR: exit code 3 if one is worse past its tolerance
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = gate::FOLDER)]
    baseline: Option<PathBuf>,
    /// Leave out the bank of regressions, which is run first where the whole catalogue is
    #[arg(long)]
    no_regressions: bool,
    /// Write events.jsonl for every run, not only for failing ones
    #[arg(long)]
    events: bool,
    #[command(flatten)]
    captures: CaptureArgs,
    /// Print annotations for GitHub's pages, too (of itself where GITHUB_ACTIONS is set): at most ten
    #[arg(long, conflicts_with = "json")]
    annotations: bool,
    /// Print the verdict line only
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Print summary.json
    #[arg(long)]
    json: bool,
}

/// What else of a run is written down, and how closely it is looked at.
#[derive(Debug, Default, Args)]
struct CaptureArgs {
    /// Write packets.pcapng, for Wireshark: what a capture on these hosts would show. WHAT is a host (proxy-0), a pattern (source-*), a link
    /// (proxy-0/source-1: at the first, what it exchanges with the second), or several with commas; without WHAT every proxy
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = pcap::DEFAULT)]
    pcap: Option<String>,
    /// Bytes of packets after which a run's capture ends
    #[arg(long, value_name = "N", requires = "pcap", default_value_t = pcap::BYTES_MAX)]
    pcap_bytes: u64,
    /// Write trace.json, for ui.perfetto.dev: hosts, connections, clients and faults on one axis of time
    #[arg(long)]
    trace: bool,
    /// Keep what the programs say, with virtual time and host: a level (debug) or targets with levels (proxy=debug,loadgen=info). It goes into log.txt, and of a
    /// single run to standard error as it comes. Failing runs have theirs at level info without being asked
    #[arg(long, value_name = "FILTER", value_parser = clap::value_parser!(logs::Filter))]
    log: Option<logs::Filter>,
    /// End the run (one scenario, one seed) at this virtual time, as 12.4s, before what happens then, and say what is under way: connections, tasks and what they wait
    /// for, queued bytes, faults in force and to come. It is not judged: exit code 2
    #[arg(long, value_name = "TIME")]
    stop_at: Option<Span>,
    /// For gdb and lldb: one run, without a watchdog and without a second run; with --stop-at it calls `sim::paused_at` at that time, to break on, and goes on
    #[arg(long)]
    debugger: bool,
}

impl CaptureArgs {
    /// How a run is looked at; `single`: nobody else writes to the terminal meanwhile.
    fn look(&self, single: bool) -> Look {
        let (debugger, at) = (self.debugger, self.stop_at.map(Span::as_duration));
        Look {
            log: self.log.clone().map(|filter| logs::Wanted { filter, live: single }),
            pause_at: at.filter(|_| debugger),
            stop_at: at.filter(|_| !debugger),
            reseed: None,
            proxy: None,
        }
    }

    /// Whether a run is looked at so closely that there can be only one. What stands in the way, if anything does.
    fn closely(&self, single: bool, engine: Engine) -> Result<bool, Failure> {
        let wanted = match (self.debugger, self.stop_at) {
            (true, _) => "--debugger",
            (false, Some(_)) => "--stop-at",
            (false, None) => return Ok(false),
        };
        if !single {
            return Err(Failure::usage(format!(
                "{wanted} is for one run: name one scenario, and one seed with --seed"
            )));
        }
        if engine != Engine::Sim {
            return Err(Failure::usage(format!("engine {} cannot be stopped: leave out {wanted}", engine.word())));
        }
        Ok(true)
    }

    fn pcap(&self) -> Option<Pcap> {
        self.pcap.as_ref().map(|what| Pcap::new(what, self.pcap_bytes))
    }
}

#[derive(Debug, Args)]
struct ExploreArgs {
    /// A scenario of the catalogue, or a file: its hosts, clients and links stay, and only the faults are drawn; default: all is drawn
    scenario: Option<String>,
    /// The world of one seed
    #[arg(long, conflicts_with_all = ["seeds", "time_budget"])]
    seed: Option<u64>,
    /// Worlds of the seeds from A to B, both included
    #[arg(long, value_parser = select::seeds)]
    seeds: Option<select::Seeds>,
    /// Go on for this long [default: 60s, unless seeds are given]
    #[arg(long, value_parser = humantime::parse_duration)]
    time_budget: Option<Duration>,
    /// Runs at the same time; default: one for each core
    #[arg(long)]
    jobs: Option<usize>,
    /// A planted bug, see `windtunnel mutants`
    #[arg(long)]
    mutant: Option<String>,
    /// Faults may last to the end and take all sources away: nothing is said then of how the world recovers
    #[arg(long)]
    unrecoverable: bool,
    /// Show the world of --seed, as a timeline and as its file, and run nothing
    #[arg(long)]
    print: bool,
    /// Run the worlds of --seeds [default: 1..400] with each of ten planted bugs and print, as Markdown, how soon each is found; one that is missed fails (exit code 1)
    #[arg(long, conflicts_with_all = ["scenario", "seed", "time_budget", "mutant", "unrecoverable", "print", "json", "out"])]
    prove: bool,
    /// A run that takes longer than this on the wall is a bug in the harness
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5m")]
    watchdog: Duration,
    /// Save failures as they were found only
    #[arg(long)]
    no_shrink: bool,
    /// Each kind of failure (the ten most frequent) is made smaller for so long at most
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10s", conflicts_with = "no_shrink")]
    shrink_budget: Duration,
    /// The run folder; default: target/windtunnel/TIME-explore, with a link `latest` beside it
    #[arg(long)]
    out: Option<PathBuf>,
    /// Say nothing while it goes on
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Print explore.json
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct MutantsArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Run each and print, as Markdown, who caught it; one that is missed, or blamed on a checker that is not declared, fails (exit code 1)
    #[arg(long, conflicts_with = "json")]
    prove: bool,
    /// With these seeds, both included
    #[arg(long, value_parser = select::seeds, default_value = "1..3", requires = "prove")]
    seeds: select::Seeds,
}

#[derive(Debug, Args)]
struct MergeArgs {
    /// The run folders
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Where the merged folder goes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Hold the runs against the baselines in DIR, as `run` does
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = gate::FOLDER)]
    baseline: Option<PathBuf>,
    /// A mark in the programs that no run reached makes the result inconclusive, as `run` does
    #[arg(long)]
    require_reached: bool,
    /// Print annotations for GitHub's pages, too (of itself where GITHUB_ACTIONS is set): at most ten
    #[arg(long)]
    annotations: bool,
}

#[derive(Debug, Args)]
struct BlessArgs {
    /// The run folder; without one, the catalogue is run first (seeds 1..3)
    folder: Option<PathBuf>,
    /// Why the figures are right as they are; kept in the baseline's history
    #[arg(long, default_value = "")]
    reason: String,
    /// Where the baselines are
    #[arg(long, value_name = "DIR", default_value = gate::FOLDER)]
    baseline: PathBuf,
}

#[derive(Debug, Args)]
struct ShrinkArgs {
    /// A capsule.json of a failing run, from a run folder
    capsule: PathBuf,
    /// Which of its failures, as the capsule has it in `fingerprints`; default: the first
    #[arg(long, value_name = "INVARIANT: PLACE")]
    fingerprint: Option<crate::fingerprint::Fingerprint>,
    /// Where the small scenario and its run go; default: the folder `shrunk` beside the capsule
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs at the same time, which changes nothing in the result; default: one for each core
    #[arg(long)]
    jobs: Option<usize>,
    /// No further run begins after this long; what is left is written, and said not to be the least
    #[arg(long, value_parser = humantime::parse_duration, default_value = "30s")]
    time_budget: Duration,
    /// A run that takes longer than this on the wall is a bug in the harness
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5m")]
    watchdog: Duration,
}

#[derive(Debug, Args)]
struct KeepArgs {
    /// A capsule.json of a failing run, best of one that `shrink` wrote
    capsule: PathBuf,
    /// What it is called from now on, in kebab-case
    #[arg(long)]
    name: String,
    /// What is expected of it: that it fails (an open bug) or holds (a mended one) [default: holds with a planted bug, else fails]
    #[arg(long, value_enum)]
    expect: Option<ExpectArg>,
    /// What a person has to say of it
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// How it came to light; default: the capsule's scenario and seed
    #[arg(long, value_name = "TEXT")]
    found_by: Option<String>,
    /// Which of its failures; default: the capsule's first
    #[arg(long, value_name = "INVARIANT: PLACE")]
    fingerprint: Option<crate::fingerprint::Fingerprint>,
    /// Where the bank is
    #[arg(long, value_name = "DIR", default_value = crate::regressions::FOLDER)]
    bank: PathBuf,
    /// A run that takes longer than this on the wall is a bug in the harness
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5m")]
    watchdog: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExpectArg {
    /// An open bug
    Fails,
    /// A mended one
    Holds,
}

#[derive(Debug, Args)]
struct TwiceArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Which world
    #[arg(long, value_enum, default_value_t = EngineArg::Sim)]
    engine: EngineArg,
    /// Runs at the same time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

/// Why a command ended early: a line for a person, and the exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self { code: exit::USAGE, message: message.into() }
    }

    fn io(message: impl Into<String>) -> Self {
        Self { code: exit::IO, message: message.into() }
    }

    fn harness(message: impl Into<String>) -> Self {
        Self { code: exit::HARNESS, message: message.into() }
    }

    /// A scenario that the engine cannot express was asked for in error; all else is the harness's fault.
    fn engine(error: &EngineError) -> Self {
        match error {
            EngineError::NotExpressible { .. } => Self::usage(error.to_string()),
            EngineError::Failed { .. } => Self::harness(error.to_string()),
        }
    }
}

/// Runs the program; the first argument is its own name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::PASSED };
            // Where even the message cannot be written, the exit code still speaks.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let outcome = match cli.command {
        Command::List { json } => select::list(json),
        Command::Run(args) => run::run(*args),
        Command::Bless(args) => bless::bless(&args),
        Command::Diff { before, now } => diff::diff(&before, &now),
        Command::Sweep { command } => sweep::sweep(command),
        Command::Merge(args) => merge::merge(&args),
        Command::Open(args) => open::open(&args),
        Command::Capacity(args) => capacity::capacity(&args),
        Command::Peers(args) => peers::peers(&args),
        Command::Check { files } => select::check(&files),
        Command::Explain { scenario, service_time, toml } => select::explain(&scenario, service_time.as_deref(), toml),
        Command::Explore(args) => explore::explore(&args),
        Command::Forecast { command } => forecast::forecast(command),
        Command::Schema => print(&format!("{:#}", crate::schema::json_schema())),
        Command::Replay { capsule, report, watchdog, captures } => {
            replay::replay(&capsule, &captures, report, watchdog)
        }
        Command::Pin(args) => pin::pin(&args),
        Command::Twice(args) => twice::twice(args),
        Command::Mutants(args) => mutants::mutants(&args),
        Command::Keep(args) => bank::keep(&args),
        Command::Shrink(args) => shrink::shrink(&args),
        Command::Marks { json } => select::marks(json),
        Command::Role { role, args } => return play(role, args),
        Command::Child { core, parent, command } => {
            let error = crate::process::become_child(core, parent, &command);
            let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
            Err(Failure::io(format!("failed to start {program}: {error}")))
        }
        Command::Host { stage, name, life } => {
            crate::engine::play_host(&stage, &name, life).map(|()| exit::PASSED).map_err(Failure::harness)
        }
        Command::Trace { scenario, seed, order, engine, events, segments } => {
            let options = Options { engine: engine.into(), mutant: None, order, keep_events: events.is_some() };
            match segments {
                Some(from) => twice::trace_segments(&scenario, seed, options, from),
                None => twice::trace(&scenario, seed, options, events.as_deref()),
            }
        }
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say(&format!("windtunnel: {}", failure.message));
            ExitCode::from(failure.code)
        }
    }
}

/// A line on standard error. Where nobody reads it, the exit code still speaks (`eprintln!` would panic).
fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Does something that runs worlds, and ends the process where it takes longer than this on the wall.
fn watched<T: Send + 'static>(watchdog: Duration, what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    campaign::watched(watchdog, work).unwrap_or_else(|| hang(what, ""))
}

/// Runs a job once, and ends the process where it hangs.
fn one_watched(job: &Job, watchdog: Duration) -> Result<Run, Failure> {
    let what = format!("{} seed {}", job.scenario.name, reports::record::label(job.seed, job.options.order));
    let job = job.clone();
    watched(watchdog, &what, move || campaign::one(&job)).map_err(|error| Failure::engine(&error))
}

/// Ends the process because a run hangs: its thread cannot be ended. `advice` is what more there is to say, and may be empty.
fn hang(what: &str, advice: &str) -> ! {
    let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
    say(&format!("windtunnel: {what} hangs on the wall: a bug in the harness{advice}"));
    std::process::exit(i32::from(exit::HARNESS))
}

/// Prints to standard output; a closed pipe ends quietly.
fn print(text: &str) -> Result<u8, Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let written =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::io(format!("failed to write to standard output: {error}")))
        }
        _ => Ok(exit::PASSED),
    }
}

fn play(role: Role, args: Vec<OsString>) -> ExitCode {
    let name = match role {
        Role::Proxy => "proxy",
        Role::MockUpstream => "mock-upstream",
        Role::Loadgen => "loadgen",
    };
    let args = std::iter::once(OsString::from(name)).chain(args);
    match role {
        Role::Proxy => proxy::program::main(args),
        Role::MockUpstream => mock_upstream::program::main(args),
        Role::Loadgen => loadgen::program::main(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands of a text: what stands behind a word that begins each, without quotes; variables are numbers.
    fn commands<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = Vec<String>> + 't {
        let lines = text.lines().filter_map(move |line| line.trim_start().strip_prefix(word));
        lines.map(|line| {
            let line = line.split(" #").next().unwrap_or_default().split(" || ").next().unwrap_or_default();
            let words = line.split_whitespace().map(|word| word.replace('"', ""));
            words.map(|word| word.replace("$SHARD", "2").replace('$', "")).collect()
        })
    }

    #[test]
    fn every_command_of_the_workflow_and_of_its_page_is_understood() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).expect("a file of the tree");
        let workflow = read(".github/workflows/windtunnel.yml");
        let page = read("docs/ci.md");
        let mut seen = 0;
        for args in commands(&workflow, "\"$WINDTUNNEL\" ").chain(commands(&page, "windtunnel ")) {
            let line = args.join(" ");
            // Reasons have several words.
            let args = if line.contains("--reason") {
                let (head, _) = line.split_once("--reason").expect("found before");
                head.split_whitespace().chain(["--reason", "x"]).map(str::to_owned).collect()
            } else {
                args
            };
            let parsed = Cli::try_parse_from(std::iter::once("windtunnel".to_owned()).chain(args));
            assert!(parsed.is_ok(), "windtunnel {line}: {}", parsed.unwrap_err());
            seen += 1;
        }
        assert!(seen >= 12, "{seen}");
        // What a pull request runs is what the page says.
        assert!(workflow.contains("github.event.pull_request.head.sha || github.sha"));
        assert!(workflow.contains("--time-budget 60s --baseline") && page.contains("--time-budget 60s --baseline"));
    }
}
