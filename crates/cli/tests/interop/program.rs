//! The program under test, as server and as client.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::process::{Finished, Running, START_LIMIT, run};

/// A command that waits for a peer in vain would take a minute and a half; none here has a reason to.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Exit status for 4.xx.
pub(crate) const CLIENT_ERROR: i32 = 4;

/// Exit status where nobody answers, or no connection can be made.
pub(crate) const NO_ANSWER: i32 = 3;

/// The length of `/large` on every server of the suite.
const LARGE_LENGTH: u32 = 200_000;

/// The body of `/large` on every server of the suite.
pub(crate) fn large() -> Vec<u8> {
    body(LARGE_LENGTH)
}

/// A body each byte of which tells where it belongs.
pub(crate) fn body(length: u32) -> Vec<u8> {
    (0..length).map(|i| ((i * 7 + i / 256) & 255) as u8).collect()
}

fn command() -> Command {
    match std::env::var_os("COAP_INTEROP_PROGRAM") {
        Some(other) => Command::new(other),
        None => Command::new(env!("CARGO_BIN_EXE_coracle")),
    }
}

/// The pre-shared key of the suite: its identity and itself.
pub(crate) const PSK: &str = "Client_identity:secretPSKsecretPSK";

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    /// With DTLS and the pre-shared key of the suite.
    Dtls,
    Tcp,
    Tls,
    WebSocket,
    SecureWebSocket,
}

impl Transport {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Transport::Udp => "coap",
            Transport::Dtls => "coaps",
            Transport::Tcp => "coap+tcp",
            Transport::Tls => "coaps+tcp",
            Transport::WebSocket => "coap+ws",
            Transport::SecureWebSocket => "coaps+ws",
        }
    }

    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::SecureWebSocket)
    }
}

/// A certificate for this machine and its key, made once by the program under test.
pub(crate) fn certificate() -> &'static [PathBuf; 2] {
    static MADE: OnceLock<[PathBuf; 2]> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("tls");
        let made = run(
            command().args(["keys", "self-signed", "--out"]).arg(&folder),
            COMMAND_LIMIT,
        );
        made.expect_status(0);
        ["cert.pem", "key.pem"].map(|name| folder.join(name))
    })
}

/// Starts our server with its site; it listens on the port that this gives.
pub(crate) fn serve() -> (Running, u16) {
    serve_by(Transport::Udp, &[])
}

/// Starts our server with its site and these settings; it listens on the port that this gives.
pub(crate) fn serve_by(transport: Transport, settings: &[&str]) -> (Running, u16) {
    let base = format!("{}://127.0.0.1:", transport.scheme());
    let mut command = command();
    command
        .args(["serve", "--bind", &format!("{base}0")])
        .args(settings);
    if transport.is_secure() {
        let [cert, key] = certificate();
        command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
    }
    if transport == Transport::Dtls && !settings.contains(&"--credentials") {
        command.args(["--psk", PSK]);
    }
    let server = Running::start("coracle serve", &mut command);
    let told = format!("listening on {base}");
    let listening = |line: &str| {
        line.split_once(&told)
            .and_then(|(_, port)| port.trim().parse().ok())
    };
    let port = server
        .wait_for(START_LIMIT, listening)
        .expect("our server listens");
    (server, port)
}

/// Runs a client command of ours to its end. It trusts the servers of this suite.
pub(crate) fn client(arguments: &[&str]) -> Finished {
    let mut command = command();
    command.args(arguments);
    if arguments.iter().any(|argument| argument.starts_with("coaps+")) {
        let [cert, _] = certificate();
        command.arg("--cacert").arg(cert);
    }
    command.env("CORACLE_PSK", PSK);
    run(&mut command, COMMAND_LIMIT)
}

/// A path for a file of a test, in a folder that cargo keeps for it.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interop-{}-{name}", std::process::id()))
}
