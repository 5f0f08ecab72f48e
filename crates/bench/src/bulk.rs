//! The clients of a large body on TCP: plain ones, one that speaks BERT and nothing else, and ours.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use coracle_runtime::{Body, Client};
use coracle_wire::{BlockOption, Code, Method, OptionNumber, Status};

use crate::datagrams::path;
use crate::process;
use crate::subjects::body::BLOCK;
use crate::subjects::bulk::{BODY, Bare, is_right, part, read_plainly, write_plainly};
use crate::transfer::Direction;

/// Who asks for the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Asker {
    Plain,
    Bare,
    Coracle,
}

/// What it took to move the body.
#[derive(Clone, Copy)]
pub(crate) struct Done {
    pub(crate) elapsed: Duration,
    /// CPU time of the client.
    pub(crate) cpu: Duration,
}

/// From the first request on.
struct Stopwatch {
    started: Instant,
    cpu: Duration,
}

impl Stopwatch {
    fn start() -> io::Result<Stopwatch> {
        Ok(Stopwatch {
            started: Instant::now(),
            cpu: process::own_cpu()?,
        })
    }

    fn stop(&self) -> io::Result<Done> {
        Ok(Done {
            elapsed: self.started.elapsed(),
            cpu: process::own_cpu()?.saturating_sub(self.cpu),
        })
    }
}

/// Has another process move the body, and tells what it took.
pub(crate) fn in_a_process(
    asker: Asker,
    server: SocketAddr,
    direction: Direction,
    chunk: usize,
    patience: Duration,
) -> io::Result<Done> {
    let name = asker.to_possible_value();
    let name = name.as_ref().map_or("", |name| name.get_name());
    let (direction, server, chunk) = (direction.to_string(), server.to_string(), chunk.to_string());
    let output = process::output(&["bulk", name, &direction, &server, "--chunk", &chunk], patience)?;
    let numbers = output.split_whitespace().map(|word| word.parse().ok());
    match numbers.collect::<Option<Vec<u64>>>().as_deref() {
        Some([elapsed, cpu]) => Ok(Done {
            elapsed: Duration::from_micros(*elapsed),
            cpu: Duration::from_micros(*cpu),
        }),
        _ => Err(io::Error::other(format!("a client says {output:?}"))),
    }
}

/// Moves the body, and prints the microseconds that it took, and those of CPU time.
pub(crate) fn run(asker: Asker, server: SocketAddr, direction: Direction, chunk: usize) -> io::Result<()> {
    std::sync::LazyLock::force(&BODY);
    let done = match asker {
        Asker::Plain => plain(server, direction, chunk)?,
        Asker::Bare => bare(server, direction)?,
        Asker::Coracle => process::runtime()?.block_on(coracle(server, direction))?,
    };
    println!("{} {}", done.elapsed.as_micros(), done.cpu.as_micros());
    Ok(())
}

fn plain(server: SocketAddr, direction: Direction, chunk: usize) -> io::Result<Done> {
    let mut stream = TcpStream::connect(server)?;
    let watch = Stopwatch::start()?;
    let is_whole = match direction {
        Direction::Down => read_plainly(&mut stream, chunk)? == BODY.len(),
        Direction::Up => {
            write_plainly(&mut stream, chunk)?;
            let mut verdict = [0];
            stream.read_exact(&mut verdict)?;
            verdict == [1]
        }
    };
    check(is_whole)?;
    watch.stop()
}

fn bare(server: SocketAddr, direction: Direction) -> io::Result<Done> {
    let mut bare = Bare::new(TcpStream::connect(server)?)?;
    let watch = Stopwatch::start()?;
    let mut number = 0;
    loop {
        let mut options = path("body");
        let (block, part) = part(number);
        let blocks = match direction {
            Direction::Down => {
                let asked =
                    BlockOption::new(number, false, BlockOption::SZX_BERT).map_err(io::Error::other)?;
                options
                    .insert(OptionNumber::BLOCK2, &asked.encode())
                    .map_err(io::Error::other)?;
                bare.send(Code::from(Method::GET), b"t", &options, &[])?;
                let answer = bare.receive()?;
                check(is_right(number, answer.payload))?;
                let more = answer.options.block2().and_then(Result::ok);
                more.filter(|came| came.more())
                    .map(|_| answer.payload.len().div_ceil(BLOCK))
            }
            Direction::Up => {
                options
                    .insert(OptionNumber::BLOCK1, &block.encode())
                    .map_err(io::Error::other)?;
                bare.send(Code::from(Method::PUT), b"t", &options, part)?;
                let expected = match block.more() {
                    true => Status::CONTINUE,
                    false => Status::CHANGED,
                };
                check(bare.receive()?.code == Code::from(expected))?;
                block.more().then_some(part.len() / BLOCK)
            }
        };
        let Some(blocks) = blocks else {
            return watch.stop();
        };
        number += u32::try_from(blocks).map_err(io::Error::other)?;
    }
}

async fn coracle(server: SocketAddr, direction: Direction) -> io::Result<Done> {
    let client = Client::new().map_err(io::Error::other)?;
    let uri = format!("coap+tcp://{server}/body");
    let watch = Stopwatch::start()?;
    match direction {
        Direction::Down => {
            let mut response = client.get(&uri).stream().await.map_err(io::Error::other)?;
            let mut came = 0;
            while let Some(chunk) = response.chunk().await.map_err(io::Error::other)? {
                check(is_right(
                    u32::try_from(came / BLOCK).map_err(io::Error::other)?,
                    &chunk,
                ))?;
                came += chunk.len();
            }
            check(came == BODY.len())?;
        }
        Direction::Up => {
            let request = client.put(&uri).body(Body::from(BODY.clone()));
            let response = request.send().await.map_err(io::Error::other)?;
            check(response.status() == Status::CHANGED)?;
        }
    }
    watch.stop()
}

fn check(is_right: bool) -> io::Result<()> {
    match is_right {
        true => Ok(()),
        false => Err(io::Error::other("the body is not as it should be")),
    }
}
