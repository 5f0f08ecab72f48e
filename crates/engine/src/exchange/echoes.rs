//! Echo values that servers gave, until the next request to them (RFC 9175 §2.3).

use hashbrown::HashMap;

use coracle_wire::{OptionNumber, Options, OptionsBuf};

use crate::limits::{MAX_ECHO, MAX_ECHOES};
use crate::path::Peer;

/// A value and its length.
type Value = ([u8; MAX_ECHO], usize);

/// The last value of each server that has not gone back to it yet. They are kept by peer, and go to no other. Bounded:
/// a value that makes way for another costs its server a challenge.
pub(crate) struct Echoes {
    values: HashMap<Peer, Value, foldhash::fast::FixedState>,
}

impl Echoes {
    pub(crate) fn new(seed: u64) -> Echoes {
        Echoes {
            values: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
        }
    }

    /// Keeps the value of a response, if it has one.
    pub(crate) fn keep(&mut self, peer: Peer, options: Options<'_>) {
        let Some(value) = value(options) else { return };
        if self.values.len() >= MAX_ECHOES
            && !self.values.contains_key(&peer)
            && let Some(other) = self.values.keys().next().copied()
        {
            self.values.remove(&other);
        }
        let mut bytes = [0; MAX_ECHO];
        for (to, from) in bytes.iter_mut().zip(value) {
            *to = *from;
        }
        self.values.insert(peer, (bytes, value.len()));
    }

    /// Adds the value of this server to a request, once. What the application has put there itself stays.
    pub(crate) fn add(&mut self, peer: &Peer, options: &mut OptionsBuf) {
        if self.values.is_empty() || options.contains(OptionNumber::ECHO) {
            return;
        }
        if let Some((bytes, len)) = self.values.remove(peer) {
            // It was an option before, so that it is short enough.
            let _ = options.set(OptionNumber::ECHO, bytes.get(..len).unwrap_or_default());
        }
    }
}

/// The Echo value of a response. It is elective: one of a wrong length is as good as none (RFC 7252 §5.4.3).
pub(crate) fn value(options: Options<'_>) -> Option<&[u8]> {
    options
        .get(OptionNumber::ECHO)
        .filter(|value| (1..=MAX_ECHO).contains(&value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    fn peer(port: u16) -> Peer {
        Peer::at(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn with_echo(value: &[u8]) -> OptionsBuf {
        let mut options = OptionsBuf::new();
        options.set(OptionNumber::ECHO, value).unwrap();
        options
    }

    #[test]
    fn a_value_goes_back_once_and_only_to_whom_it_came_from() {
        let mut echoes = Echoes::new(1);
        echoes.keep(peer(1), with_echo(b"first").as_options());
        echoes.keep(peer(1), with_echo(b"second").as_options());
        let mut options = OptionsBuf::new();
        echoes.add(&peer(2), &mut options);
        assert_eq!(options, OptionsBuf::new());
        echoes.add(&peer(1), &mut options);
        assert_eq!(options, with_echo(b"second"));
        let mut again = OptionsBuf::new();
        echoes.add(&peer(1), &mut again);
        assert_eq!(again, OptionsBuf::new());
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_last_is_among_it() {
        let mut echoes = Echoes::new(1);
        for port in 0..=u16::MAX {
            echoes.keep(peer(port), with_echo(b"x").as_options());
        }
        assert_eq!(echoes.values.len(), MAX_ECHOES);
        let mut options = OptionsBuf::new();
        echoes.add(&peer(u16::MAX), &mut options);
        assert!(options.contains(OptionNumber::ECHO));
    }

    #[test]
    fn a_value_of_a_wrong_length_is_none() {
        for length in [0, 41] {
            let mut datagram = OptionsBuf::new();
            datagram.set(OptionNumber::ECHO, &[1; 41][..length]).unwrap();
            assert_eq!(value(datagram.as_options()), None, "{length}");
        }
        assert_eq!(value(with_echo(&[1; 40]).as_options()), Some(&[1; 40][..]));
    }
}
