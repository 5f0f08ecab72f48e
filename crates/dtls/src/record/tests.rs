//! Records as bytes, and from one side to the other.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::header::HEADER_LEN;
use super::protection::MAX_PLAINTEXT;
use super::*;
use crate::crypto::{AeadKind, Keys, MasterSecret, Suite, hex};

fn keys(suite: Suite) -> Keys {
    MasterSecret::from_bytes(&[7; 48]).key_block(suite, &[1; 32], &[2; 32])
}

fn pair(suite: Suite, cid: &[u8]) -> (WriteState, ReadState) {
    let write = WriteState::protected(keys(suite).client, 1, cid);
    let read = ReadState::new(keys(suite).client, 1, !cid.is_empty());
    (write, read)
}

fn sealed(write: &mut WriteState, content_type: ContentType, plaintext: &[u8]) -> Vec<u8> {
    let mut buf = vec![0; plaintext.len() + write.overhead()];
    let len = write.seal(content_type, plaintext, &mut buf).unwrap();
    assert_eq!(len, buf.len());
    buf
}

fn open(read: &mut ReadState, datagram: &mut [u8], cid_len: u8) -> Result<(Opened, Vec<u8>), Discard> {
    let header = RecordHeader::parse(datagram, cid_len).unwrap();
    let opened = read.open(&header, datagram)?;
    let plaintext = datagram[opened.plaintext.clone()].to_vec();
    Ok((opened, plaintext))
}

#[test]
fn a_record_in_clear_text_is_its_content_behind_a_header() {
    let mut write = WriteState::plain();
    assert_eq!(write.overhead(), HEADER_LEN);
    sealed(&mut write, ContentType::HANDSHAKE, b"first");
    let record = sealed(&mut write, ContentType::ALERT, b"\x02\x28");
    assert_eq!(record, hex("15 fefd 0000 000000000001 0002 02 28"));
}

#[test]
fn a_sealed_record_carries_its_sequence_number_twice() {
    for (suite, tag) in [(Suite::PskCcm8, 8), (Suite::PskCcm, 16), (Suite::PskGcm, 16)] {
        let (mut write, _) = pair(suite, b"");
        write.continue_at(0x0102_0304_0506);
        let record = sealed(&mut write, ContentType::APPLICATION_DATA, b"data");
        assert_eq!(record.len(), 13 + 8 + 4 + tag);
        assert_eq!(record[..11], hex("17 fefd 0001 010203040506"));
        assert_eq!(record[11..13], u16::try_from(12 + tag).unwrap().to_be_bytes());
        assert_eq!(record[13..21], hex("0001 010203040506"));
        assert_ne!(record[21..25], *b"data");
    }
}

#[test]
fn a_record_with_connection_id_hides_its_type() {
    let (mut write, mut read) = pair(Suite::PskCcm8, b"\xC1\xC2");
    let mut record = sealed(&mut write, ContentType::ALERT, b"\x01\x00");
    assert_eq!(record[..15], hex("19 fefd 0001 000000000000 c1c2 0013"));
    assert_eq!(record.len(), 15 + 8 + 2 + 1 + 8);
    let (opened, plaintext) = open(&mut read, &mut record, 2).unwrap();
    assert_eq!(opened.content_type, ContentType::ALERT);
    assert_eq!(plaintext, b"\x01\x00");
}

/// The form of RFC 9146 §5.3, put together here by hand: what is sealed over it opens, and nothing else.
#[test]
fn the_additional_data_have_both_published_forms() {
    let keys = keys(Suite::PskCcm8).client;
    let nonce = [0, 1, 0, 0, 0, 0, 0, 5];
    let mut text = b"hi\x17\0\0".to_vec();
    text.resize(text.len() + 8, 0);
    let additional = hex("ffffffffffffffff 19 03 19 fefd 0001 000000000005 636964 0005");
    keys.seal(nonce, &additional, &mut text).unwrap();
    let mut record = [&hex("19 fefd 0001 000000000005 636964 0015")[..], &nonce, &text].concat();
    let (_, mut read) = pair(Suite::PskCcm8, b"cid");
    let (opened, plaintext) = open(&mut read, &mut record, 3).unwrap();
    assert_eq!(
        (opened.content_type, &plaintext[..]),
        (ContentType::APPLICATION_DATA, &b"hi"[..])
    );

    // RFC 5246 §6.2.3.3. The explicit part of the nonce is the sender's choice (RFC 5288 §3).
    let nonce = *b"whatever";
    let mut text = b"hi".to_vec();
    text.resize(text.len() + 8, 0);
    let additional = hex("0001 000000000006 17 fefd 0002");
    keys.seal(nonce, &additional, &mut text).unwrap();
    let mut record = [&hex("17 fefd 0001 000000000006 0012")[..], &nonce, &text].concat();
    let (_, mut read) = pair(Suite::PskCcm8, b"");
    assert_eq!(open(&mut read, &mut record, 0).unwrap().1, b"hi");
}

#[test]
fn only_zeros_inside_are_no_record() {
    let keys = keys(Suite::PskCcm8).client;
    let mut text = vec![0; 4 + 8];
    let additional = hex("ffffffffffffffff 19 01 19 fefd 0001 000000000000 41 0004");
    keys.seal([0; 8], &additional, &mut text).unwrap();
    let mut record = [&hex("19 fefd 0001 000000000000 41 0014")[..], &[0; 8], &text].concat();
    let (_, mut read) = pair(Suite::PskCcm8, b"A");
    assert_eq!(open(&mut read, &mut record, 1).unwrap_err(), Discard::Malformed);
}

#[test]
fn a_record_counts_once_and_late_ones_are_not_the_newest() {
    let (mut write, mut read) = pair(Suite::PskCcm8, b"");
    let records: Vec<Vec<u8>> = (0_u8..100)
        .map(|n| sealed(&mut write, ContentType::APPLICATION_DATA, &[n]))
        .collect();
    let mut take = |n: usize| open(&mut read, &mut records[n].clone(), 0).map(|(opened, _)| opened.newest);
    assert_eq!(take(1), Ok(true));
    assert_eq!(take(0), Ok(false));
    assert_eq!(take(0), Err(Discard::Replayed));
    assert_eq!(take(70), Ok(true));
    assert_eq!(take(7), Ok(false));
    assert_eq!(take(6), Err(Discard::TooOld));
}

#[test]
fn what_is_not_authentic_moves_no_window() {
    let (mut write, mut read) = pair(Suite::PskCcm8, b"");
    let good = sealed(&mut write, ContentType::APPLICATION_DATA, b"good");
    write.continue_at(1 << 40);
    let mut forged = sealed(&mut write, ContentType::APPLICATION_DATA, b"bad");
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(
        open(&mut read, &mut forged, 0).unwrap_err(),
        Discard::Authentication
    );
    assert!(open(&mut read, &mut good.clone(), 0).unwrap().0.newest);
}

#[test]
fn records_of_another_epoch_version_or_form_are_told_apart() {
    let (mut write, mut read) = pair(Suite::PskCcm8, b"");
    let record = sealed(&mut write, ContentType::APPLICATION_DATA, b"x");
    let mut with = |at: usize, byte: u8| {
        let mut other = record.clone();
        other[at] = byte;
        open(&mut read, &mut other, 1).unwrap_err()
    };
    assert_eq!(with(4, 2), Discard::Epoch);
    assert_eq!(with(2, 0xFF), Discard::Version);
    assert_eq!(with(0, 21), Discard::Authentication);
    let (mut write, mut read) = pair(Suite::PskCcm8, b"I");
    let mut record = sealed(&mut write, ContentType::APPLICATION_DATA, b"x");
    let (mut plain, _) = pair(Suite::PskCcm8, b"");
    let mut without = sealed(&mut plain, ContentType::APPLICATION_DATA, b"x");
    assert_eq!(
        open(&mut read, &mut without, 1).unwrap_err(),
        Discard::ConnectionId
    );
    assert!(open(&mut read, &mut record, 1).is_ok());
}

#[test]
fn limits_hold() {
    let (mut write, mut read) = pair(Suite::PskCcm8, b"");
    let mut buf = vec![0; MAX_PLAINTEXT + 100];
    let long = vec![0; MAX_PLAINTEXT + 1];
    let data = ContentType::APPLICATION_DATA;
    assert_eq!(write.seal(data, &long, &mut buf), Err(SealError::TooLong));
    assert_eq!(write.seal(data, b"x", &mut buf[..29]), Err(SealError::NoRoom(30)));
    assert_eq!(write.next_sequence(), 0, "what failed used no number");
    write.set_limit(1);
    assert_eq!(write.seal(data, &long[1..], &mut buf), Ok(MAX_PLAINTEXT + 29));
    assert_eq!(write.seal(data, b"x", &mut buf), Err(SealError::Exhausted));
    write.set_limit(u64::MAX);
    write.continue_at(MAX_SEQUENCE);
    assert_eq!(write.seal(data, b"x", &mut buf), Ok(30));
    assert_eq!(write.seal(data, b"x", &mut buf), Err(SealError::Exhausted));

    read.set_limit(1, 1);
    write.set_limit(u64::MAX);
    write.continue_at(1);
    let record = sealed(&mut write, data, b"x");
    assert_eq!(
        open(&mut read, &mut record.clone(), 0).unwrap_err(),
        Discard::BeyondReserve
    );
    read.set_limit(2, 1);
    assert!(open(&mut read, &mut record.clone(), 0).is_ok());
}

#[test]
fn what_is_too_short_to_be_sealed_is_not_authentic() {
    for suite in Suite::ALL {
        let (_, mut read) = pair(suite, b"");
        for len in 0_u8..24 {
            let mut record = hex("17 fefd 0001 000000000000 00");
            record.push(len);
            record.resize(record.len() + usize::from(len), 0);
            assert_eq!(
                open(&mut read, &mut record, 0).unwrap_err(),
                Discard::Authentication
            );
        }
    }
}

#[test]
fn the_states_of_a_session_at_rest_are_small() {
    assert!(size_of::<WriteState>() <= 64);
    assert!(size_of::<ReadState>() <= 64);
}

fn suites() -> impl Strategy<Value = Suite> {
    proptest::sample::select(&Suite::ALL[..])
}

proptest! {
    #[test]
    fn what_one_side_seals_the_other_opens_unless_a_bit_differs(
        suite in suites(),
        cid in proptest::collection::vec(any::<u8>(), 0..20),
        plaintext in proptest::collection::vec(any::<u8>(), 0..300),
        sequence in 0..=MAX_SEQUENCE,
        flip in any::<proptest::sample::Index>(),
    ) {
        let (mut write, mut read) = pair(suite, &cid);
        write.continue_at(sequence);
        let mut record = sealed(&mut write, ContentType::APPLICATION_DATA, &plaintext);
        let cid_len = u8::try_from(cid.len()).unwrap();
        prop_assert_eq!(suite.aead() == AeadKind::Ccm8, write.overhead() == 29 + cid.len() + usize::from(cid_len > 0));

        let mut changed = record.clone();
        let bit = flip.index(8 * changed.len());
        changed[bit / 8] ^= 1 << (bit % 8);
        // The length is the only part that may leave no record at all.
        if let Some(header) = RecordHeader::parse(&changed, cid_len) {
            prop_assert!(read.open(&header, &mut changed).is_err());
        }
        let (opened, content) = open(&mut read, &mut record, cid_len).unwrap();
        prop_assert_eq!(content, plaintext);
        prop_assert_eq!(opened.content_type, ContentType::APPLICATION_DATA);
        prop_assert!(opened.newest);
    }

    #[test]
    fn whatever_comes_is_opened_or_discarded(
        bytes in proptest::collection::vec(any::<u8>(), 13..80),
        suite in suites(),
        with_cid in any::<bool>(),
    ) {
        let mut read = ReadState::new(keys(suite).client, 1, with_cid);
        let mut datagram = bytes;
        datagram[3..5].copy_from_slice(&[0, 1]);
        datagram[11] = 0;
        if let Some(header) = RecordHeader::parse(&datagram, 2) {
            prop_assert!(read.open(&header, &mut datagram).is_err());
        }
    }
}
