//! Times that follow from the wire alone: the closed form, our simulator, and the kernel over a wire of 20 ms each way.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use wire::net::{ListenOptions, Listener, Network, SocketOptions};

use super::probe::END;
use super::wire::{Hand, WireProbe};
use crate::contract::pairs::meeting::Meeting;

/// A time: what it should be, and how far a kernel may be above it.
pub(crate) trait Timed: WireProbe {
    /// Milliseconds, and the sum in words.
    const FORM: (f64, &'static str);
    /// The kernel's share above the form, and why. To it come 15 ms of a busy machine; the fastest of a few runs counts.
    const KERNEL: (f64, &'static str) = (0.25, "timers of whole milliseconds on the wire and in the runtime");
}

const SLOW: u64 = 8_000_000;

fn ms(since: Instant) -> String {
    format!("{:.3}", since.elapsed().as_secs_f64() * 1_000.0)
}

/// Answers each byte with a byte, on every connection.
async fn echo<N: Network>(net: N, meeting: Meeting) -> String {
    let listener = meeting.bind(&net, ListenOptions::default()).await;
    let serving = net.spawn("accept", {
        let net = net.clone();
        async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                drop(net.spawn("echo", async move {
                    let mut into = vec![0; 64 << 10];
                    while let Ok(n @ 1..) = stream.read(&mut into).await {
                        // An answer to whatever ends in a question mark.
                        if into[n - 1] == b'?' && stream.write_all(b"!").await.is_err() {
                            return;
                        }
                    }
                }));
            }
        }
    });
    meeting.until(END).await;
    serving.abort();
    String::new()
}

pub(crate) struct Handshake;
impl WireProbe for Handshake {
    const ASKS: &'static str = "a connect";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        echo(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, _: Hand) -> String {
        let addr = meeting.addr().await;
        let begun = Instant::now();
        let _stream = net.connect(addr, SocketOptions::default()).await.unwrap();
        ms(begun)
    }
}
impl Timed for Handshake {
    const FORM: (f64, &'static str) = (40.0, "one round trip");
}

pub(crate) struct Question;
impl WireProbe for Question {
    const ASKS: &'static str = "a question and its answer";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        echo(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, _: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        stream.write_all(b"?").await.unwrap();
        stream.read_u8().await.unwrap();
        ms(begun)
    }
}
impl Timed for Question {
    const FORM: (f64, &'static str) = (40.0, "one round trip");
}

pub(crate) struct Megabyte;
impl WireProbe for Megabyte {
    const ASKS: &'static str = "a million bytes at 8 Mbit/s, and an answer";
    const RATE: Option<u64> = Some(SLOW);
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        echo(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, _: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        let mut million = vec![b'.'; 1_000_000];
        million[999_999] = b'?';
        let begun = Instant::now();
        stream.write_all(&million).await.unwrap();
        stream.read_u8().await.unwrap();
        ms(begun)
    }
}
impl Timed for Megabyte {
    const FORM: (f64, &'static str) = (1_040.0, "8,000,000 bits at the rate, and a round trip");
    const KERNEL: (f64, &'static str) =
        (0.25, "headers take 3.5 % of the rate, slow start a few round trips; the simulator has neither");
}

pub(crate) struct TwoShare;
impl WireProbe for TwoShare {
    const ASKS: &'static str = "two connections with half a million bytes each, at once: when is the second done";
    const RATE: Option<u64> = Some(SLOW);
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        echo(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, _: Hand) -> String {
        let (mut one, mut two) = (meeting.connect(&net).await, meeting.connect(&net).await);
        let mut half = vec![b'.'; 500_000];
        half[499_999] = b'?';
        let begun = Instant::now();
        let first = async {
            one.write_all(&half).await.unwrap();
            one.read_u8().await.unwrap();
        };
        let second = async {
            two.write_all(&half).await.unwrap();
            two.read_u8().await.unwrap();
        };
        tokio::join!(first, second);
        ms(begun)
    }
}
impl Timed for TwoShare {
    const FORM: (f64, &'static str) = (1_040.0, "8,000,000 bits at the rate, and a round trip");
    const KERNEL: (f64, &'static str) =
        (0.25, "headers take 3.5 % of the rate, slow start a few round trips; the simulator has neither");
}

pub(crate) struct BehindAQueue;
impl WireProbe for BehindAQueue {
    const ASKS: &'static str = "a question behind ten bursts of 10,000 bytes on other connections, at 8 Mbit/s";
    const RATE: Option<u64> = Some(SLOW);
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        echo(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, _: Hand) -> String {
        let mut bursts = Vec::new();
        for _ in 0..10 {
            bursts.push(meeting.connect(&net).await);
        }
        let mut stream = meeting.connect(&net).await;
        sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        for burst in &mut bursts {
            burst.write_all(&[b'.'; 10_000]).await.unwrap();
        }
        stream.write_all(b"?").await.unwrap();
        stream.read_u8().await.unwrap();
        ms(begun)
    }
}
impl Timed for BehindAQueue {
    const FORM: (f64, &'static str) = (140.0, "100,000 bytes at the rate, and a round trip");
    const KERNEL: (f64, &'static str) = (0.25, "headers take 3.5 % of the rate");
}

pub(crate) struct WindowBound;
impl WireProbe for WindowBound {
    const ASKS: &'static str = "800,000 bytes through a window of 100,000, no limit of rate";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        let accepted = SocketOptions { recv_buffer: Some(100_000), ..SocketOptions::default() };
        let listener = meeting.bind(&net, ListenOptions { accepted, ..ListenOptions::default() }).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        // A read takes all of a window: after less, a kernel and the simulator keep back the news of the room (RFC 9293, silly window).
        let mut into = vec![0; 128 << 10];
        let mut total = 0;
        while total < 800_000 {
            total += stream.read(&mut into).await.unwrap();
        }
        stream.write_all(b"!").await.unwrap();
        meeting.until(END).await;
        String::new()
    }
    async fn call<N: Network>(net: N, meeting: Meeting, _: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        stream.write_all(&vec![b'.'; 800_000]).await.unwrap();
        stream.read_u8().await.unwrap();
        ms(begun)
    }
}
impl Timed for WindowBound {
    const FORM: (f64, &'static str) = (320.0, "eight windows, a round trip each");
    const KERNEL: (f64, &'static str) = (
        1.0,
        "slow start takes four round trips more; and what a receive buffer of n bytes makes a window is Linux's affair, between n and 2 n",
    );
}

pub(crate) struct LostSyn;
impl WireProbe for LostSyn {
    const ASKS: &'static str = "a connect whose first request is lost";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        echo(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let addr = meeting.addr().await;
        hand.cut(true);
        let begun = Instant::now();
        let heal = async {
            sleep(Duration::from_millis(300)).await;
            hand.cut(false);
        };
        let (stream, ()) = tokio::join!(net.connect(addr, SocketOptions::default()), heal);
        stream.unwrap();
        ms(begun)
    }
}
impl Timed for LostSyn {
    const FORM: (f64, &'static str) = (1_040.0, "a second, and a round trip");
}

pub(crate) struct LostBytes;
impl WireProbe for LostBytes {
    const ASKS: &'static str = "a question that is lost three times in an outage of 1.2 s, and its answer";
    async fn serve<N: Network>(net: N, meeting: Meeting) -> String {
        echo(net, meeting).await
    }
    async fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> String {
        let mut stream = meeting.connect(&net).await;
        sleep(Duration::from_millis(100)).await;
        hand.cut(true);
        let begun = Instant::now();
        stream.write_all(b"?").await.unwrap();
        sleep(Duration::from_millis(1_200)).await;
        hand.cut(false);
        stream.read_u8().await.unwrap();
        ms(begun)
    }
}
impl Timed for LostBytes {
    const FORM: (f64, &'static str) =
        (1_720.0, "tries after 240, 480 and 960 ms (200 ms and a round trip, doubled), then a round trip");
    const KERNEL: (f64, &'static str) =
        (0.25, "Linux first sends a probe after two round trips (tail loss probe, RFC 8985), and counts from there");
}
