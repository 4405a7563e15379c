//! One name for several hosts: whom each dial goes to, and what becomes of those that go to one that was lost.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::{Address, Pick, SimConfig, SimNet};
use tokio::time::sleep;
use wire::net::{ByteStream as _, ListenOptions, Listener as _, Network as _, SocketOptions};

const DETECT: Duration = Duration::from_secs(2);

/// Holds whatever comes.
async fn server(net: SimNet) -> io::Result<()> {
    let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
    let mut held = Vec::new();
    loop {
        held.push(listener.accept().await?);
    }
}

/// What became of a dial: the number of its server, or why there is none.
type Dial = Result<usize, io::ErrorKind>;

/// Twelve dials to three servers, half a second apart, each held; the second server is lost after the third dial, and comes again before the last three.
fn dials(pick: Pick, detect: Duration, power: bool) -> Vec<Dial> {
    let seen: Arc<Mutex<Vec<Dial>>> = Arc::default();
    let inside = Arc::clone(&seen);
    sim::run(SimConfig::seeded(3), |world| {
        let hosts: Vec<_> = ["a", "b", "c"].map(|name| world.host(name, server)).to_vec();
        world.address("front", Address { hosts: hosts.clone(), pick, detect });
        let control = world.control();
        world.foreground("client", move |net| {
            let (seen, hosts) = (Arc::clone(&inside), hosts.clone());
            async move {
                let mut held = Vec::new();
                for dial in 0..12 {
                    match dial {
                        3 if power => control.power_off(hosts[1]),
                        3 => control.kill(hosts[1]),
                        9 => control.start(hosts[1]),
                        _ => {}
                    }
                    let addr = net.lookup("front", 7).await?[0];
                    let dialled =
                        tokio::time::timeout(Duration::from_millis(400), net.connect(addr, SocketOptions::default()));
                    let became = match dialled.await {
                        Ok(Ok(stream)) => {
                            let peer = stream.peer_addr()?.ip();
                            held.push(stream);
                            hosts.iter().position(|host| peer == host.addr()).ok_or(io::ErrorKind::Other)
                        }
                        Ok(Err(error)) => Err(error.kind()),
                        Err(_) => Err(io::ErrorKind::TimedOut),
                    };
                    seen.lock().unwrap().push(became);
                    sleep(Duration::from_millis(500)).await;
                }
                Ok::<(), io::Error>(())
            }
        });
    })
    .unwrap();
    std::mem::take(&mut seen.lock().unwrap())
}

const REFUSED: Dial = Err(io::ErrorKind::ConnectionRefused);
const UNHEARD: Dial = Err(io::ErrorKind::TimedOut);

#[test]
fn turns_pass_over_a_lost_host_once_it_is_detected() {
    let expected = [Ok(0), Ok(1), Ok(2), Ok(0), REFUSED, Ok(2), Ok(0), Ok(2), Ok(0), Ok(1), Ok(2), Ok(0)];
    assert_eq!(dials(Pick::RoundRobin, DETECT, false), expected);
    let at_once = dials(Pick::RoundRobin, Duration::ZERO, false);
    assert!(at_once.iter().all(Result::is_ok) && at_once[3..9].iter().all(|dial| *dial != Ok(1)), "{at_once:?}");
    let dark = dials(Pick::RoundRobin, DETECT, true);
    assert_eq!(dark[4], UNHEARD, "{dark:?}");
}

#[test]
fn the_least_busy_gets_the_next_and_a_lost_host_is_the_least_busy() {
    let found = dials(Pick::LeastConnections, DETECT, false);
    assert_eq!(found[..3], [Ok(0), Ok(1), Ok(2)]);
    assert_eq!(found[3..7], [REFUSED; 4], "it has no connection: all go there until it is detected: {found:?}");
    // Both others have one more by then; whoever came back has none, and gets all until it has as many.
    assert_eq!(found[7..9], [Ok(2), Ok(0)]);
    assert_eq!(found[9..], [Ok(1), Ok(1), Ok(2)], "{found:?}");
}

#[test]
fn a_drawn_host_is_any_that_is_believed_in() {
    let found = dials(Pick::Random, Duration::ZERO, false);
    assert!(found.iter().all(Result::is_ok) && found[3..9].iter().all(|dial| *dial != Ok(1)), "{found:?}");
    assert_eq!(found, dials(Pick::Random, Duration::ZERO, false));
}
