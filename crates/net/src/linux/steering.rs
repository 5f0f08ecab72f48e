//! The program with which the kernel chooses the socket of a datagram: [`shard_of`](crate::shard_of) in classic BPF.
#![allow(unsafe_code, reason = "the socket option takes C pointers")]

use std::io;
use std::os::fd::AsRawFd;

use libc::{
    BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_K,
    BPF_LD, BPF_LDX, BPF_MEM, BPF_MISC, BPF_MOD, BPF_MSH, BPF_MUL, BPF_RET, BPF_RSH, BPF_ST, BPF_TAX, BPF_W,
    BPF_X, sock_filter, sock_fprog,
};

use crate::shards::SPREAD;

/// The protocol number of UDP.
const UDP: u32 = 17;

/// A place that no socket has: the kernel chooses then.
const NONE: u32 = u32::MAX;

/// A place in the IP header; other places count from behind the UDP header.
const fn ip(place: u32) -> u32 {
    (libc::SKF_NET_OFF as u32).wrapping_add(place)
}

const fn step(code: u32, operand: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k: operand,
    }
}

/// Goes on if the accumulator is `value`, otherwise skips as many steps.
const fn skip_unless(value: u32, steps: usize) -> sock_filter {
    sock_filter {
        jf: steps as u8,
        ..step(BPF_JMP | BPF_JEQ | BPF_K, value)
    }
}

/// Spreads the sum of the accumulator and the index register.
const SPREAD_SUM: [sock_filter; 2] = [
    step(BPF_ALU | BPF_ADD | BPF_X, 0),
    step(BPF_ALU | BPF_MUL | BPF_K, SPREAD),
];

/// Adds a word of the IP header to the hash in the accumulator.
fn word(place: u32) -> impl Iterator<Item = sock_filter> {
    let load = [
        step(BPF_MISC | BPF_TAX, 0),
        step(BPF_LD | BPF_W | BPF_ABS, ip(place)),
    ];
    load.into_iter().chain(SPREAD_SUM)
}

fn program(shards: u32) -> Vec<sock_filter> {
    // The end of both ways: the port, which was put aside, joins the address.
    let mut end = vec![step(BPF_MISC | BPF_TAX, 0), step(BPF_LD | BPF_MEM, 0)];
    end.extend(SPREAD_SUM);
    end.extend([
        step(BPF_ALU | BPF_RSH | BPF_K, 16),
        step(BPF_ALU | BPF_MOD | BPF_K, shards),
        step(BPF_RET | BPF_A, 0),
    ]);
    let clear = step(BPF_LD | BPF_IMM, 0);

    // Behind an extension header the port would have to be searched.
    let mut v6 = vec![
        step(BPF_LD | BPF_B | BPF_ABS, ip(6)),
        skip_unless(UDP, 3 + 4 * 4 + end.len()),
        step(BPF_LD | BPF_H | BPF_ABS, ip(40)),
        step(BPF_ST, 0),
        clear,
    ];
    v6.extend([8, 12, 16, 20].into_iter().flat_map(word));

    let mut v4 = vec![
        // The header's length, then the port behind it.
        step(BPF_LDX | BPF_B | BPF_MSH, ip(0)),
        step(BPF_LD | BPF_H | BPF_IND, ip(0)),
        step(BPF_ST, 0),
        clear,
    ];
    v4.extend(word(12));
    v4.push(step(BPF_JMP | BPF_JA, v6.len() as u32));

    let mut program = vec![
        step(BPF_LD | BPF_B | BPF_ABS, ip(0)),
        step(BPF_ALU | BPF_RSH | BPF_K, 4),
        skip_unless(4, v4.len()),
    ];
    program.extend(v4);
    program.extend(v6);
    program.extend(end);
    program.push(step(BPF_RET | BPF_K, NONE));
    program
}

/// Has the kernel choose the socket by [`shard_of`](crate::shard_of), for all sockets that share the port.
pub(crate) fn steer(socket: &socket2::Socket, shards: usize) -> io::Result<()> {
    let mut steps = program(u32::try_from(shards).unwrap_or(NONE));
    let program = sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program points to as many steps as it says, which outlive the call; the kernel copies and checks
    // them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
