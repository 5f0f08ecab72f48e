//! The servers that are measured on TCP. Each gives a constant text under `/temp`.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use coracle_load::{ConnectOptions, Expect, Load, Plan, Transport, Until};
use coracle_wire::Method;

use super::{bare_stream, coracle, foreign};
use crate::process::Server;

/// How long a server may take to start.
const STARTING: Duration = Duration::from_secs(10);

/// A server on TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum StreamSubject {
    /// Reads frames with the codec of this project, answers GETs of one path, and knows nothing else
    Bare,
    /// This project's server
    Coracle,
    /// libcoap's coap-server, from Debian's libcoap3-bin
    Libcoap,
    /// A server of the Python package aiocoap
    Aiocoap,
}

impl StreamSubject {
    /// In the order of their turns.
    pub(crate) const ALL: [StreamSubject; 4] = [
        StreamSubject::Bare,
        StreamSubject::Coracle,
        StreamSubject::Libcoap,
        StreamSubject::Aiocoap,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            StreamSubject::Bare => "bare",
            StreamSubject::Coracle => "coracle",
            StreamSubject::Libcoap => "libcoap",
            StreamSubject::Aiocoap => "aiocoap",
        }
    }

    /// Whether it is this project's: then it has to work.
    pub(crate) fn is_own(self) -> bool {
        matches!(self, StreamSubject::Bare | StreamSubject::Coracle)
    }

    /// Makes sure that it can be started, and tells its version.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn version(self) -> Result<String, String> {
        match self {
            StreamSubject::Bare | StreamSubject::Coracle => Ok(env!("CARGO_PKG_VERSION").to_owned()),
            StreamSubject::Libcoap => foreign::libcoap_version(),
            StreamSubject::Aiocoap => foreign::aiocoap_version(),
        }
    }

    /// Starts it and waits until it has something under `/temp`.
    pub(crate) async fn start(self, cores: &[usize]) -> io::Result<Server> {
        let server = Server::start(&["serve-stream", self.name()], cores)?;
        let started = Instant::now();
        while let Err(error) = TcpStream::connect(server.address) {
            if started.elapsed() > STARTING {
                return Err(error);
            }
            thread::sleep(STARTING / 1000);
        }
        if self == StreamSubject::Libcoap {
            let mut plan = plan(&server);
            plan.request.method = Method::PUT;
            plan.request.payload = coracle::TEXT.as_bytes().into();
            plan.expect = Expect::Anything;
            Load::start(plan)?.run(Until::Answered(1)).await?;
        }
        Ok(server)
    }

    /// Serves until it is killed. Those of others take this process's place.
    pub(crate) fn serve(self) -> io::Result<()> {
        match self {
            StreamSubject::Bare => bare_stream::serve(),
            StreamSubject::Coracle => coracle::serve_at("coap+tcp://127.0.0.1:0"),
            StreamSubject::Libcoap => foreign::serve_libcoap(),
            StreamSubject::Aiocoap => foreign::serve_aiocoap("tcpserver"),
        }
    }
}

/// A GET of `/temp` on a connection of one peer, whose answer has to be right.
pub(crate) fn plan(server: &Server) -> Plan {
    let mut plan = Plan::get(server.address, &["temp"]);
    plan.transport = Transport::Connections(ConnectOptions::default());
    plan.expect = Expect::Payload(Arc::from(coracle::TEXT.as_bytes()));
    plan
}

impl fmt::Display for StreamSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
