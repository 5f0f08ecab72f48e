//! `/.well-known/core`: the router's own list of what it serves (RFC 6690 §4, RFC 7252 §7).

use bytes::Bytes;
use coracle_formats::link_format::{Filter, Link, write_links};
use coracle_wire::{ContentFormat, Options, Status};

use crate::meta::{LinkSource, Meta};
use crate::pattern::Pattern;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::route::{Answer, Begin, Call};

/// Where discovery is asked for.
pub(crate) const WELL_KNOWN_CORE: &str = "/.well-known/core";

/// Links of all routes. What does not change is written once.
pub(crate) struct Directory {
    sources: Vec<Source>,
}

enum Source {
    Fixed(Fixed),
    Dynamic { base: String, links: LinkSource },
}

/// The links of routes that follow one another, found to be expressible when they were added.
struct Fixed {
    /// Each with its text, for lists that are filtered.
    links: Vec<(Link, Bytes)>,
    text: Bytes,
}

impl Directory {
    pub(crate) fn new<'a>(routes: impl Iterator<Item = (&'a Pattern, &'a Meta)>) -> Directory {
        let mut sources = Vec::new();
        let mut fixed = Vec::new();
        for (pattern, meta) in routes.filter(|(_, meta)| !meta.hidden) {
            if pattern.is_literal() {
                fixed.push(link(pattern, meta));
            }
            if let Some(links) = &meta.links {
                sources.push(Source::Fixed(Fixed::new(std::mem::take(&mut fixed))));
                sources.push(Source::Dynamic {
                    base: pattern.base(),
                    links: links.clone(),
                });
            }
        }
        sources.push(Source::Fixed(Fixed::new(fixed)));
        Directory { sources }
    }

    /// The links that pass all filters, as a payload.
    fn list(&self, options: Options<'_>) -> Bytes {
        let queries = options.queries();
        let filters: Vec<Filter<'_>> = queries
            .filter_map(|query| std::str::from_utf8(query).ok().map(Filter::parse))
            .collect();
        if let ([Source::Fixed(fixed)], []) = (&self.sources[..], &filters[..]) {
            return fixed.text.clone();
        }
        let lists: Vec<Bytes> = self.sources.iter().map(|source| source.list(&filters)).collect();
        join(lists.iter().filter(|list| !list.is_empty()))
    }
}

impl Source {
    fn list(&self, filters: &[Filter<'_>]) -> Bytes {
        let passes = |link: &Link| filters.iter().all(|filter| link.matches(filter));
        match self {
            Source::Fixed(fixed) if filters.is_empty() => fixed.text.clone(),
            Source::Fixed(fixed) => {
                let passing = fixed.links.iter().filter(|(link, _)| passes(link));
                join(passing.map(|(_, text)| text))
            }
            Source::Dynamic { base, links } => {
                let links = links(base);
                let passing = links.iter().filter(|link| passes(link));
                write(passing.filter(|link| link.check().is_ok()))
            }
        }
    }
}

impl Fixed {
    fn new(links: Vec<Link>) -> Fixed {
        let written = links.into_iter().map(|link| {
            let text = write(std::iter::once(&link));
            (link, text)
        });
        let links: Vec<_> = written.collect();
        let text = join(links.iter().map(|(_, text)| text));
        Fixed { links, text }
    }
}

/// Lists of links as one.
fn join<'l>(lists: impl Iterator<Item = &'l Bytes>) -> Bytes {
    let lists: Vec<&[u8]> = lists.map(|list| &list[..]).collect();
    lists.join(&b',').into()
}

fn write<'l>(links: impl Iterator<Item = &'l Link>) -> Bytes {
    write_links(links).unwrap_or_default().into()
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
    fn call(&self, request: &mut Request, _: Begin) -> Answer {
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
