//! What happens to connections on their way: sliced, held, closed, reset, forgotten.

use std::io;
use std::time::Duration;

use sim::{FaultKind, FaultPlan, SimStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{ListenOptions, Listener, Network};

use super::bench::{at, clock, config, connect, delays, fault, heard, ms, told};

/// A server that writes `said` at the first second and closes; what the client reads, and when, in microseconds. The end is an empty piece.
fn read(plan: FaultPlan, said: &'static [u8]) -> Vec<(u64, Vec<u8>)> {
    let pieces = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let inside = pieces.clone();
    told(
        config(),
        plan,
        move |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (mut stream, _) = listener.accept().await?;
            at(1_000).await;
            stream.write_all(said).await?;
            drop(stream);
            std::future::pending().await
        },
        move |net| {
            let pieces = inside.clone();
            async move {
                let mut stream = connect(&net).await?;
                loop {
                    let mut buf = [0; 64];
                    let n = stream.read(&mut buf).await?;
                    pieces.lock().unwrap().push((sim::now_us(), buf[..n].to_vec()));
                    if n == 0 {
                        return Ok(());
                    }
                }
            }
        },
    );
    std::mem::take(&mut *pieces.lock().unwrap())
}

fn slicer(size: u32, variation: u32) -> FaultKind {
    FaultKind::Slicer { size, variation, delay: ms(10) }
}

#[test]
fn a_slicer_lets_bytes_trickle_and_the_rest_go_when_it_ends() {
    let pieces = read(vec![fault(500, None, "server>client", slicer(4, 0))], b"0123456789");
    let expect: [(u64, &[u8]); 4] = [(1_000_500, b"0123"), (1_010_500, b"4567"), (1_020_500, b"89"), (1_020_500, b"")];
    assert_eq!(pieces, expect.map(|(at, bytes)| (at, bytes.to_vec())));
    let pieces = read(vec![fault(500, 1_015, "server", slicer(2, 0))], b"0123456789");
    let expect: [(u64, &[u8]); 4] = [(1_000_500, b"01"), (1_010_500, b"23"), (1_015_000, b"456789"), (1_015_000, b"")];
    assert_eq!(pieces, expect.map(|(at, bytes)| (at, bytes.to_vec())));
    let pieces = read(vec![fault(500, None, "server", slicer(4, 2))], b"0123456789012345678901234567890123456789");
    let sizes: Vec<usize> = pieces.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 40);
    assert!(sizes[..sizes.len() - 2].iter().all(|size| (2..=6).contains(size)) && sizes[0..5] != [4; 5], "{sizes:?}");
}

#[test]
fn a_slow_close_delays_the_end_and_nothing_else() {
    let slow = |stop: Option<u64>| vec![fault(500, stop, "server", FaultKind::SlowClose { delay: ms(5_000) })];
    assert_eq!(read(slow(None), b"all"), [(1_000_500, b"all".to_vec()), (6_000_500, vec![])]);
    assert_eq!(read(slow(Some(3_000)), b"all"), [(1_000_500, b"all".to_vec()), (3_000_000, vec![])]);
    assert_eq!(read(slow(Some(900)), b"all"), [(1_000_500, b"all".to_vec()), (1_000_500, vec![])]);
}

#[test]
fn a_timeout_that_never_closes_lets_everything_go_at_its_end() {
    let plan = vec![fault(1_000, 2_000, "server>client", FaultKind::Timeout { closes_after: None })];
    let ticks = heard(config(), plan, 3_000);
    assert_eq!(delays(&ticks, 1_000, 2_000), (0..10).map(|n| 1_000_000 - n * 100_000).collect::<Vec<_>>());
    assert_eq!(delays(&ticks, 2_000, 3_100), [500; 11]);
}

/// Reads ticks until the end: how many there were, how it ended, and when, in microseconds.
async fn read_out(stream: &mut SimStream) -> (u64, Result<(), io::ErrorKind>, u64) {
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all).await.map(drop).map_err(|error| error.kind());
    (all.len() as u64, end, sim::now_us())
}

/// Writes until it fails: the error, and when.
async fn write_out(stream: &mut SimStream) -> (io::ErrorKind, u64) {
    loop {
        if let Err(error) = stream.write_all(b"?").await {
            return (error.kind(), sim::now_us() / 1_000);
        }
        tokio::time::sleep(ms(100)).await;
    }
}

/// A client that connects at the beginning and reads a clock; `read_out`, then what writing gives.
fn ended(plan: FaultPlan, expect: (u64, Result<(), io::ErrorKind>, u64), writing: (io::ErrorKind, u64)) {
    told(config(), plan, clock, move |net| async move {
        let mut stream = connect(&net).await?;
        assert_eq!(read_out(&mut stream).await, expect);
        assert_eq!(write_out(&mut stream).await, writing);
        // Once it is over, all is well.
        at(5_000).await;
        let mut again = connect(&net).await?;
        for n in 51..60 {
            assert_eq!(again.read_u64().await?, n * 100_000);
        }
        Ok(())
    });
}

#[test]
fn a_timeout_closes_each_connection_from_the_middle() {
    // Nine ticks, then silence, then the end; the first write is answered with a reset.
    let kind = FaultKind::Timeout { closes_after: Some(ms(500)) };
    ended(vec![fault(1_000, 2_000, "server", kind)], (72, Ok(()), 1_500_000), (io::ErrorKind::BrokenPipe, 1_600));
    // Over before its time: nothing is closed.
    let kind = FaultKind::Timeout { closes_after: Some(ms(500)) };
    assert_eq!(heard(config(), vec![fault(1_000, 1_400, "server", kind)], 2_000).len(), 20);
}

#[test]
fn a_connection_opened_during_a_timeout_has_its_time_too() {
    let kind = FaultKind::Timeout { closes_after: Some(ms(500)) };
    told(config(), vec![fault(1_000, 3_000, "server>client", kind)], clock, |net| async move {
        at(2_000).await;
        let mut stream = connect(&net).await?;
        assert_eq!(read_out(&mut stream).await, (0, Ok(()), 2_501_000));
        Ok(())
    });
}

#[test]
fn a_connection_ends_after_so_many_bytes() {
    // The second half of the third tick is lost.
    let kind = FaultKind::LimitData { bytes: 20 };
    ended(
        vec![fault(1_000, 2_000, "server>client", kind)],
        (72 + 20, Ok(()), 1_200_500),
        (io::ErrorKind::BrokenPipe, 1_301),
    );
    let kind = FaultKind::LimitData { bytes: 0 };
    ended(
        vec![fault(1_000, 2_000, "server>client", kind)],
        (72, Ok(()), 1_000_500),
        (io::ErrorKind::BrokenPipe, 1_101),
    );
    let kind = FaultKind::LimitData { bytes: 1_000 };
    assert_eq!(heard(config(), vec![fault(1_000, 2_000, "server", kind)], 2_000).len(), 20);
}

#[test]
fn a_reset_in_mid_stream_comes_after_what_had_arrived() {
    let reset = Err(io::ErrorKind::ConnectionReset);
    let kind = |bytes| FaultKind::ResetPeer { bytes };
    // At once: the tick of that instant is cut off.
    ended(vec![fault(1_000, 2_000, "server", kind(0))], (72, reset, 1_000_000), (io::ErrorKind::BrokenPipe, 1_000));
    ended(
        vec![fault(1_050, 2_000, "server>client", kind(20))],
        (80 + 20, reset, 1_300_500),
        (io::ErrorKind::BrokenPipe, 1_300),
    );
}

#[test]
fn what_a_reset_left_in_the_buffer_can_still_be_read_at_both_ends() {
    told(
        config(),
        vec![fault(1_000, 2_000, "client/server", FaultKind::ResetPeer { bytes: 0 })],
        |net| async move {
            let listener = net.bind(([0, 0, 0, 0], 7).into(), ListenOptions::default()).await?;
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(b"from the server").await?;
            at(1_500).await;
            assert_eq!(read_out(&mut stream).await, (15, Err(io::ErrorKind::ConnectionReset), 1_500_000));
            assert_eq!(stream.write_all(b"?").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            // One that opens while it lasts is cut off with its first byte.
            let (mut stream, _) = listener.accept().await?;
            assert_eq!(read_out(&mut stream).await, (0, Err(io::ErrorKind::ConnectionReset), 1_701_500));
            std::future::pending().await
        },
        |net| async move {
            let mut stream = connect(&net).await?;
            stream.write_all(b"from the client").await?;
            at(1_600).await;
            assert_eq!(read_out(&mut stream).await, (15, Err(io::ErrorKind::ConnectionReset), 1_600_000));
            at(1_700).await;
            let mut stream = connect(&net).await?;
            stream.write_all(b"again").await?;
            assert_eq!(read_out(&mut stream).await, (0, Err(io::ErrorKind::ConnectionReset), 1_701_500));
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        },
    );
}

#[test]
fn a_forgotten_connection_is_silent_until_the_peer_sends() {
    // The server forgets it at 1.05 s: ten ticks came, and then nothing, for as long as the client only reads.
    let plan = vec![fault(1_050, None, "server>client", FaultKind::HalfOpen)];
    told(config(), plan, clock, |net| async move {
        let mut stream = connect(&net).await?;
        for n in 1..=10 {
            assert_eq!(stream.read_u64().await?, n * 100_000);
        }
        let silence = tokio::time::timeout(Duration::from_secs(3_600), stream.read_u64()).await;
        assert!(silence.is_err(), "{silence:?}");
        let asked = sim::now_us();
        stream.write_all(b"are you there?").await?;
        assert_eq!(read_out(&mut stream).await, (0, Err(io::ErrorKind::ConnectionReset), asked + 1_000));
        Ok(())
    });
}

#[test]
fn who_forgets_a_connection_is_told_that_it_timed_out() {
    let plan = vec![fault(1_050, None, "client", FaultKind::HalfOpen)];
    told(config(), plan, clock, |net| async move {
        let mut stream = connect(&net).await?;
        assert_eq!(read_out(&mut stream).await, (80, Err(io::ErrorKind::TimedOut), 1_050_000));
        connect(&net).await?.read_u64().await.map(drop)
    });
}
