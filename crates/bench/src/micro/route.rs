//! The router alone.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use coracle_engine::{Config, Endpoint, Instant, Path, Received};
use coracle_router::Request;
use coracle_wire::{Method, Status};

use super::codec::options;
use crate::datagrams::request;
use crate::subjects::coracle;

/// What a driver does between an engine that hands a request out and the response that it gives back.
pub(super) fn route() -> impl FnMut() {
    let router = coracle::router();
    let path = Path::to(SocketAddr::from((Ipv4Addr::LOCALHOST, 5683)));
    let mut datagram = vec![0; 64];
    let len = request(
        Method::GET,
        1,
        *b"toke",
        options().as_options(),
        &[],
        &mut datagram,
    );
    datagram.truncate(len);
    let mut engine = Endpoint::new(Config::default(), [7; 32]);
    let received = engine.handle_datagram(Instant::ZERO, path, datagram.leak());
    let mut place = Request::new(Method::GET, path);
    move || {
        if let Received::Request(_, request) = &received {
            place.refill(black_box(request));
        }
        let future = black_box(router.begin(&mut place));
        let response = future.response();
        assert!(response.is_some_and(|response| response.status == Status::CONTENT));
    }
}
