//! All limits in one place, with the sum that justifies them.
//!
//! What one client can make the proxy hold, with the defaults, in bytes:
//!
//! ```text
//!   session read buffer                      4,096     allocated once; client_buffer (fan-out: 512)
//!   on its way into the socket               8,192     and what one message has beyond; frames are shared between all clients
//!   queue                                   24,576     queue_bytes_max: payloads, shared between all clients that wait for them
//!   queue slots                              8 each    pointers; a payload of 100 bytes costs 8 % more
//!   with TLS                     ~20,000 and more    rustls: its state and one record each way (16,384), not measured
//!   task, subscriptions, bookkeeping        ~3,000     grows by ~100 for each symbol subscribed
//!   kernel send buffer          2 x client_send_buffer Linux doubles the figure: 32,768
//! ```
//!
//! So a client that stalls holds at most 64 KiB, in the proxy and in the kernel together, and messages that others wait for, too, cost nothing. All queues together are bounded by
//! `queue_bytes_total_max`, and the memory for those who resume by `symbols_total_max x resume_bytes_max`: 16 MB.

use std::time::Duration;

/// What happens to a client whose queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlowClient {
    /// Once it is behind, it gets the newest of each symbol, and each in its turn; what is left out is counted, and a `windtunnel.v1` client is told by a gap notice. With the
    /// raw protocol, where all messages are of one kind, it is [`SlowClient::DropOldest`].
    #[default]
    Conflate,
    /// The oldest messages give way to the newest; each is counted, and a `windtunnel.v1` client is told by a gap notice.
    DropOldest,
    /// The client is closed with 1013 (try again later).
    Disconnect,
}

/// Bounds on what peers can make the proxy hold or wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open client sessions, handshakes under way included; beyond it a client is answered HTTP 503. Default 10,000.
    pub clients_max: u64,
    /// Connections from one address, handshakes included; beyond it HTTP 429. An IPv6 /64 counts as one address. 0 is no cap, and right where all clients come
    /// through one balancer's address. Default 0.
    pub clients_per_ip_max: u64,
    /// Clients that present the same key in their first message (fan-out, v1); beyond it 1008. 0 is no cap. Default 0.
    pub clients_per_key_max: u64,
    /// Messages that a client may send in a second, in the long run, pings and pongs included; beyond it 1008. 0 is no bound. Default 0.
    pub client_messages_per_second_max: u32,
    /// Messages that a client may send at once after quiet, at least 1. Default 100.
    pub client_messages_burst: u32,
    /// Changes of what it subscribes to that a client may ask for in a second, in the long run (fan-out); beyond it 1008. Each costs a look at all its symbols,
    /// under the lock that every leg needs. 0 is no bound. Default 20.
    pub client_requests_per_second_max: u32,
    /// Such changes that a client may ask for at once after quiet, at least 1. Default 100.
    pub client_requests_burst: u32,
    /// Handshakes begun in a second, in the long run; who comes beyond it waits in the backlog. 0 is no bound. Default 0.
    pub handshakes_per_second_max: u32,
    /// Handshakes that may begin at once after quiet, at least 1. Default 32.
    pub handshakes_burst: u32,
    /// For how long after the start the rate of handshakes rises, from a tenth to the whole of `handshakes_per_second_max`, so that clients which all come back
    /// at once do not meet a proxy that is still subscribing. Zero: the whole rate from the start. Default 0.
    pub accept_ramp: Duration,
    /// Connections that wait in the kernel to be accepted; the kernel's own bound (`net.core.somaxconn`, 4,096) stands above it. Default 1,024.
    pub accept_backlog: u32,
    /// Handshakes under way at once. Default 512.
    pub handshakes_max: u64,
    /// Refusals being written at once; beyond it a connection is reset without a word. Default 256.
    pub refusals_max: u64,
    /// What `Retry-After` says to a client that was turned away, in seconds. Default 1.
    pub retry_after_s: u32,
    /// From accept to the end of the WebSocket handshake. Default 5 s.
    pub handshake_timeout: Duration,
    /// From the handshake to the client's first message (v1); then it is closed with 1008. Default 10 s.
    pub first_message_timeout: Duration,
    /// Payload bytes that may wait for one client. Default 24 KiB.
    pub queue_bytes_max: usize,
    /// Payload bytes that may wait for all clients together, a payload counted for each that it waits for; while there are more, each client has an eighth of `queue_bytes_max`.
    /// Default 256 MiB.
    pub queue_bytes_total_max: usize,
    /// What happens when more would wait. Default [`SlowClient::Conflate`].
    pub slow_client: SlowClient,
    /// Payload bytes kept of each symbol for `windtunnel.v1` clients that resume; 0 keeps the newest message only. Default 16 KiB.
    pub resume_bytes_max: usize,
    /// Symbols of one client; beyond it 1008. Default 1,000 (the feed protocol's own bound).
    pub symbols_max: usize,
    /// Symbols of all clients together; a request that would pass it is answered with 1013. Default 1,000: one v1 request names no more.
    pub symbols_total_max: usize,
    /// From the start of a dial to the end of its handshake (and, with v1, to the source's greeting). Default 2 s.
    pub dial_timeout: Duration,
    /// Dials under way to one source at once (relay). Default 64.
    pub dials_max: u32,
    /// Dials to one source a second, in the long run: what a restart or a failure of another source may cost it. 0 (the default) sets no bound.
    pub dials_per_second_max: u32,
    /// Dials to one source that may come at once when there were none for a while. Default 100.
    pub dials_burst: u32,
    /// Dials to all sources a second, in the long run. 0 (the default) sets no bound.
    pub dials_total_per_second_max: u32,
    /// Dials to all sources that may come at once when there were none for a while. Default 100.
    pub dials_total_burst: u32,
    /// Relay clients of one source at once, dials under way included. Default None, no bound. (Fan-out holds one connection in all.)
    pub clients_per_upstream_max: Option<u32>,
    /// Relay clients that may wait at once for a place at a source; one more is refused with 503, or closed with 1013 if it has a session. It holds its session
    /// while it waits and nothing else, so the default is as many as there may be clients: 10,000.
    pub pending_max: usize,
    /// How long a relay client may wait for a place at a source before it is closed with 1013. Default 10 s.
    pub pending_timeout: Duration,
    /// How long a relay client waits for a healthy source before it is closed with 1013. Default 10 s.
    pub no_source_timeout: Duration,
    /// Legs in turn that one relay client may lose, each within `backoff.stable_after` of opening, before it is closed with 1011: a client whose own messages
    /// bring sources down must not be carried through all of them for ever. Default 8.
    pub moves_max: u32,
    /// Payload bytes of one relay client that are kept to be said again after a failover; a message that would pass it is not kept. Default 64 KiB.
    pub preamble_bytes_max: usize,
    /// Kernel send buffer of a client's connection, in bytes (Linux doubles it). Small, so that stale data waits here, where it can be dropped, and not
    /// in the kernel: unset, a stalled client hides megabytes. Default 16 KiB; None leaves it to the kernel.
    pub client_send_buffer: Option<usize>,
    /// Kernel send buffer of a connection to a source, in bytes (Linux doubles it): bounds what a client said that is lost with a leg. Default 64 KiB; None
    /// leaves it to the kernel.
    pub source_send_buffer: Option<usize>,
    /// Unsent bytes in the kernel above which a client's connection does not take more (`TCP_NOTSENT_LOWAT`). Default 16 KiB.
    pub notsent_lowat: Option<u32>,
    /// Read buffer of a client's session, in bytes; in relay, the write buffer too. Default 4 KiB; fan-out, where clients only subscribe, sets 512.
    pub client_buffer: usize,
    /// Read buffer of a source's session, in bytes. Default 16 KiB; relay, where each client has a leg and each read zeroes the buffer, sets 4 KiB.
    pub source_buffer: usize,
    /// The largest message that a client may send; a larger one closes it with 1009. Default 16 KiB in fan-out, where clients only subscribe; relay sets 256 KiB.
    pub client_message_max: usize,
    /// The largest message that a source may send; with a larger one it is told 1009, and its leg ends. Default 256 KiB.
    pub source_message_max: usize,
    /// How long a closing handshake may take before the connection is reset. Default 1 s.
    pub close_timeout: Duration,
    /// How long a symbol that nobody wants any more stays subscribed at the source, so that a client which reconnects causes no churn. Default 1 s.
    pub unsubscribe_linger: Duration,
    /// How long changes of subscription gather before the source is told. Default 5 ms.
    pub reconcile_delay: Duration,
    /// Silence after which a client is pinged. Default 30 s.
    pub client_ping_interval: Duration,
    /// Silence after the ping after which a client counts as gone. Default 60 s: a client that reads nothing for a while is slow, not dead.
    pub client_pong_timeout: Duration,
    /// Pause after an error of accept (too many open files) before the next attempt. Default 100 ms.
    pub accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients_max: 10_000,
            clients_per_ip_max: 0,
            clients_per_key_max: 0,
            client_messages_per_second_max: 0,
            client_messages_burst: 100,
            client_requests_per_second_max: 20,
            client_requests_burst: 100,
            handshakes_per_second_max: 0,
            handshakes_burst: 32,
            accept_ramp: Duration::ZERO,
            accept_backlog: 1024,
            handshakes_max: 512,
            refusals_max: 256,
            retry_after_s: 1,
            handshake_timeout: Duration::from_secs(5),
            first_message_timeout: Duration::from_secs(10),
            queue_bytes_max: 24 << 10,
            queue_bytes_total_max: 256 << 20,
            slow_client: SlowClient::Conflate,
            resume_bytes_max: 16 << 10,
            symbols_max: wire::feed::SYMBOLS_MAX,
            symbols_total_max: wire::feed::SYMBOLS_MAX,
            dial_timeout: Duration::from_secs(2),
            dials_max: 64,
            dials_per_second_max: 0,
            dials_burst: 100,
            dials_total_per_second_max: 0,
            dials_total_burst: 100,
            clients_per_upstream_max: None,
            pending_max: 10_000,
            pending_timeout: Duration::from_secs(10),
            no_source_timeout: Duration::from_secs(10),
            moves_max: 8,
            preamble_bytes_max: 64 << 10,
            client_send_buffer: Some(16 << 10),
            source_send_buffer: Some(64 << 10),
            notsent_lowat: Some(16 << 10),
            client_buffer: 4 << 10,
            source_buffer: 16 << 10,
            client_message_max: 16 << 10,
            source_message_max: 256 << 10,
            close_timeout: Duration::from_secs(1),
            unsubscribe_linger: Duration::from_secs(1),
            reconcile_delay: Duration::from_millis(5),
            client_ping_interval: Duration::from_secs(30),
            client_pong_timeout: Duration::from_secs(60),
            accept_pause: Duration::from_millis(100),
        }
    }
}

impl Limits {
    /// The bounds of a client's session.
    pub(crate) fn client_session(&self) -> wire::ws::Limits {
        wire::ws::Limits {
            read_buffer: self.client_buffer,
            write_buffer: self.client_buffer,
            // The pump stops at the first write that would block, so no more than one message lies beyond the buffer: its envelope doubles it at worst
            // (quoted text), and a close frame and pongs come on top.
            write_buffer_max: self.client_buffer + 2 * self.source_message_max + 4096,
            message_max: self.client_message_max,
        }
    }

    /// The bounds of a source's session.
    pub(crate) fn source_session(&self) -> wire::ws::Limits {
        wire::ws::Limits {
            read_buffer: self.source_buffer,
            write_buffer: self.client_buffer,
            write_buffer_max: self.client_buffer + 2 * self.client_message_max + (64 << 10),
            message_max: self.source_message_max,
        }
    }
}
