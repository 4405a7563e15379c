//! The second pass: values held against one another.

mod faults;
mod life;
pub(super) mod load;
mod messages;
mod rates;
pub(super) mod reach;
mod samples;
mod triggers;

use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::Problems;
use super::distance::did_you_mean;
use super::place::{self, Step};
use crate::model::{Engine, Latency, Scenario};
use crate::plan::{Names, Plan, SOURCE_ACTIVE, pairs};

/// Tables of one kind at most: a file beyond is made by a program that has gone wrong.
const ITEMS_MAX: usize = 200;

/// A scenario on its way through the rules, with the tree that says where each value stands.
pub(super) struct Rules<'a> {
    pub(super) scenario: &'a Scenario,
    tree: &'a Spanned<DeTable<'a>>,
    problems: &'a mut Problems,
    /// No value is out of its range.
    values_right: bool,
}

impl Rules<'_> {
    /// Where the value at `path` stands.
    fn span(&self, path: &[Step<'_>]) -> Range<usize> {
        place::span(self.tree, path)
    }

    /// Whether some key was not understood.
    pub(super) fn has_unknown_keys(&self) -> bool {
        self.problems.found.iter().any(|found| found.unknown_key)
    }

    /// The value at `path` is wrong.
    pub(super) fn wrong(&mut self, path: &[Step<'_>], message: impl Into<String>) {
        let span = self.span(path);
        self.problems.at(span, message.into());
    }

    /// The value at `path` is wrong, and this would do.
    pub(super) fn wrong_but(&mut self, path: &[Step<'_>], message: impl Into<String>, hint: impl Into<String>) {
        let span = self.span(path);
        self.problems.hinted(span, message.into(), Some(hint.into()));
    }

    /// The value at `path` is wrong, and one of these may have been meant.
    fn wrong_word<'w>(
        &mut self,
        path: &[Step<'_>],
        message: String,
        given: &str,
        known: impl IntoIterator<Item = &'w str>,
    ) {
        let span = self.span(path);
        self.problems.hinted(span, message, did_you_mean(given, known));
    }
}

/// Holds a scenario of right shape against the rules that bind its parts together.
///
/// Unless all `values_right`, what follows from many values at once is not judged: it would blame them for the one that is out of range.
pub(super) fn check(
    file: &str,
    scenario: &Scenario,
    tree: &Spanned<DeTable<'_>>,
    values_right: bool,
    problems: &mut Problems,
) {
    let mut rules = Rules { scenario, tree, problems, values_right };
    names(file, &mut rules);
    network(&mut rules);
    for (key, count) in [
        ("clients", scenario.clients.len()),
        ("faults", scenario.faults.len()),
        ("reach", scenario.reach.len()),
        ("network.links", scenario.network.links.len()),
    ] {
        if count > ITEMS_MAX {
            let path: Vec<Step<'_>> = key.split('.').map(Step::from).chain([ITEMS_MAX.into()]).collect();
            rules.wrong(&path, format!("{key} has {count} entries, {ITEMS_MAX} at most"));
            // The rules below may compare each with each.
            return;
        }
    }
    load::check(&mut rules);
    messages::check(&mut rules);
    if values_right {
        load::amount(&mut rules);
        samples::check(&mut rules);
    }
    faults::check(&mut rules);
    life::check(&mut rules);
    super::objectives::check(&mut rules);
    reach::check(&mut rules);
    if values_right {
        engines(&mut rules);
    }
}

fn names(file: &str, rules: &mut Rules<'_>) {
    // What was written out of a matrix bears its values.
    let name = rules.scenario.name.as_str();
    let (base, values) = name.split_once('+').map_or((name, None), |(base, values)| (base, Some(values)));
    let is_safe = |values: &str| values.split('+').all(|word| !word.is_empty() && word.bytes().all(is_safe));
    if !is_kebab(base) || !values.is_none_or(is_safe) {
        rules.wrong_but(&["name".into()], format!("name \"{name}\" is not in kebab-case"), kebab_hint(name));
    } else if let Some(stem) = stem(file)
        && stem != name
        && stem != base
    {
        let hint = format!("rename the file to {name}.toml or write name = \"{stem}\"");
        rules.wrong_but(&["name".into()], format!("name \"{name}\" differs from the file's, \"{stem}\""), hint);
    }
    if rules.scenario.about.trim().is_empty() {
        rules.wrong(&["about".into()], "about is empty: say why this scenario matters");
    }
    for (index, tag) in rules.scenario.tags.iter().enumerate() {
        if !is_kebab(tag) {
            rules.wrong_but(
                &["tags".into(), index.into()],
                format!("tag \"{tag}\" is not in kebab-case"),
                kebab_hint(tag),
            );
        }
    }
}

/// The file's name without folders and `.toml`; none if it has no such ending.
fn stem(file: &str) -> Option<&str> {
    file.rsplit(['/', '\\']).next().and_then(|name| name.strip_suffix(".toml"))
}

/// What a value's word in a scenario's name is made of: it stands in names of folders.
fn is_safe(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
}

/// Lower-case letters and digits in words joined by single hyphens, a letter first.
fn is_kebab(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
}

/// The same in kebab-case, if that can be.
fn kebab_hint(text: &str) -> String {
    let spaced: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    let kebab = spaced.split_whitespace().collect::<Vec<_>>().join("-");
    if is_kebab(&kebab) {
        format!("did you mean \"{kebab}\"?")
    } else {
        "lower-case words of letters and digits, joined by hyphens, a letter first".to_owned()
    }
}

fn network(rules: &mut Rules<'_>) {
    latency(rules, rules.scenario.network.latency, "network.latency", &["network".into(), "latency".into()]);
    loss(rules, rules.scenario.network.loss, "network.loss", &["network".into(), "loss".into()]);
    if rules.scenario.network.links.len() <= ITEMS_MAX {
        links(rules);
    }
}

fn loss(rules: &mut Rules<'_>, loss: f64, name: &str, path: &[Step<'_>]) {
    if loss >= 1.0 {
        let message = format!("{name} of 1 never delivers anything");
        rules.wrong_but(path, message, "for an outage, use a fault of kind \"stall\"");
    }
}

/// Links join hosts that are there and speak with each other, and change something.
fn links(rules: &mut Rules<'_>) {
    let names = Names::new(rules.scenario);
    for (index, link) in rules.scenario.network.links.iter().enumerate() {
        let at = |key: &'static str| ["network".into(), "links".into(), index.into(), key.into()];
        let name = |key: &str| format!("network.links[{index}].{key}");
        if let Some(given) = link.latency {
            latency(rules, given, &name("latency"), &at("latency"));
        }
        loss(rules, link.loss.unwrap_or(0.0), &name("loss"), &at("loss"));
        let ends = [&link.between.0, &link.between.1];
        let mut there = true;
        for (end, given) in ends.into_iter().enumerate() {
            let path = ["network".into(), "links".into(), index.into(), "between".into(), end.into()];
            if given == SOURCE_ACTIVE {
                there = false;
                let hint = "name it, or all of them: \"source-*\"";
                rules.wrong_but(&path, "which source is active changes, and a link does not", hint);
            } else if names.hosts(given).is_empty() {
                there = false;
                let message = format!("\"{given}\" is not there: {}", faults::there(rules.scenario));
                rules.wrong_word(&path, message, given, names.known().filter(|name| *name != SOURCE_ACTIVE));
            }
        }
        if there && pairs(&names, ends[0], ends[1]).is_empty() {
            let message = format!("nothing travels between \"{}\" and \"{}\"", ends[0], ends[1]);
            let hint = "a link joins a proxy and a source, or clients and a proxy (or an edge)";
            rules.wrong_but(&at("between"), message, hint);
        }
        if link.latency.is_none() && link.bandwidth.is_none() && link.loss.is_none() {
            let path = ["network".into(), "links".into(), index.into()];
            rules.wrong_but(
                &path,
                "the link changes nothing",
                "write latency = { fixed = \"50ms\" }, bandwidth or loss",
            );
        }
    }
}

/// Whether a latency is one; `name` is its key as messages have it.
fn latency<'p>(rules: &mut Rules<'_>, latency: Latency, name: &str, path: &[Step<'p>]) {
    let within = |keys: &[&'static str]| -> Vec<Step<'p>> {
        path.iter().copied().chain(keys.iter().map(|key| Step::from(*key))).collect()
    };
    match latency {
        Latency::Uniform(low, high) if low > high => {
            let message = format!("{name}.uniform begins at {low} and ends before it, at {high}");
            rules.wrong_but(&within(&["uniform"]), message, format!("did you mean [\"{high}\", \"{low}\"]?"));
        }
        Latency::LogNormal { tail, .. } if tail <= 1.0 => {
            let message = format!("{name}.log-normal.tail is p99 / median and must be above 1, not {tail}");
            rules.wrong(&within(&["log-normal", "tail"]), message);
        }
        _ => {}
    }
}

fn engines(rules: &mut Rules<'_>) {
    let plan = Plan::new(rules.scenario, 0);
    for (index, engine) in rules.scenario.engines.iter().enumerate() {
        let path = ["engines".into(), index.into()];
        if rules.scenario.engines[..index].contains(engine) {
            rules.wrong(&path, format!("engine \"{}\" is named twice", word(*engine)));
        } else if let Err(lack) = plan.expressible(*engine) {
            rules.wrong_but(&path, lack, format!("take \"{}\" out of engines", word(*engine)));
        }
    }
}

fn word(engine: Engine) -> &'static str {
    match engine {
        Engine::Sim => "sim",
        Engine::Turmoil => "turmoil",
        Engine::Sockets => "sockets",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kebab_case_is_what_it_is() {
        for good in ["a", "steady-fanout", "v1-feed2"] {
            assert!(is_kebab(good), "{good}");
        }
        for bad in ["", "-", "a-", "-a", "a--b", "A", "a_b", "1a", "é"] {
            assert!(!is_kebab(bad), "{bad}");
        }
        assert_eq!(kebab_hint("Steady Fan_out"), "did you mean \"steady-fan-out\"?");
        assert_eq!(kebab_hint("1"), "lower-case words of letters and digits, joined by hyphens, a letter first");
    }

    #[test]
    fn a_stem_is_the_name_without_folders_and_ending() {
        assert_eq!(stem("catalogue/x.toml"), Some("x"));
        assert_eq!(stem("x.toml"), Some("x"));
        assert_eq!(stem("<stdin>"), None);
    }
}
