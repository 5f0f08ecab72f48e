//! What may go to an address that has not proved itself: a few times what came from it (RFC 7252 §11.3, RFC 9175 §2.4,
//! §2.6).
//!
//! Anybody can write anybody's address on a datagram. An address is proved when something comes back from it that only
//! its owner could know: the value of an Echo option of ours, the token of a request of ours, or the keys of a security
//! association. Until then every byte that leaves on behalf of a request is paid from an [`Allowance`] of that request.

use core::net::SocketAddr;
use core::num::NonZeroU8;
use core::time::Duration;
use hashbrown::HashSet;

use rand_core::RngCore;
use siphasher::sip::SipHasher24;

use crate::config::Config;
use crate::context::Context;
use crate::exchange::admission::Reading;
use crate::limits;
use crate::path::Path;
use crate::stats::Stats;
use crate::time::Instant;

/// How many bytes may still go out on behalf of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance(u32);

impl Allowance {
    /// The address is proved, or the rule is switched off.
    pub(crate) const UNLIMITED: Allowance = Allowance(u32::MAX);

    /// Nothing has to be counted.
    pub(crate) fn is_unlimited(self) -> bool {
        self == Self::UNLIMITED
    }

    /// What is left, in bytes; `None` where nothing is counted.
    pub(crate) fn left(self) -> Option<usize> {
        (!self.is_unlimited()).then_some(self.0 as usize)
    }

    /// Whether a datagram of `len` bytes is paid for.
    pub(crate) fn pays(self, len: usize) -> bool {
        len <= self.0 as usize
    }

    /// Pays for a datagram of `len` bytes. `false`: it has to be withheld.
    pub(crate) fn spend(&mut self, stats: &mut Stats, len: usize) -> bool {
        if self.is_unlimited() {
            return true;
        }
        let left = u32::try_from(len).ok().and_then(|len| self.0.checked_sub(len));
        match left {
            Some(left) => {
                self.0 = left;
                stats.unproved_bytes_out += len as u64;
                true
            }
            None => {
                stats.withheld += 1;
                false
            }
        }
    }
}

/// How much of an answer is paid for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes of options and payload with its marker.
    pub(crate) bytes: usize,
    /// It may ask for a proof of the address: it is no confirmable message of its own (RFC 9175 §2.4).
    pub(crate) asks: bool,
}

/// An Echo value of ours.
pub(crate) type Echo = [u8; limits::ECHO];

/// An address with its port and scope, as bytes that can be compared and hashed.
type Address = [u8; 22];

/// Who has proved its address, and how others are asked to.
pub(crate) struct Amplification {
    /// Bytes out for a byte in; `None`: the rule is switched off.
    factor: Option<NonZeroU8>,
    key: SipHasher24,
    proofs: Proofs,
}

impl Amplification {
    /// With a key for Echo values that nobody else knows.
    pub(crate) fn new(config: &Config, random: &mut impl RngCore) -> Amplification {
        let mut own_key = [0; 16];
        random.fill_bytes(&mut own_key);
        Amplification {
            factor: config.amplification,
            key: SipHasher24::new_with_key(&config.echo_key.unwrap_or(own_key)),
            proofs: Proofs::new(config.max_peers, random.next_u64()),
        }
    }

    /// The value that shows that who sends it reads what is sent to `remote`: nothing is remembered of it. A keyed
    /// hash of the address and of the time, so that it is of no use to others, nor for long (RFC 9175 §2.3,
    /// appendix A item 2).
    pub(crate) fn echo(&self, now: Instant, remote: SocketAddr) -> Echo {
        self.of_epoch(epoch(now), remote)
    }

    fn of_epoch(&self, epoch: u64, remote: SocketAddr) -> Echo {
        let mut bytes = [0; 30];
        let values = epoch.to_le_bytes().into_iter().chain(packed(remote));
        bytes.iter_mut().zip(values).for_each(|(to, from)| *to = from);
        let [a, b, c, d, e, f, ..] = self.key.hash(&bytes).to_le_bytes();
        [a, b, c, d, e, f]
    }

    /// Whether an Echo value is one of ours for this address, and young enough. All bytes are compared, so that the
    /// time it takes tells nothing.
    fn is_valid(&self, now: Instant, remote: SocketAddr, value: &[u8]) -> bool {
        let Ok(value) = Echo::try_from(value) else {
            return false;
        };
        let equals = |epoch| {
            let expected = self.of_epoch(epoch, remote);
            let differing = expected.iter().zip(&value).fold(0, |sum, (a, b)| sum | (a ^ b));
            core::hint::black_box(differing) == 0
        };
        let current = epoch(now);
        equals(current) || current.checked_sub(1).is_some_and(equals)
    }

    /// Whether anything may go to the other end of `path`.
    pub(crate) fn is_proved(&mut self, now: Instant, path: &Path) -> bool {
        self.proof(now, path) != Proof::Missing
    }

    /// Where nothing has to be proved it is as good as a young one.
    fn proof(&mut self, now: Instant, path: &Path) -> Proof {
        if self.factor.is_none() || path.security.is_some() {
            return Proof::Young;
        }
        self.proofs.find(now, path.remote)
    }
}

impl Context {
    /// What may go out on behalf of this message. A valid Echo option proves its address.
    pub(crate) fn allowance(
        &mut self,
        now: Instant,
        path: &Path,
        reading: &Reading<'_>,
        len: usize,
    ) -> Allowance {
        let amplification = &mut self.amplification;
        let Some(factor) = amplification.factor else {
            return Allowance::UNLIMITED;
        };
        // What answers us was asked for.
        if reading.method.is_none() {
            return Allowance::UNLIMITED;
        }
        let proof = amplification.proof(now, path);
        if proof == Proof::Young {
            return Allowance::UNLIMITED;
        }
        let is_valid = |value| amplification.is_valid(now, path.remote, value);
        if reading.echo.is_some_and(is_valid) && !path.multicast {
            self.proved(now, path);
            return Allowance::UNLIMITED;
        }
        if proof == Proof::Old {
            return Allowance::UNLIMITED;
        }
        self.stats.unproved_bytes_in += len as u64;
        let bytes = u32::try_from(len)
            .unwrap_or(0)
            .saturating_mul(u32::from(factor.get()));
        Allowance(bytes.min(u32::MAX - 1))
    }

    /// Pays for a datagram that is sent on behalf of a request of some time ago. `false`: it has to be withheld.
    pub(crate) fn pay(&mut self, now: Instant, path: &Path, allowance: &mut Allowance, len: usize) -> bool {
        if !allowance.pays(len) && self.amplification.is_proved(now, path) {
            *allowance = Allowance::UNLIMITED;
        }
        allowance.spend(&mut self.stats, len)
    }

    /// The other end of `path` has shown that it reads what is sent there. Nothing else keeps a proof: requests from an
    /// address that was proved may be forged like any other.
    pub(crate) fn proved(&mut self, now: Instant, path: &Path) {
        let before = self.amplification.proof(now, path);
        if before == Proof::Young {
            return;
        }
        self.stats.proofs += u64::from(before == Proof::Missing);
        self.amplification.proofs.enter(now, path.remote);
    }
}

/// Whether there is a proof of an address, and of which generation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Missing,
    Old,
    Young,
}

/// Addresses that are proved, in two generations: one that is proved again moves to the younger, and the older goes as a
/// whole. Who is forgotten is challenged again.
struct Proofs {
    young: HashSet<Address, foldhash::fast::FixedState>,
    old: HashSet<Address, foldhash::fast::FixedState>,
    /// When the younger generation began.
    since: Instant,
    /// Of each generation.
    capacity: usize,
}

impl Proofs {
    fn new(capacity: usize, seed: u64) -> Proofs {
        let hasher = foldhash::fast::FixedState::with_seed(seed);
        Proofs {
            young: HashSet::with_hasher(hasher.clone()),
            old: HashSet::with_hasher(hasher),
            since: Instant::ZERO,
            capacity: (capacity / 2).max(1),
        }
    }

    fn find(&mut self, now: Instant, remote: SocketAddr) -> Proof {
        if self.young.is_empty() && self.old.is_empty() {
            return Proof::Missing;
        }
        self.grow_old(now);
        let address = packed(remote);
        if self.young.contains(&address) {
            Proof::Young
        } else if self.old.contains(&address) {
            Proof::Old
        } else {
            Proof::Missing
        }
    }

    fn enter(&mut self, now: Instant, remote: SocketAddr) {
        self.grow_old(now);
        if self.young.len() >= self.capacity {
            self.next_generation(now);
        }
        let address = packed(remote);
        self.old.remove(&address);
        self.young.insert(address);
    }

    fn grow_old(&mut self, now: Instant) {
        let age = now - self.since;
        if age >= limits::PROOF_GENERATION {
            self.next_generation(now);
        }
        if age >= 2 * limits::PROOF_GENERATION {
            self.next_generation(now);
        }
    }

    fn next_generation(&mut self, now: Instant) {
        let empty = HashSet::with_hasher(self.young.hasher().clone());
        self.old = core::mem::replace(&mut self.young, empty);
        self.since = now;
    }
}

/// Values of one epoch and of the one before are valid: for 5 to 10 minutes.
const EPOCH: Duration = Duration::from_secs(300);

fn epoch(now: Instant) -> u64 {
    now.as_micros() / 1_000_000 / EPOCH.as_secs()
}

fn packed(address: SocketAddr) -> Address {
    let (ip, scope) = match address {
        SocketAddr::V4(address) => (address.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(address) => (*address.ip(), address.scope_id()),
    };
    let mut bytes = [0; 22];
    let parts = ip.octets().into_iter().chain(address.port().to_be_bytes());
    let parts = parts.chain(scope.to_be_bytes());
    bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    bytes
}
