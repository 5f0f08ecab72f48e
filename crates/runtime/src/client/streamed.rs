//! Answers whose bodies are read as they come.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use coracle_engine::ExchangeError;
use coracle_wire::{ContentFormat, OptionNumber, OptionsBuf, Status};
use futures_core::Stream;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::client::Response;
use crate::client::request::{Begun, Onward, Progress, Report};
use crate::command::Underway;
use crate::error::Error;
use crate::mailbox::Notice;

/// Parts of so many bytes are worth using their memory again.
const REUSED_AT_LEAST: usize = 64 << 10;

/// An answer whose body comes block by block, so that it is never in memory as a whole.
///
/// It is a stream of [`Bytes`]; [`write_to`](StreamedResponse::write_to) brings it to a file or whatever can be written.
/// A few blocks are fetched ahead, no further ones before these are read. All blocks are of one state of the resource,
/// or there is an error (RFC 7959 §2.4). Dropping it ends the transfer.
pub struct StreamedResponse {
    status: Status,
    options: OptionsBuf,
    from: SocketAddr,
    offset: u64,
    total: Option<u64>,
    first: Option<Bytes>,
    /// The rest of the transfer, as long as more comes.
    underway: Option<Underway>,
    report: Option<Report>,
    onward: Onward,
    /// Bytes that have come so far,
    given: u64,
    /// of which so many before the transfer went on from another port,
    given_before: u64,
    /// and so many in the last block.
    block: usize,
    /// The part that was given last: when the reader has let go of it, its memory is used again.
    last: Option<Bytes>,
}

impl std::fmt::Debug for StreamedResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamedResponse")
            .field("status", &self.status)
            .field("from", &self.from)
            .field("offset", &self.offset)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl StreamedResponse {
    pub(crate) fn new(begun: Begun) -> StreamedResponse {
        let Begun {
            response,
            underway,
            report,
            onward,
        } = begun;
        let mut options = response.options;
        let offset = match options.as_options().block2() {
            Some(Ok(block)) => block.offset(),
            _ => 0,
        };
        let total = match (options.get_uint(OptionNumber::SIZE2), &underway) {
            (Some(total), _) => Some(total),
            (None, None) => Some(offset + response.payload.len() as u64),
            (None, Some(_)) => None,
        };
        options.remove(OptionNumber::BLOCK1);
        options.remove(OptionNumber::BLOCK2);
        StreamedResponse {
            status: response.status,
            options,
            from: response.path.remote,
            offset,
            total,
            given: response.payload.len() as u64,
            given_before: 0,
            block: response.payload.len(),
            first: Some(Bytes::from(response.payload)),
            last: None,
            underway,
            report,
            onward,
        }
    }

    /// Goes on from another port, which has message IDs of its own; whether that is possible. Without an ETag nobody could
    /// tell whether what comes there belongs to what is there already.
    fn move_on(&mut self) -> bool {
        if self.etag().is_none() {
            return false;
        }
        let (position, size) = (self.offset + self.given, self.block);
        let Some(underway) = self.onward.ask(self.from, (position, self.given), size) else {
            return false;
        };
        tracing::debug!(
            position,
            "message IDs are used up: the transfer goes on from another port"
        );
        self.underway = Some(underway);
        self.given_before = self.given;
        true
    }

    /// Takes the first block that came to another port, if it is what follows.
    fn take_up(&self, response: coracle_engine::Response) -> Result<Vec<u8>, ExchangeError> {
        let status = response.status;
        if !status.is_success() {
            return Err(ExchangeError::BodyEnded { status });
        }
        let options = response.options.as_options();
        let block = options.block2().and_then(Result::ok);
        let follows = block.is_some_and(|block| block.offset() == self.offset + self.given);
        match follows && options.get(OptionNumber::ETAG) == self.etag() {
            true => Ok(response.payload),
            false => Err(ExchangeError::BodyChanged),
        }
    }

    fn part(&mut self, payload: Vec<u8>, more: bool) -> Bytes {
        self.given += payload.len() as u64;
        self.block = payload.len();
        if !more {
            self.underway = None;
        }
        let part = Bytes::from(payload);
        self.last = (part.len() >= REUSED_AT_LEAST).then(|| part.clone());
        part
    }

    /// Gives the memory of the last part back, if the reader keeps none of it: that of long parts is dear to get.
    fn give_back(&mut self) {
        let last = self.last.take().map(Bytes::try_into_mut);
        if let (Some(Ok(memory)), Some(underway)) = (last, &self.underway) {
            underway.mailbox.give_back(memory.into());
        }
    }

    /// It stays at this port, which may send on in so long.
    fn tell_held_back(&mut self, wait: Duration) {
        self.tell(Progress {
            received: self.given - self.given_before,
            held_back: Some(wait),
            ..Progress::default()
        });
    }

    fn tell(&mut self, progress: Progress) {
        let received = self.given_before + progress.received;
        let total = progress.total.or(self.total);
        if let Some(report) = &mut self.report {
            report(Progress {
                received,
                total,
                ..progress
            });
        }
    }

    /// The response code. What follows is the body of an error as of a success.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The options, without those of block-wise transfer.
    #[must_use]
    pub fn options(&self) -> &OptionsBuf {
        &self.options
    }

    /// Who answered.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.from
    }

    /// What the body is, if the answer says so.
    #[must_use]
    pub fn content_format(&self) -> Option<ContentFormat> {
        self.options.as_options().content_format()
    }

    /// What tells this state of the resource from others (RFC 7252 §5.10.6): a transfer that broke off may go on if it
    /// is the same.
    #[must_use]
    pub fn etag(&self) -> Option<&[u8]> {
        self.options.get(OptionNumber::ETAG)
    }

    /// Where in the representation this body begins, in bytes; see
    /// [`RequestBuilder::resume_at`](crate::RequestBuilder::resume_at). A server that does not serve parts by themselves
    /// begins at 0.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The length of the whole representation in bytes, if the server tells it (RFC 7959 §4). It may be wrong.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// [`Error::Exchange`] when the transfer breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }

    /// Writes what is left of the body, and tells how many bytes that was.
    ///
    /// # Errors
    /// [`Error::Exchange`] when the transfer breaks off, [`Error::Body`] when `writer` fails. What was written until
    /// then is a good beginning of the body.
    pub async fn write_to(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<u64, Error> {
        let mut written = 0;
        while let Some(chunk) = self.chunk().await? {
            writer.write_all(&chunk).await.map_err(Error::Body)?;
            written += chunk.len() as u64;
        }
        writer.flush().await.map_err(Error::Body)?;
        Ok(written)
    }

    /// Collects what is left of the body in memory.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn collect(mut self) -> Result<Response, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(Response::new(self.status, self.options, body.into(), self.from))
    }
}

impl Stream for StreamedResponse {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.give_back();
        if let Some(first) = this.first.take().filter(|first| !first.is_empty()) {
            return Poll::Ready(Some(Ok(first)));
        }
        loop {
            let Some(underway) = &this.underway else {
                return Poll::Ready(None);
            };
            let notice = std::task::ready!(underway.mailbox.poll_next(cx));
            underway.resume();
            let error = match notice {
                Some(Notice::Body { payload, more }) => {
                    return Poll::Ready(Some(Ok(this.part(payload, more))));
                }
                Some(Notice::Response { response, more }) => match this.take_up(response) {
                    Ok(payload) => return Poll::Ready(Some(Ok(this.part(payload, more)))),
                    Err(error) => error.into(),
                },
                Some(Notice::HeldBack(wait)) => {
                    if !this.move_on() {
                        this.tell_held_back(wait);
                    }
                    continue;
                }
                Some(Notice::Progress {
                    sent,
                    received,
                    total,
                }) => {
                    this.tell(Progress {
                        sent,
                        received,
                        total,
                        held_back: None,
                    });
                    continue;
                }
                Some(Notice::Failed(error)) => error.into(),
                Some(Notice::Refused(error)) => error.into(),
                Some(_) => continue,
                None => Error::Closed,
            };
            this.underway = None;
            return Poll::Ready(Some(Err(error)));
        }
    }
}
