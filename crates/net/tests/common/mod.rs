//! What the tests of the sockets share. Times here are bounds after which a test has failed, never a wait for luck.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use coracle_engine::Path;
use coracle_net::{BindOptions, RecvBatch, SendBatch, UdpSocket};

/// A received datagram, kept.
#[derive(Debug)]
pub struct Received {
    pub path: Path,
    pub payload: Vec<u8>,
    pub truncated: bool,
}

pub fn bind(address: &str) -> UdpSocket {
    UdpSocket::bind(address.parse().unwrap(), &BindOptions::default()).unwrap()
}

/// A socket, or `None` with a word where the kernel lacks IPv6.
pub fn socket(address: &str) -> Option<UdpSocket> {
    match UdpSocket::bind(address.parse().unwrap(), &BindOptions::default()) {
        Ok(socket) => Some(socket),
        Err(error) if address.starts_with('[') => {
            println!("skipped: no IPv6 here: {error}");
            None
        }
        Err(error) => panic!("{address}: {error}"),
    }
}

pub fn port_of(socket: &UdpSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .expect("nothing happened for ten seconds")
}

/// Sends all of it, batch by batch.
pub async fn send(socket: &UdpSocket, datagrams: &[(Path, &[u8])]) {
    let mut batch = SendBatch::new();
    let mut rest = datagrams.iter();
    loop {
        while !batch.is_full() {
            let Some((path, payload)) = rest.next() else { break };
            batch
                .slot()
                .unwrap()
                .get_mut(..payload.len())
                .unwrap()
                .copy_from_slice(payload);
            batch.push(path, payload.len());
        }
        if batch.is_empty() {
            return;
        }
        match socket.try_send_batch(&mut batch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                within(socket.writable()).await.unwrap()
            }
            result => drop(result.unwrap()),
        }
    }
}

/// Receives until there are `count` datagrams.
pub async fn receive(socket: &UdpSocket, count: usize) -> Vec<Received> {
    let mut batch = RecvBatch::new();
    let mut all = Vec::new();
    while all.len() < count {
        within(socket.readable()).await.unwrap();
        match socket.try_recv_batch(&mut batch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => drop(result.unwrap()),
        }
        all.extend(batch.datagrams().map(|datagram| Received {
            path: datagram.path,
            payload: datagram.payload.to_vec(),
            truncated: datagram.truncated,
        }));
    }
    assert_eq!(all.len(), count, "more came than was sent");
    all
}

pub async fn receive_one(socket: &UdpSocket) -> Received {
    receive(socket, 1).await.pop().unwrap()
}

/// Waits for the socket for a while in which nothing is to happen, and counts how often the wait is polled: once at
/// the start and once when the time is over, unless something else wakes it.
pub async fn assert_quiet(socket: &UdpSocket) {
    let mut polls = 0;
    let mut wait = pin!(socket.readable());
    let counted = std::future::poll_fn(|context| {
        polls += 1;
        wait.as_mut().poll(context)
    });
    let end = tokio::time::timeout(Duration::from_millis(50), counted).await;
    assert!(end.is_err(), "the quiet socket became readable");
    assert!(polls <= 2, "the wait was woken {polls} times");
}
