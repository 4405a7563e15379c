//! Writes the folders of a run and of a measurement of capacity that never were, to look at the pages: `cargo run -p reports --example synthetic -- DIR`.

use std::path::PathBuf;

use reports::capacity;
use reports::folder::{write_events, write_run};
use reports::measures;
use reports::record::Outcome;
use reports::summary::{RunSummary, SummaryMeta, write_summary};
use reports::text;

#[path = "../tests/it/capacity_report/synthetic.rs"]
mod measured;
#[path = "../tests/it/synthetic.rs"]
mod synthetic;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: synthetic DIR")?);
    let report = synthetic::report();
    let folder = format!("{}/{}", report.verdict.scenario, report.verdict.seed);
    write_run(&dir.join(&folder), &report)?;
    write_events(&dir.join(&folder), &synthetic::events())?;
    let failed = RunSummary {
        verdict: report.verdict.clone(),
        report: Some(format!("{folder}/report.html")),
        replay_command: report.replay_command,
        nth: 0,
        figures: measures::Measures::of(&report.metrics).steady(),
    };
    let mut passed = RunSummary { report: None, ..failed.clone() };
    passed.verdict.scenario = "relay-fair-shares".to_owned();
    passed.verdict.mutant = None;
    passed.verdict.verdict = Outcome::Pass;
    passed.verdict.reached.clear();
    for invariant in &mut passed.verdict.invariants {
        invariant.verdict = Outcome::Pass;
        invariant.violations.clear();
        invariant.broken = 0;
    }
    let runs = [failed, passed];
    let meta = SummaryMeta {
        command: "cargo windtunnel run --seeds 7..8".to_owned(),
        version: "0.1.0".to_owned(),
        profile: "sim".to_owned(),
        wall_seconds: 0.1,
        ..SummaryMeta::default()
    };
    write_summary(&dir, &runs, &meta)?;
    write_run(&dir.join("empty"), &empty(&synthetic::report()))?;
    print!("{}", text::table(&runs, &meta, true));
    let measured = measured::report();
    capacity::write(&dir.join("capacity"), &measured)?;
    print!("\n{}", capacity::text(&measured));
    Ok(())
}

/// The same judgement without a single event: every chart must say so.
fn empty(report: &reports::folder::RunReport) -> reports::folder::RunReport {
    reports::folder::RunReport { metrics: reports::metrics::Collector::default().finish(0), ..report.clone() }
}
