//! §5.7.2, §5.10.2: a server that is no proxy.

use coracle_wire::{OptionNumber, Status};

use super::counters::{count_of, own_counter};
use crate::case::{Case, server};
use crate::message::Message;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    server(
        "RFC7252-5.10.2-proxy-uri",
        "RFC 7252 §5.10.2, §5.7.2",
        "Proxy-Uri with a URI that the server does not forward to is answered 5.05",
        proxy_uri,
    )
    .steps(&[
        "GET by CON with a Proxy-Uri of a scheme that nobody knows",
        "5.05 comes",
        "The same by NON",
    ]),
    server(
        "RFC7252-5.10.2-proxy-scheme",
        "RFC 7252 §5.10.2, §5.7.2",
        "A Proxy-Scheme that the server does not forward to is answered 5.05",
        proxy_scheme,
    )
    .anywhere()
    .steps(&[
        "GET a resource with a Proxy-Scheme that nobody knows and a Uri-Host elsewhere",
        "5.05 comes",
    ]),
    server(
        "RFC7252-5.10.2-proxy-coap",
        "RFC 7252 §5.10.2, §5.7.2",
        "A server that is no proxy answers 5.05 to Proxy-Uri and Proxy-Scheme with coap",
        proxy_coap,
    )
    .anywhere()
    .steps(&[
        "GET with Proxy-Uri coap://host.invalid/, and with Proxy-Scheme coap and Uri-Host host.invalid",
        "5.05 comes; what only proxies answer (5.02, 5.04) shows that it is one",
    ]),
    server(
        "RFC7252-5.10.2-proxy-uri-first",
        "RFC 7252 §5.10.2",
        "Proxy-Uri counts before Uri-Path",
        proxy_uri_first,
    )
    .anywhere()
    .steps(&[
        "GET with a Proxy-Uri of a scheme that nobody knows and the Uri-Path of a resource that is there",
        "5.05 comes, or 4.00 or 4.02 because the two must not be in one request",
    ]),
    server(
        "RFC7252-5.10.2-proxy-not-executed",
        "RFC 7252 §5.10.2, §5.7.2",
        "A request that is to be forwarded is not executed here",
        proxy_not_executed,
    )
    .anywhere()
    .needs(&["/counter/judge"])
    .steps(&[
        "POST to a counter with a Proxy-Scheme that nobody knows",
        "5.05 comes, and the counter is where it was",
    ]),
    server(
        "RFC7252-5.7.2-proxy-uri-of-itself",
        "RFC 7252 §5.7.2",
        "A Proxy-Uri that names the server itself is a request to it, or is not forwarded",
        proxy_uri_of_itself,
    )
    .anywhere()
    .steps(&[
        "GET with a Proxy-Uri of a resource that is there, with the address and port of the server",
        "2.05 comes, or 5.05 from a server that does not recognise its own name",
    ]),
];

fn refused(probe: &mut Probe, request: &Message) -> Judged {
    probe.ask(request)?.code(Status::PROXYING_NOT_SUPPORTED)?;
    Ok(())
}

fn proxy_uri(probe: &mut Probe) -> Judged {
    let uri = b"x-nobody-knows://host.invalid/a";
    let get = probe.get("").option(OptionNumber::PROXY_URI, uri);
    refused(probe, &get)?;
    let get = probe.get("").option(OptionNumber::PROXY_URI, uri).non();
    refused(probe, &get)
}

/// For a resource that is there, but as one of another host.
fn elsewhere(probe: &mut Probe, scheme: &[u8]) -> Message {
    let target = probe.target().to_owned();
    let get = probe.get(&target).option(OptionNumber::URI_HOST, b"host.invalid");
    get.option(OptionNumber::PROXY_SCHEME, scheme)
}

fn proxy_scheme(probe: &mut Probe) -> Judged {
    let get = elsewhere(probe, b"x-nobody-knows");
    refused(probe, &get)
}

fn proxy_coap(probe: &mut Probe) -> Judged {
    let by_uri = probe
        .get("")
        .option(OptionNumber::PROXY_URI, b"coap://host.invalid/");
    for get in [by_uri, elsewhere(probe, b"coap")] {
        let answer = probe.ask(&get)?;
        if [Status::BAD_GATEWAY, Status::GATEWAY_TIMEOUT]
            .map(Some)
            .contains(&answer.status())
        {
            return Err(Stop::Skip("the server is a forward-proxy".to_owned()));
        }
        answer.code(Status::PROXYING_NOT_SUPPORTED)?;
    }
    Ok(())
}

fn proxy_uri_first(probe: &mut Probe) -> Judged {
    let target = probe.target().to_owned();
    let get = probe
        .get(&target)
        .option(OptionNumber::PROXY_URI, b"x-nobody-knows://host.invalid/a");
    let codes = [
        Status::PROXYING_NOT_SUPPORTED,
        Status::BAD_REQUEST,
        Status::BAD_OPTION,
    ];
    probe.ask(&get)?.code_in(&codes)?;
    Ok(())
}

fn proxy_not_executed(probe: &mut Probe) -> Judged {
    let path = own_counter(probe);
    let post = probe.post(&path, "");
    probe.ask(&post)?;
    let before = count_of(probe, &path)?;
    let post = probe
        .post(&path, "")
        .option(OptionNumber::URI_HOST, b"host.invalid");
    let post = post.option(OptionNumber::PROXY_SCHEME, b"x-nobody-knows");
    let answer = probe.ask(&post)?;
    let get = probe.get(&path);
    probe.ask(&get)?.payload_is(before.as_bytes())?;
    answer.code(Status::PROXYING_NOT_SUPPORTED)?;
    Ok(())
}

fn proxy_uri_of_itself(probe: &mut Probe) -> Judged {
    let uri = format!("coap://{}{}", probe.server(), probe.target());
    let get = probe.get("").option(OptionNumber::PROXY_URI, uri.as_bytes());
    probe
        .ask(&get)?
        .code_in(&[Status::CONTENT, Status::PROXYING_NOT_SUPPORTED])?;
    Ok(())
}
