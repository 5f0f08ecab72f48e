//! Paths of routes: `/led/{n}`, `/files/{*rest}`.

use coracle_wire::{OptionNumber, OptionsBuf};

/// A parsed route path: segments that must be equal, captures of one segment, and at the end perhaps a wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    /// `{name}`: any one segment.
    Capture(String),
    /// `{*name}`: one segment or more.
    Rest(String),
}

impl Pattern {
    /// The root, `/`.
    pub(crate) fn root() -> Pattern {
        Pattern {
            text: "/".into(),
            segments: Vec::new(),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Pattern, &'static str> {
        let path = text.strip_prefix('/').ok_or("a path begins with a slash")?;
        let segments = match path {
            "" => Vec::new(),
            path => path
                .split('/')
                .map(Segment::parse)
                .collect::<Result<Vec<_>, _>>()?,
        };
        Pattern {
            text: text.into(),
            segments,
        }
        .checked()
    }

    /// The path of a nested route: this one before that.
    pub(crate) fn join(&self, inner: &Pattern) -> Result<Pattern, &'static str> {
        let text = match (self.segments.is_empty(), inner.segments.is_empty()) {
            (true, _) => inner.text.clone(),
            (_, true) => self.text.clone(),
            _ => [self.text.as_str(), inner.text.as_str()].concat(),
        };
        Pattern {
            text,
            segments: [&self.segments[..], &inner.segments[..]].concat(),
        }
        .checked()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The percent-encoded path up to the first capture, for links; empty for the root.
    pub(crate) fn base(&self) -> String {
        let mut options = OptionsBuf::new();
        for segment in &self.segments {
            let Segment::Literal(text) = segment else { break };
            let _ = options.push_str(OptionNumber::LOCATION_PATH, text);
        }
        options
            .as_options()
            .location()
            .and_then(Result::ok)
            .unwrap_or_default()
    }

    /// Whether the path names one resource.
    pub(crate) fn is_literal(&self) -> bool {
        self.segments
            .iter()
            .all(|segment| matches!(segment, Segment::Literal(_)))
    }

    pub(crate) fn has_wildcard(&self) -> bool {
        matches!(self.segments.last(), Some(Segment::Rest(_)))
    }

    fn checked(self) -> Result<Pattern, &'static str> {
        let names: Vec<&str> = self.segments.iter().filter_map(Segment::name).collect();
        if names
            .iter()
            .enumerate()
            .any(|(at, name)| names.iter().skip(at + 1).any(|other| other == name))
        {
            return Err("two captures have the same name");
        }
        let last = self.segments.len().saturating_sub(1);
        if self
            .segments
            .iter()
            .take(last)
            .any(|segment| matches!(segment, Segment::Rest(_)))
        {
            return Err("a wildcard must be the last segment");
        }
        Ok(self)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Segment, &'static str> {
        if text.starts_with("{{") && text.ends_with("}}") {
            return Ok(Segment::Literal(
                text.get(1..text.len() - 1).unwrap_or(text).into(),
            ));
        }
        let capture = text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
        let (name, segment): (&str, fn(String) -> Segment) = match capture {
            None if text.contains(['{', '}']) => return Err("a capture is a whole segment, as in /led/{n}"),
            None => return Ok(Segment::Literal(text.into())),
            Some(inner) => match inner.strip_prefix('*') {
                Some(name) => (name, Segment::Rest),
                None => (inner, Segment::Capture),
            },
        };
        if name.is_empty() || name.contains(['{', '}', '*']) {
            return Err("a capture has a name, as in /led/{n}");
        }
        Ok(segment(name.into()))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Segment::Literal(_) => None,
            Segment::Capture(name) | Segment::Rest(name) => Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_literals_captures_and_a_wildcard_at_the_end() {
        let pattern = Pattern::parse("/a/{b}/{*c}").unwrap();
        let expected = [
            Segment::Literal("a".into()),
            Segment::Capture("b".into()),
            Segment::Rest("c".into()),
        ];
        assert_eq!(pattern.segments(), expected);
        assert_eq!(Pattern::parse("/").unwrap(), Pattern::root());
        assert_eq!(Pattern::parse("/a/").unwrap().segments().len(), 2);
        assert_eq!(
            Pattern::parse("/{{x}}").unwrap().segments(),
            [Segment::Literal("{x}".into())]
        );
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in [
            "", "a", "/{}", "/{*}", "/{*a}/b", "/{a}/{a}", "/x{a}", "/{a}x", "/{a{b}",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn joining_puts_one_path_before_the_other() {
        let join = |outer: &str, inner: &str| {
            let joined = Pattern::parse(outer)
                .unwrap()
                .join(&Pattern::parse(inner).unwrap());
            joined.map(|pattern| pattern.text().to_owned())
        };
        assert_eq!(join("/a/{b}", "/c").as_deref(), Ok("/a/{b}/c"));
        assert_eq!(join("/a", "/").as_deref(), Ok("/a"));
        assert_eq!(join("/", "/a").as_deref(), Ok("/a"));
        assert!(join("/{a}", "/{a}").is_err());
        assert!(join("/{*a}", "/b").is_err());
    }

    #[test]
    fn the_base_is_the_encoded_path_before_captures() {
        assert_eq!(Pattern::parse("/a b/ö/{c}").unwrap().base(), "/a%20b/%C3%B6");
        assert_eq!(Pattern::root().base(), "");
    }
}
