//! The admin address over a real socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proxy::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::event::{Event, Why};
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

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_goes_to_nobody() {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| config.admin = Some(loopback())).await;
    let mut client = Client::subscribe(proxy.addr, false, "A").await;
    source.subscribed(&["A"]).await;
    for garbage in ["{garbage", r#"{"symbol":"A","ts":"#] {
        source.order(Do::Say(garbage.to_owned()));
    }
    source.tick("A", 1);
    assert_eq!(client.text().await, tick("A", 1));
    assert_eq!(metric(&proxy, "messages_unreadable_total").await, 2.0);
    assert_eq!(metric(&proxy, "messages_received_total").await, 1.0);
    assert_eq!(metric(&proxy, "clients_protocol_errors_total").await, 0.0);
    let mut rude = Client::subscribe(proxy.addr, false, "A").await;
    rude.say("{").await;
    while let wire::ws::Message::Text(_) = rude.next().await {}
    assert_eq!(metric(&proxy, "clients_protocol_errors_total").await, 1.0);
    assert_eq!(metric(&proxy, "clients_over_quota_total").await, 0.0);
}

/// The status and the body.
async fn answer(proxy: &Proxy, request: &str) -> (u16, String) {
    let text = ask(proxy.admin.unwrap(), request).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

async fn json(proxy: &Proxy, request: &str) -> serde_json::Value {
    let (status, body) = answer(proxy, request).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn with_admin(config: &mut proxy::Config) {
    config.admin = Some(loopback());
}

#[tokio::test]
async fn clients_are_listed_in_pages_and_one_can_be_sent_away() {
    let mut source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[source.url()], with_admin).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::subscribe(proxy.addr, false, "A,B").await);
    }
    source.subscribed(&["A", "B"]).await;
    soon(async {
        while json(&proxy, "GET /clients").await["clients"].as_array().unwrap().iter().any(|it| it["symbols"] != 2) {}
    })
    .await;
    let page = json(&proxy, "GET /clients?limit=2").await;
    assert_eq!((page["count"].as_u64(), page["clients"].as_array().unwrap().len()), (Some(3), 2));
    let next = page["next"].as_str().unwrap();
    let rest = json(&proxy, &format!("GET /clients?limit=2&after={next}")).await;
    assert_eq!((rest["clients"].as_array().unwrap().len(), &rest["next"]), (1, &serde_json::Value::Null));
    let one = &rest["clients"][0];
    assert_eq!(
        [&one["symbols"], &one["queue_bytes"], &one["dropped"]].map(|it| it.as_u64()),
        [Some(2), Some(0), Some(0)]
    );

    let peer = one["peer"].as_str().unwrap().to_owned();
    assert_eq!(answer(&proxy, &format!("DELETE /clients/{peer}?code=1006")).await.0, 422);
    assert_eq!(answer(&proxy, "DELETE /clients/127.0.0.1:1").await.0, 404);
    assert_eq!(answer(&proxy, "DELETE /clients/me").await.0, 422);
    let said = answer(&proxy, &format!("DELETE /clients/{peer}")).await;
    assert_eq!(said, (202, format!("closing {peer} with 1008\n")));
    let gone = clients.iter().position(|client| client.local().to_string() == peer).unwrap();
    assert_eq!(clients.remove(gone).closed().await, 1008);
    source.tick("A", 2);
    for client in &mut clients {
        assert_eq!(client.text().await, tick("A", 2), "the others stay");
    }
    let operator = |event: &Event| matches!(event, Event::ProxyClientClose { why: Why::Operator, .. });
    assert_eq!(proxy.record.count(operator), 1);
    soon(async { while json(&proxy, "GET /clients").await["count"] != 2 {} }).await;
}

#[tokio::test]
async fn a_client_of_relay_is_sent_away_also_while_no_source_takes_it() {
    let proxy = Proxy::start(Mode::Relay, &["ws://127.0.0.1:1/".to_owned()], with_admin).await;
    let mut client = Client::connect(proxy.addr, false).await;
    let peer = soon(async {
        loop {
            if let Some(peer) = json(&proxy, "GET /clients").await["clients"][0]["peer"].as_str() {
                return peer.to_owned();
            }
        }
    })
    .await;
    assert_eq!(answer(&proxy, &format!("DELETE /clients/{peer}?code=4321")).await.0, 202);
    assert_eq!(client.closed().await, 4321);
}

#[tokio::test]
async fn an_instance_is_drained_and_used_again_and_its_last_failure_is_told() {
    let mut sources = [Source::v1().await, Source::v1().await];
    let urls: Vec<_> = sources.iter().map(Source::url).collect();
    let proxy = Proxy::start(Mode::Fanout, &urls, with_admin).await;
    let mut client = Client::subscribe(proxy.addr, false, "A").await;
    let [first, second] = &mut sources;
    first.subscribed(&["A"]).await;
    first.tick("A", 1);
    client.text().await;
    assert_eq!(json(&proxy, "GET /upstreams").await[0]["last_failure"], serde_json::Value::Null);

    assert_eq!(
        answer(&proxy, "POST /upstreams/0/drain").await,
        (200, "upstream 0 gets no new connections\n".to_owned())
    );
    second.subscribed(&["A"]).await;
    second.tick("A", 2);
    assert_eq!(client.text().await, tick("A", 2), "the leg moved");
    let (status, why) = answer(&proxy, "POST /upstreams/1/drain").await;
    assert_eq!((status, why.as_str()), (409, "upstream 1 is the last one in use\n"));
    assert_eq!(json(&proxy, "GET /upstreams").await[0]["drained"], true);

    assert_eq!(answer(&proxy, "POST /upstreams/0/undrain").await.0, 200);
    second.order(Do::Drop);
    first.subscribed(&["A"]).await;
    first.tick("A", 3);
    assert_eq!(client.text().await, tick("A", 3));
    let failure = json(&proxy, "GET /upstreams").await[1]["last_failure"]["why"].to_string();
    assert!(failure.contains("lost the leg"), "{failure}");

    assert_eq!(answer(&proxy, "POST /upstreams/0/weight?value=250").await.0, 200);
    assert_eq!(json(&proxy, "GET /upstreams").await[0]["weight"], 250);
    for (request, status) in [
        ("POST /upstreams/0/weight", 422),
        ("POST /upstreams/0/weight?value=0", 422),
        ("POST /upstreams/0/weight?value=1001", 422),
        ("POST /upstreams/7/drain", 404),
        ("POST /upstreams/x/drain", 404),
        ("POST /upstreams/0/explode", 404),
        ("GET /upstreams/0/drain", 405),
        ("GET /clients?limit=0", 422),
        ("GET /clients?after=me", 422),
        ("POST /clients", 405),
        ("GET /", 404),
        ("GET /%zz", 400),
        ("POST /reload", 422),
    ] {
        let (found, body) = answer(&proxy, request).await;
        assert_eq!(found, status, "{request}: {body}");
        assert_eq!(body.lines().count(), 1, "{request}: {body}");
    }
}

#[tokio::test]
async fn the_configuration_is_shown_in_the_shape_of_the_file_without_secrets() {
    let source = Source::v1().await;
    let proxy = Proxy::start(Mode::Fanout, &[format!("{}?token=s3cret", source.url())], |config| {
        with_admin(config);
        config.user_key = proxy::Secret::new("s3cret");
        config.client_keys = vec![proxy::Secret::new("s3cret"), proxy::Secret::new("s4cret")];
    })
    .await;
    let shown = json(&proxy, "GET /config").await;
    assert_eq!(shown["mode"], "fanout");
    assert_eq!([&shown["user_key"], &shown["client_keys"]], ["***", "*** (2)"]);
    assert_eq!(
        [&shown["limits"]["clients_max"], &shown["drain_code"]].map(|it| it.as_u64()),
        [Some(10_000), Some(1001)]
    );
    assert_eq!(shown["backoff"]["cap"], "10s");
    assert!(!shown.to_string().contains("3cret"), "{shown}");
}

#[tokio::test]
async fn with_a_token_only_the_health_pages_are_open() {
    let source = Source::v1().await;
    let mut proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| {
        with_admin(config);
        config.admin_token = Some(proxy::Secret::new("s3cret"));
    })
    .await;
    // What follows the target stands in place of the end of the request line.
    let bearing = |token: &str| format!("GET /config HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX:");
    let denied = ask(proxy.admin.unwrap(), "GET /config").await;
    assert!(denied.starts_with("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n"), "{denied}");
    for request in ["GET /metrics", "GET /clients", "POST /drain", &bearing("s3cre"), &bearing("s3crett"), &bearing("")]
    {
        assert_eq!(answer(&proxy, request).await.0, 401, "{request}");
    }
    for open in ["GET /healthz", "GET /readyz"] {
        assert_ne!(answer(&proxy, open).await.0, 401, "{open}");
    }
    assert_eq!(json(&proxy, &bearing("s3cret")).await["admin_token"], "***");
    proxy.reconfigure(|config| config.admin_token = Some(proxy::Secret::new("other"))).unwrap();
    assert_eq!(answer(&proxy, &bearing("s3cret")).await.0, 401);
    assert_eq!(answer(&proxy, &bearing("other")).await.0, 200);
}
