//! Who may write at once: so many in all, and of these no host more than its share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many files are written at once. Each has an open file, and a buffer of some blocks.
pub(super) const MAX_UPLOADS: usize = 512;

/// How many of them one host may write, so that none keeps out the others.
pub(super) const MAX_UPLOADS_OF_HOST: usize = MAX_UPLOADS / 8;

/// The uploads under way, by host.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place among them, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    host: IpAddr,
}

impl Turns {
    /// A place for an upload of this host; `None` if there is none.
    pub(super) fn take(&self, host: IpAddr) -> Option<Turn> {
        let mut taken = self.lock();
        let (all, own) = (taken.values().sum::<usize>(), taken.get(&host).copied());
        if all >= MAX_UPLOADS || own.unwrap_or(0) >= MAX_UPLOADS_OF_HOST {
            return None;
        }
        *taken.entry(host).or_insert(0) += 1;
        drop(taken);
        Some(Turn {
            turns: self.clone(),
            host,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.lock();
        if let Some(own) = taken.get_mut(&self.host) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: usize) -> IpAddr {
        let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
        IpAddr::from([127, 0, high, low])
    }

    #[test]
    fn a_host_has_its_share_and_all_together_have_an_end() {
        let turns = Turns::default();
        let mut taken: Vec<_> = (0..MAX_UPLOADS_OF_HOST)
            .map(|_| turns.take(host(1)).unwrap())
            .collect();
        assert!(turns.take(host(1)).is_none());
        for number in 0..MAX_UPLOADS - MAX_UPLOADS_OF_HOST {
            taken.push(turns.take(host(2 + number)).unwrap());
        }
        assert!(turns.take(host(60_000)).is_none());
        taken.pop();
        assert!(turns.take(host(1)).is_none());
        assert!(turns.take(host(60_000)).is_some());
        taken.clear();
        assert!(turns.lock().is_empty());
    }
}
