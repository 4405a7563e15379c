//! The three worlds. Both programs must finish in each.

use std::net::Ipv4Addr;
use std::time::Duration;

use sim::{Build, SimConfig, turmoil};
use wire::net::{Network, TokioNet};

use super::meeting::Meeting;
use crate::any_net::{AnyNet, Later};

/// The two programs of a probe.
#[derive(Clone, Copy)]
pub(crate) struct Programs {
    pub(crate) serve: fn(AnyNet, Meeting) -> Later<'static, ()>,
    pub(crate) call: fn(AnyNet, Meeting) -> Later<'static, ()>,
}

/// Kernel sockets on the loopback. The deadline only keeps a broken test from hanging.
pub(crate) fn kernel(programs: Programs) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let meeting = Meeting::new((Ipv4Addr::LOCALHOST, 0).into(), 200);
    meeting.server_is(Ipv4Addr::LOCALHOST.into());
    runtime.block_on(async {
        let net = AnyNet::new(TokioNet::current());
        let both =
            async { tokio::join!((programs.serve)(net.clone(), meeting.clone()), (programs.call)(net, meeting)) };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    });
    runtime.shutdown_background();
}

/// Our simulator: two hosts, and the probe twice, which must be one and the same.
pub(crate) fn simulated(programs: Programs) {
    let once = || sim::run(SimConfig::seeded(3), |world| two_hosts(world, 2000, programs));
    let report = once().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(once().as_ref(), Ok(&report), "the same run twice");
}

/// turmoil, likewise.
pub(crate) fn under_turmoil(programs: Programs) {
    let once = || turmoil::run(SimConfig::seeded(3), |world| two_hosts(world, 500, programs));
    let report = once().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(once().as_ref(), Ok(&report), "the same run twice");
}

fn two_hosts<W: Build>(world: &mut W, many: u32, programs: Programs) {
    let meeting = Meeting::new((Ipv4Addr::UNSPECIFIED, 7000).into(), many);
    let ours = meeting.clone();
    world.foreground("server", move |net: W::Net| {
        let meeting = ours.clone();
        async move {
            meeting.server_is(net.lookup("server", 0).await.unwrap()[0].ip());
            (programs.serve)(AnyNet::new(net), meeting).await;
        }
    });
    world.foreground("client", move |net: W::Net| (programs.call)(AnyNet::new(net), meeting.clone()));
}
