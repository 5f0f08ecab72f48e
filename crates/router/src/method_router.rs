//! The handlers of one path, by method.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use coracle_formats::link_format::Link;
use coracle_wire::{ContentFormat, Method, OptionNumber};
use tower_layer::Layer;
use tower_service::Service;

use crate::handler::{Build, Handler, Shared, Stateless};
use crate::meta::{Meta, Takes};
use crate::request::Request;
use crate::resource::Resource;
use crate::response::IntoResponse;
use crate::route::Route;

pub(crate) type LayerFn = Arc<dyn Fn(Route) -> Route + Send + Sync>;

/// The handlers of one path, by method, with what the path declares about itself.
///
/// ```
/// use coracle_router::{get, Changed, Router};
/// use coracle_wire::ContentFormat;
///
/// async fn read() -> &'static str { "21.5" }
/// async fn write(text: String) -> Changed { Changed }
///
/// let app: Router = Router::new().route(
///     "/temp",
///     get(read).put(write).rt("temperature").content_format(ContentFormat::TEXT).observable(),
/// );
/// ```
#[must_use]
pub struct MethodRouter<S = ()> {
    handlers: Vec<(Method, Arc<dyn Build<S>>)>,
    any: Option<Arc<dyn Build<S>>>,
    layers: Vec<LayerFn>,
    meta: Meta,
}

macro_rules! by_method {
    ($($name:ident $method:ident $doc:literal;)*) => {
        $(
            #[doc = concat!("A path that answers ", $doc, " with this handler.")]
            pub fn $name<H, T, S>(handler: H) -> MethodRouter<S>
            where
                H: Handler<T, S>,
                T: 'static,
                S: Send + Sync + 'static,
            {
                on(Method::$method, handler)
            }
        )*

        impl<S: Send + Sync + 'static> MethodRouter<S> {
            $(
                #[doc = concat!("Answers ", $doc, " with this handler.")]
                ///
                /// # Panics
                /// If the method has a handler already.
                #[track_caller]
                pub fn $name<H, T>(self, handler: H) -> Self
                where
                    H: Handler<T, S>,
                    T: 'static,
                {
                    self.on(Method::$method, handler)
                }
            )*
        }
    };
}

by_method! {
    get GET "GET (RFC 7252 §5.8.1)";
    post POST "POST (RFC 7252 §5.8.2)";
    put PUT "PUT (RFC 7252 §5.8.3)";
    delete DELETE "DELETE (RFC 7252 §5.8.4)";
    fetch FETCH "FETCH (RFC 8132 §2)";
    patch PATCH "PATCH (RFC 8132 §3)";
    ipatch IPATCH "iPATCH (RFC 8132 §3)";
}

/// A path that answers any method, registered or not, with this handler.
pub fn any<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Send + Sync + 'static,
{
    MethodRouter::empty().or_any(handler)
}

/// A path that answers this method with this handler.
pub fn on<H, T, S>(method: Method, handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Send + Sync + 'static,
{
    MethodRouter::empty().on(method, handler)
}

impl<S: Send + Sync + 'static> MethodRouter<S> {
    fn empty() -> Self {
        MethodRouter {
            handlers: Vec::new(),
            any: None,
            layers: Vec::new(),
            meta: Meta::default(),
        }
    }

    /// A path whose one handler is the router's own.
    pub(crate) fn internal(method: Option<Method>, route: Route) -> Self {
        let mut this = Self::empty();
        match method {
            Some(method) => {
                this.meta.methods.push((method, Takes::Whole));
                this.handlers.push((method, Arc::new(route)));
            }
            None => {
                this.meta.any = Some(Takes::Parts);
                this.any = Some(Arc::new(route));
            }
        }
        this
    }

    /// Answers this method with this handler.
    ///
    /// # Panics
    /// If the method has a handler already.
    #[track_caller]
    pub fn on<H, T>(mut self, method: Method, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        if self.meta.methods.iter().any(|(handled, _)| *handled == method) {
            misuse(format_args!("{method} has two handlers"));
        }
        self.meta.methods.push((method, takes::<H, T, S>()));
        self.handlers.push((method, Arc::new(Stateless::new(handler))));
        self
    }

    /// Answers all methods that have no handler of their own with this handler.
    pub fn or_any<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.meta.any = Some(takes::<H, T, S>());
        self.any = Some(Arc::new(Stateless::new(handler)));
        self
    }

    /// Wraps all handlers of the path, and what the router answers in their place (4.05 and the like).
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Send + Sync + 'static,
        L::Service: Service<Request, Error: Into<Infallible>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse,
        <L::Service as Service<Request>>::Future: Send,
    {
        self.layers.push(Arc::new(move |route| route.layered(&layer)));
        self
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// Declarations.
impl<S> MethodRouter<S> {
    /// Resource type, link attribute `rt` (RFC 6690 §3.1); given again, a further one.
    pub fn rt(self, resource_type: &str) -> Self {
        self.attribute("rt", resource_type)
    }

    /// Interface description, link attribute `if` (RFC 6690 §3.2); given again, a further one.
    pub fn interface(self, description: &str) -> Self {
        self.attribute("if", description)
    }

    /// A format that representations come in, link attribute `ct` (RFC 7252 §7.2.1); given again, a further one.
    ///
    /// A request that accepts none of them is answered 4.06 before a handler runs. If there is only one, responses
    /// that do not say their format get it.
    pub fn content_format(mut self, format: ContentFormat) -> Self {
        self.meta.produces.push(format);
        self.attribute("ct", &format.0.to_string())
    }

    /// The largest size of a representation in bytes, link attribute `sz` (RFC 6690 §3.3).
    pub fn size(self, bytes: u64) -> Self {
        self.attribute("sz", &bytes.to_string())
    }

    /// A name for people, link attribute `title` (RFC 6690 §3).
    pub fn title(self, title: &str) -> Self {
        self.attribute("title", title)
    }

    /// Worth observing, link attribute `obs` (RFC 7641 §6). Whether an observation is accepted is the handler's to
    /// say, by [`Response::observed`](crate::Response::observed).
    pub fn observable(mut self) -> Self {
        self.meta.attributes.push(("obs".into(), None));
        self
    }

    /// Any other link attribute (RFC 6690 §3).
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.meta.attributes.push((name.into(), Some(value.into())));
        self
    }

    /// Not listed in `/.well-known/core`.
    pub fn hidden(mut self) -> Self {
        self.meta.hidden = true;
        self
    }

    /// Lists links that are only known at run time in `/.well-known/core`: what lies under a path with captures.
    ///
    /// The function is called for each discovery with the encoded path before the first capture, for instance
    /// `/store` of `/store/{*path}`, empty for the root; it must not block. Links that link-format cannot express are
    /// left out.
    pub fn links(mut self, links: impl Fn(&str) -> Vec<Link> + Send + Sync + 'static) -> Self {
        self.meta.links = Some(Arc::new(links));
        self
    }

    /// A format that payloads may come in; given again, a further one. A payload that says another is answered 4.15
    /// before a handler runs; one that says nothing is left to the handler.
    pub fn consumes(mut self, format: ContentFormat) -> Self {
        self.meta.consumes.push(format);
        self
    }

    /// A critical option that the handlers understand; without it, a request with the option is answered 4.02
    /// (RFC 7252 §5.4.1).
    pub fn option(mut self, number: OptionNumber) -> Self {
        self.meta.options.push(number);
        self
    }

    /// The handlers evaluate If-Match and If-None-Match by themselves, with [`Preconditions`](crate::Preconditions).
    ///
    /// Otherwise the router does before it calls a handler that is not GET (that of FETCH too: its conditions are about
    /// the resource, RFC 8132 §2): it asks the GET handler for the current representation, without Accept first and
    /// then in each declared format. 2.05 and 2.03 mean that the resource exists, with the ETag they carry, 4.04 that
    /// it does not. Any other answer, and a path without GET, fails the condition: 4.12. Between the question and the
    /// change others may change the resource: who must exclude that says `conditional`.
    pub fn conditional(mut self) -> Self {
        self.meta.conditional = true;
        self
    }

    /// The longest body of a request in bytes, more is answered 4.13 (RFC 7959 §2.9.3); 1 MiB
    /// ([`DEFAULT_BODY_LIMIT`](crate::DEFAULT_BODY_LIMIT)). A [`BodyStream`](crate::BodyStream) has no limit.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.meta.body_limit = Some(bytes);
        self
    }
}

impl<S: Send + Sync + 'static> Build<S> for MethodRouter<S> {
    fn build(&self, state: &Shared<S>) -> Route {
        let handlers = self
            .handlers
            .iter()
            .map(|(method, handler)| (*method, handler.build(state)));
        let any = self.any.as_ref().map(|handler| handler.build(state));
        let resource = Route::new(Resource::new(
            handlers.collect(),
            any,
            Arc::new(self.meta.clone()),
        ));
        self.layers.iter().fold(resource, |route, layer| layer(route))
    }
}

impl<S> Clone for MethodRouter<S> {
    fn clone(&self) -> Self {
        MethodRouter {
            handlers: self.handlers.clone(),
            any: self.any.clone(),
            layers: self.layers.clone(),
            meta: self.meta.clone(),
        }
    }
}

impl<S> fmt::Debug for MethodRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodRouter")
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

fn takes<H: Handler<T, S>, T, S>() -> Takes {
    if H::STREAMS_BODY {
        Takes::Parts
    } else {
        Takes::Whole
    }
}

/// Ends the program while it sets up its routes: there is no way to go on with routes that contradict each other.
#[expect(
    clippy::panic,
    reason = "a fault of the program, found when it starts and never by a request"
)]
#[track_caller]
pub(crate) fn misuse(message: std::fmt::Arguments<'_>) -> ! {
    panic!("{message}")
}
