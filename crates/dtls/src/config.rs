//! What the owner of the sessions decides.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use zeroize::Zeroizing;

use crate::credentials::{OwnKeys, Trust};
use crate::crypto::{MasterSecret, Suite};
use crate::limits;

/// Settings of a [`Dtls`](crate::Dtls). The defaults are those of a client and of a server with pre-shared keys.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The top 8 bits of the [`SessionId`](crate::SessionId)s; 0.
    pub shard: u8,
    /// How many sessions there may be; 1,000,000, together with `max_handshakes` at most 2^24. Beyond that one that was not
    /// heard from for long gives way to a new one.
    pub max_sessions: usize,
    /// How many handshakes that clients began may be under way; 8,192. Beyond that the oldest gives way.
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
    /// Protocols in order of preference, for peers that negotiate one (RFC 7301): `co` (RFC 9952). None.
    pub alpn: Vec<Vec<u8>>,
    /// How sessions are taken up again.
    pub resumption: Resumption,
    /// What time it was in UTC, since 1970, at the origin of the caller's time. Without it no certificate is believed.
    pub unix_time: Option<Duration>,
    /// What a server does; without it ClientHellos are not answered.
    pub server: Option<ServerConfig>,
    /// Is given a line for `SSLKEYLOGFILE` for each handshake: it tells all secrets.
    pub key_log: Option<KeyLog>,
}

/// How sessions are taken up again, without the keys of the peers (RFC 5246 §7.3, RFC 5077).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// How long after its full handshake a session may be taken up; 24 hours, at most 7 days.
    pub lifetime: Duration,
    /// How many sessions a server remembers for clients that take no tickets, and a client for itself; 1,024 each.
    pub sessions: usize,
    /// Whether a server gives tickets to clients that want them; it does.
    pub tickets: bool,
}

impl Default for Resumption {
    fn default() -> Self {
        Resumption {
            lifetime: Duration::from_secs(24 * 3600),
            sessions: 1024,
            tickets: true,
        }
    }
}

/// What is called with a line of a key log.
pub type KeyLog = Arc<dyn Fn(&str) + Send + Sync>;

/// What a server does.
#[derive(Clone, Debug, Default)]
pub struct ServerConfig {
    /// Whether clients may use pre-shared keys: each is asked for by [`Event::PskWanted`](crate::Event::PskWanted).
    pub psk: bool,
    /// The keys of the server, for clients without pre-shared key.
    pub keys: OwnKeys,
    /// Whether such clients have to show who they are.
    pub client_authentication: ClientAuthentication,
    /// Which clients are believed.
    pub trust: Trust,
}

/// Whether a client without pre-shared key has to show who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// It is not asked.
    #[default]
    None,
    /// It is asked, and may stay [`Identity::Anonymous`](crate::Identity::Anonymous). Whom we do not believe is refused.
    Optional,
    /// It is asked, and has to.
    Required,
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
            alpn: Vec::new(),
            resumption: Resumption::default(),
            unix_time: None,
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
            server: Some(ServerConfig {
                psk: true,
                ..ServerConfig::default()
            }),
            ..Config::default()
        }
    }

    /// The suites that a server can use with what it has.
    pub(crate) fn server_suites(&self) -> impl Iterator<Item = Suite> {
        let server = self.server.as_ref();
        let with_psk = server.is_some_and(|server| server.psk);
        let with_keys = server.is_some_and(|server| !server.keys.types().is_empty());
        let usable = move |suite: &Suite| if suite.is_psk() { with_psk } else { with_keys };
        self.suites.iter().copied().filter(usable)
    }

    /// UTC since 1970 at a time of the caller's.
    pub(crate) fn utc(&self, now: Duration) -> Option<Duration> {
        self.unix_time.map(|origin| origin.saturating_add(now))
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
