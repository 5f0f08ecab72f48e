//! Options on the command line: `NUMBER|NAME[=VALUE]`.

use std::str::FromStr;

use crate::hex;
use crate::wire::{ContentFormat, OptionFormat, OptionNumber, check_option, encode_uint};

/// An option to add to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OptionArg {
    /// Its number.
    pub(crate) number: OptionNumber,
    /// Its value, which need not suit the option: this program tests how servers take that.
    pub(crate) value: Vec<u8>,
}

impl OptionArg {
    /// What is unusual about the value, if something is.
    pub(crate) fn warning(&self) -> Option<String> {
        check_option(self.number, &self.value)
            .err()
            .map(|error| error.to_string())
    }
}

impl FromStr for OptionArg {
    type Err = String;

    fn from_str(text: &str) -> Result<OptionArg, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, value),
            None => (text, ""),
        };
        let number: OptionNumber = name
            .trim()
            .parse()
            .map_err(|error| format!("`{name}`: {error}"))?;
        let value = parse_value(number, value)?;
        Ok(OptionArg { number, value })
    }
}

/// An ETag as `0x..` or text, for If-Match.
pub(crate) fn parse_etag(text: &str) -> Result<Vec<u8>, String> {
    parse_value(OptionNumber::IF_MATCH, text)
}

/// `0x..` is bytes, `uint:5` a number, `text:..` text; anything else is read as the option's format says.
fn parse_value(number: OptionNumber, text: &str) -> Result<Vec<u8>, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        return hex::parse(digits).map_err(|error| error.to_string());
    }
    if let Some(value) = text.strip_prefix("uint:") {
        return parse_uint(value);
    }
    if let Some(value) = text.strip_prefix("text:") {
        return Ok(value.as_bytes().to_vec());
    }
    match number.definition().map(|definition| definition.format) {
        Some(OptionFormat::Uint) => match (number, text) {
            (_, "") => Ok(Vec::new()),
            (OptionNumber::CONTENT_FORMAT | OptionNumber::ACCEPT, name) => {
                let format: ContentFormat = name.parse().map_err(|error| format!("`{name}`: {error}"))?;
                Ok(encode_uint(u64::from(format.0)).to_vec())
            }
            (_, value) => parse_uint(value),
        },
        _ => Ok(text.as_bytes().to_vec()),
    }
}

fn parse_uint(text: &str) -> Result<Vec<u8>, String> {
    let value: u64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number (0x.. gives bytes, text:.. gives text)"))?;
    Ok(encode_uint(value).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> (u16, Vec<u8>) {
        let option: OptionArg = text.parse().unwrap();
        (option.number.0, option.value)
    }

    #[test]
    fn values_are_read_as_the_option_is_defined() {
        assert_eq!(value("uri-query=a=b"), (15, b"a=b".to_vec()));
        assert_eq!(value("Max-Age=60"), (14, vec![60]));
        assert_eq!(value("60=70000"), (60, vec![0x01, 0x11, 0x70]));
        assert_eq!(value("observe=0"), (6, vec![]));
        assert_eq!(value("accept=json"), (17, vec![50]));
        assert_eq!(value("content-format=11542"), (12, vec![0x2d, 0x16]));
        assert_eq!(value("etag=abc"), (4, b"abc".to_vec()));
        assert_eq!(value("65000=abc"), (65000, b"abc".to_vec()));
    }

    #[test]
    fn a_prefix_says_how_to_read_the_value() {
        assert_eq!(value("etag=0x0a0B"), (4, vec![0x0a, 0x0b]));
        assert_eq!(value("65000=uint:258"), (65000, vec![1, 2]));
        assert_eq!(value("uri-path=text:0x1"), (11, b"0x1".to_vec()));
        assert_eq!(value("max-age=text:x"), (14, b"x".to_vec()));
    }

    #[test]
    fn a_value_may_be_empty() {
        assert_eq!(value("if-none-match"), (5, vec![]));
        assert_eq!(value("if-match="), (1, vec![]));
        assert_eq!(value("max-age="), (14, vec![]));
        assert_eq!(value("65001=0x"), (65001, vec![]));
    }

    #[test]
    fn mistakes_are_told() {
        let error = |text: &str| text.parse::<OptionArg>().unwrap_err();
        assert!(error("nonsense=1").starts_with("`nonsense`: neither the name"));
        assert!(error("65536=1").starts_with("`65536`: "));
        assert!(error("max-age=soon").starts_with("`soon` is not a number"));
        assert!(error("etag=0xabc").contains("odd number"));
        assert!(error("accept=nonsense").starts_with("`nonsense`: no content format"));
    }

    #[test]
    fn odd_values_are_sent_but_noticed() {
        let odd: OptionArg = "uri-port=0x010203".parse().unwrap();
        assert_eq!(
            odd.warning().as_deref(),
            Some("Uri-Port has 0 to 2 bytes, not 3 (RFC 7252 §5.4.3)")
        );
        assert_eq!("uri-port=5683".parse::<OptionArg>().unwrap().warning(), None);
    }
}
