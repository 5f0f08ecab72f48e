//! Our server as its users start it, on one core.

use std::io;

use coracle_router::{Router, get};
use coracle_runtime::Endpoint;

use crate::process;

/// What it answers, as all others do.
pub(crate) const TEXT: &str = "21.5";

pub(super) async fn temperature() -> &'static str {
    TEXT
}

/// The application under test.
pub(crate) fn router() -> Router {
    Router::new().route("/temp", get(temperature))
}

/// Serves until it is killed.
pub(crate) fn serve() -> io::Result<()> {
    serve_at("coap://127.0.0.1:0")
}

/// Serves at this URI until it is killed.
pub(super) fn serve_at(uri: &str) -> io::Result<()> {
    process::runtime()?.block_on(async {
        let endpoint = Endpoint::bind(uri).map_err(io::Error::other)?;
        endpoint.local_addrs().into_iter().for_each(process::announce);
        endpoint.serve(router()).await.map_err(io::Error::other)
    })
}
