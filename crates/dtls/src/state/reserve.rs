//! How far a session may go before it is saved again.

use crate::limits::{READ_AHEAD_AT_LEAST, READ_AHEAD_AT_MOST, WRITE_AHEAD};
use crate::record::{ReadState, Window, WriteState};

/// The bounds that count when a session's reserve is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserve {
    write_limit: u64,
    read_limit: u64,
    read_ahead: u32,
}

impl Reserve {
    /// The next reserve of a session, which keeps to the smaller of both from now on.
    pub(crate) fn begin(write: &mut WriteState, read: &mut ReadState) -> Reserve {
        let read_ahead = next_read_ahead(read);
        let reserve = Reserve {
            write_limit: write.next_sequence() + WRITE_AHEAD,
            read_limit: read.window().end() + u64::from(read_ahead),
            read_ahead,
        };
        write.set_limit(reserve.write_limit.min(write.limit()));
        read.set_limit(reserve.read_limit.min(read.limit()), read.ahead());
        reserve
    }

    /// It is on the disk: it counts alone.
    pub(crate) fn commit(self, write: &mut WriteState, read: &mut ReadState) {
        write.set_limit(self.write_limit);
        read.set_limit(self.read_limit, self.read_ahead);
    }

    pub(crate) fn read_ahead(self) -> u32 {
        self.read_ahead
    }

    /// Whether so much of the reserve is used that the session should be saved soon. Never, if it was not saved before.
    pub(crate) fn is_low(write: &WriteState, read: &ReadState) -> bool {
        let of_write = write.limit() - write.next_sequence().min(write.limit());
        let of_read = read.limit() - read.window().end().min(read.limit());
        of_write < WRITE_AHEAD / 2 || of_read < u64::from(read.ahead()).div_ceil(2)
    }

    /// Sets what was read back to where it may go on, `reserves` behind where it was saved.
    pub(crate) fn resume(reserves: u64, read_ahead: u32, write: &mut WriteState, read: &mut ReadState) {
        let begin = write
            .next_sequence()
            .saturating_add(reserves.saturating_mul(WRITE_AHEAD));
        write.continue_at(begin);
        write.set_limit(begin.saturating_add(WRITE_AHEAD));
        let ahead = u64::from(read_ahead);
        let end = read.window().end().saturating_add(reserves.saturating_mul(ahead));
        if reserves > 0 {
            read.set_window(Window::beginning_at(end));
        }
        read.set_limit(end.saturating_add(ahead), read_ahead);
    }
}

/// Twice what was used of the last reserve if that was much, half of it if it was little.
fn next_read_ahead(read: &ReadState) -> u32 {
    let last = read.ahead().max(READ_AHEAD_AT_LEAST);
    let left = read.limit().saturating_sub(read.window().end());
    let next = if left < u64::from(last.div_ceil(2)) {
        last.saturating_mul(2)
    } else if left > u64::from(last - last / 4) {
        last / 2
    } else {
        last
    };
    next.clamp(READ_AHEAD_AT_LEAST, READ_AHEAD_AT_MOST)
}
