//! What the tests share: an endpoint that is driven by hand, and bytes.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

pub mod stream;

use std::time::Duration;

use coracle_engine::{
    Config, Endpoint, Event, ExchangeId, Instant, OwnedRequest, Path, Received, ResponseRef, limits,
};
use coracle_wire::{
    BlockOption, Code, Message, MessageId, MessageType, OptionNumber, Options, OptionsBuf, Status,
};

/// The bytes of a string of hexadecimal digits; spaces are for the reader.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let value = |digit: u8| u8::try_from((digit as char).to_digit(16).unwrap()).unwrap();
    digits
        .chunks(2)
        .map(|pair| value(pair[0]) << 4 | value(pair[1]))
        .collect()
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn block(num: u32, more: u8, size: usize) -> Vec<u8> {
    let szx = u8::try_from(size.ilog2() - 4).unwrap();
    BlockOption::new(num, more == 1, szx).unwrap().encode().to_vec()
}

/// A datagram of these parts.
pub fn datagram(
    message_type: MessageType,
    code: impl Into<Code>,
    id: u16,
    token: &[u8],
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let options = options_of(options);
    let message = Message {
        message_type,
        code: code.into(),
        message_id: MessageId(id),
        token,
        options: options.as_options(),
        payload,
    };
    let mut bytes = vec![0; message.encoded_len()];
    message.encode(&mut bytes).unwrap();
    bytes
}

pub fn options_of(options: &[(OptionNumber, &[u8])]) -> OptionsBuf {
    let mut buf = OptionsBuf::new();
    for (number, value) in options {
        buf.insert(*number, value).unwrap();
    }
    buf
}

/// A received message that owns its bytes.
#[derive(Clone, Debug)]
pub struct Heard {
    pub bytes: Vec<u8>,
    pub path: Path,
}

impl Heard {
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap()
    }

    pub fn code(&self) -> String {
        self.message().code.to_string()
    }

    pub fn id(&self) -> u16 {
        self.message().message_id.0
    }

    pub fn block1(&self) -> Option<String> {
        self.message()
            .options
            .block1()
            .map(|block| block.unwrap().to_string())
    }

    pub fn block2(&self) -> Option<String> {
        self.message()
            .options
            .block2()
            .map(|block| block.unwrap().to_string())
    }
}

/// An endpoint, its clock, and one peer of it that is played by the test.
pub struct Subject {
    pub endpoint: Endpoint,
    pub now: Instant,
    pub path: Path,
}

pub fn peer(port: u16) -> Path {
    Path {
        local: Some([192, 0, 2, 1].into()),
        ..Path::to(([198, 51, 100, 7], port).into())
    }
}

/// For tests about something else than what an address must prove before it gets long answers.
pub fn closed_network() -> Config {
    let mut config = Config::default();
    config.amplification = None;
    config
}

impl Subject {
    pub fn new() -> Subject {
        Subject::with(Config::default())
    }

    pub fn with(config: Config) -> Subject {
        Subject {
            endpoint: Endpoint::new(config, [42; 32]),
            now: Instant::from_micros(5_000_000),
            path: peer(61616),
        }
    }

    /// Takes a datagram of the peer, and gives the request that it made.
    pub fn receive(&mut self, datagram: &[u8]) -> Option<(ExchangeId, Vec<u8>)> {
        self.receive_from(self.path, datagram)
    }

    pub fn receive_from(&mut self, path: Path, datagram: &[u8]) -> Option<(ExchangeId, Vec<u8>)> {
        match self.endpoint.handle_datagram(self.now, path, datagram) {
            Received::Request(id, request) => Some((id, request.payload.to_vec())),
            Received::Assembled(id, OwnedRequest { payload, .. }) => Some((id, payload)),
            Received::Body(id, part) => Some((id, part.payload.to_vec())),
            Received::Nothing => None,
        }
    }

    /// Takes a datagram and answers the request that it makes with 2.05 and this body; what was sent then.
    pub fn serve(&mut self, datagram: &[u8], body: &[u8]) -> Vec<Heard> {
        self.serve_with(
            datagram,
            ResponseRef::new(Status::CONTENT, Options::empty(), body),
        )
    }

    pub fn serve_with(&mut self, datagram: &[u8], response: ResponseRef<'_>) -> Vec<Heard> {
        if let Some((id, _)) = self.receive(datagram) {
            self.endpoint.respond(self.now, id, response).unwrap();
        }
        self.sent()
    }

    pub fn respond(&mut self, id: ExchangeId, body: &[u8]) -> Vec<Heard> {
        let response = ResponseRef::new(Status::CONTENT, Options::empty(), body);
        self.endpoint.respond(self.now, id, response).unwrap();
        self.sent()
    }

    /// All that the endpoint sends.
    pub fn sent(&mut self) -> Vec<Heard> {
        let mut buf = [0; limits::MAX_DATAGRAM];
        let mut all = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut buf) {
            all.push(Heard {
                bytes: buf[..transmit.len].to_vec(),
                path: transmit.path,
            });
        }
        all
    }

    /// The one datagram that the endpoint sends.
    #[track_caller]
    pub fn sent_one(&mut self) -> Heard {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    /// Lets time pass, with all timers on the way; what was sent meanwhile and when.
    pub fn pass(&mut self, time: Duration) -> Vec<(Duration, Heard)> {
        let (start, until) = (self.now, self.now + time);
        let mut all: Vec<_> = self
            .sent()
            .into_iter()
            .map(|heard| (Duration::ZERO, heard))
            .collect();
        while let Some(deadline) = self
            .endpoint
            .poll_deadline()
            .filter(|deadline| deadline.at <= until)
        {
            self.now = deadline.at.max(self.now);
            self.endpoint.handle_timeout(self.now);
            let after = self.now - start;
            all.extend(self.sent().into_iter().map(|heard| (after, heard)));
        }
        self.now = until;
        all
    }
}

/// The lines of datagrams for comparison.
pub fn lines(sent: &[Heard]) -> Vec<String> {
    sent.iter().map(|heard| heard.message().to_string()).collect()
}
