//! Who waits for a place: first come, first served.
//!
//! Each gets a number on arrival and keeps it until it is served for good, so that one whose dial failed comes before those who came later. Whoever leaves is
//! out of the line at once, and the next is told.

use std::collections::BTreeMap;

/// Those who wait, by number. `W` is how one of them is woken.
#[derive(Debug)]
pub(super) struct Line<W> {
    next: u64,
    waiting: BTreeMap<u64, W>,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self { next: 0, waiting: BTreeMap::new() }
    }
}

impl<W> Line<W> {
    /// A number, higher than all before it. Who has it does not wait yet.
    pub(super) fn arrive(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether nobody waits who came before.
    pub(super) fn is_next(&self, number: u64) -> bool {
        self.waiting.first_key_value().is_none_or(|(first, _)| *first >= number)
    }

    /// Waits. False if `length_max` wait already and this is none of them.
    pub(super) fn wait(&mut self, number: u64, length_max: usize, wake: impl FnOnce() -> W) -> bool {
        if self.waiting.contains_key(&number) {
            return true;
        }
        if self.waiting.len() >= length_max {
            return false;
        }
        self.waiting.insert(number, wake());
        true
    }

    /// Waits no more. The one who is first now, if that changed.
    pub(super) fn leave(&mut self, number: u64) -> Option<&W> {
        let was_first = self.waiting.first_key_value().is_some_and(|(first, _)| *first == number);
        self.waiting.remove(&number);
        self.first().filter(|_| was_first)
    }

    /// The one who is served next.
    pub(super) fn first(&self) -> Option<&W> {
        self.waiting.first_key_value().map(|(_, wake)| wake)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_kept_and_the_line_has_an_end() {
        let mut line = Line::default();
        let [a, b, c] = [line.arrive(), line.arrive(), line.arrive()];
        assert!(line.wait(b, 2, || 'b') && line.wait(c, 2, || 'c'));
        assert!(line.wait(b, 2, || panic!("it waits already")));
        assert!(line.is_next(a), "a came before those who wait");
        assert!(!line.wait(a, 2, || 'a'), "the line is full");
        assert_eq!(line.leave(c), None, "the first is the same");
        assert!(line.wait(a, 2, || 'a'));
        assert_eq!((line.first(), line.is_next(b)), (Some(&'a'), false));
        assert_eq!(line.leave(a), Some(&'b'));
        assert_eq!(line.leave(b), None);
        assert_eq!(line.len(), 0);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Come,
        Serve,
        Leave(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![3 => Just(Step::Come), 2 => Just(Step::Serve), 2 => (0_usize..9).prop_map(Step::Leave)]
    }

    proptest! {
        /// Against a plain queue.
        #[test]
        fn the_line_is_a_queue_that_may_be_left_anywhere(steps in proptest::collection::vec(step(), 0..200), length_max in 0_usize..9) {
            let mut line = Line::default();
            let mut queue = VecDeque::new();
            for step in steps {
                match step {
                    Step::Come => {
                        let number = line.arrive();
                        prop_assert_eq!(line.wait(number, length_max, || number), queue.len() < length_max);
                        if queue.len() < length_max {
                            queue.push_back(number);
                        }
                    }
                    Step::Serve => {
                        prop_assert_eq!(line.first(), queue.front());
                        if let Some(number) = queue.pop_front() {
                            prop_assert!(line.is_next(number));
                            prop_assert_eq!(line.leave(number), queue.front());
                        }
                    }
                    Step::Leave(index) if index < queue.len() => {
                        let number = queue.remove(index).unwrap();
                        prop_assert_eq!(line.leave(number), queue.front().filter(|_| index == 0));
                    }
                    Step::Leave(_) => {}
                }
                prop_assert_eq!(line.len(), queue.len());
            }
        }
    }
}
