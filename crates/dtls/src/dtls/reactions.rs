//! Every message in every state: what comes of it stands in `tests/reactions.txt`. With `UPDATE_REACTIONS=1` the table is
//! written anew.

#![allow(clippy::print_stdout, reason = "tests")]

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use super::Dtls;
use crate::handshake::{Handshake, Progress, State, Surroundings, client, server};
use crate::messages::codec::Reader;
use crate::messages::header::{FragmentHeader, MessageType, write_message};
use crate::record::{ContentType, RecordHeader};
use crate::sessions::Stage;
use crate::{
    ClientAuthentication, Config, Connect, Event, OwnKeys, Path, Reason, ServerConfig, SessionId,
    SignatureScheme, SigningKey, Trust, TrustedKeys,
};

const KINDS: [MessageType; 13] = [
    MessageType::HELLO_REQUEST,
    MessageType::CLIENT_HELLO,
    MessageType::SERVER_HELLO,
    MessageType::HELLO_VERIFY_REQUEST,
    MessageType::NEW_SESSION_TICKET,
    MessageType::CERTIFICATE,
    MessageType::SERVER_KEY_EXCHANGE,
    MessageType::CERTIFICATE_REQUEST,
    MessageType::SERVER_HELLO_DONE,
    MessageType::CERTIFICATE_VERIFY,
    MessageType::CLIENT_KEY_EXCHANGE,
    MessageType::FINISHED,
    MessageType(99),
];

fn name(state: &State) -> &'static str {
    match state {
        State::Client(client::State::Hello(_)) => "client Hello",
        State::Client(client::State::PskFlight(_)) => "client PskFlight",
        State::Client(client::State::Certificate(_)) => "client Certificate",
        State::Client(client::State::KeyShare(_)) => "client KeyShare",
        State::Client(client::State::Request(_)) => "client Request",
        State::Client(client::State::Finished(_)) => "client Finished",
        State::Client(client::State::Resumed(_)) => "client Resumed",
        State::Server(server::State::Hello(_)) => "server Hello",
        State::Server(server::State::PskExchange(_)) => "server PskExchange",
        State::Server(server::State::Psk(_)) => "server Psk",
        State::Server(server::State::ClientCertificate(_)) => "server ClientCertificate",
        State::Server(server::State::EcdheExchange(_)) => "server EcdheExchange",
        State::Server(server::State::CertificateVerify(_)) => "server CertificateVerify",
        State::Server(server::State::Finished(_)) => "server Finished",
        State::Server(server::State::Resumed(_)) => "server Resumed",
        State::Over => "over",
    }
}

fn short(kind: MessageType) -> &'static str {
    if kind.0 == 99 { "type 99" } else { kind.name() }
}

/// Two machines whose records are handed over one by one.
struct Pair {
    nodes: [Dtls; 2],
    connect: Connect,
    /// Records on their way: to which node, and what.
    records: Vec<(usize, Vec<u8>)>,
    /// Bodies of messages in clear text, by whom they are for and their type.
    bodies: BTreeMap<(usize, u8), Vec<u8>>,
    /// The number of the look-up that is not answered; the others are.
    unanswered: Option<usize>,
    lookups: usize,
    connected: usize,
}

const SERVER: usize = 0;
const CLIENT: usize = 1;

fn path(of: usize) -> Path {
    let last = if of == SERVER { 1 } else { 2 };
    Path::to(([192, 0, 2, last], 5684).into())
}

impl Pair {
    fn new(server: Config, connect: &Connect) -> Pair {
        let mut pair = Pair {
            nodes: [Dtls::new(server, [1; 32]), Dtls::new(Config::default(), [2; 32])],
            connect: connect.clone(),
            records: Vec::new(),
            bodies: BTreeMap::new(),
            unanswered: None,
            lookups: 0,
            connected: 0,
        };
        pair.begin();
        pair
    }

    fn begin(&mut self) {
        let connect = self.connect.clone();
        let begun = self.nodes[CLIENT].connect(Duration::ZERO, path(SERVER), connect);
        begun.unwrap();
        self.collect();
    }

    fn collect(&mut self) {
        let mut buf = [0; 2048];
        for from in [SERVER, CLIENT] {
            while let Some(event) = self.nodes[from].poll_event() {
                match event {
                    Event::PskWanted { lookup, .. } => {
                        self.lookups += 1;
                        if self.unanswered != Some(self.lookups) {
                            self.nodes[from].provide_psk(Duration::ZERO, lookup, Some(b"key"));
                        }
                    }
                    Event::Connected { .. } => self.connected += 1,
                    _ => {}
                }
            }
            while let Some(sent) = self.nodes[from].poll_transmit(Duration::ZERO, &mut buf) {
                let mut rest = &buf[..sent.len];
                while let Some(header) = RecordHeader::parse(rest, 0) {
                    let (record, after) = rest.split_at(header.record_len());
                    self.note(1 - from, &header, record);
                    self.records.push((1 - from, record.to_vec()));
                    rest = after;
                }
            }
        }
    }

    fn note(&mut self, to: usize, header: &RecordHeader, record: &[u8]) {
        if header.content_type == ContentType::HANDSHAKE && header.epoch == 0 {
            let payload = &record[header.payload()];
            let (message, body) = FragmentHeader::read(&mut Reader::new(payload)).unwrap();
            self.bodies.insert((to, message.kind.0), body.to_vec());
        }
    }

    /// Hands the next record over; false if there is none.
    fn step(&mut self) -> bool {
        if self.records.is_empty() {
            return false;
        }
        let (to, mut record) = self.records.remove(0);
        let _ = self.nodes[to].handle_datagram(Duration::ZERO, path(1 - to), &mut record);
        self.collect();
        true
    }

    fn pending(&mut self, node: usize) -> Option<SessionId> {
        self.nodes[node].sessions.at(&path(1 - node)).pending
    }

    fn state_of(&mut self, node: usize) -> &'static str {
        let Some(id) = self.pending(node) else {
            return "none";
        };
        let handshake = self.nodes[node].sessions.handshake_mut(id);
        handshake.map_or("none", |handshake| name(&handshake.state))
    }

    /// Goes on until one of the handshakes is in this state.
    fn run_to(&mut self, state: &str) -> Option<usize> {
        loop {
            if let Some(node) = [SERVER, CLIENT]
                .into_iter()
                .find(|node| self.state_of(*node) == state)
            {
                return Some(node);
            }
            if !self.step() {
                return None;
            }
        }
    }
}

/// What comes of a message in its turn.
fn react(dtls: &mut Dtls, id: SessionId, kind: MessageType, body: &[u8]) -> String {
    let handshake: &mut Handshake = dtls.sessions.handshake_mut(id).unwrap();
    let header = FragmentHeader {
        kind,
        length: u32::try_from(body.len()).unwrap(),
        sequence: handshake.course.inbox.next(),
        offset: 0,
    };
    let mut around = Surroundings {
        config: &dtls.config,
        rng: &mut dtls.rng,
        now: Duration::ZERO,
        memory: &mut dtls.memory,
        wanted: None,
        repeated: false,
    };
    let is_sealed = kind == MessageType::FINISHED;
    match handshake.take(&mut around, &header, body, is_sealed) {
        Ok(Progress::Waiting) => name(&handshake.state).into(),
        Ok(Progress::Refused) => "dropped".into(),
        Ok(Progress::Done(_)) => "a session".into(),
        Err(failure) => match failure.reason {
            Reason::Unexpected { .. } => "unexpected_message".into(),
            _ => format!("{failure}"),
        },
    }
}

fn keys() -> (Config, Connect) {
    let pem = |byte: u8| {
        let mut der = [
            0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4, 0x20,
        ]
        .to_vec();
        der.extend([byte; 32]);
        Arc::new(SigningKey::from_der(&der).unwrap())
    };
    let [server_key, client_key] = [pem(3), pem(4)];
    let trusting = |key: &SigningKey| {
        let mut keys = TrustedKeys::default();
        keys.add_der(key.public_key_info()).unwrap();
        Trust {
            keys,
            ..Trust::default()
        }
    };
    assert_eq!(
        server_key.scheme(),
        SignatureScheme::Ed25519,
        "its signatures are always the same"
    );
    let own = |key: &Arc<SigningKey>| OwnKeys {
        raw_key: Some(key.clone()),
        ..OwnKeys::default()
    };
    let config = Config {
        server: Some(ServerConfig {
            keys: own(&server_key),
            client_authentication: ClientAuthentication::Required,
            trust: trusting(&client_key),
            ..ServerConfig::default()
        }),
        ..Config::default()
    };
    (
        config,
        Connect::with_keys(own(&client_key), trusting(&server_key).into()),
    )
}

/// A scenario up to a state: again and again the same.
fn reach(state: &str) -> (Pair, usize) {
    let psk = || Pair::new(Config::psk_server(), &Connect::with_psk(b"id", b"key"));
    let with_keys = || {
        let (config, connect) = keys();
        Pair::new(config, &connect)
    };
    let resumed = || {
        let mut pair = psk();
        while pair.step() {}
        assert_eq!(pair.connected, 2);
        pair.begin();
        pair
    };
    let mut without_answer = psk();
    without_answer.unanswered = Some(1);
    for mut pair in [without_answer, psk(), with_keys(), resumed()] {
        if let Some(node) = pair.run_to(state) {
            return (pair, node);
        }
    }
    panic!("{state} is never reached");
}

/// A server's first state lasts only as long as a ClientHello in fragments comes in.
fn server_hello() -> (Pair, usize) {
    let (mut pair, node) = reach("server PskExchange");
    let id = pair.pending(node).unwrap();
    let handshake = pair.nodes[node].sessions.handshake_mut(id).unwrap();
    handshake.state = State::Server(server::State::Hello(server::Hello));
    (pair, node)
}

/// What comes of a handshake message that is sealed within a session.
fn react_within_a_session(kind: MessageType) -> &'static str {
    let mut pair = Pair::new(Config::psk_server(), &Connect::with_psk(b"id", b"key"));
    while pair.step() {}
    let [of_server, of_client] = [SERVER, CLIENT].map(|node: usize| {
        let live = pair.nodes[node].sessions.at(&path(1 - node)).live;
        live.unwrap()
    });
    let Stage::Established(client) = &mut pair.nodes[CLIENT].sessions.get_mut(of_client).unwrap().stage
    else {
        panic!("no session");
    };
    let mut message = Vec::new();
    write_message(&mut message, kind, 7, |w| w.put(&[0; 12]));
    let mut record = [0; 128];
    let len = client
        .write
        .seal(ContentType::HANDSHAKE, &message, &mut record)
        .unwrap();
    let server = &mut pair.nodes[SERVER];
    let later = Duration::from_secs(1);
    let (used, _) = server.handle_datagram(later, path(CLIENT), &mut record[..len]);
    assert_eq!(used, len);
    assert!(server.peer(of_server).is_some(), "the session goes on");
    let mut sent = [0; 256];
    match server.poll_transmit(later, &mut sent) {
        None => "dropped",
        Some(_) if sent.starts_with(&[21]) => "no_renegotiation",
        Some(_) => "the last flight again",
    }
}

#[test]
fn every_message_in_every_state_has_its_reaction() {
    const STATES: [&str; 15] = [
        "client Hello",
        "client PskFlight",
        "client Certificate",
        "client KeyShare",
        "client Request",
        "client Finished",
        "client Resumed",
        "server Hello",
        "server PskExchange",
        "server Psk",
        "server ClientCertificate",
        "server EcdheExchange",
        "server CertificateVerify",
        "server Finished",
        "server Resumed",
    ];
    let mut table = String::new();
    for state in STATES {
        let _ = writeln!(table, "{state}");
        for kind in KINDS {
            let (mut pair, node) = if state == "server Hello" {
                server_hello()
            } else {
                reach(state)
            };
            let id = pair.pending(node).unwrap();
            // The message that the peer says in this handshake, if it does.
            let origin = if state == "server Hello" {
                "server PskExchange"
            } else {
                state
            };
            let mut whole = reach(origin).0;
            while whole.step() {}
            let body = whole.bodies.get(&(node, kind.0)).cloned();
            let none = || Vec::from([0; 12]);
            let body = body.unwrap_or_else(none);
            let reaction = react(&mut pair.nodes[node], id, kind, &body);
            let _ = writeln!(table, "  {:<19} {reaction}", short(kind));
        }
    }
    let _ = writeln!(table, "a session");
    for kind in KINDS {
        let _ = writeln!(table, "  {:<19} {}", short(kind), react_within_a_session(kind));
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reactions.txt");
    if std::env::var_os("UPDATE_REACTIONS").is_some() {
        std::fs::write(file, &table).unwrap();
    }
    let expected = std::fs::read_to_string(file).unwrap_or_default();
    for (line, (found, expected)) in table.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {file}", line + 1);
    }
    assert_eq!(table.lines().count(), expected.lines().count());
}
