//! The requests of all peers: out, once or again (RFC 7252 §4).

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use coracle_wire::{Code, Message, MessageId, MessageType, OptionNumber, OptionsBuf};

use crate::datagrams::Source;
use crate::limits::{MAX_RETRANSMIT, REGISTERING};
use crate::observe::{Observers, Phase};
use crate::payloads::Payloads;
use crate::plan::{Expect, Pace, Plan, Work};
use crate::random::Random;
use crate::slot::{Slot, State};
use crate::tally::{Sample, Tally};
use crate::timers::Timers;
use crate::transfer::{Part, Parts, Transfer, digest_of};
use crate::way::Way;

/// All peers and their outstanding requests.
pub(crate) struct Exchanges {
    pub(crate) plan: Plan,
    pub(crate) way: Way,
    /// For each peer an Echo option of the server for its next request (RFC 9175 §2.3), and the source that it is for.
    pub(crate) echoes: Vec<Option<(Source, Box<[u8]>)>>,
    /// That of number `index` belongs to peer `index % peers`.
    pub(crate) slots: Vec<Slot>,
    /// Slots without an outstanding request, those that wait longest first. Their peers may have lost their connections.
    free: VecDeque<u32>,
    /// That of each slot, where bodies are transferred.
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) observers: Option<Observers>,
    timers: Timers,
    pub(crate) tally: Tally,
    pub(crate) sample: Sample,
    random: Random,
    /// What was seen of payloads.
    pub(crate) payloads: Payloads,
    /// How many requests a run begins at most.
    pub(crate) most: u64,
    /// How many requests are outstanding.
    pub(crate) under_way: usize,
    /// Something came from the server at any time.
    pub(crate) heard: bool,
}

/// The moments at which requests are due in open loop.
pub(crate) struct Schedule {
    start: Instant,
    /// In seconds.
    interval: f64,
    begun: u64,
}

impl Schedule {
    pub(crate) fn new(start: Instant, rate: f64) -> Schedule {
        Schedule {
            start,
            interval: rate.recip(),
            begun: 0,
        }
    }

    /// When the next request is due.
    pub(crate) fn next(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.begun as f64 * self.interval)
    }

    /// How many requests were due by then but are not begun.
    pub(crate) fn behind(&self, now: Instant) -> u64 {
        let due = now.duration_since(self.start).as_secs_f64() / self.interval;
        // A rate is at most 10^8 a second, and a run no longer than the clock.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let due = due.ceil() as u64;
        due.saturating_sub(self.begun)
    }
}

impl Exchanges {
    pub(crate) fn new(mut plan: Plan, now: Instant) -> io::Result<Exchanges> {
        plan.check()?;
        if let (Work::Download, Expect::Payload(body)) = (plan.work, &plan.expect) {
            plan.expect = Expect::Payload(digest_of(body).into());
        }
        let mut random = Random::new();
        let way = Way::new(&plan, now, &mut random)?;
        let slots: Vec<_> = (0..plan.slots())
            // An answer to an earlier run of the same port names no request of this one.
            .map(|_| Slot::new(now, u32::from(random.bits16()) << 16))
            .collect();
        let transfers = match plan.work {
            Work::Download | Work::Upload => slots
                .iter()
                .map(|_| Transfer::new(Parts::LARGEST_BLOCK))
                .collect(),
            Work::Requests | Work::Observe => Vec::new(),
        };
        let observers = (plan.work == Work::Observe).then(|| Observers::new(slots.len(), way.is_reliable()));
        let echoes = (0..plan.peers).map(|_| None).collect();
        let mut exchanges = Exchanges {
            plan,
            way,
            echoes,
            slots,
            free: VecDeque::new(),
            transfers,
            observers,
            timers: Timers::default(),
            tally: Tally::default(),
            sample: Sample::new(0),
            random,
            payloads: Payloads::default(),
            most: u64::MAX,
            under_way: 0,
            heard: false,
        };
        for number in 0..exchanges.plan.peers {
            exchanges.unpark(number);
        }
        Ok(exchanges)
    }

    /// No request is outstanding.
    pub(crate) fn all_idle(&self) -> bool {
        self.under_way == 0
    }

    /// A slot is free for another request.
    pub(crate) fn can_begin(&self) -> bool {
        self.observers.is_none() && !self.free.is_empty() && self.room() > 0
    }

    /// How many requests may be begun before the window is full, or there are enough.
    fn room(&self) -> usize {
        let window = usize::try_from(self.plan.window).unwrap_or(usize::MAX);
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        window.saturating_sub(self.under_way).min(left)
    }

    /// How many requests the run may still begin.
    pub(crate) fn left(&self) -> u64 {
        self.most.saturating_sub(self.tally.sent)
    }

    /// How many requests are over, in whatever way.
    pub(crate) fn over(&self) -> u64 {
        self.tally.sent.saturating_sub(self.under_way as u64)
    }

    /// When something is to be done for an outstanding request; or earlier.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.way.deadline()).min()
    }

    /// Begins the requests of a closed loop, or those of an open loop that are due. Some are left for the next turn.
    pub(crate) fn begin(&mut self, now: Instant, schedule: Option<&mut Schedule>) -> io::Result<()> {
        if self.observers.is_some() {
            return Ok(());
        }
        let Some(schedule) = schedule else {
            // One that is over at once is not begun again in the same turn.
            for _ in 0..self.free.len().min(self.way.begun_per_turn()).min(self.room()) {
                let Some(index) = self.next_free() else {
                    break;
                };
                self.start(now, now, index)?;
            }
            return Ok(());
        };
        for _ in 0..self.way.begun_per_turn().min(self.room()) {
            let due = schedule.next();
            if due > now {
                break;
            }
            let Some(index) = self.next_free() else {
                break;
            };
            schedule.begun += 1;
            self.tally.record_lag(now - due);
            self.start(now, due, index)?;
        }
        Ok(())
    }

    /// The free slot that waits longest, of those whose peers can send.
    fn next_free(&mut self) -> Option<u32> {
        while let Some(index) = self.free.pop_front() {
            if self.way.is_open(index % self.plan.peers) {
                return Some(index);
            }
            if let Some(slot) = self.slots.get_mut(index as usize) {
                slot.state = State::Parked;
            }
        }
        None
    }

    /// The peer can send requests: its slots are free that were not.
    pub(crate) fn unpark(&mut self, number: u32) {
        if !self.way.is_open(number) {
            return;
        }
        for index in self.slots_of(number) {
            if let Some(slot) = self.slots.get_mut(index as usize)
                && slot.state == State::Parked
            {
                slot.state = State::Idle;
                self.free.push_back(index);
            }
        }
    }

    fn slots_of(&self, number: u32) -> impl Iterator<Item = u32> + use<> {
        let all = (number..).step_by(self.plan.peers as usize);
        all.take(self.plan.outstanding.into())
    }

    /// A request of the peer is outstanding.
    pub(crate) fn waits(&self, number: u32) -> bool {
        let slots = |index: u32| self.slots.get(index as usize);
        self.slots_of(number).filter_map(slots).any(Slot::is_outstanding)
    }

    /// The peer's connection is over: nothing that was asked on it is answered any more.
    pub(crate) fn forget_requests(&mut self, number: u32) {
        for index in self.slots_of(number) {
            let state = self.slots.get(index as usize).map(|slot| slot.state);
            match state {
                Some(State::Listening) => {
                    if let Some(observers) = &mut self.observers {
                        observers.fanout.ended += 1;
                    }
                }
                Some(State::Sent | State::Acknowledged) => {
                    self.tally.disconnected += 1;
                    self.sample.lost += 1;
                }
                Some(State::Idle | State::Parked) | None => continue,
            }
            self.free_slot(index);
        }
    }

    fn start(&mut self, now: Instant, intended: Instant, index: u32) -> io::Result<()> {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.intended = intended;
            slot.challenges = 0;
            self.tally.sent += 1;
        }
        if let Some(transfer) = self.transfers.get_mut(index as usize) {
            let options = self.plan.request.options.as_options().as_bytes().len();
            *transfer = Transfer::new(self.way.parts(index % self.plan.peers, options));
        }
        self.ask(now, index)
    }

    /// Begins registrations, or their ends, of the slots that `next` gives. Returns whether all are begun.
    pub(crate) fn begin_observing(
        &mut self,
        now: Instant,
        next: &mut dyn Iterator<Item = u32>,
    ) -> io::Result<bool> {
        while self.under_way < REGISTERING {
            let Some(index) = next.next() else {
                return Ok(true);
            };
            self.start(now, now, index)?;
        }
        Ok(false)
    }

    /// The slots of observers that are registered, or those that are not.
    pub(crate) fn observing(&self, registered: bool) -> Vec<u32> {
        let wanted = |slot: &Slot| match registered {
            true => slot.state == State::Listening,
            false => slot.state == State::Idle,
        };
        let slots = (0..).zip(&self.slots);
        slots
            .filter(|(_, slot)| wanted(slot))
            .map(|(index, _)| index)
            .collect()
    }

    /// Sends a new message of the slot's request: its first, or one that an answer calls for.
    pub(crate) fn ask(&mut self, now: Instant, index: u32) -> io::Result<()> {
        let number = index % self.plan.peers;
        let Some((source, id)) = self.way.identify(now, number, &mut self.random)? else {
            return Ok(());
        };
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return Ok(());
        };
        let echo = self.echoes.get_mut(number as usize).and_then(Option::take);
        let factor = 1.0 + 0.5 * self.random.fraction();
        let wait = self.plan.ack_timeout.mul_f64(factor);
        self.under_way += usize::from(!slot.is_outstanding());
        slot.state = State::Sent;
        // An observation ends under the token that it began with (RFC 7641 §3.6).
        if self
            .observers
            .as_ref()
            .is_none_or(|observers| observers.phase != Phase::Leaving)
        {
            slot.sequence = slot.sequence.wrapping_add(1);
        }
        slot.id = id;
        slot.source = source;
        slot.echo = echo.filter(|(of, _)| *of == source).map(|(_, echo)| echo);
        slot.retransmissions = 0;
        slot.wait = wait * 2;
        let repeats = self.plan.request.confirmable && !self.way.is_reliable();
        slot.send_again = repeats.then_some(now + wait);
        slot.give_up = now + self.plan.timeout;
        self.timers.arm(index, slot.deadline());
        self.transmit(index)
    }

    /// Writes the slot's message. Each time it has the same bytes.
    fn transmit(&mut self, index: u32) -> io::Result<()> {
        let Some(slot) = self.slots.get(index as usize) else {
            return Ok(());
        };
        let request = &self.plan.request;
        let part = match self.transfers.get(index as usize) {
            Some(transfer) => transfer.next(&self.plan),
            None => Part {
                payload: &request.payload,
                block: None,
                size: None,
            },
        };
        let observe = self
            .observers
            .as_ref()
            .map(|observers| observers.phase == Phase::Leaving);
        let more = with_more(&request.options, observe, slot.echo.as_deref(), &part);
        let options = more.as_ref().unwrap_or(&request.options);
        let message = Message {
            message_type: match request.confirmable {
                true => MessageType::Confirmable,
                false => MessageType::NonConfirmable,
            },
            code: Code::from(request.method),
            message_id: slot.id,
            token: &slot.token(index),
            options: options.as_options(),
            payload: part.payload,
        };
        self.tally.bytes_out += self.way.send(slot.source, &message)? as u64;
        Ok(())
    }

    /// Sends an Empty message; only what came in a datagram asks for one.
    pub(crate) fn send_empty(&mut self, source: Source, message_type: MessageType, id: MessageId) {
        if let Way::Datagrams(datagrams) = &mut self.way {
            let written = datagrams.send(source, &Message::empty(message_type, id));
            self.tally.bytes_out += written as u64;
        }
    }

    /// Sends again and gives up what is due.
    ///
    /// # Errors
    /// None for datagrams, and nothing else is sent again.
    pub(crate) fn tick(&mut self, now: Instant) -> io::Result<()> {
        while let Some(index) = self.timers.due(now) {
            let Some(slot) = self
                .slots
                .get_mut(index as usize)
                .filter(|slot| slot.is_outstanding())
            else {
                continue;
            };
            if now >= slot.give_up {
                slot.gave_up_before = true;
                self.tally.timeouts += 1;
                self.sample.lost += 1;
                self.free_slot(index);
                continue;
            }
            let again = slot.send_again.is_some_and(|again| now >= again);
            if again {
                slot.retransmissions += 1;
                slot.send_again = (slot.retransmissions < MAX_RETRANSMIT).then_some(now + slot.wait);
                slot.wait *= 2;
            }
            self.timers.arm(index, slot.deadline());
            if again {
                self.tally.retransmissions += 1;
                self.transmit(index)?;
            }
        }
        Ok(())
    }

    /// The slot's request, or its observation, is over.
    pub(crate) fn free_slot(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && !matches!(slot.state, State::Idle | State::Parked)
        {
            self.under_way -= usize::from(slot.is_outstanding());
            slot.echo = None;
            slot.state = State::Parked;
            if self.way.is_open(index % self.plan.peers) {
                slot.state = State::Idle;
                self.free.push_back(index);
            }
        }
    }

    /// The slot's observation is registered.
    pub(crate) fn listen(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && slot.is_outstanding()
        {
            self.under_way -= 1;
            slot.state = State::Listening;
            slot.echo = None;
        }
    }

    /// The slot whose outstanding message has that ID.
    pub(crate) fn find(&self, source: Source, id: MessageId) -> Option<u32> {
        self.find_slot(source, id, Slot::is_outstanding)
    }

    /// Whether an observation was registered by a request with this message ID.
    pub(crate) fn has_registered(&self, source: Source, id: MessageId) -> bool {
        let listens = |slot: &Slot| slot.state == State::Listening;
        self.find_slot(source, id, listens).is_some()
    }

    fn find_slot(&self, source: Source, id: MessageId, is_meant: fn(&Slot) -> bool) -> Option<u32> {
        let Way::Datagrams(datagrams) = &self.way else {
            return None;
        };
        let number = datagrams.peer_at(source)?;
        self.slots_of(number).find(|index| {
            let slot = self.slots.get(*index as usize);
            slot.is_some_and(|slot| is_meant(slot) && slot.id == id && slot.source == source)
        })
    }

    /// The schedule of a run that begins now.
    pub(crate) fn schedule(&self, now: Instant) -> Option<Schedule> {
        match self.plan.pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(Schedule::new(now, rate)),
        }
    }
}

/// The plan's options with those that are this message's own, where it has any.
fn with_more(
    options: &OptionsBuf,
    observe: Option<bool>,
    echo: Option<&[u8]>,
    part: &Part<'_>,
) -> Option<OptionsBuf> {
    if observe.is_none() && echo.is_none() && part.block.is_none() {
        return None;
    }
    let mut options = options.clone();
    if let Some(leaving) = observe {
        // RFC 7641 §2: 0 registers, 1 ends.
        options.push_uint(OptionNumber::OBSERVE, leaving.into());
    }
    if let Some(echo) = echo {
        // It came in an option, so it fits one.
        let _ = options.insert(OptionNumber::ECHO, echo);
    }
    part.add_to(&mut options);
    Some(options)
}
