//! The network of one host of a run: kernel sockets, the host's own loopback address, and the names of the others.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use wire::draw::Draws;
use wire::net::{ListenOptions, Network, SocketOptions, Task, TokioListener, TokioNet, TokioStream, WallTime};

/// Kernel sockets with names: configurations are those of a simulated run, in which a host listens on all of its addresses and dials others by name.
#[derive(Clone, Debug)]
pub(super) struct NamedNet {
    net: TokioNet,
    addr: IpAddr,
    names: Arc<BTreeMap<String, SocketAddr>>,
}

impl NamedNet {
    /// A host that has `addr` for all of its addresses, and reaches others where `names` says.
    pub(super) fn new(net: TokioNet, addr: IpAddr, names: BTreeMap<String, SocketAddr>) -> Self {
        Self { net, addr, names: Arc::new(names) }
    }
}

impl Network for NamedNet {
    type Stream = TokioStream;
    type Listener = TokioListener;

    async fn bind(&self, mut addr: SocketAddr, options: ListenOptions) -> io::Result<TokioListener> {
        if addr.ip().is_unspecified() {
            addr.set_ip(self.addr);
        }
        self.net.bind(addr, options).await
    }

    fn connect(
        &self,
        addr: SocketAddr,
        options: SocketOptions,
    ) -> impl Future<Output = io::Result<TokioStream>> + Send {
        // From its own address, so that who reads a record sees which host it was.
        self.net.connect(addr, SocketOptions { local: options.local.or(Some(self.addr)), ..options })
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self.names.get(host) {
            Some(addr) => Ok(vec![*addr]),
            None => self.net.lookup(host, port).await,
        }
    }

    fn spawn_on<F>(&self, shard: usize, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.net.spawn_on(shard, name, future)
    }

    fn give_way(&self) -> impl Future<Output = ()> + Send {
        self.net.give_way()
    }

    fn shards(&self) -> usize {
        self.net.shards()
    }

    fn wall_clock(&self) -> WallTime {
        self.net.wall_clock()
    }

    fn draws(&self, purpose: &str, entity: u64) -> Draws {
        self.net.draws(purpose, entity)
    }
}
