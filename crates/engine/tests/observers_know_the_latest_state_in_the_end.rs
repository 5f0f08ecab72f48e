//! Eventual consistency (RFC 7641 §4.5): a non-confirmable notification that is lost is made up for.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod common;

use std::time::Duration;

use common::{Heard, Subject, closed_network, datagram};
use coracle_engine::{Event, ResponseRef, Topic};
use coracle_wire::{Code, MessageType, Method, OptionNumber, Options, Status};

const TOPIC: Topic = Topic(7);

/// A subject with an observer that registered by a non-confirmable message, and what the application shows.
struct Observed {
    subject: Subject,
    state: &'static [u8],
}

impl Observed {
    fn new() -> Observed {
        let mut subject = Subject::with(closed_network());
        let options: [(OptionNumber, &[u8]); 1] = [(OptionNumber::OBSERVE, b"")];
        let register = datagram(MessageType::NonConfirmable, Method::GET, 1, b"t", &options, b"");
        subject.serve_with(&register, showing(b"0"));
        Observed { subject, state: b"0" }
    }

    fn change(&mut self, state: &'static [u8]) -> Vec<Heard> {
        self.state = state;
        self.subject.endpoint.changed(TOPIC);
        self.answer()
    }

    /// Answers what the engine asks for.
    fn answer(&mut self) -> Vec<Heard> {
        for event in self.subject.events() {
            if let Event::Refresh { id, .. } = event {
                let now = self.subject.now;
                self.subject
                    .endpoint
                    .respond(now, id, showing(self.state))
                    .unwrap();
            }
        }
        self.subject.sent()
    }

    /// Lets time pass second by second, the application answering at once; what was sent, and after how many seconds.
    fn pass(&mut self, seconds: u64) -> Vec<(u64, Heard)> {
        let mut all = Vec::new();
        for second in 1..=seconds {
            let sent = self
                .subject
                .pass(Duration::from_secs(1))
                .into_iter()
                .map(|(_, heard)| heard);
            all.extend(sent.map(|heard| (second, heard)));
            all.extend(self.answer().into_iter().map(|heard| (second, heard)));
        }
        all
    }

    fn acknowledge(&mut self, heard: &Heard) {
        let ack = datagram(
            MessageType::Acknowledgement,
            Code::EMPTY,
            heard.id(),
            b"",
            &[],
            b"",
        );
        self.subject.receive(&ack);
    }
}

fn showing(state: &[u8]) -> ResponseRef<'_> {
    ResponseRef::new(Status::CONTENT, Options::empty(), state).with_observe(Some(TOPIC))
}

fn is_confirmable(heard: &Heard) -> bool {
    heard.message().message_type == MessageType::Confirmable
}

/// The last of a burst is repeated once in a confirmable message, with a number of its own, and then there is quiet.
#[test]
fn the_last_notification_of_a_burst_is_repeated_in_a_confirmable_message() {
    let mut observed = Observed::new();
    let mut burst = Vec::new();
    for state in [b"1", b"2", b"3"] {
        observed.pass(5);
        burst.extend(observed.change(state));
    }
    assert!(burst.len() == 3 && !burst.iter().any(is_confirmable));
    let sent = observed.pass(31);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let (after, repeated) = &sent[0];
    assert_eq!((*after, is_confirmable(repeated)), (30, true));
    assert_eq!(repeated.message().payload, b"3");
    assert!(repeated.message().options.observe() > burst[2].message().options.observe());
    observed.acknowledge(repeated);
    assert!(observed.pass(4_000).is_empty());
}

/// What comes regularly is no burst with an end: nothing but the notification that shows that the client is alive
/// (RFC 7641 §7) is confirmable.
#[test]
fn regular_notifications_are_not_repeated() {
    let mut observed = Observed::new();
    let mut confirmable = Vec::new();
    for number in 0..20 {
        assert!(observed.pass(60).is_empty(), "quiet before {number}");
        let sent = observed.change(b"x");
        assert_eq!(sent.len(), 1);
        if is_confirmable(&sent[0]) {
            confirmable.push(number);
            observed.acknowledge(&sent[0]);
        }
    }
    assert_eq!(confirmable, [10]);
}

/// A rare notification is repeated soon enough, and one whose observer is gone finds that out.
#[test]
fn a_rare_notification_is_repeated_after_some_minutes_and_ends_an_observation_that_nobody_wants() {
    let mut observed = Observed::new();
    observed.pass(10_000);
    assert_eq!(observed.change(b"1").len(), 1);
    let sent = observed.pass(310);
    assert_eq!(
        sent.len(),
        3,
        "it is sent again when it is not acknowledged: {sent:?}"
    );
    assert_eq!(sent[0].0, 300);
    observed.pass(100);
    assert!(!observed.subject.endpoint.is_observed(TOPIC));
    observed.pass(400);
    assert!(observed.subject.endpoint.is_pristine());
}

/// A state that changes while the repetition is under way goes out in its place.
#[test]
fn a_change_before_the_repetition_takes_its_place() {
    let mut observed = Observed::new();
    observed.pass(5);
    observed.change(b"1");
    observed.pass(29);
    let sent = observed.change(b"2");
    assert_eq!((sent.len(), is_confirmable(&sent[0])), (1, false));
    let sent = observed.pass(60);
    assert_eq!(sent[0].1.message().payload, b"2");
    assert_eq!(sent[0].0, 58, "twice the 29 s between the last two");
}
