//! Functions as handlers.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::extract::FromRequest;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::route::{Answer, Begin, Call, Route};

/// An async function that answers requests.
///
/// Implemented for functions and closures of up to ten arguments that all are [`FromRequest`], in any order, and
/// whose future is `Send` and gives something that is [`IntoResponse`]. Nothing else needs to implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle CoAP requests",
    label = "not a handler",
    note = "a handler is an `async fn` whose arguments are extractors (`FromRequest<S>`, `S` being the router's state) \
            and whose result is `IntoResponse`; its future must be `Send`: nothing that is not `Send` may live across \
            an `.await`"
)]
pub trait Handler<T, S>: Clone + Send + Sync + Sized + 'static {
    /// Whether an argument takes the body part by part; bodies of requests are not assembled then.
    const STREAMS_BODY: bool;

    /// Extracts the arguments and calls the function. The outer count of the state is one driver's own.
    ///
    /// Arguments that are at hand are taken on the spot, so that neither request nor state is kept with the future.
    #[doc(hidden)]
    fn call(self, request: &mut Request, state: &Arc<Arc<S>>, begin: Begin) -> Answer;
}

macro_rules! handlers {
    ($($($T:ident)*;)*) => {$(
        #[allow(non_snake_case, unused_mut, unused_variables)]
        impl<F, Fut, Res, S, $($T,)*> Handler<($($T,)*), S> for F
        where
            F: FnOnce($($T),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Res> + Send,
            Res: IntoResponse,
            S: Send + Sync + 'static,
            $($T: FromRequest<S> + Send + 'static,)*
        {
            const STREAMS_BODY: bool = false $(|| $T::STREAMS_BODY)*;

            fn call(self, request: &mut Request, state: &Shared<S>, begin: Begin) -> Answer {
                let personal = false $(|| $T::PERSONAL)*;
                let is_at_hand = true $(&& $T::is_at_hand(request))*;
                if is_at_hand {
                    $(let $T = match at_hand::<$T, S>(request, state) {
                        Poll::Ready(Ok(value)) => value,
                        Poll::Ready(Err(rejection)) => return Answer::ready(rejection.into_response()),
                        Poll::Pending => return Answer::ready(not_at_hand::<$T>()),
                    };)*
                    return Answer::of(begin, async move {
                        let mut response = self($($T),*).await.into_response();
                        response.personal |= personal;
                        response
                    });
                }
                let (mut request, state) = (request.take(), state.clone());
                Answer::of(begin, async move {
                    $(let $T = match $T::from_request(&mut request, &state).await {
                        Ok(value) => value,
                        Err(rejection) => return rejection.into_response(),
                    };)*
                    drop(request);
                    drop(state);
                    let mut response = self($($T),*).await.into_response();
                    response.personal |= personal;
                    response
                })
            }
        }
    )*};
}

/// An argument that says that it need not be waited for.
fn at_hand<T: FromRequest<S>, S>(request: &mut Request, state: &S) -> Poll<Result<T, T::Rejection>> {
    pin!(T::from_request(request, state)).poll(&mut Context::from_waker(Waker::noop()))
}

fn not_at_hand<T>() -> Response {
    let name = std::any::type_name::<T>();
    Rejection::NotAtHand { name }.into_response()
}

handlers! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E G;
    A B C D E G H;
    A B C D E G H I;
    A B C D E G H I J;
    A B C D E G H I J K;
}

/// The state of handlers. Each request takes a reference: the outer count belongs to one table, so that drivers on
/// several cores do not contend for it.
pub(crate) type Shared<S> = Arc<Arc<S>>;

/// Becomes a route once the state is known.
pub(crate) trait Build<S>: Send + Sync {
    fn build(&self, state: &Shared<S>) -> Route;
}

/// A route needs no state any more.
impl<S> Build<S> for Route {
    fn build(&self, _: &Shared<S>) -> Route {
        self.clone()
    }
}

/// A handler whose state is not known yet.
pub(crate) struct Stateless<H, T> {
    handler: H,
    arguments: PhantomData<fn() -> T>,
}

impl<H, T> Stateless<H, T> {
    pub(crate) fn new(handler: H) -> Self {
        Stateless {
            handler,
            arguments: PhantomData,
        }
    }
}

impl<H, T, S> Build<S> for Stateless<H, T>
where
    H: Handler<T, S>,
    T: 'static,
    S: Send + Sync + 'static,
{
    fn build(&self, state: &Shared<S>) -> Route {
        Route::new(Stateful {
            handler: self.handler.clone(),
            state: state.clone(),
            arguments: PhantomData::<fn() -> T>,
        })
    }
}

struct Stateful<H, T, S> {
    handler: H,
    state: Shared<S>,
    arguments: PhantomData<fn() -> T>,
}

impl<H, T, S> Call for Stateful<H, T, S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Send + Sync + 'static,
{
    fn call(&self, request: &mut Request, begin: Begin) -> Answer {
        self.handler.clone().call(request, &self.state, begin)
    }
}
