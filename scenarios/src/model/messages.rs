//! How large the messages of sources are, and in how many frames they come.

use serde::{Deserialize, Serialize};
use wire::id::Symbol;

/// Filler in ticks: a function of (seed, symbol, n), of which clients check every byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Padding {
    /// Bytes of filler in each tick; where there is a smallest size, the largest.
    pub bytes: u32,
    /// The smallest size, each from here to the largest as likely as the others. None: all have the same.
    #[serde(default)]
    pub bytes_min: Option<u32>,
    /// The symbols whose ticks carry it, `S0003`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<String>,
}

/// Messages in several frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fragments {
    /// Payload bytes of a frame at most.
    pub bytes: u32,
    /// Whether a ping stands between each two frames of a message. Default false.
    #[serde(default)]
    pub pings: bool,
}

impl super::Sources {
    /// Writes what was said of messages into a source's configuration.
    pub(crate) fn apply_messages(&self, config: &mut mock_upstream::Config) {
        if let Some(padding) = &self.padding {
            let least = padding.bytes_min.unwrap_or(padding.bytes);
            // Sizes in the wrong order were refused before.
            config.padding = wire::tick::Padding::between(least, padding.bytes).unwrap_or_default();
            config.padded = padding.symbols.iter().filter_map(|name| Symbol::new(name).ok()).collect();
        }
        config.fragments =
            self.fragments.map(|Fragments { bytes, pings }| wire::ws::Fragments { bytes: bytes as _, pings });
    }

    /// The most bytes that a tick can have.
    pub(crate) fn tick_bytes_max(&self) -> usize {
        /// Of a tick without filler, in any form.
        const PLAIN: usize = 256;
        PLAIN + self.padding.as_ref().map_or(0, |padding| padding.bytes as usize)
    }
}
