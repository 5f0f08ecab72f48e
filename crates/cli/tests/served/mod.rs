//! A server that is started as a program, for tests.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// What takes longer has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.args(arguments);
    command
}

/// A server that is killed when the test lets go of it.
pub(crate) struct Server {
    child: Child,
    said: Receiver<String>,
    scheme: String,
    pub(crate) port: u16,
}

impl Server {
    /// Starts it; `arguments` bind one address.
    pub(crate) fn start(arguments: &[&str]) -> Server {
        let mut child = command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let Ok(line) = line else { break };
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        let first = said.recv_timeout(LIMIT).unwrap();
        let (scheme, address) = first
            .strip_prefix("listening on ")
            .and_then(|uri| uri.split_once("://"))
            .unwrap_or_else(|| panic!("the first line is {first:?}"));
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Server {
            child,
            said,
            scheme: scheme.to_owned(),
            port: port.unwrap(),
        }
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// Waits for a line that holds `part`.
    pub(crate) fn wait_for(&self, part: &str) -> String {
        loop {
            let line = self
                .said
                .recv_timeout(LIMIT)
                .unwrap_or_else(|_| panic!("no line with {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &self.child.id().to_string()]);
        assert!(kill.status().unwrap().success());
    }

    /// What it says until it ends.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.said.recv_timeout(LIMIT).ok()).collect()
    }

    /// Waits until it ends: its standard error is closed then.
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.rest();
        self.child.wait().unwrap()
    }

    /// A socket that talks to it.
    pub(crate) fn socket(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.connect(("127.0.0.1", self.port)).unwrap();
        socket
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended cannot be killed: that is no failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}
