//! Wrong ways to leave and to change.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proxy::{Caps, Config, Limits, Policies, Pushed};

use super::queues::{Coming, Tamper, plant};

pub(super) fn drains_all_at_once(_: &mut Policies, mut config: Config) -> Config {
    config.drain_time = Duration::ZERO;
    config
}

pub(super) fn keeps_its_doors_open(_: &mut Policies, mut config: Config) -> Config {
    config.drain_tell += config.drain_grace;
    config.drain_grace = Duration::ZERO;
    config
}

pub(super) fn says_another_code(_: &mut Policies, mut config: Config) -> Config {
    config.drain_code = wire::close::GOING_AWAY;
    config
}

pub(super) fn cuts_instead_of_closing(_: &mut Policies, mut config: Config) -> Config {
    config.drain_time = Duration::ZERO;
    config.drain_grace += Duration::from_millis(1);
    config.drain_deadline = config.drain_tell + config.drain_grace;
    config
}

pub(super) fn keeps_the_old_limit(policies: &mut Policies, config: Config) -> Config {
    let first: OnceLock<Limits> = OnceLock::new();
    policies.admission = Arc::new(move |config| Box::new(Caps::new(first.get_or_init(|| config.limits.clone()))));
    config
}

/// A queue of a client that came under some configuration.
struct OfItsTime {
    now: Arc<AtomicUsize>,
    then: usize,
}

impl Tamper for OfItsTime {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        if self.now.load(Ordering::Relaxed) != self.then {
            return Pushed::Overflow;
        }
        coming.pass()
    }
}

pub(super) fn closes_clients_at_reload(policies: &mut Policies, config: Config) -> Config {
    // Admission is made anew with each configuration: so they are counted.
    let now = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&now);
    policies.admission = Arc::new(move |config| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::new(Caps::new(&config.limits))
    });
    plant(policies, config, move || OfItsTime { then: now.load(Ordering::Relaxed), now: Arc::clone(&now) })
}
