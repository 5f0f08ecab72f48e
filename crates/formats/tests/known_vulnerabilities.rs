//! What other stacks were brought down by, as link-format: each class with the reaction that it gets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::string_slice,
    reason = "helpers of tests"
)]

use std::fmt;

use coracle_formats::link_format::{
    Filter, Link, LinkWriter, Links, ParseErrorKind, WriteError, resolve, write_links,
};

/// Parsing overruns: the text ends within each of its parts.
#[test]
fn a_text_that_ends_early_is_not_read_past_its_end() {
    use ParseErrorKind::{
        ExpectedName, ExpectedTarget, ExpectedValue, UnterminatedString, UnterminatedTarget,
    };
    for (text, kind) in [
        ("<", UnterminatedTarget),
        ("</a", UnterminatedTarget),
        ("</a>;", ExpectedName),
        ("</a>;rt=", ExpectedValue),
        ("</a>;rt=\"", UnterminatedString),
        ("</a>;rt=\"x\\", UnterminatedString),
        ("</a>;rt=\"x\\\"", UnterminatedString),
        ("</a>,", ExpectedTarget),
    ] {
        let error = Links::parse(text).expect_err(text);
        assert_eq!((error.kind, error.offset), (kind, text.len()), "{text}");
    }
}

/// The same at each place of a list: what is cut off is refused, or is a shorter list with the same beginning.
#[test]
fn a_list_that_is_cut_off_is_refused_or_shorter() {
    let text = "</s>;ct=40;title=\"Sensor \\\"1\\\" é\",</t>;rt=\"a b\";obs,<//h/x>;anchor=\"/y\"";
    let whole: Vec<Link> = Links::parse(text).unwrap().iter().map(Link::from).collect();
    let mut read = 0;
    for len in (0..text.len()).filter(|len| text.is_char_boundary(*len)) {
        match Links::from_bytes(&text.as_bytes()[..len]) {
            Ok(links) => {
                assert!(links.iter().count() <= whole.len());
                assert!(
                    links
                        .iter()
                        .zip(&whole)
                        .all(|(link, whole)| link.target() == whole.target())
                );
                read += 1;
            }
            Err(error) => assert!(error.offset <= len, "{error}"),
        }
    }
    assert!((10..text.len() - 10).contains(&read), "{read}");
    // Within a character.
    let at = text.find('é').unwrap() + 1;
    let error = Links::from_bytes(&text.as_bytes()[..at]).unwrap_err();
    assert_eq!((error.kind, error.offset), (ParseErrorKind::NotUtf8, at - 1));
}

/// Entries that are longer than any buffer, and lists of very many: whole, none dropped.
#[test]
fn a_long_list_of_long_links_is_read_whole() {
    let long = "x".repeat(100_000);
    let text = format!("</{long}>;title=\"{long}\";{long}");
    let links = Links::parse(&text).unwrap();
    let link = links.iter().next().unwrap();
    assert_eq!(link.target().len(), 100_001);
    assert_eq!(link.value("title").map(|title| title.len()), Some(100_000));
    assert!(link.has(&long));

    let many = vec!["</a>;rt=b"; 50_000].join(",");
    let links = Links::parse(&many).unwrap();
    assert_eq!(links.iter().count(), 50_000);
    let many = format!("</a>{}", ";rt=b".repeat(50_000));
    let links = Links::parse(&many).unwrap();
    assert_eq!(links.iter().next().unwrap().attributes().count(), 50_000);
}

/// Nesting that is none: brackets, quotes and escapes by the thousand need no stack.
#[test]
fn nothing_in_link_format_nests() {
    for (text, kind) in [
        ("<".repeat(100_000), ParseErrorKind::TargetCharacter),
        (
            format!("</a>;t=\"{}", "\\\"".repeat(100_000)),
            ParseErrorKind::UnterminatedString,
        ),
        (
            format!("</a>{}", ",".repeat(100_000)),
            ParseErrorKind::ExpectedTarget,
        ),
    ] {
        assert_eq!(Links::parse(&text).unwrap_err().kind, kind);
    }
}

/// Queries that are longer than what they filter: they match nothing, or what begins like them.
#[test]
fn a_query_may_be_longer_than_all_links() {
    let long = "a".repeat(65_804);
    let link = Link::new("/a").attr("rt", "a");
    for query in [
        format!("rt={long}"),
        format!("rt={long}*"),
        format!("{long}=a"),
        long.clone(),
    ] {
        assert!(!link.matches(&Filter::parse(&query)));
    }
    assert!(
        Link::new("/")
            .attr("rt", &long)
            .matches(&Filter::parse(&format!("rt={long}")))
    );
}

/// References that climb out, or that grow: the origin stays what it was, and the result is bounded.
#[test]
fn a_reference_does_not_climb_out_of_its_origin() {
    let up = "../".repeat(20_000);
    assert_eq!(
        resolve("coap://h/a/b", &format!("{up}x")).as_deref(),
        Ok("coap://h/x")
    );
    assert_eq!(
        resolve("coap://h", &format!("/{up}/../x")).as_deref(),
        Ok("coap://h/x")
    );
    let mut uri = String::from("coap://h/a/");
    for _ in 0..100 {
        uri = resolve(&uri, "./../a/.//").unwrap();
        assert!(uri.len() < 320, "{uri}");
    }
}

/// A buffer of so many bytes.
struct Bounded {
    text: String,
    room: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.room = self.room.checked_sub(text.len()).ok_or(fmt::Error)?;
        self.text.push_str(text);
        Ok(())
    }
}

/// Overflow when a list is written: a buffer that is too small is told, and gets no more than it holds.
#[test]
fn a_list_is_not_written_past_its_buffer() {
    let links = [Link::new("/sensors/temp").attr("rt", "temperature-c").flag("obs")];
    let whole = write_links(&links).unwrap();
    for room in 0..=whole.len() {
        let text = String::new();
        let mut writer = LinkWriter::new(Bounded { text, room });
        let written = writer
            .link("/sensors/temp")
            .and_then(|writer| writer.attr("rt", "temperature-c"))
            .and_then(|writer| writer.flag("obs"))
            .map(drop);
        let fits = room == whole.len();
        assert_eq!(written, if fits { Ok(()) } else { Err(WriteError::Output) });
        let text = writer.into_inner().text;
        assert!(text.len() <= room && whole.starts_with(&text));
    }
}
