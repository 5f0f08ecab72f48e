//! `coracle keys show`: what is in files of keys and certificates, without the secrets.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use clap::Args;
use coracle::Credentials;
use coracle::dtls::{CertificateIdentity, Secret, SigningKey, TrustedAuthorities, TrustedKeys};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::console::{Console, harmless_line};
use crate::error::{CliError, Exit};
use crate::psk;

/// What is said below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  coracle keys show cert.pem key.pem
  coracle keys show rpk.pem psk credentials.toml

Certificates, private and public keys (PEM), files for `--psk @FILE` and for --credentials are known.
Secrets are never shown. Exit status 1 says that a file cannot be used.";

/// Show what is in files.
#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Shows all of them.
pub(super) fn run(args: &ShowArgs, console: &Console) -> Result<Exit, CliError> {
    for file in &args.files {
        let text = match file.extension().is_some_and(|end| end == "toml") {
            true => of_credentials(file)?,
            false => of_keys(file)?,
        };
        console.write(text.as_bytes())?;
    }
    Ok(Exit::Success)
}

fn of_credentials(file: &Path) -> Result<String, CliError> {
    let credentials = Credentials::from_file(file).map_err(CliError::new)?;
    let mut text = format!("{}: {credentials:?}\n", file.display());
    for warning in credentials.warnings() {
        // Writing to a string cannot fail, here as below.
        let _ = writeln!(text, "  warning: {warning}");
    }
    Ok(text)
}

fn of_keys(file: &Path) -> Result<String, CliError> {
    let shown = file.display();
    let content = fs::read(file).map(Secret::new);
    let content = content.map_err(|error| CliError::io(format_args!("cannot read {shown}"), &error))?;
    let mut text = String::new();
    for certificate in CertificateDer::pem_slice_iter(&content).flatten() {
        let _ = match CertificateIdentity::of_checked(&certificate) {
            Some(identity) => write!(text, "{shown}: {}", of_certificate(&identity, &certificate)),
            None => writeln!(text, "{shown}: a certificate that cannot be read"),
        };
    }
    if let Ok(key) = SigningKey::from_pem(&content) {
        let fingerprint = fingerprint(key.public_key_info());
        let kind = key.scheme();
        let _ = writeln!(
            text,
            "{shown}: a private key for {kind:?}, whose public key has the SHA-256 fingerprint {fingerprint}"
        );
    }
    let mut keys = TrustedKeys::default();
    if keys.add_pem(&content).is_ok() {
        for key in keys.iter() {
            let _ = writeln!(
                text,
                "{shown}: a public key, SHA-256 fingerprint {}",
                fingerprint(key)
            );
        }
    }
    if text.is_empty()
        && let Ok(psk) = std::str::from_utf8(&content)
            .map_err(drop)
            .and_then(|_| psk::parse(&format!("@{shown}")).map_err(drop))
    {
        let identity = harmless_line(&String::from_utf8_lossy(&psk.identity));
        let _ = writeln!(
            text,
            "{shown}: a pre-shared key of {} bytes for {identity}",
            psk.key.len()
        );
    }
    match text.is_empty() {
        true => Err(CliError::new(format_args!(
            "{shown}: no certificate and no key that can be used"
        ))
        .with_hint(
            "PEM is looked for: -----BEGIN CERTIFICATE----- and the like; keys are of P-256 or Ed25519",
        )),
        false => Ok(text),
    }
}

fn of_certificate(identity: &CertificateIdentity, der: &[u8]) -> String {
    let mut text = "a certificate".to_owned();
    if let Some(name) = &identity.common_name {
        let _ = write!(text, " of {}", harmless_line(name));
    }
    if !identity.names.is_empty() {
        let names: Vec<String> = identity.names.iter().map(|name| harmless_line(name)).collect();
        let _ = write!(text, " for {}", names.join(", "));
    }
    let _ = writeln!(text, "\n  SHA-256 fingerprint {}", fingerprint(der));
    // Those of other keys are for TLS alone.
    let mut keys = TrustedKeys::default();
    if keys.add_der(&identity.public_key_info).is_err() {
        let _ = writeln!(
            text,
            "  its key is neither of P-256 nor of Ed25519: coaps:// has no use for it"
        );
    } else if TrustedAuthorities::default().add_der(der).is_err() {
        let _ = writeln!(text, "  it cannot be trusted as an authority");
    }
    text
}

/// SHA-256, as other programs show it.
pub(super) fn fingerprint(der: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, der);
    let bytes: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}
