//! Which pages may talk to a server (RFC 6455 §10.2).

use std::net::IpAddr;

use coracle_wire::{Host, Uri};

/// The host of an authority such as `example.org:80`, as Uri-Host has it: without port, an address without brackets, and
/// in small letters.
pub(in crate::stream) fn host_of(authority: &str) -> Option<String> {
    with_host(authority, |host| match host {
        Host::Name(name) => name.to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6 { addr, .. } => addr.to_string(),
    })
}

/// Whether a page of `origin` may talk to the server that it calls `host` (an authority).
///
/// A browser lets any page open a WebSocket to any server, so that the server has to look (RFC 6455 §10.2): one on
/// loopback or in a network of devices would else be open to whatever page somebody reads. A page of the same host may, if
/// that is certain: of a name only if both come with TLS, because who owns a name may let it lead here for a moment (DNS
/// rebinding), but not get a certificate for it here; and a page without TLS may be anybody's. `allowed` names others, as browsers write them; `*` is all.
pub(super) fn may_talk(origin: &str, host: &str, tls: bool, allowed: &[String]) -> bool {
    let named = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(origin);
    if allowed.iter().any(named) {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let proves_name = tls && scheme.eq_ignore_ascii_case("https");
    match (host_of(authority), host_of(host)) {
        (Some(page), Some(host)) if page == host => proves_name || is_certain(&host),
        _ => false,
    }
}

/// An address or a name that leads to this machine only.
fn is_certain(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok() || host == "localhost" || host.ends_with(".localhost")
}

fn with_host<T>(authority: &str, then: impl FnOnce(Host<'_>) -> T) -> Option<T> {
    let text = format!("coap+ws://{authority}");
    let uri = Uri::parse(&text).ok()?;
    let bare = uri.path.is_empty() && uri.query.is_none();
    bare.then(|| then(uri.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_without_its_port_and_in_one_form() {
        let cases = [
            ("Example.ORG", Some("example.org")),
            ("example.org:8080", Some("example.org")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("[2001:DB8::1]:80", Some("2001:db8::1")),
            ("", None),
            ("a/b", None),
            ("a?b", None),
            ("user@a", None),
            ("a b", None),
            ("a:b", None),
        ];
        for (authority, host) in cases {
            assert_eq!(host_of(authority).as_deref(), host, "{authority}");
        }
    }

    #[test]
    fn pages_of_the_same_host_may_talk_if_the_host_is_certain() {
        let may = |origin, host, tls| may_talk(origin, host, tls, &[]);
        assert!(may("http://127.0.0.1:8000", "127.0.0.1:5683", false));
        assert!(may("http://[::1]", "[::1]:80", false));
        assert!(may("https://LocalHost:3000", "localhost", false));
        assert!(may("https://example.org", "example.org:443", true));
        assert!(!may("https://example.org", "127.0.0.1", true));
        assert!(!may("http://192.0.2.1", "192.0.2.2", false));
        assert!(!may("null", "localhost", false));
        assert!(!may("file://", "localhost", false));
        assert!(!may("", "", false));
    }

    /// Without TLS, whose name it is proves nothing.
    #[test]
    fn a_name_that_was_made_to_lead_here_does_not_count() {
        assert!(!may_talk("http://evil.example", "evil.example", false, &[]));
    }

    /// Whoever is on the way of a page without TLS may have written it.
    #[test]
    fn a_page_without_tls_does_not_count_for_a_name_with_it() {
        assert!(!may_talk("http://example.org", "example.org", true, &[]));
        assert!(may_talk("HTTPS://example.org", "example.org", true, &[]));
        assert!(may_talk("http://localhost", "localhost", true, &[]));
    }

    #[test]
    fn a_list_allows_others_and_a_star_all() {
        let listed = ["https://example.org".to_owned(), "null".to_owned()];
        assert!(may_talk("https://Example.org", "127.0.0.1", false, &listed));
        assert!(may_talk("null", "127.0.0.1", false, &listed));
        assert!(!may_talk("http://example.org", "127.0.0.1", false, &listed));
        assert!(!may_talk("https://example.org:8443", "127.0.0.1", false, &listed));
        assert!(may_talk(
            "http://evil.example",
            "127.0.0.1",
            false,
            &["*".to_owned()]
        ));
    }
}
