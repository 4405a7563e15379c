//! Role: the yardstick. It does what any server must: one non-blocking write for each client and tick (or for eight ticks), of bytes that it need not make. It has no queue, no
//! limits, no timeouts, and serves only clients that are there from the start.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::frames::{FRAME_LEN, GREETING, is_quiet, read_head, request, upgrade};
use super::role::{Outcome, say};

/// Ticks in one write when they are joined.
const JOINED: usize = 8;

struct Client {
    stream: TcpStream,
    /// The rest of a write that the socket took in part: without it the client could read nothing that follows.
    rest: Vec<u8>,
}

impl Client {
    /// Writes as far as the socket takes it; what it takes nothing of is lost.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.rest.is_empty() {
            match self.stream.write(&self.rest) {
                Ok(n) if n < self.rest.len() => {
                    self.rest.drain(..n);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Ok(_) => self.rest.clear(),
                Err(error) => return Err(error),
            }
        }
        match self.stream.write(bytes) {
            Ok(n) => self.rest.extend_from_slice(&bytes[n..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Takes `count` clients, then connects to the source and hands out its ticks until the end of the input.
pub(crate) fn run(source: &str, count: usize, joined: bool) -> Outcome<()> {
    let listener = listen()?;
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        let stream = accept(&listener)?;
        stream.set_nonblocking(true)?;
        clients.push(Client { stream, rest: Vec::new() });
    }
    let mut source = TcpStream::connect(source)?;
    upgrade(&mut source)?;
    source.write_all(&request(1))?;
    let mut read = vec![0; 64 << 10];
    let mut have = 0;
    loop {
        let n = source.read(&mut read[have..])?;
        if n == 0 {
            return Ok(());
        }
        have += n;
        let whole = have / FRAME_LEN * FRAME_LEN;
        // A server's frame is the same for all: what the source sent is what the clients get.
        for bytes in read[..whole].chunks(if joined { JOINED * FRAME_LEN } else { FRAME_LEN }) {
            if is_quiet(bytes) {
                continue;
            }
            for client in &mut clients {
                client.write(bytes)?;
            }
        }
        read.copy_within(whole..have, 0);
        have -= whole;
    }
}

/// Takes clients one after the other, each until it says goodbye.
pub(crate) fn churn() -> Outcome<()> {
    let listener = listen()?;
    loop {
        let mut stream = accept(&listener)?;
        let mut goodbye = [0; 256];
        let n = stream.read(&mut goodbye)?;
        // Any answer does: the client reads until the end.
        stream.write_all(&goodbye[..n])?;
    }
}

/// Listens on a port that it says.
pub(crate) fn listen() -> Outcome<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(format_args!("{}", listener.local_addr()?));
    super::role::end_with_parent();
    Ok(listener)
}

/// The next client, upgraded and greeted.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (mut stream, _) = listener.accept()?;
    let head = read_head(&mut stream)?;
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.trim().as_bytes())
    );
    stream.write_all(&[answer.as_bytes(), GREETING].concat())?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
