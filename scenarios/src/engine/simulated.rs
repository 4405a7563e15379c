//! The engines `sim` and `turmoil`: one plan, two worlds.

use std::sync::Arc;
use std::time::Duration;

use sim::{AtHorizon, Cause, Failure, LinkConfig, Order, Report, SimConfig};

use wire::net::WallTime;

use super::cast::{self, Hosts};
use super::{Ended, Look, Options, Segments};
use crate::check::{self, Objectives};
use crate::logs::{self, Listening};
use crate::model::{Engine, Latency};
use crate::pcap::{Capturing, Packets, Pcap, Place};
use crate::plan::{Plan, Shape};
use crate::recorder::Recorder;

/// A link as the engine has it.
pub(super) fn link(shape: Shape, engine: Engine) -> LinkConfig {
    if engine == Engine::Turmoil {
        // Whole milliseconds, and the same for every message: turmoil draws a latency for a link, not for a segment. The typical delay, rounded up.
        let typical = match shape.latency {
            Latency::Fixed(one) => one.as_duration(),
            Latency::Uniform(min, max) => (min.as_duration() + max.as_duration()) / 2,
            Latency::LogNormal { median, .. } => median.as_duration(),
            Latency::Spikes { .. } => Duration::ZERO,
        };
        return LinkConfig::fixed(typical);
    }
    LinkConfig { latency: shape.latency.drawn(), bandwidth: shape.bandwidth, loss: shape.loss, ..LinkConfig::default() }
}

/// The hosts' wall clock at the beginning: 2026-06-01 00:00 UTC, 151 days after tick 0 was due.
const EPOCH: WallTime = WallTime(wire::tick::ORIGIN_US + 151 * 86_400_000_000);

/// Deliveries that are kept where a stretch of them is asked for: one stretch between two checkpoints, and what is before and after it.
const STRETCH: usize = sim::CHECKPOINT_EVERY as usize + 16;

/// Runs a plan; keeps the deliveries from `segments_from` on, if any, and captures packets, if that is wanted.
pub(super) fn run(
    plan: &Plan,
    options: Options,
    segments_from: Option<u64>,
    pcap: Option<(&Pcap, &[Place])>,
    look: &Look,
) -> Result<Ended, String> {
    logs::prepare();
    let listening = look.log.as_ref().map(Listening::begin);
    let listen = |recorder: &Recorder| {
        recorder.listen();
        listening.iter().for_each(Listening::listen);
    };
    let config = SimConfig {
        horizon: plan.end_at + Duration::from_secs(1),
        at_horizon: AtHorizon::FailIfUnfinished,
        epoch: EPOCH,
        order: Order::numbered(options.order),
        link: link(Shape::of(&plan.scenario.network), options.engine),
        shards: plan.scenario.proxy.shards.map_or(1, usize::from),
        trace_events_from: segments_from.unwrap_or(0),
        trace_events_max: if segments_from.is_some() { STRETCH } else { 0 },
        stop_at: look.stop_at,
        pause_at: look.pause_at,
        reseed: look.reseed,
        ..SimConfig::seeded(plan.seed)
    };
    let recorder = Arc::new(Recorder::new(
        plan,
        check::build(&objectives(plan, options.engine), &super::facts(plan)),
        super::collector(plan),
        options.keep_events,
        look.stop_at,
        sim::now_us,
    ));
    let mut capturing = None;
    let mut refused = None;
    let result = match options.engine {
        Engine::Turmoil => sim::turmoil::run(config, |world| {
            listen(&recorder);
            let hosts = cast::assemble(world, plan, options, &recorder);
            refused = cast::links(world, plan, options.engine, &hosts).err();
            refused = refused.or(cast::address(world, plan, &hosts).err());
        }),
        _ => sim::run(config, |world| {
            listen(&recorder);
            let hosts = cast::assemble(world, plan, options, &recorder);
            refused = cast::links(world, plan, options.engine, &hosts).err();
            refused = refused.or(cast::address(world, plan, &hosts).err());
            charge(plan, &world.control(), &hosts);
            if let Some((pcap, places)) = pcap {
                let (under_way, wanted) = Capturing::begin(pcap, places, &hosts, EPOCH);
                capturing = Some(under_way);
                world.capture(wanted);
            }
        }),
    };
    let said = listening.map(Listening::end);
    if let Some(refused) = refused {
        return Err(refused.to_string());
    }
    let (report, broken) = match result {
        Ok(report) => (report, None),
        Err(Failure { cause: Cause::Harness(why), .. }) => return Err(why),
        Err(failure) => {
            let why = failure.to_string();
            (*failure.report, Some(why))
        }
    };
    let recorded = recorder.take().ok_or("the record was taken twice")?;
    let mut log = log(options.engine, &report);
    let packets = capturing.zip(report.capture).map(|(capturing, capture)| capturing.end(capture));
    log.extend(packets.as_ref().map(Packets::log));
    let lines = report.trace_events.iter().map(|event| event.describe(&report.hosts)).collect();
    let segments = Segments { checkpoints: report.trace_checkpoints, lines };
    Ok(Ended {
        recorded,
        end_us: report.elapsed_us,
        broken,
        log,
        said,
        standing: report.standing,
        engine_hash: report.trace_hash,
        segments,
        packets,
        machine: None,
    })
}

/// What the engine can show. turmoil does not tell what hosts hold.
fn objectives(plan: &Plan, engine: Engine) -> Objectives {
    let mut objectives = plan.scenario.check.clone();
    if engine == Engine::Turmoil {
        objectives.host_leaks = None;
    }
    objectives
}

/// Sets what CPUs cost.
fn charge(plan: &Plan, control: &sim::Control, hosts: &Hosts) {
    let Some(cost) = plan.scenario.service_time else { return };
    for name in plan.proxy_hosts().chain(plan.edge_hosts()) {
        if let Some(host) = hosts.get(&name) {
            control.set_service(*host, cost.simulated());
        }
    }
}

fn log(engine: Engine, report: &Report) -> String {
    format!(
        "engine {}\nelapsed_us {}\npolls {}\ndeliveries {}\nconnections_left {}\nended {:?}\n",
        engine.word(),
        report.elapsed_us,
        report.polls,
        report.trace_count,
        report.connections_left,
        report.ended
    )
}
