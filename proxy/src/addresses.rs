//! How many connections each client address holds.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// Open connections by the address that they come from. Pure.
///
/// An IPv6 subscriber commands at least a /64 (RFC 6177), so all of it counts as one address; an IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) counts as
/// what it is. An address whose last connection ends is forgotten: the table is never longer than the list of open connections. It is a tree, not a
/// hash map: strangers choose the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    held: BTreeMap<IpAddr, u64>,
}

impl Addresses {
    /// Open connections from `ip` and whatever counts as the same.
    pub(crate) fn held(&self, ip: IpAddr) -> u64 {
        self.held.get(&counted_as(ip)).copied().unwrap_or(0)
    }

    /// One more connection from `ip`.
    pub(crate) fn joined(&mut self, ip: IpAddr) {
        *self.held.entry(counted_as(ip)).or_insert(0) += 1;
    }

    /// One connection from `ip` ended.
    pub(crate) fn left(&mut self, ip: IpAddr) {
        let ip = counted_as(ip);
        match self.held.get_mut(&ip) {
            Some(1) => {
                self.held.remove(&ip);
            }
            Some(held) => *held -= 1,
            None => debug_assert!(false, "{ip} left more often than it joined"),
        }
    }
}

/// The address that stands for `ip` in the table.
fn counted_as(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
    }
}

/// A connection's entry in the table, until it is dropped.
#[derive(Debug)]
pub(crate) struct AddressHeld {
    addresses: Arc<Mutex<Addresses>>,
    ip: IpAddr,
}

impl AddressHeld {
    pub(crate) fn new(addresses: &Arc<Mutex<Addresses>>, ip: IpAddr) -> Self {
        lock(addresses).joined(ip);
        Self { addresses: Arc::clone(addresses), ip }
    }
}

impl Drop for AddressHeld {
    fn drop(&mut self) {
        lock(&self.addresses).left(self.ip);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_address_and_an_ipv4_one_for_itself() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            let mut addresses = Addresses::default();
            addresses.joined(one.parse().unwrap());
            assert_eq!(addresses.held(other.parse().unwrap()) == 1, same, "{one} {other}");
        }
    }

    /// A few addresses of which some count as the same.
    fn any_ip() -> impl Strategy<Value = IpAddr> {
        (0..3_u8, 0..3_u8, any::<bool>()).prop_map(|(net, host, v4)| {
            if v4 {
                IpAddr::from([192, 0, net, host])
            } else {
                IpAddr::from([0x2001, 0xdb8, 0, u16::from(net), 0, 0, 0, u16::from(host)])
            }
        })
    }

    /// The model: which addresses count as the same, in words.
    fn alike(a: IpAddr, b: IpAddr) -> bool {
        match (a, b) {
            (IpAddr::V4(a), IpAddr::V4(b)) => a == b,
            (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
            _ => false,
        }
    }

    proptest! {
        /// Against a plain list of the open connections.
        #[test]
        fn the_table_agrees_with_a_list_of_connections(steps in prop::collection::vec((any_ip(), any::<bool>()), 0..200)) {
            let mut addresses = Addresses::default();
            let mut open: Vec<IpAddr> = Vec::new();
            for (ip, joins) in steps {
                if joins || open.is_empty() {
                    addresses.joined(ip);
                    open.push(ip);
                } else {
                    let gone = open.remove(usize::from(ip.is_ipv4()) * (open.len() - 1));
                    addresses.left(gone);
                }
                let expect = open.iter().filter(|other| alike(**other, ip)).count() as u64;
                prop_assert_eq!(addresses.held(ip), expect);
                prop_assert!(addresses.held.len() <= open.len(), "{} entries for {}", addresses.held.len(), open.len());
            }
            for ip in open {
                addresses.left(ip);
            }
            prop_assert_eq!(addresses, Addresses::default());
        }
    }
}
