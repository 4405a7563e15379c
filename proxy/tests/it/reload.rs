//! A running proxy goes over to another configuration, and nobody is hurt.

use std::time::Duration;

use proxy::{Mode, Secret, Sources, Upstream};
use wire::event::Event;
use wire::feed::Protocol;
use wire::ws::ConnectError;

use crate::bench::{Client, Do, Proxy, Source, tick};

fn closes(proxy: &Proxy) -> usize {
    proxy.record.count(|event| matches!(event, Event::ProxyClientClose { .. }))
}

#[tokio::test]
async fn new_limits_count_at_once_and_nobody_inside_pays_for_them() {
    let source = Source::v1().await;
    let mut proxy = Proxy::start(Mode::Fanout, &[source.url()], |config| config.limits.clients_max = 2).await;
    let mut inside = [Client::connect(proxy.addr, false).await, Client::connect(proxy.addr, false).await];
    for client in &mut inside {
        assert_eq!(client.text().await, "Connected");
    }
    let changes = proxy.reconfigure(|config| {
        config.limits.clients_max = 1;
        config.limits.retry_after_s = 7;
        config.drain_time = Duration::from_secs(1);
    });
    assert_eq!(changes.unwrap(), ["drain_time", "limits.clients_max", "limits.retry_after_s"]);
    assert!(matches!(Client::try_connect(proxy.addr, false).await, Err(ConnectError::Refused { status: 503, .. })));
    proxy.reconfigure(|config| config.limits.clients_max = 3).unwrap();
    assert_eq!(Client::connect(proxy.addr, false).await.text().await, "Connected");
    assert_eq!(closes(&proxy), 0);
}

#[tokio::test]
async fn what_cannot_change_is_refused_whole() {
    let source = Source::v1().await;
    let mut proxy = Proxy::start(Mode::Fanout, &[source.url()], |_| {}).await;
    let error = proxy.reconfigure(|config| {
        config.mode = Mode::Relay;
        config.limits.clients_max = 1;
    });
    let error = error.unwrap_err();
    assert!(error.contains("mode: fanout -> relay") && error.contains("restart it"), "{error}");
    let error = proxy.reconfigure(|config| config.limits.clients_max = 0).unwrap_err();
    assert_eq!(error, "bad configuration: limits.clients_max must not be zero");
    let mut clients = [Client::connect(proxy.addr, false).await, Client::connect(proxy.addr, false).await];
    for client in &mut clients {
        assert_eq!(client.text().await, "Connected", "the old limit still counts");
    }
    assert_eq!(proxy.reconfigure(|_| {}).unwrap(), [""; 0]);
}

#[tokio::test]
async fn new_keys_count_for_the_next_request_and_leave_those_who_asked_before() {
    let mut source = Source::v1().await;
    let mut proxy = Proxy::start(Mode::Fanout, &[source.url()], |_| {}).await;
    let mut before = Client::subscribe(proxy.addr, false, "A").await;
    source.subscribed(&["A"]).await;
    proxy.reconfigure(|config| config.client_keys = vec![Secret::new("other")]).unwrap();
    let mut after = Client::subscribe(proxy.addr, false, "A").await;
    assert_eq!(after.closed().await, 1008);
    source.tick("A", 1);
    assert_eq!(before.text().await, tick("A", 1));
}

#[tokio::test]
async fn the_leg_of_fan_out_moves_when_its_instance_is_named_no_more() {
    let mut sources = [Source::v1().await, Source::v1().await];
    let urls: Vec<_> = sources.iter().map(Source::url).collect();
    let mut proxy = Proxy::start(Mode::Fanout, &urls[..1], |_| {}).await;
    let mut client = Client::subscribe(proxy.addr, true, "A").await;
    let [first, second] = &mut sources;
    first.subscribed(&["A"]).await;
    first.tick("A", 1);
    assert!(client.text().await.contains(r#""seq":1,"#));
    // One more instance moves nobody.
    proxy.reconfigure(|config| config.upstreams.push(Upstream::new(&urls[1]))).unwrap();
    first.tick("A", 2);
    assert!(client.text().await.contains(r#""seq":2,"#));
    proxy.reconfigure(|config| drop(config.upstreams.remove(0))).unwrap();
    second.subscribed(&["A"]).await;
    second.tick("A", 3);
    assert!(client.text().await.contains(r#""reason":"reset""#));
    assert!(client.text().await.contains(r#""seq":1,"#));
    assert_eq!(closes(&proxy), 0);
    let unhealthy = |event: &Event| matches!(event, Event::ProxyHealth { healthy: false, .. });
    assert_eq!(proxy.record.count(unhealthy), 0, "the instance did nothing wrong");
}

#[tokio::test]
async fn a_reload_says_how_long_a_symbol_is_quiet_before_its_clock_may_go_back() {
    for from in [Sources::Active, Sources::Hot] {
        let mut sources = [Source::v1().await, Source::v1().await];
        let urls: Vec<_> = sources.iter().map(Source::url).collect();
        let mut proxy = Proxy::start(Mode::Fanout, &urls, |config| config.sources = from).await;
        let mut client = Client::subscribe(proxy.addr, false, "A").await;
        let [first, second] = &mut sources;
        first.subscribed(&["A"]).await;
        first.tick("A", 9);
        assert_eq!(client.text().await, tick("A", 9));
        if from == Sources::Hot {
            second.subscribed(&["A"]).await;
            second.tick("A", 9);
        }
        // Before, it was as long as a test waits for anything.
        proxy.reconfigure(|config| config.health.stale_after = Duration::from_secs(1)).unwrap();
        first.order(Do::Drop);
        if from == Sources::Active {
            second.subscribed(&["A"]).await;
        }
        let mut got = None;
        for _ in 0..100 {
            second.tick("A", 5);
            got = tokio::time::timeout(Duration::from_millis(50), client.text()).await.ok();
            if got.is_some() {
                break;
            }
        }
        assert_eq!(got, Some(tick("A", 5)), "{from:?}");
    }
}

#[tokio::test]
async fn clients_of_relay_stay_with_an_instance_that_is_named_no_more_and_new_ones_go_elsewhere() {
    let (old, mut new) = (Source::start(None, true).await, Source::start(None, true).await);
    let mut proxy = Proxy::start(Mode::Relay, &[old.url()], |config| {
        config.protocol = Protocol::Raw;
        config.preamble_messages = 0;
    })
    .await;
    let mut stays = Client::connect(proxy.addr, false).await;
    stays.say("one").await;
    assert_eq!(stays.text().await, "one");
    proxy.reconfigure(|config| config.upstreams = vec![Upstream::new(new.url())]).unwrap();
    let mut goes = Client::connect(proxy.addr, false).await;
    goes.say("two").await;
    assert_eq!(goes.text().await, "two");
    assert_eq!(new.heard.recv().await.unwrap(), "two");
    stays.say("three").await;
    assert_eq!(stays.text().await, "three");
    assert_eq!(closes(&proxy), 0);
}
