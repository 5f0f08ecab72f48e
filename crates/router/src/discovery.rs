//! `/.well-known/core`: the router's own list of what it serves (RFC 6690 §4, RFC 7252 §7).

use std::borrow::Cow;

use coracle_formats::link_format::{Filter, Link, write_links};
use coracle_wire::{ContentFormat, Options, Status};

use crate::meta::{LinkSource, Meta};
use crate::pattern::Pattern;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::route::{Answer, Call};

/// Where discovery is asked for.
pub(crate) const WELL_KNOWN_CORE: &str = "/.well-known/core";

/// Links of all routes.
pub(crate) struct Directory {
    sources: Vec<Source>,
}

enum Source {
    /// Found to be expressible when the route was added.
    Fixed(Link),
    Dynamic {
        base: String,
        links: LinkSource,
    },
}

impl Directory {
    pub(crate) fn new<'a>(routes: impl Iterator<Item = (&'a Pattern, &'a Meta)>) -> Directory {
        let mut sources = Vec::new();
        for (pattern, meta) in routes.filter(|(_, meta)| !meta.hidden) {
            if pattern.is_literal() {
                sources.push(Source::Fixed(link(pattern, meta)));
            }
            if let Some(links) = &meta.links {
                sources.push(Source::Dynamic {
                    base: pattern.base(),
                    links: links.clone(),
                });
            }
        }
        Directory { sources }
    }

    /// The links that pass all filters, as a payload.
    fn list(&self, options: Options<'_>) -> String {
        let queries: Vec<&str> = options
            .queries()
            .filter_map(|query| std::str::from_utf8(query).ok())
            .collect();
        let filters: Vec<Filter<'_>> = queries.into_iter().map(Filter::parse).collect();
        let passes = |link: &Link| filters.iter().all(|filter| link.matches(filter));
        let mut links: Vec<Cow<'_, Link>> = Vec::new();
        for source in &self.sources {
            match source {
                Source::Fixed(link) => {
                    links.extend(Some(link).filter(|link| passes(link)).map(Cow::Borrowed))
                }
                Source::Dynamic { base, links: source } => {
                    let found = source(base)
                        .into_iter()
                        .filter(|link| passes(link) && link.check().is_ok());
                    links.extend(found.map(Cow::Owned));
                }
            }
        }
        write_links(links.iter().map(Cow::as_ref)).unwrap_or_default()
    }
}

/// The link of a route with a literal path.
pub(crate) fn link(pattern: &Pattern, meta: &Meta) -> Link {
    let target = Some(pattern.base())
        .filter(|base| !base.is_empty())
        .unwrap_or_else(|| "/".into());
    meta.attributes
        .iter()
        .fold(Link::new(target), |link, (name, value)| match value {
            Some(value) => link.attr(name, value),
            None => link.flag(name),
        })
}

/// The handler of `/.well-known/core`.
pub(crate) struct Discovery;

impl Call for Discovery {
    fn call(&self, request: Request) -> Answer {
        let options = request.options.as_options();
        let links = request
            .matched()
            .map(|matched| matched.table.directory().list(options))
            .unwrap_or_default();
        // RFC 6690 §4.1: nobody in a group answers what it has nothing to say to. The engine sends no errors to groups.
        if links.is_empty() && request.path.multicast {
            return Answer::ready(Response::new(Status::NOT_FOUND));
        }
        Answer::ready((ContentFormat::LINK_FORMAT, links).into_response())
    }
}
