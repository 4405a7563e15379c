//! One instance of the source, as text names it: a URL, or a table with a URL and what differs from the defaults.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The greatest weight of an instance.
pub const WEIGHT_MAX: u16 = 1000;

const WEIGHT: u16 = 100;

/// One instance of the source. Its place in the list is its `SourceId` when the proxy starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `ws://host:port/path`.
    pub url: String,
    /// Its share of the connections against the other instances' weights, `1..=`[`WEIGHT_MAX`]. Default 100.
    pub weight: u16,
}

impl Upstream {
    /// The instance at this URL, with every default.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), weight: WEIGHT }
    }

    /// The URL without what may be a secret: user, password and query. What stands in pages and metrics.
    pub(crate) fn shown(&self) -> String {
        let Ok(mut url) = url::Url::parse(&self.url) else { return "?".to_owned() };
        if url.username().is_empty() && url.password().is_none() && url.query().is_none() {
            return self.url.clone();
        }
        let masked = url.query().is_some().then_some("***");
        url.set_query(masked);
        // Both fail only for URLs without a host, which are refused before they come here.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        url.to_string()
    }
}

impl<'de> Deserialize<'de> for Upstream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text)
    }
}

struct Text;

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Url,
    Weight,
}

impl<'de> Visitor<'de> for Text {
    type Value = Upstream;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL, or a table such as { url = \"ws://host:port\", weight = 50 }")
    }

    fn visit_str<E: Error>(self, url: &str) -> Result<Upstream, E> {
        Ok(Upstream::new(url))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Upstream, A::Error> {
        let mut upstream = Upstream::new("");
        while let Some(key) = map.next_key()? {
            match key {
                Key::Url => upstream.url = map.next_value()?,
                Key::Weight => upstream.weight = map.next_value()?,
            }
        }
        if upstream.url.is_empty() { Err(A::Error::missing_field("url")) } else { Ok(upstream) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::*;
    use crate::config::{Config, Mode};

    fn read(upstreams: &str) -> Result<Vec<Upstream>, String> {
        let text = format!("upstreams = {upstreams}\n");
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), Mode::Relay, Vec::<String>::new());
        File::parse("proxy.toml", &text).map_err(|error| error.to_string())?.apply(&mut config);
        config.check().map_err(|error| error.to_string())?;
        Ok(config.upstreams)
    }

    #[test]
    fn an_instance_is_a_url_or_a_table() {
        let weighty = Upstream { weight: 250, ..Upstream::new("ws://b:1") };
        assert_eq!(
            read(r#"["ws://a:1", { url = "ws://b:1", weight = 250 }, { url = "ws://c:1" }]"#).unwrap(),
            [Upstream::new("ws://a:1"), weighty, Upstream::new("ws://c:1")]
        );
    }

    #[test]
    fn mistakes_in_an_instance_are_named() {
        for (text, words) in [
            (r#"[{ url = "ws://a:1", wieght = 2 }]"#, "proxy.toml:1:34: unknown field `wieght`"),
            (r#"[{ url = "ws://a:1", wieght = 2 }]"#, "did you mean `weight`?"),
            (r#"[{ weight = 2 }]"#, "missing field `url`"),
            (r#"[7]"#, "expected a URL, or a table such as"),
            (r#"[{ url = "ws://a:1", weight = 0 }]"#, "weight 0 is not in 1..=1000"),
            (r#"[{ url = "ws://a:1", weight = 1001 }]"#, "weight 1001 is not in 1..=1000"),
            (r#"[{ url = "ws://a:1", weight = -1 }]"#, "proxy.toml:1:"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_may_be_a_secret_in_a_url_is_not_shown() {
        for (url, shown) in [
            ("ws://feed:9000/a", "ws://feed:9000/a"),
            ("ws://feed:9000/a?api_key=s3cret", "ws://feed:9000/a?***"),
            ("ws://user:s3cret@feed/", "ws://feed/"),
            ("ws://s3cret@feed/a?x", "ws://feed/a?***"),
        ] {
            assert_eq!(Upstream::new(url).shown(), shown);
        }
    }
}
