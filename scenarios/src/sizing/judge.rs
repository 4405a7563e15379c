//! Whether a trial holds: by goodput, the share of planned messages that came within the objective, so that what never came counts as late.

use capacity::search::Answer;
use loadgen::health::Bounds;
use reports::capacity::Footprint;

use super::axis::{Axis, Trial};
use super::generator::Heard;
use super::machine;

/// A trial, measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was tried.
    pub trial: Trial,
    /// What the generator says.
    pub heard: Heard,
    /// What the proxy took; none where it ended.
    pub proxy: Option<Footprint>,
    /// Descriptors that the proxy may have.
    pub descriptors_max: Option<u64>,
    /// The source's share of one core.
    pub source_cpu: Option<f64>,
    /// The part of the memory at the end, of the proxy and of the kernel's sockets, that came over the window; none where that is not known.
    pub grew: Option<f64>,
    /// The part of the proxy's own core that others took; none where it has none, or that is not known.
    pub taken: Option<f64>,
    /// Connections that were under way on average, where they come and go.
    pub under_way: Option<f64>,
    /// Whether the proxy was still there at the end, and if not, how it ended.
    pub proxy_ended: Option<String>,
}

/// What it comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// For the search.
    pub answer: Answer,
    /// Why, in words.
    pub why: String,
    /// The share of planned messages within the objective; none where nothing was measured.
    pub goodput: Option<f64>,
    /// What gave out, where it does not hold.
    pub binds: Option<String>,
}

/// How the word on what gave out begins, where it was not the CPU.
const LATENESS: &str = "lateness";
/// Above this the core of the generator and the source says nothing of the proxy any more.
const SHARED_CORE_MAX: f64 = 0.95;
/// Others may take so much of the proxy's core; where they take more, what was measured is what they left.
const TAKEN_MAX: f64 = 0.1;
/// How the word on that begins.
pub(super) const TAKEN: &str = "others took";
/// From here on the proxy's core is what binds.
const BUSY: f64 = 0.9;
/// Messages that were planned and did not come, as a share, beyond which loss and not lateness is named.
const LOST: f64 = 0.005;
/// The share of messages that must come for held connections to count as alive.
const HELD_CAME_MIN: f64 = 0.5;
/// Samples beyond the quantile that must be there to speak of it: of 1 in 100 a thousand.
pub(super) const SAMPLES_BEYOND: f64 = 10.0;

impl Measured {
    /// Messages that were planned in the window.
    #[must_use]
    pub fn planned(&self) -> f64 {
        self.trial.planned(self.heard.window_s)
    }

    /// Whether a hiccup of the machine would look like what it was judged to be: a generator that was not well though it had time to spare, or lateness of a proxy
    /// that had. Such a trial is run again.
    #[must_use]
    pub fn is_doubtful(&self, judged: &Judged) -> bool {
        match judged.answer {
            Answer::Holds => false,
            Answer::Fails => judged.binds.as_ref().is_some_and(|binds| binds.starts_with(LATENESS)),
            // A generator that computes for as much of its time gives out by itself, whenever it is tried.
            Answer::Unhealthy => self.heard.cpu.is_none_or(|cpu| cpu < Bounds::of(None).cpu_share_max),
        }
    }

    /// Judges it: at least `goodput_min` of what was planned must have come within the objective.
    #[must_use]
    pub fn judge(&self, goodput_min: f64) -> Judged {
        let goodput = self.goodput();
        let judged = |answer, why: String, binds| Judged { answer, why, goodput, binds };
        if let Some(how) = &self.proxy_ended {
            return judged(Answer::Fails, format!("the proxy ended: {how}"), Some("the proxy ended".to_owned()));
        }
        // What was refused was refused, whatever the generator felt like.
        if let Some(why) = self.refused() {
            return judged(Answer::Fails, why.clone(), Some(self.refusal_binds().unwrap_or(why)));
        }
        if let Some(why) = self.unhealthy(goodput_min) {
            return judged(Answer::Unhealthy, why, None);
        }
        // A generator that does not read is sent away, and one that is late is too late: these count only of one that is well.
        if let Some(why) = self.sent_away() {
            return judged(Answer::Fails, why.clone(), Some(why));
        }
        if self.trial.axis == Axis::Held {
            return self.held(goodput);
        }
        let Some(share) = goodput else {
            return judged(Answer::Unhealthy, "nothing was measured".to_owned(), None);
        };
        let within = humantime::format_duration(self.trial.objective);
        let what = if self.trial.axis == Axis::Connect { "connections" } else { "messages" };
        if share >= goodput_min {
            return judged(Answer::Holds, format!("{:.2} % of {what} within {within}", share * 100.0), None);
        }
        let lost = 1.0 - self.heard.delivered as f64 / self.planned();
        let lost = if lost > LOST { format!("; {:.1} % did not come at all", lost * 100.0) } else { String::new() };
        let why = format!("{:.2} % of {what} within {within}{lost}", share * 100.0);
        judged(Answer::Fails, why, Some(self.binds()))
    }

    /// Connections that get next to nothing hold if all were let in, nobody was sent away, and messages came. How many is no matter: which symbols tick within a
    /// window, and how many drew them, is chance.
    fn held(&self, goodput: Option<f64>) -> Judged {
        let came = self.heard.delivered as f64 / self.planned();
        let (opened, clients) = (self.heard.opened, u64::from(self.trial.clients));
        let (answer, why, binds) = if opened < clients {
            (Answer::Unhealthy, format!("only {opened} of {clients} were opened"), None)
        } else if came >= HELD_CAME_MIN {
            (Answer::Holds, format!("all were let in and stayed; {} messages came", self.heard.delivered), None)
        } else {
            let why = format!("of about {:.0} messages {} came", self.planned(), self.heard.delivered);
            (Answer::Fails, why, Some(self.binds()))
        };
        Judged { answer, why, goodput: goodput.filter(|_| answer == Answer::Fails), binds }
    }

    /// Of those planned: those that came, by all clients, times the share within the objective among those that were checked.
    fn goodput(&self) -> Option<f64> {
        let heard = &self.heard;
        let came = (heard.delivered as f64 / self.planned()).min(1.0);
        (heard.checked > 0).then(|| came * heard.within_objective as f64 / heard.checked as f64)
    }

    /// Clients that were not let in, or were sent away.
    fn refused(&self) -> Option<String> {
        let heard = &self.heard;
        let turned = heard.refused + heard.upgrade_failed;
        (turned > 0).then(|| {
            format!(
                "{turned} of {} connections were not let in ({} refused, {} not upgraded)",
                self.trial.clients, heard.refused, heard.upgrade_failed
            )
        })
    }

    fn sent_away(&self) -> Option<String> {
        let heard = &self.heard;
        if heard.timed_out > 0 {
            return Some(format!("{} of {} connections took too long", heard.timed_out, self.trial.clients));
        }
        (heard.closed_by_peer > 0).then(|| format!("the proxy closed {} connections", heard.closed_by_peer))
    }

    fn refusal_binds(&self) -> Option<String> {
        let (proxy, most) = (self.proxy?, self.descriptors_max?);
        (proxy.descriptors + machine::descriptors_beside_clients() >= most)
            .then(|| format!("descriptors of the proxy ({} of {most})", proxy.descriptors))
    }

    fn unhealthy(&self, goodput_min: f64) -> Option<String> {
        let heard = &self.heard;
        if !heard.healthy {
            return Some(format!("the generator: {}", heard.reasons.join("; ")));
        }
        if let Some(taken) = self.taken.filter(|taken| *taken > TAKEN_MAX) {
            return Some(format!(
                "{TAKEN} {:.0} % of the proxy's core: this machine has something else to do",
                taken * 100.0
            ));
        }
        if let (Some(generator), Some(source)) = (heard.cpu, self.source_cpu)
            && generator + source > SHARED_CORE_MAX
        {
            let (generator, source) = (generator * 100.0, source * 100.0);
            return Some(format!(
                "the generator ({generator:.0} %) and the source ({source:.0} %) fill their core: what they measure is their own"
            ));
        }
        let needed = SAMPLES_BEYOND / (1.0 - goodput_min);
        (self.trial.axis != Axis::Held && (heard.checked as f64) < needed).then(|| {
            format!("{} samples cannot tell {:.1} % (at least {needed:.0})", heard.checked, goodput_min * 100.0)
        })
    }

    /// What gave out where messages came late or not at all.
    fn binds(&self) -> String {
        match self.proxy {
            Some(proxy) if proxy.cpu >= BUSY => format!("CPU of the proxy ({:.0} % of a core)", proxy.cpu * 100.0),
            Some(proxy) => format!(
                "{LATENESS} in bursts: the proxy used {:.0} % of a core, and messages waited behind others",
                proxy.cpu * 100.0
            ),
            None => "unknown".to_owned(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::settings::Settings;
    use super::*;

    fn measured(change: impl FnOnce(&mut Measured)) -> Judged {
        trial(change).judge(0.99)
    }

    /// 2,000 clients for two seconds, all well, but for `change`.
    pub(in super::super) fn trial(change: impl FnOnce(&mut Measured)) -> Measured {
        let settings = Settings::new(PathBuf::new());
        let trial = Axis::Mixed.trial(2_000.0, Duration::from_secs(2), &settings);
        let proxy = Footprint {
            cpu: 0.5,
            rss_bytes: 1,
            kernel_bytes: None,
            descriptors: 2_010,
            threads: 1,
            segments_per_s: None,
        };
        let heard =
            Heard { window_s: 2.0, delivered: 40_000, checked: 2_000, within_objective: 2_000, ..Heard::healthy() };
        let mut measured = Measured {
            trial,
            heard,
            proxy: Some(proxy),
            descriptors_max: Some(20_000),
            source_cpu: Some(0.1),
            grew: None,
            taken: Some(0.01),
            under_way: None,
            proxy_ended: None,
        };
        change(&mut measured);
        measured
    }

    #[test]
    fn what_comes_in_time_holds() {
        let judged = measured(|_| {});
        assert_eq!((judged.answer, judged.goodput), (Answer::Holds, Some(1.0)), "{}", judged.why);
        // A tick more than planned at the window's edge is no credit.
        assert_eq!(measured(|one| one.heard.delivered = 41_000).goodput, Some(1.0));
    }

    #[test]
    fn what_never_came_counts_as_late() {
        let judged = measured(|one| one.heard.delivered = 39_000);
        assert_eq!(judged.answer, Answer::Fails);
        assert!(judged.why.contains("97.50 %") && judged.why.contains("2.5 % did not come at all"), "{}", judged.why);
        let late = measured(|one| one.heard.within_objective = 1_900);
        assert!(late.answer == Answer::Fails && !late.why.contains("did not come"), "{}", late.why);
    }

    #[test]
    fn held_connections_hold_without_messages_enough_for_a_quantile() {
        let held = |delivered| {
            measured(|one| {
                one.trial = Axis::Held.trial(2_000.0, Duration::from_secs(2), &Settings::new(PathBuf::new()));
                (one.heard.delivered, one.heard.checked, one.heard.within_objective) = (delivered, 40, 40);
                one.heard.opened = 2_000;
            })
        };
        assert_eq!((held(350).answer, held(100).answer), (Answer::Holds, Answer::Fails));
    }

    #[test]
    fn what_a_hiccup_of_the_machine_would_look_like_is_in_doubt() {
        let doubtful = |change: fn(&mut Measured)| {
            let one = trial(change);
            one.is_doubtful(&one.judge(0.99))
        };
        assert!(doubtful(|one| one.heard.within_objective = 0), "late, and the proxy had time to spare");
        assert!(doubtful(|one| one.heard.healthy = false), "not well, and the generator had time to spare");
        assert!(!doubtful(|one| (one.heard.healthy, one.heard.cpu) = (false, Some(0.72))), "a generator that is full");
        assert!(!doubtful(|_| {}), "it holds");
        assert!(
            !doubtful(|one| {
                one.heard.within_objective = 0;
                one.proxy = one.proxy.map(|proxy| Footprint { cpu: 0.98, ..proxy });
            }),
            "a core that is full is full"
        );
    }

    #[test]
    fn what_gave_out_is_named() {
        let busy = measured(|one| {
            one.heard.within_objective = 0;
            one.proxy = one.proxy.map(|proxy| Footprint { cpu: 0.98, ..proxy });
        });
        assert_eq!(busy.binds.as_deref(), Some("CPU of the proxy (98 % of a core)"));
        let idle = measured(|one| one.heard.within_objective = 0);
        assert!(idle.binds.is_some_and(|binds| binds.starts_with("lateness in bursts")));
        let full = measured(|one| {
            one.heard.refused = 5;
            one.descriptors_max = Some(2_330);
        });
        assert_eq!(full.binds.as_deref(), Some("descriptors of the proxy (2010 of 2330)"));
        assert_eq!(full.answer, Answer::Fails);
    }

    #[test]
    fn a_generator_that_is_not_well_says_nothing_of_the_proxy() {
        for (change, word) in [
            ((|one| one.heard.healthy = false) as fn(&mut Measured), "the generator"),
            (|one| one.taken = Some(0.4), "others took 40 % of the proxy's core"),
            (|one| one.source_cpu = Some(0.6), "fill their core"),
            (|one| one.heard.checked = 999, "999 samples cannot tell"),
            (|one| one.heard.checked = 0, "0 samples"),
        ] {
            let judged = measured(change);
            assert!(judged.answer == Answer::Unhealthy && judged.why.contains(word), "{judged:?}");
        }
        // But who was refused was refused; who was sent away may have been too slow.
        for (refused, closed_by_peer, answer) in [(3, 0, Answer::Fails), (0, 3, Answer::Unhealthy)] {
            let judged = measured(|one| {
                one.heard.healthy = false;
                (one.heard.refused, one.heard.closed_by_peer) = (refused, closed_by_peer);
            });
            assert_eq!(judged.answer, answer, "{judged:?}");
        }
        assert_eq!(measured(|one| one.heard.closed_by_peer = 3).answer, Answer::Fails);
    }
}
