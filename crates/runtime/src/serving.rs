//! Requests of peers on their way through the router: answered on the spot where the handler is ready, kept where it
//! has to wait.

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use coracle_engine::{
    Endpoint, ExchangeId, Instant, OwnedRequest, Path, Request as EngineRequest, ResponseRef, SharedBody,
    Topic,
};
use coracle_router::{
    BodySender, BodyStream, ChangeSink, Demand, Identity, Observable, Request, Response, RouteFuture, Router,
};
use coracle_wire::Method;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::{FuturesUnordered, Stream};

use crate::asking::COPIED;
use crate::changes::Changes;
use crate::connections::Came;

/// The application's side of a driver.
pub(crate) struct Serving {
    router: Router,
    /// The place of the requests that are whole, one after another.
    place: Request,
    /// Handlers that wait for something.
    work: FuturesUnordered<Abortable<Waiting>>,
    aborts: HashMap<ExchangeId, AbortHandle>,
    /// Bodies that handlers take part by part.
    bodies: HashMap<ExchangeId, BodySender>,
    /// When the last part of any of them came.
    last_part: Instant,
    /// States that peers observe.
    observed: HashMap<Topic, Observable>,
    changes: Arc<Changes>,
}

impl Serving {
    pub(crate) fn new(router: Router, changes: Arc<Changes>) -> Serving {
        Serving {
            router,
            place: Request::new(
                Method::GET,
                Path::to(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            ),
            work: FuturesUnordered::new(),
            aborts: HashMap::new(),
            bodies: HashMap::new(),
            last_part: Instant::ZERO,
            observed: HashMap::new(),
            changes,
        }
    }

    /// A request that `came` from whom: its body is whole, or the first part of one that is streamed.
    pub(crate) fn request(
        &mut self,
        engine: &mut Endpoint,
        now: Instant,
        id: ExchangeId,
        request: &EngineRequest<'_>,
        (came, identity): (Came<'_>, Option<Identity>),
    ) {
        if request.more {
            self.last_part = now;
            let (sender, stream) = BodyStream::new(came.keep(request.payload));
            self.bodies.insert(id, sender);
            let request = Request::from(*request).with_identity(identity);
            self.call(engine, now, id, request.with_body(stream));
        } else {
            self.place.refill(request);
            self.place.identity = identity;
            self.place.part_len = engine.part_len(&request.path);
            let future = self.router.begin(&mut self.place);
            if !request.payload.is_empty() {
                self.place.payload = Bytes::new();
            }
            match future.response() {
                Some(response) => self.respond(engine, now, id, response),
                None => self.wait_for(id, future),
            }
        }
    }

    /// A request whose body came in blocks.
    pub(crate) fn assembled(
        &mut self,
        engine: &mut Endpoint,
        now: Instant,
        id: ExchangeId,
        request: OwnedRequest,
        identity: Option<Identity>,
    ) {
        self.call(engine, now, id, Request::from(request).with_identity(identity));
    }

    /// An observation whose state has changed: its request is run again.
    pub(crate) fn refresh(
        &mut self,
        engine: &mut Endpoint,
        now: Instant,
        id: ExchangeId,
        request: OwnedRequest,
        identity: Option<Identity>,
    ) {
        let request = Request::from(request).with_identity(identity);
        self.call(engine, now, id, request.with_notification(true));
    }

    fn call(&mut self, engine: &mut Endpoint, now: Instant, id: ExchangeId, mut request: Request) {
        request.part_len = engine.part_len(&request.path);
        let future = self.router.begin(&mut request);
        match future.response() {
            Some(response) => self.respond(engine, now, id, response),
            None => self.wait_for(id, future),
        }
    }

    /// The handler has begun and is not done.
    fn wait_for(&mut self, id: ExchangeId, future: RouteFuture) {
        let (abort, registration) = AbortHandle::new_pair();
        self.work
            .push(Abortable::new(Waiting { id, future }, registration));
        self.aborts.insert(id, abort);
    }

    fn respond(&mut self, engine: &mut Endpoint, now: Instant, id: ExchangeId, response: &Response) {
        if !self.bodies.is_empty() {
            self.bodies.remove(&id);
        }
        let topic = response.observe.as_ref().map(Observable::topic);
        let is_long = response.payload.len() > COPIED;
        let shared = is_long.then(|| SharedBody::new(response.payload.clone()));
        let answer = ResponseRef::new(response.status, response.options.as_options(), &response.payload)
            .with_shared(shared.as_ref())
            .with_window(response.window)
            .with_observe(topic)
            .with_confirmable(response.confirmable)
            .with_personal(response.personal);
        if let Err(error) = engine.respond(now, id, answer) {
            tracing::debug!(%error, "an answer was not sent");
        }
        if let Some(observable) = response
            .observe
            .as_ref()
            .filter(|o| engine.is_observed(o.topic()))
        {
            let sink: Arc<dyn ChangeSink> = self.changes.clone();
            observable.subscribe(&sink);
            self.observed
                .entry(observable.topic())
                .or_insert_with(|| observable.clone());
        }
    }

    /// A further part of a streamed body.
    pub(crate) fn body(&mut self, now: Instant, id: ExchangeId, payload: Bytes, more: bool) {
        self.last_part = now;
        let Some(mut sender) = self.bodies.remove(&id) else {
            return;
        };
        sender.send(payload);
        if more {
            self.bodies.insert(id, sender);
        } else {
            sender.finish();
        }
    }

    /// When the last part of a body came; the epoch if none did.
    pub(crate) fn last_part(&self) -> Instant {
        self.last_part
    }

    /// Requests whose handlers have not answered yet, and how many of them wait for more of their bodies.
    pub(crate) fn pending(&self) -> (usize, usize) {
        (self.aborts.len(), self.bodies.len())
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn ended(&mut self, id: ExchangeId) {
        self.bodies.remove(&id);
        if let Some(abort) = self.aborts.remove(&id) {
            abort.abort();
        }
    }

    pub(crate) fn topic_idle(&mut self, topic: Topic) {
        if let Some(observable) = self.observed.remove(&topic) {
            let sink: Arc<dyn ChangeSink> = self.changes.clone();
            observable.unsubscribe(&sink);
        }
    }

    /// Runs handlers that can go on and asks for the parts of bodies they want. Ready when anything was done.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, engine: &mut Endpoint, now: Instant) -> Poll<()> {
        let mut done = Poll::Pending;
        while let Poll::Ready(Some(finished)) = Pin::new(&mut self.work).poll_next(cx) {
            if let Ok((id, response)) = finished {
                self.aborts.remove(&id);
                self.respond(engine, now, id, &response);
            }
            done = Poll::Ready(());
        }
        self.bodies.retain(|id, body| match body.poll_demand(cx) {
            Poll::Pending => true,
            Poll::Ready(demand) => {
                done = Poll::Ready(());
                if demand == Demand::Next {
                    engine.continue_body(now, *id);
                }
                demand == Demand::Next
            }
        });
        done
    }
}

/// A handler that waits for something, and the exchange that it is to answer.
struct Waiting {
    id: ExchangeId,
    future: RouteFuture,
}

impl Future for Waiting {
    type Output = (ExchangeId, Response);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.id;
        Pin::new(&mut self.future).poll(cx).map(|response| (id, response))
    }
}
