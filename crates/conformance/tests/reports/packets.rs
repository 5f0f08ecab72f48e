//! Captures, read back by an own reader and by tshark.

use std::io::{self, Write};
use std::process::Command;

use coracle_conformance::report::pcap;

use crate::hand_made::{hostile_report, report, subject};

/// Type and content of each block (draft-ietf-opsawg-pcapng §3.1).
pub(crate) fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut blocks = Vec::new();
    while !file.is_empty() {
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let length = number(4) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(number(length - 4) as usize, length);
        blocks.push((number(0), file[8..length - 4].to_vec()));
        file = &file[length..];
    }
    blocks
}

/// Code and value of each option (draft-ietf-opsawg-pcapng §3.5).
fn options(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut options = Vec::new();
    loop {
        let code = u16::from_le_bytes([bytes[0], bytes[1]]);
        let length = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
        bytes = &bytes[4..];
        if code == 0 {
            assert_eq!((length, bytes), (0, &[][..]));
            return options;
        }
        options.push((code, bytes[..length].to_vec()));
        bytes = &bytes[length.next_multiple_of(4)..];
    }
}

/// The time in nanoseconds, the packet and the comment of a block.
fn packet(block: &[u8]) -> (u64, Vec<u8>, String) {
    let number = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
    let time = u64::from(number(4)) << 32 | u64::from(number(8));
    let length = number(12) as usize;
    assert_eq!(number(16) as usize, length);
    let (packet, after) = block[20..].split_at(length.next_multiple_of(4));
    let comment = options(after).swap_remove(0);
    assert_eq!(comment.0, 1);
    (
        time,
        packet[..length].to_vec(),
        String::from_utf8(comment.1).unwrap(),
    )
}

fn capture() -> Vec<u8> {
    let mut out = Vec::new();
    pcap::write(&hostile_report(), &mut out).unwrap();
    out
}

#[test]
fn a_capture_has_a_header_an_interface_and_the_packets_in_their_order() {
    let blocks = blocks(&capture());
    assert_eq!(blocks[0].0, 0x0a0d_0d0a);
    assert_eq!(blocks[0].1[..8], *b"\x4d\x3c\x2b\x1a\x01\x00\x00\x00");
    assert_eq!(blocks[1].0, 1);
    assert_eq!(blocks[1].1[..2], 101_u16.to_le_bytes());
    assert_eq!(options(&blocks[1].1[8..]), [(9, vec![9])]);
    let packets: Vec<_> = blocks[2..]
        .iter()
        .map(|(kind, block)| (*kind, packet(block)))
        .collect();
    assert!(packets.iter().all(|(kind, _)| *kind == 6));
    assert!(packets.is_sorted_by_key(|(_, (time, ..))| *time));
    let records: usize = report().cases.iter().map(|case| case.records.len()).sum();
    assert_eq!(packets.len(), records);
}

#[test]
fn packets_have_real_addresses_and_say_what_became_of_them() {
    let blocks = blocks(&capture());
    let packets: Vec<_> = blocks[2..].iter().map(|(_, block)| packet(block)).collect();
    let said = |comment: &str| packets.iter().find(|(.., said)| said == comment).unwrap();

    let (time, bytes, _) = said("TD_COAP_CORE_21, lost by the gateway");
    assert_eq!(*time, 1_769_860_800_000_000_000);
    // RFC 791 §3.1: version and length, protocol, addresses; RFC 768: ports and length.
    assert_eq!((bytes[0], bytes[9]), (0x45, 17));
    assert_eq!(bytes[12..20], [127, 0, 0, 1, 127, 0, 0, 1]);
    assert_eq!(bytes[20..26], [0x9c, 0x40, 0x16, 0x33, 0, 19]);
    assert_eq!(bytes[28..], *b"\x42\x01\x00\x02ab\xb4test");

    let (_, bytes, _) = said("TD_COAP_CORE_21, from an address that nobody was asked at");
    assert_eq!(bytes[12..20], [127, 0, 0, 9, 127, 0, 0, 1]);
    said("TD_COAP_CORE_21: the token is 7879, not that of the request, 6162");
    let hostile = packets
        .iter()
        .find(|(.., said)| said.starts_with("RFC7252-3-malformed: "));
    assert!(!hostile.unwrap().2.contains(char::is_control));
}

#[test]
fn addresses_of_ipv6_make_packets_of_ipv6() {
    let mut report = report();
    report.cases.truncate(1);
    for record in &mut report.cases[0].records {
        for address in [&mut record.from, &mut record.to] {
            address.set_ip("fd00::1".parse().unwrap());
        }
    }
    let mut out = Vec::new();
    pcap::write(&report, &mut out).unwrap();
    let (_, bytes, _) = packet(&blocks(&out)[2].1);
    // RFC 8200 §3: version, next header, source.
    assert_eq!((bytes[0] >> 4, bytes[6]), (6, 17));
    assert_eq!(bytes[8..24], *b"\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01");
    assert_eq!(bytes[48..], *b"\x42\x01\x00\x01ab\xb4test");
}

#[test]
fn tshark_reads_a_capture_without_complaint() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.pcapng");
    std::fs::write(&file, capture()).unwrap();
    let port = format!("udp.port=={},coap", subject().port());
    let fields = [
        "frame.number",
        "coap.code",
        "_ws.malformed",
        "ip.checksum.status",
        "udp.checksum.status",
    ];
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&file).args(["-d", &port, "-T", "fields"]);
    tshark.args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
    let output = match tshark
        .args(fields.iter().flat_map(|field| ["-e", field]))
        .output()
    {
        Ok(output) => output,
        Err(error) => {
            let _ = writeln!(io::stderr(), "skipped: there is no tshark: {error}");
            return;
        }
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert!(!complaints.contains("tshark:"), "{complaints}");
    let text = String::from_utf8_lossy(&output.stdout);
    let records: usize = report().cases.iter().map(|case| case.records.len()).sum();
    assert_eq!(text.lines().count(), records);
    // The first is a GET; checksums that are right have status 1 (epan/proto.h).
    assert_eq!(text.lines().next(), Some("1\t1\t\t1\t1"));
    assert!(text.lines().all(|line| line.ends_with("\t1\t1")), "{text}");
}
