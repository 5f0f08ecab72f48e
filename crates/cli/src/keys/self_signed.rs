//! `coracle keys self-signed`: a certificate for those who have no authority.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};

use super::files::{self, Readers};
use super::show::fingerprint;
use crate::console::Console;
use crate::error::{CliError, Exit};
use crate::timestamp;

/// What is said below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  coracle keys self-signed
  coracle keys self-signed --name sensor.example --ip 192.0.2.7
  coracle keys self-signed --out ./keys --days 30
  coracle keys self-signed --name device-17 --cert device.pem --key device-key.pem

The certificate is for the names and addresses that are given, or for this machine: localhost,
127.0.0.1 and ::1. Clients that have a copy of it trust the server that has its key, and nobody
else; it signs no other certificates. It serves a client as well, to show to servers that ask for a
certificate (--tls-client-ca). Both files are PEM; the key is P-256 (PKCS #8), and only its owner
may read it.";

/// From an hour ago on, as not all clocks are right.
const LEEWAY: Duration = Duration::from_hours(1);

const DAY: Duration = Duration::from_hours(24);

/// A common name is this long at most (RFC 5280 appendix A, `ub-common-name`).
const MAX_COMMON_NAME: usize = 64;

/// Make a certificate that signs itself, with its key.
#[derive(Args, Debug)]
pub(super) struct SelfSignedArgs {
    /// The certificate is for this host [default: localhost, if no --ip is given]
    #[arg(long, value_name = "HOST", value_parser = parse_name)]
    name: Vec<String>,

    /// The certificate is for this address [default: 127.0.0.1 and ::1, if no --name is given]
    #[arg(long, value_name = "ADDR")]
    ip: Vec<IpAddr>,

    /// It is valid for so many days
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,

    /// Write cert.pem and key.pem to this folder [default: this folder]
    #[arg(short, long, value_name = "DIR", conflicts_with_all = ["cert", "key"])]
    out: Option<PathBuf>,

    /// Write the certificate to this file
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// Write the private key to this file
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

impl SelfSignedArgs {
    /// Where the certificate and the key go.
    fn files(&self) -> (PathBuf, PathBuf) {
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            return (cert.clone(), key.clone());
        }
        let folder = self.out.clone().unwrap_or_default();
        (folder.join("cert.pem"), folder.join("key.pem"))
    }

    fn subjects(&self) -> Subjects {
        if self.name.is_empty() && self.ip.is_empty() {
            return Subjects {
                names: vec!["localhost".to_owned()],
                addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            };
        }
        let mut subjects = Subjects {
            names: Vec::new(),
            addresses: self.ip.clone(),
        };
        for name in &self.name {
            // An address is none the less one where a name is asked for.
            match name.parse() {
                Ok(address) => subjects.addresses.push(address),
                Err(_) => subjects.names.push(name.clone()),
            }
        }
        subjects
    }
}

/// Whom a certificate is for; somebody.
struct Subjects {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Subjects {
    /// All of them, as people write them.
    fn told(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(IpAddr::to_string);
        self.names.iter().cloned().chain(addresses).collect()
    }

    /// The host of a URI of the first one.
    fn host(&self) -> String {
        match (self.names.first(), self.addresses.first()) {
            (Some(name), _) => name.replacen('*', "HOST", 1),
            (None, Some(IpAddr::V6(address))) => format!("[{address}]"),
            (None, Some(IpAddr::V4(address))) => address.to_string(),
            (None, None) => String::new(),
        }
    }
}

/// Makes both files, and says how to use them.
pub(super) fn run(args: &SelfSignedArgs, console: &Console) -> Result<Exit, CliError> {
    let (cert, key) = args.files();
    if cert == key {
        return Err(CliError::usage("--cert and --key have to be two files")
            .with_hint("the certificate is given away, the key never"));
    }
    let subjects = args.subjects();
    let now = SystemTime::now();
    let until = now + DAY * args.days;
    let pair = KeyPair::generate().map_err(impossible)?;
    let certificate = parameters(&subjects, now - LEEWAY, until)
        .map_err(impossible)?
        .self_signed(&pair)
        .map_err(impossible)?;
    let files = [
        (key.as_path(), &*pair.serialize_pem(), Readers::Owner),
        (cert.as_path(), &*certificate.pem(), Readers::Others),
    ];
    files::write_all(&files, args.force)?;
    if !console.quiet {
        let fingerprint = fingerprint(certificate.der());
        console.write(told(&cert, &key, &subjects, until, &fingerprint).as_bytes())?;
    }
    Ok(Exit::Success)
}

/// A certificate for both sides of TLS, and for nothing else.
fn parameters(
    subjects: &Subjects,
    from: SystemTime,
    until: SystemTime,
) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(subjects.names.clone())?;
    let addresses = subjects.addresses.iter().copied().map(SanType::IpAddress);
    parameters.subject_alt_names.extend(addresses);
    parameters.not_before = from.into();
    parameters.not_after = until.into();
    let mut told = subjects.told().into_iter();
    if let Some(name) = told.find(|name| name.len() <= MAX_COMMON_NAME) {
        parameters.distinguished_name.push(DnType::CommonName, name);
    }
    // Many a machine trusts another certificate of the name localhost, which is not to be mistaken for this one.
    let maker = "coracle keys self-signed";
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, maker);
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(parameters)
}

fn impossible(error: rcgen::Error) -> CliError {
    CliError::new(format_args!("cannot make a certificate: {error}"))
}

fn told(cert: &Path, key: &Path, subjects: &Subjects, until: SystemTime, fingerprint: &str) -> String {
    let until = timestamp::to_the_second(until);
    let (shown_cert, shown_key) = (cert.display(), key.display());
    let mut text = format!("{shown_cert}: a certificate for {}\n", subjects.told().join(", "));
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "  valid until {until}\n  SHA-256 fingerprint {fingerprint}\n\
         {shown_key}: its private key, which stays on this machine\n"
    );
    let (cert, key, host) = (files::word(cert), files::word(key), subjects.host());
    let _ = write!(
        text,
        "\nOn the server:\n  coracle serve --tls-cert {cert} --tls-key {key}\n\
         On clients, which need a copy of the certificate:\n  coracle get --cacert {cert} coaps+tcp://{host}/hello\n\
         Or as a device's own, with a copy of the certificate on the server:\n  \
         coracle serve --tls-cert SERVER --tls-key SERVER-KEY --tls-client-ca {cert}\n  \
         coracle get --cert {cert} --key {key} --cacert SERVER coaps+tcp://HOST/hello\n"
    );
    text
}

/// A name as certificates have it (RFC 5280 §4.2.1.6), perhaps with `*` for its first part, or an address.
fn parse_name(text: &str) -> Result<String, String> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    if !text.is_ascii() {
        return Err("names of other scripts are written in ASCII, such as xn--bcher-kva.example".to_owned());
    }
    let is_label = |label: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(is_part)
    };
    let name = text.strip_prefix("*.").unwrap_or(text);
    match name.len() <= 253 && name.split('.').all(is_label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a host alone, without scheme and port, such as sensor.example".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts() {
        assert_eq!(parse_name("Sensor.Example").as_deref(), Ok("sensor.example"));
        assert_eq!(parse_name("*.example").as_deref(), Ok("*.example"));
        assert_eq!(parse_name("fd00::1").as_deref(), Ok("fd00::1"));
        for wrong in [
            "",
            "a b",
            "coap://a",
            "a:5684",
            "[fd00::1]",
            "a..b",
            "*",
            "b*.example",
        ] {
            assert!(parse_name(wrong).is_err(), "{wrong}");
        }
        assert!(parse_name("bücher.example").unwrap_err().contains("xn--"));
    }

    #[test]
    fn fingerprints_are_those_of_other_programs() {
        // The digest of nothing, as FIPS 180-4 examples have it.
        assert!(fingerprint(b"").starts_with("E3:B0:C4:42:98:FC:1C:14:"));
    }

    #[test]
    fn the_uri_to_try_is_one_of_the_certificate() {
        let host = |names: &[&str], addresses: &[&str]| {
            let subjects = Subjects {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            };
            subjects.host()
        };
        assert_eq!(host(&["a.example"], &["192.0.2.7"]), "a.example");
        assert_eq!(host(&["*.example"], &[]), "HOST.example");
        assert_eq!(host(&[], &["fd00::1"]), "[fd00::1]");
    }
}
