//! The front door: accept, admit or refuse, handshake under a deadline.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use wire::event::{Event, Why};
use wire::net::{ByteStream, Listener, Network};
use wire::ws::{self, Accepted, Answer, Tap};

use crate::addresses::AddressHeld;
use crate::admission::{Admit, Load, Refusal};
use crate::context::Context;
use crate::lock::lock;
use crate::meter::Held;
use crate::pace::Pace;
use crate::{fanout, relay};

/// Accepts clients until the proxy stops or drains.
pub(crate) async fn run<N: Network>(context: &Arc<Context<N>>, listener: N::Listener) {
    let mut shard = 0_usize;
    let started = Instant::now();
    let mut config = context.config();
    let mut admission = (context.policies.admission)(&config);
    let mut pace = Pace::new(&config.limits, started);
    loop {
        let reloaded = context.reloaded.notified();
        let now = context.config();
        if !Arc::ptr_eq(&now, &config) {
            admission = (context.policies.admission)(&now);
            pace = Pace::new(&now.limits, started);
            config = now;
        }
        // Who comes faster than the pace waits in the kernel: it is not accepted, and not refused either.
        let until = pace.wait(Instant::now());
        let accepted = wire::select! {
            () = context.stop.cancelled() => return,
            () = context.drain.shut() => return,
            () = reloaded => continue,
            () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => continue,
            accepted = listener.accept(), if until.is_none() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // One connection's misfortune, or no descriptors left: those that we have must live on.
                wire::reached!("no descriptor for a newcomer");
                context.meter.accept_errors.add(1);
                tracing::warn!(%error, "failed to accept a connection");
                wire::select! {
                    () = context.stop.cancelled() => return,
                    () = context.drain.shut() => return,
                    () = tokio::time::sleep(context.config().limits.accept_pause) => continue,
                }
            }
        };
        let load = Load {
            clients: context.meter.clients.get(),
            handshakes: context.meter.handshakes.get(),
            refusals: context.meter.refusals.get(),
            same_address: lock(&context.addresses).held(peer.ip()),
        };
        let context = Arc::clone(context);
        match admission.decide(load) {
            Admit::Yes => {
                pace.begin(Instant::now());
                let address = AddressHeld::new(&context.addresses, peer.ip());
                let held = Held::new(&context.meter, |meter| &meter.handshakes);
                shard = (shard + 1) % context.net.shards();
                let net = context.net.clone();
                net.spawn_on(shard, "handshake", handshake(context, shard, stream, peer, held, address));
            }
            Admit::Refuse { why, retry_after_s } => {
                wire::reached!("newcomer refused: full", if why == Refusal::Full);
                shed(&context, peer, Why::Admission);
                if why == Refusal::Address {
                    context.meter.shed_address.add(1);
                }
                let held = Held::new(&context.meter, |meter| &meter.refusals);
                let net = context.net.clone();
                net.spawn("refusal", async move {
                    let deadline = context.config().limits.handshake_timeout;
                    let refusal = async {
                        // A client that speaks TLS would not understand a no without it.
                        let stream = context.tls.accept(stream).await?;
                        refuse(stream, why, retry_after_s).await
                    };
                    let _ = tokio::time::timeout(deadline, refusal).await;
                    drop(held);
                });
            }
            Admit::Reset => {
                shed(&context, peer, Why::Admission);
                stream.abort();
            }
        }
    }
}

fn shed<N: Network>(context: &Context<N>, peer: SocketAddr, why: Why) {
    context.meter.shed.add(1);
    context.observer.record(|| Event::ProxyShed { proxy: context.id, peer, why });
}

/// Serves a handshake, and hands the client on to a task of its own: what a handshake needs is given back before the client's long life begins.
async fn handshake<N: Network>(
    context: Arc<Context<N>>,
    shard: usize,
    stream: N::Stream,
    peer: SocketAddr,
    held: Held,
    address: AddressHeld,
) {
    let config = context.config();
    let limits = &config.limits;
    let fanout = context.is_fanout();
    let allowed = Arc::clone(&context);
    let decide = move |asked: &ws::Asked| {
        if allowed.drain.is_shut() {
            let retry_after_s = Some(allowed.config().limits.retry_after_s);
            return Answer::Refuse { status: 503, retry_after_s, reason: "draining: try again\n".to_owned() };
        }
        if !origin_may_pass(&allowed.config().origins, asked.origin.as_deref()) {
            return Answer::Refuse { status: 403, retry_after_s: None, reason: "origin not allowed\n".to_owned() };
        }
        if !fanout && lock(&allowed.pool).is_line_full() {
            wire::reached!("handshake refused: the line is full");
            let retry_after_s = Some(allowed.config().limits.retry_after_s);
            let reason = "too many wait for a source: try again\n".to_owned();
            return Answer::Refuse { status: 503, retry_after_s, reason };
        }
        let strong = fanout && asked.subprotocols.iter().any(|word| word == ws::SUBPROTOCOL);
        Answer::Accept { subprotocol: strong.then(|| ws::SUBPROTOCOL.to_owned()) }
    };
    let handshake = async {
        let mut asking = ws::hear(Tap::new(context.tls.accept(stream).await.map_err(NoHandshake::Tls)?)).await?;
        let mut answer = decide(&asking.asked);
        let introduction = (!fanout).then(|| relay::Introduction::new(&config, peer.ip(), &asking.asked));
        let mut first = None;
        if let (Answer::Accept { subprotocol }, Some(introduction)) = (&mut answer, &introduction)
            && introduction.must_negotiate()
        {
            first = relay::first_leg(&context, peer, introduction).await;
            match &first {
                Some(leg) => *subprotocol = leg.subprotocol().map(str::to_owned),
                None => {
                    let retry_after_s = Some(limits.retry_after_s);
                    let reason = "no source can be reached: try again\n".to_owned();
                    answer = Answer::Refuse { status: 503, retry_after_s, reason };
                }
            }
        }
        if fanout && matches!(answer, Answer::Accept { .. }) {
            // The client's connection writes it, together with the greeting: see `Conn::new`.
            asking.stream_mut().shut();
        }
        let accepted = asking.answer(limits.client_session(), answer).await?;
        Ok::<_, NoHandshake>((accepted, introduction, first))
    };
    let (accepted, introduction, first) = wire::select! {
        () = context.stop.cancelled() => return,
        result = tokio::time::timeout(limits.handshake_timeout, handshake) => match result {
            Err(_) => return shed(&context, peer, Why::Deadline),
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "handshake failed");
                return shed(&context, peer, error.why());
            }
            Ok(Ok(accepted)) => accepted,
        },
    };
    // From here on it counts as a client, not as a handshake.
    let client = Held::new(&context.meter, |meter| &meter.clients);
    drop(held);
    let listed = context.roster.enter(peer, Instant::now());
    context.meter.admitted.add(1);
    context.observer.record(|| Event::ProxyAdmit { proxy: context.id, peer });
    let Accepted { session, asked, subprotocol } = accepted;
    let symbols = fanout::routed(&config, &asked.target);
    let net = context.net.clone();
    // Each kind of client is a task of its own size, and what is let go at its end stands in it once.
    let left = move |()| drop((client, address, listed));
    match introduction {
        None => {
            let served = fanout::serve_client(context, shard, session, peer, symbols, subprotocol.is_some());
            net.spawn_on(shard, "client", served.map(left));
        }
        Some(introduction) => {
            let served = relay::serve_client(context, session, peer, introduction, first);
            net.spawn_on(shard, "client", served.map(left));
        }
    }
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
enum NoHandshake {
    #[error("TLS: {0}")]
    Tls(std::io::Error),
    #[error("{0}")]
    WebSocket(#[from] ws::Error),
}

impl NoHandshake {
    fn why(&self) -> Why {
        match self {
            Self::Tls(error) if error.kind() == std::io::ErrorKind::InvalidData => Why::Protocol,
            // We are full, or drain.
            Self::WebSocket(ws::Error::Http(answer)) if answer.status().as_u16() == 503 => Why::Admission,
            Self::WebSocket(error) if !ws::is_disconnect(error) => Why::Protocol,
            _ => Why::Reset,
        }
    }
}

/// Whether a handshake with this `Origin` is let in. See [`Config::origins`](crate::Config::origins).
fn origin_may_pass(allowed: &[String], origin: Option<&str>) -> bool {
    match origin {
        Some(origin) if !allowed.is_empty() => allowed.iter().any(|it| it.eq_ignore_ascii_case(origin)),
        _ => true,
    }
}

/// Says no without building a session.
async fn refuse<S: ByteStream>(stream: S, why: Refusal, retry_after_s: u32) -> Result<(), ws::Error> {
    let (status, reason) = match why {
        Refusal::Full => (503, "too many clients: try again later\n"),
        Refusal::Address => (429, "too many connections from your address: close some, or try again later\n"),
    };
    ws::refuse(stream, status, Some(retry_after_s), reason).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_pass_and_none_is_no_origin() {
        let allowed = ["https://app.example".to_owned()];
        assert!(origin_may_pass(&allowed, Some("https://APP.example")));
        assert!(origin_may_pass(&allowed, None), "not a browser");
        for origin in ["https://evil.example", "https://app.example.evil", "null", ""] {
            assert!(!origin_may_pass(&allowed, Some(origin)), "{origin}");
        }
        assert!(origin_may_pass(&[], Some("https://evil.example")), "nothing is listed");
    }
}
