//! Wrong rules: balance, health, stamps, routing, admission, configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proxy::{
    Admission, Admit, Balance, Candidate, Config, FullJitter, Load, Members, Mode, Policies, Redial, Route, Slot,
    Stamp, Stamps, Table,
};
use wire::draw::Draws;
use wire::id::{SourceId, Symbol};

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

pub(super) fn notices_a_fifth_later(_: &mut Policies, mut config: Config) -> Config {
    config.health.stale_after = config.health.stale_after * 6 / 5;
    config.health.ping_interval = config.health.ping_interval * 6 / 5;
    config.health.pong_timeout = config.health.pong_timeout * 6 / 5;
    config
}

pub(super) fn dials_a_fifth_slower(_: &mut Policies, mut config: Config) -> Config {
    config.limits.dials_per_second_max = config.limits.dials_per_second_max * 5 / 6;
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

pub(super) fn asks_two_sources(_: &mut Policies, mut config: Config) -> Config {
    config.sources = proxy::Sources::Hot;
    config
}

pub(super) fn drops_the_oldest(_: &mut Policies, mut config: Config) -> Config {
    config.limits.slow_client = proxy::SlowClient::DropOldest;
    config
}

pub(super) fn disconnects(_: &mut Policies, mut config: Config) -> Config {
    config.limits.slow_client = proxy::SlowClient::Disconnect;
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

/// Connections that were ever given to each.
#[derive(Default)]
struct EverGiven(BTreeMap<SourceId, u32>);

impl Balance for EverGiven {
    fn pick(&mut self, candidates: &[Candidate], _draws: &mut Draws) -> Option<usize> {
        let given = |candidate: &Candidate| self.0.get(&candidate.source).copied().unwrap_or(0);
        let index = (0..candidates.len()).min_by_key(|index| given(&candidates[*index]))?;
        *self.0.entry(candidates[index].source).or_default() += 1;
        Some(index)
    }
}

pub(super) fn counts_up_only(policies: &mut Policies, config: Config) -> Config {
    policies.balance = Arc::new(|_| Box::new(EverGiven::default()));
    config
}

pub(super) fn fills_at_once(_: &mut Policies, mut config: Config) -> Config {
    config.slow_start = Duration::ZERO;
    config
}

pub(super) fn believes_the_mute(_: &mut Policies, mut config: Config) -> Config {
    config.health.siblings_factor = 0;
    config
}

pub(super) fn never_panics(_: &mut Policies, mut config: Config) -> Config {
    config.health.panic_threshold_percent = 0;
    config
}

pub(super) fn knows_no_cap(_: &mut Policies, mut config: Config) -> Config {
    config.limits.clients_per_upstream_max = None;
    config
}

pub(super) fn lets_them_wait(_: &mut Policies, mut config: Config) -> Config {
    config.limits.pending_max = usize::MAX;
    config.limits.pending_timeout = Duration::from_secs(86_400);
    config.limits.no_source_timeout = Duration::from_secs(86_400);
    config
}

pub(super) fn moves_all_at_once(_: &mut Policies, mut config: Config) -> Config {
    config.limits.dials_per_second_max = 0;
    config
}

pub(super) fn rebalances_at_once(_: &mut Policies, mut config: Config) -> Config {
    config.moves_per_second = 0;
    config
}

pub(super) fn hardly_rebalances(_: &mut Policies, mut config: Config) -> Config {
    config.moves_per_second = 1;
    config
}

/// Always waits as long as this says, by the right delay after the first failure.
struct Waits(fn(Duration) -> Duration, FullJitter);

impl Redial for Waits {
    fn delay(&mut self, _failures: u32, draws: &mut Draws) -> Duration {
        (self.0)(self.1.delay(1, draws))
    }
}

fn waits(policies: &mut Policies, config: Config, how: fn(Duration) -> Duration) -> Config {
    policies.redial = Arc::new(move |config| Box::new(Waits(how, FullJitter::new(config.backoff))));
    config
}

pub(super) fn redials_at_once(policies: &mut Policies, config: Config) -> Config {
    waits(policies, config, |_| Duration::ZERO)
}

pub(super) fn retries_every_3s(policies: &mut Policies, config: Config) -> Config {
    waits(policies, config, |_| Duration::from_secs(3))
}

pub(super) fn sleeps_through_the_recovery(policies: &mut Policies, config: Config) -> Config {
    waits(policies, config, |_| Duration::from_secs(25))
}

pub(super) fn forgets_its_failures(policies: &mut Policies, config: Config) -> Config {
    waits(policies, config, |first| first)
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

#[derive(Default)]
struct NoFence(Stamps);

impl Stamp for NoFence {
    fn leg_up(&mut self) -> u64 {
        self.0.leg_up()
    }

    fn stamp(&mut self, leg: u64, symbol: Symbol) -> (u64, u64) {
        self.0.stamp(leg, symbol)
    }

    fn forget(&mut self, symbol: Symbol) {
        self.0.forget(symbol);
    }

    fn fences(&self) -> bool {
        false
    }
}

pub(super) fn takes_a_strangers_stamps(policies: &mut Policies, config: Config) -> Config {
    policies.stamp = Arc::new(|_| Box::new(NoFence::default()));
    config
}

pub(super) fn passes_both_copies(policies: &mut Policies, config: Config) -> Config {
    policies.merges = Arc::new(|_| false);
    config
}

/// A race: it holds as long as the first leg's task has its turn before the second's.
pub(super) fn trusts_the_first_source(policies: &mut Policies, config: Config) -> Config {
    policies.trusts = Arc::new(|source| source == SourceId(0));
    config
}

pub(super) fn turns_back_time(policies: &mut Policies, config: Config) -> Config {
    policies.trusts = Arc::new(|_| true);
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
