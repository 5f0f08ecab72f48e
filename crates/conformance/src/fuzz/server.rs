//! The server under attack: whether it lives, and how to have it anew.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use coracle_wire::{MessageId, MessageType, MessageWriter, Method, OptionNumber};
use serde::Serialize;

use super::FuzzError;
use super::generate::segments;
use crate::command::{self, Running};

/// How long each probe waits for an answer. One that is lost, or that a server leaves out because it answers only some
/// pings a second, is no sign of death; after all of them it is.
const PATIENCE: [Duration; 5] = [
    FIRST_PATIENCE,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// How long the first probe waits, and the one that looks whether the place is free.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);

/// So often may the port be closed before nobody is believed to be there.
const REFUSALS: usize = 3;

/// How long after a refusal the next probe goes out.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);

/// How long a command may take until the server answers.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long a process may take to end after it closed its port.
const END_LIMIT: Duration = Duration::from_secs(1);

/// How often a server is asked that may fail later: not so often that it answers no more pings.
const PAUSE: Duration = Duration::from_millis(250);

/// How often the process is looked at while an answer is waited for.
const TICK: Duration = Duration::from_millis(5);

/// How many bytes of what the server printed last are told.
const OUTPUT: usize = 4 * 1024;

/// How a server failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "how", content = "status")]
pub enum Failure {
    /// Its process ended, and how.
    Ended(String),
    /// Its port is closed.
    Refused,
    /// It does not answer any more.
    Silent,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Ended(status) => write!(f, "the server ended: {status}"),
            Failure::Refused => f.write_str("the server is gone: its port is closed"),
            Failure::Silent => {
                let patience: Duration = PATIENCE.iter().sum();
                write!(
                    f,
                    "the server hangs: no answer for {:.1} s",
                    patience.as_secs_f64()
                )
            }
        }
    }
}

/// What a probe sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// An empty CON, which every endpoint answers with a Reset (RFC 7252 §4.3).
    Ping,
    /// A GET, to which any answer will do.
    Get,
}

/// A server, which a command may start.
pub(super) struct Server<'a> {
    address: SocketAddr,
    command: Option<&'a str>,
    /// The path for probes: what the user gave, and only then no pings are used.
    path: Option<&'a str>,
    stop: &'a AtomicBool,
    running: Option<Running>,
    /// Which of the probes was answered last.
    probe: Probe,
    next_id: u16,
}

impl<'a> Server<'a> {
    pub(super) fn new(
        address: SocketAddr,
        command: Option<&'a str>,
        path: Option<&'a str>,
        stop: &'a AtomicBool,
    ) -> Server<'a> {
        Server {
            address,
            command,
            path,
            stop,
            running: None,
            probe: if path.is_some() { Probe::Get } else { Probe::Ping },
            next_id: 1,
        }
    }

    /// Whether a command starts it.
    pub(super) fn is_ours(&self) -> bool {
        self.command.is_some()
    }

    /// A socket that talks to the server alone, on a port of its own.
    pub(super) fn socket(&self) -> Result<UdpSocket, FuzzError> {
        connect(self.address).map_err(FuzzError::Socket)
    }

    /// Starts it, if a command does so, and waits until it answers.
    pub(super) fn begin(&mut self) -> Result<(), FuzzError> {
        if self.command.is_some() {
            // Another server would be taken for the one that the command starts.
            let socket = self.socket()?;
            return match self.probe_once(&socket, FIRST_PATIENCE) {
                Reaction::Answer => Err(FuzzError::SomebodyThere(self.address)),
                _ => self.restart(),
            };
        }
        self.check()?.map_err(|_| FuzzError::NobodyThere(self.address))
    }

    /// Ends what runs, starts it anew and waits until it answers.
    fn restart(&mut self) -> Result<(), FuzzError> {
        let Some(command) = self.command else {
            return Ok(());
        };
        self.running = None;
        let arguments = ["sh", "-c", command].map(str::to_owned);
        self.running = Some(Running::start(&arguments).map_err(FuzzError::Command)?);
        let began = Instant::now();
        loop {
            match self.check()? {
                Ok(()) => return Ok(()),
                Err(Failure::Ended(status)) => {
                    return Err(FuzzError::CommandEnded {
                        status,
                        output: self.output(),
                    });
                }
                Err(_) if self.stopped() || began.elapsed() > START_LIMIT => {
                    return Err(FuzzError::CommandSilent {
                        output: self.output(),
                    });
                }
                Err(_) => {}
            }
        }
    }

    /// After a failure: starts it anew, or waits so long for it to come back. Whether it is there again.
    pub(super) fn revive(&mut self, recovery: Duration) -> Result<bool, FuzzError> {
        if self.is_ours() {
            return self.restart().map(|()| true);
        }
        let began = Instant::now();
        loop {
            if self.check()?.is_ok() {
                return Ok(true);
            }
            if self.stopped() || began.elapsed() >= recovery {
                return Ok(false);
            }
        }
    }

    /// How it ended, if it is a process of ours that did.
    pub(super) fn ended(&mut self) -> Option<Failure> {
        let status = self.running.as_mut()?.ended()?;
        Some(Failure::Ended(command::describe(status)))
    }

    /// The end of what it printed. Ends it.
    pub(super) fn output(&mut self) -> String {
        let Some(mut running) = self.running.take() else {
            return String::new();
        };
        let output = running.last_output();
        let from = output.len().saturating_sub(OUTPUT);
        String::from_utf8_lossy(output.get(from..).unwrap_or_default()).into_owned()
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// How it failed, if it does not live, or if its port was closed in between: then somebody else started it anew.
    pub(super) fn failure(&mut self, was_refused: bool) -> Result<Option<Failure>, FuzzError> {
        let failure = self.check()?.err().or(was_refused.then_some(Failure::Refused));
        if failure != Some(Failure::Refused) {
            return Ok(failure);
        }
        // A process closes its sockets a little before it has ended.
        let began = Instant::now();
        while self.running.is_some() && began.elapsed() < END_LIMIT {
            if let Some(ended) = self.ended() {
                return Ok(Some(ended));
            }
            thread::sleep(TICK);
        }
        Ok(failure)
    }

    /// How it fails within this time, if it does.
    pub(super) fn fails_within(&mut self, time: Duration) -> Result<Option<Failure>, FuzzError> {
        let began = Instant::now();
        while began.elapsed() < time && !self.stopped() {
            thread::sleep(PAUSE);
            let failure = self.failure(false)?;
            if failure.is_some() {
                return Ok(failure);
            }
        }
        Ok(None)
    }

    /// Whether it answers. A socket that fails on this side is an error.
    fn check(&mut self) -> Result<Result<(), Failure>, FuzzError> {
        let socket = self.socket()?;
        let mut refusals = 0;
        for patience in PATIENCE {
            match self.probe_once(&socket, patience) {
                Reaction::Answer => return Ok(Ok(())),
                Reaction::Ended(failure) => return Ok(Err(failure)),
                Reaction::Refusal => {
                    refusals += 1;
                    if refusals == REFUSALS {
                        return Ok(Err(Failure::Refused));
                    }
                    thread::sleep(AFTER_REFUSAL);
                }
                Reaction::Silence if self.stopped() => break,
                Reaction::Silence => {
                    self.probe = match self.probe {
                        Probe::Get if self.path.is_none() => Probe::Ping,
                        _ => Probe::Get,
                    }
                }
            }
        }
        Ok(Err(Failure::Silent))
    }

    fn probe_once(&mut self, socket: &UdpSocket, patience: Duration) -> Reaction {
        self.next_id = self.next_id.wrapping_add(1);
        let mut buf = [0; 512];
        let message = match self.probe {
            Probe::Ping => {
                let [high, low] = self.next_id.to_be_bytes();
                vec![0x40, 0, high, low]
            }
            Probe::Get => {
                let len = get(&mut buf, self.next_id, self.path.unwrap_or("/.well-known/core"));
                buf.get(..len).unwrap_or_default().to_vec()
            }
        };
        let deadline = Instant::now() + patience;
        if socket
            .send(&message)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        {
            return Reaction::Refusal;
        }
        loop {
            if let Some(failure) = self.ended() {
                return Reaction::Ended(failure);
            }
            let left = deadline.saturating_duration_since(Instant::now()).min(TICK);
            if left.is_zero() || self.stopped() {
                return Reaction::Silence;
            }
            // A time-out of zero is the only one that is refused.
            let _ = socket.set_read_timeout(Some(left));
            match socket.recv(&mut buf) {
                Ok(_) => return Reaction::Answer,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Reaction::Refusal,
                Err(_) => {}
            }
        }
    }
}

/// What comes of one probe.
enum Reaction {
    Answer,
    Refusal,
    Silence,
    Ended(Failure),
}

/// A socket of the system's choice that is connected to the address.
pub(super) fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = match address {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket)
}

/// A confirmable GET with the token `p`; nothing if the path is longer than any is.
fn get(buf: &mut [u8], id: u16, path: &str) -> usize {
    let kind = MessageType::Confirmable;
    let mut writer = MessageWriter::new(buf, kind, Method::GET, MessageId(id), b"p");
    for segment in segments(path) {
        writer = writer.option(OptionNumber::URI_PATH, &segment);
    }
    writer.finish().unwrap_or_default()
}
