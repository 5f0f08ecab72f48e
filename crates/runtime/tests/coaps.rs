//! `coaps` between our server and our client over real sockets: keys of all kinds, and what goes wrong.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connected;

use std::time::Duration;

use bytes::Bytes;
use connected::{Server, bounded, pattern};
use coracle_dtls::{CertifiedKey, SignatureScheme, SigningKey, TrustedAuthorities, TrustedKeys};
use coracle_router::{Identity, Notifier, Response, Router, State, get, post};
use coracle_runtime::{
    Client, Credentials, Endpoint, Error, ExchangeError, Notification, TransmissionParameters,
};
use coracle_wire::Status;

const KEY: &[u8] = b"sixteen bytes at";

fn router(state: &Notifier<u32>) -> Router {
    async fn read(State(state): State<Notifier<u32>>, who: Option<Identity>) -> Response {
        state.observed(|number| format!("{number} for {}", known_by(who)))
    }
    Router::new()
        .route("/who", get(async |who: Option<Identity>| known_by(who)))
        .route("/state", get(read).observable())
        .route("/echo", post(|body: Bytes| async move { body }))
        .with_state(state.clone())
}

fn known_by(who: Option<Identity>) -> String {
    who.map_or("nobody".to_owned(), |who| who.to_string())
}

fn serve(credentials: &Credentials) -> Server {
    let endpoint = Endpoint::bind("coaps://127.0.0.1:0").unwrap();
    Server::serve(
        endpoint.with_credentials(credentials.clone()),
        router(&Notifier::new(1)),
    )
}

fn psk_server() -> Server {
    serve(
        &Credentials::new()
            .with_psk("meter-7", KEY)
            .with_psk("meter-8", b"another key of sixteen"),
    )
}

fn client(credentials: Credentials) -> Client {
    Client::new().unwrap().with_credentials(credentials)
}

fn psk_client() -> Client {
    client(Credentials::new().with_client_psk("meter-7", KEY))
}

/// A certificate that signed itself.
struct Own {
    pem: String,
    key: String,
}

impl Own {
    fn new(common_name: &str) -> Own {
        let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, common_name);
        let key = rcgen::KeyPair::generate().unwrap();
        Own {
            pem: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn certified(&self) -> CertifiedKey {
        CertifiedKey::from_pem(self.pem.as_bytes(), self.key.as_bytes()).unwrap()
    }

    fn as_authority(&self) -> TrustedAuthorities {
        let mut authorities = TrustedAuthorities::default();
        authorities.add_pem(self.pem.as_bytes()).unwrap();
        authorities
    }
}

fn trusted(key: &SigningKey) -> TrustedKeys {
    let mut keys = TrustedKeys::default();
    keys.add_der(key.public_key_info()).unwrap();
    keys
}

/// What `/who` says, or the error.
async fn who(client: &Client, server: &Server) -> Result<String, Error> {
    let answer = bounded(client.get(server.uri("/who")).send()).await?;
    Ok(answer.text().unwrap().to_owned())
}

/// Waits until the server has counted a failure for this reason.
async fn counted(server: &Server, reason: &str) {
    bounded(async {
        while !server
            .statistics
            .read()
            .await
            .security
            .failed
            .contains_key(reason)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_pre_shared_key_proves_who_asks() {
    let server = psk_server();
    assert_eq!(who(&psk_client(), &server).await.unwrap(), "psk meter-7");
    let done = server.statistics.read().await.security;
    assert_eq!(
        (done.sessions, done.handshakes, done.failed.len()),
        (1, 1, 0),
        "{done:?}"
    );
    server.shut_down().await;
}

#[tokio::test]
async fn requests_to_one_server_share_a_session() {
    let server = psk_server();
    let client = psk_client();
    let asked = (0..20).map(|_| who(&client, &server));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.unwrap(), "psk meter-7");
    }
    bounded(client.ping(server.uri("/"))).await.unwrap();
    assert_eq!(server.statistics.read().await.security.handshakes, 1);
    bounded(client.close()).await;
    bounded(async {
        while server.statistics.read().await.security.sessions > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(
        who(&client, &server).await.unwrap(),
        "psk meter-7",
        "the next one begins another"
    );
    server.shut_down().await;
}

#[tokio::test]
async fn wrong_keys_and_unknown_identities_are_not_told_apart() {
    let server = psk_server();
    for (identity, key) in [("meter-7", &b"a wrong one"[..]), ("meter-9", KEY)] {
        let stranger = client(Credentials::new().with_client_psk(identity, key));
        let error = who(&stranger, &server).await.unwrap_err().to_string();
        assert!(
            error.contains("does not know this PSK identity, or the key is wrong"),
            "{error}"
        );
    }
    counted(&server, "wrong key or unknown identity").await;
    assert_eq!(server.statistics.read().await.security.sessions, 0);
    server.shut_down().await;
}

#[tokio::test]
async fn raw_public_keys_prove_both_sides() {
    let [own, known, unknown] =
        [(); 3].map(|()| SigningKey::generate(SignatureScheme::EcdsaSecp256r1Sha256).unwrap());
    let expect_server = trusted(&own);
    let tail: String = known.public_key_info()[known.public_key_info().len() - 4..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let server = serve(
        &Credentials::new()
            .with_trusted_keys(trusted(&known))
            .with_raw_key(own),
    );
    let with = |key| {
        client(
            Credentials::new()
                .with_trusted_keys(expect_server.clone())
                .with_raw_key(key),
        )
    };
    assert_eq!(
        who(&with(known), &server).await.unwrap(),
        format!("raw public key ..{tail}")
    );
    let error = who(&with(unknown), &server).await.unwrap_err().to_string();
    assert!(error.contains("the peer sent the alert"), "{error}");
    counted(&server, "unknown public key").await;
    let other = SigningKey::generate(SignatureScheme::Ed25519).unwrap();
    let mistaken = client(
        Credentials::new()
            .with_trusted_keys(trusted(&other))
            .with_raw_key(other),
    );
    let error = who(&mistaken, &server).await.unwrap_err().to_string();
    assert!(error.contains("not among the trusted ones"), "{error}");
    server.shut_down().await;
}

#[tokio::test]
async fn certificates_prove_both_sides() {
    let (own, device, stranger) = (Own::new("server"), Own::new("meter 7"), Own::new("stranger"));
    let credentials = Credentials::new()
        .with_certificate(own.certified())
        .with_trusted_authorities(device.as_authority());
    let server = serve(&credentials);
    let trusting = |own: &Own| Credentials::new().with_trusted_authorities(own.as_authority());
    let device = client(trusting(&own).with_certificate(device.certified()));
    assert_eq!(who(&device, &server).await.unwrap(), "certificate meter 7");
    let error = who(&client(trusting(&stranger)), &server)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("signed by itself, and not among those that are trusted"),
        "{error}"
    );
    let unknown = client(trusting(&own).with_certificate(stranger.certified()));
    assert!(who(&unknown, &server).await.is_err());
    counted(&server, "certificate not believed").await;
    assert!(who(&client(trusting(&own)), &server).await.is_err());
    counted(&server, "nothing shown by the client").await;
    server.shut_down().await;
}

#[tokio::test]
async fn clients_that_show_nothing_are_taken_where_they_may() {
    let own = Own::new("server");
    let credentials = Credentials::new().with_certificate(own.certified());
    let server = serve(&credentials);
    let client = client(Credentials::new().with_trusted_authorities(own.as_authority()));
    assert_eq!(who(&client, &server).await.unwrap(), "nobody");
    server.shut_down().await;
}

#[tokio::test]
async fn bodies_go_in_blocks_and_states_are_observed() {
    let state = Notifier::new(1);
    let credentials = Credentials::new().with_psk("meter-7", KEY);
    let endpoint = Endpoint::bind("coaps://127.0.0.1:0").unwrap();
    let server = Server::serve(endpoint.with_credentials(credentials), router(&state));
    let client = psk_client();
    let body = pattern(50_000);
    let answer = bounded(client.post(server.uri("/echo")).payload(body.clone()).send()).await;
    assert!(answer.unwrap().payload() == &body);
    let mut observation = bounded(client.observe(server.uri("/state")).observe())
        .await
        .unwrap();
    for number in 1..4 {
        let Notification::State(answer) = bounded(observation.next()).await.unwrap().unwrap() else {
            panic!("stale")
        };
        assert_eq!(answer.text().unwrap(), format!("{number} for psk meter-7"));
        state.set(number + 1);
    }
    assert_eq!(server.statistics.read().await.observers, 1);
    // The session ends, and what it observed is forgotten.
    drop((observation, client));
    bounded(async {
        while server.statistics.read().await.security.sessions > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.statistics.read().await.observers, 0);
    server.shut_down().await;
}

#[tokio::test]
async fn a_server_that_ends_tells_its_clients() {
    let server = psk_server();
    let (client, uri) = (psk_client(), server.uri("/who"));
    assert_eq!(who(&client, &server).await.unwrap(), "psk meter-7");
    server.shut_down().await;
    bounded(async {
        while client.closed_because(&uri).is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(
        client.closed_because(&uri).unwrap(),
        "the peer closed the session"
    );
}

#[tokio::test]
async fn what_is_missing_is_told_before_anything_is_sent() {
    let error = bounded(std::future::IntoFuture::into_future(
        Endpoint::bind("coaps://127.0.0.1:0")
            .unwrap()
            .serve(Router::new()),
    ))
    .await
    .unwrap_err();
    assert!(error.to_string().contains("with_credentials"), "{error}");
    let error = bounded(Client::new().unwrap().get("coaps://127.0.0.1:9/").send())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("with_credentials"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_told_at_once() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coaps://{}/", socket.local_addr().unwrap());
    drop(socket);
    let error = bounded(psk_client().get(uri).send()).await.unwrap_err();
    assert!(error.to_string().contains("unreachable"), "{error}");
}

/// The timeout is the user's, with the handshake in it.
#[tokio::test]
async fn a_server_that_is_silent_is_given_up_in_time() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coaps://{}/", silent.local_addr().unwrap());
    let asked = psk_client().get(uri).timeout(Duration::from_millis(300)).send();
    let error = bounded(asked).await.unwrap_err();
    assert!(
        matches!(error, Error::Exchange(coracle_runtime::ExchangeError::Timeout)),
        "{error:?}"
    );
}

#[tokio::test]
async fn plain_messages_are_not_taken_where_sessions_are() {
    let server = psk_server();
    let address = server.address();
    let plain = Client::new().unwrap();
    let asked = plain
        .get(format!("coap://{address}/who"))
        .timeout(Duration::from_millis(500));
    assert!(bounded(asked.send()).await.is_err());
    let done = server.statistics.read().await;
    assert_eq!(done.engine.requests, 0);
    assert!(done.security.discarded > 0, "{:?}", done.security);
    server.shut_down().await;
}

/// One socket of a client does both, and one server answers by both.
#[tokio::test]
async fn a_client_asks_with_and_without_protection_from_one_socket() {
    let credentials = Credentials::new().with_psk("meter-7", KEY);
    let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
    let endpoint = endpoint.and_bind("coaps://127.0.0.1:0").unwrap();
    let server = Server::serve(endpoint.with_credentials(credentials), router(&Notifier::new(1)));
    let client = psk_client();
    for (bound, expected) in server.bound.iter().zip(["nobody", "psk meter-7", "nobody"]) {
        let answer = bounded(client.get(format!("{bound}/who")).send()).await.unwrap();
        assert_eq!(answer.text().unwrap(), expected);
    }
    server.shut_down().await;
}

#[tokio::test]
async fn rights_are_those_of_the_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.toml");
    let entry = |allow: &str| {
        format!("[[psk]]\nidentity = \"meter-7\"\nkey = \"sixteen bytes at\"\nallow = \"{allow}\"\n")
    };
    std::fs::write(&file, entry("GET /who")).unwrap();
    let credentials = Credentials::from_file(&file).unwrap();
    let server = serve(&credentials);
    let client = psk_client();
    assert_eq!(who(&client, &server).await.unwrap(), "psk meter-7");
    let status = async || {
        bounded(client.get(server.uri("/state")).send())
            .await
            .unwrap()
            .status()
    };
    assert_eq!(status().await, Status::FORBIDDEN);
    std::fs::write(&file, entry("GET /state")).unwrap();
    credentials.reload().unwrap();
    assert_eq!(status().await, Status::CONTENT);
    let refused = bounded(client.get(server.uri("/who")).send()).await.unwrap();
    assert_eq!(refused.text().unwrap(), "psk meter-7 may not GET this");
    server.shut_down().await;
}

#[tokio::test]
async fn a_key_that_is_added_later_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.toml");
    let entry = |identity: &str| format!("[[psk]]\nidentity = \"{identity}\"\nkey = \"sixteen bytes at\"\n");
    std::fs::write(&file, entry("meter-1")).unwrap();
    let credentials = Credentials::from_file(&file).unwrap();
    let server = serve(&credentials);
    assert!(who(&psk_client(), &server).await.is_err());
    std::fs::write(&file, entry("meter-7")).unwrap();
    credentials.reload().unwrap();
    assert_eq!(who(&psk_client(), &server).await.unwrap(), "psk meter-7");
    server.shut_down().await;
}

#[tokio::test]
async fn secrets_are_logged_for_those_who_ask_for_it() {
    let server = psk_server();
    let (lines, told) = std::sync::mpsc::channel();
    let log = move |line: &str| lines.send(line.to_owned()).unwrap();
    assert!(who(&psk_client().with_key_log(log), &server).await.is_ok());
    let line = told.try_recv().unwrap();
    assert!(line.starts_with("CLIENT_RANDOM ") && line.len() > 140, "{line}");
    server.shut_down().await;
}

/// The client's address changes in the middle of everything, and its session goes on by its connection ID.
async fn hop_and_go_on(endpoint: Endpoint) {
    let state = Notifier::new(1);
    let credentials = Credentials::new().with_psk("meter-7", KEY);
    let server = Server::serve(endpoint.with_credentials(credentials), router(&state));
    let client = psk_client();
    let mut observation = bounded(client.observe(server.uri("/state")).observe())
        .await
        .unwrap();
    bounded(observation.next()).await.unwrap().unwrap();
    for number in 2..6 {
        client.hop().unwrap();
        assert_eq!(who(&client, &server).await.unwrap(), "psk meter-7");
        let body = pattern(5_000);
        let answer = bounded(client.post(server.uri("/echo")).payload(body.clone()).send()).await;
        assert!(answer.unwrap().payload() == &body);
        state.set(number);
        let Notification::State(told) = bounded(observation.next()).await.unwrap().unwrap() else {
            panic!("stale")
        };
        assert_eq!(told.text().unwrap(), format!("{number} for psk meter-7"));
    }
    let done = server.statistics.read().await.security;
    assert_eq!(
        (done.sessions, done.handshakes, done.moved),
        (1, 1, 4),
        "{done:?}"
    );
    server.shut_down().await;
}

#[tokio::test]
async fn a_session_survives_another_source_port() {
    hop_and_go_on(Endpoint::bind("coaps://127.0.0.1:0").unwrap()).await;
}

/// What comes from the new port is brought to another shard by the kernel, and handed to the one that has the session.
#[tokio::test]
async fn a_session_stays_with_its_shard() {
    for _ in 0..4 {
        hop_and_go_on(Endpoint::bind("coaps://127.0.0.1:0").unwrap().with_shards(3)).await;
    }
}

#[tokio::test]
async fn without_a_connection_id_another_port_is_somebody_else() {
    let credentials = Credentials::new().with_psk("meter-7", KEY);
    let endpoint = Endpoint::bind("coaps://127.0.0.1:0")
        .unwrap()
        .with_connection_ids(0);
    let server = Server::serve(endpoint.with_credentials(credentials), router(&Notifier::new(1)));
    let client = psk_client();
    assert!(who(&client, &server).await.is_ok());
    client.hop().unwrap();
    let lost = client.get(server.uri("/who")).timeout(Duration::from_millis(300));
    assert!(bounded(lost.send()).await.is_err());
    let done = server.statistics.read().await.security;
    assert_eq!((done.sessions, done.moved), (1, 0));
    assert!(done.discarded > 0);
    server.shut_down().await;
}

#[tokio::test]
async fn a_server_that_forgot_the_session_gets_another_handshake() {
    let credentials = Credentials::new().with_psk("meter-7", KEY);
    let at = |uri: &str| Endpoint::bind(uri).unwrap().with_credentials(credentials.clone());
    let server = Server::serve(at("coaps://127.0.0.1:0"), router(&Notifier::new(1)));
    let (client, uri) = (psk_client(), server.uri(""));
    assert!(who(&client, &server).await.is_ok());
    server.kill().await;
    let server = Server::serve(at(&uri), router(&Notifier::new(1)));
    let quick = TransmissionParameters::default()
        .with_ack_timeout(Duration::from_millis(50))
        .with_max_retransmit(1);
    let lost = bounded(client.get(server.uri("/who")).retransmission(quick).send())
        .await
        .unwrap_err();
    assert!(
        matches!(lost, Error::Exchange(ExchangeError::NoAnswer { .. })),
        "{lost:?}"
    );
    assert_eq!(who(&client, &server).await.unwrap(), "psk meter-7");
    server.shut_down().await;
}

/// They share a socket, and what could be taken up again of the one session is not taken up for the other.
#[tokio::test]
async fn clients_of_one_socket_are_who_their_credentials_say() {
    let server = psk_server();
    let first = psk_client();
    let other = Credentials::new().with_client_psk("meter-8", b"another key of sixteen");
    let second = first.clone().with_credentials(other);
    for _ in 0..2 {
        assert_eq!(who(&first, &server).await.unwrap(), "psk meter-7");
        bounded(first.close()).await;
        assert_eq!(who(&second, &server).await.unwrap(), "psk meter-8");
        bounded(second.close()).await;
    }
    let done = server.statistics.read().await.security;
    assert_eq!((done.handshakes, done.resumed), (4, 0), "{done:?}");
    assert_eq!(who(&second, &server).await.unwrap(), "psk meter-8");
    assert_eq!(server.statistics.read().await.security.resumed, 1);
    server.shut_down().await;
}

#[tokio::test]
async fn who_loses_its_key_loses_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.toml");
    let entry = |identity: &str, key: &str| format!("[[psk]]\nidentity = \"{identity}\"\nkey = \"{key}\"\n");
    let (kept, seven) = (
        entry("meter-8", "another key of sixteen"),
        entry("meter-7", "sixteen bytes at"),
    );
    std::fs::write(&file, format!("{kept}{seven}")).unwrap();
    let credentials = Credentials::from_file(&file).unwrap();
    let server = serve(&credentials);
    let (lost, stays) = (
        psk_client(),
        Credentials::new().with_client_psk("meter-8", b"another key of sixteen"),
    );
    let stays = client(stays);
    assert!(who(&lost, &server).await.is_ok() && who(&stays, &server).await.is_ok());
    for changed in [entry("meter-7", "another key here"), String::new()] {
        std::fs::write(&file, format!("{kept}{changed}")).unwrap();
        credentials.reload().unwrap();
        assert_eq!(who(&stays, &server).await.unwrap(), "psk meter-8");
        let error = who(&lost, &server).await.unwrap_err().to_string();
        assert!(
            error.contains("does not know this PSK identity, or the key is wrong"),
            "{error}"
        );
        assert_eq!(server.statistics.read().await.security.sessions, 1);
    }
    server.shut_down().await;
}
