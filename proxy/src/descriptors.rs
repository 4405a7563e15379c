//! File descriptors: how many a proxy needs, and how many clients fit into those that it may have.
//!
//! ```text
//!   one a client       its connection; a handshake under way counts as a client to be
//!   one more a client  relay: its leg, or the dial for it
//!   refusals_max       connections that are being told no
//!   two an instance    fan-out: a leg and the dial that replaces it; relay: a probe and its successor
//!   64                 listeners, admin requests (32), standard streams, event loops, files
//! ```

use crate::config::{Config, Mode};
use crate::limits::Limits;

/// For everything that does not grow with clients or instances.
const RESERVE: u64 = 64;
/// What a proxy must have room for, unless its `clients_max` is lower.
const CLIENTS_MIN: u64 = 16;

/// There are too few descriptors for a proxy that is worth starting. The operator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{available} file descriptors are too few: {needed} are needed for {clients} clients ({fixed} for all else, of which \
     limits.refusals_max takes {refusals_max}). Raise the limit (ulimit -Hn, LimitNOFILE= of systemd) or lower limits.refusals_max"
)]
pub(crate) struct TooFew {
    available: u64,
    needed: u64,
    clients: u64,
    fixed: u64,
    refusals_max: u64,
}

/// Descriptors that are kept for all that is no client, with so many instances upstream.
#[must_use]
pub fn descriptors_beside_clients(limits: &Limits, instances: u64) -> u64 {
    RESERVE.saturating_add(limits.refusals_max).saturating_add(instances.saturating_mul(2))
}

/// How many clients fit, at most `clients_max`.
///
/// # Errors
/// [`TooFew`] where not even sixteen do (or `clients_max`, if that is less).
pub(crate) fn clients_that_fit(config: &Config, available: u64) -> Result<u64, TooFew> {
    let each = match config.mode {
        Mode::Fanout => 1,
        Mode::Relay => 2,
    };
    let limits = &config.limits;
    let fixed = descriptors_beside_clients(limits, u64::try_from(config.upstreams.len()).unwrap_or(u64::MAX));
    let fit = available.saturating_sub(fixed) / each;
    let least = limits.clients_max.min(CLIENTS_MIN);
    if fit < least {
        let needed = fixed.saturating_add(least * each);
        return Err(TooFew { available, needed, clients: least, fixed, refusals_max: limits.refusals_max });
    }
    Ok(fit.min(limits.clients_max))
}

/// Raises the process's limit to the most that it may have, and lowers `clients_max` to what fits into it.
///
/// # Errors
/// [`TooFew`].
pub(crate) fn fit(config: &mut Config) -> Result<(), TooFew> {
    // Where it cannot be raised, what there is must do; where it cannot even be read, the kernel will tell.
    let available = rlimit::increase_nofile_limit(u64::MAX)
        .or_else(|_| rlimit::Resource::NOFILE.get_soft())
        .unwrap_or(rlimit::INFINITY);
    let asked = config.limits.clients_max;
    config.limits.clients_max = clients_that_fit(config, available)?;
    let fit = config.limits.clients_max;
    if fit < asked {
        tracing::warn!("room for {fit} clients, not {asked}: this process may have {available} file descriptors");
    } else {
        tracing::info!(available, clients_max = fit, "file descriptors suffice");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_legs_refusals_and_the_reserve_fit_into_what_there_is() {
        for (mode, instances, clients_max, available, expect) in [
            (Mode::Fanout, 2, 10_000, 1_048_576, Some(10_000)),
            (Mode::Fanout, 2, 10_000, 1024, Some(1024 - 64 - 256 - 4)),
            (Mode::Relay, 2, 10_000, 1024, Some((1024 - 64 - 256 - 4) / 2)),
            (Mode::Fanout, 1, 10_000, 64 + 256 + 2 + 16, Some(16)),
            (Mode::Fanout, 1, 10_000, 64 + 256 + 2 + 15, None),
            (Mode::Fanout, 1, 3, 64 + 256 + 2 + 3, Some(3)),
            (Mode::Relay, 1, 3, 64 + 256 + 2 + 5, None),
            (Mode::Fanout, 1, 3, 0, None),
        ] {
            let mut config = Config::new(([127, 0, 0, 1], 0).into(), mode, vec!["ws://a"; instances]);
            config.limits.clients_max = clients_max;
            let fit = clients_that_fit(&config, available);
            assert_eq!(fit.ok(), expect, "{mode} {instances} {clients_max} {available}");
        }
    }

    #[test]
    fn too_few_says_how_many_are_needed_and_what_to_do() {
        let config = Config::new(([127, 0, 0, 1], 0).into(), Mode::Relay, ["ws://a"]);
        let text = clients_that_fit(&config, 256).unwrap_err().to_string();
        for word in
            ["256 file descriptors", "354 are needed for 16 clients", "322 for all else", "ulimit", "refusals_max"]
        {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
}
