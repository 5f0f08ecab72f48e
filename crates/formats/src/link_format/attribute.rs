//! Attributes of a link: their names, their values, and which of them are special.

use alloc::borrow::Cow;
use alloc::string::String;

/// An attribute of a link: `rt="temperature"`, `ct=40`, or the bare `obs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The name as written; compare with [`Attribute::is`].
    pub name: &'a str,
    /// The value, or `None` where there is no `=`.
    pub value: Option<Value<'a>>,
}

impl Attribute<'_> {
    /// Whether this attribute has that name, in any case (RFC 8288 §2.2).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The value of an attribute, as it stands in the text.
///
/// `x=y` and `x="y"` mean the same (RFC 8288 §3), so equality is that of [`Value::to_str`].
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    raw: &'a str,
}

impl<'a> Value<'a> {
    /// `raw`: a token, or what is between the quotes, escapes included.
    pub(super) fn new(raw: &'a str) -> Self {
        Value { raw }
    }

    /// The value without quotes and escapes (RFC 6690 §4.1); copied only if it holds an escape.
    pub fn to_str(self) -> Cow<'a, str> {
        if !self.raw.contains('\\') {
            return Cow::Borrowed(self.raw);
        }
        let mut plain = String::with_capacity(self.raw.len());
        let mut chars = self.raw.chars();
        while let Some(char) = chars.next() {
            let kept = if char == '\\' { chars.next() } else { Some(char) };
            plain.extend(kept);
        }
        Cow::Owned(plain)
    }

    /// The value as a decimal number (`sz`); `None` if it is none, or larger than a `u64` (RFC 6690 §3.3 sets
    /// no limit).
    pub fn to_u64(self) -> Option<u64> {
        let text = self.to_str();
        if is_cardinal(&text) {
            text.parse().ok()
        } else {
            None
        }
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.to_str() == other.to_str()
    }
}

impl Eq for Value<'_> {}

impl PartialEq<str> for Value<'_> {
    fn eq(&self, other: &str) -> bool {
        self.to_str() == other
    }
}

impl PartialEq<&str> for Value<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.to_str() == **other
    }
}

/// Attributes whose value is a list of words: RFC 6690 §2 (`relation-types`), RFC 7252 §7.2.1 (`ct`).
const WORD_LISTS: [&str; 5] = ["rel", "rev", "rt", "if", "ct"];

/// Attributes of which only the first in a link counts: RFC 6690 §3, RFC 8288 §3.3, §3.4.1 and
/// appendix B.2.
const SINGLE: [&str; 9] = [
    "rel", "rt", "if", "sz", "anchor", "media", "title", "title*", "type",
];

/// Attributes that the grammar of RFC 6690 §2 wants in quotes, or that every example and implementation
/// quotes.
const QUOTED: [&str; 6] = ["anchor", "title", "rel", "rev", "rt", "if"];

/// Attributes that the grammar of RFC 6690 §2 allows only as a token; with them go all whose name ends in
/// `*`.
const TOKENS: [&str; 2] = ["hreflang", "sz"];

fn listed(names: &[&str], name: &str) -> bool {
    names.iter().any(|listed| listed.eq_ignore_ascii_case(name))
}

/// Whether the value is a list of words, each of which counts as a value of its own.
pub(super) fn is_word_list(name: &str) -> bool {
    listed(&WORD_LISTS, name)
}

/// Whether only the first attribute of that name counts.
pub(super) fn is_single(name: &str) -> bool {
    listed(&SINGLE, name)
}

/// How the writer puts a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Quoted,
    Token,
}

/// The notation of `value` under `name`: numbers as tokens, text in quotes, unless the grammar says
/// otherwise.
pub(super) fn notation(name: &str, value: &str) -> Notation {
    if listed(&QUOTED, name) {
        Notation::Quoted
    } else if listed(&TOKENS, name) || name.ends_with('*') || is_cardinal(value) {
        Notation::Token
    } else {
        Notation::Quoted
    }
}

/// RFC 6690 §2 `cardinal`: a decimal number without leading zeros.
fn is_cardinal(value: &str) -> bool {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits && (value == "0" || !value.starts_with('0'))
}

/// What a target may hold: a URI reference never has blanks, controls, quotes or angle brackets (RFC 3986
/// appendix C).
pub(super) fn is_target_char(char: char) -> bool {
    !char.is_control() && !matches!(char, ' ' | '"' | '<' | '>')
}

/// A character of an attribute's name: `token` of RFC 8288 §3, which includes `parmname` of RFC 6690 §2.
pub(super) fn is_name_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char)
}

/// `ptokenchar` of RFC 6690 §2.
pub(super) fn is_token_char(char: char) -> bool {
    char.is_ascii_graphic() && !matches!(char, '"' | ',' | ';' | '\\')
}

/// What a quoted string may hold: anything but control characters, the tab excepted (RFC 7230 §3.2.6).
pub(super) fn is_string_char(char: char) -> bool {
    !char.is_control() || char == '\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(Value::new(r#"say \"hi\" \\ \a"#).to_str(), r#"say "hi" \ a"#);
        assert!(matches!(Value::new("plain").to_str(), Cow::Borrowed("plain")));
    }

    #[test]
    fn numbers_are_read_without_leading_zeros_and_up_to_64_bits() {
        assert_eq!(Value::new("262144").to_u64(), Some(262_144));
        assert_eq!(Value::new("0").to_u64(), Some(0));
        for bad in ["", "007", "-1", "+1", "18446744073709551616", "x"] {
            assert_eq!(Value::new(bad).to_u64(), None, "{bad}");
        }
    }

    #[test]
    fn notation_follows_the_grammar() {
        assert_eq!(notation("ct", "40"), Notation::Token);
        assert_eq!(notation("ct", "0 41"), Notation::Quoted);
        assert_eq!(notation("title", "40"), Notation::Quoted);
        assert_eq!(notation("hreflang", "de"), Notation::Token);
        assert_eq!(notation("title*", "UTF-8''x"), Notation::Token);
        assert_eq!(notation("ep", "node1"), Notation::Quoted);
    }
}
