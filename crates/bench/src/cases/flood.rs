//! A million datagrams, each from another address that nobody can prove, and peers that go on with their work meanwhile.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use coracle_wire::{BlockOption, Method, OptionNumber, OptionsBuf};

use crate::crowd::Crowd;
use crate::datagrams::{LONGEST, path, request};
use crate::machine;
use crate::options::Measure;
use crate::process::{self, LOAD_CORE, SERVER_CORE, Server};
use crate::regulars::Regulars;
use crate::report::{Bound, Cell, Goal, Section, Table, grouped};
use crate::statistics::{Spread, median};
use crate::subjects::site;

const DATAGRAMS: u32 = 1_000_000;
const DATAGRAMS_QUICK: u32 = 60_000;

/// Datagrams a second: what is asked here is what they leave behind, not how many the kernel can take.
const RATE: u32 = 100_000;

/// The addresses that they come from.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);

/// How long the server is listened to after the last of them.
const AFTER: Duration = Duration::from_secs(5);

/// A run that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a peer and of an observer, and of a request that is worked on, as the engine bounds them.
const OF_PEER: usize = 200;
const OF_OBSERVER: usize = 300;
const OF_EXCHANGE: usize = 512;

/// What came of a flood.
#[derive(Clone, Copy, Default)]
struct Flood {
    bytes_in: u64,
    bytes_out: u64,
    /// Bytes out for each byte in, of the address for which this is the most.
    worst: f64,
    /// Datagrams that the kernel dropped before the server took them.
    dropped: u64,
    memory_before: u64,
    memory_most: u64,
    asked: u64,
    answered: u64,
    again: u64,
}

pub(super) fn run(measure: &Measure) -> io::Result<Section> {
    process::pin(&[LOAD_CORE])?;
    let count = if measure.quick { DATAGRAMS_QUICK } else { DATAGRAMS };
    let runtime = process::runtime()?;
    let mut floods = Vec::new();
    for number in 1..=measure.rounds() {
        let flood = runtime.block_on(flood(count))?;
        eprintln!(
            "  round {number}: memory {} to {} MB, worst address {:.2}, {} of {} answered",
            flood.memory_before / 1_000_000,
            flood.memory_most / 1_000_000,
            flood.worst,
            flood.answered,
            flood.asked
        );
        floods.push(flood);
    }
    let budget = budget();
    let spread = |number: &dyn Fn(&Flood) -> f64| Ok(Spread::of(floods.iter().map(number)));
    Ok(Section {
        name: super::Case::Flood.name(),
        what: format!(
            "{} datagrams from as many addresses, {} a second: GETs with small and with large answers, POSTs, \
             registrations of observers, first blocks of bodies, malformed ones; medians of {} floods.",
            grouped(count.into()),
            grouped(RATE.into()),
            floods.len()
        ),
        table: table(&floods),
        goals: vec![
            Goal {
                what: format!(
                    "growth of memory in units of the bounds' {} MB",
                    budget / 1_000_000
                ),
                bound: Bound::AtMost(1.0),
                measured: spread(&|flood| {
                    flood.memory_most.saturating_sub(flood.memory_before) as f64 / budget as f64
                }),
            },
            Goal {
                what: "bytes out for each byte in, of the worst address".to_owned(),
                bound: Bound::AtMost(3.0),
                measured: spread(&|flood| flood.worst),
            },
            Goal {
                what: "share of the requests of proved peers that were answered".to_owned(),
                bound: Bound::AtLeast(0.99),
                measured: spread(&|flood| flood.answered as f64 / flood.asked as f64),
            },
        ],
        notes: vec![format!(
            "{} peers that have proved their addresses ask meanwhile, each ten times a second and in turn for something \
             large and for something that must not be done twice. In the middle of the flood the observed state changes.",
            Regulars::COUNT
        )],
    })
}

/// What the settings allow, in bytes.
fn budget() -> usize {
    let config = site::config();
    config.seen_bytes
        + config.assembly_bytes
        + config.response_body_bytes
        + config.max_peers * OF_PEER
        + config.max_observers * OF_OBSERVER
        + config.max_exchanges * OF_EXCHANGE
}

async fn flood(count: u32) -> io::Result<Flood> {
    let mut server = Server::start(&["site", "--blocks", "1000"], &[SERVER_CORE])?;
    server.furnish(None)?;
    let mut regulars = Regulars::new(server.address)?;
    regulars.prove().await?;
    let memory_before = server.memory()?.now;
    let dropped_before = machine::dropped(server.address.port());
    let mut crowd = Crowd::new(server.address)?;
    let mut addresses = vec![(0_u32, 0_u32); count as usize];
    let datagrams = Kind::ALL.map(Kind::datagram);
    let started = Instant::now();
    let (mut sent, mut sent_all_at) = (0, None::<Instant>);
    loop {
        let due = started.elapsed().as_micros() * u128::from(RATE) / 1_000_000;
        let due = u32::try_from(due).unwrap_or(count).min(count).min(sent + 64);
        while sent < due {
            let datagram = datagrams.get(sent as usize % datagrams.len());
            let datagram = datagram.map(Vec::as_slice).unwrap_or_default();
            crowd
                .send(Ipv4Addr::from_bits(FIRST.to_bits() + sent), datagram)
                .await?;
            if let Some((bytes_in, _)) = addresses.get_mut(sent as usize) {
                *bytes_in = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
            }
            sent += 1;
            if sent == count / 2 {
                regulars.change_state();
            }
        }
        crowd.flush().await?;
        crowd.receive(|local, datagram| {
            let place = local.to_bits().wrapping_sub(FIRST.to_bits());
            if let Some((_, bytes_out)) = addresses.get_mut(place as usize) {
                *bytes_out += u32::try_from(datagram.len()).unwrap_or(u32::MAX);
            }
        })?;
        regulars.work(sent < count).await?;
        if sent == count {
            let sent_all_at = *sent_all_at.get_or_insert_with(Instant::now);
            if sent_all_at.elapsed() >= AFTER && regulars.is_idle() {
                break;
            }
        }
        if started.elapsed() >= PATIENCE {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the flood takes too long",
            ));
        }
        tokio::task::yield_now().await;
    }
    let worst = addresses
        .iter()
        .map(|(bytes_in, bytes_out)| f64::from(*bytes_out) / f64::from(*bytes_in));
    Ok(Flood {
        bytes_in: addresses.iter().map(|(bytes_in, _)| u64::from(*bytes_in)).sum(),
        bytes_out: addresses.iter().map(|(_, bytes_out)| u64::from(*bytes_out)).sum(),
        worst: worst.fold(0.0, f64::max),
        dropped: machine::dropped(server.address.port()).saturating_sub(dropped_before),
        memory_before,
        memory_most: server.memory()?.most,
        asked: regulars.asked,
        answered: regulars.answered,
        again: regulars.again,
    })
}

/// What a flood is made of.
#[derive(Clone, Copy)]
enum Kind {
    Small,
    Large,
    Unsafe,
    Registration,
    FirstBlock,
    Malformed,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Small,
        Kind::Large,
        Kind::Unsafe,
        Kind::Registration,
        Kind::FirstBlock,
        Kind::Malformed,
    ];

    fn datagram(self) -> Vec<u8> {
        let block = BlockOption::new(0, true, 2).map(BlockOption::encode);
        let mut block_options = path("body");
        if let Ok(block) = block {
            let fits = block_options.insert(OptionNumber::BLOCK1, &block);
            assert_eq!(fits, Ok(()));
        }
        let mut registration = path("state");
        registration.push_uint(OptionNumber::OBSERVE, 0);
        let (method, options, payload): (Method, OptionsBuf, &[u8]) = match self {
            Kind::Small => (Method::GET, path("temp"), &[]),
            Kind::Large => (Method::GET, path("large"), &[]),
            Kind::Unsafe => (Method::POST, path("log"), b"once"),
            Kind::Registration => (Method::GET, registration, &[]),
            Kind::FirstBlock => (Method::PUT, block_options, &[0; 64]),
            // A token of one byte is announced, and none follows (RFC 7252 §3).
            Kind::Malformed => return b"\x41\x01\x00\x01".to_vec(),
        };
        let mut datagram = [0; LONGEST];
        let len = request(method, 1, *b"stra", options.as_options(), payload, &mut datagram);
        datagram.get(..len).unwrap_or_default().to_vec()
    }
}

fn table(floods: &[Flood]) -> Table {
    let mut table = Table::new(&[
        "MB in",
        "MB out",
        "out/in",
        "worst address",
        "dropped by the kernel",
        "MB of memory before",
        "at most",
        "proved peers asked",
        "answered",
        "sent again",
    ]);
    let of = |number: fn(&Flood) -> f64| median(floods.iter().map(number));
    table.row(vec![
        Cell::Number(of(|flood| flood.bytes_in as f64) / 1e6, 1),
        Cell::Number(of(|flood| flood.bytes_out as f64) / 1e6, 1),
        Cell::Number(of(|flood| flood.bytes_out as f64 / flood.bytes_in as f64), 2),
        Cell::Number(of(|flood| flood.worst), 2),
        Cell::Number(of(|flood| flood.dropped as f64), 0),
        Cell::Number(of(|flood| flood.memory_before as f64) / 1e6, 1),
        Cell::Number(of(|flood| flood.memory_most as f64) / 1e6, 1),
        Cell::Number(of(|flood| flood.asked as f64), 0),
        Cell::Number(of(|flood| flood.answered as f64), 0),
        Cell::Number(of(|flood| flood.again as f64), 0),
    ]);
    table
}
