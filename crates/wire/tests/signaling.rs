//! What signaling messages say (RFC 8323 §5, RFC 8974 §2.2.1).
#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use coracle_wire::{
    Abort, Code, Csm, Custody, OptionNumber, OptionRef, Options, Release, Signal, SignalOptionError,
    SignalOptionErrorKind,
};

fn options(bytes: &[u8]) -> Options<'_> {
    Options::parse(bytes).unwrap()
}

fn csm(bytes: &[u8]) -> Result<Csm, SignalOptionError> {
    Csm::read(options(bytes))
}

fn wrong_length(number: u16, len: usize, max: u16) -> SignalOptionError {
    SignalOptionError {
        signal: Signal::CSM,
        number,
        kind: SignalOptionErrorKind::Length { len, min: 0, max },
    }
}

const CRITICAL: SignalOptionErrorKind = SignalOptionErrorKind::Critical;

#[test]
fn a_csm_says_what_it_says_and_nothing_else() {
    assert_eq!(csm(b""), Ok(Csm::default()));
    let all = Csm {
        max_message_size: Some(8_388_864),
        block_wise_transfer: true,
        extended_token_length: Some(40),
    };
    let bytes = b"\x23\x80\x01\x00\x20\x21\x28";
    assert_eq!(csm(bytes), Ok(all));
    assert_eq!(all.to_options().as_options().as_bytes(), bytes);
    let only = |max_message_size| Csm {
        max_message_size,
        ..Csm::default()
    };
    assert_eq!(csm(b"\x20"), Ok(only(Some(0))));
    assert_eq!(csm(b"\x24\xff\xff\xff\xff"), Ok(only(Some(u32::MAX))));
    assert_eq!(csm(b"\x24\x00\x00\x04\x80"), Ok(only(Some(1152))));
    assert!(csm(b"\x40").unwrap().block_wise_transfer);
    assert_eq!(Csm::default().to_options().as_options(), Options::empty());
    assert_eq!((Csm::BASE_MAX_MESSAGE_SIZE, Csm::BASE_TOKEN_LENGTH), (1152, 8));
}

#[test]
fn extended_token_lengths_are_kept_in_their_bounds() {
    let read = |bytes| csm(bytes).unwrap().extended_token_length;
    assert_eq!(read(b"\x60"), None);
    assert_eq!(read(b"\x61\x07"), None);
    assert_eq!(read(b"\x61\x08"), Some(8));
    assert_eq!(read(b"\x63\x01\x01\x0c"), Some(65804));
    assert_eq!(read(b"\x63\x01\x01\x0d"), Some(65804));
    assert_eq!(read(b"\x63\xff\xff\xff"), Some(65804));
}

#[test]
fn of_an_option_that_is_repeated_the_first_counts() {
    assert_eq!(csm(b"\x21\x64\x01\x65").unwrap().max_message_size, Some(100));
}

#[test]
fn a_csm_with_a_value_of_a_wrong_length_is_invalid() {
    assert_eq!(csm(b"\x25\x00\x00\x00\x01\x00"), Err(wrong_length(2, 5, 4)));
    assert_eq!(csm(b"\x41\x00"), Err(wrong_length(4, 1, 0)));
    assert_eq!(csm(b"\x64\x00\x00\x00\x08"), Err(wrong_length(6, 4, 3)));
    assert_eq!(
        csm(b"\x21\x64\x05\x00\x00\x00\x00\x00"),
        Err(wrong_length(2, 5, 4))
    );
}

#[test]
fn unknown_options_are_ignored_if_elective_and_told_apart_if_critical() {
    // 8, and 65000.
    assert_eq!(csm(b"\x83abc"), Ok(Csm::default()));
    assert_eq!(csm(b"\xe1\xfc\xdbx"), Ok(Csm::default()));
    let critical = |signal, number| SignalOptionError {
        signal,
        number,
        kind: CRITICAL,
    };
    assert_eq!(csm(b"\x21\x64\x10"), Err(critical(Signal::CSM, 3)));
    assert_eq!(csm(b"\xe0\xfe\xf2"), Err(critical(Signal::CSM, 65535)));
    // OSCORE is registered for all of them, and not understood.
    assert_eq!(csm(b"\x90"), Err(critical(Signal::CSM, 9)));
    assert_eq!(Custody::read(options(b"\x10")), Err(critical(Signal::PING, 1)));
    assert_eq!(
        Release::read(options(b"\x10")).map(|release| release.hold_off),
        Err(critical(Signal::RELEASE, 1))
    );
    assert_eq!(Abort::read(options(b"\x10\x11\x04")).bad_csm_option, Some(4));
}

#[test]
fn custody_is_asked_for_and_taken() {
    assert_eq!(Custody::read(Options::empty()), Ok(Custody(false)));
    assert_eq!(Custody::read(options(b"\x20")), Ok(Custody(true)));
    assert_eq!(Custody(true).to_options().as_options().as_bytes(), b"\x20");
    assert!(Custody(false).to_options().is_empty());
    // A value makes it an option that is not recognized (RFC 7252 §5.4.3).
    assert_eq!(Custody::read(options(b"\x21x")), Ok(Custody(false)));
}

#[test]
fn a_release_names_other_addresses_and_a_time() {
    let bytes = b"\x2d\x00example.org:1\x05[::1]\x22\x0e\x10";
    let release = Release::read(options(bytes)).unwrap();
    assert_eq!(release.hold_off, Some(3600));
    let addresses: Vec<&str> = release.alternative_addresses().collect();
    assert_eq!(addresses, ["example.org:1", "[::1]"]);
    assert_eq!(release.to_options().as_options().as_bytes(), bytes);

    assert!(Release::new(None).to_options().is_empty());
    let later = |seconds| Release::new(Some(seconds)).to_options();
    assert_eq!(later(5).as_options().as_bytes(), b"\x41\x05");
    assert_eq!(later(1 << 24).as_options().as_bytes(), b"\x43\xff\xff\xff");
    // Empty, not UTF-8, too long: not recognized.
    let odd = [
        &b"\x20\x02\xff\xfe\x01a\x0d\xf3"[..],
        &[b'a'; 256],
        b"\x24\x00\x00\x00\x01",
    ]
    .concat();
    let release = Release::read(options(&odd)).unwrap();
    assert_eq!(release.alternative_addresses().collect::<Vec<_>>(), ["a"]);
    assert_eq!(release.hold_off, None);
}

#[test]
fn an_abort_names_the_option_of_the_csm() {
    let abort = |bytes| Abort::read(options(bytes)).bad_csm_option;
    assert_eq!(abort(b""), None);
    assert_eq!(abort(b"\x20"), Some(0));
    assert_eq!(abort(b"\x21\x02"), Some(2));
    assert_eq!(abort(b"\x22\xff\xff"), Some(65535));
    assert_eq!(abort(b"\x23\x00\x00\x02"), None);
    let own = Abort {
        bad_csm_option: Some(259),
    };
    assert_eq!(own.to_options().as_options().as_bytes(), b"\x22\x01\x03");
}

#[test]
fn each_code_has_options_of_its_own() {
    let name = |code: Code, number| {
        OptionNumber(number)
            .definition_in(code)
            .map(|definition| definition.name)
    };
    let table = [
        (Signal::CSM, 2, "Max-Message-Size"),
        (Signal::CSM, 4, "Block-Wise-Transfer"),
        (Signal::CSM, 6, "Extended-Token-Length"),
        (Signal::PING, 2, "Custody"),
        (Signal::PONG, 2, "Custody"),
        (Signal::RELEASE, 2, "Alternative-Address"),
        (Signal::RELEASE, 4, "Hold-Off"),
        (Signal::ABORT, 2, "Bad-CSM-Option"),
        (Signal::ABORT, 9, "OSCORE"),
    ];
    for (signal, number, expected) in table {
        assert_eq!(name(signal.into(), number), Some(expected));
    }
    assert_eq!(name(Signal::ABORT.into(), 4), None);
    assert_eq!(name(Signal::CSM.into(), 11), None);
    assert_eq!(name(Code::new(7, 31), 2), None);
    assert_eq!(name(Code::new(0, 1), 4), Some("ETag"));

    let shown = |code: Code, number, value: &[u8]| {
        let number = OptionNumber(number);
        OptionRef { number, value }.of(code).to_string()
    };
    assert_eq!(
        shown(Signal::CSM.into(), 2, b"\x04\x80"),
        "Max-Message-Size: 1152"
    );
    assert_eq!(shown(Signal::CSM.into(), 4, b""), "Block-Wise-Transfer");
    assert_eq!(shown(Signal::CSM.into(), 11, b"a"), "Option 11: 0x61");
    assert_eq!(
        shown(Signal::RELEASE.into(), 2, b"h:1"),
        "Alternative-Address: \"h:1\""
    );
    assert_eq!(shown(Code::new(2, 5), 4, b"a"), "ETag: 0x61");
}

#[test]
fn errors_read_well_in_an_abort() {
    let text = |bytes| csm(bytes).unwrap_err().to_string();
    assert_eq!(
        text(b"\x25\x00\x00\x00\x01\x00"),
        "Max-Message-Size (option 2 of 7.01 CSM) has 0 to 4 bytes, not 5 (RFC 7252 §5.4.3)"
    );
    assert_eq!(
        text(b"\x41\x00"),
        "Block-Wise-Transfer (option 4 of 7.01 CSM) has 0 bytes, not 1 (RFC 7252 §5.4.3)"
    );
    assert_eq!(
        text(b"\x10"),
        "option 1 of 7.01 CSM is critical and not understood (RFC 8323 §5.2)"
    );
    let address = OptionRef {
        number: Release::ALTERNATIVE_ADDRESS,
        value: b"\xff",
    };
    assert_eq!(
        Signal::RELEASE.check_option(address).unwrap_err().to_string(),
        "Alternative-Address (option 2 of 7.04 Release) is not UTF-8 (RFC 7252 §3.2)"
    );
}
