//! `open`: a run folder in the browser.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use wire::net::{ListenOptions, Listener as _, Network as _, TokioNet};

use self::site::Site;
use super::{Failure, exit, print, say};

mod site;

#[derive(Debug, Args)]
pub(super) struct OpenArgs {
    /// A run folder, or the folder of one run
    #[arg(value_name = "DIR", default_value = LATEST)]
    folder: PathBuf,
    /// The port on loopback; 0: one that is free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Open no browser: print the address only
    #[arg(long)]
    no_browser: bool,
}

/// Serves until ctrl-c.
pub(super) fn open(args: &OpenArgs) -> Result<u8, Failure> {
    let page = page(&args.folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::harness(format!("failed to start the runtime: {error}")))?;
    let code = runtime.block_on(serve(args, page));
    // What a browser has not fetched yet it will not miss.
    runtime.shutdown_background();
    code
}

async fn serve(args: &OpenArgs, page: &str) -> Result<u8, Failure> {
    // Before anyone is told where to look: whoever reads the address may end us.
    let end = end()?;
    let net = TokioNet::current();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = net.bind(addr, ListenOptions::default()).await.map_err(|error| {
        Failure::io(format!(
            "failed to listen on {addr}: {error}; choose another port with --port, or leave it out for one that is free"
        ))
    })?;
    let port = listener.local_addr().map_err(|error| Failure::io(format!("failed to read the port: {error}")))?.port();
    let site = Site::new(&args.folder)
        .map_err(|error| Failure::io(format!("failed to open {}: {error}", args.folder.display())))?;
    let address = format!("http://127.0.0.1:{port}/{page}");
    print(&format!("{address}\n"))?;
    say(&format!("windtunnel: serves {} on loopback; ctrl-c ends it", args.folder.display()));
    if !args.no_browser && has_display() {
        // Beside the server, which the browser asks at once.
        if let Err(error) = ::open::that_detached(&address) {
            say(&format!("windtunnel: no browser was opened: {error}"));
        }
    }
    wire::select! {
        () = end => {}
        () = site.serve(&net, listener) => {}
    }
    Ok(exit::PASSED)
}

/// The page to begin with, from the folder.
fn page(folder: &Path) -> Result<&'static str, Failure> {
    let shown = folder.display();
    match folder.metadata() {
        Err(error) => Err(Failure::io(format!(
            "failed to open {shown}: {error}; `windtunnel run` makes a run folder, and {LATEST} leads to the newest"
        ))),
        Ok(it) if !it.is_dir() => {
            Err(Failure::usage(format!("{shown} is not a folder: name the run folder that it lies in")))
        }
        Ok(_) if folder.join("index.html").is_file() => Ok(""),
        Ok(_) if folder.join("report.html").is_file() => Ok("report.html"),
        Ok(_) => Err(Failure::usage(format!(
            "{shown} is no run folder: there is neither an index.html nor a report.html in it"
        ))),
    }
}

/// The link beside run folders.
const LATEST: &str = "target/windtunnel/latest";

/// Whether there is somewhere to show a browser: without a display `xdg-open` would start one in this terminal.
fn has_display() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(target_os = "macos", windows)) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// Ends with SIGINT or SIGTERM.
#[cfg(unix)]
fn end() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen =
        |kind| signal(kind).map_err(|error| Failure::harness(format!("failed to listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        wire::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn end() -> Result<impl Future<Output = ()>, Failure> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
