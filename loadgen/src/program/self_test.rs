//! `--self-test`: whether a stall of what is loaded can hide from this generator. An echo of its own stalls once, for 1.4 s of ten; measured from the planned
//! instants p99 must show it, and from the instants of sending it does not (coordinated omission; wrk2's README has the same effect with the same stall).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::event::Observer;
use wire::net::{ListenOptions, Listener, Network};
use wire::ws::{self, Answer, Limits};

use crate::config::{Config, Load};
use crate::distribution::Quantiles;
use crate::run::run;

const STALL: Duration = Duration::from_millis(1_400);
/// From the beginning to the stall.
const BEFORE: Duration = Duration::from_secs(4);
const WHOLE: Duration = Duration::from_secs(10);
const CLIENTS: u32 = 50;
const PER_S: f64 = 20.0;
/// A generator that is later than this of its own doing has no part of the stall to show.
const LATE_US: u64 = 100_000;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shown {
    /// The effect, in a table.
    Effect(String),
    /// This machine is too busy to tell: the table, and why.
    Busy(String, String),
    /// The plan does not show the stall: a bug.
    Hidden(String),
}

/// Runs it, on loopback.
///
/// # Errors
/// What could not be bound or run.
pub(super) async fn test<N: Network>(net: N) -> Result<Shown, String> {
    let address = ([127, 0, 0, 1], 0).into();
    let listener = net.bind(address, ListenOptions::default()).await.map_err(|error| format!("loopback: {error}"))?;
    let target = format!("ws://{}/", listener.local_addr().map_err(|error| error.to_string())?);
    let stall = Instant::now() + BEFORE;
    let (server, stalled) = (net.clone(), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&stalled);
    let _serving = net.spawn("echo", async move { serve(server, listener, stall, count).await }).guard();
    let mut config = Config::new(vec![target]);
    (config.clients, config.duration, config.one_at_a_time) = (CLIENTS, WHOLE, true);
    let arrival = crate::arrival::Arrival::AtOnce;
    config.load = Load::Open { arrival, requests_per_s: Some(PER_S), stay: None, session: None };
    let summary =
        run(config, net, CancellationToken::new(), Observer::none()).await.map_err(|error| error.to_string())?;
    let echo = summary.window.and_then(|window| window.echo).ok_or("nothing was answered")?;
    let [corrected, uncorrected] = [echo.corrected, echo.uncorrected]
        .map(|distribution| distribution.map_or_else(Quantiles::default, |distribution| distribution.quantiles));
    Ok(judge(&corrected, &uncorrected, stalled.load(Ordering::Relaxed), &summary.send_lateness))
}

async fn serve<N: Network>(net: N, listener: N::Listener, stall: Instant, stalled: Arc<AtomicU32>) {
    while let Ok((stream, _)) = listener.accept().await {
        let stalled = Arc::clone(&stalled);
        let talk = async move {
            let agree = |_: &ws::Asked| Answer::Accept { subprotocol: None };
            let Ok(accepted) = ws::accept(stream, Limits::default(), agree).await else { return };
            let mut session = accepted.session;
            while let Some(Ok(message)) = session.next().await {
                let now = Instant::now();
                if (stall..stall + STALL).contains(&now) {
                    // Half of it at least: else what was to be shown was not there.
                    stalled.fetch_add(u32::from(now < stall + STALL / 2), Ordering::Relaxed);
                    sleep_until(stall + STALL).await;
                }
                if (message.is_text() || message.is_binary()) && session.send(message).await.is_err() {
                    return;
                }
            }
        };
        net.spawn("echo session", talk);
    }
}

/// A hundredth of ten seconds is planned within the first 100 ms of the stall: p99 is at least the rest of it, less what a slow machine takes. From the sending only one
/// request of each client sees it, 50 of 10,000.
fn judge(corrected: &Quantiles, uncorrected: &Quantiles, stalled: u32, late: &Quantiles) -> Shown {
    let row = |name: &str, it: &Quantiles| {
        let ms = |us: u64| us as f64 / 1_000.0;
        let (p50, p90, p99, max) = (ms(it.p50_us), ms(it.p90_us), ms(it.p99_us), ms(it.max_us));
        format!("{name:<32} {:>7} {p50:>9.2} {p90:>9.2} {p99:>9.2} {max:>9.2}\n", it.count)
    };
    let table = format!(
        "An echo stalled once for 1.4 s of 10 s; {CLIENTS} clients, {PER_S} requests/s each.\n{:<32} {:>7} {:>9} {:>9} {:>9} {:>9}\n{}{}",
        "latency (ms)",
        "answers",
        "p50",
        "p90",
        "p99",
        "max",
        row("from the plan (corrected)", corrected),
        row("from the sending (uncorrected)", uncorrected),
    );
    // What the machine did not let happen cannot be shown, and says nothing of the generator.
    let planned = (f64::from(CLIENTS) * PER_S * WHOLE.as_secs_f64()) as u64;
    let causes = [
        (stalled < CLIENTS * 9 / 10, format!("the stall met {stalled} of {CLIENTS} clients only")),
        (
            corrected.count < planned * 9 / 10,
            format!("{} of {planned} planned requests were answered", corrected.count),
        ),
        (late.p99_us > LATE_US, format!("requests were sent up to {:.0} ms late (p99)", late.p99_us as f64 / 1e3)),
    ];
    if let Some((_, why)) = causes.into_iter().find(|(is, _)| *is) {
        return Shown::Busy(table, why);
    }
    if corrected.p99_us < 1_000_000 {
        Shown::Hidden(table)
    } else if uncorrected.p99_us > corrected.p99_us / 4 {
        Shown::Busy(table, "even what was sent was answered late".to_owned())
    } else {
        Shown::Effect(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effect_is_a_stall_in_p99_by_plan_and_none_from_the_sending() {
        let p99 = |ms: u64| Quantiles { count: 10_000, p99_us: ms * 1_000, ..Quantiles::default() };
        let judged = |corrected, uncorrected| judge(&p99(corrected), &p99(uncorrected), 50, &p99(2));
        assert!(matches!(judged(1_290, 6), Shown::Effect(_)));
        assert!(matches!(judged(1_290, 400), Shown::Busy(..)));
        assert!(matches!(judged(7, 6), Shown::Hidden(_)));
    }

    #[test]
    fn on_a_machine_that_did_not_let_it_happen_nothing_is_said_of_the_generator() {
        let p99 = |ms: u64| Quantiles { count: 10_000, p99_us: ms * 1_000, ..Quantiles::default() };
        let check = |corrected: Quantiles, stalled, late, word: &str| {
            let Shown::Busy(_, why) = judge(&corrected, &p99(6), stalled, &p99(late)) else { panic!("{word}") };
            assert!(why.contains(word), "{why}");
        };
        check(p99(7), 44, 2, "the stall met 44 of 50 clients");
        check(Quantiles { count: 8_999, ..p99(7) }, 50, 2, "8999 of 10000 planned");
        check(p99(7), 50, 101, "101 ms late");
    }
}
