//! The axes, and what a load on each of them means for the processes.

use std::time::Duration;

use super::judge::SAMPLES_BEYOND;
use super::settings::Settings;

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Connections of the mix: what the verdict speaks of.
    Mixed,
    /// Messages a second over a fixed number of connections.
    Rate,
    /// Connections that come, upgrade, subscribe and go, a second.
    Connect,
    /// Connections that are held and get next to nothing.
    Held,
}

impl Axis {
    /// All, in the order in which they are measured: the one of the verdict first.
    pub const ALL: [Self; 4] = [Self::Mixed, Self::Rate, Self::Connect, Self::Held];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Rate => "rate",
            Self::Connect => "connect",
            Self::Held => "held",
        }
    }

    /// The unit of a load.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Mixed | Self::Held => "connections",
            Self::Rate => "deliveries/s",
            Self::Connect => "connections/s",
        }
    }

    /// What is varied, in words.
    #[must_use]
    pub fn what(self, settings: &Settings) -> String {
        match self {
            Self::Mixed => format!("connections, each with {}", settings.mix.words()),
            Self::Rate => format!("messages a second to {} connections", settings.fixed_connections),
            Self::Connect => "connections a second that come, upgrade, subscribe, stay for half a second and go".into(),
            Self::Held => "connections that are held, each with a message in ten seconds".into(),
        }
    }

    /// The first load, the least and the most.
    #[must_use]
    pub fn range(self, settings: &Settings) -> (f64, f64, f64) {
        let most = f64::from(settings.connections_max);
        let (start, least, most): (f64, f64, f64) = match self {
            Self::Mixed => (2_000.0, 50.0, most),
            Self::Rate => (50_000.0, 100.0, self.rate_max(settings)),
            Self::Connect => (1_000.0, 10.0, 20_000.0),
            Self::Held => (2_500.0, 100.0, most),
        };
        let start = start.min(most);
        (start, least.min(start), most)
    }

    fn ticks_per_s(self, load: f64, settings: &Settings) -> f64 {
        let mix = settings.mix;
        match self {
            Self::Mixed => mix.ticks_per_s,
            Self::Rate => load / (f64::from(settings.fixed_connections) * f64::from(mix.symbols_per_connection)),
            Self::Connect | Self::Held => RARE,
        }
    }

    /// A source ticks at most 1,000 times a second and symbol.
    fn rate_max(self, settings: &Settings) -> f64 {
        f64::from(settings.fixed_connections) * f64::from(settings.mix.symbols_per_connection) * 1_000.0
    }

    /// The trial that tests a load over so long a window.
    #[must_use]
    pub fn trial(self, load: f64, window: Duration, settings: &Settings) -> Trial {
        let mix = settings.mix;
        let window = if self == Self::Connect { window } else { whole(window, self.ticks_per_s(load, settings)) };
        let trial = Trial {
            axis: self,
            load,
            clients: load.round() as u32,
            arrivals: Arrivals::Ramp,
            symbols: mix.symbols,
            symbols_per_client: mix.symbols_per_connection,
            ticks_per_s: mix.ticks_per_s,
            padding: mix.padding,
            objective: settings.objective,
            verify: settings.verify,
            bytes_per_s: None,
            window,
        };
        let trial = match self {
            Self::Mixed => trial,
            Self::Rate => {
                let ticks_per_s = self.ticks_per_s(load, settings);
                Trial { clients: settings.fixed_connections, ticks_per_s, ..trial }
            }
            Self::Connect => {
                // The generator counts a descriptor and a port for each, though not all are there at once.
                let most = f64::from(settings.clients_max);
                let clients = (load * window.as_secs_f64()).round().clamp(1.0, most) as u32;
                let arrivals = Arrivals::Poisson { per_s: load };
                Trial {
                    clients,
                    arrivals,
                    window: window.min(Duration::from_secs_f64(f64::from(clients) / load)),
                    symbols: 1,
                    symbols_per_client: 1,
                    ticks_per_s: RARE,
                    objective: settings.connect_objective,
                    ..trial
                }
            }
            Self::Held => Trial { symbols: 10, symbols_per_client: 1, ticks_per_s: RARE, ..trial },
        };
        // Where there are few messages, more of them are checked; and a share near to one takes many.
        let samples = SAMPLES.max(2.0 * SAMPLES_BEYOND / (1.0 - settings.goodput_min));
        let enough = samples / trial.planned(window.as_secs_f64()).max(1.0);
        Trial { verify: trial.verify.max(enough).min(1.0), ..trial }
    }
}

/// How clients of a trial arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// Evenly, at [`RAMP_PER_S`], before the window.
    Ramp,
    /// By chance, over the window; each goes after [`STAY`].
    Poisson {
        /// A second.
        per_s: f64,
    },
}

/// Ticks of a symbol a second, where there is to be next to nothing.
const RARE: f64 = 0.1;
/// Messages that are checked in a trial, where there are so many.
const SAMPLES: f64 = 4_000.0;
/// Connections a second of a ramp: well below what a proxy takes.
pub const RAMP_PER_S: f64 = 2_000.0;
/// How long a client of the axis of connections a second stays.
pub const STAY: Duration = Duration::from_millis(500);
/// From the last arrival to the window.
pub const WARM_UP: Duration = Duration::from_secs(1);
/// What starting and ending the processes takes, about.
const AROUND: Duration = Duration::from_millis(700);

/// A window of whole periods of a tick: half of one at its end would look like loss.
fn whole(window: Duration, ticks_per_s: f64) -> Duration {
    let ticks = (window.as_secs_f64() * ticks_per_s).ceil().max(1.0);
    // Where a tick is rarer than the window is long, nothing is lost by waiting for a few of its symbols only.
    if ticks < 2.0 { window } else { Duration::from_secs_f64(ticks / ticks_per_s) }
}

/// What is run to test a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Of which axis.
    pub axis: Axis,
    /// Which load.
    pub load: f64,
    /// Clients in all.
    pub clients: u32,
    /// How they arrive.
    pub arrivals: Arrivals,
    /// Symbols of the source.
    pub symbols: u32,
    /// Of each client.
    pub symbols_per_client: u32,
    /// Ticks of each symbol a second.
    pub ticks_per_s: f64,
    /// Filler of each tick, in bytes.
    pub padding: u32,
    /// The objective.
    pub objective: Duration,
    /// The share of clients that check every byte.
    pub verify: f64,
    /// What each client reads a second at most; none: as fast as it comes.
    pub bytes_per_s: Option<u64>,
    /// The measured window.
    pub window: Duration,
}

impl Trial {
    /// How long its clients take to arrive.
    #[must_use]
    pub fn ramp(&self) -> Duration {
        match self.arrivals {
            Arrivals::Ramp => Duration::from_secs_f64((f64::from(self.clients) / RAMP_PER_S).max(0.2)),
            Arrivals::Poisson { .. } => Duration::ZERO,
        }
    }

    /// How long it takes in all, about.
    #[must_use]
    pub fn takes(&self) -> Duration {
        let before = match self.arrivals {
            Arrivals::Ramp => self.ramp() + WARM_UP,
            Arrivals::Poisson { .. } => STAY,
        };
        AROUND + before + self.window
    }

    /// Messages planned in the window: of each subscription its ticks. On the axis of connections a second: connections.
    #[must_use]
    pub fn planned(&self, window_s: f64) -> f64 {
        match self.arrivals {
            Arrivals::Ramp => {
                f64::from(self.clients) * f64::from(self.symbols_per_client) * self.ticks_per_s * window_s
            }
            Arrivals::Poisson { .. } => f64::from(self.clients),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_what_its_trial_plans() {
        let settings = Settings::new(std::path::PathBuf::new());
        let second = Duration::from_secs(1);
        let per_s = |axis: Axis, load: f64| axis.trial(load, second, &settings).planned(1.0);
        assert_eq!(per_s(Axis::Mixed, 4_000.0), 40_000.0);
        assert!((per_s(Axis::Rate, 123_456.0) - 123_456.0).abs() < 1e-6);
        assert_eq!(per_s(Axis::Connect, 700.0), 700.0);
        assert_eq!(per_s(Axis::Held, 4_000.0), 400.0);
    }

    #[test]
    fn every_range_is_lawful_for_a_search_also_where_little_is_allowed() {
        for connections_max in [60, 1_000, 60_000] {
            let settings = Settings { connections_max, ..Settings::new(std::path::PathBuf::new()) };
            for axis in Axis::ALL {
                let (start, least, most) = axis.range(&settings);
                assert!(0.0 < least && least <= start && start <= most, "{axis:?}: {least} {start} {most}");
            }
        }
    }
}
