//! What proves who we are, whom we believe, and who may do what: from a file, or put together by a program.

mod authorization;
mod book;
mod file;
mod rules;
mod table;
mod watch;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use coracle_dtls::{CertifiedKey, SigningKey, TrustedAuthorities, TrustedKeys};

pub use authorization::{Authorization, Authorized};
pub(crate) use book::Book;
pub use table::CredentialsError;
use watch::Files;
pub use watch::Watching;

/// Keys, certificates and rights: for `coaps` of servers ([`Endpoint::with_credentials`](crate::Endpoint::with_credentials))
/// and clients ([`Client::with_credentials`](crate::Client::with_credentials)).
///
/// Clones share them: what is read anew is known to all. Keys are overwritten in memory when they are no longer used, and are
/// never shown.
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use coracle_runtime::{Credentials, Endpoint};
///
/// let credentials = Credentials::from_file("credentials.toml")?; // read again while it is served, when it changes
/// let endpoint = Endpoint::bind("coaps://[::]")?.with_credentials(credentials);
/// # Ok(())
/// # }
/// ```
///
/// # The file
/// ```toml
/// [own]                                # who we are, as server and as client
/// certificate = "cert.pem"             # with those that lead from it to an authority; PEM
/// key = "key.pem"                      # its private key [default: in the same file]
/// raw-key = "own.pem"                  # a private key that is known by itself (RFC 7250)
/// psk-hint = "site 7"                  # which key of theirs clients are to use (RFC 4279 §2)
///
/// [trust]
/// authorities = ["ca.pem"]             # whose certificates are believed
/// clients = "optional"                 # clients without a key or certificate are taken, too [default: "required"]
///
/// [[psk]]                              # a pre-shared key: text, or bytes as 0x..
/// identity = "meter-7"
/// key = "0x7b2f..."
/// allow = ["GET /sensors/**", "PUT,POST /led/*"]   # [default: everything]
///
/// [[raw-public-key]]                   # a public key that is believed
/// file = "gateway.pem"
/// allow = ["GET"]
///
/// [[certificate]]                      # those with this common name or alternative name; without any entry: everything
/// name = "*.sensors.example"
/// allow = ["POST /reports"]
///
/// [anonymous]                          # who has proved nothing; without this entry nothing, if any `allow` is in the file
/// allow = ["GET /.well-known/core", "GET /public/**"]
///
/// [[client]]                           # what we use as a client of these servers; the first that fits
/// uri = "coaps://*.example"            # host, and port if it is not the usual one; `*` stands for anything
/// identity = "gateway"
/// key = "a long secret"
/// certificate = "cert.pem"             # and certificate-key, raw-key, authorities, trusted-keys
/// ```
/// Names of files are relative to the folder of this file. `allow` lists methods and paths: `*` is any segment, `**` at the end
/// whatever follows. What is not allowed is answered 4.03, or 4.01 to those who have proved nothing.
#[derive(Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    book: RwLock<Arc<Book>>,
    /// How often they were changed.
    edition: AtomicU64,
    /// Where they come from, if that is a file.
    files: Option<Files>,
}

impl Default for Credentials {
    fn default() -> Credentials {
        Credentials::of(Book::default(), None)
    }
}

impl Credentials {
    /// Nothing: add what is needed.
    #[must_use]
    pub fn new() -> Credentials {
        Credentials::default()
    }

    /// Reads a file, and those that it names.
    ///
    /// # Errors
    /// The file, the line, and what is wrong there.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Credentials, CredentialsError> {
        let file = file.as_ref();
        let (book, files) = Files::read(file)?;
        Ok(Credentials::of(book, Some(files)))
    }

    fn of(book: Book, files: Option<Files>) -> Credentials {
        Credentials {
            shared: Arc::new(Shared {
                book: RwLock::new(Arc::new(book)),
                edition: AtomicU64::new(0),
                files,
            }),
        }
    }

    /// Believes who has this pre-shared key to be `identity`.
    #[must_use]
    pub fn with_psk(self, identity: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Credentials {
        self.changed(|book| {
            book.add_psk(identity.as_ref(), key.as_ref(), None);
        })
    }

    /// Uses this pre-shared key as a client of any server that no entry of the file is about.
    #[must_use]
    pub fn with_client_psk(self, identity: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Credentials {
        self.changed(|book| book.own.set_psk(identity.as_ref(), key.as_ref()))
    }

    /// Shows this certificate.
    #[must_use]
    pub fn with_certificate(self, certificate: CertifiedKey) -> Credentials {
        self.changed(|book| book.own.certificate = Some(certificate))
    }

    /// Shows this key as a raw public key (RFC 7250).
    #[must_use]
    pub fn with_raw_key(self, key: SigningKey) -> Credentials {
        self.changed(|book| book.own.raw_key = Some(Arc::new(key)))
    }

    /// Believes certificates that these have signed.
    #[must_use]
    pub fn with_trusted_authorities(self, authorities: TrustedAuthorities) -> Credentials {
        self.changed(|book| book.own.authorities = authorities)
    }

    /// Believes who has one of these raw public keys.
    #[must_use]
    pub fn with_trusted_keys(self, keys: TrustedKeys) -> Credentials {
        self.changed(|book| book.own.trusted_keys = keys)
    }

    /// Takes clients that show no certificate and no key, too, where they could.
    #[must_use]
    pub fn with_anonymous_clients(self) -> Credentials {
        self.changed(|book| book.takes_anonymous = true)
    }

    fn changed(self, change: impl FnOnce(&mut Book)) -> Credentials {
        let mut book = Book::clone(&self.book());
        change(&mut book);
        let files = self.shared.files.clone();
        Credentials::of(book, files)
    }

    /// What they are now.
    pub(crate) fn book(&self) -> Arc<Book> {
        let book = self.shared.book.read().unwrap_or_else(PoisonError::into_inner);
        book.clone()
    }

    /// A number that other credentials do not have, and these no longer when they have changed, as far as chance goes.
    pub(crate) fn number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (Arc::as_ptr(&self.shared).addr(), self.edition()).hash(&mut hasher);
        hasher.finish()
    }

    /// How often they were changed so far: who keeps a copy of anything looks whether it is the latest.
    pub(crate) fn edition(&self) -> u64 {
        self.shared.edition.load(Ordering::Acquire)
    }

    /// What should be better: files that others may read, keys that can be guessed.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.book().warnings.clone()
    }

    /// A layer that lets peers do what they may. [`Endpoint::serve`](crate::Endpoint::serve) puts it around the router by
    /// itself; it is here for routers that are called otherwise.
    #[must_use]
    pub fn authorization(&self) -> Authorization {
        Authorization::new(self.clone())
    }

    /// Reads the file again. What it had before is kept if anything is wrong with it, or if these credentials come from no
    /// file.
    ///
    /// # Errors
    /// As [`from_file`](Credentials::from_file).
    pub fn reload(&self) -> Result<(), CredentialsError> {
        let Some(files) = &self.shared.files else {
            return Ok(());
        };
        let book = files.read_again()?;
        let mut place = self.shared.book.write().unwrap_or_else(PoisonError::into_inner);
        *place = Arc::new(book);
        self.shared.edition.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// Tells how much there is, and nothing of it.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.book().fmt(f)
    }
}
