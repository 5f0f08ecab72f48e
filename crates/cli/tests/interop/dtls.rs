//! `coaps` with libcoap on OpenSSL and on GnuTLS, aiocoap on tinydtls, and openssl itself, in both directions.
//!
//! What goes over DTLS is not captured: nobody but the two sides could read it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::libcoap::assert_printed;
use crate::peers;
use crate::process::{Finished, Running, START_LIMIT, run};
use crate::program::{CLIENT_ERROR, NO_ANSWER, PSK, Transport, body, certificate, client, scratch, serve_by};
use crate::suite;

/// A scenario of a peer's program takes no longer.
const LIMIT: Duration = Duration::from_secs(40);

const LENGTH: u32 = 30_000;

fn identity_and_key() -> (&'static str, &'static str) {
    PSK.split_once(':').unwrap()
}

/// The program of libcoap with this library, and how it says who it is.
struct Libcoap {
    client: PathBuf,
    server: PathBuf,
}

fn libcoap(library: &str) -> Option<Libcoap> {
    Some(Libcoap {
        client: peers::tool(&format!("coap-client-{library}"))?,
        server: peers::tool(&format!("coap-server-{library}"))?,
    })
}

impl Libcoap {
    /// Runs coap-client with the messages printed. Its exit status is 0 whatever happens.
    fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(&self.client);
        run(command.args(["-B", "10", "-v", "7"]).args(arguments), LIMIT)
    }

    fn with_psk(&self, arguments: &[&str]) -> Finished {
        let (identity, key) = identity_and_key();
        self.run(&[&["-u", identity, "-k", key], arguments].concat())
    }

    /// Starts coap-server; coaps is at the port that this gives.
    fn serve(&self, arguments: &[&str]) -> (Running, u16) {
        let mut command = Command::new(&self.server);
        let port = free_ports().to_string();
        command
            .args(["-A", "127.0.0.1", "-p", &port, "-d", "100", "-v", "7"])
            .args(arguments);
        let server = Running::start("coap-server", &mut command);
        let created = |line: &str| {
            let (_, port) = line.split_once("created DTLS endpoint 127.0.0.1:")?;
            port.trim().parse().ok()
        };
        let port = server
            .wait_for(START_LIMIT, created)
            .expect("coap-server listens");
        (server, port)
    }
}

/// A port of UDP that is free, as is the next one. Somebody may take them in the moment that is left.
fn free_ports() -> u16 {
    let free = |port: u16| std::net::UdpSocket::bind(("127.0.0.1", port));
    for _ in 0..100 {
        let first = free(0).unwrap();
        let port = first.local_addr().unwrap().port();
        if port.checked_add(1).is_some_and(|next| free(next).is_ok()) {
            return port;
        }
    }
    panic!("no two ports in a row are free");
}

/// coap-client uses our server with the pre-shared key of the suite.
fn libcoap_uses_our_server(library: &str) {
    let Some(libcoap) = libcoap(library) else { return };
    let (server, port) = serve_by(Transport::Dtls, &["-v"]);
    let base = format!("coaps://127.0.0.1:{port}");
    let entry = format!("{base}/store/{library}");
    assert_printed(
        &libcoap.with_psk(&[&format!("{base}/hello")]),
        &["c:2.05", "hello"],
    );
    let put = ["-m", "put", "-t", "0", "-e", "one", &entry];
    assert_printed(&libcoap.with_psk(&put), &["c:2.01"]);
    assert_printed(&libcoap.with_psk(&[&entry]), &["c:2.05", "one"]);
    let observed = libcoap.with_psk(&["-s", "3", &format!("{base}/clock")]);
    assert!(
        observed.stdout_text().matches("c:2.05").count() >= 2,
        "{observed}"
    );
    let file = scratch(&format!("dtls-{library}"));
    let file_name = file.to_str().unwrap();
    fs::write(&file, body(LENGTH)).unwrap();
    libcoap.with_psk(&["-m", "put", "-t", "42", "-f", file_name, &entry]);
    fs::remove_file(&file).unwrap();
    libcoap.with_psk(&["-o", file_name, &entry]);
    assert!(
        fs::read(&file).unwrap() == body(LENGTH),
        "the body differs from the one sent"
    );
    fs::remove_file(&file).unwrap();
    let wrong = libcoap.run(&[
        "-u",
        identity_and_key().0,
        "-k",
        "wrong",
        &format!("{base}/hello"),
    ]);
    assert!(!wrong.stdout_text().contains("c:2.05"), "{wrong}");
    let told = |line: &str| line.contains("is wrong, or the identity unknown").then_some(());
    server
        .wait_for(START_LIMIT, told)
        .expect("the log has the reason");
}

/// Our client uses coap-server with a pre-shared key.
fn we_use_coap_server(library: &str) {
    let Some(libcoap) = libcoap(library) else { return };
    let (_server, port) = libcoap.serve(&["-k", identity_and_key().1, "-h", "hint"]);
    let base = format!("coaps://127.0.0.1:{port}");
    let entry = format!("{base}/store/ours");
    assert!(client(&["get", &base]).stdout_text().contains("libcoap"));
    client(&["put", &entry, "first", "-f", "0"]).expect_status(0);
    client(&["get", &entry]).expect_stdout("first");
    client(&["delete", &entry]).expect_status(0);
    client(&["get", &entry]).expect_status(CLIENT_ERROR);
    let file = scratch(&format!("dtls-ours-{library}"));
    let file_name = file.to_str().unwrap();
    fs::write(&file, body(LENGTH)).unwrap();
    client(&["put", &entry, "-d", &format!("@{file_name}"), "-f", "42"]).expect_status(0);
    client(&["get", &entry, "-o", file_name]).expect_status(0);
    assert!(
        fs::read(&file).unwrap() == body(LENGTH),
        "the body differs from the one sent"
    );
    fs::remove_file(&file).unwrap();
    let observed = client(&["observe", &format!("{base}/time"), "--count", "2"]);
    assert_eq!(observed.stdout_text().lines().count(), 2, "{observed}");
    client(&["ping", &base, "-c", "2", "-i", "0.1"]).expect_status(0);
    let wrong = client(&["get", &base, "--psk", "Client_identity:wrong", "--timeout", "5"]);
    assert_eq!(wrong.status, Some(NO_ANSWER), "{wrong}");
}

#[test]
fn libcoap_on_openssl_uses_our_server() {
    libcoap_uses_our_server("openssl");
}

#[test]
fn libcoap_on_gnutls_uses_our_server() {
    libcoap_uses_our_server("gnutls");
}

#[test]
fn we_use_coap_server_on_openssl() {
    we_use_coap_server("openssl");
}

#[test]
fn we_use_coap_server_on_gnutls() {
    we_use_coap_server("gnutls");
}

/// A file of credentials with the certificate of the suite, for our server.
fn with_certificate(name: &str, more: &str) -> PathBuf {
    let file = scratch(name);
    let [cert, key] = certificate();
    let text =
        format!("[own]\ncertificate = {cert:?}\nkey = {key:?}\n[trust]\nauthorities = {cert:?}\n{more}");
    fs::write(&file, text).unwrap();
    file
}

fn certificates_with(library: &str) {
    let Some(libcoap) = libcoap(library) else { return };
    let [cert, key] = certificate().each_ref().map(|path| path.to_str().unwrap());
    let credentials = with_certificate(&format!("credentials-{library}.toml"), "");
    let (_server, port) = serve_by(Transport::Dtls, &["--credentials", credentials.to_str().unwrap()]);
    let hello = format!("coaps://127.0.0.1:{port}/hello");
    let shown = libcoap.run(&["-c", cert, "-j", key, "-C", cert, &hello]);
    assert_printed(&shown, &["c:2.05", "hello"]);

    let (_server, port) = libcoap.serve(&["-c", cert, "-j", key, "-C", cert]);
    let base = format!("coaps://127.0.0.1:{port}");
    client(&["get", &base, "--cacert", cert, "--cert", cert, "--key", key]).expect_status(0);
    fs::remove_file(credentials).unwrap();
}

#[test]
fn libcoap_on_openssl_and_we_show_certificates() {
    certificates_with("openssl");
}

#[test]
fn libcoap_on_gnutls_and_we_show_certificates() {
    certificates_with("gnutls");
}

/// aiocoap says of itself that its DTLS is experimental; it has pre-shared keys alone.
#[test]
fn aiocoap_uses_our_server_by_dtls() {
    let Some(peer) = peers::aiocoap() else { return };
    let (_server, port) = serve_by(Transport::Dtls, &[]);
    for scenario in [
        "get",
        "put",
        "post",
        "delete",
        "fetch",
        "observe",
        "large-get",
        "discover",
        "separate",
    ] {
        peer.run_by(Transport::Dtls, scenario, port);
    }
}

#[test]
fn we_use_aiocoap_by_dtls() {
    let Some(peer) = peers::aiocoap() else { return };
    let (_server, port) = peer.serve_by(Transport::Dtls);
    let base = format!("coaps://127.0.0.1:{port}");
    suite::use_every_method(&base);
    suite::discover(&base);
    client(&["get", &format!("{base}/separate")]).expect_stdout("separate");
}

/// Says a CoAP ping to our server by `openssl s_client`, which prints what it gets.
fn openssl_pings(arguments: &[&str], port: u16) -> Finished {
    let openssl = peers::tool("openssl").expect("it was there");
    let mut command = Command::new("sh");
    // An empty confirmable message, 40 00 12 34, gets a Reset: 70 00 12 34.
    let talk = "(sleep 1; printf '@\\000\\0224'; sleep 1) | \"$@\"";
    command.args(["-c", talk, "sh"]).arg(openssl);
    command.args([
        "s_client",
        "-dtls1_2",
        "-quiet",
        "-no_ign_eof",
        "-connect",
        &format!("127.0.0.1:{port}"),
    ]);
    run(command.args(arguments), LIMIT)
}

#[test]
fn openssl_speaks_to_our_server_by_all_suites() {
    if peers::tool("openssl").is_none() {
        return;
    }
    let [cert, key] = certificate().each_ref().map(|path| path.to_str().unwrap());
    let (identity, text) = identity_and_key();
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let psk = format!("[[psk]]\nidentity = {identity:?}\nkey = {text:?}\n");
    let credentials = with_certificate("credentials-s_client.toml", &psk);
    let (_server, port) = serve_by(Transport::Dtls, &["--credentials", credentials.to_str().unwrap()]);
    for suite in ["PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES128-GCM-SHA256"] {
        let pong = openssl_pings(
            &["-psk_identity", identity, "-psk", &digits, "-cipher", suite],
            port,
        );
        assert_eq!(pong.stdout, b"p\0\x124", "{suite}: {pong}");
    }
    for suite in [
        "ECDHE-ECDSA-AES128-CCM8",
        "ECDHE-ECDSA-AES128-CCM",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ] {
        // At security level 0, because at 1 there is no CCM_8.
        let suite = format!("{suite}:@SECLEVEL=0");
        let own = [
            "-cert",
            cert,
            "-key",
            key,
            "-CAfile",
            cert,
            "-verify_return_error",
        ];
        let pong = openssl_pings(&[&own[..], &["-cipher", &suite]].concat(), port);
        assert_eq!(pong.stdout, b"p\0\x124", "{suite}: {pong}");
    }
    fs::remove_file(credentials).unwrap();
}

/// openssl's server knows no CoAP: it is a mirror at the other end of a session. A ping that comes back as it went is no answer,
/// but that it comes back at all shows that both understand each other's records.
#[test]
fn we_speak_to_openssl() {
    let Some(openssl) = peers::tool("openssl") else {
        return;
    };
    let [cert, key] = certificate().each_ref().map(|path| path.to_str().unwrap());
    let port = free_ports().to_string();
    // It ends with its standard input.
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 15 | \"$@\"", "sh"]).arg(openssl);
    let at = format!("127.0.0.1:{port}");
    command.args(["s_server", "-dtls1_2", "-accept", &at, "-cert", cert, "-key", key]);
    command.args(["-Verify", "1", "-CAfile", cert, "-naccept", "1"]);
    let server = Running::start("openssl s_server", &mut command);
    server
        .wait_for(START_LIMIT, |line: &str| line.contains("ACCEPT").then_some(()))
        .expect("it listens");
    let uri = format!("coaps://127.0.0.1:{port}/hello");
    let own = [
        "--cacert",
        cert,
        "--cert",
        cert,
        "--key",
        key,
        "--timeout",
        "2",
        "-v",
    ];
    let asked = client(&[&["get", &uri], &own[..]].concat());
    assert_eq!(asked.status, Some(NO_ANSWER), "{asked}");
    assert!(asked.to_string().contains("a session is established"), "{asked}");
}
