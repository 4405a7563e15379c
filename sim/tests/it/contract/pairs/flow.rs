//! Bytes on their way, and who waits for whom.

pub(crate) mod a_mebibyte_comes_back_unchanged {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::Network;

    use crate::contract::pairs::meeting::{Meeting, pattern};

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let (mut read, mut write) = tokio::io::split(meeting.accept(&net).await);
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let (mut read, mut write) = tokio::io::split(meeting.connect(&net).await);
        let writer = net.spawn("writer", async move {
            write.write_all(&pattern(1 << 20)).await.unwrap();
            write.shutdown().await.unwrap();
            write
        });
        let mut back = Vec::new();
        read.read_to_end(&mut back).await.unwrap();
        assert!(back == pattern(1 << 20), "{} bytes came back", back.len());
        writer.await.unwrap();
    }
}

pub(crate) mod a_writer_waits_for_a_reader_and_goes_on_when_it_reads_in_small_pieces {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::{ListenOptions, Listener, Network, SocketOptions};

    use crate::contract::pairs::meeting::{Meeting, pattern};

    const SMALL: SocketOptions = SocketOptions {
        send_buffer: Some(32 << 10),
        recv_buffer: Some(32 << 10),
        nodelay: None,
        notsent_lowat: None,
        local: None,
    };
    const MORE: usize = 64 << 10;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let listener = meeting.bind(&net, ListenOptions { accepted: SMALL, ..ListenOptions::default() }).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        meeting.until(1).await;
        let (mut all, mut piece) = (Vec::new(), [0; 100]);
        loop {
            match stream.read(&mut piece).await.unwrap() {
                0 => break,
                n => all.extend_from_slice(&piece[..n]),
            }
        }
        assert!(all == pattern(all.len()), "in order and unchanged");
        stream.write_u32(u32::try_from(all.len()).unwrap()).await.unwrap();
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = net.connect(meeting.addr().await, SMALL).await.unwrap();
        let bytes = pattern(4 << 20);
        let mut accepted = 0;
        while accepted < bytes.len() {
            let end = (accepted + 8192).min(bytes.len());
            match tokio::time::timeout(Duration::from_millis(100), stream.write(&bytes[accepted..end])).await {
                Ok(written) => accepted += written.unwrap(),
                Err(_) => break,
            }
        }
        assert!(accepted >= 32 << 10, "the buffers take at least their size, not {accepted} bytes");
        assert!(accepted < 1 << 20, "nobody reads, yet {accepted} bytes were taken");
        meeting.reached(1);
        stream.write_all(&bytes[accepted..accepted + MORE]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read_u32().await.unwrap() as usize, accepted + MORE);
    }
}

pub(crate) mod a_vectored_write_arrives_whole_and_in_order {
    use std::io::IoSlice;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::Network;

    use crate::contract::pairs::meeting::{Meeting, pattern};

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let mut all = Vec::new();
        meeting.accept(&net).await.read_to_end(&mut all).await.unwrap();
        assert!(all == pattern(50_000), "{} bytes", all.len());
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.connect(&net).await;
        let bytes = pattern(50_000);
        let mut slices = [&bytes[..3], &[], &bytes[3..40_000], &bytes[40_000..]].map(IoSlice::new);
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let written = stream.write_vectored(rest).await.unwrap();
            IoSlice::advance_slices(&mut rest, written);
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
}

pub(crate) mod writes_and_reads_of_nothing_do_nothing {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::Network;

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.accept(&net).await;
        // In the kernel world even this waits until there is something to read: tokio asks for readiness first.
        assert_eq!(stream.read(&mut []).await.unwrap(), 0);
        assert_eq!(stream.read_u8().await.unwrap(), 7, "the first byte is the first that was written");
        stream.write_u8(8).await.unwrap();
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.connect(&net).await;
        assert_eq!(stream.write(&[]).await.unwrap(), 0);
        stream.write_u8(7).await.unwrap();
        assert_eq!(stream.write(&[]).await.unwrap(), 0);
        assert_eq!(stream.read_u8().await.unwrap(), 8);
    }
}
