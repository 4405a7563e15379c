//! The pages as people see them: opened in a headless Chromium, where there is one.
//!
//! A page holds all that it needs, says nothing on the console, is no wider than a telephone, and can be read in the light and in the dark.

mod chromium;
mod pages;

use self::chromium::{Browser, Noise, with_browser};

/// Widths of windows: a telephone, and a screen.
const WIDTHS: [u32; 2] = [400, 1400];

/// All that is wrong with a page, in lines.
async fn wrong(browser: &Browser, url: &str) -> Vec<String> {
    let mut wrong = noisy(url, &browser.open(url).await);
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        for width in WIDTHS {
            browser.wide(width).await;
            let lines = browser.asks(include_str!("browser/looks.js")).await;
            let lines = lines.as_array().expect("a list").clone();
            let said = lines.iter().filter_map(serde_json::Value::as_str);
            wrong.extend(said.map(|line| format!("{url} in {scheme} at {width}: {line}")));
        }
    }
    // What came while it was looked at.
    let late = browser.noise().await;
    wrong.extend(late.requests.iter().map(|request| format!("{url} asked late for {request}")));
    wrong.extend(late.console.iter().map(|line| format!("{url} said late {line}")));
    wrong
}

fn noisy(url: &str, noise: &Noise) -> Vec<String> {
    let mut wrong = Vec::new();
    let without = url.split('#').next().unwrap_or_default();
    if noise.requests.first().map(String::as_str) != Some(without) {
        wrong.push(format!("{url} was not asked for first: {:?}", noise.requests));
    }
    wrong.extend(noise.requests.iter().skip(1).map(|request| format!("{url} asked for {request}")));
    wrong.extend(noise.console.iter().map(|line| format!("{url} said {line}")));
    wrong
}

#[test]
fn every_page_needs_nothing_says_nothing_and_can_be_read_on_any_screen() {
    let pages = pages::all();
    with_browser(async |browser| {
        let mut found = Vec::new();
        for page in pages.urls() {
            found.extend(wrong(browser, &page).await);
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    });
}

#[test]
fn the_page_of_a_failure_copies_zooms_and_filters() {
    let pages = pages::all();
    let failed = pages.urls().into_iter().find(|url| url.contains("/failed/small/")).expect("the page of a failure");
    with_browser(async |browser| {
        let noise = browser.open(&failed).await;
        assert!(noisy(&failed, &noise).is_empty(), "{noise:?}");
        browser.wide(1400).await;
        let said = browser.asks(include_str!("browser/failure.js")).await;
        let wrong: Vec<&str> = said.as_array().expect("a list").iter().filter_map(serde_json::Value::as_str).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let late = browser.noise().await;
        assert!(late.requests.is_empty() && late.console.is_empty(), "{late:?}");
    });
}

#[test]
fn what_is_wrong_with_a_page_is_found() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let page = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("<!DOCTYPE html><title>x</title><p>words</p>{text}")).expect("a writable folder");
        format!("file://{}", path.display())
    };
    let cases = [
        ("good", "", None),
        ("asks", "<img src=\"https://example.invalid/a.png\">", Some("asked for https://example.invalid/a.png")),
        ("beside", "<link rel=\"stylesheet\" href=\"style.css\">", Some("style.css")),
        ("shouts", "<script>console.error('oh no')</script>", Some("oh no")),
        ("throws", "<script>setTimeout(() => nowhere())</script>", Some("nowhere is not defined")),
        (
            "wide",
            "<div class=\"w\" style=\"width: 900px\">w</div>",
            Some("at 400: 908 px wide in a window of 400: <div class=\"w\">"),
        ),
        ("faint", "<p style=\"color: #aaa\">f</p>", Some("contrast 2.32")),
        (
            "dark",
            "<meta name=\"color-scheme\" content=\"dark light\"><p style=\"color: #222\">d</p>",
            Some("in dark at 400: contrast 1."),
        ),
    ];
    with_browser(async |browser| {
        for (name, text, expect) in &cases {
            let found = wrong(browser, &page(&format!("{name}.html"), text)).await;
            match expect {
                None => assert!(found.is_empty(), "{name}: {found:?}"),
                Some(expect) => assert!(found.iter().any(|line| line.contains(expect)), "{name}: {found:?}"),
            }
        }
    });
}
