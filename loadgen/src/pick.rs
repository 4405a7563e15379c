//! Which clients are to be what: a part of all, alike in each group of them. Pure.
//!
//! Clients take targets and threads in turn. One in twenty, taken in turn as well, would all be at the same of two targets: so clients are ordered by their group first, and then each so-many-th
//! is taken. Each group has its share then, to within one, and so has the whole.

/// Picks so many of the clients, whose groups these are.
pub(crate) fn pick<G: Ord>(groups: &[G], count: usize) -> Vec<bool> {
    let all = groups.len() as u128;
    let count = count.min(groups.len()) as u128;
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|place| (&groups[*place], *place));
    let mut picked = vec![false; groups.len()];
    // From the middle of a stretch: not the last of each group.
    let passed = |rank: u128| (2 * rank * count + all) / (2 * all.max(1));
    for (rank, place) in (0..).zip(order) {
        picked[place] = passed(rank + 1) > passed(rank);
    }
    picked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_in_twenty_is_at_both_of_two_targets() {
        let groups: Vec<usize> = (0..200).map(|client| client % 2).collect();
        let picked = pick(&groups, 10);
        let of = |group| (0..200).filter(|client| client % 2 == group && picked[*client]).count();
        assert_eq!((of(0), of(1)), (5, 5));
    }

    proptest! {
        #[test]
        fn each_group_has_its_share_to_within_one_and_the_whole_has_it_exactly(clients in 1_usize..300, targets in 1_usize..6, threads in 1_usize..5, share in 0.0_f64..=1.0) {
            let groups: Vec<_> = (0..clients).map(|client| (client % targets, client % threads)).collect();
            let count = (clients as f64 * share) as usize;
            let picked = pick(&groups, count);
            prop_assert_eq!(picked.iter().filter(|picked| **picked).count(), count);
            for group in &groups {
                let members = groups.iter().filter(|other| *other == group).count();
                let taken = groups.iter().zip(&picked).filter(|(other, picked)| *other == group && **picked).count();
                let fair = members as f64 * count as f64 / clients as f64;
                prop_assert!((taken as f64 - fair).abs() < 1.0 + 1e-9, "{taken} of {members}, and {fair} is fair");
            }
        }
    }
}
