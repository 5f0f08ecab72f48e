//! What holds for the records of an established session, whatever is done to them on their way: the body of a property test
//! and of the fuzz target `dtls_record`.
//!
//! A record is opened if and only if the peer sealed it just so, it was not opened before, it is within the window, and it
//! comes by the session's path or names the session by its connection ID. Sequence numbers are used one after the other.
//! Nothing ends the session.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

#[path = "parts.rs"]
mod parts;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use coracle_dtls::{ConnectionIds, Dtls, Event, Path, ProtectError, SessionId, Suite};

use self::parts::{
    Credentials, Cursor, KEY, Opened, client_address, config, connect, feed, foreign_address, seed,
    server_address, transmits,
};

/// How far back from the newest a record may come late (RFC 6347 §4.1.2.6).
const WINDOW: u64 = 64;

/// A record that one of the two sealed.
struct Sent {
    from: usize,
    record: Vec<u8>,
    plaintext: Vec<u8>,
}

struct Side {
    dtls: Dtls,
    address: SocketAddr,
    session: SessionId,
    /// The sequence number of the next record.
    next: u64,
    /// Those of the peer that were opened.
    opened: BTreeSet<u64>,
    /// The length of the plaintexts that the peer takes.
    limit: usize,
}

struct World {
    /// The server, the client.
    sides: [Side; 2],
    sent: Vec<Sent>,
}

/// Runs the operations that the bytes tell.
pub fn run(bytes: &[u8]) {
    let mut cursor = Cursor(bytes);
    let mut world = connected(&mut cursor);
    while !cursor.0.is_empty() {
        world.operate(&mut cursor);
        for side in &mut world.sides {
            assert!(side.dtls.peer(side.session).is_some() && side.dtls.len() == 1);
            while side.dtls.poll_event().is_some() {}
            // Only answers to ClientHellos, which the other side did not send.
            transmits(&mut side.dtls, Duration::ZERO);
        }
    }
    for from in [0, 1] {
        world.sides[from].dtls.path_is_proved(world.sides[from].session);
        world.seal(from, b"in the end", 200);
        world.deliver(world.sent.len() - 1, world.sides[from].address);
    }
}

fn ids(choice: u8) -> Option<ConnectionIds> {
    match choice % 5 {
        0 | 1 => None,
        2 => Some(ConnectionIds::PEERS_ONLY),
        3 => ConnectionIds::new(b"", 4),
        _ => ConnectionIds::new(b"a shard's ", 10),
    }
}

/// Two sides with a session.
fn connected(cursor: &mut Cursor<'_>) -> World {
    let suites: Vec<_> = Suite::ALL.into_iter().filter(|suite| suite.is_psk()).collect();
    let mut configs = [0, 1].map(|_: usize| {
        let mut config = config(Credentials::Psk);
        config.connection_ids = ids(cursor.byte());
        config
    });
    configs[0].suites = vec![suites[cursor.below(suites.len())]];
    let limit = [None, Some(64)][cursor.below(2)];
    configs[1].record_size_limit = limit;
    let mut number = 0;
    let [mut server, mut client] = configs.map(|config| {
        number += 1;
        Dtls::new(config, seed(cursor.0, number))
    });
    let now = Duration::ZERO;
    let to = Path::to(server_address());
    let client_session = client.connect(now, to, connect(Credentials::Psk)).unwrap();
    let mut server_session = None;
    for _ in 0..4 {
        for (_, datagram) in transmits(&mut client, now) {
            feed(&mut server, now, client_address(), &datagram);
        }
        while let Some(event) = server.poll_event() {
            match event {
                Event::PskWanted { lookup, .. } => server.provide_psk(now, lookup, Some(KEY)),
                Event::Connected { session, .. } => server_session = Some(session),
                other => panic!("{other:?}"),
            }
        }
        for (_, datagram) in transmits(&mut server, now) {
            feed(&mut client, now, server_address(), &datagram);
        }
    }
    let side = |dtls: Dtls, address, session| Side {
        limit: dtls.max_plaintext(session, usize::MAX).unwrap(),
        dtls,
        address,
        session,
        // The first record was the Finished.
        next: 1,
        opened: BTreeSet::from([0]),
    };
    World {
        sides: [
            side(server, server_address(), server_session.unwrap()),
            side(client, client_address(), client_session),
        ],
        sent: Vec::new(),
    }
}

fn sequence(record: &[u8]) -> u64 {
    record[5..11]
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl World {
    fn operate(&mut self, cursor: &mut Cursor<'_>) {
        let choice = cursor.byte();
        let from = usize::from(choice & 1);
        let address = match choice >> 6 {
            0 => foreign_address(),
            1 => self.sides[1 - from].address,
            _ => self.sides[from].address,
        };
        match (choice >> 1) % 8 {
            0 | 1 => {
                let len = cursor.below(300);
                let text = cursor.slice(len).to_vec();
                self.seal(from, &text, 400);
            }
            2 => {
                // Too long, or without room.
                let text = vec![0; cursor.below(40_000)];
                self.seal(from, &text, cursor.below(400));
            }
            3 => self.sides[from].dtls.path_is_proved(self.sides[from].session),
            4 | 5 if !self.sent.is_empty() => {
                let at = self.sent.len() - 1 - cursor.below(self.sent.len().min(80));
                self.deliver(at, address);
            }
            6 if !self.sent.is_empty() => {
                let at = cursor.below(self.sent.len());
                let mut changed = self.sent[at].record.clone();
                cursor.change(&mut changed);
                if cursor.byte().is_multiple_of(4) {
                    changed.extend_from_slice(&self.sent[cursor.below(self.sent.len())].record);
                }
                self.hand_in(1 - from, address, &changed);
            }
            _ => {
                let len = cursor.below(300);
                let made_up = cursor.slice(len).to_vec();
                self.hand_in(from, address, &made_up);
            }
        }
    }

    /// Seals a record, if it may be.
    fn seal(&mut self, from: usize, plaintext: &[u8], room: usize) {
        let side = &mut self.sides[from];
        let mut buf = vec![0; room];
        match side
            .dtls
            .protect(Duration::ZERO, side.session, plaintext, &mut buf)
        {
            Ok(sealed) => {
                let record = buf[..sealed.len].to_vec();
                assert_eq!(sequence(&record), side.next, "one after the other");
                side.next += 1;
                assert!(plaintext.len() <= side.limit);
                self.sent.push(Sent {
                    from,
                    record,
                    plaintext: plaintext.to_vec(),
                });
            }
            Err(ProtectError::TooLong { limit }) => {
                assert!(limit == side.limit && plaintext.len() > limit);
            }
            Err(ProtectError::NoRoom { needed }) => assert!(needed > room),
            Err(ProtectError::PathNotProved { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// A record arrives as it was sent, and it is known whether it has to be opened.
    fn deliver(&mut self, at: usize, from_address: SocketAddr) {
        let Sent { from, record, .. } = &self.sent[at];
        let (from, record) = (*from, record.clone());
        let side = &self.sides[1 - from];
        let path = side.dtls.path(side.session).unwrap();
        let newest = side.opened.last().copied().unwrap_or(0);
        let number = sequence(&record);
        let names_session = record[0] == 25;
        let is_taken = (names_session || path.remote == from_address)
            && !side.opened.contains(&number)
            && number + WINDOW > newest;
        let opened = self.hand_in(1 - from, from_address, &record);
        assert_eq!(opened, usize::from(is_taken), "record {number}, newest {newest}");
        let side = &self.sides[1 - from];
        let moves = is_taken && names_session && number > newest;
        let expected = if moves { from_address } else { path.remote };
        assert_eq!(side.dtls.path(side.session).unwrap().remote, expected);
    }

    /// Whatever is opened was sealed so by the peer, and not opened before.
    fn hand_in(&mut self, to: usize, from_address: SocketAddr, datagram: &[u8]) -> usize {
        let side = &mut self.sides[to];
        let all = feed(&mut side.dtls, Duration::ZERO, from_address, datagram);
        for Opened {
            record,
            session,
            plaintext,
        } in &all
        {
            let is_it = |sent: &&Sent| sent.from != to && sent.record == *record;
            let sent = self.sent.iter().find(is_it).expect("the peer did not seal it");
            assert!(sent.plaintext == *plaintext && *session == side.session);
            assert!(side.opened.insert(sequence(record)), "it was opened twice");
        }
        all.len()
    }
}
