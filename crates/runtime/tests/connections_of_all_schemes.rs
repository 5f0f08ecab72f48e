//! The same over TCP, TLS, WebSocket and WebSocket on TLS: the URI chooses (RFC 8323 §8).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connected;

use std::future::IntoFuture;

use bytes::Bytes;
use connected::{Server, bounded, pattern};
use coracle_router::{Notifier, Request, Response, Router, State, get, post};
use coracle_runtime::{
    Authorities, Client, ClientCertificates, ClientTls, Endpoint, Error, Identity, Notification, ServerTls,
};
use coracle_wire::{Scheme, Status};
use futures_util::future::join_all;

const SCHEMES: [&str; 5] = ["coap", "coap+tcp", "coaps+tcp", "coap+ws", "coaps+ws"];

fn router(notifier: &Notifier<u32>) -> Router {
    async fn read(State(state): State<Notifier<u32>>) -> Response {
        state.observed(|number| number.to_string())
    }
    let is_secure = |request: Request| async move { request.path.security.is_some().to_string() };
    Router::new()
        .route("/state", get(read).observable())
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/secure", get(is_secure))
        .with_state(notifier.clone())
}

/// A server of all schemes and a client that trusts it.
fn start(notifier: &Notifier<u32>) -> (Server, Client) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = own.cert.pem();
    let identity = Identity::from_pem(certificate.as_bytes(), own.signing_key.serialize_pem().as_bytes());
    let tls = ServerTls::new(identity.unwrap(), ClientCertificates::NotAsked).unwrap();
    let mut endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap().with_tls(tls);
    for scheme in &SCHEMES[1..] {
        endpoint = endpoint.and_bind(&format!("{scheme}://127.0.0.1:0")).unwrap();
    }
    let trusted = Authorities::from_pem(certificate.as_bytes()).unwrap();
    let client = Client::new()
        .unwrap()
        .with_tls(ClientTls::new(trusted, None).unwrap());
    (Server::serve(endpoint, router(notifier)), client)
}

#[tokio::test]
async fn bound_addresses_are_told_with_their_schemes() {
    let (server, _) = start(&Notifier::new(0));
    let told: Vec<Scheme> = server.bound.iter().map(|bound| bound.scheme).collect();
    let expected = [
        Scheme::Coap,
        Scheme::CoapTcp,
        Scheme::CoapsTcp,
        Scheme::CoapWs,
        Scheme::CoapsWs,
    ];
    assert_eq!(told, expected);
    assert!(server.bound.iter().all(|bound| bound.address.port() != 0));
    server.shut_down().await;
}

#[tokio::test]
async fn requests_bodies_observations_and_pings_work_by_all_schemes() {
    let notifier = Notifier::new(1);
    let (server, client) = start(&notifier);
    for (bound, scheme) in server.bound.iter().zip(SCHEMES) {
        let uri = |path: &str| format!("{bound}{path}");
        assert!(uri("/").starts_with(&format!("{scheme}://")));
        let secure = bounded(client.get(uri("/secure")).send()).await.unwrap();
        assert_eq!(secure.text().unwrap(), scheme.starts_with("coaps").to_string());
        let len = if scheme == "coap" { 50_000 } else { 1 << 20 };
        let body = pattern(len);
        let answer = bounded(client.post(uri("/echo")).payload(body.clone()).send()).await;
        assert!(answer.unwrap().payload() == &body, "{scheme}");
        bounded(client.ping(uri("/"))).await.unwrap();

        let mut observation = bounded(client.observe(uri("/state")).observe()).await.unwrap();
        for _ in 0..3 {
            let Notification::State(answer) = bounded(observation.next()).await.unwrap().unwrap() else {
                panic!("stale")
            };
            let seen: u32 = answer.text().unwrap().parse().unwrap();
            notifier.set(seen + 1);
        }
        bounded(observation.cancel()).await;
        assert_eq!(server.statistics.read().await.observers, 0, "{scheme}");
    }
    let done = server.statistics.read().await;
    assert_eq!(done.connections, 4, "one for each");
    bounded(client.close()).await;
    bounded(async {
        while server.statistics.read().await.connections > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.shut_down().await;
}

#[tokio::test]
async fn many_requests_at_once_share_a_connection_of_each_scheme() {
    let (server, client) = start(&Notifier::new(0));
    for bound in &server.bound[1..] {
        let asked = (0..200_usize).map(|number| {
            let asked = client.post(format!("{bound}/echo")).payload(pattern(number * 50));
            async move { asked.send().await.unwrap().payload().len() }
        });
        let lengths = bounded(join_all(asked)).await;
        assert!(
            lengths
                .iter()
                .enumerate()
                .all(|(number, len)| *len == number * 50)
        );
    }
    assert_eq!(server.statistics.read().await.connections_accepted, 4);
    bounded(client.close()).await;
    server.shut_down().await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told() {
    let (server, _) = start(&Notifier::new(0));
    let client = Client::new().unwrap();
    for bound in [&server.bound[2], &server.bound[4]] {
        let error = bounded(client.get(format!("{bound}/state")).send())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    bounded(async {
        while server.statistics.read().await.handshakes_failed < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.shut_down().await;
}

#[tokio::test]
async fn without_a_certificate_there_is_no_tls() {
    let endpoint = Endpoint::bind("coaps+tcp://127.0.0.1:0").unwrap();
    let error = bounded(endpoint.serve(Router::new()).into_future())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("with_tls"), "{error}");
}

/// The host of a URI that is no address is sent, so that a server may have several (RFC 8323 §8.5).
#[tokio::test]
async fn a_name_leads_to_the_server_that_proves_it() {
    let (server, client) = start(&Notifier::new(7));
    let port = server.bound[2].address.port();
    let answer = bounded(client.get(format!("coaps+tcp://localhost:{port}/state")).send()).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status(), answer.text().unwrap()), (Status::CONTENT, "7"));
    bounded(client.close()).await;
    server.shut_down().await;
}
