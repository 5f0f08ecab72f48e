//! The property behind the fuzz target `dtls_handshake`: see `fuzzed/handshake.rs`.

#[path = "fuzzed/handshake.rs"]
mod handshake;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_messages(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        handshake::run(&bytes);
    }
}
