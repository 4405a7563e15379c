//! What differs between two configurations, and whether a running proxy may go from one to the other. Pure.

use std::fmt;

use super::Config;
use super::reference::{KEYS, Takes};

/// One key whose value changes. What may be a secret is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// As in the file, with its table: `limits.clients_max`.
    pub key: &'static str,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.key, self.from, self.to)
    }
}

/// Keys that cannot change while the proxy runs. The operator's: restart the proxy, or leave them as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot change while the proxy runs: {}; restart it, or leave them as they are", list(.0))]
pub struct Frozen(pub Vec<Changed>);

fn list(changes: &[Changed]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Config {
    /// What changes from this configuration to `new`, in the order of the reference.
    ///
    /// # Errors
    /// [`Frozen`] where something changes that cannot.
    pub fn changes_to(&self, new: &Self) -> Result<Vec<Changed>, Frozen> {
        let mut changes = Vec::new();
        let mut frozen = Vec::new();
        for key in KEYS {
            let [from, to] = [self, new].map(|config| (key.value)(config));
            if from != to {
                let changed = Changed { key: key.name, from: from.to_string(), to: to.to_string() };
                if key.takes == Takes::Restart { &mut frozen } else { &mut changes }.push(changed);
            }
        }
        if frozen.is_empty() { Ok(changes) } else { Err(Frozen(frozen)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Mode, Upstream};
    use crate::secret::Secret;

    /// The changes, or what is frozen, as text.
    fn check(adjust: fn(&mut Config), expect: Result<&[&str], &str>) {
        let old = Config::new(([127, 0, 0, 1], 9000).into(), Mode::Fanout, ["ws://a:1?key=s3cret"]);
        let mut new = old.clone();
        adjust(&mut new);
        let found = old.changes_to(&new);
        let text = format!("{found:?}");
        assert!(!text.contains("s3cret") && !text.contains("n3w"), "{text}");
        match (found, expect) {
            (Ok(changes), Ok(expect)) => {
                assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), expect);
            }
            (Err(frozen), Err(expect)) => assert!(frozen.to_string().contains(expect), "{frozen}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn what_changes_is_named_and_what_cannot_is_refused() {
        check(|_| {}, Ok(&[]));
        check(|new| new.limits.clients_max = 5, Ok(&["limits.clients_max: 10000 -> 5"]));
        check(|new| new.health.stale_after = Duration::from_millis(1500), Ok(&["health.stale_after: 2s -> 1500ms"]));
        check(
            |new| (new.drain_code, new.drain_time) = (1012, Duration::from_secs(1)),
            Ok(&["drain_time: 10s -> 1s", "drain_code: 1001 -> 1012"]),
        );
        check(|new| new.client_keys = vec![Secret::new("n3w")], Ok(&["client_keys: none -> ***"]));
        check(|new| new.user_key = Secret::new("n3w"), Ok(&["user_key: none -> ***"]));
        check(|new| new.origins.push("https://a".into()), Ok(&["origins: [] -> [https://a]"]));
        check(
            |new| new.health.probe_interval = Some(Duration::from_secs(3)),
            Ok(&["health.probe_interval: none -> 3s"]),
        );
        check(
            |new| new.upstreams.push(Upstream { weight: 50, ..Upstream::new("ws://b:1") }),
            Ok(&["upstreams: [ws://a:1/?*** (weight 100)] -> [ws://a:1/?*** (weight 100), ws://b:1 (weight 50)]"]),
        );
        // A secret that changes is a change, though it is not shown.
        check(
            |new| new.upstreams[0].url = "ws://a:1?key=n3w".into(),
            Ok(&["upstreams: [ws://a:1/?*** (weight 100)] -> [ws://a:1/?*** (weight 100)]"]),
        );
        check(|new| new.mode = Mode::Relay, Err("mode: fanout -> relay"));
        check(|new| new.listen.set_port(1), Err("listen: 127.0.0.1:9000 -> 127.0.0.1:1"));
        check(|new| new.admin = Some(([127, 0, 0, 1], 1).into()), Err("admin: none -> 127.0.0.1:1"));
        check(
            |new| {
                new.limits.clients_max = 5;
                new.limits.notsent_lowat = None;
                *new = new.clone().with_protocol(wire::feed::Protocol::Raw);
            },
            Err(
                "cannot change while the proxy runs: protocol: v1 -> raw, limits.notsent_lowat: 16384 -> none; restart it",
            ),
        );
    }
}
