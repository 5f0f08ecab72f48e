//! Notifications, through the engine: a change and what it leads to for a thousand observers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use coracle_engine::{
    Config, Endpoint, Event, ExchangeId, Instant, Path, Received, ResponseRef, Topic, limits,
};
use coracle_wire::{Message, MessageType, Method, OptionNumber, OptionsBuf, Status};

use crate::datagrams::{self, request};

const OBSERVERS: u32 = 1_000;

/// Non-confirmable notifications that an observer gets before one that it has to acknowledge (the engine's bound).
const UNCONFIRMED: u32 = 10;

/// Between two changes: longer than the pause between notifications (RFC 7641 §4.5.1), shorter than the quiet time
/// after which the last one is repeated.
const STEP: Duration = Duration::from_secs(4);

const TOPIC: Topic = Topic(1);

/// An endpoint with its observers.
pub(super) struct Notifications {
    endpoint: Endpoint,
    now: Instant,
    answer_options: OptionsBuf,
    unconfirmed: u32,
    /// Notifications since they were counted.
    sent: u32,
    out: [u8; limits::MAX_DATAGRAM],
}

impl Notifications {
    pub(super) fn new() -> Notifications {
        let mut answer_options = OptionsBuf::new();
        answer_options.push_uint(OptionNumber::CONTENT_FORMAT, 0);
        let mut notifications = Notifications {
            endpoint: Endpoint::new(Config::default(), [7; 32]),
            now: Instant::ZERO,
            answer_options,
            unconfirmed: 0,
            sent: 0,
            out: [0; limits::MAX_DATAGRAM],
        };
        (0..OBSERVERS).for_each(|place| notifications.register(place));
        notifications.confirm();
        assert_eq!(notifications.sent, OBSERVERS, "every observer is told");
        notifications
    }

    fn register(&mut self, place: u32) {
        let mut options = OptionsBuf::new();
        options.push_uint(OptionNumber::OBSERVE, 0);
        let fits = options.push_str(OptionNumber::URI_PATH, "temp");
        assert_eq!(fits, Ok(()));
        let mut datagram = [0; 64];
        let token = place.to_be_bytes();
        let len = request(Method::GET, 1, token, options.as_options(), &[], &mut datagram);
        let datagram = datagram.get(..len).unwrap_or_default();
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + place);
        let path = Path {
            local: Some(Ipv4Addr::LOCALHOST.into()),
            ..Path::to(SocketAddr::from((address, 5683)))
        };
        if let Received::Request(id, _) = self.endpoint.handle_datagram(self.now, path, datagram) {
            self.respond(id, false);
        }
        // An address that is not proved yet may be asked to acknowledge its registration.
        while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut self.out) {
            self.acknowledge(transmit.path, transmit.len);
        }
    }

    fn respond(&mut self, id: ExchangeId, confirmable: bool) {
        let response = ResponseRef::new(Status::CONTENT, self.answer_options.as_options(), b"21.5")
            .with_observe(Some(TOPIC))
            .with_confirmable(Some(confirmable));
        let answered = self.endpoint.respond(self.now, id, response);
        assert_eq!(answered, Ok(()));
    }

    /// All that follows from a change until nothing is left to send.
    fn change(&mut self, confirmable: bool) {
        self.endpoint.changed(TOPIC);
        loop {
            let before = self.sent;
            while let Some(event) = self.endpoint.poll_event() {
                if let Event::Refresh { id, .. } = event {
                    self.respond(id, confirmable);
                }
            }
            while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut self.out) {
                self.sent += 1;
                self.acknowledge(transmit.path, transmit.len);
            }
            if self.sent == before {
                return;
            }
        }
    }

    /// Answers a confirmable notification as its observer does.
    fn acknowledge(&mut self, path: Path, len: usize) {
        let notification = self.out.get(..len).unwrap_or_default();
        let is_confirmable = notification.first().is_some_and(|first| first & 0x30 == 0);
        if !is_confirmable {
            return;
        }
        let Ok(notification) = Message::parse(notification) else {
            return;
        };
        let acknowledgement = datagrams::empty(MessageType::Acknowledgement, notification.message_id);
        let _ = self.endpoint.handle_datagram(self.now, path, &acknowledgement);
    }

    /// Time passes until all may be told again.
    fn wait(&mut self) {
        self.now = self.now + STEP;
        while self
            .endpoint
            .poll_deadline()
            .is_some_and(|deadline| deadline.at <= self.now)
        {
            self.endpoint.handle_timeout(self.now);
        }
    }

    /// A round of confirmable notifications.
    fn confirm(&mut self) {
        self.wait();
        self.change(true);
        self.unconfirmed = 0;
    }
}

impl super::Operation for Notifications {
    fn prepare(&mut self) {
        if self.unconfirmed == UNCONFIRMED {
            self.confirm();
        }
        self.wait();
        self.sent = 0;
    }

    fn run(&mut self) {
        self.change(false);
    }

    fn finish(&mut self) -> u32 {
        assert_eq!(self.sent, OBSERVERS, "every observer is told once");
        self.unconfirmed += 1;
        self.sent
    }
}
