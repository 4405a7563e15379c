//! The admin address over a real socket.

use proxy::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::net::{Network, SocketOptions, TokioNet};

use crate::bench::{Client, Proxy, Source, loopback, soon, tick};

async fn ask(proxy: &Proxy, request: &str) -> String {
    let net = TokioNet::current();
    let mut stream = net.connect(proxy.admin.unwrap(), SocketOptions::default()).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    text
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
    let metrics = ask(&proxy, "GET /metrics").await;
    for line in ["proxy_clients 1", "proxy_upstream_legs 1", "proxy_messages_received_total 1", "proxy_queue_bytes 0"] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line} is not in {metrics}");
    }
    assert!(ask(&proxy, "GET /healthz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(&proxy, "GET /readyz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(&proxy, "GET /upstreams").await.contains(r#""healthy":true"#));
    assert!(ask(&proxy, "GET /drain").await.starts_with("HTTP/1.1 405"));
    assert!(ask(&proxy, "GET /nothing").await.starts_with("HTTP/1.1 404"));
    assert!(ask(&proxy, "POST /drain").await.starts_with("HTTP/1.1 202"));
    assert_eq!(client.closed().await, 1001);
    drop(client);
    soon(proxy.task).await.unwrap();
}
