//! The implementations that are judged, and how each is started.

use std::ffi::OsString;
use std::fs::File;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Places;

/// An implementation in one role.
pub(super) struct Subject {
    /// What the matrix calls it.
    pub(super) name: &'static str,
    /// Cases that are judged one by one, each with a server of its own.
    pub(super) apart: &'static [&'static str],
    kind: Kind,
}

enum Kind {
    /// This program.
    Coracle,
    /// libcoap's example server, which has resources of its own; others are put into it. A DELETE of its `/time` while
    /// that is observed ends it.
    Libcoap,
    /// A script in `xtask/peers` that prints `READY <port>`.
    Script {
        interpreter: &'static str,
        file: &'static str,
    },
    /// A client that `coracle plugtest client --profile` knows.
    Client { profile: &'static str },
}

/// The servers.
pub(super) const SERVERS: &[Subject] = &[
    Subject {
        name: "coracle",
        apart: &[],
        kind: Kind::Coracle,
    },
    Subject {
        name: "libcoap",
        apart: &["TD_COAP_OBS_07"],
        kind: Kind::Libcoap,
    },
    Subject {
        name: "aiocoap",
        apart: &[],
        kind: Kind::Script {
            interpreter: "target/peers/venv/bin/python",
            file: "aiocoap_site.py",
        },
    },
    Subject {
        name: "node-coap",
        apart: &[],
        kind: Kind::Script {
            interpreter: "node",
            file: "node_site.js",
        },
    },
];

/// The clients.
pub(super) const CLIENTS: &[Subject] = &[
    Subject {
        name: "coracle",
        apart: &[],
        kind: Kind::Client { profile: "coracle" },
    },
    Subject {
        name: "libcoap",
        apart: &[],
        kind: Kind::Client {
            profile: "coap-client",
        },
    },
    Subject {
        name: "aiocoap",
        apart: &[],
        kind: Kind::Client {
            profile: "aiocoap-client",
        },
    },
    Subject {
        name: "node-coap",
        apart: &[],
        kind: Kind::Client { profile: "coap" },
    },
];

/// What coap-server lacks and is given by PUT: path and text.
const PUT_INTO_LIBCOAP: [(&str, &str); 5] = [
    ("/test", "a test"),
    ("/seg1/seg2/seg3", "three segments"),
    ("/query", "a query"),
    ("/validate", "first"),
    ("/large-update", "to be updated"),
];

/// Which of coap-server's resources plays a role.
const MAPPED_TO_LIBCOAP: [&str; 3] = ["/separate=/async?1", "/large=/example_data", "/obs=/time"];

/// A server that runs, or nothing for clients. It ends when this is dropped.
pub(super) struct Running {
    child: Option<Child>,
    port: u16,
}

impl Running {
    /// Ends it.
    pub(super) fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Subject {
    /// `server` or `client`.
    pub(super) fn role(&self) -> &'static str {
        match self.kind {
            Kind::Client { .. } => "client",
            _ => "server",
        }
    }

    /// What is judged: the first line that the peer says about its version.
    pub(super) fn version(&self, places: &Places) -> Result<String, String> {
        let python = places.root.join("target/peers/venv/bin/python");
        let package = places.root.join("target/peers/node_modules");
        let mut command = match (self.name, &self.kind) {
            ("coracle", _) => {
                let mut command = Command::new(&places.program);
                command.arg("--version");
                command
            }
            ("libcoap", _) => {
                let mut command = Command::new("dpkg-query");
                command.args(["-W", "-f=${Version}", "libcoap3-bin"]);
                command
            }
            ("aiocoap", _) => {
                let mut command = Command::new(python);
                command.args([
                    "-c",
                    "from importlib.metadata import version; print(version('aiocoap'))",
                ]);
                command
            }
            (_, Kind::Client { .. }) => node_version(&package.join("coap-cli/package.json")),
            _ => node_version(&package.join("coap/package.json")),
        };
        let output = command
            .output()
            .map_err(|error| format!("not installed (.ci/peers): {error}"))?;
        if !output.status.success() {
            return Err("not installed: run .ci/peers".to_owned());
        }
        let line = String::from_utf8_lossy(&output.stdout);
        Ok(line.trim().trim_start_matches("coracle ").to_owned())
    }

    /// Starts a server and waits until it listens.
    pub(super) fn start(&self, places: &Places) -> Result<Running, String> {
        let log = places.target.join(format!("interop-{}.log", self.name));
        match &self.kind {
            Kind::Client { .. } => Ok(Running { child: None, port: 0 }),
            Kind::Coracle => {
                let mut command = Command::new(&places.program);
                command.args(["plugtest", "serve", "--bind", "127.0.0.1:0", "--period", "1"]);
                started(command, &log, |line| {
                    line.strip_prefix("listening on coap://127.0.0.1:")?.parse().ok()
                })
            }
            Kind::Script { interpreter, file } => {
                let path = places.root.join(interpreter);
                let interpreter = if path.is_file() {
                    path
                } else {
                    PathBuf::from(interpreter)
                };
                let mut command = Command::new(interpreter);
                command.arg(places.root.join("xtask/peers").join(file));
                command.env("NODE_PATH", places.root.join("target/peers/node_modules"));
                started(command, &log, |line| {
                    line.strip_prefix("READY ")?.trim().parse().ok()
                })
            }
            Kind::Libcoap => start_libcoap(&places.program),
        }
    }

    /// What the judge is told.
    pub(super) fn judge_arguments(&self, running: &Running) -> Vec<OsString> {
        let uri = format!("coap://127.0.0.1:{}", running.port);
        let mut arguments: Vec<OsString> = match &self.kind {
            Kind::Client { profile } => vec!["client".into(), "--profile".into(), profile.into()],
            _ => vec!["run".into(), uri.into()],
        };
        if matches!(self.kind, Kind::Libcoap) {
            for map in MAPPED_TO_LIBCOAP {
                arguments.extend(["--map".into(), map.into()]);
            }
        }
        arguments
    }

    /// PATH with the folders of the clients in front.
    pub(super) fn path(&self, places: &Places) -> OsString {
        let own = places.program.parent().map(Path::to_owned);
        let peers =
            ["venv/bin", "node_modules/.bin"].map(|folder| places.root.join("target/peers").join(folder));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = own.into_iter().chain(peers).chain(std::env::split_paths(&path));
        std::env::join_paths(folders).unwrap_or(path.clone())
    }
}

fn node_version(package: &Path) -> Command {
    let mut command = Command::new("node");
    command
        .args(["-p", "require(process.argv[1]).version"])
        .arg(package);
    command
}

/// How long a server may take to say its port.
const START: Duration = Duration::from_secs(20);

/// Starts a program that says its port in a line of its output, which goes into a file.
fn started(mut command: Command, log: &Path, port: impl Fn(&str) -> Option<u16>) -> Result<Running, String> {
    let broken = |error| format!("cannot start {:?}: {error}", command.get_program());
    let file = File::create(log).map_err(broken)?;
    let copy = file.try_clone().map_err(broken)?;
    let program = format!("{:?}", command.get_program());
    let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
    let mut running = Running {
        child: Some(child.map_err(|error| format!("cannot start {program}: {error}"))?),
        port: 0,
    };
    let until = Instant::now() + START;
    while Instant::now() < until {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        if let Some(port) = said.lines().find_map(&port) {
            running.port = port;
            return Ok(running);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!("{program} did not say its port: {}", log.display()))
}

/// coap-server takes no port of the system's choice: one that is free now is taken.
fn start_libcoap(program: &Path) -> Result<Running, String> {
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = free.map_err(|error| format!("no free port: {error}"))?.port();
    let child = Command::new("coap-server-notls")
        .args(["-A", "127.0.0.1", "-d", "1000", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start coap-server-notls: {error}"))?;
    let running = Running {
        child: Some(child),
        port,
    };
    let until = Instant::now() + START;
    for (path, text) in PUT_INTO_LIBCOAP {
        let uri = format!("coap://127.0.0.1:{port}{path}");
        let mut put = Command::new(program);
        put.args(["--quiet", "put", &uri, text, "-f", "0"])
            .stderr(Stdio::null());
        // It does not say when it listens.
        while !put.status().is_ok_and(|status| status.success()) {
            if Instant::now() >= until {
                return Err(format!("coap-server-notls did not take a PUT of {path}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(running)
}
