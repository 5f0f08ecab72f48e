//! The connections of a client: made for the first request, shared by all others to the same host, and replaced when they
//! are over (RFC 8323 §3).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use coracle_dtls::CertificateIdentity;
use coracle_engine::Path;
use coracle_net::stream::{Authorities, ClientTls, ConnectOptions, Link, connect};
use coracle_wire::Scheme;
use tokio::sync::watch;

use crate::client::route::Route;
use crate::client::session::Security;
use crate::client::{Client, Family, Target, Way};
use crate::command::Handle;
use crate::connections::Line;
use crate::error::Error;

/// Connections that are over are looked for when there are so many entries, and then again when there are twice as many as
/// were left.
const SWEEP_AT_LEAST: usize = 64;

/// To whom a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    /// The name, or the address.
    pub(super) host: String,
    pub(super) port: u16,
}

/// What clones of a client share.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// How servers prove themselves and we do; if nothing was said, by the system's authorities.
    tls: OnceLock<ClientTls>,
    /// How sessions of `coaps` are made.
    pub(super) security: Security,
    kept: Mutex<Entries>,
}

impl Pool {
    /// With other certificates, and without connections.
    pub(super) fn with_tls(&self, tls: ClientTls) -> Pool {
        Pool {
            tls: tls.into(),
            ..self.anew()
        }
    }

    /// With sessions made otherwise, and without connections.
    pub(super) fn with_security(&self, change: impl FnOnce(&mut Security)) -> Pool {
        let mut pool = self.anew();
        change(&mut pool.security);
        pool
    }

    /// Without connections.
    pub(super) fn anew(&self) -> Pool {
        Pool {
            tls: self.tls.clone(),
            security: self.security.clone(),
            kept: Mutex::default(),
        }
    }

    fn tls(&self) -> Result<ClientTls, Error> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let made = Authorities::of_system().and_then(|authorities| ClientTls::new(authorities, None));
        let made = made.map_err(io::Error::other)?;
        Ok(self.tls.get_or_init(|| made).clone())
    }
}

#[derive(Debug, Default)]
struct Entries {
    by_origin: HashMap<Origin, Entry>,
    sweep_at: usize,
}

/// A connection, or the attempt to make one.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// `None`: it is a session, and with whichever address of the host it may be.
    pub(super) handle: Option<Handle>,
    pub(super) line: watch::Receiver<Line>,
}

impl Entry {
    /// Until when no other is to be made: this one is used, or its peer asked for that.
    fn is_kept(&self, now: Instant) -> bool {
        match &*self.line.borrow() {
            Line::Connecting | Line::Opening | Line::Open(_) => self.line.has_changed().is_ok(),
            Line::Over { hold_off, .. } => hold_off.is_some_and(|until| until > now),
            Line::Failed(_) => false,
        }
    }

    /// The way, if it may be used already.
    fn route(&self, client: &Client) -> Option<Route> {
        match &*self.line.borrow() {
            Line::Open(path) if self.line.has_changed().is_ok() => {
                Some(Route::new(handle_of(self.handle.as_ref(), client, path)?, *path))
            }
            _ => None,
        }
    }

    /// Waits until it may be used.
    async fn opened(mut self, client: &Client) -> Result<Route, Error> {
        loop {
            match &*self.line.borrow_and_update() {
                Line::Connecting | Line::Opening => {}
                Line::Open(path) => {
                    let handle = handle_of(self.handle.as_ref(), client, path).ok_or(Error::Closed)?;
                    return Ok(Route::new(handle, *path));
                }
                Line::Over {
                    hold_off: Some(until),
                    ..
                } => {
                    let wait = until.saturating_duration_since(Instant::now());
                    return Err(Error::HeldOff { wait });
                }
                Line::Over { reason, .. } => {
                    let text = format!("the connection was closed before it could be used: {reason}");
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, text).into());
                }
                Line::Failed(error) => return Err(error.copy()),
            }
            if self.line.changed().await.is_err() {
                return Err(Error::Closed);
            }
        }
    }
}

/// The driver of a connection, or of a session, which the address decides on.
fn handle_of(of_connection: Option<&Handle>, client: &Client, path: &Path) -> Option<Handle> {
    match of_connection {
        Some(handle) => Some(handle.clone()),
        None => client.driver_for_session(path.remote).ok(),
    }
}

impl Entries {
    /// The attempt to connect to `origin`, which `begin` begins if there is none.
    fn get(&mut self, origin: Origin, begin: impl FnOnce() -> Option<Entry>) -> Option<Entry> {
        let now = Instant::now();
        if let Some(entry) = self.by_origin.get(&origin).filter(|entry| entry.is_kept(now)) {
            return Some(entry.clone());
        }
        if self.by_origin.len() >= self.sweep_at.max(SWEEP_AT_LEAST) {
            self.by_origin.retain(|_, entry| entry.is_kept(now));
            self.sweep_at = 2 * self.by_origin.len();
        }
        let entry = begin()?;
        self.by_origin.insert(origin, entry.clone());
        Some(entry)
    }
}

impl Client {
    /// The connection to the host of `target`. It is made if there is none, once for all who wait for it.
    pub(super) async fn connection_to(&self, target: &Target) -> Result<Route, Error> {
        let origin = target.origin();
        let entry = {
            let mut kept = self.pool.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(route) = kept.by_origin.get(&origin).and_then(|entry| entry.route(self)) {
                return Ok(route);
            }
            kept.get(origin.clone(), || self.begin_connection(target, &origin))
        };
        entry.ok_or(Error::Closed)?.opened(self).await
    }

    /// Why the connection to the host of `uri` is over, in words for people, such as those of a peer that aborted it
    /// (RFC 8323 §5.6). `None` while there is one that may be used, or if there was none.
    #[must_use]
    pub fn closed_because(&self, uri: impl AsRef<str>) -> Option<String> {
        match self.line_to(&self.target(uri.as_ref()).ok()?)? {
            Line::Over { reason, .. } => Some(reason.to_string()),
            _ => None,
        }
    }

    /// What is still waited for of the connection to the host of `uri` that is being made, in words for people. `None` if
    /// there is one that may be used, or none at all.
    #[must_use]
    pub fn waits_for(&self, uri: impl AsRef<str>) -> Option<&'static str> {
        match self.line_to(&self.target(uri.as_ref()).ok()?)? {
            Line::Connecting => Some("no connection has come about yet"),
            Line::Opening => Some("no CSM has come, with which both sides begin (RFC 8323 §5.3)"),
            _ => None,
        }
    }

    /// How the connection to the host of `target` is.
    pub(super) fn line_to(&self, target: &Target) -> Option<Line> {
        let kept = self.pool.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.by_origin.get(&target.origin())?;
        let line = entry.line.borrow().clone();
        Some(line)
    }

    /// Whether the connection to the host of `target` is over because we refused what came on it.
    pub(super) fn has_refused(&self, target: &Target) -> bool {
        let kept = self.pool.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.by_origin.get(&target.origin());
        entry.is_some_and(|entry| matches!(&*entry.line.borrow(), Line::Over { is_refusal: true, .. }))
    }

    /// Begins to make a connection, in a task of its own: whoever waits for it may give up without harm to others.
    fn begin_connection(&self, target: &Target, origin: &Origin) -> Option<Entry> {
        if origin.scheme == Scheme::Coaps {
            return Some(self.begin_session(target, origin));
        }
        let mut hasher = DefaultHasher::new();
        origin.hash(&mut hasher);
        let handles: Vec<&Handle> = self.ways.iter().take(1).flat_map(Way::handles).collect();
        let shards = u64::try_from(handles.len()).ok()?;
        let place = usize::try_from(hasher.finish().checked_rem(shards)?).ok()?;
        let handle = (*handles.get(place)?).clone();
        let (told, line) = watch::channel(Line::Connecting);
        let attempt = Attempt {
            target: target.clone(),
            family: self.family,
            pool: self.pool.clone(),
            options: ConnectOptions {
                host: Some(origin.host.clone()),
                websocket: matches!(origin.scheme, Scheme::CoapWs | Scheme::CoapsWs),
                max_message: self.groups.config.connections.max_message_size as usize,
                ..ConnectOptions::default()
            },
        };
        let driver = handle.clone();
        tokio::spawn(async move {
            match attempt.run().await {
                Ok(link) => driver.take_on(link, told),
                Err(error) => {
                    told.send_replace(Line::Failed(Arc::new(error)));
                }
            }
        });
        Some(Entry {
            handle: Some(handle),
            line,
        })
    }

    /// The way by the driver of a connection or session that is there, or to a peer of datagrams without protection.
    pub(super) async fn way_back(&self, path: Path) -> Result<Route, Error> {
        if !path.is_reliable() && path.security.is_none() {
            return self.way_to(path.remote);
        }
        for handle in self.ways.iter().flat_map(Way::handles) {
            if handle.has(path).await {
                return Ok(Route::new(handle.clone(), path));
            }
        }
        Err(coracle_engine::RequestError::NotConnected.into())
    }
}

/// A connection in the making.
struct Attempt {
    target: Target,
    family: Family,
    pool: Arc<Pool>,
    options: ConnectOptions,
}

impl Attempt {
    async fn run(mut self) -> Result<Link, Error> {
        if matches!(self.target.scheme, Scheme::CoapsTcp | Scheme::CoapsWs) {
            self.options.tls = Some(self.pool.tls()?);
        }
        let addresses = self.target.resolve(self.family).await?;
        let link = connect(&addresses, &self.options).await?;
        tell_certificate(&link);
        Ok(link)
    }
}

/// Tells what certificate a server has shown.
fn tell_certificate(link: &Link) {
    let shown = link.peer_certificates().first();
    if let Some(shown) = shown.and_then(|shown| CertificateIdentity::of_checked(shown)) {
        let common_name = shown.common_name.as_deref().unwrap_or("none");
        tracing::debug!(peer = %link.remote(), names = ?shown.names, common_name, "shows a certificate");
    }
}
