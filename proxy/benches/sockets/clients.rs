//! Role: the clients. All drain what comes; every so many-th reads the time stamps, too.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::frames::{head_len, masked, now_ns, request, stamp_of, upgrade};
use super::nats;
use super::role::{self, Outcome, say};

/// Clients that read the time stamps.
const SAMPLED: usize = 20;

struct Client {
    stream: TcpStream,
    /// The beginning of a frame, of a client that reads.
    begun: Option<Vec<u8>>,
}

/// How a client is spoken to.
#[derive(Clone, Copy)]
pub(crate) enum Speech {
    WebSocket,
    Nats,
}

impl Speech {
    /// Bytes of a tick of so many on the wire, and those before its payload.
    fn lens(self, payload_len: usize) -> (usize, usize) {
        match self {
            Self::WebSocket => (head_len(payload_len) + payload_len, head_len(payload_len)),
            Self::Nats => (nats::MESSAGE_LEN, nats::HEADER_LEN),
        }
    }

    /// Bytes of what comes next, where as much of it is there as tells.
    fn next(self, begun: &[u8]) -> Option<usize> {
        match self {
            Self::WebSocket => match begun.get(1)? {
                126 => begun.get(2..4).map(|len| 4 + usize::from(u16::from_be_bytes([len[0], len[1]]))),
                len => Some(2 + usize::from(*len)),
            },
            Self::Nats => begun.first().map(|it| if *it == b'P' { nats::PING.len() } else { nats::MESSAGE_LEN }),
        }
    }

    fn connect(self, server: &str, symbols: u32) -> Outcome<TcpStream> {
        match self {
            Self::WebSocket => {
                let mut stream = TcpStream::connect(server)?;
                stream.set_read_timeout(Some(Duration::from_secs(20)))?;
                upgrade(&mut stream)?;
                stream.write_all(&request(symbols))?;
                Ok(stream)
            }
            Self::Nats => nats::subscribe(server, symbols),
        }
    }
}

/// Connects `count` clients that want so many symbols, of whose ticks each has so many bytes, and obeys: `count`, `stall N`, `churn AT_ONCE TIMES`.
pub(crate) fn run(speech: Speech, server: &str, count: usize, symbols: u32, payload_len: usize) -> Outcome<()> {
    let lens = speech.lens(payload_len);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut clients = Vec::with_capacity(count);
    for index in 0..count {
        let stream = speech.connect(server, symbols)?;
        stream.set_nonblocking(true)?;
        epoll::add(&poll, &stream, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
        let sampled = index % (count / SAMPLED).max(1) == 0;
        clients.push(Client { stream, begun: sampled.then(Vec::new) });
    }
    say(format_args!("ready"));
    let commands = role::orders();
    let mut ages = Histogram::<u64>::new_with_bounds(1, 120_000_000, 3)?;
    let mut bytes = 0_u64;
    let mut scratch = vec![0; 64 << 10];
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), Some(&Timespec { tv_sec: 0, tv_nsec: 5_000_000 }))?;
        for event in &events {
            let client = &mut clients[usize::try_from(event.data.u64())?];
            let n = match client.stream.read(&mut scratch) {
                Ok(0) => return Err("the server closed a client".into()),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            bytes += n as u64;
            if let Some(begun) = &mut client.begun {
                begun.extend_from_slice(&scratch[..n]);
                observe(speech, lens, begun, &mut ages)?;
            }
        }
        let Ok(line) = commands.try_recv() else { continue };
        let mut words = line.split_whitespace();
        let word = words.next().unwrap_or_default();
        let mut numbers = words.map_while(|word| word.parse::<usize>().ok());
        let number = numbers.next();
        match word {
            "count" => {
                let at = |quantile| ages.value_at_quantile(quantile);
                say(format_args!("{} {} {} {}", bytes / lens.0 as u64, ages.len(), at(0.5), at(0.99)));
                ages.reset();
            }
            "stall" => {
                for client in clients.iter().take(number.unwrap_or(0)) {
                    epoll::delete(&poll, &client.stream)?;
                }
                say(format_args!("done"));
            }
            "churn" => {
                let times = numbers.next().unwrap_or(0);
                std::thread::scope(|scope| {
                    let comers: Vec<_> = (0..number.unwrap_or(0))
                        .map(|_| scope.spawn(move || (0..times).try_for_each(|_| come_and_go(server))))
                        .collect();
                    comers.into_iter().try_for_each(|comer| comer.join().unwrap_or(Ok(())))
                })?;
                say(format_args!("done"));
            }
            _ => return Err(format!("unknown command {line}").into()),
        }
    }
}

/// Takes whole messages off the front and counts the ages of ticks, in microseconds.
fn observe(speech: Speech, lens: (usize, usize), begun: &mut Vec<u8>, ages: &mut Histogram<u64>) -> Outcome<()> {
    let now = now_ns();
    let (tick_len, head_len) = lens;
    let mut at = 0;
    while let Some(len) = speech.next(&begun[at..])
        && let Some(message) = begun.get(at..at + len)
    {
        if len == tick_len {
            ages.saturating_record(now.saturating_sub(stamp_of(&message[head_len..])) / 1000);
        }
        at += len;
    }
    begun.drain(..at);
    if begun.len() > tick_len { Err("a message longer than a tick".into()) } else { Ok(()) }
}

/// Connect, upgrade, say goodbye.
fn come_and_go(server: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    upgrade(&mut stream)?;
    stream.write_all(&masked(8, &1000_u16.to_be_bytes()))?;
    while stream.read(&mut [0; 256])? > 0 {}
    Ok(())
}
