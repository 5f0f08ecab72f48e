//! The property behind the fuzz target `dtls_record`: see `fuzzed/record.rs`.

#[path = "fuzzed/record.rs"]
mod record;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_records(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        record::run(&bytes);
    }
}
