//! Records (RFC 6347 §4.1, RFC 9146): bytes to headers, protection, replay windows.
