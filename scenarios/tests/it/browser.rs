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
    wrong.extend(
        late.requests
            .iter()
            .filter(|request| !request.ends_with("/favicon.ico"))
            .map(|request| format!("{url} asked late for {request}")),
    );
    wrong.extend(late.console.iter().map(|line| format!("{url} said late {line}")));
    wrong
}

fn noisy(url: &str, noise: &Noise) -> Vec<String> {
    let mut wrong = Vec::new();
    let without = url.split('#').next().unwrap_or_default();
    if noise.requests.first().map(String::as_str) != Some(without) {
        wrong.push(format!("{url} was not asked for first: {:?}", noise.requests));
    }
    // Of a page that names no icon the browser asks for one of itself.
    let own = |request: &&String| request.ends_with("/favicon.ico");
    wrong.extend(
        noise
            .requests
            .iter()
            .skip(1)
            .filter(|request| !own(request))
            .map(|request| format!("{url} asked for {request}")),
    );
    wrong.extend(noise.console.iter().map(|line| format!("{url} said {line}")));
    wrong
}

#[test]
fn every_page_needs_nothing_says_nothing_and_can_be_read_on_any_screen() {
    let pages = pages::all();
    with_browser(async |browser| {
        let mut found = Vec::new();
        let (_opened, served) = pages.served();
        for page in pages.urls().iter().chain(&served) {
            found.extend(wrong(browser, page).await);
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    });
}

/// The ids of what can be copied.
const COPIED: &str = "return [...document.querySelectorAll('button[data-copy]')].map((button) => button.dataset.copy);";

#[test]
fn what_is_copied_is_the_command_with_a_clipboard_and_without() {
    let pages = pages::all();
    with_browser(async |browser| {
        browser.allow_clipboard().await;
        for page in ["failed/index.html", "many/index.html"] {
            let url = pages.url(page);
            for clipboard in [true, false] {
                browser.open(&url).await;
                let ids = browser.asks(COPIED).await;
                let ids: Vec<&str> = ids.as_array().expect("a list").iter().filter_map(|id| id.as_str()).collect();
                assert!(!ids.is_empty(), "{page} has nothing to copy");
                for id in ids.into_iter().take(3) {
                    copies(browser, id, clipboard).await.unwrap_or_else(|why| panic!("{page}, {id}: {why}"));
                }
            }
        }
    });
}

/// Copies what has an id, and looks at what was copied. Without a clipboard, as a browser has it on a page that it does not trust.
async fn copies(browser: &Browser, id: &str, clipboard: bool) -> Result<(), String> {
    let own = "window.board = window.board || navigator.clipboard;";
    browser
        .asks_and_waits(&format!("{own} window.board.writeText('nothing yet').then(arguments[0], arguments[0]);"))
        .await;
    if !clipboard {
        browser.asks("Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true });").await;
    }
    browser.clicks(&format!("button[data-copy=\"{id}\"]")).await;
    let read = "const done = arguments[0]; window.board.readText().then(done, (error) => done('not read: ' + error));";
    let copied = browser.asks_and_waits(read).await;
    let shown = browser.asks(&format!("return document.getElementById('{id}').textContent;")).await;
    let said = browser.asks(&format!("return document.querySelector('button[data-copy=\"{id}\"]').textContent;")).await;
    if copied == shown && said == "Copied" {
        return Ok(());
    }
    Err(format!("clipboard: {clipboard}; {shown} is shown, {copied} was copied, the button says {said}"))
}

/// Which scenarios and invariants stand in the table of verdicts, and what stands beside the field.
const SHOWN: &str = "
    const seen = (what) => [...document.querySelectorAll(what)].filter((element) => element.checkVisibility());
    const rows = seen('#matrix tbody tr');
    return {
        scenarios: rows.length,
        first: rows.length ? rows[0].dataset.name : null,
        columns: seen('#matrix thead th').slice(1).map((head) => head.textContent),
        broken: seen('article').length,
        found: document.getElementById('found').textContent,
        field: seen('#find').length,
        buttons: seen('button').length,
    };";

#[test]
fn the_index_finds_scenarios_and_invariants_and_shows_all_without_scripts() {
    let pages = pages::all();
    let url = pages.url("many/index.html");
    with_browser(async |browser| {
        browser.wide(1400).await;
        browser.open(&url).await;
        let all = browser.asks(SHOWN).await;
        assert_eq!((&all["scenarios"], &all["found"], &all["field"]), (&200.into(), &"".into(), &1.into()), "{all}");
        // By a part of a scenario's name.
        browser.types("#find", "-17").await;
        let some = browser.asks(SHOWN).await;
        assert_eq!((&some["scenarios"], &some["columns"]), (&11.into(), &all["columns"]), "{some}");
        assert_eq!(some["found"], "11 of 200 scenarios");
        // By an invariant: its column alone.
        browser.types("#find", "duplicates").await;
        let some = browser.asks(SHOWN).await;
        assert_eq!(some["columns"], serde_json::json!(["no-duplicates"]), "{some}");
        assert_eq!(some["scenarios"], 200);
        // Only what did not pass: a fourth of the scenarios, and of the invariants those that are broken somewhere.
        browser.clicks("#bad").await;
        browser.types("#find", "scenario-").await;
        let bad = browser.asks(SHOWN).await;
        assert_eq!((&bad["scenarios"], &bad["broken"]), (&50.into(), &all["broken"]), "{bad}");
        let columns = bad["columns"].as_array().expect("a list");
        assert!(columns.len() < all["columns"].as_array().expect("a list").len(), "{bad}");
        assert!(columns.contains(&"no-duplicates".into()) && columns.contains(&"reached".into()), "{bad}");
        browser.types("#find", "no such name").await;
        assert_eq!(browser.asks(SHOWN).await["scenarios"], 0);
        // Whoever comes back from a report finds what was looked for.
        browser.types("#find", "-17").await;
        browser.clicks("#bad").await;
        browser.open(&url).await;
        assert_eq!(browser.asks(SHOWN).await["found"], "11 of 200 scenarios");
        browser.scripts(false).await;
        browser.open(&url).await;
        browser.scripts(true).await;
        let plain = browser.asks(SHOWN).await;
        for (what, expect) in
            [("scenarios", &all["scenarios"]), ("broken", &all["broken"]), ("columns", &all["columns"])]
        {
            assert_eq!(&plain[what], expect, "{plain}");
        }
        assert_eq!(
            (&plain["field"], &plain["buttons"]),
            (&0.into(), &0.into()),
            "what does nothing is not shown: {plain}"
        );
    });
}

#[test]
fn the_heads_of_the_table_of_verdicts_stay_in_sight() {
    let pages = pages::all();
    let url = pages.url("many/index.html");
    let at = "
        const place = (what) => document.querySelector(what).getBoundingClientRect();
        const box = document.querySelector('.matrix');
        const row = document.querySelectorAll('#matrix tbody tr')[100];
        row.scrollIntoView({ block: 'center' });
        box.scrollLeft = 60;
        const head = place('#matrix thead th:nth-child(2)');
        const first = row.firstElementChild.getBoundingClientRect();
        return { head: head.top, left: first.left, height: window.innerHeight, row: first.top };";
    with_browser(async |browser| {
        for width in WIDTHS {
            browser.wide(width).await;
            browser.open(&url).await;
            let at = browser.asks(at).await;
            let number = |name: &str| at[name].as_f64().expect("a number");
            assert!((0.0..300.0).contains(&number("head")), "{width}: {at}");
            assert!((0.0..60.0).contains(&number("left")), "{width}: {at}");
            assert!((number("head")..number("height")).contains(&number("row")), "{width}: {at}");
        }
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
