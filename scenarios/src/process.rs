//! Programs as processes of their own: started, told apart by what they say, measured, ended. For everything that runs over real sockets.
//!
//! ```text
//!   Launch  --start-->  Process    says (a line of its output)   usage (CPU, memory, descriptors)   signal   end
//! ```
//!
//! No process outlives whoever started it: the kernel kills a child whose parent's thread is gone, and a [`Process`] that is dropped is killed and awaited. A process
//! ends others only by this handle, never by name.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use rustix::thread::CpuSet;

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct Launch {
    /// How it is called in errors and in the name of its log.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The only core that it may use; any where there is none.
    pub core: Option<usize>,
    /// A folder into which what it says goes, as `NAME.log`; it must be there.
    pub logs: PathBuf,
}

impl Launch {
    /// One of the three programs (`proxy`, `mock-upstream`, `loadgen`), from this build.
    ///
    /// # Errors
    /// Where the system cannot say which program this is.
    pub fn role(role: &str, name: &str, args: &[&str], logs: &Path) -> io::Result<Self> {
        let program = std::env::current_exe()?.into_os_string();
        let words = ["role", role].into_iter().chain(args.iter().copied()).map(OsString::from);
        let command = std::iter::once(program).chain(words).collect();
        Ok(Self { name: name.to_owned(), command, core: None, logs: logs.to_owned() })
    }

    /// The same on one core.
    #[must_use]
    pub fn on(mut self, core: Option<usize>) -> Self {
        self.core = core;
        self
    }

    /// Starts it. The thread that starts it must live as long as it: the kernel kills a child with the thread that made it.
    ///
    /// # Errors
    /// [`ProcessError::Start`].
    pub fn start(&self) -> Result<Process, ProcessError> {
        let failed = |source| ProcessError::Start { name: self.name.clone(), source };
        let path = self.logs.join(format!("{}.log", self.name));
        let log = File::create(&path).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        // The child is this program first: it takes the core and ties itself to its parent, and then becomes the program.
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("child");
        if let Some(core) = self.core {
            command.arg("--core").arg(core.to_string());
        }
        command.arg("--parent").arg(std::process::id().to_string()).arg("--").args(&self.command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().map_err(failed)?;
        let out = child.stdout.take().expect("it is piped");
        let (said, lines) = channel();
        let reading = move || {
            let mut log = log;
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // A log that cannot be written and a reader that is gone are no reason to let the child wait at a full pipe.
                let _ = writeln!(log, "{line}");
                let _ = said.send(line);
            }
        };
        let reader = std::thread::Builder::new().name(format!("{} says", self.name)).spawn(reading);
        if let Err(source) = reader {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(source));
        }
        Ok(Process { name: self.name.clone(), log: path, child, lines })
    }
}

/// What [`Launch::start`]'s child does first: takes its core, ties itself to its parent, takes all descriptors that it may have, and becomes `command`.
/// Comes back only with an error.
pub fn become_child(core: Option<usize>, parent: Option<u32>, command: &[OsString]) -> io::Error {
    let prepare = || {
        if let Some(core) = core {
            let mut cores = CpuSet::new();
            cores.set(core);
            rustix::thread::sched_setaffinity(None, &cores)?;
        }
        if let Some(parent) = parent {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have gone before that.
            let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_pid().unsigned_abs());
            if now != parent {
                return Err(io::Error::other("whoever started it is gone"));
            }
        }
        Ok(())
    };
    if let Err(error) = prepare() {
        return error;
    }
    let Some((program, args)) = command.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no command given");
    };
    // What is more than the system allows is not needed by all of them; who needs it says so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    Command::new(program).args(args).exec()
}

/// A running program. Dropped, it is killed and awaited.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    lines: Receiver<String>,
}

/// What a process used so far, as the kernel accounts for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time of all threads, user and kernel, those that are gone included.
    pub cpu: Duration,
    /// The part of it outside of the kernel, as the clock's ticks have it.
    pub user: Duration,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// The most that it ever was.
    pub rss_bytes_max: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// What went wrong with a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("failed to start {name}: {source}")]
    Start {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It ended, or was silent for too long, before it said what was waited for.
    #[error("{name} {how} before it said {words:?}{last}")]
    Silent {
        /// Which.
        name: String,
        /// Ended, or took too long.
        how: String,
        /// What was waited for.
        words: String,
        /// The last lines of its log.
        last: String,
    },
    /// The kernel does not say, or does not do, what it was asked for.
    #[error("failed to {what} {name}: {source}")]
    Kernel {
        /// What was being done.
        what: &'static str,
        /// To which.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

impl Process {
    /// How it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The rest of the line, after `words`, of the next line on standard output in which they stand.
    ///
    /// # Errors
    /// [`ProcessError::Silent`] with the end of its log.
    #[expect(clippy::disallowed_methods, reason = "outside all runs: other processes are waited for")]
    pub fn says(&mut self, words: &str, patience: Duration) -> Result<String, ProcessError> {
        let until = Instant::now() + patience;
        loop {
            let how = match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.split_once(words) {
                    Some((_, rest)) => return Ok(rest.to_owned()),
                    None => continue,
                },
                Err(RecvTimeoutError::Timeout) => format!("took more than {}", humantime::format_duration(patience)),
                Err(RecvTimeoutError::Disconnected) => match self.child.wait() {
                    Ok(status) => format!("ended ({status})"),
                    Err(_) => "ended".to_owned(),
                },
            };
            let (name, words, last) = (self.name.clone(), words.to_owned(), self.last_words());
            return Err(ProcessError::Silent { name, how, words, last });
        }
    }

    /// The last lines of its log, with what introduces them; empty where it said nothing.
    #[must_use]
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n  ");
        if last.is_empty() { last } else { format!("; its last words:\n  {last}") }
    }

    /// What it used so far.
    ///
    /// # Errors
    /// [`ProcessError::Kernel`], such as where it has ended.
    pub fn usage(&self) -> Result<Usage, ProcessError> {
        usage(self.id()).map_err(|source| self.failed("look at", source))
    }

    /// Sends it a signal, such as STOP and CONT.
    ///
    /// # Errors
    /// [`ProcessError::Kernel`].
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).map_err(|error| self.failed("signal", error.into()))
    }

    /// Kills it, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// [`ProcessError::Kernel`].
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        self.child.try_wait().map_err(|source| self.failed("wait for", source))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`ProcessError::Silent`] where it takes longer than `patience`.
    #[expect(clippy::disallowed_methods, reason = "outside all runs: other processes are waited for")]
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus, ProcessError> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() >= until {
                let how = format!("took more than {}", humantime::format_duration(patience));
                let (name, last) = (self.name.clone(), self.last_words());
                return Err(ProcessError::Silent { name, how, words: "its end".to_owned(), last });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn failed(&self, what: &'static str, source: io::Error) -> ProcessError {
        ProcessError::Kernel { what, name: self.name.clone(), source }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the process of a number used so far: see [`Usage`].
///
/// # Errors
/// Where there is none, or the kernel's files are not what proc(5) says.
pub fn usage(pid: u32) -> io::Result<Usage> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not as proc(5) has it");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; user and system time are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(malformed)?;
    let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    let [user, system] = ticks[..] else { return Err(malformed()) };
    let per_s = rustix::param::clock_ticks_per_second().max(1);
    Ok(Usage {
        user: Duration::from_secs_f64(user as f64 / per_s as f64),
        // The finer account lacks the threads that are gone.
        cpu: cpu_of_threads(pid)
            .unwrap_or_default()
            .max(Duration::from_secs_f64((user + system) as f64 / per_s as f64)),
        // A process that has just ended has no memory any more.
        rss_bytes: field("VmRSS").unwrap_or(0) << 10,
        rss_bytes_max: field("VmHWM").unwrap_or(0) << 10,
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64,
        threads: field("Threads").ok_or_else(malformed)?,
    })
}

/// The scheduler's own account, to the nanosecond, of the threads that live; none where the kernel keeps none.
fn cpu_of_threads(pid: u32) -> Option<Duration> {
    let mut ns = 0_u64;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let account = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        ns += account.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    (ns > 0).then(|| Duration::from_nanos(ns))
}
