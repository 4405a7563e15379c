//! Wrong handling of what is large.

use std::collections::BTreeMap;
use std::sync::Arc;

use proxy::{Config, Delivery, Policies, Pushed};
use wire::id::Symbol;
use wire::ws::Message;

use super::queues::{Coming, Tamper, plant};

/// The same message of the same stamp, with another text.
fn with_text(delivery: &Delivery, text: String) -> Arc<Delivery> {
    Arc::new(Delivery::new(delivery.symbol, (delivery.epoch, delivery.seq), Message::text(text)))
}

struct Spoils;

impl Tamper for Spoils {
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        const AT: usize = 64 << 10;
        let delivery = coming.delivery();
        let text = delivery.message.to_text().unwrap_or_default();
        let Some((head, tail)) = text.split_at_checked(AT) else { return coming.pass() };
        /// Bytes of a tick behind its filler, and some.
        const TAIL: usize = 128;
        // Messages of sources are ASCII.
        let Some(rest) = tail.get(1..).filter(|rest| rest.len() > TAIL) else { return coming.pass() };
        let other = if tail.starts_with('x') { 'y' } else { 'x' };
        coming.push(with_text(&delivery, format!("{head}{other}{rest}")))
    }
}

pub(super) fn spoils_a_byte(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, || Spoils)
}

pub(super) fn passes_on_what_is_too_big(_: &mut Policies, mut config: Config) -> Config {
    config.limits.source_message_max *= 1_024;
    config
}

/// The newest message of each symbol.
#[derive(Default)]
struct Halves {
    last: BTreeMap<Symbol, Arc<Delivery>>,
}

impl Tamper for Halves {
    fn push(&mut self, mut coming: Coming<'_>) -> Pushed {
        let delivery = coming.delivery();
        let last = self.last.insert(delivery.symbol, Arc::clone(&delivery));
        if !coming.blocked() {
            return coming.pass();
        }
        let half = |delivery: &Delivery| {
            let text = delivery.message.to_text().unwrap_or_default().to_owned();
            let (head, tail) = text.split_at(text.len() / 2);
            (head.to_owned(), tail.to_owned())
        };
        let Some((head, _)) = last.map(|last| half(&last)) else { return coming.pass() };
        let (_, tail) = half(&delivery);
        coming.push(with_text(&delivery, head + &tail))
    }
}

pub(super) fn drops_half_a_message(policies: &mut Policies, config: Config) -> Config {
    plant(policies, config, Halves::default)
}
