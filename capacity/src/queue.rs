//! The wait that a queue alone explains. What was measured and what the model says stand side by side; where they differ, an assumption failed: arrivals come in
//! bursts, work is done in batches, or somebody waits for somebody else.
//!
//! Sources: Erlang (1917) in the recursion of Jagerman (1974) for M/M/c; Pollaczek (1930) and Khinchine (1932) for M/G/1.

use serde::Serialize;

/// Poisson arrivals, exponential service, `servers` at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mmc {
    /// Arrivals a second.
    pub arrivals_per_s: f64,
    /// Seconds that one takes, on average.
    pub service_s: f64,
    /// Servers, at least 1.
    pub servers: u32,
}

impl Mmc {
    /// How busy each server is, 0 to 1; from 1 on the queue grows without end.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.load() / f64::from(self.servers)
    }

    /// Erlangs: servers that would be busy if there were enough.
    fn load(&self) -> f64 {
        self.arrivals_per_s * self.service_s
    }

    /// The part of arrivals that wait (Erlang C). 1 where the queue grows without end.
    #[must_use]
    pub fn waiting_share(&self) -> f64 {
        let (load, busy) = (self.load(), self.utilisation());
        if busy >= 1.0 {
            return 1.0;
        }
        // Erlang B by recursion: no factorial that overflows.
        let blocked = (1..=self.servers).fold(1.0, |b, k| load * b / (f64::from(k) + load * b));
        blocked / (1.0 - busy * (1.0 - blocked))
    }

    /// The mean wait before service, in seconds. None where the queue grows without end.
    #[must_use]
    pub fn mean_wait_s(&self) -> Option<f64> {
        (self.utilisation() < 1.0).then(|| self.waiting_share() / self.rate_left())
    }

    /// The wait that the part `q` of arrivals (0 to 1) does not exceed, in seconds. None where the queue grows without end.
    #[must_use]
    pub fn wait_quantile_s(&self, q: f64) -> Option<f64> {
        if self.utilisation() >= 1.0 {
            return None;
        }
        let waiting = self.waiting_share();
        // P(W > t) = C exp(-(c mu - lambda) t): nobody waits below the quantile 1 - C.
        Some(if waiting > 1.0 - q { (waiting / (1.0 - q)).ln() / self.rate_left() } else { 0.0 })
    }

    fn rate_left(&self) -> f64 {
        f64::from(self.servers) / self.service_s - self.arrivals_per_s
    }
}

/// Poisson arrivals, service of any shape, one server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mg1 {
    /// Arrivals a second.
    pub arrivals_per_s: f64,
    /// Seconds that one takes, on average.
    pub service_s: f64,
    /// The squared coefficient of variation of that: 0 for always the same, 1 for exponential.
    pub service_cv2: f64,
}

impl Mg1 {
    /// How busy the server is.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.arrivals_per_s * self.service_s
    }

    /// The mean wait before service, in seconds. None where the queue grows without end.
    #[must_use]
    pub fn mean_wait_s(&self) -> Option<f64> {
        let busy = self.utilisation();
        (busy < 1.0).then(|| busy * self.service_s * (1.0 + self.service_cv2) / (2.0 * (1.0 - busy)))
    }
}

/// The squared coefficient of variation of measured times: the variance over the square of the mean. None below two values, or for a mean of 0.
#[must_use]
pub fn cv2(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (values.len() > 1 && mean > 0.0).then(|| variance / (mean * mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erlangs_table_comes_out() {
        // At a utilisation of 0.8: the part that waits, and the mean wait in service times.
        for (servers, waiting, wait) in
            [(1, 0.8, 4.0), (2, 0.7111, 1.778), (4, 0.5964, 0.7455), (8, 0.4576, 0.2860), (16, 0.3049, 0.0953)]
        {
            let queue = Mmc { arrivals_per_s: 0.8 * f64::from(servers), service_s: 1.0, servers };
            assert!((queue.utilisation() - 0.8).abs() < 1e-12);
            assert!((queue.waiting_share() - waiting).abs() < 5e-5, "{servers}: {}", queue.waiting_share());
            let mean = queue.mean_wait_s().expect("it is stable");
            assert!((mean - wait).abs() < 5e-4 * wait, "{servers}: {mean}");
        }
    }

    #[test]
    fn a_quantile_of_one_server_is_that_of_the_exponential_law() {
        let queue = Mmc { arrivals_per_s: 0.5, service_s: 1.0, servers: 1 };
        // P(W > t) = 0.5 exp(-t / 2).
        assert_eq!(queue.wait_quantile_s(0.5), Some(0.0));
        let p99 = queue.wait_quantile_s(0.99).expect("it is stable");
        assert!((0.5 * (-p99 / 2.0).exp() - 0.01).abs() < 1e-12);
    }

    #[test]
    fn pollaczek_and_khinchines_values_come_out() {
        for (service_cv2, wait) in [(0.0, 2.0), (1.0, 4.0), (4.0, 10.0)] {
            let mean = Mg1 { arrivals_per_s: 0.8, service_s: 1.0, service_cv2 }.mean_wait_s().expect("it is stable");
            assert!((mean - wait).abs() < 1e-9, "{service_cv2}: {mean}");
        }
    }

    #[test]
    fn too_much_waits_for_ever() {
        let queue = Mmc { arrivals_per_s: 2.0, service_s: 1.0, servers: 2 };
        assert_eq!((queue.waiting_share(), queue.mean_wait_s(), queue.wait_quantile_s(0.5)), (1.0, None, None));
        assert_eq!(Mg1 { arrivals_per_s: 1.0, service_s: 1.0, service_cv2: 1.0 }.mean_wait_s(), None);
    }

    #[test]
    fn variability_is_measured() {
        assert_eq!(cv2(&[2.0, 2.0, 2.0]), Some(0.0));
        assert_eq!(cv2(&[1.0, 3.0]), Some(0.5));
        assert_eq!((cv2(&[1.0]), cv2(&[])), (None, None));
    }
}
