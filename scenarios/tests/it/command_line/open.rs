//! `open`: a run folder over HTTP on loopback.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::Place;

/// `windtunnel open`, until it is dropped: then it is ended by its id.
pub(crate) struct Opened {
    child: Child,
    /// The address that it printed.
    pub(crate) address: String,
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Opened {
    /// Of a folder in a place.
    pub(crate) fn new(place: &Place, args: &[&str]) -> Self {
        let mut command = place.command(&[&["open"], args].concat());
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        Self::of(&mut command)
    }

    fn of(command: &mut std::process::Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut address = String::new();
        BufReader::new(child.stdout.as_mut().expect("it is piped")).read_line(&mut address).expect("a line");
        Self { child, address: address.trim_end().to_owned() }
    }

    fn port(&self) -> u16 {
        let (_, rest) = self.address.rsplit_once(':').unwrap_or_else(|| panic!("an address: {:?}", self.address));
        rest.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Ends it as ctrl-c does. What it exits with, and what it said.
    fn interrupted(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let said = std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill is there");
        assert!(said.success());
        let code = self.child.wait().expect("it ends").code();
        let mut text = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut text).expect("text");
        (code, text)
    }

    /// What it answers: each request on a connection of its own.
    fn asks(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let uri = format!("http://127.0.0.1:{}{path}", self.port());
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).expect("a method")).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        runtime.block_on(async {
            let client = Client::builder(TokioExecutor::new()).build_http();
            let (head, body) = client.request(request).await.expect("an answer").into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            (head.status, head.headers, String::from_utf8(bytes.to_vec()).expect("text"))
        })
    }
}

/// A folder as a run leaves it, with what does not belong to it beside.
fn place() -> Place {
    let place = Place::new();
    for folder in ["out/a/1", "out/many"] {
        std::fs::create_dir_all(place.path().join(folder)).expect("a writable folder");
    }
    place.write("out/index.html", "<!DOCTYPE html><title>all</title><p>é</p>");
    place.write("out/a/1/report.html", "<!DOCTYPE html><title>one</title>");
    place.write("out/a/1/log.txt", "lines é\n");
    place.write("out/a/1/verdict.json", "{}");
    place.write("out/a/1/events.jsonl", "{}\n");
    place.write("out/a/1/packets.pcapng", "0123456789");
    place.write("out/a b+c%.svg", "<svg/>");
    place.write("secret.txt", "secret");
    place
}

#[test]
fn a_run_folder_is_served_with_the_right_types_until_ctrl_c() {
    let place = place();
    let opened = Opened::new(&place, &["out", "--no-browser"]);
    assert_eq!(opened.address, format!("http://127.0.0.1:{}/", opened.port()));
    for (path, kind, text) in [
        ("/", "text/html; charset=utf-8", "<p>é</p>"),
        ("/index.html?x=1", "text/html; charset=utf-8", "<p>é</p>"),
        ("/a/1/report.html", "text/html; charset=utf-8", "one"),
        ("/a/1/log.txt", "text/plain; charset=utf-8", "lines é"),
        ("/a/1/verdict.json", "application/json", "{}"),
        ("/a/1/events.jsonl", "text/plain; charset=utf-8", "{}"),
        ("/a/1/packets.pcapng", "application/octet-stream", "0123456789"),
        ("/a%20b+c%25.svg", "image/svg+xml", "<svg/>"),
    ] {
        let (status, headers, body) = opened.asks("GET", path, &[]);
        assert_eq!((status, headers[header::CONTENT_TYPE].as_bytes()), (StatusCode::OK, kind.as_bytes()), "{path}");
        assert!(body.contains(text), "{path}: {body}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let (head, bodiless, nothing) = opened.asks("HEAD", path, &[]);
        assert_eq!((head, nothing.as_str()), (StatusCode::OK, ""), "{path}");
        assert_eq!(bodiless[header::CONTENT_LENGTH], body.len().to_string(), "{path}");
    }
    assert_eq!(opened.asks("GET", "/favicon.ico", &[]).0, StatusCode::NO_CONTENT);
    let (status, _, part) = opened.asks("GET", "/a/1/packets.pcapng", &[("range", "bytes=2-4")]);
    assert_eq!((status, part.as_str()), (StatusCode::PARTIAL_CONTENT, "234"));
    let (code, said) = opened.interrupted();
    assert_eq!((code, said.as_str()), (Some(0), "windtunnel: serves out on loopback; ctrl-c ends it\n"));
}

#[test]
fn nothing_outside_of_the_folder_is_served_and_nothing_is_taken() {
    let place = place();
    let opened = Opened::new(&place, &["out", "--no-browser"]);
    for path in [
        "/../secret.txt",
        "/a/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/a/1/..%2f..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/index.html%00.txt",
        "/nowhere.html",
        "/index.html/more",
        "/a/1/",
    ] {
        let (status, _, body) = opened.asks("GET", path, &[]);
        assert!(status.is_client_error(), "{path}: {status}");
        assert!(!body.contains("secret") && !body.contains("root:"), "{path}: {body}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (status, headers, _) = opened.asks(method, "/index.html", &[]);
        assert_eq!((status, headers[header::ALLOW].as_bytes()), (StatusCode::METHOD_NOT_ALLOWED, &b"GET,HEAD"[..]));
    }
    // A page from elsewhere whose name leads to loopback.
    let (status, _, body) = opened.asks("GET", "/", &[("host", "evil.example")]);
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{body}");
    // Through a tunnel, which has a port of its own.
    assert_eq!(opened.asks("GET", "/", &[("host", "localhost:8080")]).0, StatusCode::OK);
}

#[cfg(unix)]
#[test]
fn links_are_followed_within_the_folder_only() {
    use std::os::unix::fs::symlink;
    let place = place();
    let out = place.path().join("out");
    symlink("a/1/report.html", out.join("inside.html")).expect("links can be made");
    symlink("../secret.txt", out.join("outside.txt")).expect("links can be made");
    symlink(place.path(), out.join("up")).expect("links can be made");
    // As `latest` is: the folder itself may be reached by a link.
    symlink("out", place.path().join("latest")).expect("links can be made");
    let opened = Opened::new(&place, &["latest", "--no-browser"]);
    assert_eq!(opened.asks("GET", "/inside.html", &[]).0, StatusCode::OK);
    for path in ["/outside.txt", "/up/secret.txt"] {
        let (status, _, body) = opened.asks("GET", path, &[]);
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::FORBIDDEN, "not served: a link leads out of the folder\n"),
            "{path}"
        );
    }
}

#[test]
fn the_folder_of_one_run_opens_at_its_report() {
    let place = place();
    let opened = Opened::new(&place, &["out/a/1"]);
    assert!(opened.address.ends_with("/report.html"), "{}", opened.address);
    assert_eq!(opened.asks("GET", "/report.html", &[]).0, StatusCode::OK);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let place = place();
    place.windtunnel(&["open", "nowhere"]).exits(74).complains("`windtunnel run` makes a run folder");
    place.windtunnel(&["open"]).exits(74).complains("target/windtunnel/latest");
    place.windtunnel(&["open", "secret.txt"]).exits(64).complains("secret.txt is not a folder");
    place.windtunnel(&["open", "out/many"]).exits(64).complains("out/many is no run folder");
    place.windtunnel(&["open", "out", "--port", "many"]).exits(64).complains("--port");
    let opened = Opened::new(&place, &["out", "--no-browser"]);
    let port = opened.port().to_string();
    place
        .windtunnel(&["open", "out", "--no-browser", "--port", &port])
        .exits(74)
        .complains(&format!("127.0.0.1:{port}"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_browser_is_told_the_address_where_there_is_a_display() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    // A browser that writes down what it is told.
    let fake = place.path().join("xdg-open");
    let told = place.path().join("told");
    place.write("xdg-open", &format!("#!/bin/sh\necho \"$1\" > {0}.new && mv {0}.new {0}\n", told.display()));
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = format!("{}:{}", place.path().display(), std::env::var("PATH").expect("a path"));
    let opened = |args: &[&str], display: &str| {
        let mut command = place.command(&[&["open", "out"], args].concat());
        command.env("PATH", &path).env("DISPLAY", display).env_remove("WAYLAND_DISPLAY");
        Opened::of(&mut command)
    };
    let quiet = opened(&["--no-browser"], ":1");
    let blind = opened(&[], "");
    let seen = opened(&[], ":1");
    let patience = 1_000;
    for _ in 0..patience {
        if told.exists() {
            break;
        }
        pause();
    }
    assert_eq!(std::fs::read_to_string(&told).expect("the browser was started").trim_end(), seen.address);
    std::fs::remove_file(&told).expect("it is ours");
    // Those that must not have told it have had the time in which the third did.
    (0..20).for_each(|_| pause());
    assert!(!told.exists());
    drop((quiet, blind));
}

#[expect(clippy::disallowed_methods, reason = "waits for another process, outside all runs")]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(10));
}
