//! Many connections that say nothing: how soon they are there, and what each takes of the server's memory.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use coracle_wire::{Code, Framing, Message, MessageId, MessageType, Method, Status, frame_len};
use futures_util::future::try_join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::datagrams::path;
use crate::options::Measure;
use crate::process::{self, LOAD_CORE, SERVER_CORE};
use crate::report::{Bound, Cell, Goal, Section, Table, grouped};
use crate::statistics::{Spread, median};
use crate::subjects::stream::StreamSubject;

const CONNECTIONS: usize = 10_000;
const CONNECTIONS_QUICK: usize = 400;

/// A server that does not take them in this time has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// File descriptors beside those of the connections.
const OTHER_FILES: u64 = 100;

/// An empty CSM (RFC 8323 §5.3).
const CSM: [u8; 2] = [0x00, 0xe1];

#[derive(Clone, Copy)]
struct Round {
    /// Seconds until the first half, which all connect at once, have the server's CSM.
    seconds: f64,
    /// Bytes of the server's memory for a connection that said nothing but its CSM, and after a request.
    silent: f64,
    used: f64,
}

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    let count = match measure.quick {
        true => CONNECTIONS_QUICK,
        false => CONNECTIONS,
    };
    allow_files(count as u64 + OTHER_FILES)?;
    process::pin(&[LOAD_CORE])?;
    let runtime = process::runtime()?;
    let mut rounds = Vec::new();
    for number in 1..=measure.rounds() {
        let round = runtime.block_on(async {
            let round = timeout(PATIENCE, round(count)).await;
            round.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "not all connections were taken"))?
        })?;
        eprintln!(
            "  round {number}: {} at once in {:.3} s, {:.0} bytes each, {:.0} after a request",
            count / 2,
            round.seconds,
            round.silent,
            round.used
        );
        rounds.push(round);
    }
    let of = |number: fn(&Round) -> f64| rounds.iter().map(number);
    let mut table = Table::new(&[
        "connections",
        "bytes each",
        "after a request each",
        "half of them at once, s",
    ]);
    table.row(vec![
        Cell::Number(count as f64, 0),
        Cell::Number(median(of(|round| round.silent)), 0),
        Cell::Number(median(of(|round| round.used)), 0),
        Cell::Number(median(of(|round| round.seconds)), 3),
    ]);
    let bytes = |what: &str, number: fn(&Round) -> f64| Goal {
        what: format!("bytes of the server's process for an idle connection{what}"),
        bound: Bound::AtMost(4096.0),
        measured: Ok(Spread::of(of(number))),
    };
    Ok(Section {
        name: super::Case::Idle.name(),
        what: format!(
            "{} connections of TCP to our server, the first half of them all at once; growth of its resident memory, which the system's own for sockets is no part of; medians of {} rounds.",
            grouped(count as f64),
            rounds.len()
        ),
        table,
        goals: vec![
            bytes("", |round| round.silent),
            bytes(", after a request", |round| round.used),
            Goal {
                what: format!(
                    "seconds until {} that come at once are taken and greeted",
                    grouped(count as f64 / 2.0)
                ),
                bound: Bound::AtMost(2.0),
                measured: Ok(Spread::of(of(|round| round.seconds))),
            },
        ],
        notes: Vec::new(),
    })
}

async fn round(count: usize) -> io::Result<Round> {
    let server = StreamSubject::Coracle.start(&[SERVER_CORE]).await?;
    // What a first connection needs stays.
    let mut first = greet(server.address).await?;
    ask(&mut first).await?;
    let before = server.memory()?.now;
    let each = |now: u64| now.saturating_sub(before) as f64 / count as f64;
    let started = Instant::now();
    let half = || try_join_all((0..count / 2).map(|_| greet(server.address)));
    let mut connections = half().await?;
    let seconds = started.elapsed().as_secs_f64();
    connections.extend(half().await?);
    let silent = each(server.memory()?.now);
    for connection in &mut connections {
        ask(connection).await?;
    }
    Ok(Round {
        seconds,
        silent,
        used: each(server.memory()?.now),
    })
}

/// A connection on which both have sent their CSM.
async fn greet(server: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&CSM).await?;
    receive(&mut stream).await?;
    Ok(stream)
}

/// A GET and its answer.
async fn ask(stream: &mut TcpStream) -> io::Result<()> {
    let options = path("temp");
    let request = Message {
        message_type: MessageType::NonConfirmable,
        code: Code::from(Method::GET),
        message_id: MessageId(0),
        token: b"t",
        options: options.as_options(),
        payload: &[],
    };
    let mut frame = Vec::new();
    let _ = request.append_frame(Framing::Tcp, &mut frame);
    stream.write_all(&frame).await?;
    let answer = receive(stream).await?;
    let answer = Message::parse_frame(Framing::Tcp, &answer).map_err(io::Error::other)?;
    match answer.code == Code::from(Status::CONTENT) {
        true => Ok(()),
        false => Err(io::Error::other(format!("answered {}", answer.code))),
    }
}

/// The next message, after which nothing follows.
async fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    loop {
        let len = frame_len(&frame).map_err(io::Error::other)?;
        if len.is_some_and(|len| len <= frame.len() as u64) {
            return Ok(frame);
        }
        if stream.read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Lets this process, and those that it starts, have so many files.
fn allow_files(count: u64) -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    match soft >= count {
        true => Ok(()),
        false => Ok(setrlimit(Resource::RLIMIT_NOFILE, count.min(hard), hard)?),
    }
}
