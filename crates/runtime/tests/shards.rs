//! One address served by several engines.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use coracle_engine::{DropReason, Peer};
use coracle_net::shard_of;
use coracle_router::{Notifier, Router, State, get, post, put};
use coracle_runtime::{Client, Endpoint, Error, Notification, StatisticsReader};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SHARDS: usize = 4;

/// Enough that every shard has some: one is left out in one of 10^8 runs.
const PEERS: usize = 64;

/// Longer than anything here takes; a bound, not a measure.
const BOUND: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    statistics: StatisticsReader,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

impl Server {
    fn start(router: Router) -> Server {
        let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap().with_shards(SHARDS);
        let (address, statistics) = (endpoint.local_addrs()[0], endpoint.statistics());
        let (stop, stopped) = oneshot::channel();
        let serve = endpoint.serve(router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let task = tokio::spawn(async move { serve.await });
        Server {
            address,
            statistics,
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

/// Sockets of peers of all shards.
fn peers(server: &Server) -> Vec<UdpSocket> {
    let bind = |_| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server.address).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        socket
    };
    let peers: Vec<UdpSocket> = (0..PEERS).map(bind).collect();
    let of_shard = |place| {
        peers
            .iter()
            .any(|peer| shard_of(peer.local_addr().unwrap(), SHARDS) == place)
    };
    assert!((0..SHARDS).all(of_shard));
    peers
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut answer = [0; 100];
    let length = socket.recv(&mut answer).unwrap();
    answer[..length].to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_comes_to_the_engine_that_knows_it() {
    let runs: Arc<Mutex<HashMap<SocketAddr, usize>>> = Arc::default();
    let counted = runs.clone();
    let count = post(move |peer: Peer| {
        *counted.lock().unwrap().entry(peer.address).or_default() += 1;
        async { "done" }
    });
    let server = Server::start(Router::new().route("/c", count));
    let peers = peers(&server);
    let asked = tokio::task::spawn_blocking(move || {
        for peer in &peers {
            // Confirmable POST /c with message ID 0x0102 and token 0x55.
            let request = b"\x41\x02\x01\x02\x55\xb1c";
            peer.send(request).unwrap();
            let answer = receive(peer);
            assert_eq!(answer[..5], *b"\x61\x44\x01\x02\x55");
            for _ in 0..3 {
                peer.send(request).unwrap();
                assert_eq!(receive(peer), answer);
            }
        }
        peers.len()
    });
    let asked = asked.await.unwrap();
    assert_eq!(runs.lock().unwrap().len(), asked);
    assert!(runs.lock().unwrap().values().all(|count| *count == 1));

    let done = server.statistics.read().await;
    assert_eq!(done.engine.requests, asked as u64);
    assert_eq!(done.engine.dropped(DropReason::Duplicate), 3 * asked as u64);
    assert_eq!((done.shards, done.handed_over), (SHARDS as u64, 0));
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_in_blocks_stay_with_one_engine() {
    let server = Server::start(Router::new().route("/echo", put(|body: Bytes| async move { body })));
    let transfers = (0..PEERS).map(|number| {
        let uri = server.uri("/echo");
        tokio::spawn(async move {
            let body = vec![u8::try_from(number).unwrap(); 5000];
            let client = Client::new().unwrap();
            let echo = client.put(uri).payload(body.clone()).send().await.unwrap();
            assert_eq!(echo.payload(), &body);
        })
    });
    for transfer in transfers.collect::<Vec<_>>() {
        timeout(BOUND, transfer).await.unwrap().unwrap();
    }
    server.shut_down().await;
}

async fn level(State(level): State<Notifier<u32>>) -> coracle_router::Response {
    level.observed(|level| level.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_the_observers_of_all_shards() {
    let state = Notifier::new(1);
    let route = get(level).observable();
    let server = Server::start(Router::new().route("/level", route).with_state(state.clone()));
    let mut observations = Vec::new();
    for _ in 0..PEERS {
        let client = Client::new().unwrap();
        let begun = timeout(BOUND, client.observe(server.uri("/level")).observe());
        let mut observation = begun.await.unwrap().unwrap();
        assert_eq!(next(&mut observation).await, "1");
        observations.push(observation);
    }
    assert_eq!(server.statistics.read().await.observers, PEERS as u64);
    state.set(2);
    for observation in &mut observations {
        assert_eq!(next(observation).await, "2");
    }
    server.task.abort();
}

async fn next(observation: &mut coracle_runtime::Observation) -> String {
    loop {
        match timeout(BOUND, observation.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
        {
            Notification::State(response) => return response.text().unwrap().to_owned(),
            Notification::Stale => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_leave_from_the_shard_that_gets_the_answer() {
    let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap().with_shards(SHARDS);
    let (address, client) = (endpoint.local_addrs()[0], endpoint.client());
    let serving = tokio::spawn(async move { endpoint.serve(Router::new()).await });
    let who = || get(|peer: Peer| async move { peer.address.to_string() });
    for _ in 0..PEERS {
        let other = Endpoint::bind("coap://127.0.0.1:0").unwrap();
        let uri = format!("coap://{}/who", other.local_addrs()[0]);
        let other = tokio::spawn(async move { other.serve(Router::new().route("/who", who())).await });
        let response = timeout(BOUND, client.get(uri).send()).await.unwrap().unwrap();
        assert_eq!(response.text().unwrap(), address.to_string());
        other.abort();
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_does_not_get_the_port() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let server = Server::start(Router::new().route(
        "/",
        get(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { "first" }
        }),
    ));
    let client = Client::new().unwrap();
    for _ in 0..2 {
        // Once the server answers, all its sockets are bound.
        timeout(BOUND, client.get(server.uri("/")).send())
            .await
            .unwrap()
            .unwrap();
        let second = Endpoint::bind(&format!("coap://{}", server.address));
        assert!(
            matches!(&second, Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::AddrInUse),
            "{second:?}"
        );
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_number_of_shards_was_asked_is_told_closed() {
    let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
    let early = endpoint.client();
    let endpoint = endpoint.with_shards(2);
    let asked = timeout(BOUND, early.get("coap://127.0.0.1:9/").send())
        .await
        .unwrap();
    assert!(matches!(asked, Err(Error::Closed)), "{asked:?}");
    drop(endpoint);
}
