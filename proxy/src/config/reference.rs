//! Every key of the configuration: its unit, its range, from when a change of it counts, and its value in a [`Config`].
//!
//! One table for those who ask about keys rather than about values: a reload (what changed, and may it?), `GET /config`, and the reference in `docs/proxy.md`,
//! which a test writes from here. Another test holds it against the keys that the file reader knows.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::{Config, Mode, Roots, Upstream};
use crate::secret::Secret;

/// From when a changed value counts. Nobody is closed by a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// From now on, for everyone.
    AtOnce,
    /// For clients that come after the change.
    NewClients,
    /// For connections to sources that are made after the change.
    NewLegs,
    /// Not while the proxy runs: a reload that changes it is refused whole.
    Restart,
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Takes::AtOnce => "at once",
            Takes::NewClients => "new clients",
            Takes::NewLegs => "new legs",
            Takes::Restart => "restart",
        })
    }
}

/// A value as people read it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// There is none.
    None,
    Bool(bool),
    Number(u64),
    Time(Duration),
    Text(String),
    List(Vec<Value>),
    /// Compared whole, and shown without what may be a secret.
    Masked {
        whole: String,
        shown: String,
    },
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => f.write_str("none"),
            Value::Bool(value) => value.fmt(f),
            Value::Number(value) => value.fmt(f),
            Value::Time(time) => match time.as_micros() {
                0 => f.write_str("0s"),
                micros if micros % 1_000_000 == 0 => write!(f, "{}s", micros / 1_000_000),
                micros if micros % 1_000 == 0 => write!(f, "{}ms", micros / 1_000),
                micros => write!(f, "{micros}us"),
            },
            Value::Text(text) => f.write_str(text),
            Value::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Value::Masked { shown, .. } => f.write_str(shown),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::None => serializer.serialize_none(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(value) => serializer.serialize_u64(*value),
            Value::List(values) => serializer.collect_seq(values),
            Value::Time(_) | Value::Text(_) | Value::Masked { .. } => serializer.collect_str(self),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<Duration> for Value {
    fn from(value: Duration) -> Self {
        Value::Time(value)
    }
}

impl From<&[String]> for Value {
    fn from(values: &[String]) -> Self {
        Value::List(values.iter().cloned().map(Value::Text).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::None, Into::into)
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::Number(value as u64)
            }
        })*
    };
}

numbers!(u16, u32, u64, usize);

/// A word of an enumeration, as the file spells it.
fn word(value: impl Serialize) -> Value {
    serde_json::to_value(value).ok().and_then(|json| json.as_str().map(str::to_owned)).map_or(Value::None, Value::Text)
}

/// Of secrets no more is shown than whether there are any, and how many.
fn secrets(secrets: &[Secret]) -> Value {
    let shown = match secrets.iter().filter(|secret| !secret.reveal().is_empty()).count() {
        0 => "none".to_owned(),
        1 => "***".to_owned(),
        count => format!("*** ({count})"),
    };
    let whole: Vec<&str> = secrets.iter().map(Secret::reveal).collect();
    Value::Masked { whole: whole.join("\n"), shown }
}

fn path(path: Option<&Path>) -> Value {
    path.map_or(Value::None, |path| Value::Text(path.display().to_string()))
}

fn instance(upstream: &Upstream) -> Value {
    let Upstream { url, weight } = upstream;
    let shown = upstream.shown();
    Value::Masked { whole: format!("{url} {weight}"), shown: format!("{shown} (weight {weight})") }
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// As in the file, with its table: `limits.clients_max`.
    pub(crate) name: &'static str,
    /// What it counts in; empty where that goes without saying.
    pub(crate) unit: &'static str,
    /// What is allowed.
    pub(crate) range: &'static str,
    pub(crate) takes: Takes,
    /// What it is for, in a line of Markdown.
    pub(crate) about: &'static str,
    pub(crate) value: fn(&Config) -> Value,
}

/// A row: name, unit, range, from when, meaning, value.
macro_rules! keys {
    ($($name:literal, $unit:literal, $range:literal, $takes:ident, $about:literal, $value:expr;)*) => {
        &[$(Key {
            name: $name, unit: $unit, range: $range, takes: Takes::$takes, about: $about, value: $value
        }),*]
    };
}

/// All of them, in the order of the reference.
pub(crate) const KEYS: &[Key] = keys! {
    "listen", "address", "", Restart,
        "Where clients connect; port 0 picks a free one.",
        |c| Value::Text(c.listen.to_string());
    "admin", "address", "", Restart,
        "Where the admin endpoints are served; left out: nowhere.",
        |c| c.admin.map(|addr| Value::Text(addr.to_string())).into();
    "admin_token", "", "not empty", AtOnce,
        "What requests on the admin address must present as `Authorization: Bearer`, except for `/healthz` and `/readyz`; left out: nothing.",
        |c| c.admin_token.as_ref().map(|token| secrets(std::slice::from_ref(token))).into();
    "admin_token_file", "path", "one of the three", AtOnce,
        "A file that holds `admin_token`; a relative path counts from the configuration file. Read again at a reload.",
        |_| Value::None;
    "admin_token_env", "variable", "one of the three", AtOnce,
        "An environment variable that holds `admin_token`.",
        |_| Value::None;
    "mode", "", "`fanout`, `relay`", Restart,
        "One upstream leg for all clients, or one for each client, balanced over the instances.",
        |c| word(c.mode);
    "protocol", "", "`v1`, `v2`, `raw`", Restart,
        "What the sources and the clients speak. `raw`: any message, to everyone, or by a key in it (`route_by`).",
        |c| word(c.protocol);
    "route_by", "JSON Pointer", "with `raw` only", Restart,
        "Where the key of a text message stands, such as `/data/symbol`: a client gets the keys that it names in its URL, `?symbols=A,B`, and messages without a key go to nobody. Left out: everything to everyone.",
        |c| c.route_by.as_ref().map(|pointer| Value::Text(pointer.to_string())).into();
    "id", "", "0 to 65535", Restart,
        "The proxy's number in records.",
        |c| c.id.0.into();
    "upstreams", "URLs", "at least one", AtOnce,
        "The instances of the source: each a URL, `ws://host:port/path`, or a table with `url` and `weight`, its share of the connections against the others' (1 to 1000, default 100). One that is no longer named gets no new legs: those of relay last as long as their clients, the one of fan-out moves.",
        |c| Value::List(c.upstreams.iter().map(instance).collect());
    "balance", "", "`least-connections`, `p2c`", AtOnce,
        "The fewest connections for the weight; or the better of two instances drawn by weight, for many proxies in front of the same instances.",
        |c| word(c.balance);
    "sources", "", "`active`, `hot`, `sharded`", Restart,
        "Which instances fan-out takes its messages from. `active`: one, the others are spares. `hot`: `hot_legs` that send the same, at once: each tick is passed on once, by symbol, time stamp and bytes, so that the death of one is not seen. `sharded`: all, each its share of the symbols.",
        |c| word(c.sources);
    "hot_legs", "instances", "2 or more", AtOnce,
        "Instances that are consumed at once with `hot`. More come at a reload; fewer as legs end.",
        |c| c.hot_legs.into();
    "moves_per_second", "symbols", "0 or more", Restart,
        "Symbols that move in a second from an instance that delivers them to one that came up, with `sharded`; 0: all at once.",
        |c| c.moves_per_second.into();
    "slow_start", "time", "0 or more", AtOnce,
        "Over how long the weight of an instance that came back rises from a tenth to the whole; 0: at once.",
        |c| c.slow_start.into();
    "user_key", "", "", AtOnce,
        "The key that fan-out presents to the source, from the next request on.",
        |c| secrets(std::slice::from_ref(&c.user_key));
    "user_key_file", "path", "one of the three", AtOnce,
        "A file that holds `user_key`; a relative path counts from the configuration file. Read again at a reload.",
        |_| Value::None;
    "user_key_env", "variable", "one of the three", AtOnce,
        "An environment variable that holds `user_key`.",
        |_| Value::None;
    "client_keys", "", "", AtOnce,
        "Keys of which clients must present one with each request (fan-out, v1); empty: any.",
        |c| secrets(&c.client_keys);
    "client_keys_file", "path", "one of the three", AtOnce,
        "A file that holds `client_keys`, one a line (`#` begins a comment). Read again at a reload.",
        |_| Value::None;
    "client_keys_env", "variable", "one of the three", AtOnce,
        "An environment variable that holds `client_keys`, likewise.",
        |_| Value::None;
    "tls_cert", "path", "with `tls_key`", NewClients,
        "The certificate that clients are shown, and those that vouch for it, in PEM; with it clients speak TLS (`wss://`) and nothing else. A relative path counts from the configuration file. Read again at a reload.",
        |c| path(c.tls_cert.as_deref());
    "tls_key", "path", "with `tls_cert`", NewClients,
        "Its private key, in PEM. Read again at a reload.",
        |c| path(c.tls_key.as_deref());
    "tls_ca", "path", "", NewLegs,
        "Authorities in PEM that may vouch for a `wss://` source, beside `tls_roots`. Read again at a reload.",
        |c| path(c.tls_ca.as_deref());
    "tls_roots", "", "`webpki`, `none` or a path", NewLegs,
        "The other authorities that may: Mozilla's list, none, or a file in PEM such as `/etc/ssl/certs/ca-certificates.crt`.",
        |c| match &c.tls_roots {
            Roots::Webpki => Value::Text("webpki".to_owned()),
            Roots::None => Value::Text("none".to_owned()),
            Roots::File(file) => path(Some(file)),
        };
    "origins", "", "", NewClients,
        "Values of `Origin` that a handshake may carry, without regard to case; any other is answered HTTP 403. A handshake without the header passes. Empty: any.",
        |c| c.origins.as_slice().into();
    "preamble_messages", "messages", "0 or more; with `preamble_match` at least 1", NewClients,
        "How many of a client's messages relay says again to a new instance before anything new: its last subscription (v1), its first messages (raw), or the latest that match. With `raw` the default is 0.",
        |c| c.preamble_messages.into();
    "preamble_match", "regular expression", "", NewClients,
        "Which of a client's messages relay says again.",
        |c| c.preamble_match.as_ref().map(|pattern| Value::Text(pattern.to_string())).into();
    "failover", "", "", AtOnce,
        "Whether relay moves a client whose source is lost; otherwise it is closed with 1011. With `protocol = \"v2\"` it is closed in any case, unless `preamble_match` says what the next instance must hear: its login and its subscriptions cannot be said again in its name.",
        |c| c.failover.into();
    "move_on_close", "close codes", "1000 to 1003, 1007 to 1014, 3000 to 4999", AtOnce,
        "Codes by which a source leaves, so that relay moves the client. Any other ends the client's session with the same code and reason.",
        |c| Value::List(c.move_on_close.iter().map(|code| (*code).into()).collect());
    "trusted_proxies", "networks", "`10.0.0.0/8`, or one address", NewClients,
        "Whose word on where a client comes from reaches relay's sources (`X-Forwarded-For`, `X-Forwarded-Proto`, `Forwarded`), with its own address appended. What anybody else says there is dropped.",
        |c| Value::List(c.trusted_proxies.iter().map(|net| Value::Text(net.to_string())).collect());
    "forward_headers", "names", "none that the proxy writes itself", NewClients,
        "Headers of a client's handshake that relay passes on to its source.",
        |c| Value::List(c.forward_headers.iter().map(|name| Value::Text(name.to_string())).collect());
    "forward_path", "", "", NewClients,
        "Whether relay asks the source for the client's path and query in place of those of the upstream's URL.",
        |c| c.forward_path.into();
    "gauge_interval", "time", "above 0", AtOnce,
        "How often a gauge event is recorded.",
        |c| c.gauge_interval.into();
    "drain_tell", "time", "0 or more", AtOnce,
        "From the beginning of a drain, when `/readyz` turns to 503, to the end of accepting. (All keys of the drain: those of a drain that has begun stay.)",
        |c| c.drain_tell.into();
    "drain_grace", "time", "0 or more", AtOnce,
        "From the end of accepting to the first client that is sent away.",
        |c| c.drain_grace.into();
    "drain_time", "time", "0 or more", AtOnce,
        "Over how long the clients are sent away, one after the other.",
        |c| c.drain_time.into();
    "drain_code", "close code", "1001, 1012", AtOnce,
        "What they are closed with: going away, or service restart.",
        |c| c.drain_code.into();
    "drain_deadline", "time", "`drain_tell` + `drain_grace` + `drain_time` or more", AtOnce,
        "From the beginning of a drain to its end: who is still here is cut.",
        |c| c.drain_deadline.into();

    "limits.clients_max", "clients", "1 or more", AtOnce,
        "Open client sessions, handshakes under way included; beyond it HTTP 503.",
        |c| c.limits.clients_max.into();
    "limits.clients_per_ip_max", "connections", "0 or more", AtOnce,
        "Connections from one address, handshakes included; beyond it HTTP 429. An IPv6 /64 counts as one address. 0: no cap, right where all clients come through one balancer's address.",
        |c| c.limits.clients_per_ip_max.into();
    "limits.clients_per_key_max", "clients", "0 or more", AtOnce,
        "Clients that present the same key in their first message (fan-out, v1); beyond it 1008. 0: no cap.",
        |c| c.limits.clients_per_key_max.into();
    "limits.client_messages_per_second_max", "per second", "0 or more", AtOnce,
        "Messages that a client may send in a second, in the long run, pings and pongs included; beyond it 1008. 0: no bound.",
        |c| c.limits.client_messages_per_second_max.into();
    "limits.client_messages_burst", "messages", "1 or more", AtOnce,
        "Messages that a client may send at once after quiet.",
        |c| c.limits.client_messages_burst.into();
    "limits.client_requests_per_second_max", "per second", "0 or more", AtOnce,
        "Changes of its subscription that a client may ask for in a second, in the long run (fan-out); beyond it 1008. 0: no bound.",
        |c| c.limits.client_requests_per_second_max.into();
    "limits.client_requests_burst", "requests", "1 or more", AtOnce,
        "Such changes that a client may ask for at once after quiet.",
        |c| c.limits.client_requests_burst.into();
    "limits.handshakes_per_second_max", "per second", "0 or more; with `accept_ramp` at least 1", AtOnce,
        "Handshakes begun in a second, in the long run; who comes beyond it waits in the backlog. 0: no bound.",
        |c| c.limits.handshakes_per_second_max.into();
    "limits.handshakes_burst", "handshakes", "1 or more", AtOnce,
        "Handshakes that may begin at once after quiet.",
        |c| c.limits.handshakes_burst.into();
    "limits.accept_ramp", "time", "0 or more", AtOnce,
        "For how long after the start the rate of handshakes rises, from a tenth to the whole.",
        |c| c.limits.accept_ramp.into();
    "limits.accept_backlog", "connections", "1 or more", Restart,
        "Connections that wait in the kernel to be accepted; `net.core.somaxconn` stands above it.",
        |c| c.limits.accept_backlog.into();
    "limits.handshakes_max", "handshakes", "1 or more", AtOnce,
        "Handshakes under way at once.",
        |c| c.limits.handshakes_max.into();
    "limits.refusals_max", "connections", "0 or more", AtOnce,
        "Refusals being written at once; beyond it a connection is reset without a word.",
        |c| c.limits.refusals_max.into();
    "limits.retry_after_s", "seconds", "0 or more", AtOnce,
        "What `Retry-After` says to a client that is turned away.",
        |c| c.limits.retry_after_s.into();
    "limits.handshake_timeout", "time", "above 0", NewClients,
        "From accept to the end of the WebSocket handshake.",
        |c| c.limits.handshake_timeout.into();
    "limits.first_message_timeout", "time", "0 or more", NewClients,
        "From the handshake to the client's first message (v1); then 1008.",
        |c| c.limits.first_message_timeout.into();
    "limits.queue_bytes_max", "bytes", "1 or more", NewClients,
        "Payload bytes that may wait for one client.",
        |c| c.limits.queue_bytes_max.into();
    "limits.queue_bytes_total_max", "bytes", "0 or more", Restart,
        "Payload bytes that may wait for all clients together; while there are more, each client has an eighth of `queue_bytes_max`.",
        |c| c.limits.queue_bytes_total_max.into();
    "limits.slow_client", "", "`conflate`, `drop-oldest`, `disconnect`", NewClients,
        "What happens when more would wait: the client gets the newest of each symbol (raw: as `drop-oldest`), the oldest message goes, or the client is closed with 1013.",
        |c| word(c.limits.slow_client);
    "limits.resume_bytes_max", "bytes", "0 or more", Restart,
        "Payload bytes kept of each symbol for `windtunnel.v1` clients that resume; 0 keeps the newest message only.",
        |c| c.limits.resume_bytes_max.into();
    "limits.symbols_max", "symbols", "0 or more", AtOnce,
        "Symbols of one client; a request for more is answered with 1008.",
        |c| c.limits.symbols_max.into();
    "limits.symbols_total_max", "symbols", "0 to 1000", Restart,
        "Symbols of all clients together; a request that would pass it is answered with 1013.",
        |c| c.limits.symbols_total_max.into();
    "limits.dial_timeout", "time", "above 0", NewLegs,
        "From the start of a dial to the end of its handshake (and, with v1, to the source's greeting).",
        |c| c.limits.dial_timeout.into();
    "limits.dials_max", "dials", "1 or more", AtOnce,
        "Dials under way to one source at once (relay).",
        |c| c.limits.dials_max.into();
    "limits.dials_per_second_max", "per second", "0 or more", AtOnce,
        "Dials to one source a second, in the long run; 0: no bound.",
        |c| c.limits.dials_per_second_max.into();
    "limits.dials_burst", "dials", "1 or more", AtOnce,
        "Dials to one source that may come at once after a while without any.",
        |c| c.limits.dials_burst.into();
    "limits.dials_total_per_second_max", "per second", "0 or more", AtOnce,
        "Dials to all sources a second, in the long run; 0: no bound.",
        |c| c.limits.dials_total_per_second_max.into();
    "limits.dials_total_burst", "dials", "1 or more", AtOnce,
        "Dials to all sources that may come at once after a while without any.",
        |c| c.limits.dials_total_burst.into();
    "limits.clients_per_upstream_max", "clients", "1 or more", AtOnce,
        "Clients of one source at once, dials under way included (relay); left out: no bound. Those there are stay.",
        |c| c.limits.clients_per_upstream_max.into();
    "limits.pending_max", "clients", "1 or more", AtOnce,
        "Clients that may wait for a place at a source, first come first served (relay); one more is refused with 503, or closed with 1013 if it has a session.",
        |c| c.limits.pending_max.into();
    "limits.pending_timeout", "time", "above 0", AtOnce,
        "How long a client may wait for a place at a source (relay); then 1013.",
        |c| c.limits.pending_timeout.into();
    "limits.no_source_timeout", "time", "0 or more", AtOnce,
        "How long a relay client waits for a healthy source before it is closed with 1013.",
        |c| c.limits.no_source_timeout.into();
    "limits.moves_max", "legs", "0 or more", AtOnce,
        "Legs of a relay client that may break in turn, each within `backoff.stable_after`, before it is closed with 1011.",
        |c| c.limits.moves_max.into();
    "limits.preamble_bytes_max", "bytes", "0 or more", NewClients,
        "Bytes of a client's messages that relay keeps in order to say them again.",
        |c| c.limits.preamble_bytes_max.into();
    "limits.client_send_buffer", "bytes", "", Restart,
        "Kernel send buffer of a client's connection (Linux doubles it). Small, so that stale data waits where it can be dropped.",
        |c| c.limits.client_send_buffer.into();
    "limits.source_send_buffer", "bytes", "", NewLegs,
        "Kernel send buffer of a connection to a source (Linux doubles it).",
        |c| c.limits.source_send_buffer.into();
    "limits.notsent_lowat", "bytes", "", Restart,
        "Unsent bytes in the kernel above which a client's connection takes no more (`TCP_NOTSENT_LOWAT`).",
        |c| c.limits.notsent_lowat.into();
    "limits.client_buffer", "bytes", "1 or more", NewClients,
        "Read and write buffer of a client's session, each. In relay the default is 4096.",
        |c| c.limits.client_buffer.into();
    "limits.source_buffer", "bytes", "", NewLegs,
        "Read buffer of a source's session. In relay the default is 4096.",
        |c| c.limits.source_buffer.into();
    "limits.client_message_max", "bytes", "1 or more", NewClients,
        "The largest message from a client; beyond it 1009. In relay the default is 262144.",
        |c| c.limits.client_message_max.into();
    "limits.source_message_max", "bytes", "1 or more", NewLegs,
        "The largest message from a source; beyond it the source is told 1009, its leg ends, and the next takes over.",
        |c| c.limits.source_message_max.into();
    "limits.close_timeout", "time", "0 or more", AtOnce,
        "How long a closing handshake may take before the connection is reset.",
        |c| c.limits.close_timeout.into();
    "limits.unsubscribe_linger", "time", "0 or more", Restart,
        "How long a symbol that nobody wants any more stays subscribed at the source.",
        |c| c.limits.unsubscribe_linger.into();
    "limits.reconcile_delay", "time", "0 or more", Restart,
        "How long changes of subscription gather before the source is told.",
        |c| c.limits.reconcile_delay.into();
    "limits.client_ping_interval", "time", "0 or more", NewClients,
        "Silence after which a client is pinged.",
        |c| c.limits.client_ping_interval.into();
    "limits.client_pong_timeout", "time", "0 or more", NewClients,
        "Silence after the ping after which a client counts as gone.",
        |c| c.limits.client_pong_timeout.into();
    "limits.accept_pause", "time", "0 or more", AtOnce,
        "Pause after an error of accept (too many open files).",
        |c| c.limits.accept_pause.into();

    "health.ping_interval", "time", "above 0", NewLegs,
        "Silence after which a source is pinged.",
        |c| c.health.ping_interval.into();
    "health.pong_timeout", "time", "above 0", NewLegs,
        "Silence after the ping after which its leg is dead.",
        |c| c.health.pong_timeout.into();
    "health.stale_after", "time", "above 0", NewLegs,
        "Silence of data, while something is subscribed and data had been coming, after which the leg is dead. It doubles with every leg in turn that stays silent, up to 32 times. In fan-out it is also, at once, how long a symbol must have been quiet before a step back in its time stamps counts as a new beginning.",
        |c| c.health.stale_after.into();
    "health.probe_interval", "time", "above 0", AtOnce,
        "How often relay probes each instance with a handshake of its own; left out: never.",
        |c| c.health.probe_interval.into();
    "health.siblings_factor", "times", "0 or more", AtOnce,
        "An instance none of whose relay legs had data (v1) for longer than `stale_after`, and longer than this many times the median of its siblings, is left out, and its clients move. 0: never.",
        |c| c.health.siblings_factor.into();
    "health.fall", "failures", "1 or more", AtOnce,
        "Failures in turn (dials, legs, probes) after which an instance is unhealthy: it gets one connection at a time, until it has proved itself. After each failure of a dial or a leg it rests, healthy or not.",
        |c| c.health.fall.into();
    "health.rise", "successes", "1 or more", AtOnce,
        "Successes in turn (dials, probes) after which it is healthy again.",
        |c| c.health.rise.into();
    "health.panic_threshold_percent", "percent", "0 to 100", AtOnce,
        "Where fewer than this many of a hundred instances are healthy, their health is not listened to: all that do not rest are used. 0: never.",
        |c| c.health.panic_threshold_percent.into();

    "ejection.failures_percent", "percent", "0 to 100", AtOnce,
        "Failures of dials and legs for a hundred dials, from which on an instance is left out, if it is also twice what its siblings together have. 0: never.",
        |c| c.ejection.failures_percent.into();
    "ejection.window", "time", "above 0", AtOnce,
        "Over how long failures are counted.",
        |c| c.ejection.window.into();
    "ejection.dials_min", "dials", "0 or more", AtOnce,
        "Dials in that time, its own and its siblings', below which nothing is concluded.",
        |c| c.ejection.dials_min.into();
    "ejection.time_base", "time", "above 0", AtOnce,
        "How long the first ejection lasts; the second twice as long, and so on. Each such time without one takes one off again.",
        |c| c.ejection.time_base.into();
    "ejection.time_max", "time", "`ejection.time_base` or more", AtOnce,
        "The longest ejection.",
        |c| c.ejection.time_max.into();
    "ejection.ejected_percent_max", "percent", "0 to 100", AtOnce,
        "No instance is ejected where more than this many of a hundred would then be out of use.",
        |c| c.ejection.ejected_percent_max.into();

    "backoff.base", "time", "above 0", AtOnce,
        "Upper bound of the first delay after a failure of an instance; it doubles with each failure in turn, with full jitter.",
        |c| c.backoff.base.into();
    "backoff.cap", "time", "`backoff.base` or more", AtOnce,
        "Upper bound of every delay.",
        |c| c.backoff.cap.into();
    "backoff.stable_after", "time", "0 or more", AtOnce,
        "A leg that held this long forgives the failures before it.",
        |c| c.backoff.stable_after.into();
    "backoff.key_limit_base", "time", "above 0", AtOnce,
        "As `base`, after a source said that the proxy's key has too many connections (fan-out, v1).",
        |c| c.backoff.key_limit_base.into();
    "backoff.key_limit_cap", "time", "`backoff.key_limit_base` or more", AtOnce,
        "As `cap`, after such a refusal.",
        |c| c.backoff.key_limit_cap.into();
};

/// The reference of all keys, as Markdown: a table for each table of the file.
pub(crate) fn reference() -> String {
    use std::fmt::Write as _;
    let defaults = Config::new(([0, 0, 0, 0], 0).into(), Mode::default(), Vec::<String>::new());
    let mut text = String::new();
    let mut table = None;
    for key in KEYS {
        let (of, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if table != Some(of) {
            let title = if of.is_empty() { "key, at the top".to_owned() } else { format!("`[{of}]`") };
            let blank = if table.is_some() { "\n" } else { "" };
            let _ = write!(
                text,
                "{blank}| {title} | default | unit | range | counts for | meaning |\n|---|---|---|---|---|---|\n"
            );
            table = Some(of);
        }
        let default = match (key.value)(&defaults) {
            _ if ["listen", "upstreams"].contains(&key.name) => "**required**".to_owned(),
            Value::None => "none".to_owned(),
            Value::List(values) if values.is_empty() => "none".to_owned(),
            Value::Masked { shown, .. } => shown,
            value => format!("`{value}`"),
        };
        let _ =
            writeln!(text, "| `{name}` | {default} | {} | {} | {} | {} |", key.unit, key.range, key.takes, key.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::File;
    use super::*;

    #[test]
    fn the_page_has_the_table_of_keys() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/proxy.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (begin, end) =
            ("<!-- made from the table of keys: BLESS=1 cargo test -p proxy the_page -->\n", "<!-- end -->");
        let (before, rest) = page.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        let fresh = format!("{before}{begin}\n{}\n{end}{after}", reference());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, fresh).unwrap();
        } else {
            assert_eq!(page, fresh, "docs/proxy.md is behind: BLESS=1 cargo test -p proxy the_page");
        }
    }

    /// The keys that the file reader knows in a table, by its own words.
    fn known(table: &str) -> Vec<String> {
        let text = if table.is_empty() { "no_such_key = 1".to_owned() } else { format!("[{table}]\nno_such_key = 1") };
        let error = toml::from_str::<File>(&text).unwrap_err();
        let words: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
        assert_eq!(words[0], "no_such_key");
        words[1..]
            .iter()
            .map(|word| if table.is_empty() { (*word).to_owned() } else { format!("{table}.{word}") })
            .collect()
    }

    #[test]
    fn the_table_names_the_keys_that_the_file_takes_and_no_other() {
        let tables = ["limits", "health", "ejection", "backoff"];
        let mut known: BTreeSet<String> =
            ["", "limits", "health", "ejection", "backoff"].into_iter().flat_map(known).collect();
        tables.iter().for_each(|table| assert!(known.remove(*table)));
        let table: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
        assert_eq!(table, known, "every key needs a row in config/reference.rs, and no other has one");
        assert_eq!(table.len(), KEYS.len(), "a key stands there twice");
    }

    #[test]
    fn a_value_is_shown_as_the_file_spells_it() {
        for (value, shown) in [
            (Value::Time(Duration::ZERO), "0s"),
            (Value::Time(Duration::from_secs(90)), "90s"),
            (Value::Time(Duration::from_millis(1_500)), "1500ms"),
            (Value::Time(Duration::from_micros(7)), "7us"),
            (Value::List(vec![Value::Number(1), Value::Bool(true)]), "[1, true]"),
            (secrets(&[Secret::default()]), "none"),
            (secrets(&[Secret::new("s3cret")]), "***"),
            (secrets(&[Secret::new("s3cret"), Secret::new("s4cret")]), "*** (2)"),
            (word(crate::limits::SlowClient::DropOldest), "drop-oldest"),
        ] {
            assert_eq!(value.to_string(), shown);
        }
    }
}
