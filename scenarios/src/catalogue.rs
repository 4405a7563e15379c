//! The built-in scenarios: what every change must get through.

use crate::parse::distance::nearest;
use crate::parse::{Problem, Variant, parse_all};

/// One built-in scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, also its file's.
    pub name: &'static str,
    /// The file, see [`crate::parse`].
    pub text: &'static str,
}

impl Entry {
    /// Its scenarios: one, or those of its matrix.
    ///
    /// # Errors
    /// What is wrong with the file; a test sees to it that nothing is.
    pub fn scenarios(&self) -> Result<Vec<Variant>, Vec<Problem>> {
        parse_all(&self.file(), self.text, &part)
    }

    /// The file's name for messages.
    #[must_use]
    pub fn file(&self) -> String {
        format!("catalogue/{}.toml", self.name)
    }
}

/// What built-in scenarios include, by its place beside them.
static PARTS: &[(&str, &str)] = &[("parts/two-tier.toml", include_str!("../catalogue/parts/two-tier.toml"))];

/// The text of a part of the catalogue, by its path as [`Entry::file`] makes it: `catalogue/parts/NAME.toml`.
///
/// # Errors
/// There is none; what there is instead.
pub fn part(path: &str) -> Result<String, String> {
    let name = path.strip_prefix("catalogue/");
    let found = PARTS.iter().find(|(part, _)| Some(*part) == name);
    found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "the catalogue has no such part".to_owned())
}

/// No built-in scenario bears this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no scenario \"{name}\" in the catalogue{}", .suggestion.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default())]
pub struct Unknown {
    /// What was asked for.
    pub name: String,
    /// The nearest name that exists, if one is near.
    pub suggestion: Option<&'static str>,
}

macro_rules! entries {
    ($($name:literal),* $(,)?) => {
        &[$(Entry { name: $name, text: include_str!(concat!("../catalogue/", $name, ".toml")) }),*]
    };
}

/// All, the plainest first: the order in which they run and are listed.
static ALL: &[Entry] = entries![
    "steady-fanout",
    "upstream-crash-mid-fanout",
    "upstream-silent-stall",
    "hot-sources-crash",
    "connection-flood",
    "slow-consumers",
    "slow-consumers-conflated",
    "slow-consumers-disconnected",
    "hot-symbol",
    "come-and-go",
    "everyone-leaves",
    "resume-elsewhere",
    "v2-denials",
    "v2-hot-denials",
    "v2-resubscribing",
    "sharded-sources-crash",
    "relay-balance",
    "relay-mute-instances",
    "relay-full",
    "relay-scale-out",
    "relay-dial-storm",
    "relay-panic",
    "relay-closed-desks",
    "relay-goes-on",
    "fleet-outage",
    "sharded-scale-out",
    "source-reset-mid-stream",
    "half-open-source",
    "names-do-not-resolve",
    "trickling-sources",
    "lossy-mobile-clients",
    "thin-pipe",
    "slow-proxy-host",
    "descriptors-run-out",
    "wrong-clocks",
    "next-source-crashes-too",
    "crash-after-snapshot",
    "hot-twins",
    "rolling-restart",
    "drain-in-mid-burst",
    "reload-in-mid-burst",
    "reconnect-storm-after-restart",
    "thundering-subscription",
    "waves-of-arrivals",
    "resubscribing-in-a-loop",
    "clients-that-never-pong",
    "malformed-frames",
    "oversized-messages",
    "wrong-keys",
    "origin-refused",
    "slow-handshakes",
    "asks-too-often",
    "relay-close-codes",
    "garbage-from-a-source",
    "nothing-but-garbage",
    "two-tier-steady",
    "two-tier-middle-lost",
    "one-way-partition-of-a-source",
    "one-way-partition-of-clients",
    "over-the-sea",
    "source-loses-power",
    "flapping-source",
    "key-limit",
    "hot-sources-skewed",
    "lagging-replica",
    "hour-long-soak",
    "scrolling-on-a-bad-line",
    "evicted-in-a-failover",
    "relay-short-of-room",
    "relay-key-limit",
    "sharded-seldom-ticks",
    "resume-after-a-tunnel",
    "hot-late-twin-dies",
    "large-messages",
    "fragmented-messages",
    "oversized-from-a-source",
    "relay-conversations",
];

/// The whole catalogue, in the order in which it runs.
#[must_use]
pub fn all() -> &'static [Entry] {
    ALL
}

/// The scenario of that name.
///
/// # Errors
/// [`Unknown`], with the nearest name.
pub fn find(name: &str) -> Result<&'static Entry, Unknown> {
    ALL.iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| Unknown { name: name.to_owned(), suggestion: nearest(name, ALL.iter().map(|entry| entry.name)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn every_built_in_scenario_is_without_a_problem() {
        for entry in all() {
            if let Err(problems) = entry.scenarios() {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                panic!("{}", lines.join("\n"));
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_catalogue() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/catalogue");
        let names = |folder: &str| -> Vec<String> {
            let files = std::fs::read_dir(folder).into_iter().flatten();
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut files = names(folder);
        files.retain(|file| file != "parts");
        files.extend(names(&format!("{folder}/parts")).iter().map(|part| format!("parts/{part}")));
        let mut known: Vec<String> = all().iter().map(|entry| format!("{}.toml", entry.name)).collect();
        known.extend(PARTS.iter().map(|(part, _)| (*part).to_owned()));
        files.sort();
        known.sort();
        assert_eq!(files, known);
    }

    #[test]
    fn what_is_written_out_reads_back_the_same() {
        for entry in all() {
            for Variant { scenario, .. } in entry.scenarios().unwrap() {
                let written = scenario.to_toml().unwrap();
                let again = parse(&entry.file(), &written).unwrap_or_else(|problems| panic!("{problems:?}\n{written}"));
                assert_eq!(again, scenario, "{written}");
            }
        }
    }

    #[test]
    fn no_built_in_scenario_is_costly() {
        for entry in all() {
            for Variant { scenario, .. } in entry.scenarios().unwrap() {
                let deliveries = crate::parse::deliveries(&scenario);
                assert!(deliveries <= 300_000.0, "{} plans {deliveries} deliveries", scenario.name);
            }
        }
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        assert_eq!(find("steady-fanout").unwrap().name, "steady-fanout");
        assert_eq!(
            find("slow-consumer").unwrap_err().to_string(),
            "no scenario \"slow-consumer\" in the catalogue; did you mean \"slow-consumers\"?"
        );
        assert_eq!(find("zzz").unwrap_err().to_string(), "no scenario \"zzz\" in the catalogue");
    }
}
