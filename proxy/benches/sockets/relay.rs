//! Case: the relay beside nginx. Connections with one echo outstanding each; what is compared is the CPU time of the process in the middle for each round trip.
//!
//! ```text
//!   core 0                     core 1                          core 0
//!   trips (100 clients) <----> relay, or nginx, <-----------> echo
//! ```

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::bare::{accept, listen};
use super::frames::{masked, upgrade};
use super::role::{self, Outcome, Place, Role, say};
use super::table::{Figure, Table};

/// Payload bytes of each message.
const PAYLOAD: [u8; 64] = [b'x'; 64];

/// A client's frame: two bytes, a mask, the payload. The mask of a proxy's leg is its own.
const ASKED_LEN: usize = 2 + 4 + PAYLOAD.len();

/// A server's frame.
const ANSWERED_LEN: usize = 2 + PAYLOAD.len();

const CONNECTIONS: usize = 100;

/// One repeat: nginx first where it is installed, then ours.
pub(crate) fn case(place: Place, window: Duration, table: &mut Table) -> Outcome<()> {
    let ours = cpu_us(place, &["relay"], window)?;
    table.figure(Figure::Relay, ours);
    let folder = tempfile::tempdir()?;
    let folder = folder.path().to_str().ok_or("a temporary folder without a name in UTF-8")?;
    match Command::new("nginx").arg("-v").output() {
        Err(_) => eprintln!("nginx not found: row skipped (Debian's package nginx-light has it)"),
        Ok(_) => {
            let nginx = cpu_us(place, &["nginx", folder], window)?;
            table.figure(Figure::RelayNginx, nginx);
            table.figure(Figure::RelayRatio, ours / nginx);
        }
    }
    Ok(())
}

/// CPU time of a server for a round trip through it.
fn cpu_us(place: Place, server: &[&str], window: Duration) -> Outcome<f64> {
    let mut echo = Role::start(place, false, &["echo"])?;
    let address = echo.line()?;
    let mut server = Role::start(place, true, &[server, &[address.as_str()]].concat())?;
    let said = server.line()?;
    let address = said.strip_prefix("proxy listening on ws://").unwrap_or(&said);
    let address = address.split_whitespace().next().unwrap_or_default();
    let mut trips = Role::start(place, false, &["trips", address])?;
    if trips.line()? != "ready" {
        return Err("the clients are not ready".into());
    }
    std::thread::sleep(Duration::from_secs(1));
    let (cpu, before) = (server.cpu_us()?, trips.ask("count")?.parse::<f64>()?);
    std::thread::sleep(window);
    let (cpu, after) = (server.cpu_us()? - cpu, trips.ask("count")?.parse::<f64>()?);
    for role in [&mut trips, &mut server, &mut echo] {
        role.kill();
    }
    if after > before { Ok(cpu / (after - before)) } else { Err("nothing came back".into()) }
}

/// Role: sends back what it gets, whoever comes.
pub(crate) fn echo() -> Outcome<()> {
    const NEWCOMER: u64 = u64::MAX;
    let listener = listen()?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(NEWCOMER), epoll::EventFlags::IN)?;
    let mut peers: Vec<Peer> = Vec::new();
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in &events {
            if event.data.u64() == NEWCOMER {
                // One that only looks whether we are there says nothing.
                let Ok(stream) = accept(&listener) else { continue };
                stream.set_nonblocking(true)?;
                epoll::add(&poll, &stream, epoll::EventData::new_u64(peers.len() as u64), epoll::EventFlags::IN)?;
                peers.push(Peer { stream, have: Vec::with_capacity(1024) });
                continue;
            }
            let peer = &mut peers[usize::try_from(event.data.u64())?];
            if !peer.read()? {
                epoll::delete(&poll, &peer.stream)?;
                continue;
            }
            while peer.have.len() >= ASKED_LEN && peer.have[..2] == [0x81, 0x80 | PAYLOAD.len() as u8] {
                let mut answer = [0; ANSWERED_LEN];
                answer[..2].copy_from_slice(&[0x81, PAYLOAD.len() as u8]);
                for at in 0..PAYLOAD.len() {
                    answer[2 + at] = peer.have[6 + at] ^ peer.have[2 + at % 4];
                }
                peer.have.drain(..ASKED_LEN);
                peer.stream.write_all(&answer)?;
            }
            // A ping or a close: as good as over.
            if peer.have.first().is_some_and(|first| *first != 0x81) {
                peer.have.clear();
            }
        }
    }
}

/// Role: the clients, each with one message on its way. Obeys `count`.
pub(crate) fn trips(server: &str) -> Outcome<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let (ask, answer) = (masked(1, &PAYLOAD), [&[0x81, PAYLOAD.len() as u8], PAYLOAD.as_slice()].concat());
    let mut peers = Vec::with_capacity(CONNECTIONS);
    for index in 0..CONNECTIONS {
        let mut stream = connect(server)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        upgrade(&mut stream)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        stream.write_all(&ask)?;
        epoll::add(&poll, &stream, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
        peers.push(Peer { stream, have: Vec::with_capacity(1024) });
    }
    say(format_args!("ready"));
    let commands = role::orders();
    let mut done = 0_u64;
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), Some(&Timespec { tv_sec: 0, tv_nsec: 5_000_000 }))?;
        for event in &events {
            let peer = &mut peers[usize::try_from(event.data.u64())?];
            if !peer.read()? {
                return Err("the server closed a client".into());
            }
            // An unmasked ping of the server is not answered: the run is shorter than its patience.
            while peer.have.len() >= 2 && peer.have[0] == 0x89 {
                let length = usize::from(peer.have[1]);
                peer.have.drain(..(2 + length).min(peer.have.len()));
            }
            if peer.have.len() >= ANSWERED_LEN {
                if peer.have != answer {
                    return Err(format!("an echo differs: {:02x?}", peer.have).into());
                }
                peer.have.clear();
                peer.stream.write_all(&ask)?;
                done += 1;
            }
        }
        if commands.try_recv().is_ok() {
            say(format_args!("{done}"));
        }
    }
}

/// Role: becomes nginx before the echo, with one worker and no log.
pub(crate) fn nginx(folder: &str, echo: &str) -> Outcome<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // It cannot pick a port by itself.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let configuration = Path::new(folder).join("nginx.conf");
    let text = format!(
        "worker_processes 1; daemon off; master_process off; pid {folder}/pid; error_log stderr error;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n\
         fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
         server {{ listen {address}; location / {{\n\
         proxy_pass http://{echo}; proxy_http_version 1.1; proxy_read_timeout 1h;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;\n\
         }} }} }}\n"
    );
    std::fs::write(&configuration, text)?;
    say(format_args!("{address}"));
    Err(Command::new("nginx").args(["-e", "stderr", "-p", folder, "-c"]).arg(configuration).exec().into())
}

/// Connects to a server that may be about to listen.
fn connect(server: &str) -> io::Result<TcpStream> {
    let give_up_at = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(server) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < give_up_at => {
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

struct Peer {
    stream: TcpStream,
    /// Read and not yet used.
    have: Vec<u8>,
}

impl Peer {
    /// Reads what there is, once. False at the end.
    fn read(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 1024];
        match self.stream.read(&mut chunk) {
            Ok(n) => {
                self.have.extend_from_slice(&chunk[..n]);
                Ok(n > 0)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }
}
