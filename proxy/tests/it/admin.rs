//! The admin address over a real socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proxy::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{Network, SocketOptions, TokioNet};

use crate::bench::{Client, Do, Proxy, Source, loopback, soon, tick};
use crate::exposition::{self, Family};

pub(crate) async fn ask(admin: SocketAddr, request: &str) -> String {
    let net = TokioNet::current();
    let mut stream = net.connect(admin, SocketOptions::default()).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    text
}

/// The page, read strictly.
async fn metrics(proxy: &Proxy) -> BTreeMap<String, Family> {
    let answer = ask(proxy.admin.unwrap(), "GET /metrics").await;
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    exposition::parse(page).unwrap_or_else(|error| panic!("{error} in\n{page}"))
}

/// The figure without labels; of a histogram, its count.
pub(crate) async fn metric(proxy: &Proxy, name: &str) -> f64 {
    let family = metrics(proxy).await.remove(&format!("windtunnel_proxy_{name}")).expect(name);
    let suffix = if family.kind == "histogram" { "_count" } else { "" };
    family.samples[&(suffix.to_owned(), Vec::new())]
}

#[tokio::test]
async fn metrics_are_well_formed_and_a_failover_is_measured() {
    let mut sources = [Source::v1().await, Source::v1().await];
    let urls = [format!("{}?key=s3cret", sources[0].url()), sources[1].url()];
    let proxy = Proxy::start(Mode::Fanout, &urls, |config| config.admin = Some(loopback())).await;
    let mut client = Client::subscribe(proxy.addr, false, "A").await;
    let [first, second] = &mut sources;
    first.subscribed(&["A"]).await;
    first.tick("A", 1);
    client.text().await;
    assert_eq!(metric(&proxy, "failover_duration_seconds").await, 0.0);
    first.order(Do::Drop);
    second.subscribed(&["A"]).await;
    second.tick("A", 2);
    client.text().await;
    assert_eq!(metric(&proxy, "failover_duration_seconds").await, 1.0);
    assert_eq!(metric(&proxy, "upstream_dial_duration_seconds").await, 2.0);
    let page = metrics(&proxy).await;
    assert!(page.keys().all(|name| name.starts_with("windtunnel_proxy_")));
    let labels = page["windtunnel_proxy_upstream_healthy"].samples.keys().next().unwrap().1.clone();
    assert_eq!(labels[0], ("source".to_owned(), "0".to_owned()));
    assert!(labels[1].1.ends_with("/feed?***"), "{labels:?}");
}

#[tokio::test]
async fn the_pages_tell_the_truth_and_a_drain_ends_the_proxy() {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        config.admin = Some(loopback());
        config.drain_time = std::time::Duration::from_millis(20);
    })
    .await;
    let mut client = Client::subscribe(proxy.addr, false, "A").await;
    source.subscribed(&["A"]).await;
    source.tick("A", 1);
    assert_eq!(client.text().await, tick("A", 1));
    for (name, value) in
        [("clients", 1.0), ("upstream_legs", 1.0), ("messages_received_total", 1.0), ("queue_bytes", 0.0)]
    {
        assert_eq!(metric(&proxy, name).await, value, "{name}");
    }
    assert!(ask(proxy.admin.unwrap(), "GET /healthz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(proxy.admin.unwrap(), "GET /readyz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(proxy.admin.unwrap(), "GET /upstreams").await.contains(r#""healthy":true"#));
    assert!(ask(proxy.admin.unwrap(), "GET /drain").await.starts_with("HTTP/1.1 405"));
    assert!(ask(proxy.admin.unwrap(), "GET /nothing").await.starts_with("HTTP/1.1 404"));
    assert!(ask(proxy.admin.unwrap(), "POST /drain").await.starts_with("HTTP/1.1 202"));
    assert_eq!(client.closed().await, 1001);
    drop(client);
    soon(proxy.task).await.unwrap();
}
