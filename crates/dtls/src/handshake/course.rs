//! What a handshake of either side has besides its state: what was sent, what was heard, and the keys it comes to.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::Message;
use super::flight::Flight;
use super::reassembly::Inbox;
use crate::crypto::{MasterSecret, Side, Suite, Transcript};
use crate::limits;
use crate::messages::codec::Writer;
use crate::messages::finished::Finished;
use crate::messages::header::{MessageType, write_message};
use crate::record::{ReadState, WriteState};
use crate::sessions::Cid;

/// The epoch of the only keys that a session has: there is no renegotiation.
pub(crate) const SEALED_EPOCH: u16 = 1;

pub(crate) struct Course {
    pub(crate) side: Side,
    pub(crate) flight: Flight,
    pub(crate) inbox: Inbox,
    pub(crate) script: Script,
    /// `message_seq` of our next message.
    next_sequence: u16,
    pub(crate) plain: WriteState,
    pub(crate) keys: Option<EpochKeys>,
    /// Records that came before the keys.
    pub(crate) early: Vec<Vec<u8>>,
    pub(crate) client_random: [u8; 32],
    pub(crate) server_random: [u8; 32],
    /// What the hellos agreed on.
    pub(crate) terms: Terms,
    /// The connection ID that we want to find in records, if the peer will put it there.
    pub(crate) our_cid: Cid,
    /// When the flight is to be sent again, or the look-up has taken too long.
    pub(crate) deadline: Option<Duration>,
    /// There is something to be sent.
    pub(crate) wants_to_send: bool,
}

/// Both directions of the epoch after ChangeCipherSpec.
pub(crate) struct EpochKeys {
    pub(crate) write: WriteState,
    pub(crate) read: ReadState,
}

/// What the extensions of both hellos come to.
#[derive(Clone)]
pub(crate) struct Terms {
    /// Goes in every sealed record to the peer (RFC 9146 §3); empty for none.
    pub(crate) peer_cid: Box<[u8]>,
    /// Every sealed record from the peer has our connection ID.
    pub(crate) with_our_cid: bool,
    /// Bytes of plaintext that the peer takes in a record (RFC 8449 §4, RFC 6066 §4).
    pub(crate) peer_limit: u16,
    pub(crate) extended_master_secret: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            peer_cid: Box::default(),
            with_our_cid: false,
            peer_limit: 1 << 14,
            extended_master_secret: false,
        }
    }
}

/// The messages of both sides so far: their hash, and where a signature over them may be wanted also the bytes
/// (RFC 5246 §7.4.8).
pub(crate) struct Script {
    hash: Transcript,
    bytes: Option<Vec<u8>>,
}

impl Script {
    pub(crate) fn new(keeps_bytes: bool) -> Script {
        Script {
            hash: Transcript::new(),
            bytes: keeps_bytes.then(Vec::new),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        if let Some(kept) = &mut self.bytes {
            kept.extend_from_slice(bytes);
        }
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash.hash()
    }

    /// Empty where nobody said that they would be needed.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }

    /// A signature will not be wanted any more.
    pub(crate) fn drop_bytes(&mut self) {
        self.bytes = None;
    }
}

impl Course {
    pub(crate) fn new(side: Side, next_sequence: u16, next_of_peer: u16, keeps_bytes: bool) -> Course {
        Course {
            side,
            flight: Flight::default(),
            inbox: Inbox::new(next_of_peer),
            script: Script::new(keeps_bytes),
            next_sequence,
            plain: WriteState::plain(),
            keys: None,
            early: Vec::new(),
            client_random: [0; 32],
            server_random: [0; 32],
            terms: Terms::default(),
            our_cid: Cid::default(),
            deadline: None,
            wants_to_send: false,
        }
    }

    /// Forgets what was said and heard: a HelloVerifyRequest came (RFC 6347 §4.2.1).
    pub(crate) fn restart_script(&mut self) {
        self.script = Script::new(self.script.bytes.is_some());
    }

    /// A message of the peer becomes part of the transcript.
    pub(crate) fn hear(&mut self, message: &Message<'_>) {
        self.script.add(&message.header.whole());
        self.script.add(message.body);
    }

    /// Begins our next flight.
    pub(crate) fn begin_flight(&mut self) {
        self.flight.begin();
    }

    /// Appends a message to the flight and the transcript.
    pub(crate) fn say(&mut self, kind: MessageType, body: impl FnOnce(&mut Writer<'_>)) {
        let messages = self.flight.messages();
        let start = messages.len();
        write_message(messages, kind, self.next_sequence, body);
        self.next_sequence = self.next_sequence.saturating_add(1);
        self.script.add(messages.get(start..).unwrap_or_default());
    }

    /// Appends ChangeCipherSpec and Finished.
    pub(crate) fn say_finished(&mut self, master: &MasterSecret) {
        self.flight.change_cipher();
        let verify_data = &master.verify_data(self.side, &self.script.hash());
        self.say(MessageType::FINISHED, |w| Finished { verify_data }.write(w));
    }

    /// Sends the flight, and again until the peer answers.
    pub(crate) fn launch(&mut self, now: Duration) {
        self.flight.launch(now);
        self.wants_to_send = true;
        self.rearm(now);
    }

    /// Sends the flight that the peer will not answer.
    pub(crate) fn launch_last(&mut self, now: Duration) {
        self.flight.launch(now);
        self.wants_to_send = true;
        self.deadline = None;
    }

    /// Waits for the answer to the flight from now on.
    pub(crate) fn rearm(&mut self, now: Duration) {
        self.deadline = Some(now.saturating_add(self.flight.timeout()));
    }

    /// The peer repeats its flight: it may not have got ours. Says whether ours goes again.
    pub(crate) fn repeat(&mut self, now: Duration) -> bool {
        let again = self.flight.again_by_peer(now);
        if again {
            self.wants_to_send = true;
            self.rearm(now);
        }
        again
    }

    /// Derives the keys of the sealed epoch.
    pub(crate) fn take_keys(&mut self, suite: Suite, master: &MasterSecret) {
        let keys = master.key_block(suite, &self.client_random, &self.server_random);
        let (ours, theirs) = match self.side {
            Side::Client => (keys.client, keys.server),
            Side::Server => (keys.server, keys.client),
        };
        self.keys = Some(EpochKeys {
            write: WriteState::protected(ours, SEALED_EPOCH, &self.terms.peer_cid),
            read: ReadState::new(theirs, SEALED_EPOCH, self.terms.with_our_cid),
        });
    }

    /// The master secret out of what both know now; `session_hash` is that of the messages up to ClientKeyExchange.
    pub(crate) fn master(&self, premaster: &[u8], session_hash: &[u8; 32]) -> MasterSecret {
        if self.terms.extended_master_secret {
            MasterSecret::derive_extended(premaster, session_hash)
        } else {
            MasterSecret::derive(premaster, &self.client_random, &self.server_random)
        }
    }

    /// Keeps a record that came before the keys. False if there is no room.
    pub(crate) fn keep_early(&mut self, record: &[u8]) -> bool {
        if self.early.len() >= limits::EARLY_RECORDS || record.len() > limits::EARLY_RECORD_BYTES {
            return false;
        }
        self.early.push(record.to_vec());
        true
    }

    /// The next datagram of the flight.
    pub(crate) fn write_datagram(&mut self, buf: &mut [u8], mtu: usize) -> usize {
        let limit = buf.len().min(self.flight.datagram_limit(mtu));
        let buf = buf.get_mut(..limit).unwrap_or_default();
        let written = self.flight.write_datagram(
            buf,
            usize::from(self.terms.peer_limit),
            &mut self.plain,
            self.keys.as_mut().map(|keys| &mut keys.write),
        );
        self.wants_to_send = written > 0;
        written
    }
}
