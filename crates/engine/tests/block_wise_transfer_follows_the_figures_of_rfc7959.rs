//! RFC 7959 §3, figures 2 to 11: the flows as the RFC prints them, with our endpoint in each of the two roles.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

mod common;

use std::time::Duration;

use common::{Heard, Subject, block, closed_network, datagram};
use coracle_engine::{Config, Event, Path, RequestRef, ResponseRef, SecurityId};
use coracle_wire::{MessageType, Method, OptionNumber, Options, Status};

/// A Block option as the figures print it: number, more, size.
type Block = (u32, u8, usize);

/// A request and its response: Block1 and Block2 of each, and the code.
type Step = (
    Option<Block>,
    Option<Block>,
    &'static str,
    Option<Block>,
    Option<Block>,
);

struct Figure {
    number: u8,
    method: Method,
    /// Bytes of the bodies of request and response.
    bodies: (usize, usize),
    /// The block size that the server prefers.
    server_size: usize,
    steps: &'static [Step],
    /// The client of the figure does what ours does by itself.
    client_too: bool,
}

const fn b(num: u32, more: u8, size: usize) -> Option<Block> {
    Some((num, more, size))
}

/// Steps that the figures leave out are left out; figures 5 and 6 differ from 4 in lost messages only.
const FIGURES: [Figure; 8] = [
    Figure {
        number: 2,
        method: Method::GET,
        bodies: (0, 364),
        server_size: 128,
        steps: &[
            (None, None, "2.05", None, b(0, 1, 128)),
            (None, b(1, 0, 128), "2.05", None, b(1, 1, 128)),
            (None, b(2, 0, 128), "2.05", None, b(2, 0, 128)),
        ],
        client_too: true,
    },
    Figure {
        number: 3,
        method: Method::GET,
        bodies: (0, 364),
        server_size: 1024,
        steps: &[
            (None, b(0, 0, 64), "2.05", None, b(0, 1, 64)),
            (None, b(1, 0, 64), "2.05", None, b(1, 1, 64)),
            (None, b(4, 0, 64), "2.05", None, b(4, 1, 64)),
            (None, b(5, 0, 64), "2.05", None, b(5, 0, 64)),
        ],
        client_too: false,
    },
    Figure {
        number: 4,
        method: Method::GET,
        bodies: (0, 364),
        server_size: 128,
        steps: &[
            (None, None, "2.05", None, b(0, 1, 128)),
            (None, b(2, 0, 64), "2.05", None, b(2, 1, 64)),
            (None, b(3, 0, 64), "2.05", None, b(3, 1, 64)),
            (None, b(4, 0, 64), "2.05", None, b(4, 1, 64)),
            (None, b(5, 0, 64), "2.05", None, b(5, 0, 64)),
        ],
        client_too: false,
    },
    Figure {
        number: 7,
        method: Method::PUT,
        bodies: (300, 0),
        server_size: 1024,
        steps: &[
            (b(0, 1, 128), None, "2.31", b(0, 1, 128), None),
            (b(1, 1, 128), None, "2.31", b(1, 1, 128), None),
            (b(2, 0, 128), None, "2.04", b(2, 0, 128), None),
        ],
        client_too: true,
    },
    Figure {
        number: 8,
        method: Method::PUT,
        bodies: (300, 0),
        // The stateless server is one that ours never is.
        server_size: 0,
        steps: &[
            (b(0, 1, 128), None, "2.04", b(0, 0, 128), None),
            (b(1, 1, 128), None, "2.04", b(1, 0, 128), None),
            (b(2, 0, 128), None, "2.04", b(2, 0, 128), None),
        ],
        client_too: true,
    },
    Figure {
        number: 9,
        method: Method::PUT,
        bodies: (200, 0),
        server_size: 32,
        steps: &[
            (b(0, 1, 128), None, "2.31", b(0, 1, 32), None),
            (b(4, 1, 32), None, "2.31", b(4, 1, 32), None),
            (b(5, 1, 32), None, "2.31", b(5, 1, 32), None),
            (b(6, 0, 32), None, "2.04", b(6, 0, 32), None),
        ],
        client_too: true,
    },
    Figure {
        number: 10,
        method: Method::POST,
        bodies: (300, 400),
        server_size: 128,
        steps: &[
            (b(0, 1, 128), None, "2.31", b(0, 1, 128), None),
            (b(1, 1, 128), None, "2.31", b(1, 1, 128), None),
            (b(2, 0, 128), None, "2.04", b(2, 0, 128), b(0, 1, 128)),
            (None, b(1, 0, 128), "2.04", None, b(1, 1, 128)),
            (None, b(2, 0, 128), "2.04", None, b(2, 1, 128)),
            (None, b(3, 0, 128), "2.04", None, b(3, 0, 128)),
        ],
        client_too: true,
    },
    Figure {
        number: 11,
        method: Method::POST,
        bodies: (300, 200),
        server_size: 1024,
        steps: &[
            (b(0, 1, 128), None, "2.31", b(0, 1, 128), None),
            (b(1, 1, 128), None, "2.31", b(1, 1, 128), None),
            (b(2, 0, 128), b(0, 0, 64), "2.04", b(2, 0, 128), b(0, 1, 64)),
            (None, b(1, 0, 64), "2.04", None, b(1, 1, 64)),
            (None, b(2, 0, 64), "2.04", None, b(2, 1, 64)),
            (None, b(3, 0, 64), "2.04", None, b(3, 0, 64)),
        ],
        client_too: true,
    },
];

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn config(size: usize) -> Config {
    let mut config = closed_network();
    config.block_szx = u8::try_from(size.ilog2() - 4).unwrap();
    config
}

fn options_of(block1: Option<Block>, block2: Option<Block>) -> Vec<(OptionNumber, Vec<u8>)> {
    let encode = |(num, more, size)| block(num, more, size);
    let mut options = vec![(OptionNumber::URI_PATH, b"status".to_vec())];
    options.extend(block2.map(|block| (OptionNumber::BLOCK2, encode(block))));
    options.extend(block1.map(|block| (OptionNumber::BLOCK1, encode(block))));
    options
}

fn part(body: &[u8], block: Option<Block>) -> &[u8] {
    let Some((num, _, size)) = block else { return &[] };
    let from = num as usize * size;
    body.get(from..body.len().min(from + size)).unwrap_or_default()
}

fn text(block: Option<Block>) -> Option<String> {
    block.map(|(num, more, size)| format!("{num}/{more}/{size}"))
}

fn status(code: &str) -> Status {
    code.parse().unwrap()
}

#[test]
fn as_server() {
    for figure in FIGURES.iter().filter(|figure| figure.server_size > 0) {
        let mut subject = Subject::with(config(figure.server_size));
        let (request, response) = (body(figure.bodies.0), body(figure.bodies.1));
        let mut taken = Vec::new();
        for (at, &(block1, block2, code, echo1, echo2)) in figure.steps.iter().enumerate() {
            let what = format!("figure {}, step {at}", figure.number);
            let options = options_of(block1, block2);
            let options: Vec<_> = options
                .iter()
                .map(|(number, value)| (*number, &value[..]))
                .collect();
            // A fresh token for each block.
            let token = [u8::try_from(at).unwrap(), 7];
            let id = 1234 + u16::try_from(at).unwrap();
            let message = datagram(
                MessageType::Confirmable,
                figure.method,
                id,
                &token,
                &options,
                part(&request, block1),
            );
            if let Some((exchange, payload)) = subject.receive(&message) {
                taken.push(payload);
                let answer = ResponseRef::new(
                    status(figure.steps.last().unwrap().2),
                    Options::empty(),
                    &response,
                );
                subject.endpoint.respond(subject.now, exchange, answer).unwrap();
            }
            let heard = subject.sent_one();
            let answer = heard.message();
            assert_eq!(answer.message_type, MessageType::Acknowledgement, "{what}");
            assert_eq!((heard.id(), answer.token), (id, &token[..]), "{what}");
            assert_eq!(
                (&heard.code()[..], heard.block1(), heard.block2()),
                (code, text(echo1), text(echo2)),
                "{what}"
            );
            assert_eq!(answer.payload, part(&response, echo2), "{what}");
        }
        assert_eq!(taken, [request], "figure {}", figure.number);
        subject.pass(Duration::from_secs(400));
        assert!(subject.endpoint.is_pristine(), "figure {}", figure.number);
    }
}

/// Without security the blocks of one request share a token, which some servers key the body by; each further block of
/// an answer has its own (RFC 7252 §5.3.1). Under a security association no token comes twice (RFC 9175 §4.2).
#[test]
fn as_client() {
    plays_the_client(None);
    plays_the_client(std::num::NonZeroU64::new(3).map(SecurityId));
}

fn plays_the_client(security: Option<SecurityId>) {
    for figure in FIGURES.iter().filter(|figure| figure.client_too) {
        // A client with blocks of its own size would ask for them from the start; in the figures of GET it does not.
        let size = if figure.bodies.0 > 0 { 128 } else { 1024 };
        let mut subject = Subject::with(config(size));
        let (request, response) = (body(figure.bodies.0), body(figure.bodies.1));
        let negotiated = figure
            .steps
            .iter()
            .find_map(|step| step.1.filter(|block| block.0 == 0));
        let options = options_of(None, negotiated);
        let options: Vec<_> = options
            .iter()
            .map(|(number, value)| (*number, &value[..]))
            .collect();
        let options = common::options_of(&options);
        let path = Path {
            security,
            ..Path::to("198.51.100.7:5683".parse().unwrap())
        };
        let ask = RequestRef::new(figure.method, options.as_options()).with_payload(&request);
        subject.endpoint.request(subject.now, &path, ask).unwrap();
        let mut tokens: Vec<Vec<u8>> = Vec::new();
        for (at, &(block1, block2, code, echo1, echo2)) in figure.steps.iter().enumerate() {
            let what = format!("figure {}, step {at}", figure.number);
            let heard: Heard = subject.sent_one();
            let asked = heard.message();
            assert_eq!(
                (heard.block1(), heard.block2()),
                (text(block1), text(block2)),
                "{what}"
            );
            assert_eq!(asked.payload, part(&request, block1), "{what}");
            let again = tokens.iter().any(|token| token == asked.token);
            let goes_on = at > 0 && block1.is_some() && security.is_none();
            assert_eq!(again, goes_on, "{what}: token {:02x?}", asked.token);
            tokens.push(asked.token.to_vec());
            let options = options_of(echo1, echo2);
            let options: Vec<_> = options
                .iter()
                .skip(1)
                .map(|(number, value)| (*number, &value[..]))
                .collect();
            let answer = datagram(
                MessageType::Acknowledgement,
                status(code),
                heard.id(),
                asked.token,
                &options,
                part(&response, echo2),
            );
            subject.receive_from(path, &answer);
        }
        let answers: Vec<_> = subject
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Response {
                    response,
                    more: false,
                    ..
                } => Some(response.payload),
                _ => None,
            })
            .collect();
        assert_eq!(answers, [response], "figure {}", figure.number);
        subject.pass(Duration::from_secs(400));
        assert!(subject.endpoint.is_pristine(), "figure {}", figure.number);
    }
}
