//! The error queue of a socket: ICMP errors with the destination of the datagram that met them (ip(7)).
#![allow(unsafe_code, reason = "the system call takes C pointers")]

use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::address::{self, NAME_SIZE};
use super::cmsg::{self, ERROR_SPACE};

/// Takes the next entry off the queue. `Ok(None)` is an entry that tells of no failed destination; when the queue is
/// empty the error is [`io::ErrorKind::WouldBlock`].
pub(super) fn next(fd: BorrowedFd<'_>) -> io::Result<Option<(SocketAddr, io::Error)>> {
    let mut name = [0; NAME_SIZE];
    let mut control = [0; ERROR_SPACE];
    // SAFETY: all zeros is a message header with neither name, data nor control bytes.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = ptr::from_mut(&mut name).cast();
    header.msg_namelen = NAME_SIZE as libc::socklen_t;
    header.msg_control = ptr::from_mut(&mut control).cast();
    header.msg_controllen = ERROR_SPACE as _;
    // SAFETY: the header points to a name and a control buffer with their true lengths, which outlive the call; no
    // room is offered for the failed datagram itself.
    let result = unsafe {
        libc::recvmsg(
            fd.as_raw_fd(),
            &raw mut header,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let written = control.get(..header.msg_controllen as usize).unwrap_or(&control);
    let failure = cmsg::messages(written).find_map(|message| match (message.level, message.kind) {
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
            failure(message.data)
        }
        _ => None,
    });
    Ok(address::read(&name).zip(failure))
}

/// Layout of `sock_extended_err`: the error number, then a byte for its origin.
fn failure(data: &[u8]) -> Option<io::Error> {
    let (number, rest) = data.split_first_chunk()?;
    let number = c_int::from_ne_bytes(*number);
    // What this machine itself refuses is told by the call that sends.
    let from_network = matches!(*rest.first()?, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6);
    // "Too big" is advice: the kernel has learned the path's MTU, and the datagram goes in fragments next time.
    (from_network && number != libc::EMSGSIZE).then(|| io::Error::from_raw_os_error(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_that_the_network_reports_count() {
        let entry = |number: c_int, origin: u8| {
            let mut data = number.to_ne_bytes().to_vec();
            data.push(origin);
            failure(&data).and_then(|error| error.raw_os_error())
        };
        assert_eq!(
            entry(libc::ECONNREFUSED, libc::SO_EE_ORIGIN_ICMP),
            Some(libc::ECONNREFUSED)
        );
        assert_eq!(
            entry(libc::EHOSTUNREACH, libc::SO_EE_ORIGIN_ICMP6),
            Some(libc::EHOSTUNREACH)
        );
        assert_eq!(entry(libc::EMSGSIZE, libc::SO_EE_ORIGIN_ICMP), None);
        assert_eq!(entry(libc::EMSGSIZE, libc::SO_EE_ORIGIN_LOCAL), None);
        assert!(failure(&[111, 0, 0, 0]).is_none());
    }
}
