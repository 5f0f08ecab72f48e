//! Requests to a group on the loopback interface.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use coracle_engine::{Config, TransmissionParameters};
use coracle_router::{Router, get};
use coracle_runtime::{Client, Endpoint, Interface};
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(20);

fn quick() -> Config {
    let mut config = Config::default();
    config.transmission = TransmissionParameters::default().with_default_leisure(Duration::from_millis(50));
    config
}

/// A server that joined "All CoAP Nodes" on the loopback interface, by its port; `None` where the system has no
/// groups there.
fn start(shards: usize) -> Option<u16> {
    let long = "a".repeat(3000);
    let app = Router::new()
        .route("/sensor", get(|| async { "21" }).rt("temperature"))
        .route("/long", get(move || async move { long }));
    let endpoint = Endpoint::bind("coap://0.0.0.0:0").unwrap();
    let endpoint = endpoint.with_config(quick()).with_shards(shards);
    if let Err(error) = endpoint.join_all_coap_nodes(&Interface::from("lo")) {
        println!("skipped, no group on lo: {error}");
        return None;
    }
    let port = endpoint.local_addrs()[0].port();
    tokio::spawn(async move { endpoint.serve(app).await });
    Some(port)
}

fn loopback() -> u32 {
    Interface::from("lo").index().unwrap()
}

#[tokio::test]
async fn a_group_is_discovered_with_a_filter() {
    // Several clients, whose peers of the server are of different shards.
    for shards in [1, 3, 3, 3, 3] {
        let Some(port) = start(shards) else { return };
        let client = Client::with_config(quick()).unwrap();
        discover(&client, port).await;
    }
}

async fn discover(client: &Client, port: u16) {
    let ask = client
        .discover(format!("coap://224.0.1.187:{port}"))
        .interface(loopback());
    let mut answers = ask.query("rt=temperature").send_to_all().await.unwrap();
    let response = timeout(BOUND, answers.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(response.text().unwrap(), "</sensor>;rt=\"temperature\"");
    assert!(!response.remote().ip().is_multicast());
    assert!(
        timeout(BOUND, answers.next()).await.unwrap().is_none(),
        "a second answer"
    );
}

#[tokio::test]
async fn nobody_answers_a_group_with_an_error_or_with_nothing() {
    let Some(port) = start(1) else { return };
    let client = Client::with_config(quick()).unwrap();
    for path in ["/nowhere", "/.well-known/core?rt=nothing"] {
        let ask = client
            .get(format!("coap://224.0.1.187:{port}{path}"))
            .interface(loopback());
        let mut answers = ask
            .timeout(Duration::from_millis(500))
            .send_to_all()
            .await
            .unwrap();
        let answer = timeout(BOUND, answers.next()).await.unwrap();
        assert!(answer.is_none(), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_long_answer_of_a_member_is_fetched_from_it() {
    let Some(port) = start(1) else { return };
    let client = Client::with_config(quick()).unwrap();
    let ask = client
        .get(format!("coap://224.0.1.187:{port}/long"))
        .interface(loopback());
    let mut answers = ask.send_to_all().await.unwrap();
    let response = timeout(BOUND, answers.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(response.payload().len(), 3000);
}
