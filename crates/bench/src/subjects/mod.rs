//! The servers that are measured. Each gives a constant text under `/temp`.

mod bare_stream;
pub(crate) mod body;
pub(crate) mod bulk;
pub(crate) mod coracle;
mod foreign;
pub(crate) mod raw;
pub(crate) mod raw_blocks;
pub(crate) mod raw_fanout;
pub(crate) mod site;
pub(crate) mod stream;

use std::fmt;
use std::io;

use clap::ValueEnum;

use crate::process::Server;

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Subject {
    /// Moves datagrams and knows nothing
    Raw,
    /// This project's server
    Coracle,
    /// libcoap's coap-server, from Debian's libcoap3-bin
    Libcoap,
    /// A server of the crate `coap`
    CoapRs,
    /// A server of the Python package aiocoap
    Aiocoap,
}

impl Subject {
    /// In the order of their turns.
    pub(crate) const ALL: [Subject; 5] = [
        Subject::Raw,
        Subject::Coracle,
        Subject::Libcoap,
        Subject::CoapRs,
        Subject::Aiocoap,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Raw => "raw",
            Subject::Coracle => "coracle",
            Subject::Libcoap => "libcoap",
            Subject::CoapRs => "coap-rs",
            Subject::Aiocoap => "aiocoap",
        }
    }

    /// Whether it is this project's, or the raw limit: then it has to work.
    pub(crate) fn is_own(self) -> bool {
        matches!(self, Subject::Raw | Subject::Coracle)
    }

    /// Makes sure that it can be started, and tells its version.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn version(self) -> Result<String, String> {
        match self {
            Subject::Raw | Subject::Coracle => Ok(env!("CARGO_PKG_VERSION").to_owned()),
            Subject::Libcoap => foreign::libcoap_version(),
            Subject::CoapRs => foreign::coap_rs_version(),
            Subject::Aiocoap => foreign::aiocoap_version(),
        }
    }

    /// Starts it and waits until it answers.
    pub(crate) fn start(self, cores: &[usize]) -> io::Result<Server> {
        let started = Server::start(&["serve", self.name()], cores).and_then(|mut server| {
            server.furnish((self == Subject::Libcoap).then_some(coracle::TEXT.as_bytes()))?;
            Ok(server)
        });
        started.map_err(|error| io::Error::new(error.kind(), format!("{self}: {error}")))
    }

    /// Serves until it is killed. Those of others take this process's place.
    pub(crate) fn serve(self) -> io::Result<()> {
        match self {
            Subject::Raw => raw::serve(),
            Subject::Coracle => coracle::serve(),
            Subject::Libcoap => foreign::serve_libcoap(),
            Subject::CoapRs => foreign::serve_coap_rs(),
            Subject::Aiocoap => foreign::serve_aiocoap("udp6"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
