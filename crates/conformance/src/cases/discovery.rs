//! Discovery of a server's links, as the judge does it.

use coracle_wire::{ContentFormat, Status};

use super::links::{self, Link};
use crate::message::Received;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// Where a server lists its links (RFC 6690 §4).
pub(super) const CORE: &str = "/.well-known/core";

/// A document of links.
pub(super) fn discover(probe: &mut Probe, path: &str) -> Judged<(Received, Vec<Link>)> {
    let request = probe.get(path);
    let (response, body) = probe.fetch_body(&request)?;
    response.code(Status::CONTENT)?;
    // What has no links is empty (RFC 6690 §4), and nothing needs no format.
    if !body.is_empty() {
        response.format(ContentFormat::LINK_FORMAT)?;
    }
    match links::read(&body) {
        Ok(links) => Ok((response, links)),
        Err(error) => Err(Stop::fail_at(
            response.index,
            format!("expected link-format, but there is {error}"),
            "RFC 6690 §2",
        )),
    }
}

/// Asks with a filter: the links that match come, and no others.
pub(super) fn filtered(
    probe: &mut Probe,
    all: &[Link],
    query: &str,
    matches: impl Fn(&Link) -> bool,
) -> Judged {
    let targets = |links: &mut dyn Iterator<Item = &Link>| {
        let mut targets: Vec<String> = links.map(|link| link.target.clone()).collect();
        targets.sort();
        targets
    };
    let expected = targets(&mut all.iter().filter(|link| matches(link)));
    if expected.is_empty() || expected.len() == all.len() {
        return Err(Stop::Skip(format!(
            "the server has no links that {query} tells apart"
        )));
    }
    let (response, found) = discover(probe, &format!("{CORE}?{query}"))?;
    let found = targets(&mut found.iter());
    if found == targets(&mut all.iter()) && !filters(probe, all)? {
        return Err(Stop::Skip("the server does not filter".to_owned()));
    }
    if found != expected {
        unchanged(probe, all)?;
    }
    let what = format!("the links to {}, not {}", expected.join(" "), found.join(" "));
    response.expect(found == expected, what, "RFC 6690 §4.1")?;
    Ok(())
}

/// The server still lists the same: else what a filter finds says nothing, for others may have made resources.
pub(super) fn unchanged(probe: &mut Probe, all: &[Link]) -> Judged {
    let (_, now) = discover(probe, CORE)?;
    let [mut before, mut now] = [all.to_vec(), now];
    before.sort();
    now.sort();
    if before == now {
        return Ok(());
    }
    Err(Stop::Inconclusive(
        "the links of the server have changed meanwhile".to_owned(),
    ))
}

/// Whether it filters at all, which it need not (RFC 6690 §4.1): no resource has this type or this target.
fn filters(probe: &mut Probe, all: &[Link]) -> Judged<bool> {
    for query in ["rt=there-is-no-such-type", "href=/there/is/no/such/target"] {
        let request = probe.get(&format!("{CORE}?{query}"));
        let (_, body) = probe.fetch_body(&request)?;
        if links::read(&body).is_ok_and(|links| links.len() < all.len()) {
            return Ok(true);
        }
    }
    Ok(false)
}
