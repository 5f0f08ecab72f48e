//! The layer that lets peers do what they may.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use coracle_router::{IntoResponse, Rejection, Request, Response, Route, ServiceFuture};
use coracle_wire::Status;
use futures_util::future::Either;

use super::Credentials;
use super::book::Refusal;

/// Lets each peer do what its entry in the [`Credentials`] allows. Otherwise the answer is 4.03, or 4.01 if the peer has proved
/// nothing.
#[derive(Clone, Debug)]
pub struct Authorization {
    credentials: Credentials,
}

impl Authorization {
    pub(super) fn new(credentials: Credentials) -> Authorization {
        Authorization { credentials }
    }

    fn refusal(&self, request: &Request) -> Option<Response> {
        let peer = request.identity.as_ref();
        let book = self.credentials.book();
        let refusal = book.admit(peer, request.method, request.options.as_options());
        Some(match (refusal.err()?, peer) {
            (Refusal::Forbidden, Some(peer)) => {
                let text = format!("{peer} may not {} this", request.method);
                Response::diagnostic(Status::FORBIDDEN, text)
            }
            _ => Rejection::Anonymous.into_response(),
        })
    }
}

impl tower_layer::Layer<Route> for Authorization {
    type Service = Authorized;

    fn layer(&self, route: Route) -> Authorized {
        Authorized {
            authorization: self.clone(),
            route,
        }
    }
}

/// The service that [`Authorization`] makes.
#[derive(Clone, Debug)]
pub struct Authorized {
    authorization: Authorization,
    route: Route,
}

type Answer = Result<Response, Infallible>;
type Boxed = Pin<Box<dyn Future<Output = Answer> + Send>>;

impl tower_service::Service<Request> for Authorized {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Answer>, Either<ServiceFuture, Boxed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if let Some(refusal) = self.authorization.refusal(&request) {
            return Either::Left(ready(Ok(refusal)));
        }
        let observes = request.notification || request.options.as_options().observe().is_some();
        let answered = self.route.call(request);
        if !observes || self.authorization.credentials.edition() == 0 {
            return Either::Right(Either::Left(answered));
        }
        // Rights may have changed since observers were let in, and one of them does not speak for the others any more.
        Either::Right(Either::Right(Box::pin(async move {
            let Ok(response) = answered.await;
            Ok(response.personal())
        })))
    }
}
