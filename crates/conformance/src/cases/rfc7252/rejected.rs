//! What rejecting a message looks like from outside (RFC 7252 §4.2, §4.3).

use coracle_wire::MessageType;

use crate::message::Received;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The first byte of a message with version 1 and this type and token length (RFC 7252 §3).
const CON: u8 = 0x40;
const NON: u8 = 0x50;
const ACK: u8 = 0x60;
const RST: u8 = 0x70;

/// A datagram of which only the two bytes of the Message ID are chosen here: it has to be one that the server has
/// not seen from this endpoint.
pub(super) struct Raw {
    pub(super) mid: u16,
    pub(super) bytes: Vec<u8>,
}

impl Raw {
    /// `first` holds version, type and token length, `rest` is all that follows the Message ID.
    pub(super) fn new(probe: &mut Probe, first: u8, code: u8, rest: &[u8]) -> Raw {
        let mid = probe.fresh_mid();
        let mut bytes = vec![first, code];
        bytes.extend_from_slice(&mid.to_be_bytes());
        bytes.extend_from_slice(rest);
        Raw { mid, bytes }
    }
}

/// A malformed message that asks for something is rejected by CON and by NON; `token_length`, `code` and `rest` are the
/// same in both.
pub(super) fn rejects(probe: &mut Probe, token_length: u8, code: u8, rest: &[u8]) -> Judged {
    resets(probe, CON | token_length, code, rest)?;
    drops(probe, NON | token_length, code, rest)
}

/// As an acknowledgement and as a Reset it is ignored.
pub(super) fn ignores_replies(probe: &mut Probe, token_length: u8, code: u8, rest: &[u8]) -> Judged {
    ignores(probe, ACK | token_length, code, rest)?;
    ignores(probe, RST | token_length, code, rest)
}

/// A confirmable message is rejected with a matching Reset.
pub(super) fn resets(probe: &mut Probe, first: u8, code: u8, rest: &[u8]) -> Judged {
    let raw = Raw::new(probe, first, code, rest);
    match probe.demand(&raw.bytes)? {
        Some(answer) => is_reset(&answer, raw.mid),
        None => Err(Stop::fail("expected a Reset, but nothing came", "RFC 7252 §4.2")),
    }
}

/// A non-confirmable message is rejected: with a Reset or in silence.
pub(super) fn drops(probe: &mut Probe, first: u8, code: u8, rest: &[u8]) -> Judged {
    let raw = Raw::new(probe, first, code, rest);
    match probe.provoke(&raw.bytes)? {
        Some(answer) if answer.message_type == MessageType::Reset => is_reset(&answer, raw.mid),
        Some(answer) => {
            answer.expect(false, "a Reset or silence", "RFC 7252 §4.3")?;
            Ok(())
        }
        None => Ok(()),
    }
}

/// An acknowledgement or a Reset is rejected in silence.
pub(super) fn ignores(probe: &mut Probe, first: u8, code: u8, rest: &[u8]) -> Judged {
    let raw = Raw::new(probe, first, code, rest);
    silence_after(probe, &raw.bytes, "RFC 7252 §4.2")
}

/// Nothing comes back for these bytes.
pub(super) fn silence_after(probe: &mut Probe, bytes: &[u8], section: &'static str) -> Judged {
    match probe.provoke(bytes)? {
        Some(answer) => {
            answer.expect(false, "silence", section)?;
            Ok(())
        }
        None => Ok(()),
    }
}

fn is_reset(answer: &Received, mid: u16) -> Judged {
    answer.is_empty_of(MessageType::Reset, mid)?;
    Ok(())
}
