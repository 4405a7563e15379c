//! Relay: one upstream leg for each client, balanced over the instances.

use std::net::SocketAddr;
use std::sync::Arc;

use wire::close;
use wire::event::Why;
use wire::net::Network;
use wire::ws::Session;

use crate::context::Context;
use crate::farewell::{self, Farewell};

/// Serves a client from its handshake to its end.
pub(crate) async fn serve_client<N: Network>(context: Arc<Context<N>>, session: Session<N::Stream>, peer: SocketAddr) {
    farewell::carry_out(&context, session, peer, Farewell::close(close::TRY_AGAIN_LATER, "no source", Why::NoSource))
        .await;
}
