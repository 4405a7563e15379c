//! The admin address: what is going on, and a hand on it. [`ROUTES`] are all there is.
//!
//! One small request a connection, read under a deadline and a bound, answered and closed. Whoever reaches this address may drain the proxy, unless `admin_token` is
//! set: bind it where only operators do.

mod pages;
mod request;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::close;
use wire::id::SourceId;
use wire::net::{ByteStream, Listener, Network};

use self::request::{BadRequest, Request};
use crate::config::WEIGHT_MAX;
use crate::context::Context;
use crate::lock::lock;
use crate::metrics;

/// Requests served at once; more are cut off.
const CONNECTIONS_MAX: usize = 32;
/// The most clients on one page.
const PAGE_MAX: u16 = 1000;
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
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        match Request::parse(&head) {
            Ok(None) => {}
            Ok(Some(request)) => break answer(context, &request),
            Err(error) => {
                break Answer::text(if error == BadRequest::TooLarge { 431 } else { 400 }, format!("{error}\n"));
            }
        }
    };
    stream.write_all(answer.encode().as_bytes()).await?;
    stream.shutdown().await?;
    // Unread bytes at close would reset the connection, and the answer with it.
    let mut rest = [0; 512];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// What is sent back.
struct Answer {
    status: u16,
    kind: &'static str,
    /// The method that would have been right, with 405.
    allow: Option<&'static str>,
    body: String,
}

impl Answer {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", allow: None, body: body.into() }
    }

    fn json(value: &serde_json::Value) -> Self {
        Self { kind: "application/json", ..Self::text(200, format!("{value}\n")) }
    }

    fn encode(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            202 => "Accepted",
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            405 => "Method Not Allowed",
            409 => "Conflict",
            422 => "Unprocessable Content",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let hint = match (self.status, self.allow) {
            (401, _) => "WWW-Authenticate: Bearer\r\n".to_owned(),
            (_, Some(method)) => format!("Allow: {method}\r\n"),
            (_, None) => String::new(),
        };
        format!(
            "HTTP/1.1 {} {reason}\r\n{hint}Content-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
            self.status,
            self.kind,
            self.body.len(),
            self.body
        )
    }
}

/// What can be asked for.
const ROUTES: &str = "GET /metrics /healthz /readyz /upstreams /clients /config, POST /drain /reload /upstreams/N/drain /upstreams/N/undrain \
                      /upstreams/N/weight, DELETE /clients/PEER";

fn answer<N: Network>(context: &Context<N>, request: &Request) -> Answer {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let method = match path[..] {
        ["metrics" | "healthz" | "readyz" | "upstreams" | "clients" | "config"] => "GET",
        ["drain" | "reload"] | ["upstreams", _, "drain" | "undrain" | "weight"] => "POST",
        ["clients", _] => "DELETE",
        _ => return Answer::text(404, format!("there are {ROUTES}\n")),
    };
    if request.method != method {
        let body = format!("expected {method}; there are {ROUTES}\n");
        return Answer { allow: Some(method), ..Answer::text(405, body) };
    }
    if let Some(token) = &context.config().admin_token
        && !["healthz", "readyz"].contains(&path[0])
        && !bool::from(token.is(request.token.as_deref().unwrap_or_default()))
    {
        return Answer::text(401, "expected the header Authorization: Bearer with the admin token\n");
    }
    let answered = match path[..] {
        ["metrics"] => Ok(Answer {
            kind: "text/plain; version=0.0.4; charset=utf-8",
            ..Answer::text(200, metrics::render(context))
        }),
        ["healthz"] => Ok(Answer::text(200, "ok\n")),
        ["readyz"] => Ok(match unready(context) {
            None => Answer::text(200, "ready\n"),
            Some(why) => Answer::text(503, format!("{why}\n")),
        }),
        ["upstreams"] => Ok(Answer::json(&pages::upstreams(context))),
        ["config"] => Ok(Answer::json(&pages::config(context))),
        ["clients"] => list(context, request),
        ["clients", peer] => dismiss(context, peer, request),
        ["drain"] => {
            let first = context.drain.ask();
            Ok(Answer::text(202, if first { "draining\n" } else { "draining already\n" }))
        }
        ["reload"] => match context.reload() {
            Ok(changes) if changes.is_empty() => Ok(Answer::text(200, "nothing changed\n")),
            Ok(changes) => {
                Ok(Answer::text(200, changes.iter().map(|changed| format!("{changed}\n")).collect::<String>()))
            }
            Err(error) => Ok(Answer::text(422, format!("{error}\n"))),
        },
        [_, source, what] => instance(context, source, what, request),
        _ => Err(Answer::text(404, "there is nothing here\n")),
    };
    answered.unwrap_or_else(|refused| refused)
}

/// A number in a range, from the query.
fn number(request: &Request, name: &str, default: Option<u16>, range: RangeInclusive<u16>) -> Result<u16, Answer> {
    let number = match request.value(name) {
        None => default,
        Some(text) => text.parse().ok(),
    };
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        Answer::text(422, format!("expected ?{name}= a number from {} to {}\n", range.start(), range.end()))
    })
}

fn list<N: Network>(context: &Context<N>, request: &Request) -> Result<Answer, Answer> {
    let limit = number(request, "limit", Some(100), 1..=PAGE_MAX)?;
    let after = match request.value("after") {
        None => None,
        Some(text) => Some(address(text)?),
    };
    Ok(Answer::json(&pages::clients(context, after, usize::from(limit))))
}

fn address(text: &str) -> Result<SocketAddr, Answer> {
    text.parse().map_err(|_| Answer::text(422, "expected a client's address, as /clients shows it\n"))
}

fn dismiss<N: Network>(context: &Context<N>, peer: &str, request: &Request) -> Result<Answer, Answer> {
    let peer = address(peer)?;
    let code = number(request, "code", Some(close::POLICY_VIOLATION), 1000..=4999)?;
    if !close::is_lawful(code) {
        return Err(Answer::text(422, format!("{code} may stand in no Close frame\n")));
    }
    if !context.roster.dismiss(peer, code) {
        return Err(Answer::text(404, format!("no client has the address {peer}\n")));
    }
    tracing::info!(client = %peer, code, "client sent away on the admin address");
    Ok(Answer::text(202, format!("closing {peer} with {code}\n")))
}

fn instance<N: Network>(context: &Context<N>, source: &str, what: &str, request: &Request) -> Result<Answer, Answer> {
    let states = lock(&context.pool).states();
    let state = source.parse().ok().and_then(|number| states.iter().find(|state| state.source == SourceId(number)));
    let Some(source) = state.filter(|state| !state.leaving).map(|state| state.source) else {
        return Err(Answer::text(404, format!("there is no upstream {source}: see /upstreams\n")));
    };
    let said = match what {
        "weight" => {
            let weight = number(request, "value", None, 1..=WEIGHT_MAX)?;
            lock(&context.pool).weigh(source, weight);
            format!("upstream {} has the weight {weight} until the next reload\n", source.0)
        }
        "undrain" => {
            lock(&context.pool).hold(source, false);
            format!("upstream {} is used again\n", source.0)
        }
        _ => {
            if !states.iter().any(|it| it.source != source && !it.held && !it.leaving) {
                return Err(Answer::text(409, format!("upstream {} is the last one in use\n", source.0)));
            }
            lock(&context.pool).hold(source, true);
            format!("upstream {} gets no new connections\n", source.0)
        }
    };
    tracing::info!(source = source.0, what, "instance changed on the admin address");
    context.reloaded.notify_waiters();
    Ok(Answer::text(200, said))
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
