//! Who the peer is.
