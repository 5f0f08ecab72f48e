//! The built handlers of one path, and the order in which a request is examined.

use std::sync::Arc;

use bytes::Bytes;
use coracle_wire::{ContentFormat, Method, OptionNumber};

use crate::finish::Finish;
use crate::meta::Meta;
use crate::preconditions::Preconditions;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::route::{Answer, Begin, Call, Route};
use crate::wishes::Wishes;

/// Options (4.02), method (4.05), Accept (4.06), Content-Format (4.15), preconditions (4.12), the handler, and at
/// last what [`Finish`] does.
pub(crate) struct Resource {
    handlers: Vec<(Method, Route)>,
    any: Option<Route>,
    meta: Arc<Meta>,
}

impl Resource {
    pub(crate) fn new(handlers: Vec<(Method, Route)>, any: Option<Route>, meta: Arc<Meta>) -> Resource {
        Resource { handlers, any, meta }
    }

    fn handler(&self, method: Method) -> Option<&Route> {
        self.handlers
            .iter()
            .find(|(handled, _)| *handled == method)
            .map(|(_, route)| route)
            .or(self.any.as_ref())
    }

    fn admit(&self, request: &Request) -> Result<(&Route, Wishes), Rejection> {
        let (method, options) = (request.method, request.options.as_options());
        self.meta.admit(method, options, self.handler(method))
    }

    fn call_if(&self, finish: Finish, handler: &Route, request: &mut Request, begin: Begin) -> Answer {
        let current = self.handlers.iter().find(|(method, _)| *method == Method::GET);
        let Some((_, current)) = current else {
            return Answer::ready(Rejection::Precondition.into_response());
        };
        let conditions = Preconditions::of(request.options.as_options());
        let (current, handler, meta) = (current.clone(), handler.clone(), self.meta.clone());
        let mut request = request.take();
        Answer::of(begin, async move {
            match hold(&conditions, &current, &request, &meta).await {
                true => {
                    let mut answer = handler.answer(&mut request, Begin::WhenPolled);
                    answer.finish_by(finish);
                    answer.await
                }
                false => Rejection::Precondition.into_response(),
            }
        })
    }
}

impl Call for Resource {
    fn call(&self, request: &mut Request, begin: Begin) -> Answer {
        let (handler, mut wishes) = match self.admit(request) {
            Ok(admitted) => admitted,
            Err(rejection) => return Answer::ready(rejection.into_response()),
        };
        // Those of a GET are held against its own response, those of others against what a GET says.
        let preconditions = wishes.preconditions && !self.meta.conditional;
        let is_get = request.method == Method::GET;
        wishes.preconditions = preconditions && is_get;
        let finish = Finish::new(request, wishes, self.meta.only_format());
        if preconditions && !is_get {
            return self.call_if(finish, handler, request, begin);
        }
        let mut answer = handler.answer(request, begin);
        answer.finish_by(finish);
        answer
    }
}

/// Holds conditions against the current representation, or if there are several against any of them
/// (RFC 7252 §5.10.8.1).
async fn hold(conditions: &Preconditions, current: &Route, request: &Request, meta: &Meta) -> bool {
    let others = if meta.produces.len() > 1 {
        &meta.produces[..]
    } else {
        &[]
    };
    for accept in std::iter::once(None).chain(others.iter().map(|format| Some(*format))) {
        if conditions.hold_for(&representation(current, request, accept).await) {
            return true;
        }
    }
    false
}

async fn representation(current: &Route, request: &Request, accept: Option<ContentFormat>) -> Response {
    let mut question = request.without_stream();
    question.method = Method::GET;
    question.payload = Bytes::new();
    question
        .options
        .retain(|option| !is_of_one_request(option.number));
    if let Some(accept) = accept {
        question = question.with_accept(accept);
    }
    let wishes = Wishes {
        accept,
        ..Wishes::default()
    };
    let finish = Finish::new(&question, wishes, None);
    let mut answer = current.answer(&mut question, Begin::WhenPolled);
    answer.finish_by(finish);
    answer.await
}

/// Options that speak of a request's own payload, conditions and transfer rather than of the resource.
fn is_of_one_request(number: OptionNumber) -> bool {
    matches!(
        number,
        OptionNumber::IF_MATCH
            | OptionNumber::IF_NONE_MATCH
            | OptionNumber::ETAG
            | OptionNumber::OBSERVE
            | OptionNumber::CONTENT_FORMAT
            | OptionNumber::ACCEPT
            | OptionNumber::BLOCK1
            | OptionNumber::BLOCK2
            | OptionNumber::SIZE1
            | OptionNumber::SIZE2
            | OptionNumber::NO_RESPONSE
            | OptionNumber::REQUEST_TAG
    )
}
