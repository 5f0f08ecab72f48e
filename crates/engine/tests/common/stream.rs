//! An endpoint with a connection whose other end is played by the test, byte by byte.

use std::time::Duration;

use coracle_engine::{
    Config, ConnectionId, Endpoint, Event, ExchangeId, Instant, Path, Received, ResponseRef,
};
use coracle_wire::{
    Code, Csm, Framing, Message, MessageId, MessageType, Method, OptionNumber, Options, Signal, Status,
    frame_len,
};

use super::{options_of, peer};

/// A message on a connection of these parts.
pub fn frame(
    code: impl Into<Code>,
    token: &[u8],
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    frame_in(Framing::Tcp, code, token, options, payload)
}

pub fn frame_in(
    framing: Framing,
    code: impl Into<Code>,
    token: &[u8],
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let options = options_of(options);
    let message = Message {
        message_type: MessageType::NonConfirmable,
        code: code.into(),
        message_id: MessageId(0),
        token,
        options: options.as_options(),
        payload,
    };
    let mut bytes = Vec::new();
    message.append_frame(framing, &mut bytes).unwrap();
    bytes
}

pub fn get(path: &str, token: &[u8]) -> Vec<u8> {
    frame(
        Method::GET,
        token,
        &[(OptionNumber::URI_PATH, path.as_bytes())],
        &[],
    )
}

pub fn content(payload: &[u8]) -> ResponseRef<'_> {
    ResponseRef::new(Status::CONTENT, Options::empty(), payload)
}

pub fn codes(messages: &[Vec<u8>]) -> Vec<String> {
    messages
        .iter()
        .map(|message| parse(message).code.to_string())
        .collect()
}

/// A CSM that takes blocks in messages of this length.
pub fn csm(max_message_size: u32) -> Vec<u8> {
    let csm = Csm {
        max_message_size: Some(max_message_size),
        block_wise_transfer: true,
        extended_token_length: None,
    };
    let options = csm.to_options();
    let options: Vec<_> = options
        .iter()
        .map(|option| (option.number, option.value))
        .collect();
    frame(Signal::CSM, &[], &options, &[])
}

/// A request as the application has it.
#[derive(Debug)]
pub struct Asked {
    pub path: Path,
    pub payload: Vec<u8>,
}

/// What an endpoint was given by a connection.
#[derive(Debug)]
pub enum Given {
    Request(ExchangeId, Asked),
    Body(ExchangeId, Vec<u8>, bool),
}

pub struct Connected {
    pub endpoint: Endpoint,
    pub now: Instant,
    pub id: ConnectionId,
    pub framing: Framing,
    /// What came and was not taken.
    inbox: Vec<u8>,
    /// Events so far.
    pub events: Vec<Event>,
}

impl Connected {
    pub fn new() -> Connected {
        Connected::with(Config::default())
    }

    pub fn with(config: Config) -> Connected {
        Connected::framed(config, Framing::Tcp)
    }

    pub fn framed(config: Config, framing: Framing) -> Connected {
        let mut endpoint = Endpoint::new(config, [42; 32]);
        let now = Instant::from_micros(5_000_000);
        let id = endpoint.connected(now, peer(61616), framing).unwrap();
        Connected {
            endpoint,
            now,
            id,
            framing,
            inbox: Vec::new(),
            events: Vec::new(),
        }
    }

    /// With both CSMs out of the way; the peer takes messages of this length.
    pub fn opened(config: Config, max_message_size: u32) -> Connected {
        let mut connected = Connected::with(config);
        assert!(connected.give(&csm(max_message_size)).is_empty());
        let [first] = &connected.written()[..] else {
            panic!("not one message")
        };
        assert_eq!(parse(first).code, Code::from(Signal::CSM));
        assert!(
            matches!(connected.events[..], [Event::Opened { .. }]),
            "{:?}",
            connected.events
        );
        connected.events.clear();
        connected
    }

    pub fn path(&self) -> Path {
        self.endpoint.connection_path(self.id).unwrap()
    }

    /// Bytes come; what they were.
    pub fn give(&mut self, bytes: &[u8]) -> Vec<Given> {
        self.inbox.extend_from_slice(bytes);
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = &inbox[..];
        let mut given = Vec::new();
        loop {
            let before = rest.len();
            let received = self.endpoint.handle_stream(self.now, self.id, &mut rest);
            match received {
                Received::Request(id, request) => given.push(Given::Request(
                    id,
                    Asked {
                        path: request.path,
                        payload: request.payload.to_vec(),
                    },
                )),
                Received::Assembled(id, request) => given.push(Given::Request(
                    id,
                    Asked {
                        path: request.path,
                        payload: request.payload,
                    },
                )),
                Received::Body(id, part) => given.push(Given::Body(id, part.payload.to_vec(), part.more)),
                Received::Nothing => {}
            }
            if rest.len() == before || rest.is_empty() {
                break;
            }
        }
        self.inbox = rest.to_vec();
        self.poll();
        given
    }

    /// The one request that these bytes bring.
    pub fn request(&mut self, bytes: &[u8]) -> (ExchangeId, Asked) {
        match self.give(bytes).pop() {
            Some(Given::Request(id, request)) => (id, request),
            other => panic!("{other:?}"),
        }
    }

    pub fn poll(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
        }
    }

    /// All that is written, message by message.
    pub fn written(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        self.drive();
        while let Some(id) = self.endpoint.poll_stream() {
            assert_eq!(id, self.id);
            loop {
                let mut output = self.endpoint.stream_output(id).to_vec();
                if output.is_empty() {
                    break;
                }
                self.endpoint.stream_written(self.now, id, output.len());
                while !output.is_empty() {
                    let len = match self.framing {
                        Framing::WebSocket => output.len(),
                        Framing::Tcp => usize::try_from(frame_len(&output).unwrap().unwrap()).unwrap(),
                    };
                    let rest = output.split_off(len);
                    messages.push(std::mem::replace(&mut output, rest));
                }
                self.drive();
            }
        }
        self.poll();
        messages
    }

    /// Nothing is sent in datagrams.
    fn drive(&mut self) {
        let mut buf = [0; coracle_engine::limits::MAX_DATAGRAM];
        let transmit = self.endpoint.poll_transmit(self.now, &mut buf);
        assert!(transmit.is_none(), "a datagram {transmit:?}");
        self.poll();
    }

    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self
            .endpoint
            .poll_deadline()
            .filter(|deadline| deadline.at <= until)
        {
            self.now = self.now.max(deadline.at);
            self.endpoint.handle_timeout(self.now);
            self.drive();
        }
        self.now = until;
    }
}

pub fn parse(frame: &[u8]) -> Message<'_> {
    Message::parse_frame(Framing::Tcp, frame).unwrap()
}
