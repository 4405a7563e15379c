//! A simulated host's network: what programs are generic over.

mod stream;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use wire::draw::Draws;
use wire::net::{Abort, ListenOptions, Listener, Network, SocketOptions, Task, WallTime};

pub use self::stream::SimStream;
use crate::kernel::{self, ConnId, EndState, ListenId, Waiter, World};
use crate::ready::TaskKey;
use crate::{HostId, exec};

/// The network of one incarnation of a simulated host's program. Clones speak for the same incarnation; once it has been killed, they do nothing.
#[derive(Clone, Debug)]
pub struct SimNet {
    host: u32,
    boot: u32,
}

impl SimNet {
    pub(crate) fn new(host: u32, boot: u32) -> Self {
        Self { host, boot }
    }

    /// Which host this is.
    #[must_use]
    pub fn host(&self) -> HostId {
        exec::host_id(self.host)
    }

    /// Counts the starts of the program, from 1.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.boot
    }

    /// The host's address.
    #[must_use]
    pub fn addr(&self) -> Ipv4Addr {
        kernel::with(|world| world.hosts[self.host as usize].ip).unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    fn alive(&self) -> io::Result<()> {
        if exec::is_running(self.host, self.boot) {
            Ok(())
        } else {
            Err(io::Error::other("this incarnation of the program has ended"))
        }
    }
}

/// The error of a call outside of the run.
fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the simulated world is gone")
}

struct AbortSim(TaskKey);

impl Abort for AbortSim {
    fn abort(&self) {
        exec::abort(self.0);
    }
}

struct NoTask;

impl Abort for NoTask {
    fn abort(&self) {}
}

impl Network for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;

    async fn bind(&self, addr: SocketAddr, options: ListenOptions) -> io::Result<SimListener> {
        self.alive()?;
        let addr = World::v4(addr)?;
        let (id, local) = kernel::with(|world| {
            let id = world.bind(self.host, addr, options)?;
            let local = world.listener(id).map(|listener| listener.addr).ok_or_else(gone)?;
            Ok::<_, io::Error>((id, local))
        })
        .ok_or_else(gone)??;
        Ok(SimListener { run: kernel::run_id(), id, local: local.into() })
    }

    async fn connect(&self, addr: SocketAddr, options: SocketOptions) -> io::Result<SimStream> {
        self.alive()?;
        let addr = World::v4(addr)?;
        let id = kernel::with(|world| world.open(self.host, addr, options)).ok_or_else(gone)??;
        // Dropping the stream before it is established abandons the attempt.
        let stream = SimStream::new(id, 0);
        poll_fn(|cx| {
            kernel::with(|world| {
                let Some(conn) = world.conn(id) else { return Poll::Ready(Err(gone())) };
                let end = &mut conn.ends[0];
                match end.state {
                    EndState::Opening => {
                        Waiter::park(&mut end.reader, cx);
                        Poll::Pending
                    }
                    EndState::Dead => {
                        Poll::Ready(Err(end.error.take().unwrap_or(io::ErrorKind::ConnectionAborted).into()))
                    }
                    EndState::Open | EndState::Orphan => Poll::Ready(Ok(())),
                }
            })
            .unwrap_or_else(|| Poll::Ready(Err(gone())))
        })
        .await?;
        Ok(stream)
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let (delay_us, fails) = kernel::with(|world| world.lookup_trouble(self.host, host)).unwrap_or_default();
        if delay_us > 0 {
            tokio::time::sleep(Duration::from_micros(delay_us)).await;
        }
        if fails {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("the name {host} does not resolve")));
        }
        let ip = if host == "localhost" {
            Some(Ipv4Addr::LOCALHOST)
        } else {
            kernel::with(|world| {
                let one = world.hosts.iter().find(|known| known.name == host).map(|known| known.ip);
                one.or_else(|| world.stands_for(host).map(HostId::addr))
            })
            .flatten()
        };
        match ip {
            Some(ip) => Ok(vec![SocketAddr::from((ip, port))]),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("no simulated host is named {host}"))),
        }
    }

    fn spawn_on<F>(&self, _shard: usize, name: &'static str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (run, result) = Task::split(future);
        match exec::spawn(self.host, self.boot, name, Box::pin(run)) {
            Some(key) => Task::new(result, Arc::new(AbortSim(key))),
            None => Task::new(result, Arc::new(NoTask)),
        }
    }

    fn shards(&self) -> usize {
        kernel::with(|world| world.config.shards.max(1)).unwrap_or(1)
    }

    fn wall_clock(&self) -> WallTime {
        kernel::with(|world| {
            let skew = world.clock_error(self.host);
            WallTime((world.config.epoch.as_micros() + world.now_us).saturating_add_signed(skew))
        })
        .unwrap_or_default()
    }

    /// Draws of a host depend on its name and incarnation too: two hosts with the same program draw differently, as two processes would.
    fn draws(&self, purpose: &str, entity: u64) -> Draws {
        let seed = kernel::with(|world| {
            let name = &world.hosts[self.host as usize].name;
            Draws::new(world.config.seed, name, u64::from(self.boot)).nth(0)
        });
        Draws::of_world(seed.unwrap_or_default(), purpose, entity)
    }
}

/// A listening simulated socket.
#[derive(Debug)]
pub struct SimListener {
    run: u32,
    id: ListenId,
    local: SocketAddr,
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let (id, peer): (ConnId, SocketAddr) = poll_fn(|cx| {
            kernel::with(|world| {
                let next = match world.accept(self.id) {
                    Ok(next) => next,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                if let Some(id) = next {
                    let peer = world.conn(id).map(|conn| conn.ends[0].addr.into()).ok_or_else(gone);
                    return Poll::Ready(peer.map(|peer| (id, peer)));
                }
                let Some(listener) = world.listener(self.id) else { return Poll::Ready(Err(gone())) };
                if !listener.waiters.iter().any(|waiter| waiter.waker.will_wake(cx.waker())) {
                    let mut place = None;
                    Waiter::park(&mut place, cx);
                    listener.waiters.extend(place);
                }
                Poll::Pending
            })
            .unwrap_or_else(|| Poll::Ready(Err(gone())))
        })
        .await?;
        Ok((SimStream::new(id, 1), peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        if self.run == kernel::run_id() {
            kernel::with(|world| world.unbind(self.id));
        }
    }
}
