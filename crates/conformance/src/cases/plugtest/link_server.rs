//! TD_COAP_LINK for servers. The types, interfaces and paths that filters ask for are taken from what the server
//! offers: those of the plugtest site if it has them.

use coracle_wire::Status;

use super::super::discovery::{CORE, discover, filtered};
use super::super::links::Link;
use crate::case::{Case, Judge};
use crate::plugtests::plugtest;
use crate::probe::Probe;
use crate::verdict::{Judged, Stop};

/// The cases.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_LINK_01", Judge::Server(link_01)).needs(&[CORE]),
    plugtest("TD_COAP_LINK_02", Judge::Server(link_02)).needs(&[CORE]),
    plugtest("TD_COAP_LINK_03", Judge::Server(link_03)).needs(&[CORE]),
    plugtest("TD_COAP_LINK_04", Judge::Server(link_04)).needs(&[CORE]),
    plugtest("TD_COAP_LINK_05", Judge::Server(link_05)).needs(&[CORE]),
    plugtest("TD_COAP_LINK_06", Judge::Server(link_06)).needs(&[CORE]),
    plugtest("TD_COAP_LINK_07", Judge::Server(link_07)).needs(&[CORE]),
    plugtest("TD_COAP_LINK_08", Judge::Server(link_08)).needs(&[CORE]),
    plugtest("TD_COAP_LINK_09", Judge::Server(link_09)).needs(&[CORE, "/path"]),
];

fn link_01(probe: &mut Probe) -> Judged {
    let (response, links) = discover(probe, CORE)?;
    response.expect(!links.is_empty(), "the links of the server", None)?;
    Ok(())
}

/// A type of several resources.
fn link_02(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    let wanted = chosen(&all, "rt", "Type1", |_| true)?;
    filtered(probe, &all, &format!("rt={wanted}"), |link| {
        link.values("rt").contains(&wanted.as_str())
    })
}

fn link_03(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    filtered(probe, &all, "rt=*", |link| link.attribute("rt").is_some())
}

/// A type that some resource has beside others.
fn link_04(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    let wanted = chosen(&all, "rt", "Type2", |values| values.len() > 1)?;
    filtered(probe, &all, &format!("rt={wanted}"), |link| {
        link.values("rt").contains(&wanted.as_str())
    })
}

fn link_05(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    let mut prefix = chosen(&all, "if", "If1", |_| true)?;
    prefix.pop();
    filtered(probe, &all, &format!("if={prefix}*"), |link| {
        link.values("if").iter().any(|value| value.starts_with(&prefix))
    })
}

fn link_06(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    filtered(probe, &all, "sz=*", |link| link.attribute("sz").is_some())
}

fn link_07(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    let wanted = target(&all)?;
    filtered(probe, &all, &format!("href={wanted}"), |link| {
        link.target == wanted
    })
}

fn link_08(probe: &mut Probe) -> Judged {
    let (_, all) = discover(probe, CORE)?;
    let mut prefix = target(&all)?;
    prefix.pop();
    filtered(probe, &all, &format!("href={prefix}*"), |link| {
        link.target.starts_with(&prefix)
    })
}

fn link_09(probe: &mut Probe) -> Judged {
    let path = probe.get("/path").uri_path();
    let (response, all) = discover(probe, CORE)?;
    let listed = all
        .iter()
        .any(|link| link.target == path && link.values("ct").contains(&"40"));
    response.expect(listed, format!("a link to {path} with ct=40"), "RFC 6690 §5")?;
    let (response, subs) = discover(probe, "/path")?;
    let sub = subs.iter().find(|link| link.target.starts_with('/'));
    let Some(sub) = sub else {
        response.expect(false, "links to the sub-resources", "RFC 6690 §5")?;
        return Ok(());
    };
    let request = probe.get(&sub.target);
    let response = probe.ask(&request)?;
    response.code(Status::CONTENT)?.answers(&request)?.has_payload()?;
    Ok(())
}

/// A value of an attribute with several: the preferred one if it is there, else the last of the first link that
/// `suits`.
fn chosen(all: &[Link], name: &str, preferred: &str, suits: impl Fn(&[&str]) -> bool) -> Judged<String> {
    let mut suitable = all
        .iter()
        .map(|link| link.values(name))
        .filter(|values| suits(values));
    let has = |link: &Link| link.values(name).contains(&preferred);
    let value = if all.iter().any(has) {
        Some(preferred)
    } else {
        suitable.find_map(|values| values.last().copied())
    };
    let value = value.ok_or_else(|| Stop::Skip(format!("the server has no links with such {name}")));
    value.map(str::to_owned)
}

/// A target on this server: `/link1` if it is there.
fn target(all: &[Link]) -> Judged<String> {
    let mut targets = all.iter().map(|link| link.target.as_str());
    let is_long = |target: &&str| target.starts_with('/') && target.len() > 2;
    let found = targets.clone().find(|target| *target == "/link1");
    let found = found.or_else(|| targets.find(is_long));
    let found = found.ok_or_else(|| Stop::Skip("the server has no links to itself".to_owned()));
    found.map(str::to_owned)
}
