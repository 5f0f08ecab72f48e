//! `coracle keys` as those who run it see it, and as others read what it makes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn keys(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.args(["keys", "self-signed"]).args(arguments);
    command.current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_says_what_it_wrote_and_how_to_use_it() {
    let folder = tempfile::tempdir().unwrap();
    let made = keys(folder.path(), &[]);
    let said = text(&made.stdout);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    assert!(
        said.starts_with("cert.pem: a certificate for localhost, 127.0.0.1, ::1\n"),
        "{said}"
    );
    assert!(
        said.contains("coracle serve --tls-cert cert.pem --tls-key key.pem\n"),
        "{said}"
    );
    assert!(
        said.contains("coracle get --cacert cert.pem coaps+tcp://localhost/hello\n"),
        "{said}"
    );
    let fingerprint = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("SHA-256 fingerprint "));
    assert_eq!(fingerprint.unwrap().split(':').count(), 32, "{said}");
    assert_eq!(mode(&folder.path().join("key.pem")), 0o600);
    let pem = fs::read_to_string(folder.path().join("cert.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    assert!(!pem.contains("PRIVATE KEY"));
}

#[test]
fn nothing_is_overwritten_unless_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    assert!(keys(folder.path(), &["-q"]).status.success());
    let key = folder.path().join("key.pem");
    let first = fs::read(&key).unwrap();
    let again = keys(folder.path(), &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("is there already (--force"),
        "{}",
        text(&again.stderr)
    );
    assert_eq!(fs::read(&key).unwrap(), first);
    let forced = keys(folder.path(), &["--force", "-q"]);
    assert!(forced.status.success() && forced.stdout.is_empty());
    assert_ne!(fs::read(&key).unwrap(), first);
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn files_go_where_they_are_to_go() {
    let folder = tempfile::tempdir().unwrap();
    assert!(keys(folder.path(), &["--out", "made/here"]).status.success());
    assert!(folder.path().join("made/here/cert.pem").is_file());
    let named = keys(
        folder.path(),
        &["--cert", "a.pem", "--key", "b.pem", "--name", "device-17"],
    );
    assert!(named.status.success(), "{}", text(&named.stderr));
    assert!(folder.path().join("a.pem").is_file() && folder.path().join("b.pem").is_file());
    for wrong in [
        &["--cert", "x.pem"][..],
        &["--cert", "x.pem", "--key", "x.pem"],
        &["--name", "coap://a"],
        &["--days", "0"],
    ] {
        assert_eq!(keys(folder.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert!(!folder.path().join("x.pem").exists());
}
