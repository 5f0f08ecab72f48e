//! Handshake messages and alerts as bytes (RFC 5246 §7, RFC 6347 §4.2.2).
