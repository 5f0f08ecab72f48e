//! WebSockets, as far as the judge needs them (RFC 6455): frames of any kind, right ones and wrong ones.

use sha1::{Digest, Sha1};

/// The path of the WebSocket endpoint (RFC 8323 §8.3).
pub(crate) const PATH: &str = "/.well-known/coap";

/// The longest head of a handshake that is taken, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// The bit of the first byte that ends a message (RFC 6455 §5.2).
const FIN: u8 = 0x80;

/// What a frame is (RFC 6455 §5.2, §11.8). The three reserved bits above it belong to it here: no extension uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A further part of a message.
    pub const CONTINUATION: Opcode = Opcode(0);
    /// Text, which CoAP has no use for.
    pub const TEXT: Opcode = Opcode(1);
    /// Bytes.
    pub const BINARY: Opcode = Opcode(2);
    /// The end of the connection.
    pub const CLOSE: Opcode = Opcode(8);
    /// Asks for a Pong.
    pub const PING: Opcode = Opcode(9);
    /// Answers a Ping.
    pub const PONG: Opcode = Opcode(10);

    fn name(self) -> &'static str {
        match self {
            Opcode::CONTINUATION => "continuation",
            Opcode::TEXT => "text",
            Opcode::BINARY => "binary",
            Opcode::CLOSE => "close",
            Opcode::PING => "ping",
            Opcode::PONG => "pong",
            _ => "reserved",
        }
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsFrame {
    /// It ends its message.
    pub fin: bool,
    /// What it is.
    pub opcode: Opcode,
    /// Its payload goes with a mask, as that of clients has to (RFC 6455 §5.1).
    pub masked: bool,
    /// What it carries, without the mask.
    pub payload: Vec<u8>,
}

impl WsFrame {
    /// A frame that is a whole message.
    #[must_use]
    pub fn new(opcode: Opcode, payload: &[u8]) -> WsFrame {
        WsFrame {
            fin: true,
            opcode,
            masked: false,
            payload: payload.to_vec(),
        }
    }

    /// The bytes of the frame, with this mask if it has one.
    #[must_use]
    pub fn to_bytes(&self, mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![self.opcode.0 | if self.fin { FIN } else { 0 }];
        let masked = if self.masked { 0x80 } else { 0 };
        let length = self.payload.len();
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ ..=125), _) => bytes.push(masked | short),
            (_, Ok(middle)) => {
                bytes.push(masked | 126);
                bytes.extend(middle.to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(mask);
            bytes.extend(unmasked(&self.payload, mask));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }

    /// The frame that bytes begin with, and how many of them it takes; nothing if more are needed.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<(WsFrame, usize)> {
        let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (length, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            short => (u64::from(short), rest),
        };
        let masked = second & 0x80 != 0;
        let (mask, rest) = if masked {
            let (mask, rest) = rest.split_first_chunk()?;
            (*mask, rest)
        } else {
            ([0; 4], rest)
        };
        let payload = rest.get(..usize::try_from(length).ok()?)?;
        let frame = WsFrame {
            fin: first & FIN != 0,
            opcode: Opcode(first & !FIN),
            masked,
            payload: unmasked(payload, mask),
        };
        Some((frame, bytes.len() - rest.len() + payload.len()))
    }

    /// What it is, for people.
    pub(crate) fn line(&self) -> String {
        let (name, length) = (self.opcode.name(), self.payload.len());
        let rest = if self.fin { "" } else { ", to be continued" };
        let code = match (self.opcode, self.payload.split_first_chunk()) {
            (Opcode::CLOSE, Some((code, reason))) => {
                let (code, reason) = (u16::from_be_bytes(*code), String::from_utf8_lossy(reason));
                format!(", code {code} {reason:?}")
            }
            _ => String::new(),
        };
        format!("WebSocket {name} frame, {length} bytes{code}{rest}")
    }
}

fn unmasked(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mask = mask.iter().cycle();
    payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
}

/// The head of a request or response of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its first line.
    pub start: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The head that bytes begin with, and how many of them it takes; nothing if more are needed. A head that is too
    /// long is taken for what it is so far.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<(Head, usize)> {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .map(|at| at + 4);
        let end = end.or((bytes.len() > LONGEST_HEAD).then_some(LONGEST_HEAD))?;
        let text = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
        let mut lines = text.lines();
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Some((
            Head {
                start,
                fields: fields.collect(),
            },
            end,
        ))
    }

    /// The value of a field, whose name is given in small letters.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(known, _)| known == name);
        field.map(|(_, value)| value.as_str())
    }

    /// Whether a field has a word among others, whatever its letters.
    #[must_use]
    pub fn lists(&self, name: &str, word: &str) -> bool {
        let fields = self.fields.iter().filter(|(known, _)| known == name);
        let mut words = fields.flat_map(|(_, value)| value.split(',').map(str::trim));
        words.any(|known| known.eq_ignore_ascii_case(word))
    }

    /// The status of a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let mut words = self.start.split(' ');
        words.next().filter(|version| version.starts_with("HTTP/"))?;
        words.next()?.parse().ok()
    }
}

/// What shows that a server has understood the key of a client (RFC 6455 §4.2.2).
fn accept_key(key: &str) -> String {
    let hashed = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    base64(hashed.as_slice())
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0, |number, at| {
            number << 8 | usize::from(three.get(at).copied().unwrap_or(0))
        });
        for place in 0..4 {
            let digit = DIGITS.get(number >> (18 - 6 * place) & 0x3f);
            let filled = place <= three.len();
            text.push(digit.filter(|_| filled).map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

/// What a client asks a WebSocket endpoint with (RFC 8323 §4.1).
#[must_use]
pub fn request(path: &str, host: &str, protocols: Option<&str>, key: &str) -> String {
    let protocols = protocols.map(|list| format!("Sec-WebSocket-Protocol: {list}\r\n"));
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\n{}Sec-WebSocket-Version: 13\r\n\r\n",
        protocols.unwrap_or_default()
    )
}

/// What a server agrees with (RFC 8323 §4.1).
#[must_use]
pub fn agreement(request: &Head, protocol: Option<&str>) -> String {
    let accept = accept_key(request.field("sec-websocket-key").unwrap_or_default());
    let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{}\r\n",
        protocol.unwrap_or_default()
    )
}

/// What is wrong with the response of a server to a request with this key (RFC 6455 §4.2.2, RFC 8323 §4.1).
pub(crate) fn refused(response: &Head, key: &str) -> Option<&'static str> {
    let accept = accept_key(key);
    if response.status() != Some(101) {
        Some("101 Switching Protocols")
    } else if !response.lists("upgrade", "websocket") || !response.lists("connection", "upgrade") {
        Some("Upgrade: websocket and Connection: Upgrade")
    } else if response.field("sec-websocket-accept") != Some(accept.as_str()) {
        Some("the Sec-WebSocket-Accept that belongs to the key")
    } else if response.field("sec-websocket-protocol") != Some("coap") {
        Some("the sub-protocol coap")
    } else {
        None
    }
}

/// What is wrong with the request of a client (RFC 6455 §4.1, RFC 8323 §4.1, §8.3).
pub(crate) fn not_right(request: &Head) -> Option<&'static str> {
    let mut words = request.start.split(' ');
    let method = words.next();
    let path = words.next();
    if method != Some("GET") || path != Some(PATH) {
        Some("GET /.well-known/coap")
    } else if request.field("host").is_none() {
        Some("a Host")
    } else if !request.lists("upgrade", "websocket") || !request.lists("connection", "upgrade") {
        Some("Upgrade: websocket and Connection: Upgrade")
    } else if request.field("sec-websocket-key").is_none_or(str::is_empty) {
        Some("a Sec-WebSocket-Key")
    } else if request.field("sec-websocket-version") != Some("13") {
        Some("Sec-WebSocket-Version: 13")
    } else if !request.lists("sec-websocket-protocol", "coap") {
        Some("coap among the sub-protocols")
    } else {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// RFC 6455 §5.7.
    #[test]
    fn frames_of_the_rfc_are_read_and_written() {
        let hello = WsFrame::new(Opcode::TEXT, b"Hello");
        let plain = b"\x81\x05Hello";
        assert_eq!(hello.to_bytes([0; 4]), plain);
        assert_eq!(WsFrame::read(plain), Some((hello.clone(), 7)));
        let masked = WsFrame {
            masked: true,
            ..hello
        };
        let bytes = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(masked.to_bytes([0x37, 0xfa, 0x21, 0x3d]), bytes);
        assert_eq!(WsFrame::read(bytes), Some((masked, 11)));
        assert!((0..11).all(|end| WsFrame::read(&bytes[..end]).is_none()));
        for (length, header) in [(256, 4), (65_536, 10)] {
            let long = WsFrame::new(Opcode::BINARY, &vec![7; length]);
            let bytes = long.to_bytes([0; 4]);
            assert_eq!(WsFrame::read(&bytes), Some((long, length + header)));
        }
    }

    /// RFC 4648 §10.
    #[test]
    fn base64_is_that_of_the_rfc() {
        let texts = ["", "f", "fo", "foo", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy"]);
    }

    /// RFC 8323 §4.1, figure 9.
    #[test]
    fn handshakes_of_the_rfc_are_right() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let asked = request(PATH, "example.org", Some("coap"), key);
        let (head, length) = Head::read(asked.as_bytes()).unwrap();
        assert_eq!((length, not_right(&head)), (asked.len(), None));
        let agreed = agreement(&head, Some("coap"));
        assert!(agreed.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        let (response, _) = Head::read(agreed.as_bytes()).unwrap();
        assert_eq!(refused(&response, key), None);
        assert!(refused(&response, "another").is_some());
        let (other, _) = Head::read(agreement(&head, None).as_bytes()).unwrap();
        assert_eq!(refused(&other, key), Some("the sub-protocol coap"));
        let (wrong, _) = Head::read(request("/", "h", Some("coap"), key).as_bytes()).unwrap();
        assert!(not_right(&wrong).is_some());
    }
}
