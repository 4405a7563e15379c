//! What is said of a target that does not do what it should: a clear word each time, and never a figure that was not measured.

use std::ffi::OsString;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{ListenOptions, Listener, Network, TokioNet, TokioStream};

/// Loads a target that treats each connection so, from a thread of its own; gives the exit code's text and the summary.
async fn load<F, T>(treat: T, flags: &[&str]) -> (String, serde_json::Value)
where
    T: Fn(TokioStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let net = TokioNet::current();
    let listener = net.bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
    let target = format!("ws://{}/", listener.local_addr().unwrap());
    let host = net.clone();
    let _serving = net
        .spawn("target", async move {
            while let Ok((stream, _)) = listener.accept().await {
                host.spawn("treat", treat(stream));
            }
        })
        .guard();
    load_at(&target, flags).await
}

#[expect(clippy::disallowed_methods, reason = "over real sockets; the program has a runtime of its own")]
pub(crate) async fn load_at(target: &str, flags: &[&str]) -> (String, serde_json::Value) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap().to_owned();
    let mut args =
        vec!["loadgen", "--target", target, "--clients", "3", "--out", &out, "--lateness-max", "1m", "--cpu-max", "1"];
    args.extend(flags);
    let args: Vec<OsString> = args.into_iter().map(OsString::from).collect();
    let code = tokio::task::spawn_blocking(move || loadgen::program::main(args)).await.unwrap();
    let text = std::fs::read_to_string(dir.path().join("summary.json")).unwrap();
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    let judged =
        if code == std::process::ExitCode::SUCCESS { &["✓ pass"][..] } else { &["? inconclusive", "✗ fail"] };
    assert!(judged.iter().any(|word| page.contains(word)), "a page says so, too");
    (format!("{code:?}"), summary)
}

fn check((code, summary): (String, serde_json::Value), expect: u8, word: &str) {
    assert_eq!(code, format!("{:?}", std::process::ExitCode::from(expect)));
    let sentence = summary["sentence"].as_str().unwrap();
    assert!(sentence.contains(word), "{sentence}");
    for absent in ["tick_age", "echo", "gap", "reconnect", "first_message"] {
        assert!(summary["phases"].get(absent).is_none(), "{absent} was not measured: {summary}");
    }
    assert!(summary["window"]["checked"].get("tick_latency").is_none(), "{summary}");
}

#[tokio::test]
async fn a_target_that_accepts_and_never_answers() {
    let treat = |mut stream: TokioStream| async move {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
    };
    check(load(treat, &["--duration", "2s", "--dial-timeout", "100ms"]).await, 2, "no answer came in time");
}

#[tokio::test]
async fn a_target_that_is_not_there() {
    check(load_at("ws://127.0.0.1:1/", &["--duration", "1s"]).await, 2, "nobody listens there");
}

#[tokio::test]
async fn a_target_that_closes_at_once() {
    let treat = |mut stream: TokioStream| async move {
        // All of the request, or the kernel answers with RST.
        let mut some = [0; 4096];
        let _ = stream.read(&mut some).await;
    };
    check(load(treat, &["--duration", "1s"]).await, 2, "closed the connection during the handshake");
}

#[tokio::test]
async fn a_target_that_speaks_something_else() {
    let treat = |mut stream: TokioStream| async move {
        let mut some = [0; 4096];
        let _ = stream.read(&mut some).await;
        let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n\r\n").await;
        let _ = stream.read(&mut some).await;
    };
    check(load(treat, &["--duration", "1s"]).await, 2, "not WebSocket");
}

#[tokio::test]
async fn a_target_that_has_no_such_page() {
    let treat = |mut stream: TokioStream| async move {
        let mut some = [0; 4096];
        let _ = stream.read(&mut some).await;
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        let _ = stream.read(&mut some).await;
    };
    check(load(treat, &["--duration", "1s"]).await, 2, "answered HTTP 404 (3)");
}

/// Opens sessions and sends them no frame that is lawful: both kinds of clients say so.
#[tokio::test]
async fn a_target_that_sends_garbage() {
    for verify in ["1", "0"] {
        let treat = |stream: TokioStream| async move {
            let agree = |_: &wire::ws::Asked| wire::ws::Answer::Accept { subprotocol: None };
            let Ok(accepted) = wire::ws::accept(stream, wire::ws::Limits::default(), agree).await else { return };
            let mut session = accepted.session;
            // So long that the frame that it seems to begin is whole.
            let _ = session.get_mut().write_all(&b"HTTP/1.1 400 Bad Request\r\n".repeat(10)).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        check(load(treat, &["--duration", "1s", "--verify", verify]).await, 1, "could not be read");
    }
}

/// Opens sessions and says nothing at all.
#[tokio::test]
async fn a_target_that_is_silent() {
    let treat = |stream: TokioStream| async move {
        let agree = |_: &wire::ws::Asked| wire::ws::Answer::Accept { subprotocol: None };
        let Ok(mut accepted) = wire::ws::accept(stream, wire::ws::Limits::default(), agree).await else { return };
        let mut all = Vec::new();
        let _ = accepted.session.get_mut().read_to_end(&mut all).await;
    };
    let (code, summary) = load(treat, &["--duration", "1s", "--require", "tick_p99<50ms"]).await;
    assert_eq!(summary["requirements"][0]["verdict"], "inconclusive");
    check((code, summary), 2, "opened 3 sessions and said nothing that counts");
}

/// A client that a bug of ours ended is told of: what it counted is missing.
#[tokio::test]
async fn a_client_that_panicked_is_counted_as_lost() {
    struct Panics;
    impl wire::event::Sink for Panics {
        fn record(&self, event: wire::event::Event) {
            if let wire::event::Event::ClientDial { client: wire::id::ClientId(1), .. } = event {
                panic!("on purpose");
            }
        }
    }
    let mut config = loadgen::Config::new(vec!["ws://127.0.0.1:1/".to_owned()]);
    (config.clients, config.duration) = (3, Duration::from_millis(200));
    let observer = wire::event::Observer::new(std::sync::Arc::new(Panics));
    let stop = tokio_util::sync::CancellationToken::new();
    let summary = loadgen::run(config, TokioNet::current(), stop, observer).await.unwrap();
    assert_eq!((summary.clients, summary.clients_lost, summary.refused), (3, 1, 2));
    assert!(summary.is_flawed());
}
