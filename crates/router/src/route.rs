//! What stands at the end of a path: a service that answers, and its future.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use coracle_wire::Status;
use tower_layer::Layer;
use tower_service::Service;

use crate::finish::Finish;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

type BoxFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Something that answers requests; any number at once.
pub(crate) trait Call: Send + Sync + 'static {
    /// Who has to keep the request takes it out of its place: it is large, and most answers are there before anybody
    /// has to.
    fn call(&self, request: &mut Request, begin: Begin) -> Answer;
}

/// When a handler begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Within the call. Nobody is woken by this first poll: a future that is not ready is to be polled again.
    Now,
    /// When its future is polled, as layers expect of a service.
    WhenPolled,
}

/// A response, now or later.
pub enum Answer {
    /// `None`: it was taken.
    Ready(Option<Response>),
    Later {
        future: BoxFuture,
        /// What the framework does to the response.
        finish: Option<Finish>,
    },
}

impl Answer {
    pub(crate) fn ready(response: Response) -> Answer {
        Answer::Ready(Some(response))
    }

    /// The response that a future has.
    pub(crate) fn of(begin: Begin, future: impl Future<Output = Response> + Send + 'static) -> Answer {
        let mut future = Box::pin(future);
        if begin == Begin::Now
            && let Poll::Ready(response) = future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            return Answer::ready(response);
        }
        Answer::Later { future, finish: None }
    }

    /// Applies `finish` to the response of a handler, whenever it comes.
    #[inline]
    pub(crate) fn finish_by(&mut self, finish: Finish) {
        match self {
            Answer::Ready(None) => {}
            Answer::Ready(Some(response)) => finish.apply(response),
            Answer::Later { finish: place, .. } if place.is_none() => *place = Some(finish),
            Answer::Later { .. } => {
                let inner = std::mem::replace(self, Answer::Ready(None));
                *self = Answer::Later {
                    future: Box::pin(inner),
                    finish: Some(finish),
                };
            }
        }
    }
}

impl Future for Answer {
    type Output = Response;

    /// Polled after its end, which the contract of futures forbids, it has nothing to give, or panics.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        match self.get_mut() {
            Answer::Ready(response) => response.take().map_or(Poll::Pending, Poll::Ready),
            Answer::Later { future, finish } => {
                let mut polled = future.as_mut().poll(cx);
                if let (Poll::Ready(response), Some(finish)) = (&mut polled, finish) {
                    finish.apply(response);
                }
                polled
            }
        }
    }
}

/// The response of [`Router::call`](crate::Router::call), now or later.
///
/// A handler that answers at once is one allocation; what the router itself answers is none. A panic of a handler or
/// layer is caught and becomes 5.00: one bad request does not end a driver.
#[must_use = "futures do nothing unless polled"]
pub struct RouteFuture {
    answer: Answer,
}

impl RouteFuture {
    pub(crate) fn ready(response: Response) -> RouteFuture {
        RouteFuture {
            answer: Answer::ready(response),
        }
    }

    /// The response, if it is there without a poll: see [`Router::begin`](crate::Router::begin).
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match &self.answer {
            Answer::Ready(response) => response.as_ref(),
            Answer::Later { .. } => None,
        }
    }
}

impl Future for RouteFuture {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.answer).poll(cx)));
        polled.unwrap_or_else(|_| Poll::Ready(panicked()))
    }
}

impl fmt::Debug for RouteFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteFuture").finish_non_exhaustive()
    }
}

fn panicked() -> Response {
    Response::diagnostic(Status::INTERNAL_SERVER_ERROR, "the handler failed")
}

/// A route as layers see it: a service that cannot fail and is always ready.
#[derive(Clone)]
pub struct Route(Arc<dyn Call>);

impl Route {
    pub(crate) fn new(call: impl Call) -> Route {
        Route(Arc::new(call))
    }

    pub(crate) fn answer(&self, request: &mut Request, begin: Begin) -> Answer {
        self.0.call(request, begin)
    }

    /// Answers with panics caught, one within the call itself too.
    pub(crate) fn run(&self, request: &mut Request, begin: Begin) -> RouteFuture {
        let mut future = RouteFuture {
            answer: Answer::Ready(None),
        };
        // It is put in its place within, as what is handed out of there is copied.
        let called = catch_unwind(AssertUnwindSafe(|| future.answer = self.answer(request, begin)));
        if called.is_err() {
            future.answer = Answer::ready(panicked());
        }
        future
    }

    /// This route behind a layer.
    pub(crate) fn layered<L>(self, layer: &L) -> Route
    where
        L: Layer<Route>,
        L::Service: Service<Request, Error: Into<Infallible>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse,
        <L::Service as Service<Request>>::Future: Send,
    {
        Route::new(Layered(layer.layer(self)))
    }
}

impl Service<Request> for Route {
    type Response = Response;
    type Error = Infallible;
    type Future = ServiceFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> ServiceFuture {
        ServiceFuture(self.run(&mut request, Begin::WhenPolled))
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").finish_non_exhaustive()
    }
}

/// The future of [`Route`] and [`Router`](crate::Router) as tower services: a [`RouteFuture`] that cannot fail.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ServiceFuture(pub(crate) RouteFuture);

impl Future for ServiceFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(Ok)
    }
}

/// A service that a layer made. It is cloned for each request, as tower has it.
struct Layered<V>(V);

impl<V> Call for Layered<V>
where
    V: Service<Request, Error: Into<Infallible>> + Clone + Send + Sync + 'static,
    V::Response: IntoResponse,
    V::Future: Send,
{
    fn call(&self, request: &mut Request, begin: Begin) -> Answer {
        let (mut service, request) = (self.0.clone(), request.take());
        Answer::of(begin, async move {
            let Ok(()) = poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(Into::<Infallible>::into);
            let Ok(response) = service.call(request).await.map_err(Into::<Infallible>::into);
            response.into_response()
        })
    }
}
