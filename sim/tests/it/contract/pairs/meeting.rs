//! How the two programs of a probe find each other: the server's address and counted steps, outside of the network under test.
#![expect(
    clippy::disallowed_types,
    reason = "one program of a probe waits on each; who wakes first among many does not come up"
)]

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use wire::net::{ListenOptions, Listener, Network, SocketOptions};

#[derive(Clone)]
pub(crate) struct Meeting {
    /// Where to bind: the world's choice.
    pub(crate) listen: SocketAddr,
    /// How many connections are many here.
    pub(crate) many: u32,
    server: Arc<OnceLock<IpAddr>>,
    addr: Arc<watch::Sender<Option<SocketAddr>>>,
    step: Arc<watch::Sender<u32>>,
    count: Arc<AtomicUsize>,
}

impl Meeting {
    pub(crate) fn new(listen: SocketAddr, many: u32) -> Self {
        Self {
            listen,
            many,
            server: Arc::default(),
            addr: Arc::new(watch::Sender::new(None)),
            step: Arc::new(watch::Sender::new(0)),
            count: Arc::default(),
        }
    }

    pub(crate) fn server_is(&self, ip: IpAddr) {
        self.server.set(ip).unwrap();
    }

    /// Binds where the world wants it, and tells the other side.
    pub(crate) async fn bind<N: Network>(&self, net: &N, options: ListenOptions) -> N::Listener {
        let listener = net.bind(self.listen, options).await.unwrap();
        self.publish(listener.local_addr().unwrap().port());
        listener
    }

    pub(crate) fn publish(&self, port: u16) {
        self.addr.send_replace(Some(SocketAddr::new(*self.server.get().unwrap(), port)));
    }

    /// Binds and takes one connection.
    pub(crate) async fn accept<N: Network>(&self, net: &N) -> N::Stream {
        let listener = self.bind(net, ListenOptions::default()).await;
        listener.accept().await.unwrap().0
    }

    /// The server's address, once it listens.
    pub(crate) async fn addr(&self) -> SocketAddr {
        self.addr.subscribe().wait_for(Option::is_some).await.unwrap().unwrap()
    }

    pub(crate) async fn connect<N: Network>(&self, net: &N) -> N::Stream {
        net.connect(self.addr().await, SocketOptions::default()).await.unwrap()
    }

    /// Tells the other side a number.
    pub(crate) fn publish_count(&self, count: usize) {
        self.count.store(count, Relaxed);
    }

    /// The number that the other side told.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Says that a step has been reached.
    pub(crate) fn reached(&self, step: u32) {
        self.step.send_replace(step);
    }

    /// Waits for the other side to reach a step.
    pub(crate) async fn until(&self, step: u32) {
        self.step.subscribe().wait_for(|&at| at >= step).await.unwrap();
    }
}

/// Bytes that show where they belong.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}
