//! RFC 6690: the link format, and discovery by it.

use coracle_wire::{ContentFormat, Status};

use super::discovery::{CORE, discover, filtered, unchanged};
use super::links::Link;
use crate::case::{Case, client, server};
use crate::host::Host;
use crate::probe::{PATIENCE, Probe};
use crate::template::Stimulus;
use crate::verdict::{Judged, Stop};

/// All, for both roles.
pub(super) fn cases() -> Vec<Case> {
    CASES.to_vec()
}

const CASES: &[Case] = &[
    server(
        "RFC6690-4-well-known-core",
        "RFC 6690 §2, §4",
        "/.well-known/core lists links in the link format",
        well_known_core,
    )
    .needs(&[CORE])
    .steps(&[
        "GET /.well-known/core, block by block if need be.",
        "2.05 with Content-Format 40 arrives, and the whole body is in the link format.",
    ]),
    server(
        "RFC6690-2.2-hosted-targets-are-relative",
        "RFC 6690 §2.2",
        "The target of a link to a resource of the server is relative to the server",
        hosted_targets_are_relative,
    )
    .needs(&[CORE])
    .steps(&["GET /.well-known/core.", "No link without rel and anchor has a target with a scheme or a host."]),
    server(
        "RFC6690-3-attributes-once",
        "RFC 6690 §3.1, §3.2, §3.3; RFC 7252 §7.2.1",
        "rt, if, sz and ct stand in a link at most once",
        attributes_once,
    )
    .needs(&[CORE])
    .steps(&["GET /.well-known/core.", "No link has one of rt, if, sz and ct twice."]),
    server(
        "RFC6690-2-href-is-no-attribute",
        "RFC 6690 §2",
        "href, which filters have for the target, is no attribute of a link",
        href_is_no_attribute,
    )
    .needs(&[CORE])
    .steps(&["GET /.well-known/core.", "No link has the attribute href."]),
    server(
        "RFC6690-4.1-each-value-matches",
        "RFC 6690 §4.1",
        "A filter finds each of several values of an attribute",
        each_value_matches,
    )
    .needs(&[CORE])
    .steps(&[
        "GET /.well-known/core, and choose a link whose rt has several values.",
        "GET with a filter for each of these values: the links that have it come, and no others.",
    ]),
    server(
        "RFC6690-4.1-values-match-whole",
        "RFC 6690 §3, §4.1",
        "A filter without a star finds whole values only, compared as strings",
        values_match_whole,
    )
    .needs(&[CORE])
    .steps(&[
        "GET /.well-known/core, and choose a value of rt.",
        "GET with the beginning of this value, and with its letters in the other case.",
        "The link that has the value does not come, unless the server does not filter at all.",
    ]),
    server(
        "RFC6690-4.1-filter-is-no-error",
        "RFC 6690 §4.1",
        "A server that does not filter ignores the query, and one that does finds nothing: neither is an error",
        filter_is_no_error,
    )
    .needs(&[CORE])
    .steps(&["GET /.well-known/core?rt=there-is-no-such-type.", "2.05 arrives, with all links or with none."]),
    client(
        "RFC6690-3-attributes-are-not-followed",
        "RFC 6690 §3",
        "A client does not follow URIs that stand in attributes of links by itself",
        attributes_are_not_followed,
    )
    .steps(&[
        "The client asks for /.well-known/core, whose links have URIs of the judge in rt and if.",
        "No request for these URIs arrives.",
    ]),
];

fn well_known_core(probe: &mut Probe) -> Judged {
    discover(probe, CORE).map(drop)
}

fn hosted_targets_are_relative(probe: &mut Probe) -> Judged {
    let (response, links) = discover(probe, CORE)?;
    for link in links.iter().filter(|link| is_hosted(link)) {
        let what = format!("a relative target, not {}", link.target);
        response.expect(!is_absolute(&link.target), what, None)?;
    }
    Ok(())
}

/// Without a relation it is `hosts`, and without an anchor the server is the context.
fn is_hosted(link: &Link) -> bool {
    link.attribute("rel").is_none_or(|rel| rel == "hosts") && link.attribute("anchor").is_none()
}

/// A scheme or a host stands before the path.
fn is_absolute(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let first = path.split('/').next().unwrap_or_default();
    path.starts_with("//") || first.contains(':')
}

fn attributes_once(probe: &mut Probe) -> Judged {
    let (response, links) = discover(probe, CORE)?;
    for link in &links {
        for name in ["rt", "if", "sz", "ct"] {
            let count = link.attributes.iter().filter(|(of, _)| of == name).count();
            let what = format!("{name} at most once in the link to {}", link.target);
            response.expect(count <= 1, what, None)?;
        }
    }
    Ok(())
}

fn href_is_no_attribute(probe: &mut Probe) -> Judged {
    let (response, links) = discover(probe, CORE)?;
    let named = links
        .iter()
        .any(|link| link.attributes.iter().any(|(name, _)| name == "href"));
    response.expect(!named, "no attribute href", None)?;
    Ok(())
}

fn each_value_matches(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    let several = all
        .iter()
        .map(|link| link.values("rt"))
        .find(|values| values.len() > 1);
    let Some(values) = several else {
        return Err(Stop::Skip(
            "no link of the server has several values of rt".to_owned(),
        ));
    };
    for value in values {
        filtered(probe, &all, &format!("rt={value}"), |link| {
            link.values("rt").contains(&value)
        })?;
    }
    Ok(())
}

fn values_match_whole(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    let mut values = all.iter().flat_map(|link| link.values("rt"));
    let Some(value) = values.find(|value| value.is_ascii() && value.len() > 1) else {
        return Err(Stop::Skip("no link of the server has rt".to_owned()));
    };
    let beginning = value.get(..value.len() - 1).unwrap_or_default().to_owned();
    let other_case: String = value.chars().map(swap_case).collect();
    for wrong in [beginning, other_case] {
        // Some other link may well have it.
        if all.iter().any(|link| link.values("rt").contains(&wrong.as_str())) {
            continue;
        }
        let (response, found) = discover(probe, &format!("{CORE}?rt={wrong}"))?;
        if found.len() == all.len() {
            return Err(Stop::Skip("the server does not filter".to_owned()));
        }
        if !found.is_empty() {
            unchanged(probe, &all)?;
        }
        response.expect(found.is_empty(), format!("no link for rt={wrong}"), None)?;
    }
    Ok(())
}

fn swap_case(c: char) -> char {
    if c.is_ascii_lowercase() {
        c.to_ascii_uppercase()
    } else {
        c.to_ascii_lowercase()
    }
}

fn filter_is_no_error(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    let request = probe.get(&format!("{CORE}?rt=there-is-no-such-type"));
    let (response, body) = probe.fetch_body(&request)?;
    response.code(Status::CONTENT)?;
    let found = super::links::read(&body).map_or(usize::MAX, |links| links.len());
    let none_or_all = found == 0 || found == all.len();
    if !none_or_all {
        unchanged(probe, &all)?;
    }
    response.expect(none_or_all, "no link, or all of them", None)?;
    Ok(())
}

fn attributes_are_not_followed(host: &mut Host) -> Judged {
    host.start(&Stimulus::get(CORE))?;
    let request = host.request()?;
    let judge = host.local();
    let links = format!("</a>;rt=\"coap://{judge}/followed\";if=\"coap://{judge}/followed-too\"");
    let response = host.response_to(&request, Status::CONTENT);
    host.answer(
        &request,
        &response.content(ContentFormat::LINK_FORMAT, links.as_bytes()),
    );
    host.finish()?;
    while let Some(message) = host.receive(PATIENCE)? {
        let follows = message.uri_path().starts_with("/followed");
        message.expect(!follows, "no request for a URI in an attribute", None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_with_scheme_or_host_are_absolute() {
        for absolute in ["coap://h/a", "//h/a", "http:a"] {
            assert!(is_absolute(absolute), "{absolute}");
        }
        for relative in ["/a", "a/b:c", "", "/?q=coap://h", "/a:b"] {
            assert!(!is_absolute(relative), "{relative}");
        }
    }
}
