//! Fairness in one number.

/// Jain's index of fairness over shares: (Σx)² / (n·Σx²). It is 1 where all shares are equal, and k/n where k of n share evenly and the others have nothing.
///
/// `None` where there is no share or all are zero. Shares are counts or latencies, so they are finite and not negative; others count as zero.
///
/// Source: R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness and Discrimination for Resource Allocation in Shared Computer Systems",
/// DEC-TR-301, 1984, equation 1.
#[must_use]
pub fn jain(shares: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for share in shares {
        let share = if share.is_finite() { share.max(0.0) } else { 0.0 };
        n += 1.0;
        sum += share;
        squares += share * share;
    }
    // Rounding of the sums may pass 1 by a hair; the index cannot.
    (squares > 0.0).then(|| (sum * sum / (n * squares)).clamp(1.0 / n, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn jain_has_its_textbook_values() {
        for (shares, expect) in [
            (vec![], None),
            (vec![0.0, 0.0], None),
            (vec![5.0], Some(1.0)),
            (vec![3.0, 3.0, 3.0], Some(1.0)),
            (vec![1.0, 0.0, 0.0, 0.0], Some(0.25)),
            (vec![1.0, 1.0, 0.0, 0.0], Some(0.5)),
            // (1 + 2 + 3)² / (3 · 14)
            (vec![1.0, 2.0, 3.0], Some(36.0 / 42.0)),
        ] {
            assert_eq!(jain(shares.iter().copied()), expect, "{shares:?}");
        }
    }

    proptest! {
        #[test]
        fn jain_lies_between_one_nth_and_one(shares in proptest::collection::vec(0u32..1_000_000, 1..50)) {
            if let Some(index) = jain(shares.iter().map(|share| f64::from(*share))) {
                prop_assert!(index >= 1.0 / shares.len() as f64 && index <= 1.0, "{index}");
            } else {
                prop_assert!(shares.iter().all(|share| *share == 0));
            }
        }
    }
}
