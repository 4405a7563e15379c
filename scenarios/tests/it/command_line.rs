//! The program `windtunnel` as people and CI use it: arguments in; text, files and an exit code out.

mod annotations;
mod bank;
mod capacity;
mod closed_pipe;
mod debugging;
mod explore;
mod gate;
mod logs;
mod looks;
mod merge;
pub(crate) mod open;
mod packets;
mod page;
mod replay;
mod run;
mod service_time;
mod several;
mod shrink;
mod sweep;
mod trace;
mod twice;

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Two seconds of steady load: small enough to run often.
pub(crate) const SMALL: &str = r#"
schema = 1
name = "small"
about = "Six clients and three symbols."
tags = ["tiny"]
warmup = "500ms"
steady = "2s"
recovery = "500ms"
sources = { count = 2, symbols = 3, period = "20ms" }
proxy = { mode = "fanout" }

[[clients]]
name = "plain"
count = 6
open = { arrival = { ramp = "100ms" } }

[check]
symbol-order = {}
no-duplicates = {}
no-silent-gap = {}

[[reach]]
state = "delivered"
at-least = 100
"#;

/// A folder of its own to run the program in.
pub(crate) struct Place {
    dir: TempDir,
}

/// What the program said.
pub(crate) struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    /// With [`SMALL`] in `small.toml`.
    pub(crate) fn with_small() -> Self {
        let place = Self::new();
        place.write("small.toml", SMALL);
        place
    }

    /// And of it a failed run of a planted bug, without a report.
    pub(crate) fn with_failed() -> Self {
        let place = Self::with_small();
        let args =
            ["run", "small.toml", "--seed", "1", "--out", "out", "--mutant", "repeats-a-message", "--reports", "none"];
        place.windtunnel(&args).exits(1);
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("a writable folder");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path().join(name).exists()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windtunnel"));
        command.args(args).current_dir(self.path());
        for name in ["NO_COLOR", "RUST_BACKTRACE", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn windtunnel(&self, args: &[&str]) -> Said {
        Self::said(&mut self.command(args))
    }

    fn said(command: &mut Command) -> Said {
        let Output { status, stdout, stderr } = command.output().expect("the program starts");
        Said {
            code: status.code().expect("no signal ends the program"),
            out: String::from_utf8(stdout).expect("text"),
            err: String::from_utf8(stderr).expect("text"),
        }
    }

    /// Names of all that lies in the folder, without what lies in its folders.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).expect("a readable folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn outputs(self, what: &str) -> Self {
        assert!(self.out.contains(what), "{what:?} is not in stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn complains(self, what: &str) -> Self {
        assert!(self.err.contains(what), "{what:?} is not in stderr:\n{}", self.err);
        self
    }
}
