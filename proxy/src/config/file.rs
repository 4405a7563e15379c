//! The configuration file: TOML text to a [`Config`], with the place of every mistake.
//!
//! ```toml
//! listen = "127.0.0.1:9000"
//! mode = "fanout"
//! upstreams = ["ws://10.0.0.1:9000/feed", { url = "ws://10.0.0.2:9000/feed", weight = 50 }]
//!
//! [limits]
//! queue_bytes_max = 65536
//! slow_client = "drop-oldest"
//!
//! [health]
//! stale_after = "2s"
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use wire::feed::{Pointer, Protocol};
use wire::id::ProxyId;
use wire::ws::http::HeaderName;

use super::keys::{KeysError, Places};
use super::{Balancing, Config, Mode, Pattern, Roots, Sources, Upstream};
use crate::limits::SlowClient;
use crate::secret::Secret;

/// A mistake in a configuration file, ready to print: `file:line:column: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub(crate) struct FileError {
    file: String,
    line: usize,
    column: usize,
    message: String,
}

/// A duration as people write it: `250ms`, `2s`, `1.5s`, `1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a duration: write 250ms, 2s, 1.5s or 1m");
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
        let (number, unit) = text.split_at(unit_at);
        let number: f64 = number.trim().parse().map_err(|_| bad())?;
        let seconds = match unit {
            "us" => number / 1e6,
            "ms" => number / 1e3,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            _ => return Err(bad()),
        };
        // More than a year is a typing error, and would overflow instants.
        if !(0.0..=31_536_000.0).contains(&seconds) {
            return Err(bad());
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"2s\" or \"250ms\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A network as people write it, `10.0.0.0/8`, or one address of it.
#[derive(Debug)]
struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let net = text.parse().or_else(|_| text.parse().map(|addr: std::net::IpAddr| addr.into()));
        let bad = |_| serde::de::Error::custom(format!("{text:?} is not a network: write 10.0.0.0/8, or one address"));
        net.map(Self).map_err(bad)
    }
}

/// The name of a header.
#[derive(Debug)]
struct Header(HeaderName);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = |_| serde::de::Error::custom(format!("{text:?} is not the name of a header"));
        HeaderName::from_bytes(text.as_bytes()).map(Self).map_err(bad)
    }
}

/// The text's own type: everything may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    id: Option<u16>,
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    admin_token: Option<Secret>,
    admin_token_file: Option<PathBuf>,
    admin_token_env: Option<String>,
    mode: Option<Mode>,
    protocol: Option<Protocol>,
    upstreams: Option<Vec<Upstream>>,
    balance: Option<Balancing>,
    sources: Option<Sources>,
    hot_legs: Option<usize>,
    moves_per_second: Option<u32>,
    route_by: Option<Pointer>,
    slow_start: Option<Span>,
    user_key: Option<Secret>,
    user_key_file: Option<PathBuf>,
    user_key_env: Option<String>,
    client_keys: Option<Vec<Secret>>,
    client_keys_file: Option<PathBuf>,
    client_keys_env: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_ca: Option<PathBuf>,
    tls_roots: Option<String>,
    origins: Option<Vec<String>>,
    preamble_messages: Option<usize>,
    preamble_match: Option<Pattern>,
    failover: Option<bool>,
    move_on_close: Option<Vec<u16>>,
    trusted_proxies: Option<Vec<Network>>,
    forward_headers: Option<Vec<Header>>,
    forward_path: Option<bool>,
    gauge_interval: Option<Span>,
    drain_tell: Option<Span>,
    drain_grace: Option<Span>,
    drain_time: Option<Span>,
    drain_code: Option<u16>,
    drain_deadline: Option<Span>,
    limits: Option<Limits>,
    health: Option<Health>,
    backoff: Option<Backoff>,
    ejection: Option<Ejection>,
}

macro_rules! section {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $($field: Option<$type>),*
        }
    };
}

section!(Limits {
    clients_max: u64,
    clients_per_ip_max: u64,
    clients_per_key_max: u64,
    client_messages_per_second_max: u32,
    client_messages_burst: u32,
    client_requests_per_second_max: u32,
    client_requests_burst: u32,
    handshakes_per_second_max: u32,
    handshakes_burst: u32,
    accept_ramp: Span,
    accept_backlog: u32,
    handshakes_max: u64,
    refusals_max: u64,
    retry_after_s: u32,
    handshake_timeout: Span,
    first_message_timeout: Span,
    queue_bytes_max: usize,
    queue_bytes_total_max: usize,
    slow_client: SlowClient,
    resume_bytes_max: usize,
    symbols_max: usize,
    symbols_total_max: usize,
    dial_timeout: Span,
    dials_max: u32,
    dials_per_second_max: u32,
    dials_burst: u32,
    dials_total_per_second_max: u32,
    dials_total_burst: u32,
    clients_per_upstream_max: u32,
    pending_max: usize,
    pending_timeout: Span,
    no_source_timeout: Span,
    moves_max: u32,
    preamble_bytes_max: usize,
    source_send_buffer: usize,
    client_send_buffer: usize,
    notsent_lowat: u32,
    client_buffer: usize,
    source_buffer: usize,
    client_message_max: usize,
    source_message_max: usize,
    close_timeout: Span,
    unsubscribe_linger: Span,
    reconcile_delay: Span,
    client_ping_interval: Span,
    client_pong_timeout: Span,
    accept_pause: Span,
});

section!(Health {
    ping_interval: Span,
    pong_timeout: Span,
    stale_after: Span,
    probe_interval: Span,
    fall: u32,
    rise: u32,
    siblings_factor: u32,
    panic_threshold_percent: u32
});

section!(Ejection {
    failures_percent: u32,
    window: Span,
    dials_min: u32,
    time_base: Span,
    time_max: Span,
    ejected_percent_max: u32,
});

section!(Backoff { base: Span, cap: Span, stable_after: Span, key_limit_base: Span, key_limit_cap: Span });

/// What a value of the file means to a value of the configuration.
trait Put<T> {
    fn put(self, place: &mut T);
}

impl<T> Put<T> for Option<T> {
    fn put(self, place: &mut T) {
        if let Some(value) = self {
            *place = value;
        }
    }
}

impl Put<Duration> for Option<Span> {
    fn put(self, place: &mut Duration) {
        self.map(|span| span.0).put(place);
    }
}

macro_rules! put {
    ($from:expr => $to:expr, $($field:ident),* $(,)?) => {
        $($from.$field.put(&mut $to.$field);)*
    };
}

impl File {
    /// Reads a file's text. `name` stands in errors.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, FileError> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let before = text.get(..at).unwrap_or("");
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            FileError {
                file: name.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                message: with_guess(error.message()),
            }
        })
    }

    /// The mode and the protocol that the file names, if any.
    pub(crate) fn mode_and_protocol(&self) -> (Option<Mode>, Option<Protocol>) {
        (self.mode, self.protocol)
    }

    /// The address that the file names, if any.
    pub(crate) fn listen(&self) -> Option<SocketAddr> {
        self.listen
    }

    /// Follows what stands elsewhere: a relative path counts from `base`; keys are read from files and the environment.
    pub(crate) fn follow(&mut self, base: &Path, variable: impl Fn(&str) -> Option<String>) -> Result<(), KeysError> {
        for path in [&mut self.tls_cert, &mut self.tls_key, &mut self.tls_ca].into_iter().flatten() {
            *path = base.join(&*path);
        }
        if let Some(roots) = self.tls_roots.as_mut().filter(|roots| !["webpki", "none"].contains(&roots.as_str())) {
            *roots = base.join(&*roots).to_string_lossy().into_owned();
        }
        let places = Places {
            name: "client_keys",
            here: self.client_keys.take(),
            file: self.client_keys_file.take(),
            env: self.client_keys_env.take(),
        };
        self.client_keys = places.keys(base, &variable)?;
        let places = Places {
            name: "user_key",
            here: self.user_key.take().map(|key| vec![key]),
            file: self.user_key_file.take(),
            env: self.user_key_env.take(),
        };
        self.user_key = places.key(base, &variable)?;
        let places = Places {
            name: "admin_token",
            here: self.admin_token.take().map(|token| vec![token]),
            file: self.admin_token_file.take(),
            env: self.admin_token_env.take(),
        };
        self.admin_token = places.key(base, &variable)?;
        Ok(())
    }

    /// Lays the file over a configuration.
    pub(crate) fn apply(self, config: &mut Config) {
        self.id.map(ProxyId).put(&mut config.id);
        self.tls_cert.map(Some).put(&mut config.tls_cert);
        self.tls_key.map(Some).put(&mut config.tls_key);
        self.tls_ca.map(Some).put(&mut config.tls_ca);
        self.tls_roots
            .map(|roots| match roots.as_str() {
                "webpki" => Roots::Webpki,
                "none" => Roots::None,
                path => Roots::File(path.into()),
            })
            .put(&mut config.tls_roots);
        self.admin.map(Some).put(&mut config.admin);
        self.trusted_proxies.map(|list| list.into_iter().map(|it| it.0).collect()).put(&mut config.trusted_proxies);
        self.forward_headers.map(|list| list.into_iter().map(|it| it.0).collect()).put(&mut config.forward_headers);
        self.admin_token.map(Some).put(&mut config.admin_token);
        self.preamble_match.map(Some).put(&mut config.preamble_match);
        self.route_by.map(Some).put(&mut config.route_by);
        put!(self => config, listen, mode, protocol, upstreams, balance, sources, hot_legs, moves_per_second, slow_start, user_key, client_keys, origins,
            preamble_messages, failover, move_on_close, forward_path, gauge_interval, drain_tell, drain_grace, drain_time, drain_code, drain_deadline);
        let limits = self.limits.unwrap_or_default();
        limits.client_send_buffer.map(Some).put(&mut config.limits.client_send_buffer);
        limits.source_send_buffer.map(Some).put(&mut config.limits.source_send_buffer);
        limits.notsent_lowat.map(Some).put(&mut config.limits.notsent_lowat);
        limits.clients_per_upstream_max.map(Some).put(&mut config.limits.clients_per_upstream_max);
        put!(limits => config.limits, dials_per_second_max, dials_burst, dials_total_per_second_max, dials_total_burst,
            pending_max, pending_timeout);
        put!(limits => config.limits, clients_max, clients_per_ip_max, clients_per_key_max, client_messages_per_second_max, client_messages_burst,
            client_requests_per_second_max, client_requests_burst, handshakes_per_second_max, handshakes_burst,
            accept_ramp, accept_backlog, handshakes_max, refusals_max, retry_after_s, handshake_timeout,
            first_message_timeout, queue_bytes_max, queue_bytes_total_max, slow_client, resume_bytes_max, symbols_max, symbols_total_max, dial_timeout, dials_max,
            no_source_timeout, moves_max, preamble_bytes_max, client_buffer, source_buffer, client_message_max, source_message_max, close_timeout,
            unsubscribe_linger, reconcile_delay, client_ping_interval, client_pong_timeout, accept_pause);
        let health = self.health.unwrap_or_default();
        health.probe_interval.map(|span| Some(span.0)).put(&mut config.health.probe_interval);
        put!(health => config.health, ping_interval, pong_timeout, stale_after, fall, rise, siblings_factor, panic_threshold_percent);
        let ejection = self.ejection.unwrap_or_default();
        put!(ejection => config.ejection, failures_percent, window, dials_min, time_base, time_max, ejected_percent_max);
        let backoff = self.backoff.unwrap_or_default();
        put!(backoff => config.backoff, base, cap, stable_after, key_limit_base, key_limit_cap);
    }
}

/// Adds "did you mean" to an error that names an unknown word and the known ones in backticks.
fn with_guess(message: &str) -> String {
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let guess = match words.split_first() {
        Some((unknown, known)) if message.starts_with("unknown") => known
            .iter()
            .map(|word| (strsim::jaro_winkler(unknown, word), *word))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|a, b| a.0.total_cmp(&b.0)),
        _ => None,
    };
    let first_line = message.lines().next().unwrap_or(message);
    match guess {
        Some((_, word)) => {
            let (what, _) = first_line.split_once(", expected").unwrap_or((first_line, ""));
            format!("{what}: did you mean `{word}`?")
        }
        None => first_line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        File::parse("proxy.toml", text).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_shown_with_their_place_and_a_guess() {
        assert_eq!(
            error("mode = \"relay\"\n[limits]\n  queue_byte_max = 5\n"),
            "proxy.toml:3:3: unknown field `queue_byte_max`: did you mean `queue_bytes_max`?"
        );
        assert_eq!(error("mode = \"fan-out\"\n"), "proxy.toml:1:8: unknown variant `fan-out`: did you mean `fanout`?");
        assert!(error("[health]\nstale_after = \"2 parsecs\"\n").starts_with("proxy.toml:2:15: \"2 parsecs\" is not"));
        assert!(error("[health]\nstale_after = 2\n").contains("expected a duration such as"));
        assert!(error("listen = \"nowhere\"\n").starts_with("proxy.toml:1:10: invalid socket address"));
        assert_eq!(
            error("preamble_match = \"(\"\n"),
            "proxy.toml:1:18: \"(\" is not a regular expression: unclosed group"
        );
        assert!(
            error("trusted_proxies = [\"10.0.0.0/40\"]\n")
                .ends_with("is not a network: write 10.0.0.0/8, or one address")
        );
        assert!(error("forward_headers = [\"a b\"]\n").ends_with("\"a b\" is not the name of a header"));
        assert!(error("= 1").starts_with("proxy.toml:1:1: "));
    }

    #[test]
    fn a_file_is_laid_over_the_defaults() {
        let text = r#"
            listen = "127.0.0.1:9000"
            mode = "relay"
            upstreams = ["ws://a:1"]
            trusted_proxies = ["10.0.0.0/8", "192.0.2.1"]
            forward_headers = ["Authorization"]
            [limits]
            slow_client = "disconnect"
            client_send_buffer = 4096
            [health]
            stale_after = "1.5s"
            [backoff]
            cap = "1m"
        "#;
        let mut config = Config::new(SocketAddr::from(([0, 0, 0, 0], 0)), Mode::Fanout, ["ws://b:1"]);
        File::parse("x", text).unwrap().apply(&mut config);
        assert_eq!(config.listen.port(), 9000);
        assert_eq!(config.mode, Mode::Relay);
        assert_eq!(config.upstreams, [Upstream::new("ws://a:1")]);
        assert_eq!(config.trusted_proxies, ["10.0.0.0/8", "192.0.2.1/32"].map(|net| net.parse().unwrap()));
        assert_eq!(config.forward_headers, ["authorization"]);
        assert_eq!(config.limits.slow_client, SlowClient::Disconnect);
        assert_eq!(config.limits.client_send_buffer, Some(4096));
        assert_eq!(config.health.stale_after, Duration::from_millis(1500));
        assert_eq!(config.backoff.cap, Duration::from_secs(60));
    }

    #[test]
    fn durations_are_read() {
        for (text, expect) in
            [("250ms", 250_000), ("2s", 2_000_000), ("1.5s", 1_500_000), ("1m", 60_000_000), ("9us", 9)]
        {
            assert_eq!(text.parse::<Span>().map(|span| span.0.as_micros()), Ok(expect), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1e99s", "1 parsec", "nans"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
