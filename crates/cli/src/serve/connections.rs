//! The command line of connections: TCP and WebSocket, with and without TLS.

use std::time::Duration;

use clap::Args;
use coracle::{Config, MissingCsm};

use super::args::parse_size;
use crate::client;

/// The least that any peer takes (RFC 8323 §5.3.1).
const LEAST_MESSAGE: u32 = 1152;

/// Sockets and files that there may be beside connections: handshakes and files that are written, above all.
const BESIDE_CONNECTIONS: usize = 2048;

/// One address may have so many connections where a quarter of all is less.
const LEAST_OF_ONE: usize = 16;

/// What holds for connections.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connections")]
pub(crate) struct ConnectionArgs {
    /// Let web pages of this origin, such as https://example.org, connect by WebSocket; * lets all. Pages of this
    /// host itself and programs that are no browsers always may
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    pub(super) allow_origin: Vec<String>,

    /// Have at most so many connections open, and a quarter of them with one address, if that is 16 [default: 65536, if
    /// the system lets this user have as many]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,

    /// Take messages of this size at most, and send none that is larger; at least 1152 [default: 1M and 512 bytes, for
    /// blocks of 1M in a message (BERT)]
    #[arg(long, value_name = "BYTES", value_parser = parse_message_size)]
    max_message_size: Option<u32>,

    /// What to do about peers that do not begin with a CSM, as RFC 8323 wants: refuse them, tolerate them, or wait
    /// for it, so many seconds, and then tolerate them [default: refuse]
    #[arg(long, value_name = "refuse|tolerate|wait:SECS", value_parser = parse_missing_csm)]
    missing_csm: Option<MissingCsm>,

    /// Release connections on which nothing happens for so long and nothing is observed [default: never; peers
    /// that are silent for 300 s are asked for a sign of life]
    #[arg(long, value_name = "SECS", value_parser = client::parse_seconds)]
    idle_timeout: Option<Duration>,
}

impl ConnectionArgs {
    /// One of these that was said, if any was.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--allow-origin", !self.allow_origin.is_empty()),
            ("--max-connections", self.max_connections.is_some()),
            ("--max-message-size", self.max_message_size.is_some()),
            ("--missing-csm", self.missing_csm.is_some()),
            ("--idle-timeout", self.idle_timeout.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// Brings what was said here into `config`, for a program that may have so many sockets and files open.
    pub(super) fn configure(&self, config: &mut Config, descriptors: Option<u64>) {
        let connections = &mut config.connections;
        if let Some(count) = self.max_connections {
            connections.max_connections = usize::try_from(count).unwrap_or(usize::MAX);
        }
        if let Some(descriptors) = descriptors.and_then(|descriptors| usize::try_from(descriptors).ok()) {
            let beside = (descriptors / 4).min(BESIDE_CONNECTIONS);
            connections.max_connections = connections.max_connections.min(descriptors - beside);
        }
        let of_one = (connections.max_connections / 4).max(LEAST_OF_ONE);
        connections.max_connections_per_address = connections.max_connections_per_address.min(of_one);
        if let Some(bytes) = self.max_message_size {
            connections.max_message_size = bytes;
        }
        if let Some(policy) = self.missing_csm {
            connections.missing_csm = policy;
        }
        if self.idle_timeout.is_some() {
            connections.idle_after = self.idle_timeout;
        }
    }
}

fn parse_message_size(text: &str) -> Result<u32, String> {
    let bytes = u32::try_from(parse_size(text)?).ok();
    bytes
        .filter(|bytes| (LEAST_MESSAGE..=1 << 30).contains(bytes))
        .ok_or_else(|| format!("not a size from {LEAST_MESSAGE} bytes to 1G"))
}

fn parse_missing_csm(text: &str) -> Result<MissingCsm, String> {
    match (text, text.strip_prefix("wait:")) {
        ("refuse", _) => Ok(MissingCsm::Refuse),
        ("tolerate", _) => Ok(MissingCsm::Tolerate),
        (_, Some(seconds)) => client::parse_seconds(seconds).map(MissingCsm::WaitFor),
        _ => Err("expected refuse, tolerate, or wait:SECS such as wait:2".to_owned()),
    }
}

/// An origin as browsers write it: scheme and host, with the port if it is not the usual one (RFC 6454 §6.2).
fn parse_origin(text: &str) -> Result<String, String> {
    let host = text.split_once("://").map(|(_, host)| host);
    let is_origin = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ']));
    match text == "*" || text == "null" || is_origin {
        true => Ok(text.to_owned()),
        false => {
            Err("expected * or an origin, which is scheme and host alone: https://example.org".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_about_the_csm_are_words() {
        assert_eq!(parse_missing_csm("refuse"), Ok(MissingCsm::Refuse));
        assert_eq!(parse_missing_csm("tolerate"), Ok(MissingCsm::Tolerate));
        let two = Duration::from_secs(2);
        assert_eq!(parse_missing_csm("wait:2"), Ok(MissingCsm::WaitFor(two)));
        for wrong in ["", "wait", "wait:", "wait:0", "2", "never"] {
            assert!(parse_missing_csm(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn messages_have_room_for_what_every_peer_takes() {
        assert_eq!(parse_message_size("1152"), Ok(1152));
        assert_eq!(parse_message_size("64K"), Ok(65_536));
        for wrong in ["1151", "0", "2G", "x"] {
            assert!(parse_message_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_have_no_path() {
        for origin in ["*", "null", "https://example.org", "http://127.0.0.1:8000"] {
            assert_eq!(parse_origin(origin).as_deref(), Ok(origin));
        }
        for wrong in ["example.org", "https://", "https://example.org/", ""] {
            assert!(parse_origin(wrong).is_err(), "{wrong}");
        }
    }
}
