//! Any text is read or refused; what was read is written so that it reads the same.
#![no_main]

use coracle_formats::link_format::{Filter, Link, Links, resolve, write_links};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let text = match Links::from_bytes(payload) {
        Ok(links) => links,
        Err(error) => return drop(error.to_string()),
    };
    let mut owned = Vec::new();
    for link in text.iter() {
        let mut copy = Link::new(link.target());
        for attribute in link.attributes() {
            copy = match attribute.value {
                Some(value) => copy.attr(attribute.name, value.to_str()),
                None => copy.flag(attribute.name),
            };
        }
        let filter = Filter::parse(link.target());
        assert_eq!(link.matches(&filter), copy.matches(&filter));
        let _ = link.resolve("coap://[2001:db8::1]/a/b?c");
        let _ = resolve("coap://host/x/y", link.target());
        owned.push(copy);
    }
    // What the grammar lets in and our writer does not write is refused, not written wrongly.
    let Ok(written) = write_links(&owned) else { return };
    let again = Links::parse(&written).expect("what was written can be read");
    assert_eq!(again.iter().count(), owned.len());
    for (read, wrote) in again.iter().zip(&owned) {
        assert_eq!(read.target(), wrote.target());
        let values = read
            .attributes()
            .map(|attribute| attribute.value.map(|value| value.to_str().into_owned()));
        let wanted = wrote.attributes().map(|(_, value)| value.map(str::to_owned));
        assert!(values.eq(wanted), "{written}");
    }
});
