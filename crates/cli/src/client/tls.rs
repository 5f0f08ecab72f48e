//! The command line of TLS and DTLS, for clients.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use coracle::Credentials;
use coracle::dtls::{CertifiedKey, SigningKey, TrustedAuthorities, TrustedKeys};
use coracle::tls::{Authorities, ClientTls, Identity, TlsError};

use super::{Client, failure, scheme_of};
use crate::console::Console;
use crate::error::CliError;
use crate::key_log;
use crate::psk::{self, PreSharedKey};
use crate::wire::Scheme;

/// Where the pre-shared key is looked for if no option names it.
const PSK_VARIABLE: &str = "CORACLE_PSK";

/// Whom to trust, and what to show.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS and DTLS")]
pub(crate) struct TlsArgs {
    /// Trust servers that show one of these certificates (PEM), or one that these have signed, and nobody else
    /// [default: whom this system trusts, of coaps:// nobody]
    #[arg(long, visible_alias = "ca", value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Show this certificate (PEM) to servers that ask for one
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// Its private key (PEM) [default: in the file of --cert]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Trust any server, for trying things out: whoever is on the way can read everything and change it; of no use with
    /// coaps://
    #[arg(long, conflicts_with = "cacert")]
    insecure: bool,

    /// coaps://: prove to be ID by this pre-shared key; as text, as 0x.. in bytes, or as @FILE with such a line
    /// [env: CORACLE_PSK]
    #[arg(long, value_name = "ID:KEY|@FILE", value_parser = psk::parse)]
    psk: Option<PreSharedKey>,

    /// coaps://: show this private key (PEM) as a raw public key (RFC 7250)
    #[arg(long, value_name = "FILE")]
    rpk: Option<PathBuf>,

    /// coaps://: trust servers with this raw public key (PEM)
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,

    /// coaps://: use what this file has for the server, as of `coracle serve --credentials`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["psk", "cacert", "cert", "rpk", "trust"])]
    credentials: Option<PathBuf>,

    /// coaps://: want a connection ID of so many bytes in what the server sends, 5 to 20, 8 if no number is given; ours are in
    /// what we send in any case
    #[arg(long, value_name = "LEN", num_args = 0..=1, default_missing_value = "8", value_parser = parse_cid)]
    cid: Option<usize>,

    /// coaps://: change the source port before each request, as a NAT does, to try connection IDs
    #[arg(long)]
    hop: bool,
}

impl TlsArgs {
    /// The client with these settings, for what `uri` asks for.
    ///
    /// # Errors
    /// A file cannot be used, or all of it is of no use with the scheme of `uri`.
    pub(crate) fn protect(&self, client: Client, uri: &str, console: &Console) -> Result<Client, CliError> {
        let is_given = self.is_given(uri, console)?;
        match scheme_of(uri) {
            Some(Scheme::Coaps) => self.with_sessions(client, uri, console),
            _ if is_given => Ok(client.with_tls(self.load()?)),
            _ => Ok(client),
        }
    }

    /// Whether anything is said here, which those who trust anybody are warned of.
    ///
    /// # Errors
    /// It is of no use with the scheme of `uri`.
    pub(crate) fn is_given(&self, uri: &str, console: &Console) -> Result<bool, CliError> {
        let scheme = scheme_of(uri);
        let is_tls = matches!(scheme, Some(Scheme::CoapsTcp | Scheme::CoapsWs));
        let is_dtls = scheme == Some(Scheme::Coaps);
        let given = [
            ("--cacert", self.cacert.is_some(), is_tls || is_dtls),
            ("--cert", self.cert.is_some(), is_tls || is_dtls),
            ("--insecure", self.insecure, is_tls),
            ("--psk", self.psk.is_some(), is_dtls),
            ("--rpk", self.rpk.is_some(), is_dtls),
            ("--trust", !self.trust.is_empty(), is_dtls),
            ("--credentials", self.credentials.is_some(), is_dtls),
            ("--cid", self.cid.is_some(), is_dtls),
            ("--hop", self.hop, is_dtls),
        ];
        if let Some((given, ..)) = given.iter().find(|(_, given, is_used)| *given && !is_used) {
            let (what, hint) = match *given {
                "--cacert" | "--cert" => (
                    "TLS",
                    "URIs with TLS or DTLS begin with coaps://, coaps+tcp:// or coaps+ws://",
                ),
                "--insecure" => ("TLS", "URIs with TLS begin with coaps+tcp:// or coaps+ws://"),
                _ => ("DTLS", "URIs with DTLS begin with coaps://"),
            };
            let told = format_args!("{given} is of no use: {uri} is without {what}");
            return Err(CliError::usage(told).with_hint(hint));
        }
        if self.insecure {
            console.complain(
                "--insecure: nobody checks who the server is; whoever is on the way can read and change everything",
            );
        }
        Ok(given.iter().any(|(_, given, _)| *given))
    }

    /// The settings of TLS; if nothing is said, those whom the system trusts are.
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

    /// The client with what `coaps` needs.
    fn with_sessions(&self, client: Client, uri: &str, console: &Console) -> Result<Client, CliError> {
        let credentials = self.credentials(uri)?;
        for warning in credentials.warnings() {
            console.complain(&warning);
        }
        let client = client.with_credentials(credentials);
        let client = match self.cid {
            Some(len) => client.with_connection_ids(len),
            None => client,
        };
        Ok(match key_log::of_environment(console)? {
            Some(log) => client.with_key_log(log),
            None => client,
        })
    }

    fn credentials(&self, uri: &str) -> Result<Credentials, CliError> {
        if let Some(file) = &self.credentials {
            return Credentials::from_file(file).map_err(CliError::new);
        }
        let mut credentials = Credentials::new();
        if let Some(cert) = &self.cert {
            let key = self.key.as_ref().unwrap_or(cert);
            let own = CertifiedKey::from_pem(&read(cert)?, &read(key)?);
            credentials = credentials.with_certificate(own.map_err(|error| about(cert, &error))?);
        }
        if let Some(file) = &self.rpk {
            let key = SigningKey::from_pem(&read(file)?).map_err(|error| about(file, &error))?;
            credentials = credentials.with_raw_key(key);
        }
        if let Some(file) = &self.cacert {
            let mut authorities = TrustedAuthorities::default();
            let added = authorities.add_pem(&read(file)?);
            added.map_err(|error| about(file, &error))?;
            credentials = credentials.with_trusted_authorities(authorities);
        }
        let mut keys = TrustedKeys::default();
        for file in &self.trust {
            keys.add_pem(&read(file)?).map_err(|error| about(file, &error))?;
        }
        let believes = !keys.is_empty() || self.cacert.is_some();
        credentials = credentials.with_trusted_keys(keys);
        match self.psk()? {
            Some(psk) => Ok(credentials.with_client_psk(psk.identity, &*psk.key)),
            None if believes => Ok(credentials),
            None => Err(CliError::usage(format_args!("{uri} needs a key, or somebody to trust")).with_hint(
                "--psk ID:KEY is a pre-shared key, --cacert FILE trusts certificates, --trust FILE a raw public key",
            )),
        }
    }

    /// As an option or, if nothing else is said, in the environment.
    fn psk(&self) -> Result<Option<PreSharedKey>, CliError> {
        if self.psk.is_some() || self.cacert.is_some() || !self.trust.is_empty() {
            return Ok(self.psk.clone());
        }
        let Ok(text) = env::var(PSK_VARIABLE) else {
            return Ok(None);
        };
        let psk = psk::parse(&text);
        psk.map(Some)
            .map_err(|error| CliError::usage(format_args!("{PSK_VARIABLE}: {error}")))
    }

    /// Changes the source port, if that is asked for. The session is there before.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub(crate) async fn hop(&self, client: &Client, uri: &str) -> Result<(), CliError> {
        if self.hop {
            client.ping(uri).await.map_err(|error| failure(uri, error))?;
            client.hop().map_err(|error| failure(uri, error))?;
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<coracle::dtls::Secret, CliError> {
    let read = fs::read(file).map(coracle::dtls::Secret::new);
    read.map_err(|error| CliError::io(format_args!("cannot read {}", file.display()), &error))
}

fn about(file: &Path, error: &dyn std::error::Error) -> CliError {
    CliError::new(format_args!("{}: {error}", file.display()))
}

/// The length of a connection ID in bytes.
pub(crate) fn parse_cid(text: &str) -> Result<usize, String> {
    let len = text.parse().ok().filter(|len| matches!(len, 0 | 5..=20));
    len.ok_or_else(|| "expected 5 to 20 bytes, or 0 for none".to_owned())
}
