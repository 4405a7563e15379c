//! Bugs that take several things at once, in the right order: no scenario of the catalogue shows them, and one world in a hundred or two does.
//!
//! They prove `windtunnel explore` as the others prove the checkers ([docs/explore.md](../../../docs/explore.md)).

use std::collections::BTreeMap;
use std::sync::Arc;

use proxy::{Config, Policies, Pushed};
use wire::feed::Protocol;
use wire::id::Symbol;

use super::Mutant;
use super::queues::{self, Coming, Tamper};

pub(super) const ALL: &[Mutant] = &[
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
    Mutant {
        name: "moves-clients-that-logged-in",
        about: "A relay moves its v2 clients to an instance that knows neither their login nor their subscriptions: what it did until exploring found it.",
        scenario: "relay-balance",
        must: &["payload-intact"],
        may: &["convergence", "subscription-answers", "close-codes", "host-leaks"],
        order: 0,
        plant: moves_clients_that_logged_in,
    },
];

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

fn moves_clients_that_logged_in(_: &mut Policies, mut config: Config) -> Config {
    if config.protocol == Protocol::V2 {
        // A pattern makes it believe that the next instance is told what it must hear.
        config.preamble_messages = 1;
        config.preamble_match = "^nothing that anybody says$".parse().ok();
    }
    config
}
