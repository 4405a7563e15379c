//! `trace.json`: who takes part in a run, for the page that shows it on one axis of time.

use reports::perfetto::{ClientHost, Hosts};
pub use reports::perfetto::{ENTRIES_MAX, Trace};

use crate::engine::Run;
use crate::plan::{self, Plan};

/// A run of a plan as a trace, with at most `entries_max` entries for connections and clients. A run whose events were not kept shows its phases, faults,
/// violations and counters only.
#[must_use]
pub fn trace(plan: &Plan, run: &Run, entries_max: usize) -> Trace {
    let hosts = hosts(plan);
    Trace::new(&run.verdict, &run.metrics, &hosts, run.events.as_deref().unwrap_or_default(), entries_max)
}

/// Who takes part in the runs of a plan.
pub(crate) fn hosts(plan: &Plan) -> Hosts {
    let host = |plan::ClientHost { name, first, count, .. }: &plan::ClientHost| ClientHost {
        name: name.clone(),
        first: *first,
        count: *count,
    };
    Hosts {
        proxies: plan.scenario.proxy.count + plan.edges(),
        edges: plan.edges(),
        sources: plan.scenario.sources.count,
        clients: plan.client_hosts.iter().map(host).collect(),
    }
}
