//! All sessions, and what finds them.
