//! Query filtering of links (RFC 6690 §4.1).

use alloc::borrow::Cow;

use super::attribute::{is_single, is_word_list};

/// One criterion of a discovery query, such as `rt=temperature-c` or `href=/sensors*`.
///
/// Several queries mean all of them at once (RFC 9176 §6.2): keep a link if every filter matches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'q> {
    name: &'q str,
    pattern: Pattern<'q>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern<'q> {
    Complete(&'q str),
    Prefix(&'q str),
}

impl Pattern<'_> {
    fn accepts(&self, value: &str) -> bool {
        match self {
            Pattern::Complete(whole) => value == *whole,
            Pattern::Prefix(prefix) => value.starts_with(prefix),
        }
    }
}

impl<'q> Filter<'q> {
    /// Takes one query, percent-decoded as a Uri-Query option carries it. Every string is a filter.
    ///
    /// A name without `=` is read like `name=*`: the RFC leaves it open, and it is how one asks for `obs`.
    pub fn parse(query: &'q str) -> Self {
        let (name, value) = query.split_once('=').unwrap_or((query, "*"));
        let pattern = match value.strip_suffix('*') {
            Some(prefix) => Pattern::Prefix(prefix),
            None => Pattern::Complete(value),
        };
        Filter { name, pattern }
    }

    /// The name before `=`: `href` or that of an attribute.
    pub fn name(&self) -> &'q str {
        self.name
    }

    /// Whether a link with this target and these attributes passes. A bare attribute has the value "".
    pub(super) fn accepts<'l>(
        &self,
        target: &str,
        attributes: impl Iterator<Item = (&'l str, Cow<'l, str>)>,
    ) -> bool {
        if self.name.eq_ignore_ascii_case("href") {
            return self.pattern.accepts(target);
        }
        let counted = if is_single(self.name) { 1 } else { usize::MAX };
        attributes
            .filter(|(name, _)| name.eq_ignore_ascii_case(self.name))
            .take(counted)
            .any(|(_, value)| self.accepts_value(&value))
    }

    /// Each word of a list is a value of its own; a list of no words still exists, which is all that `*`
    /// asks.
    fn accepts_value(&self, value: &str) -> bool {
        if !is_word_list(self.name) {
            return self.pattern.accepts(value);
        }
        let mut words = value.split(' ').filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none() {
            return self.pattern.accepts("");
        }
        words.any(|word| self.pattern.accepts(word))
    }
}
