//! Observers who share what they are told: those of one topic whose requests have the same cache key.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use coracle_wire::{Code, ContentFormat, OptionNumber, Options, OptionsBuf, Status};

use crate::block::bodies::Asked;
use crate::context::Context;
use crate::exchange::ask::{Ask, PeerToken};
use crate::exchange::reply::Reply;
use crate::limits::{QUIET_AT_LEAST, QUIET_AT_MOST, SHOWN_FOR};
use crate::observe::budget::Charge;
use crate::observe::members::Places;
use crate::path::{Path, Peer};
use crate::slab::Key;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::{OwnedRequest, ResponseRef, Topic, Window};

/// In which line a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// In none.
    No,
    /// The application is to be asked for its state.
    Refresh,
    /// Its state is there and on its way to its members.
    Sending,
}

/// The request of an observer, which is run again when the state changes.
pub(crate) struct Kept {
    pub(crate) request: OwnedRequest,
    _charge: Charge,
}

impl Kept {
    pub(crate) fn new(request: OwnedRequest, charge: Charge) -> Kept {
        Kept {
            request,
            _charge: charge,
        }
    }
}

pub(crate) struct Group {
    pub(crate) topic: Topic,
    /// The request of the member that was the first; those of the others differ in nothing that matters.
    kept: Arc<Kept>,
    /// What the block stage needs to cut a notification, but for the peer.
    asked: Asked,
    /// The content-format of the representations sent so far; missing until one was sent.
    format: Option<Option<ContentFormat>>,
    /// What is shown depends on who asks: the application is asked for each member.
    pub(crate) personal: bool,
    /// The same, until nobody is due any more.
    pub(crate) alone: bool,
    pub(crate) numbers: Numbers,
    pub(crate) places: Places,
    pub(crate) len: usize,
    pub(crate) line: Line,
    /// The member whose request the application is asked by, for all.
    pub(crate) asking: Option<Key>,
    pub(crate) shown: Option<Box<Shown>>,
    /// When its members were first told of the last change, and how long after the one before.
    changed_told: Instant,
    gap: Duration,
    gap_of: u64,
    /// The time that its timer is set to.
    wakes_at: Option<Instant>,
}

impl Group {
    pub(crate) fn new(
        now: Instant,
        ask: &Ask,
        topic: Topic,
        kept: Arc<Kept>,
        response: &ResponseRef<'_>,
    ) -> Group {
        let numbers = Numbers::new(now);
        Group {
            topic,
            kept,
            asked: Asked {
                room: None,
                ..Asked::of(ask)
            },
            format: format_of(response),
            personal: response.personal,
            alone: response.personal,
            gap_of: numbers.outdated,
            numbers,
            places: Places::default(),
            len: 0,
            line: Line::No,
            asking: None,
            shown: None,
            changed_told: now,
            gap: Duration::ZERO,
            wakes_at: None,
        }
    }

    /// Whether an observer by this request shares what the members are told. Those who asked at different addresses of
    /// ours do not, so that no member needs to remember which.
    pub(crate) fn suits(
        &self,
        ask: &Ask,
        topic: Topic,
        request: &OwnedRequest,
        response: &ResponseRef<'_>,
    ) -> bool {
        let differs = self.format.zip(format_of(response)).is_some_and(|(a, b)| a != b);
        self.topic == topic
            && self.personal == response.personal
            && !differs
            && self.is_asked(ask, request.options.as_options(), &request.payload)
    }

    /// Whether it is this request that is run again for the members.
    fn is_asked(&self, ask: &Ask, options: Options<'_>, payload: &[u8]) -> bool {
        let mine = &self.kept.request;
        let ways = |path: &Path| (path.security, path.local, path.interface);
        self.asked.block2 == ask.blocks.block2
            && mine.method == ask.method
            && ways(&mine.path) == ways(&ask.path)
            && significant(mine.options.as_options()).eq(significant(options))
            && mine.payload == payload
    }

    /// What it keeps, for an observation by the same request: it is not kept twice.
    pub(crate) fn share(&self, ask: &Ask, options: Options<'_>, payload: &[u8]) -> Option<Arc<Kept>> {
        let same = self.is_asked(ask, options, payload);
        same.then(|| Arc::clone(&self.kept))
    }

    /// What its place in the index goes by, with its topic.
    pub(crate) fn cache_key(&self) -> u64 {
        self.asked.cache_key
    }

    /// Notifications keep the content-format of the first representation (RFC 7641 §4.2).
    pub(crate) fn keeps_format(&mut self, response: &ResponseRef<'_>) -> bool {
        let Some(next) = format_of(response) else {
            return true;
        };
        *self.format.get_or_insert(next) == next
    }

    /// The way to a member.
    pub(crate) fn way_to(&self, peer: Peer) -> Path {
        Path {
            remote: peer.address,
            security: peer.identity,
            connection: peer.connection,
            ..self.kept.request.path.back()
        }
    }

    /// What the block stage needs to cut a notification to this member.
    pub(crate) fn asked_by(&self, peer: Peer, token: &PeerToken) -> Asked {
        Asked {
            peer,
            token: token.as_bytes().len(),
            ..self.asked
        }
    }

    /// The registration of a member as it is run again.
    pub(crate) fn request_of(&self, peer: Peer) -> OwnedRequest {
        let mut request = self.kept.request.clone();
        request.path = Path {
            multicast: request.path.multicast,
            local: request.path.local,
            ..self.way_to(peer)
        };
        request
    }

    /// How long after it was sent a notification that nobody acknowledged is repeated.
    pub(crate) fn quiet(&self) -> Duration {
        self.gap.saturating_mul(2).clamp(QUIET_AT_LEAST, QUIET_AT_MOST)
    }

    /// Whether a state goes to each member in one message.
    pub(crate) fn takes_whole(&self, context: &Context, shown: &Shown) -> bool {
        let block = 16 << context.config.block_szx;
        shown.window.is_none() && self.asked.block2.is_none() && shown.payload.len() <= block
    }

    /// A notification leaves: the first of its state tells how often there are some.
    pub(crate) fn tells(&mut self, now: Instant) {
        if self.gap_of != self.numbers.outdated {
            self.gap_of = self.numbers.outdated;
            self.gap = now - self.changed_told;
            self.changed_told = now;
        }
    }

    /// Sees to it that the group is looked at by this time.
    pub(crate) fn wake_by(&mut self, context: &mut Context, key: Key, at: Instant) {
        if self.wakes_at.is_none_or(|before| at < before) {
            self.wakes_at = Some(at);
            context.timers.arm(TimerKey::Group(key), at);
        }
    }

    /// Its timer has fired.
    pub(crate) fn woken(&mut self) {
        self.wakes_at = None;
    }
}

/// The options that the outcome of a request depends on: those of its cache key (RFC 7252 §5.6), and what tells about
/// its payload.
fn significant(options: Options<'_>) -> impl Iterator<Item = (OptionNumber, &[u8])> {
    const PASSING: [OptionNumber; 3] = [
        OptionNumber::OBSERVE,
        OptionNumber::NO_RESPONSE,
        OptionNumber::ECHO,
    ];
    let counts = |number: OptionNumber| !number.is_no_cache_key() && !PASSING.contains(&number);
    let options = options.iter().filter(move |option| counts(option.number));
    options.map(|option| (option.number, option.value))
}

/// The content-format of a representation; a 2.03 carries none (RFC 7252 §5.9.1.3).
fn format_of(response: &ResponseRef<'_>) -> Option<Option<ContentFormat>> {
    (response.status == Status::CONTENT).then(|| response.options.content_format())
}

/// What stands between options and payload (RFC 7252 §3).
const PAYLOAD_MARKER: u8 = 0xff;

/// A state as it is shown to members: what all their notifications have in common.
pub(crate) struct Shown {
    /// The number of the notifications (RFC 7641 §4.4).
    pub(crate) number: u64,
    /// It is too old then for those who become due only later.
    pub(crate) until: Instant,
    status: Status,
    options: OptionsBuf,
    payload: Vec<u8>,
    pub(crate) window: Option<Window>,
    pub(crate) confirmable: Option<bool>,
    /// All of a message behind its token, where it needs no blocks.
    pub(crate) tail: Option<Box<[u8]>>,
    /// For the time that it is kept.
    pub(crate) charge: Option<Charge>,
}

impl Shown {
    pub(crate) fn new(now: Instant, number: u64, response: &ResponseRef<'_>) -> Shown {
        let mut options = OptionsBuf::from(response.options);
        options.set_uint(OptionNumber::OBSERVE, observe(number));
        Shown {
            number,
            until: now + SHOWN_FOR,
            status: response.status,
            options,
            payload: Vec::from(response.payload),
            window: response.window,
            confirmable: response.confirmable,
            tail: None,
            charge: None,
        }
    }

    /// How many bytes it takes, where it is encoded for all or not.
    pub(crate) fn cost(&self, encoded: bool) -> usize {
        let copies = 1 + usize::from(encoded);
        copies * (self.options.as_options().as_bytes().len() + self.payload.len())
    }

    /// Encodes it for all: no member needs to have it cut into blocks.
    pub(crate) fn join(&mut self) {
        let mut tail = Vec::from(self.options.as_options().as_bytes());
        if !self.payload.is_empty() {
            tail.push(PAYLOAD_MARKER);
            tail.extend_from_slice(&self.payload);
        }
        self.tail = Some(tail.into_boxed_slice());
    }

    pub(crate) fn code(&self) -> Code {
        Code::from(self.status)
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    pub(crate) fn reply(&self) -> Reply<'_> {
        Reply::with_options(self.status, self.options.as_options(), &self.payload)
    }
}

/// The value of the Observe option: 24 bits (RFC 7641 §4.4).
pub(crate) fn observe(number: u64) -> u64 {
    number & 0x00ff_ffff
}

/// The numbers of the states of a group, which also tell who knows which.
///
/// They start at the time in units of 16 ms, so that they go on after a restart or a renewed registration
/// (RFC 7641 §4.4) as long as there are fewer than 60 notifications a second.
pub(crate) struct Numbers {
    /// The highest that was given.
    last: u64,
    /// The highest of a notification.
    notified: u64,
    /// States up to this number are not the latest.
    pub(crate) outdated: u64,
}

/// How far numbers may be ahead of the time before renewals wait: they must not go around within 256 s, however often
/// somebody registers (RFC 7641 §4.4).
const AHEAD: u64 = 1 << 20;

impl Numbers {
    fn new(now: Instant) -> Numbers {
        let start = ticks(now);
        Numbers {
            last: start,
            notified: start,
            outdated: start,
        }
    }

    /// The number of the response to a registration, which is higher than that of all notifications so far, and than
    /// `after`: that of the registration that it renews. `None`: there were too many of late.
    pub(crate) fn of_registration(&mut self, now: Instant, after: Option<u64>) -> Option<u64> {
        let lowest = self.notified.max(self.outdated) + 1;
        let number = self
            .last
            .max(ticks(now))
            .max(lowest)
            .max(after.map_or(0, |after| after + 1));
        if number > ticks(now).saturating_add(AHEAD) {
            return None;
        }
        self.last = number;
        Some(number)
    }

    /// The number of the next state that is asked for.
    pub(crate) fn of_state(&mut self) -> u64 {
        self.last += 1;
        self.notified = self.last;
        self.last
    }

    /// The same for one member alone, which knows the state `known`.
    pub(crate) fn of_state_for(&mut self, known: u64) -> u64 {
        let number = self.outdated.max(known) + 1;
        self.last = self.last.max(number);
        self.notified = self.notified.max(number);
        number
    }

    /// The state has changed.
    pub(crate) fn changed(&mut self) {
        self.outdated = self.last;
    }
}

fn ticks(now: Instant) -> u64 {
    now.as_micros() >> 14
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_up_and_not_around() {
        let now = Instant::from_micros(8 << 14);
        let mut numbers = Numbers::new(now);
        let first = numbers.of_registration(now, None).unwrap();
        assert_eq!(first, 9);
        assert_eq!(numbers.of_registration(now, None), Some(9), "another client");
        assert_eq!(numbers.of_registration(now, Some(9)), Some(10));
        assert_eq!(numbers.of_state(), 11);
        assert_eq!(numbers.of_registration(now, None), Some(12));
        numbers.changed();
        assert_eq!(numbers.of_registration(now, None), Some(13));
        assert_eq!(numbers.of_state_for(9), 13);
        assert_eq!(numbers.of_state_for(20), 21);
        let mut last = 21;
        while let Some(number) = numbers.of_registration(now, Some(last)) {
            last = number;
        }
        assert_eq!(last, 8 + AHEAD);
        let later = Instant::from_micros(10 << 14);
        assert_eq!(numbers.of_registration(later, Some(last)), Some(last + 1));
    }
}
