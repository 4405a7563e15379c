//! A script as a sequence of instants: spans become a begin and an end. Pure.

use std::time::Duration;

use wire::id::Symbol;

use super::{Action, Script};

/// What changes at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A span begins (true) or ends.
    Stall(bool),
    /// A span begins (true) or ends.
    Refuse(bool),
    /// A span begins (true) or ends.
    Slam(bool),
    /// A span begins (true) or ends, for one symbol or for all.
    Silence(Option<Symbol>, bool),
    Close(Option<u16>),
    Reset,
    Garbage,
    Oversized(u32),
    KeyLimit(Option<u32>),
    /// A span begins (true) or ends, for one symbol or for all.
    Deny(Option<Symbol>, bool),
    /// A span begins (true) or ends.
    RejectLogins(bool),
    SymbolLimit(Option<u32>),
}

/// The effects in order of time; of equal instants, in the order of the script.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    /// Newest last to come first: reversed.
    rest: Vec<(Duration, Effect)>,
}

impl Timeline {
    pub(crate) fn new(script: &Script) -> Self {
        let mut rest = Vec::with_capacity(script.steps.len() * 2);
        for step in &script.steps {
            let at = step.at;
            let mut span = |for_: Duration, effect: &dyn Fn(bool) -> Effect| {
                rest.push((at, effect(true)));
                rest.push((at.saturating_add(for_), effect(false)));
            };
            match &step.action {
                Action::Stall { for_ } => span(*for_, &Effect::Stall),
                Action::Refuse { for_ } => span(*for_, &Effect::Refuse),
                Action::Slam { for_ } => span(*for_, &Effect::Slam),
                Action::Silence { symbol, for_ } => span(*for_, &|on| Effect::Silence(*symbol, on)),
                Action::Deny { symbol, for_ } => span(*for_, &|on| Effect::Deny(*symbol, on)),
                Action::RejectLogins { for_ } => span(*for_, &Effect::RejectLogins),
                Action::SymbolLimit(limit) => rest.push((at, Effect::SymbolLimit(*limit))),
                Action::CloseAll { code } => rest.push((at, Effect::Close(*code))),
                Action::ResetAll => rest.push((at, Effect::Reset)),
                Action::Garbage => rest.push((at, Effect::Garbage)),
                Action::Oversized { bytes } => rest.push((at, Effect::Oversized(*bytes))),
                Action::KeyLimit(limit) => rest.push((at, Effect::KeyLimit(*limit))),
            }
        }
        rest.sort_by_key(|(at, _)| *at);
        rest.reverse();
        Self { rest }
    }

    /// The next effect whose instant has come.
    pub(crate) fn due(&mut self, elapsed: Duration) -> Option<Effect> {
        if self.next()? > elapsed {
            return None;
        }
        self.rest.pop().map(|(_, effect)| effect)
    }

    /// When the next effect comes, since the begin.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.rest.last().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Step;
    use super::*;

    #[test]
    fn spans_begin_and_end_and_equal_instants_keep_the_order_of_the_script() {
        let s = Duration::from_secs;
        let script = Script {
            steps: vec![
                Step { at: s(2), action: Action::ResetAll },
                Step { at: s(1), action: Action::Stall { for_: s(1) } },
                Step { at: s(2), action: Action::Garbage },
            ],
        };
        let mut timeline = Timeline::new(&script);
        assert_eq!(timeline.due(Duration::ZERO), None);
        assert_eq!(timeline.next(), Some(s(1)));
        assert_eq!(timeline.due(s(1)), Some(Effect::Stall(true)));
        assert_eq!(timeline.due(s(1)), None);
        let rest: Vec<_> = std::iter::from_fn(|| timeline.due(s(9))).collect();
        assert_eq!(rest, [Effect::Reset, Effect::Stall(false), Effect::Garbage]);
        assert_eq!(timeline.next(), None);
    }
}
