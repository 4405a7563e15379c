//! Where, what and how; and whether the generator was in a state to say anything.

use super::{ROWS_MAX, bounded};
use crate::capacity::block::{Block, Cell, Section, Table, figures, words};
use crate::capacity::words as say;
use crate::capacity::{Axis, CapacityReport, Step, notes};
use crate::figure;

pub(super) fn conditions(report: &CapacityReport) -> Section {
    let of = &report.conditions;
    let facts = [
        ("Proxy", of.proxy.clone()),
        ("Its version", of.proxy_version.clone()),
        ("Objective", format!("{} within {}", say::asked(of.goodput_min), say::micros(of.objective_us as f64))),
        ("The mix", of.mix.clone()),
        ("Messages a connection", format!("{}/s", say::amount(of.messages_per_connection_s))),
        ("Checked byte by byte", format!("{} of clients", say::share(of.verified_share))),
        ("Processor", of.cpu.clone()),
        ("Cores", of.cores.to_string()),
        ("Memory", say::bytes(of.memory_bytes as f64)),
        ("Kernel", of.kernel.clone()),
        ("Placement", of.placement.clone()),
        ("Windtunnel", format!("{}, profile {}", of.version, of.profile)),
        ("Began", of.began.clone()),
        ("Took", if of.took_s.is_finite() { figure::seconds(of.took_s) } else { say::DASH.to_owned() }),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let facts = facts.map(|(name, value)| (name.to_owned(), value)).collect();
    let section = Section::new("conditions", "Conditions", "Conditions").with(Block::Facts(facts));
    if of.command.is_empty() {
        return section;
    }
    section.with(Block::Command("command".to_owned(), of.command.clone()))
}

pub(super) fn generator(report: &CapacityReport) -> Section {
    let section = Section::new("generator", "Generator", "Was the generator in order?");
    let all: Vec<(&Axis, &Step)> =
        report.axes.iter().flat_map(|axis| axis.steps.iter().map(move |s| (axis, s))).collect();
    if all.is_empty() {
        return section.with(Block::Alert("inconclusive", "Not measured: there was no trial.".to_owned()));
    }
    let sick: Vec<(&Axis, &Step)> = all.iter().copied().filter(|(_, step)| !step.generator.healthy).collect();
    let section = if sick.is_empty() {
        section.with(Block::Alert(
            "pass",
            format!("In order in all {} trials: what was measured is the proxy's.", all.len()),
        ))
    } else {
        let words = format!(
            "Not in order in {} of {} trials. What these measured says nothing of the proxy, and no limit was concluded from them.",
            sick.len(),
            all.len()
        );
        section.with(Block::Alert("inconclusive", words))
    };
    let section = section.with(worst(&all));
    if sick.is_empty() {
        return section;
    }
    let mut table = Table::new(vec![
        words("Search"),
        figures("Load"),
        words("Stage"),
        figures("CPU of its cores").note(notes::CPU),
        figures("Timers late, p99"),
        words("Why").note(notes::HEALTH),
    ]);
    for (axis, step) in sick {
        table.row(vec![
            say::axis_title(&axis.name).into(),
            Cell::new(say::amount(step.load)).small(axis.unit.clone()),
            step.stage.clone().into(),
            say::share_or_dash(step.generator.cpu).into(),
            figure::latency_or_dash(step.generator.lateness_p99_us).into(),
            bounded(&step.generator.reasons).join("; ").into(),
        ]);
    }
    section.with(Block::Table(table.bounded(ROWS_MAX)))
}

/// The worst that the generator was in trials that count.
fn worst(all: &[(&Axis, &Step)]) -> Block {
    let healthy = || all.iter().map(|(_, step)| &step.generator).filter(|health| health.healthy);
    let cpu = healthy().filter_map(|health| health.cpu).max_by(f64::total_cmp);
    let late = healthy().filter_map(|health| health.lateness_p99_us).max();
    let measured = |text: Option<String>| text.unwrap_or_else(|| "not measured".to_owned());
    Block::Facts(vec![
        ("Its CPU, the most in a trial that counts".to_owned(), measured(cpu.map(say::share))),
        ("Its timers' lateness, p99, the most in a trial that counts".to_owned(), measured(late.map(figure::latency))),
    ])
}
