//! What the bench looks up once for all checkers: dense numbers for names, and when each tick was first sent.

use rustc_hash::FxHashMap;
use wire::event::Event;
use wire::id::{ClientId, Symbol};

use super::At;

/// The dense number of what an event does not name.
pub const NONE: u32 = u32::MAX;

/// Ticks of one symbol whose sending is remembered.
const TICKS_MAX: usize = 4_096;
const TICKS_MIN: usize = 64;
const EMPTY: u64 = u64::MAX;

/// What the sources' ledgers say about a tick up to the event in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Origin {
    /// The event is about no tick.
    #[default]
    Unasked,
    /// No source has sent it.
    Never,
    /// It is too old to say.
    Forgotten,
    /// A source sent it.
    Sent {
        /// First at this instant, in microseconds since the run began.
        us: u64,
        /// In the event of this number.
        event: u64,
    },
}

/// Clients below this have a place of their own, in a row that a round of deliveries walks along; others are looked up.
const PLACES_MAX: usize = 1 << 20;

/// Numbers and first sends. Memory: a few words for each client and (client, symbol), and 24 bytes for each of the last 4,096 ticks of a symbol.
#[derive(Default)]
pub(super) struct Ledger {
    symbols: FxHashMap<Symbol, u32>,
    symbol_last: Option<(Symbol, u32)>,
    places: Vec<Place>,
    further: FxHashMap<ClientId, u32>,
    clients: u32,
    pairs: FxHashMap<u64, u32>,
    sends: Vec<Sends>,
}

/// A client's number, and the pair that it was last met in.
#[derive(Clone, Copy)]
struct Place {
    client: u32,
    symbol: u32,
    pair: u32,
}

impl Place {
    const EMPTY: Self = Self { client: NONE, symbol: NONE, pair: NONE };
}

impl Ledger {
    /// Places an event.
    pub(super) fn locate(&mut self, us: u64, event_number: u64, event: &Event) -> At {
        let mut at = At { us, event: event_number, symbol: NONE, client: NONE, pair: NONE, origin: Origin::Unasked };
        match event {
            Event::SourceSend { symbol, n, .. } => {
                at.symbol = self.symbol(*symbol);
                at.origin = self.sends[at.symbol as usize].send(*n, us, event_number);
            }
            Event::ClientDeliver { client, symbol, n, .. } => {
                (at.client, at.symbol, at.pair) = self.pair(*client, *symbol);
                at.origin = self.sends[at.symbol as usize].origin(*n);
            }
            Event::ClientSubscribe { client, symbol, .. }
            | Event::ClientUnsubscribe { client, symbol, .. }
            | Event::ClientAnswer { client, symbol, .. }
            | Event::ClientGap { client, symbol, .. }
            | Event::ClientResume { client, symbol, .. }
            | Event::ClientResumed { client, symbol, .. } => {
                (at.client, at.symbol, at.pair) = self.pair(*client, *symbol);
            }
            Event::SourceSubscribe { symbol, .. }
            | Event::SourceDeny { symbol, .. }
            | Event::SourceUnsubscribe { symbol, .. }
            | Event::ProxyDrop { symbol, .. } => at.symbol = self.symbol(*symbol),
            Event::ClientDial { client, .. }
            | Event::ClientOpen { client, .. }
            | Event::ClientRefused { client, .. }
            | Event::ClientSend { client, .. }
            | Event::ClientEcho { client, .. }
            | Event::ClientAsk { client, .. }
            | Event::ClientPing { client, .. }
            | Event::ClientPong { client, .. }
            | Event::ClientOffend { client, .. }
            | Event::ClientGarbled { client, .. }
            | Event::ClientClose { client, .. } => at.client = self.client(*client),
            _ => {}
        }
        at
    }

    fn symbol(&mut self, symbol: Symbol) -> u32 {
        // One tick goes to many clients in a row.
        if let Some((last, number)) = self.symbol_last
            && last == symbol
        {
            return number;
        }
        let next = number(self.symbols.len());
        let number = *self.symbols.entry(symbol).or_insert(next);
        if number == next {
            self.sends.push(Sends::default());
        }
        self.symbol_last = Some((symbol, number));
        number
    }

    fn client(&mut self, client: ClientId) -> u32 {
        let next = self.clients;
        let index = client.index();
        let number = if index < PLACES_MAX {
            if self.places.len() <= index {
                self.places.resize(index + 1, Place::EMPTY);
            }
            let number = &mut self.places[index].client;
            if *number == NONE {
                *number = next;
            }
            *number
        } else {
            *self.further.entry(client).or_insert(next)
        };
        self.clients += u32::from(number == next);
        number
    }

    fn pair(&mut self, client: ClientId, symbol: Symbol) -> (u32, u32, u32) {
        let index = client.index();
        let client = self.client(client);
        let symbol = self.symbol(symbol);
        if let Some(place) = self.places.get(index).filter(|place| place.symbol == symbol) {
            return (client, symbol, place.pair);
        }
        let next = number(self.pairs.len());
        let pair = *self.pairs.entry(u64::from(client) << 32 | u64::from(symbol)).or_insert(next);
        if let Some(place) = self.places.get_mut(index) {
            (place.symbol, place.pair) = (symbol, pair);
        }
        (client, symbol, pair)
    }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(NONE - 1)
}

/// First sends of one symbol: a ring that doubles until it holds [`TICKS_MAX`].
#[derive(Default)]
struct Sends {
    slots: Vec<(u64, u64, u64)>,
    newest: u64,
}

impl Sends {
    fn origin(&self, n: u64) -> Origin {
        match self.slots.get(self.slot(n)) {
            Some(&(held, us, event)) if held == n => Origin::Sent { us, event },
            _ if self.slots.is_empty() || n.saturating_add(TICKS_MAX as u64) > self.newest => Origin::Never,
            _ => Origin::Forgotten,
        }
    }

    /// Notes that `n` was sent, and says what was known of it before.
    fn send(&mut self, n: u64, us: u64, event: u64) -> Origin {
        let before = self.origin(n);
        if before != Origin::Never {
            return before;
        }
        if self.slots.is_empty() {
            self.slots = vec![(EMPTY, 0, 0); TICKS_MIN];
        }
        self.newest = self.newest.max(n);
        loop {
            let slot = self.slot(n);
            if self.slots[slot].0 == EMPTY || self.slots.len() == TICKS_MAX {
                self.slots[slot] = (n, us, event);
                return before;
            }
            self.grow();
        }
    }

    fn slot(&self, n: u64) -> usize {
        n as usize & self.slots.len().wrapping_sub(1)
    }

    fn grow(&mut self) {
        let wider = vec![(EMPTY, 0, 0); self.slots.len() * 2];
        for held in std::mem::replace(&mut self.slots, wider) {
            if held.0 != EMPTY {
                let slot = self.slot(held.0);
                self.slots[slot] = held;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_pairs_are_numbered_as_they_come_and_keep_their_numbers() {
        let mut ledger = Ledger::default();
        let symbol = |name| Symbol::new(name).unwrap();
        let (a, b) = (symbol("A"), symbol("B"));
        let far = ClientId(u32::MAX);
        let met = [(7, a), (7, b), (u32::MAX, a), (3, b), (7, a), (7, b), (u32::MAX, b), (3, b), (u32::MAX, a)];
        let given = met.map(|(client, symbol)| ledger.pair(ClientId(client), symbol));
        let expect =
            [(0, 0, 0), (0, 1, 1), (1, 0, 2), (2, 1, 3), (0, 0, 0), (0, 1, 1), (1, 1, 4), (2, 1, 3), (1, 0, 2)];
        assert_eq!(given, expect);
        assert_eq!((ledger.client(far), ledger.client(ClientId(4))), (1, 3));
    }

    #[test]
    fn the_first_send_of_a_tick_is_remembered_for_4096_ticks() {
        let mut sends = Sends::default();
        assert_eq!(sends.origin(5), Origin::Never);
        for n in 1_000..10_000 {
            assert_eq!(sends.send(n, n, n), Origin::Never);
            assert_eq!(sends.send(n, n + 1, n), Origin::Sent { us: n, event: n });
        }
        assert_eq!(sends.origin(10_000), Origin::Never);
        assert_eq!(sends.origin(9_999 - 4_095), Origin::Sent { us: 5_904, event: 5_904 });
        assert_eq!(sends.origin(9_999 - 4_096), Origin::Forgotten);
        assert!(sends.slots.len() <= TICKS_MAX);
    }
}
