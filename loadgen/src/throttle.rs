//! A reader of a given speed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::Reader;
use crate::mouth::{Mouth, Says};

/// What may be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    Bytes(usize),
    /// Nothing until then.
    Until(Instant),
    /// Nothing ever again.
    Never,
}

/// Decides how many bytes a reader may take. Pure: it is told the time.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    reader: Reader,
    began: Instant,
    /// Token bucket: millionths of a byte, and when they were last counted.
    credit: u64,
    counted: Instant,
}

/// The bucket of a paced reader: what it may read at once after a pause.
const BURST_BYTES: u64 = 4 << 10;
const MICRO: u64 = 1_000_000;

impl Gate {
    pub(crate) fn new(reader: Reader, now: Instant) -> Self {
        Self { reader, began: now, credit: 0, counted: now }
    }

    pub(crate) fn allow(&mut self, now: Instant) -> Allowed {
        match self.reader {
            Reader::Full => Allowed::Bytes(usize::MAX),
            Reader::Stopped { after } => {
                if now.duration_since(self.began) < after {
                    Allowed::Bytes(usize::MAX)
                } else {
                    Allowed::Never
                }
            }
            Reader::Pause { after, for_ } => {
                let elapsed = now.duration_since(self.began);
                if elapsed < after || elapsed >= after.saturating_add(for_) {
                    Allowed::Bytes(usize::MAX)
                } else {
                    Allowed::Until(self.began + after + for_)
                }
            }
            Reader::BytesPerSecond(rate) => {
                let rate = rate.max(1);
                let passed = u64::try_from(now.duration_since(self.counted).as_micros()).unwrap_or(u64::MAX);
                // Whole microseconds are counted; the rest stays for the next time.
                self.counted += Duration::from_micros(passed);
                self.credit = self.credit.saturating_add(passed.saturating_mul(rate)).min(BURST_BYTES * MICRO);
                match usize::try_from(self.credit / MICRO).unwrap_or(usize::MAX) {
                    0 => Allowed::Until(now + Duration::from_micros((MICRO - self.credit).div_ceil(rate))),
                    bytes => Allowed::Bytes(bytes),
                }
            }
        }
    }

    pub(crate) fn took(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub((bytes as u64).saturating_mul(MICRO));
    }
}

/// A stream that is read through a gate, and written to as its client speaks.
#[derive(Debug)]
pub(crate) struct Throttled<S> {
    inner: S,
    /// None: full speed, at no cost.
    gate: Option<(Gate, Pin<Box<Sleep>>)>,
    /// None: all is written as it comes, at no cost.
    mouth: Option<Box<Mouth>>,
}

impl<S> Throttled<S> {
    pub(crate) fn new(inner: S, reader: Reader) -> Self {
        let now = Instant::now();
        let gate = (reader != Reader::Full).then(|| (Gate::new(reader, now), Box::pin(sleep_until(now))));
        Self { inner, gate, mouth: None }
    }

    /// And whose writes go through this.
    pub(crate) fn speaking(mut self, mouth: Option<Box<Mouth>>) -> Self {
        self.mouth = mouth;
        self
    }

    /// The handshake is over.
    pub(crate) fn opened(&mut self) {
        if let Some(mouth) = &mut self.mouth {
            mouth.opened();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Throttled<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some((gate, sleep)) = &mut this.gate else { return Pin::new(&mut this.inner).poll_read(cx, buf) };
        loop {
            match gate.allow(Instant::now()) {
                Allowed::Never => return Poll::Pending,
                Allowed::Until(then) => {
                    sleep.as_mut().reset(then);
                    ready!(sleep.as_mut().poll(cx));
                }
                Allowed::Bytes(bytes) => {
                    let mut part = ReadBuf::new(buf.initialize_unfilled_to(bytes.min(buf.remaining())));
                    let polled = Pin::new(&mut this.inner).poll_read(cx, &mut part);
                    let taken = part.filled().len();
                    buf.advance(taken);
                    gate.took(taken);
                    // A reader that waits for bytes must still notice the instant at which it stops: the next read asks again.
                    return polled;
                }
            }
        }
    }
}

/// Waits for the peer to end the connection; what it says before is lost on who does not listen.
fn poll_end<S: AsyncRead + Unpin>(stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Error> {
    loop {
        let mut chunk = [0; 64];
        let mut chunk = ReadBuf::new(&mut chunk);
        match ready!(Pin::new(&mut *stream).poll_read(cx, &mut chunk)) {
            Ok(()) if chunk.filled().is_empty() => return Poll::Ready(io::ErrorKind::UnexpectedEof.into()),
            Ok(()) => {}
            Err(error) => return Poll::Ready(error),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Throttled<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(mouth) = this.mouth.as_mut().filter(|_| !buf.is_empty()) else {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        };
        let Poll::Ready(says) = mouth.poll(cx, buf) else {
            return if mouth.is_stuck() { poll_end(&mut this.inner, cx).map(Err) } else { Poll::Pending };
        };
        let written = match says {
            Says::Bytes(bytes) => ready!(Pin::new(&mut this.inner).poll_write(cx, &buf[..bytes]))?,
            Says::Swallows(bytes) => bytes,
        };
        mouth.said(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.mouth.is_some() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
            return self.poll_write(cx, first);
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    proptest! {
        #[test]
        fn a_paced_reader_never_passes_its_rate(rate in 1_u64..5_000_000, waits in proptest::collection::vec(0_u64..5_000_000, 1..50)) {
            let began = Instant::now();
            let mut gate = Gate::new(Reader::BytesPerSecond(rate), began);
            let (mut now, mut taken) = (began, 0_u64);
            for wait in waits {
                now += Duration::from_micros(wait);
                match gate.allow(now) {
                    Allowed::Bytes(bytes) => {
                        gate.took(bytes);
                        taken += bytes as u64;
                    }
                    Allowed::Until(then) => {
                        prop_assert!(then > now);
                        prop_assert!(matches!(gate.allow(then), Allowed::Bytes(_)));
                        now = then;
                    }
                    Allowed::Never => prop_assert!(false, "a paced reader never stops"),
                }
                let elapsed = now.duration_since(began).as_micros();
                prop_assert!(u128::from(taken) <= elapsed * u128::from(rate) / 1_000_000);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_read_at_the_rate_in_virtual_time() {
        let bytes = vec![7_u8; 10_000];
        let mut stream = Throttled::new(&bytes[..], Reader::BytesPerSecond(1_000));
        let began = Instant::now();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, bytes);
        let took = began.elapsed().as_secs_f64();
        assert!((10.0..10.2).contains(&took), "{took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_stream_goes_on_and_a_stopped_one_does_not() {
        let bytes = [7_u8; 10];
        let began = Instant::now();
        let pause = Reader::Pause { after: Duration::ZERO, for_: Duration::from_secs(5) };
        let mut read = [0; 10];
        Throttled::new(&bytes[..], pause).read_exact(&mut read).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        let mut stopped = Throttled::new(&bytes[..], Reader::Stopped { after: Duration::ZERO });
        assert!(tokio::time::timeout(Duration::from_secs(3_600), stopped.read(&mut read)).await.is_err());
    }
}
