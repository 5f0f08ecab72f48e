//! Payloads for people, by their content format.

use crate::console::{Painter, harmless};
use crate::formats::link_format::{LinkWriter, Links};
use crate::json;
use crate::show::cbor;
use crate::wire::ContentFormat;

/// What a payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text without structure that is known here.
    Text,
    /// A JSON text.
    Json,
    /// A CBOR item.
    Cbor,
    /// CBOR items one after another (RFC 8742).
    CborSequence,
    /// Links (RFC 6690).
    Links,
    /// Bytes.
    Binary,
}

/// Media types that are CBOR without saying so in a suffix (RFC 9052, RFC 8392).
const CBOR_TYPES: [&str; 5] = [
    "application/cbor",
    "application/cose",
    "application/cose-key",
    "application/cose-key-set",
    "application/cwt",
];

/// What a payload holds according to its content format; without one, or with one that is not registered, text if
/// it looks like it.
pub(crate) fn kind(format: Option<ContentFormat>, payload: &[u8]) -> Kind {
    let Some((format, media_type)) = format.and_then(|format| Some((format, format.media_type()?))) else {
        return if looks_like_text(payload) {
            Kind::Text
        } else {
            Kind::Binary
        };
    };
    if format.coding().is_some() {
        return Kind::Binary;
    }
    let bare = media_type.split(';').next().unwrap_or(media_type).trim();
    match bare.rsplit_once(['/', '+']).map(|(_, suffix)| suffix) {
        _ if bare == "application/link-format" => Kind::Links,
        Some("json") => Kind::Json,
        Some("cbor-seq") => Kind::CborSequence,
        Some("cbor") => Kind::Cbor,
        _ if CBOR_TYPES.contains(&bare) => Kind::Cbor,
        Some("xml") => Kind::Text,
        _ if bare.starts_with("text/") => Kind::Text,
        _ if bare == "application/octet-stream" => Kind::Binary,
        _ if looks_like_text(payload) => Kind::Text,
        _ => Kind::Binary,
    }
}

/// UTF-8 without control characters other than those that lay out text.
fn looks_like_text(payload: &[u8]) -> bool {
    std::str::from_utf8(payload).is_ok_and(|text| {
        !text
            .chars()
            .any(|character| character.is_control() && !"\n\r\t\x1b".contains(character))
    })
}

/// A payload for people to read, without a line end; `None` if it is bytes, or not what its format says and no
/// text either.
pub(crate) fn pretty(format: Option<ContentFormat>, payload: &[u8], painter: Painter) -> Option<String> {
    let kind = kind(format, payload);
    let shown = match kind {
        Kind::Json => json::pretty(payload, painter),
        Kind::Cbor | Kind::CborSequence => diagnostic(kind, payload),
        Kind::Links => links(payload),
        Kind::Text => None,
        Kind::Binary => return None,
    };
    shown.or_else(|| text(payload))
}

/// Text that cannot steer the terminal. Line ends of other systems become those of this one.
fn text(payload: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?;
    let readable = !text.contains('\0');
    readable.then(|| {
        harmless(&text.replace("\r\n", "\n"))
            .trim_end_matches('\n')
            .to_owned()
    })
}

/// CBOR in diagnostic notation (RFC 8949 §8), an item a line; `None` if it is not well-formed.
pub(crate) fn diagnostic(kind: Kind, payload: &[u8]) -> Option<String> {
    let items = match kind {
        Kind::Cbor => cbor::diagnostic(payload).filter(|items| items.len() == 1),
        Kind::CborSequence => cbor::diagnostic(payload),
        _ => None,
    };
    Some(harmless(&items?.join("\n")))
}

/// A link a line; `None` if it is no link-format.
fn links(payload: &[u8]) -> Option<String> {
    let links = Links::from_bytes(payload).ok()?;
    let mut lines = Vec::new();
    for link in links.iter() {
        let mut writer = LinkWriter::new(String::new());
        writer.link(link.target()).ok()?;
        for attribute in link.attributes() {
            match attribute.value {
                Some(value) => writer.attr(attribute.name, &value.to_str()).ok()?,
                None => writer.flag(attribute.name).ok()?,
            };
        }
        lines.push(harmless(&writer.into_inner()));
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: ContentFormat, payload: &[u8]) -> Option<String> {
        pretty(Some(format), payload, Painter::PLAIN)
    }

    #[test]
    fn the_content_format_decides() {
        let of = |name: &str| kind(Some(name.parse().unwrap()), b"\0");
        assert_eq!(of("text/plain"), Kind::Text);
        assert_eq!(of("application/json"), Kind::Json);
        assert_eq!(of("application/senml+json"), Kind::Json);
        assert_eq!(of("application/senml+cbor"), Kind::Cbor);
        assert_eq!(of("application/cbor-seq"), Kind::CborSequence);
        assert_eq!(of("application/cwt"), Kind::Cbor);
        assert_eq!(of("application/link-format"), Kind::Links);
        assert_eq!(of("application/xml"), Kind::Text);
        assert_eq!(of("application/octet-stream"), Kind::Binary);
        // 11050 is JSON, deflated.
        assert_eq!(kind(Some(ContentFormat(11050)), b"x"), Kind::Binary);
    }

    #[test]
    fn without_a_known_format_the_bytes_decide() {
        assert_eq!(kind(None, "21 °C\r\n".as_bytes()), Kind::Text);
        assert_eq!(kind(Some(ContentFormat(65000)), b"\x00\x01"), Kind::Binary);
        assert_eq!(kind(None, b"\xff"), Kind::Binary);
    }

    #[test]
    fn payloads_are_laid_out() {
        let json = shown(ContentFormat::JSON, b"{\"a\":1}");
        assert_eq!(json.as_deref(), Some("{\n  \"a\": 1\n}"));
        // RFC 8428 §6: {-2: "urn:dev:ow:10e2073a01080063:", 2: 23.1} in a record.
        let senml = shown(ContentFormat::SENML_CBOR, b"\x81\xa2\x21\x61a\x02\xf9\x4d\xc0");
        assert_eq!(senml.as_deref(), Some("[{-2: \"a\", 2: 23.0}]"));
        let sequence = shown(ContentFormat(63), b"\x01\x61b");
        assert_eq!(sequence.as_deref(), Some("1\n\"b\""));
        let links = shown(ContentFormat::LINK_FORMAT, b"</a>;rt=\"x y\";obs,</b>;ct=40");
        assert_eq!(links.as_deref(), Some("</a>;rt=\"x y\";obs\n</b>;ct=40"));
        assert_eq!(shown(ContentFormat::TEXT, b"21\r\n").as_deref(), Some("21"));
    }

    #[test]
    fn broken_payloads_are_shown_as_text_or_not_at_all() {
        assert_eq!(shown(ContentFormat::JSON, b"{\"a\":").as_deref(), Some("{\"a\":"));
        assert_eq!(shown(ContentFormat::CBOR, b"\xa1\xff"), None);
        assert_eq!(
            shown(ContentFormat::CBOR, b"\x01\x02").as_deref(),
            Some("\\u{1}\\u{2}")
        );
        assert_eq!(
            shown(ContentFormat::LINK_FORMAT, b"nothing").as_deref(),
            Some("nothing")
        );
        assert_eq!(shown(ContentFormat::TEXT, b"\xff"), None);
        assert_eq!(shown(ContentFormat::OCTET_STREAM, b"text"), None);
    }

    #[test]
    fn deep_cbor_is_no_danger() {
        assert_eq!(shown(ContentFormat::CBOR, &[0x81; 1_000_000]), None);
    }
}
