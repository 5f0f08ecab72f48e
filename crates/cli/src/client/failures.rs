//! What fails, as one line for people with what can be done about it, and as an exit status.

use std::fmt::Display;
use std::io::{self, ErrorKind};

use coracle::{Error, ExchangeError};

use super::{Client, is_reliable};
use crate::console::harmless_line;
use crate::error::{CliError, Exit};

/// A failure of the library, as the program tells it; `uri` is what was asked for.
pub(crate) fn failure(uri: &str, error: Error) -> CliError {
    match error {
        Error::Uri(_) => CliError::usage(format_args!("{uri}: {error}")),
        Error::Resolve { .. } => no_answer(error.to_string()),
        Error::Exchange(error) => exchange_failure(uri, error),
        Error::Body(error) => CliError::io(format_args!("{uri}: the body"), &error),
        Error::Io(error) => io_failure(uri, &error),
        Error::HeldOff { .. } => no_answer(format_args!("{uri}: {error}")),
        _ => CliError::new(format_args!("{uri}: {error}")),
    }
}

/// A socket that cannot be opened, or a connection that cannot be made.
pub(crate) fn io_failure(uri: &str, error: &io::Error) -> CliError {
    let told = CliError::io(uri, error);
    match error.kind() {
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::AddrNotAvailable
        | ErrorKind::TimedOut
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::InvalidData => {}
        _ => return told,
    }
    let told = told.with_exit(Exit::NoAnswer);
    match connection_hint(error.kind(), &error.to_string()) {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

/// What can be done about a connection that could not be made, for this reason.
fn connection_hint(kind: ErrorKind, why: &str) -> Option<&'static str> {
    let about_tls = [
        (
            "a certificate of ours",
            "--cert and --key name a certificate to show",
        ),
        (
            "does not speak TLS",
            "without TLS it is coap+tcp:// or coap+ws://",
        ),
        (
            "the peer's certificate",
            "--cacert FILE says whom to trust; --insecure trusts anybody",
        ),
        (
            "this PSK identity",
            "--psk ID:KEY, or the environment's CORACLE_PSK, has both; 0x.. are bytes, all else is text",
        ),
        (
            "not among the trusted ones",
            "--trust FILE has the server's public key (PEM)",
        ),
        (
            "neither certificates nor raw public keys",
            "--rpk FILE shows a raw public key, --cert and --key a certificate; --trust and --cacert say whom to trust",
        ),
        (
            "no common cipher suite",
            "with --psk only pre-shared keys are offered, without it only keys and certificates",
        ),
        (
            "comes from no authority that is trusted",
            "--cacert FILE says whom to trust",
        ),
        (
            "not among those that are trusted",
            "--cacert FILE says whom to trust",
        ),
    ];
    // Where the peer says why, or TLS does, that is the reason.
    let speaks_otherwise = ["the peer closed it", "CSM", "aborted: ", "reset by peer"];
    let known = about_tls.iter().find(|(part, _)| why.contains(part));
    match (known, kind) {
        (Some((_, hint)), _) => Some(hint),
        (None, ErrorKind::ConnectionRefused) => {
            Some("is the server running, and does it take connections at this port?")
        }
        (None, ErrorKind::ConnectionAborted | ErrorKind::TimedOut)
            if speaks_otherwise.iter().any(|part| why.contains(part)) =>
        {
            Some(
                "is there CoAP at this port, by this transport? It did not begin with its capabilities (CSM)",
            )
        }
        _ => None,
    }
}

/// The error with why the connection ended or did not come about, if that is its reason and somebody knows. That of a
/// safe method leaves no doubt about what was done.
pub(crate) fn explained(error: CliError, client: &Client, uri: &str, is_safe: bool) -> CliError {
    let ended = client.closed_because(uri).map(|reason| harmless_line(&reason));
    match (error.exit(), ended) {
        (Exit::Unknown, ended) if is_safe => {
            let why = ended.map_or_else(String::new, |reason| format!(": {reason}"));
            error
                .with_message(format_args!(
                    "{uri}: the connection broke before the whole answer was here{why}"
                ))
                .with_exit(Exit::NoAnswer)
        }
        (Exit::Unknown, Some(reason)) => error.with_hint(format_args!("the connection ended: {reason}")),
        (Exit::NoAnswer, _) => match waits_for(client, uri) {
            Some(what) => error.with_hint(what),
            None => error,
        },
        _ => error,
    }
}

/// What is waited for of a connection that is being made.
pub(crate) fn waits_for(client: &Client, uri: &str) -> Option<String> {
    let what = client.waits_for(uri)?;
    Some(match what.contains("CSM") {
        true => format!("{what}: is there CoAP at this port, by this transport?"),
        false => what.to_owned(),
    })
}

fn exchange_failure(uri: &str, error: ExchangeError) -> CliError {
    let told = format!("{uri}: {error}");
    match error {
        ExchangeError::NoAnswer { .. } | ExchangeError::Timeout => {
            no_answer(told).with_hint(match is_reliable(uri) {
                true => "--timeout says how long to wait",
                false => "--timeout, --retransmit and --ack-timeout say how long to try",
            })
        }
        ExchangeError::Unreachable => {
            no_answer(told).with_hint("is the server running, and is the port right?")
        }
        ExchangeError::Reset | ExchangeError::Disconnected { sent: false } => no_answer(told),
        ExchangeError::Disconnected { sent: true } => CliError::new(told).with_exit(Exit::Unknown),
        _ => CliError::new(told),
    }
}

fn no_answer(message: impl Display) -> CliError {
    CliError::new(message).with_exit(Exit::NoAnswer)
}

/// The command ended before an answer came, for this reason.
pub(crate) fn unanswered(uri: &str, why: &str) -> CliError {
    no_answer(format_args!("{uri}: {why}"))
}

/// A signal ended the command before it was done; `done` says how far it had come.
pub(crate) fn interruption(uri: &str, done: &str) -> CliError {
    CliError::new(format_args!("{uri}: interrupted, {done}")).with_exit(Exit::Interrupted)
}

/// Nobody answered a discovery.
pub(crate) fn silence(uri: &str) -> CliError {
    no_answer(format_args!("{uri}: no answer")).with_hint("--wait says how long to listen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_become_exit_statuses() {
        let of = |error| failure("coap://a", error).exit();
        for silent in [
            ExchangeError::NoAnswer { retransmissions: 4 },
            ExchangeError::Timeout,
            ExchangeError::Reset,
            ExchangeError::Unreachable,
            ExchangeError::Disconnected { sent: false },
        ] {
            assert_eq!(of(Error::Exchange(silent)), Exit::NoAnswer, "{silent:?}");
        }
        let broken = ExchangeError::Disconnected { sent: true };
        assert_eq!(of(Error::Exchange(broken)), Exit::Unknown);
        assert_eq!(of(Error::Exchange(ExchangeError::BlockOption)), Exit::Failure);
        assert_eq!(of(Error::Io(ErrorKind::ConnectionRefused.into())), Exit::NoAnswer);
        assert_eq!(
            of(Error::Io(ErrorKind::NetworkUnreachable.into())),
            Exit::NoAnswer
        );
        assert_eq!(of(Error::Io(ErrorKind::PermissionDenied.into())), Exit::Failure);
        assert_eq!(of(Error::Uri("no".into())), Exit::Usage);
        assert_eq!(of(Error::Closed), Exit::Failure);
    }

    #[test]
    fn what_can_be_done_about_a_connection_is_told() {
        let told = |kind, text: &str| {
            let error = Error::Io(io::Error::new(kind, text));
            failure("coaps+tcp://a", error).to_string()
        };
        let refused = told(ErrorKind::ConnectionRefused, "connection refused");
        assert!(refused.contains("does it take connections"), "{refused}");
        let stranger = told(ErrorKind::InvalidData, "the peer's certificate has expired");
        assert!(stranger.contains("--cacert FILE"), "{stranger}");
        let asked = told(ErrorKind::InvalidData, "the peer wants a certificate of ours");
        assert!(asked.contains("--cert and --key"), "{asked}");
        // TLS 1.3 tells it when the handshake is over.
        let late = told(
            ErrorKind::ConnectionAborted,
            "closed: the peer wants a certificate of ours",
        );
        assert!(late.contains("--cert and --key"), "{late}");
        let silent = told(ErrorKind::ConnectionAborted, "the peer closed it");
        assert!(silent.contains("CSM"), "{silent}");
        let plain = told(ErrorKind::InvalidData, "the peer does not speak TLS");
        assert!(plain.contains("coap+tcp://"), "{plain}");
    }
}
