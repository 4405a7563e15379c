//! Relays between hosts: what links do in a run over sockets, done to bytes.
//!
//! ```text
//!   who dials --> listener of the link --> pump: hold back, pace, slice, cut (toxic) --> who serves
//!             <--                      <-- pump                                      <--
//! ```
//!
//! One listener for each link that has a shape of its own or is hit by a fault; all others are direct. A relay keeps the bytes: nothing of an open connection is lost but by a fault that ends it. All
//! relays share one thread, which has nothing else to do.

mod pump;
mod toxic;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::net::{
    ByteStream as _, ListenOptions, Listener as _, Network as _, SocketOptions, TokioListener, TokioNet, TokioStream,
};

use self::pump::{Ended, Pumped, both};
use self::toxic::{Door, State};
pub(super) use self::toxic::{Toxic, Way};
use super::merge::Behind;
use crate::plan::Shape;

/// A link that goes through a relay.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Who dials, and who serves.
    pub(super) ends: (String, String),
    /// Where the relay listens.
    pub(super) listen: SocketAddr,
    /// Where who serves listens.
    pub(super) to: SocketAddr,
    /// What the link does by itself; None: nothing.
    pub(super) shape: Option<Shape>,
}

/// All relays of a run. Dropped, they end.
pub(super) struct Relays {
    links: BTreeMap<(String, String), Arc<Link>>,
    behind: Arc<Mutex<Behind>>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// One link.
struct Link {
    route: Route,
    state: Mutex<State>,
    /// Rings when the state changes.
    changed: Notify,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `is` holds of the state.
    async fn until<T>(&self, mut is: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no ring is missed.
            changed.as_mut().enable();
            if let Some(found) = is(&mut self.state()) {
                return found;
            }
            changed.await;
        }
    }
}

impl Relays {
    /// Starts them: all listen when this returns. They dial from `from`, so that no address of theirs is anybody else's.
    pub(super) fn start(routes: Vec<Route>, from: IpAddr) -> Result<Self, String> {
        let link = |route: Route| {
            let ends = route.ends.clone();
            (ends, Arc::new(Link { state: Mutex::new(State::new(route.shape)), changed: Notify::new(), route }))
        };
        let links: BTreeMap<_, _> = routes.into_iter().map(link).collect();
        let (behind, stop) = (Arc::new(Mutex::new(Behind::new())), CancellationToken::new());
        if links.is_empty() {
            return Ok(Self { links, behind, stop, thread: None });
        }
        let (ready, listening) = std::sync::mpsc::channel();
        let all: Vec<Arc<Link>> = links.values().cloned().collect();
        let (noted, stopped) = (Arc::clone(&behind), stop.clone());
        let run = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async {
                let net = TokioNet::current();
                let mut tasks = Vec::new();
                for link in all {
                    match listen(&net, &link).await {
                        Ok(listener) => {
                            let relay = serve(net.clone(), link, listener, Arc::clone(&noted), from);
                            tasks.push(net.spawn("relay", relay).guard());
                        }
                        Err(error) => return drop(ready.send(Err(error))),
                    }
                }
                drop(ready.send(Ok(())));
                stopped.cancelled().await;
            });
        };
        let thread = std::thread::Builder::new().name("relays".to_owned()).spawn(run);
        let thread = thread.map_err(|error| format!("failed to start a thread: {error}"))?;
        let relays = Self { links, behind, stop, thread: Some(thread) };
        match listening.recv() {
            Ok(Ok(())) => Ok(relays),
            Ok(Err(error)) => Err(format!("a relay cannot listen: {error}")),
            Err(_) => Err("the thread of the relays ended".to_owned()),
        }
    }

    /// Begins a fault on the links of a target: `a/b` both ways, `a>b` one way, a host all of its links.
    pub(super) fn strike(&self, fault: usize, target: &str, toxic: &Toxic) {
        for (link, ways) in self.hit(target) {
            link.state().strike(fault, toxic, ways, Instant::now());
            link.changed.notify_waiters();
        }
    }

    /// Ends it.
    pub(super) fn lift(&self, fault: usize, target: &str) {
        for (link, _) in self.hit(target) {
            link.state().lift(fault);
            link.changed.notify_waiters();
        }
    }

    fn hit<'a>(&'a self, target: &'a str) -> impl Iterator<Item = (&'a Link, &'static [Way])> {
        self.links.iter().filter_map(move |((dials, serves), link)| Some((&**link, ways(target, dials, serves)?)))
    }

    /// Who stood behind the addresses of the relays.
    pub(super) fn behind(&self) -> Behind {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Which ways of a link a target means.
pub(super) fn ways(target: &str, dials: &str, serves: &str) -> Option<&'static [Way]> {
    const BOTH: &[Way] = &[Way::Up, Way::Down];
    let (one, other) = crate::plan::parts(target);
    match other {
        None => [dials, serves].contains(&one).then_some(BOTH),
        Some(('/', other)) => ([one, other] == [dials, serves] || [other, one] == [dials, serves]).then_some(BOTH),
        Some((_, other)) if [one, other] == [dials, serves] => Some(&[Way::Up]),
        Some((_, other)) if [other, one] == [dials, serves] => Some(&[Way::Down]),
        Some(_) => None,
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen(net: &TokioNet, link: &Link) -> io::Result<TokioListener> {
    let accepted = SocketOptions { nodelay: Some(true), ..SocketOptions::default() };
    net.bind(link.route.listen, ListenOptions { accepted, ..ListenOptions::default() }).await
}

/// Takes what is dialled, for as long as the link takes anything.
async fn serve(net: TokioNet, link: Arc<Link>, listener: TokioListener, behind: Arc<Mutex<Behind>>, from: IpAddr) {
    let mut listener = Some(listener);
    let mut tasks = Vec::new();
    loop {
        let Some(open) = &listener else {
            link.until(|state| (!state.refuses()).then_some(())).await;
            listener = listen(&net, &link).await.ok();
            if listener.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            continue;
        };
        let accepted = wire::select! {
            // With nobody who listens, the kernel refuses.
            () = link.until(|state| state.refuses().then_some(())) => None,
            accepted = open.accept() => Some(accepted),
        };
        match accepted {
            None => listener = None,
            Some(Ok((stream, peer))) => {
                let carried = carry(net.clone(), Arc::clone(&link), stream, peer, Arc::clone(&behind), from);
                tasks.push(net.spawn("relayed connection", carried).guard());
            }
            Some(Err(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// One connection, from its beginning to its end.
async fn carry(
    net: TokioNet,
    link: Arc<Link>,
    near: TokioStream,
    peer: SocketAddr,
    behind: Arc<Mutex<Behind>>,
    from: IpAddr,
) {
    let opened = Instant::now();
    match link.until(|state| state.door()).await {
        Door::Open => {}
        Door::Closes => return,
    }
    let options = SocketOptions { nodelay: Some(true), local: Some(from), ..SocketOptions::default() };
    let far = match net.connect(link.route.to, options).await {
        Ok(far) => far,
        // Nobody is there. It was granted a connection already: it is reset, which is as near as a relay comes to a refusal.
        Err(_) => return near.abort(),
    };
    if let Ok(ours) = far.local_addr() {
        behind.lock().unwrap_or_else(PoisonError::into_inner).insert(ours, peer);
    }
    let Pumped { near, far, ended } = both(&net, &link, near, far, opened).await;
    if ended == Ended::Reset {
        near.abort();
        far.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_means_ways_of_links() {
        let of = |target| ways(target, "proxy-0", "source-1");
        let (both, up, down) = ([Way::Up, Way::Down], [Way::Up], [Way::Down]);
        assert_eq!(of("proxy-0/source-1"), Some(&both[..]));
        assert_eq!(of("source-1/proxy-0"), Some(&both[..]));
        assert_eq!(of("source-1"), Some(&both[..]));
        assert_eq!(of("proxy-0>source-1"), Some(&up[..]));
        assert_eq!(of("source-1>proxy-0"), Some(&down[..]));
        assert_eq!((of("source-0"), of("proxy-0/source-0"), of("desk-0>proxy-0")), (None, None, None));
    }
}
