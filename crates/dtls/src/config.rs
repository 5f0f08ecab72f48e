//! What the owner of the sessions decides.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::crypto::{MasterSecret, Suite};
use crate::limits;

/// Settings of a [`Dtls`](crate::Dtls). The defaults are those of a client and of a server with pre-shared keys.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The top 8 bits of the [`SessionId`](crate::SessionId)s; 0.
    pub shard: u8,
    /// How many sessions there may be, with handshakes under way; 1,000,000, at most 2^24.
    pub max_sessions: usize,
    /// How many of them may be handshakes that clients began; 8,192. Beyond that the oldest gives way.
    pub max_handshakes: usize,
    /// How many handshakes clients may begin in a second; 20,000. As many may come at once.
    pub handshakes_per_second: u32,
    /// Cipher suites in order of preference; all, CCM_8 first (RFC 7925 §4).
    pub suites: Vec<Suite>,
    /// Whether peers without the extended master secret are refused (RFC 7627 §5); they are.
    pub require_extended_master_secret: bool,
    /// Bytes of a datagram of a handshake; 1,200.
    pub mtu: usize,
    /// Connection IDs (RFC 9146); none.
    pub connection_ids: Option<ConnectionIds>,
    /// The bytes of plaintext that we take in a record, told to the peer (RFC 8449); nothing is told. From 64 to 16,384.
    pub record_size_limit: Option<u16>,
    /// What a server does; without it ClientHellos are not answered.
    pub server: Option<ServerConfig>,
    /// Is given a line for `SSLKEYLOGFILE` for each handshake: it tells all secrets.
    pub key_log: Option<KeyLog>,
}

/// What is called with a line of a key log.
pub type KeyLog = Arc<dyn Fn(&str) + Send + Sync>;

/// What a server does.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Whether clients may use pre-shared keys: each is asked for by [`Event::PskWanted`](crate::Event::PskWanted).
    pub psk: bool,
}

/// How the connection IDs are made that we want to find in records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionIds {
    prefix: Vec<u8>,
    random: usize,
}

impl ConnectionIds {
    /// Only puts the peer's connection IDs into records and wants none itself: what suits a client (RFC 9146 §3).
    pub const PEERS_ONLY: ConnectionIds = ConnectionIds {
        prefix: Vec::new(),
        random: 0,
    };

    /// `prefix`, in which a shard or a node can be found, followed by `random` random bytes. Both together have at most
    /// [`limits::CONNECTION_ID_BYTES`] and at least 4 of them random, enough for the sessions there can be; `None` otherwise.
    #[must_use]
    pub fn new(prefix: &[u8], random: usize) -> Option<ConnectionIds> {
        let fits = random >= 4 && prefix.len() + random <= limits::CONNECTION_ID_BYTES;
        fits.then(|| ConnectionIds {
            prefix: prefix.into(),
            random,
        })
    }

    /// Bytes of each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prefix.len() + self.random
    }

    /// Whether we want none ourselves.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            shard: 0,
            max_sessions: 1_000_000,
            max_handshakes: 8192,
            handshakes_per_second: 20_000,
            suites: Suite::ALL.to_vec(),
            require_extended_master_secret: true,
            mtu: 1200,
            connection_ids: None,
            record_size_limit: None,
            server: None,
            key_log: None,
        }
    }
}

impl Config {
    /// The settings of a server for clients with pre-shared keys.
    #[must_use]
    pub fn psk_server() -> Config {
        Config {
            server: Some(ServerConfig { psk: true }),
            ..Config::default()
        }
    }

    /// The suites that a server can use with what it has.
    pub(crate) fn server_suites(&self) -> impl Iterator<Item = Suite> {
        let with_psk = self.server.as_ref().is_some_and(|server| server.psk);
        let usable = move |suite: &Suite| if suite.is_psk() { with_psk } else { false };
        self.suites.iter().copied().filter(usable)
    }

    pub(crate) fn cid_len(&self) -> u8 {
        let len = self.connection_ids.as_ref().map_or(0, ConnectionIds::len);
        u8::try_from(len).unwrap_or(0)
    }

    pub(crate) fn log_keys(&self, master: &MasterSecret, client_random: &[u8; 32]) {
        if let Some(log) = &self.key_log {
            let line = Zeroizing::new(master.key_log_line(client_random));
            log(&line);
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("shard", &self.shard)
            .field("suites", &self.suites)
            .field("mtu", &self.mtu)
            .field("connection_ids", &self.connection_ids)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Whom to connect to, and as whom.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The name of the server, for servers that have several (RFC 6066 §3).
    pub server_name: Option<String>,
    /// Who we are.
    pub credentials: ClientCredentials,
}

impl Connect {
    /// With a pre-shared key.
    #[must_use]
    pub fn with_psk(identity: &[u8], key: &[u8]) -> Connect {
        Connect {
            server_name: None,
            credentials: ClientCredentials::Psk {
                identity: identity.into(),
                key: Zeroizing::new(key.into()),
            },
        }
    }

    /// What is offered to the server.
    pub(crate) fn suites(&self, config: &Config) -> Vec<Suite> {
        let with_psk = matches!(self.credentials, ClientCredentials::Psk { .. });
        let usable = |suite: &Suite| suite.is_psk() == with_psk;
        config.suites.iter().copied().filter(usable).collect()
    }
}

/// Who a client is.
#[derive(Clone)]
#[non_exhaustive]
pub enum ClientCredentials {
    /// A key that both sides know (RFC 4279).
    Psk {
        /// The name of the key: at most 65,535 bytes, and servers may take 128 only.
        identity: Vec<u8>,
        /// The key.
        key: Zeroizing<Vec<u8>>,
    },
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientCredentials::Psk { identity, .. } => {
                let identity = String::from_utf8_lossy(identity);
                write!(f, "Psk({identity:?})")
            }
        }
    }
}
