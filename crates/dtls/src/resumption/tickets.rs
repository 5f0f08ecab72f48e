//! Tickets (RFC 5077 §4): a session, sealed under a key that only this server has, for the client to keep.
//!
//! ```text
//! key name (8) | nonce (12) | AES-128-GCM( session ) | tag (16)      the first two are authenticated too
//! ```

use alloc::vec::Vec;
use core::time::Duration;

use aes::Aes128Enc;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{AesGcm, Tag};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::Resumable;
use crate::limits::TICKET_BYTES;
use crate::messages::codec::{Reader, Writer};

const NAME: usize = 8;
const NONCE: usize = 12;
const TAG: usize = 16;

type Cipher = AesGcm<Aes128Enc, U12>;

/// The keys of tickets: one that seals, and the one before it, whose tickets are still good.
///
/// A key seals for the lifetime of one ticket. Nonces are drawn: after 2^32 tickets under one key it would be time for
/// another (NIST SP 800-38D §8.3), which at 10,000 tickets a second is five days.
pub(crate) struct TicketKeys {
    current: TicketKey,
    previous: Option<TicketKey>,
    lifetime: Duration,
}

#[derive(Clone)]
struct TicketKey {
    name: [u8; NAME],
    key: [u8; 16],
    created: Duration,
}

impl TicketKeys {
    /// Keys for tickets that are good for `lifetime`.
    pub(crate) fn new(now: Duration, lifetime: Duration, rng: &mut impl CryptoRng) -> TicketKeys {
        TicketKeys {
            current: TicketKey::draw(now, rng),
            previous: None,
            lifetime,
        }
    }

    /// How long a ticket is good.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Seals a session. `None` if the ticket would be too long ([`TICKET_BYTES`]): of a peer with many names.
    pub(crate) fn seal(
        &mut self,
        now: Duration,
        session: &Resumable,
        rng: &mut impl CryptoRng,
    ) -> Option<Vec<u8>> {
        self.rotate(now, rng);
        let mut ticket = Vec::with_capacity(256);
        ticket.extend_from_slice(&self.current.name);
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        ticket.extend_from_slice(&nonce);
        session.write(&mut Writer::new(&mut ticket));
        if ticket.len() + TAG > TICKET_BYTES {
            ticket.zeroize();
            return None;
        }
        let (head, content) = ticket.split_at_mut_checked(NAME + NONCE)?;
        let cipher = Cipher::new(&self.current.key.into());
        let tag = cipher
            .encrypt_inout_detached(&nonce.into(), head, content.into())
            .ok()?;
        ticket.extend_from_slice(&tag);
        Some(ticket)
    }

    /// Opens a ticket. `None` for one that is not ours, was changed, or is too old.
    pub(crate) fn open(&self, now: Duration, ticket: &[u8]) -> Option<Resumable> {
        if ticket.len() > TICKET_BYTES {
            return None;
        }
        let (head, sealed) = ticket.split_at_checked(NAME + NONCE)?;
        let (name, nonce) = head.split_first_chunk::<NAME>()?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let (content, tag) = sealed.split_last_chunk::<TAG>()?;
        let key = self.key(name)?;
        let mut content = Zeroizing::new(content.to_vec());
        let cipher = Cipher::new(&key.key.into());
        let buffer = content.as_mut_slice().into();
        cipher
            .decrypt_inout_detached(&nonce.into(), head, buffer, &Tag::from(*tag))
            .ok()?;
        let session = Resumable::read(&mut Reader::new(&content))?;
        // One from the future was made by another clock, which says nothing about its age.
        let good = session.created <= now && now < session.created.saturating_add(self.lifetime);
        good.then_some(session)
    }

    fn key(&self, name: &[u8; NAME]) -> Option<&TicketKey> {
        let mut keys = core::iter::once(&self.current).chain(&self.previous);
        keys.find(|key| key.name == *name)
    }

    fn rotate(&mut self, now: Duration, rng: &mut impl CryptoRng) {
        if now >= self.current.created.saturating_add(self.lifetime) {
            let last = core::mem::replace(&mut self.current, TicketKey::draw(now, rng));
            self.previous = Some(last);
        }
    }

    /// Writes the keys down, for a restart that keeps tickets good.
    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.prefixed8(|w| {
            for key in core::iter::once(&self.current).chain(&self.previous) {
                w.put(&key.name);
                w.put(&key.key);
                w.put(&key.created.as_secs().to_be_bytes());
            }
        });
    }

    /// Reads keys that were written down.
    pub(crate) fn read(lifetime: Duration, reader: &mut Reader<'_>) -> Option<TicketKeys> {
        let mut reader = Reader::new(reader.vec8()?);
        let current = TicketKey::read(&mut reader)?;
        let previous = if reader.is_empty() {
            None
        } else {
            Some(TicketKey::read(&mut reader)?)
        };
        reader.end()?;
        Some(TicketKeys {
            current,
            previous,
            lifetime,
        })
    }
}

impl TicketKey {
    fn draw(now: Duration, rng: &mut impl CryptoRng) -> TicketKey {
        let mut drawn = TicketKey {
            name: [0; NAME],
            key: [0; 16],
            created: now,
        };
        rng.fill_bytes(&mut drawn.name);
        rng.fill_bytes(&mut drawn.key);
        drawn
    }

    fn read(reader: &mut Reader<'_>) -> Option<TicketKey> {
        Some(TicketKey {
            name: *reader.array()?,
            key: *reader.array()?,
            created: Duration::from_secs(u64::from_be_bytes(*reader.array()?)),
        })
    }
}

impl Drop for TicketKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::tests::{bytes, resumable};
    use super::*;
    use crate::identity::Identity;

    const LIFETIME: Duration = Duration::from_secs(1000);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn keys(seed: u64) -> (TicketKeys, ChaCha20Rng) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        (TicketKeys::new(at(0), LIFETIME, &mut rng), rng)
    }

    #[test]
    fn a_ticket_is_good_for_its_lifetime_over_a_change_of_keys() {
        let (mut keys, mut rng) = keys(1);
        let session = resumable(900);
        let ticket = keys.seal(at(900), &session, &mut rng).unwrap();
        assert_eq!(bytes(&keys.open(at(901), &ticket).unwrap()), bytes(&session));
        let later = keys.seal(at(1000), &resumable(1000), &mut rng).unwrap();
        assert_ne!(ticket[..NAME], later[..NAME], "the key has changed");
        assert!(keys.open(at(1899), &ticket).is_some());
        assert!(keys.open(at(1900), &ticket).is_none());
        assert!(keys.open(at(1999), &later).is_some());
        assert!(keys.open(at(2000), &later).is_none());
    }

    #[test]
    fn a_session_that_is_taken_up_again_does_not_become_younger() {
        let (mut keys, mut rng) = keys(1);
        let ticket = keys.seal(at(999), &resumable(10), &mut rng).unwrap();
        assert!(keys.open(at(1009), &ticket).is_some());
        assert!(keys.open(at(1010), &ticket).is_none());
    }

    #[test]
    fn a_ticket_of_another_clock_is_not_opened() {
        let (mut keys, mut rng) = keys(1);
        let ticket = keys.seal(at(500), &resumable(500), &mut rng).unwrap();
        assert!(keys.open(at(499), &ticket).is_none());
        assert!(keys.open(at(500), &ticket).is_some());
    }

    #[test]
    fn tickets_of_others_are_not_opened() {
        let ((mut ours, mut rng), (others, _)) = (keys(1), keys(2));
        let ticket = ours.seal(at(0), &resumable(0), &mut rng).unwrap();
        assert!(others.open(at(0), &ticket).is_none());
        for len in 0..ticket.len() {
            assert!(ours.open(at(0), &ticket[..len]).is_none());
        }
        assert!(ours.open(at(0), &[0; TICKET_BYTES + 1]).is_none());
    }

    #[test]
    fn nobody_sees_what_is_in_it_and_no_two_are_the_same() {
        let (mut keys, mut rng) = keys(1);
        let ticket = keys.seal(at(0), &resumable(0), &mut rng).unwrap();
        assert!(!ticket.windows(6).any(|part| part == b"device" || part == [5; 6]));
        assert_ne!(ticket, keys.seal(at(0), &resumable(0), &mut rng).unwrap());
        assert_eq!(ticket.len(), NAME + NONCE + bytes(&resumable(0)).len() + TAG);
    }

    #[test]
    fn what_does_not_fit_is_no_ticket() {
        let (mut keys, mut rng) = keys(1);
        let mut session = resumable(0);
        session.identity = Arc::new(Identity::Psk(alloc::vec![1; TICKET_BYTES]));
        assert!(keys.seal(at(0), &session, &mut rng).is_none());
    }

    #[test]
    fn keys_that_were_written_down_open_their_tickets() {
        let (mut keys, mut rng) = keys(1);
        let first = keys.seal(at(500), &resumable(500), &mut rng).unwrap();
        let second = keys.seal(at(1000), &resumable(1000), &mut rng).unwrap();
        let mut written = Vec::new();
        keys.write(&mut Writer::new(&mut written));
        let read = TicketKeys::read(LIFETIME, &mut Reader::new(&written)).unwrap();
        assert!(read.open(at(1001), &first).is_some());
        assert!(read.open(at(1001), &second).is_some());
        for len in 0..written.len() {
            assert!(TicketKeys::read(LIFETIME, &mut Reader::new(&written[..len])).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_ticket_that_differs_by_a_bit_is_not_opened(flip in any::<proptest::sample::Index>()) {
            let (mut keys, mut rng) = keys(1);
            let mut ticket = keys.seal(at(0), &resumable(0), &mut rng).unwrap();
            let bit = flip.index(8 * ticket.len());
            ticket[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(keys.open(at(0), &ticket).is_none());
        }
    }
}
