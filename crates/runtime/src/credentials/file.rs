//! `credentials.toml`, from text to values.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use coracle_dtls::{CertifiedKey, SigningKey, TrustedAuthorities, TrustedKeys};
use zeroize::Zeroizing;

use super::book::{Book, Proofs, Secret};
use super::rules::Rules;
use super::table::{At, CredentialsError, Table, Text};
use super::watch::stamp;

/// The longest file, in bytes: some hundred thousand keys.
const MAX_LENGTH: u64 = 64 << 20;

/// What identities and keys may have, in bytes (RFC 4279 §5.3 asks for 128 and 64 at least).
const MAX_IDENTITY: usize = 128;
const MAX_KEY: usize = 64;

/// Who sees a handshake can try keys at leisure: shorter ones are found.
const SENSIBLE_KEY: usize = 16;

/// What was read on the way.
#[derive(Default)]
pub(super) struct Read {
    /// The files that were named, as they were before they were read.
    pub(super) files: Vec<(PathBuf, Option<(SystemTime, u64)>)>,
    warnings: Vec<String>,
}

/// Reads the file, and those that it names.
pub(super) fn read(file: &Path, read: &mut Read) -> Result<Book, CredentialsError> {
    let text = read.secret_file(file);
    let text = text.map_err(|what| CredentialsError::of_file(file, what))?;
    let text = std::str::from_utf8(&text)
        .map_err(|_| CredentialsError::of_file(file, "this is not text (UTF-8)"))?;
    let text = Text { file, text };
    let parsed = text.parse()?;
    let known = [
        "own",
        "trust",
        "psk",
        "raw-public-key",
        "certificate",
        "anonymous",
        "client",
    ];
    let root = Table::root(text, &parsed, &known)?;
    let mut book = Book::default();
    read.own(&root, &mut book)?;
    read.trust(&root, &mut book)?;
    read.psks(&root, &mut book)?;
    read.raw_public_keys(&root, &mut book)?;
    read.certificates(&root, &mut book)?;
    if let Some(table) = root.table("anonymous", "[anonymous]", &["allow"])? {
        book.anonymous = Some(rules(&table, &mut book)?.unwrap_or_default());
    }
    read.clients(&root, &mut book)?;
    book.warnings = std::mem::take(&mut read.warnings);
    Ok(book)
}

impl Read {
    fn own(&mut self, root: &Table<'_>, book: &mut Book) -> Result<(), CredentialsError> {
        let known = ["certificate", "key", "raw-key", "psk-hint"];
        let Some(table) = root.table("own", "[own]", &known)? else {
            return Ok(());
        };
        self.shown(&table, "key", &mut book.own)?;
        if let Some(hint) = table.text("psk-hint")? {
            check_length(
                &table,
                &hint.span,
                "psk-hint",
                (hint.value.as_bytes(), MAX_IDENTITY),
            )?;
            book.psk_hint = Some(hint.value.to_owned());
        }
        Ok(())
    }

    /// What is shown: a certificate with the key of this entry, and a raw key.
    fn shown(&mut self, table: &Table<'_>, key: &str, proofs: &mut Proofs) -> Result<(), CredentialsError> {
        let certificate = table.text("certificate")?;
        let private = table.text(key)?;
        match (certificate, private) {
            (Some(certificate), private) => {
                let chain = self.named(table, &certificate)?;
                let private = private.unwrap_or(certificate.clone());
                let private = self.named_secret(table, &private)?;
                let own = CertifiedKey::from_pem(&chain, &private);
                proofs.certificate = Some(own.map_err(|error| wrong_file(table, &certificate, error))?);
            }
            (None, Some(private)) => {
                let what =
                    format!("`{key}` is the private key of a certificate, and there is no `certificate`");
                return Err(table.text.wrong(&private.span, what));
            }
            (None, None) => {}
        }
        if let Some(file) = table.text("raw-key")? {
            let pem = self.named_secret(table, &file)?;
            let key = SigningKey::from_pem(&pem).map_err(|error| wrong_file(table, &file, error))?;
            proofs.raw_key = Some(Arc::new(key));
        }
        Ok(())
    }

    fn trust(&mut self, root: &Table<'_>, book: &mut Book) -> Result<(), CredentialsError> {
        let Some(table) = root.table("trust", "[trust]", &["authorities", "clients"])? else {
            return Ok(());
        };
        if let Some(authorities) = self.authorities(&table)? {
            book.own.authorities = authorities;
        }
        if let Some(clients) = table.text("clients")? {
            book.takes_anonymous = match clients.value {
                "required" => false,
                "optional" => true,
                _ => {
                    let what = "[trust]: clients is \"required\" or \"optional\"";
                    return Err(table.text.wrong(&clients.span, what));
                }
            };
        }
        Ok(())
    }

    fn authorities(&mut self, table: &Table<'_>) -> Result<Option<TrustedAuthorities>, CredentialsError> {
        let Some(files) = table.texts("authorities")? else {
            return Ok(None);
        };
        let mut authorities = TrustedAuthorities::default();
        for file in files {
            let pem = self.named(table, &file)?;
            let added = authorities.add_pem(&pem);
            added.map_err(|error| wrong_file(table, &file, error))?;
        }
        Ok(Some(authorities))
    }

    fn psks(&mut self, root: &Table<'_>, book: &mut Book) -> Result<(), CredentialsError> {
        for table in root.tables("psk", "[[psk]]", &["identity", "key", "allow"])? {
            let (identity, key) = self.psk(&table)?;
            let rules = rules(&table, book)?;
            if !book.add_psk(&identity, &key, rules) {
                return Err(table.wrong("another entry has the same identity"));
            }
        }
        Ok(())
    }

    fn psk(&mut self, table: &Table<'_>) -> Result<(Vec<u8>, Secret), CredentialsError> {
        let (identity, key) = (table.needed("identity")?, table.needed("key")?);
        let identity_bytes = bytes(table, "identity", &identity)?;
        check_length(table, &identity.span, "identity", (&identity_bytes, MAX_IDENTITY))?;
        let key_bytes = bytes(table, "key", &key)?;
        check_length(table, &key.span, "key", (&key_bytes, MAX_KEY))?;
        if key_bytes.len() < SENSIBLE_KEY {
            let told = table.text.wrong(
                &key.span,
                format_args!(
                    "a key of less than {SENSIBLE_KEY} bytes can be guessed by who sees a handshake"
                ),
            );
            self.warnings.push(told.to_string());
        }
        Ok((identity_bytes.to_vec(), key_bytes))
    }

    fn raw_public_keys(&mut self, root: &Table<'_>, book: &mut Book) -> Result<(), CredentialsError> {
        for table in root.tables("raw-public-key", "[[raw-public-key]]", &["file", "allow"])? {
            let file = table.needed("file")?;
            let pem = self.named(&table, &file)?;
            let mut these = TrustedKeys::default();
            these
                .add_pem(&pem)
                .map_err(|error| wrong_file(&table, &file, error))?;
            let rules = rules(&table, book)?;
            for key in these.iter() {
                if book.keys.insert(key.to_vec(), rules.clone()).is_some() {
                    return Err(table.wrong("another entry has the same key"));
                }
            }
            book.own.trusted_keys.extend(&these);
        }
        Ok(())
    }

    fn certificates(&mut self, root: &Table<'_>, book: &mut Book) -> Result<(), CredentialsError> {
        for table in root.tables("certificate", "[[certificate]]", &["name", "allow"])? {
            let name = table.needed("name")?.value.to_owned();
            let rules = rules(&table, book)?;
            book.certificates.push((name, rules));
        }
        Ok(())
    }

    fn clients(&mut self, root: &Table<'_>, book: &mut Book) -> Result<(), CredentialsError> {
        let known = [
            "uri",
            "identity",
            "key",
            "certificate",
            "certificate-key",
            "raw-key",
            "authorities",
            "trusted-keys",
        ];
        for table in root.tables("client", "[[client]]", &known)? {
            let uri = table.needed("uri")?;
            if !uri.value.starts_with("coaps://") && uri.value != "*" {
                let what =
                    "[[client]]: uri begins with coaps://, as in \"coaps://*.example\"; \"*\" is any server";
                return Err(table.text.wrong(&uri.span, what));
            }
            // Whom we believe is the same for all servers, unless an entry says otherwise.
            let mut proofs = Proofs {
                authorities: book.own.authorities.clone(),
                trusted_keys: book.own.trusted_keys.clone(),
                ..Proofs::default()
            };
            if table.text("identity")?.is_some() || table.text("key")?.is_some() {
                proofs.psk = Some(self.psk(&table)?);
            }
            self.shown(&table, "certificate-key", &mut proofs)?;
            if let Some(authorities) = self.authorities(&table)? {
                proofs.authorities = authorities;
            }
            if let Some(files) = table.texts("trusted-keys")? {
                proofs.trusted_keys = TrustedKeys::default();
                for file in files {
                    let pem = self.named(&table, &file)?;
                    let added = proofs.trusted_keys.add_pem(&pem);
                    added.map_err(|error| wrong_file(&table, &file, error))?;
                }
            }
            book.servers.push((uri.value.to_owned(), proofs));
        }
        Ok(())
    }

    /// A file that an entry names.
    fn named(&mut self, table: &Table<'_>, name: &At<&str>) -> Result<Vec<u8>, CredentialsError> {
        let path = beside(table.text.file, name.value);
        self.files.push((path.clone(), stamp(&path)));
        let content = limited(&path).map_err(|what| wrong_file(table, name, what))?;
        Ok(content.to_vec())
    }

    /// The same of a secret, which others should not be able to read.
    fn named_secret(&mut self, table: &Table<'_>, name: &At<&str>) -> Result<Secret, CredentialsError> {
        let path = beside(table.text.file, name.value);
        self.files.push((path.clone(), stamp(&path)));
        self.secret_file(&path)
            .map_err(|what| wrong_file(table, name, what))
    }

    fn secret_file(&mut self, path: &Path) -> Result<Secret, String> {
        let content = limited(path)?;
        if let Some(warning) = readable_by_others(path) {
            self.warnings.push(warning);
        }
        Ok(content)
    }
}

/// A warning if others than its owner may read a file of secrets.
#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o044 != 0).then(|| {
        let path = path.display();
        format!("{path}: others than its owner may read this file, and there are secrets in it: `chmod 600 {path}`")
    })
}

/// Elsewhere nobody knows.
#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> Option<String> {
    None
}

/// A file relative to the folder of another.
fn beside(file: &Path, name: &str) -> PathBuf {
    file.parent()
        .map_or_else(|| PathBuf::from(name), |folder| folder.join(name))
}

fn limited(path: &Path) -> Result<Secret, String> {
    let told = |error: std::io::Error| {
        let text = error.to_string();
        // The number of the error tells nobody anything.
        let words = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        format!("it cannot be read: {words}")
    };
    let file = fs::File::open(path).map_err(told)?;
    let mut content = Zeroizing::new(Vec::new());
    file.take(MAX_LENGTH + 1)
        .read_to_end(&mut content)
        .map_err(told)?;
    match content.len() as u64 > MAX_LENGTH {
        true => Err(format!("it is longer than {MAX_LENGTH} bytes")),
        false => Ok(content),
    }
}

/// What is wrong with a file that an entry names.
fn wrong_file(table: &Table<'_>, name: &At<&str>, what: impl fmt::Display) -> CredentialsError {
    table
        .text
        .wrong(&name.span, format_args!("{}: {what}", name.value))
}

/// Text, or bytes as `0x..`.
fn bytes(table: &Table<'_>, entry: &str, text: &At<&str>) -> Result<Secret, CredentialsError> {
    let Some(digits) = text.value.strip_prefix("0x") else {
        return Ok(Zeroizing::new(text.value.as_bytes().to_vec()));
    };
    unhex(digits).ok_or_else(|| {
        let what = format!("{entry}: after 0x come hexadecimal digits, two for each byte");
        table.text.wrong(&text.span, what)
    })
}

fn unhex(digits: &str) -> Option<Secret> {
    let digits = digits.as_bytes();
    // Never longer, so that no copy is left behind where it would have grown.
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.chunks(2) {
        let [high, low] = pair else { return None };
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(bytes)
}

fn check_length(
    table: &Table<'_>,
    span: &Range<usize>,
    entry: &str,
    (bytes, most): (&[u8], usize),
) -> Result<(), CredentialsError> {
    match bytes.len() {
        0 => Err(table.text.wrong(span, format_args!("{entry} is empty"))),
        len if len > most => {
            let what = format!("{entry} has {len} bytes, and may have {most}");
            Err(table.text.wrong(span, what))
        }
        _ => Ok(()),
    }
}

/// The rules of an entry, if it has any.
fn rules(table: &Table<'_>, book: &mut Book) -> Result<Option<Rules>, CredentialsError> {
    let Some(texts) = table.texts("allow")? else {
        return Ok(None);
    };
    let mut rules = Rules::default();
    for text in texts {
        let added = rules.add(text.value);
        added.map_err(|error| table.text.wrong(&text.span, format_args!("allow: {error}")))?;
    }
    book.has_rules = true;
    Ok(Some(rules))
}
