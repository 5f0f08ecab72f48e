//! Plain counters; each discard by its reason.
