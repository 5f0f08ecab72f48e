//! Client and server over connections of TCP, on loopback (RFC 8323).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connected;

use bytes::Bytes;
use connected::{Server, bounded, pattern};
use coracle_router::{BodyStream, Response, Router, get, post};
use coracle_runtime::{Body, Client};
use coracle_wire::{Method, Status};
use futures_util::future::join_all;

const MIB: usize = 1 << 20;

fn echo() -> Router {
    let answer = |request: coracle_router::Request| async move {
        Response::success(format!("{} {}", request.method, request.payload.len()))
    };
    Router::new()
        .route("/method", coracle_router::any(answer))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route(
            "/never",
            get(|| async { std::future::pending::<&'static str>().await }),
        )
}

#[tokio::test]
async fn all_methods_are_answered() {
    let server = Server::start(echo());
    let client = Client::new().unwrap();
    for method in [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::FETCH,
        Method::PATCH,
        Method::IPATCH,
    ] {
        let answer = bounded(
            client
                .request(method, server.uri("/method"))
                .payload("abc")
                .send(),
        )
        .await;
        let answer = answer.unwrap();
        assert_eq!(answer.text().unwrap(), format!("{method} 3"));
        assert_eq!(answer.remote(), server.address());
    }
    let missing = bounded(client.get(server.uri("/nowhere")).send()).await.unwrap();
    assert_eq!(missing.status(), Status::NOT_FOUND);
    let done = server.statistics.read().await;
    assert_eq!(
        (done.connections, done.connections_accepted),
        (1, 1),
        "one is kept"
    );
    bounded(client.ping(server.uri("/"))).await.unwrap();
    server.shut_down().await;
}

#[tokio::test]
async fn bodies_of_a_megabyte_go_both_ways() {
    let server = Server::start(echo());
    let client = Client::new().unwrap();
    for len in [0, 1000, 70_000, MIB] {
        let body = pattern(len);
        let asked = client.post(server.uri("/echo")).payload(body.clone());
        assert!(bounded(asked.send()).await.unwrap().payload() == &body, "{len}");
    }
    // What is beyond the server's bound for bodies is refused, as it is in datagrams.
    let asked = client.post(server.uri("/echo")).payload(pattern(3 * MIB));
    assert_eq!(
        bounded(asked.send()).await.unwrap().status(),
        Status::REQUEST_ENTITY_TOO_LARGE
    );
    server.shut_down().await;
}

/// In blocks of BERT, of which neither side keeps more than a few.
#[tokio::test]
async fn bodies_that_are_read_as_they_go_go_both_ways() {
    const LONG: usize = 5 * MIB + 4321;
    async fn take(mut body: BodyStream) -> Response {
        let mut taken = Vec::new();
        while let Some(part) = body.next().await {
            taken.extend_from_slice(&part.unwrap());
        }
        Response::success((taken == pattern(LONG)).to_string())
    }
    let give = get(|| async { pattern(LONG) });
    let server = Server::start(Router::new().route("/parts", post(take)).route("/whole", give));
    let client = Client::new().unwrap();
    let source = std::io::Cursor::new(pattern(LONG));
    let length = Some(LONG as u64);
    let asked = client
        .post(server.uri("/parts"))
        .body(Body::from_reader(source, length));
    assert_eq!(bounded(asked.send()).await.unwrap().text().unwrap(), "true");

    let mut answer = bounded(client.get(server.uri("/whole")).stream()).await.unwrap();
    let (mut parts, mut body) = (0, Vec::new());
    while let Some(part) = bounded(answer.chunk()).await.unwrap() {
        parts += 1;
        body.extend_from_slice(&part);
    }
    assert!(body == pattern(LONG), "{} bytes", body.len());
    assert!(
        (5..100).contains(&parts),
        "{parts} blocks, which are much longer than those of datagrams"
    );
    server.shut_down().await;
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let server = Server::start(echo());
    let client = Client::new().unwrap();
    let asked = (0..500_usize).map(|number| {
        let (client, uri) = (client.clone(), server.uri("/echo"));
        async move {
            let body = pattern(number * 7 % 3000);
            let answer = client.post(uri).payload(body.clone()).send().await.unwrap();
            assert_eq!(answer.payload(), &body);
        }
    });
    bounded(join_all(asked)).await;
    let done = server.statistics.read().await;
    assert_eq!((done.connections_accepted, done.engine.requests), (1, 500));
    server.shut_down().await;
}
