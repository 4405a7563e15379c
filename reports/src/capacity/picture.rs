//! A picture of the report, and which pictures of others may stand on its page.

use crate::chart;
use crate::chart::xy::Plot;

/// One picture: a file in `charts/`, and a figure on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// Its file name without `.svg`.
    pub(super) name: String,
    /// What it shows, in words, for readers who do not see it.
    pub(super) describe: String,
    /// One `<svg>` element.
    pub(super) svg: String,
    /// Whether it needs the page's whole width.
    pub(super) wide: bool,
}

impl Picture {
    /// What was drawn here.
    pub(super) fn of(name: &str, plot: &Plot, says: &str) -> Self {
        let describe = format!("{}: {says}", plot.title);
        let svg = chart::labelled(plot.draw(), &describe);
        Self { name: slug(name), describe, svg, wide: false }
    }

    /// What somebody else drew; none where it is more than a drawing.
    pub(super) fn drawn(name: &str, describe: &str, svg: &str) -> Option<Self> {
        let name = name.strip_suffix(".svg").unwrap_or(name);
        is_drawing(svg).then(|| Self {
            name: slug(name),
            describe: describe.to_owned(),
            svg: svg.to_owned(),
            wide: true,
        })
    }
}

/// A name that a file may have anywhere: small letters, digits and dashes.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars().take(60) {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "chart".to_owned() } else { slug.to_owned() }
}

/// Gives each picture a name of its own.
pub(super) fn apart(pictures: &mut [Picture]) {
    let mut taken = std::collections::BTreeSet::new();
    for picture in pictures {
        let own = picture.name.clone();
        let mut n = 2;
        while !taken.insert(picture.name.clone()) {
            picture.name = format!("{own}-{n}");
            n += 1;
        }
    }
}

const ELEMENTS: &[&str] =
    &["svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "title", "desc"];

const ATTRIBUTES: &[&str] = &[
    "aria-label",
    "cx",
    "cy",
    "d",
    "dominant-baseline",
    "dx",
    "dy",
    "fill",
    "fill-opacity",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "height",
    "opacity",
    "points",
    "preserveAspectRatio",
    "r",
    "role",
    "rx",
    "ry",
    "stroke",
    "stroke-dasharray",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-opacity",
    "stroke-width",
    "text-anchor",
    "transform",
    "version",
    "viewBox",
    "width",
    "x",
    "x1",
    "x2",
    "xmlns",
    "y",
    "y1",
    "y2",
];

/// Whether this is one `<svg>` of shapes and words, and nothing that runs, loads, or leads elsewhere.
fn is_drawing(svg: &str) -> bool {
    let mut rest = svg.trim();
    let mut open = 0_usize;
    let mut elements = 0_usize;
    if !rest.starts_with("<svg") {
        return false;
    }
    while let Some(start) = rest.find('<') {
        if open == 0 && !rest[..start].trim().is_empty() {
            return false;
        }
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('/') {
            let Some(end) = after.find('>') else { return false };
            if open == 0 || !ELEMENTS.contains(&after[..end].trim()) {
                return false;
            }
            (open, rest) = (open - 1, &after[end + 1..]);
            continue;
        }
        let Some((alone, after)) = tag(rest) else { return false };
        if open == 0 && elements > 0 {
            return false;
        }
        (elements, open, rest) = (elements + 1, open + usize::from(!alone), after);
    }
    elements > 0 && open == 0 && rest.trim().is_empty()
}

/// The rest of an opening tag whose `<` was read: whether it closes itself, and what follows. None where anything in it is not known.
fn tag(text: &str) -> Option<(bool, &str)> {
    let name_end = text.find(|c: char| !c.is_ascii_alphanumeric())?;
    if !ELEMENTS.contains(&&text[..name_end]) {
        return None;
    }
    let mut rest = text[name_end..].trim_start();
    loop {
        if let Some(after) = rest.strip_prefix("/>") {
            return Some((true, after));
        }
        if let Some(after) = rest.strip_prefix('>') {
            return Some((false, after));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = after.strip_prefix('"')?.split_once('"')?;
        let lawful_value = name == "xmlns" || !value.contains([':', '<', '(']) || is_transform(name, value);
        if !ATTRIBUTES.contains(&name) || !(lawful_value || name == "aria-label") {
            return None;
        }
        rest = after.trim_start();
    }
}

fn is_transform(name: &str, value: &str) -> bool {
    name == "transform" && value.chars().all(|c| c.is_ascii_alphanumeric() || " ,.()-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{Share, likelihood};

    #[test]
    fn our_own_charts_are_drawings() {
        let share = |at_s| Share { at_s, p: 0.5, low: 0.1, high: 0.6 };
        let svg = likelihood("P <x>: url(y)", "P", &[share(1.0), share(2.0)], Some((1.5, "\"here\"")));
        assert!(is_drawing(&svg), "{svg}");
        assert!(is_drawing(&chart::labelled(svg.clone(), "a: (b) <c>")), "{svg}");
    }

    #[test]
    fn what_runs_or_loads_or_leads_elsewhere_is_no_drawing() {
        let svg = |inside: &str| format!("<svg width=\"9\" xmlns=\"http://www.w3.org/2000/svg\">{inside}</svg>");
        assert!(is_drawing(&svg("<g transform=\"rotate(9, 1, 1)\"><text x=\"1\">a &lt; b</text><rect/></g>\n")));
        for bad in [
            "<script>alert(1)</script>",
            "<rect onload=\"alert(1)\"/>",
            "<rect fill=\"url(http://example.invalid)\"/>",
            "<rect style=\"x\"/>",
            "<a href=\"x\">y</a>",
            "<image href=\"x\"/>",
            "<!-- x --><rect/>",
            "<g>",
            "</svg><p>x</p><svg>",
            "<foreignObject/>",
            "<rect x='1'/>",
            "<rect x=\"1\"",
        ] {
            assert!(!is_drawing(&svg(bad)), "{bad}");
        }
        for bad in ["", "words", "<p>x</p>", "<svg/>x", "<svg></svg><svg></svg>"] {
            assert!(!is_drawing(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_is_a_file_anywhere_and_no_two_are_alike() {
        let names = ["../../etc/Pass wd", "", "é", "mixed throughput"].map(slug);
        assert_eq!(names, ["etc-pass-wd", "chart", "chart", "mixed-throughput"]);
        let picture =
            |name: &str| Picture { name: name.into(), describe: String::new(), svg: String::new(), wide: true };
        let mut pictures = ["a", "a", "a-2", "a"].map(picture);
        apart(&mut pictures);
        assert_eq!(pictures.map(|picture| picture.name), ["a", "a-2", "a-2-2", "a-3"]);
    }
}
