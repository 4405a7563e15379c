//! How connections end.

pub(crate) mod after_a_half_close_the_other_half_goes_on {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::Network;

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.accept(&net).await;
        let mut question = String::new();
        stream.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        stream.write_all(b"answer").await.unwrap();
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(b"question").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        stream.write_all(b"too late").await.unwrap_err();
    }
}

pub(crate) mod the_end_comes_after_all_bytes {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::Network;

    use crate::contract::pairs::meeting::{Meeting, pattern};

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.accept(&net).await;
        stream.write_all(&pattern(300_000)).await.unwrap();
        // Dropped with bytes still on their way.
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.connect(&net).await;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert!(all == pattern(300_000), "{} bytes", all.len());
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "the end stays the end");
    }
}

pub(crate) mod dropping_a_stream_with_unread_bytes_resets_it {
    use std::io::ErrorKind;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::Network;

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.accept(&net).await;
        stream.read_exact(&mut [0; 10]).await.unwrap();
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(&[1; 1000]).await.unwrap();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
}

pub(crate) mod bytes_that_arrived_are_readable_before_a_reset {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::Network;

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.accept(&net).await;
        stream.read_exact(&mut [0; 10]).await.unwrap();
        stream.write_all(b"last words").await.unwrap();
        drop(stream);
        meeting.reached(1);
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.connect(&net).await;
        stream.write_all(&[1; 1000]).await.unwrap();
        meeting.until(1).await;
        // Both are here now: the loopback hands over at once, the simulated links within this time.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut words = Vec::new();
        let error = stream.read_to_end(&mut words).await.unwrap_err();
        assert_eq!(words, b"last words");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
}

pub(crate) mod writing_to_a_peer_that_has_closed_soon_fails {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::Network;

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        drop(meeting.accept(&net).await);
        meeting.until(1).await;
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.connect(&net).await;
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "its end comes first");
        for _ in 0..100 {
            if let Err(error) = stream.write_all(&[1; 1000]).await {
                let known = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                assert!(known.contains(&error.kind()), "{error}");
                meeting.reached(1);
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("a hundred writes to nobody went well");
    }
}

pub(crate) mod an_abort_resets_the_peer {
    use std::io::ErrorKind;

    use tokio::io::AsyncReadExt;
    use wire::net::{ByteStream, Network};

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        meeting.accept(&net).await.abort();
        meeting.until(1).await;
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.connect(&net).await;
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        meeting.reached(1);
    }
}
