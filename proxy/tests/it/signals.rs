//! The program itself, and the signals that the operating system sends it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use wire::ws::Message;

use crate::admin::ask;
use crate::bench::{Client, soon};

/// The program with a configuration file, killed when dropped.
struct Program {
    child: Child,
    out: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
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
        Self { child, out, dir }
    }

    /// The address in the next line that it says.
    fn address(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("//").expect("an address");
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn rewrite(&self, config: &str) {
        std::fs::write(self.dir.path().join("proxy.toml"), config).unwrap();
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

#[tokio::test]
async fn a_sigterm_during_a_drain_that_an_operator_asked_for_leaves_it_to_its_end() {
    let mut program = Program::start(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nupstreams = [\"ws://127.0.0.1:1/\"]\ndrain_time = \"10h\"\ndrain_deadline = \"11h\"\n",
    );
    let [addr, admin] = [program.address(), program.address()];
    let [mut a, mut b] = [Client::connect(addr, false).await, Client::connect(addr, false).await];
    for client in [&mut a, &mut b] {
        assert_eq!(client.text().await, "Connected");
    }
    assert!(ask(admin, "POST /drain").await.starts_with("HTTP/1.1 202"));
    let mut other = match soon(select(a.session.next(), b.session.next())).await {
        Either::Left(_) => b,
        Either::Right(_) => a,
    };
    program.signal("TERM");
    for _ in 0..50 {
        other.settle().await;
    }
    program.signal("TERM");
    assert_eq!(other.closed().await, 1001);
    drop(other);
    assert_eq!(program.exit(), 0);
}

#[tokio::test]
async fn a_sighup_or_a_request_reads_the_file_again_and_a_bad_one_changes_nothing() {
    let config = |clients_max: &str| {
        format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nupstreams = [\"ws://127.0.0.1:1/\"]\n[limits]\n{clients_max}\n"
        )
    };
    let mut program = Program::start(&config("clients_max = 1"));
    let [addr, admin] = [program.address(), program.address()];
    let mut inside = Client::connect(addr, false).await;
    assert_eq!(inside.text().await, "Connected");
    assert!(Client::try_connect(addr, false).await.is_err());

    program.rewrite(&config("clients_max = 2"));
    program.signal("HUP");
    // The signal is on its way: the limit shows when it has arrived.
    let mut second = soon(async {
        loop {
            if let Ok(client) = Client::try_connect(addr, false).await {
                return client;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(second.text().await, "Connected");

    program.rewrite(&config("clients_maxx = 3"));
    let answer = ask(admin, "POST /reload").await;
    assert!(answer.starts_with("HTTP/1.1 422 Unprocessable Content\r\n"), "{answer}");
    assert!(
        answer.ends_with("proxy.toml:5:1: unknown field `clients_maxx`: did you mean `clients_max`?\n"),
        "{answer}"
    );
    program.rewrite(&config("clients_max = 0"));
    assert!(ask(admin, "POST /reload").await.ends_with("\r\n\r\nlimits.clients_max must not be zero\n"));
    program.rewrite(&config("clients_max = 3").replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\""));
    let answer = ask(admin, "POST /reload").await;
    assert!(answer.contains("cannot change while the proxy runs: listen: 127.0.0.1:0 -> 127.0.0.1:1"), "{answer}");
    assert!(Client::try_connect(addr, false).await.is_err(), "the limit of two still counts");

    program.rewrite(&config("clients_max = 3"));
    let answer = ask(admin, "POST /reload").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("limits.clients_max: 2 -> 3\n"), "{answer}");
    assert!(ask(admin, "POST /reload").await.ends_with("\r\n\r\nnothing changed\n"));
    assert_eq!(Client::connect(addr, false).await.text().await, "Connected");
    let metrics = ask(admin, "GET /metrics").await;
    for line in ["config_reloads_total 3", "config_reloads_refused_total 3"] {
        assert!(metrics.contains(&format!("\nwindtunnel_proxy_{line}\n")), "{metrics}");
    }
}
