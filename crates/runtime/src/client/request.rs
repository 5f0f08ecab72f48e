//! Requests in the making.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coracle_engine::{Path, TransmissionParameters};
use coracle_wire::{BlockOption, ContentFormat, Method, OptionNumber, OptionsBuf, Status};
use serde::Serialize;

use crate::client::body::{Body, Upload};
use crate::client::route::Routes;
use crate::client::{Client, Observation, Response, Responses, StreamedResponse, Target};
use crate::command::{Outgoing, Underway};
use crate::error::Error;
use crate::mailbox::Notice;

/// How far a transfer has come, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Of the request's body, what the peer has.
    pub sent: u64,
    /// Of the answer's body, what has come.
    pub received: u64,
    /// The length of the body under way, if it is known (RFC 7959 §4).
    pub total: Option<u64>,
    /// The message IDs towards the peer are used up (RFC 7252 §4.4): how long until there are new ones. Meanwhile no more
    /// than a block goes now and then, so that the peer keeps what it has.
    pub held_back: Option<Duration>,
}

/// What is called with how far a transfer has come.
pub(crate) type Report = Box<dyn FnMut(Progress) + Send>;

/// A request in the making; [`send`](RequestBuilder::send) sends it.
#[must_use]
pub struct RequestBuilder {
    client: Client,
    target: Result<Target, Error>,
    method: Method,
    options: Result<OptionsBuf, Error>,
    body: Result<Body, Error>,
    confirmable: bool,
    parameters: Option<TransmissionParameters>,
    timeout: Option<Duration>,
    max_body: Option<usize>,
    interface: u32,
    progress: Option<Report>,
}

/// A request as it goes out, for those who show it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SentRequest {
    /// The method.
    pub method: Method,
    /// The options, without those of block-wise transfer.
    pub options: OptionsBuf,
    /// The whole body; nothing of one that is read as it goes.
    pub payload: Bytes,
    /// In a confirmable message.
    pub confirmable: bool,
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder")
            .field("method", &self.method)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl RequestBuilder {
    pub(crate) fn new(client: Client, method: Method, uri: &str) -> RequestBuilder {
        RequestBuilder {
            target: client.target(uri),
            client,
            method,
            options: Ok(OptionsBuf::new()),
            body: Ok(Bytes::new().into()),
            confirmable: true,
            parameters: None,
            timeout: None,
            max_body: None,
            interface: 0,
            progress: None,
        }
    }

    pub(crate) fn with_default_path(mut self, path: &str) -> Self {
        self.target = self
            .target
            .and_then(|mut target| target.default_path(path).map(|()| target));
        self
    }

    /// Adds an option. Those of block-wise transfer are added by the engine.
    pub fn option(mut self, number: OptionNumber, value: impl AsRef<[u8]>) -> Self {
        self.options = self.options.and_then(|mut options| {
            let added = options.insert(number, value.as_ref());
            added
                .map(|()| options)
                .map_err(|error| Error::Uri(error.to_string()))
        });
        self
    }

    /// Adds an option whose value is a number.
    pub fn option_uint(mut self, number: OptionNumber, value: u64) -> Self {
        if let Ok(options) = &mut self.options {
            options.push_uint(number, value);
        }
        self
    }

    /// Adds a query to those of the URI (RFC 7252 §5.10.1).
    pub fn query(self, query: impl AsRef<str>) -> Self {
        self.option(OptionNumber::URI_QUERY, query.as_ref())
    }

    /// Asks for an answer in this format (RFC 7252 §5.10.4).
    pub fn accept(self, format: ContentFormat) -> Self {
        self.option_uint(OptionNumber::ACCEPT, u64::from(format.0))
    }

    /// Says what the body is (RFC 7252 §5.10.3).
    pub fn content_format(self, format: ContentFormat) -> Self {
        self.option_uint(OptionNumber::CONTENT_FORMAT, u64::from(format.0))
    }

    /// Takes the request only if the resource has this ETag, or with an empty one if it exists (RFC 7252 §5.10.8.1).
    pub fn if_match(self, etag: impl AsRef<[u8]>) -> Self {
        self.option(OptionNumber::IF_MATCH, etag)
    }

    /// Takes the request only if the resource does not exist (RFC 7252 §5.10.8.2).
    pub fn if_none_match(self) -> Self {
        self.option(OptionNumber::IF_NONE_MATCH, [])
    }

    /// Sets the body; one that is longer than a block goes block-wise.
    pub fn payload(self, payload: impl Into<Bytes>) -> Self {
        self.body(payload.into())
    }

    /// Sets the body to bytes, or to a file or any other reader, which is read while it goes: see [`Body`]. What is read
    /// as it goes goes once, so it can neither be observed nor sent to a group.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = Ok(body.into());
        self
    }

    /// Asks for the body of the answer from this byte on, as after an interrupted transfer (RFC 7959 §2.4): from the
    /// beginning of the largest block, 1,024 bytes, that holds it; on connections in blocks of BERT (RFC 8323 §6). Use it with [`stream`](Self::stream), whose answer
    /// tells where it begins, and compare its ETag with that of the part that is there already: if it differs, the two do
    /// not belong together.
    pub fn resume_at(mut self, offset: u64) -> Self {
        let num = u32::try_from(offset / 1024).unwrap_or(u32::MAX);
        let is_reliable = self.target.as_ref().is_ok_and(Target::is_reliable);
        let largest = BlockOption::SZX_BERT - u8::from(!is_reliable);
        match BlockOption::new(num, false, largest) {
            // RFC 7959 §4: the length is told with the first block, and where it is asked for.
            Ok(block) if num > 0 => self
                .option(OptionNumber::BLOCK2, block.encode())
                .option_uint(OptionNumber::SIZE2, 0),
            Ok(_) => self,
            Err(error) => {
                self.options = Err(Error::Uri(error.to_string()));
                self
            }
        }
    }

    /// Sets the body to a value as JSON, and says so.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(value)
            .map(Body::from)
            .map_err(|error| Error::Payload(error.to_string()));
        self.content_format(ContentFormat::JSON)
    }

    /// Sets the body to a value as CBOR, and says so.
    pub fn cbor(mut self, value: &impl Serialize) -> Self {
        let mut bytes = Vec::new();
        self.body = ciborium::into_writer(value, &mut bytes)
            .map(|()| Body::from(bytes))
            .map_err(|error| Error::Payload(error.to_string()));
        self.content_format(ContentFormat::CBOR)
    }

    /// Sends it in confirmable messages, which is the default, or not (RFC 7252 §4.2, §4.3).
    pub fn confirmable(mut self, confirmable: bool) -> Self {
        self.confirmable = confirmable;
        self
    }

    /// Uses transmission parameters of its own (RFC 7252 §4.8).
    pub fn retransmission(mut self, parameters: TransmissionParameters) -> Self {
        self.parameters = Some(parameters);
        self
    }

    /// Gives up after this time, however the exchange stands. Of an observation: if the first answer takes longer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Takes no answer whose body is longer, in bytes.
    pub fn max_body(mut self, limit: usize) -> Self {
        self.max_body = Some(limit);
        self
    }

    /// Sends to a group by this interface, by its index in the system; 0 lets the system choose.
    pub fn interface(mut self, index: u32) -> Self {
        self.interface = index;
        self
    }

    /// Calls `report` whenever a part of a body came or went.
    pub fn progress(mut self, report: impl FnMut(Progress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// What will be sent, for those who show it.
    ///
    /// # Errors
    /// What `send` would tell about URI, options and payload.
    pub fn preview(&self) -> Result<SentRequest, Error> {
        let copy = |error: &Error| match error {
            Error::Uri(what) => Error::Uri(what.clone()),
            Error::Payload(what) => Error::Payload(what.clone()),
            error => Error::Payload(error.to_string()),
        };
        let target = self.target.as_ref().map_err(copy)?;
        let options = self.options.as_ref().map_err(copy)?;
        let payload = self.body.as_ref().map_err(copy)?.bytes();
        Ok(SentRequest {
            method: self.method,
            options: merged(&target.options, options),
            payload,
            confirmable: self.confirmable,
        })
    }

    /// Sends the request and waits for its answer, whatever its code. Dropping the future cancels the request.
    ///
    /// # Errors
    /// [`Error::Exchange`] when no answer comes, and see [`Error`].
    pub async fn send(self) -> Result<Response, Error> {
        let Begun { response, .. } = self.begin(false).await?;
        Ok(response.into())
    }

    /// Sends the request and waits for the first block of its answer; the body is read as it comes. Its length is not
    /// bounded unless [`max_body`](Self::max_body) says so.
    ///
    /// A GET that takes so many blocks that the message IDs towards the peer are used up (RFC 7252 §4.4), some 65,000 in
    /// four minutes, goes on from another port, where there are new ones, if the server tells states of the resource
    /// apart by ETags and the client was not made by [`Endpoint::client`](crate::Endpoint::client).
    ///
    /// ```no_run
    /// # async fn example(client: coracle_runtime::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut answer = client.get("coap://host/image.bin").stream().await?;
    /// let mut file = tokio::fs::File::create("image.bin").await?;
    /// answer.write_to(&mut file).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn stream(self) -> Result<StreamedResponse, Error> {
        Ok(StreamedResponse::new(self.begin(true).await?))
    }

    /// Sends the request to one address after another, until there is somebody, and waits for the answer or its first
    /// part. The exchange is given back if it goes on.
    async fn begin(mut self, streams_answer: bool) -> Result<Begun, Error> {
        let mut report = self.progress.take();
        let began = Instant::now();
        let (client, target, mut outgoing, mut upload) = self.finish()?;
        outgoing.streams_answer = streams_answer;
        let mut routes = Routes::to(&client, &target).await?;
        let mut last = Error::Closed;
        while let Some(route) = routes.next_for(&client, &mut outgoing).await? {
            let underway = route.request(&outgoing);
            match answer(&underway, &mut report, upload.as_mut()).await {
                Err(error)
                    if routes.go_on_after(&client, &error, outgoing.method)
                        && upload.as_ref().is_none_or(Upload::begins_again) =>
                {
                    last = error;
                }
                Err(error) => return Err(error),
                Ok((response, more)) => {
                    let onward = Onward {
                        // From another port it would be another session, which is not there.
                        client: route.path.security.is_none().then_some(client),
                        outgoing,
                        began,
                    };
                    return Ok(Begun {
                        response,
                        underway: more.then_some(underway),
                        report,
                        onward,
                    });
                }
            }
        }
        Err(last)
    }

    /// Registers an observation (RFC 7641 §3.1), and waits for the first answer, which is the first notification.
    ///
    /// # Errors
    /// As [`send`](Self::send). A server that does not allow to observe answers all the same:
    /// [`Observation::is_observed`] tells.
    pub async fn observe(mut self) -> Result<Observation, Error> {
        self.progress = None;
        if let Ok(options) = &mut self.options {
            options.set_uint(OptionNumber::OBSERVE, 0);
        }
        let (client, target, mut outgoing, _) = self.finish()?;
        let mut routes = Routes::to(&client, &target).await?;
        let mut last = Error::Closed;
        while let Some(route) = routes.next_for(&client, &mut outgoing).await? {
            match Observation::begin(&client, &target, &outgoing, route).await {
                Err(error) if routes.go_on_after(&client, &error, outgoing.method) => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// Sends the request to a group (RFC 7252 §8), or to one peer, and gives all answers as they come until the
    /// time is over: `timeout`, or else twice the leisure of the members.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send_to_all(mut self) -> Result<Responses, Error> {
        self.progress = None;
        let (client, target, outgoing, _) = self.finish()?;
        let mut routes = Routes::to(&client, &target).await?;
        let route = routes.next(&client).await?.ok_or(Error::Closed)?;
        let underway = route.request(&outgoing);
        Ok(Responses::new(client, underway, outgoing))
    }

    fn finish(self) -> Result<(Client, Target, Outgoing, Option<Upload>), Error> {
        let target = self.target?;
        let options = merged(&target.options, &self.options?);
        let mut path = Path::to(SocketAddr::from(([0, 0, 0, 0], target.port)));
        path.interface = self.interface;
        let (payload, upload) = self.body?.begin();
        let outgoing = Outgoing {
            path,
            method: self.method,
            options,
            payload,
            streamed: upload.as_ref().map(Upload::announced),
            streams_answer: false,
            confirmable: self.confirmable,
            parameters: self.parameters,
            timeout: self.timeout,
            max_body: self.max_body,
        };
        Ok((self.client, target, outgoing, upload))
    }
}

/// The options of the URI and those of the caller, in order.
fn merged(of_uri: &OptionsBuf, others: &OptionsBuf) -> OptionsBuf {
    let mut options = of_uri.clone();
    for option in others.iter() {
        // It was an option before, so that it is short enough.
        let _ = options.insert(option.number, option.value);
    }
    options
}

/// An answer or its first part, the exchange if it goes on, whom to tell how far it has come, and how to go on elsewhere.
pub(crate) struct Begun {
    pub(crate) response: coracle_engine::Response,
    pub(crate) underway: Option<Underway>,
    pub(crate) report: Option<Report>,
    pub(crate) onward: Onward,
}

/// What it takes to go on with an answer from another port.
pub(crate) struct Onward {
    client: Option<Client>,
    outgoing: Outgoing,
    began: Instant,
}

impl Onward {
    /// Asks the same peer for the block at `position` from another port. `None` where that will not do, or cannot be
    /// done.
    pub(crate) fn ask(
        &self,
        remote: SocketAddr,
        (position, given): (u64, u64),
        size: usize,
    ) -> Option<Underway> {
        let mut outgoing = self.outgoing.clone();
        // A body that was given in parts is gone.
        if outgoing.method != Method::GET || outgoing.streamed.is_some() || size == 0 {
            return None;
        }
        let szx = u8::try_from(size.ilog2().checked_sub(4)?).ok()?;
        let num = u32::try_from(position / size as u64).ok()?;
        let block = BlockOption::new(num, false, szx).ok()?;
        let options = &mut outgoing.options;
        options.set(OptionNumber::BLOCK2, &block.encode()).ok()?;
        options.set_uint(OptionNumber::SIZE2, 0);
        let given = usize::try_from(given).unwrap_or(usize::MAX);
        outgoing.max_body = outgoing.max_body.map(|limit| limit.saturating_sub(given));
        outgoing.timeout = outgoing
            .timeout
            .map(|timeout| timeout.saturating_sub(self.began.elapsed()));
        Some(
            self.client
                .as_ref()?
                .elsewhere()?
                .way_to(remote)
                .ok()?
                .request(&outgoing),
        )
    }
}

/// Waits for the answer or its first part, and gives the body of the request on the way. Whether more follows.
async fn answer(
    underway: &Underway,
    report: &mut Option<Report>,
    mut upload: Option<&mut Upload>,
) -> Result<(coracle_engine::Response, bool), Error> {
    let (mut first, mut progress) = (true, Progress::default());
    loop {
        match underway.mailbox.next().await {
            Some(Notice::Response { response, more }) => return Ok((response, more)),
            Some(Notice::Failed(error)) => return Err(error.into()),
            Some(Notice::Refused(error)) => return Err(error.into()),
            Some(Notice::BodyWanted) => {
                let Some(upload) = upload.as_deref_mut() else {
                    continue;
                };
                let (part, more) = match std::mem::take(&mut first) {
                    true => upload.first().await?,
                    false => upload.next().await?,
                };
                underway.supply(part, more);
            }
            Some(Notice::Progress {
                sent,
                received,
                total,
            }) => {
                progress = Progress {
                    sent,
                    received,
                    total,
                    held_back: None,
                };
                tell(report, progress);
            }
            Some(Notice::HeldBack(wait)) => tell(
                report,
                Progress {
                    held_back: Some(wait),
                    ..progress
                },
            ),
            Some(Notice::Pong | Notice::Stale | Notice::Body { .. }) => {}
            None => return Err(Error::Closed),
        }
    }
}

fn tell(report: &mut Option<Report>, progress: Progress) {
    if let Some(report) = report {
        report(progress);
    }
}

/// Whether a response says that the request failed.
pub(crate) fn is_failure(status: Status) -> bool {
    !status.is_success()
}
