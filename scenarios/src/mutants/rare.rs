//! Bugs that take several things at once, in the right order: no scenario of the catalogue shows them, and one world in a hundred or two does.
//!
//! They prove `windtunnel explore` as the others prove the checkers ([docs/explore.md](../../../docs/explore.md)).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proxy::{Config, Policies, Pushed};
use tokio::time::Instant;
use wire::feed::Kind;
use wire::id::Symbol;

use super::Mutant;
use super::queues::{self, Coming, Tamper};

pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "loses-a-tick-between-resume-and-failover",
        about: "Where the leg changes within half a second of a replay, the client of that replay does not get the new leg's first tick of the symbol, and is not told.",
        scenario: "resume-elsewhere",
        must: &["no-silent-gap"],
        may: &["convergence", "resume-all-or-nothing", "snapshot-then-live"],
        order: 0,
        plant: loses_a_tick_between_resume_and_failover,
    },
    Mutant {
        name: "tires-of-failovers",
        about: "A session that has lived through two changes of the leg loses the first tick after the third, and is not told.",
        scenario: "flapping-source",
        must: &["no-silent-gap"],
        may: &["convergence", "snapshot-then-live"],
        order: 0,
        plant: tires_of_failovers,
    },
    Mutant {
        name: "forgets-itself-after-a-reload",
        about: "Whoever comes after a reload that changed the size of queues gets every tenth of its messages twice.",
        scenario: "reload-in-mid-burst",
        must: &["no-duplicates"],
        may: &["symbol-order", "no-silent-gap", "snapshot-then-live", "resume-all-or-nothing"],
        order: 0,
        plant: forgets_itself_after_a_reload,
    },
];

/// The last replay of each symbol: when, and of which epoch.
#[derive(Default)]
struct Races(BTreeMap<Symbol, (Instant, u64)>);

impl Tamper for Races {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        const CLOSE: Duration = Duration::from_millis(500);
        let delivery = coming.delivery();
        if delivery.kind == Kind::Replay {
            self.0.insert(delivery.symbol, (Instant::now(), delivery.epoch));
        } else if let Some((at, epoch)) = self.0.remove(&delivery.symbol) {
            if epoch == delivery.epoch {
                self.0.insert(delivery.symbol, (at, epoch));
            } else if at.elapsed() < CLOSE {
                return Pushed::Queued;
            }
        }
        coming.pass()
    }
}

fn loses_a_tick_between_resume_and_failover(policies: &mut Policies, config: Config) -> Config {
    queues::plant(policies, config, Races::default)
}

/// The epoch of each symbol, and how often it has changed.
#[derive(Default)]
struct Tires(BTreeMap<Symbol, (u64, u32)>);

impl Tamper for Tires {
    fn push(&mut self, coming: Coming<'_>) -> Pushed {
        const PATIENCE: u32 = 3;
        let delivery = coming.delivery();
        let (epoch, changes) = self.0.entry(delivery.symbol).or_insert((delivery.epoch, 0));
        if *epoch != delivery.epoch {
            (*epoch, *changes) = (delivery.epoch, *changes + 1);
            if *changes == PATIENCE {
                return Pushed::Queued;
            }
        }
        coming.pass()
    }
}

fn tires_of_failovers(policies: &mut Policies, config: Config) -> Config {
    queues::plant(policies, config, Tires::default)
}

/// Of a client that came under another configuration than the first.
struct Stutters(bool, u64);

impl Tamper for Stutters {
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        self.1 += 1;
        if self.0 && self.1.is_multiple_of(10) {
            let once = coming.delivery();
            coming.push(once);
        }
        coming.pass()
    }
}

fn forgets_itself_after_a_reload(policies: &mut Policies, config: Config) -> Config {
    let right = Arc::clone(&policies.queue);
    let before = config.limits.queue_bytes_max;
    policies.queue = Arc::new(move |config| {
        let changed = config.limits.queue_bytes_max != before;
        queues::wrong(right(config), Stutters(changed, 0))
    });
    config
}
