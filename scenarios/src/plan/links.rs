//! Which links are not like the others.

use std::collections::BTreeMap;

use super::Names;
use crate::model::{Latency, Network};

/// A link, both ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// One way.
    pub latency: Latency,
    /// Bits per second and direction.
    pub bandwidth: Option<u64>,
    /// Share of segments lost.
    pub loss: f64,
}

impl Shape {
    /// What holds where nothing else is said.
    pub(crate) fn of(network: &Network) -> Self {
        Self { latency: network.latency, bandwidth: network.bandwidth, loss: network.loss }
    }
}

/// Every link that something is said of, by the names of its ends in their order, each once.
pub(super) fn links(network: &Network, names: &Names) -> BTreeMap<(String, String), Shape> {
    let mut links = BTreeMap::new();
    for link in &network.links {
        for pair in pairs(names, &link.between.0, &link.between.1) {
            let shape = links.entry(pair).or_insert_with(|| Shape::of(network));
            shape.latency = link.latency.unwrap_or(shape.latency);
            shape.bandwidth = link.bandwidth.or(shape.bandwidth);
            shape.loss = link.loss.unwrap_or(shape.loss);
        }
    }
    links
}

/// The pairs of hosts between which something travels, each with the lesser name first.
pub(crate) fn pairs(names: &Names, one: &str, other: &str) -> Vec<(String, String)> {
    let (some, others) = (names.hosts(one), names.hosts(other));
    let each = some.iter().flat_map(|a| others.iter().map(move |b| (a, b)));
    let joined = each.filter(|(a, b)| names.joined(a, b));
    joined.map(|(a, b)| if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;
    use crate::span::Span;

    #[test]
    fn a_later_link_lies_over_an_earlier_one_key_by_key() {
        let text = "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = { count = 2 }\n\
            proxy = { mode = \"fanout\", count = 2 }\ncheck = { symbol-order = {} }\nnetwork.loss = 0.25\n\
            [[clients]]\nname = \"mobile\"\ncount = 10\nhosts = 2\n[[clients]]\nname = \"desk\"\ncount = 10\n\
            [[network.links]]\nbetween = [\"clients\", \"proxy-*\"]\nlatency = { fixed = \"20ms\" }\nloss = 0.0\n\
            [[network.links]]\nbetween = [\"proxy-1\", \"mobile\"]\nlatency = { fixed = \"80ms\" }\nbandwidth = 5000\n";
        let plan = Plan::new(&crate::parse::parse("x.toml", text).unwrap(), 1);
        let shape = |ms, bandwidth, loss| Shape { latency: Latency::Fixed(Span::from_millis(ms)), bandwidth, loss };
        let expect = [
            ("desk-0", "proxy-0", shape(20, None, 0.0)),
            ("desk-0", "proxy-1", shape(20, None, 0.0)),
            ("mobile-0", "proxy-0", shape(20, None, 0.0)),
            ("mobile-0", "proxy-1", shape(80, Some(5000), 0.0)),
            ("mobile-1", "proxy-0", shape(20, None, 0.0)),
            ("mobile-1", "proxy-1", shape(80, Some(5000), 0.0)),
        ];
        let links: Vec<_> = plan.links.iter().map(|((a, b), shape)| (a.as_str(), b.as_str(), *shape)).collect();
        assert_eq!(links, expect);
    }
}
