//! The three worlds. Both programs must finish in each.

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use sim::{Build, SimConfig, SimNet, turmoil};
use wire::net::{Network, TokioNet};

use super::meeting::Meeting;

/// Kernel sockets on the loopback. The deadline only keeps a broken test from hanging.
pub(crate) fn kernel<S, C>(serve: impl FnOnce(TokioNet, Meeting) -> S, call: impl FnOnce(TokioNet, Meeting) -> C)
where
    S: Future<Output = ()>,
    C: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let meeting = Meeting::new((Ipv4Addr::LOCALHOST, 0).into(), 200);
    meeting.server_is(Ipv4Addr::LOCALHOST.into());
    runtime.block_on(async {
        let net = TokioNet::current();
        let both = async { tokio::join!(serve(net.clone(), meeting.clone()), call(net, meeting)) };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    });
    runtime.shutdown_background();
}

/// Our simulator: two hosts, and the probe twice, which must be one and the same.
pub(crate) fn simulated<S, C>(
    serve: impl Fn(SimNet, Meeting) -> S + Copy + Send + Sync + 'static,
    call: impl Fn(SimNet, Meeting) -> C + Copy + Send + Sync + 'static,
) where
    S: Future<Output = ()> + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let once = || sim::run(SimConfig::seeded(3), |world| two_hosts(world, 2000, serve, call));
    let report = once().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(once().as_ref(), Ok(&report), "the same run twice");
}

/// turmoil, likewise.
pub(crate) fn under_turmoil<S, C>(
    serve: impl Fn(turmoil::Net, Meeting) -> S + Copy + Send + Sync + 'static,
    call: impl Fn(turmoil::Net, Meeting) -> C + Copy + Send + Sync + 'static,
) where
    S: Future<Output = ()> + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let once = || turmoil::run(SimConfig::seeded(3), |world| two_hosts(world, 500, serve, call));
    let report = once().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(once().as_ref(), Ok(&report), "the same run twice");
}

fn two_hosts<W: Build, S, C>(
    world: &mut W,
    many: u32,
    serve: impl Fn(W::Net, Meeting) -> S + Copy + Send + Sync + 'static,
    call: impl Fn(W::Net, Meeting) -> C + Copy + Send + Sync + 'static,
) where
    S: Future<Output = ()> + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let meeting = Meeting::new((Ipv4Addr::UNSPECIFIED, 7000).into(), many);
    let ours = meeting.clone();
    world.foreground("server", move |net: W::Net| {
        let meeting = ours.clone();
        async move {
            meeting.server_is(net.lookup("server", 0).await.unwrap()[0].ip());
            serve(net, meeting).await;
        }
    });
    world.foreground("client", move |net| call(net, meeting.clone()));
}
