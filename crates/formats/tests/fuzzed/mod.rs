//! What holds for any payload that should be link-format: the body of a property test and of the fuzz target
//! `link_format`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use coracle_formats::link_format::{Filter, Link, Links, resolve, write_links};

/// Up to the first zero byte, which no link-format holds, the bytes are the payload; then come a query and a base,
/// with another such byte between them.
pub(crate) fn run(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let payload = parts.next().unwrap_or_default();
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let query = text().unwrap_or("rt=a*");
    let base = text().unwrap_or("coap://[2001:db8::1]/a/b?c");
    read(payload, query, base);
    if let Ok(reference) = std::str::from_utf8(payload) {
        resolves_once(base, reference);
    }
}

fn read(payload: &[u8], query: &str, base: &str) {
    let links = match Links::from_bytes(payload) {
        Ok(links) => links,
        Err(error) => {
            assert!(error.offset <= payload.len(), "{error}");
            let text = std::str::from_utf8(payload).unwrap_or_default();
            assert!(text.is_empty() || text.is_char_boundary(error.offset), "{error}");
            return assert!(!error.to_string().is_empty());
        }
    };
    let filters = [query, "*", "href=*", "obs"].map(Filter::parse);
    let mut owned = Vec::new();
    for link in links {
        let copy = Link::from(link);
        assert_eq!(copy.attributes().count(), link.attributes().count());
        for filter in &filters {
            assert_eq!(link.matches(filter), copy.matches(filter));
        }
        assert!(link.matches(&Filter::parse("href=*")));
        for attribute in link.attributes() {
            let first = link.get(attribute.name).expect("it is there");
            assert!(first.is(attribute.name) && link.has(attribute.name));
        }
        let _ = link.resolve(base);
        resolves_once(base, link.target());
        owned.push(copy);
    }
    reads_back(&owned);
}

/// What the grammar lets in and our writer does not write is refused, not written wrongly.
fn reads_back(links: &[Link]) {
    let writable = links.iter().all(|link| link.check().is_ok());
    let written = write_links(links);
    assert_eq!(written.is_ok(), writable);
    let Ok(written) = written else { return };
    let again: Vec<Link> = Links::parse(&written)
        .expect("it can be read")
        .iter()
        .map(Link::from)
        .collect();
    assert_eq!(again, links, "{written}");
    assert_eq!(write_links(&again).as_deref(), Ok(written.as_str()));
}

/// A resolved reference is a URI with a scheme, which stays as it is whatever it is resolved against. An empty
/// reference takes the path of its base as it is (RFC 3986 §5.2.2), so that the base has to be free of dots.
fn resolves_once(base: &str, reference: &str) {
    let Ok(base) = resolve(base, base) else { return };
    let uri = resolve(&base, reference).expect("the base has a scheme");
    assert!(uri.len() <= base.len() + reference.len() + 3);
    assert_eq!(resolve("coap://other/x/y", &uri).as_deref(), Ok(uri.as_str()));
}
