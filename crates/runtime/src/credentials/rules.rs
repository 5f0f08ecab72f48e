//! What a peer may do: methods on paths.

use std::fmt;

use coracle_wire::{Method, Options};

/// What may be done, one rule after another: what none of them allows is forbidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules(Vec<Rule>);

/// Methods on a path: `GET /sensors/*`, `PUT,POST /led/*`, `FETCH`, `/store/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// Any, if none is named.
    methods: Vec<Method>,
    path: Option<PathPattern>,
}

/// A path segment by segment. It ends with `**` if anything may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PathPattern {
    segments: Vec<Segment>,
    is_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any,
}

/// Why a rule cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleError {
    Empty,
    Method,
    Path,
    Rest,
    Dots,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Empty => "a rule names methods, a path or both: \"GET /sensors/*\"",
            RuleError::Method => {
                "expected a method such as GET, or several as in \"GET,PUT /led\"; paths begin with /"
            }
            RuleError::Path => "one path ends a rule, and begins with /: \"GET /sensors/*\"",
            RuleError::Rest => "`**` stands only at the end of a path, and `*` only for a whole segment",
            RuleError::Dots => "a path has no segments `.` and `..` (RFC 7252 §5.10.1)",
        })
    }
}

impl Rules {
    /// Adds a rule.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), RuleError> {
        self.0.push(Rule::parse(text)?);
        Ok(())
    }

    /// Whether a request may be run.
    pub(crate) fn allow(&self, method: Method, options: Options<'_>) -> bool {
        self.0.iter().any(|rule| rule.allows(method, options))
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Rule, RuleError> {
        let mut words = text.split_ascii_whitespace();
        let first = words.next().ok_or(RuleError::Empty)?;
        let (methods, path) = match first.starts_with('/') {
            true => (Vec::new(), Some(first)),
            false => (methods(first)?, words.next()),
        };
        if words.next().is_some() {
            return Err(RuleError::Path);
        }
        let path = path.map(PathPattern::parse).transpose()?;
        Ok(Rule { methods, path })
    }

    fn allows(&self, method: Method, options: Options<'_>) -> bool {
        (self.methods.is_empty() || self.methods.contains(&method))
            && self.path.as_ref().is_none_or(|path| path.matches(options.path()))
    }
}

fn methods(text: &str) -> Result<Vec<Method>, RuleError> {
    if text == "*" {
        return Ok(Vec::new());
    }
    let methods = text
        .split(',')
        .map(|name| name.parse().map_err(|_| RuleError::Method));
    methods.collect()
}

impl PathPattern {
    fn parse(text: &str) -> Result<PathPattern, RuleError> {
        let path = text.strip_prefix('/').ok_or(RuleError::Path)?;
        let (path, is_open) = match path.strip_suffix("**") {
            Some("") => ("", true),
            Some(before) => (before.strip_suffix('/').ok_or(RuleError::Rest)?, true),
            None => (path, false),
        };
        if path.is_empty() {
            return Ok(PathPattern {
                segments: Vec::new(),
                is_open,
            });
        }
        let segments = path.split('/').map(Segment::parse).collect::<Result<_, _>>()?;
        Ok(PathPattern { segments, is_open })
    }

    /// `path` in its segments, so that a slash within one is never taken for one between two.
    fn matches<'a>(&self, mut path: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
        // No such segments may be sent (RFC 7252 §5.10.1): somebody tries to be taken for somewhere else.
        if path.clone().any(|segment| matches!(segment, b"." | b"..")) {
            return false;
        }
        let begins = self
            .segments
            .iter()
            .all(|expected| match (expected, path.next()) {
                (Segment::Literal(text), Some(segment)) => text.as_bytes() == segment,
                (Segment::Any, Some(_)) => true,
                (_, None) => false,
            });
        begins && (self.is_open || path.next().is_none())
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Segment, RuleError> {
        match text {
            "*" => Ok(Segment::Any),
            "." | ".." => Err(RuleError::Dots),
            text if text.contains('*') => Err(RuleError::Rest),
            text => Ok(Segment::Literal(text.to_owned())),
        }
    }
}

/// Whether a text with `*`, which stands for anything, means this one.
pub(crate) fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(before) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        // The first place is as good as any: what follows may be anywhere behind it.
        let Some((_, behind)) = text.split_once(part) else {
            return false;
        };
        text = behind;
    }
    true
}

#[cfg(test)]
mod tests {
    use coracle_wire::{OptionNumber, OptionsBuf};

    use super::*;

    fn rules(texts: &[&str]) -> Rules {
        let mut rules = Rules::default();
        for text in texts {
            rules.add(text).unwrap();
        }
        rules
    }

    fn path(segments: &[&str]) -> OptionsBuf {
        let mut options = OptionsBuf::new();
        for segment in segments {
            options.push_str(OptionNumber::URI_PATH, segment).unwrap();
        }
        options
    }

    fn allows(texts: &[&str], method: Method, segments: &[&str]) -> bool {
        rules(texts).allow(method, path(segments).as_options())
    }

    #[test]
    fn a_rule_is_methods_on_a_path() {
        let led = ["GET,put /led/*"];
        assert!(allows(&led, Method::GET, &["led", "1"]));
        assert!(allows(&led, Method::PUT, &["led", "2"]));
        assert!(!allows(&led, Method::POST, &["led", "1"]));
        for other in [&["led"][..], &["led", "1", "x"], &["LED", "1"], &[]] {
            assert!(!allows(&led, Method::GET, other), "{other:?}");
        }
        assert!(allows(&["*  /a"], Method::DELETE, &["a"]));
        assert!(allows(&["/a"], Method::IPATCH, &["a"]));
        assert!(allows(&["GET"], Method::GET, &["any", "where"]));
        assert!(!allows(&["GET"], Method::PUT, &["any", "where"]));
        assert!(allows(&["/"], Method::GET, &[]) && !allows(&["/"], Method::GET, &["a"]));
    }

    #[test]
    fn two_stars_are_everything_below() {
        for open in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
            assert!(allows(&["/a/**"], Method::GET, open), "{open:?}");
        }
        assert!(!allows(&["/a/**"], Method::GET, &["b"]));
        assert!(allows(&["/**"], Method::GET, &[]) && allows(&["/**"], Method::GET, &["x", "y"]));
    }

    #[test]
    fn no_rules_allow_nothing_and_one_is_enough() {
        assert!(!allows(&[], Method::GET, &["a"]));
        assert!(allows(&["PUT /b", "GET /a"], Method::GET, &["a"]));
    }

    #[test]
    fn a_segment_is_never_taken_for_two_or_for_another_place() {
        assert!(!allows(&["/a/b"], Method::GET, &["a/b"]));
        assert!(!allows(&["/a/**"], Method::GET, &["a", "..", "secret"]));
        assert!(!allows(&["/a/*"], Method::GET, &["a", "."]));
        assert!(!allows(&["/a"], Method::GET, &["a", ""]));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, error) in [
            ("", RuleError::Empty),
            ("  ", RuleError::Empty),
            ("GTE /a", RuleError::Method),
            ("GET,", RuleError::Method),
            ("2.05 /a", RuleError::Method),
            ("GET a", RuleError::Path),
            ("GET /a /b", RuleError::Path),
            ("/a GET", RuleError::Path),
            ("/a**", RuleError::Rest),
            ("/a/**/b", RuleError::Rest),
            ("/a/x*", RuleError::Rest),
            ("/a/../b", RuleError::Dots),
        ] {
            assert_eq!(Rules::default().add(text), Err(error), "{text}");
        }
    }

    #[test]
    fn stars_stand_for_anything_in_names() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "abc"),
            ("a*", "a"),
            ("*.example", "dev-1.example"),
            ("dev-*.example", "dev-17.example"),
            ("a*b*c", "axxbyyc"),
            ("a*b*b", "abb"),
        ] {
            assert!(wildcard(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "b"),
            ("", "a"),
            ("a*", "ba"),
            ("*.example", "example"),
            ("a*b*c", "acb"),
            ("ab*ba", "aba"),
        ] {
            assert!(!wildcard(pattern, text), "{pattern} {text}");
        }
    }
}
