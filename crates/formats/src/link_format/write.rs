//! Writing: links into any `fmt::Write`, quoted as the grammar asks.

use core::fmt;

use super::attribute::{Notation, is_name_char, is_string_char, is_target_char, is_token_char, notation};

/// Writes a list of links without allocating.
///
/// Call [`link`](LinkWriter::link), then its attributes, then the next link. Each call checks before it
/// writes, so that an error other than [`WriteError::Output`] leaves the text as it was. Values that are
/// numbers, `sz`, `hreflang` and names that end in `*` become tokens; everything else is quoted (RFC 6690 §2,
/// RFC 8288 §3).
///
/// ```
/// use coracle_formats::link_format::LinkWriter;
///
/// let mut writer = LinkWriter::new(String::new());
/// writer.link("/a")?.attr("ct", "40")?.attr("title", "Say \"A\"")?;
/// writer.link("/b")?.flag("obs")?;
/// assert_eq!(writer.into_inner(), r#"</a>;ct=40;title="Say \"A\"",</b>;obs"#);
/// # Ok::<(), coracle_formats::link_format::WriteError>(())
/// ```
#[derive(Debug)]
pub struct LinkWriter<W> {
    out: W,
    /// Whether a link is open, which is also whether the next one needs a comma before it.
    in_link: bool,
}

impl<W: fmt::Write> LinkWriter<W> {
    /// Writes to `out`, which should hold no links yet.
    pub fn new(out: W) -> Self {
        LinkWriter { out, in_link: false }
    }

    /// Begins a link to `target`, a URI reference.
    ///
    /// # Errors
    /// [`WriteError::Target`] if it holds a blank, a control character, a quote or an angle bracket.
    pub fn link(&mut self, target: &str) -> Result<&mut Self, WriteError> {
        if !target.chars().all(is_target_char) {
            return Err(WriteError::Target);
        }
        self.out.write_str(if self.in_link { ",<" } else { "<" })?;
        self.out.write_str(target)?;
        self.out.write_char('>')?;
        self.in_link = true;
        Ok(self)
    }

    /// Adds an attribute with a value to the link.
    ///
    /// # Errors
    /// [`WriteError::Name`], [`WriteError::Value`] or [`WriteError::NoLink`]; an output that is full.
    pub fn attr(&mut self, name: &str, value: &str) -> Result<&mut Self, WriteError> {
        self.check_name(name)?;
        let notation = notation(name, value);
        let allowed = match notation {
            Notation::Token => !value.is_empty() && value.chars().all(is_token_char),
            Notation::Quoted => value.chars().all(is_string_char),
        };
        if !allowed {
            return Err(WriteError::Value);
        }
        write!(self.out, ";{name}=")?;
        match notation {
            Notation::Token => self.out.write_str(value)?,
            Notation::Quoted => self.quoted(value)?,
        }
        Ok(self)
    }

    /// Adds a bare attribute to the link, such as `obs` (RFC 7641 §6).
    ///
    /// # Errors
    /// [`WriteError::Name`] or [`WriteError::NoLink`]; an output that is full.
    pub fn flag(&mut self, name: &str) -> Result<&mut Self, WriteError> {
        self.check_name(name)?;
        write!(self.out, ";{name}")?;
        Ok(self)
    }

    /// What was written.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// RFC 6690 §2 reserves `href` for queries.
    fn check_name(&self, name: &str) -> Result<(), WriteError> {
        if !self.in_link {
            return Err(WriteError::NoLink);
        }
        let reserved = name.eq_ignore_ascii_case("href");
        if reserved || name.is_empty() || !name.chars().all(is_name_char) {
            return Err(WriteError::Name);
        }
        Ok(())
    }

    fn quoted(&mut self, value: &str) -> fmt::Result {
        self.out.write_char('"')?;
        for char in value.chars() {
            if matches!(char, '"' | '\\') {
                self.out.write_char('\\')?;
            }
            self.out.write_char(char)?;
        }
        self.out.write_char('"')
    }
}

/// Why something cannot be written as link-format. It is the caller's text that is at fault, or his buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The target is not a URI reference.
    Target,
    /// The name of the attribute is empty, holds a character that no name has, or is `href`.
    Name,
    /// The value holds a control character, or has to be a token and is none.
    Value,
    /// An attribute came before the first link.
    NoLink,
    /// The output took no more; what it holds may be cut off.
    Output,
}

impl From<fmt::Error> for WriteError {
    fn from(_: fmt::Error) -> Self {
        WriteError::Output
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WriteError::Target => "the target of the link is not a URI reference",
            WriteError::Name => "the name cannot be that of a link attribute",
            WriteError::Value => "the value cannot be that of this link attribute",
            WriteError::NoLink => "an attribute needs a link before it",
            WriteError::Output => "the output for the links is full",
        })
    }
}

impl core::error::Error for WriteError {}
