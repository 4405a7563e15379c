//! The engine `sim`: our simulator.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use sim::{AtHorizon, Cause, Control, Failure, HostId, LinkConfig, Report, ServiceTime, SimConfig, SimNet};

use super::cast::{self, Hand, Stage};
use super::{Ended, Options};
use crate::check;
use crate::model::Latency;
use crate::plan::{Plan, proxy_host};
use crate::recorder::Recorder;

struct World<'a>(&'a mut sim::Setup);

impl Stage for World<'_> {
    type Net = SimNet;

    fn host<P, F>(&mut self, name: &str, program: P)
    where
        P: Fn(SimNet) -> F + Send + 'static,
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.0.host(name, program);
    }
}

#[derive(Clone, Copy)]
struct Reach(Control);

impl Reach {
    fn on(self, name: &str, act: impl FnOnce(Control, HostId)) {
        // The linter has seen to it that targets exist.
        if let Some(host) = self.0.host(name) {
            act(self.0, host);
        }
    }

    fn between(self, a: &str, b: &str, act: impl FnOnce(Control, HostId, HostId)) {
        if let (Some(a), Some(b)) = (self.0.host(a), self.0.host(b)) {
            act(self.0, a, b);
        }
    }
}

impl Hand for Reach {
    fn kill(&self, host: &str) {
        self.on(host, Control::kill);
    }

    fn power_off(&self, host: &str) {
        self.on(host, Control::power_off);
    }

    fn start(&self, host: &str) {
        self.on(host, Control::start);
    }

    fn freeze(&self, host: &str) {
        self.on(host, Control::freeze);
    }

    fn thaw(&self, host: &str) {
        self.on(host, Control::thaw);
    }

    fn stall(&self, a: &str, b: &str) {
        self.between(a, b, Control::partition);
    }

    fn heal(&self, a: &str, b: &str) {
        self.between(a, b, Control::heal);
    }

    fn finish(&self) {
        self.0.finish();
    }
}

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874;

fn link(plan: &Plan) -> LinkConfig {
    let network = &plan.scenario.network;
    LinkConfig {
        latency: match network.latency {
            Latency::Fixed(one) => sim::Latency::Fixed(one.as_duration()),
            Latency::Uniform(min, max) => sim::Latency::Uniform(min.as_duration(), max.as_duration()),
            Latency::LogNormal { median, tail } => {
                sim::Latency::LogNormal { median: median.as_duration(), sigma: libm::log(tail) / Z99 }
            }
        },
        bandwidth: network.bandwidth,
        loss: network.loss,
        ..LinkConfig::default()
    }
}

/// Runs a plan.
pub(super) fn run(plan: &Plan, options: Options) -> Result<Ended, String> {
    let config = SimConfig {
        horizon: plan.end_at + std::time::Duration::from_secs(1),
        at_horizon: AtHorizon::Fail,
        link: link(plan),
        ..SimConfig::seeded(plan.seed)
    };
    let recorder = Arc::new(Recorder::new(
        plan,
        check::build(&plan.scenario.check, &super::facts(plan)),
        super::collector(plan),
        options.keep_events,
        sim::now_us,
    ));
    // The set-up runs on the run's own thread; what it is given must get there.
    let inside = Mutex::new(Some((plan.clone(), Arc::clone(&recorder))));
    let result = sim::run(config, |world| {
        let Some((plan, recorder)) = inside.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let control = world.control();
        cast::assemble(&mut World(world), &plan, options, &recorder);
        if let Some(cost) = plan.scenario.service_time {
            let time = ServiceTime { per_segment: cost.proxy_per_segment.as_duration(), ..ServiceTime::default() };
            for index in 0..plan.scenario.proxy.count {
                if let Some(host) = control.host(&proxy_host(index)) {
                    control.set_service(host, time);
                }
            }
        }
        world.foreground("driver", move |_net| {
            let (plan, recorder) = (plan.clone(), Arc::clone(&recorder));
            async move { cast::drive(plan, recorder, Reach(control)).await }
        });
    });
    let (report, broken) = match result {
        Ok(report) => (report, None),
        Err(Failure { cause: Cause::Harness(why), .. }) => return Err(why),
        Err(failure) => {
            let why = failure.to_string();
            (*failure.report, Some(why))
        }
    };
    ended(&recorder, &report, broken)
}

fn ended(recorder: &Recorder, report: &Report, broken: Option<String>) -> Result<Ended, String> {
    let log = format!(
        "engine sim\nelapsed_us {}\npolls {}\nsegments {}\nconnections_left {}\nended {:?}\n",
        report.elapsed_us, report.polls, report.trace_count, report.connections_left, report.ended
    );
    let recorded = recorder.take().ok_or("the record was taken twice")?;
    Ok(Ended { recorded, end_us: report.elapsed_us, broken, log, engine_hash: report.trace_hash })
}
