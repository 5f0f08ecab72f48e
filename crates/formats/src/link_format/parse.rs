//! Reading: a checked list of links that borrows from the payload.

use alloc::borrow::Cow;
use core::fmt;
use core::str;

use super::attribute::{Attribute, Value, is_name_char, is_string_char, is_target_char, is_token_char};
use super::filter::Filter;
use super::resolve::{ResolveError, ResolvedLink};

/// A checked list of links (RFC 6690 §2); walking it cannot fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links<'a> {
    text: &'a str,
}

impl<'a> Links<'a> {
    /// Checks `text`. No links at all is a list too (RFC 6690 §4).
    ///
    /// # Errors
    /// [`ParseError`] says what is wrong at which byte.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        cursor.skip_blanks();
        let mut more = !cursor.at_end();
        while more {
            cursor.link()?;
            cursor.skip_blanks();
            more = !cursor.at_end();
            if more {
                cursor.separator()?;
            }
        }
        Ok(Links { text })
    }

    /// Checks the payload of a message.
    ///
    /// # Errors
    /// As [`Links::parse`], and if the payload is not UTF-8 (RFC 6690 §2).
    pub fn from_bytes(payload: &'a [u8]) -> Result<Self, ParseError> {
        let text = str::from_utf8(payload).map_err(|error| ParseError {
            kind: ParseErrorKind::NotUtf8,
            offset: error.valid_up_to(),
        })?;
        Self::parse(text)
    }

    /// The text that was checked.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The links in their order.
    pub fn iter(self) -> LinksIter<'a> {
        LinksIter {
            cursor: Cursor::new(self.text),
        }
    }
}

impl<'a> IntoIterator for Links<'a> {
    type Item = LinkRef<'a>;
    type IntoIter = LinksIter<'a>;

    fn into_iter(self) -> LinksIter<'a> {
        self.iter()
    }
}

/// Walks [`Links`].
#[derive(Clone, Debug)]
pub struct LinksIter<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for LinksIter<'a> {
    type Item = LinkRef<'a>;

    fn next(&mut self) -> Option<LinkRef<'a>> {
        self.cursor.skip_blanks();
        let link = self.cursor.link().ok()?;
        self.cursor.skip_blanks();
        self.cursor.take_char(',');
        Some(link)
    }
}

impl core::iter::FusedIterator for LinksIter<'_> {}

/// One link of [`Links`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRef<'a> {
    target: &'a str,
    /// The checked `;name=value` part.
    attributes: &'a str,
}

impl<'a> LinkRef<'a> {
    /// The URI reference between the angle brackets, as written. [`LinkRef::resolve`] makes it a URI.
    pub fn target(self) -> &'a str {
        self.target
    }

    /// The attributes in their order, repeated ones included.
    pub fn attributes(self) -> Attributes<'a> {
        Attributes {
            cursor: Cursor::new(self.attributes),
        }
    }

    /// The first attribute of that name; later ones of `rel`, `rt`, `if`, `sz`, `title` and the like do not
    /// count.
    pub fn get(self, name: &str) -> Option<Attribute<'a>> {
        self.attributes().find(|attribute| attribute.is(name))
    }

    /// The value of the first attribute of that name; `None` if there is no such attribute, or it is bare.
    pub fn value(self, name: &str) -> Option<Cow<'a, str>> {
        Some(self.get(name)?.value?.to_str())
    }

    /// Whether the link has an attribute of that name, such as `obs`.
    pub fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the filter lets this link pass (RFC 6690 §4.1).
    pub fn matches(self, filter: &Filter<'_>) -> bool {
        let values = self.attributes().map(|attribute| {
            (
                attribute.name,
                attribute.value.map_or(Cow::Borrowed(""), Value::to_str),
            )
        });
        filter.accepts(self.target, values)
    }

    /// Target and context as URIs, for a list that came from `base` (RFC 6690 §2.1).
    ///
    /// # Errors
    /// If `base` is not a URI with a scheme.
    pub fn resolve(self, base: &str) -> Result<ResolvedLink, ResolveError> {
        ResolvedLink::new(base, self.target, self.value("anchor").as_deref())
    }
}

/// Walks the attributes of a [`LinkRef`].
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        self.cursor.next_attribute().ok().flatten()
    }
}

impl core::iter::FusedIterator for Attributes<'_> {}

/// What is wrong with a text that should be a list of links, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// The byte at which it was noticed, counted from 0; the length of the text if it ends too early.
    pub offset: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.offset)
    }
}

impl core::error::Error for ParseError {}

/// What can be wrong with a list of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The payload is not UTF-8.
    NotUtf8,
    /// A link does not begin with `<`.
    ExpectedTarget,
    /// A target holds a blank, a control character, a quote or `<`.
    TargetCharacter,
    /// The text ends within a target.
    UnterminatedTarget,
    /// There is no attribute name after `;`.
    ExpectedName,
    /// There is neither a token nor a quoted string after `=`.
    ExpectedValue,
    /// A quoted string holds a control character.
    StringCharacter,
    /// The text ends within a quoted string.
    UnterminatedString,
    /// After a link or an attribute comes neither `,` nor `;` nor the end.
    ExpectedSeparator,
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParseErrorKind::NotUtf8 => "link-format payload is not UTF-8",
            ParseErrorKind::ExpectedTarget => "expected '<' and the target of a link",
            ParseErrorKind::TargetCharacter => "the target of a link holds a character that no URI has",
            ParseErrorKind::UnterminatedTarget => "the target of a link is not closed with '>'",
            ParseErrorKind::ExpectedName => "expected the name of an attribute",
            ParseErrorKind::ExpectedValue => "expected the value of an attribute",
            ParseErrorKind::StringCharacter => "a quoted string holds a control character",
            ParseErrorKind::UnterminatedString => "a quoted string is not closed",
            ParseErrorKind::ExpectedSeparator => "expected ',' or ';' or the end",
        })
    }
}

/// Reads forward only; cannot pass the end.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    rest: &'a str,
    /// Length of the whole text, for offsets.
    length: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Cursor {
            rest: text,
            length: text.len(),
        }
    }

    /// RFC 6690 §2 `link-value`.
    fn link(&mut self) -> Result<LinkRef<'a>, ParseError> {
        let target = self.target()?;
        let attributes = self.rest;
        while self.next_attribute()?.is_some() {}
        let length = attributes.len() - self.rest.len();
        let attributes = attributes.get(..length).unwrap_or_default();
        Ok(LinkRef { target, attributes })
    }

    fn target(&mut self) -> Result<&'a str, ParseError> {
        if !self.take_char('<') {
            return Err(self.error(ParseErrorKind::ExpectedTarget));
        }
        let target = self.take_while(is_target_char);
        if self.take_char('>') {
            return Ok(target);
        }
        Err(self.error_or_end(
            ParseErrorKind::TargetCharacter,
            ParseErrorKind::UnterminatedTarget,
        ))
    }

    /// RFC 6690 §2 `";" link-param`, or `None` without moving if there is no `;`.
    fn next_attribute(&mut self) -> Result<Option<Attribute<'a>>, ParseError> {
        let mut ahead = self.clone();
        ahead.skip_blanks();
        if !ahead.take_char(';') {
            return Ok(None);
        }
        ahead.skip_blanks();
        let name = ahead.take_while(is_name_char);
        if name.is_empty() {
            return Err(ahead.error(ParseErrorKind::ExpectedName));
        }
        *self = ahead.clone();
        ahead.skip_blanks();
        if !ahead.take_char('=') {
            return Ok(Some(Attribute { name, value: None }));
        }
        ahead.skip_blanks();
        let value = Some(ahead.value()?);
        *self = ahead;
        Ok(Some(Attribute { name, value }))
    }

    fn value(&mut self) -> Result<Value<'a>, ParseError> {
        if self.take_char('"') {
            return self.quoted_string();
        }
        let token = self.take_while(is_token_char);
        if token.is_empty() {
            return Err(self.error(ParseErrorKind::ExpectedValue));
        }
        Ok(Value::new(token))
    }

    /// The rest of a quoted string, whose first quote is read: RFC 2616 §2.2, where a backslash takes any
    /// character.
    fn quoted_string(&mut self) -> Result<Value<'a>, ParseError> {
        let mut escaped = false;
        let content = self.take_while(|char| {
            let inside = is_string_char(char) && (escaped || char != '"');
            escaped = char == '\\' && !escaped;
            inside
        });
        if self.take_char('"') {
            return Ok(Value::new(content));
        }
        Err(self.error_or_end(
            ParseErrorKind::StringCharacter,
            ParseErrorKind::UnterminatedString,
        ))
    }

    fn separator(&mut self) -> Result<(), ParseError> {
        if !self.take_char(',') {
            return Err(self.error(ParseErrorKind::ExpectedSeparator));
        }
        self.skip_blanks();
        Ok(())
    }

    fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take_char(&mut self, char: char) -> bool {
        let after = self.rest.strip_prefix(char);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> &'a str {
        let end = self.rest.find(|char| !wanted(char)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn error(&self, kind: ParseErrorKind) -> ParseError {
        ParseError {
            kind,
            offset: self.length - self.rest.len(),
        }
    }

    fn error_or_end(&self, kind: ParseErrorKind, at_end: ParseErrorKind) -> ParseError {
        self.error(if self.at_end() { at_end } else { kind })
    }
}
