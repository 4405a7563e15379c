//! The proxy's front door where time is exact: storms, and peers that take their time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::{SimConfig, SimNet, SimStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use wire::event::Observer;
use wire::net::{Network, SocketOptions};
use wire::ws::{self, Ask, ConnectError};

/// Runs `story` on a host of its own against a proxy whose source is out of reach, and gives what it found.
fn at_the_door<T, P, F>(adjust: fn(&mut proxy::Config), story: P) -> T
where
    T: Send + 'static,
    P: Fn(SimNet) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let found = Arc::new(Mutex::new(None));
    let inside = Arc::clone(&found);
    let config = SimConfig { horizon: Duration::from_secs(600), ..SimConfig::seeded(1) };
    let run = sim::run(config, move |world| {
        world.host("source", |_| std::future::pending::<()>());
        world.host("proxy", move |net| {
            let mut config = proxy::Config::new(([0, 0, 0, 0], 80).into(), proxy::Mode::Fanout, ["ws://source:80/"]);
            adjust(&mut config);
            proxy::serve(config, net, CancellationToken::new(), Observer::none())
        });
        world.foreground("clients", move |net| {
            let (inside, story) = (Arc::clone(&inside), story.clone());
            async move {
                // The proxy is there when its clients come.
                sleep(Duration::from_millis(1)).await;
                let value = story(net).await;
                *inside.lock().unwrap() = Some(value);
            }
        });
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
    let value = found.lock().unwrap().take();
    value.unwrap()
}

async fn connect(net: &SimNet) -> io::Result<SimStream> {
    let addr = net.lookup("proxy", 80).await?[0];
    net.connect(addr, SocketOptions::default()).await
}

async fn shake_hands(net: &SimNet) -> Result<ws::Session<SimStream>, ConnectError> {
    let url = "ws://proxy/".to_owned();
    let stream = connect(net).await.map_err(|source| ConnectError::Broken { url: url.clone(), source })?;
    let ask = Ask { url, ..Ask::default() };
    ws::connect(stream, &ask, ws::Limits::default()).await.map(|connected| connected.session)
}

/// When each of `count` clients that all come at once was let in, in milliseconds since they came.
async fn storm(net: SimNet, count: usize) -> Vec<u64> {
    let start = Instant::now();
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let inner = net.clone();
            net.spawn("client", async move {
                let session = shake_hands(&inner).await?;
                Ok::<_, ConnectError>((u64::try_from(start.elapsed().as_millis()).unwrap(), session))
            })
        })
        .collect();
    let mut sessions = Vec::new();
    let mut times = Vec::new();
    for task in tasks {
        let (at, session) = task.await.unwrap().unwrap();
        times.push(at);
        sessions.push(session);
    }
    times.sort_unstable();
    times
}

fn gentle_start(config: &mut proxy::Config) {
    config.limits.handshakes_per_second_max = 20;
    config.limits.handshakes_burst = 4;
    config.limits.accept_ramp = Duration::from_secs(5);
    config.limits.first_message_timeout = Duration::from_secs(60);
}

#[test]
fn after_a_start_a_storm_is_let_in_slowly_then_faster_and_nobody_is_refused() {
    let times = at_the_door(gentle_start, |net| storm(net, 100));
    assert_eq!(times.len(), 100);
    for (nth, at) in times.iter().enumerate() {
        // One at the start, and then the area under the ramp: a tenth of 20 a second, rising to 20 a second over 5 s.
        let at_s = *at as f64 / 1000.0;
        let ramp_s = at_s.min(5.0);
        let may = 1.0 + 20.0 * (0.1 * ramp_s + 0.09 * ramp_s * ramp_s + (at_s - ramp_s));
        assert!((may - (nth as f64 + 1.0)).abs() < 0.2, "{} were in at {at} ms, and {may:.2} might be", nth + 1);
    }
    assert_eq!(times, at_the_door(gentle_start, |net| storm(net, 100)), "the same again");
}

#[test]
fn who_gives_its_request_a_byte_a_second_is_cut_off_in_time_and_makes_room() {
    fn few_handshakes(config: &mut proxy::Config) {
        config.limits.handshakes_max = 20;
        config.limits.handshake_timeout = Duration::from_secs(5);
    }
    let (lives, refused, let_in) = at_the_door(few_handshakes, |net| async move {
        let start = Instant::now();
        let drips: Vec<_> = (0..20)
            .map(|_| {
                let inner = net.clone();
                net.spawn("drip", async move {
                    let mut stream = connect(&inner).await.unwrap();
                    for byte in b"GET / HTTP/1.1\r\nHost: proxy\r\n".iter().cycle() {
                        if stream.write_all(&[*byte]).await.is_err() {
                            break;
                        }
                        if let Ok(end) = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0; 64])).await {
                            assert!(matches!(end, Ok(0) | Err(_)), "it was answered: {end:?}");
                            break;
                        }
                    }
                    start.elapsed()
                })
            })
            .collect();
        sleep(Duration::from_secs(2)).await;
        let refused = shake_hands(&net).await.map(drop);
        let mut lives = Vec::new();
        for drip in drips {
            lives.push(drip.await.unwrap());
        }
        (lives, refused, shake_hands(&net).await.map(drop))
    });
    assert!(lives.iter().all(|life| (5.0..5.1).contains(&life.as_secs_f64())), "{lives:?}");
    assert!(matches!(refused, Err(ConnectError::Refused { status: 503, .. })), "{refused:?}");
    let_in.unwrap();
}
