//! What happens to who opens connections and looks up names.

use std::io;
use std::time::Duration;

use sim::FaultKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{ListenOptions, Listener, Network};

use super::bench::{at, clock, config, connect, fault, ms, told};

/// Connects at 1.5 s, while an early connection goes on: the error's kind, or when it was granted, in microseconds.
fn dial(plan: sim::FaultPlan, check: impl Fn(Result<u64, io::ErrorKind>) + Send + Sync + Copy + 'static) {
    told(config(), plan, clock, move |net| async move {
        let mut early = connect(&net).await?;
        at(1_500).await;
        let dialled = connect(&net).await;
        check(dialled.map(|_| sim::now_us()).map_err(|error| error.kind()));
        at(sim::now_us() / 1_000 + 3_000).await;
        // Nothing that was established is lost, and it is well again.
        for n in 1..=40 {
            assert_eq!(early.read_u64().await?, n * 100_000);
        }
        let began = sim::now_us();
        connect(&net).await?;
        assert_eq!(sim::now_us(), began + 1_000);
        Ok(())
    });
}

#[test]
fn a_refused_request_fails_after_a_round_trip() {
    for target in ["server", "client>server", "client/server", "*"] {
        dial(vec![fault(1_000, 2_000, target, FaultKind::Refuse)], |result| {
            assert_eq!(result, Err(io::ErrorKind::ConnectionRefused));
        });
    }
    // The other way, nobody asks.
    dial(vec![fault(1_000, 2_000, "server>client", FaultKind::Refuse)], |result| assert_eq!(result, Ok(1_501_000)));
}

#[test]
fn a_black_holed_request_is_granted_at_its_next_try() {
    dial(vec![fault(1_000, 2_000, "server", FaultKind::BlackHole)], |result| assert_eq!(result, Ok(2_501_000)));
    dial(vec![fault(1_000, 2_600, "server", FaultKind::BlackHole)], |result| assert_eq!(result, Ok(4_501_000)));
}

#[test]
fn a_request_into_a_partition_vanishes_and_one_into_a_stall_waits() {
    dial(vec![fault(1_000, 2_000, "server", FaultKind::Partition)], |result| assert_eq!(result, Ok(2_501_000)));
    dial(vec![fault(1_000, 2_000, "client/server", FaultKind::Stall)], |result| assert_eq!(result, Ok(2_000_500)));
    dial(vec![fault(1_000, 2_000, "server>client", FaultKind::Stall)], |result| assert_eq!(result, Ok(2_000_000)));
}

#[test]
fn what_is_closed_at_once_never_reaches_the_listener() {
    told(
        config(),
        vec![fault(1_000, 2_000, "server", FaultKind::AcceptClose)],
        |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (mut stream, _) = listener.accept().await?;
            assert_eq!(sim::now_us(), 2_001_500, "the first that came through");
            stream.read(&mut [0]).await.map(drop)
        },
        |net| async move {
            at(1_500).await;
            let mut stream = connect(&net).await?;
            assert_eq!(sim::now_us(), 1_501_000, "granted");
            assert_eq!(stream.read(&mut [0]).await?, 0, "and closed");
            assert_eq!(sim::now_us(), 1_502_000);
            stream.write_all(b"hello?").await?;
            at(1_510).await;
            let error = stream.write_all(b"hello?").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            at(2_000).await;
            connect(&net).await.map(drop)
        },
    );
}

#[test]
fn a_name_may_not_resolve_or_take_its_time() {
    let plan = vec![
        fault(1_000, 2_000, "server", FaultKind::Nxdomain),
        fault(2_000, 3_000, "client>server", FaultKind::SlowLookup { delay: ms(700) }),
        fault(4_000, 5_000, "server>client", FaultKind::Nxdomain),
        fault(5_000, 6_000, "server", FaultKind::Nxdomain),
        fault(5_000, 6_000, "server", FaultKind::SlowLookup { delay: ms(300) }),
    ];
    told(config(), plan, clock, |net| async move {
        let lookup = async |millis: u64| {
            at(millis).await;
            let found = net.lookup("server", 7).await;
            (sim::now_us() / 1_000 - millis, found.map(|found| found.len()).map_err(|error| error.kind()))
        };
        assert_eq!(lookup(500).await, (0, Ok(1)));
        assert_eq!(lookup(1_500).await, (0, Err(io::ErrorKind::NotFound)));
        assert_eq!(net.lookup("10.0.0.1", 7).await?.len(), 1, "an address needs no name");
        assert_eq!(lookup(2_200).await, (700, Ok(1)));
        assert_eq!(lookup(3_500).await, (0, Ok(1)));
        assert_eq!(lookup(4_500).await, (0, Ok(1)));
        assert_eq!(lookup(5_500).await, (300, Err(io::ErrorKind::NotFound)));
        assert_eq!(lookup(6_500).await, (0, Ok(1)));
        Ok(())
    });
}

/// A server that accepts from the fourth second on.
async fn late(net: sim::SimNet) -> io::Result<()> {
    let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
    at(4_000).await;
    let mut streams = Vec::new();
    loop {
        streams.push(listener.accept().await?.0);
    }
}

#[test]
fn a_small_backlog_drops_requests_until_they_are_asked_again() {
    let backlog = |at_most| fault(0, 2_000, "server", FaultKind::Backlog { at_most });
    told(config(), vec![backlog(1), backlog(5)], late, |net| async move {
        // As in Linux, one more than it says.
        for _ in 0..2 {
            connect(&net).await?;
        }
        let began = sim::now_us();
        connect(&net).await?;
        // Tries after 1 and 3 s; the limit is gone at the second.
        assert_eq!(sim::now_us(), began + 3_001_000);
        Ok(())
    });
}

#[test]
fn without_a_descriptor_accept_connect_and_bind_fail_and_nothing_is_lost() {
    let emfile = |error: io::Error| assert_eq!(error.raw_os_error(), Some(24), "{error}");
    told(
        config(),
        vec![
            // The listener and one connection.
            fault(0, 3_000, "server", FaultKind::Descriptors { at_most: 2 }),
            fault(1_000, 2_000, "client", FaultKind::Descriptors { at_most: 2 }),
        ],
        move |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (_first, _) = listener.accept().await?;
            emfile(listener.accept().await.unwrap_err());
            assert_eq!(sim::now_us(), 502_500, "with the second connection, not before");
            emfile(net.bind(([0, 0, 0, 0], 8).into(), ListenOptions::default()).await.unwrap_err());
            at(3_000).await;
            let (mut second, _) = listener.accept().await?;
            let mut said = [0; 5];
            second.read_exact(&mut said).await?;
            assert_eq!(&said, b"early", "it waited in the backlog, with what was sent");
            second.write_all(b"!").await
        },
        move |net| async move {
            let _first = connect(&net).await?;
            at(501).await;
            let mut second = connect(&net).await?;
            second.write_all(b"early").await?;
            at(1_500).await;
            emfile(connect(&net).await.unwrap_err());
            assert_eq!(second.read(&mut [0]).await?, 1);
            assert!(sim::now_us() < 3_002_000);
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        },
    );
}
