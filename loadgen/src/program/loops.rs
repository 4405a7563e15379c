//! Event loops on threads of their own.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Event loops beyond the caller's own, until the token is cancelled.
pub(super) fn start(loops: u16, stop: &CancellationToken) -> io::Result<Vec<Handle>> {
    let mut handles = Vec::new();
    for n in 1..loops {
        let runtime = runtime()?;
        handles.push(runtime.handle().clone());
        let stop = stop.clone();
        let run = move || {
            runtime.block_on(async {
                stop.cancelled().await;
                // Clients that were left behind; the program ends sooner.
                tokio::time::sleep(Duration::from_secs(1)).await;
            });
        };
        std::thread::Builder::new().name(format!("loop-{n}")).spawn(run)?;
    }
    Ok(handles)
}
