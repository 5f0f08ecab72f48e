//! URIs: RFC 7252 §6 and appendix B, RFC 3986 §5.4, RFC 8323 §8.
#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use core::net::SocketAddr;

use coracle_wire::{Host, OptionNumber, Options, OptionsBuf, Scheme, Uri, UriError, UriErrorKind};

fn options(values: &[(OptionNumber, &str)]) -> OptionsBuf {
    let mut options = OptionsBuf::new();
    for (number, value) in values {
        options.push_str(*number, value).unwrap();
    }
    options
}

#[track_caller]
fn path(uri: &str) -> Vec<String> {
    let options = Uri::parse(uri).unwrap().to_options().unwrap();
    options
        .as_options()
        .path()
        .map(|segment| String::from_utf8(segment.to_vec()).unwrap())
        .collect()
}

#[track_caller]
fn refused(uri: &str) -> UriErrorKind {
    match Uri::parse(uri).and_then(|parsed| parsed.to_options()) {
        Ok(options) => panic!("{uri} was accepted: {options:?}"),
        Err(error) => error.kind,
    }
}

#[test]
fn appendix_b_composes_and_decomposes() {
    const HOST: OptionNumber = OptionNumber::URI_HOST;
    const PATH: OptionNumber = OptionNumber::URI_PATH;
    const QUERY: OptionNumber = OptionNumber::URI_QUERY;
    type Example = (
        &'static str,
        &'static [(OptionNumber, &'static str)],
        &'static str,
    );
    let cases: [Example; 5] = [
        ("[2001:db8::2:1]:5683", &[], "coap://[2001:db8::2:1]/"),
        (
            "[2001:db8::2:1]:5683",
            &[(HOST, "example.net")],
            "coap://example.net/",
        ),
        (
            "[2001:db8::2:1]:5683",
            &[(HOST, "example.net"), (PATH, ".well-known"), (PATH, "core")],
            "coap://example.net/.well-known/core",
        ),
        (
            "[2001:db8::2:1]:5683",
            &[(HOST, "xn--18j4d.example"), (PATH, "こんにちは")],
            "coap://xn--18j4d.example/%E3%81%93%E3%82%93%E3%81%AB%E3%81%A1%E3%81%AF",
        ),
        (
            "198.51.100.1:61616",
            &[
                (PATH, ""),
                (PATH, "/"),
                (PATH, ""),
                (PATH, ""),
                (QUERY, "//"),
                (QUERY, "?&"),
            ],
            "coap://198.51.100.1:61616//%2F//?%2F%2F&?%26",
        ),
    ];
    for (destination, values, uri) in cases {
        let destination: SocketAddr = destination.parse().unwrap();
        let expected = options(values);
        let parsed = Uri::parse(uri).unwrap();
        assert_eq!(parsed.to_options_via(destination).unwrap(), expected, "{uri}");
        assert_eq!(parsed.to_options().unwrap(), expected, "{uri}");
        let host = Host::from(destination.ip());
        let composed = Uri::from_options(Scheme::Coap, host, destination.port(), expected.as_options());
        // RFC 7252 §6.5 step 8 leaves the slash of a query as it is, though its own example encodes it.
        assert_eq!(composed.unwrap(), uri.replace("?%2F%2F&", "?//&"));
    }
}

#[test]
fn equivalent_uris_give_equal_options() {
    // RFC 7252 §6.3.
    for uri in [
        "coap://example.com:5683/~sensors/temp.xml",
        "coap://EXAMPLE.com/%7Esensors/temp.xml",
        "coap://EXAMPLE.com:/%7esensors/temp.xml",
        "COAP://example.com/a/../~sensors/./temp.xml",
    ] {
        let found = Uri::parse(uri).unwrap().to_options().unwrap();
        let expected = options(&[
            (OptionNumber::URI_HOST, "example.com"),
            (OptionNumber::URI_PATH, "~sensors"),
            (OptionNumber::URI_PATH, "temp.xml"),
        ]);
        assert_eq!(found, expected, "{uri}");
    }
}

#[test]
fn dot_segments_are_resolved() {
    assert_eq!(path("coap://h"), [""; 0]);
    assert_eq!(path("coap://h/"), [""; 0]);
    assert_eq!(path("coap://h//"), ["", ""]);
    assert_eq!(path("coap://h/a/"), ["a", ""]);
    assert_eq!(path("coap://h/a/b/c/./../../g"), ["a", "g"]);
    assert_eq!(path("coap://h/a/b/."), ["a", "b", ""]);
    assert_eq!(path("coap://h/a/b/.."), ["a", ""]);
    assert_eq!(path("coap://h/a/.."), [""; 0]);
    assert_eq!(path("coap://h/../../a"), ["a"]);
    assert_eq!(path("coap://h/a//../b"), ["a", "b"]);
    assert_eq!(path("coap://h/%2e%2E/a/%2e"), ["a", ""]);
    assert_eq!(path("coap://h/..a/.../b.."), ["..a", "...", "b.."]);
    assert_eq!(path("coap://h/%2F..%2F"), ["/../"]);
}

#[test]
fn every_scheme_has_its_port() {
    let cases = [
        ("coap", Scheme::Coap, 5683, false),
        ("coaps", Scheme::Coaps, 5684, true),
        ("coap+tcp", Scheme::CoapTcp, 5683, false),
        ("coaps+tcp", Scheme::CoapsTcp, 5684, true),
        ("coap+ws", Scheme::CoapWs, 80, false),
        ("coaps+ws", Scheme::CoapsWs, 443, true),
    ];
    for (text, scheme, port, secure) in cases {
        let uri = format!("{text}://h/");
        let parsed = Uri::parse(&uri).unwrap();
        assert_eq!(
            (parsed.scheme, parsed.port, parsed.port_or_default()),
            (scheme, None, port)
        );
        assert_eq!(scheme.is_secure(), secure);
        let host = Host::Name("h");
        assert_eq!(
            Uri::from_options(scheme, host, port, Options::empty()).unwrap(),
            uri
        );
    }
}

#[test]
fn uris_of_reliable_transports_become_options_as_others_do() {
    // RFC 8323 figures 15 and 16; Uri-Host is there as RFC 7252 §6.4 step 5 has it, which RFC 8323 §8.6 keeps.
    let expected = options(&[
        (OptionNumber::URI_HOST, "example.org"),
        (OptionNumber::URI_PATH, "sensors"),
        (OptionNumber::URI_PATH, "temperature"),
        (OptionNumber::URI_QUERY, "u=Cel"),
    ]);
    for uri in [
        "coap+ws://example.org/sensors/temperature?u=Cel",
        "coaps+ws://example.org:443/sensors/temperature?u=Cel",
        "coap+tcp://EXAMPLE.org:/sensors/./temperature?u=Cel",
        "COAPS+TCP://example.org/sensors/temper%61ture?u=Cel",
    ] {
        let parsed = Uri::parse(uri).unwrap();
        assert_eq!(parsed.to_options().unwrap(), expected, "{uri}");
        let port = parsed.scheme.default_port();
        let destination = SocketAddr::new([192, 0, 2, 1].into(), port);
        assert_eq!(parsed.to_options_via(destination).unwrap(), expected, "{uri}");
    }
    let bytes = expected.as_options().as_bytes();
    assert_eq!(bytes, b"\x3bexample.org\x87sensors\x0btemperature\x45u=Cel");
}

#[test]
fn the_port_of_a_connection_is_its_default() {
    // RFC 8323 §8.6 step 7.
    let port = |uri: &str, destination: &str| {
        let options = Uri::parse(uri)
            .unwrap()
            .to_options_via(destination.parse().unwrap())
            .unwrap();
        assert!(!options.contains(OptionNumber::URI_HOST), "{uri}");
        options.get_uint(OptionNumber::URI_PORT)
    };
    assert_eq!(port("coap+tcp://192.0.2.1/", "192.0.2.1:5683"), None);
    assert_eq!(port("coaps+tcp://192.0.2.1/", "192.0.2.1:5684"), None);
    assert_eq!(port("coap+ws://[::1]/", "[::1]:80"), None);
    assert_eq!(port("coaps+ws://[::1]/", "[::1]:443"), None);
    assert_eq!(port("coap+ws://[::1]:8080/", "[::1]:8080"), None);
    assert_eq!(port("coap+ws://192.0.2.1/", "192.0.2.1:5683"), Some(80));
    assert_eq!(port("coaps+tcp://192.0.2.1:443/", "192.0.2.1:5684"), Some(443));
}

#[test]
fn requests_of_a_connection_become_uris() {
    // RFC 8323 §8.5, §8.7: the host is the address, the SNI or the Host header, unless Uri-Host says another.
    let compose = |scheme, port, values: &[(OptionNumber, &str)]| {
        let mut options = options(values);
        options.push_str(OptionNumber::URI_PATH, "a").unwrap();
        let host = Host::Name("example.org");
        Uri::from_options(scheme, host, port, options.as_options()).unwrap()
    };
    let cases = [
        (Scheme::CoapTcp, 5683, "coap+tcp://example.org/a"),
        (Scheme::CoapTcp, 5684, "coap+tcp://example.org:5684/a"),
        (Scheme::CoapsTcp, 5684, "coaps+tcp://example.org/a"),
        (Scheme::CoapWs, 80, "coap+ws://example.org/a"),
        (Scheme::CoapWs, 5683, "coap+ws://example.org:5683/a"),
        (Scheme::CoapsWs, 443, "coaps+ws://example.org/a"),
        (Scheme::CoapsWs, 80, "coaps+ws://example.org:80/a"),
    ];
    for (scheme, port, expected) in cases {
        assert_eq!(compose(scheme, port, &[]), expected);
        assert_eq!(Uri::parse(expected).unwrap().to_string(), expected);
    }
    let other = [
        (OptionNumber::URI_HOST, "other.example"),
        (OptionNumber::URI_PORT, "\x01\x02"),
    ];
    assert_eq!(
        compose(Scheme::CoapsTcp, 5684, &other),
        "coaps+tcp://other.example:258/a"
    );
}

#[test]
fn addresses_and_zones_are_read() {
    let host = |uri| Uri::parse(uri).map(|parsed| parsed.host);
    assert_eq!(host("coap://192.0.2.1"), Ok(Host::Ipv4([192, 0, 2, 1].into())));
    // Not an address by RFC 3986 §3.2.2, hence a name.
    assert_eq!(host("coap://192.0.2.256"), Ok(Host::Name("192.0.2.256")));
    let addr = "fe80::1".parse().unwrap();
    assert_eq!(host("coap://[fe80::1]"), Ok(Host::Ipv6 { addr, zone: None }));
    assert_eq!(
        host("coap://[fe80::1%25eth0]/x"),
        Ok(Host::Ipv6 {
            addr,
            zone: Some("eth0")
        })
    );
    assert_eq!(
        host("coap://[FE80:0::1%eth0]:1"),
        Ok(Host::Ipv6 {
            addr,
            zone: Some("eth0")
        })
    );
    assert_eq!(
        host("coap://[fe80::1%253]"),
        Ok(Host::Ipv6 {
            addr,
            zone: Some("3")
        })
    );
    assert_eq!(host("coap://[fe80::1%253]").unwrap().to_string(), "[fe80::1%253]");
    assert_eq!(
        host("coap://[fe80::1%3]").unwrap().to_name().unwrap(),
        "[fe80::1]"
    );
}

#[test]
fn host_and_port_are_sent_where_the_destination_does_not_say_them() {
    let options = |uri: &str, destination: &str| {
        let options = Uri::parse(uri)
            .unwrap()
            .to_options_via(destination.parse().unwrap())
            .unwrap();
        let options = options.as_options();
        let host = options.get_str(OptionNumber::URI_HOST).map(str::to_owned);
        (host, options.get_uint(OptionNumber::URI_PORT))
    };
    assert_eq!(options("coap://192.0.2.1", "192.0.2.1:5683"), (None, None));
    assert_eq!(
        options("coap://192.0.2.1", "192.0.2.2:5683"),
        (Some("192.0.2.1".to_owned()), None)
    );
    assert_eq!(
        options("coap://[::1]:99", "192.0.2.2:5683"),
        (Some("[::1]".to_owned()), Some(99))
    );
    assert_eq!(
        options("coap://Host", "[::1]:61616"),
        (Some("host".to_owned()), Some(5683))
    );
    assert_eq!(
        options("coap://host:61616", "[::1]:61616"),
        (Some("host".to_owned()), None)
    );
}

#[test]
fn wrong_uris_are_refused() {
    assert_eq!(refused(""), UriErrorKind::NotAbsolute);
    assert_eq!(refused("/temp"), UriErrorKind::NotAbsolute);
    assert_eq!(refused("http://h/"), UriErrorKind::Scheme);
    assert_eq!(refused("localhost:5683/x"), UriErrorKind::Scheme);
    assert_eq!(refused("coap:/h"), UriErrorKind::HostMissing);
    assert_eq!(refused("coap:///temp"), UriErrorKind::HostMissing);
    assert_eq!(refused("coap://:5683/"), UriErrorKind::HostMissing);
    assert_eq!(refused("coap://me@h/"), UriErrorKind::UserInformation);
    assert_eq!(refused("coap://[::1/"), UriErrorKind::Ipv6Address);
    assert_eq!(refused("coap://[192.0.2.1]/"), UriErrorKind::Ipv6Address);
    assert_eq!(refused("coap://[v1.x]/"), UriErrorKind::Ipv6Address);
    assert_eq!(refused("coap://[fe80::1%]/"), UriErrorKind::Zone);
    assert_eq!(refused("coap://[fe80::1%25]/"), UriErrorKind::Zone);
    assert_eq!(refused("coap://[fe80::1%25a:b]/"), UriErrorKind::Zone);
    assert_eq!(refused("coap://[::1]5683/"), UriErrorKind::Port);
    assert_eq!(refused("coap://h:65536/"), UriErrorKind::Port);
    assert_eq!(refused("coap://h:+1/"), UriErrorKind::Port);
    assert_eq!(refused("coap://h:a/"), UriErrorKind::Port);
    assert_eq!(refused("coap://h/#top"), UriErrorKind::Fragment);
    assert_eq!(refused("coap://h?q#"), UriErrorKind::Fragment);
    assert_eq!(refused("coap://h/a b"), UriErrorKind::Character(' '));
    assert_eq!(refused("coap://h/ü"), UriErrorKind::Character('ü'));
    assert_eq!(refused("coap://a_[b/"), UriErrorKind::Character('['));
    assert_eq!(refused("coap://h/?a=\""), UriErrorKind::Character('"'));
    assert_eq!(refused("coap://h/%"), UriErrorKind::PercentEncoding);
    assert_eq!(refused("coap://h/%4"), UriErrorKind::PercentEncoding);
    assert_eq!(refused("coap://h/%4g"), UriErrorKind::PercentEncoding);
    assert_eq!(refused("coap://h%/"), UriErrorKind::PercentEncoding);
    assert_eq!(refused("coap://h/%FF"), UriErrorKind::NotUtf8);
}

#[test]
fn errors_say_what_and_where() {
    let text = |uri| Uri::parse(uri).unwrap_err().to_string();
    assert_eq!(
        text("coap://h/a b"),
        "at byte 10: ' ' must be percent-encoded here (RFC 3986 §2)"
    );
    assert_eq!(
        text("coap://h:70000/"),
        "at byte 9: the port is no number up to 65535"
    );
    assert_eq!(
        text("coap://h/x?a=%zz"),
        "at byte 13: % is not followed by two hexadecimal digits (RFC 3986 §2.1)"
    );
}

#[test]
fn parts_have_at_most_255_bytes_when_decoded() {
    let long = |count: usize| "%41".repeat(count);
    assert_eq!(path(&format!("coap://h/{}", long(255))), ["A".repeat(255)]);
    let number = OptionNumber::URI_PATH;
    assert_eq!(
        refused(&format!("coap://h/{}", long(256))),
        UriErrorKind::TooLong { number, len: 256 }
    );
    let number = OptionNumber::URI_QUERY;
    assert_eq!(
        refused(&format!("coap://h/?{}", long(256))),
        UriErrorKind::TooLong { number, len: 256 }
    );
    let number = OptionNumber::URI_HOST;
    assert_eq!(
        refused(&format!("coap://{}/", long(256))),
        UriErrorKind::TooLong { number, len: 256 }
    );
}

#[test]
fn queries_keep_their_arguments() {
    let queries = |uri: &str| {
        let options = Uri::parse(uri).unwrap().to_options().unwrap();
        let queries = options.as_options().queries();
        queries
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(queries("coap://h"), [""; 0]);
    assert_eq!(queries("coap://h?"), [""]);
    assert_eq!(queries("coap://h?a=1&b=%26&&c/?"), ["a=1", "b=&", "", "c/?"]);
}

#[test]
fn options_that_no_uri_can_express_are_refused() {
    let compose = |number, value: &[u8]| {
        let mut options = OptionsBuf::new();
        options.insert(number, value).unwrap();
        Uri::from_options(Scheme::Coap, Host::Name("h"), 5683, options.as_options())
    };
    let kind = |result: Result<String, UriError>| result.unwrap_err().kind;
    assert_eq!(
        kind(compose(OptionNumber::URI_PATH, b"..")),
        UriErrorKind::DotSegment
    );
    assert_eq!(
        kind(compose(OptionNumber::URI_PATH, b"\xff")),
        UriErrorKind::NotUtf8
    );
    assert_eq!(
        kind(compose(OptionNumber::URI_HOST, b"")),
        UriErrorKind::InvalidHost
    );
    assert_eq!(
        kind(compose(OptionNumber::URI_HOST, b"[::1")),
        UriErrorKind::InvalidHost
    );
    assert_eq!(
        kind(compose(OptionNumber::URI_PORT, b"\x01\0\0")),
        UriErrorKind::InvalidPort
    );
    assert_eq!(
        compose(OptionNumber::URI_HOST, b"[::1]").unwrap(),
        "coap://[::1]/"
    );
    assert_eq!(
        compose(OptionNumber::URI_HOST, "Ä.example".as_bytes()).unwrap(),
        "coap://%C3%84.example/"
    );
    assert_eq!(compose(OptionNumber::URI_PORT, b"\x16\x33").unwrap(), "coap://h/");
}

#[test]
fn a_location_is_a_relative_reference() {
    let mut options = options(&[
        (OptionNumber::LOCATION_PATH, "rd"),
        (OptionNumber::LOCATION_PATH, "4 5"),
    ]);
    assert_eq!(options.as_options().location(), Some(Ok("/rd/4%205".to_owned())));
    options.push_str(OptionNumber::LOCATION_QUERY, "a&b").unwrap();
    assert_eq!(
        options.as_options().location(),
        Some(Ok("/rd/4%205?a%26b".to_owned()))
    );
    assert_eq!(Options::empty().location(), None);
}
