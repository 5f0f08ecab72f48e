//! All routes of a router, ready to answer.

use std::fmt;
use std::sync::Arc;

use coracle_engine::Body;
use coracle_wire::{Method, OptionNumber, Options};

use crate::discovery::Directory;
use crate::meta::Meta;
use crate::pattern::Pattern;
use crate::request::{DEFAULT_BODY_LIMIT, Request};
use crate::route::Route;
use crate::trie::Trie;

/// A place in the table.
pub(crate) type Hit = usize;

/// Routes with their state, found by path. Immutable, and shared by all who serve.
pub(crate) struct Table {
    places: Vec<Place>,
    routes: Trie,
    /// Found by the beginning of a path where no route is. The root always has one.
    fallbacks: Trie,
    /// Options that a layer takes away.
    layer_options: Vec<OptionNumber>,
    directory: Directory,
}

pub(crate) struct Place {
    pub(crate) pattern: Pattern,
    pub(crate) meta: Arc<Meta>,
    pub(crate) route: Route,
    pub(crate) fallback: bool,
}

impl Table {
    pub(crate) fn new(
        places: Vec<Place>,
        routes: Trie,
        fallbacks: Trie,
        layer_options: Vec<OptionNumber>,
    ) -> Table {
        let listed = places.iter().filter(|place| !place.fallback);
        let directory = Directory::new(listed.map(|place| (&place.pattern, place.meta.as_ref())));
        Table {
            places,
            routes,
            fallbacks,
            layer_options,
            directory,
        }
    }

    /// The route that answers a request, which gets to know where it belongs.
    pub(crate) fn route(self: &Arc<Self>, request: &mut Request) -> Option<&Route> {
        let hit = self.find(request.options.as_options())?;
        let place = self.places.get(hit)?;
        request.set_matched(self, hit);
        Some(&place.route)
    }

    pub(crate) fn body(&self, method: Method, options: Options<'_>) -> Body {
        if self.layer_options.iter().any(|number| options.contains(*number)) {
            return Body::Collect {
                limit: DEFAULT_BODY_LIMIT,
            };
        }
        let place = self.find(options).and_then(|hit| self.places.get(hit));
        place.map_or(Body::Stream, |place| place.meta.body(method, options))
    }

    /// The path of a route; none of a fallback.
    pub(crate) fn pattern(&self, hit: Hit) -> Option<&Pattern> {
        self.places
            .get(hit)
            .filter(|place| !place.fallback)
            .map(|place| &place.pattern)
    }

    /// The path of a route, or the one that a fallback is nested under.
    pub(crate) fn any_pattern(&self, hit: Hit) -> Option<&Pattern> {
        self.places.get(hit).map(|place| &place.pattern)
    }

    pub(crate) fn body_limit(&self, hit: Hit) -> Option<usize> {
        self.places.get(hit)?.meta.body_limit
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(crate) fn declared_options(&self) -> impl Iterator<Item = OptionNumber> {
        let routes = self.places.iter().flat_map(|place| place.meta.options.iter());
        routes.chain(&self.layer_options).copied()
    }

    fn find(&self, options: Options<'_>) -> Option<Hit> {
        let path = options.path();
        self.routes
            .find(path.clone())
            .or_else(|| self.fallbacks.find_prefix(path))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("places", &self.places.len())
            .finish_non_exhaustive()
    }
}
