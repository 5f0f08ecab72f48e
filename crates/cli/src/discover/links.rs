//! The links that servers list, made absolute.

use std::net::SocketAddr;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::client::{self, Response};
use crate::console::{Painter, Style, harmless_line};
use crate::error::Exit;
use crate::formats::link_format::{Filter, LinkRef, LinkWriter, Links};
use crate::request::answer;
use crate::wire::{ContentFormat, Host, Uri};

/// A link with its target and anchor as URIs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    target: String,
    from: SocketAddr,
    /// Names and values; no value for those without.
    attributes: Vec<(String, Option<String>)>,
}

/// A link as JSON.
#[derive(Serialize)]
pub(crate) struct LinkJson<'a> {
    href: &'a str,
    from: String,
    attributes: Map<String, Value>,
}

/// Reads the links of an answer and keeps those that pass all filters.
///
/// # Errors
/// Says what is wrong if the answer is no success or no link-format.
pub(crate) fn read(response: &Response, base: &str, filters: &[String]) -> Result<Vec<Found>, String> {
    if client::exit(response.status()) != Exit::Success {
        return Err(answer::complaint(response));
    }
    if let Some(format) = response
        .content_format()
        .filter(|format| *format != ContentFormat::LINK_FORMAT)
    {
        return Err(format!("the answer is {format}, not link-format"));
    }
    select(response.payload(), base, response.remote(), filters)
}

fn select(payload: &[u8], base: &str, from: SocketAddr, filters: &[String]) -> Result<Vec<Found>, String> {
    let links =
        Links::from_bytes(payload).map_err(|error| format!("the answer is no link-format: {error}"))?;
    let filters: Vec<Filter<'_>> = filters.iter().map(|filter| Filter::parse(filter)).collect();
    links
        .iter()
        .filter(|link| filters.iter().all(|filter| link.matches(filter)))
        .map(|link| Found::new(link, base, from))
        .collect()
}

impl Found {
    fn new(link: LinkRef<'_>, base: &str, from: SocketAddr) -> Result<Found, String> {
        let resolved = link.resolve(base).map_err(|error| error.to_string())?;
        let attributes = link.attributes().map(|attribute| {
            let value = match attribute.is("anchor") {
                true => Some(resolved.context.clone()),
                false => attribute.value.map(|value| value.to_str().into_owned()),
            };
            (attribute.name.to_owned(), value)
        });
        let attributes = attributes.collect();
        Ok(Found {
            target: resolved.target,
            from,
            attributes,
        })
    }

    /// In link-format, for people and scripts.
    pub(crate) fn line(&self, painter: Painter) -> String {
        let mut line = format!("<{}>", painter.paint(Style::Strong, &harmless_line(&self.target)));
        for (name, value) in &self.attributes {
            line.push_str(&harmless_line(&attribute(name, value.as_deref())));
        }
        line
    }

    /// An attribute that occurs more than once becomes a list; one without value becomes `true`.
    pub(crate) fn json(&self) -> LinkJson<'_> {
        let mut attributes = Map::new();
        for (name, value) in &self.attributes {
            let value = value
                .as_ref()
                .map_or(Value::Bool(true), |value| Value::from(value.as_str()));
            match attributes.get_mut(name) {
                None => drop(attributes.insert(name.clone(), value)),
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        LinkJson {
            href: &self.target,
            from: self.from.to_string(),
            attributes,
        }
    }
}

/// An attribute as link-format writes it, with its semicolon; what cannot be written again is left out.
fn attribute(name: &str, value: Option<&str>) -> String {
    let mut writer = LinkWriter::new(String::new());
    let written = writer.link("/").and_then(|writer| match value {
        Some(value) => writer.attr(name, value),
        None => writer.flag(name),
    });
    match written {
        Ok(_) => writer.into_inner().split_off("</>".len()),
        Err(_) => String::new(),
    }
}

/// The URI of a member of the group `uri`. Link-local addresses keep the zone they were asked in.
pub(crate) fn base_of(uri: &str, from: SocketAddr) -> String {
    let asked = Uri::parse(uri).ok();
    let zone = asked.and_then(|uri| match uri.host {
        Host::Ipv6 { zone, .. } => zone.map(String::from),
        _ => None,
    });
    let host = match from {
        SocketAddr::V4(from) => Host::Ipv4(*from.ip()).to_string(),
        SocketAddr::V6(from) => {
            let scope = from.ip().is_unicast_link_local().then(|| from.scope_id());
            let index = scope.filter(|scope| *scope != 0).map(|scope| scope.to_string());
            let zone = scope.and(zone).or(index);
            Host::Ipv6 {
                addr: *from.ip(),
                zone: zone.as_deref(),
            }
            .to_string()
        }
    };
    let default = asked.is_some_and(|uri| uri.scheme.default_port() == from.port());
    let port = if default {
        String::new()
    } else {
        format!(":{}", from.port())
    };
    format!("coap://{host}{port}/.well-known/core")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "[2001:db8::1]:5683";

    fn found(payload: &str, filters: &[&str]) -> Vec<Found> {
        let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
        let from = FROM.parse().unwrap();
        select(
            payload.as_bytes(),
            "coap://a.example/.well-known/core",
            from,
            &filters,
        )
        .unwrap()
    }

    fn lines(found: &[Found]) -> Vec<String> {
        found.iter().map(|link| link.line(Painter::PLAIN)).collect()
    }

    #[test]
    fn links_become_absolute_and_keep_their_attributes() {
        let found = found(
            r#"</temp>;rt="temperature-c x";ct=40;obs,<coap://b/c>;anchor="/temp""#,
            &[],
        );
        let expected = [
            r#"<coap://a.example/temp>;rt="temperature-c x";ct=40;obs"#,
            r#"<coap://b/c>;anchor="coap://a.example/temp""#,
        ];
        assert_eq!(lines(&found), expected);
    }

    #[test]
    fn all_filters_must_pass() {
        let payload = r#"</a>;rt="t";if="s",</b>;rt="t",</c>;if="s""#;
        assert_eq!(found(payload, &["rt=t"]).len(), 2);
        assert_eq!(
            lines(&found(payload, &["rt=t", "if=s"])),
            [r#"<coap://a.example/a>;rt="t";if="s""#]
        );
        assert_eq!(found(payload, &["href=/c*"]).len(), 1);
    }

    #[test]
    fn json_collects_repeated_attributes() {
        let found = found(r#"</a>;rel="x";rel="y";obs"#, &[]);
        let expected = concat!(
            r#"{"href":"coap://a.example/a","from":"[2001:db8::1]:5683","#,
            r#""attributes":{"obs":true,"rel":["x","y"]}}"#,
        );
        assert_eq!(serde_json::to_string(&found[0].json()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_link_format_is_told() {
        let from = FROM.parse().unwrap();
        let error = select(b"nothing", "coap://a/", from, &[]).unwrap_err();
        assert!(error.starts_with("the answer is no link-format: "), "{error}");
    }

    #[test]
    fn members_of_a_group_are_bases() {
        let base = |uri, from: &str| base_of(uri, from.parse().unwrap());
        assert_eq!(
            base("coap://224.0.1.187", "192.0.2.1:5683"),
            "coap://192.0.2.1/.well-known/core"
        );
        assert_eq!(
            base("coap://224.0.1.187", "192.0.2.1:61616"),
            "coap://192.0.2.1:61616/.well-known/core"
        );
        assert_eq!(
            base("coap://[ff02::fd]", "[2001:db8::1]:5683"),
            "coap://[2001:db8::1]/.well-known/core"
        );
        assert_eq!(
            base("coap://[ff02::fd]", "[fe80::1%3]:5683"),
            "coap://[fe80::1%253]/.well-known/core"
        );
        assert_eq!(
            base("coap://[ff02::fd%eth0]", "[fe80::1%3]:5683"),
            "coap://[fe80::1%25eth0]/.well-known/core"
        );
        assert_eq!(
            base("coap://[ff05::fd%eth0]", "[2001:db8::1]:5683"),
            "coap://[2001:db8::1]/.well-known/core"
        );
    }
}
