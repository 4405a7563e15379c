//! What a text from the peer says: a tick, plain or stamped, an answer of a v2 source, or nothing that can be read.

use wire::event::{Event, Stamp};
use wire::feed::v2::{self, Said};
use wire::feed::{KEY_LIMIT_TEXT, Kind, Protocol, Strong};
use wire::net::Network;
use wire::tick::Tick;
use wire::ws::Error;

use super::Talk;
use crate::order::{Arrived, Stamped};

impl<N: Network> Talk<'_, N> {
    /// Takes a text.
    pub(super) fn hear_text(&mut self, text: &str) -> Result<(), Error> {
        let first = !std::mem::replace(&mut self.greeted, true);
        if self.letters.is_some() {
            self.hear_letters(text);
            return Ok(());
        }
        if self.requests.is_some() {
            if self.hear_echo(text) {
                return Ok(());
            }
            if let Some(of) = self.speaker().stranger(text) {
                self.not_understood(text.len(), Some(of));
                return Ok(());
            }
        }
        if self.strong {
            if let Ok(message) = Strong::decode(text) {
                self.hear_strong(message, text.len());
                return Ok(());
            }
        } else if let Some(tick) = Tick::decode(text) {
            self.hear_tick(tick, text, None);
            return Ok(());
        } else if self.config.protocol == Protocol::V2
            && let Ok(said) = Said::decode(text)
        {
            return self.hear_v2(said, text.len());
        }
        if text == KEY_LIMIT_TEXT {
            self.tally.counts.key_limited += 1;
        } else if !(first && self.config.protocol != Protocol::Raw && !text.starts_with('{')) {
            // A source's first text is its greeting, whatever it says.
            self.garbled(text.len());
        }
        Ok(())
    }

    /// What a v2 source says beside its ticks.
    fn hear_v2(&mut self, said: Said<'_>, bytes: usize) -> Result<(), Error> {
        match said {
            Said::LoginOk { .. } => {
                let symbols = std::mem::take(&mut self.after_login);
                self.subscribed(&symbols);
                for symbols in symbols.chunks(v2::SYMBOLS_A_MESSAGE) {
                    let subscribe = v2::Ask::Subscribe { symbols: symbols.to_vec(), invalid: Vec::new() };
                    self.write(subscribe.encode())?;
                }
            }
            Said::SubAck(ack) => {
                self.useful = true;
                self.tally.counts.denied += (ack.denied.len() + ack.invalid.len()) as u64;
                let accepted = ack.accepted.iter().map(|symbol| (*symbol, true));
                for (symbol, accepted) in accepted.chain(ack.denied.iter().map(|(symbol, _)| (*symbol, false))) {
                    let (client, session) = (self.client, self.session_id);
                    self.observer.record(|| Event::ClientAnswer { client, session, symbol, accepted });
                }
            }
            Said::LoginReject { reason } if reason == KEY_LIMIT_TEXT => self.tally.counts.key_limited += 1,
            Said::LoginReject { .. } => self.tally.counts.logins_rejected += 1,
            Said::Heartbeat => {}
            // A tick that is none of ours, a complaint, a kind that is not known.
            Said::Tick(_) | Said::Error { .. } | Said::Unknown => self.garbled(bytes),
        }
        Ok(())
    }

    /// A message of the strong contract, so many bytes long.
    fn hear_strong(&mut self, message: Strong<'_>, bytes: usize) {
        match message {
            Strong::Data { kind, symbol, epoch, seq, data } => match Tick::decode(&data) {
                Some(tick) if tick.symbol == symbol => {
                    self.hear_tick(tick, &data, Some(Stamp { epoch, seq, kind }));
                }
                _ => self.garbled(bytes),
            },
            Strong::Gap { symbol, epoch, from, to, reason } => {
                if to.is_some_and(|to| to < from) {
                    return self.garbled(bytes);
                }
                self.useful = true;
                self.tally.counts.gaps_told += 1;
                self.tally.counts.gap_messages_told += to.map_or(0, |to| (to - from).saturating_add(1));
                if let Some(row) = self.book.row(symbol) {
                    let stamped = row.stamps.gap(epoch, from, to, reason);
                    // A gap that names what was passed already is no duplicate of a message.
                    if let Stamped::Unannounced(missing) = stamped {
                        self.tally.counts.unannounced += missing;
                    }
                }
                let (client, session) = (self.client, self.session_id);
                self.observer.record(|| Event::ClientGap { client, session, symbol, epoch, from, to, reason });
            }
            Strong::Resumed { symbol, epoch, seq, recovered } => {
                self.useful = true;
                self.tally.counts.resumes_recovered += u64::from(recovered);
                let (client, session) = (self.client, self.session_id);
                self.observer.record(|| Event::ClientResumed { client, session, symbol, epoch, seq, recovered });
            }
            Strong::Denied { symbol, .. } => {
                self.useful = true;
                self.tally.counts.denied += 1;
                let (client, session) = (self.client, self.session_id);
                self.observer.record(|| Event::ClientAnswer { client, session, symbol, accepted: false });
            }
        }
    }

    fn hear_tick(&mut self, tick: Tick, payload: &str, stamp: Option<Stamp>) {
        let gap = self.of_use();
        let Tick { symbol, n } = tick;
        let intact = self.config.seed.is_none_or(|seed| Tick::verify(payload, seed));
        let counts = &mut self.tally.counts;
        counts.delivered += 1;
        counts.garbled += u64::from(!intact);
        let kind = stamp.map_or(Kind::Live, |stamp| stamp.kind);
        counts.snapshots += u64::from(kind == Kind::Snapshot);
        counts.replayed += u64::from(kind == Kind::Replay);
        // What comes from the proxy's memory is as old as it is.
        let due = if kind == Kind::Live { Tick::due(payload) } else { None };
        self.shard.tick(self.now, due.map(|due| self.net.wall_clock().since(due)), gap);
        if let Some(row) = self.book.row(symbol) {
            counts.unasked += u64::from(!row.asked && self.config.protocol != Protocol::Raw);
            let arrived = row.numbers.take(n);
            match arrived {
                Arrived::Next => {}
                // A strong session is told of its gaps: its stamps decide.
                Arrived::Ahead(missing) => counts.missing += if stamp.is_some() { 0 } else { missing },
                Arrived::Duplicate => counts.duplicates += 1,
                Arrived::Late { filled } => {
                    counts.out_of_order += 1;
                    counts.missing -= u64::from(filled && stamp.is_none());
                }
            }
            if let Some(stamp) = stamp {
                match row.stamps.data(stamp.epoch, stamp.seq) {
                    Stamped::Unannounced(missing) => counts.unannounced += missing,
                    // A stamp used again, or from an epoch that is over, is a fault of its own only where the number did not tell already.
                    Stamped::Lawful => {}
                    Stamped::Repeated | Stamped::Stale
                        if matches!(arrived, Arrived::Duplicate | Arrived::Late { .. }) => {}
                    Stamped::Repeated => counts.duplicates += 1,
                    Stamped::Stale => counts.out_of_order += 1,
                }
            }
        }
        let (client, session) = (self.client, self.session_id);
        self.observer.record(|| Event::ClientDeliver { client, session, symbol, n, stamp, intact });
    }
}
