//! Servers that asked to be left alone for a while (RFC 8516 §4).

use core::hash::{BuildHasher, Hash, Hasher};
use core::time::Duration;
use hashbrown::HashMap;

use coracle_wire::{Method, OptionNumber, Options};

use crate::limits::MAX_RESTRAINTS;
use crate::path::Peer;
use crate::time::Instant;

/// What makes requests similar: the same peer, method and URI (RFC 8516 §1).
type Similar = (Peer, u64);

/// When similar requests may be sent again. Bounded: where there is no room for another, it is not heeded.
pub(crate) struct Restraint {
    until: HashMap<Similar, Instant, foldhash::fast::FixedState>,
}

impl Restraint {
    pub(crate) fn new(seed: u64) -> Restraint {
        Restraint {
            until: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
        }
    }

    /// How long a request has to wait still.
    pub(crate) fn wait(
        &self,
        now: Instant,
        peer: Peer,
        method: Method,
        options: Options<'_>,
    ) -> Option<Duration> {
        if self.until.is_empty() {
            return None;
        }
        let until = *self.until.get(&self.similar(peer, method, options))?;
        (until > now).then(|| until - now)
    }

    /// A request was answered 4.29: similar ones wait for Max-Age.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        peer: Peer,
        method: Method,
        options: Options<'_>,
        max_age: Duration,
    ) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() < MAX_RESTRAINTS {
            self.until
                .insert(self.similar(peer, method, options), now + max_age);
        }
    }

    fn similar(&self, peer: Peer, method: Method, options: Options<'_>) -> Similar {
        let mut state = self.until.hasher().build_hasher();
        method.hash(&mut state);
        for option in options.iter().filter(|option| is_of_uri(option.number)) {
            option.number.hash(&mut state);
            option.value.hash(&mut state);
        }
        (peer, state.finish())
    }
}

fn is_of_uri(number: OptionNumber) -> bool {
    const OF_URI: [OptionNumber; 4] = [
        OptionNumber::URI_HOST,
        OptionNumber::URI_PORT,
        OptionNumber::URI_PATH,
        OptionNumber::URI_QUERY,
    ];
    OF_URI.contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_wire::OptionsBuf;
    use core::net::SocketAddr;

    const MINUTE: Duration = Duration::from_secs(60);

    fn peer(port: u16) -> Peer {
        Peer::at(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn only_similar_requests_wait_and_only_for_max_age() {
        let mut restraint = Restraint::new(1);
        let mut options = OptionsBuf::new();
        options.push_str(OptionNumber::URI_PATH, "a").unwrap();
        let start = Instant::from_micros(1);
        restraint.begin(start, peer(1), Method::GET, options.as_options(), MINUTE);
        let mut again = options.clone();
        again.set_uint(OptionNumber::ACCEPT, 50);
        let wait = |now, port, method, options: &OptionsBuf| {
            restraint.wait(now, peer(port), method, options.as_options())
        };
        assert_eq!(wait(start, 1, Method::GET, &again), Some(MINUTE));
        assert_eq!(wait(start, 1, Method::PUT, &options), None);
        assert_eq!(wait(start, 2, Method::GET, &options), None);
        assert_eq!(wait(start, 1, Method::GET, &OptionsBuf::new()), None);
        assert_eq!(wait(start + MINUTE, 1, Method::GET, &options), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_over_makes_room() {
        let mut restraint = Restraint::new(1);
        for port in 0..=u16::MAX {
            restraint.begin(Instant::ZERO, peer(port), Method::GET, Options::empty(), MINUTE);
        }
        assert_eq!(restraint.until.len(), MAX_RESTRAINTS);
        restraint.begin(
            Instant::ZERO + MINUTE,
            peer(1),
            Method::GET,
            Options::empty(),
            MINUTE,
        );
        assert_eq!(restraint.until.len(), 1);
    }
}
