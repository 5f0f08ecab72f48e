//! A non-blocking socket in tokio's reactor.
#![allow(
    unsafe_code,
    reason = "socket options without a safe wrapper, and the registration with the reactor"
)]

use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{batch, errqueue};
use crate::batch::{RecvBatch, SendBatch};
use crate::errors::ErrorQueue;
use crate::limits::{ATTEMPTS, PENDING_ERRORS, SMALL_BATCH};

/// Asks for errors and, with `addresses`, for where a datagram came to beside the datagrams. It is done before binding, so that no datagram lacks them.
pub(crate) fn prepare(
    socket: &socket2::Socket,
    ipv4: bool,
    ipv6: bool,
    addresses: bool,
    receive_buffer: usize,
) -> io::Result<()> {
    if ipv4 {
        if addresses {
            set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        }
        set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?;
        // Without this, groups that any other program has joined would be delivered too.
        socket.set_multicast_all_v4(false)?;
    }
    if ipv6 {
        if addresses {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
        // Linux before 4.20 does not know it; the flag of the path then still tells the truth.
        let _ = socket.set_multicast_all_v6(false);
    }
    // The kernel doubles what it grants. Beyond its limit only an administrator's process may go.
    if socket.recv_buffer_size()? < receive_buffer.saturating_mul(2) {
        let size = c_int::try_from(receive_buffer).unwrap_or(c_int::MAX);
        let _ = set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, size);
    }
    Ok(())
}

/// Lets sockets of the same user that say so too bind the same address.
pub(crate) fn share_port(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

fn set(socket: &socket2::Socket, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the value is a C int that outlives the call, and its true length is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A bound socket.
pub(crate) struct Socket {
    /// Registered for reading only: each datagram that has left would otherwise wake the reactor to say that there
    /// is room to send, which is hardly ever waited for.
    socket: AsyncFd<socket2::Socket>,
    ipv6: bool,
    /// The one address that datagrams come to and leave from, if there is only one.
    own: Option<IpAddr>,
    errors: ErrorQueue,
}

impl Socket {
    pub(crate) fn new(socket: socket2::Socket, ipv6: bool, own: Option<IpAddr>) -> io::Result<Socket> {
        Ok(Socket {
            socket: register(socket, Interest::READABLE | Interest::ERROR)?,
            ipv6,
            own,
            errors: ErrorQueue::new(),
        })
    }

    pub(crate) fn inner(&self) -> socket2::SockRef<'_> {
        socket2::SockRef::from(self.socket.get_ref())
    }

    /// An error in the queue wakes as a datagram does. Both kinds of readiness end in `try_recv_batch`.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket
            .ready(Interest::READABLE | Interest::ERROR)
            .await
            .map(|mut guard| guard.retain_ready())
    }

    /// Waits with a second registration that lives only as long: after an ICMP error the reactor takes a socket that
    /// waits for room to be closed for writing, for good, and a wait on it would never again wait.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        // An error in the queue would end the wait at once.
        self.drain_errors();
        let socket = register(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?;
        socket.writable().await.map(|mut guard| guard.retain_ready())
    }

    pub(crate) fn try_recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.clear();
        self.collect_errors();
        let mut count = 0;
        let result = self.socket.try_io(Interest::READABLE, |socket| {
            count = self.receive(socket, batch)?;
            // A batch that is not full has emptied the socket: after a small one it counts as not readable until the
            // next datagram, which saves the call that would say so. After a larger one more has come by the time
            // that it is dealt with, and looking is cheaper than being told. An ICMP error may have cut the batch
            // short as well, but its own event then makes the socket readable again.
            if (1..SMALL_BATCH).contains(&count) {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(())
            }
        });
        if count > 0 { Ok(count) } else { result.map(|()| 0) }
    }

    /// Receives past the errors of earlier sending that the kernel reports here, each once. Zero datagrams if they
    /// do not end.
    fn receive(&self, socket: &socket2::Socket, batch: &mut RecvBatch) -> io::Result<usize> {
        for _ in 0..ATTEMPTS {
            match batch::receive(socket.as_fd(), self.own, batch) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(Refusal::of(&error), Refusal::Network) => {
                    self.drain_errors();
                }
                result => return result,
            }
        }
        Ok(0)
    }

    pub(crate) fn try_send_batch(&self, batch: &mut SendBatch) -> io::Result<usize> {
        let (mut sent, mut attempts) = (0, 0);
        while let Some(remote) = batch.first().map(|path| path.remote) {
            let error = match batch::send(self.socket.get_ref().as_fd(), self.ipv6, self.own, batch) {
                Ok(count) => {
                    batch.advance(count);
                    (sent, attempts) = (sent + count, 0);
                    continue;
                }
                Err(error) => error,
            };
            attempts += 1;
            match Refusal::of(&error) {
                Refusal::Socket => return Err(error),
                Refusal::Blocked if sent > 0 => return Ok(sent),
                Refusal::Blocked => return Err(io::ErrorKind::WouldBlock.into()),
                Refusal::Network if attempts < ATTEMPTS => {
                    self.drain_errors();
                    continue;
                }
                Refusal::Network | Refusal::Destination => self.errors.push(remote, error),
                Refusal::Congestion => sent += 1,
            }
            batch.advance(1);
            attempts = 0;
        }
        Ok(sent)
    }

    pub(crate) fn try_recv_error(&self) -> Option<(SocketAddr, io::Error)> {
        self.errors.pop().or_else(|| {
            self.collect_errors();
            self.errors.pop()
        })
    }

    /// Moves the kernel's errors to ours if the reactor has told of any.
    fn collect_errors(&self) {
        let _ = self.socket.try_io(Interest::ERROR, |_| {
            if self.drain_errors() {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(())
            }
        });
    }

    /// Moves the kernel's errors to ours, which also clears the one that the next call would meet. Returns whether
    /// that was all; it ends before when there are as many as we can hold.
    fn drain_errors(&self) -> bool {
        for _ in 0..PENDING_ERRORS {
            match errqueue::next(self.socket.get_ref().as_fd()) {
                Ok(Some((remote, error))) => self.errors.push(remote, error),
                Ok(None) => {}
                Err(_) => return true,
            }
        }
        false
    }
}

fn register(socket: socket2::Socket, interest: Interest) -> io::Result<AsyncFd<socket2::Socket>> {
    // SAFETY: the socket owns its descriptor, which stays open and the same until the registration that owns the
    // socket is gone.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}

/// Why the kernel refused an operation.
enum Refusal {
    /// Nothing to do now.
    Blocked,
    /// An ICMP error, maybe that of another datagram; or this machine has no route.
    Network,
    /// The queue of the device or the memory is full, and the datagram is lost as it might be in any router. It is
    /// not waited for, because nobody tells when another socket's datagrams have left that queue.
    Congestion,
    /// This datagram cannot go there.
    Destination,
    /// Nothing works with this socket.
    Socket,
}

impl Refusal {
    fn of(error: &io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => Refusal::Blocked,
            Some(
                libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::EMSGSIZE
                | libc::EACCES,
            ) => Refusal::Network,
            Some(libc::ENOBUFS | libc::ENOMEM) => Refusal::Congestion,
            Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) => Refusal::Socket,
            _ => Refusal::Destination,
        }
    }
}
