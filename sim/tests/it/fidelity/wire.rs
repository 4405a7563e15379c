//! Probes that need a wire with a length: outages, and times that are known in advance. The kernel's side of them runs over [`super::path`].

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use sim::{AtHorizon, Build, Failure, Faults, HostId, Latency, LinkConfig, NotExpressible, Report, SimConfig, turmoil};
use wire::net::{Network, TokioNet};

use super::path::{self, Path, Wire};
use super::probe::{END, World};
use super::worlds;
use crate::any_net::{AnyNet, Later};
use crate::contract::pairs::meeting::Meeting;

/// One way, in every probe.
pub(crate) const DELAY: Duration = Duration::from_millis(20);

/// The hand that cuts the wire.
#[derive(Clone)]
pub(crate) struct Hand(Arc<dyn Fn(Way, bool) + Send + Sync>);

/// What of the wire.
#[derive(Clone, Copy)]
enum Way {
    Both,
    /// What the server says.
    ToClient,
}

impl Hand {
    /// Both directions.
    pub(crate) fn cut(&self, on: bool) {
        (self.0)(Way::Both, on);
    }

    /// Only what the server says.
    pub(crate) fn cut_answers(&self, on: bool) {
        (self.0)(Way::ToClient, on);
    }
}

/// As [`super::probe::Probe`], with a hand on the wire.
pub(crate) trait WireProbe: 'static {
    const ASKS: &'static str;
    const DIFFERS: &'static [(World, &'static str)] = &[];
    /// Bits per second, if the wire is slow.
    const RATE: Option<u64> = None;
    /// How often the kernel sends again before it gives up. 15 is Linux's default, and the simulator's; a quarter of an hour.
    const RETRIES: u32 = 15;

    fn serve<N: Network>(net: N, meeting: Meeting) -> impl Future<Output = String> + Send;
    fn call<N: Network>(net: N, meeting: Meeting, hand: Hand) -> impl Future<Output = String> + Send;
}

/// The two programs of a probe, and their wire.
#[derive(Clone, Copy)]
pub(crate) struct Programs {
    serve: fn(AnyNet, Meeting) -> Later<'static, String>,
    call: fn(AnyNet, Meeting, Hand) -> Later<'static, String>,
    rate: Option<u64>,
    retries: u32,
}

impl Programs {
    pub(crate) fn of<P: WireProbe>() -> Self {
        Self {
            serve: |net, meeting| Box::pin(P::serve(net, meeting)),
            call: |net, meeting, hand| Box::pin(P::call(net, meeting, hand)),
            rate: P::RATE,
            retries: P::RETRIES,
        }
    }
}

async fn served(programs: Programs, net: AnyNet, meeting: Meeting) -> String {
    let said = (programs.serve)(net, meeting.clone()).await;
    meeting.until(END).await;
    said
}

async fn called(programs: Programs, net: AnyNet, meeting: Meeting, hand: Hand) -> String {
    let said = (programs.call)(net, meeting.clone(), hand).await;
    meeting.reached(END);
    said
}

/// The kernel's TCP over a wire of our own. None where this machine cannot have one; the reason is printed.
pub(crate) fn kernel(programs: Programs) -> Option<String> {
    let path = match Path::open(Wire { delay: DELAY, rate: programs.rate, retries: programs.retries }) {
        Ok(path) => path,
        Err(error) => {
            println!("no kernel path on this machine, its column is taken from the page: {error}");
            return None;
        }
    };
    let meeting = Meeting::new((Ipv4Addr::UNSPECIFIED, 0).into(), 0);
    meeting.server_is(path::SERVER.into());
    let cuts = path.cuts.clone();
    let hand = Hand(Arc::new(move |way, on| {
        if matches!(way, Way::Both) {
            cuts[0].store(on, Relaxed);
        }
        cuts[1].store(on, Relaxed);
    }));
    let (ours, theirs) = (meeting.clone(), meeting);
    let said = std::thread::scope(|scope| {
        let server = scope.spawn(|| path.within(1, || runs(|net| served(programs, net, ours))));
        let client = scope.spawn(|| path.within(0, || runs(|net| called(programs, net, theirs, hand))));
        let client = client.join().unwrap().unwrap();
        (server.join().unwrap().unwrap(), client)
    });
    Some(worlds::joined(&said.0, &said.1))
}

/// Runs a program on kernel sockets of this thread's namespace, for a minute at most.
fn runs<F: Future<Output = String>>(program: impl FnOnce(AnyNet) -> F) -> std::io::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let ended = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), program(AnyNet::new(TokioNet::current()))).await
    });
    runtime.shutdown_background();
    Ok(ended.unwrap_or_else(|_| "hangs".to_owned()))
}

pub(crate) fn simulated(programs: Programs) -> String {
    observed(|stage| sim::run(config(programs), |world| hosts(world, programs, stage)))
}

pub(crate) fn under_turmoil(programs: Programs) -> String {
    observed(|stage| turmoil::run(config(programs), |world| hosts(world, programs, stage)))
}

fn config(programs: Programs) -> SimConfig {
    let link = LinkConfig { latency: Latency::Fixed(DELAY), bandwidth: programs.rate, ..LinkConfig::default() };
    SimConfig {
        at_horizon: AtHorizon::FailIfUnfinished,
        horizon: Duration::from_secs(1_800),
        link,
        ..SimConfig::seeded(3)
    }
}

/// What the programs said, and what the engine could not do.
#[derive(Clone, Default)]
struct Stage {
    said: Arc<Mutex<[Option<String>; 2]>>,
    cannot: Arc<OnceLock<NotExpressible>>,
}

fn hosts<W: Build>(world: &mut W, programs: Programs, stage: &Stage) {
    let meeting = Meeting::new((Ipv4Addr::UNSPECIFIED, 0).into(), 0);
    let (ours, said) = (meeting.clone(), stage.said.clone());
    let server = world.foreground("server", move |net: W::Net| {
        let (meeting, said) = (ours.clone(), said.clone());
        async move {
            meeting.server_is(net.lookup("server", 0).await.unwrap()[0].ip());
            let text = served(programs, AnyNet::new(net), meeting).await;
            said.lock().unwrap()[0] = Some(text);
        }
    });
    let (control, there) = (world.control(), Arc::new(OnceLock::<HostId>::new()));
    let (client, cannot) = (there.clone(), stage.cannot.clone());
    let hand = Hand(Arc::new(move |way, on| {
        let client = *client.get().unwrap();
        let done = match (way, on) {
            (Way::Both, true) => control.partition(client, server),
            (Way::Both, false) => control.heal(client, server),
            (Way::ToClient, true) => control.partition_oneway(server, client),
            (Way::ToClient, false) => control.heal_oneway(server, client),
        };
        if let Err(error) = done {
            let _ = cannot.set(error);
        }
    }));
    let said = stage.said.clone();
    let client = world.foreground("client", move |net: W::Net| {
        let (meeting, said, hand) = (meeting.clone(), said.clone(), hand.clone());
        async move {
            let text = called(programs, AnyNet::new(net), meeting, hand).await;
            said.lock().unwrap()[1] = Some(text);
        }
    });
    there.set(client).unwrap();
}

fn observed(run: impl FnOnce(&Stage) -> Result<Report, Failure>) -> String {
    let stage = Stage::default();
    let ended = worlds::ended(run(&stage));
    if let Some(error) = stage.cannot.get() {
        return error.to_string();
    }
    ended.unwrap_or_else(|| match stage.said.lock().unwrap().clone() {
        [Some(server), Some(client)] => worlds::joined(&server, &client),
        _ => "ends before its programs do".to_owned(),
    })
}
