//! Roles: nats-server as a peer, spoken to in its own protocol, where a message costs it least: a publisher in the place of the source, and subscribers in that of the clients.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use wire::id::Symbol;

use super::frames::{PAYLOAD_LEN, payload};
use super::role::{Outcome, say};

/// Bytes before the payload of a message that a subscriber gets: `MSG S0000 1 112` and the line's end.
pub(crate) const HEADER_LEN: usize = 17;

/// Bytes of such a message.
pub(crate) const MESSAGE_LEN: usize = HEADER_LEN + PAYLOAD_LEN + 2;

/// What the server sends now and then to see who lives.
pub(crate) const PING: &[u8] = b"PING\r\n";

/// Whether the server is on this machine.
pub(crate) fn is_here() -> bool {
    Command::new("nats-server").arg("--version").output().is_ok_and(|out| out.status.success())
}

/// Becomes the server, on a port that is free, for as long as the parent lives.
pub(crate) fn serve() -> Outcome<()> {
    let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    say(format_args!("{addr}"));
    let port = addr.port().to_string();
    Err(Command::new("nats-server").args(["--addr", "127.0.0.1", "--port", &port, "--log", "/dev/null"]).exec().into())
}

/// Connects, once the server is up.
fn connect(server: &str) -> Outcome<TcpStream> {
    let mut tries = 0;
    let mut stream = loop {
        match TcpStream::connect(server) {
            Ok(stream) => break stream,
            Err(error) if tries == 100 => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
        tries += 1;
    };
    stream.set_nodelay(true)?;
    let mut line = String::new();
    // The server says nothing more before it is spoken to.
    BufReader::with_capacity(4096, &stream).read_line(&mut line)?;
    if !line.starts_with("INFO") {
        return Err(format!("no nats-server: {line}").into());
    }
    stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")?;
    Ok(stream)
}

/// A subscriber to so many symbols.
pub(crate) fn subscribe(server: &str, symbols: u32) -> Outcome<TcpStream> {
    let mut stream = connect(server)?;
    let wishes: String = (0..symbols).map(|n| format!("SUB {} 1\r\n", Symbol::numbered(n))).collect();
    stream.write_all((wishes + "PING\r\n").as_bytes())?;
    // The answer says that the subscriptions stand.
    let mut pong = [0; 6];
    io::Read::read_exact(&mut stream, &mut pong)?;
    if &pong == b"PONG\r\n" { Ok(stream) } else { Err("no PONG".into()) }
}

/// A publisher, and what it says of each symbol.
pub(crate) fn publish(server: &str, symbols: u32) -> Outcome<(TcpStream, Vec<Vec<u8>>)> {
    let publications = (0..symbols).map(|n| {
        let head = format!("PUB {} {PAYLOAD_LEN}\r\n", Symbol::numbered(n));
        [head.as_bytes(), &payload(n, PAYLOAD_LEN), b"\r\n"].concat()
    });
    Ok((connect(server)?, publications.collect()))
}
