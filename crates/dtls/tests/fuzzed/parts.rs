//! What the bodies of the fuzz targets share: how bytes choose what is done, and how a machine is given a datagram.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use coracle_dtls::{
    CertifiedKey, ClientAuthentication, Config, Connect, Dtls, OwnKeys, Path, Received, ServerConfig,
    SessionId, Trust, TrustedAuthorities, TrustedKeys,
};

pub const IDENTITY: &[u8] = b"device-1";
pub const KEY: &[u8] = b"correct horse battery staple";

/// 2030-01-01, when the certificates are valid.
const UNIX_TIME: Duration = Duration::from_secs(1_893_456_000);

/// Reads numbers from bytes; zeros when they are used up.
pub struct Cursor<'b>(pub &'b [u8]);

impl<'b> Cursor<'b> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = usize::from(self.byte());
        let wide = if end > 256 {
            wide << 8 | usize::from(self.byte())
        } else {
            wide
        };
        wide.checked_rem(end).unwrap_or(0)
    }

    pub fn slice(&mut self, len: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Changes a datagram as somebody on the way might.
    pub fn change(&mut self, datagram: &mut Vec<u8>) {
        for _ in 0..=self.byte() % 3 {
            let place = self.below(datagram.len());
            match (self.byte() % 7, datagram.get_mut(place)) {
                (0, Some(byte)) => *byte ^= 1 << (self.byte() % 8),
                (1, Some(byte)) => *byte = self.byte(),
                (2, _) => datagram.truncate(place),
                (3, _) => datagram.insert(place, self.byte()),
                (4, _) => {
                    let tail = datagram.split_off(place);
                    datagram.extend_from_slice(&tail);
                    datagram.extend_from_slice(&tail);
                }
                (5, _) => datagram.extend_from_slice(self.slice(24)),
                // The fields of the heads are where most can be done.
                _ => {
                    let place = self.below(datagram.len().min(25));
                    if let Some(byte) = datagram.get_mut(place) {
                        *byte = [0, 1, 0xFE, 0xFF, 22, 25][self.below(6)];
                    }
                }
            }
        }
        datagram.truncate(4000);
    }
}

pub fn client_address() -> SocketAddr {
    ([192, 0, 2, 1], 40_000).into()
}

pub fn server_address() -> SocketAddr {
    ([198, 51, 100, 1], 5684).into()
}

/// The seed of a machine. With other bytes it is another one: a fuzzer that has seen a record of one sequence of operations
/// could put it into another as one that nobody sent.
pub fn seed(bytes: &[u8], number: u8) -> [u8; 32] {
    // FNV-1a
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut seed = [number; 32];
    seed[..8].copy_from_slice(&hash.to_be_bytes());
    seed
}

/// An address that neither of the two has.
pub fn foreign_address() -> SocketAddr {
    ([203, 0, 113, 9], 999).into()
}

/// A record that held something for the application.
pub struct Opened {
    /// As it came.
    pub record: Vec<u8>,
    pub session: SessionId,
    pub plaintext: Vec<u8>,
}

/// Hands a datagram in, record by record.
pub fn feed(dtls: &mut Dtls, now: Duration, from: SocketAddr, datagram: &[u8]) -> Vec<Opened> {
    let mut opened = Vec::new();
    let mut copy = datagram.to_vec();
    let (mut rest, mut at) = (&mut copy[..], 0);
    while !rest.is_empty() {
        let (used, received) = dtls.handle_datagram(now, Path::to(from), rest);
        assert!(0 < used && used <= rest.len(), "{used} of {}", rest.len());
        if let Received::Data { session, range } = received {
            assert!(range.end <= used);
            opened.push(Opened {
                record: datagram[at..at + used].to_vec(),
                session,
                plaintext: rest[range].to_vec(),
            });
        }
        at += used;
        rest = &mut rest[used..];
    }
    opened
}

/// What a machine wants to send: to, bytes. It comes to an end.
pub fn transmits(dtls: &mut Dtls, now: Duration) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut buf = [0; 2048];
    let mut all = Vec::new();
    while let Some(transmit) = dtls.poll_transmit(now, &mut buf) {
        assert!(transmit.len > 0);
        all.push((transmit.path.remote, buf[..transmit.len].to_vec()));
        assert!(all.len() < 2000, "it does not end");
    }
    all
}

/// How the sides know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    Psk,
    RawKeys,
    Certificates,
}

struct Keys {
    server: CertifiedKey,
    client: CertifiedKey,
    authorities: TrustedAuthorities,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let certified = |pem: &[u8]| CertifiedKey::from_pem(pem, pem).unwrap();
        let mut authorities = TrustedAuthorities::default();
        authorities.add_pem(include_bytes!("authority.pem")).unwrap();
        Keys {
            server: certified(include_bytes!("server.pem")),
            client: certified(include_bytes!("client.pem")),
            authorities,
        }
    })
}

fn own(key: &CertifiedKey, credentials: Credentials) -> OwnKeys {
    match credentials {
        Credentials::Psk => OwnKeys::default(),
        Credentials::RawKeys => OwnKeys {
            raw_key: Some(key.key().clone()),
            ..OwnKeys::default()
        },
        Credentials::Certificates => OwnKeys {
            certificate: Some(key.clone()),
            ..OwnKeys::default()
        },
    }
}

fn trust(key: &CertifiedKey, credentials: Credentials) -> Trust {
    let mut trust = Trust::default();
    if credentials == Credentials::RawKeys {
        let mut known = TrustedKeys::default();
        known.add_der(key.key().public_key_info()).unwrap();
        trust.keys = known;
    } else {
        trust.authorities = keys().authorities.clone();
    }
    trust
}

/// The settings of a machine that is a server with these credentials, and may be a client as well.
pub fn config(credentials: Credentials) -> Config {
    let mut config = Config::psk_server();
    config.unix_time = Some(UNIX_TIME);
    if credentials != Credentials::Psk {
        config.server = Some(ServerConfig {
            keys: own(&keys().server, credentials),
            client_authentication: ClientAuthentication::Required,
            trust: trust(&keys().client, credentials),
            ..ServerConfig::default()
        });
    }
    config
}

/// How a client connects with these credentials.
pub fn connect(credentials: Credentials) -> Connect {
    if credentials == Credentials::Psk {
        return Connect::with_psk(IDENTITY, KEY);
    }
    let trust = trust(&keys().server, credentials);
    Connect::with_keys(own(&keys().client, credentials), Arc::new(trust)).to("server.example.org")
}
