//! Local ports: how many a run needs, and whether there are so many. Pure.

use std::net::IpAddr;

/// What a run needs ports for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need<'a> {
    /// Connections at once.
    pub(crate) clients: u64,
    /// Different targets (host and port).
    pub(crate) targets: u64,
    /// Addresses to connect from; none: one of the host's choice.
    pub(crate) sources: &'a [IpAddr],
    /// The first and the last port that the kernel gives out by itself (`net.ipv4.ip_local_port_range`).
    pub(crate) range: (u16, u16),
}

impl Need<'_> {
    /// A port is taken for a pair of source address and target: each pair has all of the range.
    ///
    /// # Errors
    /// What is missing, and what mends it.
    pub(crate) fn check(self) -> Result<(), String> {
        let Self { clients, targets, sources, range: (first, last) } = self;
        let each = u64::from(last.saturating_sub(first)) + 1;
        let (sources, targets) = (sources.len().max(1) as u64, targets.max(1));
        let there = each * sources * targets;
        if clients <= there {
            return Ok(());
        }
        let wanted = clients.div_ceil(each * targets);
        let many = |count: u64, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
        let address = if sources == 1 { "1 source address".to_owned() } else { format!("{sources} source addresses") };
        // On loopback any address of 127.0.0.0/8 is there.
        let example =
            if wanted <= 250 { format!(" (on loopback: 127.0.0.2..127.0.0.{})", wanted + 1) } else { String::new() };
        Err(format!(
            "{clients} clients need {clients} local ports, and {address} to {} have {there} ({first}..{last} each): {} are missing; \
             give --source-address {wanted} addresses{example}, or widen net.ipv4.ip_local_port_range",
            many(targets, "target"),
            clients - there,
        ))
    }
}

/// The range as `/proc/sys/net/ipv4/ip_local_port_range` says it: two numbers.
pub(crate) fn range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first <= last => Some((first, last)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_rising_numbers() {
        assert_eq!(range("32768\t60999\n"), Some((32_768, 60_999)));
        for text in ["", "32768", "60999 32768", "a b", "1 99999"] {
            assert_eq!(range(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_said_exactly_with_the_flag_that_mends_it() {
        let loopback: Vec<IpAddr> = (2..5).map(|last| IpAddr::from([127, 0, 0, last])).collect();
        let check = |clients, targets, sources: usize, expect: Option<&str>| {
            let need = Need { clients, targets, sources: &loopback[..sources], range: (40_000, 40_099) };
            assert_eq!(need.check().err().as_deref(), expect);
        };
        check(100, 1, 0, None);
        check(600, 2, 3, None);
        check(
            250,
            1,
            0,
            Some(
                "250 clients need 250 local ports, and 1 source address to 1 target have 100 (40000..40099 each): 150 are missing; \
                 give --source-address 3 addresses (on loopback: 127.0.0.2..127.0.0.4), or widen net.ipv4.ip_local_port_range",
            ),
        );
        check(
            601,
            2,
            3,
            Some(
                "601 clients need 601 local ports, and 3 source addresses to 2 targets have 600 (40000..40099 each): 1 are missing; \
                 give --source-address 4 addresses (on loopback: 127.0.0.2..127.0.0.5), or widen net.ipv4.ip_local_port_range",
            ),
        );
    }
}
