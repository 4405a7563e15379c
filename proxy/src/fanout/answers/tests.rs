use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn ack(accepted: &[u32], denied: &[u32]) -> SubAck {
    SubAck {
        accepted: accepted.iter().map(|n| Symbol::numbered(*n)).collect(),
        denied: denied.iter().map(|n| (Symbol::numbered(*n), "plan".to_owned())).collect(),
        invalid: Vec::new(),
    }
}

/// Legs that were all asked for everything.
struct Bench {
    answers: Answers,
    legs: BTreeSet<LegKey>,
}

impl Bench {
    fn new(legs: impl IntoIterator<Item = LegKey>) -> Self {
        Self { answers: Answers::default(), legs: legs.into_iter().collect() }
    }

    fn said(&self, n: u32) -> Option<Answer> {
        self.answers.said(&AskersOnly, Symbol::numbered(n), self.legs.iter().copied()).cloned()
    }

    /// What clients are told after a leg's answer: symbols accepted, denied, and those that were told otherwise before.
    fn take(&mut self, leg: LegKey, accepted: &[u32], denied: &[u32]) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        self.answers.note(leg, &ack(accepted, denied));
        self.told(accepted.iter().chain(denied).map(|n| Symbol::numbered(*n)).collect())
    }

    fn down(&mut self, leg: LegKey) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        self.legs.remove(&leg);
        let symbols = self.answers.down(leg);
        self.told(symbols)
    }

    fn told(&mut self, symbols: Vec<Symbol>) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        let Some(news) = self.answers.news(&AskersOnly, symbols, |_| self.legs.iter().copied()) else {
            return Default::default();
        };
        let number = |symbol: &Symbol| (0..9).find(|n| Symbol::numbered(*n) == *symbol).unwrap();
        let denied = news.answer.denied.iter().map(|(symbol, _)| number(symbol)).collect();
        (news.answer.accepted.iter().map(number).collect(), denied, news.changed.iter().map(number).collect())
    }
}

#[test]
fn who_was_told_otherwise_hears_of_a_change_also_by_the_next_leg() {
    let mut bench = Bench::new([1]);
    assert_eq!(bench.said(0), None);
    assert_eq!(bench.take(1, &[0], &[1]), (vec![0], vec![1], vec![]));
    assert_eq!(bench.said(0), Some(Answer::Accepted));
    assert_eq!(bench.take(1, &[0], &[1]), (vec![], vec![], vec![]), "the same again is no news");
    assert_eq!(bench.down(1), (vec![], vec![], vec![]));
    assert_eq!((bench.said(0), bench.said(1)), (None, None));
    bench.legs.insert(2);
    assert_eq!(bench.take(2, &[1], &[0]), (vec![1], vec![0], vec![1, 0]));
    bench.answers.forget(Symbol::numbered(0));
    assert_eq!(bench.take(2, &[0], &[]), (vec![0], vec![], vec![]), "what was forgotten begins anew");
}

#[test]
fn one_leg_that_accepts_is_enough_and_only_all_that_were_asked_deny() {
    let mut bench = Bench::new([1, 2]);
    bench.answers.awaited(Symbol::numbered(0));
    assert_eq!(bench.take(1, &[], &[0, 1]), (vec![], vec![], vec![]), "another has not answered");
    assert_eq!(bench.take(2, &[0], &[1]), (vec![0], vec![1], vec![]));
    // The one that accepted is lost: the other's word holds.
    assert_eq!(bench.down(2), (vec![], vec![0], vec![0]));
    // A leg that comes up and has not answered leaves it open, for those who ask now.
    bench.legs.insert(3);
    assert_eq!(bench.said(0), None);
    bench.answers.awaited(Symbol::numbered(0));
    assert_eq!(bench.down(3), (vec![], vec![0], vec![]), "who waits is told, though it is no change");
}

#[test]
fn a_leg_that_is_told_to_leave_a_symbol_takes_its_word_with_it() {
    let mut bench = Bench::new([1, 2]);
    bench.take(1, &[0], &[]);
    bench.take(2, &[], &[0]);
    bench.answers.leave(1, &[Symbol::numbered(0)]);
    bench.legs.remove(&1);
    assert_eq!(bench.told(vec![Symbol::numbered(0)]), (vec![], vec![0], vec![0]));
}

#[test]
fn an_answer_is_cut_into_texts_that_fit_and_what_was_not_said_is_left() {
    let all: Vec<u32> = (0..500).collect();
    for strong in [false, true] {
        let mut telling = Telling::new(ack(&all, &all), strong);
        let mut texts = Vec::new();
        while texts.len() < 4 {
            texts.push(telling.next(2_000).unwrap());
        }
        assert!(texts.iter().all(|text| text.len() <= 2_100), "{texts:?}");
        let said = |text: &String| match Said::decode(text) {
            Ok(Said::SubAck(ack)) => ack.accepted.len() + ack.denied.len(),
            _ => 1,
        };
        let all = if strong { 500 } else { 1_000 };
        assert_eq!(telling.rest().len() + texts.iter().map(said).sum::<usize>(), all);
    }
    let invalid = SubAck { invalid: vec!["?,".to_owned()], ..SubAck::default() };
    let mut telling = Telling::new(invalid, false);
    assert!(telling.next(0).unwrap().contains("?,"));
    assert_eq!(telling.next(1_000), None);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A leg is asked for a symbol.
    Ask(LegKey, u32),
    Answer(LegKey, u32, bool),
    Leave(LegKey, u32),
    Down(LegKey),
    /// A client asks for a symbol.
    Want(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let (leg, symbol, client) = (0_usize..3, 0_u32..2, 0_usize..3);
    prop_oneof![
        1 => (leg.clone(), symbol.clone()).prop_map(|(leg, symbol)| Step::Ask(leg, symbol)),
        4 => (leg.clone(), symbol.clone(), any::<bool>()).prop_map(|(leg, symbol, yes)| Step::Answer(leg, symbol, yes)),
        1 => (leg.clone(), symbol.clone()).prop_map(|(leg, symbol)| Step::Leave(leg, symbol)),
        1 => leg.prop_map(Step::Down),
        1 => (client, symbol).prop_map(|(client, symbol)| Step::Want(client, symbol)),
    ]
}

proptest! {
    /// Against a table of every leg's word: after each step every client has been told last what holds, if anything does; nobody is told what it was told last; nobody who did not ask
    /// hears anything.
    #[test]
    fn each_client_was_told_last_what_holds_and_nothing_twice(steps in proptest::collection::vec(step(), 1..200)) {
        let mut answers = Answers::default();
        // What legs were asked for, and what they said.
        let mut words: BTreeMap<(LegKey, u32), Option<bool>> = BTreeMap::new();
        // Client and symbol: what it was told last, and whether it waits.
        let mut clients: BTreeMap<(usize, u32), (Option<bool>, bool)> = BTreeMap::new();
        for step in steps {
            let touched = match step {
                Step::Ask(leg, symbol) => {
                    words.entry((leg, symbol)).or_insert(None);
                    Vec::new()
                }
                Step::Answer(leg, symbol, yes) => {
                    let Some(word) = words.get_mut(&(leg, symbol)) else { continue };
                    *word = Some(yes);
                    let said = [symbol];
                    answers.note(leg, &if yes { ack(&said, &[]) } else { ack(&[], &said) });
                    vec![Symbol::numbered(symbol)]
                }
                Step::Leave(leg, symbol) => {
                    words.remove(&(leg, symbol));
                    answers.leave(leg, &[Symbol::numbered(symbol)]);
                    vec![Symbol::numbered(symbol)]
                }
                Step::Down(leg) => {
                    words.retain(|(of, _), _| *of != leg);
                    answers.down(leg)
                }
                Step::Want(client, symbol) => {
                    let asked = words.keys().filter(|(_, of)| *of == symbol).map(|(leg, _)| *leg);
                    let said = answers.said(&AskersOnly, Symbol::numbered(symbol), asked).map(|it| *it == Answer::Accepted);
                    if said.is_none() {
                        answers.awaited(Symbol::numbered(symbol));
                    }
                    clients.entry((client, symbol)).or_insert((said, said.is_none()));
                    Vec::new()
                }
            };
            let asked = |symbol: Symbol| {
                let legs = words.keys().filter(move |(_, of)| Symbol::numbered(*of) == symbol);
                legs.map(|(leg, _)| *leg).collect::<Vec<_>>().into_iter()
            };
            if let Some(Answered { answer, changed }) = answers.news(&AskersOnly, touched, asked) {
                let accepted = answer.accepted.iter().map(|symbol| (*symbol, true));
                for (symbol, yes) in accepted.chain(answer.denied.iter().map(|(symbol, _)| (*symbol, false))) {
                    for ((_, of), (told, waits)) in &mut clients {
                        if Symbol::numbered(*of) == symbol && AskersOnly.hears(*waits, changed.contains(&symbol)) {
                            prop_assert!(*waits || *told != Some(yes), "told twice");
                            (*told, *waits) = (Some(yes), false);
                        }
                    }
                }
            }
            for ((client, symbol), (told, _)) in &clients {
                let said: Vec<Option<bool>> = words.iter().filter(|((_, of), _)| of == symbol).map(|(_, it)| *it).collect();
                let holds = match said.as_slice() {
                    [] => None,
                    any if any.contains(&Some(true)) => Some(true),
                    all => (!all.contains(&None)).then_some(false),
                };
                prop_assert!(holds.is_none() || holds == *told, "client {} of {}: {:?}, told {:?}", client, symbol, holds, told);
            }
        }
    }
}
