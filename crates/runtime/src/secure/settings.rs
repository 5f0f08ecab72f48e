//! What the sessions of a driver are told, and what they are told anew when credentials have changed.

use std::sync::Arc;
use std::time::Duration;

use coracle_dtls::{ClientAuthentication, Config, ConnectionIds, Dtls, OwnKeys, ServerConfig, Trust};

use crate::credentials::{Book, Credentials};

/// What is called with a line of a key log (`SSLKEYLOGFILE`).
pub(crate) type KeyLog = Arc<dyn Fn(&str) + Send + Sync>;

/// The protocol that is spoken inside, where both sides say so (RFC 9952).
const CO: &[u8] = b"co";

/// Bytes of a server's connection IDs: one for the shard, and seven that are random.
const USUAL_CID: usize = 8;

/// Sessions of all shards of an address together.
const MAX_SESSIONS: usize = 1_000_000;

/// How sessions are made.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Of a server.
    pub(crate) credentials: Option<Credentials>,
    /// Peers may begin sessions, and nothing else is taken.
    pub(crate) serves: bool,
    /// Bytes of our connection IDs; `None`: no connection IDs at all, 0: only those that the peer wants (RFC 9146 §3).
    pub(crate) connection_ids: Option<usize>,
    pub(crate) key_log: Option<KeyLog>,
    pub(crate) shard: usize,
    pub(crate) shards: usize,
    /// Of the credentials that were told last,
    pub(crate) edition: u64,
    /// and what they were.
    pub(crate) told: Option<Arc<Book>>,
}

impl Settings {
    /// Those of a server for which nothing was said yet.
    pub(crate) fn of_server() -> Settings {
        Settings {
            credentials: None,
            serves: true,
            connection_ids: Some(USUAL_CID),
            key_log: None,
            shard: 0,
            shards: 1,
            edition: 0,
            told: None,
        }
    }

    /// The same for one of the shards of an address.
    pub(crate) fn of_shard(&self, shard: usize, shards: usize) -> Settings {
        Settings {
            shard,
            shards,
            edition: self.credentials.as_ref().map_or(0, Credentials::edition),
            told: self.book(),
            ..self.clone()
        }
    }

    pub(super) fn book(&self) -> Option<Arc<Book>> {
        self.credentials.as_ref().map(Credentials::book)
    }

    /// Bytes of our connection IDs. Where there are several shards the first is the number of the shard.
    pub(super) fn cid_len(&self) -> usize {
        self.connection_ids().map_or(0, |ids| ids.len())
    }

    fn connection_ids(&self) -> Option<ConnectionIds> {
        let len = self.connection_ids?;
        let prefix = [u8::try_from(self.shard).unwrap_or(0)];
        Some(ConnectionIds::new(&prefix, len.saturating_sub(1)).unwrap_or(ConnectionIds::PEERS_ONLY))
    }

    pub(super) fn dtls(&self) -> Config {
        let mut config = Config::default();
        config.shard = u8::try_from(self.shard).unwrap_or(0);
        config.max_sessions = MAX_SESSIONS / self.shards.max(1);
        config.connection_ids = self.connection_ids();
        // The engine's time begins there, too.
        config.unix_time = Some(Duration::ZERO);
        config.alpn = vec![CO.to_vec()];
        config.key_log.clone_from(&self.key_log);
        config.server = self.server();
        config
    }

    fn server(&self) -> Option<ServerConfig> {
        let book = self.book().filter(|_| self.serves)?;
        let own = &book.own;
        Some(ServerConfig {
            psk: book.has_psks(),
            keys: OwnKeys {
                certificate: own.certificate.clone(),
                raw_key: own.raw_key.clone(),
            },
            client_authentication: match (own.believes_anybody(), book.takes_anonymous) {
                (false, _) => ClientAuthentication::None,
                (true, true) => ClientAuthentication::Optional,
                (true, false) => ClientAuthentication::Required,
            },
            trust: Trust {
                authorities: own.authorities.clone(),
                keys: own.trusted_keys.clone(),
            },
        })
    }

    /// Tells what has changed since, and gives the credentials from before if they have. What could be taken up again is
    /// forgotten, because that looks at no key.
    pub(super) fn follow(&mut self, dtls: &mut Dtls, now: Duration) -> Option<Arc<Book>> {
        let edition = self.credentials.as_ref().map_or(0, Credentials::edition);
        if edition == self.edition {
            return None;
        }
        self.edition = edition;
        dtls.set_server(self.server());
        dtls.forget_resumable(now);
        let book = self.book();
        std::mem::replace(&mut self.told, book)
    }
}
