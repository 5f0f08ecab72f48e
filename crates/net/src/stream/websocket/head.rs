//! The heads of HTTP with which a WebSocket begins (RFC 6455 §4).

use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use httparse::{Header, Status};

use crate::stream::limits::MAX_HEAD;
use crate::stream::transport::Transport;

/// Where CoAP is in the web (RFC 8323 §8.3, RFC 8307).
pub(super) const PATH: &str = "/.well-known/coap";
/// The sub-protocol (RFC 8323 §4.1).
pub(super) const PROTOCOL: &str = "coap";
/// The version of the WebSocket protocol (RFC 6455 §4.1).
pub(super) const VERSION: &str = "13";

/// What comes instead of a head.
#[derive(Debug)]
pub(super) enum HeadError {
    /// No HTTP.
    Malformed(httparse::Error),
    /// More bytes than there may be.
    TooLong,
    /// The connection broke or ended.
    Io(io::Error),
}

/// Reads a head, which `parse` recognises, and gives it with the bytes that came after it.
pub(super) async fn read_head(
    transport: &mut Transport,
    parse: fn(&[u8]) -> httparse::Result<usize>,
) -> Result<(Vec<u8>, Vec<u8>), HeadError> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let room = (MAX_HEAD - head.len()).min(1024);
        let read = std::future::poll_fn(|cx| transport.poll_append(cx, &mut head, room));
        match read.await {
            Ok(0) => return Err(HeadError::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) => return Err(HeadError::Io(error)),
        }
        match parse(&head) {
            Ok(Status::Complete(len)) => {
                let after = head.split_off(len);
                return Ok((head, after));
            }
            Ok(Status::Partial) if head.len() >= MAX_HEAD => return Err(HeadError::TooLong),
            Ok(Status::Partial) => {}
            Err(error) => return Err(HeadError::Malformed(error)),
        }
    }
}

/// The fields of a head.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [Header<'a>]);

impl<'a> Fields<'a> {
    /// The values of all fields of this name; one that is no text is empty.
    pub(super) fn values(self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = move |field: &&Header<'_>| field.name.eq_ignore_ascii_case(name);
        let value = |field: &Header<'a>| str::from_utf8(field.value).unwrap_or_default().trim_ascii();
        self.0.iter().filter(named).map(value)
    }

    /// The value of the only field of this name.
    pub(super) fn only(self, name: &str) -> Option<&'a str> {
        let mut values = self.values(name);
        let first = values.next();
        first.filter(|_| values.next().is_none())
    }

    /// The members of a list, which may be spread over several fields (RFC 9110 §5.6.1).
    pub(super) fn list(self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name)
            .flat_map(|value| value.split(','))
            .map(str::trim_ascii)
    }

    /// Whether both fields ask for, or grant, the change to a WebSocket (RFC 6455 §4.1).
    pub(super) fn upgrades(self) -> bool {
        let has = |name, wanted: &str| self.list(name).any(|one| one.eq_ignore_ascii_case(wanted));
        has("upgrade", "websocket") && has("connection", "upgrade")
    }
}

/// What a server answers to a client's key (RFC 6455 §4.2.2).
pub(super) fn accept_key(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

/// RFC 4648 §4.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .zip([16, 8, 0])
            .fold(0_u32, |bits, (byte, shift)| bits | u32::from(*byte) << shift);
        for place in 0..4 {
            let letter = ALPHABET.get((bits >> (18 - 6 * place)) as usize & 63);
            let letter = letter.filter(|_| place <= group.len());
            text.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
    text
}

/// Whether this is a key of 16 bytes (RFC 6455 §4.1).
pub(super) fn is_key(key: &str) -> bool {
    let known = |letter: &u8| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/');
    let letters = key.strip_suffix("==").map(str::as_bytes);
    letters.is_some_and(|letters| letters.len() == 22 && letters.iter().all(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 §1.3.
    #[test]
    fn the_answer_to_the_key_of_the_rfc_comes_out() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert!(is_key(key));
        assert_eq!(base64(b"the sample nonce"), key);
        assert_eq!(accept_key(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// RFC 4648 §10.
    #[test]
    fn base64_ends_as_it_should() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(
            texts,
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]
        );
    }

    #[test]
    fn lists_may_be_spread_over_fields() {
        let field = |name, value: &'static str| Header {
            name,
            value: value.as_bytes(),
        };
        let fields = [
            field("Connection", "keep-alive, Upgrade"),
            field("UPGRADE", "h2c"),
            field("upgrade", "WebSocket"),
            field("Host", "one"),
            field("Host", "two"),
        ];
        assert!(Fields(&fields).upgrades());
        assert!(!Fields(&fields[..2]).upgrades());
        assert_eq!(Fields(&fields[..4]).only("host"), Some("one"));
        assert_eq!(Fields(&fields).only("host"), None);
    }
}
