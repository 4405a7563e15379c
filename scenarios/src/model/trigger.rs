//! When a fault begins, told by what happens instead of by a time.

use std::fmt;

use serde::{Deserialize, Serialize};
use wire::event::Event;
use wire::feed::Kind;
use wire::id::{ClientId, ProxyId, SourceId, Symbol};

use crate::span::Span;

/// What an event may say of itself, and a file may ask for: a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `symbol`.
    Symbol,
    /// `source`.
    Source,
    /// `proxy`.
    Proxy,
    /// `client` and `group`.
    Client,
    /// `kind`.
    Kind,
}

macro_rules! moments {
    ($($(#[$doc:meta])* $name:ident { $($(#[$more_doc:meta])* $more:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $name {
            /// What happens.
            pub event: EventName,
            /// How many times. Default 1.
            #[serde(default = "once")]
            pub count: u32,
            /// Of this symbol, `S0003`; none: of any.
            #[serde(default)]
            pub symbol: Option<String>,
            /// At this source, `source-1`; none: at any.
            #[serde(default)]
            pub source: Option<String>,
            /// At this proxy, `proxy-0`; none: at any.
            #[serde(default)]
            pub proxy: Option<String>,
            /// At the client with this number; none: at any.
            #[serde(default)]
            pub client: Option<u32>,
            /// At a client of this group; none: of any.
            #[serde(default)]
            pub group: Option<String>,
            /// Stamped with this kind; none: with any, or not stamped.
            #[serde(default)]
            pub kind: Option<Stamped>,
            $($(#[$more_doc])* #[serde(default)] pub $more: $kind,)*
        }

        impl $name {
            /// This event so many times, wherever it happens.
            #[must_use]
            pub fn new(event: EventName, count: u32) -> Self {
                Self {
                    event,
                    count,
                    symbol: None,
                    source: None,
                    proxy: None,
                    client: None,
                    group: None,
                    kind: None,
                    $($more: Default::default(),)*
                }
            }

            /// What is waited for.
            #[must_use]
            pub fn asked(&self) -> Asked<'_> {
                Asked {
                    event: self.event,
                    count: self.count,
                    symbol: self.symbol.as_deref(),
                    source: self.source.as_deref(),
                    proxy: self.proxy.as_deref(),
                    client: self.client,
                    group: self.group.as_deref(),
                    kind: self.kind,
                }
            }
        }
    )*};
}

moments! {
    /// A fault begins after an event.
    After {
        /// And so much later. Default 0: at that very instant.
        delay: Span,
        /// Events count from this one on; none: from the beginning of the steady phase.
        since: Option<Since>,
    }
    /// An event from which others count.
    Since {}
}

fn once() -> u32 {
    1
}

/// In words, to continue "after the".
impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.asked())?;
        if let Some(since) = &self.since {
            write!(f, " since the {}", since.asked())?;
        }
        if self.delay != Span::default() { write!(f, " and {}", self.delay) } else { Ok(()) }
    }
}

/// So many events of one kind, as a file asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// See [`After::event`].
    pub event: EventName,
    /// See [`After::count`].
    pub count: u32,
    /// See [`After::symbol`].
    pub symbol: Option<&'a str>,
    /// See [`After::source`].
    pub source: Option<&'a str>,
    /// See [`After::proxy`].
    pub proxy: Option<&'a str>,
    /// See [`After::client`].
    pub client: Option<u32>,
    /// See [`After::group`].
    pub group: Option<&'a str>,
    /// See [`After::kind`].
    pub kind: Option<Stamped>,
}

impl Asked<'_> {
    /// The keys that were given of those that narrow the event down, with what they ask for.
    #[must_use]
    pub fn given(&self) -> Vec<(&'static str, Field)> {
        [
            ("symbol", Field::Symbol, self.symbol.is_some()),
            ("source", Field::Source, self.source.is_some()),
            ("proxy", Field::Proxy, self.proxy.is_some()),
            ("client", Field::Client, self.client.is_some()),
            ("group", Field::Client, self.group.is_some()),
            ("kind", Field::Kind, self.kind.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, field, given)| given.then_some((key, field)))
        .collect()
    }
}

/// How a message of the strong contract came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stamped {
    /// The newest value, for a subscription that begins.
    Snapshot,
    /// As it came from the source.
    Live,
    /// Again, after a resume.
    Replay,
}

impl Stamped {
    /// As it stands on the message.
    #[must_use]
    pub(crate) fn kind(self) -> Kind {
        match self {
            Stamped::Snapshot => Kind::Snapshot,
            Stamped::Live => Kind::Live,
            Stamped::Replay => Kind::Replay,
        }
    }
}

macro_rules! events {
    ($($name:ident $word:literal [$($field:ident),*];)*) => {
        /// The events after which a fault may begin: those of [`Event`] of the same names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "they stand at the events themselves")]
        pub enum EventName {
            $($name,)*
        }

        impl EventName {
            /// All of them.
            pub const ALL: &[EventName] = &[$(EventName::$name,)*];

            /// The name of an event; none for one that no fault waits for.
            #[must_use]
            pub fn of(event: &Event) -> Option<Self> {
                match event {
                    $(Event::$name { .. } => Some(EventName::$name),)*
                    _ => None,
                }
            }

            /// The word in files and records.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(EventName::$name => $word,)*
                }
            }

            /// What it says of itself.
            #[must_use]
            pub fn fields(self) -> &'static [Field] {
                match self {
                    $(EventName::$name => &[$(Field::$field),*],)*
                }
            }
        }
    };
}

events! {
    SourceOpen "source_open" [Source];
    SourceSubscribe "source_subscribe" [Source, Symbol];
    SourceDeny "source_deny" [Source, Symbol];
    SourceUnsubscribe "source_unsubscribe" [Source, Symbol];
    SourceSend "source_send" [Source, Symbol];
    SourceClose "source_close" [Source];
    SourceRefuse "source_refuse" [Source];
    ClientDial "client_dial" [Client];
    ClientOpen "client_open" [Client];
    ClientRefused "client_refused" [Client];
    ClientSubscribe "client_subscribe" [Client, Symbol];
    ClientUnsubscribe "client_unsubscribe" [Client, Symbol];
    ClientAsk "client_ask" [Client];
    ClientPing "client_ping" [Client];
    ClientPong "client_pong" [Client];
    ClientOffend "client_offend" [Client];
    ClientAnswer "client_answer" [Client, Symbol];
    ClientDeliver "client_deliver" [Client, Symbol, Kind];
    ClientGap "client_gap" [Client, Symbol];
    ClientResume "client_resume" [Client, Symbol];
    ClientResumed "client_resumed" [Client, Symbol];
    ClientSend "client_send" [Client];
    ClientEcho "client_echo" [Client];
    ClientClose "client_close" [Client];
    ProxyTick "proxy_tick" [Proxy, Source, Symbol];
    ProxyAdmit "proxy_admit" [Proxy];
    ProxyShed "proxy_shed" [Proxy];
    ProxyClientClose "proxy_client_close" [Proxy];
    ProxyDrop "proxy_drop" [Proxy, Symbol];
    ProxyDial "proxy_dial" [Proxy, Source];
    ProxyLegUp "proxy_leg_up" [Proxy, Source];
    ProxyLegDown "proxy_leg_down" [Proxy, Source];
    ProxyHealth "proxy_health" [Proxy, Source];
    ProxyDrainStart "proxy_drain_start" [Proxy];
    ProxyDrainStop "proxy_drain_stop" [Proxy];
    ProxyReload "proxy_reload" [Proxy];
    FaultStart "fault_start" [];
    FaultStop "fault_stop" [];
}

/// What an event says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) source: Option<SourceId>,
    pub(crate) proxy: Option<ProxyId>,
    pub(crate) client: Option<ClientId>,
    pub(crate) symbol: Option<Symbol>,
    pub(crate) kind: Option<Kind>,
}

/// Whom and what an event is about, as far as [`EventName::fields`] goes.
#[must_use]
pub(crate) fn subject(event: &Event) -> Subject {
    let none = Subject::default();
    match *event {
        Event::SourceOpen { source, .. } | Event::SourceClose { source, .. } | Event::SourceRefuse { source, .. } => {
            Subject { source: Some(source), ..none }
        }
        Event::SourceSubscribe { source, symbol, .. }
        | Event::SourceDeny { source, symbol, .. }
        | Event::SourceUnsubscribe { source, symbol, .. }
        | Event::SourceSend { source, symbol, .. } => Subject { source: Some(source), symbol: Some(symbol), ..none },
        Event::ClientDial { client, .. }
        | Event::ClientOpen { client, .. }
        | Event::ClientRefused { client, .. }
        | Event::ClientSend { client, .. }
        | Event::ClientEcho { client, .. }
        | Event::ClientAsk { client, .. }
        | Event::ClientPing { client, .. }
        | Event::ClientPong { client, .. }
        | Event::ClientOffend { client, .. }
        | Event::ClientClose { client, .. } => Subject { client: Some(client), ..none },
        Event::ClientSubscribe { client, symbol, .. }
        | Event::ClientUnsubscribe { client, symbol, .. }
        | Event::ClientAnswer { client, symbol, .. }
        | Event::ClientGap { client, symbol, .. }
        | Event::ClientResume { client, symbol, .. }
        | Event::ClientResumed { client, symbol, .. } => Subject { client: Some(client), symbol: Some(symbol), ..none },
        Event::ClientDeliver { client, symbol, stamp, .. } => {
            Subject { client: Some(client), symbol: Some(symbol), kind: stamp.map(|stamp| stamp.kind), ..none }
        }
        Event::ProxyAdmit { proxy, .. }
        | Event::ProxyShed { proxy, .. }
        | Event::ProxyClientClose { proxy, .. }
        | Event::ProxyDrainStart { proxy }
        | Event::ProxyDrainStop { proxy, .. }
        | Event::ProxyReload { proxy, .. } => Subject { proxy: Some(proxy), ..none },
        Event::ProxyDrop { proxy, symbol, .. } => Subject { proxy: Some(proxy), symbol: Some(symbol), ..none },
        Event::ProxyDial { proxy, source }
        | Event::ProxyLegUp { proxy, source, .. }
        | Event::ProxyLegDown { proxy, source, .. }
        | Event::ProxyHealth { proxy, source, .. } => Subject { proxy: Some(proxy), source: Some(source), ..none },
        Event::ProxyTick { proxy, source, symbol } => {
            Subject { proxy: Some(proxy), source: Some(source), symbol: Some(symbol), ..none }
        }
        _ => none,
    }
}

/// In words, to continue "after the".
impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Nth(self.count), self.words())
    }
}

impl Asked<'_> {
    fn words(&self) -> String {
        let of = self.symbol.map_or_else(String::new, |symbol| format!(" of {symbol}"));
        let source = self.source.unwrap_or("a source");
        let proxy = self.proxy.unwrap_or("the proxy");
        let client = match (self.client, self.group) {
            (Some(client), _) => format!("client {client}"),
            (None, Some(group)) => format!("a client of {group}"),
            (None, None) => "a client".to_owned(),
        };
        match self.event {
            EventName::SourceOpen => format!("connection opened at {source}"),
            EventName::SourceSubscribe => format!("subscription{of} accepted by {source}"),
            EventName::SourceDeny => format!("subscription{of} denied by {source}"),
            EventName::SourceUnsubscribe => format!("subscription{of} given back to {source}"),
            EventName::SourceSend => format!("tick{of} sent by {source}"),
            EventName::SourceClose => format!("connection ended at {source}"),
            EventName::SourceRefuse => format!("connection turned away by {source}"),
            EventName::ClientDial => format!("dial by {client}"),
            EventName::ClientOpen => format!("session opened by {client}"),
            EventName::ClientRefused => format!("refusal of {client}"),
            EventName::ClientSubscribe => format!("subscription{of} asked for by {client}"),
            EventName::ClientUnsubscribe => format!("subscription{of} given up by {client}"),
            EventName::ClientAsk => format!("request said again by {client}"),
            EventName::ClientPing => format!("ping of {client}"),
            EventName::ClientPong => format!("pong at {client}"),
            EventName::ClientOffend => format!("offence of {client}"),
            EventName::ClientAnswer => format!("answer to a subscription{of} at {client}"),
            EventName::ClientDeliver => {
                let what = match self.kind {
                    None => "message",
                    Some(Stamped::Snapshot) => "snapshot",
                    Some(Stamped::Live) => "live message",
                    Some(Stamped::Replay) => "replayed message",
                };
                format!("{what}{of} at {client}")
            }
            EventName::ClientGap => format!("gap{of} told to {client}"),
            EventName::ClientResume => format!("resume{of} asked for by {client}"),
            EventName::ClientResumed => format!("resume{of} answered to {client}"),
            EventName::ClientSend => format!("request of {client}"),
            EventName::ClientEcho => format!("echo at {client}"),
            EventName::ClientClose => format!("session ended at {client}"),
            EventName::ProxyTick if self.source.is_none() => format!("tick{of} at {proxy}"),
            EventName::ProxyTick => format!("tick{of} from {source} at {proxy}"),
            EventName::ProxyAdmit => format!("client admitted by {proxy}"),
            EventName::ProxyShed => format!("client turned away by {proxy}"),
            EventName::ProxyClientClose => format!("client closed by {proxy}"),
            EventName::ProxyDrop => format!("message{of} dropped by {proxy}"),
            EventName::ProxyDial => format!("dial of {source} by {proxy}"),
            EventName::ProxyLegUp => format!("leg to {source} up at {proxy}"),
            EventName::ProxyLegDown => format!("leg to {source} down at {proxy}"),
            EventName::ProxyHealth => format!("change of {proxy}'s opinion of {source}"),
            EventName::ProxyDrainStart => format!("drain begun by {proxy}"),
            EventName::ProxyDrainStop => format!("drain ended by {proxy}"),
            EventName::ProxyReload => format!("reload of {proxy}"),
            EventName::FaultStart => "fault begun".to_owned(),
            EventName::FaultStop => "fault ended".to_owned(),
        }
    }
}

/// A place in a row: 1st, 2nd, 3rd, 4th.
struct Nth(u32);

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match (self.0 % 10, self.0 % 100) {
            (1, tens) if tens != 11 => "st",
            (2, tens) if tens != 12 => "nd",
            (3, tens) if tens != 13 => "rd",
            _ => "th",
        };
        write!(f, "{}{ending}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let after: After = toml::from_str(text).expect("a trigger");
        after.to_string()
    }

    #[test]
    fn a_trigger_reads_as_a_sentence_goes_on() {
        for (text, expect) in [
            ("event = \"proxy_tick\"\ncount = 3\nsymbol = \"S0001\"", "3rd tick of S0001 at the proxy"),
            ("event = \"proxy_tick\"\nsource = \"source-1\"\nproxy = \"proxy-2\"", "1st tick from source-1 at proxy-2"),
            ("event = \"client_deliver\"\nkind = \"snapshot\"\nclient = 7", "1st snapshot at client 7"),
            ("event = \"client_deliver\"\ngroup = \"late\"\ncount = 12", "12th message at a client of late"),
            ("event = \"proxy_leg_up\"\ncount = 22", "22nd leg to a source up at the proxy"),
            ("event = \"fault_stop\"\ncount = 111", "111th fault ended"),
        ] {
            assert_eq!(words(text), expect);
        }
    }

    #[test]
    fn a_word_in_a_file_is_the_word_in_a_record() {
        for name in EventName::ALL {
            let text = format!("event = \"{}\"", name.word());
            assert_eq!(toml::from_str::<Since>(&text).map(|since| since.event), Ok(*name));
        }
        let event = Event::ProxyTick { proxy: ProxyId(1), source: SourceId(2), symbol: Symbol::numbered(3) };
        let written = serde_json::to_value(&event).expect("an event is JSON");
        assert_eq!(written["event"], EventName::of(&event).expect("it has a name").word());
    }

    #[test]
    fn an_event_says_what_its_fields_promise() {
        let symbol = Symbol::numbered(0);
        let stamp = wire::event::Stamp { epoch: 1, seq: 1, kind: Kind::Live };
        let events = [
            Event::ProxyTick { proxy: ProxyId(0), source: SourceId(0), symbol },
            Event::ClientDeliver {
                client: ClientId(0),
                session: wire::id::SessionId::default(),
                symbol,
                n: 0,
                stamp: Some(stamp),
                intact: true,
            },
            Event::SourceSend { source: SourceId(0), leg: wire::id::LegId(0), symbol, n: 0 },
            Event::ProxyDial { proxy: ProxyId(0), source: SourceId(0) },
            Event::FaultStop { fault: 0 },
        ];
        for event in events {
            let Subject { source, proxy, client, symbol, kind } = subject(&event);
            let said = [
                (Field::Source, source.is_some()),
                (Field::Proxy, proxy.is_some()),
                (Field::Client, client.is_some()),
                (Field::Symbol, symbol.is_some()),
                (Field::Kind, kind.is_some()),
            ];
            let promised = EventName::of(&event).expect("it has a name").fields();
            for (field, is_said) in said {
                assert_eq!(promised.contains(&field), is_said, "{event:?}: {field:?}");
            }
        }
    }
}
