//! `keep`: a failure into the bank; and the bank run again beside the whole catalogue.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use clap::Parser;
use reports::record::Outcome;
use reports::summary::regressions::Replayed;

use super::{CaptureArgs, ExpectArg, Failure, KeepArgs, exit, print, replay, watched};
use crate::campaign::{self, Bounds, Step};
use crate::regressions::{self, ENTRIES_MAX, Entry, Expect, Judged, Keep, KeepError, Kept, Regression};

pub(super) fn keep(args: &KeepArgs) -> Result<u8, Failure> {
    let KeepArgs { name, bank, .. } = args;
    if !bank.is_dir() {
        let message = format!("there is no folder {}: go to the top of the tree, or say --bank DIR", bank.display());
        return Err(Failure::usage(message));
    }
    let file = bank.join(format!("{name}.toml"));
    if file.exists() {
        return Err(Failure::usage(format!("{} is there already: choose another --name", file.display())));
    }
    let held =
        std::fs::read_dir(bank).map_err(|error| Failure::io(format!("failed to read {}: {error}", bank.display())))?;
    if held.count() >= ENTRIES_MAX {
        let message = format!(
            "{} has {ENTRIES_MAX} entries, as many as it may: take away one that others include",
            bank.display()
        );
        return Err(Failure::usage(message));
    }
    let (capsule, job) = replay::job(&args.capsule, &no_captures())?;
    if job.options.engine != crate::model::Engine::Sim {
        return Err(Failure::usage(format!("the bank is run by engine sim, and the capsule is of {}", capsule.engine)));
    }
    let fingerprint = args.fingerprint.as_ref().or(capsule.fingerprints.first()).cloned().ok_or_else(|| {
        Failure::usage(format!(
            "{} does not say how it failed: give --fingerprint \"INVARIANT: PLACE\"",
            args.capsule.display()
        ))
    })?;
    let expect = match args.expect {
        Some(ExpectArg::Fails) => Expect::Fails,
        Some(ExpectArg::Holds) => Expect::Holds,
        None if capsule.mutant.is_some() => Expect::Holds,
        None => Expect::Fails,
    };
    let regression = Regression {
        expect,
        fingerprint,
        seed: job.seed,
        order: job.options.order,
        mutant: capsule.mutant.clone(),
        found_by: args.found_by.clone().unwrap_or_else(|| format!("{} seed {}", capsule.scenario, job.seed)),
        commit: commit(),
        date: today(),
        why: args.why.clone(),
    };
    let hangs = format!("{} seed {}", capsule.scenario, reports::record::label(job.seed, job.options.order));
    let (scenario, options, called) = (job.scenario, job.options, name.clone());
    let kept = watched(args.watchdog, &hangs, move || {
        regressions::keep(&Keep { scenario: &scenario, options, name: &called, regression })
    });
    let text = kept.map_err(|error| match error {
        KeepError::DoesNotFail(_) => Failure { code: exit::INCONCLUSIVE, message: error.to_string() },
        KeepError::DoesNotHold(_) | KeepError::NotLawful(_) => Failure::usage(error.to_string()),
        KeepError::Engine(error) => Failure::engine(&error),
    })?;
    // What is written must be found again, and as it is expected to be.
    let kept = regressions::read(&format!("{name}.toml"), &text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::usage(format!("it cannot be kept under this name\n{}", lines.join("\n")))
    })?;
    let again = kept.clone();
    let (judged, _) =
        watched(args.watchdog, &hangs, move || again.replay()).map_err(|error| Failure::engine(&error))?;
    if judged.outcome != Outcome::Pass {
        return Err(Failure { code: exit::INCONCLUSIVE, message: format!("it is not kept: {}", judged.message) });
    }
    reports::folder::write_file(&file, text.as_bytes()).map_err(|error| Failure::io(format!("failed to {error}")))?;
    let Kept { scenario, regression, .. } = kept;
    print(&format!(
        "kept {}: expected that it {}, of `{}`; {} states and marks must be reached\n",
        file.display(),
        regression.expect.word(),
        regression.fingerprint,
        scenario.reach.len()
    ))
}

/// As a command line has it that asks for nothing.
pub(super) fn no_captures() -> CaptureArgs {
    #[derive(Parser)]
    struct Nothing {
        #[command(flatten)]
        captures: CaptureArgs,
    }
    Nothing::parse_from(["windtunnel"]).captures
}

/// The commit of the tree in which the program is run, if it is one.
fn commit() -> Option<String> {
    let said = Command::new("git").args(["rev-parse", "HEAD"]).output().ok().filter(|said| said.status.success())?;
    let hash = String::from_utf8(said.stdout).ok()?.trim().to_owned();
    (hash.len() >= 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hash)
}

/// `2026-01-31`.
#[expect(clippy::disallowed_methods, reason = "outside all runs: the day on which it was kept")]
fn today() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().chars().take("2026-01-31".len()).collect()
}

/// Runs the whole bank again, a few entries at once. Where one hangs, `hangs` is told its name and what all those came to that were begun, it among them, and
/// ends the process.
pub(super) fn replay_all(
    bounds: Bounds,
    mut hangs: impl FnMut(&str, Vec<Replayed>) -> Infallible,
) -> Result<Vec<Replayed>, Failure> {
    let all = regressions::all();
    let next = AtomicUsize::new(0);
    let mut done = BTreeMap::new();
    campaign::sweep(
        bounds,
        |_| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < all.len()),
        |index| again(&all[index]),
        |step| match step {
            Step::Done(index, result) => {
                done.insert(index, *result);
            }
            Step::Hangs(index) => {
                let mut replayed: Vec<Replayed> =
                    std::mem::take(&mut done).into_values().filter_map(Result::ok).collect();
                replayed.extend(all[index].kept().ok().map(|kept| {
                    let longest = humantime::format_duration(bounds.watchdog);
                    let message = format!("it hangs, for more than {longest} on the wall");
                    told(&all[index], &kept.regression, Judged { outcome: Outcome::Inconclusive, message })
                }));
                match hangs(all[index].name, replayed) {}
            }
        },
    );
    done.into_values().collect()
}

fn again(entry: &Entry) -> Result<Replayed, Failure> {
    let kept = entry.kept().map_err(|problems| {
        Failure::harness(format!(
            "the bank has an entry that is not good: {}",
            problems.first().map_or_else(String::new, ToString::to_string)
        ))
    })?;
    let (judged, _) = kept.replay().map_err(|error| Failure::engine(&error))?;
    Ok(told(entry, &kept.regression, judged))
}

fn told(entry: &Entry, regression: &Regression, judged: Judged) -> Replayed {
    let (seed, order) = (regression.seed, regression.order);
    let orders = if order == 0 { String::new() } else { format!(" --orders {order}..{order}") };
    Replayed {
        name: entry.name.to_owned(),
        expect: regression.expect.word().to_owned(),
        verdict: judged.outcome,
        message: judged.message,
        replay: format!("cargo windtunnel run {} --seed {seed}{orders}", entry.name),
    }
}
