//! Established sessions that outlive the process: a sealed, versioned form.
//!
//! Two things must not happen after a restart, also if it comes by a crash: that a nonce is used twice under a key, and
//! that a record is taken twice. So a saved session says what the process *may* use and take before it is saved again:
//! the reserve ([`reserve`]). A restart begins behind all of it.
//!
//! ```text
//!  export   each session is written down with its next sequence number and its reserve; from now on the session keeps
//!           to the smaller of the old reserve and the new one, since nobody knows which will be on the disk
//!  (the caller writes to the disk)
//!  commit   the new reserve counts
//!  import   begins at the end of the reserve: one after a crash, and one more for each earlier import of the same bytes
//! ```
//!
//! A session that was never saved has no bounds: it does not come back. One that was loaded may be used up to its next
//! reserve at once, and no further before it is saved.
//!
//! What is saved is a row of segments ([`segment`]), of which later ones count more: the first has all sessions, others
//! those that have changed. A segment that is cut off in its middle is good up to there. Whoever restores an older copy
//! of it breaks all this: nonces are used again. That is for the caller to prevent.

pub(crate) mod changes;
pub(crate) mod reserve;
pub(crate) mod segment;
pub(crate) mod session;

pub use segment::ImportError;

#[cfg(test)]
mod tests;
