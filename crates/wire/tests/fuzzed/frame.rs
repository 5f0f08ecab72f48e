//! What holds for any bytes on a connection: the body of a property test and of the fuzz target `frame`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use coracle_wire::{
    Abort, BufferTooSmall, CodeKind, Csm, Custody, Framing, Message, MessageError, MessageId, MessageType,
    Reaction, Release, Signal, SignalOptionError, SignalOptionErrorKind, frame_len,
};

/// Whatever arrives: as a stream it is the same messages however it is cut, and as one message of a WebSocket it is
/// one message or an error.
pub(crate) fn run(bytes: &[u8]) {
    let whole = received([bytes]);
    let middle = bytes.len() / 2;
    assert_eq!(received([&bytes[..middle], &bytes[middle..]]), whole);
    assert_eq!(received(bytes.chunks(1)), whole);
    for frame in &whole.frames {
        is_read(Framing::Tcp, frame);
    }
    match frame_len(&whole.rest) {
        Ok(len) => assert!(len.is_none_or(|len| len > whole.rest.len() as u64)),
        Err(error) => is_rejected(&error, Framing::Tcp, &whole.rest),
    }
    is_read(Framing::WebSocket, bytes);
}

/// What a receiver makes of a stream.
#[derive(Debug, PartialEq)]
pub(crate) struct Received {
    pub(crate) frames: Vec<Vec<u8>>,
    /// What is not yet a frame, or will never be one.
    pub(crate) rest: Vec<u8>,
}

/// Takes frames off the bytes as these come. Once the length of a frame is known it stays the same.
pub(crate) fn received<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Received {
    let (mut frames, mut rest) = (Vec::new(), Vec::new());
    let mut told = None;
    for part in parts {
        rest.extend_from_slice(part);
        while let Ok(Some(len)) = frame_len(&rest) {
            assert_eq!(told.unwrap_or(len), len);
            told = Some(len);
            let Some(frame) = usize::try_from(len).ok().and_then(|len| rest.get(..len)) else {
                break;
            };
            frames.push(frame.to_vec());
            rest.drain(..frames.last().unwrap().len());
            told = None;
        }
    }
    Received { frames, rest }
}

fn is_read(framing: Framing, frame: &[u8]) {
    match Message::parse_frame(framing, frame) {
        Ok(message) => {
            assert_eq!(
                (message.message_type, message.message_id),
                (MessageType::NonConfirmable, MessageId(0))
            );
            is_written_as_it_was_read(framing, &message, frame);
            says_the_same_in_the_other_framing(framing, &message);
            says_what_it_says(&message);
            assert!(!message.to_string().is_empty());
        }
        Err(error) => is_rejected(&error, framing, frame),
    }
}

fn is_written_as_it_was_read(framing: Framing, message: &Message<'_>, frame: &[u8]) {
    let len = frame.len();
    assert_eq!(message.frame_len(framing), len);
    let mut buf = vec![0; len + 1];
    assert_eq!(message.encode_frame(framing, &mut buf), Ok(len));
    assert_eq!(&buf[..len], frame);
    let mut appended = vec![7];
    assert_eq!(message.append_frame(framing, &mut appended), Some(len));
    assert_eq!(&appended[1..], frame);
    let too_small = BufferTooSmall {
        needed: len,
        available: len - 1,
    };
    assert_eq!(message.encode_frame(framing, &mut buf[..len - 1]), Err(too_small));
}

fn says_the_same_in_the_other_framing(framing: Framing, message: &Message<'_>) {
    let other = match framing {
        Framing::Tcp => Framing::WebSocket,
        Framing::WebSocket => Framing::Tcp,
    };
    let mut bytes = Vec::new();
    message.append_frame(other, &mut bytes).unwrap();
    assert_eq!(Message::parse_frame(other, &bytes), Ok(*message));
    if other == Framing::Tcp {
        assert_eq!(frame_len(&bytes), Ok(Some(bytes.len() as u64)));
    }
}

/// What is read from the options of a signaling message is written so that it is read again.
fn says_what_it_says(message: &Message<'_>) {
    let CodeKind::Signal(signal) = message.code.kind() else {
        return;
    };
    let options = message.options;
    let first_fault = options
        .iter()
        .find_map(|option| signal.check_option(option).err());
    let is_critical = |error: &SignalOptionError| error.kind == SignalOptionErrorKind::Critical;
    let first_critical = options
        .iter()
        .filter_map(|option| signal.check_option(option).err())
        .find(is_critical);
    match signal {
        Signal::CSM => match Csm::read(options) {
            Ok(csm) => {
                assert_eq!(first_fault, None);
                assert_eq!(Csm::read(csm.to_options().as_options()), Ok(csm));
            }
            Err(error) => assert_eq!(Some(error), first_fault),
        },
        Signal::PING => match Custody::read(options) {
            Ok(custody) => assert_eq!(Custody::read(custody.to_options().as_options()), Ok(custody)),
            Err(error) => assert_eq!(Some(error), first_critical),
        },
        Signal::RELEASE => match Release::read(options) {
            Ok(release) => {
                let options = release.to_options();
                let again = Release::read(options.as_options()).unwrap();
                assert_eq!(again.hold_off, release.hold_off);
                assert!(again.alternative_addresses().eq(release.alternative_addresses()));
            }
            Err(error) => assert_eq!(Some(error), first_critical),
        },
        Signal::ABORT => {
            let abort = Abort::read(options);
            assert_eq!(Abort::read(abort.to_options().as_options()), abort);
        }
        _ => {}
    }
    if let Some(error) = first_fault {
        assert!(!error.to_string().is_empty());
    }
}

/// RFC 8323 §5.6.
fn is_rejected(error: &MessageError, framing: Framing, frame: &[u8]) {
    assert!(error.offset <= frame.len(), "{error}");
    assert_eq!(
        (error.framing, error.reaction()),
        (Some(framing), Reaction::Abort)
    );
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains("datagram"), "{text}");
}
