//! Answers that go to a file: block by block, so that they are never in memory as a whole, and from where an earlier
//! transfer broke off if the user says so.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use coracle::{Error, ExchangeError};

use crate::client::{self, RequestBuilder, Response, SentRequest, StreamedResponse};
use crate::console::Console;
use crate::error::{CliError, Exit};
use crate::request::answer::{AnswerArgs, outcome};
use crate::request::partial::{Partial, Place};
use crate::request::tell_head;
use crate::request::transfer::Transfer;
use crate::serve::Signals;
use crate::wire::Status;

/// How often a download begins again because the resource changed under it.
const MAX_RESTARTS: usize = 4;

/// A request whose answer goes to a file.
pub(crate) struct Download<'a> {
    pub(crate) uri: &'a str,
    /// Makes the request, as often as it is sent.
    pub(crate) request: &'a dyn Fn() -> Result<RequestBuilder, CliError>,
    /// It is safe, so that it may be sent again.
    pub(crate) repeats: bool,
    /// Go on with what is there.
    pub(crate) resumes: bool,
    /// How long an answer is waited for, in words.
    pub(crate) patience: &'a str,
    pub(crate) console: &'a Console,
}

/// How a transfer ended.
enum End {
    /// As it should, or with an answer that is none to keep.
    Over(Exit),
    /// The resource is in another state than the part that is there.
    Changed,
}

impl Download<'_> {
    /// Brings the answer to the file.
    pub(crate) async fn to(
        &self,
        path: &Path,
        answer: &AnswerArgs,
        signals: &mut Signals,
    ) -> Result<Exit, CliError> {
        let failure = |error| client::failure(self.uri, error);
        let sent = (self.request)()?.preview().map_err(failure)?;
        let place = Place::new(path, what(self.uri, &sent));
        let mut left = match self.resumes {
            true => place.left()?,
            false => None,
        };
        for _ in 0..=MAX_RESTARTS {
            match self.transfer(&place, left.take(), answer, signals).await? {
                End::Over(exit) => return Ok(exit),
                End::Changed => self.console.note("the resource has changed: from its beginning"),
            }
        }
        Err(failure(Error::Exchange(ExchangeError::BodyChanged)))
    }

    async fn transfer(
        &self,
        place: &Place,
        left: Option<Partial>,
        answer: &AnswerArgs,
        signals: &mut Signals,
    ) -> Result<End, CliError> {
        let failure = |error| client::failure(self.uri, error);
        let offset = left.as_ref().map_or(0, Partial::resumes_at);
        let transfer = Transfer::new(offset, self.console);
        let request = (self.request)()?.resume_at(offset).progress(transfer.reporter());
        let response = tokio::select! {
            response = transfer.wait(request.stream(), self.patience) => response.map_err(failure)?,
            () = signals.next() => {
                let error = client::interruption(self.uri, &transfer.done());
                return Err(match left.and_then(Partial::keep) {
                    Some(length) => error.with_hint(kept(length)),
                    None => error,
                });
            }
        };
        tell_head(&response, self.console);
        let found = response.status().is_success();
        if !found && (offset == 0 || says_later(response.status())) {
            let response = response.collect().await.map_err(failure)?;
            drop(transfer);
            return answer.deliver(self.uri, &response, self.console).map(End::Over);
        }
        let file = match left {
            Some(mut left) if found && response.offset() == offset && left.is_of(response.etag()) => {
                left.resume_at(offset)?;
                self.console.detail(&format!("goes on at byte {offset}"));
                left
            }
            // A part of something else, or what a server says that has become shorter: without it the answer is clear.
            Some(_) if !found || response.offset() > 0 => return Ok(End::Changed),
            _ => place.begin(response.etag())?,
        };
        self.write(response, file, transfer, signals).await
    }

    /// Writes what comes.
    async fn write(
        &self,
        mut response: StreamedResponse,
        mut file: Partial,
        transfer: Transfer,
        signals: &mut Signals,
    ) -> Result<End, CliError> {
        let broken = loop {
            let chunk = tokio::select! {
                chunk = response.chunk() => chunk,
                () = signals.next() => break client::interruption(self.uri, &transfer.done()),
            };
            match chunk {
                Ok(Some(chunk)) => {
                    if let Err(error) = file.write(&chunk) {
                        file.remove();
                        return Err(error);
                    }
                }
                Ok(None) => {
                    let length = file.finish()?;
                    drop(transfer);
                    return Ok(End::Over(self.tell(&response, length)));
                }
                Err(Error::Exchange(ExchangeError::BodyChanged)) if self.repeats => {
                    file.remove();
                    return Ok(End::Changed);
                }
                // A block that is no longer there, as when it has become shorter.
                Err(Error::Exchange(ExchangeError::BodyEnded { status }))
                    if self.repeats && !says_later(status) =>
                {
                    file.keep();
                    return Ok(End::Changed);
                }
                Err(error) => break client::failure(self.uri, error),
            }
        };
        Err(match file.keep() {
            Some(length) if self.repeats => broken.with_hint(kept(length)),
            _ => broken,
        })
    }

    /// The file is in its place.
    fn tell(&self, response: &StreamedResponse, length: u64) -> Exit {
        let status = response.status();
        if status != Status::CONTENT && !self.console.verbose {
            self.console.note(&outcome(status, response.options()));
        }
        self.console.detail(&format!("{length} bytes written"));
        client::exit(status)
    }
}

fn kept(length: u64) -> String {
    format!("{length} bytes are kept: -C, or --continue, goes on with them")
}

/// The whole answer to a GET, from its beginning again if the resource changes under it.
pub(crate) async fn whole(
    uri: &str,
    request: &dyn Fn() -> Result<RequestBuilder, CliError>,
    transfer: &Transfer,
) -> Result<Response, CliError> {
    let mut restarts = 0;
    loop {
        let request = request()?.progress(transfer.reporter());
        let answer = async { request.stream().await?.collect().await };
        let error = match answer.await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let again = match error {
            Error::Exchange(ExchangeError::BodyChanged) => true,
            // It has become shorter, or is gone: asked for from the beginning, the answer is clear.
            Error::Exchange(ExchangeError::BodyEnded { status }) => !says_later(status),
            _ => false,
        };
        if !again || restarts == MAX_RESTARTS {
            return Err(client::failure(uri, error));
        }
        restarts += 1;
    }
}

/// Tells what is asked for from other things.
fn what(uri: &str, sent: &SentRequest) -> u64 {
    let mut hasher = DefaultHasher::new();
    uri.hash(&mut hasher);
    sent.options.as_options().as_bytes().hash(&mut hasher);
    sent.payload.hash(&mut hasher);
    hasher.finish()
}

/// The server asks to come again: what is there stays good.
fn says_later(status: Status) -> bool {
    status == Status::SERVICE_UNAVAILABLE || status == Status::TOO_MANY_REQUESTS
}
