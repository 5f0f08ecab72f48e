//! Functions as handlers.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use crate::extract::FromRequest;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::route::{Answer, BoxFuture, Call, Route};

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
    fn call(self, request: Request, state: Arc<Arc<S>>) -> Pin<Box<dyn Future<Output = Response> + Send>>;
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
            $($T: FromRequest<S> + Send,)*
        {
            const STREAMS_BODY: bool = false $(|| $T::STREAMS_BODY)*;

            fn call(self, mut request: Request, state: Shared<S>) -> BoxFuture {
                Box::pin(async move {
                    $(let $T = match $T::from_request(&mut request, &state).await {
                        Ok(value) => value,
                        Err(rejection) => return rejection.into_response(),
                    };)*
                    drop(request);
                    drop(state);
                    let mut response = self($($T),*).await.into_response();
                    response.personal |= false $(|| $T::PERSONAL)*;
                    response
                })
            }
        }
    )*};
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
    fn call(&self, request: Request) -> Answer {
        Answer::later(self.handler.clone().call(request, self.state.clone()))
    }
}
