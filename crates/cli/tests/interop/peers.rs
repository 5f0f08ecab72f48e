//! The other implementations: where they are, and what to do when they are not there.

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Finished, Running, START_LIMIT, run};
use crate::program::{PSK, Transport, certificate};

/// The longest scenario is an observation of a clock that ticks every second; the peers' own limit is 60 s.
const SCENARIO_LIMIT: Duration = Duration::from_secs(75);

/// Says that a peer is not there: a failure if `COAP_INTEROP=required`, a line on standard error otherwise.
pub(crate) fn missing(what: &str) {
    assert!(!required(), "COAP_INTEROP=required, but not found: {what}");
    // Written past the test runner, which hides what a passing test prints with `eprintln!`.
    let _ = writeln!(io::stderr(), "\nskipped, not found: {what}");
}

fn required() -> bool {
    std::env::var_os("COAP_INTEROP").is_some_and(|value| value == "required")
}

/// A program of the system, found by PATH.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let found = on_path(name);
    if found.is_none() {
        missing(name);
    }
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A peer whose client and server are programs of this suite.
pub(crate) struct Scripts {
    name: &'static str,
    interpreter: PathBuf,
    modules: PathBuf,
    client: PathBuf,
    server: PathBuf,
}

/// aiocoap, in the virtual environment that `.ci/peers` makes.
pub(crate) fn aiocoap() -> Option<Scripts> {
    let interpreter = installed("aiocoap", "venv/bin/python")?;
    Some(Scripts::new("aiocoap", interpreter, "py"))
}

/// A browser, by any of its names.
pub(crate) fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.into_iter().find_map(on_path);
    if found.is_none() {
        missing("chromium");
    }
    found
}

/// npm's coap, in the folder that `.ci/peers` fills.
pub(crate) fn node() -> Option<Scripts> {
    installed("npm's coap", "node_modules/coap/package.json")?;
    Some(Scripts::new("node", tool("node")?, "js"))
}

/// npm's coap-cli.
pub(crate) fn coap_cli() -> Option<PathBuf> {
    installed("npm's coap-cli", "node_modules/coap-cli/index.js")
}

fn installed(what: &str, file: &str) -> Option<PathBuf> {
    let path = folder().join(file);
    if !path.is_file() {
        missing(&format!("{what} in target/peers (run .ci/peers)"));
        return None;
    }
    Some(path)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers")
}

impl Scripts {
    fn new(name: &'static str, interpreter: PathBuf, extension: &str) -> Scripts {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
        Scripts {
            name,
            interpreter,
            modules: folder().join("node_modules"),
            client: scripts.join(format!("{name}_client.{extension}")),
            server: scripts.join(format!("{name}_server.{extension}")),
        }
    }

    fn command(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.interpreter);
        command
            .arg(script)
            .env("NODE_PATH", &self.modules)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Starts the peer's server; it listens on the port that this gives.
    pub(crate) fn serve(&self) -> (Running, u16) {
        self.start(&mut self.command(&self.server))
    }

    /// The same by another transport than datagrams.
    pub(crate) fn serve_by(&self, transport: Transport) -> (Running, u16) {
        let mut command = self.command(&self.server);
        command.arg(transport.scheme());
        if transport.is_secure() {
            command.args(certificate());
        }
        if transport == Transport::Dtls {
            command.arg(PSK);
        }
        self.start(&mut command)
    }

    fn start(&self, command: &mut Command) -> (Running, u16) {
        let server = Running::start(&format!("{} server", self.name), command);
        let ready = |line: &str| line.strip_prefix("READY ").and_then(|port| port.parse().ok());
        let port = server
            .wait_for(START_LIMIT, ready)
            .expect("the peer's server listens");
        (server, port)
    }

    /// Runs one scenario of the peer's client against a server on `port`, which has to succeed.
    pub(crate) fn run(&self, scenario: &str, port: u16) {
        self.run_by(Transport::Udp, scenario, port);
    }

    /// The same by another transport than datagrams.
    pub(crate) fn run_by(&self, transport: Transport, scenario: &str, port: u16) {
        let mut command = self.command(&self.client);
        command.args([scenario, &format!("{}://127.0.0.1:{port}", transport.scheme())]);
        if transport.is_secure() {
            let [cert, _] = certificate();
            command.arg(cert);
        }
        if transport == Transport::Dtls {
            command.arg(PSK);
        }
        let finished = run(&mut command, SCENARIO_LIMIT);
        assert!(finished.stdout_text().starts_with("OK "), "{finished}");
        finished.expect_status(0);
    }
}

/// libcoap's example programs; those without TLS do not open the second port.
pub(crate) struct Libcoap {
    client: PathBuf,
    server: PathBuf,
    /// That of datagrams is needed by all.
    transport: Transport,
}

/// libcoap's programs of Debian's libcoap3-bin.
pub(crate) fn libcoap() -> Option<Libcoap> {
    Some(Libcoap {
        client: tool("coap-client-notls")?,
        server: tool("coap-server-notls")?,
        transport: Transport::Udp,
    })
}

/// The same for connections: TCP, or TLS of OpenSSL. Debian's build has no WebSocket.
pub(crate) fn libcoap_by(transport: Transport) -> Option<Libcoap> {
    let kind = if transport.is_secure() { "openssl" } else { "notls" };
    Some(Libcoap {
        client: tool(&format!("coap-client-{kind}"))?,
        server: tool(&format!("coap-server-{kind}"))?,
        transport,
    })
}

impl Libcoap {
    /// Starts coap-server, which makes up to 100 resources on PUT.
    pub(crate) fn serve(&self) -> (Running, u16) {
        self.serve_trusting(None)
    }

    /// The same for clients whose certificate is in this file, and nobody else.
    pub(crate) fn serve_trusting(&self, clients: Option<&str>) -> (Running, u16) {
        let mut command = Command::new(&self.server);
        let port = match self.transport {
            Transport::Udp => 0,
            // It has TLS at the next one, and takes 0 for none.
            _ => free_ports(),
        };
        command.args(["-A", "127.0.0.1", "-p", &port.to_string(), "-d", "100", "-v", "7"]);
        if self.transport.is_secure() {
            let [cert, key] = certificate();
            command.arg("-c").arg(cert).arg("-j").arg(key);
            match clients {
                Some(file) => command.args(["-C", file]),
                None => command.arg("-n"),
            };
        }
        let server = Running::start("coap-server", &mut command);
        let kind = match self.transport {
            Transport::Udp => "UDP  endpoint",
            Transport::Tls => "TLS  endpoint",
            _ => "TCP  endpoint",
        };
        let created = |line: &str| {
            line.split_once(&format!("created {kind} 127.0.0.1:"))
                .and_then(|(_, port)| port.parse().ok())
        };
        let port = server
            .wait_for(START_LIMIT, created)
            .expect("coap-server listens");
        (server, port)
    }

    fn client(&self) -> Command {
        let mut command = Command::new(&self.client);
        if self.transport.is_secure() {
            let [cert, _] = certificate();
            command.arg("-C").arg(cert);
        }
        command.args(["-B", "30"]);
        command
    }

    /// Runs coap-client with the messages printed. Its exit status is 0 whatever happens.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = self.client();
        command.args(["-v", "7"]).args(arguments);
        run(&mut command, SCENARIO_LIMIT)
    }

    /// As `run`, with nothing but the body in standard output.
    pub(crate) fn run_quietly(&self, arguments: &[&str]) -> Finished {
        let mut command = self.client();
        command.args(arguments);
        run(&mut command, SCENARIO_LIMIT)
    }
}

/// A port of TCP that is free, as is the next one. Somebody may take them in the moment that is left.
fn free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port));
    for _ in 0..100 {
        let first = free(0).unwrap();
        let port = first.local_addr().unwrap().port();
        if port.checked_add(1).is_some_and(|next| free(next).is_ok()) {
            return port;
        }
    }
    panic!("no two ports in a row are free");
}
