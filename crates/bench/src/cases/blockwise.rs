//! A large body down and up, block after block, beside the same datagrams exchanged by two who do nothing else.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use coracle_wire::{BlockOption, Code, Message, MessageId, Method, OptionNumber, Status};

use crate::datagrams::{LONGEST, path, request};
use crate::options::Measure;
use crate::process::{self, LOAD_CORE, SERVER_CORE, Server};
use crate::report::{Bound, Cell, Goal, Section, Table};
use crate::statistics::{Spread, median};
use crate::subjects::body;

/// 100 MB.
const BLOCKS: u32 = 97_658;
const BLOCKS_QUICK: u32 = 2_000;

/// Messages from one port, fewer than there are message IDs: within EXCHANGE_LIFETIME (247 s) none may be used twice
/// (RFC 7252 §4.4). A download goes on from another port. An upload cannot (RFC 7959 §2.5), so that it is two bodies.
const MESSAGES_PER_PORT: u16 = 60_000;
const UPLOADS: u32 = 2;

const SZX: u8 = 6;

/// What is not answered by then is sent again, so often.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
const ATTEMPTS: u32 = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Down,
    Up,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Responder {
    Raw,
    Coracle,
}

/// What is measured in a round.
const TURNS: [(Direction, Responder); 4] = [
    (Direction::Down, Responder::Raw),
    (Direction::Down, Responder::Coracle),
    (Direction::Up, Responder::Raw),
    (Direction::Up, Responder::Coracle),
];

#[derive(Clone, Copy, Default)]
struct Turn {
    /// Bytes of the body a second.
    goodput: f64,
    /// Microseconds of the server for a block.
    cpu: f64,
    /// By how many bytes the server's memory grew at most.
    growth: f64,
    again: u32,
}

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    process::pin(&[LOAD_CORE])?;
    let blocks = if measure.quick { BLOCKS_QUICK } else { BLOCKS };
    let mut rounds = Vec::new();
    for number in 1..=measure.rounds() {
        let mut round = [Turn::default(); TURNS.len()];
        for (place, (direction, responder)) in round.iter_mut().zip(TURNS) {
            *place = turn(direction, responder, blocks)?;
            eprintln!(
                "  round {number}: {} {:8} {:7.1} MB/s, memory {:+.2} MB",
                direction.name(),
                responder.name(),
                place.goodput / 1e6,
                place.growth / 1e6
            );
        }
        rounds.push(round);
    }
    let megabytes = f64::from(blocks) * body::BLOCK as f64 / 1e6;
    Ok(Section {
        name: super::Case::Blockwise.name(),
        what: format!(
            "{megabytes:.0} MB in blocks of 1,024 bytes, one after the other, by a client that does nothing else; up in two bodies; medians of {} rounds.",
            rounds.len()
        ),
        table: table(&rounds),
        goals: goals(&rounds),
        notes: Vec::new(),
    })
}

fn turn(direction: Direction, responder: Responder, blocks: u32) -> io::Result<Turn> {
    let of_body = match direction {
        Direction::Down => blocks,
        Direction::Up => blocks / UPLOADS,
    };
    let of_body_argument = of_body.to_string();
    let command = match responder {
        Responder::Raw => ["raw-blocks", "--blocks", &of_body_argument],
        Responder::Coracle => ["site", "--blocks", &of_body_argument],
    };
    let server = Server::start(&command, &[SERVER_CORE])?;
    let mut client = Client::new(server.address)?;
    let (memory, cpu) = (server.memory()?, server.cpu()?);
    let started = Instant::now();
    match direction {
        Direction::Down => (0..of_body).try_for_each(|number| client.read(number, of_body))?,
        Direction::Up => {
            for _ in 0..UPLOADS {
                (0..of_body).try_for_each(|number| client.write(number, of_body))?;
                client.renew()?;
            }
        }
    }
    let elapsed = started.elapsed();
    let cpu = server.cpu()?.since(cpu).total;
    Ok(Turn {
        goodput: f64::from(blocks) * body::BLOCK as f64 / elapsed.as_secs_f64(),
        cpu: cpu.as_secs_f64() * 1e6 / f64::from(blocks),
        growth: server.memory()?.most.saturating_sub(memory.now) as f64,
        again: client.again,
    })
}

fn of(rounds: &[[Turn; TURNS.len()]], turn: (Direction, Responder), number: fn(&Turn) -> f64) -> Vec<f64> {
    let turns = rounds.iter().flat_map(|round| round.iter().zip(TURNS));
    turns
        .filter(|(_, name)| *name == turn)
        .map(|(turn, _)| number(turn))
        .collect()
}

fn table(rounds: &[[Turn; TURNS.len()]]) -> Table {
    let mut table = Table::new(&[
        "way",
        "server",
        "MB/s",
        "CPU us/block",
        "memory grew MB",
        "sent again",
    ]);
    for turn in TURNS {
        let (direction, responder) = turn;
        let again: f64 = of(rounds, turn, |turn| turn.again.into()).iter().sum();
        table.row(vec![
            Cell::text_of(direction.name()),
            Cell::text_of(responder.name()),
            Cell::Number(median(of(rounds, turn, |turn| turn.goodput)) / 1e6, 1),
            Cell::Number(median(of(rounds, turn, |turn| turn.cpu)), 2),
            Cell::Number(median(of(rounds, turn, |turn| turn.growth)) / 1e6, 2),
            Cell::Number(again, 0),
        ]);
    }
    table
}

fn goals(rounds: &[[Turn; TURNS.len()]]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for direction in [Direction::Down, Direction::Up] {
        let goodput = |responder| of(rounds, (direction, responder), |turn| turn.goodput);
        let pairs = goodput(Responder::Coracle)
            .into_iter()
            .zip(goodput(Responder::Raw));
        goals.push(Goal {
            what: format!("goodput {} in units of the bare exchange's", direction.name()),
            bound: Bound::AtLeast(0.8),
            measured: Ok(Spread::of(pairs.map(|(ours, raw)| ours / raw))),
        });
        let growth = of(rounds, (direction, Responder::Coracle), |turn| turn.growth);
        goals.push(Goal {
            what: format!("growth of the server's memory {} in MB", direction.name()),
            bound: Bound::AtMost(4.0),
            measured: Ok(Spread::of(growth.into_iter().map(|growth| growth / 1e6))),
        });
    }
    goals
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Direction::Down => "down",
            Direction::Up => "up",
        }
    }
}

impl Responder {
    fn name(self) -> &'static str {
        match self {
            Responder::Raw => "raw",
            Responder::Coracle => "coracle",
        }
    }
}

fn connected(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(AGAIN_AFTER))?;
    Ok(socket)
}

/// One that asks for the next block as soon as it has the one before, and checks every answer.
struct Client {
    server: SocketAddr,
    socket: UdpSocket,
    id: u16,
    echo: Vec<u8>,
    again: u32,
}

impl Client {
    fn new(server: SocketAddr) -> io::Result<Client> {
        let mut client = Client {
            server,
            socket: connected(server)?,
            id: 0,
            echo: Vec::new(),
            again: 0,
        };
        client.prove()?;
        Ok(client)
    }

    /// Goes on from another port, with other message IDs.
    fn renew(&mut self) -> io::Result<()> {
        self.socket = connected(self.server)?;
        self.id = 0;
        self.prove()
    }

    /// Learns what the server wants to see (RFC 9175 §2) before it gives all that is asked for, if anything.
    fn prove(&mut self) -> io::Result<()> {
        self.echo.clear();
        let block = BlockOption::new(0, false, SZX).map_err(io::Error::other)?;
        let mut echo = Vec::new();
        self.exchange(Method::GET, OptionNumber::BLOCK2, block, &[], |answer| {
            echo = answer
                .options
                .get(OptionNumber::ECHO)
                .unwrap_or_default()
                .to_vec();
            true
        })?;
        self.echo = echo;
        Ok(())
    }

    fn read(&mut self, number: u32, blocks: u32) -> io::Result<()> {
        if self.id >= MESSAGES_PER_PORT {
            self.renew()?;
        }
        let block = BlockOption::new(number, false, SZX).map_err(io::Error::other)?;
        self.exchange(Method::GET, OptionNumber::BLOCK2, block, &[], |answer| {
            let came = answer.options.block2().and_then(Result::ok);
            answer.code == Code::from(Status::CONTENT)
                && came.is_some_and(|came| came.num() == number && came.more() == (number + 1 < blocks))
                && answer.payload == body::block(number)
        })
    }

    fn write(&mut self, number: u32, blocks: u32) -> io::Result<()> {
        let more = number + 1 < blocks;
        let block = BlockOption::new(number, more, SZX).map_err(io::Error::other)?;
        let status = if more { Status::CONTINUE } else { Status::CHANGED };
        let payload = body::block(number);
        self.exchange(Method::PUT, OptionNumber::BLOCK1, block, &payload, |answer| {
            let came = answer.options.block1().and_then(Result::ok);
            answer.code == Code::from(status) && came.is_some_and(|came| came.num() == number)
        })
    }

    /// A request and its response, which has to be right.
    fn exchange(
        &mut self,
        method: Method,
        option: OptionNumber,
        block: BlockOption,
        payload: &[u8],
        is_right: impl FnOnce(&Message<'_>) -> bool,
    ) -> io::Result<()> {
        let mut options = path("body");
        options
            .insert(option, &block.encode())
            .map_err(io::Error::other)?;
        if !self.echo.is_empty() {
            options
                .insert(OptionNumber::ECHO, &self.echo)
                .map_err(io::Error::other)?;
        }
        self.id += 1;
        let token = [0, 0, 0, 1];
        let (mut datagram, mut received) = ([0; LONGEST], [0; 2 * LONGEST]);
        let len = request(
            method,
            self.id,
            token,
            options.as_options(),
            payload,
            &mut datagram,
        );
        for attempt in 0..ATTEMPTS {
            self.again += u32::from(attempt > 0);
            self.socket.send(datagram.get(..len).unwrap_or_default())?;
            while let Ok(len) = self.socket.recv(&mut received) {
                let answer = Message::parse(received.get(..len).unwrap_or_default());
                let is_mine =
                    |answer: &Message<'_>| answer.message_id == MessageId(self.id) && answer.token == token;
                // Otherwise it answers what was sent twice before.
                if let Some(answer) = answer.ok().filter(is_mine) {
                    return if is_right(&answer) {
                        Ok(())
                    } else {
                        Err(io::Error::other(format!(
                            "block {block} is answered wrongly: {}",
                            answer.code
                        )))
                    };
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the server answers no longer",
        ))
    }
}
