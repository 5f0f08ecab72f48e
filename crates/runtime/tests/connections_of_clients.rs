//! What a client does with its connections: it makes, shares, keeps, replaces and releases them (RFC 8323 §3, §5.5).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connected;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use connected::raw::{Raw, frame};
use connected::{Server, bounded};
use coracle_engine::{ExchangeError, RequestError};
use coracle_router::{Notifier, Response, Router, State, get};
use coracle_runtime::{Client, Config, Endpoint, Error, Notification, Observation};
use coracle_wire::{OptionNumber, Signal};
use tokio::net::TcpListener;

/// A server that is played.
struct Played(TcpListener);

impl Played {
    async fn start() -> Played {
        Played(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn uri(&self, path: &str) -> String {
        format!("coap+tcp://{}{path}", self.0.local_addr().unwrap())
    }

    /// Takes a connection, before any CSM.
    async fn accept(&self) -> Raw {
        Raw::new(bounded(self.0.accept()).await.unwrap().0)
    }

    async fn open(&self) -> Raw {
        let mut raw = self.accept().await;
        raw.greet().await;
        raw
    }
}

#[tokio::test]
async fn a_client_ends_with_a_release() {
    let server = Played::start().await;
    for is_dropped in [false, true] {
        let client = Client::new().unwrap();
        let asks = tokio::spawn(client.get(server.uri("/a")).send());
        let mut raw = server.open().await;
        raw.answer(b"1").await;
        assert_eq!(asks.await.unwrap().unwrap().text().unwrap(), "1");
        let closed = tokio::spawn(async move {
            if !is_dropped {
                client.close().await;
            }
        });
        assert_eq!(raw.next().await.unwrap().code, "7.04");
        assert_eq!(raw.next().await, None);
        // It waits for the end of our side as well.
        drop(raw);
        bounded(closed).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_released() {
    let server = Played::start().await;
    let mut config = Config::default();
    config.connections.idle_after = Some(Duration::from_millis(50));
    let client = Client::with_config(config).unwrap();
    let asks = tokio::spawn(client.get(server.uri("/a")).send());
    let mut raw = server.open().await;
    raw.answer(b"1").await;
    asks.await.unwrap().unwrap();
    assert_eq!(raw.next().await.unwrap().code, "7.04");
    assert_eq!(raw.next().await, None);
    drop(raw);
    // The next request makes another one.
    let asks = tokio::spawn(client.get(server.uri("/a")).send());
    server.open().await.answer(b"2").await;
    assert_eq!(asks.await.unwrap().unwrap().text().unwrap(), "2");
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_is() {
    let server = Played::start().await;
    let client = Client::new().unwrap();
    let asks = tokio::spawn(client.get(server.uri("/a")).send());
    let mut raw = server.open().await;
    // What runs when it is released is finished.
    let asked = raw.next().await.unwrap();
    let hold_off: &[(OptionNumber, &[u8])] = &[(OptionNumber(4), &[30])];
    raw.send(&frame(Signal::RELEASE, &[], hold_off, &[])).await;
    let held_off = async {
        loop {
            // Until the Release has come, this is a second request on the connection.
            match bounded(
                client
                    .get(server.uri("/b"))
                    .timeout(Duration::from_millis(200))
                    .send(),
            )
            .await
            {
                Err(Error::HeldOff { wait }) => return wait,
                Err(Error::Exchange(ExchangeError::Timeout)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let wait = bounded(held_off).await;
    assert!(
        wait > Duration::from_secs(20) && wait <= Duration::from_secs(30),
        "{wait:?}"
    );
    raw.send(&frame(coracle_wire::Status::CONTENT, &asked.token, &[], b"last"))
        .await;
    assert_eq!(asks.await.unwrap().unwrap().text().unwrap(), "last");
    bounded(async { while raw.next().await.is_some() {} }).await;
}

/// The same where the connection ends together with the Release.
#[tokio::test]
async fn a_server_that_leaves_at_once_is_left_alone_as_well() {
    let server = Played::start().await;
    let client = Client::new().unwrap();
    let asks = tokio::spawn(client.get(server.uri("/a")).send());
    let mut raw = server.open().await;
    raw.next().await.unwrap();
    let hold_off: &[(OptionNumber, &[u8])] = &[(OptionNumber(4), &[30])];
    raw.send(&frame(Signal::RELEASE, &[], hold_off, &[])).await;
    drop(raw);
    // It is safe, and would otherwise go again on another connection.
    let error = bounded(asks).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::HeldOff { .. }), "{error:?}");
}

/// The option goes to 194 days.
#[tokio::test]
async fn nobody_is_left_alone_for_longer_than_a_day() {
    let server = Played::start().await;
    let client = Client::new().unwrap();
    let asks = tokio::spawn(client.get(server.uri("/a")).send());
    let mut raw = server.open().await;
    raw.next().await.unwrap();
    let hold_off: &[(OptionNumber, &[u8])] = &[(OptionNumber(4), &[0xff, 0xff, 0xff])];
    raw.send(&frame(Signal::RELEASE, &[], hold_off, &[])).await;
    drop(raw);
    let error = bounded(asks).await.unwrap().unwrap_err();
    let Error::HeldOff { wait } = error else {
        panic!("{error:?}");
    };
    assert!(wait <= Duration::from_secs(24 * 3600), "{wait:?}");
}

/// It would be as long the next time.
#[tokio::test]
async fn an_answer_that_is_too_long_is_not_asked_for_again() {
    let server = Played::start().await;
    let mut config = Config::default();
    config.connections.max_message_size = 2000;
    let client = Client::with_config(config).unwrap();
    let asks = tokio::spawn(client.get(server.uri("/a")).send());
    let mut raw = server.open().await;
    raw.answer(&[7; 3000]).await;
    assert_eq!(raw.next().await.unwrap().code, "7.05");
    let expected = ExchangeError::Disconnected { sent: true };
    let ended = tokio::select! {
        ended = asks => ended.unwrap(),
        _ = server.open() => panic!("it comes back"),
    };
    let error = ended.unwrap_err();
    assert!(
        matches!(error, Error::Exchange(error) if error == expected),
        "{error}"
    );
}

/// RFC 8323 §5.5 without Hold-Off: another connection may be made at once.
#[tokio::test]
async fn a_connection_that_is_released_is_replaced() {
    let server = Played::start().await;
    let client = Client::new().unwrap();
    for payload in [b"1", b"2"] {
        let asks = tokio::spawn(client.get(server.uri("/a")).send());
        let mut raw = server.open().await;
        raw.answer(payload).await;
        assert_eq!(asks.await.unwrap().unwrap().payload(), &payload[..]);
        raw.send(&frame(Signal::RELEASE, &[], &[], &[])).await;
        assert_eq!(raw.next().await, None);
    }
}

#[tokio::test]
async fn a_safe_request_goes_again_once_when_the_connection_breaks() {
    let server = Played::start().await;
    let client = Client::new().unwrap();
    let asks = tokio::spawn(client.get(server.uri("/a")).send());
    let mut raw = server.open().await;
    raw.next().await.unwrap();
    drop(raw);
    server.open().await.answer(b"again").await;
    assert_eq!(asks.await.unwrap().unwrap().text().unwrap(), "again");

    let asks = tokio::spawn(client.get(server.uri("/a")).send());
    for _ in 0..2 {
        let mut raw = server.open().await;
        raw.next().await.unwrap();
        drop(raw);
    }
    let error = asks.await.unwrap().unwrap_err();
    let expected = ExchangeError::Disconnected { sent: true };
    assert!(
        matches!(error, Error::Exchange(error) if error == expected),
        "{error}"
    );
}

#[tokio::test]
async fn what_may_have_been_executed_does_not_go_again() {
    let server = Played::start().await;
    let client = Client::new().unwrap();
    let asks = tokio::spawn(client.post(server.uri("/a")).payload("1").send());
    let mut raw = server.open().await;
    raw.next().await.unwrap();
    drop(raw);
    let error = asks.await.unwrap().unwrap_err();
    let expected = ExchangeError::Disconnected { sent: true };
    assert!(
        matches!(error, Error::Exchange(error) if error == expected),
        "{error}"
    );
    assert!(error.to_string().contains("unknown"), "{error}");
}

/// A server that was started anew is found by the next request that does no harm.
#[tokio::test]
async fn a_connection_that_turns_out_to_be_gone_is_replaced() {
    let server = Played::start().await;
    let client = Client::new().unwrap();
    for number in 0..20 {
        let payload = [number];
        let asks = tokio::spawn(client.get(server.uri("/a")).send());
        let mut raw = server.open().await;
        raw.answer(&payload).await;
        assert_eq!(asks.await.unwrap().unwrap().payload(), &payload[..]);
        drop(raw);
    }
}

#[tokio::test]
async fn those_who_ask_first_wait_for_one_connection() {
    let server = Played::start().await;
    let client = Client::new().unwrap();
    let asks: Vec<_> = (0..5)
        .map(|_| tokio::spawn(client.get(server.uri("/a")).send()))
        .collect();
    let mut raw = server.accept().await;
    // Nothing but the CSM comes before ours (RFC 8323 §3.3).
    raw.greet().await;
    for _ in 0..5 {
        raw.answer(b"1").await;
    }
    for asks in asks {
        assert_eq!(asks.await.unwrap().unwrap().text().unwrap(), "1");
    }
}

#[tokio::test]
async fn who_cannot_be_reached_is_named() {
    let client = Client::new().unwrap();
    let address = Played::start().await.0.local_addr().unwrap();
    let error = bounded(client.get(format!("coap+tcp://{address}/a")).send())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    // The next attempt is made anew.
    let error = bounded(client.ping(format!("coap+tcp://{address}")))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error:?}");
}

#[tokio::test]
async fn the_time_for_a_request_is_also_that_for_its_connection() {
    let server = Played::start().await;
    let mut config = Config::default();
    config.connections.open_within = Duration::from_millis(400);
    let client = Client::with_config(config).unwrap();
    // It is taken and says nothing.
    let hurried = client
        .get(server.uri("/a"))
        .timeout(Duration::from_millis(50))
        .send();
    let error = bounded(hurried).await.unwrap_err();
    assert!(
        matches!(error, Error::Exchange(ExchangeError::Timeout)),
        "{error:?}"
    );
    let waits = client.waits_for(server.uri("/a")).unwrap();
    assert!(waits.contains("no CSM"), "{waits}");
    let error = bounded(client.get(server.uri("/a")).send()).await.unwrap_err();
    assert!(error.to_string().contains("no CSM"), "{error}");
    assert_eq!(client.waits_for(server.uri("/a")), None);
}

/// A server with an observable state.
fn observed(state: &Notifier<u32>) -> Router {
    async fn read(State(state): State<Notifier<u32>>) -> Response {
        state.observed(|number| number.to_string())
    }
    Router::new()
        .route("/state", get(read).observable())
        .with_state(state.clone())
}

async fn state(observation: &mut Observation) -> Option<String> {
    match bounded(observation.next()).await.unwrap().unwrap() {
        Notification::State(answer) => Some(answer.text().unwrap().to_owned()),
        Notification::Stale => None,
    }
}

fn serve_at(address: SocketAddr, router: Router) -> Server {
    Server::serve(Endpoint::bind(&format!("coap+tcp://{address}")).unwrap(), router)
}

#[tokio::test]
async fn an_observation_outlives_its_server() {
    let notifier = Notifier::new(1);
    let server = Server::start(observed(&notifier));
    let (address, uri) = (server.address(), server.uri("/state"));
    let client = Client::new().unwrap();
    let mut observation = bounded(client.observe(&uri).observe()).await.unwrap();
    assert_eq!(state(&mut observation).await.as_deref(), Some("1"));
    notifier.set(2);
    assert_eq!(state(&mut observation).await.as_deref(), Some("2"));
    assert_eq!(server.statistics.read().await.observers, 1);

    server.shut_down().await;
    assert_eq!(state(&mut observation).await, None, "it is stale");
    notifier.set(3);
    let server = serve_at(address, observed(&notifier));
    let began = Instant::now();
    let seen = loop {
        if let Some(seen) = state(&mut observation).await {
            break seen;
        }
    };
    assert_eq!(seen, "3");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "the waits double from one second on"
    );
    notifier.set(4);
    assert_eq!(state(&mut observation).await.as_deref(), Some("4"));

    bounded(observation.cancel()).await;
    assert_eq!(server.statistics.read().await.observers, 0);
    bounded(client.close()).await;
    server.shut_down().await;
}

/// RFC 8323 §3.3: both sides may ask.
#[tokio::test]
async fn a_server_asks_over_a_connection_that_its_client_made() {
    let (paths, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let router = Router::new().route(
        "/me",
        get(move |request: coracle_router::Request| {
            paths.send(request.path).unwrap();
            async { "it is you" }
        }),
    );
    let server = Server::start(router);
    let mut raw = Raw::open(server.address()).await;
    raw.send(&connected::raw::get("me", b"t")).await;
    assert_eq!(raw.next().await.unwrap().payload, b"it is you");
    let path = seen.recv().await.unwrap();
    let back = server.client.over(&path);
    let asks = tokio::spawn(back.get("/led?on").send());
    raw.answer(b"lit").await;
    assert_eq!(asks.await.unwrap().unwrap().text().unwrap(), "lit");
    drop(raw);
    let first = bounded(back.get("/led").send()).await.unwrap_err();
    assert!(
        matches!(
            first,
            Error::Request(RequestError::NotConnected) | Error::Exchange(ExchangeError::Disconnected { .. })
        ),
        "{first:?}"
    );
    let error = bounded(back.get("/led").send()).await.unwrap_err();
    assert!(
        matches!(error, Error::Request(RequestError::NotConnected)),
        "{error:?}"
    );
    server.shut_down().await;
}

/// A device behind a firewall: it connects, and is asked over that connection by the server.
#[tokio::test]
async fn a_device_that_connects_is_asked_for_its_resources() {
    let (paths, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(Router::new().route(
        "/register",
        get(move |request: coracle_router::Request| {
            paths.send(request.path).unwrap();
            async { "welcome" }
        }),
    ));
    let notifier = Notifier::new(20);
    let device = Server::serve(Endpoint::bind("coap://127.0.0.1:0").unwrap(), observed(&notifier));
    bounded(device.client.get(server.uri("/register")).send())
        .await
        .unwrap();
    let back = server.client.over(&seen.recv().await.unwrap());
    assert_eq!(
        bounded(back.get("/state").send()).await.unwrap().text().unwrap(),
        "20"
    );
    let mut observation = bounded(back.observe("/state").observe()).await.unwrap();
    assert_eq!(state(&mut observation).await.as_deref(), Some("20"));
    notifier.set(21);
    assert_eq!(state(&mut observation).await.as_deref(), Some("21"));
    bounded(back.ping("/")).await.unwrap();
    assert_eq!(server.statistics.read().await.connections_accepted, 1);
    // The device ends the connection, and with it the observation, which is nobody else's to renew.
    bounded(device.client.close()).await;
    let end = bounded(async {
        loop {
            match observation.next().await {
                Some(Ok(_)) => {}
                end => break end,
            }
        }
    });
    assert!(matches!(
        end.await,
        Some(Err(Error::Request(RequestError::NotConnected)))
    ));
    device.shut_down().await;
    server.shut_down().await;
}

/// The same works where datagrams are.
#[tokio::test]
async fn who_asked_in_datagrams_is_asked_in_datagrams() {
    let (paths, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let router = Router::new().route(
        "/register",
        get(move |request: coracle_router::Request| {
            paths.send(request.path).unwrap();
            async { "welcome" }
        }),
    );
    let server = Server::serve(Endpoint::bind("coap://127.0.0.1:0").unwrap(), router);
    let device = Endpoint::bind("coap://127.0.0.1:0").unwrap();
    let device = Server::serve(device, observed(&Notifier::new(7)));
    bounded(device.client.get(server.uri("/register")).send())
        .await
        .unwrap();
    let back = server.client.over(&seen.recv().await.unwrap());
    let answer = bounded(back.get("/state").send()).await.unwrap();
    assert_eq!((answer.text().unwrap(), answer.remote()), ("7", device.address()));
    device.shut_down().await;
    server.shut_down().await;
}

/// What is observed is no request that runs: its connection can be released at once, by either side.
#[tokio::test]
async fn an_observation_does_not_keep_a_connection_that_is_released() {
    let notifier = Notifier::new(1);
    let server = Server::start(observed(&notifier));
    let client = Client::new().unwrap();
    let mut observation = bounded(client.observe(server.uri("/state")).observe())
        .await
        .unwrap();
    assert_eq!(state(&mut observation).await.as_deref(), Some("1"));
    let began = Instant::now();
    bounded(client.close()).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(state(&mut observation).await, None, "it is stale");
    // It is registered anew on another connection, as nobody has cancelled it.
    assert_eq!(state(&mut observation).await.as_deref(), Some("1"));
    let began = Instant::now();
    server.shut_down().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
