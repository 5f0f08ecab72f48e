//! JSON: laid out anew without touching its values, and payloads as part of JSON output.

use std::fmt::Write;

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::console::{Painter, Style};
use crate::error::CliError;
use crate::show::payload::{self, Kind};
use crate::wire::{
    BlockOption, Code, CodeKind, ContentFormat, OptionDefinition, OptionFormat, OptionNumber, OptionRef,
    Options, decode_uint,
};

/// One step of indentation.
const INDENT: &str = "  ";

/// Lays JSON text out over lines. Numbers and strings stay as they are, digit by digit, but for what would steer the
/// terminal. `None` if it is no JSON.
pub(crate) fn pretty(json: &[u8], painter: Painter) -> Option<String> {
    lay_out(json, Some(painter))
}

/// JSON text without blanks, on one line. `None` if it is no JSON.
pub(crate) fn compact(json: &[u8]) -> Option<String> {
    lay_out(json, None)
}

/// With a painter over lines, without one on a single line.
fn lay_out(json: &[u8], lines: Option<Painter>) -> Option<String> {
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    let mut layout = Layout {
        out: String::with_capacity(json.len() * 2),
        lines,
        depth: 0,
    };
    let mut rest = std::str::from_utf8(json).ok()?.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = rest.split_at_checked(token_len(rest, first))?;
        rest = after.trim_start();
        layout.put(token, rest);
    }
    Some(harmless(layout.out))
}

/// JSON text with those control characters escaped that a string may hold as they are (RFC 8259 §7), so that what a
/// peer sent cannot steer the terminal.
fn harmless(json: String) -> String {
    let steers = |character: char| ('\u{7f}'..='\u{9f}').contains(&character);
    if !json.contains(steers) {
        return json;
    }
    json.chars().fold(String::new(), |mut out, character| {
        // Writing to a string cannot fail.
        let _ = match steers(character) {
            true => write!(out, "\\u{:04x}", u32::from(character)),
            false => out.write_char(character),
        };
        out
    })
}

/// How long the token is that a valid JSON text begins with, in bytes.
fn token_len(text: &str, first: char) -> usize {
    match first {
        '{' | '}' | '[' | ']' | ',' | ':' => 1,
        '"' => {
            let mut escaped = false;
            let end = text.bytes().skip(1).position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end.map_or(text.len(), |end| end + 2)
        }
        _ => text
            .find(|character: char| character.is_whitespace() || ",:]}".contains(character))
            .unwrap_or(text.len()),
    }
}

struct Layout {
    out: String,
    lines: Option<Painter>,
    depth: usize,
}

impl Layout {
    /// `rest` is what follows the token.
    fn put(&mut self, token: &str, rest: &str) {
        match token {
            "{" | "[" => {
                self.out.push_str(token);
                self.depth += 1;
                if !rest.starts_with(['}', ']']) {
                    self.break_line();
                }
            }
            "}" | "]" => {
                self.depth = self.depth.saturating_sub(1);
                if !self.out.ends_with(['{', '[']) {
                    self.break_line();
                }
                self.out.push_str(token);
            }
            "," => {
                self.out.push(',');
                self.break_line();
            }
            ":" => self.out.push_str(if self.lines.is_some() { ": " } else { ":" }),
            _ => match self.lines {
                Some(painter) if rest.starts_with(':') => {
                    self.out.push_str(&painter.paint(Style::Name, token))
                }
                _ => self.out.push_str(token),
            },
        }
    }

    fn break_line(&mut self) {
        if self.lines.is_some() {
            self.out.push('\n');
            self.out.push_str(&INDENT.repeat(self.depth));
        }
    }
}

/// A payload as JSON: as it is if it is JSON itself, as text, or else in base64.
#[derive(Debug, Serialize)]
pub(crate) struct PayloadJson {
    /// The value.
    payload: Box<RawValue>,
    /// What the value is: `json`, `text` or `base64`.
    encoding: &'static str,
    /// CBOR in diagnostic notation.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostic: Option<String>,
}

impl PayloadJson {
    /// What is there to tell of a payload; nothing if there is none.
    pub(crate) fn new(format: Option<ContentFormat>, bytes: &[u8]) -> Option<PayloadJson> {
        if bytes.is_empty() {
            return None;
        }
        let kind = payload::kind(format, bytes);
        let json = (kind == Kind::Json).then(|| compact(bytes)).flatten();
        let text = match kind {
            Kind::Cbor | Kind::CborSequence | Kind::Binary => None,
            Kind::Text | Kind::Json | Kind::Links => std::str::from_utf8(bytes).ok(),
        };
        let (value, encoding) = match (json, text) {
            (Some(json), _) => (json, "json"),
            (None, Some(text)) => (quote(text), "text"),
            (None, None) => (quote(&base64(bytes)), "base64"),
        };
        Some(PayloadJson {
            payload: RawValue::from_string(value).ok()?,
            encoding,
            diagnostic: payload::diagnostic(kind, bytes),
        })
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An option as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct OptionJson {
    number: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    critical: bool,
    /// Of signaling options there is nothing to say about that (RFC 8323 §5.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    r#unsafe: Option<bool>,
    /// By the option's format: text, a number, `null` of an empty option; what is opaque in hexadecimal.
    value: serde_json::Value,
    hex: String,
}

/// All options of a message of this code as JSON.
pub(crate) fn options(code: Code, options: Options<'_>) -> Vec<OptionJson> {
    let is_signal = matches!(code.kind(), CodeKind::Signal(_));
    options
        .iter()
        .map(|option| {
            let definition = option.number.definition_in(code);
            OptionJson {
                number: option.number.0,
                name: definition.map(|definition| definition.name),
                critical: option.number.is_critical(),
                r#unsafe: (!is_signal).then_some(option.number.is_unsafe()),
                value: option_value(option, definition),
                hex: crate::hex::digits(option.value),
            }
        })
        .collect()
}

fn option_value(option: OptionRef<'_>, definition: Option<&OptionDefinition>) -> serde_json::Value {
    let hex = || serde_json::Value::from(format!("0x{}", crate::hex::digits(option.value)));
    let Some(definition) = definition.filter(|definition| definition.check(option.value).is_ok()) else {
        return hex();
    };
    match definition.format {
        OptionFormat::Empty => serde_json::Value::Null,
        OptionFormat::Opaque => hex(),
        OptionFormat::String => std::str::from_utf8(option.value).map_or_else(|_| hex(), Into::into),
        OptionFormat::Uint if is_block(option.number) => match BlockOption::decode(option.value) {
            Ok(block) => {
                serde_json::json!({ "num": block.num(), "more": block.more(), "size": block.size() })
            }
            Err(_) => hex(),
        },
        OptionFormat::Uint => decode_uint(option.value).map_or_else(hex, Into::into),
    }
}

fn is_block(number: OptionNumber) -> bool {
    matches!(
        number,
        OptionNumber::BLOCK1 | OptionNumber::BLOCK2 | OptionNumber::Q_BLOCK1 | OptionNumber::Q_BLOCK2
    )
}

/// A value of ours on one line, with its line end.
///
/// # Errors
/// If it cannot be serialized, which is a fault of this program.
pub(crate) fn line(value: &impl Serialize) -> Result<String, CliError> {
    let mut line = harmless(serde_json::to_string(value).map_err(CliError::new)?);
    line.push('\n');
    Ok(line)
}

/// Base64 with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .zip([16, 8, 0])
            .fold(0_u32, |bits, (&byte, shift)| bits | u32::from(byte) << shift);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = ALPHABET.get((bits >> shift & 0x3f) as usize);
            let digit = digit.filter(|_| index <= group.len());
            out.push(digit.map_or('=', |&digit| char::from(digit)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_as_they_are() {
        let json = br#" {"a" : 1.50, "b":[ ],"c":{},"d":[1,{"e":"x:\" ,{\\"}], "f":123456789012345678901234567890} "#;
        let expected = r#"{
  "a": 1.50,
  "b": [],
  "c": {},
  "d": [
    1,
    {
      "e": "x:\" ,{\\"
    }
  ],
  "f": 123456789012345678901234567890
}"#;
        assert_eq!(pretty(json, Painter::PLAIN).as_deref(), Some(expected));
        let expected =
            r#"{"a":1.50,"b":[],"c":{},"d":[1,{"e":"x:\" ,{\\"}],"f":123456789012345678901234567890}"#;
        assert_eq!(compact(json).as_deref(), Some(expected));
        assert_eq!(compact(b"21.5").as_deref(), Some("21.5"));
    }

    #[test]
    fn control_characters_in_strings_are_escaped() {
        // DEL, and CSI as one character, are allowed in strings; others come escaped or not at all.
        let json = "{\"a\u{7f}\":\"\u{9b}2J \\u001b\\\\\u{85}\"}";
        let expected = r#"{"a\u007f":"\u009b2J \u001b\\\u0085"}"#;
        assert_eq!(compact(json.as_bytes()).as_deref(), Some(expected));
        let shown = pretty(json.as_bytes(), Painter::PLAIN).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
        let text = PayloadJson::new(Some(ContentFormat::TEXT), "\u{9b}2J".as_bytes());
        assert_eq!(
            line(&text).unwrap(),
            "{\"payload\":\"\\u009b2J\",\"encoding\":\"text\"}\n"
        );
    }

    #[test]
    fn what_is_no_json_is_left_alone() {
        for text in ["", "{", "{\"a\":}", "nul", "1 2", "\"\u{7}\""] {
            assert_eq!(compact(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(compact(b"\"\xff\""), None);
        assert_eq!(compact("[".repeat(100_000).as_bytes()), None);
    }

    #[test]
    fn payloads_become_json_text_or_base64() {
        let shown = |format, bytes: &[u8]| line(&PayloadJson::new(format, bytes)).unwrap();
        let json = shown(Some(ContentFormat::JSON), b"{ \"t\": 21.50 }");
        assert_eq!(json, "{\"payload\":{\"t\":21.50},\"encoding\":\"json\"}\n");
        let broken = shown(Some(ContentFormat::JSON), b"{");
        assert_eq!(broken, "{\"payload\":\"{\",\"encoding\":\"text\"}\n");
        let text = shown(Some(ContentFormat::TEXT), "21 °C".as_bytes());
        assert_eq!(text, "{\"payload\":\"21 °C\",\"encoding\":\"text\"}\n");
        let bytes = shown(Some(ContentFormat::OCTET_STREAM), b"\x00\xff");
        assert_eq!(bytes, "{\"payload\":\"AP8=\",\"encoding\":\"base64\"}\n");
        let cbor = shown(Some(ContentFormat::CBOR), b"\x82\x01\xf5");
        assert_eq!(
            cbor,
            "{\"payload\":\"ggH1\",\"encoding\":\"base64\",\"diagnostic\":\"[1, true]\"}\n"
        );
        assert!(PayloadJson::new(None, b"").is_none());
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        // RFC 4648 §10.
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
