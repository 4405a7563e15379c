//! Role: what a program of few lines costs. tokio and tokio-tungstenite as their examples have it, with a read buffer of 4 KiB: no admission, no deadlines, no account of anything.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use wire::feed::GREETING;

use super::role::{Outcome, say};

/// Upgrades and greets clients, each in a task of its own, and serves them until they say goodbye.
pub(crate) fn churn() -> Outcome<()> {
    super::role::end_with_parent();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(format_args!("{}", listener.local_addr()?));
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let config = WebSocketConfig::default().read_buffer_size(4 << 10);
                let Ok(mut session) = accept_async_with_config(stream, Some(config)).await else { return };
                if session.send(Message::text(GREETING)).await.is_ok() {
                    while let Some(Ok(_)) = session.next().await {}
                }
            });
        }
    })
}
