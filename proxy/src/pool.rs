//! The instances of the source: who is usable, who holds how many connections, when to try again.
//!
//! ```text
//!            dial fails, leg breaks              the delay is over: one at a time
//!    open ----------------------------> resting --------------------------------> half open
//!      ^                                 ^                                         |   |
//!      |                                 `----------------- fails -----------------'   |
//!      `--------------------------------------------- succeeds ------------------------'
//!
//!            `fall` failures in turn, or an outlier among its siblings
//!   healthy ----------------------------------------------------------> unhealthy: half open at best
//!      ^                                                                    |
//!      `------------------------- `rise` successes in turn -----------------'
//! ```
//!
//! The first is what was seen last, and holds always. The second is the opinion, slow to change; where it leaves too few instances (the panic rule), it is not
//! listened to.
//!
//! Whoever finds no place waits in a [`Line`]: first come, first served.
//!
//! Pure: told the time and the news. Fan-out asks it for its one leg, relay for each client's.

mod instance;
mod line;
mod outlier;
mod rules;
mod slow_start;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use wire::draw::Draws;
use wire::id::SourceId;

use self::instance::{Instance, Usable};
use self::line::Line;
use self::outlier::Counts;
use self::rules::Rules;
use crate::backoff::{FullJitter, Redial};
use crate::balance::{Balance, Candidate};
use crate::bucket::Bucket;
use crate::config::{Config, Upstream};
use crate::policy::Policies;
use crate::shares::Shares;

/// What to do about a connection that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Dial this instance. Its place is taken until [`Pool::closed`].
    Dial(SourceId),
    /// No instance can be used: ask again then.
    Wait(Instant),
}

/// What to do about a connection that somebody in the line wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Dial this instance. Its place is taken until [`Pool::closed`].
    Dial(SourceId),
    /// Ask again then, or when woken, whichever comes first.
    Wait(Instant),
    /// As many wait as may.
    LineFull,
    /// It has waited for as long as it may.
    TooLong,
}

/// Somebody who wants a connection, from [`Pool::arrive`] to [`Pool::leave`].
#[derive(Debug)]
pub(crate) struct Turn {
    number: u64,
    /// Notified when it is worth asking again.
    pub(crate) wake: Arc<Notify>,
    waits_since: Option<Instant>,
}

/// How a connection or a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nobody is to blame.
    Orderly,
    /// The instance is to blame.
    Fault,
    /// The instance works, and refuses the proxy: its key has too many connections.
    Refused,
}

/// The state of one instance, for the admin address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstanceState {
    pub(crate) source: SourceId,
    pub(crate) upstream: Upstream,
    /// The configuration names it no more: its connections last as long as they last, and no new ones are made.
    pub(crate) leaving: bool,
    /// An operator wants no new connections to it.
    pub(crate) held: bool,
    pub(crate) open: u32,
    pub(crate) dialing: u32,
    pub(crate) healthy: bool,
    /// Left out, as it did worse than its siblings.
    pub(crate) ejected: bool,
    pub(crate) failures: u32,
    pub(crate) rests_until: Option<Instant>,
}

/// A configuration names more instances than there are numbers left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than 65,536 instances have been named since the proxy started: restart it")]
pub(crate) struct NumbersSpent;

pub(crate) struct Pool {
    /// By number. One that left keeps its number, so that a number means one instance for as long as the proxy lives.
    instances: Vec<Instance>,
    line: Line<Arc<Notify>>,
    balance: Box<dyn Balance>,
    redial: Box<dyn Redial>,
    /// The delays after a refusal.
    refused: FullJitter,
    rules: Rules,
    /// Dials to all instances.
    dials: Bucket,
    choices: Draws,
    waits: Draws,
    draws: Box<dyn Fn(&'static str, u64) -> Draws + Send>,
}

/// How long to wait at most when others probe or dial already.
const WAIT: Duration = Duration::from_millis(100);

impl Pool {
    /// `draws` makes the streams of chance, by purpose and entity.
    pub(crate) fn new(
        config: &Config,
        policies: &Policies,
        draws: impl Fn(&'static str, u64) -> Draws + Send + 'static,
    ) -> Self {
        let mut pool = Self {
            instances: Vec::new(),
            line: Line::default(),
            balance: (policies.balance)(config),
            redial: (policies.redial)(config),
            refused: FullJitter::new(config.backoff.after_refusal()),
            rules: Rules::new(config),
            dials: Bucket::default(),
            choices: draws("balance", 0),
            waits: draws("pool-wait", 0),
            draws: Box::new(draws),
        };
        // A checked configuration names no more instances than there are numbers.
        let _ = pool.reconfigure(config, policies, None);
        pool
    }

    /// Goes over to another configuration, and other rules. Instances are known by their URL: those that stay keep their number, their connections and their
    /// history; new ones get a number never used before; those no longer named get no new connections, and come back under their old number if they are named
    /// again. Nobody's connection is touched. `now` is None at the beginning, where nobody starts slowly.
    ///
    /// # Errors
    /// [`NumbersSpent`]; then nothing has changed.
    pub(crate) fn reconfigure(
        &mut self,
        config: &Config,
        policies: &Policies,
        now: Option<Instant>,
    ) -> Result<(), NumbersSpent> {
        let places = places(&self.instances, &config.upstreams)?;
        self.balance = (policies.balance)(config);
        self.redial = (policies.redial)(config);
        self.refused = FullJitter::new(config.backoff.after_refusal());
        self.rules = Rules::new(config);
        let stays: BTreeSet<usize> = places.iter().copied().collect();
        for (place, upstream) in places.into_iter().zip(&config.upstreams) {
            match self.instances.get_mut(place) {
                Some(it) => {
                    if std::mem::take(&mut it.leaving) {
                        it.back_since = now;
                    }
                    it.upstream.clone_from(upstream);
                }
                None => {
                    let draws = (self.draws)("backoff", place as u64);
                    self.instances.push(Instance::new(upstream.clone(), now, draws));
                }
            }
        }
        for (place, it) in self.instances.iter_mut().enumerate() {
            it.leaving |= !stays.contains(&place);
        }
        self.wake_first();
        Ok(())
    }

    /// Picks an instance and takes a place there, before anybody in the line: for the connections that all clients share.
    pub(crate) fn pick(&mut self, now: Instant) -> Pick {
        self.pick_among(now, &|_| true)
    }

    /// As [`Pool::pick`], among the instances that are `free`.
    pub(crate) fn pick_among(&mut self, now: Instant, free: &dyn Fn(SourceId) -> bool) -> Pick {
        if let Some(at) = self.dials.ready_at(self.rules.dials_total).filter(|at| *at > now) {
            return Pick::Wait(at);
        }
        let panic = self.panics();
        let mut soonest: Option<Instant> = None;
        let mut candidates = Vec::with_capacity(self.instances.len());
        for (i, it) in self.instances.iter().enumerate().filter(|(i, _)| free(source(*i))) {
            match it.usable(now, &self.rules, panic) {
                Usable::Now => candidates.push(Candidate {
                    source: source(i),
                    open: it.open,
                    weight: it.weight(now, self.rules.slow_start),
                }),
                Usable::At(at) => soonest = Some(soonest.map_or(at, |soonest| soonest.min(at))),
                Usable::OnNews => {}
            }
        }
        match self.balance.pick(&candidates, &mut self.choices).and_then(|index| candidates.get(index)) {
            Some(Candidate { source, .. }) => {
                wire::reached!("panic rule used", if panic && !self.instances[source.index()].healthy());
                self.instances[source.index()].take(now, &self.rules);
                self.dials.take(self.rules.dials_total, now);
                Pick::Dial(*source)
            }
            // Jittered where it depends on what becomes of others, so that those who wait do not come at once.
            None => Pick::Wait(soonest.unwrap_or_else(|| now + WAIT / 2 + self.waits.jitter(WAIT))),
        }
    }

    /// Somebody comes who will want a place, and again if it is lost before it is of use.
    pub(crate) fn arrive(&mut self) -> Turn {
        Turn { number: self.line.arrive(), wake: Arc::default(), waits_since: None }
    }

    /// Picks an instance and takes a place there, if nobody waits who came before.
    pub(crate) fn pick_in_turn(&mut self, turn: &mut Turn, now: Instant) -> Offer {
        let give_up_at = turn.waits_since.map(|since| since + self.rules.pending_timeout);
        if give_up_at.is_some_and(|at| at <= now) {
            wire::reached!("place in the line given up");
            return Offer::TooLong;
        }
        let again = if self.line.is_next(turn.number) {
            match self.pick(now) {
                Pick::Dial(source) => {
                    self.leave(turn);
                    return Offer::Dial(source);
                }
                Pick::Wait(until) => Some(until),
            }
        } else {
            // It is woken when those before it are served.
            wire::reached!("waited behind others in the line");
            None
        };
        if !self.line.wait(turn.number, self.rules.pending_max, || Arc::clone(&turn.wake)) {
            wire::reached!("line before the sources full");
            return Offer::LineFull;
        }
        let since = *turn.waits_since.get_or_insert(now);
        let give_up_at = since + self.rules.pending_timeout;
        Offer::Wait(again.map_or(give_up_at, |again| again.min(give_up_at)))
    }

    /// Somebody waits no more: served, or gone.
    pub(crate) fn leave(&mut self, turn: &Turn) {
        if let Some(first) = self.line.leave(turn.number) {
            first.notify_one();
        }
    }

    /// Whether who comes now is turned away, as so many wait as may.
    pub(crate) fn is_line_full(&self) -> bool {
        self.line.len() >= self.rules.pending_max
    }

    /// How many wait for a place.
    pub(crate) fn pending(&self) -> usize {
        self.line.len()
    }

    /// Something happened that may have made a place.
    fn wake_first(&self) {
        if let Some(first) = self.line.first() {
            first.notify_one();
        }
    }

    /// The dial succeeded. True if the instance was not healthy before and is now. A dial that began before a failure cuts no rest short.
    pub(crate) fn up(&mut self, source: SourceId, now: Instant) -> bool {
        let Some(it) = self.instances.get_mut(source.index()) else { return false };
        let was = it.healthy();
        it.up(now, &self.rules);
        let back = !was && it.healthy();
        self.wake_first();
        back
    }

    /// A connection ended or a dial failed: gives the place back. `up_since` is None for a dial. True if the instance was healthy before and is not now.
    pub(crate) fn closed(&mut self, source: SourceId, now: Instant, up_since: Option<Instant>, ending: Ending) -> bool {
        let Some(it) = self.instances.get_mut(source.index()) else { return false };
        let was = it.healthy();
        it.closed(now, up_since, &self.rules);
        match ending {
            Ending::Orderly => {}
            Ending::Fault => it.failed(now, up_since.is_none(), &self.rules, self.redial.as_mut()),
            Ending::Refused => it.refused(now, &mut self.refused),
        }
        self.judge(source, now);
        let lost = was && !self.instances[source.index()].healthy();
        self.wake_first();
        lost
    }

    /// Ejects the instance if it is an outlier, unless too many are out of use as it is.
    fn judge(&mut self, source: SourceId, now: Instant) {
        let Self { instances, rules, .. } = self;
        let mut siblings = Counts::default();
        for (_, it) in named(instances).filter(|(i, _)| *i != source.index()) {
            siblings += it.lately(now, rules);
        }
        let bearable = can_do_without(instances, source, rules);
        let it = &mut instances[source.index()];
        if !it.ejected() && bearable && outlier::is_outlier(it.lately(now, rules), siblings, &rules.ejection) {
            it.eject(now, rules);
        }
    }

    /// The instance lets everyone in and says nothing, while its siblings deliver: ejects it, unless too many are out of use as it is. True if it was healthy
    /// before.
    pub(crate) fn silent(&mut self, source: SourceId, now: Instant) -> bool {
        let bearable = can_do_without(&self.instances, source, &self.rules);
        let Some(it) = self.instances.get_mut(source.index()).filter(|it| !it.ejected() && bearable) else {
            return false;
        };
        wire::reached!("silent instance ejected");
        let was = it.healthy();
        it.eject(now, &self.rules);
        was
    }

    /// Whether so few instances are healthy that their health is not listened to: to use a bad one is better than to crush the good ones.
    pub(crate) fn panics(&self) -> bool {
        let healthy = named(&self.instances).filter(|(_, it)| it.healthy()).count();
        healthy * 100 < named(&self.instances).count() * self.rules.panic_threshold_percent as usize
    }

    /// What a probe found. The new opinion of the instance, if it changed.
    pub(crate) fn probed(&mut self, source: SourceId, now: Instant, well: bool) -> Option<bool> {
        let it = self.instances.get_mut(source.index())?;
        let was = it.healthy();
        it.probed(now, well, &self.rules, self.redial.as_mut());
        let is = it.healthy();
        self.wake_first();
        (was != is).then_some(is)
    }

    /// The states of all instances that may be used or are, in the order of their numbers.
    pub(crate) fn states(&self) -> Vec<InstanceState> {
        let named = self.instances.iter().enumerate().filter(|(_, it)| !it.leaving || it.open > 0);
        named.map(|(i, it)| it.state(source(i))).collect()
    }

    /// Whether any instance is healthy, or at least bears a connection.
    pub(crate) fn any_healthy(&self) -> bool {
        self.instances.iter().any(|it| it.carries() || !it.leaving && !it.held && it.healthy())
    }

    /// How symbols are shared out among the instances that may be picked.
    pub(crate) fn shares(&self) -> Shares {
        let named = self.instances.iter().enumerate().filter(|(_, it)| !it.leaving);
        Shares::new(named.map(|(i, it)| (source(i), &it.upstream)))
    }

    /// The instances that may be picked.
    pub(crate) fn sources(&self) -> Vec<SourceId> {
        named(&self.instances).map(|(i, _)| source(i)).collect()
    }

    /// Whether an operator wants no new connections to an instance.
    pub(crate) fn hold(&mut self, source: SourceId, held: bool) {
        if let Some(it) = self.instances.get_mut(source.index()) {
            it.held = held;
        }
        self.wake_first();
    }

    /// Gives an instance another weight, until the configuration gives it one again.
    pub(crate) fn weigh(&mut self, source: SourceId, weight: u16) {
        if let Some(it) = self.instances.get_mut(source.index()) {
            it.upstream.weight = weight;
        }
    }

    /// The URL of an instance; empty if there is none of this number.
    pub(crate) fn url(&self, source: SourceId) -> &str {
        self.instances.get(source.index()).map_or("", |it| it.upstream.url.as_str())
    }
}

/// For each upstream the place of the instance that it is: the first with its URL that no upstream before it took, else the next place that is free.
fn places(instances: &[Instance], upstreams: &[Upstream]) -> Result<Vec<usize>, NumbersSpent> {
    let mut known: BTreeMap<&str, VecDeque<usize>> = BTreeMap::new();
    for (place, it) in instances.iter().enumerate() {
        known.entry(it.upstream.url.as_str()).or_default().push_back(place);
    }
    let mut free = instances.len();
    let place = |upstream: &Upstream| {
        let place = known.get_mut(upstream.url.as_str()).and_then(VecDeque::pop_front).unwrap_or_else(|| {
            free += 1;
            free - 1
        });
        if place > usize::from(u16::MAX) { Err(NumbersSpent) } else { Ok(place) }
    };
    upstreams.iter().map(place).collect()
}

/// Whether no more instances than may be would be out of use without this one.
fn can_do_without(instances: &[Instance], source: SourceId, rules: &Rules) -> bool {
    let out = 1 + named(instances).filter(|(i, it)| *i != source.index() && !it.healthy()).count();
    out * 100 <= named(instances).count() * rules.ejection.ejected_percent_max as usize
}

/// The instances that the configuration names and no operator holds back, with their places.
fn named(instances: &[Instance]) -> impl Iterator<Item = (usize, &Instance)> {
    instances.iter().enumerate().filter(|(_, it)| !it.leaving && !it.held)
}

fn source(index: usize) -> SourceId {
    SourceId(u16::try_from(index).unwrap_or(u16::MAX))
}
