//! The network interfaces of the machine.

use std::io;
use std::net::IpAddr;

/// Where to join a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Interface {
    /// The one that the system's routes prefer for the group.
    #[default]
    Any,
    /// By its index in the system; 0 is the same as [`Interface::Any`].
    Index(u32),
    /// By its name, such as `eth0`.
    Name(String),
}

impl Interface {
    /// The index in the system, 0 for [`Interface::Any`]. It serves as the scope of an IPv6 address too.
    ///
    /// # Errors
    /// If there is no interface of that name, or where the platform has no names ([`io::ErrorKind::Unsupported`]).
    pub fn index(&self) -> io::Result<u32> {
        match self {
            Interface::Any => Ok(0),
            Interface::Index(index) => Ok(*index),
            Interface::Name(name) => platform::index_of(name),
        }
    }
}

impl From<u32> for Interface {
    fn from(index: u32) -> Interface {
        Interface::Index(index)
    }
}

impl From<&str> for Interface {
    /// A number is an index, anything else a name, as in the zone of an IPv6 address (RFC 4007 §11.2).
    fn from(text: &str) -> Interface {
        text.parse()
            .map_or_else(|_| Interface::Name(text.to_owned()), Interface::Index)
    }
}

/// An interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInterface {
    /// The index in the system.
    pub index: u32,
    /// The name in the system.
    pub name: String,
    /// It leads back to this machine.
    pub loopback: bool,
    /// It says that it can carry multicast. Linux does so without saying it on its loopback interface.
    pub multicast: bool,
    /// The addresses, in the system's order.
    pub addresses: Vec<IpAddr>,
}

/// The interfaces that are up, for example to join a group on each of them.
///
/// # Errors
/// What the system reports; [`io::ErrorKind::Unsupported`] where it cannot be asked.
pub fn interfaces() -> io::Result<Vec<NetworkInterface>> {
    platform::interfaces()
}

#[cfg(not(unix))]
mod platform {
    use super::{NetworkInterface, io};

    pub(super) fn index_of(_name: &str) -> io::Result<u32> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "interfaces have no names here: use the index",
        ))
    }

    pub(super) fn interfaces() -> io::Result<Vec<NetworkInterface>> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the interfaces of this platform cannot be listed",
        ))
    }
}

#[cfg(unix)]
#[allow(
    unsafe_code,
    reason = "the lists of the system are reached through C pointers"
)]
mod platform {
    use std::ffi::{CStr, CString, c_int, c_uint};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::ptr;

    use super::{NetworkInterface, io};

    pub(super) fn index_of(name: &str) -> io::Result<u32> {
        let name = CString::new(name)?;
        // SAFETY: the name is a C string that outlives the call.
        match unsafe { libc::if_nametoindex(name.as_ptr()) } {
            0 => Err(io::Error::last_os_error()),
            index => Ok(index),
        }
    }

    pub(super) fn interfaces() -> io::Result<Vec<NetworkInterface>> {
        let list = List::new()?;
        let mut found: Vec<NetworkInterface> = Vec::new();
        for entry in list.iter() {
            if !has(entry.ifa_flags, libc::IFF_UP) || entry.ifa_name.is_null() {
                continue;
            }
            // SAFETY: the system gives names as C strings that live as long as the list.
            let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy();
            // One that went away since the list was made is not up any more.
            let Ok(index) = index_of(&name) else { continue };
            // By index, because the addresses of one interface may bear labels in place of its name.
            let known = match found.iter().position(|interface| interface.index == index) {
                Some(place) => found.get_mut(place),
                None => {
                    found.push(NetworkInterface {
                        index,
                        name: name.into_owned(),
                        loopback: has(entry.ifa_flags, libc::IFF_LOOPBACK),
                        multicast: has(entry.ifa_flags, libc::IFF_MULTICAST),
                        addresses: Vec::new(),
                    });
                    found.last_mut()
                }
            };
            if let (Some(known), Some(address)) = (known, address_of(entry)) {
                known.addresses.push(address);
            }
        }
        Ok(found)
    }

    fn has(flags: c_uint, flag: c_int) -> bool {
        flags & flag.unsigned_abs() != 0
    }

    fn address_of(entry: &libc::ifaddrs) -> Option<IpAddr> {
        if entry.ifa_addr.is_null() {
            return None;
        }
        // SAFETY: the address is not null and, as every socket address, begins with its family.
        let family = c_int::from(unsafe { ptr::addr_of!((*entry.ifa_addr).sa_family).read_unaligned() });
        if family == libc::AF_INET {
            // SAFETY: an address of this family is a sockaddr_in.
            let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()).into())
        } else if family == libc::AF_INET6 {
            // SAFETY: an address of this family is a sockaddr_in6.
            let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        } else {
            None
        }
    }

    /// The linked list that `getifaddrs` makes, freed at the end.
    struct List(*mut libc::ifaddrs);

    impl List {
        fn new() -> io::Result<List> {
            let mut first = ptr::null_mut();
            // SAFETY: the pointer is valid for the call to write to.
            if unsafe { libc::getifaddrs(&raw mut first) } == 0 {
                Ok(List(first))
            } else {
                Err(io::Error::last_os_error())
            }
        }

        fn iter(&self) -> impl Iterator<Item = &libc::ifaddrs> {
            // SAFETY: each pointer is null or leads to an entry of the list, which lives as long as `self`.
            let entry = |pointer: *mut libc::ifaddrs| unsafe { pointer.as_ref() };
            std::iter::successors(entry(self.0), move |last| entry(last.ifa_next))
        }
    }

    impl Drop for List {
        fn drop(&mut self) {
            // SAFETY: the list came from getifaddrs and is freed once.
            unsafe { libc::freeifaddrs(self.0) }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_listed_and_found_by_its_name() {
        let all = interfaces().unwrap();
        let loopback = all.iter().find(|interface| interface.loopback).unwrap();
        assert!(loopback.addresses.contains(&IpAddr::from([127, 0, 0, 1])));
        assert_eq!(
            Interface::from(loopback.name.as_str()).index().unwrap(),
            loopback.index
        );
        let mut indices: Vec<u32> = all.iter().map(|interface| interface.index).collect();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), all.len(), "an interface is listed twice");
    }

    #[test]
    fn text_is_an_index_or_a_name() {
        assert_eq!(Interface::from("7"), Interface::Index(7));
        assert_eq!(Interface::from("eth0"), Interface::Name("eth0".to_owned()));
        assert_eq!(Interface::Any.index().unwrap(), 0);
        assert!(Interface::from("no such interface").index().is_err());
        assert!(Interface::from("nul\0byte").index().is_err());
    }
}
