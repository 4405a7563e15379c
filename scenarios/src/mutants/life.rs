//! Wrong ways to leave and to change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proxy::{Caps, Config, Delivery, Limits, Policies, Pushed, Unread};
use wire::event::Why;
use wire::id::Symbol;
use wire::ws::Message;

use super::queues::{Coming, Tamper, plant};

pub(super) fn forgets_the_preamble(policies: &mut Policies, config: Config) -> Config {
    policies.preamble = Arc::new(|_| VecDeque::new());
    config
}

pub(super) fn says_the_preamble_twice(policies: &mut Policies, config: Config) -> Config {
    policies.preamble = Arc::new(|kept| kept.iter().chain(&kept).cloned().collect());
    config
}

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

/// A queue whose client is not read while something waits in it.
struct Deaf;

impl Tamper for Deaf {
    fn lets_read(&self, waiting: bool) -> bool {
        !waiting
    }
}

pub(super) fn reads_when_it_has_written(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || Deaf)
}

pub(super) fn waits_for_ever_for_pongs(_: &mut Policies, mut config: Config) -> Config {
    config.limits.client_pong_timeout = DAY;
    config
}

pub(super) fn gives_up_at_once(_: &mut Policies, mut config: Config) -> Config {
    config.limits.client_pong_timeout = Duration::from_millis(10);
    config.limits.client_ping_interval /= 4;
    config
}

/// Longer than any run.
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn one_code_for_all(policies: &mut Policies, config: Config) -> Config {
    policies.close_code = Arc::new(|why, code| if why == Why::Protocol { wire::close::PROTOCOL_ERROR } else { code });
    config
}

pub(super) fn holds_what_is_too_big(_: &mut Policies, mut config: Config) -> Config {
    config.limits.client_message_max *= 16;
    config
}

pub(super) fn takes_any_key(_: &mut Policies, mut config: Config) -> Config {
    config.client_keys.clear();
    config
}

pub(super) fn takes_any_origin(_: &mut Policies, mut config: Config) -> Config {
    config.origins.clear();
    config
}

pub(super) fn waits_for_handshakes(_: &mut Policies, mut config: Config) -> Config {
    config.limits.handshake_timeout = DAY;
    config
}

pub(super) fn counts_no_handshakes(_: &mut Policies, mut config: Config) -> Config {
    config.limits.handshakes_max = u64::MAX;
    config
}

pub(super) fn takes_any_number_of_requests(_: &mut Policies, mut config: Config) -> Config {
    config.limits.client_requests_per_second_max = 0;
    config
}

pub(super) fn closes_askers_with_another_code(policies: &mut Policies, config: Config) -> Config {
    policies.close_code = Arc::new(|why, code| if why == Why::Protocol { wire::close::TRY_AGAIN_LATER } else { code });
    config
}

/// What a client had last of each symbol.
#[derive(Default)]
struct Recalls {
    last: BTreeMap<Symbol, Arc<Delivery>>,
}

impl Tamper for Recalls {
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        /// Longer than a symbol is silent that is wanted.
        const OLD: Duration = Duration::from_millis(400);
        let delivery = coming.delivery();
        let old = self.last.iter().find(|(_, last)| delivery.received.saturating_duration_since(last.received) > OLD);
        if let Some(symbol) = old.map(|(symbol, _)| *symbol)
            && let Some(last) = self.last.remove(&symbol)
        {
            coming.push(last);
        }
        self.last.insert(delivery.symbol, delivery);
        coming.pass()
    }
}

pub(super) fn shows_what_was_given_up(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Recalls::default)
}

pub(super) fn passes_garbage_on(policies: &mut Policies, config: Config) -> Config {
    policies.unread = Arc::new(|_| Symbol::new("S0001").map_or(Unread::Skip, Unread::Pass));
    config
}

pub(super) fn reads_the_head_only(policies: &mut Policies, config: Config) -> Config {
    policies.unread = Arc::new(|message| {
        let Message::Text(text) = message else { return Unread::Skip };
        let name = text.strip_prefix(r#"{"symbol":""#).and_then(|rest| rest.split_once('"'));
        name.and_then(|(name, _)| Symbol::new(name).ok()).map_or(Unread::Skip, Unread::Pass)
    });
    config
}

pub(super) fn ends_the_leg_over_garbage(policies: &mut Policies, config: Config) -> Config {
    policies.unread = Arc::new(|_| Unread::End);
    config
}

pub(super) fn rewrites_codes(policies: &mut Policies, config: Config) -> Config {
    policies.close_code = Arc::new(|why, code| if why == Why::Closed { wire::close::NORMAL } else { code });
    config
}

pub(super) fn hides_the_end(_: &mut Policies, mut config: Config) -> Config {
    config.move_on_close.extend([wire::close::NORMAL, 4_001]);
    config
}

pub(super) fn passes_departures_on(_: &mut Policies, mut config: Config) -> Config {
    config.move_on_close.clear();
    config
}
