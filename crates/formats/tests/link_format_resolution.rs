//! The examples of RFC 3986 §5.4 and the corners that they leave out.

use coracle_formats::link_format::{ResolveError, resolve};

/// RFC 3986 §5.4.1 and §5.4.2; the last is the answer of strict parsers.
const EXAMPLES: [(&str, &str); 42] = [
    ("g:h", "g:h"),
    ("g", "http://a/b/c/g"),
    ("./g", "http://a/b/c/g"),
    ("g/", "http://a/b/c/g/"),
    ("/g", "http://a/g"),
    ("//g", "http://g"),
    ("?y", "http://a/b/c/d;p?y"),
    ("g?y", "http://a/b/c/g?y"),
    ("#s", "http://a/b/c/d;p?q#s"),
    ("g#s", "http://a/b/c/g#s"),
    ("g?y#s", "http://a/b/c/g?y#s"),
    (";x", "http://a/b/c/;x"),
    ("g;x", "http://a/b/c/g;x"),
    ("g;x?y#s", "http://a/b/c/g;x?y#s"),
    ("", "http://a/b/c/d;p?q"),
    (".", "http://a/b/c/"),
    ("./", "http://a/b/c/"),
    ("..", "http://a/b/"),
    ("../", "http://a/b/"),
    ("../g", "http://a/b/g"),
    ("../..", "http://a/"),
    ("../../", "http://a/"),
    ("../../g", "http://a/g"),
    ("../../../g", "http://a/g"),
    ("../../../../g", "http://a/g"),
    ("/./g", "http://a/g"),
    ("/../g", "http://a/g"),
    ("g.", "http://a/b/c/g."),
    (".g", "http://a/b/c/.g"),
    ("g..", "http://a/b/c/g.."),
    ("..g", "http://a/b/c/..g"),
    ("./../g", "http://a/b/g"),
    ("./g/.", "http://a/b/c/g/"),
    ("g/./h", "http://a/b/c/g/h"),
    ("g/../h", "http://a/b/c/h"),
    ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
    ("g;x=1/../y", "http://a/b/c/y"),
    ("g?y/./x", "http://a/b/c/g?y/./x"),
    ("g?y/../x", "http://a/b/c/g?y/../x"),
    ("g#s/./x", "http://a/b/c/g#s/./x"),
    ("g#s/../x", "http://a/b/c/g#s/../x"),
    ("http:g", "http:g"),
];

#[test]
fn references_resolve_as_in_rfc_3986() {
    for (reference, expected) in EXAMPLES {
        assert_eq!(
            resolve("http://a/b/c/d;p?q", reference).as_deref(),
            Ok(expected),
            "{reference:?}"
        );
    }
}

#[test]
fn a_base_without_path_is_a_root() {
    assert_eq!(resolve("coap://h", "x").as_deref(), Ok("coap://h/x"));
    assert_eq!(resolve("coap://h?q#f", "").as_deref(), Ok("coap://h?q"));
    assert_eq!(resolve("urn:a", "b").as_deref(), Ok("urn:b"));
}

#[test]
fn a_path_is_never_taken_for_an_authority() {
    assert_eq!(resolve("x:/a", "/.//b").as_deref(), Ok("x:/.//b"));
    assert_eq!(resolve("coap://h/a", "/.//b").as_deref(), Ok("coap://h//b"));
}

#[test]
fn a_relative_base_is_refused() {
    for base in ["", "/a", "//h/a", "1a:/b", ":x"] {
        assert_eq!(resolve(base, "/x"), Err(ResolveError::RelativeBase), "{base:?}");
    }
}
