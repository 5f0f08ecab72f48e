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
use crate::transfer::{self, Direction};

/// Two bodies of 50 MB. A single one of 100 MB would take more messages than there are message IDs within
/// EXCHANGE_LIFETIME (247 s; RFC 7252 §4.4), and only another client, on another port, has others.
const BLOCKS: u32 = 48_829;
const BLOCKS_QUICK: u32 = 1_000;
const BODIES: u32 = 2;

const SZX: u8 = 6;

/// A client that takes longer for a body has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is not answered by then is sent again, so often.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
const ATTEMPTS: u32 = 20;

/// Who exchanges the blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    /// Two that do nothing else.
    Bare,
    /// Our server and the bare client.
    Server,
    /// Our server and our client.
    Both,
}

/// What is measured in a round.
const TURNS: [(Direction, Pair); 6] = [
    (Direction::Down, Pair::Bare),
    (Direction::Down, Pair::Server),
    (Direction::Down, Pair::Both),
    (Direction::Up, Pair::Bare),
    (Direction::Up, Pair::Server),
    (Direction::Up, Pair::Both),
];

#[derive(Clone, Copy, Default)]
struct Turn {
    /// Bytes of the body a second.
    goodput: f64,
    /// Microseconds of the server for a block.
    cpu: f64,
    /// By how many bytes the memory of the server and of our client grew at most.
    server_growth: f64,
    client_growth: f64,
    /// Messages of the bare client that were sent again.
    again: u32,
}

type Round = [Turn; TURNS.len()];

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    process::pin(&[LOAD_CORE])?;
    let blocks = if measure.quick { BLOCKS_QUICK } else { BLOCKS };
    let mut rounds = Vec::new();
    for number in 1..=measure.rounds() {
        let mut round = Round::default();
        for (place, (direction, pair)) in round.iter_mut().zip(TURNS) {
            *place = turn(direction, pair, blocks)?;
            eprintln!(
                "  round {number}: {direction:4} {:36} {:6.1} MB/s, memory of server {:+.2} MB, of client {:+.2} MB",
                pair.name(),
                place.goodput / 1e6,
                place.server_growth / 1e6,
                place.client_growth / 1e6
            );
        }
        rounds.push(round);
    }
    let megabytes = f64::from(blocks * BODIES) * body::BLOCK as f64 / 1e6;
    Ok(Section {
        name: super::Case::Blockwise.name(),
        what: format!(
            "{megabytes:.0} MB in blocks of 1,024 bytes, one after the other, as {BODIES} bodies from {BODIES} clients in turn; medians of {} rounds.",
            rounds.len()
        ),
        table: table(&rounds),
        goals: goals(&rounds),
        notes: Vec::new(),
    })
}

fn turn(direction: Direction, pair: Pair, blocks: u32) -> io::Result<Turn> {
    let argument = blocks.to_string();
    let command = match pair {
        Pair::Bare => ["raw-blocks", "--blocks", &argument],
        Pair::Server | Pair::Both => ["site", "--blocks", &argument],
    };
    let server = Server::start(&command, &[SERVER_CORE])?;
    let (memory, cpu) = (server.memory()?, server.cpu()?);
    let mut turn = Turn::default();
    let mut elapsed = Duration::ZERO;
    for _ in 0..BODIES {
        if pair == Pair::Both {
            let done = transfer::in_a_process(server.address, direction, blocks, PATIENCE)?;
            elapsed += done.elapsed;
            turn.client_growth = turn.client_growth.max(done.growth as f64);
        } else {
            let mut client = Client::new(server.address)?;
            let started = Instant::now();
            match direction {
                Direction::Down => (0..blocks).try_for_each(|number| client.read(number, blocks))?,
                Direction::Up => (0..blocks).try_for_each(|number| client.write(number, blocks))?,
            }
            elapsed += started.elapsed();
            turn.again += client.again;
        }
    }
    let cpu = server.cpu()?.since(cpu).total;
    turn.goodput = f64::from(blocks * BODIES) * body::BLOCK as f64 / elapsed.as_secs_f64();
    turn.cpu = cpu.as_secs_f64() * 1e6 / f64::from(blocks * BODIES);
    turn.server_growth = server.memory()?.most.saturating_sub(memory.now) as f64;
    Ok(turn)
}

fn of(rounds: &[Round], turn: (Direction, Pair), number: fn(&Turn) -> f64) -> Vec<f64> {
    let turns = rounds.iter().flat_map(|round| round.iter().zip(TURNS));
    turns
        .filter(|(_, name)| *name == turn)
        .map(|(turn, _)| number(turn))
        .collect()
}

fn table(rounds: &[Round]) -> Table {
    let mut table = Table::new(&[
        "way",
        "between",
        "MB/s",
        "server's CPU us/block",
        "server grew MB",
        "client grew MB",
        "sent again",
    ]);
    for turn in TURNS {
        let (direction, pair) = turn;
        let again: f64 = of(rounds, turn, |turn| turn.again.into()).iter().sum();
        table.row(vec![
            Cell::text_of(direction),
            Cell::text_of(pair.name()),
            Cell::Number(median(of(rounds, turn, |turn| turn.goodput)) / 1e6, 1),
            Cell::Number(median(of(rounds, turn, |turn| turn.cpu)), 2),
            Cell::Number(median(of(rounds, turn, |turn| turn.server_growth)) / 1e6, 2),
            Cell::Number(median(of(rounds, turn, |turn| turn.client_growth)) / 1e6, 2),
            Cell::Number(again, 0),
        ]);
    }
    table
}

fn goals(rounds: &[Round]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for direction in [Direction::Down, Direction::Up] {
        for pair in [Pair::Server, Pair::Both] {
            let goodput = |pair| of(rounds, (direction, pair), |turn| turn.goodput);
            let pairs = goodput(pair).into_iter().zip(goodput(Pair::Bare));
            goals.push(Goal {
                what: format!(
                    "goodput {direction}, {}, in units of the bare exchange's",
                    pair.name()
                ),
                bound: Bound::AtLeast(0.8),
                measured: Ok(Spread::of(pairs.map(|(ours, bare)| ours / bare))),
            });
        }
        for (who, number) in [
            ("server", (|turn| turn.server_growth) as fn(&Turn) -> f64),
            ("client", |turn| turn.client_growth),
        ] {
            let growth = of(rounds, (direction, Pair::Both), number);
            goals.push(Goal {
                what: format!("growth of the {who}'s memory {direction} in MB"),
                bound: Bound::AtMost(4.0),
                measured: Ok(Spread::of(growth.into_iter().map(|growth| growth / 1e6))),
            });
        }
    }
    goals
}

impl Pair {
    fn name(self) -> &'static str {
        match self {
            Pair::Bare => "the bare two",
            Pair::Server => "our server and the bare client",
            Pair::Both => "our server and our client",
        }
    }
}

/// One that asks for the next block as soon as it has the one before, and checks every answer.
struct Client {
    socket: UdpSocket,
    id: u16,
    echo: Vec<u8>,
    again: u32,
}

impl Client {
    fn new(server: SocketAddr) -> io::Result<Client> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(AGAIN_AFTER))?;
        let mut client = Client {
            socket,
            id: 0,
            echo: Vec::new(),
            again: 0,
        };
        client.prove()?;
        Ok(client)
    }

    /// Learns what the server wants to see (RFC 9175 §2) before it gives all that is asked for, if anything.
    fn prove(&mut self) -> io::Result<()> {
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
