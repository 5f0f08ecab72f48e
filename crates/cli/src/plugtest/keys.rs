//! By what the judge proves itself to servers of `coaps`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use coracle::dtls::Secret;
use coracle_conformance::keys::{self, Keys};
use coracle_conformance::transport::Transport;

use crate::error::CliError;
use crate::psk::{self, PreSharedKey};

/// Keys of the judge. What is not given is as the tests have it, and known to everybody.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "DTLS")]
pub(super) struct KeyArgs {
    /// The pre-shared key that the server knows, as text, as 0x.. in bytes, or as @FILE with such a line [default:
    /// password:sesame]
    #[arg(long, value_name = "ID:KEY|@FILE", value_parser = psk::parse)]
    psk: Option<PreSharedKey>,

    /// The judge's private key (PEM), whose public key the server knows [default: that of the clients of `coracle
    /// plugtest serve`]
    #[arg(long, value_name = "FILE")]
    rpk: Option<PathBuf>,

    /// The raw public key of the server (PEM) [default: that of `coracle plugtest serve`]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

impl KeyArgs {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file and what is wrong with it, or the option that is of no use.
    pub(super) fn load(&self, transport: Transport) -> Result<Keys, CliError> {
        let given = [
            ("--psk", self.psk.is_some()),
            ("--rpk", self.rpk.is_some()),
            ("--trust", self.trust.is_some()),
        ];
        if transport != Transport::Dtls
            && let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given)
        {
            return Err(CliError::usage(format_args!(
                "{option} is for servers of coaps://"
            )));
        }
        let mut keys = Keys::default();
        if let Some(psk) = &self.psk {
            keys.identity.clone_from(&psk.identity);
            keys.key = psk.key.clone();
        }
        if let Some(file) = &self.rpk {
            keys.own = Secret::new(read(file)?);
            keys::private(&keys.own).map_err(|error| wrong(file, &error))?;
        }
        if let Some(file) = &self.trust {
            keys.trusted = read(file)?;
            keys::public(&keys.trusted).map_err(|error| wrong(file, &error))?;
        }
        Ok(keys)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(file).map_err(|error| CliError::io(format_args!("cannot read {}", file.display()), &error))
}

fn wrong(file: &Path, error: &dyn fmt::Display) -> CliError {
    CliError::new(format_args!("{}: {error}", file.display()))
}
