//! What a peer has proved about itself reaches handlers, also when they are run again for an observer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connected;

use connected::{Server, bounded};
use coracle_router::{Identity, Notifier, Response, Router, State, get};
use coracle_runtime::{
    Authorities, Client, ClientCertificates, ClientTls, Endpoint, Notification, ServerTls,
};
use coracle_wire::Status;

/// A certificate that signed itself, with its key, for a host and a common name.
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

    fn identity(&self) -> coracle_runtime::Identity {
        coracle_runtime::Identity::from_pem(self.pem.as_bytes(), self.key.as_bytes()).unwrap()
    }

    fn as_authority(&self) -> Authorities {
        Authorities::from_pem(self.pem.as_bytes()).unwrap()
    }
}

fn router(state: &Notifier<u32>) -> Router {
    async fn watch(State(state): State<Notifier<u32>>, who: Option<Identity>) -> Response {
        state.observed(|number| format!("{number} for {}", known_by(who.as_ref())))
    }
    let who = async |who: Identity| known_by(Some(&who));
    Router::new()
        .route("/who", get(who))
        .route("/watch", get(watch).observable())
        .with_state(state.clone())
}

fn known_by(who: Option<&Identity>) -> String {
    who.map_or("nobody".to_owned(), Identity::to_string)
}

#[tokio::test]
async fn the_certificate_of_a_client_reaches_handlers() {
    let (server_own, client_own) = (Own::new("server"), Own::new("meter 7"));
    let clients = ClientCertificates::Optional(client_own.as_authority());
    let tls = ServerTls::new(server_own.identity(), clients).unwrap();
    let endpoint = Endpoint::bind("coaps+tcp://127.0.0.1:0").unwrap();
    let endpoint = endpoint.and_bind("coaps+ws://127.0.0.1:0").unwrap().with_tls(tls);
    let state = Notifier::new(1);
    let server = Server::serve(endpoint, router(&state));
    let with = |own| ClientTls::new(server_own.as_authority(), own).unwrap();
    let known = Client::new().unwrap().with_tls(with(Some(client_own.identity())));
    let unknown = Client::new().unwrap().with_tls(with(None));
    for bound in &server.bound {
        let who = format!("{bound}/who");
        let answer = bounded(known.get(&who).send()).await.unwrap();
        assert_eq!(answer.text().unwrap(), "certificate meter 7", "{bound}");
        let refused = bounded(unknown.get(&who).send()).await.unwrap();
        assert_eq!(refused.status(), Status::UNAUTHORIZED);

        // The request is run again by the driver, for each of them.
        let watch = format!("{bound}/watch");
        let mut first = bounded(known.observe(&watch).observe()).await.unwrap();
        let mut second = bounded(unknown.observe(&watch).observe()).await.unwrap();
        for _ in 0..2 {
            for (observation, name) in [(&mut first, "certificate meter 7"), (&mut second, "nobody")] {
                let Notification::State(told) = bounded(observation.next()).await.unwrap().unwrap() else {
                    panic!("stale")
                };
                let expected = format!("{} for {name}", state.get());
                assert_eq!(told.text().unwrap(), expected);
            }
            state.set(state.get() + 1);
        }
    }
    server.shut_down().await;
}
