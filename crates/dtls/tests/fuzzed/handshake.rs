//! What holds for handshakes, whatever is done to their messages on the way: the body of a property test and of the fuzz
//! target `dtls_handshake`.
//!
//! However messages are cut, repeated, held back and put in another order, both sides have a session in the end. If
//! messages are changed or made up as well, a side may fail, but who has a session knows the right peer, and nothing
//! remains of the others.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

#[path = "parts.rs"]
mod parts;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use coracle_dtls::{ConnectionIds, Dtls, Event, Identity, LookupId, Path, SessionId, Suite, limits};

use self::parts::{
    Credentials, Cursor, IDENTITY, KEY, client_address, config, connect, feed, seed, server_address,
    transmits,
};

/// Bytes of the head of a record of epoch 0, and of that of a fragment.
const RECORD_HEAD: usize = 13;
const FRAGMENT_HEAD: usize = 12;

struct Side {
    dtls: Dtls,
    address: SocketAddr,
    connected: Vec<SessionId>,
    failed: bool,
    lookups: Vec<LookupId>,
}

struct World {
    credentials: Credentials,
    /// The server, the client.
    sides: [Side; 2],
    now: Duration,
    /// To which side, bytes.
    under_way: VecDeque<(usize, Vec<u8>)>,
    /// What was sent so far, to be repeated.
    log: Vec<(usize, Vec<u8>)>,
    /// Messages were changed or made up.
    changed: bool,
    /// How often datagrams were lost or time has passed: with too much of either a handshake may fail.
    patience: u8,
}

/// Runs a handshake as the bytes tell, and then to its end.
pub fn run(bytes: &[u8]) {
    let mut cursor = Cursor(bytes);
    let mut world = begun(&mut cursor);
    while !cursor.0.is_empty() {
        world.operate(&mut cursor);
        world.collect();
    }
    world.come_to_the_end();
    let both = world.sides.iter().all(|side| side.connected.len() == 1);
    assert!(both || world.changed, "the handshake has failed");
    if !world.changed {
        world.talk();
    }
}

fn begun(cursor: &mut Cursor<'_>) -> World {
    let choice = cursor.byte();
    let credentials = match choice % 4 {
        0 | 1 => Credentials::Psk,
        2 => Credentials::RawKeys,
        _ => Credentials::Certificates,
    };
    let rest = cursor.0;
    let side = |choice: u8, address, number| {
        let mut config = config(credentials);
        config.mtu = [256, 500, 1200, 1500][usize::from(choice % 4)];
        config.connection_ids = ConnectionIds::new(b"", 5).filter(|_| choice & 4 != 0);
        config.resumption.tickets = choice & 8 != 0;
        config.record_size_limit = Some(100).filter(|_| choice & 16 != 0);
        if choice & 32 != 0 {
            config.suites = Suite::ALL.into_iter().rev().collect();
        }
        Side {
            dtls: Dtls::new(config, seed(rest, number)),
            address,
            connected: Vec::new(),
            failed: false,
            lookups: Vec::new(),
        }
    };
    let mut world = World {
        credentials,
        sides: [
            side(cursor.byte(), server_address(), 1),
            side(cursor.byte(), client_address(), 2),
        ],
        now: Duration::ZERO,
        under_way: VecDeque::new(),
        log: Vec::new(),
        changed: false,
        patience: 3,
    };
    let begun = world.sides[1]
        .dtls
        .connect(world.now, Path::to(server_address()), connect(credentials));
    begun.unwrap();
    world.collect();
    world
}

/// The fragments in a record of epoch 0, with their heads; nothing if it has none.
fn fragments(record: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    if record.len() < RECORD_HEAD || record[0] != 22 || record[3..5] != [0, 0] {
        return all;
    }
    let mut rest = &record[RECORD_HEAD..];
    while rest.len() >= FRAGMENT_HEAD {
        let len = usize::from(rest[10]) << 8 | usize::from(rest[11]);
        if rest[9] != 0 || rest.len() < FRAGMENT_HEAD + len {
            break;
        }
        let (fragment, behind) = rest.split_at(FRAGMENT_HEAD + len);
        all.push(fragment);
        rest = behind;
    }
    all
}

/// The records of a datagram of a handshake; sealed ones have no connection ID in the way only if nobody wants any, so
/// these and all behind them stay together.
fn records(datagram: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    let mut rest = datagram;
    while rest.len() >= RECORD_HEAD && rest[3..5] == [0, 0] {
        let len = RECORD_HEAD + (usize::from(rest[11]) << 8 | usize::from(rest[12]));
        if rest.len() < len {
            break;
        }
        let (record, behind) = rest.split_at(len);
        all.push(record);
        rest = behind;
    }
    if !rest.is_empty() {
        all.push(rest);
    }
    all
}

/// A record like this one with something else in it.
fn record_with(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    [&head[..11], &len.to_be_bytes(), payload].concat()
}

/// A fragment cut into smaller ones, of which each may reach back into the one before it.
fn cut(fragment: &[u8], cursor: &mut Cursor<'_>) -> Vec<Vec<u8>> {
    let (head, body) = fragment.split_at(FRAGMENT_HEAD);
    let begin = usize::from(head[6]) << 16 | usize::from(head[7]) << 8 | usize::from(head[8]);
    let least = body.len() / 16 + 1;
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < body.len() || pieces.is_empty() {
        let end = (at + least + cursor.below(120)).min(body.len());
        let start = at - cursor.below(20).min(at);
        let mut piece = head.to_vec();
        piece[6..9].copy_from_slice(&((begin + start) as u32).to_be_bytes()[1..]);
        piece[9..12].copy_from_slice(&((end - start) as u32).to_be_bytes()[1..]);
        piece.extend_from_slice(&body[start..end]);
        pieces.push(piece);
        at = end;
    }
    pieces
}

/// A datagram with its messages in smaller fragments, each a record, in this order or turned round.
fn cut_all(datagram: &[u8], cursor: &mut Cursor<'_>) -> Vec<u8> {
    let mut all = Vec::new();
    for record in records(datagram) {
        let mut pieces = Vec::new();
        for fragment in fragments(record) {
            pieces.extend(cut(fragment, cursor));
        }
        match cursor.byte() % 3 {
            0 => pieces.reverse(),
            1 if !pieces.is_empty() => pieces.rotate_left(1),
            _ => {}
        }
        if pieces.is_empty() {
            all.extend_from_slice(record);
        }
        for piece in pieces {
            all.extend(record_with(record, &piece));
        }
    }
    all
}

/// A message made up: any type, the number of one that is awaited perhaps, any body.
fn made_up(cursor: &mut Cursor<'_>) -> Vec<u8> {
    let kinds = [0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 20, 22, 24];
    let kind = kinds[cursor.below(kinds.len())];
    let sequence = cursor.byte() % 10;
    let len = cursor.below(600);
    let body = cursor.slice(len);
    let length = (body.len() + cursor.below(300)) as u32;
    let offset = cursor.below(300) as u32;
    let mut message = vec![kind];
    message.extend_from_slice(&length.to_be_bytes()[1..]);
    message.extend_from_slice(&[0, sequence]);
    message.extend_from_slice(&offset.min(length - body.len() as u32).to_be_bytes()[1..]);
    message.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend_from_slice(body);
    record_with(&[22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9], &message)
}

impl World {
    fn operate(&mut self, cursor: &mut Cursor<'_>) {
        let choice = cursor.byte();
        let front = self.under_way.pop_front();
        match (choice % 12, front) {
            (0..3, Some((to, datagram))) => self.deliver(to, &datagram),
            (3 | 4, Some((to, datagram))) => {
                let datagram = cut_all(&datagram, cursor);
                self.deliver(to, &datagram);
            }
            (5, Some((to, datagram))) => {
                // Each record by itself.
                for record in records(&datagram) {
                    self.deliver(to, record);
                }
            }
            (6, Some(held)) => self.under_way.push_back(held),
            (7, Some((to, datagram))) => {
                self.under_way.push_back((to, datagram.clone()));
                self.deliver(to, &datagram);
            }
            (8, Some(_)) if self.patience > 0 => self.patience -= 1,
            (9, Some((to, mut datagram))) => {
                self.changed = true;
                cursor.change(&mut datagram);
                self.deliver(to, &datagram);
            }
            (10, front) => {
                self.under_way.extend(front);
                self.changed = true;
                let record = made_up(cursor);
                self.deliver(usize::from(choice >> 7), &record);
            }
            (11, front) => {
                self.under_way.extend(front);
                let (to, datagram) = self.log[cursor.below(self.log.len())].clone();
                self.deliver(to, &datagram);
            }
            (_, None) if self.patience > 0 => {
                self.patience -= 1;
                self.pass_time();
            }
            (_, Some((to, datagram))) => self.deliver(to, &datagram),
            (_, None) => {}
        }
        if choice & 0x40 != 0 {
            self.answer_lookups();
        }
    }

    fn deliver(&mut self, to: usize, datagram: &[u8]) {
        let from = self.sides[1 - to].address;
        let opened = feed(&mut self.sides[to].dtls, self.now, from, datagram);
        assert!(opened.is_empty(), "nobody has sent anything");
        self.collect();
    }

    fn collect(&mut self) {
        for to in [0, 1] {
            let side = &mut self.sides[1 - to];
            side.note_events(self.credentials, to);
            for (_, datagram) in transmits(&mut side.dtls, self.now) {
                self.log.push((to, datagram.clone()));
                self.under_way.push_back((to, datagram));
            }
            assert!(side.dtls.len() <= 2);
        }
    }

    fn answer_lookups(&mut self) {
        let side = &mut self.sides[0];
        for lookup in std::mem::take(&mut side.lookups) {
            side.dtls.provide_psk(self.now, lookup, Some(KEY));
        }
        self.collect();
    }

    /// The next thing that somebody waits for.
    fn pass_time(&mut self) -> bool {
        let deadlines = self.sides.iter().filter_map(|side| side.dtls.poll_deadline());
        let Some(next) = deadlines.min() else {
            return false;
        };
        self.now = self.now.max(next);
        for side in &mut self.sides {
            side.dtls.handle_timeout(self.now);
        }
        self.collect();
        true
    }

    /// Without faults, until nothing is under way and nobody waits for anything.
    fn come_to_the_end(&mut self) {
        for step in 0.. {
            assert!(step < 5000, "it does not end");
            self.answer_lookups();
            if let Some((to, datagram)) = self.under_way.pop_front() {
                self.deliver(to, &datagram);
            } else if !self.pass_time() {
                break;
            }
        }
        for side in &self.sides {
            let established = side.connected.iter().filter(|id| side.dtls.peer(**id).is_some());
            assert_eq!(
                side.dtls.len(),
                established.count(),
                "something remains of a handshake"
            );
        }
    }

    fn talk(&mut self) {
        for from in [0, 1] {
            let mut buf = [0; 200];
            let [this, other] = [from, 1 - from].map(|side: usize| self.sides[side].connected[0]);
            let sealed = self.sides[from]
                .dtls
                .protect(self.now, this, b"hello", &mut buf)
                .unwrap();
            let address = self.sides[from].address;
            let opened = feed(
                &mut self.sides[1 - from].dtls,
                self.now,
                address,
                &buf[..sealed.len],
            );
            assert_eq!(opened.len(), 1);
            assert!(opened[0].plaintext == b"hello" && opened[0].session == other);
        }
    }
}

impl Side {
    fn note_events(&mut self, credentials: Credentials, to: usize) {
        while let Some(event) = self.dtls.poll_event() {
            match event {
                Event::Connected { session, resumed } => {
                    assert!(!resumed && self.connected.is_empty());
                    let peer = self.dtls.peer(session).unwrap();
                    match (credentials, &**peer) {
                        (Credentials::Psk, Identity::Psk(identity)) => assert_eq!(identity, IDENTITY),
                        (Credentials::RawKeys, Identity::RawPublicKey(_)) => {}
                        (Credentials::Certificates, Identity::Certificate(certificate)) => {
                            let expected = ["server.example.org", "client.example.org"][to];
                            assert_eq!(certificate.common_name.as_deref(), Some(expected));
                        }
                        (_, other) => panic!("{other:?}"),
                    }
                    self.connected.push(session);
                }
                Event::PskWanted { lookup, identity, .. } => {
                    assert!(identity.len() <= limits::PSK_IDENTITY_BYTES);
                    self.lookups.push(lookup);
                }
                Event::Failed { .. } => self.failed = true,
                Event::Closed { .. } | Event::Replaced { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
