//! Answers whose bodies are read as they come.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use coracle_wire::{ContentFormat, OptionNumber, OptionsBuf, Status};
use futures_core::Stream;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::client::Response;
use crate::client::request::{Progress, Report};
use crate::command::Underway;
use crate::error::Error;
use crate::mailbox::Notice;

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
    pub(crate) fn new(
        response: coracle_engine::Response,
        underway: Option<Underway>,
        report: Option<Report>,
    ) -> StreamedResponse {
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
            first: Some(Bytes::from(response.payload)),
            underway,
            report,
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

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Poll::Ready(Some(Ok(first)));
        }
        loop {
            let Some(underway) = &self.underway else {
                return Poll::Ready(None);
            };
            let notice = std::task::ready!(underway.mailbox.poll_next(cx));
            underway.resume();
            let error = match notice {
                Some(Notice::Body { payload, more }) => {
                    if !more {
                        self.underway = None;
                    }
                    return Poll::Ready(Some(Ok(payload.into())));
                }
                Some(Notice::Progress {
                    sent,
                    received,
                    total,
                }) => {
                    if let Some(report) = &mut self.report {
                        report(Progress {
                            sent,
                            received,
                            total,
                        });
                    }
                    continue;
                }
                Some(Notice::Failed(error)) => error.into(),
                Some(Notice::Refused(error)) => error.into(),
                Some(_) => continue,
                None => Error::Closed,
            };
            self.underway = None;
            return Poll::Ready(Some(Err(error)));
        }
    }
}
