//! A headless Chromium, driven through its WebDriver.

use std::io::{BufRead as _, BufReader};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

/// A browser that takes longer than this for all that one test asks of it hangs.
const PATIENCE: Duration = Duration::from_secs(45);

/// What Debian, Ubuntu and GitHub's runners call it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A window without a page yet.
pub(super) struct Browser {
    client: Client,
}

/// The driver; ends with this value, by its id.
struct Driver {
    child: Child,
    port: u16,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does something with a fresh browser, which is closed however that ends. Where there is none, says so and does nothing.
pub(super) fn with_browser(work: impl AsyncFnOnce(&Browser)) {
    let (binary, mut driver) = match find().and_then(|binary| Ok((binary, drive()?))) {
        Ok(found) => found,
        Err(why) => {
            eprintln!("skipped: {why}; on Debian: apt-get install chromium chromium-driver");
            return;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ended = runtime.block_on(async {
        // Nobody else's: it starts empty, and is gone afterwards.
        let profile = tempfile::tempdir().expect("a temporary folder");
        let client = session(&binary, driver.port, profile.path()).await;
        let browser = Browser { client };
        let work = AssertUnwindSafe(tokio::time::timeout(PATIENCE, work(&browser))).catch_unwind().await;
        let closed = browser.client.close().await;
        (work, closed)
    });
    // Only now: a test that failed leaves no browser behind.
    let _ = driver.child.kill();
    match ended {
        (Err(panic), _) => std::panic::resume_unwind(panic),
        (Ok(Err(_)), _) => panic!("the browser took longer than {PATIENCE:?}"),
        (Ok(Ok(())), closed) => closed.expect("the browser closes"),
    }
}

/// The browser's program.
fn find() -> Result<PathBuf, String> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut found = NAMES.iter().flat_map(|name| std::env::split_paths(&paths).map(move |dir| dir.join(name)));
    found.find(|path| path.is_file()).ok_or_else(|| format!("none of {} is there", NAMES.join(", ")))
}

/// Starts the driver on a free port, which it says.
fn drive() -> Result<Driver, String> {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().map_err(|error| format!("chromedriver does not start ({error})"))?;
    let mut driver = Driver { child, port: 0 };
    let said = BufReader::new(driver.child.stdout.take().expect("it is piped"));
    let words = "started successfully on port ";
    for line in said.lines().map_while(Result::ok) {
        if let Some((_, port)) = line.split_once(words) {
            driver.port = port.trim_end_matches('.').parse().expect("a port");
            return Ok(driver);
        }
    }
    Err("chromedriver ended before it listened".to_owned())
}

async fn session(binary: &std::path::Path, port: u16, profile: &std::path::Path) -> Client {
    let mut args: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // The browser's own pages must not look around either.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    .map(str::to_owned)
    .into();
    args.push(format!("--user-data-dir={}", profile.display()));
    let wanted = json!({
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        "goog:chromeOptions": { "binary": binary, "args": args },
    });
    let Value::Object(wanted) = wanted else { unreachable!("it is written above") };
    let connector = hyper_util::client::legacy::connect::HttpConnector::new();
    let mut builder = ClientBuilder::new(connector);
    builder.capabilities(wanted);
    builder.connect(&format!("http://127.0.0.1:{port}")).await.expect("the browser starts")
}

/// What a page asked for and said, from its first byte on.
#[derive(Debug, Default)]
pub(super) struct Noise {
    /// Every address asked for, the page's own first.
    pub(super) requests: Vec<String>,
    /// Lines of the console, with their level.
    pub(super) console: Vec<String>,
}

impl Browser {
    /// Opens a page and waits until it is loaded.
    pub(super) async fn open(&self, url: &str) -> Noise {
        self.client.goto("about:blank").await.expect("an empty page");
        // What was before belongs to others.
        self.log("performance").await;
        self.log("browser").await;
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        self.noise().await
    }

    /// What the page asked for and said since it was last looked at.
    pub(super) async fn noise(&self) -> Noise {
        let message = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let asked = message["method"] == "Network.requestWillBeSent";
            asked.then(|| message["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        let line = |entry: &Value| {
            format!("{} {}", entry["level"].as_str().unwrap_or("?"), entry["message"].as_str().unwrap_or("?"))
        };
        Noise {
            requests: self.log("performance").await.iter().filter_map(message).collect(),
            console: self.log("browser").await.iter().map(line).collect(),
        }
    }

    /// Makes the window so many CSS pixels wide.
    pub(super) async fn wide(&self, width: u32) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Has pages believe that their reader wants `dark` or `light`.
    pub(super) async fn scheme(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Lets pages run no scripts, or again.
    pub(super) async fn scripts(&self, on: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !on })).await;
    }

    /// Lets pages read and write what is copied.
    pub(super) async fn allow_clipboard(&self) {
        let permissions = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        self.devtools("Browser.grantPermissions", permissions).await;
    }

    /// What a script returns that is run in the page.
    pub(super) async fn asks(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// As [`Browser::asks`], for what takes time: the script calls its last argument with what it found.
    pub(super) async fn asks_and_waits(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Clicks as a person does: what cannot be seen cannot be clicked.
    pub(super) async fn clicks(&self, selector: &str) {
        let found = self.find(selector).await;
        found.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Types into a field, in place of what stands there.
    pub(super) async fn types(&self, selector: &str, text: &str) {
        let found = self.find(selector).await;
        found.clear().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        found.send_keys(text).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    async fn find(&self, selector: &str) -> fantoccini::elements::Element {
        let found = self.client.find(fantoccini::Locator::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    async fn log(&self, kind: &'static str) -> Vec<Value> {
        let entries = self.command("se/log", json!({ "type": kind })).await;
        entries.as_array().expect("a list of entries").clone()
    }

    async fn devtools(&self, name: &'static str, params: Value) {
        self.command("goog/cdp/execute", json!({ "cmd": name, "params": params })).await;
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        let said = self.client.issue_cmd(Own { path, body: body.clone() }).await;
        said.unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }
}

/// A command that Chromium's driver knows and the standard does not.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.body.to_string()))
    }
}
