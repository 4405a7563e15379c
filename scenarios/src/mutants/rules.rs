//! Wrong rules: balance, health, stamps, routing, admission, configuration.

use std::sync::Arc;
use std::time::Duration;

use proxy::{
    Admission, Admit, Balance, Candidate, Config, Load, Members, Mode, Policies, Route, Slot, Stamp, Stamps, Table,
};
use wire::draw::Draws;
use wire::id::Symbol;

struct Everyone;

impl Route for Everyone {
    fn receivers<'t>(&self, table: &'t Table, _symbol: Symbol) -> Option<&'t Members<Slot>> {
        Some(table.everyone())
    }
}

pub(super) fn sends_all_to_all(policies: &mut Policies, config: Config) -> Config {
    policies.route = Arc::new(|_| Box::new(Everyone));
    config
}

pub(super) fn trusts_silence(_: &mut Policies, mut config: Config) -> Config {
    let for_ever = Duration::from_secs(86_400);
    config.health.stale_after = for_ever;
    config.health.ping_interval = for_ever;
    config.health.pong_timeout = for_ever;
    config
}

pub(super) fn gives_back_at_once(_: &mut Policies, mut config: Config) -> Config {
    config.limits.unsubscribe_linger = Duration::ZERO;
    config
}

pub(super) fn never_gives_back(_: &mut Policies, mut config: Config) -> Config {
    config.limits.unsubscribe_linger = Duration::from_secs(86_400);
    config
}

pub(super) fn one_source_at_a_time(_: &mut Policies, mut config: Config) -> Config {
    config.sources = proxy::Sources::Active;
    config
}

pub(super) fn one_leg_for_each_client(_: &mut Policies, mut config: Config) -> Config {
    config.mode = Mode::Relay;
    config
}

struct First;

impl Balance for First {
    fn pick(&mut self, candidates: &[Candidate], _draws: &mut Draws) -> Option<usize> {
        (!candidates.is_empty()).then_some(0)
    }
}

pub(super) fn always_the_first(policies: &mut Policies, config: Config) -> Config {
    policies.balance = Arc::new(|_| Box::new(First));
    config
}

#[derive(Default)]
struct OneEpoch(Stamps, u64);

impl Stamp for OneEpoch {
    fn leg_up(&mut self) -> u64 {
        self.1 = self.0.leg_up();
        1
    }

    fn stamp(&mut self, _leg: u64, symbol: Symbol) -> (u64, u64) {
        (1, self.0.stamp(self.1, symbol).1)
    }

    fn forget(&mut self, symbol: Symbol) {
        self.0.forget(symbol);
    }
}

pub(super) fn keeps_the_epoch(policies: &mut Policies, config: Config) -> Config {
    policies.stamp = Arc::new(|_| Box::new(OneEpoch::default()));
    config
}

struct Everybody;

impl Admission for Everybody {
    fn decide(&mut self, _load: Load) -> Admit {
        Admit::Yes
    }
}

pub(super) fn lets_everyone_in(policies: &mut Policies, config: Config) -> Config {
    policies.admission = Arc::new(|_| Box::new(Everybody));
    config
}
