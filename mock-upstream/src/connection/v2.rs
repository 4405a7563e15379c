//! What a v2 client says: its login, and its subscription change by change.

use std::sync::atomic::Ordering;

use wire::close;
use wire::event::{Event, Why};
use wire::feed::KEY_LIMIT_TEXT;
use wire::feed::v2::{Ask, Said, Wish};
use wire::id::Symbol;
use wire::net::ByteStream;
use wire::ws::Message;

use super::{Connection, End, lost};

impl<S: ByteStream> Connection<'_, S> {
    /// Takes a text; Some where that ends the connection.
    pub(super) fn hear_v2(&mut self, text: &str) -> Option<End> {
        let shared = self.shared;
        let limit = shared.symbol_limit.load(Ordering::Relaxed);
        let answer = match self.guest.hear_with(text, limit, |symbol| shared.denies(symbol)) {
            Ok(Wish::Login { key }) => return self.log_in(&key, limit),
            Ok(Wish::Answer(answer)) => Some(answer),
            Ok(Wish::Want { symbols, ack }) => {
                self.want(text, &symbols);
                for (symbol, _) in ack.iter().flat_map(|ack| &ack.denied) {
                    let (source, leg, symbol) = (shared.config.id, self.leg, *symbol);
                    shared.observer.record(|| Event::SourceDeny { source, leg, symbol });
                }
                ack.map(|ack| Said::SubAck(ack).encode())
            }
            Err(error) => {
                let told = self.write(Message::text(Said::Error { reason: error.to_string().into() }.encode()));
                return Some(
                    told.err().map_or(End::Close(close::POLICY_VIOLATION, "not a v2 request"), |it| lost(&it)),
                );
            }
        };
        answer.and_then(|answer| self.write(Message::text(answer)).err()).map(|error| lost(&error))
    }

    fn log_in(&mut self, key: &str, limit: u32) -> Option<End> {
        let config = &self.shared.config;
        let known = config.user_keys.is_empty() || config.user_keys.iter().any(|known| known == key);
        let refused = if self.shared.rejecting.load(Ordering::Relaxed) {
            Some((Why::Scripted, "rejected by script"))
        } else if !known {
            Some((Why::Admission, "unknown key"))
        } else {
            self.key = self.shared.take_key(key);
            self.key.is_none().then_some((Why::KeyLimit, KEY_LIMIT_TEXT))
        };
        let answer = match refused {
            None => {
                self.subscribed = true;
                self.guest.admit(limit)
            }
            Some((why, reason)) => {
                let (source, peer) = (config.id, self.peer);
                config.counters.add_refused(1);
                self.shared.observer.record(|| Event::SourceRefuse { source, peer, why });
                Said::LoginReject { reason: reason.into() }.encode()
            }
        };
        if let Err(error) = self.write(Message::text(answer)) {
            return Some(lost(&error));
        }
        refused.map(|_| End::Close(close::POLICY_VIOLATION, "login rejected"))
    }

    /// Sends exactly these from now on, as asked in `text`.
    fn want(&mut self, text: &str, symbols: &[Symbol]) {
        let places = symbols.iter().filter_map(|symbol| self.shared.place(*symbol)).collect();
        let before = std::mem::replace(&mut self.wanted, places);
        if let Ok(Ask::Subscribe { symbols: asked, .. }) = Ask::decode(text) {
            // Also what it has already: the ledger tells of every time.
            asked.into_iter().filter(|symbol| symbols.contains(symbol)).for_each(|symbol| self.asked_for(symbol));
        }
        self.given_back(&before);
    }
}
