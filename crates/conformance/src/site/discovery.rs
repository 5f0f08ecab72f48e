//! The resources of the tests of RFC 6690: `TD_COAP_LINK_01` to 09.

use coracle::formats::link_format::{Link, write_links};
use coracle::prelude::*;

/// What lies below `/path`, and is found there only (`TD_COAP_LINK_09`).
const BELOW_PATH: [&str; 3] = ["/path/sub1", "/path/sub2", "/path/sub3"];

/// Resources of several types, with one that has an empty type, and a folder.
pub(super) fn router() -> Router {
    let path = get(list).content_format(ContentFormat::LINK_FORMAT);
    let router = Router::new()
        .route("/link1", link().rt("Type1").rt("Type2").interface("If1"))
        .route("/link2", link().rt("Type2").rt("Type3").interface("If2"))
        .route("/link3", link().rt("Type1").rt("Type3").interface("foo"))
        .route("/untyped", link().rt(""))
        .route("/path", path);
    BELOW_PATH.iter().fold(router, |router, sub| {
        router.route(sub, get(async || *sub).hidden())
    })
}

fn link() -> coracle::router::MethodRouter {
    get(async || "for discovery")
}

async fn list() -> (ContentFormat, String) {
    let links = BELOW_PATH.map(Link::new);
    // Link-format can express these paths.
    (
        ContentFormat::LINK_FORMAT,
        write_links(&links).unwrap_or_default(),
    )
}
