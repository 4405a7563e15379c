//! Which instance of the source takes the next connection.

use wire::id::SourceId;

/// What the balancer may know of an instance that can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which instance.
    pub source: SourceId,
    /// Connections open to it, dials under way included.
    pub open: u32,
}

/// Picks among instances. Told the true counts each time, so that it keeps none of its own to go wrong.
pub trait Balance: Send {
    /// The place in `candidates` to use; None only if there are none. `candidates` stand in the order of the configuration.
    fn pick(&mut self, candidates: &[Candidate]) -> Option<usize>;
}

/// The fewest open connections; ties go to the instances in turn.
///
/// Right for connections that live for hours: what counts is how many are held, not how fast they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastConnections {
    turn: u32,
}

impl Balance for LeastConnections {
    fn pick(&mut self, candidates: &[Candidate]) -> Option<usize> {
        let fewest = candidates.iter().map(|candidate| candidate.open).min()?;
        let tied = candidates.iter().filter(|candidate| candidate.open == fewest).count();
        // Among the tied, the first whose number is not below the turn; else around again.
        let from_turn = candidates
            .iter()
            .position(|candidate| candidate.open == fewest && u32::from(candidate.source.0) >= self.turn);
        let index = match from_turn {
            Some(index) if tied > 1 => index,
            _ => candidates.iter().position(|candidate| candidate.open == fewest)?,
        };
        self.turn = u32::from(candidates[index].source.0) + 1;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(open: &[u32]) -> Vec<Candidate> {
        open.iter().enumerate().map(|(i, &open)| Candidate { source: SourceId(i as u16), open }).collect()
    }

    #[test]
    fn ties_go_round() {
        let mut balance = LeastConnections::default();
        let picks: Vec<_> = (0..5).map(|_| balance.pick(&candidates(&[0, 0, 0])).unwrap()).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1]);
        assert_eq!(balance.pick(&candidates(&[2, 1, 2])), Some(1));
        assert_eq!(balance.pick(&[]), None);
    }

    proptest! {
        #[test]
        fn without_departures_no_instance_is_two_ahead(instances in 1_usize..9, clients in 0_usize..200) {
            let mut balance = LeastConnections::default();
            let mut open = vec![0_u32; instances];
            for _ in 0..clients {
                let index = balance.pick(&candidates(&open)).unwrap();
                open[index] += 1;
            }
            let (least, most) = (open.iter().min().unwrap(), open.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{open:?}");
        }

        #[test]
        fn the_pick_is_never_busier_than_another(open in proptest::collection::vec(0_u32..9, 1..9), times in 1_usize..9) {
            let mut balance = LeastConnections::default();
            for _ in 0..times {
                let index = balance.pick(&candidates(&open)).unwrap();
                prop_assert_eq!(open[index], *open.iter().min().unwrap());
            }
        }
    }
}
