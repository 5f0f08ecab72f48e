//! One request of ours: what it sends, and what each response to it means.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use coracle_wire::{Message, Method, OptionNumber, Options, OptionsBuf, Status, Token};

use crate::block::size::BlockSize;
use crate::block::transfer::{Download, Downloaded, Upload, Uploaded};
use crate::config::TransmissionParameters;
use crate::context::Context;
use crate::exchange::admission::{Blocks, blocks, misunderstood, of_requests};
use crate::exchange::ahead::Ahead;
use crate::exchange::echoes;
use crate::exchange::operations::Operation;
use crate::exchange::payload::Payload;
use crate::limits::MAX_RESTARTS;
use crate::observe::client::{Freshness, Observation};
use crate::path::Path;
use crate::slab::Key;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::values::{Event, ExchangeError, ExchangeId, Response};

pub(crate) struct Asking {
    pub(crate) path: Path,
    pub(crate) method: Method,
    pub(crate) options: OptionsBuf,
    /// The body of the request; of one that comes in parts, what is there of it.
    pub(crate) payload: Payload,
    pub(crate) confirmable: bool,
    pub(crate) parameters: TransmissionParameters,
    pub(crate) max_body: usize,
    /// When the exchange ends at the latest; `None` when each step has its own time.
    pub(crate) deadline: Option<Instant>,
    /// The token of the request, or of its block under way.
    pub(crate) token: Token,
    /// The token of the request for a further block of the response.
    pub(crate) fetch: Option<Token>,
    /// A block of the response that was asked for before its turn.
    pub(crate) ahead: Option<Ahead>,
    /// The message under way, as long as the message layer knows it.
    pub(crate) outgoing: Option<Key>,
    /// How many messages it has had, as far as this can be counted.
    pub(crate) messages: u8,
    pub(crate) upload: Option<Upload>,
    /// What tells the body of the request, once it goes in blocks, from others that go at the same time.
    pub(crate) operation: Option<Operation>,
    pub(crate) download: Option<Download>,
    /// The body of the answer is given out in parts.
    pub(crate) streams_answer: bool,
    /// A part was given out, and the next one is not asked for before the application wants it.
    pub(crate) paused: bool,
    /// The last message was answered with a challenge (RFC 9175 §2.3).
    pub(crate) challenged: bool,
    /// The answer was asked for in larger blocks than the server had chosen.
    pub(crate) enlarged: bool,
    /// A block was asked for once more in the size of those before, after a smaller one had come with an Echo value.
    pub(crate) again: bool,
    /// How often the body of this answer changed while it was collected.
    pub(crate) restarts: u8,
    pub(crate) observation: Option<Observation>,
}

impl Asking {
    pub(crate) fn is_group(&self) -> bool {
        self.path.multicast
    }

    /// How long an answer to a message is waited for that leaves now; `None`: as long as that is sent again.
    pub(crate) fn waits_at_most(&self) -> Option<Duration> {
        if self.path.manner().delivers {
            Some(self.parameters.exchange_lifetime())
        } else if self.confirmable {
            None
        } else if self.path.multicast {
            // A group answers within its leisure.
            Some(self.parameters.default_leisure.saturating_mul(2))
        } else {
            // As long as a confirmable message would be tried.
            Some(self.parameters.max_transmit_wait())
        }
    }

    /// What is observed was told since the last registration: no answer is waited for.
    pub(crate) fn is_fresh(&self) -> bool {
        let fresh = |observation: &Observation| observation.freshness == Freshness::Fresh;
        self.fetch.is_none() && self.observation.as_ref().is_some_and(fresh)
    }

    /// The application asks for one block by itself.
    pub(crate) fn is_manual(&self) -> bool {
        !self.streams_answer && self.start() > 0
    }

    /// Where in the representation the body that is asked for begins.
    fn start(&self) -> u64 {
        match self.options.as_options().block2() {
            Some(Ok(block)) => block.offset(),
            _ => 0,
        }
    }

    /// The next block of the request cannot be sent yet: the application has not given it.
    pub(crate) fn waits_for_body(&self) -> bool {
        let waits = |upload: &Upload| !upload.is_ready(&self.payload);
        self.fetch.is_none() && self.upload.as_ref().is_some_and(waits)
    }

    /// Asks the application for the next part of the request's body if it is time for it.
    pub(crate) fn ask_for_body(&mut self, context: &mut Context, key: Key) {
        if let Some(upload) = &mut self.upload
            && self.fetch.is_none()
            && upload.wants_more(&self.payload)
        {
            let id = ExchangeId::client(key);
            context.events.push_back(Event::BodyWanted { id });
        }
    }

    /// The whole request, or the block of it that is under way.
    pub(crate) fn main_message(&self) -> Option<(OptionsBuf, &[u8])> {
        let mut options = self.options.clone();
        let Some(upload) = &self.upload else {
            return Some((options, &self.payload));
        };
        let (part, block) = upload.block(&self.payload)?;
        options.set(OptionNumber::BLOCK1, &block.encode()).ok()?;
        if block.num() == 0 {
            if let Some(total) = upload.total() {
                options.set_uint(OptionNumber::SIZE1, total);
            }
        } else {
            // RFC 7959 §2.10: only in the first block.
            options.remove(OptionNumber::IF_NONE_MATCH);
        }
        if block.more() {
            // RFC 7959 §3.3: what the answer's blocks should be like is said with the last block.
            options.remove(OptionNumber::BLOCK2);
        }
        Some((options, part))
    }

    /// Where the next block of the response begins.
    pub(crate) fn next_block(&self) -> Option<u64> {
        self.download.as_ref().map(Download::next)
    }

    /// The request for a further block of the response, the one at `offset` (RFC 7959 §2.4, §2.7).
    pub(crate) fn fetch_message(&self, offset: u64) -> Option<(OptionsBuf, &[u8])> {
        let mut options = self.options.clone();
        options.remove(OptionNumber::OBSERVE);
        options.remove(OptionNumber::IF_NONE_MATCH);
        let download = self.download.as_ref()?;
        options
            .set(OptionNumber::BLOCK2, &download.wanted(offset)?.encode())
            .ok()?;
        if download.total().is_some() {
            // RFC 7959 §4: it was asked for and is known.
            options.remove(OptionNumber::SIZE2);
        }
        // The payload of a FETCH is part of its cache key (RFC 8132 §2.3), unless it came in blocks itself.
        let repeats = self.method == Method::FETCH && self.upload.is_none();
        Some((options, if repeats { &self.payload } else { &[] }))
    }

    /// Whether a response asks for the same message with its Echo value (RFC 9175 §2.3). Once: a server that is not
    /// content with its own value is not asked again. An application that brings the option itself has to do with it.
    pub(crate) fn is_challenge(&mut self, status: Status, message: &Message<'_>) -> bool {
        let asks = status == Status::UNAUTHORIZED
            && echoes::value(message.options).is_some()
            && !self.is_group()
            && !self.options.contains(OptionNumber::ECHO);
        let again = asks && !self.challenged;
        self.challenged = again;
        again
    }

    /// Whether the next message is the first of its exchange once more, which gets a token of its own: an answer to the
    /// one before, if it comes late, is not taken for its answer.
    pub(crate) fn begins_anew(&self) -> bool {
        let at_start = self.upload.is_none_or(|upload| upload.offset() == 0);
        self.challenged && at_start && self.observation.is_none()
    }

    /// Back to the first message of the request, to register an observation anew.
    pub(crate) fn renew(&mut self) {
        // A registration that was not confirmable is renewed in a confirmable message: when one is lost, only this
        // tells a server that is gone from a message that is.
        self.confirmable = true;
        self.begin_again();
    }

    /// Back to the first message of the request.
    pub(crate) fn begin_again(&mut self) {
        self.download = None;
        self.upload = self.upload.map(|upload| upload.again());
        if let Some(observation) = &mut self.observation {
            observation.freshness = Freshness::Renewing;
        }
    }
}

/// What a response leads to.
pub(crate) enum Outcome {
    Nothing,
    /// Another message of the exchange.
    Next,
    /// The whole request once more, its body too.
    Again,
    /// The message once more, with the Echo value that came (RFC 9175 §2.3).
    Challenged,
    Done(Box<Delivered>),
    /// The first part of an answer whose body is given out in parts; more follow, or not.
    FirstPart(Box<Delivered>, bool),
    /// A further part; more follow, or not.
    Part(Vec<u8>, bool),
    Failed(ExchangeError),
}

pub(crate) struct Delivered {
    pub(crate) status: Status,
    pub(crate) options: OptionsBuf,
    pub(crate) payload: Vec<u8>,
}

impl Delivered {
    pub(crate) fn into_response(self, path: Path) -> Response {
        Response {
            status: self.status,
            options: self.options,
            payload: self.payload,
            path,
        }
    }
}

impl Outcome {
    fn done(status: Status, message: &Message<'_>) -> Outcome {
        // RFC 7252 §5.5, §5.9.1.3: 2.03 has no payload, and one that is there nevertheless is ignored.
        let payload = match status {
            Status::VALID => Vec::new(),
            _ => message.payload.into(),
        };
        Outcome::Done(Box::new(Delivered {
            status,
            options: OptionsBuf::from(message.options),
            payload,
        }))
    }
}

/// A response on its way in, its Block options checked.
pub(crate) struct Inbound<'m> {
    pub(crate) status: Status,
    pub(crate) message: &'m Message<'m>,
    pub(crate) blocks: Blocks,
}

/// Checks the options of a response (RFC 7252 §5.4, §5.4.1). The caller understands those that it sent itself, but one
/// that is for requests alone only in an error: some servers repeat an option that they refuse.
pub(crate) fn admit(
    status: Status,
    message: &Message<'_>,
    (sent, bert): (Options<'_>, bool),
) -> Result<Blocks, ExchangeError> {
    let options = message.options;
    let misplaced = of_requests(options, |number| !status.is_success() && sent.contains(number));
    let critical = misplaced.or_else(|| misunderstood(options, |number| sent.contains(number)));
    if let Some(number) = critical {
        return Err(ExchangeError::CriticalOption(number.0));
    }
    blocks(options, bert).map_err(|_| ExchangeError::BlockOption)
}

impl Asking {
    /// A response to the request or to a block of it.
    pub(crate) fn take_response(
        &mut self,
        context: &mut Context,
        now: Instant,
        key: Key,
        response: &Inbound<'_>,
    ) -> Outcome {
        let &Inbound {
            status,
            message,
            blocks,
        } = response;
        if self.is_group() || self.is_manual() {
            return Outcome::done(status, message);
        }
        if !self.is_notified_meanwhile(response)
            && let Some(outcome) = self.take_upload(context, key, status, blocks)
        {
            return outcome;
        }
        if status == Status::CONTINUE {
            // RFC 7959 §2.9.1: it answers a block, and there was none to go on after.
            return Outcome::Failed(ExchangeError::BlockOption);
        }
        match (&mut self.observation, message.options.observe()) {
            (Some(observation), Some(sequence)) if status.is_success() => {
                // RFC 8323 §7.1: what comes in order has no use for the number.
                let sequence = (!self.path.manner().delivers).then_some(sequence);
                if !observation.advance(now, sequence, message.options) {
                    context.stats.drop_for(DropReason::StaleNotification);
                    return Outcome::Nothing;
                }
            }
            // RFC 7641 §3.2, §4.2: without the option, or with an error, no more notifications follow.
            (Some(_), _) => self.observation = None,
            (None, _) if self.options.as_options().observe() == Some(0) && status.is_success() => {
                self.observation = Observation::begin(now, message.options);
            }
            (None, _) => {}
        }
        if self.streams_answer && !status.is_success() {
            return Outcome::done(status, message);
        }
        if message.payload.len() > self.max_body {
            return Outcome::Failed(ExchangeError::BodyTooLong { limit: self.max_body });
        }
        match Download::begin(message, status, blocks, (self.start(), self.max_body)) {
            None => Outcome::done(status, message),
            Some(Ok(download)) => {
                let larger = self.larger(context, message, blocks);
                let download = self.download.insert(download);
                let outcome = match larger {
                    Some(szx) => self.enlarge(szx),
                    None if self.streams_answer => download.first_part(blocks),
                    None => Outcome::Next,
                };
                self.progress(context, key);
                outcome
            }
            Some(Err(error)) => Outcome::Failed(error),
        }
    }

    /// The block size to ask for from the first block on again, where a server gives a smaller one together with an Echo
    /// value: it does so as long as we have not proved our address (RFC 9175 §2.4), which the next request does. Once,
    /// and only where asking again runs nothing twice. The first blocks may have had no space for the Echo option.
    fn larger(&self, context: &Context, message: &Message<'_>, blocks: Blocks) -> Option<u8> {
        let wanted = match self.options.as_options().block2() {
            Some(Ok(block)) => block.szx(),
            _ => context.config.block_szx,
        };
        let smaller = blocks
            .block2
            .is_some_and(|block| block.more() && block.szx() < wanted);
        let may = self.method.is_safe() && self.upload.is_none() && !self.enlarged;
        let echoes = echoes::value(message.options).is_some() && !self.options.contains(OptionNumber::ECHO);
        (smaller && may && echoes).then_some(wanted)
    }

    /// Asks for the answer in blocks of this size, from the first one on. For an observation that is a registration, so
    /// that the answer has a place in the order of notifications.
    fn enlarge(&mut self, szx: u8) -> Outcome {
        self.enlarged = true;
        match &mut self.download {
            Some(download) if self.observation.is_none() => {
                download.begin_again_in(szx);
                Outcome::Next
            }
            _ => Outcome::Again,
        }
    }

    /// Whether a response is a notification that came while the registration is renewed block by block: it says nothing
    /// about a block, and is no end of them.
    fn is_notified_meanwhile(&self, response: &Inbound<'_>) -> bool {
        let Inbound {
            status,
            message,
            blocks,
        } = response;
        let goes_on = |upload: &Upload| !upload.is_last(&self.payload);
        self.observation.is_some()
            && status.is_success()
            && message.options.observe().is_some()
            && blocks.block1.is_none()
            && self.upload.as_ref().is_some_and(goes_on)
    }

    /// A response while the request's body is under way. `None`: it is the final one.
    fn take_upload(
        &mut self,
        context: &mut Context,
        key: Key,
        status: Status,
        blocks: Blocks,
    ) -> Option<Outcome> {
        let total = self.payload.len();
        if self.upload.is_none()
            && status == Status::REQUEST_ENTITY_TOO_LARGE
            && let Some(block) = blocks.block1.filter(|block| block.size() < total)
        {
            // RFC 7959 §2.9.3: a hint to try again in blocks.
            self.upload = Some(Upload::new(BlockSize::of(block.szx()), total));
            return Some(Outcome::Next);
        }
        match self
            .upload
            .as_mut()?
            .respond(status, blocks.block1, &self.payload)
        {
            Uploaded::Final => None,
            Uploaded::Broken => Some(Outcome::Failed(ExchangeError::BlockOption)),
            Uploaded::Next => {
                self.progress(context, key);
                Some(Outcome::Next)
            }
        }
    }

    /// A further block of the response.
    pub(crate) fn take_block(&mut self, context: &mut Context, key: Key, response: &Inbound<'_>) -> Outcome {
        let &Inbound {
            status,
            message,
            blocks,
        } = response;
        let Some(download) = &mut self.download else {
            return Outcome::Nothing;
        };
        let in_parts = self.streams_answer;
        let is_first = download.received() == 0;
        // Our address has to be proved anew (RFC 9175 §2.4): the value goes along with the next request, and blocks may
        // be as large as they were.
        let is_smaller = blocks
            .block2
            .is_some_and(|block| block.more() && block.szx() < download.szx());
        let is_challenge = status.is_success()
            && is_smaller
            && echoes::value(message.options).is_some()
            && !self.options.contains(OptionNumber::ECHO);
        if !is_first && is_challenge && !core::mem::replace(&mut self.again, true) {
            return Outcome::Next;
        }
        self.again = false;
        match download.take(message, status, blocks) {
            Ok(Downloaded::Next | Downloaded::Whole) if in_parts => {
                let outcome = match is_first {
                    true => download.first_part(blocks),
                    false => download.part(blocks),
                };
                self.progress(context, key);
                outcome
            }
            Ok(Downloaded::Instead) if in_parts && !is_first => {
                Outcome::Failed(ExchangeError::BodyEnded { status })
            }
            Ok(Downloaded::Changed) if in_parts => Outcome::Failed(ExchangeError::BodyChanged),
            Ok(Downloaded::Next) => {
                let larger = self.larger(context, message, blocks);
                let outcome = larger.map_or(Outcome::Next, |szx| self.enlarge(szx));
                self.progress(context, key);
                outcome
            }
            Ok(Downloaded::Whole) => {
                self.progress(context, key);
                let Some(download) = self.download.take() else {
                    return Outcome::Nothing;
                };
                let Download {
                    status,
                    options,
                    body,
                    ..
                } = download;
                Outcome::Done(Box::new(Delivered {
                    status,
                    options,
                    payload: body,
                }))
            }
            Ok(Downloaded::Instead) => Outcome::done(status, message),
            Ok(Downloaded::Changed) => self.body_changed(),
            Err(error) => Outcome::Failed(error),
        }
    }

    /// The body of the answer changed under the transfer (RFC 7959 §2.4). A further block is asked for without the body
    /// of the request; its first block, which is another run, needs that again. Only what is safe is run again. What
    /// observes registers anew: only an answer with a number can be put in order with the notifications that are under
    /// way (RFC 7641 §3.4).
    fn body_changed(&mut self) -> Outcome {
        if self.restarts >= MAX_RESTARTS || !self.method.is_safe() {
            return Outcome::Failed(ExchangeError::BodyChanged);
        }
        self.restarts += 1;
        match &self.upload {
            Some(upload) if upload.is_streamed() => return Outcome::Failed(ExchangeError::BodyChanged),
            Some(_) => return Outcome::Again,
            None if self.observation.is_some() => {
                self.confirmable = true;
                return Outcome::Again;
            }
            None => {}
        }
        if let Some(download) = &mut self.download {
            download.begin_again();
        }
        Outcome::Next
    }

    fn progress(&self, context: &mut Context, key: Key) {
        let received = self.download.as_ref().map_or(0, Download::received);
        let whole = self.payload.len() as u64;
        let (sent, total) = match (&self.download, &self.upload) {
            (Some(download), None) => (whole, download.total()),
            (Some(download), Some(upload)) => (upload.end(&self.payload), download.total()),
            (None, Some(upload)) => (upload.offset(), upload.total()),
            (None, None) => (0, None),
        };
        context.events.push_back(Event::Progress {
            id: ExchangeId::client(key),
            sent,
            received,
            total,
        });
    }
}

impl Download {
    /// The first block of a body that is given out in parts. Its Block2 option stays, which tells where it begins.
    fn first_part(&mut self, blocks: Blocks) -> Outcome {
        let delivered = Delivered {
            status: self.status,
            options: self.options.clone(),
            payload: core::mem::take(&mut self.body),
        };
        Outcome::FirstPart(Box::new(delivered), has_more(blocks))
    }

    /// A further one.
    fn part(&mut self, blocks: Blocks) -> Outcome {
        Outcome::Part(core::mem::take(&mut self.body), has_more(blocks))
    }
}

fn has_more(blocks: Blocks) -> bool {
    blocks.block2.is_some_and(|block| block.more())
}
