//! How many instances a demand takes, what is left when one is lost, and what that costs.

use serde::Serialize;

/// The resource that gives out first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Binding<'a> {
    /// Its name.
    pub resource: &'a str,
    /// How much it holds.
    pub capacity: f64,
}

/// Of what each resource would hold, the least, and which it is. None of nothing; not numbers are passed over.
#[must_use]
pub fn binding<'a>(limits: &[(&'a str, f64)]) -> Option<Binding<'a>> {
    let known = limits.iter().filter(|(_, capacity)| !capacity.is_nan());
    let (resource, capacity) = known.min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Binding { resource, capacity: *capacity })
}

/// What is asked of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Demand {
    /// Connections (or messages a second) at once. Above 0.
    pub amount: f64,
    /// What one instance holds of them. Above 0.
    pub capacity: f64,
    /// The part of that at which an instance may be run, also when others are lost: 0.7 leaves room for bursts. Above 0, at most 1.
    pub utilisation_max: f64,
    /// Instances that may be lost at once.
    pub losses: u32,
}

/// Instances, and how busy they are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fleet {
    /// Instances needed: losses + ceil(amount / (capacity x utilisation_max)).
    pub instances: u32,
    /// How busy each is while all are there.
    pub utilisation: f64,
    /// How busy the others are when so many are lost.
    pub utilisation_after_losses: f64,
}

impl Demand {
    /// The fewest instances that hold it, and still do when some are lost. Necessary, not sufficient: those that were lost come back all at once
    /// ([`Storm`]). None where a number is not within its range.
    #[must_use]
    pub fn fleet(&self) -> Option<Fleet> {
        let Self { amount, capacity, utilisation_max, losses } = *self;
        let lawful = amount > 0.0 && capacity > 0.0 && utilisation_max > 0.0 && utilisation_max <= 1.0;
        let enough = (amount / (capacity * utilisation_max)).ceil();
        if !lawful || enough >= f64::from(u32::MAX - losses) {
            return None;
        }
        let enough = enough as u32;
        let busy = |instances: u32| amount / (capacity * f64::from(instances));
        let instances = losses + enough;
        Some(Fleet { instances, utilisation: busy(instances), utilisation_after_losses: busy(enough) })
    }
}

/// The clients of a lost instance, who all come back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Storm {
    /// Connections of the lost instance.
    pub connections: f64,
    /// Instances that are left. Above 0.
    pub survivors: u32,
    /// Seconds over which clients spread their coming back. Above 0.
    pub jitter_s: f64,
    /// Connections a second that a survivor can take on beside what it does. Above 0.
    pub accepts_per_s: f64,
}

impl Storm {
    /// Connections a second that come to each survivor.
    #[must_use]
    pub fn rate_per_survivor(&self) -> f64 {
        self.connections / (self.jitter_s * f64::from(self.survivors))
    }

    /// Whether survivors can take them on as they come.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.rate_per_survivor() <= self.accepts_per_s
    }

    /// The shortest time until all are back, in seconds: never less than the jitter, nor than the survivors need.
    #[must_use]
    pub fn recovery_s(&self) -> f64 {
        self.smallest_jitter_s().max(self.jitter_s)
    }

    /// The smallest jitter that survivors can follow, in seconds.
    #[must_use]
    pub fn smallest_jitter_s(&self) -> f64 {
        self.connections / (self.accepts_per_s * f64::from(self.survivors))
    }
}

/// What 1,000 of `amount` cost on so many instances, given what an instance costs in the same time.
#[must_use]
pub fn cost_per_thousand(instances: u32, amount: f64, price_of_instance: f64) -> f64 {
    f64::from(instances) * price_of_instance / (amount / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_binds() {
        let limits = [("CPU", 20_000.0), ("memory", 12_000.0), ("descriptors", 65_000.0), ("unknown", f64::NAN)];
        assert_eq!(binding(&limits), Some(Binding { resource: "memory", capacity: 12_000.0 }));
        assert_eq!(binding(&[]), None);
    }

    #[test]
    fn one_may_be_lost_and_the_others_stay_within_bounds() {
        let demand = Demand { amount: 100_000.0, capacity: 20_000.0, utilisation_max: 0.7, losses: 1 };
        let fleet = demand.fleet().expect("it can be held");
        assert_eq!(fleet.instances, 9);
        assert!(fleet.utilisation < 0.56 && fleet.utilisation_after_losses <= 0.7, "{fleet:?}");
        // One fewer would not do.
        assert!(demand.amount / (demand.capacity * f64::from(fleet.instances - 2)) > demand.utilisation_max);
        assert!((cost_per_thousand(fleet.instances, 100_000.0, 50.0) - 4.5).abs() < 1e-12);
        for bad in [
            Demand { amount: 0.0, ..demand },
            Demand { capacity: 0.0, ..demand },
            Demand { utilisation_max: 1.1, ..demand },
            Demand { amount: 1e300, ..demand },
            Demand { amount: f64::NAN, ..demand },
        ] {
            assert_eq!(bad.fleet(), None, "{bad:?}");
        }
    }

    #[test]
    fn a_storm_takes_as_long_as_the_jitter_or_the_survivors_need() {
        let storm = Storm { connections: 10_000.0, survivors: 4, jitter_s: 10.0, accepts_per_s: 500.0 };
        assert_eq!((storm.rate_per_survivor(), storm.fits(), storm.recovery_s()), (250.0, true, 10.0));
        let tight = Storm { jitter_s: 1.0, ..storm };
        assert_eq!((tight.fits(), tight.recovery_s(), tight.smallest_jitter_s()), (false, 5.0, 5.0));
    }
}
