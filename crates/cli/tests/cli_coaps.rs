//! `coaps` as those see it who run the program: keys from everywhere, exit statuses, reasons, and a source port that changes.
#![cfg(unix)]
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and uses a part of what tests share"
)]

mod served;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use served::{Server, command};
use tempfile::TempDir;

const PSK: &str = "meter-7:0x000102030405060708090a0b0c0d0e0f";

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(arguments)
        .current_dir(folder)
        .env_remove("CORACLE_PSK")
        .env_remove("SSLKEYLOGFILE")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_hello(output: &Output) {
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(0), &b"hello"[..]),
        "{}",
        said(output)
    );
}

/// A folder in which `coracle keys` was run so.
fn made(keys: &[&[&str]]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for arguments in keys {
        let arguments = [&["keys", "-q"], *arguments].concat();
        let made = run(folder.path(), &arguments);
        assert!(made.status.success(), "{}", said(&made));
    }
    folder
}

fn serve(arguments: &[&str]) -> Server {
    Server::start(
        &[
            &["serve", "--bind", "coaps://127.0.0.1:0", "--stats", "1"],
            arguments,
        ]
        .concat(),
    )
}

/// A server with a file of credentials in `folder`.
fn serve_with(folder: &TempDir, credentials: &str) -> Server {
    let file = folder.path().join("credentials.toml");
    fs::write(&file, credentials).unwrap();
    // Of others that may read it a warning would be told first.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    serve(&["--credentials", file.to_str().unwrap()])
}

#[test]
fn a_pre_shared_key_comes_from_the_command_line_a_file_or_the_environment() {
    let folder = made(&[&["psk", "meter-8"]]);
    let path = folder.path();
    let file = format!("@{}", path.join("psk").display());
    let server = serve(&["--psk", PSK, "--psk", &file]);
    let hello = server.uri("/hello");
    assert_hello(&run(path, &["get", &hello, "--psk", PSK]));
    assert_hello(&run(path, &["get", &hello, "--psk", "@psk"]));
    let by_environment = command(&["get", &hello])
        .env("CORACLE_PSK", PSK)
        .output()
        .unwrap();
    assert_hello(&by_environment);
    // What the environment says is of no matter to URIs without protection.
    let plain = command(&["get", "coap://127.0.0.1:9/", "--timeout", "0.1"]);
    let plain = { plain }.env("CORACLE_PSK", PSK).output().unwrap();
    assert_eq!(plain.status.code(), Some(3), "{}", said(&plain));
}

#[test]
fn what_goes_wrong_has_an_exit_status_a_reason_and_a_line_in_the_servers_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&["--psk", PSK]);
    let hello = server.uri("/hello");
    for psk in ["meter-7:wrong", "nobody:0x00"] {
        let refused = run(folder.path(), &["get", &hello, "--psk", psk]);
        assert_eq!(refused.status.code(), Some(3));
        assert!(
            said(&refused).contains("does not know this PSK identity, or the key is wrong"),
            "{}",
            said(&refused)
        );
        assert!(said(&refused).contains("CORACLE_PSK"), "{}", said(&refused));
    }
    server.wait_for("PSK identity \"meter-7\" is wrong");
    server.wait_for("PSK identity \"nobody\" is wrong, or the identity unknown");
    server.wait_for("failed sessions: ");
    let nothing = run(folder.path(), &["get", &hello]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(said(&nothing).contains("--psk ID:KEY"), "{}", said(&nothing));
    let useless = run(folder.path(), &["get", "coap://127.0.0.1/", "--psk", PSK]);
    assert_eq!(useless.status.code(), Some(2));
    assert!(said(&useless).contains("is without DTLS"), "{}", said(&useless));
    let hidden = run(folder.path(), &["get", &hello, "--psk", "very-secret"]);
    assert_eq!(hidden.status.code(), Some(2));
    assert!(
        said(&hidden).contains("expected IDENTITY:KEY"),
        "{}",
        said(&hidden)
    );
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = format!("coaps://{}/", socket.local_addr().unwrap());
    let silent = run(folder.path(), &["get", &silent, "--psk", PSK, "--timeout", "0.3"]);
    assert_eq!(silent.status.code(), Some(3), "{}", said(&silent));
}

#[test]
fn raw_public_keys_are_made_shown_and_believed() {
    let folder = made(&[
        &["rpk", "--out", "server"],
        &["rpk", "--out", "client"],
        &["rpk", "--out", "other", "--ed25519"],
    ]);
    let path = folder.path();
    let server = serve_with(
        &folder,
        "[own]\nraw-key = \"server/rpk-key.pem\"\n[[raw-public-key]]\nfile = \"client/rpk.pem\"\n",
    );
    let hello = server.uri("/hello");
    let ask = |key, trust| run(path, &["get", &hello, "--rpk", key, "--trust", trust]);
    assert_hello(&ask("client/rpk-key.pem", "server/rpk.pem"));
    let mistaken = ask("client/rpk-key.pem", "other/rpk.pem");
    assert_eq!(mistaken.status.code(), Some(3));
    assert!(
        said(&mistaken).contains("not among the trusted ones"),
        "{}",
        said(&mistaken)
    );
    let stranger = ask("other/rpk-key.pem", "server/rpk.pem");
    assert_eq!(stranger.status.code(), Some(3), "{}", said(&stranger));
    server.wait_for("public key is not among the trusted ones");
    let show = |file| String::from_utf8(run(path, &["keys", "show", file]).stdout).unwrap();
    let fingerprint = |text: &str| text.trim_end().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(
        fingerprint(&show("client/rpk.pem")),
        fingerprint(&show("client/rpk-key.pem"))
    );
    assert_ne!(
        fingerprint(&show("client/rpk.pem")),
        fingerprint(&show("server/rpk.pem"))
    );
}

#[test]
fn certificates_are_believed_where_they_are_trusted() {
    let folder = made(&[
        &["self-signed", "--out", "server"],
        &["self-signed", "--name", "meter-7", "--out", "client"],
    ]);
    let path = folder.path();
    let server = serve_with(
        &folder,
        "[own]\ncertificate = \"server/cert.pem\"\nkey = \"server/key.pem\"\n[trust]\nauthorities = \"client/cert.pem\"\n\
         [[certificate]]\nname = \"meter-*\"\nallow = \"GET /hello\"\n",
    );
    let own = ["--cert", "client/cert.pem", "--key", "client/key.pem"];
    let ask = |uri: &str, more: &[&str]| run(path, &[&["get", uri], more].concat());
    let trusting = [&own[..], &["--cacert", "server/cert.pem"]].concat();
    assert_hello(&ask(&server.uri("/hello"), &trusting));
    let forbidden = ask(&server.uri("/clock"), &trusting);
    assert_eq!(forbidden.status.code(), Some(4));
    assert!(
        said(&forbidden).contains("certificate meter-7 may not GET this"),
        "{}",
        said(&forbidden)
    );
    let untrusted = ask(
        &server.uri("/hello"),
        &[&own[..], &["--cacert", "client/cert.pem"]].concat(),
    );
    assert_eq!(untrusted.status.code(), Some(3));
    assert!(
        said(&untrusted).contains("--cacert FILE says whom to trust"),
        "{}",
        said(&untrusted)
    );
    let nothing = ask(&server.uri("/hello"), &["--ca", "server/cert.pem"]);
    assert_eq!(nothing.status.code(), Some(3));
    server.wait_for("the client showed no certificate or key, which is required");
}

/// RFC 9146: the server knows the session by its connection ID, wherever it comes from.
#[test]
fn a_source_port_that_changes_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&["--psk", PSK]);
    let (hello, large) = (server.uri("/hello"), server.uri("/large"));
    let ask = |arguments: &[&str]| run(folder.path(), &[arguments, &["--psk", PSK, "--hop"]].concat());
    assert_hello(&ask(&["get", &hello]));
    assert_hello(&ask(&["get", &hello, "--cid"]));
    assert_eq!(ask(&["get", &large, "--cid", "20"]).stdout.len(), 200_000);
    let pinged = ask(&["ping", &hello, "-c", "3", "-i", "0.05"]);
    assert!(
        String::from_utf8_lossy(&pinged.stdout).contains("3 sent, 3 answered"),
        "{}",
        said(&pinged)
    );
    let observed = ask(&["observe", &server.uri("/clock"), "--count", "2"]);
    assert_eq!(
        String::from_utf8_lossy(&observed.stdout).lines().count(),
        2,
        "{}",
        said(&observed)
    );
    server.wait_for("moved sessions");
    let without = serve(&["--psk", PSK, "--cid", "0"]);
    let lost = [
        "get",
        &without.uri("/hello"),
        "--psk",
        PSK,
        "--hop",
        "--timeout",
        "0.5",
    ];
    assert_eq!(run(folder.path(), &lost).status.code(), Some(3));
    let nonsense = run(folder.path(), &["get", &hello, "--psk", PSK, "--cid", "3"]);
    assert_eq!(nonsense.status.code(), Some(2));
}

#[test]
fn a_changed_file_is_heeded_and_what_is_wrong_with_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |allow: &str| {
        format!(
            "[[psk]]\nidentity = \"meter-7\"\nkey = \"0x000102030405060708090a0b0c0d0e0f\"\nallow = \"{allow}\"\n"
        )
    };
    let server = serve_with(&folder, &entry("GET /hello"));
    server.wait_for("Serving");
    let file = folder.path().join("credentials.toml");
    let status = |path: &str| {
        run(folder.path(), &["get", &server.uri(path), "--psk", PSK])
            .status
            .code()
    };
    assert_eq!((status("/hello"), status("/clock")), (Some(0), Some(4)));
    fs::write(&file, entry("GTE /hello")).unwrap();
    let told = server.wait_for("credentials.toml:4: ");
    assert!(told.contains("stay as they were"), "{told}");
    assert_eq!(status("/hello"), Some(0));
    fs::write(&file, entry("GET /clock, or so")).unwrap();
    server.wait_for("credentials.toml:4: ");
    fs::write(&file, entry("GET /clock")).unwrap();
    server.wait_for("are read again");
    assert_eq!((status("/hello"), status("/clock")), (Some(4), Some(0)));
}

#[test]
fn a_file_of_credentials_serves_clients_too() {
    let folder = made(&[&["self-signed", "--out", "server"]]);
    let server = serve_with(
        &folder,
        "[own]\ncertificate = \"server/cert.pem\"\nkey = \"server/key.pem\"\n\
         [[psk]]\nidentity = \"meter-7\"\nkey = \"sixteen bytes at\"\n",
    );
    fs::write(
        folder.path().join("client.toml"),
        format!(
            "[trust]\nauthorities = \"server/cert.pem\"\n\
             [[client]]\nuri = \"coaps://*:{}\"\nidentity = \"meter-7\"\nkey = \"sixteen bytes at\"\n",
            server.port
        ),
    )
    .unwrap();
    let asked = ["get", &server.uri("/hello"), "--credentials", "client.toml"];
    assert_hello(&run(folder.path(), &asked));
    let wrong = ["get", &server.uri("/hello"), "--credentials", "none.toml"];
    let wrong = run(folder.path(), &wrong);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        said(&wrong).contains("none.toml: it cannot be read"),
        "{}",
        said(&wrong)
    );
}

#[test]
fn secrets_are_logged_to_the_file_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&["--psk", PSK]);
    let file = folder.path().join("secrets");
    let mut asked = command(&["get", &server.uri("/hello"), "--psk", PSK]);
    let asked = asked.env("SSLKEYLOGFILE", &file).output().unwrap();
    assert_hello(&asked);
    assert!(
        said(&asked).contains("SSLKEYLOGFILE: who reads"),
        "{}",
        said(&asked)
    );
    let logged = fs::read_to_string(&file).unwrap();
    assert!(
        logged.starts_with("CLIENT_RANDOM ") && logged.lines().count() == 1,
        "{logged}"
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn keys_are_made_for_their_owner_alone_and_never_overwritten() {
    let folder = made(&[&["psk", "meter-7"], &["rpk"], &["self-signed"]]);
    let path = folder.path();
    for secret in ["psk", "rpk-key.pem", "key.pem"] {
        let mode = fs::metadata(path.join(secret)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{secret}");
    }
    let before = fs::read(path.join("psk")).unwrap();
    for again in [&["keys", "psk", "meter-7"][..], &["keys", "rpk"]] {
        let again = run(path, again);
        assert_eq!(again.status.code(), Some(1));
        assert!(said(&again).contains("is there already"), "{}", said(&again));
    }
    assert_eq!(fs::read(path.join("psk")).unwrap(), before);
    assert!(run(path, &["keys", "psk", "meter-7", "--force"]).status.success());
    assert_ne!(fs::read(path.join("psk")).unwrap(), before);
    let shown = run(
        path,
        &[
            "keys",
            "show",
            "psk",
            "rpk.pem",
            "rpk-key.pem",
            "cert.pem",
            "key.pem",
        ],
    );
    let text = String::from_utf8(shown.stdout.clone()).unwrap();
    assert!(
        text.contains("psk: a pre-shared key of 16 bytes for meter-7"),
        "{text}"
    );
    assert!(
        text.contains("cert.pem: a certificate of localhost for localhost"),
        "{text}"
    );
    let secret = fs::read_to_string(path.join("psk")).unwrap();
    let digits = secret.trim().rsplit_once("0x").unwrap().1;
    assert!(!text.contains(digits));
    fs::write(path.join("nothing"), "nothing").unwrap();
    let nothing = run(path, &["keys", "show", "nothing"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(
        said(&nothing).contains("no certificate and no key"),
        "{}",
        said(&nothing)
    );
}
