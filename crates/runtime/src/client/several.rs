//! Answers of a group.

use coracle_engine::ExchangeError;
use coracle_wire::OptionNumber;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::{Client, Response};
use crate::command::{Outgoing, Underway};
use crate::error::Error;
use crate::mailbox::Notice;

/// The answers to a request that went to a group, as they come (RFC 7252 §8.2).
#[derive(Debug)]
pub struct Responses {
    client: Client,
    underway: Underway,
    outgoing: Outgoing,
    answered: HashSet<SocketAddr>,
    over: bool,
}

/// How long the rest of a member's answer may take; the answers of others wait meanwhile.
const MEMBER_TIMEOUT: Duration = Duration::from_secs(5);

/// Members that are told apart; answers of further ones are given without looking for repeats.
const MAX_MEMBERS: usize = 65_536;

impl Responses {
    pub(crate) fn new(client: Client, underway: Underway, outgoing: Outgoing) -> Responses {
        Responses {
            client,
            underway,
            outgoing,
            answered: HashSet::new(),
            over: false,
        }
    }

    /// The next answer, with its whole body: what does not fit into a datagram is fetched from the member
    /// (RFC 7959 §2.8). `None` when the time is over.
    ///
    /// # Errors
    /// See [`Error`]. A group that does not answer is no error.
    pub async fn next(&mut self) -> Option<Result<Response, Error>> {
        while !self.over {
            match self.underway.mailbox.next().await {
                Some(Notice::Response { response, more }) => {
                    self.over = !more;
                    let response = Response::from(response);
                    if self.answered.contains(&response.remote()) {
                        continue;
                    }
                    if self.answered.len() < MAX_MEMBERS {
                        self.answered.insert(response.remote());
                    }
                    return Some(self.whole(response).await);
                }
                Some(Notice::Failed(ExchangeError::Timeout)) | None => self.over = true,
                Some(Notice::Failed(error)) => {
                    self.over = true;
                    return Some(Err(error.into()));
                }
                Some(Notice::Refused(error)) => {
                    self.over = true;
                    return Some(Err(error.into()));
                }
                Some(_) => {}
            }
        }
        None
    }

    /// Asks the member for the whole body if only the first block of it came.
    async fn whole(&self, response: Response) -> Result<Response, Error> {
        let more = matches!(response.options().as_options().block2(), Some(Ok(block)) if block.more());
        if !more {
            return Ok(response);
        }
        let outgoing = Outgoing {
            confirmable: true,
            timeout: Some(MEMBER_TIMEOUT),
            ..self.outgoing.clone()
        };
        let underway = self.client.way_to(response.remote())?.request(&outgoing);
        loop {
            match underway.mailbox.next().await {
                Some(Notice::Response { response, .. }) => {
                    let mut response = response;
                    response.options.remove(OptionNumber::BLOCK2);
                    return Ok(response.into());
                }
                Some(Notice::Failed(error)) => return Err(error.into()),
                Some(Notice::Refused(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Err(Error::Closed),
            }
        }
    }
}
