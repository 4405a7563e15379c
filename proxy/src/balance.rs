//! Which instance of the source takes the next connection.

use std::cmp::Ordering;

use wire::draw::Draws;
use wire::id::SourceId;

/// What the balancer may know of an instance that can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which instance.
    pub source: SourceId,
    /// Connections open to it, dials under way included.
    pub open: u32,
    /// Its weight now, in thousandths (1 to 1,000,000): what the configuration says, less while it starts slowly.
    pub weight: u32,
}

impl Candidate {
    /// Orders by what each would carry for its weight with one connection more: the lesser is the better choice.
    ///
    /// One more, not what it carries now, so that among the idle the weightiest goes first. Giving each connection to the least of these quotients is D'Hondt's
    /// way of apportioning seats: while nobody leaves, no instance has less than its share, rounded down.
    fn load(&self, other: &Self) -> Ordering {
        let quotient = |one: &Self, other: &Self| (u64::from(one.open) + 1) * u64::from(other.weight);
        quotient(self, other).cmp(&quotient(other, self))
    }
}

/// Picks among instances. Told the true counts each time, so that it keeps none of its own to go wrong.
pub trait Balance: Send {
    /// The place in `candidates` to use; None only if there are none. `candidates` stand in the order of their numbers. `draws` is its stream of chance.
    fn pick(&mut self, candidates: &[Candidate], draws: &mut Draws) -> Option<usize>;
}

/// The fewest open connections for the weight; ties go to the instances in turn.
///
/// Right for connections that live for hours: what counts is how many are held, not how fast they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastConnections {
    turn: u32,
}

impl Balance for LeastConnections {
    fn pick(&mut self, candidates: &[Candidate], _draws: &mut Draws) -> Option<usize> {
        let least = *candidates.iter().min_by(|a, b| a.load(b))?;
        let tied = |candidate: &Candidate| candidate.load(&least) == Ordering::Equal;
        // Among the tied, the first whose number is not below the turn; else around again.
        let in_turn = |candidate: &Candidate| tied(candidate) && u32::from(candidate.source.0) >= self.turn;
        let index = candidates.iter().position(in_turn).or_else(|| candidates.iter().position(tied))?;
        self.turn = u32::from(candidates[index].source.0) + 1;
        Some(index)
    }
}

/// The better of two drawn by weight; a tie goes to the first drawn.
///
/// The most loaded of n instances is then ahead of the mean by about ln ln n, where one draw would leave it ahead by ln n (Azar, Broder, Karlin, Upfal: Balanced
/// Allocations, 1994; for weights: Berenbrink, Brinkmann, Friedetzky, Nagel: Balls into non-uniform bins, 2010).
#[derive(Clone, Copy, Debug, Default)]
pub struct PowerOfTwo;

impl Balance for PowerOfTwo {
    fn pick(&mut self, candidates: &[Candidate], draws: &mut Draws) -> Option<usize> {
        let first = draw(candidates, None, draws)?;
        let Some(second) = draw(candidates, Some(first), draws) else { return Some(first) };
        let better = candidates[second].load(&candidates[first]) == Ordering::Less;
        Some(if better { second } else { first })
    }
}

/// One of the candidates but `without`, each as likely as its weight. None if there is none.
fn draw(candidates: &[Candidate], without: Option<usize>, draws: &mut Draws) -> Option<usize> {
    let others = || candidates.iter().enumerate().filter(move |(index, _)| Some(*index) != without);
    let sum: u64 = others().map(|(_, candidate)| u64::from(candidate.weight)).sum();
    if sum == 0 {
        return others().next().map(|(index, _)| index);
    }
    let mut left = draws.below(sum);
    for (index, candidate) in others() {
        match left.checked_sub(u64::from(candidate.weight)) {
            Some(rest) => left = rest,
            None => return Some(index),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(open: &[u32]) -> Vec<Candidate> {
        weighted(&open.iter().map(|open| (*open, 100)).collect::<Vec<_>>())
    }

    fn weighted(instances: &[(u32, u32)]) -> Vec<Candidate> {
        let candidate = |(i, &(open, weight)): (usize, &(u32, u32))| Candidate {
            source: SourceId(i as u16),
            open,
            weight: weight * 1000,
        };
        instances.iter().enumerate().map(candidate).collect()
    }

    fn draws() -> Draws {
        Draws::new(1, "balance", 0)
    }

    /// Gives `clients` connections, one after the other, to instances with these weights; nobody leaves.
    fn fill(balance: &mut dyn Balance, weights: &[u32], clients: u32, draws: &mut Draws) -> Vec<u32> {
        let mut instances: Vec<(u32, u32)> = weights.iter().map(|weight| (0, *weight)).collect();
        for _ in 0..clients {
            let index = balance.pick(&weighted(&instances), draws).unwrap();
            instances[index].0 += 1;
        }
        instances.into_iter().map(|(open, _)| open).collect()
    }

    #[test]
    fn ties_go_round() {
        let (mut balance, mut draws) = (LeastConnections::default(), draws());
        let picks: Vec<_> = (0..5).map(|_| balance.pick(&candidates(&[0, 0, 0]), &mut draws).unwrap()).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1]);
        assert_eq!(balance.pick(&candidates(&[2, 1, 2]), &mut draws), Some(1));
        assert_eq!(balance.pick(&[], &mut draws), None);
        assert_eq!(PowerOfTwo.pick(&[], &mut draws), None);
        assert_eq!(PowerOfTwo.pick(&candidates(&[7]), &mut draws), Some(0));
    }

    #[test]
    fn the_weightiest_of_the_idle_goes_first() {
        let idle = weighted(&[(0, 100), (0, 300), (0, 100)]);
        assert_eq!(LeastConnections::default().pick(&idle, &mut draws()), Some(1));
        assert_eq!(fill(&mut LeastConnections::default(), &[100, 300, 100], 50, &mut draws()), [10, 30, 10]);
    }

    #[test]
    fn two_choices_follow_the_weights_and_stay_close() {
        let open = fill(&mut PowerOfTwo, &[100, 100, 200, 400], 8000, &mut draws());
        for (open, share) in open.iter().zip([1000_i64, 1000, 2000, 4000]) {
            assert!((i64::from(*open) - share).abs() <= share / 50, "{open} of {share}");
        }
        let equal = fill(&mut PowerOfTwo, &[100; 16], 16_000, &mut draws());
        let one_choice = {
            let (mut open, mut draws) = ([0_u32; 16], draws());
            (0..16_000).for_each(|_| open[draws.below(16) as usize] += 1);
            open
        };
        let spread = |open: &[u32]| open.iter().max().unwrap() - open.iter().min().unwrap();
        assert!(spread(&equal) <= 6 && spread(&one_choice) > 30, "{equal:?} {one_choice:?}");
    }

    proptest! {
        #[test]
        fn without_departures_no_instance_is_two_ahead(instances in 1_usize..9, clients in 0_u32..200) {
            let open = fill(&mut LeastConnections::default(), &vec![100; instances], clients, &mut draws());
            let (least, most) = (open.iter().min().unwrap(), open.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{open:?}");
        }

        #[test]
        fn without_departures_no_instance_is_below_its_share_rounded_down(
            weights in proptest::collection::vec(1_u32..=1000, 1..7),
            clients in 0_u32..300,
        ) {
            let open = fill(&mut LeastConnections::default(), &weights, clients, &mut draws());
            let sum: u32 = weights.iter().sum();
            for (held, weight) in open.iter().zip(&weights) {
                prop_assert!(*held >= clients * weight / sum, "{open:?} of {clients}");
                for (other, of) in open.iter().zip(&weights) {
                    prop_assert!(held * of <= (other + 1) * weight, "the last would better have gone elsewhere: {open:?}");
                }
            }
        }

        #[test]
        fn the_pick_is_the_least_of_all_quotients(
            instances in proptest::collection::vec((0_u32..9, 1_u32..=1000), 1..9),
            times in 1_usize..9,
        ) {
            let (mut balance, mut draws) = (LeastConnections::default(), draws());
            let quotient = |(open, weight): &(u32, u32)| f64::from(open + 1) / f64::from(*weight);
            let least = instances.iter().map(quotient).min_by(f64::total_cmp).unwrap();
            for _ in 0..times {
                let index = balance.pick(&weighted(&instances), &mut draws).unwrap();
                prop_assert!((quotient(&instances[index]) - least).abs() <= least * 1e-12);
            }
        }

        #[test]
        fn of_two_choices_the_most_loaded_is_never_taken(
            instances in proptest::collection::vec((0_u32..9, 1_u32..=1000), 2..9),
            seed: u64,
        ) {
            let quotient = |(open, weight): &(u32, u32)| f64::from(open + 1) / f64::from(*weight);
            let mut draws = Draws::new(seed, "balance", 0);
            let index = PowerOfTwo.pick(&weighted(&instances), &mut draws).unwrap();
            let better_than = instances.iter().filter(|other| quotient(other) >= quotient(&instances[index])).count();
            prop_assert!(better_than >= 2, "itself, and at least one that is no better");
        }
    }
}
