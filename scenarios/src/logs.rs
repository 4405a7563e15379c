//! What the programs say inside of a run: their `tracing` records, with virtual time and the name of the host that said it.
//!
//! ```text
//!   Listening::begin   before the run, on any thread       listen   on the run's own thread       end   the last 10,000 lines
//! ```
//!
//! The subscriber is the default of the run's thread and of no other. It asks the simulator for time and host, keeps no span, reads no clock, and draws
//! nothing: a run with a log is the same run, to the byte, and so is its log.
//!
//! `tracing` keeps, for the whole process, whether anybody wants a place's records at all. Two things go wrong there with subscribers that come and go
//! on several threads (tracing-core 0.1.36): while only one is known, a place that a thread without subscriber comes to first is off for all
//! (tokio-rs/tracing#3611); and the highest level wanted stays when its subscriber goes (#3531). So two [`Idle`] subscribers stand from the first run on: they make the cached answer
//! "ask the thread's own subscriber" at every place, and want no level, so that a record that nobody wants costs one load. After each run the levels are worked out anew.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::{IsTerminal as _, Write as _};
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use reports::log::{Level, Log, LogLine};
use tracing::dispatcher::{self, DefaultGuard};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;

/// Records that are kept of a run: the last ones.
pub const LINES_MAX: usize = 10_000;

/// Bytes of one record's text.
const TEXT_BYTES_MAX: usize = 4_096;

/// Whose records there can be: the programs, what they share, and the second engine.
const ROOTS: [&str; 5] = ["proxy", "mock_upstream", "loadgen", "wire", "turmoil"];

/// Which records are wanted: `debug`, or `proxy=debug,mock_upstream=info`, or `proxy::fanout=trace,warn`. Default: `info`.
#[derive(Clone, Debug)]
pub struct Filter {
    targets: Targets,
    text: String,
}

/// A text that is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It does not read as one.
    #[error(
        "{0:?} is no filter of logs: give a level (error, warn, info, debug, trace) or TARGET=LEVEL, several with commas, as proxy=debug"
    )]
    Malformed(String),
    /// It names what says nothing.
    #[error(
        "no program has a target {0:?}: there are proxy, mock_upstream, loadgen, wire and turmoil, and the levels error, warn, info, debug, trace"
    )]
    UnknownTarget(String),
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let text = text.trim();
        // Programs are named with a dash, their targets with an underscore.
        let targets: Targets = text.replace('-', "_").parse().map_err(|_| FilterError::Malformed(text.to_owned()))?;
        if text.split(',').any(|one| one.trim().is_empty()) {
            return Err(FilterError::Malformed(text.to_owned()));
        }
        for (target, _) in &targets {
            let root = target.split("::").next().unwrap_or_default();
            if !ROOTS.contains(&root) {
                return Err(FilterError::UnknownTarget(target.to_owned()));
            }
        }
        Ok(Self { targets, text: text.to_owned() })
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self { targets: Targets::new().with_default(LevelFilter::INFO), text: "info".to_owned() }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Filter {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.targets.would_enable(metadata.target(), metadata.level())
    }

    /// The level above which nothing is wanted anywhere.
    fn highest(&self) -> LevelFilter {
        let each = self.targets.iter().map(|(_, level)| level);
        each.chain(self.targets.default_level()).max().unwrap_or(LevelFilter::OFF)
    }
}

/// What is wanted of a run's log.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Which records.
    pub filter: Filter,
    /// Whether each is also written to standard error as it comes.
    pub live: bool,
}

/// A log under way.
pub(crate) struct Listening {
    dispatch: Dispatch,
    kept: Arc<Mutex<Kept>>,
    filter: String,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    cut: u64,
}

thread_local! {
    /// Holds the subscriber as its thread's default until that ends.
    static HERE: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

impl Listening {
    /// Makes the subscriber.
    pub(crate) fn begin(wanted: &Wanted) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let live = wanted
            .live
            .then(|| Live { colors: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() });
        let listener = Listener { filter: wanted.filter.clone(), kept: Arc::clone(&kept), live };
        Self { dispatch: Dispatch::new(listener), kept, filter: wanted.filter.to_string() }
    }

    /// Listens on this thread, which is to be that of the run.
    pub(crate) fn listen(&self) {
        let guard = dispatcher::set_default(&self.dispatch);
        HERE.with(|here| *here.borrow_mut() = Some(guard));
    }

    /// What was said.
    pub(crate) fn end(self) -> Log {
        let Self { dispatch, kept, filter } = self;
        let Kept { lines, cut } = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
        drop(dispatch);
        tracing::callsite::rebuild_interest_cache();
        Log { filter, lines: lines.into(), cut }
    }
}

/// Sets the process up for subscribers that come and go on several threads. To be called before each run, whether it has a log or not.
pub(crate) fn prepare() {
    static IDLE: OnceLock<[Dispatch; 2]> = OnceLock::new();
    IDLE.get_or_init(|| [Dispatch::new(Idle), Dispatch::new(Idle)]);
}

/// Wants nothing, and keeps `tracing` from remembering that nobody does.
struct Idle;

impl Subscriber for Idle {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Keeps the records of one run.
struct Listener {
    filter: Filter,
    kept: Arc<Mutex<Kept>>,
    live: Option<Live>,
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.filter.wants(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.filter.highest())
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.wants(metadata)
    }

    /// Spans are not kept: one number does for all.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut words = Words::default();
        event.record(&mut words);
        let line = LogLine {
            at_us: sim::now_us(),
            host: sim::running_host().unwrap_or_default(),
            level: level(*metadata.level()),
            target: metadata.target().to_owned(),
            text: words.line(),
        };
        if let Some(live) = &self.live {
            live.write(&line);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.lines.len() == LINES_MAX {
            kept.lines.pop_front();
            kept.cut += 1;
        }
        kept.lines.push_back(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

/// Standard error: coloured on a terminal, plain elsewhere.
struct Live {
    colors: bool,
}

impl Live {
    fn write(&self, line: &LogLine) {
        let text = line.to_string();
        let (on, off) = match (self.colors, line.level) {
            (false, _) | (_, Level::Info) => ("", ""),
            (_, Level::Error) => ("\x1b[31m", "\x1b[0m"),
            (_, Level::Warn) => ("\x1b[33m", "\x1b[0m"),
            (_, Level::Debug | Level::Trace) => ("\x1b[2m", "\x1b[0m"),
        };
        // Where nobody reads it, the run goes on.
        let _ = writeln!(std::io::stderr().lock(), "{on}{text}{off}");
    }
}

/// A record in words: its message, then its fields as `name=value`.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Words {
    fn add(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => {
                let _ = write!(self.fields, " {}={value}", name.trim_start_matches("r#"));
            }
        }
    }

    /// One line of at most [`TEXT_BYTES_MAX`].
    fn line(self) -> String {
        let text = (self.message + &self.fields).replace('\r', "\\r").replace('\n', "\\n");
        let mut text = text.trim_start().to_owned();
        if text.len() > TEXT_BYTES_MAX {
            let whole = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(whole);
            text.push_str(" ... (cut)");
        }
        text
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        let plain = field.name() == "message"
            || (!value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"' || c == '='));
        if plain {
            self.add(field, value);
        } else {
            self.add(field, &format!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(filter: &str, f: impl FnOnce()) -> Log {
        prepare();
        let wanted = Wanted { filter: filter.parse().expect("a filter"), live: false };
        let listening = Listening::begin(&wanted);
        dispatcher::with_default(&listening.dispatch, f);
        listening.end()
    }

    fn texts(log: &Log) -> Vec<&str> {
        log.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_filter_is_levels_and_targets_and_names_what_it_cannot_be() {
        let wrong = |text: &str| text.parse::<Filter>().expect_err("refused").to_string();
        assert!(wrong("proxy=loud").starts_with("\"proxy=loud\" is no filter of logs: give a level"));
        assert!(wrong("").contains("is no filter") && wrong("info,").contains("is no filter"));
        assert!(wrong("dbug").starts_with("no program has a target \"dbug\": there are proxy, mock_upstream"));
        assert!(wrong("proxi=debug").contains("\"proxi\""));
        for right in ["info", "DEBUG", "proxy=debug", "proxy::fanout=trace,warn", "mock-upstream=debug", "off"] {
            assert!(right.parse::<Filter>().is_ok(), "{right}");
        }
        let highest = |text: &str| text.parse::<Filter>().expect("a filter").highest();
        assert_eq!(highest("proxy::fanout=trace,warn"), LevelFilter::TRACE);
        assert_eq!(highest("off"), LevelFilter::OFF);
    }

    #[test]
    fn a_record_is_its_message_and_its_fields_in_one_line() {
        let log = said("info", || {
            let reason = "no room left";
            tracing::warn!(target: "proxy", source = 1, why = "reset", reason, at = ?Some(2), "lost the leg");
            tracing::info!(target: "proxy", "two\nlines");
            tracing::info!(target: "proxy", only = true);
            tracing::info!(target: "proxy", "{}", "x".repeat(TEXT_BYTES_MAX + 1));
            tracing::debug!(target: "proxy", "not wanted");
        });
        assert_eq!(
            texts(&log)[..3],
            ["lost the leg source=1 why=reset reason=\"no room left\" at=Some(2)", "two\\nlines", "only=true"]
        );
        assert!(log.lines[3].text.ends_with("x ... (cut)") && log.lines[3].text.len() < TEXT_BYTES_MAX + 20);
        assert_eq!(log.lines.len(), 4);
        let Log { filter, cut, .. } = &log;
        assert_eq!(
            (filter.as_str(), *cut, log.lines[0].level, log.lines[0].host.as_str()),
            ("info", 0, Level::Warn, "")
        );
    }

    #[test]
    fn the_last_ten_thousand_records_are_kept() {
        let log = said("info", || (0..LINES_MAX + 7).for_each(|n| tracing::info!(target: "proxy", "{n}")));
        assert_eq!((log.lines.len(), log.cut), (LINES_MAX, 7));
        assert_eq!(texts(&log)[0], "7");
    }

    /// A place of its own for each call of the macro: what the process remembers of a place is not yet settled.
    macro_rules! fresh_place {
        () => {
            || tracing::debug!(target: "proxy", "said")
        };
    }

    #[test]
    fn a_place_that_a_thread_without_a_log_comes_to_first_is_heard_by_the_one_that_has() {
        let place = fresh_place!();
        let log = said("debug", || {
            std::thread::scope(|scope| scope.spawn(place).join().expect("no panic"));
            place();
        });
        assert_eq!(texts(&log), ["said"]);
    }

    #[test]
    fn each_thread_has_its_own_filter() {
        let place = fresh_place!();
        let barrier = std::sync::Barrier::new(2);
        let heard = |filter: &'static str| {
            let barrier = &barrier;
            move || {
                said(filter, || {
                    barrier.wait();
                    (0..1_000).for_each(|_| place());
                    barrier.wait();
                })
                .lines
                .len()
            }
        };
        let (all, none) = std::thread::scope(|scope| {
            let (all, none) = (scope.spawn(heard("proxy=debug")), scope.spawn(heard("info")));
            (all.join().expect("no panic"), none.join().expect("no panic"))
        });
        assert_eq!((all, none), (1_000, 0));
        // And a later one hears what nobody wanted before.
        assert_eq!(said("debug", place).lines.len(), 1);
    }
}
