//! A large body by our client, in a process of its own, so that its memory can be seen.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use coracle_runtime::{Body, Client};
use coracle_wire::Status;
use tokio::io::{AsyncRead, ReadBuf};

use crate::process;
use crate::subjects::body;

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    Down,
    Up,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Direction::Down => "down",
            Direction::Up => "up",
        })
    }
}

/// What came of it.
pub(crate) struct Done {
    pub(crate) elapsed: Duration,
    /// By how many bytes the client's memory grew at most.
    pub(crate) growth: u64,
}

/// Has another process do it.
pub(crate) fn in_a_process(
    server: SocketAddr,
    direction: Direction,
    blocks: u32,
    patience: Duration,
) -> io::Result<Done> {
    let command = [
        "transfer",
        &direction.to_string(),
        &server.to_string(),
        "--blocks",
        &blocks.to_string(),
    ];
    let output = process::output(&command, patience)?;
    let numbers = output
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect::<Option<Vec<u64>>>();
    match numbers.as_deref() {
        Some([micros, growth]) => Ok(Done {
            elapsed: Duration::from_micros(*micros),
            growth: *growth,
        }),
        _ => Err(io::Error::other(format!("a client says {output:?}"))),
    }
}

/// Does it, and prints the microseconds that it took and the bytes by which the memory of this process grew.
pub(crate) fn run(server: SocketAddr, direction: Direction, blocks: u32) -> io::Result<()> {
    process::runtime()?.block_on(async {
        let client = Client::new().map_err(io::Error::other)?;
        let uri = format!("coap://{server}/body");
        // What a first exchange needs stays.
        client
            .get(format!("coap://{server}/temp"))
            .send()
            .await
            .map_err(io::Error::other)?;
        let before = process::own_memory()?.now;
        let started = Instant::now();
        match direction {
            Direction::Down => get(&client, &uri, blocks).await?,
            Direction::Up => put(&client, &uri, blocks).await?,
        }
        let elapsed = started.elapsed();
        let growth = process::own_memory()?.most.saturating_sub(before);
        println!("{} {growth}", elapsed.as_micros());
        Ok(())
    })
}

async fn get(client: &Client, uri: &str, blocks: u32) -> io::Result<()> {
    let mut response = client.get(uri).stream().await.map_err(io::Error::other)?;
    let mut expected = body::Expected::default();
    while let Some(chunk) = response.chunk().await.map_err(io::Error::other)? {
        if !expected.take(&chunk) {
            return Err(io::Error::other("a wrong block came"));
        }
    }
    if expected.blocks() == Some(blocks) {
        Ok(())
    } else {
        Err(io::Error::other("the body is not whole"))
    }
}

async fn put(client: &Client, uri: &str, blocks: u32) -> io::Result<()> {
    let length = u64::from(blocks) * body::BLOCK as u64;
    let source = Source { offset: 0, length };
    let request = client.put(uri).body(Body::from_reader(source, Some(length)));
    let response = request.send().await.map_err(io::Error::other)?;
    if response.status() == Status::CHANGED {
        Ok(())
    } else {
        Err(io::Error::other(format!("answered {}", response.status())))
    }
}

/// The body, made while it is read.
struct Source {
    offset: u64,
    length: u64,
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.offset < self.length {
            let rest = body::rest_of_block(self.offset);
            let len = rest.len().min(buf.remaining());
            buf.put_slice(rest.get(..len).unwrap_or_default());
            self.offset += len as u64;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_source_is_the_body() {
        let mut source = Source {
            offset: 0,
            length: 3 * body::BLOCK as u64,
        };
        let mut read = Vec::new();
        source.read_to_end(&mut read).await.unwrap();
        let mut expected = body::Expected::default();
        assert!(expected.take(&read));
        assert_eq!(expected.blocks(), Some(3));
    }
}
