//! What a program may expect of any network: each case runs against kernel sockets on loopback and against the simulator.

pub(crate) mod pairs;

use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions, TokioNet};

use crate::any_net::{AnyNet, Later};

/// Two hosts of one network.
struct Pair<N> {
    client: N,
    server: N,
    server_ip: IpAddr,
}

impl<N: Network> Pair<N> {
    async fn listen(&self, options: ListenOptions) -> (N::Listener, SocketAddr) {
        let listener = self.server.bind((self.server_ip, 0).into(), options).await.unwrap();
        let addr = listener.local_addr().unwrap();
        assert_ne!(addr.port(), 0);
        (listener, addr)
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<N::Stream> {
        self.client.connect(addr, SocketOptions::default()).await
    }

    /// An established connection: (client's end, server's end).
    async fn connected(&self) -> (N::Stream, N::Stream) {
        let (listener, addr) = self.listen(ListenOptions::default()).await;
        let client = self.connect(addr).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(client.peer_addr().unwrap(), addr);
        (client, server)
    }
}

async fn a_connect_where_nobody_listens_is_refused<N: Network>(pair: Pair<N>) {
    let (listener, addr) = pair.listen(ListenOptions::default()).await;
    drop(listener);
    assert_eq!(pair.connect(addr).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

async fn a_half_closed_connection_still_carries_the_answer<N: Network>(pair: Pair<N>) {
    let (mut client, mut server) = pair.connected().await;
    let echo = pair.server.spawn("echo", async move {
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        server.write_all(&all).await.unwrap();
    });
    client.write_all(b"is anybody there?").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"is anybody there?");
    echo.await.unwrap();
}

async fn the_end_comes_after_all_bytes<N: Network>(pair: Pair<N>) {
    let (mut client, mut server) = pair.connected().await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let copy = sent.clone();
    let writer = pair.server.spawn("writer", async move {
        server.write_all(&copy).await.unwrap();
        drop(server);
    });
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    writer.await.unwrap();
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
}

async fn dropping_unread_bytes_resets_the_connection<N: Network>(pair: Pair<N>) {
    let (mut client, mut server) = pair.connected().await;
    client.write_all(b"0123456789").await.unwrap();
    server.read_exact(&mut [0]).await.unwrap();
    drop(server);
    assert_eq!(client.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    // The error is told once.
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

async fn readable_bytes_come_before_a_reset<N: Network>(pair: Pair<N>) {
    let (mut client, mut server) = pair.connected().await;
    client.write_all(b"0123456789").await.unwrap();
    server.read_exact(&mut [0]).await.unwrap();
    server.write_all(b"goodbye").await.unwrap();
    // Bytes that arrive before the reset are readable before it.
    while server.unacknowledged().unwrap_or(0) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(server);
    let mut word = [0; 7];
    client.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"goodbye");
    assert_eq!(client.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

async fn an_abort_resets_the_peer<N: Network>(pair: Pair<N>) {
    let (client, mut server) = pair.connected().await;
    client.abort();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

async fn a_reader_that_stops_holds_the_writer_and_small_reads_let_it_go_on<N: Network>(pair: Pair<N>) {
    let small = SocketOptions { send_buffer: Some(16 << 10), recv_buffer: Some(16 << 10), ..SocketOptions::default() };
    let (listener, addr) = pair.listen(ListenOptions { accepted: small, ..ListenOptions::default() }).await;
    let mut client = pair.client.connect(addr, small).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let mut accepted = 0_usize;
    let chunk = [7; 1000];
    while let Ok(n) = timeout(Duration::from_secs(1), client.write(&chunk)).await {
        accepted += n.unwrap();
        assert!(accepted < 1 << 20, "a write must wait some time");
    }
    assert!(accepted >= 16 << 10, "{accepted}");
    // Exactness is optional on a kernel, the bound is not.
    assert!(client.unacknowledged().unwrap() <= accepted);
    let writer = pair.client.spawn("writer", async move {
        for _ in 0..300 {
            client.write_all(&chunk).await.unwrap();
        }
        client.shutdown().await.unwrap();
        client
    });
    let mut total = 0;
    let mut piece = [0; 700];
    loop {
        let n = server.read(&mut piece).await.unwrap();
        if n == 0 {
            break;
        }
        assert!(piece[..n].iter().all(|&byte| byte == 7));
        total += n;
    }
    assert_eq!(total, accepted + 300 * 1000);
    let client = writer.await.unwrap();
    while client.unacknowledged().unwrap() > 0 {
        // The last acknowledgement is on its way. A case has a deadline.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn writing_to_a_peer_that_closed_breaks_the_pipe<N: Network>(pair: Pair<N>) {
    let (mut client, server) = pair.connected().await;
    drop(server);
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    let error = loop {
        // The first write is answered by a reset; one after it fails.
        match client.write(b"hello?").await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
}

async fn writing_after_ones_own_shutdown_breaks_the_pipe<N: Network>(pair: Pair<N>) {
    let (mut client, mut server) = pair.connected().await;
    client.shutdown().await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    server.write_all(b"still").await.unwrap();
    let mut word = [0; 5];
    client.read_exact(&mut word).await.unwrap();
}

async fn a_full_backlog_makes_the_next_client_wait_for_its_retry<N: Network>(pair: Pair<N>) {
    let (listener, addr) = pair.listen(ListenOptions { backlog: 1, ..ListenOptions::default() }).await;
    // Linux lets one more in than it says.
    let first = pair.connect(addr).await.unwrap();
    let second = pair.connect(addr).await.unwrap();
    let waits = timeout(Duration::from_millis(300), pair.connect(addr)).await;
    assert!(waits.is_err(), "the backlog has no room for a third");
    let net = pair.client.clone();
    let third = pair.client.spawn("third", async move { net.connect(addr, SocketOptions::default()).await.unwrap() });
    let mut accepted = Vec::new();
    for _ in 0..3 {
        accepted.push(listener.accept().await.unwrap());
    }
    let third = third.await.unwrap();
    let peers: Vec<SocketAddr> = accepted.iter().map(|(_, peer)| *peer).collect();
    assert_eq!(peers, [first, second, third].map(|stream| stream.local_addr().unwrap()));
}

async fn five_hundred_clients_come_at_once<N: Network>(pair: Pair<N>) {
    let (listener, addr) = pair.listen(ListenOptions::default()).await;
    let accepting = pair.server.spawn("accept", async move {
        let mut kept = Vec::new();
        for _ in 0..500 {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"welcome").await.unwrap();
            kept.push(stream);
        }
        kept
    });
    let mut clients = Vec::new();
    for _ in 0..500 {
        let net = pair.client.clone();
        clients.push(pair.client.spawn("client", async move {
            let mut stream = net.connect(addr, SocketOptions::default()).await.unwrap();
            let mut word = [0; 7];
            stream.read_exact(&mut word).await.unwrap();
            stream.local_addr().unwrap()
        }));
    }
    let mut addrs = Vec::new();
    for client in clients {
        addrs.push(client.await.unwrap());
    }
    addrs.sort_unstable();
    addrs.dedup();
    assert_eq!(addrs.len(), 500, "every connection has a port of its own");
    assert_eq!(accepting.await.unwrap().len(), 500);
}

async fn a_cancelled_connect_disturbs_nobody<N: Network>(pair: Pair<N>) {
    let (listener, addr) = pair.listen(ListenOptions::default()).await;
    for _ in 0..20 {
        // Polled once, then dropped.
        let mut attempt = Box::pin(pair.connect(addr));
        let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(attempt.as_mut().poll(cx).is_ready())).await;
    }
    let mut client = pair.connect(addr).await.unwrap();
    client.write_all(b"x").await.unwrap();
    loop {
        let (mut stream, peer) = listener.accept().await.unwrap();
        let read = stream.read(&mut [0; 8]).await;
        if peer == client.local_addr().unwrap() {
            assert_eq!(read.unwrap(), 1);
            break;
        }
        assert!(matches!(read, Ok(0) | Err(_)), "a cancelled client says nothing");
    }
}

async fn a_port_can_be_bound_again_once_its_listener_is_gone<N: Network>(pair: Pair<N>) {
    let (listener, addr) = pair.listen(ListenOptions::default()).await;
    let taken = pair.server.bind(addr, ListenOptions::default()).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    let client = pair.connect(addr).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    drop((listener, server, client));
    let listener = pair.server.bind(addr, ListenOptions::default()).await.unwrap();
    let _client = pair.connect(addr).await.unwrap();
    listener.accept().await.unwrap();
}

async fn connections_nobody_accepted_are_reset_with_their_listener<N: Network>(pair: Pair<N>) {
    let (listener, addr) = pair.listen(ListenOptions::default()).await;
    let mut waiting = pair.connect(addr).await.unwrap();
    let mut probe = pair.connect(addr).await.unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    // The queue is in order: the first was accepted, the second waits.
    waiting.write_all(b"x").await.unwrap();
    accepted.read_exact(&mut [0]).await.unwrap();
    drop(listener);
    assert_eq!(probe.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

async fn vectored_writes_arrive_in_order<N: Network>(pair: Pair<N>) {
    let (mut client, mut server) = pair.connected().await;
    assert!(tokio::io::AsyncWrite::is_write_vectored(&client));
    let parts = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two "), IoSlice::new(b"three")];
    assert_eq!(client.write_vectored(&parts).await.unwrap(), 13);
    let mut got = [0; 13];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"one two three");
    assert_eq!(client.write(b"").await.unwrap(), 0);
}

async fn a_low_water_mark_keeps_unsent_bytes_out_of_the_kernel<N: Network>(pair: Pair<N>) {
    let small = SocketOptions { recv_buffer: Some(8 << 10), ..SocketOptions::default() };
    let (listener, addr) = pair.listen(ListenOptions { accepted: small, ..ListenOptions::default() }).await;
    let options = SocketOptions { notsent_lowat: Some(16 << 10), nodelay: Some(true), ..SocketOptions::default() };
    let mut client = pair.client.connect(addr, options).await.unwrap();
    let (_server, _) = listener.accept().await.unwrap();
    let mut accepted = 0;
    while let Ok(n) = timeout(Duration::from_secs(1), client.write(&[7; 1000])).await {
        accepted += n.unwrap();
        assert!(accepted < 200 << 10, "the mark must hold the writer long before the send buffer is full");
    }
}

async fn tasks_give_their_result_and_can_be_aborted<N: Network>(pair: Pair<N>) {
    assert_eq!(pair.client.spawn("sum", async { 1 + 1 }).await.unwrap(), 2);
    let forever = pair.client.spawn("forever", std::future::pending::<()>());
    forever.abort();
    assert!(forever.await.is_err());
    let (mut client, mut server) = pair.connected().await;
    let holder = pair.server.spawn("holder", async move { server.read_exact(&mut [0; 100]).await.map(drop) });
    drop(holder.guard());
    // The aborted task's stream is closed.
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
}

type Case = fn(Pair<AnyNet>) -> Later<'static, ()>;

/// Runs a case on kernel sockets.
fn on_the_kernel(case: Case) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let net = AnyNet::new(TokioNet::current());
        let pair = Pair { client: net.clone(), server: net, server_ip: IpAddr::from([127, 0, 0, 1]) };
        timeout(Duration::from_secs(60), case(pair)).await.expect("a case takes seconds");
    });
}

/// Runs a case between two simulated hosts.
fn in_the_simulator(case: Case) {
    let config = sim::SimConfig { horizon: Duration::from_secs(600), ..sim::SimConfig::default() };
    let report = sim::run(config, move |world| {
        let given = std::sync::Arc::new(std::sync::Mutex::new(None));
        let give = given.clone();
        world.host("server", move |net| {
            *give.lock().unwrap() = Some(net);
            std::future::pending::<()>()
        });
        let control = world.control();
        world.foreground("client", move |client| {
            let server = given.lock().unwrap().clone().unwrap();
            async move {
                let server_ip = IpAddr::from(server.addr());
                let (here, there) = (client.host(), server.host());
                case(Pair { client: AnyNet::new(client), server: AnyNet::new(server), server_ip }).await;
                // Whatever a case does, nothing of it stays.
                tokio::time::sleep(Duration::from_secs(130)).await;
                for host in [here, there] {
                    assert_eq!(control.sockets(host), sim::Sockets::default(), "host {host:?} leaks");
                }
            }
        });
    });
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.connections_left, 0);
}

macro_rules! contract {
    ($($case:ident)*) => {
        mod kernel {
            $(#[test] fn $case() { super::on_the_kernel(|pair| Box::pin(super::$case(pair))); })*
        }
        mod simulator {
            $(#[test] fn $case() { super::in_the_simulator(|pair| Box::pin(super::$case(pair))); })*
        }
    };
}

contract! {
    a_connect_where_nobody_listens_is_refused
    a_half_closed_connection_still_carries_the_answer
    the_end_comes_after_all_bytes
    dropping_unread_bytes_resets_the_connection
    readable_bytes_come_before_a_reset
    an_abort_resets_the_peer
    a_reader_that_stops_holds_the_writer_and_small_reads_let_it_go_on
    writing_to_a_peer_that_closed_breaks_the_pipe
    writing_after_ones_own_shutdown_breaks_the_pipe
    a_full_backlog_makes_the_next_client_wait_for_its_retry
    five_hundred_clients_come_at_once
    a_cancelled_connect_disturbs_nobody
    a_port_can_be_bound_again_once_its_listener_is_gone
    connections_nobody_accepted_are_reset_with_their_listener
    vectored_writes_arrive_in_order
    a_low_water_mark_keeps_unsent_bytes_out_of_the_kernel
    tasks_give_their_result_and_can_be_aborted
}
