//! The command line of TLS, for clients.

use std::path::PathBuf;

use clap::Args;
use coracle::tls::{Authorities, ClientTls, Identity, TlsError};

use super::{Client, scheme_of};
use crate::console::Console;
use crate::error::CliError;
use crate::wire::Scheme;

/// Whom to trust, and what to show.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsArgs {
    /// Trust servers that show one of these certificates (PEM), or one that these have signed, and nobody else
    /// [default: whom this system trusts]
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Show this certificate (PEM) to servers that ask for one
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// Its private key (PEM) [default: in the file of --cert]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Trust any server, for trying things out: whoever is on the way can read everything and change it
    #[arg(long, conflicts_with = "cacert")]
    insecure: bool,
}

impl TlsArgs {
    /// The client with these settings, for what `uri` asks for.
    ///
    /// # Errors
    /// A file cannot be used, or all of it is of no use with the scheme of `uri`.
    pub(crate) fn protect(&self, client: Client, uri: &str, console: &Console) -> Result<Client, CliError> {
        match self.is_given(uri, console)? {
            true => Ok(client.with_tls(self.load()?)),
            false => Ok(client),
        }
    }

    /// Whether anything is said here, which those who trust anybody are warned of.
    ///
    /// # Errors
    /// It is of no use with the scheme of `uri`.
    pub(crate) fn is_given(&self, uri: &str, console: &Console) -> Result<bool, CliError> {
        let given = [
            ("--cacert", self.cacert.is_some()),
            ("--cert", self.cert.is_some()),
            ("--insecure", self.insecure),
        ];
        let Some((given, _)) = given.into_iter().find(|(_, given)| *given) else {
            return Ok(false);
        };
        if !is_secure(uri) {
            return Err(
                CliError::usage(format_args!("{given} is of no use: {uri} is without TLS"))
                    .with_hint("URIs with TLS begin with coaps+tcp:// or coaps+ws://"),
            );
        }
        if self.insecure {
            console.complain(
                "--insecure: nobody checks who the server is; whoever is on the way can read and change everything",
            );
        }
        Ok(true)
    }

    /// The settings; if nothing is said, those whom the system trusts are.
    ///
    /// # Errors
    /// A file cannot be used, and which.
    pub(crate) fn load(&self) -> Result<ClientTls, CliError> {
        self.read().map_err(CliError::new)
    }

    fn read(&self) -> Result<ClientTls, TlsError> {
        let identity = match &self.cert {
            None => None,
            Some(cert) => Some(Identity::from_files(cert, self.key.as_ref().unwrap_or(cert))?),
        };
        match &self.cacert {
            _ if self.insecure => ClientTls::dangerous_any_certificate(identity),
            Some(file) => ClientTls::new(Authorities::from_file(file)?, identity),
            None => ClientTls::new(Authorities::of_system()?, identity),
        }
    }
}

/// Whether what is asked for by this URI is asked for with TLS.
pub(super) fn is_secure(uri: &str) -> bool {
    matches!(scheme_of(uri), Some(Scheme::CoapsTcp | Scheme::CoapsWs))
}
