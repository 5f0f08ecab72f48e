//! Requests as handlers see them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use coracle_engine::{OwnedRequest, Path, Peer};
use coracle_wire::{ContentFormat, Method, OptionNumber, OptionsBuf};

use crate::body::{BodyStream, CollectError};
use crate::extensions::Extensions;
use crate::identity::Identity;
use crate::rejection::Rejection;
use crate::table::{Hit, Table};

/// The longest body of a request where its route says nothing else, in bytes; the default of the engine's
/// `Config::max_body` too.
pub const DEFAULT_BODY_LIMIT: usize = 1 << 20;

/// The largest block of a datagram, in bytes (RFC 7959 §2.2).
const MAX_BLOCK: usize = 1024;

/// A request on its way through layers to a handler.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The options.
    pub options: OptionsBuf,
    /// The whole body; empty where it comes as a stream.
    pub payload: Bytes,
    /// The way it came: from whom, to which address, protected by what.
    pub path: Path,
    /// Who the peer has proved itself to be; `None` where nothing is protected, or nothing was proved.
    pub identity: Option<Identity>,
    /// It came in a confirmable message.
    pub confirmable: bool,
    /// How many bytes of a body one message of the answer may hold: 1,024 in a datagram, more on some connections
    /// (RFC 8323 §6). A handler that answers with a part of a body has so much of it at hand.
    pub part_len: usize,
    /// Nobody asked just now: the driver runs the request of an observer again, because what it observes has changed
    /// (RFC 7641 §4.2).
    pub notification: bool,
    /// What layers found out.
    pub extensions: Extensions,
    /// In a box because few requests have one, and all are moved.
    body: Option<Box<BodyStream>>,
    matched: Option<Matched>,
}

/// Where the router found that the request belongs.
#[derive(Clone, Debug)]
pub(crate) struct Matched {
    pub(crate) table: Arc<Table>,
    pub(crate) hit: Hit,
}

impl Request {
    /// A confirmable request without options and payload that came by `path`.
    #[must_use]
    pub fn new(method: Method, path: Path) -> Request {
        Request::of(method, path, OptionsBuf::new(), Bytes::new())
    }

    fn of(method: Method, path: Path, options: OptionsBuf, payload: Bytes) -> Request {
        Request {
            method,
            options,
            payload,
            path,
            identity: None,
            confirmable: true,
            part_len: MAX_BLOCK,
            notification: false,
            extensions: Extensions::new(),
            body: None,
            matched: None,
        }
    }

    /// A request from this host for `location`, a decoded path with a query if need be: `/sensors?rt=temp`.
    ///
    /// Meant for tests, which need no socket this way. Segments and arguments beyond 65,804 bytes are left out.
    #[must_use]
    pub fn to(method: Method, location: &str) -> Request {
        let mut request = Request::new(method, Path::to(SocketAddr::from((Ipv4Addr::LOCALHOST, 5683))));
        push_location(
            &mut request.options,
            location,
            OptionNumber::URI_PATH,
            OptionNumber::URI_QUERY,
        );
        request
    }

    /// [`Request::to`] with GET.
    #[must_use]
    pub fn get(location: &str) -> Request {
        Request::to(Method::GET, location)
    }

    /// [`Request::to`] with POST.
    #[must_use]
    pub fn post(location: &str) -> Request {
        Request::to(Method::POST, location)
    }

    /// [`Request::to`] with PUT.
    #[must_use]
    pub fn put(location: &str) -> Request {
        Request::to(Method::PUT, location)
    }

    /// [`Request::to`] with DELETE.
    #[must_use]
    pub fn delete(location: &str) -> Request {
        Request::to(Method::DELETE, location)
    }

    /// With another length of the parts of its answer, in bytes.
    #[must_use]
    pub fn with_part_len(mut self, part_len: usize) -> Self {
        self.part_len = part_len;
        self
    }

    /// With these options in place of all others.
    #[must_use]
    pub fn with_options(mut self, options: OptionsBuf) -> Self {
        self.options = options;
        self
    }

    /// With one more option. A value beyond 65,804 bytes, which no message can hold, is left out.
    #[must_use]
    pub fn with_option(mut self, number: OptionNumber, value: &[u8]) -> Self {
        let _ = self.options.insert(number, value);
        self
    }

    /// With this Content-Format.
    #[must_use]
    pub fn with_content_format(mut self, format: ContentFormat) -> Self {
        self.options
            .set_uint(OptionNumber::CONTENT_FORMAT, u64::from(format.0));
        self
    }

    /// With this Accept.
    #[must_use]
    pub fn with_accept(mut self, format: ContentFormat) -> Self {
        self.options.set_uint(OptionNumber::ACCEPT, u64::from(format.0));
        self
    }

    /// With this whole body.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self.body = None;
        self
    }

    /// With a body that comes part by part; it stands in place of the payload.
    #[must_use]
    pub fn with_body(mut self, body: BodyStream) -> Self {
        self.payload = Bytes::new();
        self.body = Some(Box::new(body));
        self
    }

    /// From a peer that has proved itself to be this one, or from one that has not.
    #[must_use]
    pub fn with_identity(mut self, identity: Option<Identity>) -> Self {
        self.identity = identity;
        self
    }

    /// Run again for an observer, or not.
    #[must_use]
    pub fn with_notification(mut self, notification: bool) -> Self {
        self.notification = notification;
        self
    }

    /// In a confirmable message, or not.
    #[must_use]
    pub fn with_confirmable(mut self, confirmable: bool) -> Self {
        self.confirmable = confirmable;
        self
    }

    /// Who asks.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.path.peer()
    }

    /// The pattern of the route that the request belongs to, for instance `/led/{n}`: a label of few values for
    /// metrics. `None` where no route matched.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        let matched = self.matched.as_ref()?;
        matched.table.pattern(matched.hit).map(|pattern| pattern.text())
    }

    /// Makes it another request, as [`From`] does, in the same place: a driver spares what it takes to make a new one for
    /// each that comes.
    pub fn refill(&mut self, request: &coracle_engine::Request<'_>) {
        self.method = request.method;
        self.options = OptionsBuf::from(request.options);
        if !self.payload.is_empty() || !request.payload.is_empty() {
            self.payload = Bytes::copy_from_slice(request.payload);
        }
        self.path = request.path;
        self.identity = None;
        self.confirmable = request.confirmable;
        self.part_len = MAX_BLOCK;
        self.notification = false;
        self.extensions.clear();
        self.body = None;
        if let Some(matched) = &mut self.matched {
            matched.hit = Hit::MAX;
        }
    }

    /// Takes it out of its place, where another one is left that asks for nothing.
    pub(crate) fn take(&mut self) -> Request {
        const NOWHERE: Path = Path::to(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
        std::mem::replace(self, Request::new(Method::GET, NOWHERE))
    }

    pub(crate) fn matched(&self) -> Option<&Matched> {
        self.matched.as_ref()
    }

    /// The table is most often the one of the request that was in this place before.
    pub(crate) fn set_matched(&mut self, table: &Arc<Table>, hit: Hit) {
        match &mut self.matched {
            Some(matched) if Arc::ptr_eq(&matched.table, table) => matched.hit = hit,
            place => {
                *place = Some(Matched {
                    table: table.clone(),
                    hit,
                });
            }
        }
    }

    /// Whether the body is here as a whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.body.is_none()
    }

    /// The body as a stream, however it came. It can be taken once.
    pub(crate) fn take_stream(&mut self) -> BodyStream {
        match self.body.take() {
            Some(body) => *body,
            None => BodyStream::whole(std::mem::take(&mut self.payload)),
        }
    }

    /// The whole body; one that comes as a stream is collected up to the limit of the route.
    pub(crate) async fn whole_body(&mut self) -> Result<Bytes, Rejection> {
        if let Some(body) = self.body.take() {
            let limit = self.body_limit();
            self.payload = body.collect(limit).await.map_err(|error| match error {
                CollectError::Interrupted => Rejection::BodyInterrupted,
                CollectError::TooLong => Rejection::BodyTooLong { limit },
            })?;
        }
        Ok(self.payload.clone())
    }

    fn body_limit(&self) -> usize {
        let limit = self
            .matched
            .as_ref()
            .and_then(|matched| matched.table.body_limit(matched.hit));
        limit.unwrap_or(DEFAULT_BODY_LIMIT)
    }

    /// A copy for a handler that takes the whole request; a body that is a stream goes with it.
    pub(crate) fn split_off(&mut self) -> Request {
        Request {
            body: self.body.take(),
            ..self.without_stream()
        }
    }

    /// A copy whose body, if it is a stream, stays behind.
    pub(crate) fn without_stream(&self) -> Request {
        Request {
            method: self.method,
            options: self.options.clone(),
            payload: self.payload.clone(),
            path: self.path,
            identity: self.identity.clone(),
            confirmable: self.confirmable,
            part_len: self.part_len,
            notification: self.notification,
            extensions: self.extensions.clone(),
            body: None,
            matched: self.matched.clone(),
        }
    }
}

/// From what the engine hands out of the datagram: options and payload are copied, once each.
impl From<coracle_engine::Request<'_>> for Request {
    fn from(request: coracle_engine::Request<'_>) -> Self {
        let options = OptionsBuf::from(request.options);
        let payload = Bytes::copy_from_slice(request.payload);
        Request::of(request.method, request.path, options, payload).with_confirmable(request.confirmable)
    }
}

/// From what the engine assembled, or stored of an observation; nothing is copied.
impl From<OwnedRequest> for Request {
    fn from(request: OwnedRequest) -> Self {
        let payload = Bytes::from(request.payload);
        Request::of(request.method, request.path, request.options, payload)
            .with_confirmable(request.confirmable)
    }
}

/// Adds the segments and arguments of a decoded path and query (RFC 7252 §6.4 without percent-decoding).
pub(crate) fn push_location(options: &mut OptionsBuf, text: &str, path: OptionNumber, query: OptionNumber) {
    let (segments, arguments) = text
        .split_once('?')
        .map_or((text, None), |(path, query)| (path, Some(query)));
    let segments = segments.strip_prefix('/').unwrap_or(segments);
    if !segments.is_empty() {
        for segment in segments.split('/') {
            let _ = options.push_str(path, segment);
        }
    }
    for argument in arguments.into_iter().flat_map(|arguments| arguments.split('&')) {
        let _ = options.push_str(query, argument);
    }
}
