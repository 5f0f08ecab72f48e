//! Captures for Wireshark and tshark, in pcapng (draft-ietf-opsawg-pcapng).
//!
//! The judge sees payloads, not packets: the headers of IP, UDP and TCP are made anew from the addresses, with hop limits
//! and identifications that mean nothing. Of TCP there is no handshake, and a segment for each record.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::UNIX_EPOCH;

use etherparse::PacketBuilder;

use super::{CaseReport, Report, text};
use crate::transcript::{Fate, Form, Record};

/// Packets begin with the header of IPv4 or IPv6 (LINKTYPE_RAW).
const LINK_TYPE: u16 = 101;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const OPTION_COMMENT: u16 = 1;
const OPTION_USER_APPLICATION: u16 = 4;
const OPTION_TIME_RESOLUTION: u16 = 9;

/// Times are counted in 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// The longest payload that fits into a datagram of IPv4, in bytes.
const LARGEST_PAYLOAD: usize = 65_507;

/// The longest payload of a made-up segment, in bytes: what fits into a packet of IPv4.
const LARGEST_SEGMENT: usize = 65_495;

/// The window of made-up segments.
const WINDOW: u16 = u16::MAX;

/// The longest comment, in characters.
const COMMENT: usize = 400;

/// The hop limit of made-up headers.
const HOP_LIMIT: u8 = 64;

/// Writes the messages of a run in the order of their times, each with a comment that names its case.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut capture = Capture::begin(&format!("Judged: {}", report.subject), out)?;
    let of_case = |case| -> Vec<(&CaseReport, usize, &Record)> {
        let case: &CaseReport = case;
        let records = case.records.iter().enumerate();
        records.map(|(index, record)| (case, index, record)).collect()
    };
    let mut all: Vec<_> = report.cases.iter().flat_map(of_case).collect();
    all.sort_by_key(|(_, _, record)| record.time);
    for (case, index, record) in all {
        capture.packet(record, &comment(case, index, record))?;
    }
    Ok(())
}

/// Which case it is, what became of the message, and why it is wrong.
fn comment(case: &CaseReport, index: usize, record: &Record) -> String {
    let mut comment = case.case.id.to_owned();
    match record.fate {
        Fate::Passed => {}
        Fate::Lost => comment.push_str(", lost by the gateway"),
        Fate::Stray => comment.push_str(", from an address that nobody was asked at"),
    }
    if case.offending == Some(index) {
        comment.push_str(": ");
        comment.push_str(&case.reason);
    }
    comment
}

/// A capture that is being written.
pub struct Capture<W> {
    out: W,
    /// The next sequence number of each direction of a connection.
    sequences: HashMap<(SocketAddr, SocketAddr), u32>,
}

impl<W: Write> Capture<W> {
    /// Begins a capture, with a comment about the whole.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn begin(comment: &str, out: W) -> io::Result<Capture<W>> {
        let mut capture = Capture {
            out,
            sequences: HashMap::new(),
        };
        let mut section = Vec::new();
        // In the order of bytes of this file, version 1.0, of unknown length.
        section.extend(0x1a2b_3c4d_u32.to_le_bytes());
        section.extend([1, 0, 0, 0]);
        section.extend([0xff; 8]);
        put_comment(&mut section, comment);
        let program = concat!("coracle ", env!("CARGO_PKG_VERSION"));
        put_option(&mut section, OPTION_USER_APPLICATION, program.as_bytes());
        end_options(&mut section);
        capture.block(SECTION_HEADER, &section)?;

        let mut interface = Vec::new();
        interface.extend(u32::from(LINK_TYPE).to_le_bytes());
        // No limit to the length of packets.
        interface.extend([0; 4]);
        put_option(&mut interface, OPTION_TIME_RESOLUTION, &[NANOSECONDS]);
        end_options(&mut interface);
        capture.block(INTERFACE_DESCRIPTION, &interface)?;
        Ok(capture)
    }

    /// Adds a datagram with a comment.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn packet(&mut self, record: &Record, comment: &str) -> io::Result<()> {
        let packet = self.wrapped(record)?;
        let length = u32::try_from(packet.len()).map_err(io::Error::other)?;
        let since = record.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        // 64 bits of nanoseconds last until 2554.
        let time = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).to_le_bytes();
        let [low @ .., _, _, _, _] = time;
        let [_, _, _, _, high @ ..] = time;
        // The first interface, of which there is one.
        let mut block = vec![0; 4];
        block.extend(high);
        block.extend(low);
        block.extend(length.to_le_bytes());
        block.extend(length.to_le_bytes());
        block.extend(packet);
        pad(&mut block);
        put_comment(&mut block, comment);
        end_options(&mut block);
        self.block(ENHANCED_PACKET, &block)
    }

    /// Writes out what is still buffered.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn end(mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The payload behind headers of IP and of UDP or TCP.
    fn wrapped(&mut self, record: &Record) -> io::Result<Vec<u8>> {
        let builder = match addresses(record.from, record.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), HOP_LIMIT),
            (from, to) => PacketBuilder::ipv6(octets(from), octets(to), HOP_LIMIT),
        };
        let (from, to) = (record.from.port(), record.to.port());
        if matches!(record.form, Form::Datagram | Form::Records) {
            let payload = record.bytes.get(..LARGEST_PAYLOAD).unwrap_or(&record.bytes);
            let mut packet = Vec::with_capacity(payload.len() + 48);
            let written = builder.udp(from, to).write(&mut packet, payload);
            return written.map_err(io::Error::other).map(|()| packet);
        }
        let payload = record.bytes.get(..LARGEST_SEGMENT).unwrap_or(&record.bytes);
        let (sequence, acknowledged) = self.advance(record, payload.len());
        let segment = builder.tcp(from, to, sequence, WINDOW).ack(acknowledged);
        let segment = match record.form {
            Form::End => segment.fin(),
            Form::Reset => segment.rst(),
            _ => segment.psh(),
        };
        let mut packet = Vec::with_capacity(payload.len() + 60);
        let written = segment.write(&mut packet, payload);
        written.map_err(io::Error::other).map(|()| packet)
    }

    /// The number of a segment, and what it acknowledges.
    fn advance(&mut self, record: &Record, length: usize) -> (u32, u32) {
        let acknowledged = self
            .sequences
            .get(&(record.to, record.from))
            .copied()
            .unwrap_or(1);
        let next = self.sequences.entry((record.from, record.to)).or_insert(1);
        let sequence = *next;
        *next = next.wrapping_add(u32::try_from(length).unwrap_or(0));
        (sequence, acknowledged)
    }

    /// Type, length, content, and the length again.
    fn block(&mut self, kind: u32, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len() + 12).map_err(io::Error::other)?;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(content)?;
        self.out.write_all(&length.to_le_bytes())
    }
}

/// Both as people write them: what a socket for both families calls `::ffff:127.0.0.1` went as IPv4.
fn addresses(from: SocketAddr, to: SocketAddr) -> (IpAddr, IpAddr) {
    (from.ip().to_canonical(), to.ip().to_canonical())
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn put_comment(block: &mut Vec<u8>, comment: &str) {
    let comment: String = text::line(comment).chars().take(COMMENT).collect();
    put_option(block, OPTION_COMMENT, comment.as_bytes());
}

/// Code, length, value, filled up to four bytes.
fn put_option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    block.extend(code.to_le_bytes());
    block.extend(length.to_le_bytes());
    block.extend(value.iter().take(usize::from(length)));
    pad(block);
}

fn end_options(block: &mut Vec<u8>) {
    block.extend([0; 4]);
}

/// What is written so far takes up a multiple of four bytes.
fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}
