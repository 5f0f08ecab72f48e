//! The command line of TLS, for servers.

use std::path::{Path, PathBuf};

use clap::Args;
use coracle::tls::{Authorities, ClientCertificates, Identity, ServerTls};

use crate::error::CliError;

/// Certificates and keys of a server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsArgs {
    /// Show this certificate (PEM), with those that lead from it to an authority, at coaps+tcp:// and coaps+ws://;
    /// `coracle keys self-signed` makes one
    #[arg(long = "tls-cert", value_name = "FILE")]
    cert: Option<PathBuf>,

    /// Its private key (PEM) [default: in the file of the certificate]
    #[arg(long = "tls-key", value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Take only clients with a certificate that one of these (PEM) has signed, or that is one of them
    #[arg(long = "tls-client-ca", value_name = "FILE", requires = "cert")]
    client_ca: Option<PathBuf>,

    /// With --tls-client-ca: take clients that have no certificate at all, too
    #[arg(long = "tls-client-optional", requires = "client_ca")]
    client_optional: bool,
}

impl TlsArgs {
    /// The file of the certificate.
    pub(super) fn cert(&self) -> Option<&Path> {
        self.cert.as_deref()
    }

    /// Whether there is a certificate.
    pub(super) fn is_there(&self) -> bool {
        self.cert.is_some()
    }

    /// Reads the files, if there are any.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub(super) fn load(&self) -> Result<Option<ServerTls>, CliError> {
        let Some(cert) = &self.cert else {
            return Ok(None);
        };
        let identity =
            Identity::from_files(cert, self.key.as_ref().unwrap_or(cert)).map_err(CliError::new)?;
        let clients = match &self.client_ca {
            None => ClientCertificates::NotAsked,
            Some(file) => {
                let authorities = Authorities::from_file(file).map_err(CliError::new)?;
                match self.client_optional {
                    true => ClientCertificates::Optional(authorities),
                    false => ClientCertificates::Required(authorities),
                }
            }
        };
        ServerTls::new(identity, clients).map(Some).map_err(CliError::new)
    }
}
