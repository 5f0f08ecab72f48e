//! The stateless cookie of HelloVerifyRequest (RFC 6347 §4.2.1).
