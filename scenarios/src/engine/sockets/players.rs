//! The processes of a run: started, hurt, ended; and what they left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::book::{self, Stage, end_file, events_file, reloads_file};
use super::foreign::{Foreign, Place};
use super::host::{End, READY};
use super::merge::{Stream, Witness, read};
use super::pulse::Lateness;
use crate::model::FaultKind;
use crate::plan::{PROXY_PORT, Plan, Planned, number};
use crate::process::{Launch, Process};

/// How long a program of others has for its end.
const GUEST_PATIENCE: Duration = Duration::from_secs(2);
/// How long a process may take to say that it is ready, and to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everyone, in the order in which they start.
pub(super) struct Players {
    dir: PathBuf,
    all: Vec<Player>,
}

/// What is left when all have ended.
pub(super) struct Gathered {
    pub(super) streams: Vec<Stream>,
    /// The first program that failed, and its last words.
    pub(super) broken: Option<String>,
    pub(super) instruments: Vec<(String, Lateness)>,
    pub(super) marks: BTreeMap<String, u64>,
}

/// One host over all its lives.
struct Player {
    name: String,
    process: Option<Process>,
    /// When each life so far was ended by a fault, if it was; the last one lives.
    lives: Vec<Option<u64>>,
    /// The faults that keep it down, by their numbers.
    down: BTreeSet<usize>,
    /// The faults in which it stands still.
    still: BTreeSet<usize>,
    /// It was held up by a fault: its pulse says nothing of the machine.
    held_up: bool,
    /// It was told to leave, and may end by itself.
    leaves: bool,
    /// Another program plays it.
    foreign: Option<Guest>,
}

/// A program of others, and where it plays.
struct Guest {
    program: Foreign,
    listen: SocketAddr,
    upstreams: Vec<SocketAddr>,
}

impl Players {
    pub(super) fn new(plan: &Plan, dir: PathBuf, stage: &Stage, foreign: Option<&Foreign>) -> Self {
        let guest = |name: &str| {
            let seat = stage.seats.get(name).filter(|_| name.starts_with("proxy-"))?;
            let (listen, upstreams) = ((seat.addr, PROXY_PORT).into(), seat.names.values().copied().collect());
            foreign.map(|program| Guest { program: program.clone(), listen, upstreams })
        };
        let player = |name: String| Player {
            foreign: guest(&name),
            name,
            process: None,
            lives: Vec::new(),
            down: BTreeSet::new(),
            still: BTreeSet::new(),
            held_up: false,
            leaves: false,
        };
        Self { dir, all: book::hosts(plan).into_iter().map(player).collect() }
    }

    /// Starts all, and waits until all are ready.
    pub(super) fn start_all(&mut self) -> Result<(), String> {
        for player in &mut self.all {
            player.start(&self.dir)?;
        }
        for player in &mut self.all {
            let Some(process) = &mut player.process else { continue };
            match &player.foreign {
                Some(guest) => await_listener(process, guest.listen)?,
                None => drop(process.says(READY, PATIENCE).map_err(|error| error.to_string())?),
            }
        }
        Ok(())
    }

    fn player(&mut self, name: &str) -> Result<&mut Player, String> {
        self.all.iter_mut().find(|player| player.name == name).ok_or_else(|| format!("the plan has no host {name}"))
    }

    /// The source that carries most legs by what the sources have reported so far; the first, if none carries one.
    pub(super) fn active_source(&self) -> u16 {
        let open = |player: &Player| {
            let life = player.lives.len().checked_sub(1)?;
            let path = self.dir.join(events_file(&player.name, u32::try_from(life).ok()?));
            let text = std::fs::read(path).ok()?;
            let count = |word: &[u8]| text.windows(word.len()).filter(|at| *at == word).count();
            let alive = player.down.is_empty() && player.still.is_empty();
            alive.then(|| count(b"\"source_open\"").saturating_sub(count(b"\"source_close\"")))
        };
        let sources = self.all.iter().filter_map(|player| {
            let index = number(Some(&player.name), "source-")?;
            Some((open(player)?, std::cmp::Reverse(index)))
        });
        sources.max().filter(|(open, _)| *open > 0).map_or(0, |(_, index)| index.0)
    }

    /// Begins a fault on a host, which stands in the record at `at_us`.
    pub(super) fn strike(&mut self, fault: usize, planned: &Planned, target: &str, at_us: u64) -> Result<(), String> {
        let dir = self.dir.clone();
        match planned.kind {
            FaultKind::Kill => {
                let player = self.player(target)?;
                player.down.insert(fault);
                player.kill(at_us);
            }
            FaultKind::Restart => {
                let player = self.player(target)?;
                player.kill(at_us);
                player.start(&dir)?;
            }
            FaultKind::PowerOff | FaultKind::Freeze => {
                let player = self.player(target)?;
                player.held_up = true;
                player.still.insert(fault);
                player.signal(Signal::STOP)?;
                if planned.kind == FaultKind::PowerOff {
                    player.dies(at_us);
                }
            }
            FaultKind::Drain => {
                let player = self.player(target)?;
                player.leaves = true;
                player.signal(Signal::USR1)?;
            }
            FaultKind::Reload => {
                let path = dir.join(reloads_file(target));
                let file = OpenOptions::new().create(true).append(true).open(&path);
                file.and_then(|mut file| writeln!(file, "{fault}"))
                    .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
                self.player(target)?.signal(Signal::HUP)?;
            }
            // What a source does by itself, it does by its script.
            _ => {}
        }
        Ok(())
    }

    /// Ends a fault on a host, likewise.
    pub(super) fn lift(&mut self, fault: usize, planned: &Planned, target: &str, at_us: u64) -> Result<(), String> {
        let dir = self.dir.clone();
        if !matches!(planned.kind, FaultKind::Kill | FaultKind::PowerOff | FaultKind::Freeze | FaultKind::Drain) {
            return Ok(());
        }
        let player = self.player(target)?;
        match planned.kind {
            FaultKind::Kill => {
                player.down.remove(&fault);
            }
            FaultKind::PowerOff => {
                player.still.remove(&fault);
                player.kill(at_us);
            }
            FaultKind::Freeze => {
                player.still.remove(&fault);
                if player.still.is_empty() {
                    player.signal(Signal::CONT)?;
                }
            }
            // It has left by now, or is made to.
            _ => player.kill(at_us),
        }
        if player.down.is_empty() && player.still.is_empty() && player.process.is_none() {
            player.leaves = false;
            player.start(&dir)?;
        }
        Ok(())
    }

    /// Ends all, and gathers what they left.
    pub(super) fn end(mut self) -> Result<Gathered, String> {
        let mut broken = None;
        for player in &mut self.all {
            let Some(process) = &mut player.process else { continue };
            let ended = process.ended().map_err(|error| error.to_string())?;
            if let Some(status) = ended.filter(|status| !(player.leaves && status.success())) {
                broken.get_or_insert_with(|| format!("{} ended ({status}){}", player.name, process.last_words()));
                player.process = None;
            } else {
                // Who stands still hears nothing until it goes on.
                let _ = process.signal(Signal::CONT);
                let _ = process.signal(Signal::TERM);
            }
        }
        let (mut instruments, mut marks) = (Vec::new(), BTreeMap::new());
        for player in &mut self.all {
            let Some(mut process) = player.process.take() else { continue };
            if player.foreign.is_some() {
                // It may take its time over its clients, or not know the signal; it is killed when it is dropped.
                let _ = process.wait(GUEST_PATIENCE);
                continue;
            }
            process.wait(PATIENCE).map_err(|error| error.to_string())?;
            let life = u32::try_from(player.lives.len().saturating_sub(1)).unwrap_or(0);
            let path = self.dir.join(end_file(&player.name, life));
            let end = std::fs::read(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
            let end: End = serde_json::from_slice(&end).map_err(|error| format!("{}: {error}", path.display()))?;
            if end.record_failed {
                return Err(format!("{} could not write all that it reported: is the disk full?", player.name));
            }
            for (mark, times) in end.marks {
                *marks.entry(mark).or_default() += times;
            }
            if Witness::of(&player.name) != Witness::Proxy && !player.held_up {
                instruments.push((player.name.clone(), end.lateness));
            }
        }
        let mut streams = Vec::new();
        for player in &self.all {
            for (life, until_us) in (0..).zip(&player.lives) {
                streams.push(stream(&self.dir, &player.name, life, *until_us)?);
            }
        }
        Ok(Gathered { streams, broken, instruments, marks })
    }
}

/// Waits until a program takes connections.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "outside all runs: another process is waited for"
)]
fn await_listener(process: &mut Process, listen: SocketAddr) -> Result<(), String> {
    const LOOK: Duration = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
        if std::net::TcpStream::connect(listen).is_ok() {
            return Ok(());
        }
        if let Some(status) = process.ended().map_err(|error| error.to_string())? {
            let (name, last) = (process.name(), process.last_words());
            return Err(format!("{name} ended ({status}) before it listened on {listen}{last}"));
        }
        std::thread::sleep(LOOK);
    }
    Err(format!("{} does not listen on {listen}{}", process.name(), process.last_words()))
}

/// What one life of a host reported.
fn stream(dir: &Path, host: &str, life: u32, until_us: Option<u64>) -> Result<Stream, String> {
    let path = dir.join(events_file(host, life));
    let text = match std::fs::read_to_string(&path) {
        // It was killed before it began.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|error| format!("failed to read {}: {error}", path.display()))?,
    };
    let events = read(&text).map_err(|(line, why)| format!("{}:{line}: no event: {why}", path.display()))?;
    Ok(Stream { witness: Witness::of(host), until_us, events })
}

impl Player {
    fn start(&mut self, dir: &Path) -> Result<(), String> {
        let life = self.lives.len().to_string();
        if let Some(guest) = &self.foreign {
            let own = dir.join(&self.name);
            let config = own.join(guest.program.config_name());
            let place = Place { listen: guest.listen, upstreams: &guest.upstreams, config: &config, dir: &own };
            let written = std::fs::create_dir_all(&own)
                .and_then(|()| guest.program.config_at(place).map_or(Ok(()), |text| std::fs::write(&config, text)));
            written.map_err(|error| format!("failed to write {}: {error}", config.display()))?;
            // The shell becomes the program: signals are for it.
            let command = ["sh".to_owned(), "-c".to_owned(), format!("exec {}", guest.program.command_at(place))];
            let name = format!("{}.{life}", self.name);
            let command = command.into_iter().map(Into::into).collect();
            let launch = Launch { name, command, core: None, logs: dir.to_owned() };
            self.process = Some(launch.start().map_err(|error| error.to_string())?);
            self.lives.push(None);
            return Ok(());
        }
        let program = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
        let words = ["host", "--name", &self.name, "--life", &life, "--stage"].map(Into::into);
        let command = std::iter::once(program.into_os_string()).chain(words).chain([dir.as_os_str().to_owned()]);
        let name = format!("{}.{life}", self.name);
        let launch = Launch { name, command: command.collect(), core: None, logs: dir.to_owned() };
        self.process = Some(launch.start().map_err(|error| error.to_string())?);
        self.lives.push(None);
        Ok(())
    }

    /// `kill -9`.
    fn kill(&mut self, at_us: u64) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.dies(at_us);
        }
    }

    /// What it reports from now on, it did before.
    fn dies(&mut self, at_us: u64) {
        if let Some(life) = self.lives.last_mut() {
            life.get_or_insert(at_us);
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        // Who has just ended by itself does not mind, and is found at the end of the run.
        self.process.as_ref().map_or(Ok(()), |process| process.signal(signal).map_err(|error| error.to_string()))
    }
}
