//! What faults wait for: counts events and says which waits are over.

use std::task::{Poll, Waker};

use wire::event::{Event, Phase};

use crate::model::{EventName, Subject, subject};
use crate::plan::{Moment, Plan, Start};

/// The waits of a run. Pure but for the waker of whoever begins the faults.
///
/// ```text
///   steady phase begins --> since? --count--> event --count--> due --> the driver, at this very instant
/// ```
#[derive(Debug)]
pub(crate) struct Triggers {
    /// Events count while the steady phase lasts.
    counts: bool,
    waits: Vec<Wait>,
    /// Those that are over and not yet asked for.
    due: Vec<usize>,
    waker: Option<Waker>,
    /// By the faults of the plan: the place of what it waits for, and whether it has begun. None: it has its time.
    faults: Vec<Option<(usize, bool)>>,
}

#[derive(Debug)]
struct Wait {
    since: Option<Moment>,
    event: Moment,
    /// Of `since` while that has not come, then of `event`.
    seen: u32,
    over: bool,
}

/// A fault that did not begin, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Its place in the plan.
    pub(crate) fault: usize,
    /// Place of what it waited for in the plan.
    pub(crate) trigger: usize,
    /// Whether what it waited for has come.
    pub(crate) came: bool,
    /// Whether it still waited for the event from which others count.
    pub(crate) since: bool,
    /// How often what it still waited for was seen.
    pub(crate) seen: u32,
}

impl Triggers {
    /// All that a plan's faults wait for.
    pub(crate) fn new(plan: &Plan) -> Self {
        let wait = |trigger: &crate::plan::Trigger| Wait {
            since: trigger.since.clone(),
            event: trigger.event.clone(),
            seen: 0,
            over: false,
        };
        let after = |fault: &crate::plan::Planned| match fault.start {
            Start::At(_) => None,
            Start::After(trigger) => Some((trigger, false)),
        };
        Self {
            counts: false,
            waits: plan.triggers.iter().map(wait).collect(),
            due: Vec::new(),
            waker: None,
            faults: plan.faults.iter().map(after).collect(),
        }
    }

    /// Takes an event. Gives the waker of who asked [`Triggers::poll_due`], if there is news for it.
    pub(crate) fn observe(&mut self, event: &Event) -> Option<Waker> {
        if self.waits.is_empty() {
            return None;
        }
        match event {
            Event::Phase { phase } => self.counts = *phase == Phase::Steady,
            Event::FaultStart { fault, .. } => {
                if let Some(Some((_, begun))) = self.faults.get_mut(usize::from(*fault)) {
                    *begun = true;
                }
            }
            _ => {}
        }
        if !self.counts {
            return None;
        }
        let name = EventName::of(event)?;
        let subject = subject(event);
        for (place, wait) in self.waits.iter_mut().enumerate() {
            if wait.takes(name, &subject) {
                self.due.push(place);
            }
        }
        if self.due.is_empty() { None } else { self.waker.take() }
    }

    /// The waits that are over since it was last asked, by their places in the plan; each once.
    pub(crate) fn poll_due(&mut self, waker: &Waker) -> Poll<Vec<usize>> {
        if self.due.is_empty() {
            self.waker = (!self.waits.is_empty()).then(|| waker.clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut self.due))
    }

    /// How many faults wait for an event.
    pub(crate) fn faults(&self) -> usize {
        self.faults.iter().flatten().count()
    }

    /// The faults that waited and did not begin.
    pub(crate) fn missing(&self) -> impl Iterator<Item = Missing> {
        self.faults.iter().enumerate().filter_map(|(fault, after)| {
            let (trigger, begun) = (*after)?;
            let wait = self.waits.get(trigger)?;
            (!begun).then_some(Missing {
                fault,
                trigger,
                came: wait.over,
                since: wait.since.is_some(),
                seen: wait.seen,
            })
        })
    }
}

impl Wait {
    /// Takes an event; true if it ends the wait.
    fn takes(&mut self, name: EventName, subject: &Subject) -> bool {
        let wanted = self.since.as_ref().unwrap_or(&self.event);
        if self.over || !wanted.is(name, subject) {
            return false;
        }
        self.seen += 1;
        if self.seen < wanted.count {
            return false;
        }
        if self.since.take().is_some() {
            self.seen = 0;
            return false;
        }
        self.over = true;
        true
    }
}

impl Moment {
    fn is(&self, name: EventName, subject: &Subject) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, given: Option<&T>) -> bool {
            wanted.is_none() || wanted == given
        }
        self.event == name
            && fits(self.symbol.as_ref(), subject.symbol.as_ref())
            && fits(self.source.as_ref(), subject.source.as_ref())
            && fits(self.proxy.as_ref(), subject.proxy.as_ref())
            && fits(self.kind.as_ref(), subject.kind.as_ref())
            && self
                .clients
                .as_ref()
                .is_none_or(|clients| subject.client.is_some_and(|client| clients.contains(&client.0)))
    }
}

#[cfg(test)]
mod tests {
    use wire::id::{ProxyId, SourceId, Symbol};

    use super::*;

    fn triggers(after: &str) -> Triggers {
        let text = format!(
            "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = {{ count = 3 }}\n\
            proxy = {{ mode = \"fanout\" }}\ncheck = {{ symbol-order = {{}} }}\n\
            [[clients]]\nname = \"c\"\ncount = 10\n[[faults]]\nkind = \"kill\"\ntarget = \"source-0\"\nafter = {after}\n"
        );
        Triggers::new(&Plan::new(&crate::parse::parse("x.toml", &text).unwrap(), 0))
    }

    fn tick(source: u16, symbol: u32) -> Event {
        Event::ProxyTick { proxy: ProxyId(0), source: SourceId(source), symbol: Symbol::numbered(symbol) }
    }

    fn steady() -> Event {
        Event::Phase { phase: Phase::Steady }
    }

    /// The places in `events` at which waits are over.
    fn check(after: &str, events: &[Event], expect: &[usize]) {
        let mut triggers = triggers(after);
        let mut over = Vec::new();
        for (place, event) in events.iter().enumerate() {
            triggers.observe(event);
            if triggers.poll_due(Waker::noop()).is_ready() {
                over.push(place);
            }
        }
        assert_eq!(over, expect, "{after}");
    }

    #[test]
    fn events_count_from_the_steady_phase_to_the_recovery_and_a_wait_ends_once() {
        let recovery = Event::Phase { phase: Phase::Recovery };
        let events = [tick(0, 0), steady(), tick(0, 0), tick(0, 0), tick(0, 0), recovery, tick(0, 0), tick(0, 0)];
        check("{ event = \"proxy_tick\" }", &events, &[2]);
        check("{ event = \"proxy_tick\", count = 3 }", &events, &[4]);
        check("{ event = \"proxy_tick\", count = 4 }", &events, &[]);
    }

    #[test]
    fn what_narrows_an_event_down_does() {
        let events = [steady(), tick(0, 0), tick(1, 1), tick(0, 1), tick(1, 0)];
        check("{ event = \"proxy_tick\", symbol = \"S0001\" }", &events, &[2]);
        check("{ event = \"proxy_tick\", symbol = \"S0001\", count = 2 }", &events, &[3]);
        check("{ event = \"proxy_tick\", source = \"source-1\", symbol = \"S0000\" }", &events, &[4]);
        check("{ event = \"proxy_tick\", source = \"source-2\" }", &events, &[]);
        check("{ event = \"source_send\" }", &events, &[]);
    }

    #[test]
    fn since_counts_first_and_its_own_event_does_not_count_twice() {
        let stop = Event::FaultStop { fault: 7 };
        let events = [steady(), tick(0, 0), stop, tick(0, 0), tick(0, 0)];
        check("{ event = \"proxy_tick\", since = { event = \"proxy_tick\", count = 2 } }", &events, &[4]);
        check("{ event = \"proxy_tick\", since = { event = \"proxy_dial\" } }", &events, &[]);
    }

    #[test]
    fn who_waits_is_woken_and_what_did_not_begin_is_known() {
        let mut triggers = triggers("{ event = \"proxy_tick\", count = 2 }");
        triggers.observe(&steady());
        assert!(triggers.poll_due(Waker::noop()).is_pending());
        assert!(triggers.observe(&tick(0, 0)).is_none(), "woken too early");
        let missing = Missing { fault: 0, trigger: 0, came: false, since: false, seen: 1 };
        assert_eq!(triggers.missing().collect::<Vec<_>>(), [missing]);
        assert!(triggers.observe(&tick(0, 0)).is_some(), "not woken");
        assert_eq!(triggers.missing().count(), 1, "due is not begun");
        triggers.observe(&Event::FaultStart { fault: 0, kind: "kill".into(), target: "source-0".into() });
        assert_eq!((triggers.faults(), triggers.missing().count()), (1, 0));
    }
}
