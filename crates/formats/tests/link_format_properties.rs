//! What holds for every text and every link.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fuzzed;

use coracle_formats::link_format::{Link, Links, resolve, write_links};
use proptest::prelude::*;

/// Text that is close to the grammar, so that the parser gets past its first character.
fn nearly_links() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<"),
        Just(">"),
        Just(";"),
        Just(","),
        Just("="),
        Just("\""),
        Just("\\"),
        Just(" "),
        Just("\n"),
        Just("/a"),
        Just("rt"),
        Just("title*"),
        Just("40"),
        Just("é"),
        Just("\0"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn link() -> impl Strategy<Value = Link> {
    let name = prop_oneof![
        Just("rt"),
        Just("ct"),
        Just("title"),
        Just("anchor"),
        Just("x-y"),
        Just("d.1")
    ];
    let value = r#"[ -~\tà-ÿ]{0,12}"#;
    let quoted = (name, value).prop_map(|(name, value)| (name, Some(value)));
    let token = (
        prop_oneof![Just("sz"), Just("title*")],
        r"[!#-+\--:<-\[\]-~]{1,8}",
    );
    let token = token.prop_map(|(name, value)| (name, Some(value)));
    let flag = Just(("obs", None::<String>));
    let attributes = prop::collection::vec(prop_oneof![quoted, token, flag], 0..6);
    (r"[!#-;=?-~à-ÿ]{0,20}", attributes).prop_map(|(target, attributes)| {
        attributes
            .into_iter()
            .fold(Link::new(target), |link, (name, value)| match value {
                Some(value) => link.attr(name, value),
                None => link.flag(name),
            })
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzzed::run(&bytes);
    }

    #[test]
    fn no_text_makes_reading_panic(text in any::<String>(), query in any::<String>()) {
        fuzzed::run(format!("{text}\0{query}").as_bytes());
    }

    #[test]
    fn no_text_like_links_makes_reading_panic(
        text in nearly_links(),
        query in "(rt|title|href)(=[/a40]{0,3}\\*?)?",
    ) {
        fuzzed::run(format!("{text}\0{query}").as_bytes());
    }

    #[test]
    fn no_reference_makes_resolving_panic(
        reference in "([a-z]{0,3}:)?(//[a-z0-9.:\\[\\]]{0,8})?[./a-z]{0,12}(\\?[a-z./]{0,4})?(#[a-z./]{0,4})?",
        base in "[a-z]{0,3}:(//[a-z]{0,3})?[./a-z]{0,8}(\\?[a-z]{0,3})?",
    ) {
        fuzzed::run(format!("{reference}\0\0{base}").as_bytes());
        fuzzed::run(format!("<{reference}>;anchor=\"{reference}\"\0\0{base}").as_bytes());
    }

    #[test]
    fn what_is_written_reads_back(links in prop::collection::vec(link(), 0..5)) {
        let text = write_links(&links).unwrap();
        let again: Vec<Link> = Links::parse(&text).unwrap().iter().map(Link::from).collect();
        prop_assert_eq!(again, links);
    }

    #[test]
    fn a_resolved_reference_has_no_dot_segments(path in "(\\.{0,3}/?|a/?|/){0,12}") {
        prop_assume!(!path.starts_with("//") && !path.is_empty());
        let uri = resolve("coap://h/b/c", &path).unwrap();
        let path = uri.strip_prefix("coap://h/").unwrap();
        prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{}", uri);
    }

    #[test]
    fn resolving_never_panics_and_stays_small(base in "\\PC{0,30}", reference in any::<String>()) {
        let base = format!("x:{base}");
        let uri = resolve(&base, &reference).unwrap();
        prop_assert!(uri.len() <= base.len() + reference.len() + 3);
    }
}
