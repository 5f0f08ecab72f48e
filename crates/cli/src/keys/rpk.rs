//! `coracle keys rpk`: a key that is known by itself, without a certificate (RFC 7250).

use std::path::PathBuf;

use clap::Args;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData};

use super::files::{self, Readers};
use super::show::fingerprint;
use crate::console::Console;
use crate::error::{CliError, Exit};

/// What is said below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  coracle keys rpk
  coracle keys rpk --out keys/meter-7 --ed25519

Both files are PEM. The private key (PKCS #8), which only its owner may read, is for --rpk; the
public key is for --trust on the other side, or [[raw-public-key]] in a file for --credentials. P-256 is
what all devices have.";

/// Make a raw public key with its private key.
#[derive(Args, Debug)]
pub(super) struct RpkArgs {
    /// Write rpk.pem, the public key, and rpk-key.pem to this folder [default: this folder]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// A key of Ed25519 instead of P-256
    #[arg(long)]
    ed25519: bool,

    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

/// Makes both files, and says how to use them.
pub(super) fn run(args: &RpkArgs, console: &Console) -> Result<Exit, CliError> {
    let folder = args.out.clone().unwrap_or_default();
    let (public, private) = (folder.join("rpk.pem"), folder.join("rpk-key.pem"));
    let (kind, name) = match args.ed25519 {
        true => (&PKCS_ED25519, "Ed25519"),
        false => (&PKCS_ECDSA_P256_SHA256, "P-256"),
    };
    let pair = KeyPair::generate_for(kind);
    let pair = pair.map_err(|error| CliError::new(format_args!("cannot make a key: {error}")))?;
    let files = [
        (private.as_path(), &*pair.serialize_pem(), Readers::Owner),
        (public.as_path(), &*pair.public_key_pem(), Readers::Others),
    ];
    files::write_all(&files, args.force)?;
    if !console.quiet {
        let (shown_public, shown_private) = (public.display(), private.display());
        let (public, private) = (files::word(&public), files::word(&private));
        let text = format!(
            "{shown_public}: a public key of {name}, to be known by the other side\n  SHA-256 fingerprint {}\n\
             {shown_private}: its private key, which stays on this machine\n\n\
             As a client, of a server whose public key is SERVER:\n  \
             coracle get --rpk {private} --trust SERVER coaps://localhost/hello\n\
             As a server, in a file for --credentials:\n  [own]\n  raw-key = {private:?}\n  \
             [[raw-public-key]]      # for each client\n  file = \"CLIENT\"\n\
             and on its clients:\n  coracle get --rpk CLIENT-KEY --trust {public} coaps://localhost/hello\n",
            fingerprint(&pair.subject_public_key_info())
        );
        console.write(text.as_bytes())?;
    }
    Ok(Exit::Success)
}
