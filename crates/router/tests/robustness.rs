//! No request makes a router panic or wait, whatever its options and payload. The fuzz target `router` runs the same.

mod fuzzed;

use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy};
use proptest::{prop_oneof, proptest};

/// Bytes of which many are small, and so choose something that leads somewhere.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![3 => 0..16_u8, 1 => any::<u8>()], 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_request_is_answered_at_once_and_without_a_panic(bytes in bytes()) {
        fuzzed::run(&bytes);
    }
}
