//! Layers from functions.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::route::{Begin, Route};

/// A layer that is an async function: it sees each request, and answers it or hands it on to [`Next`].
///
/// ```
/// use coracle_router::{from_fn, get, IntoResponse, Next, Request, Response, Router};
/// use coracle_wire::Status;
///
/// async fn only_secured(request: Request, next: Next) -> Response {
///     match request.identity {
///         Some(_) => next.run(request).await,
///         None => Status::UNAUTHORIZED.into_response(),
///     }
/// }
///
/// let app: Router = Router::new().route("/lock", get(async || "shut")).layer(from_fn(only_secured));
/// ```
pub fn from_fn<F>(function: F) -> FromFn<F> {
    FromFn { function }
}

/// The layer that [`from_fn`] makes.
#[derive(Clone, Copy)]
pub struct FromFn<F> {
    function: F,
}

/// What lies behind a function's layer.
#[derive(Clone, Debug)]
pub struct Next {
    route: Route,
}

impl Next {
    /// Hands the request on.
    pub async fn run(self, mut request: Request) -> Response {
        self.route.run(&mut request, Begin::WhenPolled).await
    }
}

impl<F: Clone> Layer<Route> for FromFn<F> {
    type Service = FromFnService<F>;

    fn layer(&self, route: Route) -> FromFnService<F> {
        FromFnService {
            function: self.function.clone(),
            route,
        }
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

/// The service that [`from_fn`]'s layer makes.
#[derive(Clone)]
pub struct FromFnService<F> {
    function: F,
    route: Route,
}

impl<F, Fut> Service<Request> for FromFnService<F>
where
    F: Fn(Request, Next) -> Fut,
    Fut: Future<Output: IntoResponse> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let answered = (self.function)(
            request,
            Next {
                route: self.route.clone(),
            },
        );
        Box::pin(async move { Ok(answered.await.into_response()) })
    }
}

impl<F> fmt::Debug for FromFnService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFnService").finish_non_exhaustive()
    }
}
