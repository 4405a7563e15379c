//! A row a second: what was seen while the run went on, for `seconds.csv` and for the page.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reports::load::Second;
use tokio::time::{Instant, sleep_until};

use crate::distribution::samples_needed;
use crate::measure::{Counters, Meters};

/// Rows at most: a day. Later ones are left out, and so said.
const ROWS_MAX: usize = 86_400;

/// The rows so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows(Arc<Mutex<Vec<Second>>>);

impl Rows {
    /// Takes a row each second since the beginning, until it is aborted; and hands each to `show`.
    pub(super) async fn take(self, meters: Meters, began: Instant, mut show: impl FnMut(&Second, Counters)) {
        sleep_until(began).await;
        // From here on latencies are kept.
        meters.recent();
        let (mut before, mut at, mut planned) = (meters.counters(false), Instant::now(), began);
        loop {
            planned += Duration::from_secs(1);
            sleep_until(planned).await;
            let (now, counters, recent) = (Instant::now(), meters.counters(false), meters.recent());
            let over = now.duration_since(at).as_secs_f64().max(1e-3);
            let per_s = |after: u64, before: u64| (after - before) as f64 / over;
            let quantile =
                |q| (recent.len() >= samples_needed(q)).then(|| recent.value_at_quantile(q) as f64 / 1_000.0);
            let row = Second {
                at_s: now.duration_since(began).as_secs_f64(),
                open: counters.opened.saturating_sub(counters.closed),
                opened_per_s: per_s(counters.opened, before.opened),
                failed_per_s: per_s(counters.failed, before.failed),
                deliveries_per_s: per_s(counters.came(), before.came()),
                bytes_per_s: per_s(counters.bytes, before.bytes),
                p50_ms: quantile(0.5),
                p99_ms: quantile(0.99),
            };
            (before, at) = (counters, now);
            show(&row, counters);
            let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if rows.len() < ROWS_MAX {
                rows.push(row);
            }
        }
    }

    pub(super) fn all(&self) -> Vec<Second> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The rows as comma-separated values. What was not measured is empty.
pub(super) fn csv(rows: &[Second]) -> String {
    let mut text = "second,open,opened_per_s,failed_per_s,deliveries_per_s,bytes_per_s,p50_ms,p99_ms\n".to_owned();
    for row in rows {
        let Second { at_s, open, opened_per_s, failed_per_s, deliveries_per_s, bytes_per_s, p50_ms, p99_ms } = row;
        let cell = |ms: &Option<f64>| ms.map_or_else(String::new, |ms| format!("{ms:.3}"));
        let (p50, p99) = (cell(p50_ms), cell(p99_ms));
        writeln!(
            text,
            "{at_s:.3},{open},{opened_per_s:.1},{failed_per_s:.1},{deliveries_per_s:.1},{bytes_per_s:.0},{p50},{p99}"
        )
        .expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Window;

    #[tokio::test(start_paused = true)]
    async fn a_row_a_second_says_what_that_second_brought() {
        let began = Instant::now();
        let meters = Meters::new(1, Window { begins: began, ends: began + Duration::from_secs(9) }, None);
        let rows = Rows::default();
        let taking = rows.clone().take(meters.clone(), began, |_, _| ());
        let life = async {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let shard = meters.shard(0);
            shard.count(Instant::now(), |counters| counters.opened += 1);
            shard.tick(Instant::now(), Some(Duration::from_millis(5)), None);
            for ticks in [999, 1_000] {
                tokio::time::sleep(Duration::from_secs(1)).await;
                (0..ticks).for_each(|_| shard.tick(Instant::now(), Some(Duration::from_millis(5)), None));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        wire::select! {
            () = taking => {}
            () = life => {}
        }
        let text = csv(&rows.all());
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines[0], "1.000,0,0.0,0.0,0.0,0,,");
        // A quantile needs ten samples beyond it.
        assert_eq!(lines[1], "2.000,1,1.0,0.0,1.0,0,,");
        assert_eq!(lines[2], "3.000,1,0.0,0.0,999.0,0,5.003,");
        assert_eq!(lines[3], "4.000,1,0.0,0.0,1000.0,0,5.003,5.003");
        assert_eq!(lines.len(), 4);
    }
}
