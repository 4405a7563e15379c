//! Random but lawful worlds, by swarm testing: what nobody thought of writing a scenario about.
//!
//! ```text
//!   seed --> swarm: families that are on --> world: hosts, clients, links --> limits --> faults, within budget --> promises --> builder (the linter) --> World
//!                                                      (or a scenario's own)                                                                          |
//!                                            found: failures by kind, the smallest world of each <-- verdict <-- run with the same seed <-------------'
//! ```
//!
//! A seed is the whole of a world: the same seed gives the same world, order of ready tasks and run. Each part of it has dice of its own ([`dice`]), so that a change in
//! one part of the generator leaves the others as they were.

mod budget;
mod dice;
mod faults;
pub mod found;
mod limits;
mod promises;
pub mod proof;
mod swarm;
mod triggers;
mod world;

use proptest::prelude::*;

use self::dice::Dice;
pub use self::swarm::{Families, Family};
use crate::builder::{BuildError, Builder};
use crate::model::{Clients, Reader, Scenario};
use crate::span::Span;

/// Draws of one seed until a world is lawful, at most.
const DRAWS_MAX: u64 = 20;

/// Where worlds come from.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// Hosts, clients and links stay those of this scenario, and only the faults are drawn; none: all is.
    pub scenario: Option<Scenario>,
    /// Faults may last for ever, and take away everything: then nothing is said of how the world recovers.
    pub unrecoverable: bool,
}

/// A world.
#[derive(Clone, Debug)]
pub struct World {
    /// Its seed, and that of its run.
    pub seed: u64,
    /// The order in which tasks that are ready at one instant take their turns.
    pub order: u64,
    /// What could go wrong in it.
    pub families: Families,
    /// All of it.
    pub scenario: Scenario,
    /// How often the rules refused what was drawn before.
    pub refused: Vec<BuildError>,
}

/// No draw of a seed was lawful: a bug of the generator.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no world of seed {seed} is lawful; the last was refused: {last}")]
pub struct NoWorld {
    /// The seed.
    pub seed: u64,
    /// Why the last draw was refused.
    pub last: BuildError,
}

/// The world of a seed.
///
/// # Errors
/// [`NoWorld`] where the rules refuse each of many draws.
pub fn world(ground: &Ground, seed: u64) -> Result<World, NoWorld> {
    let mut refused = Vec::new();
    for nth in 0..DRAWS_MAX {
        // The first draw has the seed itself: what stands in a report is what dice were thrown with.
        let drawn = seed ^ nth.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let families = Families::draw(&mut Dice::of(drawn, "swarm"), &mut Dice::of(drawn, "more of the swarm"));
        match on(ground, drawn, families).build() {
            Ok(scenario) => {
                let order = Dice::of(drawn, "order").draw(prop_oneof![Just(0_u64), 1_u64..=64]);
                return Ok(World { seed, order, families, scenario, refused });
            }
            Err(error) => refused.push(error),
        }
    }
    let last = refused.pop().unwrap_or(BuildError(Vec::new()));
    Err(NoWorld { seed, last })
}

/// A world that nobody has looked at yet.
fn on(ground: &Ground, seed: u64, families: Families) -> Builder {
    let stage = match &ground.scenario {
        Some(scenario) => Builder::from(scenario.clone()).with(|scenario| {
            scenario.faults.clear();
            scenario.reach.clear();
            scenario.engines.clear();
            scenario.steady = scenario.steady.max(Span::from_millis(8_000));
        }),
        None => world::draw(seed, families),
    };
    stage.with(|scenario| {
        if ground.scenario.is_none() {
            limits::draw(seed, families, scenario);
        }
        scenario.faults = faults::draw(seed, scenario, families, !ground.unrecoverable);
        // Who only listens learns of nothing that is said once, and lost. Clients of a scenario stay as they are.
        match &ground.scenario {
            None if faults::hide_resets(scenario) => {
                let groups = std::mem::take(&mut scenario.clients).into_iter();
                // A slow reader finds its pongs behind all that it has not read, and nothing is said of what it misses.
                let speaks = |group: Clients| if group.reader == Reader::Full { world::speaking(group) } else { group };
                scenario.clients = groups.map(speaks).collect();
            }
            Some(_) if faults::hide_resets(scenario) => {
                let kept = scenario.faults.iter().filter(|fault| !faults::hides_resets(fault, scenario));
                scenario.faults = kept.cloned().collect();
            }
            _ => {}
        }
        scenario.recovery = promises::recovery(scenario);
        scenario.check = promises::of(scenario, !ground.unrecoverable);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_world_and_another_is_another() {
        let text = |seed| world(&Ground::default(), seed).map(|world| world.scenario.to_toml().expect("TOML holds it"));
        assert_eq!(text(7).unwrap(), text(7).unwrap());
        assert_ne!(text(7).unwrap(), text(8).unwrap());
    }

    #[test]
    fn the_rules_refuse_hardly_any_draw() {
        let mut refused = Vec::new();
        for seed in 0..400 {
            refused.extend(world(&Ground::default(), seed).expect("a lawful world").refused);
        }
        let all: Vec<String> = refused.iter().map(ToString::to_string).collect();
        assert!(all.len() <= 8, "{} of 400:\n{}", all.len(), all.join("\n"));
    }
}
