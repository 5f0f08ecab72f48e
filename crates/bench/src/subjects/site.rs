//! Our server with all that is measured of it.

use std::hint::black_box;
use std::io;

use coracle_engine::{Config, Window};
use coracle_router::{BodyStream, Changed, Notifier, Request, Response, Router, State, get, post};
use coracle_runtime::Endpoint;
use coracle_wire::{ContentFormat, Status};

use super::body;
use super::coracle::temperature;
use crate::process;

/// Observers that it takes, as many as are measured and some more.
const OBSERVERS: usize = 131_072;

/// Steps of the work of a request: about 100 us.
const STEPS: u64 = 100_000;

/// Bytes of the answer that is larger than a small request allows (RFC 9175 §2.4).
pub(crate) const LARGE: usize = 1_000;

#[derive(Clone)]
struct Site {
    state: Notifier<u32>,
    blocks: u32,
}

/// Serves until it is killed.
pub(crate) fn serve(shards: usize, blocks: u32) -> io::Result<()> {
    let runtime = if shards == 1 {
        process::runtime()?
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(shards)
            .enable_all()
            .build()?
    };
    runtime.block_on(async {
        let endpoint = Endpoint::bind("coap://127.0.0.1:0")
            .map_err(io::Error::other)?
            .with_shards(shards)
            .with_config(config());
        endpoint.local_addrs().into_iter().for_each(process::announce);
        endpoint.serve(router(blocks)).await.map_err(io::Error::other)
    })
}

/// The default settings, with room for the observers.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.max_observers = config.max_observers.max(OBSERVERS);
    config.max_exchanges = config.max_exchanges.max(2 * OBSERVERS);
    config
}

fn router(blocks: u32) -> Router {
    Router::new()
        .route("/temp", get(temperature))
        .route("/work", get(work))
        .route("/large", get(large))
        .route("/log", post(log))
        .route("/state", get(state).post(change).observable())
        .route("/body", get(read_body).put(write_body))
        .with_state(Site {
            state: Notifier::new(0),
            blocks,
        })
}

/// What an application does that computes something.
async fn work() -> &'static str {
    let sum = (0..STEPS).fold(7_u64, |sum, step| black_box(sum.wrapping_mul(31) ^ step));
    if sum == 0 { "zero" } else { "done" }
}

async fn large() -> Response {
    Response::success("x".repeat(LARGE)).with_content_format(ContentFormat::TEXT)
}

/// Something that must not be done twice.
async fn log() -> Changed {
    Changed
}

async fn state(State(site): State<Site>) -> Response {
    let response = site.state.observed(|state| format!("{state:06}"));
    response.with_confirmable(false)
}

async fn change(State(site): State<Site>) -> Changed {
    site.state.update(|state| *state += 1);
    Changed
}

async fn read_body(State(site): State<Site>, request: Request) -> Response {
    let block = request.options.as_options().block2();
    let offset = block
        .and_then(Result::ok)
        .map_or(0, coracle_wire::BlockOption::offset);
    let window = Window {
        offset,
        total: u64::from(site.blocks) * body::BLOCK as u64,
    };
    if offset >= window.total {
        return Response::new(Status::BAD_REQUEST);
    }
    Response::success(body::rest_of_block(offset))
        .with_etag(body::ETAG)
        .with_window(window)
}

async fn write_body(State(site): State<Site>, mut stream: BodyStream) -> Result<Changed, Status> {
    let mut expected = body::Expected::default();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| Status::BAD_REQUEST)?;
        if !expected.take(&part) {
            return Err(Status::BAD_REQUEST);
        }
    }
    if expected.blocks() == Some(site.blocks) {
        Ok(Changed)
    } else {
        Err(Status::BAD_REQUEST)
    }
}
