//! One connection of a relay: two pumps, and what ends them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use wire::draw::Draws;
use wire::net::{Network as _, TokioNet, TokioStream};

use super::Link;
use super::toxic::{Carried, Cut, Way};

/// Bytes that a pump holds: beyond, its sender's kernel holds them, and then the sender waits.
const HELD_MAX: usize = 1 << 20;
const CHUNK: usize = 16 << 10;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Both directions are over, or it was closed on its way.
    Closed,
    /// It broke, or was reset on its way.
    Reset,
}

/// A connection that has ended.
pub(super) struct Pumped {
    pub(super) near: TokioStream,
    pub(super) far: TokioStream,
    pub(super) ended: Ended,
}

/// Pumps both ways until the connection ends.
pub(super) async fn both(
    net: &TokioNet,
    link: &Arc<Link>,
    near: TokioStream,
    far: TokioStream,
    opened: Instant,
) -> Pumped {
    let entity = far_entity(&far);
    let (mut near_read, mut near_write) = split(near);
    let (mut far_read, mut far_write) = split(far);
    let up = Pump::new(link, Way::Up, opened, net.draws("relay up", entity));
    let down = Pump::new(link, Way::Down, opened, net.draws("relay down", entity));
    let ended = {
        let both = async {
            // A half-close is carried over: the other way goes on.
            let (up, down) =
                tokio::join!(up.run(&mut near_read, &mut far_write), down.run(&mut far_read, &mut near_write));
            up.and(down)
        };
        tokio::pin!(both);
        wire::select! {
            cut = cut(link, opened, [&up.carried, &down.carried]) => cut,
            ended = &mut both => if ended.is_ok() { Ended::Closed } else { Ended::Reset },
        }
    };
    Pumped { near: near_read.unsplit(near_write), far: far_read.unsplit(far_write), ended }
}

/// What keys a connection's draws.
fn far_entity(far: &TokioStream) -> u64 {
    use wire::net::ByteStream as _;
    far.local_addr().map_or(0, |addr| u64::from(addr.port()))
}

/// Waits until a fault ends the connection.
async fn cut(link: &Link, opened: Instant, carried: [&Mutex<Carried>; 2]) -> Ended {
    let next = |state: &mut super::State| {
        let of = |way: Way, carried: &Mutex<Carried>| {
            state.cut(way, opened, &mut carried.lock().unwrap_or_else(PoisonError::into_inner))
        };
        of(Way::Up, carried[0]).or_else(|| of(Way::Down, carried[1]))
    };
    loop {
        match link.until(next).await {
            Cut::Reset => return Ended::Reset,
            Cut::Close(at) => {
                let lifted = link.until(|state| next(state).is_none().then_some(()));
                wire::select! {
                    () = lifted => {}
                    () = sleep_until(at) => return Ended::Closed,
                }
            }
        }
    }
}

/// One direction.
struct Pump<'a> {
    link: &'a Link,
    way: Way,
    opened: Instant,
    draws: Mutex<Draws>,
    carried: Mutex<Carried>,
    held: Mutex<Held>,
    /// Rings when something was put in or taken out.
    moved: Notify,
}

/// What comes next.
enum Chunk {
    Bytes(Vec<u8>),
    End,
    /// The connection broke, after what was before.
    Broken(std::io::Error),
}

/// What is on its way.
#[derive(Default)]
struct Held {
    /// In order, each with the instant at which it may go on.
    chunks: VecDeque<(Instant, Chunk)>,
    bytes: usize,
    last: Option<Instant>,
}

impl Held {
    fn put(&mut self, due: Instant, chunk: Chunk) {
        // A stream keeps its order, whatever is drawn.
        let due = self.last.map_or(due, |last| last.max(due));
        self.last = Some(due);
        if let Chunk::Bytes(bytes) = &chunk {
            self.bytes += bytes.len();
        }
        self.chunks.push_back((due, chunk));
    }
}

impl<'a> Pump<'a> {
    fn new(link: &'a Link, way: Way, opened: Instant, draws: Draws) -> Self {
        let (draws, carried, held) = (Mutex::new(draws), Mutex::default(), Mutex::default());
        Self { link, way, opened, draws, carried, held, moved: Notify::new() }
    }

    /// Until the end of the stream has been passed on. An error: the connection broke.
    async fn run(&self, from: &mut ReadHalf<TokioStream>, to: &mut WriteHalf<TokioStream>) -> std::io::Result<()> {
        tokio::try_join!(self.take(from), self.give(to)).map(|_| ())
    }

    /// Waits until `is` holds of what is held.
    async fn held<T>(&self, mut is: impl FnMut(&mut Held) -> Option<T>) -> T {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if let Some(found) = is(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner)) {
                return found;
            }
            moved.await;
        }
    }

    fn draws(&self) -> MutexGuard<'_, Draws> {
        self.draws.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, and says when each chunk may go on.
    async fn take(&self, from: &mut ReadHalf<TokioStream>) -> std::io::Result<()> {
        loop {
            self.held(|held| (held.bytes < HELD_MAX).then_some(())).await;
            let mut bytes = vec![0; CHUNK];
            let read = from.read(&mut bytes).await;
            let now = Instant::now();
            let (due, chunk) = match read {
                Ok(0) => (now + self.link.state().slow_close(self.way), Chunk::End),
                Ok(n) => {
                    bytes.truncate(n);
                    (self.link.state().due(self.way, n, now, &mut self.draws()), Chunk::Bytes(bytes))
                }
                Err(error) => (now, Chunk::Broken(error)),
            };
            let over = !matches!(chunk, Chunk::Bytes(_));
            self.held.lock().unwrap_or_else(PoisonError::into_inner).put(due, chunk);
            self.moved.notify_waiters();
            if over {
                return Ok(());
            }
        }
    }

    /// Passes on what is due.
    async fn give(&self, to: &mut WriteHalf<TokioStream>) -> std::io::Result<()> {
        loop {
            let (due, chunk) = self.held(|held| held.chunks.pop_front()).await;
            sleep_until(due).await;
            self.link.until(|state| (!state.holds(self.way)).then_some(())).await;
            let bytes = match chunk {
                Chunk::End => return to.shutdown().await,
                Chunk::Broken(error) => return Err(error),
                Chunk::Bytes(bytes) => bytes,
            };
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let pieces = self.link.state().pieces(self.way, &mut self.draws());
                let (size, pause) = pieces.unwrap_or((rest.len(), Duration::ZERO));
                let (piece, later) = rest.split_at(size.min(rest.len()));
                to.write_all(piece).await?;
                rest = later;
                if !pause.is_zero() {
                    sleep(pause).await;
                }
            }
            self.held.lock().unwrap_or_else(PoisonError::into_inner).bytes -= bytes.len();
            self.moved.notify_waiters();
            let cut = {
                let state = self.link.state();
                let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
                // It is asked for before, too: bytes count from when a fault is first met.
                let before = state.cut(self.way, self.opened, &mut carried);
                carried.add(bytes.len());
                before.or_else(|| state.cut(self.way, self.opened, &mut carried))
            };
            if cut.is_some() {
                // Who watches over the connection ends it.
                self.link.changed.notify_waiters();
            }
        }
    }
}
