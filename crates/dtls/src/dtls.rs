//! The public value, and a datagram's way through it.
