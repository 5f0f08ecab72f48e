//! `recvmmsg` and `sendmmsg` with headers that are allocated once.
#![allow(unsafe_code, reason = "the system calls take C pointers")]

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use coracle_engine::Path;
use libc::{iovec, mmsghdr};

use super::address::{self, Destination, NAME_SIZE, Name};
use super::cmsg::{self, RECV_SPACE, SEND_SPACE};
use crate::batch::{Received, RecvBatch, SendBatch};
use crate::limits::{BATCH_SIZE, SMALL_BATCH};

/// What the kernel fills beside the datagrams.
pub(crate) struct RecvScratch {
    names: Box<[Name]>,
    controls: Box<[[u8; RECV_SPACE]]>,
    headers: Headers,
    /// How many datagrams there is room for next time: while few come, few headers need to be written.
    room: usize,
}

impl RecvScratch {
    pub(crate) fn new() -> RecvScratch {
        RecvScratch {
            names: vec![[0; NAME_SIZE]; BATCH_SIZE].into_boxed_slice(),
            controls: vec![[0; RECV_SPACE]; BATCH_SIZE].into_boxed_slice(),
            headers: Headers::new(),
            room: BATCH_SIZE,
        }
    }
}

/// What the kernel reads beside the datagrams.
pub(crate) struct SendScratch {
    names: Box<[Name]>,
    controls: Box<[[u8; SEND_SPACE]]>,
    headers: Headers,
}

impl SendScratch {
    pub(crate) fn new() -> SendScratch {
        SendScratch {
            names: vec![[0; NAME_SIZE]; BATCH_SIZE].into_boxed_slice(),
            controls: vec![[0; SEND_SPACE]; BATCH_SIZE].into_boxed_slice(),
            headers: Headers::new(),
        }
    }
}

/// The headers of a batch. Their pointers are written anew before each system call and are not followed after it,
/// so that the batch may move.
struct Headers {
    messages: Box<[mmsghdr]>,
    vectors: Box<[iovec]>,
}

// SAFETY: the pointers inside are used only within the call that wrote them, by which the batch is borrowed mutably.
unsafe impl Send for Headers {}
// SAFETY: as above; nothing is reachable through a shared reference.
unsafe impl Sync for Headers {}

impl Headers {
    fn new() -> Headers {
        // SAFETY: all zeros is a message header with neither name, data nor control bytes.
        let empty: mmsghdr = unsafe { std::mem::zeroed() };
        let vector = iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        Headers {
            messages: vec![empty; BATCH_SIZE].into_boxed_slice(),
            vectors: vec![vector; BATCH_SIZE].into_boxed_slice(),
        }
    }

    fn pairs(&mut self) -> impl Iterator<Item = (&mut mmsghdr, &mut iovec)> {
        self.messages.iter_mut().zip(&mut self.vectors)
    }
}

/// Receives what is there, up to a full batch, or less if fewer came last. Returns how many came. `own` is the address of a socket that has only
/// one: it was not asked to tell it with each datagram.
pub(super) fn receive(fd: BorrowedFd<'_>, own: Option<IpAddr>, batch: &mut RecvBatch) -> io::Result<usize> {
    let (slots, scratch, received) = batch.parts();
    let RecvScratch {
        names,
        controls,
        headers,
        room,
    } = scratch;
    let buffers = slots.zip(names.iter_mut()).zip(controls.iter_mut());
    for ((message, vector), ((slot, name), control)) in headers.pairs().zip(buffers).take(*room) {
        vector.iov_base = slot.as_mut_ptr().cast();
        vector.iov_len = slot.len();
        let header = &mut message.msg_hdr;
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = NAME_SIZE as libc::socklen_t;
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = RECV_SPACE as _;
    }
    let messages = &mut headers.messages;
    // SAFETY: each of the first `room` headers, of at least as many, points to one name, vector, slot and control buffer of its own with their true
    // lengths, and all of them are borrowed mutably until the call returns.
    let result = unsafe {
        libc::recvmmsg(
            fd.as_raw_fd(),
            messages.as_mut_ptr(),
            *room as libc::c_uint,
            libc::MSG_DONTWAIT,
            ptr::null_mut(),
        )
    };
    let count = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
    *room = if count == *room {
        BATCH_SIZE
    } else {
        (2 * count).clamp(SMALL_BATCH, BATCH_SIZE)
    };
    for ((message, name), control) in messages.iter().zip(names.iter()).zip(controls.iter()).take(count) {
        let written = control
            .get(..message.msg_hdr.msg_controllen as usize)
            .unwrap_or(control);
        received.push(Received {
            path: path_of(name, own, written),
            len: message.msg_len as usize,
            truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        });
    }
    Ok(count)
}

fn path_of(name: &Name, own: Option<IpAddr>, control: &[u8]) -> Option<Path> {
    let mut path = Path {
        remote: address::read(name)?,
        local: own,
        interface: 0,
        multicast: false,
        security: None,
        connection: None,
    };
    if own.is_none()
        && let Some(info) = cmsg::packet_info(control)
    {
        path.local = Some(info.destination);
        path.interface = info.interface;
        path.multicast = info.to_many;
    }
    Some(path)
}

/// Sends from the front of the batch, which stays as it is. Returns how many were sent, at least one. From `own`, the
/// address of a socket that has only one, datagrams leave in any case.
pub(super) fn send(
    fd: BorrowedFd<'_>,
    v6_socket: bool,
    own: Option<IpAddr>,
    batch: &mut SendBatch,
) -> io::Result<usize> {
    let (waiting, scratch) = batch.waiting();
    let SendScratch {
        names,
        controls,
        headers,
    } = scratch;
    let buffers = waiting.zip(names.iter_mut()).zip(controls.iter_mut());
    let mut count: libc::c_uint = 0;
    for ((message, vector), (((path, payload), name), control)) in headers.pairs().zip(buffers) {
        let to = Destination::of(path, own);
        vector.iov_base = payload.as_ptr().cast_mut().cast();
        vector.iov_len = payload.len();
        let header = &mut message.msg_hdr;
        header.msg_namelen = to.write_name(v6_socket, name) as libc::socklen_t;
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        let length = cmsg::write_packet_info(to.is_ipv4(), to.source, to.interface, control);
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = length as _;
        count += 1;
    }
    // SAFETY: the first `count` headers point to one name, vector, payload and control buffer each with their true
    // lengths, all borrowed until the call returns; the kernel only reads the payloads.
    let result = unsafe {
        libc::sendmmsg(
            fd.as_raw_fd(),
            headers.messages.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
