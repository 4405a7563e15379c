//! Active probes: a handshake and a ping of our own, so that no client has to find out that an instance is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::Instant;
use wire::close;
use wire::event::Event;
use wire::id::SourceId;
use wire::net::Network;
use wire::ws::{Ask, Bytes, CloseFrame, Message};

use crate::context::Context;
use crate::dial::{self, DialError, Leg};
use crate::lock::lock;

/// How often is looked whether probes are wanted, while they are not.
const LOOK: Duration = Duration::from_secs(1);

/// Probes every instance that may be picked, for as long as the proxy lives.
pub(crate) async fn keep<N: Network>(context: Arc<Context<N>>) {
    let mut probing = BTreeMap::new();
    loop {
        let every = context.config().health.probe_interval;
        let sources = every.map_or_else(Vec::new, |_| lock(&context.pool).sources());
        // A guard that is dropped ends its task.
        probing.retain(|source, _| sources.contains(source));
        for source in sources {
            let spawn = || context.net.spawn("probe", keep_one(Arc::clone(&context), source)).guard();
            probing.entry(source).or_insert_with(spawn);
        }
        tokio::time::sleep(every.unwrap_or(LOOK)).await;
    }
}

/// Probes one instance. The first probe comes after a random part of the interval, so that instances are not probed in step.
async fn keep_one<N: Network>(context: Arc<Context<N>>, source: SourceId) {
    let every = || context.config().health.probe_interval.unwrap_or(LOOK);
    let first = context.net.draws("probe", u64::from(source.0)).jitter(every());
    tokio::time::sleep(first).await;
    loop {
        let failed = match probe(&context, source).await {
            Ok(()) => None,
            Err(error) => {
                tracing::debug!(%source, %error, "probe failed");
                context.failed(source, &error);
                Some(error)
            }
        };
        let changed = lock(&context.pool).probed(source, Instant::now(), failed.is_none());
        if let Some(healthy) = changed {
            context.observer.record(|| Event::ProxyHealth { proxy: context.id, source, healthy });
        }
        tokio::time::sleep(every()).await;
    }
}

async fn probe<N: Network>(context: &Context<N>, source: SourceId) -> Result<(), DialError> {
    let config = context.config();
    let limits = &config.limits;
    let ask = Ask { url: context.url(source).to_owned(), ..Ask::default() };
    let Leg { mut session, .. } = dial::dial(context, &ask, limits).await?;
    let answered = async {
        session.send(Message::Ping(Bytes::from_static(b"probe"))).await.is_ok()
            && loop {
                match session.next().await {
                    Some(Ok(Message::Pong(_))) => break true,
                    Some(Ok(_)) => {}
                    _ => break false,
                }
            }
    };
    let answered = tokio::time::timeout(context.config().health.pong_timeout, answered).await.unwrap_or(false);
    if !answered {
        return Err(DialError {
            why: wire::event::Why::PingTimeout,
            message: format!("{} did not answer a ping", ask.url),
        });
    }
    let frame = CloseFrame { code: close::NORMAL.into(), reason: "probe".into() };
    let _ = tokio::time::timeout(limits.close_timeout, session.send(Message::Close(Some(frame)))).await;
    Ok(())
}
