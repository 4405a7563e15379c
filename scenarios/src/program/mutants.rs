//! `mutants`: the planted bugs, and the proof that each is caught.

use std::fmt::Write as _;

use indicatif::{ProgressBar, ProgressStyle};
use reports::record::Verdict;

use super::select::{self, Seeds};
use super::{Failure, MutantsArgs, exit, hang, print, say};
use crate::campaign::{self, Bounds, Job, News};
use crate::mutants::proof::{self, Proof};
use crate::mutants::{self, Mutant};

pub(super) fn mutants(args: &MutantsArgs) -> Result<u8, Failure> {
    if args.prove {
        return prove(args);
    }
    if args.json {
        let rows: Vec<serde_json::Value> = mutants::all()
            .iter()
            .chain(mutants::drifts())
            .map(|mutant| {
                serde_json::json!({
                    "name": mutant.name, "about": mutant.about, "scenario": mutant.scenario,
                    "must": mutant.must, "may": mutant.may, "order": mutant.order, "drifts": mutant.drifts(),
                })
            })
            .collect();
        return print(&format!("{:#}", serde_json::Value::from(rows)));
    }
    let mut text = String::new();
    for mutant in mutants::all().iter().chain(mutants::drifts()) {
        let _ = writeln!(text, "{}  (in {})", mutant.name, mutant.scenario);
        for line in textwrap::wrap(mutant.about, textwrap::Options::new(78)) {
            let _ = writeln!(text, "  {line}");
        }
        if mutant.order != 0 {
            let _ = writeln!(text, "  shows with:     --orders {0}..{0}", mutant.order);
        }
        let must = if mutant.drifts() { "must be worse:  " } else { "must be blamed: " };
        let _ = writeln!(text, "  {must}{}", mutant.must.join(", "));
        if !mutant.may.is_empty() {
            let _ = writeln!(text, "  may be blamed:  {}", mutant.may.join(", "));
        }
    }
    let _ = writeln!(text, "\nonly `windtunnel explore --mutant NAME` shows these:");
    for mutant in mutants::rare() {
        let _ = writeln!(text, "{}", mutant.name);
        for line in textwrap::wrap(mutant.about, textwrap::Options::new(78)) {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "  must be blamed: {}", mutant.must.join(", "));
    }
    print(&text)
}

/// Runs every planted bug with every seed, prints the page, and fails where one is missed or blamed on a stranger.
fn prove(args: &MutantsArgs) -> Result<u8, Failure> {
    let mut jobs = Vec::new();
    for mutant in mutants::all() {
        let chosen = select::one(mutant.scenario)?;
        let job = |seed| mutant.job(chosen.scenario.clone(), chosen.text.clone(), seed);
        jobs.extend((args.seeds.first..=args.seeds.last).map(job));
    }
    let bar = ProgressBar::new(jobs.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} runs  {wide_msg}") {
        bar.set_style(style);
    }
    let mut verdicts: Vec<Option<Verdict>> = vec![None; jobs.len()];
    let mut trouble = None;
    campaign::run(&jobs, Bounds::default(), |news| match news {
        News::Done(done) => {
            bar.set_message(jobs[done.index].options.mutant.map_or("", |mutant| mutant.name));
            bar.inc(1);
            match done.result {
                Ok(run) => verdicts[done.index] = Some(run.verdict),
                Err(error) => {
                    trouble.get_or_insert(Failure::engine(&error));
                }
            }
        }
        News::Hangs(index) => {
            let Job { scenario, seed, options, .. } = &jobs[index];
            let name = options.mutant.map_or("", |mutant| mutant.name);
            hang(&format!("{} seed {seed} with {name}", scenario.name), "")
        }
    });
    bar.finish_and_clear();
    if let Some(failure) = trouble {
        return Err(failure);
    }
    let each = verdicts.chunks(usize::try_from(args.seeds.count()).unwrap_or(usize::MAX));
    let proofs: Vec<Proof<'_>> =
        mutants::all().iter().zip(each).map(|(mutant, runs)| Proof::of(mutant, runs.iter().flatten())).collect();
    let Seeds { first, last } = args.seeds;
    print(&proof::page(
        &proofs,
        &format!("cargo windtunnel mutants --prove --seeds {first}..{last} > docs/mutants.md"),
    ))?;
    let bad: Vec<&Mutant> = proofs.iter().filter(|proof| !proof.holds()).map(|proof| proof.mutant).collect();
    for mutant in &bad {
        say(&format!("windtunnel: {} was missed, or blamed on a checker that is not declared", mutant.name));
    }
    Ok(if bad.is_empty() { exit::PASSED } else { exit::BROKEN })
}
