//! Any sequence of operations on two machines, each client and server, and on what is under way between them, decoded from
//! bytes: what the property test and the fuzz target `dtls` share.
//!
//! Whatever the sequence, nothing panics, the bounds of the configuration and of [`limits`] hold, a message is delivered
//! only if the other side sent it and only once, over restarts too, no sequence number of a session is used twice, events
//! tell of sessions that there are, time is never waited for in vain, and in the end nothing remains of handshakes.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests"
)]

#[path = "../fuzzed/parts.rs"]
mod parts;
mod side;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use coracle_dtls::{Config, Connect, ConnectionIds, Path, SavingScope, Suite};

use self::parts::{
    Credentials, Cursor, IDENTITY, KEY, client_address, config, connect, foreign_address, server_address,
    transmits,
};
use self::side::Side;

/// What is under way at most: beyond that the oldest gets lost.
const UNDER_WAY: usize = 100;

/// To which side, the sender's address as the receiver sees it, bytes.
type Datagram = (usize, SocketAddr, Vec<u8>);

struct World {
    credentials: Credentials,
    sides: [Side; 2],
    now: Duration,
    under_way: VecDeque<Datagram>,
    log: Vec<Datagram>,
    /// Who sent which message.
    sent: BTreeMap<Vec<u8>, usize>,
    /// Which side was given which message.
    delivered: BTreeSet<(usize, Vec<u8>)>,
}

/// Runs the operations that the bytes tell.
pub fn run(bytes: &[u8]) {
    let mut cursor = Cursor(bytes);
    let mut world = begun(&mut cursor);
    while !cursor.0.is_empty() {
        world.operate(&mut cursor);
        world.collect();
        for side in &world.sides {
            side.is_within_bounds();
        }
    }
    world.come_to_the_end();
}

/// Few enough that the bounds are reached.
fn settings(credentials: Credentials, choice: u8) -> Config {
    let mut config = config(credentials);
    config.max_sessions = side::MAX_SESSIONS;
    config.max_handshakes = side::MAX_HANDSHAKES;
    config.handshakes_per_second = [3, 1000][usize::from(choice & 1)];
    config.mtu = [256, 1200][usize::from(choice >> 1 & 1)];
    config.connection_ids = match choice >> 2 & 3 {
        0 => None,
        1 => Some(ConnectionIds::PEERS_ONLY),
        _ => ConnectionIds::new(b"n", 4),
    };
    config.resumption.tickets = choice & 16 != 0;
    config.resumption.sessions = 2;
    config.resumption.lifetime = Duration::from_secs(200);
    if choice & 32 != 0 {
        config.suites = Suite::ALL.into_iter().rev().collect();
    }
    config
}

fn begun(cursor: &mut Cursor<'_>) -> World {
    let credentials = match cursor.byte() % 8 {
        6 => Credentials::RawKeys,
        7 => Credentials::Certificates,
        _ => Credentials::Psk,
    };
    let addresses = [server_address(), client_address()];
    let mut world = World {
        credentials,
        sides: [0, 1].map(|number: usize| {
            let settings = settings(credentials, cursor.byte());
            Side::new(settings, addresses[number], parts::seed(cursor.0, number as u8))
        }),
        now: Duration::ZERO,
        under_way: VecDeque::new(),
        log: Vec::new(),
        sent: BTreeMap::new(),
        delivered: BTreeSet::new(),
    };
    world.connect(1, connect(credentials));
    world.collect();
    world
}

impl World {
    fn operate(&mut self, cursor: &mut Cursor<'_>) {
        let choice = cursor.byte();
        // What happens often has many numbers.
        match choice {
            0..100 => self.of_network(choice, cursor),
            100..130 => self.send(usize::from(choice & 1), cursor),
            130..150 => {
                let wanted = self.credentials_of(cursor.byte());
                self.connect(usize::from(choice & 1), wanted);
            }
            150..180 => {
                let side = &mut self.sides[usize::from(choice & 1)];
                let key = [Some(KEY), Some(KEY), Some(KEY), None, Some(&b"wrong"[..])][cursor.below(5)];
                side.answer_lookups(self.now, key, choice & 2 == 0);
            }
            180..190 => self.pass_time(),
            190..196 => {
                self.now += Duration::from_millis(u64::from(cursor.byte()) << (choice - 190));
                self.handle_timeouts();
            }
            196..206 => self.sides[usize::from(choice & 1)].close_one(self.now, cursor.byte()),
            206..210 => self.sides[usize::from(choice & 1)].prove_path(cursor.byte()),
            210..212 => self.sides[usize::from(choice & 1)]
                .dtls
                .forget_resumable(self.now),
            212..230 => {
                let scope = [SavingScope::All, SavingScope::Changed][cursor.below(2)];
                self.sides[usize::from(choice & 1)].begin_saving(scope);
            }
            230..246 => self.sides[usize::from(choice & 1)].finish_saving(choice & 2 == 0),
            246..252 => {
                let settings = settings(self.credentials, cursor.byte());
                self.sides[usize::from(choice & 1)].crash(settings, cursor.below(4));
            }
            _ => self.sides[usize::from(choice & 1)].end_as_planned(),
        }
    }

    /// Something happens to a datagram on its way.
    fn of_network(&mut self, choice: u8, cursor: &mut Cursor<'_>) {
        let front = self.under_way.pop_front();
        match (choice, front) {
            (0..50, Some(datagram)) => self.deliver(datagram),
            (50..56, Some(datagram)) => self.under_way.push_back(datagram),
            (56..60, Some(datagram)) => {
                self.under_way.push_back(datagram.clone());
                self.deliver(datagram);
            }
            (60..64, Some(_)) => {}
            (64..70, Some((to, from, mut bytes))) => {
                cursor.change(&mut bytes);
                self.deliver((to, from, bytes));
            }
            (70..76, Some((to, _, bytes))) => self.deliver((to, foreign_address(), bytes)),
            (76..80, Some((to, from, mut bytes))) => {
                // Two datagrams become one, or one becomes two.
                match self.under_way.pop_front() {
                    Some((also_to, _, more)) if also_to == to => bytes.extend(more),
                    Some(other) => self.under_way.push_front(other),
                    None => {
                        let tail = bytes.split_off(cursor.below(bytes.len()));
                        self.under_way.push_back((to, from, tail));
                    }
                }
                self.deliver((to, from, bytes));
            }
            (80..94, front) if !self.log.is_empty() => {
                self.under_way.extend(front);
                // Mostly something of late.
                let back = cursor.below(if choice & 1 == 0 { 16 } else { 1000 });
                let at = self.log.len() - 1 - back % self.log.len();
                let (mut to, mut from, mut bytes) = self.log[at].clone();
                if choice >= 92 {
                    // It comes back to who sent it.
                    (to, from) = (1 - to, self.sides[to].address);
                } else if choice >= 88 {
                    cursor.change(&mut bytes);
                }
                self.deliver((to, from, bytes));
            }
            (94..100, front) => {
                self.under_way.extend(front);
                let len = cursor.below(200);
                let bytes = cursor.slice(len).to_vec();
                let to = usize::from(choice & 1);
                self.deliver((to, self.sides[1 - to].address, bytes));
            }
            (_, Some(datagram)) => self.deliver(datagram),
            (_, None) => self.pass_time(),
        }
    }

    fn deliver(&mut self, (to, from, bytes): Datagram) {
        let side = &mut self.sides[to];
        for opened in parts::feed(&mut side.dtls, self.now, from, &bytes) {
            assert_eq!(
                self.sent.get(&opened.plaintext),
                Some(&(1 - to)),
                "the peer did not send it"
            );
            assert!(
                self.delivered.insert((to, opened.plaintext)),
                "it was delivered twice"
            );
        }
    }

    fn send(&mut self, from: usize, cursor: &mut Cursor<'_>) {
        let number = self.sent.len().to_be_bytes();
        let mut message = [&number[..], b"message"].concat();
        message.resize(15 + cursor.below(64), 0);
        if let Some(datagram) = self.sides[from].protect(self.now, &message, cursor.byte()) {
            self.sent.insert(message, from);
            self.put(1 - from, self.sides[from].address, datagram);
        }
    }

    fn credentials_of(&self, choice: u8) -> Connect {
        let mut connect = match choice % 8 {
            0 => Connect::with_psk(b"device-2", KEY),
            1 => Connect::with_psk(IDENTITY, b"wrong"),
            2 => parts::connect(Credentials::RawKeys),
            _ => parts::connect(self.credentials),
        };
        connect.resume = choice & 0x18 != 0;
        connect
    }

    fn connect(&mut self, from: usize, connect: Connect) {
        let to = Path::to(self.sides[1 - from].address);
        // It may be refused, with one under way or without room.
        let _ = self.sides[from].dtls.connect(self.now, to, connect);
    }

    fn put(&mut self, to: usize, from: SocketAddr, bytes: Vec<u8>) {
        if self.log.len() < 1000 {
            self.log.push((to, from, bytes.clone()));
        }
        self.under_way.push_back((to, from, bytes));
        if self.under_way.len() > UNDER_WAY {
            self.under_way.pop_front();
        }
    }

    fn collect(&mut self) {
        for from in [0, 1] {
            let side = &mut self.sides[from];
            side.note_events();
            let watches = side.watches_one();
            for (to, bytes) in transmits(&mut side.dtls, self.now) {
                if watches {
                    self.sides[from].note_sealed(&bytes);
                }
                // What goes to the foreign address arrives as well: its owner sends it on.
                let address = self.sides[from].address;
                assert!(to == self.sides[1 - from].address || to == foreign_address());
                self.put(1 - from, address, bytes);
            }
            self.sides[from].note_events();
        }
    }

    fn handle_timeouts(&mut self) {
        for side in &mut self.sides {
            side.dtls.handle_timeout(self.now);
            assert!(
                side.dtls.poll_deadline().is_none_or(|next| next > self.now),
                "it is not over"
            );
        }
    }

    fn pass_time(&mut self) {
        let deadlines = self.sides.iter().filter_map(|side| side.dtls.poll_deadline());
        if let Some(next) = deadlines.min() {
            self.now = self.now.max(next);
            self.handle_timeouts();
        }
    }

    /// Whatever is under way gets lost: all handshakes end, and of sessions nothing is awaited.
    fn come_to_the_end(&mut self) {
        for step in 0.. {
            assert!(step < 500, "somebody waits in vain");
            self.under_way.clear();
            self.collect();
            if self.sides.iter().all(|side| side.dtls.poll_deadline().is_none()) {
                break;
            }
            self.pass_time();
        }
        for side in &mut self.sides {
            side.only_sessions_remain();
        }
    }
}
