//! Sessions of `coaps` as a client begins them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use coracle_dtls::{Connect, OwnKeys, Trust};
use coracle_engine::ExchangeError;
use tokio::sync::watch;

use crate::client::pool::{Entry, Origin};
use crate::client::{Client, Target};
use crate::command::Handle;
use crate::connections::Line;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::secure::{KeyLog, Settings};

/// How sessions are made.
#[derive(Clone, Default)]
pub(super) struct Security {
    pub(super) credentials: Option<Credentials>,
    /// Bytes of our connection IDs; 0: we want none ourselves.
    pub(super) connection_ids: usize,
    pub(super) key_log: Option<KeyLog>,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Security {
    /// What is shown to a server, and what is expected of it.
    fn connect(&self, origin: &Origin) -> Result<Connect, Error> {
        let uri = match origin.host.contains(':') {
            true => format!("{}://[{}]:{}", origin.scheme, origin.host, origin.port),
            false => format!("{}://{}:{}", origin.scheme, origin.host, origin.port),
        };
        let book = self.credentials.as_ref().map(Credentials::book);
        let proofs = book.as_ref().map(|book| book.proofs_for(&uri));
        let connect = match proofs {
            Some(proofs) if let Some((identity, key)) = &proofs.psk => Connect::with_psk(identity, key),
            Some(proofs) if proofs.believes_anybody() => {
                let own = OwnKeys {
                    certificate: proofs.certificate.clone(),
                    raw_key: proofs.raw_key.clone(),
                };
                let trust = Trust {
                    authorities: proofs.authorities.clone(),
                    keys: proofs.trusted_keys.clone(),
                };
                Connect::with_keys(own, Arc::new(trust))
            }
            _ => {
                let text = format!(
                    "{uri} needs a pre-shared key, or certificates or public keys to believe: Client::with_credentials"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text).into());
            }
        };
        let name = origin.host.split('%').next().unwrap_or_default();
        Ok(connect.to(name))
    }

    fn settings(&self) -> Settings {
        Settings {
            credentials: None,
            serves: false,
            connection_ids: Some(self.connection_ids),
            key_log: self.key_log.clone(),
            shard: 0,
            shards: 1,
            edition: 0,
            told: None,
        }
    }
}

impl Client {
    /// The driver of the sessions with this address.
    pub(super) fn driver_for_session(&self, remote: SocketAddr) -> Result<Handle, Error> {
        let secure = self
            .ways
            .iter()
            .find(|way| way.is_secure() && way.leads_to(remote));
        match secure {
            Some(way) => way.driver_of(remote).ok_or(Error::Closed),
            None => Ok(self.way_to(remote)?.into_handle()),
        }
    }

    /// Begins a session, in a task of its own: whoever waits for it may give up without harm to others.
    pub(super) fn begin_session(&self, target: &Target, origin: &Origin) -> Entry {
        let (told, line) = watch::channel(Line::Connecting);
        let attempts = Attempts {
            client: self.clone(),
            target: target.clone(),
            origin: origin.clone(),
        };
        tokio::spawn(attempts.run(told));
        Entry { handle: None, line }
    }
}

/// A session in the making, with one address of a host after another.
struct Attempts {
    client: Client,
    target: Target,
    origin: Origin,
}

impl Attempts {
    async fn run(self, told: watch::Sender<Line>) {
        let (connect, addresses) = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(error) => {
                told.send_replace(Line::Failed(Arc::new(error)));
                return;
            }
        };
        let (mut told, mut last) = (told, Error::Closed);
        for remote in addresses {
            let tried = self.with(remote, connect.clone(), told).await;
            match tried {
                Ok(()) => return,
                Err((back, error)) => {
                    (told, last) = (back, error);
                    if !is_about_the_way(&last) {
                        break;
                    }
                }
            }
        }
        told.send_replace(Line::Failed(Arc::new(last)));
    }

    async fn prepare(&self) -> Result<(Connect, Vec<SocketAddr>), Error> {
        let connect = self.client.pool.security.connect(&self.origin)?;
        let addresses = self.target.resolve(self.client.family).await?;
        Ok((connect, addresses))
    }

    async fn with(
        &self,
        remote: SocketAddr,
        connect: Connect,
        told: watch::Sender<Line>,
    ) -> Result<(), (watch::Sender<Line>, Error)> {
        let handle = match self.client.driver_for_session(remote) {
            Ok(handle) => handle,
            Err(error) => return Err((told, error)),
        };
        let settings = self.client.pool.security.settings();
        let as_whom = self
            .client
            .pool
            .security
            .credentials
            .as_ref()
            .map_or(0, Credentials::number);
        handle.secure(remote, (connect, as_whom, settings), told).await
    }
}

/// Whether another address may do what this one did not.
fn is_about_the_way(error: &Error) -> bool {
    match error {
        Error::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut | io::ErrorKind::AddrNotAvailable
        ),
        error => matches!(error, Error::Exchange(ExchangeError::Unreachable)),
    }
}
