//! Client and server of this crate over real sockets on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use coracle_engine::{Config, ExchangeError, TransmissionParameters};
use coracle_router::{BodyStream, Cbor, Json, Notifier, Response, Router, State, get, post, put};
use coracle_runtime::{Client, Endpoint, Error, Notification, RateLimit};
use coracle_wire::{ContentFormat, Status};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Longer than anything here takes; a bound, not a measure.
const BOUND: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Server {
    fn start(router: Router) -> Server {
        let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
        let address = endpoint.local_addrs()[0];
        let (stop, stopped) = oneshot::channel();
        let serve = endpoint.serve(router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let task = tokio::spawn(async move { serve.await });
        Server {
            address,
            stop: Some(stop),
            task,
        }
    }

    fn uri(&self, path: &str) -> String {
        format!("coap://{}{path}", self.address)
    }

    async fn shut_down(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        timeout(BOUND, self.task).await.unwrap().unwrap().unwrap();
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from((i * 7 + i / 256) & 255).unwrap())
        .collect()
}

#[tokio::test]
async fn a_request_is_answered() {
    let server = Server::start(Router::new().route("/hello", get(|| async { "world" })));
    let client = Client::new().unwrap();
    let response = timeout(BOUND, client.get(server.uri("/hello")).send())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(response.status(), Status::CONTENT);
    assert_eq!(response.text().unwrap(), "world");
    assert_eq!(response.remote(), server.address);
    let missing = client.get(server.uri("/nowhere")).send().await.unwrap();
    assert_eq!(missing.status(), Status::NOT_FOUND);
    let wrong = client.delete(server.uri("/hello")).send().await.unwrap();
    assert_eq!(wrong.status(), Status::METHOD_NOT_ALLOWED);
    server.shut_down().await;
}

#[tokio::test]
async fn values_travel_as_json_and_cbor() {
    let double = |Json(n): Json<u32>| async move { Json(n * 2) };
    let halve = |Cbor(x): Cbor<f64>| async move { Cbor(x / 2.0) };
    let server = Server::start(
        Router::new()
            .route("/json", post(double))
            .route("/cbor", post(halve)),
    );
    let client = Client::new().unwrap();
    let response = client.post(server.uri("/json")).json(&21).send().await.unwrap();
    assert_eq!(response.content_format(), Some(ContentFormat::JSON));
    assert_eq!(response.json::<u32>().unwrap(), 42);
    let response = client.post(server.uri("/cbor")).cbor(&0.5).send().await.unwrap();
    assert_eq!(response.cbor::<f32>().unwrap(), 0.25);
    let wrong = client.post(server.uri("/cbor")).json(&1).send().await.unwrap();
    assert_eq!(wrong.status(), Status::UNSUPPORTED_CONTENT_FORMAT);
    assert!(matches!(response.json::<String>(), Err(Error::Payload(_))));
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let body = pattern(200_000);
    let echo = post(|body: Bytes| async move { body });
    let server = Server::start(Router::new().route("/echo", echo));
    let client = Client::new().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    let sent = client
        .post(server.uri("/echo"))
        .payload(body.clone())
        .progress(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
    let response = timeout(BOUND, sent.send()).await.unwrap().unwrap();
    assert_eq!(response.status(), Status::CHANGED);
    assert_eq!(response.payload(), &body);
    assert!(seen.load(Ordering::Relaxed) > 0, "progress was never told");
}

#[tokio::test]
async fn a_body_is_taken_as_a_stream() {
    let parts = Arc::new(AtomicUsize::new(0));
    let counter = parts.clone();
    let count = put(move |mut body: BodyStream| {
        let counter = counter.clone();
        async move {
            let mut len = 0;
            while let Some(part) = body.next().await {
                counter.fetch_add(1, Ordering::Relaxed);
                len += part.map_err(|_| Status::BAD_REQUEST)?.len();
            }
            Ok::<_, Status>(len.to_string())
        }
    });
    let server = Server::start(Router::new().route("/firmware", count));
    let client = Client::new().unwrap();
    let sent = client
        .put(server.uri("/firmware"))
        .payload(pattern(3_000_000))
        .send();
    let response = timeout(BOUND, sent).await.unwrap().unwrap();
    assert_eq!(response.text().unwrap(), "3000000");
    assert_eq!(parts.load(Ordering::Relaxed), 3_000_000_usize.div_ceil(1024));
}

#[tokio::test]
async fn a_slow_handler_answers_separately() {
    let config = Config::default();
    let wait = config.acknowledge_after + Duration::from_millis(300);
    let slow = get(move || async move {
        // tidy: the handler has to be slower than the acknowledgement
        tokio::time::sleep(wait).await;
        "late"
    });
    let server = Server::start(Router::new().route("/slow", slow));
    let client = Client::new().unwrap();
    let parameters = TransmissionParameters::default().with_max_retransmit(0);
    let sent = client.get(server.uri("/slow")).retransmission(parameters).send();
    assert_eq!(
        timeout(BOUND, sent).await.unwrap().unwrap().text().unwrap(),
        "late"
    );
}

/// The first pause begins when the response leaves, not when the driver began to wait for its handler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_response_is_not_repeated_before_its_time() {
    let slow = get(|| async {
        // tidy: the handler has to take longer than the first pause of its response
        tokio::time::sleep(Duration::from_millis(1700)).await;
        "late"
    });
    let mut config = Config::default();
    config.acknowledge_after = Duration::from_millis(50);
    config.transmission = TransmissionParameters::default().with_ack_timeout(Duration::from_secs(1));
    let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap().with_config(config);
    let address = endpoint.local_addrs()[0];
    tokio::spawn(async move { endpoint.serve(Router::new().route("/slow", slow)).await });
    let received = tokio::task::spawn_blocking(move || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        // CON GET /slow, Message ID 1.
        socket.send_to(b"\x40\x01\x00\x01\xb4slow", address).unwrap();
        let mut buf = [0; 64];
        let mut next = || {
            socket
                .recv_from(&mut buf)
                .map(|(length, _)| buf[..length].to_vec())
        };
        let acknowledgement = next().unwrap();
        let response = next().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        (acknowledgement, response, socket.recv_from(&mut [0; 64]).ok())
    });
    let (acknowledgement, response, again) = timeout(BOUND, received).await.unwrap().unwrap();
    assert_eq!(acknowledgement, b"\x60\x00\x00\x01");
    assert_eq!(response[..2], *b"\x40\x45");
    assert_eq!(again, None, "the first pause lasts a second at least");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_keep_a_handler_from_going_on() {
    let slow = get(|| async {
        // tidy: the handler has to wait for something while the flood goes on
        tokio::time::sleep(Duration::from_millis(100)).await;
        "through"
    });
    let server = Server::start(Router::new().route("/slow", slow));
    let (address, over) = (server.address, Arc::new(AtomicBool::new(false)));
    let flood = std::thread::spawn({
        let over = over.clone();
        move || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let started = std::time::Instant::now();
            while !over.load(Ordering::Relaxed) && started.elapsed() < BOUND {
                // A full queue of the socket only means that the flood is one.
                let _ = socket.send_to(b"\x50\x01\x00\x01\xb1x", address);
            }
            started.elapsed()
        }
    });
    let client = Client::new().unwrap();
    let response = timeout(BOUND, client.get(server.uri("/slow")).send()).await;
    over.store(true, Ordering::Relaxed);
    let flooded = flood.join().unwrap();
    assert_eq!(response.unwrap().unwrap().text().unwrap(), "through");
    assert!(flooded < BOUND, "the answer came only when the flood was over");
}

#[tokio::test]
async fn a_handler_that_panics_answers_5_00_and_the_server_lives_on() {
    let broken = get(|| async {
        if std::hint::black_box(true) {
            panic!("on purpose");
        }
        "never"
    });
    let server = Server::start(
        Router::new()
            .route("/broken", broken)
            .route("/fine", get(|| async { "fine" })),
    );
    let client = Client::new().unwrap();
    let response = client.get(server.uri("/broken")).send().await.unwrap();
    assert_eq!(response.status(), Status::INTERNAL_SERVER_ERROR);
    let response = client.get(server.uri("/fine")).send().await.unwrap();
    assert_eq!(response.text().unwrap(), "fine");
}

async fn read(State(state): State<Notifier<u32>>) -> Response {
    state.observed(|value| value.to_string())
}

async fn next_state(observation: &mut coracle_runtime::Observation) -> String {
    match timeout(BOUND, observation.next()).await.unwrap() {
        Some(Ok(Notification::State(response))) => response.text().unwrap().to_owned(),
        other => panic!("a state was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn an_observer_gets_the_latest_state() {
    let state = Notifier::new(0);
    let server = Server::start(Router::new().route("/n", get(read)).with_state(state.clone()));
    let client = Client::new().unwrap();
    let mut observation = timeout(BOUND, client.observe(server.uri("/n")).observe())
        .await
        .unwrap()
        .unwrap();
    assert!(observation.is_observed());
    assert_eq!(next_state(&mut observation).await, "0");
    for value in 1..=5 {
        state.set(value);
        assert_eq!(next_state(&mut observation).await, value.to_string());
    }
    for value in 6..=500 {
        state.set(value);
    }
    let mut last = String::new();
    while last != "500" {
        last = next_state(&mut observation).await;
    }
    timeout(BOUND, observation.cancel()).await.unwrap();
    server.shut_down().await;
}

#[tokio::test]
async fn a_rate_limit_counts_requests_and_not_notifications() {
    let state = Notifier::new(0);
    let limited = Router::new()
        .route("/n", get(read))
        .layer(RateLimit::per_peer(2))
        .with_state(state.clone());
    let server = Server::start(limited);
    let client = Client::new().unwrap();
    let mut observation = client.observe(server.uri("/n")).observe().await.unwrap();
    assert_eq!(next_state(&mut observation).await, "0");
    for value in 1..=10 {
        state.set(value);
        assert_eq!(next_state(&mut observation).await, value.to_string());
    }
    let second = client.get(server.uri("/n")).send().await.unwrap();
    assert_eq!(second.status(), Status::CONTENT);
    let third = client.get(server.uri("/n")).send().await.unwrap();
    assert_eq!(third.status(), Status::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn nobody_listening_is_told_at_once() {
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let client = Client::new().unwrap();
    let outcome = timeout(
        Duration::from_secs(2),
        client.get(format!("coap://{address}/")).send(),
    )
    .await
    .unwrap();
    assert!(
        matches!(outcome, Err(Error::Exchange(ExchangeError::Unreachable))),
        "{outcome:?}"
    );
    let pinged = timeout(Duration::from_secs(2), client.ping(format!("coap://{address}")))
        .await
        .unwrap();
    assert!(
        matches!(pinged, Err(Error::Exchange(ExchangeError::Unreachable))),
        "{pinged:?}"
    );
}

#[tokio::test]
async fn silence_is_told_with_the_number_of_retransmissions() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let client = Client::new().unwrap();
    let parameters = TransmissionParameters::default()
        .with_ack_timeout(Duration::from_millis(10))
        .with_max_retransmit(3);
    let outcome = client
        .get(format!("coap://{address}/"))
        .retransmission(parameters)
        .send()
        .await;
    let expected = ExchangeError::NoAnswer { retransmissions: 3 };
    assert!(
        matches!(outcome, Err(Error::Exchange(error)) if error == expected),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_ping_is_answered() {
    let server = Server::start(Router::new());
    let client = Client::new().unwrap();
    timeout(BOUND, client.ping(server.uri("")))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn one_endpoint_is_client_and_server_on_one_socket() {
    let server = Server::start(Router::new().route(
        "/who",
        get(|peer: coracle_engine::Peer| async move { peer.address.to_string() }),
    ));
    let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
    let address = endpoint.local_addrs()[0];
    let client = endpoint.client();
    let serving = tokio::spawn(async move {
        endpoint
            .serve(Router::new().route("/a", get(|| async { "b" })))
            .await
    });
    let response = timeout(BOUND, client.get(server.uri("/who")).send())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(response.text().unwrap(), address.to_string());
    let other = Client::new().unwrap();
    let response = other.get(format!("coap://{address}/a")).send().await.unwrap();
    assert_eq!(response.text().unwrap(), "b");
    serving.abort();
}

#[tokio::test]
async fn a_shutdown_answers_what_was_accepted() {
    let (entered, mut inside) = tokio::sync::mpsc::channel::<()>(1);
    let slow = get(move || {
        let entered = entered.clone();
        async move {
            let _ = entered.send(()).await;
            // tidy: the request has to be under way when the shutdown begins
            tokio::time::sleep(Duration::from_millis(200)).await;
            "done"
        }
    });
    let server = Server::start(Router::new().route("/slow", slow));
    let client = Client::new().unwrap();
    let uri = server.uri("/slow");
    let request = tokio::spawn({
        let client = client.clone();
        async move { client.get(uri).send().await }
    });
    inside.recv().await.unwrap();
    server.shut_down().await;
    assert_eq!(request.await.unwrap().unwrap().text().unwrap(), "done");
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let server = Server::start(Router::new().route(
        "/{n}",
        get(|coracle_router::Path(n): coracle_router::Path<u32>| async move { (n * 2).to_string() }),
    ));
    let client = Client::new().unwrap();
    let requests = (0..200_u32).map(|n| {
        let (client, uri) = (client.clone(), server.uri(&format!("/{n}")));
        tokio::spawn(async move { (n, client.get(uri).send().await.unwrap()) })
    });
    for request in requests.collect::<Vec<_>>() {
        let (n, response) = timeout(BOUND, request).await.unwrap().unwrap();
        assert_eq!(response.text().unwrap(), (n * 2).to_string());
    }
}
