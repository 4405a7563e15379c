//! The admin address: `/metrics`, `/healthz`, `/readyz`, `/upstreams`, `POST /drain`, `POST /reload`.
//!
//! One small request a connection, read under a deadline and a bound, answered and closed. Whoever reaches this address may drain the proxy: bind it where only
//! operators do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{ByteStream, Listener, Network};

use crate::context::Context;
use crate::lock::lock;
use crate::metrics;

/// Requests served at once; more are cut off.
const CONNECTIONS_MAX: usize = 32;
/// The longest request head, in bytes.
const HEAD_MAX: usize = 8 << 10;
/// From accept to the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Serves the admin address for as long as the proxy lives.
pub(crate) async fn run<N: Network>(context: Arc<Context<N>>, listener: N::Listener) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(context.config().limits.accept_pause).await;
            continue;
        };
        if open.load(Relaxed) >= CONNECTIONS_MAX {
            stream.abort();
            continue;
        }
        open.fetch_add(1, Relaxed);
        let (net, context, open) = (context.net.clone(), Arc::clone(&context), Arc::clone(&open));
        net.spawn("admin-request", async move {
            let _ = tokio::time::timeout(DEADLINE, serve(&context, stream)).await;
            open.fetch_sub(1, Relaxed);
        });
    }
}

async fn serve<N: Network>(context: &Context<N>, mut stream: N::Stream) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    let answer = loop {
        if head.len() > HEAD_MAX {
            break Answer::text(431, "request head too large\n");
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        match parse(&head) {
            Ok(None) => {}
            Ok(Some((method, path))) => break answer(context, &method, &path),
            Err(error) => break Answer::text(400, format!("{error}\n")),
        }
    };
    stream.write_all(answer.encode().as_bytes()).await?;
    stream.shutdown().await?;
    // Unread bytes at close would reset the connection, and the answer with it.
    let mut rest = [0; 512];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Method and path, once the head is whole.
fn parse(head: &[u8]) -> Result<Option<(String, String)>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    if request.parse(head)?.is_partial() {
        return Ok(None);
    }
    let path = request.path.unwrap_or("/").split('?').next().unwrap_or("/");
    Ok(Some((request.method.unwrap_or("").to_owned(), path.to_owned())))
}

struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: body.into() }
    }

    fn encode(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            202 => "Accepted",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            422 => "Unprocessable Content",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
            self.status,
            self.kind,
            self.body.len(),
            self.body
        )
    }
}

fn answer<N: Network>(context: &Context<N>, method: &str, path: &str) -> Answer {
    match (method, path) {
        ("GET", "/metrics") => {
            Answer { status: 200, kind: "text/plain; version=0.0.4; charset=utf-8", body: metrics::render(context) }
        }
        ("GET", "/healthz") => Answer::text(200, "ok\n"),
        ("GET", "/readyz") => match unready(context) {
            None => Answer::text(200, "ready\n"),
            Some(why) => Answer::text(503, format!("{why}\n")),
        },
        ("GET", "/upstreams") => Answer { status: 200, kind: "application/json", body: upstreams(context) },
        ("POST", "/drain") => {
            let first = context.drain.ask();
            Answer::text(202, if first { "draining\n" } else { "draining already\n" })
        }
        ("POST", "/reload") => match context.reload() {
            Ok(changes) if changes.is_empty() => Answer::text(200, "nothing changed\n"),
            Ok(changes) => Answer::text(200, changes.iter().map(|changed| format!("{changed}\n")).collect::<String>()),
            Err(error) => Answer::text(422, format!("{error}\n")),
        },
        (_, "/metrics" | "/healthz" | "/readyz" | "/upstreams" | "/drain" | "/reload") => {
            Answer::text(405, "GET /metrics, /healthz, /readyz, /upstreams; POST /drain, /reload\n")
        }
        _ => Answer::text(404, "there are /metrics, /healthz, /readyz, /upstreams, POST /drain, /reload\n"),
    }
}

/// Why no client should be sent here now.
fn unready<N: Network>(context: &Context<N>) -> Option<&'static str> {
    if context.drain.is_asked() || context.stop.is_cancelled() {
        Some("draining")
    } else if context.is_fanout() && context.meter.legs.get() == 0 {
        Some("no upstream leg")
    } else if !lock(&context.pool).any_healthy() {
        Some("no healthy upstream")
    } else {
        None
    }
}

fn upstreams<N: Network>(context: &Context<N>) -> String {
    let now = tokio::time::Instant::now();
    let states = lock(&context.pool).states();
    let list: Vec<_> = states
        .into_iter()
        .map(|state| {
            serde_json::json!({
                "source": state.source.0,
                "url": state.upstream.shown(),
                "weight": state.upstream.weight,
                "leaving": state.leaving,
                "healthy": state.healthy,
                "ejected": state.ejected,
                "open": state.open.saturating_sub(state.dialing),
                "dialing": state.dialing,
                "failures": state.failures,
                "rests_ms": state.rests_until.map(|until| until.saturating_duration_since(now).as_millis() as u64),
            })
        })
        .collect();
    let mut text = serde_json::Value::Array(list).to_string();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_when_it_is_whole() {
        assert_eq!(parse(b"GET /metrics?x HTTP/1.1\r\n").unwrap(), None);
        let whole = parse(b"GET /metrics?x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().unwrap();
        assert_eq!(whole, ("GET".to_owned(), "/metrics".to_owned()));
        assert!(parse(b"\x00\x01nonsense\r\n\r\n").is_err());
    }
}
