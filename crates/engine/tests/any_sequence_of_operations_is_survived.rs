//! Property: whatever is done to an endpoint in whatever order, it neither panics nor grows nor waits in vain, and when
//! all is ended nothing remains. The fuzz target `engine` runs the same operations.

mod operations;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        operations::run(&bytes);
    }
}
