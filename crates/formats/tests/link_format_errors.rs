//! What is refused, with its place; and what is let through although it is unusual.

use coracle_formats::link_format::ParseErrorKind::{self, *};
use coracle_formats::link_format::{Link, LinkWriter, Links, ParseError, WriteError, write_links};

#[track_caller]
fn refused(text: &str, kind: ParseErrorKind, offset: usize) {
    assert_eq!(Links::parse(text), Err(ParseError { kind, offset }), "{text:?}");
}

#[test]
fn a_broken_text_is_refused_where_it_breaks() {
    refused("x", ExpectedTarget, 0);
    refused("</a>,", ExpectedTarget, 5);
    refused("</a>,,</b>", ExpectedTarget, 5);
    refused("</a", UnterminatedTarget, 3);
    refused("</a b>", TargetCharacter, 3);
    refused("</a\u{7f}>", TargetCharacter, 3);
    refused("<</a>", TargetCharacter, 1);
    refused("</a>;", ExpectedName, 5);
    refused("</a>;=1", ExpectedName, 5);
    refused("</a>;;rt=x", ExpectedName, 5);
    refused("</a>;rt=", ExpectedValue, 8);
    refused("</a>;rt=,</b>", ExpectedValue, 8);
    refused("</a>;rt=é", ExpectedValue, 8);
    refused("</a>;rt=\"x", UnterminatedString, 10);
    refused("</a>;rt=\"x\\\"", UnterminatedString, 12);
    refused("</a>;rt=\"x\ny\"", StringCharacter, 10);
    refused("</a>;rt=\"x\\\0y\"", StringCharacter, 11);
    refused("</a>;rt=\"x\"y", ExpectedSeparator, 11);
    refused("</a>;ct=0 41", ExpectedSeparator, 10);
    refused("</a></b>", ExpectedSeparator, 4);
    refused("</ö>/", ExpectedSeparator, 5);
}

#[test]
fn bytes_that_are_no_utf8_are_refused_where_they_begin() {
    let error = Links::from_bytes(b"</a>;t=\"\xff\"").unwrap_err();
    assert_eq!(
        error,
        ParseError {
            kind: NotUtf8,
            offset: 8
        }
    );
    assert_eq!(error.to_string(), "link-format payload is not UTF-8 at byte 8");
    assert_eq!(
        Links::from_bytes(b"</a>").map(|links| links.iter().count()),
        Ok(1)
    );
}

#[test]
fn unusual_texts_are_links_all_the_same() {
    for (text, count) in [
        ("", 0),
        (" \r\n", 0),
        ("<>", 1),
        ("</temperature/Malmö>;rel=live-environment-data", 1),
        ("</a> ; rt = x ,\t</b>;obs , </c>", 3),
        ("</a>;obs ;rt=\"\";x=<=>", 1),
    ] {
        assert_eq!(
            Links::parse(text).map(|links| links.iter().count()),
            Ok(count),
            "{text:?}"
        );
    }
    let link = Links::parse("</a> ; rt = x\t;obs ")
        .unwrap()
        .iter()
        .next()
        .unwrap();
    assert_eq!(link.value("rt").as_deref(), Some("x"));
    assert!(link.has("obs"));
    assert_eq!(link.value("obs"), None);
}

#[test]
fn what_link_format_cannot_say_is_not_written() {
    let error = |link: Link| {
        assert_eq!(link.check(), write_links([&link]).map(drop));
        link.check().unwrap_err()
    };
    assert_eq!(error(Link::new("/a b")), WriteError::Target);
    assert_eq!(error(Link::new("/a>;x=\"")), WriteError::Target);
    assert_eq!(error(Link::new("/a").attr("", "x")), WriteError::Name);
    assert_eq!(error(Link::new("/a").attr("r t", "x")), WriteError::Name);
    assert_eq!(error(Link::new("/a").attr("Href", "/b")), WriteError::Name);
    assert_eq!(error(Link::new("/a").flag("x=y")), WriteError::Name);
    assert_eq!(error(Link::new("/a").attr("title", "a\nb")), WriteError::Value);
    assert_eq!(error(Link::new("/a").attr("sz", "1 2")), WriteError::Value);
    assert_eq!(error(Link::new("/a").attr("title*", "")), WriteError::Value);
}

#[test]
fn a_refused_attribute_leaves_the_text_as_it_was() {
    let mut writer = LinkWriter::new(String::new());
    assert_eq!(writer.attr("rt", "x").err(), Some(WriteError::NoLink));
    assert_eq!(writer.flag("obs").err(), Some(WriteError::NoLink));
    writer.link("/a").unwrap();
    assert_eq!(writer.attr("title", "\0").err(), Some(WriteError::Value));
    assert_eq!(writer.link("/ ").err(), Some(WriteError::Target));
    writer.flag("obs").unwrap();
    assert_eq!(writer.into_inner(), "</a>;obs");
}

#[test]
fn giving_an_attribute_again_adds_a_word_replaces_or_repeats() {
    let link = Link::new("/a")
        .attr("rt", "one")
        .attr("rt", "two")
        .attr("ct", "0")
        .attr("ct", "41")
        .attr("title", "old")
        .attr("title", "new")
        .attr("x", "1")
        .attr("x", "2")
        .flag("obs")
        .flag("obs");
    let text = r#"</a>;rt="one two";ct="0 41";title="new";x=1;x=2;obs"#;
    assert_eq!(write_links([&link]).unwrap(), text);
}
