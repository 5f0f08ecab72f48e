//! `coracle keys psk`: a pre-shared key that nobody can guess.

use std::path::PathBuf;

use aws_lc_rs::rand;
use clap::Args;

use super::files::{self, Readers};
use crate::console::Console;
use crate::error::{CliError, Exit};

/// What is said below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  coracle keys psk meter-7
  coracle keys psk meter-7 --out keys/meter-7 --bytes 32

The file has one line, IDENTITY:0xKEY, as `--psk @FILE` takes it; only its owner may read it.";

/// Make a pre-shared key.
#[derive(Args, Debug)]
pub(super) struct PskArgs {
    /// By what the key is called: at most 128 bytes
    #[arg(value_parser = parse_identity)]
    identity: String,

    /// Write it to this file
    #[arg(short, long, value_name = "FILE", default_value = "psk")]
    out: PathBuf,

    /// Its length
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(16..=64))]
    bytes: u8,

    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Makes the file, and says how to use it.
pub(super) fn run(args: &PskArgs, console: &Console) -> Result<Exit, CliError> {
    let mut key = coracle::dtls::Secret::new(vec![0; args.bytes.into()]);
    rand::fill(&mut key).map_err(|_| CliError::new("the system has no randomness"))?;
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{}:0x{digits}\n", args.identity);
    files::write_all(&[(args.out.as_path(), &line, Readers::Owner)], args.force)?;
    if !console.quiet {
        let (shown, word) = (args.out.display(), files::word(&args.out));
        let text = format!(
            "{shown}: a key of {} bytes for {}, which both sides keep to themselves\n\n\
             On the server, with a copy of the file:\n  coracle serve --psk @{word}\n\
             Or, among others, in a file for --credentials:\n  [[psk]]\n  identity = \"{}\"\n  \
             key = \"0x..\"    # what follows the last colon in {shown}\n\
             On clients:\n  coracle get --psk @{word} coaps://localhost/hello\n",
            args.bytes,
            args.identity,
            args.identity.escape_default()
        );
        console.write(text.as_bytes())?;
    }
    Ok(Exit::Success)
}

fn parse_identity(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("it is empty".to_owned()),
        1..=128 if !text.contains(char::is_control) => Ok(text.to_owned()),
        1..=128 => Err("it has characters that are no text".to_owned()),
        len => Err(format!("it has {len} bytes, and may have 128 (RFC 4279 §5.3)")),
    }
}
