//! Which client keys are let in, and how many clients each may have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use subtle::Choice;

use crate::config::Config;
use crate::lock::lock;

/// The longest key that is looked at, in bytes: what the table below holds for each client is bounded.
const KEY_BYTES_MAX: usize = 256;

/// Clients by the key that they presented. A key is forgotten with its last client, so the table is never longer than the list of clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held(BTreeMap<Box<str>, u64>);

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// Why a key is not let in. The client's fault; for a full key, trying again helps once another client with it has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyRefused {
    #[error("unknown user key")]
    Unknown,
    #[error("too many clients with this user key")]
    Full,
}

impl Keys {
    /// Lets a client in with `key`, which takes the place of the key that it had. On refusal it has none any more.
    pub(crate) fn admit(&self, config: &Config, key: &str, seat: &mut Option<KeySeat>) -> Result<(), KeyRefused> {
        let before = seat.take();
        if key.len() > KEY_BYTES_MAX || !is_known(config, key) {
            return Err(KeyRefused::Unknown);
        }
        if before.as_ref().is_some_and(|before| &*before.key == key) {
            *seat = before;
            return Ok(());
        }
        drop(before);
        let most = config.limits.clients_per_key_max;
        let mut held = lock(&self.held);
        let clients = held.0.get(key).copied().unwrap_or(0);
        if most > 0 && clients >= most {
            return Err(KeyRefused::Full);
        }
        held.0.insert(key.into(), clients + 1);
        *seat = Some(KeySeat { keys: self.clone(), key: key.into() });
        Ok(())
    }
}

/// Whether the configuration lets `key` in. It is compared with all keys, each in constant time, so that the time tells nothing of them.
fn is_known(config: &Config, key: &str) -> bool {
    let keys = &config.client_keys;
    keys.is_empty() || keys.iter().fold(Choice::from(0), |known, it| known | it.is(key)).into()
}

/// A client's place under its key; given back when dropped.
pub(crate) struct KeySeat {
    keys: Keys,
    key: Box<str>,
}

impl std::fmt::Debug for KeySeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeySeat(***)")
    }
}

impl Drop for KeySeat {
    fn drop(&mut self) {
        let mut held = lock(&self.keys.held);
        match held.0.get_mut(&self.key) {
            Some(1) => {
                held.0.remove(&self.key);
            }
            Some(clients) => *clients -= 1,
            None => debug_assert!(false, "a seat was given back twice"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Mode;
    use crate::secret::Secret;

    fn config(keys: &[&str], most: u64) -> Config {
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), Mode::Fanout, ["ws://a"]);
        config.client_keys = keys.iter().map(|key| Secret::new(*key)).collect();
        config.limits.clients_per_key_max = most;
        config
    }

    #[test]
    fn only_listed_keys_come_in_and_none_listed_means_any() {
        let (keys, listed, any) = (Keys::default(), config(&["A", "B"], 0), config(&[], 0));
        let admit = |config: &Config, key: &str| keys.admit(config, key, &mut None);
        assert_eq!([admit(&listed, "A"), admit(&listed, "B"), admit(&any, "C")], [Ok(()); 3]);
        for key in ["C", "", "AB", "a"] {
            assert_eq!(admit(&listed, key), Err(KeyRefused::Unknown), "{key:?}");
        }
        assert_eq!(admit(&any, &"x".repeat(KEY_BYTES_MAX + 1)), Err(KeyRefused::Unknown));
    }

    #[test]
    fn a_seat_shows_no_key() {
        let (keys, mut seat) = (Keys::default(), None);
        keys.admit(&config(&[], 0), "s3cret", &mut seat).unwrap();
        assert_eq!(
            format!("{keys:?} {seat:?}"),
            "Keys { held: Mutex { data: 1 keys, poisoned: false, .. } } Some(KeySeat(***))"
        );
    }

    proptest! {
        /// Against a list of who has which key: clients ask, ask again with another key, and leave.
        #[test]
        fn quotas_agree_with_a_list_of_clients(
            most in 0..4_u64,
            steps in prop::collection::vec((0..6_usize, prop::option::of("[ab]")), 0..100),
        ) {
            let (keys, config) = (Keys::default(), config(&[], most));
            let mut seats: [Option<KeySeat>; 6] = Default::default();
            let mut model: [Option<String>; 6] = Default::default();
            for (client, key) in steps {
                match key {
                    None => (seats[client], model[client]) = (None, None),
                    Some(key) => {
                        let others = model.iter().enumerate().filter(|(other, it)| *other != client && it.as_ref() == Some(&key));
                        let may = most == 0 || (others.count() as u64) < most;
                        let admitted = keys.admit(&config, &key, &mut seats[client]);
                        prop_assert_eq!(admitted, if may { Ok(()) } else { Err(KeyRefused::Full) });
                        model[client] = may.then_some(key);
                    }
                }
                let seated = model.iter().flatten().count() as u64;
                prop_assert_eq!(lock(&keys.held).0.values().sum::<u64>(), seated);
                prop_assert!(!lock(&keys.held).0.values().any(|clients| *clients == 0), "a key without clients is kept");
            }
        }
    }
}
