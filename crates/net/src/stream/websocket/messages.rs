//! Messages out of the bytes of a WebSocket, however they are cut (RFC 6455 §5.4 to §5.6).

use std::borrow::Cow;
use std::mem;

use super::frame::{self, Header, MAX_CONTROL, MAX_HEADER, Opcode};

/// Why a connection is closed (RFC 6455 §7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseCode {
    Normal = 1000,
    Protocol = 1002,
    Unsupported = 1003,
    Invalid = 1007,
    TooBig = 1009,
}

/// What the peer did wrong, and the code that tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) code: CloseCode,
    pub(super) reason: Cow<'static, str>,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// More bytes are needed.
    Nothing,
    /// A message of so many bytes was appended.
    Message(usize),
    /// To be answered with the same.
    Ping(Vec<u8>),
    /// The peer says no more, for this reason.
    Close(Vec<u8>),
}

/// A frame of data of which not all has come.
#[derive(Debug)]
struct Begun {
    last: bool,
    /// What the next byte and those after it are mixed with.
    mask: [u8; 4],
    /// Bytes that have not come.
    rest: u64,
}

/// Takes bytes as they come and gives messages.
#[derive(Debug)]
pub(super) struct Messages {
    /// Whether the peer has to mask what it sends: clients have to, servers must not (RFC 6455 §5.1).
    masked: bool,
    /// Bytes of the longest message.
    max_message: usize,
    /// Bytes that have come, the first `taken` of which are done with.
    inbox: Vec<u8>,
    taken: usize,
    frame: Option<Begun>,
    /// A message has begun and goes on in the next frame of data.
    fragmented: bool,
    /// What there is of a message that did not come at once. It grows with what comes, not with what is announced.
    partial: Vec<u8>,
}

impl Messages {
    /// `inbox` holds what has come already.
    pub(super) fn new(masked: bool, max_message: usize, inbox: Vec<u8>) -> Messages {
        Messages {
            masked,
            max_message,
            inbox,
            taken: 0,
            frame: None,
            fragmented: false,
            partial: Vec::new(),
        }
    }

    /// Bytes that have come of a message that is not whole.
    pub(super) fn begun(&self) -> usize {
        self.partial.len() + self.waiting().len()
    }

    /// Where bytes that have come are to be appended, when there was [`Received::Nothing`]. It holds less than a header
    /// or a control frame then.
    pub(super) fn inbox(&mut self) -> &mut Vec<u8> {
        &mut self.inbox
    }

    /// Gives memory back that waits for nothing.
    pub(super) fn rest(&mut self) {
        self.inbox.shrink_to(0);
    }

    /// The next thing that has come whole; a message is appended to `buf`.
    ///
    /// # Errors
    /// The peer breaks the protocol; nothing more can be read.
    pub(super) fn next(&mut self, buf: &mut Vec<u8>) -> Result<Received, Violation> {
        loop {
            if let Some(frame) = self.frame.take() {
                match self.payload(frame, buf) {
                    Some(0) => return Err(violation(CloseCode::Invalid, "a message without a byte")),
                    Some(len) => return Ok(Received::Message(len)),
                    None if self.frame.is_some() => return Ok(self.nothing()),
                    None => continue,
                }
            }
            let parsed = Header::parse(self.waiting());
            let Some((header, header_len)) = parsed.map_err(protocol)? else {
                return Ok(self.nothing());
            };
            self.check(&header)?;
            if header.opcode.is_control() {
                let Some(payload) = self.control(&header, header_len) else {
                    return Ok(self.nothing());
                };
                match header.opcode {
                    Opcode::Ping => return Ok(Received::Ping(payload)),
                    Opcode::Close => return Ok(Received::Close(payload)),
                    // We send no pings, so that it answers none.
                    _ => continue,
                }
            }
            self.taken += header_len;
            self.frame = Some(Begun {
                last: header.last,
                mask: header.mask.unwrap_or_default(),
                rest: header.len,
            });
        }
    }

    fn waiting(&self) -> &[u8] {
        self.inbox.get(self.taken..).unwrap_or_default()
    }

    fn nothing(&mut self) -> Received {
        self.inbox.drain(..self.taken);
        self.taken = 0;
        Received::Nothing
    }

    /// Whether this frame may come now.
    fn check(&self, header: &Header) -> Result<(), Violation> {
        match (header.mask.is_some(), self.masked) {
            (false, true) => return Err(protocol("a frame without a mask")),
            (true, false) => return Err(protocol("a frame with a mask")),
            _ => {}
        }
        match (header.opcode, self.fragmented) {
            (Opcode::Text, _) => {
                return Err(violation(CloseCode::Unsupported, "CoAP goes in binary messages"));
            }
            (Opcode::Binary, true) => return Err(protocol("a message within another")),
            (Opcode::Continuation, false) => return Err(protocol("a part of no message")),
            _ => {}
        }
        let whole = header.len.saturating_add(self.partial.len() as u64);
        if !header.opcode.is_control() && whole > self.max_message as u64 {
            return Err(Violation {
                code: CloseCode::TooBig,
                reason: format!("a message is at most {} bytes", self.max_message).into(),
            });
        }
        Ok(())
    }

    /// Takes a control frame, if it is there as a whole, and gives its payload.
    fn control(&mut self, header: &Header, header_len: usize) -> Option<Vec<u8>> {
        let len = header_len + usize::try_from(header.len).ok()?;
        let payload = self.waiting().get(header_len..len)?;
        let mut plain = Vec::with_capacity(payload.len());
        frame::append_mixed(&mut plain, payload, header.mask.unwrap_or_default());
        self.taken += len;
        Some(plain)
    }

    /// Takes what there is of the payload of `frame`, and keeps the frame if there is more to come. Gives the length of
    /// the message if that was all of it.
    fn payload(&mut self, mut frame: Begun, buf: &mut Vec<u8>) -> Option<usize> {
        let waiting = self.inbox.get(self.taken..).unwrap_or_default();
        let len = usize::try_from(frame.rest).map_or(waiting.len(), |rest| rest.min(waiting.len()));
        let (now, _) = waiting.split_at_checked(len)?;
        self.taken += len;
        frame.rest -= len as u64;
        let whole = frame.last && frame.rest == 0;
        if whole && self.partial.is_empty() {
            frame::append_mixed(buf, now, frame.mask);
            self.fragmented = false;
            return Some(len);
        }
        frame::append_mixed(&mut self.partial, now, frame.mask);
        if frame.rest > 0 {
            frame.mask.rotate_left(len % 4);
            self.frame = Some(frame);
            return None;
        }
        self.fragmented = !frame.last;
        if self.fragmented {
            return None;
        }
        let message = mem::take(&mut self.partial);
        buf.extend_from_slice(&message);
        Some(message.len())
    }
}

// What is not taken from the inbox fits what `Messages::inbox` promises.
const _: () = assert!(MAX_CONTROL + MAX_HEADER < 256);

fn protocol(reason: &'static str) -> Violation {
    violation(CloseCode::Protocol, reason)
}

fn violation(code: CloseCode, reason: &'static str) -> Violation {
    Violation {
        code,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame of a server.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::append(&mut bytes, Opcode::Binary, None, payload);
        bytes[0] = first;
        bytes
    }

    /// All that comes out of bytes that come in pieces of at most `step`.
    fn all(bytes: &[u8], step: usize, max_message: usize) -> (Vec<Received>, Vec<u8>, Option<Violation>) {
        let mut messages = Messages::new(false, max_message, Vec::new());
        let (mut all, mut buf) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            messages.inbox().extend_from_slice(piece);
            loop {
                match messages.next(&mut buf) {
                    Ok(Received::Nothing) => break,
                    Ok(received) => all.push(received),
                    Err(violation) => return (all, buf, Some(violation)),
                }
            }
            assert!(messages.inbox.len() < MAX_HEADER + MAX_CONTROL);
        }
        (all, buf, None)
    }

    /// RFC 6455 §5.7, with a ping in between (§5.4).
    #[test]
    fn a_message_in_pieces_is_one_message_and_control_frames_may_stand_between() {
        let bytes = [
            frame(0x02, b"Hel"),
            frame(0x89, b"are you there"),
            frame(0x00, b""),
            frame(0x8a, b"unasked"),
            frame(0x80, b"lo"),
            frame(0x82, b"!"),
            frame(0x88, &[0x03, 0xe8]),
        ]
        .concat();
        for step in 1..=bytes.len() {
            let (received, messages, violation) = all(&bytes, step, 5);
            assert_eq!(
                received,
                [
                    Received::Ping(b"are you there".to_vec()),
                    Received::Message(5),
                    Received::Message(1),
                    Received::Close(vec![0x03, 0xe8]),
                ]
            );
            assert_eq!((messages.as_slice(), violation), (&b"Hello!"[..], None));
        }
    }

    #[test]
    fn what_a_peer_must_not_do_ends_the_connection_with_its_code() {
        let cases: [(Vec<u8>, CloseCode, &str); 8] = [
            (
                frame(0x81, b"text"),
                CloseCode::Unsupported,
                "CoAP goes in binary messages",
            ),
            (
                frame(0x01, b"text"),
                CloseCode::Unsupported,
                "CoAP goes in binary messages",
            ),
            (frame(0x80, b"part"), CloseCode::Protocol, "a part of no message"),
            (
                [frame(0x02, b"one"), frame(0x82, b"two")].concat(),
                CloseCode::Protocol,
                "a message within another",
            ),
            (
                frame(0x82, b"123456789"),
                CloseCode::TooBig,
                "a message is at most 8 bytes",
            ),
            (
                [frame(0x02, b"12345"), frame(0x80, b"6789")].concat(),
                CloseCode::TooBig,
                "a message is at most 8 bytes",
            ),
            (frame(0x82, b""), CloseCode::Invalid, "a message without a byte"),
            (
                vec![0x82, 0x81, 1, 2, 3, 4, 5],
                CloseCode::Protocol,
                "a frame with a mask",
            ),
        ];
        for (bytes, code, reason) in cases {
            let (received, _, violation) = all(&bytes, 1, 8);
            let wanted = Violation {
                code,
                reason: reason.into(),
            };
            assert_eq!((received, violation), (vec![], Some(wanted)), "{bytes:x?}");
        }
        let mut server = Messages::new(true, 8, frame(0x82, b"plain"));
        let violation = server.next(&mut Vec::new()).unwrap_err();
        assert_eq!(violation.reason, "a frame without a mask");
    }

    #[test]
    fn what_is_announced_takes_no_memory() {
        let mut messages = Messages::new(false, usize::MAX, Vec::new());
        let announced = [0x82, 127, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        messages.inbox().extend_from_slice(&announced);
        assert_eq!(messages.next(&mut Vec::new()), Ok(Received::Nothing));
        messages.rest();
        assert!(messages.partial.capacity() < 64 && messages.inbox.capacity() == 0);
    }

    proptest! {
        #[test]
        fn any_split_of_masked_bytes_gives_the_same_messages(
            payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..300), any::<[u8; 4]>()), 1..8),
            step in 1_usize..600,
        ) {
            let mut bytes = Vec::new();
            for (payload, mask) in &payloads {
                frame::append(&mut bytes, Opcode::Binary, Some(*mask), payload);
            }
            let mut messages = Messages::new(true, 300, Vec::new());
            let (mut lens, mut buf) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(step) {
                messages.inbox().extend_from_slice(piece);
                while let Received::Message(len) = messages.next(&mut buf).unwrap() {
                    lens.push(len);
                }
            }
            prop_assert!(lens.into_iter().eq(payloads.iter().map(|(payload, _)| payload.len())));
            let whole: Vec<u8> = payloads.into_iter().flat_map(|(payload, _)| payload).collect();
            prop_assert_eq!(buf, whole);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), step in 1_usize..50, masked: bool) {
            let mut messages = Messages::new(masked, 100, Vec::new());
            let mut buf = Vec::new();
            'pieces: for piece in bytes.chunks(step) {
                messages.inbox().extend_from_slice(piece);
                loop {
                    match messages.next(&mut buf) {
                        Ok(Received::Nothing) => break,
                        Ok(_) => {}
                        Err(_) => break 'pieces,
                    }
                }
                prop_assert!(messages.partial.len() <= 100);
            }
            prop_assert!(buf.len() <= bytes.len());
        }
    }
}
