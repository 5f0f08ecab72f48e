//! Against `dimpl`, another DTLS 1.2 without sockets, in this process.
//!
//! It is made for WebRTC: of our suites it has PSK with CCM_8 and ECDHE_ECDSA with AES_128_GCM_SHA256. It has no connection
//! IDs, no raw public keys, no resumption and no judgement of certificates: it hands them to its owner. Two things it sees
//! otherwise: a datagram with a record and something else behind it is dropped as a whole, while we take the record; and a
//! record that says DTLS 1.0 is taken as if it said 1.2, which we do not (RFC 6347 §4.1).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::keys::{Authority, Issued, UNIX_TIME};
use common::{IDENTITY, KEY, Node, client_address, psk, server_address};
use coracle_dtls::{
    ClientAuthentication, Config, Connect, Identity, OwnKeys, Path, Reason, Received, ServerConfig,
    SignatureScheme, Suite, Trust,
};
use dimpl::crypto::Dtls12CipherSuite;
use dimpl::{DtlsCertificate, Output, PskResolver};
use proptest::prelude::*;

struct OneKey;

impl PskResolver for OneKey {
    fn resolve(&self, identity: &[u8]) -> Option<Vec<u8>> {
        (identity == IDENTITY).then(|| KEY.to_vec())
    }
}

/// The other implementation, as one side of one session.
struct Theirs {
    dtls: dimpl::Dtls,
    begin: Instant,
    connected: bool,
    certificate: Option<Vec<u8>>,
    received: Vec<Vec<u8>>,
    closed: bool,
    failed: bool,
}

impl Theirs {
    fn new(is_client: bool, make: impl FnOnce(Instant) -> dimpl::Dtls) -> Theirs {
        let begin = Instant::now(); // tidy: only the origin of the time that the test makes
        let mut dtls = make(begin);
        dtls.set_active(is_client);
        let mut theirs = Theirs {
            dtls,
            begin,
            connected: false,
            certificate: None,
            received: Vec::new(),
            closed: false,
            failed: false,
        };
        theirs.pass_time(Duration::ZERO);
        theirs
    }

    fn with_psk(is_client: bool) -> Theirs {
        let config = dimpl::Config::builder();
        let config = if is_client {
            config.with_psk_client(IDENTITY.to_vec(), Arc::new(OneKey))
        } else {
            config.with_psk_server(None, Arc::new(OneKey))
        };
        let config = Arc::new(config.build().unwrap());
        Theirs::new(is_client, |now| dimpl::Dtls::new_12_psk(config, now))
    }

    fn with_certificate(is_client: bool, suite: Dtls12CipherSuite, issued: &Issued) -> Theirs {
        let config = dimpl::Config::builder().dtls12_cipher_suites(&[suite]).build();
        let certificate = DtlsCertificate {
            certificate: issued.certified().chain().next().unwrap().to_vec(),
            private_key: issued.certified().key().to_pkcs8_der().unwrap().to_vec(),
        };
        let config = Arc::new(config.unwrap());
        Theirs::new(is_client, |now| dimpl::Dtls::new_12(config, certificate, now))
    }

    fn pass_time(&mut self, now: Duration) {
        if !self.failed {
            self.failed = self.dtls.handle_timeout(self.begin + now).is_err();
        }
    }

    /// An error is the end of the session.
    fn handle(&mut self, datagram: &[u8]) {
        if !self.failed {
            self.failed = self.dtls.handle_packet(datagram).is_err();
        }
    }

    /// What it wants to send; notes what it tells.
    fn poll(&mut self) -> Vec<Vec<u8>> {
        let mut buf = [0; 4096];
        let mut packets = Vec::new();
        loop {
            match self.dtls.poll_output(&mut buf) {
                Output::Packet(packet) => packets.push(packet.to_vec()),
                Output::Connected => self.connected = true,
                Output::PeerCert(certificate) => self.certificate = Some(certificate.to_vec()),
                Output::ApplicationData(data) => self.received.push(data.to_vec()),
                Output::CloseNotify => self.closed = true,
                Output::Timeout(_) => return packets,
                Output::KeyingMaterial(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// One of ours and one of theirs. Nothing gets lost.
struct Pair {
    ours: Node,
    theirs: Theirs,
    their_address: std::net::SocketAddr,
}

impl Pair {
    fn we_connect(config: Config, connect: Connect, theirs: Theirs) -> Pair {
        let mut ours = Node::new(config, client_address(), 3);
        let to = Path::to(server_address());
        ours.dtls.connect(Duration::ZERO, to, connect).unwrap();
        Pair::run(ours, theirs, server_address())
    }

    fn they_connect(config: Config, theirs: Theirs) -> Pair {
        let ours = Node::new(config, server_address(), 3);
        Pair::run(ours, theirs, client_address())
    }

    fn run(ours: Node, theirs: Theirs, their_address: std::net::SocketAddr) -> Pair {
        let mut pair = Pair {
            ours,
            theirs,
            their_address,
        };
        for second in 0..4 {
            let now = Duration::from_secs(second);
            pair.theirs.pass_time(now);
            pair.ours.dtls.handle_timeout(now);
            pair.exchange(now);
        }
        pair
    }

    /// Until nobody has anything to say.
    fn exchange(&mut self, now: Duration) {
        for _ in 0..30 {
            let mut silent = true;
            for datagram in self.our_datagrams(now) {
                self.theirs.handle(&datagram);
                silent = false;
            }
            for datagram in self.theirs.poll() {
                self.we_receive(now, &datagram);
                silent = false;
            }
            if silent {
                return;
            }
        }
        panic!("they talk without end");
    }

    fn our_datagrams(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let mut buf = [0; 2048];
        let mut datagrams = Vec::new();
        self.ours.note_events(now);
        while let Some(transmit) = self.ours.dtls.poll_transmit(now, &mut buf) {
            assert_eq!(transmit.path.remote, self.their_address);
            datagrams.push(buf[..transmit.len].to_vec());
        }
        datagrams
    }

    fn we_receive(&mut self, now: Duration, datagram: &[u8]) {
        let mut copy = datagram.to_vec();
        let mut rest = &mut copy[..];
        while !rest.is_empty() {
            let (used, received) = self
                .ours
                .dtls
                .handle_datagram(now, Path::to(self.their_address), rest);
            if let Received::Data { range, .. } = received {
                self.ours.received.push(rest[range].to_vec());
            }
            rest = &mut rest[used..];
        }
        self.ours.note_events(now);
    }

    fn our_record(&mut self, text: &[u8]) -> Vec<u8> {
        let mut buf = [0; 2048];
        let session = self.ours.sessions[0];
        let now = Duration::from_secs(4);
        let sealed = self.ours.dtls.protect(now, session, text, &mut buf).unwrap();
        buf[..sealed.len].to_vec()
    }

    fn their_record(&mut self, text: &[u8]) -> Vec<u8> {
        assert_eq!(self.theirs.dtls.send_application_data(text).unwrap(), text.len());
        let mut packets = self.theirs.poll();
        assert_eq!(packets.len(), 1);
        packets.remove(0)
    }

    fn talk(&mut self) {
        assert!(self.theirs.connected && self.ours.sessions.len() == 1);
        for text in [&b"up"[..], &[7; 1000], b"x"] {
            let record = self.our_record(text);
            self.theirs.handle(&record);
            self.theirs.poll();
            assert_eq!(self.theirs.received.pop().as_deref(), Some(text));
            let record = self.their_record(text);
            self.we_receive(Duration::from_secs(4), &record);
            assert_eq!(self.ours.received.pop().as_deref(), Some(text));
        }
    }

    fn nobody_is_connected(&self) {
        assert!(self.ours.sessions.is_empty() && !self.theirs.connected);
    }

    fn peer(&self) -> Identity {
        Identity::clone(self.ours.dtls.peer(self.ours.sessions[0]).unwrap())
    }
}

fn psk_pairs() -> [Pair; 2] {
    [
        Pair::we_connect(Config::default(), psk(), Theirs::with_psk(false)),
        Pair::they_connect(Config::psk_server(), Theirs::with_psk(true)),
    ]
}

#[test]
fn psk_in_both_directions() {
    for mut pair in psk_pairs() {
        pair.talk();
        assert_eq!(pair.peer(), Identity::Psk(IDENTITY.to_vec()));
    }
}

#[test]
fn either_side_closes() {
    for mut pair in psk_pairs() {
        pair.theirs.dtls.close().unwrap();
        pair.exchange(Duration::from_secs(4));
        assert_eq!(pair.ours.closed, pair.ours.sessions);
    }
    for mut pair in psk_pairs() {
        let session = pair.ours.sessions[0];
        pair.ours.dtls.close(Duration::from_secs(4), session);
        pair.exchange(Duration::from_secs(4));
        assert!(pair.theirs.closed);
    }
}

#[test]
fn keys_that_differ_are_refused_by_whoever_is_the_server() {
    let wrong = Connect::with_psk(IDENTITY, b"wrong");
    let unknown = Connect::with_psk(b"somebody", KEY);
    for connect in [wrong, unknown] {
        let pair = Pair::we_connect(Config::default(), connect, Theirs::with_psk(false));
        pair.nobody_is_connected();
    }
    for key in [None, Some(b"wrong".to_vec())] {
        let mut ours = Node::new(Config::psk_server(), server_address(), 3);
        ours.key = Some(key);
        let pair = Pair::run(ours, Theirs::with_psk(true), client_address());
        pair.nobody_is_connected();
        let reason = &pair.ours.failures[0].reason;
        assert!(
            matches!(reason, Reason::WrongPsk { identity } if identity == IDENTITY),
            "{reason:?}"
        );
    }
}

/// Certificates of one authority for both sides.
struct Certified {
    authority: Authority,
    ours: Issued,
    theirs: Issued,
}

impl Certified {
    fn new() -> Certified {
        let authority = Authority::new("root");
        let issue = |name| authority.issue(name, SignatureScheme::EcdsaSecp256r1Sha256, 2040);
        Certified {
            ours: issue("ours.example.org"),
            theirs: issue("theirs.example.org"),
            authority,
        }
    }

    fn own(&self) -> OwnKeys {
        OwnKeys {
            certificate: Some(self.ours.certified()),
            ..OwnKeys::default()
        }
    }

    fn trust(&self) -> Trust {
        Trust {
            authorities: self.authority.trusted(),
            ..Trust::default()
        }
    }

    fn we_connect(&self, trust: Trust, suite: Dtls12CipherSuite) -> Pair {
        let mut config = Config::default();
        config.unix_time = Some(UNIX_TIME);
        let connect = Connect::with_keys(self.own(), Arc::new(trust)).to("theirs.example.org");
        let theirs = Theirs::with_certificate(false, suite, &self.theirs);
        Pair::we_connect(config, connect, theirs)
    }

    fn they_connect(&self, trust: Trust, suite: Dtls12CipherSuite) -> Pair {
        let mut config = Config::default();
        config.unix_time = Some(UNIX_TIME);
        config.server = Some(ServerConfig {
            keys: self.own(),
            client_authentication: ClientAuthentication::Required,
            trust,
            ..ServerConfig::default()
        });
        Pair::they_connect(config, Theirs::with_certificate(true, suite, &self.theirs))
    }
}

const GCM: Dtls12CipherSuite = Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256;

#[test]
fn certificates_in_both_directions() {
    let certified = Certified::new();
    for mut pair in [
        certified.we_connect(certified.trust(), GCM),
        certified.they_connect(certified.trust(), GCM),
    ] {
        pair.talk();
        let Identity::Certificate(peer) = pair.peer() else {
            panic!("no certificate");
        };
        assert_eq!(peer.names, ["theirs.example.org"]);
        let shown = certified.ours.certified().chain().next().map(<[u8]>::to_vec);
        assert_eq!(pair.theirs.certificate, shown);
    }
}

#[test]
fn a_certificate_that_we_do_not_believe_ends_it_for_both() {
    let certified = Certified::new();
    for pair in [
        certified.we_connect(Certified::new().trust(), GCM),
        certified.they_connect(Certified::new().trust(), GCM),
    ] {
        pair.nobody_is_connected();
        assert!(matches!(pair.ours.failures[0].reason, Reason::Certificate(_)));
    }
}

#[test]
fn without_a_suite_in_common_nobody_is_connected() {
    let certified = Certified::new();
    let theirs = Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384;
    certified
        .we_connect(certified.trust(), theirs)
        .nobody_is_connected();
    let pair = certified.they_connect(certified.trust(), theirs);
    pair.nobody_is_connected();
    assert!(matches!(
        pair.ours.failures[0].reason,
        Reason::NoCommonSuite { .. }
    ));
    // A client with certificates, and a server with pre-shared keys only.
    let mut config = Config::default();
    config.suites = vec![Suite::EcdsaGcm];
    let connect = Connect::with_keys(certified.own(), Arc::new(certified.trust()));
    Pair::we_connect(config, connect, Theirs::with_psk(false)).nobody_is_connected();
}

/// Where the head of a record has the second byte of its version.
const MINOR_VERSION: usize = 2;

/// What happens to a record on its way.
#[derive(Clone, Debug)]
enum Fate {
    AsItIs,
    Changed { place: u16, with: u8 },
    Cut(u16),
}

fn fates() -> impl Strategy<Value = (u8, Fate)> {
    let fate = prop_oneof![
        6 => Just(Fate::AsItIs),
        3 => (any::<u16>(), 1..=u8::MAX).prop_map(|(place, with)| Fate::Changed { place, with }),
        // The fields of the head.
        3 => (0..21_u16, 1..=u8::MAX).prop_map(|(place, with)| Fate::Changed { place, with }),
        1 => any::<u16>().prop_map(Fate::Cut),
    ];
    (any::<u8>(), fate)
}

fn meets_its_fate(record: &[u8], fate: &Fate) -> Vec<u8> {
    let mut record = record.to_vec();
    match fate {
        Fate::AsItIs => {}
        Fate::Changed { place, with } => {
            let place = usize::from(*place) % record.len();
            let place = if place == MINOR_VERSION { place + 1 } else { place };
            record[place] ^= with;
        }
        Fate::Cut(len) => record.truncate(usize::from(*len) % record.len()),
    }
    record
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Both have the same records come in the same order, changed in the same way, and take the same ones.
    #[test]
    fn both_take_the_same_records(way in proptest::collection::vec(fates(), 1..120), spread in 1..90_usize) {
        for mut pair in psk_pairs() {
            let count = 100;
            let ours: Vec<_> = (0..count).map(|n: u8| pair.our_record(&[n; 5])).collect();
            let theirs: Vec<_> = (0..count).map(|n: u8| pair.their_record(&[n; 5])).collect();
            for (step, (choice, fate)) in way.iter().enumerate() {
                let at = (step + usize::from(*choice) % spread) % usize::from(count);
                pair.theirs.handle(&meets_its_fate(&ours[at], fate));
                pair.theirs.poll();
                let datagram = meets_its_fate(&theirs[at], fate);
                pair.we_receive(Duration::from_secs(4), &datagram);
                prop_assert_eq!(&pair.ours.received, &pair.theirs.received, "step {}", step);
                prop_assert!(!pair.theirs.failed && pair.ours.failures.is_empty());
            }
        }
    }
}
