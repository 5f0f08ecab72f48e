//! The router alone.

use std::future::Future;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use coracle_engine::Path;
use coracle_router::Request;
use coracle_wire::{Method, Status};

use super::codec::options;
use crate::subjects::coracle;

pub(super) fn route() -> impl FnMut() {
    let router = coracle::router();
    let path = Path::to(SocketAddr::from((Ipv4Addr::LOCALHOST, 5683)));
    let options = options();
    move || {
        let request = Request::new(Method::GET, path).with_options(options.clone());
        let mut future = router.call(black_box(request));
        let answer = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(black_box(answer), Poll::Ready(answer) if answer.status == Status::CONTENT));
    }
}
