//! A tiny source, a running proxy and a client, over loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use proxy::{Config, Handle, Mode, Policies, Server};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use wire::event::{Event, Observer, Sink};
use wire::feed::Request;
use wire::net::{ByteStream, ListenOptions, Listener, Network, SocketOptions, TaskGuard, TokioNet, TokioStream};
use wire::ws::{self, Answer, Ask, Message, Session};

/// Far beyond anything that a test waits for: it fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened by now")
}

/// What a source is told to do on all its connections.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    Say(String),
    Drop,
    Close(u16),
}

/// A source that says what the test tells it, and hands over what its connections say.
pub(crate) struct Source {
    pub(crate) addr: SocketAddr,
    pub(crate) heard: mpsc::UnboundedReceiver<String>,
    orders: broadcast::Sender<Do>,
    _task: TaskGuard<()>,
}

impl Source {
    /// `greeting` is said first; `echo` answers each message with itself.
    pub(crate) async fn start(greeting: Option<&'static str>, echo: bool) -> Self {
        let net = TokioNet::current();
        let listener = net.bind(loopback(), ListenOptions::default()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (orders, _) = broadcast::channel(1000);
        let (heard_tx, heard) = mpsc::unbounded_channel();
        let make_orders = orders.clone();
        let task = net.clone().spawn("source", async move {
            let mut legs = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let leg = leg(stream, greeting, echo, make_orders.subscribe(), heard_tx.clone());
                legs.push(net.spawn("source-leg", leg).guard());
            }
        });
        Self { addr, heard, orders, _task: task.guard() }
    }

    pub(crate) async fn v1() -> Self {
        Self::start(Some("Connected"), false).await
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/feed", self.addr)
    }

    pub(crate) fn order(&self, order: Do) {
        self.orders.send(order).expect("nobody is connected to the source");
    }

    pub(crate) fn tick(&self, symbol: &str, n: u32) {
        self.order(Do::Say(tick(symbol, n)));
    }

    /// The next request that names exactly these symbols.
    pub(crate) async fn subscribed(&mut self, symbols: &[&str]) {
        soon(async {
            loop {
                let request = Request::decode(&self.heard.recv().await.unwrap()).unwrap();
                let mut names: Vec<&str> = request.symbols.iter().map(|symbol| symbol.as_str()).collect();
                names.sort_unstable();
                if names == symbols {
                    return;
                }
            }
        })
        .await;
    }
}

pub(crate) fn tick(symbol: &str, n: u32) -> String {
    format!(r#"{{"symbol":"{symbol}","ts":"{n}"}}"#)
}

async fn leg(
    stream: TokioStream,
    greeting: Option<&'static str>,
    echo: bool,
    mut orders: broadcast::Receiver<Do>,
    heard: mpsc::UnboundedSender<String>,
) {
    let Ok(accepted) = ws::accept(stream, ws::Limits::default(), |_| Answer::Accept { subprotocol: None }).await else {
        return;
    };
    let mut session = accepted.session;
    if let Some(greeting) = greeting {
        session.send(Message::text(greeting)).await.unwrap();
    }
    loop {
        wire::select! {
            order = orders.recv() => match order.unwrap() {
                Do::Say(text) => {
                    if session.send(Message::text(text)).await.is_err() { return }
                }
                Do::Drop => return,
                Do::Close(code) => {
                    let frame = ws::CloseFrame { code: code.into(), reason: "scripted".into() };
                    let _ = session.send(Message::Close(Some(frame))).await;
                    while let Some(Ok(_)) = session.next().await {}
                    return;
                }
            },
            message = session.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let _ = heard.send(text.to_string());
                    if echo && session.send(Message::Text(text)).await.is_err() { return }
                }
                Some(Ok(_)) => {}
                _ => return,
            },
        }
    }
}

/// Keeps what the proxy reports.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<Event>>>);

impl Sink for Record {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Record {
    /// The epochs of the legs so far, in order.
    pub(crate) fn epochs(&self) -> Vec<u64> {
        let epoch = |event: &Event| if let Event::ProxyLegUp { epoch, .. } = event { Some(*epoch) } else { None };
        self.0.lock().unwrap().iter().filter_map(epoch).collect()
    }

    pub(crate) fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| matches(event)).count()
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) config: Config,
    pub(crate) handle: Handle<TokioNet>,
    pub(crate) record: Record,
    pub(crate) stop: CancellationToken,
    pub(crate) task: TaskGuard<()>,
}

impl Proxy {
    pub(crate) async fn start(mode: Mode, upstreams: &[String], adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(loopback(), mode, upstreams.iter().cloned());
        config.gauge_interval = Duration::from_millis(50);
        // A test on a busy machine must not look like a dead source.
        config.health.ping_interval = PATIENCE;
        config.health.pong_timeout = PATIENCE;
        config.health.stale_after = PATIENCE;
        adjust(&mut config);
        let net = TokioNet::current();
        let record = Record::default();
        let observer = Observer::new(Arc::new(record.clone()));
        let server = Server::bind(config.clone(), Policies::default(), net.clone(), observer).await.unwrap();
        let (addr, admin) = (server.local_addr(), server.admin_addr());
        let handle = server.handle();
        let stop = CancellationToken::new();
        let task = net.spawn("proxy", server.run(stop.clone())).guard();
        Self { addr, admin, config, handle, record, stop, task }
    }
}

impl Proxy {
    /// Goes over to a configuration that differs: the keys that changed, or why it is refused.
    pub(crate) fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) -> Result<Vec<&'static str>, String> {
        let mut config = self.config.clone();
        change(&mut config);
        let changes = self.handle.reconfigure(config.clone()).map_err(|error| error.to_string())?;
        self.config = config;
        Ok(changes.iter().map(|changed| changed.key).collect())
    }
}

/// A client of the proxy.
pub(crate) struct Client<S = TokioStream> {
    pub(crate) session: Session<S>,
}

impl Client {
    pub(crate) async fn try_connect(addr: SocketAddr, strong: bool) -> Result<Self, ws::ConnectError> {
        let stream = TokioNet::current().connect(addr, SocketOptions::default()).await.unwrap();
        let subprotocols = if strong { vec![ws::SUBPROTOCOL.to_owned()] } else { Vec::new() };
        let ask = Ask { url: format!("ws://{addr}/"), subprotocols, ..Ask::default() };
        let connected = soon(ws::connect(stream, &ask, ws::Limits::default())).await?;
        assert_eq!(connected.subprotocol.is_some(), strong);
        Ok(Self { session: connected.session })
    }

    pub(crate) async fn connect(addr: SocketAddr, strong: bool) -> Self {
        Self::try_connect(addr, strong).await.unwrap()
    }

    /// Connects, reads the greeting and subscribes.
    pub(crate) async fn subscribe(addr: SocketAddr, strong: bool, symbols: &str) -> Self {
        let mut client = Self::connect(addr, strong).await;
        assert_eq!(client.text().await, "Connected");
        client.say(&format!(r#"{{"userKey":"K","symbol":"{symbols}"}}"#)).await;
        client
    }

    /// Its own address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.session.get_ref().local_addr().unwrap()
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn say(&mut self, text: &str) {
        soon(self.session.send(Message::text(text))).await.unwrap();
    }

    /// Waits until the proxy has read all that was said: a pong comes back for a ping.
    pub(crate) async fn settle(&mut self) {
        self.session.send(Message::Ping(wire::ws::Bytes::new())).await.unwrap();
        loop {
            match soon(self.session.next()).await.unwrap().unwrap() {
                Message::Pong(_) => return,
                Message::Text(text) if text.as_str() == "Connected" => {}
                other => panic!("{other:?} before the pong"),
            }
        }
    }

    /// The next text.
    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.to_string(),
            other => panic!("expected a text, got {other:?}"),
        }
    }

    /// The next message that is no ping.
    pub(crate) async fn next(&mut self) -> Message {
        soon(async {
            loop {
                match self.session.next().await.expect("the session ended").unwrap() {
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => return other,
                }
            }
        })
        .await
    }

    /// The code of the Close frame that comes next.
    pub(crate) async fn closed(&mut self) -> u16 {
        match self.next().await {
            Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("expected a close frame with a code, got {other:?}"),
        }
    }
}
