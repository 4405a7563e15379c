//! Slow start: an instance that came back takes its share of new connections little by little.
//!
//! Its weight rises linearly with the time since it came back (HAProxy's `slowstart`), from a tenth (Envoy's `min_weight_percent`), so that it is tried at all.
//! When the proxy starts, all instances are as good: then nobody starts slowly.

use std::time::Duration;

/// The weight, in thousandths, of an instance that has been back for `back_for` (None: it was never away).
pub(super) fn weight(configured: u16, back_for: Option<Duration>, slow_start: Duration) -> u32 {
    let whole = u32::from(configured) * 1000;
    match back_for {
        Some(back_for) if back_for < slow_start => {
            let risen = u128::from(whole) * back_for.as_nanos() / slow_start.as_nanos();
            u32::try_from(risen).unwrap_or(whole).max(whole / 10)
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_weight_rises_from_a_tenth_to_the_whole() {
        let at = |back_for| weight(200, back_for, 10 * S);
        let rising = [0, 1, 2, 5, 9, 10, 99].map(|s| at(Some(s * S)));
        assert_eq!(rising, [20_000, 20_000, 40_000, 100_000, 180_000, 200_000, 200_000]);
        assert_eq!(at(None), 200_000);
        assert_eq!(weight(200, Some(Duration::ZERO), Duration::ZERO), 200_000, "it is switched off");
    }

    proptest! {
        #[test]
        fn it_never_falls_and_stays_in_its_bounds(
            configured in 1_u16..=1000,
            slow_start_ms in 0_u64..100_000,
            at_ms in 0_u64..200_000,
            later_ms in 0_u64..100_000,
        ) {
            let ms = Duration::from_millis;
            let whole = u32::from(configured) * 1000;
            let now = weight(configured, Some(ms(at_ms)), ms(slow_start_ms));
            prop_assert!((whole / 10..=whole).contains(&now));
            prop_assert!(now <= weight(configured, Some(ms(at_ms + later_ms)), ms(slow_start_ms)));
        }
    }
}
