//! Valid messages to mutate.

/// Messages of many kinds, from the examples of the RFCs and from what stacks exchange.
pub(super) const SEEDS: [&[u8]; 24] = [
    // CON GET /temperature (RFC 7252 figure 16).
    b"\x40\x01\x7d\x34\xbbtemperature",
    // The same with a token (figure 17).
    b"\x41\x01\x7d\x35\x20\xbbtemperature",
    // NON GET /temperature (figure 19).
    b"\x51\x01\x7d\x40\x75\xbbtemperature",
    // The responses to these: piggybacked, separate, non-confirmable.
    b"\x60\x45\x7d\x34\xff22.3 C",
    b"\x41\x45\xad\x7b\x20\xff22.3 C",
    b"\x51\x45\x7d\x40\x75\xff22.3 C",
    // Ping, empty ACK, RST.
    b"\x40\x00\x00\x01",
    b"\x60\x00\xad\x7b",
    b"\x70\x00\x00\x01",
    // GET /.well-known/core?rt=light-lux with Accept 40.
    b"\x42\x01\x00\x10\xaa\xbb\xbb.well-known\x04core\x4crt=light-lux\x21\x28",
    // PUT /test with text, POST /test, DELETE /test.
    b"\x42\x03\x00\x11\x01\x02\xb4test\x10\xffhello",
    b"\x44\x02\x00\x12\x01\x02\x03\x04\xb4test\x11\x32\xff{\"a\":1}",
    b"\x40\x04\x00\x13\xb4test",
    // FETCH, PATCH, iPATCH (RFC 8132).
    b"\x41\x05\x00\x14\x05\xb4test\x11\x3c\xff\xa1\x61a\x01",
    b"\x41\x06\x00\x15\x06\xb4test\x11\x33\xff[]",
    b"\x41\x07\x00\x16\x07\xb4test\x11\x34\xff{}",
    // Observe: register, notify, deregister (RFC 7641).
    b"\x44\x01\x00\x17\x11\x22\x33\x44\x60\x53obs",
    b"\x54\x45\x00\x18\x11\x22\x33\x44\x61\x09\x60\x21\x05\xff21.5",
    b"\x44\x01\x00\x19\x11\x22\x33\x44\x61\x01\x53obs",
    // Block1 0/1/16 and 1/0/16 to /large (RFC 7959).
    b"\x42\x03\x00\x1a\x0a\x0b\xb5large\xd1\x03\x08\xff0123456789abcdef",
    b"\x42\x03\x00\x1b\x0a\x0b\xb5large\xd1\x03\x10\xffend",
    // GET /large Block2 2/0/64 with Size2 0.
    b"\x42\x01\x00\x1c\x0a\x0c\xb5large\xc1\x22\x50",
    // If-Match, If-None-Match, ETag.
    b"\x42\x03\x00\x1d\x0a\x0d\x14\x01\x02\x03\x04\x32\xaa\xbb\x10\x66stored\xffx",
    // Proxy-Uri (RFC 7252 §5.10.2).
    b"\x41\x01\x00\x1e\x0e\xdd\x16\x05coap://localhost/a",
];

#[cfg(test)]
mod tests {
    use coracle_wire::Message;

    use super::*;

    #[test]
    fn seeds_are_valid() {
        for (index, seed) in SEEDS.iter().enumerate() {
            let parsed = Message::parse(seed);
            assert!(parsed.is_ok(), "{index}: {parsed:?}");
        }
    }
}
