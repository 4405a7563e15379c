//! Wrong answers to subscriptions.

use std::sync::Arc;

use proxy::{Acknowledge, Answer, Config, Members, Policies, Slot, Table};
use wire::id::Symbol;

struct AtOnce;

impl Acknowledge for AtOnce {
    fn at_once(&self, said: Option<&Answer>) -> Option<Answer> {
        Some(said.cloned().unwrap_or(Answer::Accepted))
    }
}

pub(super) fn accepts_at_once(policies: &mut Policies, config: Config) -> Config {
    policies.acknowledge = Arc::new(|_| Box::new(AtOnce));
    config
}

struct Everybody;

impl Acknowledge for Everybody {
    fn hearers<'t>(&self, table: &'t Table, _symbol: Symbol) -> Option<&'t Members<Slot>> {
        Some(table.everyone())
    }

    fn hears(&self, _awaits: bool, _changed: bool) -> bool {
        true
    }
}

pub(super) fn tells_everybody(policies: &mut Policies, config: Config) -> Config {
    policies.acknowledge = Arc::new(|_| Box::new(Everybody));
    config
}

struct OnceOnly;

impl Acknowledge for OnceOnly {
    fn hears(&self, awaits: bool, _changed: bool) -> bool {
        awaits
    }
}

pub(super) fn keeps_changes(policies: &mut Policies, config: Config) -> Config {
    policies.acknowledge = Arc::new(|_| Box::new(OnceOnly));
    config
}

struct OneSource;

impl Acknowledge for OneSource {
    fn holds<'w>(&self, words: &[Option<&'w Answer>]) -> Option<&'w Answer> {
        words.iter().flatten().next().copied()
    }
}

pub(super) fn believes_one_source(policies: &mut Policies, config: Config) -> Config {
    policies.acknowledge = Arc::new(|_| Box::new(OneSource));
    config
}
