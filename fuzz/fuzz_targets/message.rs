//! A datagram that can be read is written again as it was, and its options read the same.
#![no_main]

use coracle_wire::{Message, Options, OptionsBuf, check_option};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let message = match Message::parse(datagram) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.offset <= datagram.len(), "{error}");
            let _ = (error.to_string(), error.reaction());
            return;
        }
    };
    let mut bytes = vec![0; message.encoded_len()];
    assert_eq!(message.encode(&mut bytes), Ok(bytes.len()));
    let again = Message::parse(&bytes).expect("what was written can be read");
    assert_eq!(again, message);
    assert!(
        bytes.len() <= datagram.len(),
        "an encoding of ours is never longer"
    );
    let _ = message.to_string();

    let owned = OptionsBuf::from(message.options);
    assert_eq!(owned.as_options(), message.options);
    assert_eq!(Options::parse(owned.as_options().as_bytes()), Ok(message.options));
    let mut rebuilt = OptionsBuf::new();
    let options: Vec<_> = message.options.iter().collect();
    for option in options.iter().rev() {
        let _ = check_option(option.number, option.value);
        rebuilt.insert(option.number, option.value).expect("it was read");
    }
    // Those of one number come out in the order they were put in: turned round, and nothing is lost.
    assert_eq!(rebuilt.iter().count(), options.len());
    assert_eq!(
        rebuilt.as_options().as_bytes().len(),
        message.options.as_bytes().len()
    );
    let _ = (
        message.options.block1(),
        message.options.block2(),
        message.options.observe(),
    );
});
