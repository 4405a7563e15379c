//! The sum on paper beside what was simulated: [`capacity::redundancy::Storm`], how far off it is, and which of its assumptions that breaks.
//!
//! It assumes that dials come evenly over the window, that each goes to an instance that is there, that nobody is turned away, and that a client is back when it
//! has a session.

use capacity::redundancy;
use serde::Serialize;

use super::over::Over;
use super::storm::Storm;
use super::world::Fleet;
use crate::model::ServiceTime;

/// What the sum says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Beside {
    /// Its terms, of real clients.
    pub storm: redundancy::Storm,
    /// Dials that come to each of the others in a second while the window lasts.
    pub rate_per_survivor: f64,
    /// The shortest time until all are back.
    pub recovery_s: f64,
    /// The smallest window that the others can follow.
    pub smallest_jitter_s: f64,
    /// What was simulated as a part of it, less one: 0.1 is a tenth longer. None: nothing was, or it took longer than was watched.
    pub error: Option<f64>,
    /// Why, the weightiest first.
    pub because: Vec<String>,
}

/// The sum of a fleet, beside its runs.
#[must_use]
pub fn beside(fleet: &Fleet, costs: ServiceTime, runs: &[Storm]) -> Beside {
    let (clients, instances) = (f64::from(fleet.clients), f64::from(fleet.instances));
    let accepts = fleet.accepts_per_s(costs, clients / (instances - 1.0)).max(1e-3);
    let storm = redundancy::Storm {
        connections: clients / instances,
        survivors: u32::from(fleet.instances - 1),
        jitter_s: fleet.jitter.as_secs_f64(),
        accepts_per_s: accepts,
    };
    let recovery_s = storm.recovery_s();
    let median = Over::of(runs.iter().map(|run| (run.seed, run.back_s))).and_then(|over| over.median);
    Beside {
        rate_per_survivor: storm.rate_per_survivor(),
        recovery_s,
        smallest_jitter_s: storm.smallest_jitter_s(),
        error: median.map(|median| median / recovery_s - 1.0),
        because: because(fleet, runs, median.map_or(f64::INFINITY, |median| median - recovery_s)),
        storm,
    }
}

/// A part of the time is weighty from here on.
const WEIGHTY: f64 = 0.02;

/// What the sum leaves out and the runs show, the weightiest first; `extra_s`: how much longer they took.
fn because(fleet: &Fleet, runs: &[Storm], extra_s: f64) -> Vec<String> {
    if runs.is_empty() {
        return Vec::new();
    }
    let mean = |of: &dyn Fn(&Storm) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    let lost = mean(&|run| f64::from(run.aftermath.lost)).max(1.0);
    let part = |of: fn(&super::Tally) -> u32| mean(&|run| f64::from(of(&run.aftermath.dials))) / lost;
    let (refused, unheard, shed) = (part(|dials| dials.refused), part(|dials| dials.unheard), part(|dials| dials.shed));
    let last = |list: &[u64]| list.last().copied().unwrap_or(0) as f64 / 1e6;
    let tick = mean(&|run| (last(&run.aftermath.back_us) - last(&run.aftermath.opened_us)).max(0.0));
    let connect = mean(&|run| run.connect_p99_s.unwrap_or(0.0));
    let twice = 2.0 * fleet.jitter.as_secs_f64();
    let mut found = Vec::new();
    let mut say = |weight: f64, text: String| found.push((weight, text));
    if refused > WEIGHTY {
        say(
            // One of them is enough to be the last that is back.
            twice * (refused * lost).min(1.0),
            format!(
                "until the loss was detected, {refused:.2} dials a client went to the lost instance and were refused; each comes again in a window twice as wide"
            ),
        );
    }
    if unheard > WEIGHTY {
        let text = format!(
            "{unheard:.2} dials a client went to the lost instance, unheard: each costs 10 s and a window twice as wide"
        );
        say(unheard * 10.0, text);
    }
    if shed > WEIGHTY {
        let text =
            format!("admission turned {shed:.2} dials a client away; each comes again in a window twice as wide");
        say(twice * (shed * lost).min(1.0), text);
    }
    if connect > WEIGHTY * extra_s.abs().max(fleet.jitter.as_secs_f64()) {
        let text = format!("dials do not come evenly: they queued, {connect:.3} s from dial to session at p99");
        say(connect, text);
    }
    if tick > WEIGHTY * extra_s.abs().max(fleet.jitter.as_secs_f64()) {
        say(tick, format!("a client is back with its first message, {tick:.3} s after the last session on average"));
    }
    if extra_s < 0.0 {
        let text = "the sum takes the whole window, and what a client costs from dial to first message at its full price; the last of few clients comes before the end of the window";
        say(extra_s.abs(), text.to_owned());
    }
    found.sort_by(|one, next| next.0.total_cmp(&one.0));
    found.into_iter().map(|(_, text)| text).collect()
}
