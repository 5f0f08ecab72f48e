//! Certificates and keys as people have them: files of PEM.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::VerifierBuilderError;
use rustls::sign::CertifiedKey;

use super::explain::describe;
use super::provider;

/// A certificate with those that lead from it to an authority, and its private key.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<CertifiedKey>,
}

impl Identity {
    /// Reads both from files of PEM, which may be one file.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Identity, TlsError> {
        let certificates = certificates(&Source::File(chain), &read(chain)?)?;
        let private = private_key(&Source::File(key), &read(key)?)?;
        Identity::new(&Source::File(chain), certificates, private)
    }

    /// Reads both from PEM, which may be one text.
    ///
    /// # Errors
    /// Tells what is wrong with which.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
        let certificates = certificates(&Source::Given("certificate"), chain)?;
        let private = private_key(&Source::Given("private key"), key)?;
        Identity::new(&Source::Given("certificate"), certificates, private)
    }

    fn new(
        source: &Source<'_>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Identity, TlsError> {
        match CertifiedKey::from_der(chain, key, &provider()) {
            Ok(key) => Ok(Identity { key: Arc::new(key) }),
            Err(rustls::Error::InconsistentKeys(_)) => Err(source.wrong(
                "the private key does not belong to the first certificate: it has to be the server's \
                 or client's own, those that signed it come after it",
            )),
            Err(error) => Err(source.wrong(&describe(&error))),
        }
    }

    pub(super) fn into_key(self) -> Arc<CertifiedKey> {
        self.key
    }
}

/// Those whose signature on a certificate is trusted, and certificates that are trusted themselves.
#[derive(Clone, Debug)]
pub struct Authorities {
    roots: Arc<RootCertStore>,
    /// Those that somebody named, one by one.
    named: Arc<[CertificateDer<'static>]>,
}

impl Authorities {
    /// Reads their certificates from a file of PEM. A peer's own certificate may stand there too, whoever signed it: who
    /// shows just that one is trusted.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn from_file(path: &Path) -> Result<Authorities, TlsError> {
        Authorities::read(&Source::File(path), &read(path)?)
    }

    /// Reads their certificates from PEM, as [`from_file`](Self::from_file) does.
    ///
    /// # Errors
    /// Tells what is wrong.
    pub fn from_pem(pem: &[u8]) -> Result<Authorities, TlsError> {
        Authorities::read(&Source::Given("certificates of authorities"), pem)
    }

    /// Those whom this system trusts, or those in the file and folder that the environment names as `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`. It reads some hundred kilobytes: keep the result.
    ///
    /// # Errors
    /// The system has none.
    pub fn of_system() -> Result<Authorities, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if !roots.is_empty() {
            return Ok(Authorities {
                roots: Arc::new(roots),
                named: Arc::new([]),
            });
        }
        let why = found.errors.first().map(|error| format!(": {error}"));
        Err(TlsError(format!(
            "this system has no certificates of authorities (on Debian: the package ca-certificates){}; \
             or name a file of them",
            why.unwrap_or_default()
        )))
    }

    fn read(source: &Source<'_>, pem: &[u8]) -> Result<Authorities, TlsError> {
        let mut roots = RootCertStore::empty();
        let named = certificates(source, pem)?;
        for certificate in &named {
            roots
                .add(certificate.clone())
                .map_err(|error| source.wrong(&describe(&error)))?;
        }
        Ok(Authorities {
            roots: Arc::new(roots),
            named: named.into(),
        })
    }

    /// The authorities, and the certificates that are trusted themselves.
    pub(super) fn into_parts(self) -> (Arc<RootCertStore>, Arc<[CertificateDer<'static>]>) {
        (self.roots, self.named)
    }
}

/// Why certificates or keys cannot be used, in words for the person who gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> TlsError {
        TlsError(describe(&error))
    }
}

impl From<VerifierBuilderError> for TlsError {
    fn from(error: VerifierBuilderError) -> TlsError {
        TlsError(error.to_string())
    }
}

/// Where PEM came from, for errors.
enum Source<'a> {
    File(&'a Path),
    Given(&'static str),
}

impl Source<'_> {
    fn wrong(&self, what: &str) -> TlsError {
        match self {
            Source::File(path) => TlsError(format!("{}: {what}", path.display())),
            Source::Given(name) => TlsError(format!("{name}: {what}")),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => " (may this user read it?)",
            _ => "",
        };
        let text = error.to_string();
        // The number of the error tells nobody anything.
        let why = text.split(" (os error").next().unwrap_or_default();
        TlsError(format!("{}: {why}{hint}", path.display()))
    })
}

fn certificates(source: &Source<'_>, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(source.wrong(
            "there is no certificate in it: a line `-----BEGIN CERTIFICATE-----` is looked for (PEM)",
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(source.wrong(&format!("it is no PEM: {error}"))),
    }
}

fn private_key(source: &Source<'_>, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        // In PKCS #8 the label says so, before that a field of a header did.
        Err(_) if String::from_utf8_lossy(pem).contains("ENCRYPTED") => Err(source.wrong(
            "the private key is encrypted, and there is nobody to ask for the password: \
                 decrypt it with `openssl pkey -in FILE -out NEW`",
        )),
        Err(pem::Error::NoItemsFound) => Err(source.wrong(
            "there is no private key in it: a line `-----BEGIN PRIVATE KEY-----` is looked for (PEM)",
        )),
        Err(error) => Err(source.wrong(&format!("it is no PEM: {error}"))),
    }
}
