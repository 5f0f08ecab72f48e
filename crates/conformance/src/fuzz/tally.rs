//! What was sent, what came back, and what is to be said about it.

use std::collections::{BTreeMap, HashMap};

use coracle_wire::{Code, Message, MessageId, MessageType};
use serde::{Serialize, Serializer};

use super::Family;

/// Replies that are this many times as long as the request amplify: what RFC 9175 §2.6 allows towards addresses that
/// have not proved themselves.
const AMPLIFICATION: usize = 3;

/// What may be noticed about replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// A reply is no CoAP message. This is grave.
    MalformedReply,
    /// A message that must be ignored silently was answered: another version, an ACK or a RST (RFC 7252 §3, §4.2).
    AnswerToIgnored,
    /// 5.00 Internal Server Error.
    ServerError,
    /// A reply is more than three times as long as the message that it answers (RFC 7252 §11.3).
    Amplification,
}

impl NoticeKind {
    /// Whether it makes a run fail.
    #[must_use]
    pub const fn is_grave(self) -> bool {
        matches!(self, NoticeKind::MalformedReply)
    }

    /// What it is, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            NoticeKind::MalformedReply => "malformed replies",
            NoticeKind::AnswerToIgnored => "answers to messages that must be ignored",
            NoticeKind::ServerError => "answers 5.00",
            NoticeKind::Amplification => "replies more than 3 times as long as the message",
        }
    }
}

/// What was noticed, how often, with an example.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// How often.
    pub count: u64,
    /// What the example shows, if there is more to say.
    pub detail: String,
    /// The message that the example answers, if it is known.
    #[serde(serialize_with = "as_hex")]
    pub sent: Option<Vec<u8>>,
    /// The example.
    #[serde(serialize_with = "as_hex")]
    pub reply: Option<Vec<u8>>,
    /// For amplification, how many times as long the worst reply is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
}

fn as_hex<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    let digits = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.as_ref().map(digits).serialize(serializer)
}

/// Counts of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Messages that were sent, of each family.
    pub sent: BTreeMap<Family, u64>,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Messages that this system refused to send.
    pub unsent: u64,
    /// Replies, by code, or by type if they are Empty: `2.05`, `RST`.
    pub replies: BTreeMap<String, u64>,
    /// Their bytes.
    pub bytes_received: u64,
    /// What was noticed about replies.
    pub notices: BTreeMap<NoticeKind, Notice>,
}

impl Tally {
    /// Messages of all families.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.sent.values().sum()
    }

    /// Replies of all codes.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.replies.values().sum()
    }

    pub(super) fn count_sent(&mut self, family: Family, bytes: &[u8]) {
        *self.sent.entry(family).or_default() += 1;
        self.bytes_sent += bytes.len() as u64;
    }

    /// Counts a reply and looks at it.
    pub(super) fn count_reply(&mut self, reply: &[u8], batch: &Batch) {
        self.bytes_received += reply.len() as u64;
        let message = match Message::parse(reply) {
            Ok(message) => message,
            Err(error) => {
                self.count_code("malformed".to_owned());
                let header = error.header;
                let sent =
                    header.and_then(|header| batch.answered_by(header.message_type, header.message_id, &[]));
                return self.notice(NoticeKind::MalformedReply, error.to_string(), sent, reply);
            }
        };
        self.count_code(match message.code.is_empty() {
            true => message.message_type.to_string(),
            false => message.code.to_string(),
        });
        let sent = batch.answered_by(message.message_type, message.message_id, message.token);
        if let Some(sent) = sent.filter(|sent| must_be_ignored(sent)) {
            self.notice(NoticeKind::AnswerToIgnored, String::new(), Some(sent), reply);
        }
        if message.code == Code::new(5, 0) {
            let detail = String::from_utf8_lossy(message.payload).into_owned();
            self.notice(NoticeKind::ServerError, detail, sent, reply);
        }
        if let Some(sent) = sent.filter(|sent| reply.len() > AMPLIFICATION * sent.len()) {
            self.amplified(sent, reply);
        }
    }

    fn count_code(&mut self, code: String) {
        *self.replies.entry(code).or_default() += 1;
    }

    /// The first of each kind is the example.
    fn notice(&mut self, kind: NoticeKind, detail: String, sent: Option<&[u8]>, reply: &[u8]) {
        let notice = self.notices.entry(kind).or_insert_with(|| Notice {
            count: 0,
            detail,
            sent: sent.map(<[u8]>::to_vec),
            reply: Some(reply.to_vec()),
            worst: None,
        });
        notice.count += 1;
    }

    /// The worst is the example.
    fn amplified(&mut self, sent: &[u8], reply: &[u8]) {
        // Lengths of datagrams are far below 2^53.
        #[expect(clippy::cast_precision_loss)]
        let ratio = reply.len() as f64 / sent.len().max(1) as f64;
        let detail = format!("{} bytes for {}", reply.len(), sent.len());
        self.notice(NoticeKind::Amplification, detail.clone(), Some(sent), reply);
        let notice = self.notices.get_mut(&NoticeKind::Amplification);
        if let Some(notice) = notice.filter(|notice| notice.worst.is_none_or(|worst| worst < ratio)) {
            notice.worst = Some(ratio);
            notice.detail = detail;
            notice.sent = Some(sent.to_vec());
            notice.reply = Some(reply.to_vec());
        }
    }
}

/// Whether a receiver must do nothing about a message, whatever follows its first byte: it is of another version
/// (RFC 7252 §3), or an ACK or RST that nobody waits for (RFC 7252 §4.2).
fn must_be_ignored(message: &[u8]) -> bool {
    match message.first().map(|first| (first >> 6, first >> 4 & 3)) {
        Some((1, kind)) => kind >= 2,
        Some(_) => true,
        None => false,
    }
}

/// The messages that went out from one port, to find what a reply answers.
#[derive(Debug, Default)]
pub(super) struct Batch {
    messages: Vec<Vec<u8>>,
    /// Which message has this Message ID; none if several do that differ.
    ids: HashMap<[u8; 2], Option<usize>>,
    tokens: HashMap<Vec<u8>, Option<usize>>,
}

impl Batch {
    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        let index = self.messages.len();
        let id = match bytes.as_slice() {
            [_, _, high, low, ..] => Some([*high, *low]),
            _ => None,
        };
        let same = |other: usize| self.messages.get(other) == Some(&bytes);
        let known = |other: &mut Option<usize>| *other = other.filter(|&other| same(other));
        if let Some(id) = id {
            self.ids.entry(id).and_modify(known).or_insert(Some(index));
        }
        let token = Message::parse(&bytes).map_or(&[] as &[u8], |message| message.token);
        if !token.is_empty() {
            self.tokens
                .entry(token.to_vec())
                .and_modify(known)
                .or_insert(Some(index));
        }
        self.messages.push(bytes);
    }

    pub(super) fn len(&self) -> u64 {
        self.messages.len() as u64
    }

    /// The message that a reply with these fields answers, if it is clear: by its Message ID (RFC 7252 §4.2) or its
    /// token (§5.3.2).
    fn answered_by(&self, kind: MessageType, id: MessageId, token: &[u8]) -> Option<&[u8]> {
        let index = match kind {
            MessageType::Acknowledgement | MessageType::Reset => self.ids.get(&id.0.to_be_bytes()),
            MessageType::Confirmable | MessageType::NonConfirmable => self.tokens.get(token),
        };
        self.messages.get((*index?)?).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "helpers of tests")]

    use super::*;

    fn batch(messages: &[&[u8]]) -> Batch {
        let mut batch = Batch::default();
        messages.iter().for_each(|message| batch.push(message.to_vec()));
        batch
    }

    fn noticed(messages: &[&[u8]], reply: &[u8]) -> Vec<NoticeKind> {
        let mut tally = Tally::default();
        tally.count_reply(reply, &batch(messages));
        tally.notices.into_keys().collect()
    }

    #[test]
    fn malformed_replies_are_noticed() {
        assert_eq!(noticed(&[], b"\x60\x45\0\x01\xff"), [NoticeKind::MalformedReply]);
        assert!(NoticeKind::MalformedReply.is_grave());
    }

    #[test]
    fn what_must_be_ignored_must_not_be_answered() {
        let reset = b"\x70\0\x11\xbd";
        for ignored in [&b"\x60\x45\x11\xbd"[..], b"\x70\0\x11\xbdx", b"\x80\x01\x11\xbd"] {
            assert_eq!(
                noticed(&[ignored], reset),
                [NoticeKind::AnswerToIgnored],
                "{ignored:02x?}"
            );
        }
        // A malformed CON is to be rejected; for a NON that is allowed (RFC 7252 §4.2, §4.3).
        assert_eq!(noticed(&[b"\x40\x01\x11\xbd\xff"], reset), []);
        assert_eq!(noticed(&[b"\x50\x01\x11\xbd\xff"], reset), []);
        // Nobody knows which of the two it answers.
        assert_eq!(noticed(&[b"\x60\x45\x11\xbd", b"\x40\0\x11\xbd"], reset), []);
        assert_eq!(noticed(&[], reset), []);
    }

    #[test]
    fn the_worst_amplification_is_kept() {
        let (short, long) = (&b"\x42\x01\0\x01ab"[..], &b"\x42\x01\0\x02cd\xb4test"[..]);
        let batch = batch(&[short, long]);
        let mut tally = Tally::default();
        let answer = |id: u8, token: &[u8], len: usize| {
            let mut reply = vec![0x62, 0x45, 0, id];
            reply.extend(token);
            reply.push(0xff);
            reply.extend(vec![b'x'; len]);
            reply
        };
        tally.count_reply(&answer(2, b"cd", 93), &batch);
        tally.count_reply(&answer(1, b"ab", 53), &batch);
        tally.count_reply(&answer(1, b"ab", 8), &batch);
        let notice = &tally.notices[&NoticeKind::Amplification];
        assert_eq!((notice.count, notice.detail.as_str()), (2, "60 bytes for 6"));
        assert_eq!((notice.worst, notice.sent.as_deref()), (Some(10.0), Some(short)));
        assert_eq!(tally.replies["2.05"], 3);
    }

    #[test]
    fn separate_answers_are_found_by_their_token() {
        let reply = b"\x52\xa0\x99\x99ab\xffoops";
        let mut tally = Tally::default();
        tally.count_reply(reply, &batch(&[b"\x42\x01\0\x01ab\xb4test", b"\x42\x01\0\x02cd"]));
        let notice = &tally.notices[&NoticeKind::ServerError];
        assert_eq!(notice.detail, "oops");
        assert_eq!(notice.sent.as_deref(), Some(&b"\x42\x01\0\x01ab\xb4test"[..]));
    }
}
