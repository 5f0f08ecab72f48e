//! The server's side of the handshake (RFC 6455 §4.2, RFC 8323 §4.1).

use std::io;

use httparse::{EMPTY_HEADER, Request};
use tokio::io::AsyncWriteExt;

use super::head::{Fields, HeadError, PATH, PROTOCOL, VERSION, accept_key, is_key, read_head};
use super::origin::{host_of, may_talk};
use super::{Role, WebSocket};
use crate::stream::limits::MAX_FIELDS;
use crate::stream::transport::Transport;

/// What a server asks of its clients.
#[derive(Clone, Debug)]
pub(in crate::stream) struct Rules {
    /// Bytes of the longest message.
    pub(in crate::stream) max_message: usize,
    /// Origins of pages that may talk to it though they are of another host.
    pub(in crate::stream) allowed_origins: Vec<String>,
}

/// A request that is granted.
#[derive(Debug, PartialEq, Eq)]
struct Granted {
    /// The answer to the client's key.
    accept: String,
    /// The host by which the client calls us.
    host: String,
}

/// A request that is refused, with the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused {
    /// Status code and its name.
    status: &'static str,
    /// Fields of the answer, each with its end.
    fields: &'static str,
    /// For the person who looks for the mistake.
    text: &'static str,
}

impl Refused {
    const fn new(status: &'static str, text: &'static str) -> Refused {
        Refused {
            status,
            fields: "",
            text,
        }
    }
}

/// Reads a client's request and answers it. Gives the WebSocket and the host by which the client calls us.
///
/// # Errors
/// The connection broke, or the request was refused, which the client knows.
pub(in crate::stream) async fn accept(
    mut transport: Transport,
    rules: &Rules,
) -> io::Result<(WebSocket, String)> {
    let parse = |bytes: &[u8]| Request::new(&mut [EMPTY_HEADER; MAX_FIELDS]).parse(bytes);
    let judged = match read_head(&mut transport, parse).await {
        Ok((head, inbox)) => judge(&head, transport.is_tls(), rules).map(|granted| (granted, inbox)),
        Err(HeadError::Io(error)) => return Err(error),
        Err(HeadError::TooLong | HeadError::Malformed(httparse::Error::TooManyHeaders)) => Err(Refused::new(
            "431 Request Header Fields Too Large",
            "The head of the request is too long.",
        )),
        Err(HeadError::Malformed(_)) => Err(Refused::new("400 Bad Request", "This is not HTTP.")),
    };
    match judged {
        Ok((granted, inbox)) => {
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n",
                granted.accept
            );
            transport.write_all(answer.as_bytes()).await?;
            transport.flush().await?;
            let socket = WebSocket::new(transport, Role::Server, rules.max_message, inbox);
            Ok((socket, granted.host))
        }
        Err(refused) => {
            refuse(&mut transport, refused).await?;
            let text = format!("refused with {}: {}", refused.status, refused.text);
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

/// Whether the request asks for CoAP, and may.
fn judge(head: &[u8], tls: bool, rules: &Rules) -> Result<Granted, Refused> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) {
        return Err(Refused::new("400 Bad Request", "This is not HTTP."));
    }
    let (method, path) = (
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
    );
    let fields = Fields(request.headers);
    if path != PATH {
        return Err(Refused::new("404 Not Found", "CoAP is at /.well-known/coap."));
    }
    if method != "GET" {
        return Err(Refused {
            fields: "Allow: GET\r\n",
            ..Refused::new("405 Method Not Allowed", "A WebSocket begins with GET.")
        });
    }
    let known_version = fields.only("sec-websocket-version") == Some(VERSION);
    if request.version != Some(1) || !fields.upgrades() || !known_version {
        return Err(Refused {
            fields: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            ..Refused::new(
                "426 Upgrade Required",
                "CoAP is spoken here, over WebSocket version 13 with the sub-protocol coap.",
            )
        });
    }
    let Some((authority, host)) = fields.only("host").and_then(|host| Some((host, host_of(host)?))) else {
        return Err(Refused::new(
            "400 Bad Request",
            "The field Host is missing or no host.",
        ));
    };
    let mut origins = fields.values("origin");
    if origins.any(|origin| !may_talk(origin, authority, tls, &rules.allowed_origins)) {
        return Err(Refused::new(
            "403 Forbidden",
            "Pages of this origin may not talk to this server. Its settings can allow them.",
        ));
    }
    let Some(key) = fields.only("sec-websocket-key").filter(|key| is_key(key)) else {
        return Err(Refused::new(
            "400 Bad Request",
            "The field Sec-WebSocket-Key is missing or no key of 16 bytes.",
        ));
    };
    if !fields.list("sec-websocket-protocol").any(|one| one == PROTOCOL) {
        return Err(Refused::new(
            "400 Bad Request",
            "The sub-protocol coap is missing: the field Sec-WebSocket-Protocol has to name it (RFC 8323 section 4.1).",
        ));
    }
    Ok(Granted {
        accept: accept_key(key),
        host,
    })
}

/// Answers and ends the connection.
async fn refuse(transport: &mut Transport, refused: Refused) -> io::Result<()> {
    let Refused { status, fields, text } = refused;
    // With the end of its line.
    let len = text.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len}\r\n\
         Connection: close\r\n\r\n{text}\n"
    );
    transport.write_all(answer.as_bytes()).await?;
    let mut discarded = 0;
    std::future::poll_fn(|cx| transport.poll_end(cx, &mut discarded)).await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The request of RFC 8323 §4.1, figure 9.
    const REQUEST: &str = "GET /.well-known/coap HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: coap\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn judged(request: &str) -> Result<Granted, &'static str> {
        let rules = Rules {
            max_message: 1000,
            allowed_origins: Vec::new(),
        };
        judge(request.as_bytes(), false, &rules).map_err(|refused| refused.status)
    }

    #[test]
    fn the_request_of_the_rfc_is_granted() {
        let granted = Granted {
            accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(),
            host: "example.org".into(),
        };
        assert_eq!(judged(REQUEST), Ok(granted));
        let several = REQUEST.replace(": coap", ": mqtt, coap");
        assert!(judged(&several).is_ok());
    }

    #[test]
    fn each_mistake_has_its_status() {
        let cases = [
            ("/.well-known/coap", "/", "404 Not Found"),
            ("/.well-known/coap", "/.well-known/coap/x", "404 Not Found"),
            ("GET", "POST", "405 Method Not Allowed"),
            ("HTTP/1.1", "HTTP/1.0", "426 Upgrade Required"),
            ("Upgrade: websocket\r\n", "", "426 Upgrade Required"),
            ("Connection: Upgrade", "Connection: close", "426 Upgrade Required"),
            ("Version: 13", "Version: 8", "426 Upgrade Required"),
            ("Host: example.org\r\n", "", "400 Bad Request"),
            ("Host: example.org", "Host: a/b", "400 Bad Request"),
            ("Host: example.org", "Host: a\r\nHost: b", "400 Bad Request"),
            ("Sec-WebSocket-Protocol: coap\r\n", "", "400 Bad Request"),
            ("Protocol: coap", "Protocol: mqtt", "400 Bad Request"),
            ("Protocol: coap", "Protocol: COAP", "400 Bad Request"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", "400 Bad Request"),
            (
                "Host: example.org",
                "Host: example.org\r\nOrigin: http://evil.example",
                "403 Forbidden",
            ),
            (
                "Host: example.org",
                "Host: example.org\r\nOrigin: http://example.org",
                "403 Forbidden",
            ),
            (
                "Host: example.org",
                "Host: [::1]\r\nOrigin: http://[::1]\r\nOrigin: http://a",
                "403 Forbidden",
            ),
        ];
        for (right, wrong, status) in cases {
            let request = REQUEST.replace(right, wrong);
            assert_eq!(judged(&request).unwrap_err(), status, "{wrong}");
        }
        let page = REQUEST.replace("Host: example.org", "Host: [::1]:5683\r\nOrigin: http://[::1]:80");
        assert!(judged(&page).is_ok());
    }

    proptest! {
        #[test]
        fn any_request_is_survived(at in 0..REQUEST.len(), len in 0..40_usize, odd in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut request = REQUEST.as_bytes().to_vec();
            let end = (at + len).min(request.len());
            request.splice(at..end, odd);
            let rules = Rules {
                max_message: 1000,
                allowed_origins: Vec::new(),
            };
            if let Ok(granted) = judge(&request, false, &rules) {
                prop_assert!(!granted.host.is_empty());
            }
        }
    }
}
