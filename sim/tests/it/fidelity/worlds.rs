//! The three worlds, and how each ends when a probe does not.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sim::{AtHorizon, Build, Cause, Failure, Report, SimConfig, turmoil};
use wire::net::{Network, TokioNet};

use super::probe::{END, Probe};
use crate::any_net::{AnyNet, Later};
use crate::contract::pairs::meeting::Meeting;

/// The two programs of a probe.
#[derive(Clone, Copy)]
pub(crate) struct Programs {
    serve: fn(AnyNet, Meeting) -> Later<'static, String>,
    call: fn(AnyNet, Meeting) -> Later<'static, String>,
}

impl Programs {
    pub(crate) fn of<P: Probe>() -> Self {
        Self {
            serve: |net, meeting| Box::pin(P::serve(net, meeting)),
            call: |net, meeting| Box::pin(P::call(net, meeting)),
        }
    }
}

/// Kernel sockets on the loopback: both programs on one thread. The deadline is for what hangs.
pub(crate) fn kernel(programs: Programs) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let meeting = Meeting::new((Ipv4Addr::LOCALHOST, 0).into(), 0);
    meeting.server_is(Ipv4Addr::LOCALHOST.into());
    let ended = runtime.block_on(async {
        let net = TokioNet::current();
        let call = called(programs, AnyNet::new(net.clone()), meeting.clone());
        let both = async { tokio::join!(served(programs, AnyNet::new(net), meeting), call) };
        tokio::time::timeout(Duration::from_secs(30), both).await
    });
    runtime.shutdown_background();
    ended.map_or_else(|_| "hangs".to_owned(), |(server, client)| joined(&server, &client))
}

/// Two hosts of our simulator.
pub(crate) fn simulated(programs: Programs) -> String {
    observed(|said| sim::run(config(), |world| hosts(world, programs, said)))
}

/// Two hosts of turmoil's.
pub(crate) fn under_turmoil(programs: Programs) -> String {
    observed(|said| turmoil::run(config(), |world| hosts(world, programs, said)))
}

fn config() -> SimConfig {
    SimConfig { at_horizon: AtHorizon::FailIfUnfinished, horizon: Duration::from_secs(60), ..SimConfig::seeded(3) }
}

/// What each side said, once it has ended.
type Said = Arc<Mutex<[Option<String>; 2]>>;

/// A server's machine stays up until the client has ended: turmoil delivers nothing to a host whose program has.
async fn served(programs: Programs, net: AnyNet, meeting: Meeting) -> String {
    let said = (programs.serve)(net, meeting.clone()).await;
    meeting.until(END).await;
    said
}

async fn called(programs: Programs, net: AnyNet, meeting: Meeting) -> String {
    let said = (programs.call)(net, meeting.clone()).await;
    meeting.reached(END);
    said
}

fn hosts<W: Build>(world: &mut W, programs: Programs, said: &Said) {
    let meeting = Meeting::new((Ipv4Addr::UNSPECIFIED, 0).into(), 0);
    let (ours, say) = (meeting.clone(), said.clone());
    world.foreground("server", move |net: W::Net| {
        let (meeting, say) = (ours.clone(), say.clone());
        async move {
            meeting.server_is(net.lookup("server", 0).await.unwrap()[0].ip());
            let text = served(programs, AnyNet::new(net), meeting).await;
            say.lock().unwrap()[0] = Some(text);
        }
    });
    let say = said.clone();
    world.foreground("client", move |net: W::Net| {
        let (meeting, say) = (meeting.clone(), say.clone());
        async move {
            let text = called(programs, AnyNet::new(net), meeting).await;
            say.lock().unwrap()[1] = Some(text);
        }
    });
}

fn observed(run: impl FnOnce(&Said) -> Result<Report, Failure>) -> String {
    let said = Said::default();
    ended(run(&said)).unwrap_or_else(|| match said.lock().unwrap().clone() {
        [Some(server), Some(client)] => joined(&server, &client),
        _ => "ends before its programs do".to_owned(),
    })
}

/// How a run ended that did not end well.
pub(crate) fn ended(result: Result<Report, Failure>) -> Option<String> {
    match result.map_err(|failure| failure.cause) {
        Ok(_) => None,
        Err(Cause::Panic { message, .. }) => Some(format!("panics: {message}")),
        Err(Cause::Horizon { .. } | Cause::Stuck { .. }) => Some("hangs".to_owned()),
        Err(cause) => Some(cause.to_string()),
    }
}

pub(crate) fn joined(server: &str, client: &str) -> String {
    match (server.is_empty(), client.is_empty()) {
        (true, _) => client.to_owned(),
        (_, true) => server.to_owned(),
        _ => format!("{client} / server: {server}"),
    }
}
