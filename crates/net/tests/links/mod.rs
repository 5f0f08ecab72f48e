//! What the tests of connections share. Times here are bounds after which a test has failed, never a wait for luck.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

pub mod by_hand;
pub mod certificates;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use coracle_net::stream::{ConnectOptions, Link, ListenOptions, Listener, connect};
use coracle_wire::Framing;

pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("nothing happened for twenty seconds")
}

pub fn listen(options: &ListenOptions) -> (Listener, SocketAddr) {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), options).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server's link and its client's.
pub async fn pair(listen_options: &ListenOptions, connect_options: &ConnectOptions) -> (Link, Link) {
    let (mut listener, address) = listen(listen_options);
    let targets = [address];
    let (server, client) =
        within(async { tokio::join!(listener.accept(), connect(&targets, connect_options)) }).await;
    (server.unwrap(), client.unwrap())
}

/// Writes all of it; on a WebSocket as one message.
pub async fn write(link: &mut Link, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = poll_fn(|cx| link.poll_write(cx, rest)).await?;
        rest = &rest[taken..];
    }
    poll_fn(|cx| link.poll_flush(cx)).await
}

/// Reads `len` bytes; on a WebSocket one message, which has to be as long.
pub async fn read(link: &mut Link, len: usize) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    while received.len() < len {
        let room = len - received.len();
        let count = poll_fn(|cx| link.poll_read(cx, &mut received, room)).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        assert!(
            link.framing() == Framing::Tcp || count == len,
            "a message of {count} bytes"
        );
    }
    assert_eq!(received.len(), len);
    Ok(received)
}

/// Reads when nothing more may come.
pub async fn read_end(link: &mut Link) -> io::Result<()> {
    let mut received = Vec::new();
    let count = poll_fn(|cx| link.poll_read(cx, &mut received, 64)).await?;
    assert_eq!(count, 0, "{received:?}");
    Ok(())
}

pub async fn close(link: &mut Link) -> io::Result<()> {
    poll_fn(|cx| link.poll_close(cx)).await
}

/// Bytes of which no two neighbouring kilobytes are alike.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// Small things go both ways, then both sides end.
pub async fn talk_and_close(server: &mut Link, client: &mut Link) {
    within(async {
        write(client, b"a question").await.unwrap();
        assert_eq!(read(server, 10).await.unwrap(), b"a question");
        write(server, b"the answer").await.unwrap();
        assert_eq!(read(client, 10).await.unwrap(), b"the answer");
        let (closed, seen) = tokio::join!(close(client), async {
            read_end(server).await?;
            close(server).await
        });
        closed.unwrap();
        seen.unwrap();
    })
    .await;
}

/// A megabyte each way at once, read in pieces by sides that write first as long as they can.
pub async fn talk_at_length(server: &mut Link, client: &mut Link) {
    let body = pattern(1 << 20);
    let (up, down) = (exchange(client, &body), exchange(server, &body));
    let (up, down) = within(async { tokio::join!(up, down) }).await;
    assert!(up.unwrap() == body && down.unwrap() == body);
}

/// Writes and reads as much at once.
async fn exchange(link: &mut Link, body: &[u8]) -> io::Result<Vec<u8>> {
    let (mut rest, mut received) = (body, Vec::new());
    poll_fn(|cx| {
        while !rest.is_empty() {
            match link.poll_write(cx, rest) {
                std::task::Poll::Ready(taken) => rest = &rest[taken?..],
                std::task::Poll::Pending => break,
            }
        }
        let flushed = link.poll_flush(cx)?;
        while received.len() < body.len() {
            // Small pieces make a reader that is slower than the writer.
            std::task::ready!(link.poll_read(cx, &mut received, 5000))?;
        }
        if rest.is_empty() {
            flushed.map(Ok::<(), io::Error>)
        } else {
            std::task::Poll::Pending
        }
    })
    .await?;
    Ok(received)
}
