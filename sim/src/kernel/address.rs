//! One name for several hosts: each lookup gives one of them, as a balancer with a health check, or a name server in front of the same, would.
//!
//! ```text
//!   lookup "front" ---> whom the check still believes in ---> one of these: in turns, the least busy, any
//!
//!   lost ....... detected             a host that was lost is given out until it is detected
//!        |-----|                      and again as soon as it is back
//! ```

use std::time::Duration;

use wire::draw::Draws;

use super::{EndState, World};
use crate::config::micros;
use crate::setup::HostId;

/// A name that several hosts answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whom it stands for; at least one.
    pub hosts: Vec<HostId>,
    /// Which of them a lookup gives.
    pub pick: Pick,
    /// How long a host whose program has ended, or whose machine is off, is given out all the same. What dials it then is refused, or hears nothing.
    pub detect: Duration,
}

/// Which host takes the next dial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// The one with the fewest connections, those under way among them; of equals the first after the last one. A host that refuses has none.
    LeastConnections,
    /// Any, drawn.
    Random,
}

/// An address in a running world.
pub(crate) struct Spread {
    name: String,
    address: Address,
    /// Dials that it has given out.
    given: u64,
    /// The place of the last one.
    last: usize,
    draws: Draws,
}

/// Who may be given out: those that run, and those that were lost so short a time ago that nobody knows. All, where there is none: a balancer without a
/// healthy server has nothing better.
fn believed_in(down_since_us: &[Option<u64>], now_us: u64, detect_us: u64) -> Vec<usize> {
    let believed = |since: &Option<u64>| since.is_none_or(|since| now_us < since.saturating_add(detect_us));
    let found: Vec<usize> = (0..down_since_us.len()).filter(|place| believed(&down_since_us[*place])).collect();
    if found.is_empty() { (0..down_since_us.len()).collect() } else { found }
}

/// The next of `among` after `last`, in a circle.
fn after(among: &[usize], last: usize) -> usize {
    among.iter().copied().find(|place| *place > last).or_else(|| among.first().copied()).unwrap_or(last)
}

impl World {
    /// Gives several hosts a name.
    pub(crate) fn add_address(&mut self, name: &str, address: Address) {
        let entity = self.addresses.len() as u64;
        let last = address.hosts.len().saturating_sub(1);
        let draws = self.draws("address", entity);
        self.addresses.push(Spread { name: name.to_owned(), address, given: 0, last, draws });
    }

    /// The host that a name of several stands for this time; None if it is none of these names.
    pub(crate) fn stands_for(&mut self, name: &str) -> Option<HostId> {
        let place = self.addresses.iter().position(|spread| spread.name == name)?;
        let now = self.now_us;
        let Address { hosts, pick, detect } = self.addresses[place].address.clone();
        let down: Vec<Option<u64>> = hosts.iter().map(|host| self.hosts[host.index()].down_since_us).collect();
        let among = believed_in(&down, now, micros(detect));
        let spread = &self.addresses[place];
        let (last, given) = (spread.last, spread.given);
        let chosen = match pick {
            Pick::RoundRobin => after(&among, last),
            Pick::Random => {
                let drawn = spread.draws.nth(given);
                among[((u128::from(drawn) * among.len() as u128) >> 64) as usize]
            }
            Pick::LeastConnections => {
                let busy: Vec<usize> = hosts.iter().map(|host| self.connections_to(host.0)).collect();
                let least = among.iter().map(|place| busy[*place]).min().unwrap_or(0);
                let idlest: Vec<usize> = among.iter().copied().filter(|place| busy[*place] == least).collect();
                after(&idlest, last)
            }
        };
        let spread = &mut self.addresses[place];
        (spread.last, spread.given) = (chosen, given + 1);
        Some(hosts[chosen])
    }

    /// Connections to a host that are open or being opened, from wherever.
    fn connections_to(&self, host: u32) -> usize {
        let counts = |conn: &super::Conn| {
            let [client, server] = &conn.ends;
            let live = |state| matches!(state, EndState::Opening | EndState::Open);
            server.host == host && live(client.state) && live(server.state) && !client.broken && !server.broken
        };
        self.conns.iter().filter(|(_, conn)| counts(conn)).count()
    }

    /// A host's program runs from now on, or does not.
    pub(crate) fn program_runs(&mut self, host: u32, runs: bool) {
        let now = self.now_us;
        if let Some(host) = self.hosts.get_mut(host as usize) {
            host.down_since_us = if runs { None } else { host.down_since_us.or(Some(now)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_lost_is_believed_in_until_it_is_detected() {
        let down = [None, Some(1_000), None];
        assert_eq!(believed_in(&down, 1_000, 500), [0, 1, 2]);
        assert_eq!(believed_in(&down, 1_499, 500), [0, 1, 2]);
        assert_eq!(believed_in(&down, 1_500, 500), [0, 2]);
        assert_eq!(believed_in(&down, 1_000, 0), [0, 2], "known at once");
        assert_eq!(believed_in(&[Some(0), Some(0)], 10, 5), [0, 1], "nobody is left: any is as good");
    }

    #[test]
    fn turns_go_round_and_pass_over_those_that_are_out() {
        assert_eq!([2, 0, 1].map(|last| after(&[0, 1, 2], last)), [0, 1, 2]);
        assert_eq!([2, 0].map(|last| after(&[0, 2], last)), [0, 2]);
    }
}
