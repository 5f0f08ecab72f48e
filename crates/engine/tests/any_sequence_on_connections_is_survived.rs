//! Property: whatever is done to an endpoint that has connections, in whatever order, it neither panics nor grows nor
//! waits in vain, what it writes is what its peers take, and when all is ended nothing remains. The fuzz target
//! `connections` runs the same operations.

mod connected;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        connected::run(&bytes);
    }
}
