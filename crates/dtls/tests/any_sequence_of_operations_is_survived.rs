//! The property behind the fuzz target `dtls`: see `operations`.

mod operations;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        operations::run(&bytes);
    }
}
