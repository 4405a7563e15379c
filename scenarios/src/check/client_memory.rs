//! `client-memory`: what the proxy holds for clients is bounded.
//!
//! By its own gauges (nothing outside can show it): the longest queue is within its bound plus one message, and all queues together within that for each
//! client. A proxy of others shows no gauge: inconclusive.

use wire::event::Event;

use super::{At, Checker, ClientMemory, Findings};

/// The checker. A check is a gauge.
pub(super) struct ClientQueues {
    each_max: u64,
    worst: u64,
    worst_sum: u64,
}

impl ClientQueues {
    pub(super) fn new(bound: ClientMemory) -> Self {
        Self { each_max: bound.queue_bytes_max.saturating_add(bound.message_bytes_max), worst: 0, worst_sum: 0 }
    }
}

impl Checker for ClientQueues {
    fn observe(&mut self, at: At, event: &Event, findings: &mut Findings) {
        let Event::ProxyGauge { proxy, clients, queue_bytes, queue_bytes_max, .. } = event else { return };
        findings.check();
        self.worst = self.worst.max(*queue_bytes_max);
        self.worst_sum = self.worst_sum.max(*queue_bytes);
        let sum_max = self.each_max.saturating_mul(*clients);
        if *queue_bytes_max > self.each_max {
            findings.violation(at, &[], || {
                format!("{proxy} holds {queue_bytes_max} bytes for one client, bound {}", self.each_max)
            });
        } else if *queue_bytes > sum_max {
            findings.violation(at, &[], || {
                format!("{proxy} holds {queue_bytes} bytes for {clients} clients, bound {sum_max}")
            });
        }
    }

    fn finish(&mut self, _end: At, _findings: &mut Findings) -> String {
        let Self { each_max, worst, worst_sum } = self;
        format!("longest queue {worst} bytes against {each_max}; all together {worst_sum} bytes at most")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tape, check};
    use reports::record::Outcome::{Fail, Inconclusive, Pass};

    fn tape() -> Tape {
        Tape::new("client-memory = { queue-bytes-max = 1000, message-bytes-max = 100 }")
    }

    #[test]
    fn a_queue_may_pass_its_bound_by_one_message() {
        check(tape().gauge(2, 2_200, 1_100), Pass, 1);
        check(tape().gauge(2, 1_101, 1_101), Fail, 1);
    }

    #[test]
    fn all_queues_together_are_bounded_by_the_clients() {
        check(tape().gauge(2, 2_201, 1_000), Fail, 1);
        check(tape().gauge(0, 1, 0), Fail, 1);
    }

    #[test]
    fn without_a_gauge_it_is_inconclusive() {
        check(tape(), Inconclusive, 0);
    }
}
