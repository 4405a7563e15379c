//! A strict reader of Prometheus's text format 0.0.4, written from its specification: it takes what the format allows and nothing else.
//!
//! Beyond the format it holds the page to the conventions: a family is headed by HELP and TYPE, counters end in `_total`, units are base units.

use std::collections::{BTreeMap, BTreeSet};

/// Names and values, in their order.
type Labels = Vec<(String, String)>;

/// A family of samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    /// Value by (suffix, labels).
    pub(crate) samples: BTreeMap<(String, Labels), f64>,
}

/// Reads a page; the error names the line.
pub(crate) fn parse(page: &str) -> Result<BTreeMap<String, Family>, String> {
    if !page.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    let mut families = BTreeMap::new();
    let mut helped: Option<String> = None;
    let mut current: Option<String> = None;
    for (number, line) in (1..).zip(page.lines()) {
        let fail = |what: &str| Err(format!("line {number}: {what}: {line:?}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let Some((name, help)) = rest.split_once(' ') else { return fail("HELP without a text") };
            if !is_name(name, true) || help.is_empty() || unescape(help, false).is_none() {
                return fail("bad HELP");
            }
            if helped.is_some() || families.contains_key(name) {
                return fail("a second HELP");
            }
            (helped, current) = (Some(name.to_owned()), None);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { return fail("TYPE without a kind") };
            if helped.take().as_deref() != Some(name) {
                return fail("TYPE does not follow its HELP");
            }
            if !["gauge", "counter", "histogram"].contains(&kind) {
                return fail("unknown kind");
            }
            if (kind == "counter") != name.ends_with("_total") {
                return fail("counters, and they alone, end in _total");
            }
            if ["_ms", "_us", "_ns", "_kb", "_mb", "_millis", "_micros"].iter().any(|unit| name.contains(unit)) {
                return fail("not a base unit");
            }
            families.insert(name.to_owned(), Family { kind: kind.to_owned(), ..Family::default() });
            current = Some(name.to_owned());
        } else if line.starts_with('#') || line.is_empty() {
            return fail("a line that says nothing");
        } else {
            let Some(family_name) = &current else { return fail("a sample outside of its family") };
            let Some(family) = families.get_mut(family_name) else { return fail("no such family") };
            let Some((name, labels, value)) = sample(line) else { return fail("not a sample") };
            let Some(suffix) = name.strip_prefix(family_name.as_str()) else { return fail("another family's sample") };
            let allowed: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            if !allowed.contains(&suffix) {
                return fail("a suffix that the kind does not have");
            }
            if family.kind != "gauge" && (value < 0.0 || !value.is_finite()) {
                return fail("a count below nothing");
            }
            if family.samples.insert((suffix.to_owned(), labels), value).is_some() {
                return fail("a sample twice");
            }
        }
    }
    if let Some(name) = helped {
        return Err(format!("{name} has a HELP and nothing else"));
    }
    for (name, family) in &families {
        if family.samples.is_empty() {
            return Err(format!("{name} has no sample"));
        }
        if family.kind == "histogram" {
            histogram(family).map_err(|what| format!("{name}: {what}"))?;
        }
    }
    Ok(families)
}

/// Buckets rise, none is missing, and the last one counts all.
fn histogram(family: &Family) -> Result<(), String> {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for ((suffix, labels), value) in &family.samples {
        if suffix != "_bucket" {
            continue;
        }
        let mut rest = labels.clone();
        let le = rest.iter().position(|(name, _)| name == "le").ok_or("a bucket without le")?;
        let bound = number(&rest.remove(le).1).ok_or("le is no number")?;
        buckets.entry(rest).or_default().push((bound, *value));
    }
    for (labels, mut buckets) in buckets {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1) {
            return Err(format!("the buckets do not rise: {buckets:?}"));
        }
        let (last, all) = buckets[buckets.len() - 1];
        let count = family.samples.get(&("_count".to_owned(), labels.clone()));
        if last != f64::INFINITY || count != Some(&all) || !family.samples.contains_key(&("_sum".to_owned(), labels)) {
            return Err("no +Inf, or no count equal to it, or no sum".to_owned());
        }
    }
    Ok(())
}

fn is_name(text: &str, colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    text.starts_with(|c: char| !c.is_ascii_digit()) && text.chars().all(fits)
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.parse().ok(),
        _ => None,
    }
}

fn unescape(text: &str, quotes: bool) -> Option<String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                '"' if quotes => '"',
                _ => return None,
            }),
            '"' if quotes => return None,
            c => plain.push(c),
        }
    }
    Some(plain)
}

/// `name{label="value",...} value`
fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    let mut seen = BTreeSet::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let mut escaped = false;
            let close = after.find(|c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            })?;
            if !is_name(label, false) || !seen.insert(label) {
                return None;
            }
            labels.push((label.to_owned(), unescape(&after[..close], true)?));
            rest = &after[close + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = number(rest.strip_prefix(' ')?)?;
    is_name(name, true).then(|| (name.to_owned(), labels, value))
}

#[test]
fn the_reader_refuses_what_the_format_does_not_allow() {
    let head = "# HELP a_total Text.\n# TYPE a_total counter\n";
    assert!(parse(&format!("{head}a_total 1\n")).is_ok());
    assert!(parse(&format!("{head}a_total{{x=\"1\",y=\"a\\\\\\\"b,}}\"}} 1\n")).is_ok());
    let bucket = |tail: &str| format!("# HELP h T.\n# TYPE h histogram\nh_bucket{{le=\"1\"}} 2\n{tail}");
    assert!(parse(&bucket("h_bucket{le=\"+Inf\"} 2\nh_sum 0.5\nh_count 2\n")).is_ok());
    for page in [
        format!("{head}a_total 1"),
        format!("{head}a_total one\n"),
        format!("{head}a_total 1\na_total 2\n"),
        format!("{head}b_total 1\n"),
        format!("{head}a_total{{x=\"1\",x=\"2\"}} 1\n"),
        format!("{head}a_total{{x=\"\"1\"}} 1\n"),
        format!("{head}a_total{{x=1}} 1\n"),
        format!("{head}a_total -1\n"),
        format!("{head}{head}a_total 1\n"),
        head.to_owned(),
        "a_total 1\n".to_owned(),
        "# TYPE a_total counter\na_total 1\n".to_owned(),
        "# HELP a T.\n# TYPE a counter\na 1\n".to_owned(),
        "# HELP a_ms T.\n# TYPE a_ms gauge\na_ms 1\n".to_owned(),
        bucket("h_bucket{le=\"+Inf\"} 1\nh_sum 0.5\nh_count 1\n"),
        bucket("h_bucket{le=\"+Inf\"} 2\nh_sum 0.5\nh_count 3\n"),
        bucket("h_bucket{le=\"+Inf\"} 2\nh_count 2\n"),
        bucket("h_sum 0.5\nh_count 2\n"),
    ] {
        assert!(parse(&page).is_err(), "{page}");
    }
}
