//! Swarm testing: each world has another part of all that can go wrong.
//!
//! A world with a little of everything hides what needs much of one thing: a queue never fills where clients are cut off every second. So every seed turns about
//! half of the families off, and the rest have the world for themselves (Groce et al., "Swarm Testing", 2012).

use std::fmt;

use proptest::bits;
use proptest::strategy::Strategy as _;

use super::dice::Dice;
use crate::model::FaultKind;

macro_rules! families {
    ($($(#[$doc:meta])* $family:ident $word:literal [$($kind:ident),*];)*) => {
        /// What can be turned off together.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Family {
            $($(#[$doc])* $family,)*
        }

        impl Family {
            /// All of them, in the order of their bits.
            pub const ALL: &[Family] = &[$(Family::$family),*];

            /// The word in reports.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Family::$family => $word,)*
                }
            }

            /// The faults that belong to it.
            #[must_use]
            pub fn kinds(self) -> &'static [FaultKind] {
                match self {
                    $(Family::$family => &[$(FaultKind::$kind),*],)*
                }
            }
        }
    };
}

families! {
    /// Processes die, machines go dark, programs stand still.
    Processes "processes" [Kill, PowerOff, Restart, Freeze];
    /// Links carry nothing, or carry it late.
    Links "links" [Stall, Partition, Latency];
    /// Links carry less, lose, or let bytes trickle.
    Loss "loss" [Bandwidth, Loss, BurstLoss, Slicer];
    /// Connections break, or half of them does.
    Breaks "breaks" [ResetPeer, HalfOpen, Timeout, LimitData, SlowClose];
    /// Connections do not come about.
    Dials "dials" [Refuse, BlackHole, AcceptClose, Nxdomain, SlowLookup, Backlog, Descriptors];
    /// Sources misbehave.
    Sources "sources" [Mute, Slam, CloseAll, Garbage, Oversized];
    /// Operators drain and reload.
    Operations "operations" [Drain, Reload];
    /// Machines are slow, and clocks are wrong.
    Machines "machines" [SlowHost, ClockJump, ClockDrift];
    /// Clients ping, change what they want and ask again.
    Behaviours "behaviours" [];
    /// Clients break rules.
    Rogues "rogues" [];
    /// Clients read too slowly.
    SlowClients "slow-clients" [];
    /// Clients leave and come again.
    Churn "churn" [];
    /// Some links are always slower than others, or now and then much slower.
    Weather "weather" [];
    /// CPU costs something.
    Cost "cost" [];
    /// Proxies take so many clients, handshakes, legs, dials and requests, and no more.
    Limits "limits" [];
    /// Sources bear so many connections for a key.
    Keys "keys" [];
    /// Sources deny some symbols.
    Denials "denials" [];
    /// Faults wait for events.
    Triggers "triggers" [];
}

/// Families that are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families(u32);

impl Families {
    /// Every one.
    #[must_use]
    pub fn all() -> Self {
        Self((1 << Family::ALL.len()) - 1)
    }

    /// Whether a family is on.
    #[must_use]
    pub fn has(self, family: Family) -> bool {
        self.0 & (1 << family as u32) != 0
    }

    /// Those that are on.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.iter().copied().filter(move |family| self.has(*family))
    }

    /// Each is on or off, as a coin falls; one that brings faults is on in any case. The families up to `Cost` have the first dice.
    pub(super) fn draw(dice: &mut Dice, more: &mut Dice) -> Self {
        let first = Family::Cost as usize + 1;
        let coins = dice.draw(bits::u32::between(0, first)) | more.draw(bits::u32::between(first, Family::ALL.len()));
        let faulty: Vec<Family> = Family::ALL.iter().copied().filter(|family| !family.kinds().is_empty()).collect();
        let one = dice.draw((0..faulty.len()).prop_map(move |place| faulty[place]));
        let drawn = Self(coins);
        let none = drawn.iter().all(|family| family.kinds().is_empty());
        if none { Self(coins | 1 << one as u32) } else { drawn }
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Family::word).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_belongs_to_one_family() {
        let kinds: Vec<FaultKind> = Family::ALL.iter().flat_map(|family| family.kinds()).copied().collect();
        for kind in FaultKind::ALL {
            assert_eq!(kinds.iter().filter(|one| *one == kind).count(), 1, "{kind:?}");
        }
        assert_eq!(kinds.len(), FaultKind::ALL.len());
    }

    #[test]
    fn about_half_is_off_and_each_is_off_in_its_turn() {
        let drawn: Vec<Families> =
            (0..400).map(|seed| Families::draw(&mut Dice::of(seed, "swarm"), &mut Dice::of(seed, "more"))).collect();
        for family in Family::ALL {
            let on = drawn.iter().filter(|families| families.has(*family)).count();
            assert!((140..260).contains(&on), "{}: on in {on} of 400", family.word());
        }
        assert!(drawn.iter().all(|families| families.iter().any(|family| !family.kinds().is_empty())));
    }
}
