//! What is saved comes back, and whatever happens between, no nonce is used twice and no record taken twice.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::reserve::Reserve;
use super::segment::{ItemKind, SegmentReader, SegmentWriter};
use super::session::{SavedSession, SessionToSave};
use super::*;
use crate::crypto::{Keys, MasterSecret, Suite};
use crate::identity::Identity;
use crate::limits::{READ_AHEAD_AT_LEAST, READ_AHEAD_AT_MOST, SAVED_PIECE, WRITE_AHEAD};
use crate::messages::codec::{Reader, Writer};
use crate::path::{Path, SessionId};
use crate::record::{ContentType, Discard, ReadState, RecordHeader, WriteState};

const KEY: [u8; 32] = [3; 32];

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn keys(suite: Suite) -> Keys {
    MasterSecret::from_bytes(&[7; 48]).key_block(suite, &[1; 32], &[2; 32])
}

/// The server's side of a session, and the client's way to write to it.
struct Ends {
    write: WriteState,
    read: ReadState,
    device: WriteState,
}

fn ends() -> Ends {
    let (of_client, of_server) = (keys(Suite::PskCcm8).client, keys(Suite::PskCcm8).server);
    Ends {
        write: WriteState::protected(of_server, 1, b"peer"),
        read: ReadState::new(of_client.clone(), 1, false),
        device: WriteState::protected(of_client, 1, b""),
    }
}

fn path() -> Path {
    Path {
        remote: "[fe80::1%3]:5684".parse().unwrap(),
        local: Some("192.0.2.1".parse().unwrap()),
        interface: 4,
    }
}

fn item(write: &mut WriteState, read: &mut ReadState) -> (Vec<u8>, Reserve) {
    let reserve = Reserve::begin(write, read);
    let session = SessionToSave {
        id: SessionId::from_number(77).unwrap(),
        path: path(),
        cid: b"ours",
        write,
        read,
        identity: &Identity::Psk(b"device".to_vec()),
        peer_limit: 512,
        client_random: *b"hello...",
    };
    let mut bytes = Vec::new();
    session.write(reserve, &mut Writer::new(&mut bytes));
    (bytes, reserve)
}

fn record(device: &mut WriteState) -> Vec<u8> {
    let mut buf = vec![0; 64];
    let len = device
        .seal(ContentType::APPLICATION_DATA, b"x", &mut buf)
        .unwrap();
    buf.truncate(len);
    buf
}

fn open(read: &mut ReadState, record: &[u8]) -> Result<(), Discard> {
    let mut datagram = record.to_vec();
    let header = RecordHeader::parse(&datagram, 0).unwrap();
    read.open(&header, &mut datagram).map(|_| ())
}

#[test]
fn a_session_comes_back_as_it_was() {
    let Ends {
        mut write,
        mut read,
        mut device,
    } = ends();
    open(&mut read, &record(&mut device)).unwrap();
    write.continue_at(9);
    let (bytes, _) = item(&mut write, &mut read);
    let saved = SavedSession::read(Reader::new(&bytes), 0).unwrap();
    assert_eq!((saved.id.get(), saved.path), (77, path()));
    assert_eq!((saved.peer_limit, &saved.client_random), (512, b"hello..."));
    assert_eq!((&saved.cid[..], saved.write.cid()), (&b"ours"[..], &b"peer"[..]));
    assert_eq!(*saved.identity, Identity::Psk(b"device".to_vec()));
    assert_eq!((saved.write.epoch(), saved.write.next_sequence()), (1, 9));
    assert_eq!(saved.read.window(), read.window());
    // The keys: the next record opens.
    let mut read = saved.read;
    assert_eq!(open(&mut read, &record(&mut device)), Ok(()));
    for len in 0..bytes.len() {
        assert!(SavedSession::read(Reader::new(&bytes[..len]), 0).is_none());
    }
}

#[test]
fn an_item_is_small() {
    let Ends {
        mut write, mut read, ..
    } = ends();
    let (bytes, _) = item(&mut write, &mut read);
    assert!(bytes.len() < 160, "{}", bytes.len());
}

#[test]
fn a_session_that_was_never_saved_has_no_bounds() {
    let Ends {
        write,
        mut read,
        mut device,
    } = ends();
    assert!(!Reserve::is_low(&write, &read));
    device.continue_at(1 << 40);
    assert_eq!(open(&mut read, &record(&mut device)), Ok(()));
    assert!(!Reserve::is_low(&write, &read));
}

#[test]
fn a_session_keeps_to_its_reserve_until_the_next_is_on_the_disk() {
    let Ends {
        mut write,
        mut read,
        mut device,
    } = ends();
    let (_, first) = item(&mut write, &mut read);
    first.commit(&mut write, &mut read);
    assert_eq!(write.limit(), WRITE_AHEAD);
    write.continue_at(WRITE_AHEAD / 2);
    assert!(!Reserve::is_low(&write, &read));
    write.continue_at(WRITE_AHEAD / 2 + 1);
    assert!(Reserve::is_low(&write, &read));
    let (_, second) = item(&mut write, &mut read);
    assert_eq!(write.limit(), WRITE_AHEAD, "the old one counts");
    second.commit(&mut write, &mut read);
    assert_eq!(write.limit(), WRITE_AHEAD + WRITE_AHEAD / 2 + 1);
    assert!(!Reserve::is_low(&write, &read));

    for n in 0..READ_AHEAD_AT_LEAST {
        assert_eq!(Reserve::is_low(&write, &read), n > READ_AHEAD_AT_LEAST / 2);
        assert_eq!(open(&mut read, &record(&mut device)), Ok(()));
    }
    assert_eq!(open(&mut read, &record(&mut device)), Err(Discard::BeyondReserve));
}

#[test]
fn the_reserve_of_what_is_received_follows_the_peer() {
    let Ends {
        mut write,
        mut read,
        mut device,
    } = ends();
    let mut aheads = Vec::new();
    for used in [8, 16, 32, 20, 0, 0, 0] {
        let (_, reserve) = item(&mut write, &mut read);
        reserve.commit(&mut write, &mut read);
        aheads.push(reserve.read_ahead());
        device.continue_at(device.next_sequence() + used - used.min(1));
        if used > 0 {
            open(&mut read, &record(&mut device)).unwrap();
        }
    }
    assert_eq!(aheads, [8, 16, 32, 64, 64, 32, 16]);
    read.set_limit(read.window().end(), READ_AHEAD_AT_MOST);
    let (_, most) = item(&mut write, &mut read);
    assert_eq!(most.read_ahead(), READ_AHEAD_AT_MOST);
}

#[test]
fn a_crash_leaves_out_what_may_have_been_used() {
    let Ends {
        mut write,
        mut read,
        mut device,
    } = ends();
    let early = record(&mut device);
    open(&mut read, &early).unwrap();
    let (bytes, _) = item(&mut write, &mut read);
    let ahead = u64::from(READ_AHEAD_AT_LEAST);
    for reserves in 1..4 {
        let mut saved = SavedSession::read(Reader::new(&bytes), reserves).unwrap();
        assert_eq!(saved.write.next_sequence(), reserves * WRITE_AHEAD);
        assert_eq!(saved.write.limit(), (reserves + 1) * WRITE_AHEAD);
        assert!(open(&mut saved.read, &early).is_err());
        device.continue_at(reserves * ahead);
        assert_eq!(
            open(&mut saved.read, &record(&mut device)),
            Err(Discard::Replayed)
        );
        assert_eq!(open(&mut saved.read, &record(&mut device)), Ok(()));
        device.continue_at((reserves + 1) * ahead + 1);
        assert_eq!(
            open(&mut saved.read, &record(&mut device)),
            Err(Discard::BeyondReserve)
        );
    }
}

/// What may happen to a session whose state is kept.
#[derive(Clone, Debug)]
enum Happening {
    Send(u16),
    /// It has sent so much that the reserve is nearly used up.
    UseUp,
    Receive(u16),
    /// The last records of the peer come again.
    Replay,
    /// Is written to the disk, or the process ends while that is done.
    Save {
        written: bool,
        committed: bool,
    },
    PlannedRestart,
    Crash,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        4 => (1_u16..40).prop_map(Happening::Send),
        1 => Just(Happening::UseUp),
        4 => (1_u16..20).prop_map(Happening::Receive),
        3 => Just(Happening::Replay),
        4 => (any::<bool>(), any::<bool>()).prop_map(|(written, committed)| Happening::Save { written, committed }),
        1 => Just(Happening::PlannedRestart),
        2 => Just(Happening::Crash),
    ];
    proptest::collection::vec(one, 1..60)
}

/// The disk: what the next process will find, whether it is final, and how often it was read.
struct Disk {
    bytes: Vec<u8>,
    is_final: bool,
    imports: u64,
}

proptest! {
    #[test]
    fn no_nonce_is_used_and_no_record_taken_twice(happenings in happenings()) {
        let Ends { mut write, mut read, mut device } = ends();
        let (mut used, mut taken) = (BTreeSet::new(), BTreeSet::new());
        let mut disk: Option<Disk> = None;
        let mut records: Vec<Vec<u8>> = Vec::new();
        for happening in happenings {
            match happening {
                Happening::Send(count) => for _ in 0..count {
                    let next = write.next_sequence();
                    if write.seal(ContentType::ALERT, b"", &mut [0; 99]).is_ok() {
                        prop_assert!(used.insert(next), "nonce {next} again");
                    }
                },
                Happening::UseUp => {
                    let nearly = write.limit().min(1 << 40) - 10;
                    write.continue_at(write.next_sequence().max(nearly));
                }
                Happening::Receive(count) => for _ in 0..count {
                    records.push(record(&mut device));
                    let last = records.len() - 1;
                    if open(&mut read, &records[last]).is_ok() {
                        prop_assert!(taken.insert(last));
                    }
                },
                Happening::Replay => for which in (0..records.len()).rev().take(40) {
                    if open(&mut read, &records[which]).is_ok() {
                        prop_assert!(taken.insert(which), "record {which} again");
                    }
                },
                Happening::Save { written, committed } => {
                    let (bytes, reserve) = item(&mut write, &mut read);
                    if written || committed {
                        disk = Some(Disk { bytes, is_final: false, imports: 0 });
                    }
                    if committed {
                        reserve.commit(&mut write, &mut read);
                    }
                }
                Happening::PlannedRestart => {
                    let (bytes, _) = item(&mut write, &mut read);
                    let saved = SavedSession::read(Reader::new(&bytes), 0).unwrap();
                    (write, read) = (saved.write, saved.read);
                    disk = Some(Disk { bytes, is_final: true, imports: 1 });
                }
                Happening::Crash => {
                    // Without anything on the disk the session is gone.
                    let Some(disk) = &mut disk else { return Ok(()) };
                    let reserves = disk.imports + u64::from(!disk.is_final);
                    let saved = SavedSession::read(Reader::new(&disk.bytes), reserves).unwrap();
                    (write, read) = (saved.write, saved.read);
                    disk.imports += 1;
                }
            }
        }
    }
}

fn numbers(count: u32, is_final: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = SegmentWriter::new(&KEY, is_final, &mut rng(), &mut out);
    for n in 0..count {
        writer.item(ItemKind::ENDED, |w| w.u32(n), &mut out);
    }
    writer.finish(&mut out);
    out
}

fn read_numbers(key: &[u8; 32], bytes: &[u8]) -> (Vec<u32>, Result<bool, ImportError>) {
    let mut bytes = bytes.to_vec();
    let mut found = Vec::new();
    let mut read = || {
        let mut reader = SegmentReader::new(key, &mut bytes)?;
        while let Some(items) = reader.piece()? {
            found.extend(items.map(|(kind, mut item)| {
                assert_eq!(kind, ItemKind::ENDED);
                item.u32().unwrap()
            }));
        }
        Ok(reader.is_final())
    };
    let result = read();
    (found, result)
}

#[test]
fn a_segment_is_read_as_it_was_written() {
    for count in [0, 1, 100, 10_000] {
        let bytes = numbers(count, count == 1);
        let expected: Vec<u32> = (0..count).collect();
        assert_eq!(read_numbers(&KEY, &bytes), (expected, Ok(count == 1)));
    }
    let two = [numbers(3, false), numbers(5, true)].concat();
    let mut bytes = two;
    let mut first = SegmentReader::new(&KEY, &mut bytes).unwrap();
    while first.piece().unwrap().is_some() {}
    assert_eq!(read_numbers(&KEY, first.rest()).0.len(), 5);
}

#[test]
fn what_is_cut_off_is_good_up_to_there() {
    let bytes = numbers(10_000, false);
    for len in [0, 1, 21, 22, 25, 70_000, bytes.len() - 1] {
        let (found, result) = read_numbers(&KEY, &bytes[..len]);
        assert_eq!(result, Err(ImportError::CutOff));
        assert!(found.iter().copied().eq(0..u32::try_from(found.len()).unwrap()));
        assert_eq!(found.is_empty(), len < 65_000);
    }
}

#[test]
fn another_key_and_any_change_are_noticed() {
    let bytes = numbers(10, false);
    assert_eq!(read_numbers(&[4; 32], &bytes), (vec![], Err(ImportError::Key)));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let (found, result) = read_numbers(&KEY, &changed);
        assert!(found.is_empty() && result.is_err(), "byte {at}");
    }
    // A last piece that is said to be another, and one that is said to be the last.
    let mut open_end = bytes.clone();
    open_end[22] ^= 0x80;
    assert_eq!(read_numbers(&KEY, &open_end).1, Err(ImportError::Key));
}

#[test]
fn pieces_stay_in_their_order_and_segment() {
    let bytes = numbers(10_000, false);
    let second = 22 + 4 + usize::try_from(u32::from_be_bytes(bytes[22..26].try_into().unwrap())).unwrap();
    let without_first = [&bytes[..22], &bytes[second..]].concat();
    assert_eq!(
        read_numbers(&KEY, &without_first),
        (vec![], Err(ImportError::Key))
    );
}

#[test]
fn an_item_that_is_too_long_is_left_out() {
    let mut out = Vec::new();
    let mut writer = SegmentWriter::new(&KEY, false, &mut rng(), &mut out);
    writer.item(ItemKind::ENDED, |w| w.put(&vec![0; SAVED_PIECE + 1]), &mut out);
    writer.item(ItemKind::ENDED, |w| w.u32(7), &mut out);
    writer.item(
        ItemKind::ENDED,
        |w| w.put(&[0, 0, 0, 8].repeat(SAVED_PIECE / 4)),
        &mut out,
    );
    writer.finish(&mut out);
    assert_eq!(read_numbers(&KEY, &out), (vec![7, 8], Ok(false)));
}

proptest! {
    #[test]
    fn whatever_is_on_the_disk_is_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read_numbers(&KEY, &bytes).1.is_err());
        let mut bytes = [&b"DTLS\x01\x00"[..], &bytes].concat();
        prop_assert!(read_numbers(&KEY, &bytes).1.is_err());
        bytes.splice(..6, []);
        prop_assert!(SavedSession::read(Reader::new(&bytes), 1).is_none());
    }
}
