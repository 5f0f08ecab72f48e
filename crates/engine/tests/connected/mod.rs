//! Any sequence of operations on an endpoint that has connections (RFC 8323), decoded from bytes: what the property test
//! and the fuzz target share.
//!
//! Whatever the sequence, nothing panics, what is written are messages that the peer takes, the first is a CSM and an
//! Abort the last, responses answer requests of their connection, what ends with a connection ends, every request ends,
//! time is never waited for in vain, the bounds of the configuration hold, and when everything is ended nothing remains.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

#[path = "../operations/choices.rs"]
mod choices;
mod line;
mod peers;

use std::sync::Arc;
use std::time::Duration;

use coracle_engine::{
    Body, BodyPolicy, Config, ConnectionId, Endpoint, Event, ExchangeId, Instant, MissingCsm, Path, Received,
    RequestRef, ResponseRef, StreamedBody, Topic, Window, limits,
};
use coracle_wire::{Framing, Message, Method, OptionNumber, Options, OptionsBuf, Status};

use self::choices::{Cursor, METHODS, STATUSES};
use self::line::Line;

struct Streams;

impl BodyPolicy for Streams {
    fn body(&self, method: Method, _options: Options<'_>) -> Body {
        match method {
            Method::PATCH => Body::Stream,
            _ => Body::Collect { limit: 3000 },
        }
    }
}

const TOPICS: u64 = 3;
const MAX_REQUESTS: usize = 8;
const MAX_EXCHANGES: usize = 16;
const MAX_CONNECTIONS: usize = 3;
const MAX_MESSAGE: u32 = 1800;
const QUEUED: usize = 6000;

/// While so much waits to be written on a connection, nothing is read on it.
const NOT_READ: usize = 64 * 1024;

/// All requests of ours end within this time when nobody answers.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// Few enough that the bounds are reached.
fn config(choice: u8) -> Config {
    let mut config = Config::constrained();
    config.max_body = 4000;
    config.max_requests = MAX_REQUESTS;
    config.max_exchanges = MAX_EXCHANGES;
    config.body_policy = Some(Arc::new(Streams));
    let connections = &mut config.connections;
    connections.max_connections = MAX_CONNECTIONS;
    connections.max_message_size = MAX_MESSAGE;
    connections.queued_bytes = QUEUED;
    connections.missing_csm = match choice % 4 {
        0 => MissingCsm::Tolerate,
        1 => MissingCsm::WaitFor(Duration::from_secs(3)),
        _ => MissingCsm::Refuse,
    };
    connections.ping_after = (choice & 0x0c != 0).then_some(Duration::from_secs(70));
    connections.idle_after = (choice & 0x70 == 0).then_some(Duration::from_secs(50));
    config
}

/// A request or ping of ours.
#[derive(Clone, Copy)]
struct Asked {
    id: ExchangeId,
    on: Option<ConnectionId>,
    /// It may last as long as nobody ends it: an observation, or a body in parts.
    lasts: bool,
}

struct World {
    endpoint: Endpoint,
    now: Instant,
    lines: Vec<Line>,
    asked: Vec<Asked>,
    /// Requests of peers that the application works on, and where they came.
    pending: Vec<(ExchangeId, Option<ConnectionId>)>,
    /// Where the exchanges of peers came.
    came: Vec<(ExchangeId, Option<ConnectionId>)>,
    closed: bool,
}

/// Runs the operations that the bytes tell.
pub fn run(bytes: &[u8]) {
    let mut cursor = Cursor(bytes);
    let mut world = World {
        endpoint: Endpoint::new(config(cursor.byte()), [7; 32]),
        now: Instant::from_micros(1_000_000),
        lines: Vec::new(),
        asked: Vec::new(),
        pending: Vec::new(),
        came: Vec::new(),
        closed: false,
    };
    while !cursor.0.is_empty() {
        world.operate(&mut cursor);
        world.settle();
        world.is_within_bounds();
    }
    if bytes.len().is_multiple_of(2) {
        world.wait();
    }
    world.end();
}

impl World {
    fn operate(&mut self, cursor: &mut Cursor<'_>) {
        match cursor.byte() % 26 {
            0 | 1 => self.connect(cursor),
            2..=4 => self.receive_message(cursor),
            5 => self.receive_bytes(cursor),
            6 | 7 => self.receive_signal(cursor),
            8..=10 => self.receive_answer(cursor),
            11 | 12 => self.receive_block(cursor),
            13 | 14 => self.write(cursor),
            15 => self.meet_trouble(cursor),
            16 | 17 => self.request(cursor),
            18 => {
                if let Some(asked) = pick(&self.asked, cursor) {
                    self.endpoint.cancel(self.now, asked.id);
                    self.asked.retain(|other| other.id != asked.id);
                }
            }
            19..=21 => self.respond(cursor),
            22 => {
                if let Some((id, _)) = pick(&self.pending, cursor) {
                    self.endpoint.continue_body(self.now, id);
                }
            }
            23 => self.go_on_with_bodies(cursor),
            24 => self.endpoint.changed(Topic(u64::from(cursor.byte()) % TOPICS)),
            _ => self.pass(cursor),
        }
    }

    fn connect(&mut self, cursor: &mut Cursor<'_>) {
        let byte = cursor.byte();
        let framing = if byte & 0x80 == 0 {
            Framing::Tcp
        } else {
            Framing::WebSocket
        };
        let path = path(byte);
        let room = self.lines.len() < MAX_CONNECTIONS && !self.closed;
        let id = self.endpoint.connected(self.now, path, framing);
        assert_eq!(id.is_some(), room, "{} connections", self.lines.len());
        let Some(id) = id else { return };
        assert!(self.lines.iter().all(|line| line.id != id), "{id:?} again");
        self.lines.push(Line::new(id, framing));
        // Peers begin with their CSM, mostly.
        if byte & 0x40 == 0 {
            self.receive_csm(self.lines.len() - 1, cursor.byte());
        }
    }

    /// What happens rarely: ends of connections and of all, datagrams, pings, a loss of memory.
    fn meet_trouble(&mut self, cursor: &mut Cursor<'_>) {
        let what = cursor.byte();
        let line = usize::from(cursor.byte()).checked_rem(self.lines.len());
        match (what, line) {
            (0..0x28, Some(line)) => self.disconnect(line),
            (0x28..0x50, Some(line)) => self.peer_ends(line),
            (0x50..0x70, Some(line)) => self.endpoint.release(self.now, self.lines[line].id),
            (0x70..0x90, Some(line)) => {
                if let Some(path) = self.endpoint.connection_path(self.lines[line].id)
                    && let Ok(id) = self.endpoint.ping(self.now, &path)
                {
                    self.begins(id, path.connection, false);
                }
            }
            (0x90..0xf0, _) => self.receive_datagram(cursor),
            (0xf0..=0xfe, _) => {
                let topic = Topic(u64::from(cursor.byte()) % TOPICS);
                self.endpoint.forget_observers(self.now, topic);
                assert!(!self.endpoint.is_observed(topic));
            }
            (0xff, _) => {
                self.endpoint.close();
                self.closed = true;
            }
            _ => {}
        }
    }

    fn disconnect(&mut self, place: usize) {
        let line = self.lines.remove(place);
        self.endpoint.disconnected(self.now, line.id);
        self.settle();
        assert!(self.endpoint.connection_path(line.id).is_none());
        assert!(self.endpoint.stream_output(line.id).is_empty());
        self.is_over(line.id);
    }

    /// Nothing of a connection goes on.
    fn is_over(&self, id: ConnectionId) {
        assert!(!self.endpoint.takes_input(id));
        assert!(
            self.asked.iter().all(|asked| asked.on != Some(id)),
            "a request goes on without its connection"
        );
        assert!(
            self.pending.iter().all(|(_, on)| *on != Some(id)),
            "work for a connection that is gone"
        );
    }

    fn peer_ends(&mut self, place: usize) {
        let line = &mut self.lines[place];
        let id = line.id;
        // As a driver does: the end comes after all that was to be read.
        if !line.ended && self.endpoint.takes_input(id) {
            line.ended = true;
            self.endpoint.peer_ended(self.now, id);
            self.settle();
            assert!(
                self.asked.iter().all(|asked| asked.on != Some(id)),
                "who answers?"
            );
        }
    }

    fn begins(&mut self, id: ExchangeId, on: Option<ConnectionId>, lasts: bool) {
        assert!(!self.closed, "a closed endpoint began a request");
        assert!(self.asked.iter().all(|asked| asked.id != id), "{id:?} again");
        self.asked.push(Asked { id, on, lasts });
    }

    /// Bytes come on a connection. What is not taken, comes again with those that follow.
    fn receive(&mut self, place: usize, bytes: &[u8]) {
        if self.lines[place].ended {
            return;
        }
        self.lines[place].comes(bytes);
        while self.endpoint.takes_input(self.lines[place].id) {
            let line = &mut self.lines[place];
            let id = line.id;
            let mut rest = line.next();
            let before = rest.len();
            let received = self.endpoint.handle_stream(self.now, id, &mut rest);
            let used = before - rest.len();
            let came = match received {
                Received::Request(id, request) => Some((id, request.path)),
                Received::Assembled(id, request) => Some((id, request.path)),
                Received::Body(exchange, _) => {
                    assert!(self.came.contains(&(exchange, Some(id))), "a part of nothing");
                    None
                }
                Received::Nothing => None,
            };
            if let Some((exchange, path)) = came {
                assert_eq!(path.connection, Some(id));
                self.came.push((exchange, Some(id)));
                self.pending.push((exchange, Some(id)));
            }
            let goes_on = line.took(used);
            self.settle();
            if !goes_on {
                break;
            }
        }
    }

    fn receive_datagram(&mut self, cursor: &mut Cursor<'_>) {
        let len = usize::from(cursor.byte() % 32);
        let mut bytes = vec![0x40 | cursor.byte() & 0x11, cursor.byte() % 6, 0, cursor.byte()];
        bytes.extend_from_slice(cursor.slice(len));
        let came = match self
            .endpoint
            .handle_datagram(self.now, path(cursor.byte()), &bytes)
        {
            Received::Request(id, request) => Some((id, request.path)),
            Received::Assembled(id, request) => Some((id, request.path)),
            _ => None,
        };
        if let Some((id, path)) = came {
            assert_eq!(path.connection, None);
            self.came.push((id, None));
            self.pending.push((id, None));
        }
    }

    fn request(&mut self, cursor: &mut Cursor<'_>) {
        let mut options = OptionsBuf::new();
        match cursor.byte() % 4 {
            0 => options.push_uint(OptionNumber::OBSERVE, 0),
            1 => options.push_uint(OptionNumber::BLOCK2, u64::from(cursor.byte() & 0x73)),
            _ => {}
        }
        let payload = [2; 3000];
        let method = cursor.pick(&METHODS);
        let (len, streams) = (cursor.pick(&[0, 1, 100, 1024, 1100, 1500, 3000]), cursor.byte());
        let streamed = (streams & 0x11 == 1).then_some(StreamedBody { total: None });
        let request = RequestRef::new(method, options.as_options())
            .with_payload(&payload[..len])
            .with_streamed(streamed)
            .with_streamed_answer(streams & 0x22 == 2)
            .with_confirmable(!cursor.byte().is_multiple_of(3))
            .with_timeout(cursor.byte().is_multiple_of(4).then_some(Duration::from_secs(20)));
        let which = cursor.byte();
        let line = usize::from(which).checked_rem(self.lines.len() + 1);
        let line = line.and_then(|line| self.lines.get(line));
        let way = match line {
            Some(line) => self.endpoint.connection_path(line.id),
            None => Some(path(which)),
        };
        let Some(path) = way else { return };
        let observes = options.as_options().observe() == Some(0);
        if let Ok(id) = self.endpoint.request(self.now, &path, request) {
            self.begins(id, path.connection, observes || streams & 3 != 0);
        }
    }

    fn respond(&mut self, cursor: &mut Cursor<'_>) {
        let Some((id, _)) = pick(&self.pending, cursor) else {
            return;
        };
        let mut options = OptionsBuf::new();
        if cursor.byte().is_multiple_of(4) {
            options.push_uint(OptionNumber::CONTENT_FORMAT, u64::from(cursor.byte() % 2));
        }
        let payload = [cursor.byte(); 3000];
        let len = cursor.pick(&[0, 1, 100, 1024, 1090, 1500, 3000]);
        let window = Window {
            offset: u64::from(cursor.byte()) << 4,
            total: u64::from(cursor.byte()) << 4,
        };
        let response = ResponseRef::new(cursor.pick(&STATUSES), options.as_options(), &payload[..len])
            .with_observe(
                (!cursor.byte().is_multiple_of(4)).then_some(Topic(u64::from(cursor.byte()) % TOPICS)),
            )
            .with_window(cursor.byte().is_multiple_of(5).then_some(window))
            .with_confirmable(cursor.pick(&[None, Some(true), Some(false)]));
        let _ = self.endpoint.respond(self.now, id, response);
        self.pending.retain(|(other, _)| *other != id);
    }

    /// The application gives and takes parts of bodies.
    fn go_on_with_bodies(&mut self, cursor: &mut Cursor<'_>) {
        if let Some(asked) = pick(&self.asked, cursor) {
            let (len, more) = (usize::from(cursor.byte()) * 9, cursor.byte().is_multiple_of(2));
            self.endpoint
                .supply_body(self.now, asked.id, &[3; 2295][..len], more);
            self.endpoint.continue_body(self.now, asked.id);
        }
    }

    /// The transport of a connection takes some bytes, or all.
    fn write(&mut self, cursor: &mut Cursor<'_>) {
        let Some(place) = usize::from(cursor.byte()).checked_rem(self.lines.len()) else {
            return;
        };
        let most = match cursor.byte() {
            few @ 0..64 => usize::from(few),
            _ => usize::MAX,
        };
        self.write_up_to(place, most);
    }

    fn write_up_to(&mut self, place: usize, most: usize) {
        let mut left = most;
        loop {
            let line = &mut self.lines[place];
            let output = self.endpoint.stream_output(line.id);
            let len = match line.framing {
                Framing::Tcp => output.len().min(left),
                Framing::WebSocket => output.len(),
            };
            if len == 0 || left == 0 {
                line.emptied |= output.is_empty();
                line.counts_from_now();
                return;
            }
            left = left.saturating_sub(len);
            line.writes(&output[..len]);
            let id = line.id;
            self.endpoint.stream_written(self.now, id, len);
            self.settle();
            // What was held back while too much waited is taken now.
            self.receive(place, &[]);
        }
    }

    /// Time passes: up to the next deadline, or less, or much more.
    fn pass(&mut self, cursor: &mut Cursor<'_>) {
        let next = self
            .endpoint
            .poll_deadline()
            .map_or(self.now, |deadline| deadline.at.max(self.now));
        self.now = match cursor.byte() % 4 {
            0 => self.now + Duration::from_millis(u64::from(cursor.byte())),
            1 => next + Duration::from_secs(u64::from(cursor.byte())),
            _ => next,
        };
        self.endpoint.handle_timeout(self.now);
    }

    /// Drains what the endpoint gives, and sees to it that what is due is done within bounds.
    fn settle(&mut self) {
        for _ in 0..1000 {
            self.drain();
            match self.endpoint.poll_deadline() {
                Some(deadline) if deadline.at <= self.now => self.endpoint.handle_timeout(self.now),
                _ => return,
            }
        }
        panic!(
            "time stands still: {:?} at {:?}",
            self.endpoint.poll_deadline(),
            self.now
        );
    }

    fn drain(&mut self) {
        let mut buf = [0; limits::MAX_DATAGRAM];
        let mut count = 0;
        loop {
            while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut buf) {
                let message = Message::parse(&buf[..transmit.len]);
                assert!(message.is_ok(), "what is sent can be parsed");
                assert_eq!(transmit.path.connection, None, "a datagram on a connection");
                count += 1;
            }
            let Some(event) = self.endpoint.poll_event() else {
                break;
            };
            count += 1;
            self.take(event);
        }
        assert!(count < 500, "{count} datagrams and events at once");
        while let Some(id) = self.endpoint.poll_stream() {
            let mut lines = self.lines.iter_mut();
            let line = lines.find(|line| line.id == id);
            line.expect("a connection that there is").waits = true;
        }
        for line in &self.lines {
            let waits = !self.endpoint.stream_output(line.id).is_empty();
            assert!(
                !waits || line.waits,
                "nobody was told that there is something to write"
            );
            if line.closing {
                self.is_over(line.id);
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Refresh { id, .. } => {
                let came = self.came.iter().find(|(other, _)| *other == id);
                let came = came.expect("an observer that never registered");
                assert!(!self.pending.contains(came), "{id:?} is asked for twice");
                self.pending.push(*came);
            }
            Event::Ended { id } => self.pending.retain(|(other, _)| *other != id),
            Event::Response { id, response, more } => {
                let asked = self.asked(id);
                assert_eq!(asked.on, response.path.connection, "from elsewhere");
                if !more {
                    self.asked.retain(|other| other.id != id);
                }
            }
            Event::Failed { id, .. } | Event::Pong { id } => {
                self.asked(id);
                self.asked.retain(|other| other.id != id);
            }
            Event::Body { id, more, .. } => {
                self.asked(id);
                if !more {
                    self.asked.retain(|other| other.id != id);
                }
            }
            Event::Progress { id, .. }
            | Event::Stale { id }
            | Event::BodyWanted { id }
            | Event::HeldBack { id, .. } => {
                self.asked(id);
            }
            Event::Opened { connection } => self.line(connection).opens(),
            Event::Released { connection, .. } => self.line(connection).is_released(),
            Event::Closing { connection, .. } => self.line(connection).closes(),
            _ => {}
        }
    }

    fn line(&mut self, id: ConnectionId) -> &mut Line {
        let line = self.lines.iter_mut().find(|line| line.id == id);
        line.expect("an event of a connection that there is")
    }

    fn asked(&self, id: ExchangeId) -> Asked {
        let asked = self.asked.iter().find(|asked| asked.id == id);
        *asked.expect("an exchange that had ended or was cancelled")
    }

    fn is_within_bounds(&self) {
        // Their requests, and what is asked for for the observers among them, who are half as many.
        assert!(
            self.pending.len() <= MAX_EXCHANGES + MAX_EXCHANGES / 2,
            "{} requests of peers",
            self.pending.len()
        );
        // As many requests, and as many pings.
        assert!(
            self.asked.len() <= 2 * MAX_REQUESTS,
            "{} requests of ours",
            self.asked.len()
        );
        assert_eq!(self.endpoint.connections(), self.lines.len());
        let waits = |line: &Line| self.endpoint.stream_output(line.id).len();
        let all: usize = self.lines.iter().map(waits).sum();
        // What is refused for want of room, and signaling, is bounded by reading no more.
        let most = QUEUED + MAX_CONNECTIONS * (NOT_READ + MAX_MESSAGE as usize);
        assert!(all <= most, "{all} bytes wait to be written");
    }

    /// Nobody reads or answers any more: every request of ours ends, but for those that may be observations.
    fn wait(&mut self) {
        let until = self.now + PATIENCE;
        while self.asked.iter().any(|asked| !asked.lasts) {
            let deadline = self
                .endpoint
                .poll_deadline()
                .expect("a request waits for nothing");
            assert!(deadline.at <= until, "a request waits for ever: {deadline:?}");
            self.now = self.now.max(deadline.at);
            self.settle();
        }
    }

    /// Ends everything that was begun, and waits: nothing remains.
    fn end(&mut self) {
        for place in (0..self.lines.len()).rev() {
            // All that waits is written, as before an end in good order.
            self.write_up_to(place, usize::MAX);
            self.disconnect(place);
        }
        for asked in std::mem::take(&mut self.asked) {
            self.endpoint.cancel(self.now, asked.id);
        }
        let gone = ResponseRef::new(Status::NOT_FOUND, Options::empty(), b"");
        // The first round of topics gives each observer its last notification, the others wait for what follows.
        for topic in (0..TOPICS).cycle().take(10_000) {
            self.settle();
            for (id, _) in std::mem::take(&mut self.pending) {
                let _ = self.endpoint.respond(self.now, id, gone);
            }
            self.endpoint.changed(Topic(topic));
            self.settle();
            if self.pending.is_empty() {
                match self.endpoint.poll_deadline() {
                    Some(deadline) => self.now = self.now.max(deadline.at),
                    None if topic + 1 == TOPICS => break,
                    None => {}
                }
            }
        }
        assert!(self.endpoint.is_idle(), "something waits for ever");
        assert!(self.endpoint.is_pristine(), "something is left");
    }
}

fn pick<T: Copy>(from: &[T], cursor: &mut Cursor<'_>) -> Option<T> {
    let at = usize::from(cursor.byte()).checked_rem(from.len())?;
    from.get(at).copied()
}

fn path(byte: u8) -> Path {
    Path {
        local: Some([192, 0, 2, 1].into()),
        ..Path::to(([198, 51, 100, byte & 3], 5683).into())
    }
}
