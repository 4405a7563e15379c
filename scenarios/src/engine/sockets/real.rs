//! What real time changes in the judgement: what bounds allow for it, and what a machine that did not keep up makes of a failure.

use reports::record::{Invariant, Outcome};

use super::pulse::Lateness;
use crate::check::Objectives;
use crate::model::Scenario;
use crate::span::Span;

/// What every bound on time may be passed by: turns of processes on shared cores, wake-ups, and starts of processes, which virtual time does not have.
const ALLOWANCE: Span = Span::from_millis(150);

/// Of a hundred turns of an instrument, one may come later than this.
const LATE_US_P99_MAX: u64 = 20_000;
/// None may come later than this.
const LATE_US_MAX: u64 = 400_000;

/// The least that Jain's index over latencies is held to, and the greatest mean as a multiple of the mean of all: which process had its turn when is not the proxy's doing.
const JAIN_MIN: f64 = 0.8;
const WORST_AT_MOST: f64 = 3.0;

/// The objectives of a scenario as they are judged in real time.
pub(super) fn allowed(scenario: &Scenario) -> Objectives {
    let mut it = scenario.check.clone();
    // Nobody can tell what a process holds in its kernel and its memory, as the simulator can.
    it.host_leaks = None;
    let more = |span: &mut Span| *span = Span::from_micros(span.as_micros().saturating_add(ALLOWANCE.as_micros()));
    it.delivery_latency.iter_mut().for_each(|it| more(&mut it.at_most));
    it.isolation.iter_mut().for_each(|it| more(&mut it.at_most));
    it.staleness.iter_mut().for_each(|it| more(&mut it.at_most));
    it.failover_time.iter_mut().for_each(|it| more(&mut it.at_most));
    it.first_tick.iter_mut().for_each(|it| more(&mut it.at_most));
    // A recovery that is shorter than its bound says nothing.
    it.convergence.iter_mut().for_each(|it| {
        let within = it.within;
        more(&mut it.within);
        it.within = it.within.min(scenario.recovery).max(within);
    });
    it.recovery.iter_mut().for_each(|it| more(&mut it.within));
    it.no_client_close.iter_mut().for_each(|it| more(&mut it.settle));
    it.nothing_leaks.iter_mut().for_each(|it| more(&mut it.settle));
    it.upstream_connections.iter_mut().for_each(|it| more(&mut it.linger));
    it.upstream_caps.iter_mut().for_each(|it| more(&mut it.waits_at_most));
    it.subscription_dedup.iter_mut().for_each(|it| {
        more(&mut it.settle);
        it.linger = Span::from_micros(it.linger.as_micros().saturating_sub(ALLOWANCE.as_micros()));
    });
    it.subscription_answers.iter_mut().for_each(|it| more(&mut it.settle));
    it.gentle_rebalance.iter_mut().for_each(|it| more(&mut it.within));
    it.drain.iter_mut().for_each(|it| more(&mut it.settle));
    it.reload.iter_mut().for_each(|it| {
        more(&mut it.settle);
        more(&mut it.counts_within);
    });
    it.preamble.iter_mut().for_each(|it| more(&mut it.settle));
    it.ping_pong.iter_mut().for_each(|it| more(&mut it.within));
    it.strictness.iter_mut().for_each(|it| more(&mut it.within));
    it.handshake_bounds.iter_mut().for_each(|it| more(&mut it.settle));
    it.quota.iter_mut().for_each(|it| more(&mut it.settle));
    it.close_codes.iter_mut().for_each(|it| more(&mut it.within));
    if let Some(fairness) = &mut it.latency_fairness {
        fairness.worst_at_most = fairness.worst_at_most.max(WORST_AT_MOST);
        if let Ok(share) = JAIN_MIN.min(fairness.jain_min.get()).try_into() {
            fairness.jain_min = share;
        }
    }
    it.symbol_fairness.iter_mut().for_each(|it| it.worst_at_most = it.worst_at_most.max(WORST_AT_MOST));
    it
}

/// Leaves what can be judged without the account that our proxy gives of itself; gives the names of the others, which are not applicable to a proxy of others.
pub(super) fn seen_from_outside(objectives: &mut Objectives) -> Vec<&'static str> {
    let mut gone = Vec::new();
    macro_rules! needs_account {
        ($($key:ident $name:literal),* $(,)?) => {
            $(if objectives.$key.take().is_some() {
                gone.push($name);
            })*
        };
    }
    needs_account! {
        no_silent_gap "no-silent-gap",
        snapshot_then_live "snapshot-then-live",
        resume_all_or_nothing "resume-all-or-nothing",
        subscription_dedup "subscription-dedup",
        subscription_answers "subscription-answers",
        upstream_connections "upstream-connections",
        upstream_caps "upstream-caps",
        upstream_dials "upstream-dials",
        even_spread "even-spread",
        slow_start "slow-start",
        gentle_rebalance "gentle-rebalance",
        client_memory "client-memory",
        slow_policy "slow-policy",
        nothing_leaks "nothing-leaks",
        metrics_truth "metrics-truth",
        drain "drain",
        reload "reload",
        ping_pong "ping-pong",
        strictness "strictness",
        handshake_bounds "handshake-bounds",
        quota "quota",
        preamble "preamble",
        close_codes "close-codes",
    }
    gone
}

/// What a slow machine excuses nothing of: no delay makes a tick come twice, in the wrong order, spoilt, or to whom it is not for, and none makes a program fail.
const WHATEVER_THE_TIME: [&str; 5] =
    ["symbol-order", "no-duplicates", "payload-intact", "no-leakage", super::super::PROGRAMS_LIVE];

/// Judges whether the instruments of a run, sources and clients by name, had their turns in time; where they had not, what failed in time is no evidence against the
/// proxy: it is inconclusive.
pub(super) fn judge(invariants: &mut Vec<Invariant>, instruments: &[(String, Lateness)]) {
    let worst = |of: fn(&Lateness) -> u64| {
        instruments
            .iter()
            .max_by_key(|(_, lateness)| of(lateness))
            .map(|(host, lateness)| (of(lateness), host.as_str()))
    };
    let (p99, slow) = worst(|lateness| lateness.late_us_p99).unwrap_or_default();
    let (max, slowest) = worst(|lateness| lateness.late_us_max).unwrap_or_default();
    let pulses: u64 = instruments.iter().map(|(_, lateness)| lateness.pulses).sum();
    let kept_up = pulses > 0 && p99 <= LATE_US_P99_MAX && max <= LATE_US_MAX;
    let ms = |us: u64| Span::from_micros(us);
    let summary = format!(
        "1 turn of 100 came {} late or more ({slow}; at most {}), the latest {} ({slowest}; at most {})",
        ms(p99),
        ms(LATE_US_P99_MAX),
        ms(max),
        ms(LATE_US_MAX)
    );
    if !kept_up {
        let excused =
            |it: &&mut Invariant| it.verdict == Outcome::Fail && !WHATEVER_THE_TIME.contains(&it.name.as_str());
        for invariant in invariants.iter_mut().filter(excused) {
            invariant.verdict = Outcome::Inconclusive;
            invariant.summary += "; the machine did not keep up, so that this may be its doing";
        }
    }
    invariants.push(Invariant {
        name: super::super::MACHINE.to_owned(),
        verdict: if kept_up { Outcome::Pass } else { Outcome::Inconclusive },
        checked: pulses,
        summary,
        broken: 0,
        violations: Vec::new(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invariant(name: &str) -> Invariant {
        let (summary, violations) = ("x".to_owned(), Vec::new());
        Invariant { name: name.to_owned(), verdict: Outcome::Fail, checked: 1, summary, broken: 1, violations }
    }

    fn check(late_us_max: u64, expect: [Outcome; 3]) {
        let mut invariants = vec![invariant("delivery-latency"), invariant("symbol-order")];
        let lateness = Lateness { pulses: 100, late_us_p99: 1_000, late_us_max };
        judge(&mut invariants, &[("source-0".to_owned(), lateness)]);
        let verdicts: Vec<Outcome> = invariants.iter().map(|invariant| invariant.verdict).collect();
        assert_eq!(verdicts, expect, "{invariants:?}");
    }

    #[test]
    fn a_machine_that_did_not_keep_up_excuses_what_is_late_and_nothing_else() {
        check(1_000, [Outcome::Fail, Outcome::Fail, Outcome::Pass]);
        check(3_000_000, [Outcome::Inconclusive, Outcome::Fail, Outcome::Inconclusive]);
    }

    #[test]
    fn a_proxy_of_others_is_not_judged_by_an_account_that_it_does_not_give() {
        let text = "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = { count = 2 }\n\
            proxy = { mode = \"fanout\" }\n[[clients]]\nname = \"all\"\ncount = 1\n\
            [check]\nno-silent-gap = {}\nsymbol-order = {}\nmetrics-truth = {}\n";
        let mut objectives = crate::parse::parse("x.toml", text).unwrap().check;
        assert_eq!(seen_from_outside(&mut objectives), ["no-silent-gap", "metrics-truth"]);
        assert!(objectives.symbol_order.is_some() && objectives.metrics_truth.is_none());
    }

    #[test]
    fn without_a_pulse_nothing_is_known() {
        let mut invariants = Vec::new();
        judge(&mut invariants, &[]);
        assert_eq!(invariants[0].verdict, Outcome::Inconclusive);
    }

    #[test]
    fn every_bound_on_time_has_its_allowance_and_what_cannot_be_seen_is_not_judged() {
        let text = "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = { count = 2 }\n\
            proxy = { mode = \"fanout\" }\n[[clients]]\nname = \"all\"\ncount = 1\n\
            [[faults]]\nat = \"1s\"\nfor = \"1s\"\nkind = \"kill\"\ntarget = \"source-0\"\n\
            [check]\nhost-leaks = {}\nrecovery = { within = \"500ms\" }\nfailover-time = { at-most = \"1s\" }\n";
        let scenario = crate::parse::parse("x.toml", text).unwrap();
        let allowed = allowed(&scenario);
        assert_eq!(allowed.host_leaks, None);
        assert_eq!(allowed.recovery.map(|it| it.within), Some(Span::from_millis(650)));
        assert_eq!(allowed.failover_time.map(|it| it.at_most), Some(Span::from_millis(1_150)));
    }
}
