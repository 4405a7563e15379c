//! The drain of a proxy where time is exact: who is told when, who leaves when, and what happens to who does not go.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use sim::{SimConfig, SimNet, SimStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Sink};
use wire::net::{Network, SocketOptions, Task};
use wire::ws::{self, Ask, ConnectError, Error, Message};

const S: Duration = Duration::from_secs(1);

/// Keeps what the proxy reports, and when it was gone.
#[derive(Clone, Default)]
struct Record {
    events: Arc<Mutex<Vec<Event>>>,
    gone_at: Arc<Mutex<Option<Duration>>>,
}

impl Sink for Record {
    fn record(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }
}

impl Record {
    fn gone_at(&self) -> Option<Duration> {
        *self.gone_at.lock().unwrap()
    }
}

/// Runs `story` on a host of its own against a fan-out proxy whose source is out of reach, until both are done.
fn tell<P, F>(adjust: impl Fn(&mut proxy::Config) + Send + 'static, story: P) -> Record
where
    P: Fn(SimNet, Record, CancellationToken) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let record = Record::default();
    let (kept, stop) = (record.clone(), CancellationToken::new());
    let config = SimConfig { horizon: Duration::from_secs(600), ..SimConfig::seeded(1) };
    let run = sim::run(config, move |world| {
        world.host("source", |_| std::future::pending::<()>());
        let (inside, stopping) = (record.clone(), stop.clone());
        world.foreground("proxy", move |net| {
            let mut config = proxy::Config::new(([0, 0, 0, 0], 80).into(), proxy::Mode::Fanout, ["ws://source:80/"])
                .with_protocol(wire::feed::Protocol::Raw);
            config.admin = Some(([0, 0, 0, 0], 81).into());
            adjust(&mut config);
            let (record, stop) = (inside.clone(), stopping.clone());
            async move {
                let start = Instant::now();
                let served = proxy::serve(config, net, stop, Observer::new(Arc::new(record.clone()))).await;
                *record.gone_at.lock().unwrap() = Some(start.elapsed());
                served
            }
        });
        world.foreground("clients", move |net| {
            let told = story(net, record.clone(), stop.clone());
            async move {
                // The proxy is there when its clients come.
                sleep(S).await;
                told.await;
            }
        });
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
    kept
}

async fn open(net: &SimNet) -> Result<ws::Session<SimStream>, ConnectError> {
    let url = "ws://proxy/".to_owned();
    let addr = net.lookup("proxy", 80).await.unwrap()[0];
    let broken = |source| ConnectError::Broken { url: url.clone(), source };
    let stream = net.connect(addr, SocketOptions::default()).await.map_err(broken)?;
    ws::connect(stream, &Ask { url, ..Ask::default() }, ws::Limits::default()).await.map(|connected| connected.session)
}

/// The status and the body of an admin page.
async fn ask(net: &SimNet, request: &str) -> (u16, String) {
    let addr = net.lookup("proxy", 81).await.unwrap()[0];
    let mut stream = net.connect(addr, SocketOptions::default()).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// How a session ended: when since `start`, and the close code; None where it was cut.
type End = (Duration, Option<u16>);

/// Opens sessions that read until they end.
async fn readers(net: &SimNet, count: usize, start: Instant) -> Vec<Task<End>> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        let mut session = open(net).await.unwrap();
        tasks.push(net.spawn("reader", async move {
            let mut code = None;
            while let Some(Ok(message)) = session.next().await {
                if let Message::Close(Some(frame)) = message {
                    code = Some(frame.code.into());
                }
            }
            (start.elapsed(), code)
        }));
    }
    tasks
}

/// The ends in the order in which they came.
async fn ends(tasks: Vec<Task<End>>) -> Vec<End> {
    let mut ends = Vec::new();
    for task in tasks {
        ends.push(task.await.unwrap());
    }
    ends.sort();
    ends
}

#[test]
fn it_tells_then_shuts_then_sends_one_client_after_the_other_away() {
    let record = tell(
        |config| {
            (config.drain_tell, config.drain_grace, config.drain_time) = (2 * S, S, 10 * S);
            config.drain_code = 1012;
        },
        |net, record, _| async move {
            let (start, zero) = (Instant::now() - S, Instant::now());
            let mut tasks = readers(&net, 19, zero).await;
            let asked_at = Instant::now();
            assert_eq!(ask(&net, "POST /drain").await, (202, "draining\n".to_owned()));
            sleep_until(asked_at + S).await;
            assert_eq!(ask(&net, "GET /readyz").await, (503, "draining\n".to_owned()));
            assert_eq!(ask(&net, "POST /drain").await, (202, "draining already\n".to_owned()));
            // Whoever has not noticed yet is still let in, and leaves with the others.
            tasks.extend(readers(&net, 1, zero).await);
            sleep_until(asked_at + 2 * S + Duration::from_millis(50)).await;
            assert!(matches!(open(&net).await, Err(ConnectError::Broken { .. })), "nobody listens any more");
            let ends = ends(tasks).await;
            for (k, (at, code)) in ends.iter().enumerate() {
                let due = (asked_at - zero) + 3 * S + 10 * S * u32::try_from(k).unwrap() / 20;
                let late = at.saturating_sub(due);
                assert!(*at >= due && late < Duration::from_millis(10), "{k} left at {at:?}, due at {due:?}");
                assert_eq!(*code, Some(1012));
            }
            sleep(S / 10).await;
            let gone_at = record.gone_at().unwrap();
            let last = zero - start + ends[19].0;
            assert!(gone_at >= last && gone_at - last < S / 20, "gone at {gone_at:?}, the last client at {last:?}");
        },
    );
    let closed = |event: &&Event| matches!(event, Event::ProxyClientClose { code: Some(1012), .. });
    assert_eq!(record.events.lock().unwrap().iter().filter(closed).count(), 20);
}

#[test]
fn without_clients_it_is_gone_at_once() {
    let record = tell(
        |_| {},
        |net, _, _| async move {
            ask(&net, "POST /drain").await;
        },
    );
    assert!(record.gone_at().unwrap() < S + Duration::from_millis(20), "{:?}", record.gone_at());
}

#[test]
fn who_does_not_go_is_cut_at_the_deadline() {
    let record = tell(
        |config| {
            (config.drain_time, config.drain_deadline) = (2 * S, 5 * S);
            config.limits.close_timeout = 100 * S;
        },
        |net, record, _| async move {
            // It reads nothing, so it never answers the Close frame.
            let mut stalled = open(&net).await.unwrap();
            let asked_at = Instant::now();
            ask(&net, "POST /drain").await;
            sleep_until(asked_at + 5 * S - S / 100).await;
            assert_eq!(record.gone_at(), None);
            sleep(S / 10).await;
            assert!(record.gone_at().is_some());
            assert!(matches!(stalled.next().await, Some(Ok(Message::Close(_)))));
            let rest = stalled.next().await;
            assert!(matches!(rest, Some(Err(Error::Io(_) | Error::Protocol(_)))), "{rest:?}");
        },
    );
    assert!(record.gone_at().unwrap() < 6 * S + S / 10, "{:?}", record.gone_at());
}

#[test]
fn a_stop_in_the_middle_of_a_drain_closes_everyone_at_once() {
    tell(
        |config| config.drain_code = 1012,
        |net, _, stop| async move {
            let zero = Instant::now();
            let tasks = readers(&net, 10, zero).await;
            ask(&net, "POST /drain").await;
            sleep_until(zero + 5 * S).await;
            stop.cancel();
            let ends = ends(tasks).await;
            assert_eq!(ends.iter().filter(|(at, _)| *at < 5 * S).count(), 5, "{ends:?}");
            assert!(ends.iter().all(|(at, _)| *at < 5 * S + S / 10), "{ends:?}");
        },
    );
}
