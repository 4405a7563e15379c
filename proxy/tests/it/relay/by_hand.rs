//! A source whose legs the test holds in its hands.

use futures_util::{SinkExt, StreamExt};
use proxy::{Config, Mode};
use wire::feed::Protocol;
use wire::net::{ListenOptions, Listener, Network, TokioListener, TokioNet, TokioStream};
use wire::ws::{self, Answer, CloseFrame, Message, Session};

use crate::bench::{Client, Proxy, loopback, soon};

pub(super) struct ByHand {
    listener: TokioListener,
}

impl ByHand {
    pub(super) async fn bind() -> Self {
        Self { listener: TokioNet::current().bind(loopback(), ListenOptions::default()).await.unwrap() }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/", self.listener.local_addr().unwrap())
    }

    /// The next leg that the proxy opens.
    pub(super) async fn leg(&self) -> Leg {
        self.leg_choosing(None).await
    }

    /// The next leg, for which the source chooses this subprotocol.
    pub(super) async fn leg_choosing(&self, subprotocol: Option<&str>) -> Leg {
        soon(async {
            let (stream, _) = self.listener.accept().await.unwrap();
            let accept = |_: &ws::Asked| Answer::Accept { subprotocol: subprotocol.map(str::to_owned) };
            let accepted = ws::accept(stream, ws::Limits::default(), accept).await.unwrap();
            Leg { session: accepted.session, asked: accepted.asked }
        })
        .await
    }
}

pub(super) struct Leg {
    /// What the proxy asked for.
    pub(super) asked: ws::Asked,
    pub(super) session: Session<TokioStream>,
}

impl Leg {
    pub(super) async fn say(&mut self, message: impl Into<Message>) {
        soon(self.session.send(message.into())).await.unwrap();
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Message {
        soon(self.session.next()).await.expect("the leg ended").unwrap()
    }

    /// Whether the leg ends in order, with nothing more said.
    pub(super) async fn ends(&mut self) -> bool {
        soon(self.session.next()).await.is_none()
    }
}

pub(super) fn text(text: &str) -> Message {
    Message::text(text)
}

pub(super) fn close(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
}

/// A proxy that relays anything to these sources.
pub(super) async fn relay(sources: &[&ByHand], adjust: impl FnOnce(&mut Config)) -> Proxy {
    let urls: Vec<_> = sources.iter().map(|source| source.url()).collect();
    Proxy::start(Mode::Relay, &urls, |config| {
        config.protocol = Protocol::Raw;
        config.preamble_messages = 0;
        config.backoff.base = std::time::Duration::from_millis(1);
        config.backoff.cap = std::time::Duration::from_millis(1);
        adjust(config);
    })
    .await
}

/// One source, one client and its leg.
pub(super) async fn pair(adjust: impl FnOnce(&mut Config)) -> (Proxy, ByHand, Client, Leg) {
    let source = ByHand::bind().await;
    let proxy = relay(&[&source], adjust).await;
    let (client, leg) = tokio::join!(Client::connect(proxy.addr, false), source.leg());
    (proxy, source, client, leg)
}
