//! What a client does beside listening.

use std::time::Duration;

use futures_util::SinkExt;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};
use wire::event::Event;
use wire::feed::v2;
use wire::feed::{Protocol, Request};
use wire::id::Symbol;
use wire::net::Network;
use wire::ws::{Error, Message};

use super::Talk;
use crate::behaviour::{Deed, Offence};

/// How long what a hostile client writes may take: the peer may have gone in the middle of it.
const OFFENCE_TIMEOUT: Duration = Duration::from_secs(1);

impl<N: Network> Talk<'_, N> {
    /// Does what is due.
    pub(super) async fn act(&mut self, symbols: &[Symbol]) -> Result<(), Error> {
        let Some(deed) = self.deeds.as_mut().and_then(|deeds| deeds.take(Instant::now())) else { return Ok(()) };
        let (client, session) = (self.client, self.session_id);
        match deed {
            Deed::Ping(n) => {
                self.unflushed = true;
                self.session.start_send_unpin(Message::Ping(n.to_be_bytes().to_vec().into()))?;
                self.observer.record(|| Event::ClientPing { client, session, n });
            }
            Deed::Ask(_) => {
                let now = if self.wanted.is_empty() { symbols.to_vec() } else { self.wanted.clone() };
                self.say_request(&now, &now, &[])?;
            }
            Deed::Resubscribe(count) => self.change(symbols, count)?,
            Deed::Offend(offence) => self.offend(offence).await,
        }
        Ok(())
    }

    /// Half of the symbols, then the other half: the middle one, if there is one, always.
    fn change(&mut self, symbols: &[Symbol], count: u64) -> Result<(), Error> {
        let half = symbols.len().div_ceil(2);
        let wanted = if count.is_multiple_of(2) { &symbols[..half] } else { &symbols[symbols.len() - half..] };
        let before = if count == 0 { symbols.to_vec() } else { std::mem::take(&mut self.wanted) };
        let gone: Vec<Symbol> = before.iter().filter(|symbol| !wanted.contains(symbol)).copied().collect();
        let new: Vec<Symbol> = wanted.iter().filter(|symbol| !before.contains(symbol)).copied().collect();
        self.wanted = wanted.to_vec();
        self.say_request(wanted, &new, &gone)?;
        let (client, session) = (self.client, self.session_id);
        for symbol in gone {
            self.observer.record(|| Event::ClientUnsubscribe { client, session, symbol });
        }
        // What it takes up again begins anew.
        new.iter().for_each(|symbol| self.book.forget(*symbol));
        self.subscribed(&new);
        Ok(())
    }

    /// Asks in the protocol of the feed: v1 and the strong contract say all that is `wanted`, v2 what changes, `new` and `gone`.
    fn say_request(&mut self, wanted: &[Symbol], new: &[Symbol], gone: &[Symbol]) -> Result<(), Error> {
        if self.config.protocol == Protocol::V2 && !self.strong {
            for part in gone.chunks(v2::SYMBOLS_A_MESSAGE) {
                self.asked();
                self.write(v2::Ask::Unsubscribe { symbols: part.to_vec() }.encode())?;
            }
            for part in new.chunks(v2::SYMBOLS_A_MESSAGE) {
                self.asked();
                self.write(v2::Ask::Subscribe { symbols: part.to_vec(), invalid: Vec::new() }.encode())?;
            }
            return Ok(());
        }
        self.asked();
        self.write(Request::new(self.config.user_key.clone(), wanted.to_vec()).encode())
    }

    fn asked(&mut self) {
        let (client, session, n) = (self.client, self.session_id, self.asks);
        self.asks += 1;
        self.observer.record(|| Event::ClientAsk { client, session, n });
    }

    /// Breaks the protocol. What becomes of it is seen when the peer closes.
    async fn offend(&mut self, offence: Offence) {
        let (client, session) = (self.client, self.session_id);
        self.observer.record(|| Event::ClientOffend { client, session });
        let bytes = offence.bytes();
        let stream = self.session.get_mut();
        let said = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        // A peer that cuts in the middle of it has seen enough: what it says is read as ever.
        let _ = timeout(OFFENCE_TIMEOUT, said).await;
    }

    /// A pong: of one of our pings, or it is garbage.
    pub(super) fn hear_pong(&mut self, payload: &[u8]) {
        let (client, session) = (self.client, self.session_id);
        match <[u8; 8]>::try_from(payload) {
            Ok(n) if self.config.behaviour.pings_every.is_some() => {
                let n = u64::from_be_bytes(n);
                self.observer.record(|| Event::ClientPong { client, session, n });
            }
            // RFC 6455 section 5.5.3 allows a pong that nobody asked for.
            _ if payload.is_empty() => {}
            _ => self.garbled(payload.len()),
        }
    }
}
