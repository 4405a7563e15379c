//! What a source is told of its client: where it comes from, and what of its request is passed on.
//!
//! The address that the proxy sees is appended to `X-Forwarded-For` and `Forwarded` (RFC 7239) if the client is itself a proxy that is trusted
//! (`trusted_proxies`); what anybody else claims in these headers is dropped, since anybody can claim anything. Extensions are never passed on: each leg
//! negotiates none.

use std::net::IpAddr;

use ipnet::IpNet;
use wire::ws::http::{HeaderMap, HeaderName, HeaderValue};
use wire::ws::{Ask, Asked};

use crate::config::Config;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Whether a header may stand in `forward_headers`: not one that the proxy writes itself.
pub(crate) fn may_be_forwarded(name: &HeaderName) -> bool {
    ![FORWARDED, FORWARDED_FOR, FORWARDED_PROTO, REAL_IP].contains(name) && !wire::ws::is_of_the_handshake(name)
}

/// What every dial for one client says. Made once, from its handshake; pure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// Path and query in place of the instance's own.
    target: Option<Box<str>>,
    headers: Box<[(HeaderName, HeaderValue)]>,
    /// What the client offers; once a source has chosen, its choice alone.
    subprotocols: Vec<String>,
    /// The client has its answer: every further source must choose the same.
    settled: bool,
}

impl Introduction {
    pub(crate) fn new(config: &Config, peer: IpAddr, asked: &Asked) -> Self {
        let target = (config.forward_path && asked.target.starts_with('/')).then(|| asked.target.as_str().into());
        let own = if config.tls_cert.is_some() { "https" } else { "http" };
        let mut headers = origin(&config.trusted_proxies, peer.to_canonical(), own, asked);
        for name in &config.forward_headers {
            headers.extend(asked.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
        }
        // What is no token (RFC 9110 section 5.6.2) could not be offered to a source.
        let token = |word: &&String| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        let subprotocols: Vec<_> = asked.subprotocols.iter().filter(token).cloned().collect();
        Self { target, headers: headers.into(), settled: subprotocols.is_empty(), subprotocols }
    }

    /// Whether a source must be asked before the client can be answered.
    pub(crate) fn must_negotiate(&self) -> bool {
        !self.settled
    }

    /// A source has chosen, and the client is told.
    pub(super) fn settle(&mut self, subprotocol: Option<String>) {
        self.settled = true;
        self.subprotocols = subprotocol.into_iter().collect();
    }

    /// Whether a source that made this choice can serve the client.
    pub(super) fn suits(&self, subprotocol: Option<&str>) -> bool {
        !self.settled || subprotocol == self.subprotocols.first().map(String::as_str)
    }

    /// The request to an instance.
    pub(super) fn ask(&self, url: &str) -> Ask {
        let url = match &self.target {
            Some(target) => format!("{}{target}", without_path(url)),
            None => url.to_owned(),
        };
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        Ask { url, subprotocols: self.subprotocols.clone(), headers, ..Ask::default() }
    }
}

fn without_path(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    &url[..end]
}

/// The headers that say where the client comes from. `own` is what it speaks with us.
fn origin(trusted: &[IpNet], peer: IpAddr, own: &str, asked: &Asked) -> Vec<(HeaderName, HeaderValue)> {
    let trusts = |addr: &IpAddr| trusted.iter().any(|net| net.contains(addr));
    let claims = |name: HeaderName| {
        let values = asked.headers.get_all(name).iter().filter(|_| trusts(&peer));
        values.filter_map(|value| value.to_str().ok()).map(str::trim).filter(|value| !value.is_empty())
    };
    let chain: Vec<&str> = claims(FORWARDED_FOR).collect();
    let hops = chain.iter().flat_map(|value| value.split(',')).filter_map(|hop| address(hop.trim()));
    let hops: Vec<IpAddr> = hops.chain([peer]).collect();
    // The nearest that no trusted proxy vouches for as one of its own kind.
    let real = hops.iter().rev().find(|hop| !trusts(hop)).unwrap_or(&hops[0]);
    let proto = claims(FORWARDED_PROTO).next().filter(|proto| ["http", "https", "ws", "wss"].contains(proto));
    let proto = proto.unwrap_or(own);

    let node = match peer {
        IpAddr::V4(addr) => addr.to_string(),
        IpAddr::V6(addr) => format!("\"[{addr}]\""),
    };
    let mut element = format!("for={node};proto={proto}");
    if let Some(host) = asked.host.as_deref().filter(|host| !host.is_empty() && !host.contains(['"', '\\'])) {
        element.push_str(&format!(";host=\"{host}\""));
    }
    let joined = |before: Vec<&str>, last: String| {
        before.into_iter().map(str::to_owned).chain([last]).collect::<Vec<_>>().join(", ")
    };
    [
        (FORWARDED_FOR, joined(chain, peer.to_string())),
        (FORWARDED_PROTO, proto.to_owned()),
        (REAL_IP, real.to_string()),
        (FORWARDED, joined(claims(FORWARDED).collect(), element)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)))
    .collect()
}

/// An address as it stands in `X-Forwarded-For`: bare, or with a port as some proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let addr = bare.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|addr| addr.ip()));
    addr.map(|addr: IpAddr| addr.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;

    fn asked(headers: &[(&'static str, &'static str)]) -> Asked {
        Asked {
            target: "/room/7?token=x".into(),
            host: Some("feed.example:8080".into()),
            origin: None,
            subprotocols: vec!["chat".into()],
            headers: headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect(),
        }
    }

    fn introduce(config: &Config, peer: &str, headers: &[(&'static str, &'static str)]) -> Ask {
        Introduction::new(config, peer.parse().unwrap(), &asked(headers)).ask("ws://source:9000/feed?x")
    }

    fn config(adjust: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), Mode::Relay, ["ws://a:1"]);
        config.trusted_proxies = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap()).to_vec();
        adjust(&mut config);
        config
    }

    fn check(peer: &str, headers: &[(&'static str, &'static str)], [forwarded_for, proto, real, forwarded]: [&str; 4]) {
        let ask = introduce(&config(|_| {}), peer, headers);
        let says = |name: &HeaderName| {
            let values: Vec<_> = ask.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(values.len(), 1, "{name}");
            values[0].to_owned()
        };
        assert_eq!(says(&FORWARDED_FOR), forwarded_for);
        assert_eq!(says(&FORWARDED_PROTO), proto);
        assert_eq!(says(&REAL_IP), real);
        assert_eq!(says(&FORWARDED), format!("{forwarded};host=\"feed.example:8080\""));
    }

    #[test]
    fn a_client_that_speaks_tls_with_us_comes_by_https() {
        let secure = config(|config| config.tls_cert = Some("cert.pem".into()));
        let ask = introduce(&secure, "192.0.2.7", &[]);
        assert_eq!(ask.headers[FORWARDED_PROTO], "https");
    }

    #[test]
    fn what_an_untrusted_client_claims_is_dropped() {
        let claims = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1"),
        ];
        check("192.0.2.7", &claims, ["192.0.2.7", "http", "192.0.2.7", "for=192.0.2.7;proto=http"]);
        check("2001:db9::1", &[], ["2001:db9::1", "http", "2001:db9::1", "for=\"[2001:db9::1]\";proto=http"]);
    }

    #[test]
    fn a_trusted_proxys_word_is_kept_and_its_address_appended() {
        let claims =
            [("x-forwarded-for", "6.6.6.6, 192.0.2.7"), ("x-forwarded-proto", "https"), ("forwarded", "for=x")];
        let expect = ["6.6.6.6, 192.0.2.7, 10.0.0.1", "https", "192.0.2.7", "for=x, for=10.0.0.1;proto=https"];
        check("10.0.0.1", &claims, expect);
        // The address as a socket with two stacks shows it.
        check("::ffff:10.0.0.1", &claims, expect);
        let expect = ["192.0.2.7, 10.0.0.2, 10.0.0.1", "http", "192.0.2.7", "for=10.0.0.1;proto=http"];
        check("10.0.0.1", &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "10.0.0.2")], expect);
        let expect = ["10.0.0.3, 10.0.0.1", "http", "10.0.0.3", "for=10.0.0.1;proto=http"];
        check("10.0.0.1", &[("x-forwarded-for", "10.0.0.3")], expect);
        let expect = ["unknown, 192.0.2.7:5000, 10.0.0.1", "http", "192.0.2.7", "for=10.0.0.1;proto=http"];
        check("10.0.0.1", &[("x-forwarded-for", "unknown, 192.0.2.7:5000"), ("x-forwarded-proto", "gopher")], expect);
        check("10.0.0.1", &[], ["10.0.0.1", "http", "10.0.0.1", "for=10.0.0.1;proto=http"]);
    }

    #[test]
    fn the_first_source_chooses_the_subprotocol_for_all_that_follow() {
        let mut asked = asked(&[]);
        asked.subprotocols = ["a", "no token", "b"].map(str::to_owned).to_vec();
        let mut introduction = Introduction::new(&config(|_| {}), [192, 0, 2, 7].into(), &asked);
        assert!(introduction.must_negotiate() && introduction.suits(None) && introduction.suits(Some("b")));
        assert_eq!(introduction.ask("ws://x").subprotocols, ["a", "b"]);
        introduction.settle(Some("b".into()));
        assert_eq!(introduction.ask("ws://x").subprotocols, ["b"]);
        assert!(introduction.suits(Some("b")) && !introduction.suits(None) && !introduction.must_negotiate());
        introduction.settle(None);
        assert!(introduction.ask("ws://x").subprotocols.is_empty());
        assert!(introduction.suits(None) && !introduction.suits(Some("b")));
    }

    #[test]
    fn path_and_headers_are_passed_on_where_configured() {
        let sent =
            [("authorization", "Bearer t"), ("cookie", "a=1"), ("sec-websocket-extensions", "permessage-deflate")];
        let ask = introduce(&config(|_| {}), "192.0.2.7", &sent);
        assert_eq!(ask.url, "ws://source:9000/feed?x");
        assert_eq!(ask.headers.len(), 4);
        let forwarding = config(|config| {
            config.forward_path = true;
            config.forward_headers = vec![HeaderName::from_static("authorization")];
        });
        let ask = introduce(&forwarding, "192.0.2.7", &sent);
        assert_eq!(ask.url, "ws://source:9000/room/7?token=x");
        assert_eq!(ask.headers["authorization"], "Bearer t");
        assert!(!ask.headers.contains_key("cookie") && !ask.headers.contains_key("sec-websocket-extensions"));
        assert_eq!(ask.subprotocols, ["chat"]);
        for url in ["ws://source:9000", "ws://source:9000?q"] {
            assert_eq!(without_path(url), "ws://source:9000");
        }
    }
}
