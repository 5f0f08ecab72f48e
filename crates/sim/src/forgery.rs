//! What is sent by somebody who is not who he says he is.

use std::net::SocketAddr;

use coracle_wire::{Code, CodeKind, Message, MessageId, MessageType, Options, Status};

use crate::body;

/// A request that nobody made, whose answer is forged.
pub(crate) const NOBODYS: u32 = u32::MAX;

/// Added to an ID that is in use, for one that is not.
const ELSEWHERE: u16 = 30_000;

/// What is forged about each message that a node sends, and arrives before any answer. Who only guesses tokens must not
/// be believed (RFC 7252 §5.3.2, §11.4), and neither must who answers from another address (§4.2, §5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forgery {
    /// From the address that was sent to: an acknowledgement with an answer, under the right ID and another token.
    AnswerWithGuessedId,
    /// The same under an ID of nothing.
    AnswerOfNothing,
    /// From there: a response in a message of its own, with another token.
    Response {
        /// In a confirmable message.
        confirmable: bool,
    },
    /// From another address: an acknowledgement with an answer, under the right ID and the right token.
    StrangersAnswer,
    /// From another address: a response in a message of its own, with the right token.
    StrangersResponse,
    /// From another address: an empty acknowledgement under the right ID.
    StrangersAcknowledgement,
    /// From another address: a Reset under the right ID.
    StrangersReset,
}

impl Forgery {
    /// All there are.
    pub(crate) const ALL: [Forgery; 8] = [
        Forgery::AnswerWithGuessedId,
        Forgery::AnswerOfNothing,
        Forgery::Response { confirmable: false },
        Forgery::Response { confirmable: true },
        Forgery::StrangersAnswer,
        Forgery::StrangersResponse,
        Forgery::StrangersAcknowledgement,
        Forgery::StrangersReset,
    ];

    /// What is forged about a message that was sent to `remote`, and the address from which it seems to come.
    pub(crate) fn about(self, remote: SocketAddr, datagram: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let message = Message::parse(datagram).ok()?;
        if !matches!(
            message.message_type,
            MessageType::Confirmable | MessageType::NonConfirmable
        ) {
            return None;
        }
        let stranger = SocketAddr::from(([10, 99, 99, 99], 9_999));
        let another: Vec<u8> = message.token.iter().map(|byte| !byte).collect();
        let elsewhere = MessageId(message.message_id.0.wrapping_add(ELSEWHERE));
        let (ack, id) = (MessageType::Acknowledgement, message.message_id);
        let (from, message_type, id, token) = match self {
            Forgery::AnswerWithGuessedId => (remote, ack, id, &*another),
            Forgery::AnswerOfNothing => (remote, ack, elsewhere, &*another),
            Forgery::Response { confirmable } => {
                let message_type = match confirmable {
                    true => MessageType::Confirmable,
                    false => MessageType::NonConfirmable,
                };
                (remote, message_type, elsewhere, &*another)
            }
            Forgery::StrangersAnswer => (stranger, ack, id, message.token),
            Forgery::StrangersResponse => (stranger, MessageType::NonConfirmable, elsewhere, message.token),
            Forgery::StrangersAcknowledgement => return Some((stranger, empty(ack, id))),
            Forgery::StrangersReset => return Some((stranger, empty(MessageType::Reset, id))),
        };
        // Only to requests there are answers.
        let payload = body::of_answer(NOBODYS, 0, 0, 0);
        let answer = Message {
            message_type,
            code: Code::from(Status::CONTENT),
            message_id: id,
            token,
            options: Options::empty(),
            payload: &payload,
        };
        matches!(message.code.kind(), CodeKind::Request(_)).then(|| (from, encode(&answer)))
    }
}

fn empty(message_type: MessageType, id: MessageId) -> Vec<u8> {
    encode(&Message::empty(message_type, id))
}

fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut datagram = vec![0; message.encoded_len()];
    let encoded = message.encode(&mut datagram).is_ok();
    debug_assert!(encoded, "the buffer is long enough");
    datagram
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::*;

    fn forged(forgery: Forgery, datagram: &[u8]) -> Option<(bool, Vec<u8>)> {
        let remote = SocketAddr::from(([10, 0, 0, 1], 5683));
        let (from, bytes) = forgery.about(remote, datagram)?;
        Some((from == remote, bytes))
    }

    #[test]
    fn what_is_forged_is_what_it_says() {
        let get = b"\x41\x01\x00\x07\x0f";
        let (by_peer, bytes) = forged(Forgery::AnswerWithGuessedId, get).unwrap();
        assert!(by_peer && bytes.starts_with(b"\x61\x45\x00\x07\xf0\xff"));
        let (by_peer, bytes) = forged(Forgery::StrangersAnswer, get).unwrap();
        assert!(!by_peer && bytes.starts_with(b"\x61\x45\x00\x07\x0f\xff"));
        let reset = forged(Forgery::StrangersReset, get);
        assert_eq!(reset, Some((false, b"\x70\x00\x00\x07".to_vec())));
    }

    /// A notification may be acknowledged and rejected, and is never answered; an acknowledgement is neither.
    #[test]
    fn nothing_is_forged_where_it_would_mean_nothing() {
        let notification = b"\x41\x45\x00\x07\x0f\x60";
        assert_eq!(forged(Forgery::AnswerWithGuessedId, notification), None);
        assert!(forged(Forgery::StrangersReset, notification).is_some());
        assert_eq!(forged(Forgery::StrangersReset, b"\x60\x00\x00\x07"), None);
    }
}
