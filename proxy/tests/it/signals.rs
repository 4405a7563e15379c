//! The program itself, and the signals that the operating system sends it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use wire::ws::Message;

use crate::bench::{Client, soon};

/// The program with a configuration file, killed when dropped.
struct Program {
    child: Child,
    out: BufReader<ChildStdout>,
    _dir: tempfile::TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("proxy.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_proxy"))
            .args([Path::new("--config"), &dir.path().join("proxy.toml")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out, _dir: dir }
    }

    /// The address in the next line that it says.
    fn address(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("//").expect("an address");
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Its exit code, once it has ended.
    fn exit(&mut self) -> i32 {
        self.child.wait().unwrap().code().expect("it ended by itself")
    }
}

#[tokio::test]
async fn the_first_sigterm_drains_and_the_second_stops() {
    let mut program = Program::start(
        "listen = \"127.0.0.1:0\"\nupstreams = [\"ws://127.0.0.1:1/\"]\ndrain_time = \"10h\"\ndrain_deadline = \"11h\"\n",
    );
    let addr = program.address();
    let [mut a, mut b] = [Client::connect(addr, false).await, Client::connect(addr, false).await];
    for client in [&mut a, &mut b] {
        assert_eq!(client.text().await, "Connected");
    }
    program.signal("TERM");
    // Two clients, two slots, five hours apart; whose is the first is drawn.
    let (end, mut other) = match soon(select(a.session.next(), b.session.next())).await {
        Either::Left((end, _)) => (end, b),
        Either::Right((end, _)) => (end, a),
    };
    assert!(matches!(end, Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 1001));
    program.signal("TERM");
    assert_eq!(other.closed().await, 1001);
    drop(other);
    assert_eq!(program.exit(), 0);
}
