//! Bodies that are never whole in memory, over real sockets on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coracle_engine::Window;
use coracle_router::{BodyStream, Response, Router, State, get};
use coracle_runtime::{Body, Client, Config, Endpoint, Error, ExchangeError, RequestError};
use coracle_wire::{OptionsBuf, Status};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

/// Longer than anything here takes; a bound, not a measure.
const BOUND: Duration = Duration::from_secs(60);

const LENGTH: u64 = 300_000;

fn byte(at: u64) -> u8 {
    u8::try_from((at * 7 + at / 256) & 255).unwrap()
}

fn pattern(from: u64, to: u64) -> Vec<u8> {
    (from..to).map(byte).collect()
}

/// What the server under test keeps.
#[derive(Clone, Default)]
struct Kept {
    version: Arc<AtomicU64>,
    /// Requests of blocks.
    asked: Arc<AtomicU64>,
    put: Arc<Mutex<Vec<u8>>>,
}

async fn read(State(kept): State<Kept>, options: OptionsBuf) -> Response {
    kept.asked.fetch_add(1, Ordering::Relaxed);
    let offset = match options.as_options().block2() {
        Some(Ok(block)) => block.offset(),
        _ => 0,
    };
    let end = LENGTH.min(offset + 1024);
    Response::success(pattern(offset, end))
        .with_window(Window {
            offset,
            total: LENGTH,
        })
        .with_etag(&kept.version.load(Ordering::Relaxed).to_be_bytes())
}

async fn write(State(kept): State<Kept>, mut body: BodyStream) -> Status {
    let mut taken = Vec::new();
    while let Some(Ok(part)) = body.next().await {
        taken.extend_from_slice(&part);
    }
    *kept.put.lock().unwrap() = taken;
    Status::CHANGED
}

fn server() -> (Kept, String) {
    let kept = Kept::default();
    let router = Router::new()
        .route("/body", get(read).put(write))
        .with_state(kept.clone());
    let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
    let address: SocketAddr = endpoint.local_addrs()[0];
    tokio::spawn(async move { endpoint.serve(router).await });
    (kept, format!("coap://{address}/body"))
}

#[tokio::test]
async fn a_body_is_given_out_as_it_comes() {
    let (_, uri) = server();
    let client = Client::new().unwrap();
    let mut answer = timeout(BOUND, client.get(&uri).stream()).await.unwrap().unwrap();
    assert_eq!(
        (answer.status(), answer.offset(), answer.total()),
        (Status::CONTENT, 0, Some(LENGTH))
    );
    let mut body = Vec::new();
    while let Some(chunk) = timeout(BOUND, answer.chunk()).await.unwrap().unwrap() {
        assert!(chunk.len() <= 1024);
        body.extend_from_slice(&chunk);
    }
    assert_eq!(body, pattern(0, LENGTH));
    let collected = client.get(&uri).stream().await.unwrap().collect().await.unwrap();
    assert_eq!(collected.payload()[..], pattern(0, LENGTH));
    let missing = client.get(format!("{uri}/none")).stream().await.unwrap();
    assert_eq!(missing.status(), Status::NOT_FOUND);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_waited_for() {
    let (kept, uri) = server();
    let client = Client::new().unwrap();
    let mut answer = client.get(&uri).stream().await.unwrap();
    // Nobody reads: what is asked for comes to an end well before the body does.
    let mut before = 0;
    timeout(BOUND, async {
        loop {
            // tidy: that nothing happens shows only after a while.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let asked = kept.asked.load(Ordering::Relaxed);
            if asked == before {
                return;
            }
            before = asked;
        }
    })
    .await
    .unwrap();
    assert!(before < 40, "{before} blocks were asked for");
    let mut sink = Vec::new();
    let written = timeout(BOUND, answer.write_to(&mut sink)).await.unwrap().unwrap();
    assert_eq!((written, sink), (LENGTH, pattern(0, LENGTH)));
}

#[tokio::test]
async fn a_transfer_goes_on_where_it_broke_off() {
    let (kept, uri) = server();
    let client = Client::new().unwrap();
    for (asked, begins) in [
        (0, 0),
        (1023, 0),
        (1024, 1024),
        (100_000, 99_328),
        (299_999, 299_008),
    ] {
        let mut answer = client.get(&uri).resume_at(asked).stream().await.unwrap();
        assert_eq!(answer.offset(), begins);
        assert_eq!(answer.etag(), Some(&[0; 8][..]));
        let mut body = Vec::new();
        answer.write_to(&mut body).await.unwrap();
        assert_eq!(body, pattern(begins, LENGTH));
    }
    // Another state of the resource is told by its ETag, and one that comes under way by an error.
    let mut answer = client.get(&uri).stream().await.unwrap();
    kept.version.store(1, Ordering::Relaxed);
    let error = answer.write_to(&mut Vec::new()).await.unwrap_err();
    assert!(
        matches!(error, Error::Exchange(ExchangeError::BodyChanged)),
        "{error}"
    );
    assert!(answer.chunk().await.unwrap().is_none(), "it is over");
    let answer = client.get(&uri).resume_at(1024).stream().await.unwrap();
    assert_eq!(answer.etag(), Some(&1_u64.to_be_bytes()[..]));
}

#[tokio::test]
async fn small_blocks_are_asked_for_from_where_it_broke_off() {
    let (_, uri) = server();
    let mut config = Config::default();
    config.block_szx = 2;
    let client = Client::with_config(config).unwrap();
    let mut answer = client.get(&uri).resume_at(298_976).stream().await.unwrap();
    let first = answer.chunk().await.unwrap().unwrap();
    assert_eq!((answer.offset(), first.len()), (297_984, 64));
    let rest = answer.collect().await.unwrap();
    assert_eq!(rest.payload()[..], pattern(297_984 + 64, LENGTH));
}

#[tokio::test]
async fn a_body_is_read_as_it_goes() {
    let (kept, uri) = server();
    let client = Client::new().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    for (length, known) in [
        (LENGTH, true),
        (LENGTH, false),
        (16_384, true),
        (16_384, false),
        (10, true),
        (0, false),
    ] {
        let reader = std::io::Cursor::new(pattern(0, length));
        let body = Body::from_reader(reader, known.then_some(length));
        let reported = sent.clone();
        let request = client.put(&uri).body(body).progress(move |progress| {
            assert_eq!(progress.total, known.then_some(length));
            reported.store(progress.sent, Ordering::Relaxed);
        });
        let answer = timeout(BOUND, request.send()).await.unwrap().unwrap();
        assert_eq!(answer.status(), Status::CHANGED);
        assert_eq!(*kept.put.lock().unwrap(), pattern(0, length), "{length}");
    }
    assert!(sent.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_file_is_a_body() {
    let (kept, uri) = server();
    let path = std::env::temp_dir().join(format!("coracle-body-{}", std::process::id()));
    std::fs::write(&path, pattern(0, 50_000)).unwrap();
    let client = Client::new().unwrap();
    for body in [
        Body::from(std::fs::File::open(&path).unwrap()),
        Body::from(tokio::fs::File::open(&path).await.unwrap()),
    ] {
        kept.put.lock().unwrap().clear();
        let answer = client.put(&uri).body(body).send().await.unwrap();
        assert_eq!(answer.status(), Status::CHANGED);
        assert_eq!(*kept.put.lock().unwrap(), pattern(0, 50_000));
    }
    std::fs::remove_file(&path).unwrap();
}

/// The server is not given a beginning as if it were the whole.
#[tokio::test]
async fn a_reader_that_fails_takes_the_request_back() {
    let (kept, uri) = server();
    let client = Client::new().unwrap();
    let short = std::io::Cursor::new(pattern(0, 20_000)).take(10_000);
    let error = client
        .put(&uri)
        .body(Body::from_reader(short, Some(20_000)))
        .send()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Body(_)), "{error}");
    assert!(kept.put.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_read_as_it_goes_is_not_observed() {
    let (_, uri) = server();
    let client = Client::new().unwrap();
    let body = Body::from_reader(std::io::Cursor::new(b"x"), None);
    let error = client.fetch(&uri).body(body).observe().await.unwrap_err();
    assert!(
        matches!(error, Error::Request(RequestError::StreamedBody)),
        "{error}"
    );
}

/// Bodies that go at once to one resource do not get mixed up: each has a Request-Tag of its own (RFC 9175 §3.5.2).
#[tokio::test]
async fn several_bodies_go_to_one_resource_at_once() {
    let bodies: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let taken = bodies.clone();
    let router = Router::new().route(
        "/body",
        coracle_router::post(move |mut body: BodyStream| {
            let taken = taken.clone();
            async move {
                let mut whole = Vec::new();
                while let Some(Ok(part)) = body.next().await {
                    whole.extend_from_slice(&part);
                }
                taken.lock().unwrap().push(whole);
                Status::CHANGED
            }
        }),
    );
    let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
    let uri = format!("coap://{}/body", endpoint.local_addrs()[0]);
    tokio::spawn(async move { endpoint.serve(router).await });
    let mut config = Config::default();
    config.transmission = config.transmission.with_nstart(8);
    let client = Client::with_config(config).unwrap();
    let transfers = (0..8_u8).map(|which| {
        let request = client
            .post(&uri)
            .body(Body::from_reader(std::io::Cursor::new(vec![which; 20_000]), None));
        async move { timeout(BOUND, request.send()).await.unwrap().unwrap().status() }
    });
    let answers = futures_util::future::join_all(transfers).await;
    assert!(
        answers.iter().all(|status| *status == Status::CHANGED),
        "{answers:?}"
    );
    let mut bodies = bodies.lock().unwrap().clone();
    bodies.sort();
    assert_eq!(
        bodies,
        (0..8).map(|which| vec![which; 20_000]).collect::<Vec<_>>()
    );
}

#[test]
fn a_request_for_a_number_that_no_block_has_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = Client::new().unwrap();
        let error = client
            .get("coap://127.0.0.1/")
            .resume_at(1 << 40)
            .stream()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Uri(_)), "{error}");
    });
}

/// More blocks than there are message IDs for within EXCHANGE_LIFETIME (RFC 7252 §4.4), each of 16 bytes.
const MANY: u64 = 66_000;

/// Its ETag is another one in each run if the version is not 0.
async fn many(State(kept): State<Kept>) -> Response {
    let asked = kept.asked.fetch_add(1, Ordering::Relaxed);
    let etag = asked * kept.version.load(Ordering::Relaxed);
    Response::success(pattern(0, 16 * MANY)).with_etag(&etag.to_be_bytes())
}

/// It goes on from another port, which gets no part of another state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_more_blocks_than_message_ids_goes_on_from_another_port() {
    let mut config = Config::default();
    config.block_szx = 0;
    let transfers = [0, 1].map(|changes| {
        let kept = Kept::default();
        kept.version.store(changes, Ordering::Relaxed);
        let router = Router::new().route("/many", get(many)).with_state(kept.clone());
        let endpoint = Endpoint::bind("coap://127.0.0.1:0").unwrap();
        let uri = format!("coap://{}/many", endpoint.local_addrs()[0]);
        let client = Client::with_config(config.clone()).unwrap();
        tokio::spawn(async move { endpoint.serve(router).await });
        tokio::spawn(async move {
            let reached = Arc::new(AtomicU64::new(0));
            let reports = reached.clone();
            let request = client.get(uri).progress(move |progress| {
                assert_eq!((progress.total, progress.held_back), (Some(16 * MANY), None));
                let before = reports.swap(progress.received, Ordering::Relaxed);
                assert!(before <= progress.received);
            });
            let mut body = Vec::new();
            let written = request.stream().await.unwrap().write_to(&mut body).await;
            let asked = kept.asked.load(Ordering::Relaxed);
            (written, body, asked, reached.load(Ordering::Relaxed))
        })
    });
    let [same, changed] = transfers.map(|transfer| timeout(4 * BOUND, transfer));
    let (written, body, asked, reached) = same.await.unwrap().unwrap();
    assert_eq!((written.unwrap(), asked, reached), (16 * MANY, 2, 16 * MANY));
    assert!(body == pattern(0, 16 * MANY));
    let (written, body, ..) = changed.await.unwrap().unwrap();
    let error = written.unwrap_err();
    assert!(
        matches!(error, Error::Exchange(ExchangeError::BodyChanged)),
        "{error}"
    );
    assert!(body.len() > 64_000 * 16 && body.len() < 65_536 * 16);
}
