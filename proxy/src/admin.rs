//! The admin address.
use std::sync::Arc;

use wire::net::Network;

use crate::context::Context;

pub(crate) async fn run<N: Network>(_context: Arc<Context<N>>, _listener: N::Listener) {
    std::future::pending::<()>().await;
}
