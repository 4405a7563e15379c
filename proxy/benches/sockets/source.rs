//! Role: a v1 source, or a publisher in its place. It sends ticks of all its symbols in turn to whoever connects, at the pace that it is told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite;

use super::frames::{FRAME_LEN, PAYLOAD_LEN, QUIET, now_ns, stamp, tick};
use super::role::{Outcome, commands, say};

/// Ticks in one write when it goes as fast as it can.
const FLAT_OUT_TICKS: usize = 64;

/// What it is told: `pace BURSTS_PER_SECOND TICKS_PER_BURST`; 0 is silence, and no bound where the ticks are 0.
#[derive(Default)]
struct Pace {
    bursts_per_s: AtomicU64,
    ticks: AtomicU64,
}

fn told() -> Arc<Pace> {
    let pace = Arc::new(Pace::default());
    let told = Arc::clone(&pace);
    std::thread::spawn(move || {
        for line in commands() {
            let mut numbers = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok());
            told.bursts_per_s.store(numbers.next().unwrap_or(0), Relaxed);
            told.ticks.store(numbers.next().unwrap_or(0), Relaxed);
        }
    });
    pace
}

/// Serves any number of connections, one after the other, with ticks of so many bytes.
pub(crate) fn run(symbols: u32, payload_len: usize) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(format_args!("{}", listener.local_addr()?));
    let pace = told();
    loop {
        let (stream, _) = listener.accept()?;
        // The server may go at any time: the next one comes.
        if let Err(error) = serve(stream, symbols, payload_len, &pace) {
            eprintln!("source: {error}");
        }
    }
}

/// Publishes to a nats-server.
pub(crate) fn publish(server: &str, symbols: u32) -> Outcome<()> {
    let (stream, ticks) = super::nats::publish(server, symbols)?;
    say(format_args!("ready"));
    feed(stream, ticks, None, &told())
}

fn serve(stream: TcpStream, symbols: u32, payload_len: usize, pace: &Pace) -> Outcome<()> {
    stream.set_nodelay(true)?;
    let mut session = tungstenite::accept(stream)?;
    session.send(tungstenite::Message::text(wire::feed::GREETING))?;
    session.read()?;
    let stream = session.get_ref().try_clone()?;
    let mut said = session.get_ref().try_clone()?;
    // Later requests change nothing: it always sends all symbols.
    std::thread::spawn(move || while said.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {});
    let ticks = (0..symbols).map(|symbol| tick(symbol, payload_len)).collect();
    feed(stream, ticks, Some(tick(QUIET, PAYLOAD_LEN)), pace)
}

/// Sends ticks, each ready but for the instant, at the pace told. `quiet` is sent once a second in silence.
fn feed(mut stream: TcpStream, mut ticks: Vec<Vec<u8>>, mut quiet: Option<Vec<u8>>, pace: &Pace) -> Outcome<()> {
    let at = |tick: &[u8]| tick.iter().position(|byte| *byte == b'{').unwrap_or(0);
    let (mut turn, mut chunk) = (0, Vec::with_capacity(FLAT_OUT_TICKS * FRAME_LEN));
    let mut next = Instant::now();
    loop {
        let (bursts_per_s, count) = (pace.bursts_per_s.load(Relaxed), pace.ticks.load(Relaxed));
        chunk.clear();
        if bursts_per_s == 0 {
            if let Some(quiet) = &mut quiet {
                let at = at(quiet);
                stamp(&mut quiet[at..], now_ns());
                stream.write_all(quiet)?;
            }
            let until = Instant::now() + Duration::from_secs(1);
            while pace.bursts_per_s.load(Relaxed) == 0 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(2));
            }
            next = Instant::now();
            continue;
        }
        let flat_out = count == 0;
        if !flat_out {
            next += Duration::from_secs(1) / u32::try_from(bursts_per_s).unwrap_or(u32::MAX);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let now = now_ns();
        for _ in 0..if flat_out { FLAT_OUT_TICKS } else { usize::try_from(count)? } {
            turn = (turn + 1) % ticks.len();
            let at = at(&ticks[turn]);
            stamp(&mut ticks[turn][at..], now);
            chunk.extend_from_slice(&ticks[turn]);
        }
        stream.write_all(&chunk)?;
    }
}
