//! What a route declares about itself, and what follows for requests before any handler runs.

use std::fmt;
use std::sync::Arc;

use coracle_engine::Body;
use coracle_formats::link_format::Link;
use coracle_wire::{ContentFormat, Method, OptionNumber, Options};

use crate::rejection::Rejection;
use crate::request::DEFAULT_BODY_LIMIT;
use crate::wishes::Wishes;

pub(crate) type LinkSource = Arc<dyn Fn(&str) -> Vec<Link> + Send + Sync>;

/// The declarations of a route.
#[derive(Clone, Default)]
pub(crate) struct Meta {
    pub(crate) methods: Vec<(Method, Takes)>,
    /// A handler for all other methods.
    pub(crate) any: Option<Takes>,
    /// Formats of representations; empty: not declared.
    pub(crate) produces: Vec<ContentFormat>,
    /// Formats of payloads; empty: not declared.
    pub(crate) consumes: Vec<ContentFormat>,
    /// Critical options that the handlers understand.
    pub(crate) options: Vec<OptionNumber>,
    /// The handlers evaluate If-Match and If-None-Match.
    pub(crate) conditional: bool,
    pub(crate) body_limit: Option<usize>,
    /// Link attributes in their order; `None` for bare ones.
    pub(crate) attributes: Vec<(String, Option<String>)>,
    pub(crate) hidden: bool,
    pub(crate) links: Option<LinkSource>,
}

/// How a handler takes bodies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    Whole,
    Parts,
}

impl Meta {
    /// What can be said against a request by its options alone, the most severe first. `handler` is what the route has
    /// for the method.
    pub(crate) fn admit<H>(
        &self,
        method: Method,
        options: Options<'_>,
        handler: Option<H>,
    ) -> Result<(H, Wishes), Rejection> {
        let wishes = Wishes::of(options, &self.options).map_err(Rejection::Option)?;
        let handler = handler.ok_or_else(|| Rejection::Method {
            allowed: self.allowed(),
        })?;
        if let Some(accept) = wishes.accept
            && !declares(&self.produces, accept)
        {
            return Err(Rejection::NotAcceptable { accept });
        }
        if let Some(found) = wishes.content_format
            && !matches!(method, Method::GET | Method::DELETE)
            && !declares(&self.consumes, found)
        {
            return Err(Rejection::ContentFormat { found });
        }
        Ok((handler, wishes))
    }

    /// A request that is refused is streamed: it is answered on its first block and not assembled in vain.
    pub(crate) fn body(&self, method: Method, options: Options<'_>) -> Body {
        let handled = self.methods.iter().find(|(handled, _)| *handled == method);
        let takes = handled.map(|(_, takes)| *takes).or(self.any);
        match self.admit(method, options, takes) {
            Ok((Takes::Whole, _)) => Body::Collect {
                limit: self.body_limit.unwrap_or(DEFAULT_BODY_LIMIT),
            },
            Ok((Takes::Parts, _)) | Err(_) => Body::Stream,
        }
    }

    /// The format of a representation that does not say it.
    pub(crate) fn only_format(&self) -> Option<ContentFormat> {
        match self.produces[..] {
            [format] => Some(format),
            _ => None,
        }
    }

    fn allowed(&self) -> String {
        let names: Vec<String> = self
            .methods
            .iter()
            .map(|(method, _)| method.to_string())
            .collect();
        names.join(", ")
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meta")
            .field("methods", &self.methods)
            .field("any", &self.any)
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}

fn declares(declared: &[ContentFormat], format: ContentFormat) -> bool {
    declared.is_empty() || declared.contains(&format)
}
