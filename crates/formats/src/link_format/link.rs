//! An owned link, as a server keeps it for its `/.well-known/core`.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::attribute::{Value, is_single, is_word_list};
use super::filter::Filter;
use super::parse::LinkRef;
use super::resolve::{ResolveError, ResolvedLink};
use super::write::{LinkWriter, WriteError};

/// A link that owns its text, built attribute by attribute.
///
/// Building accepts any text; what link-format cannot express is found by [`Link::check`], and again when
/// writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    target: String,
    attributes: Vec<(String, Option<String>)>,
}

impl Link {
    /// A link to `target`, a URI reference such as `/sensors/temp`.
    #[must_use]
    pub fn new(target: impl Into<String>) -> Self {
        Link {
            target: target.into(),
            attributes: Vec::new(),
        }
    }

    /// Adds an attribute with a value, unquoted: `attr("title", "Sensor Index")`.
    ///
    /// Given again, a list (`rel`, `rev`, `rt`, `if`, `ct`) grows by a word, another attribute that may stand
    /// only once (`anchor`, `sz`, `title`, `type`, `media`) takes the new value, and any other is repeated.
    #[must_use]
    pub fn attr(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        let known = self
            .attributes
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(&name));
        match known {
            Some((_, Some(words))) if is_word_list(&name) => {
                words.push(' ');
                words.push_str(&value);
            }
            Some((_, known)) if is_single(&name) || is_word_list(&name) => *known = Some(value),
            _ => self.attributes.push((name, Some(value))),
        }
        self
    }

    /// Adds a bare attribute, such as `obs` (RFC 7641 §6). Adding it twice is adding it once.
    #[must_use]
    pub fn flag(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.has(&name) {
            self.attributes.push((name, None));
        }
        self
    }

    /// The URI reference that the link points to.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Names and values of the attributes in their order; `None` for a bare one.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// The value of the first attribute of that name; `None` if there is no such attribute, or it is bare.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.attributes()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?
            .1
    }

    /// Whether the link has an attribute of that name, such as `obs`.
    pub fn has(&self, name: &str) -> bool {
        self.attributes()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Whether the filter lets this link pass (RFC 6690 §4.1).
    pub fn matches(&self, filter: &Filter<'_>) -> bool {
        let values = self
            .attributes()
            .map(|(name, value)| (name, Cow::Borrowed(value.unwrap_or_default())));
        filter.accepts(&self.target, values)
    }

    /// Target and context as URIs, for a list served at `base` (RFC 6690 §2.1).
    ///
    /// # Errors
    /// If `base` is not a URI with a scheme.
    pub fn resolve(&self, base: &str) -> Result<ResolvedLink, ResolveError> {
        ResolvedLink::new(base, &self.target, self.value("anchor"))
    }

    /// Whether the link can be written: worth asking when it is built from text that somebody else chose.
    ///
    /// # Errors
    /// What [`write_links`] would say.
    pub fn check(&self) -> Result<(), WriteError> {
        self.write(&mut LinkWriter::new(Nowhere))
    }

    /// Appends the link to a list.
    ///
    /// # Errors
    /// If target, names or values cannot be expressed, or the output refuses.
    pub fn write(&self, writer: &mut LinkWriter<impl fmt::Write>) -> Result<(), WriteError> {
        writer.link(&self.target)?;
        for (name, value) in self.attributes() {
            match value {
                Some(value) => writer.attr(name, value)?,
                None => writer.flag(name)?,
            };
        }
        Ok(())
    }
}

impl From<LinkRef<'_>> for Link {
    fn from(link: LinkRef<'_>) -> Self {
        let owned = |value: Value<'_>| value.to_str().into_owned();
        let attributes = link
            .attributes()
            .map(|one| (one.name.into(), one.value.map(owned)))
            .collect();
        Link {
            target: link.target().into(),
            attributes,
        }
    }
}

/// Writes links as a payload of `application/link-format`.
///
/// # Errors
/// If a link cannot be expressed; nothing is returned then.
pub fn write_links<'l>(links: impl IntoIterator<Item = &'l Link>) -> Result<String, WriteError> {
    let mut writer = LinkWriter::new(String::new());
    for link in links {
        link.write(&mut writer)?;
    }
    Ok(writer.into_inner())
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}
