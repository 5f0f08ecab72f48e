//! Control messages beside a datagram, read and written as bytes in the kernel's layout (cmsg(3)): the length
//! with this header as a `size_t`, level, kind, data, and padding to the size of a `size_t`.

use std::ffi::c_int;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::put;

const WORD: usize = size_of::<usize>();
const HEADER: usize = WORD + 2 * size_of::<c_int>();

/// Space of a message with `data` bytes.
const fn space(data: usize) -> usize {
    HEADER + data.next_multiple_of(WORD)
}

const V4_INFO: usize = size_of::<libc::in_pktinfo>();
const V6_INFO: usize = size_of::<libc::in6_pktinfo>();

/// Control space of a received datagram: a socket of both families gets an IPv4 datagram's addresses in both ways.
pub(super) const RECV_SPACE: usize = space(V4_INFO) + space(V6_INFO);

/// Control space of a datagram to send.
pub(super) const SEND_SPACE: usize = space(if V4_INFO > V6_INFO { V4_INFO } else { V6_INFO });

/// Space for an entry of the error queue: the error, the address of who reports it, and, as for any datagram, where
/// it came to.
pub(super) const ERROR_SPACE: usize =
    space(size_of::<libc::sock_extended_err>() + size_of::<libc::sockaddr_in6>()) + RECV_SPACE;

/// One control message.
pub(super) struct ControlMessage<'a> {
    pub(super) level: c_int,
    pub(super) kind: c_int,
    pub(super) data: &'a [u8],
}

/// The messages in `control`, up to the first that is not whole.
pub(super) fn messages(mut control: &[u8]) -> impl Iterator<Item = ControlMessage<'_>> {
    std::iter::from_fn(move || {
        let length = usize::from_ne_bytes(*control.first_chunk()?);
        let message = control.get(..length)?;
        let level = c_int::from_ne_bytes(*message.get(WORD..)?.first_chunk()?);
        let kind = c_int::from_ne_bytes(*message.get(WORD + size_of::<c_int>()..)?.first_chunk()?);
        let data = message.get(HEADER..)?;
        control = control.get(length.next_multiple_of(WORD)..).unwrap_or_default();
        Some(ControlMessage { level, kind, data })
    })
}

/// Where a datagram came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PacketInfo {
    pub(super) destination: IpAddr,
    pub(super) interface: u32,
    /// The destination is a group or a broadcast address.
    pub(super) to_many: bool,
}

/// Finds the destination among the control messages of a received datagram.
pub(super) fn packet_info(control: &[u8]) -> Option<PacketInfo> {
    let infos = messages(control).filter_map(|message| match (message.level, message.kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => read_v4(message.data),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => read_v6(message.data),
        _ => None,
    });
    // Where there are two, both name the same address, and only that of IPv4 can tell a broadcast.
    infos.reduce(|one, other| PacketInfo {
        to_many: one.to_many || other.to_many,
        ..one
    })
}

/// Layout of `in_pktinfo`: interface, address to answer from, destination.
fn read_v4(data: &[u8]) -> Option<PacketInfo> {
    let (interface, rest) = data.split_first_chunk()?;
    let (answer_from, rest) = rest.split_first_chunk::<4>()?;
    let destination = Ipv4Addr::from(*rest.first_chunk::<4>()?);
    let answer_from = Ipv4Addr::from(*answer_from);
    // The kernel would answer from another address only if the destination is none of this machine's own.
    let to_many = destination.is_multicast() || (destination != answer_from && !answer_from.is_unspecified());
    Some(PacketInfo {
        destination: destination.into(),
        interface: u32::from_ne_bytes(*interface),
        to_many,
    })
}

/// Layout of `in6_pktinfo`: destination, interface.
fn read_v6(data: &[u8]) -> Option<PacketInfo> {
    let (destination, rest) = data.split_first_chunk::<16>()?;
    let interface = u32::from_ne_bytes(*rest.first_chunk()?);
    let destination = IpAddr::from(*destination).to_canonical();
    Some(PacketInfo {
        destination,
        interface,
        to_many: destination.is_multicast(),
    })
}

/// Writes the message that chooses source and interface, and returns the space it takes: none if there is nothing
/// to choose. The family of the datagram decides its kind, not that of the socket.
pub(super) fn write_packet_info(
    ipv4: bool,
    source: Option<IpAddr>,
    interface: u32,
    control: &mut [u8; SEND_SPACE],
) -> usize {
    if source.is_none() && interface == 0 {
        return 0;
    }
    let index = interface.to_ne_bytes();
    if ipv4 {
        let source = match source {
            Some(IpAddr::V4(source)) => source,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        put(control, HEADER, index);
        put(control, HEADER + 4, source.octets());
        put(control, HEADER + 8, [0; 4]);
        write_header(libc::IPPROTO_IP, libc::IP_PKTINFO, V4_INFO, control)
    } else {
        let source = match source {
            Some(IpAddr::V6(source)) => source,
            _ => Ipv6Addr::UNSPECIFIED,
        };
        put(control, HEADER, source.octets());
        put(control, HEADER + 16, index);
        write_header(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, V6_INFO, control)
    }
}

/// Writes what stands before `size` bytes of data, and returns the space of both.
fn write_header(level: c_int, kind: c_int, size: usize, control: &mut [u8; SEND_SPACE]) -> usize {
    put(control, 0, (HEADER + size).to_ne_bytes());
    put(control, WORD, level.to_ne_bytes());
    put(control, WORD + size_of::<c_int>(), kind.to_ne_bytes());
    space(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(source: Option<&str>, ipv4: bool, interface: u32) -> Vec<u8> {
        let mut control = [0xAA; SEND_SPACE];
        let source = source.map(|source| source.parse().unwrap());
        let length = write_packet_info(ipv4, source, interface, &mut control);
        control[..length].to_vec()
    }

    #[test]
    #[cfg(all(target_endian = "little", target_pointer_width = "64"))]
    fn the_layout_is_that_of_the_kernel() {
        let v4 = written(Some("127.0.0.2"), true, 3);
        assert_eq!(
            v4[..28],
            [
                28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 127, 0, 0, 2, 0, 0, 0, 0
            ]
        );
        assert_eq!(v4.len(), 32);
        let v6 = written(Some("::1"), false, 3);
        assert_eq!(v6[..16], [36, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 50, 0, 0, 0]);
        assert_eq!(
            v6[16..36],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0]
        );
        assert_eq!(v6.len(), 40);
        assert!(written(None, true, 0).is_empty());
    }

    #[test]
    fn a_destination_is_read_from_either_kind_or_both() {
        let v6 = written(Some("2001:db8::7"), false, 5);
        let info = packet_info(&v6).unwrap();
        assert_eq!(
            (info.destination, info.interface),
            ("2001:db8::7".parse().unwrap(), 5)
        );
        assert!(!info.to_many);

        let mut both = written(Some("::ffff:192.0.2.255"), false, 5);
        let mut v4 = written(Some("192.0.2.1"), true, 5);
        v4[HEADER + 8..HEADER + 12].copy_from_slice(&[192, 0, 2, 255]);
        both.extend(v4);
        let info = packet_info(&both).unwrap();
        assert_eq!(info.destination, "192.0.2.255".parse::<IpAddr>().unwrap());
        assert!(info.to_many, "a broadcast is told by the address to answer from");

        let group = packet_info(&written(Some("ff02::fd"), false, 1)).unwrap();
        assert!(group.to_many);
    }

    #[test]
    fn control_bytes_that_are_cut_or_wrong_end_the_messages() {
        let whole = written(Some("::1"), false, 3);
        for length in 0..HEADER + V6_INFO {
            assert_eq!(packet_info(&whole[..length]), None, "{length}");
        }
        let mut endless = whole.clone();
        endless[..WORD].copy_from_slice(&0_usize.to_ne_bytes());
        assert_eq!(messages(&endless).count(), 0);
        endless[..WORD].copy_from_slice(&usize::MAX.to_ne_bytes());
        assert_eq!(messages(&endless).count(), 0);
    }
}
