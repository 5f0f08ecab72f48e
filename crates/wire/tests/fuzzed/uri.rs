//! What holds for any text that should be a URI, and for any options that should become one: the body of a property
//! test and of the fuzz target `uri`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::net::SocketAddr;

use coracle_wire::{Host, OptionNumber, Options, OptionsBuf, Scheme, Uri};

/// The bytes are taken for a text, and for encoded options.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
    if let Ok(options) = Options::parse(bytes) {
        compose(options);
    }
}

fn read(text: &str) {
    let uri = match Uri::parse(text) {
        Ok(uri) => uri,
        Err(error) => {
            assert!(text.is_char_boundary(error.offset), "{error}");
            return assert!(!error.to_string().is_empty());
        }
    };
    let shown = uri.to_string();
    assert_eq!(Uri::parse(&shown), Ok(uri));
    let Ok(options) = uri.to_options() else { return };
    are_sendable(options.as_options());
    survive_the_way_back(&uri, &options);

    let elsewhere: SocketAddr = ([192, 0, 2, 1], 61616).into();
    let Ok(via) = uri.to_options_via(elsewhere) else {
        return;
    };
    are_sendable(via.as_options());
    // Host and port are among the options now, whatever the destination.
    assert!(via.contains(OptionNumber::URI_HOST) || uri.host.ip() == Some(elsewhere.ip()));
    assert!(via.contains(OptionNumber::URI_PORT) || uri.port_or_default() == elsewhere.port());
}

/// RFC 7252 §5.10.1: no component beyond 255 bytes, all of them UTF-8, no dot segments.
fn are_sendable(options: Options<'_>) {
    for option in options {
        assert!(option.value.len() <= 255, "{option}");
        assert!(option.number == OptionNumber::URI_PORT || std::str::from_utf8(option.value).is_ok());
        assert!(option.number != OptionNumber::URI_PATH || !matches!(option.value, b"." | b".."));
    }
}

/// The URI that options give is in normal form, and names the same resource (RFC 7252 §6.4, §6.5).
fn survive_the_way_back(uri: &Uri<'_>, options: &OptionsBuf) {
    let Ok(normal) = Uri::from_options(uri.scheme, uri.host, uri.port_or_default(), options.as_options())
    else {
        // A name that decodes to brackets, which no URI has outside of an address.
        return assert!(matches!(uri.host, Host::Name(name) if name.contains('%')));
    };
    let again = Uri::parse(&normal).expect("what was composed can be read");
    assert_eq!(
        (again.scheme, again.port_or_default()),
        (uri.scheme, uri.port_or_default())
    );
    let options_again = again.to_options().expect("they were options before");
    let mut expected = options.clone();
    if let Some(name) = options.get_str(OptionNumber::URI_HOST) {
        // A name may decode to the digits of an address, or to letters that are not small (RFC 7252 §6.4 step 5).
        expected.remove(OptionNumber::URI_HOST);
        if again.host.ip().is_none() {
            expected
                .push_str(OptionNumber::URI_HOST, &name.to_ascii_lowercase())
                .unwrap();
        }
    }
    assert_eq!(options_again, expected, "{normal}");
    let normal_again = Uri::from_options(
        again.scheme,
        again.host,
        again.port_or_default(),
        options_again.as_options(),
    );
    assert_eq!(normal_again.as_ref(), Ok(&normal));
}

fn compose(options: Options<'_>) {
    for (scheme, host) in [
        (Scheme::Coap, Host::Name("host")),
        (Scheme::CoapsWs, Host::Ipv4([192, 0, 2, 1].into())),
    ] {
        match Uri::from_options(scheme, host, 5683, options) {
            Ok(text) => is_the_uri_of(&text, options),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    match options.location() {
        Some(Ok(location)) => {
            let text = format!("coap://host{location}");
            Uri::parse(&text).expect("what was composed can be read");
        }
        Some(Err(error)) => assert!(!error.to_string().is_empty()),
        None => assert!(!options.contains(OptionNumber::LOCATION_PATH)),
    }
}

fn is_the_uri_of(text: &str, options: Options<'_>) {
    let uri = Uri::parse(text).expect("what was composed can be read");
    if let Some(port) = options.get_uint(OptionNumber::URI_PORT) {
        assert_eq!(u64::from(uri.port_or_default()), port);
    }
    let Ok(again) = uri.to_options() else {
        // Only a component that is longer than it may be is composed and cannot be sent.
        return assert!(options.iter().any(|option| option.value.len() > 255));
    };
    let path: Vec<&[u8]> = options.path().collect();
    let is_root = path == [b""];
    assert!(is_root || again.as_options().path().eq(path), "{text}");
    assert!(again.as_options().queries().eq(options.queries()), "{text}");
}
