//! Legs lost, and how long their clients heard nothing.

use wire::event::Why;
use wire::id::{ProxyId, SourceId};

use super::latency::Whole;
use super::{Failovers, Histogram, Incident};

/// Incidents kept in full, in the order of time.
const INCIDENTS_MAX: usize = 200;
/// Incidents watched for the silence that followed; further ones are only counted.
const WATCHED_MAX: usize = 100_000;

/// All incidents of a run.
#[derive(Default)]
pub(super) struct Incidents {
    list: Vec<Watched>,
    beyond: u64,
}

struct Watched {
    incident: Incident,
    heard_before_us: Option<u64>,
}

impl Incidents {
    /// A leg was lost. The number is for [`Incidents::heal`]; `None`: too many.
    pub(super) fn open(
        &mut self,
        at_us: u64,
        (proxy, source, why): (ProxyId, SourceId, Why),
        heard_before_us: Option<u64>,
    ) -> Option<u32> {
        if self.list.len() == WATCHED_MAX {
            self.beyond += 1;
            return None;
        }
        let incident = Incident { at_us, proxy, source, why, silence_us: None, outage_us: None };
        self.list.push(Watched { incident, heard_before_us });
        u32::try_from(self.list.len() - 1).ok()
    }

    /// A delivery came.
    pub(super) fn heal(&mut self, number: u32, at_us: u64) {
        let Some(Watched { incident, heard_before_us }) = self.list.get_mut(number as usize) else { return };
        if incident.silence_us.is_none() {
            incident.silence_us = Some(at_us.saturating_sub(incident.at_us));
            incident.outage_us = heard_before_us.map(|before| at_us.saturating_sub(before));
        }
    }

    /// What they came to, and the histograms of silences and of outages.
    pub(super) fn finish(self) -> (Failovers, Histogram, Histogram) {
        let silence: Whole = self.list.iter().filter_map(|watched| watched.incident.silence_us).collect();
        let outage: Whole = self.list.iter().filter_map(|watched| watched.incident.outage_us).collect();
        let failovers = Failovers {
            count: self.list.len() as u64 + self.beyond,
            healed: silence.latency().count,
            silence: silence.latency(),
            incidents: self.list.into_iter().take(INCIDENTS_MAX).map(|watched| watched.incident).collect(),
        };
        (failovers, silence.histogram(), outage.histogram())
    }
}
