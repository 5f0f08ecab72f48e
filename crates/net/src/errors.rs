//! The destinations that failed and were not yet asked for.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::PENDING_ERRORS;

/// A bounded queue behind a lock that only the path of errors takes.
pub(crate) struct ErrorQueue(Mutex<VecDeque<(SocketAddr, io::Error)>>);

impl ErrorQueue {
    pub(crate) fn new() -> ErrorQueue {
        ErrorQueue(Mutex::new(VecDeque::new()))
    }

    /// Adds one, at the cost of the oldest when the queue is full.
    pub(crate) fn push(&self, remote: SocketAddr, error: io::Error) {
        let mut queue = self.lock();
        if queue.len() >= PENDING_ERRORS {
            queue.pop_front();
        }
        queue.push_back((remote, error));
    }

    pub(crate) fn pop(&self) -> Option<(SocketAddr, io::Error)> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(SocketAddr, io::Error)>> {
        // The queue is whole after every statement, so a panic of another thread leaves nothing to repair.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_forgets_the_oldest() {
        let queue = ErrorQueue::new();
        let remote = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let last = u16::try_from(PENDING_ERRORS).unwrap();
        for port in 0..=last {
            queue.push(remote(port), io::Error::from(io::ErrorKind::ConnectionRefused));
        }
        let ports: Vec<u16> = std::iter::from_fn(|| queue.pop())
            .map(|(remote, _)| remote.port())
            .collect();
        assert_eq!(ports, (1..=last).collect::<Vec<_>>());
    }
}
