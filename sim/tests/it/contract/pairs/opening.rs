//! Listeners, connection requests, names.

pub(crate) mod a_connect_where_nobody_listens_is_refused {
    use std::io::ErrorKind;

    use wire::net::{ListenOptions, Network, SocketOptions};

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        // The port was free a moment ago.
        drop(meeting.bind(&net, ListenOptions::default()).await);
        meeting.reached(1);
        meeting.until(2).await;
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        meeting.until(1).await;
        let error = net.connect(meeting.addr().await, SocketOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        meeting.reached(2);
    }
}

pub(crate) mod accept_tells_the_address_of_the_peer {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::{ByteStream, ListenOptions, Listener, Network};

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let listener = meeting.bind(&net, ListenOptions::default()).await;
        let (mut stream, peer) = listener.accept().await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), peer);
        stream.write_all(peer.to_string().as_bytes()).await.unwrap();
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut stream = meeting.connect(&net).await;
        assert_eq!(stream.peer_addr().unwrap(), meeting.addr().await);
        let local = stream.local_addr().unwrap();
        let mut seen = String::new();
        stream.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, local.to_string());
    }
}

pub(crate) mod many_connections_open_at_once {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::{ListenOptions, Listener, Network};

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let options = ListenOptions { backlog: meeting.many, ..ListenOptions::default() };
        let listener = meeting.bind(&net, options).await;
        let mut streams = Vec::new();
        for _ in 0..meeting.many {
            streams.push(listener.accept().await.unwrap().0);
        }
        for mut stream in streams {
            let number = stream.read_u32().await.unwrap();
            stream.write_u32(number).await.unwrap();
        }
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let tasks: Vec<_> = (0..meeting.many)
            .map(|number| {
                let (net2, meeting) = (net.clone(), meeting.clone());
                net.spawn("caller", async move {
                    let mut stream = meeting.connect(&net2).await;
                    stream.write_u32(number).await.unwrap();
                    assert_eq!(stream.read_u32().await.unwrap(), number);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}

pub(crate) mod an_abandoned_connect_does_no_harm {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::net::{ListenOptions, Listener, Network, SocketOptions};

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let listener = meeting.bind(&net, ListenOptions::default()).await;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The abandoned ones may be accepted, and end.
            if stream.read_u8().await.is_ok_and(|byte| byte == 7) {
                stream.write_u8(8).await.unwrap();
                return;
            }
        }
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let addr = meeting.addr().await;
        for _ in 0..50 {
            let mut attempt = pin!(net.connect(addr, SocketOptions::default()));
            poll_fn(|cx| {
                let _ = attempt.as_mut().poll(cx);
                Poll::Ready(())
            })
            .await;
        }
        let mut stream = meeting.connect(&net).await;
        stream.write_u8(7).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 8);
    }
}

pub(crate) mod a_port_can_be_bound_again_after_its_listener_has_gone {
    use tokio::io::AsyncReadExt;
    use wire::net::{ListenOptions, Listener, Network, SocketOptions};

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let listener = meeting.bind(&net, ListenOptions::default()).await;
        let addr = listener.local_addr().unwrap();
        // Closed by us first: its port lingers in the kernel, and must not be in the way.
        drop(listener.accept().await.unwrap());
        drop(listener);
        let again = net.bind(addr, ListenOptions::default()).await.unwrap();
        assert_eq!(again.local_addr().unwrap(), addr);
        meeting.reached(1);
        drop(again.accept().await.unwrap());
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let mut first = meeting.connect(&net).await;
        assert_eq!(first.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        meeting.until(1).await;
        let mut second = net.connect(meeting.addr().await, SocketOptions::default()).await.unwrap();
        assert_eq!(second.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
}

pub(crate) mod a_port_cannot_be_bound_twice {
    use std::io::ErrorKind;

    use wire::net::{ListenOptions, Listener, Network};

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        let listener = meeting.bind(&net, ListenOptions::default()).await;
        let addr = listener.local_addr().unwrap();
        let error = net.bind(addr, ListenOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    }

    pub(crate) async fn call<N: Network>(_net: N, meeting: Meeting) {
        meeting.addr().await;
    }
}

pub(crate) mod names_resolve_or_fail_without_hanging {
    use std::net::SocketAddr;

    use wire::net::{ListenOptions, Network};

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(net: N, meeting: Meeting) {
        drop(meeting.bind(&net, ListenOptions::default()).await);
    }

    pub(crate) async fn call<N: Network>(net: N, meeting: Meeting) {
        let addr = meeting.addr().await;
        assert_eq!(net.lookup(&addr.ip().to_string(), 80).await.unwrap(), [SocketAddr::new(addr.ip(), 80)]);
        assert!(!net.lookup("localhost", 80).await.unwrap().is_empty());
        net.lookup("no such host", 80).await.unwrap_err();
    }
}
