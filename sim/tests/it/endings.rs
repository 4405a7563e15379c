//! Connections that end while something of them is lost: the other side hears of it, and nothing is left behind.

use std::io;
use std::time::Duration;

use sim::{Control, LinkConfig, SimConfig, SimNet, SimStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions};

const LATENCY: Duration = Duration::from_millis(10);

/// Accepts for ever and reads nothing; connections stay open as long as the program.
async fn hoarder(net: SimNet) -> io::Result<()> {
    let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions { backlog: 0, ..ListenOptions::default() }).await?;
    let mut streams = Vec::new();
    loop {
        streams.push(listener.accept().await?.0);
    }
}

async fn connect(net: &SimNet) -> io::Result<SimStream> {
    let addr = net.lookup("server", 7).await?[0];
    net.connect(addr, SocketOptions::default()).await
}

fn config() -> SimConfig {
    SimConfig { horizon: Duration::from_secs(7_200), link: LinkConfig::fixed(LATENCY), ..SimConfig::default() }
}

/// A server that only accepts, and a client that runs `story` with the two hosts' numbers, the server's first.
fn told<P, F>(story: P) -> sim::Report
where
    P: Fn(SimNet, Control, [sim::HostId; 2]) -> F + Send + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let report = sim::run(config(), |world| {
        let server = world.host("server", hoarder);
        let control = world.control();
        world.foreground("client", move |net| {
            let own = net.host();
            story(net, control, [server, own])
        });
    });
    report.unwrap_or_else(|failure| panic!("{failure}"))
}

/// Writes until nothing more is taken.
async fn fill(stream: &mut SimStream) -> io::Result<()> {
    while let Ok(written) = timeout(Duration::from_secs(2), stream.write(&[1; 65_536])).await {
        written?;
    }
    Ok(())
}

async fn error_of_writing(stream: &mut SimStream) -> io::ErrorKind {
    let writing = async {
        loop {
            if let Err(error) = stream.write(&[1; 65_536]).await {
                break error.kind();
            }
        }
    };
    timeout(Duration::from_secs(600), writing).await.expect("the writer must hear of it")
}

#[test]
fn a_writer_before_a_closed_window_hears_of_a_reboot() {
    told(|net, control, [server, ..]| async move {
        let mut stream = connect(&net).await?;
        fill(&mut stream).await?;
        control.power_off(server);
        sleep(Duration::from_secs(5)).await;
        control.start(server);
        assert_eq!(error_of_writing(&mut stream).await, io::ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn a_writer_before_a_closed_window_gives_up_on_a_machine_that_stays_off() {
    told(|net, control, [server, ..]| async move {
        let mut stream = connect(&net).await?;
        fill(&mut stream).await?;
        control.power_off(server);
        let error = timeout(Duration::from_secs(3_600), stream.write(&[1; 65_536])).await.expect("an end").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn a_writer_before_a_closed_window_hears_of_a_reader_killed_behind_an_outage() {
    told(|net, control, [server, own]| async move {
        let mut stream = connect(&net).await?;
        fill(&mut stream).await?;
        control.partition(server, own);
        control.kill(server);
        sleep(Duration::from_secs(5)).await;
        control.heal(server, own);
        assert_eq!(error_of_writing(&mut stream).await, io::ErrorKind::ConnectionReset);
        Ok(())
    });
}

/// Aborts a connection, and cuts the link while the reset is on its way; then goes on with the other end.
fn whose_reset_is_lost<F>(story: impl Fn(SimStream) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let report = sim::run(config(), |world| {
        let server = world.foreground("server", move |net| {
            let story = story.clone();
            async move {
                let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
                story(listener.accept().await?.0).await
            }
        });
        let control = world.control();
        world.foreground("client", move |net| async move {
            let stream = connect(&net).await?;
            sleep(Duration::from_millis(100)).await;
            stream.abort();
            sleep(LATENCY / 2).await;
            control.partition(server, net.host());
            sleep(Duration::from_millis(50)).await;
            control.heal(server, net.host());
            Ok::<(), io::Error>(())
        });
    });
    assert_eq!(report.unwrap_or_else(|failure| panic!("{failure}")).connections_left, 0);
}

#[test]
fn an_idle_end_never_hears_of_a_reset_that_was_lost() {
    whose_reset_is_lost(|mut stream| async move {
        let heard = timeout(Duration::from_secs(3_600), stream.read(&mut [0; 8])).await;
        assert!(heard.is_err(), "{heard:?}");
        // What it says then is answered.
        stream.write_all(b"hello").await?;
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn an_end_that_waits_for_an_answer_hears_of_a_reset_that_was_lost() {
    whose_reset_is_lost(|mut stream| async move {
        // It arrives between the abort and the cut; its answer is a reset, and lost, too.
        sleep(Duration::from_millis(82)).await;
        stream.write_all(b"hello").await?;
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn bytes_into_a_dead_end_are_sent_again_while_its_resets_are_lost() {
    told(|net, control, [server, own]| async move {
        let mut stream = connect(&net).await?;
        stream.write_all(b"unread").await?;
        sleep(Duration::from_secs(1)).await;
        control.partition_oneway(server, own);
        control.kill(server);
        sleep(Duration::from_secs(1)).await;
        stream.write_all(b"into the void").await?;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(stream.unacknowledged()?, 13);
        control.heal_oneway(server, own);
        let end = timeout(Duration::from_secs(60), stream.read(&mut [0; 8])).await.expect("a reset");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        Ok(())
    });
}

/// A client's machine goes off, or it aborts in an outage, between the server's consent and its own answer.
#[test]
fn a_handshake_that_its_client_forgot_gives_its_place_back() {
    for outage in [false, true] {
        let report = sim::run(config(), |world| {
            let server = world.host("server", hoarder);
            let control = world.control();
            world.host("first", move |net| async move {
                let own = net.host();
                let stream = connect(&net).await?;
                if outage {
                    // The answer left at this instant.
                    control.partition(own, server);
                    sleep(Duration::from_millis(50)).await;
                    stream.abort();
                    control.heal(own, server);
                } else {
                    control.power_off(own);
                }
                Ok::<(), io::Error>(())
            });
            world.foreground("second", move |net| async move {
                sleep(Duration::from_secs(200)).await;
                let began = Instant::now();
                let stream = connect(&net).await?;
                assert_eq!(began.elapsed(), 2 * LATENCY);
                sleep(Duration::from_millis(100)).await;
                assert_eq!(control.sockets(server).connections, 1);
                drop(stream);
                sleep(Duration::from_secs(1)).await;
                control.kill(server);
                sleep(Duration::from_secs(1)).await;
                Ok::<(), io::Error>(())
            });
        });
        let report = report.unwrap_or_else(|failure| panic!("outage {outage}: {failure}"));
        assert_eq!(report.connections_left, 0, "outage {outage}");
    }
}

#[test]
fn a_connection_given_up_answers_resets() {
    let report = sim::run(config(), |world| {
        let server = world.host("server", |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (mut stream, _) = listener.accept().await?;
            sleep(Duration::from_secs(3_000)).await;
            stream.write_all(b"are you there?").await?;
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            std::future::pending::<()>().await;
            Ok::<(), io::Error>(())
        });
        let control = world.control();
        world.foreground("client", move |net| async move {
            let own = net.host();
            let mut stream = connect(&net).await?;
            sleep(Duration::from_secs(1)).await;
            control.partition(own, server);
            stream.write_all(b"x").await?;
            sleep(Duration::from_secs(2_000)).await;
            control.heal(own, server);
            sleep(Duration::from_secs(2_000)).await;
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(stream.read(&mut [0; 8]).await?, 0);
            Ok::<(), io::Error>(())
        });
    });
    report.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn bytes_on_the_way_arrive_before_a_reset_although_answers_are_lost() {
    let report = sim::run(config(), |world| {
        let server = world.foreground("server", |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (mut stream, _) = listener.accept().await?;
            sleep(Duration::from_secs(5)).await;
            let mut all = Vec::new();
            let error = stream.read_to_end(&mut all).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert_eq!(all, b"first, second");
            Ok::<(), io::Error>(())
        });
        let control = world.control();
        world.foreground("client", move |net| async move {
            let own = net.host();
            let mut stream = connect(&net).await?;
            sleep(Duration::from_secs(1)).await;
            control.partition_oneway(server, own);
            stream.write_all(b"first, ").await?;
            sleep(LATENCY / 2).await;
            stream.write_all(b"second").await?;
            sleep(LATENCY * 3 / 4).await;
            stream.abort();
            Ok::<(), io::Error>(())
        });
    });
    report.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_refusal_can_be_lost_in_an_outage() {
    told(|net, control, [server, own]| async move {
        let began = Instant::now();
        let cut = async {
            sleep(LATENCY * 3 / 2).await;
            control.partition(server, own);
            sleep(LATENCY * 10).await;
            control.heal(server, own);
        };
        let addr = net.lookup("server", 99).await?[0];
        let (attempt, ()) = tokio::join!(net.connect(addr, SocketOptions::default()), cut);
        assert_eq!(attempt.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(began.elapsed(), Duration::from_secs(1) + 2 * LATENCY);
        Ok(())
    });
}
