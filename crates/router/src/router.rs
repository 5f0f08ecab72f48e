//! Paths to handlers.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use coracle_engine::{Body, BodyPolicy};
use coracle_wire::{Method, OptionNumber, Options};
use tower_layer::Layer;
use tower_service::Service;

use crate::discovery::{self, Discovery, WELL_KNOWN_CORE};
use crate::handler::{Build, Handler, Shared};
use crate::meta::Meta;
use crate::method_router::{LayerFn, MethodRouter, any, misuse};
use crate::pattern::Pattern;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::route::{Answer, Begin, Call, Route, RouteFuture, ServiceFuture};
use crate::table::{Place, Table};
use crate::trie::Trie;

/// Finds the handler of a request by its path and method.
///
/// A path is a list of segments, each one a Uri-Path option as it is, decoded (RFC 7252 §5.10.1): `/led/{n}` captures
/// one segment, `/files/{*rest}` all that follow, at least one. Literal segments go before captures, captures before
/// wildcards, whatever the order in which routes were added. `{{x}}` is the literal segment `{x}`.
///
/// `S` is the state that handlers still ask for: a router serves when it is a `Router<()>`, after
/// [`with_state`](Router::with_state) or because nobody asks for any. Clones share their routes.
///
/// It answers `/.well-known/core` by itself from what routes declare, unless a route has that path.
#[must_use]
pub struct Router<S = ()> {
    inner: Arc<Inner<S>>,
    table: Arc<OnceLock<Arc<Table>>>,
}

struct Inner<S> {
    routes: Vec<Entry<S>>,
    route_paths: Trie,
    fallbacks: Vec<Entry<S>>,
    fallback_paths: Trie,
    /// What answers where no fallback does.
    not_found: Entry<S>,
    discovery: Entry<S>,
    layer_options: Vec<OptionNumber>,
}

struct Entry<S> {
    pattern: Pattern,
    meta: Arc<Meta>,
    service: Arc<dyn Build<S>>,
}

impl<S: Send + Sync + 'static> Router<S> {
    /// No routes: everything is 4.04.
    pub fn new() -> Router<S> {
        let not_found = MethodRouter::internal(None, Route::new(NotFound));
        let discovery = MethodRouter::internal(Some(Method::GET), Route::new(Discovery))
            .content_format(coracle_wire::ContentFormat::LINK_FORMAT)
            .hidden();
        let core = parse(WELL_KNOWN_CORE);
        Router::of(Inner {
            routes: Vec::new(),
            route_paths: Trie::default(),
            fallbacks: Vec::new(),
            fallback_paths: Trie::default(),
            not_found: Entry::new(Pattern::root(), not_found),
            discovery: Entry::new(core, discovery),
            layer_options: Vec::new(),
        })
    }

    /// Adds a path with its handlers.
    ///
    /// # Panics
    /// If the path is none, if there is a route for it already (also one with other names for its captures), or if
    /// link-format cannot express what it declares.
    #[track_caller]
    pub fn route(self, path: &str, methods: MethodRouter<S>) -> Self {
        let entry = Entry::new(parse(path), methods);
        if let Err(error) = discovery::link(&entry.pattern, &entry.meta).check() {
            misuse(format_args!(
                "route {path:?}: its attributes cannot be listed: {error}"
            ));
        }
        let mut inner = self.into_inner();
        inner.add_route(entry);
        Router::of(inner)
    }

    /// Adds all routes of another router below a path. Its fallback, if it has one, answers what is below the path
    /// and has no route.
    ///
    /// # Panics
    /// As [`route`](Self::route); and if the path ends in a wildcard or captures a name that a route captures too.
    #[track_caller]
    pub fn nest(self, path: &str, router: Router<S>) -> Self {
        let prefix = parse(path);
        if prefix.has_wildcard() {
            misuse(format_args!("{path:?}: nothing can lie below a wildcard"));
        }
        let other = router.into_inner();
        let mut inner = self.into_inner();
        for entry in other.routes {
            inner.add_route(entry.nested(&prefix));
        }
        for entry in other.fallbacks {
            inner.add_fallback(entry.nested(&prefix));
        }
        inner.layer_options.extend(other.layer_options);
        Router::of(inner)
    }

    /// Adds all routes of another router beside those here, and its fallback.
    ///
    /// # Panics
    /// If both have a route for the same path, or both have a fallback.
    #[track_caller]
    pub fn merge(self, router: Router<S>) -> Self {
        self.nest("/", router)
    }

    /// Answers what has no route with this handler, whatever the method.
    ///
    /// # Panics
    /// If there is a fallback already.
    #[track_caller]
    pub fn fallback<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.fallback_route(any(handler))
    }

    /// Answers what has no route with these handlers, which can declare options and formats.
    ///
    /// # Panics
    /// If there is a fallback already.
    #[track_caller]
    pub fn fallback_route(self, methods: MethodRouter<S>) -> Self {
        let mut inner = self.into_inner();
        inner.add_fallback(Entry::new(Pattern::root(), methods));
        Router::of(inner)
    }

    /// Wraps all that was added so far, with the fallback, `/.well-known/core` and the 4.04 of the router. The layer
    /// that is added last sees a request first.
    ///
    /// A layer is asked once for each route, and again for each driver ([`for_shard`](Router::for_shard)): what routes
    /// are to share lies in the layer, behind an `Arc`.
    /// It runs when the route is found: a changed Uri-Path finds no other one.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Send + Sync + 'static,
        L::Service: Service<Request, Error: Into<Infallible>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse,
        <L::Service as Service<Request>>::Future: Send,
    {
        let layer: LayerFn = Arc::new(move |route| route.layered(&layer));
        self.change(|inner| {
            let own = [&mut inner.not_found, &mut inner.discovery];
            for entry in inner.routes.iter_mut().chain(&mut inner.fallbacks).chain(own) {
                entry.wrap(&layer);
            }
        })
    }

    /// Wraps the routes that were added so far, but nothing that the router answers where there is no route.
    pub fn route_layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Send + Sync + 'static,
        L::Service: Service<Request, Error: Into<Infallible>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse,
        <L::Service as Service<Request>>::Future: Send,
    {
        let layer: LayerFn = Arc::new(move |route| route.layered(&layer));
        self.change(|inner| inner.routes.iter_mut().for_each(|entry| entry.wrap(&layer)))
    }

    /// A critical option that a layer understands, so that the engine lets requests with it pass.
    ///
    /// The layer answers such a request or takes the option away: a route that still finds it answers 4.02, or 5.05
    /// for Proxy-Uri and Proxy-Scheme.
    pub fn layer_option(self, number: OptionNumber) -> Self {
        self.change(|inner| inner.layer_options.push(number))
    }

    /// Gives all handlers their state. What is added later may ask for another one, of type `S2`.
    pub fn with_state<S2: Send + Sync + 'static>(self, state: S) -> Router<S2> {
        let state = Arc::new(state);
        let inner = self.into_inner();
        let build = |entries: Vec<Entry<S>>| entries.into_iter().map(|entry| entry.built(&state)).collect();
        Router::of(Inner {
            routes: build(inner.routes),
            route_paths: inner.route_paths,
            fallbacks: build(inner.fallbacks),
            fallback_paths: inner.fallback_paths,
            not_found: inner.not_found.built(&state),
            discovery: inner.discovery.built(&state),
            layer_options: inner.layer_options,
        })
    }

    fn of(inner: Inner<S>) -> Router<S> {
        Router {
            inner: Arc::new(inner),
            table: Arc::default(),
        }
    }

    fn into_inner(self) -> Inner<S> {
        Arc::unwrap_or_clone(self.inner)
    }

    fn change(self, change: impl FnOnce(&mut Inner<S>)) -> Router<S> {
        let mut inner = self.into_inner();
        change(&mut inner);
        Router::of(inner)
    }
}

/// Serving.
impl Router<()> {
    /// Answers a request. The future holds all it needs; polled at once, most handlers are ready at once.
    pub fn call(&self, mut request: Request) -> RouteFuture {
        self.run(&mut request, Begin::WhenPolled)
    }

    /// [`call`](Self::call) for drivers: begins to answer on the spot, so that most responses are there at once
    /// ([`RouteFuture::response`]). Nobody is woken by that: a future without a response is to be polled.
    ///
    /// The request stays in its place, though something else may be left of it than what it was: it can be made another
    /// one by [`Request::refill`].
    pub fn begin(&self, request: &mut Request) -> RouteFuture {
        self.run(request, Begin::Now)
    }

    fn run(&self, request: &mut Request, begin: Begin) -> RouteFuture {
        match self.table().route(request) {
            Some(route) => route.run(request, begin),
            None => RouteFuture::ready(Rejection::NotFound.into_response()),
        }
    }

    /// [`call`](Self::call), as tests know it from axum and tower.
    pub fn oneshot(&self, request: Request) -> RouteFuture {
        self.call(request)
    }

    /// The same router with a table of its own, for a driver: what it counts for each request (references to routes,
    /// layers and state) it shares with no other driver, so that cores do not wait for each other. Layers are asked for
    /// their services anew. Clones of the result share its table.
    pub fn for_shard(&self) -> Router {
        Router {
            inner: self.inner.clone(),
            table: Arc::default(),
        }
    }

    /// The critical options that some route or layer declares: for the engine's `Config::known_options`.
    #[must_use]
    pub fn declared_options(&self) -> Vec<OptionNumber> {
        let mut options: Vec<OptionNumber> = self.table().declared_options().collect();
        options.sort_unstable();
        options.dedup();
        options
    }

    /// Routes are put together once, at the first request, for a router and all its clones.
    fn table(&self) -> &Arc<Table> {
        self.table.get_or_init(|| Arc::new(self.inner.build()))
    }
}

impl BodyPolicy for Router<()> {
    /// Collects up to the route's limit, or streams if the handler takes a [`BodyStream`](crate::BodyStream). What
    /// is going to be refused anyway is streamed too, so that the first block is answered.
    fn body(&self, method: Method, options: Options<'_>) -> Body {
        self.table().body(method, options)
    }
}

impl Service<Request> for Router<()> {
    type Response = Response;
    type Error = Infallible;
    type Future = ServiceFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> ServiceFuture {
        ServiceFuture(Router::call(self, request))
    }
}

impl<S: Send + Sync + 'static> Default for Router<S> {
    fn default() -> Self {
        Router::new()
    }
}

impl<S> Clone for Router<S> {
    fn clone(&self) -> Self {
        Router {
            inner: self.inner.clone(),
            table: self.table.clone(),
        }
    }
}

impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.inner.routes.iter().map(|entry| entry.pattern.text());
        f.debug_tuple("Router").field(&paths.collect::<Vec<_>>()).finish()
    }
}

impl<S: Send + Sync + 'static> Inner<S> {
    #[track_caller]
    fn add_route(&mut self, entry: Entry<S>) {
        if let Err(taken) = self.route_paths.insert(&entry.pattern, self.routes.len()) {
            let taken = self.routes.get(taken).map_or("/", |entry| entry.pattern.text());
            let path = entry.pattern.text();
            misuse(format_args!(
                "routes {taken:?} and {path:?} are the same: put their methods into one"
            ));
        }
        self.routes.push(entry);
    }

    #[track_caller]
    fn add_fallback(&mut self, entry: Entry<S>) {
        if self
            .fallback_paths
            .insert(&entry.pattern, self.fallbacks.len())
            .is_err()
        {
            misuse(format_args!("{:?} has two fallbacks", entry.pattern.text()));
        }
        self.fallbacks.push(entry);
    }
}

impl Inner<()> {
    /// Fallbacks stand behind the routes, and the router's own answers take the places that are left.
    fn build(&self) -> Table {
        let state = Arc::default();
        let mut route_paths = self.route_paths.clone();
        let mut fallback_paths = Trie::default();
        let mut places: Vec<Place> = self
            .routes
            .iter()
            .map(|entry| entry.place(&state, false))
            .collect();
        if route_paths.insert(&self.discovery.pattern, places.len()).is_ok() {
            places.push(self.discovery.place(&state, false));
        }
        for entry in self.fallbacks.iter().chain([&self.not_found]) {
            if fallback_paths.insert(&entry.pattern, places.len()).is_ok() {
                places.push(entry.place(&state, true));
            }
        }
        Table::new(places, route_paths, fallback_paths, self.layer_options.clone())
    }
}

impl<S> Clone for Inner<S> {
    fn clone(&self) -> Self {
        Inner {
            routes: self.routes.clone(),
            route_paths: self.route_paths.clone(),
            fallbacks: self.fallbacks.clone(),
            fallback_paths: self.fallback_paths.clone(),
            not_found: self.not_found.clone(),
            discovery: self.discovery.clone(),
            layer_options: self.layer_options.clone(),
        }
    }
}

impl<S: Send + Sync + 'static> Entry<S> {
    fn new(pattern: Pattern, methods: MethodRouter<S>) -> Entry<S> {
        Entry {
            pattern,
            meta: Arc::new(methods.meta().clone()),
            service: Arc::new(methods),
        }
    }

    #[track_caller]
    fn nested(self, prefix: &Pattern) -> Entry<S> {
        match prefix.join(&self.pattern) {
            Ok(pattern) => Entry { pattern, ..self },
            Err(error) => misuse(format_args!(
                "{:?} below {:?}: {error}",
                self.pattern.text(),
                prefix.text()
            )),
        }
    }

    fn wrap(&mut self, layer: &LayerFn) {
        self.service = Arc::new(Wrapped {
            inner: self.service.clone(),
            layer: layer.clone(),
        });
    }

    fn built<S2>(self, state: &Arc<S>) -> Entry<S2> {
        Entry {
            pattern: self.pattern,
            meta: self.meta,
            service: Arc::new(WithState {
                inner: self.service,
                state: state.clone(),
            }),
        }
    }

    fn place(&self, state: &Shared<S>, fallback: bool) -> Place {
        let route = self.service.build(state);
        Place {
            pattern: self.pattern.clone(),
            meta: self.meta.clone(),
            route,
            fallback,
        }
    }
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        Entry {
            pattern: self.pattern.clone(),
            meta: self.meta.clone(),
            service: self.service.clone(),
        }
    }
}

/// A route that gets its layer when it gets its state.
struct Wrapped<S> {
    inner: Arc<dyn Build<S>>,
    layer: LayerFn,
}

impl<S> Build<S> for Wrapped<S> {
    fn build(&self, state: &Shared<S>) -> Route {
        (self.layer)(self.inner.build(state))
    }
}

/// A route that has its state, so that it can be built for any other.
struct WithState<S> {
    inner: Arc<dyn Build<S>>,
    state: Arc<S>,
}

impl<S: Send + Sync, S2> Build<S2> for WithState<S> {
    fn build(&self, _: &Shared<S2>) -> Route {
        self.inner.build(&Arc::new(self.state.clone()))
    }
}

/// What answers where there is neither route nor fallback.
struct NotFound;

impl Call for NotFound {
    /// RFC 7252 §5.8: a method that is not recognized is 4.05, wherever it is asked for.
    fn call(&self, request: &mut Request, _: Begin) -> Answer {
        let rejection = match request.method.name() {
            Some(_) => Rejection::NotFound,
            None => Rejection::Method {
                allowed: String::new(),
            },
        };
        Answer::ready(rejection.into_response())
    }
}

#[track_caller]
fn parse(path: &str) -> Pattern {
    Pattern::parse(path).unwrap_or_else(|error| misuse(format_args!("route {path:?}: {error}")))
}
