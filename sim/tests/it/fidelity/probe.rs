//! What a probe is: two programs that say what they saw. The same words in every world make an equal cell.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use wire::net::Network;

use crate::contract::pairs::meeting::Meeting;

/// The step at which the client's program has ended.
pub(crate) const END: u32 = u32::MAX;

/// Where a probe may see something else than on a kernel's loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    Sim,
    Turmoil,
}

/// One question to a network. `serve` runs on one host and `call` on the other; what they say, in this order, is the observation.
pub(crate) trait Probe: 'static {
    /// The row's title.
    const ASKS: &'static str;
    /// Why a world sees something else. A difference that is not explained fails; so does an explanation of none.
    const DIFFERS: &'static [(World, &'static str)] = &[];

    /// The server's program. By itself it takes one connection and holds it until the client has ended.
    fn serve<N: Network>(net: N, meeting: Meeting) -> impl Future<Output = String> + Send {
        async move {
            let _held = meeting.accept(&net).await;
            meeting.until(END).await;
            String::new()
        }
    }

    /// The client's program.
    fn call<N: Network>(net: N, meeting: Meeting) -> impl Future<Output = String> + Send;
}

/// What a program saw, line by line.
#[derive(Default)]
pub(crate) struct Seen(String);

impl Seen {
    pub(crate) fn add(&mut self, what: &str, result: impl AsRef<str>) {
        let gap = if self.0.is_empty() { "" } else { "; " };
        let _ = write!(self.0, "{gap}{what}: {}", result.as_ref());
    }

    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// "ok" or the kind of the error.
pub(crate) fn done<T>(result: io::Result<T>) -> String {
    result.map_or_else(|error| format!("{:?}", error.kind()), |_| "ok".to_owned())
}

/// How many bytes, or the kind of the error. No bytes are the end.
pub(crate) fn bytes(result: io::Result<usize>) -> String {
    match result {
        Ok(0) => "end".to_owned(),
        Ok(n) => format!("{n} bytes"),
        Err(error) => format!("{:?}", error.kind()),
    }
}

pub(crate) fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// One second is for ever on a loopback and in a simulated network of 500 us.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(1), future).await.ok()
}

/// As [`bytes`], or "waits".
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), most: usize) -> String {
    let mut into = vec![0; most];
    soon(stream.read(&mut into)).await.map_or_else(|| "waits".to_owned(), bytes)
}

/// As [`done`], or "waits".
pub(crate) async fn write(stream: &mut (impl tokio::io::AsyncWrite + Unpin), data: &[u8]) -> String {
    soon(stream.write(data)).await.map_or_else(|| "waits".to_owned(), done)
}

/// Everything up to the end or an error: how much, and which of both.
pub(crate) async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> (usize, String) {
    let mut total = 0;
    let mut into = vec![0; 4096];
    loop {
        match soon(stream.read(&mut into)).await {
            None => return (total, "waits".to_owned()),
            Some(Ok(0)) => return (total, "end".to_owned()),
            Some(Ok(n)) => total += n,
            Some(Err(error)) => return (total, format!("{:?}", error.kind())),
        }
    }
}

/// Long enough for what is on the way to arrive: a loopback hands over at once, a simulated link takes half a millisecond.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
