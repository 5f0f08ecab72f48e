//! What messages are carried by.

use std::fmt;

use coracle_wire::Framing;

/// What carries the messages of a subject. It is chosen by the scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams (RFC 7252).
    Udp,
    /// A TCP connection (RFC 8323 §3).
    Tcp,
    /// A WebSocket on a TCP connection (RFC 8323 §4).
    WebSocket,
    /// Datagrams in sessions of DTLS (RFC 7252 §9).
    Dtls,
}

impl Transport {
    /// All that carry messages as anybody can read them.
    pub const ALL: &'static [Transport] = &[Transport::Udp, Transport::Tcp, Transport::WebSocket];
    /// Those that carry datagrams.
    pub const DATAGRAMS: &'static [Transport] = &[Transport::Udp];
    /// Those of the cases about DTLS.
    pub const SESSIONS: &'static [Transport] = &[Transport::Dtls];
    /// Those that carry connections (RFC 8323).
    pub const CONNECTIONS: &'static [Transport] = &[Transport::Tcp, Transport::WebSocket];

    /// The scheme of its URIs.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Transport::Udp => "coap",
            Transport::Tcp => "coap+tcp",
            Transport::WebSocket => "coap+ws",
            Transport::Dtls => "coaps",
        }
    }

    /// How messages lie in a connection; nothing of datagrams.
    #[must_use]
    pub const fn framing(self) -> Option<Framing> {
        match self {
            Transport::Udp | Transport::Dtls => None,
            Transport::Tcp => Some(Framing::Tcp),
            Transport::WebSocket => Some(Framing::WebSocket),
        }
    }

    /// It carries connections.
    #[must_use]
    pub const fn is_connected(self) -> bool {
        self.framing().is_some()
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::WebSocket => "WebSocket",
            Transport::Dtls => "DTLS",
        })
    }
}

/// How far the judge goes by itself when a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Opening {
    /// A CSM is sent that offers block-wise transfers and announces nothing else.
    #[default]
    Csm,
    /// A CSM is sent that offers block-wise transfers and announces the longest message that is taken, in bytes.
    Announcing(u32),
    /// Messages can be sent, and none is: the case sends its own CSM, or none.
    Silent,
    /// Nothing is sent at all, no handshake of a WebSocket either.
    Bytes,
}
