//! From references to URIs (RFC 3986 §5, RFC 6690 §2.1).

use alloc::string::String;
use core::fmt;

/// A link between two URIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedLink {
    /// What the link points to.
    pub target: String,
    /// What the link says something about: its anchor, or else the origin of the target.
    pub context: String,
}

impl ResolvedLink {
    /// Target and anchor are resolved apart from each other (RFC 9176 appendix B.4).
    pub(super) fn new(base: &str, target: &str, anchor: Option<&str>) -> Result<Self, ResolveError> {
        let target = resolve(base, target)?;
        let context = match anchor {
            Some(anchor) => resolve(base, anchor)?,
            None => resolve(&target, "/")?,
        };
        Ok(ResolvedLink { target, context })
    }
}

/// Resolves a URI reference against the URI `base` (RFC 3986 §5.2.2, strict).
///
/// The result is at most three bytes longer than both together. Characters are copied as they are: nothing is
/// decoded, and what is no valid URI reference gives a text that is no valid URI.
///
/// # Errors
/// If `base` has no scheme.
pub fn resolve(base: &str, reference: &str) -> Result<String, ResolveError> {
    let base = Parts::split(base);
    let Some(base_scheme) = base.scheme else {
        return Err(ResolveError::RelativeBase);
    };
    let reference = Parts::split(reference);
    let mut out = String::new();
    out.push_str(reference.scheme.unwrap_or(base_scheme));
    out.push(':');
    let whole = reference.scheme.is_some() || reference.authority.is_some();
    let authority = if whole {
        reference.authority
    } else {
        base.authority
    };
    if let Some(authority) = authority {
        out.push_str("//");
        out.push_str(authority);
    }
    let inherits_path = !whole && reference.path.is_empty();
    if inherits_path {
        out.push_str(base.path);
    } else {
        let merged = if whole || reference.path.starts_with('/') {
            String::from(reference.path)
        } else {
            base.merge(reference.path)
        };
        push_path(&mut out, &merged, authority.is_some());
    }
    let inherited_query = if inherits_path { base.query } else { None };
    push_part(&mut out, '?', reference.query.or(inherited_query));
    push_part(&mut out, '#', reference.fragment);
    Ok(out)
}

fn push_part(out: &mut String, mark: char, part: Option<&str>) {
    if let Some(part) = part {
        out.push(mark);
        out.push_str(part);
    }
}

/// Appends `path` without its dot segments (RFC 3986 §5.2.4).
fn push_path(out: &mut String, path: &str, has_authority: bool) {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("../").or_else(|| rest.strip_prefix("./")) {
            rest = after;
        } else if rest.starts_with("/./") || rest == "/." {
            rest = after_dots(rest, "/.");
        } else if rest.starts_with("/../") || rest == "/.." {
            rest = after_dots(rest, "/..");
            plain.truncate(plain.rfind('/').unwrap_or(0));
        } else if rest == "." || rest == ".." {
            rest = "";
        } else {
            rest = move_segment(rest, &mut plain);
        }
    }
    if !has_authority && plain.starts_with("//") {
        // RFC 3986 §3.3: without an authority two slashes at the front would be read as one.
        out.push_str("/.");
    }
    out.push_str(&plain);
}

/// What follows `dots` at the front of `rest`: a path that begins with a slash.
fn after_dots<'a>(rest: &'a str, dots: &str) -> &'a str {
    match rest.strip_prefix(dots) {
        Some(after) if !after.is_empty() => after,
        _ => "/",
    }
}

/// Moves the first segment, with the slash before it, to `plain`; gives what is left.
fn move_segment<'a>(rest: &'a str, plain: &mut String) -> &'a str {
    let slash_at = |text: &str| text.find('/').unwrap_or(text.len());
    let end = match rest.strip_prefix('/') {
        Some(after) => slash_at(after) + 1,
        None => slash_at(rest),
    };
    let (segment, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
    plain.push_str(segment);
    rest
}

/// The components of a URI reference (RFC 3986 appendix B).
struct Parts<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Self {
        let (text, fragment) = split_off(text, '#');
        let (text, query) = split_off(text, '?');
        let (scheme, text) = match text.split_once(':') {
            Some((scheme, after)) if is_scheme(scheme) => (Some(scheme), after),
            _ => (None, text),
        };
        let (authority, path) = match text.strip_prefix("//") {
            Some(after) => {
                let end = after.find('/').unwrap_or(after.len());
                let (authority, path) = after.split_at_checked(end).unwrap_or((after, ""));
                (Some(authority), path)
            }
            None => (None, text),
        };
        Parts {
            scheme,
            authority,
            path,
            query,
            fragment,
        }
    }

    /// RFC 3986 §5.2.3.
    fn merge(&self, path: &str) -> String {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, _)) => Some(folder),
            None if self.authority.is_some() => Some(""),
            None => None,
        };
        let mut merged = String::with_capacity(self.path.len() + path.len() + 1);
        if let Some(folder) = folder {
            merged.push_str(folder);
            merged.push('/');
        }
        merged.push_str(path);
        merged
    }
}

fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
}

/// Why a reference cannot be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// The base is itself a relative reference.
    RelativeBase,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the base of a reference must be a URI with a scheme")
    }
}

impl core::error::Error for ResolveError {}
