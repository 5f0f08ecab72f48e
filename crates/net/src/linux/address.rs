//! Socket addresses as the kernel lays them out (ip(7), ipv6(7)), and what of a path goes into one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use coracle_engine::Path;

use super::put;

/// Room for the longer of the two kinds, `sockaddr_in6`.
pub(super) const NAME_SIZE: usize = size_of::<libc::sockaddr_in6>();

/// A `sockaddr_in` or `sockaddr_in6` in bytes.
pub(super) type Name = [u8; NAME_SIZE];

// Layout of both: the family in the machine's order, then the port in the network's.
const FAMILY_V4: [u8; 2] = (libc::AF_INET as u16).to_ne_bytes();
const FAMILY_V6: [u8; 2] = (libc::AF_INET6 as u16).to_ne_bytes();

/// Reads an address; an IPv4 address mapped into IPv6 becomes the IPv4 address, so that a peer has one address.
/// `None` for another family.
pub(super) fn read(name: &Name) -> Option<SocketAddr> {
    let [f0, f1, p0, p1, rest @ ..] = name;
    let port = u16::from_be_bytes([*p0, *p1]);
    match [*f0, *f1] {
        FAMILY_V4 => {
            let (address, _) = rest.split_first_chunk::<4>()?;
            Some(SocketAddr::from((*address, port)))
        }
        FAMILY_V6 => {
            // Four bytes of flow information come first; they are no part of a peer's address.
            let (_, rest) = rest.split_first_chunk::<4>()?;
            let (address, rest) = rest.split_first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(*rest.first_chunk::<4>()?);
            let address = Ipv6Addr::from(*address);
            Some(match address.to_ipv4_mapped() {
                Some(address) => SocketAddr::from((address, port)),
                None => SocketAddrV6::new(address, port, 0, scope).into(),
            })
        }
        _ => None,
    }
}

/// Writes an address for a socket of IPv6 (`v6_socket`) or IPv4 and returns its length.
fn write(address: SocketAddr, v6_socket: bool, name: &mut Name) -> usize {
    let (ip, scope) = match address {
        SocketAddr::V4(v4) if !v6_socket => {
            put(name, 0, FAMILY_V4);
            put(name, 2, v4.port().to_be_bytes());
            put(name, 4, v4.ip().octets());
            return size_of::<libc::sockaddr_in>();
        }
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
    };
    put(name, 0, FAMILY_V6);
    put(name, 2, address.port().to_be_bytes());
    // Flow information: none.
    put(name, 4, [0; 4]);
    put(name, 8, ip.octets());
    put(name, 24, scope.to_ne_bytes());
    NAME_SIZE
}

/// Where a datagram goes, decided from its path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Destination {
    remote: SocketAddr,
    /// The source address to use, of the family of `remote`.
    pub(super) source: Option<IpAddr>,
    /// The interface to leave by; 0 leaves it to the routes.
    pub(super) interface: u32,
}

impl Destination {
    /// Obeys the rules that [`SendBatch::push`](crate::SendBatch::push) tells. Nothing needs to be chosen for what goes
    /// back from `own`, the address of a socket that has only one.
    pub(super) fn of(path: &Path, own: Option<IpAddr>) -> Destination {
        let remote = match path.remote {
            SocketAddr::V4(_) => path.remote,
            SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
                Some(ip) => SocketAddr::from((ip, v6.port())),
                None => path.remote,
            },
        };
        if own.is_some() && path.local == own && path.interface == 0 {
            return Destination {
                remote,
                source: None,
                interface: 0,
            };
        }
        let source = path.local.map(|local| local.to_canonical()).filter(|local| {
            // A group or a broadcast address is no source (RFC 1122 §3.2.1.3, RFC 4291 §2.7).
            let unicast = !path.multicast && !local.is_multicast() && !local.is_unspecified();
            unicast && local.is_ipv4() == remote.is_ipv4()
        });
        let scope = match remote {
            SocketAddr::V6(v6) => v6.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        let bound_to_a_link = |ip: IpAddr| ip.is_multicast() || is_link_local(ip);
        let interface = if scope != 0 {
            scope
        } else if source.is_none_or(is_link_local) || bound_to_a_link(remote.ip()) {
            path.interface
        } else {
            0
        };
        Destination {
            remote,
            source,
            interface,
        }
    }

    /// Writes the remote address and returns its length.
    pub(super) fn write_name(&self, v6_socket: bool, name: &mut Name) -> usize {
        let mut remote = self.remote;
        if let SocketAddr::V6(v6) = &mut remote
            && self.interface != 0
        {
            v6.set_scope_id(self.interface);
        }
        write(remote, v6_socket, name)
    }

    /// The family that the datagram goes out in.
    pub(super) fn is_ipv4(&self) -> bool {
        self.remote.is_ipv4()
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::is_link_local(&ip),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(remote: &str, local: &str, interface: u32) -> Path {
        Path {
            local: local.parse().ok(),
            interface,
            ..Path::to(remote.parse().unwrap())
        }
    }

    fn destination(path: &Path) -> (String, Option<String>, u32) {
        let to = Destination::of(path, None);
        (
            to.remote.to_string(),
            to.source.map(|source| source.to_string()),
            to.interface,
        )
    }

    #[test]
    fn addresses_survive_both_kinds_of_socket() {
        for text in [
            "127.0.0.1:5683",
            "[2001:db8::1]:61616",
            "[fe80::1%7]:1",
            "[ff02::fd%3]:5683",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            for v6_socket in [true, address.is_ipv6()] {
                let mut name = [0xAA; NAME_SIZE];
                write(address, v6_socket, &mut name);
                assert_eq!(read(&name), Some(address), "{text}");
            }
        }
    }

    #[test]
    fn the_layout_is_that_of_the_kernel() {
        let mut name = [0; NAME_SIZE];
        assert_eq!(write("192.0.2.1:5683".parse().unwrap(), false, &mut name), 16);
        assert_eq!(name[2..8], [0x16, 0x33, 192, 0, 2, 1]);
        assert_eq!(write("192.0.2.1:5683".parse().unwrap(), true, &mut name), 28);
        assert_eq!(name[2..8], [0x16, 0x33, 0, 0, 0, 0]);
        assert_eq!(name[18..24], [0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(read(&[0; NAME_SIZE]), None);
    }

    #[test]
    fn an_answer_leaves_from_the_address_that_was_asked_and_follows_the_routes() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            destination(&path("192.0.2.7:5683", "192.0.2.1", 4)),
            ("192.0.2.7:5683".to_owned(), some("192.0.2.1"), 0)
        );
        assert_eq!(
            destination(&path("[::ffff:192.0.2.7]:1", "::ffff:192.0.2.1", 4)),
            ("192.0.2.7:1".to_owned(), some("192.0.2.1"), 0)
        );
        assert_eq!(
            destination(&path("[fe80::7%4]:1", "fe80::1", 9)),
            ("[fe80::7%4]:1".to_owned(), some("fe80::1"), 4)
        );
        assert_eq!(
            destination(&path("[2001:db8::7]:1", "fe80::1", 9)),
            ("[2001:db8::7]:1".to_owned(), some("fe80::1"), 9)
        );
    }

    #[test]
    fn what_leaves_from_the_only_address_chooses_nothing() {
        let own = "192.0.2.1".parse().ok();
        let to = Destination::of(&path("[::ffff:192.0.2.7]:1", "192.0.2.1", 0), own);
        assert_eq!((to.remote.to_string().as_str(), to.source), ("192.0.2.7:1", None));
        let other = Destination::of(&path("192.0.2.7:1", "192.0.2.9", 0), own);
        assert_eq!(other.source, "192.0.2.9".parse().ok());
        let mut name = [0; NAME_SIZE];
        let far = path("[fe80::7%4]:1", "2001:db8::1", 0);
        Destination::of(&far, far.local).write_name(true, &mut name);
        assert_eq!(read(&name), Some(far.remote));
    }

    #[test]
    fn a_group_is_never_a_source_but_keeps_the_interface() {
        assert_eq!(destination(&path("192.0.2.7:1", "224.0.1.187", 4)).1, None);
        assert_eq!(destination(&path("192.0.2.7:1", "224.0.1.187", 4)).2, 4);
        assert_eq!(destination(&path("[ff02::fd]:1", "2001:db8::1", 4)).1, None);
        assert_eq!(destination(&path("[ff02::fd]:1", "2001:db8::1", 4)).2, 4);
        let broadcast = Path {
            multicast: true,
            ..path("192.0.2.7:1", "255.255.255.255", 4)
        };
        assert_eq!(destination(&broadcast).1, None);
    }

    #[test]
    fn a_source_of_the_other_family_or_unspecified_is_left_to_the_system() {
        assert_eq!(destination(&path("192.0.2.7:1", "2001:db8::1", 4)).1, None);
        assert_eq!(destination(&path("[2001:db8::7]:1", "::", 0)).1, None);
    }
}
