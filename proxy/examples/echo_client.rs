//! An echo client in front of a fuzzing server: what `.ci/conformance` drives through the proxy, and without it.
//!
//! ```text
//! echo_client ws://HOST:PORT AGENT
//! ```
//!
//! Speaks the paths of the Autobahn test suite: asks `/getCaseCount`, sends back every message of `/runCase?case=N&agent=AGENT` until it is closed, and asks
//! for the reports at `/updateReports`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::close;
use wire::net::{Network, SocketOptions, TokioNet, TokioStream};
use wire::ws::{self, Ask, CloseFrame, Error, Limits, Message, Session};

/// No case takes longer; the suite's own patience is shorter.
const CASE_TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(target), Some(agent)) = (args.next(), args.next()) else {
        return Err("usage: echo_client ws://HOST:PORT AGENT".into());
    };
    let mut session = open(&format!("{target}/getCaseCount")).await?;
    let count = loop {
        match session.next().await.ok_or("the server closed before it said how many cases there are")?? {
            Message::Text(text) => break text.as_str().parse::<u32>()?,
            _ => continue,
        }
    };
    drop(session);
    for case in 1..=count {
        let url = format!("{target}/runCase?case={case}&agent={agent}");
        match tokio::time::timeout(CASE_TIMEOUT, async { echo(open(&url).await?).await }).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("case {case}: {error}"),
            Err(_) => eprintln!("case {case}: not over after {CASE_TIMEOUT:?}"),
        }
    }
    let mut session = open(&format!("{target}/updateReports?agent={agent}")).await?;
    while let Some(Ok(_)) = session.next().await {}
    println!("{count} cases");
    Ok(())
}

async fn open(url: &str) -> Result<Session<TokioStream>, Box<dyn std::error::Error>> {
    let addr = url.trim_start_matches("ws://").split('/').next().unwrap_or_default().parse()?;
    let options = SocketOptions { nodelay: Some(true), ..SocketOptions::default() };
    let stream = TokioNet::current().connect(addr, options).await?;
    // As large as the suite's largest message outside of its performance cases.
    let limits = Limits { message_max: 1 << 20, ..Limits::default() };
    Ok(ws::connect(stream, &Ask { url: url.to_owned(), ..Ask::default() }, limits).await?.session)
}

/// Sends every message back until the session is closed, by either side.
async fn echo(mut session: Session<TokioStream>) -> Result<(), Box<dyn std::error::Error>> {
    let code = loop {
        match session.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => session.send(message).await?,
            Some(Ok(_)) => {}
            None => return Ok(()),
            Some(Err(error)) if ws::is_disconnect(&error) => return Ok(()),
            Some(Err(Error::Utf8(_))) => break close::INVALID_PAYLOAD,
            Some(Err(Error::Capacity(_))) => break close::MESSAGE_TOO_BIG,
            Some(Err(_)) => break close::PROTOCOL_ERROR,
        }
    };
    let _ = session.send(Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await;
    // Closing over unread bytes would reset the connection, and the Close frame with it.
    let mut stream = session.into_inner();
    let _ = stream.shutdown().await;
    let mut chunk = [0; 4096];
    while stream.read(&mut chunk).await.is_ok_and(|n| n > 0) {}
    Ok(())
}
