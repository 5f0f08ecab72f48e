//! The command line of DTLS, for servers.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use coracle::{Credentials, Endpoint};

use crate::client::parse_cid;
use crate::console::Console;
use crate::error::CliError;
use crate::key_log;
use crate::psk::{self, PreSharedKey};

/// Keys and rights of a server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "DTLS")]
pub(crate) struct CredentialArgs {
    /// Use the keys and certificates of this file at coaps://, and let peers do what it allows, by whatever way they come;
    /// it is read again when it changes
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// Take clients of coaps:// with this pre-shared key, as text, as 0x.. in bytes, or as @FILE with such a line
    #[arg(long, value_name = "ID:KEY|@FILE", value_parser = psk::parse)]
    psk: Vec<PreSharedKey>,

    /// Know peers of coaps:// that move by connection IDs of so many bytes, 5 to 20; 0 for none [default: 8]
    #[arg(long, value_name = "LEN", value_parser = parse_cid)]
    cid: Option<usize>,

    /// What is used if nothing is said.
    #[arg(skip)]
    usual: Option<Usual>,
}

/// Credentials that are not shown.
#[derive(Clone)]
struct Usual(Credentials);

impl fmt::Debug for Usual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl CredentialArgs {
    /// Uses `credentials` if nothing else was said.
    pub(crate) fn or(mut self, credentials: Credentials) -> CredentialArgs {
        self.usual = (!self.are_there()).then_some(Usual(credentials));
        self
    }

    /// Whether there is anything to serve `coaps` with.
    pub(super) fn are_there(&self) -> bool {
        self.credentials.is_some() || !self.psk.is_empty() || self.usual.is_some()
    }

    /// The endpoint with them.
    ///
    /// # Errors
    /// Names the file, the line, and what is wrong there.
    pub(super) fn protect(&self, mut endpoint: Endpoint, console: &Console) -> Result<Endpoint, CliError> {
        if !self.are_there() {
            return Ok(endpoint);
        }
        let mut credentials = match (&self.credentials, &self.usual) {
            (Some(file), _) => Credentials::from_file(file).map_err(CliError::new)?,
            (None, Some(Usual(credentials))) => credentials.clone(),
            (None, None) => Credentials::new(),
        };
        for psk in &self.psk {
            credentials = credentials.with_psk(&psk.identity, &*psk.key);
        }
        for warning in credentials.warnings() {
            console.complain(&warning);
        }
        endpoint = endpoint.with_credentials(credentials);
        if let Some(len) = self.cid {
            endpoint = endpoint.with_connection_ids(len);
        }
        Ok(match key_log::of_environment(console)? {
            Some(log) => endpoint.with_key_log(log),
            None => endpoint,
        })
    }
}
