//! `-v`: a line for each request and each notification.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use coracle::prelude::*;
use coracle::router::{Next, from_fn};
use coracle::wire::Options;

use crate::console::{Console, harmless_line};
use crate::timestamp;

/// How much of a streamed body came so far, in bytes: handlers of such bodies count, when it is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Received(Arc<AtomicU64>);

impl Received {
    /// Counts a part.
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The router, telling each request and each notification.
pub(super) fn told(router: Router, console: Console) -> Router {
    router.layer(from_fn(move |mut request: Request, next: Next| async move {
        let asked = Question::of(&request);
        let (whole, received) = (request.payload.len() as u64, Received::default());
        request.extensions.insert(received.clone());
        let begin = Instant::now();
        let response = next.run(request).await;
        // A body that is here as a whole may be taken as a stream too, and counted.
        let received = received.0.load(Ordering::Relaxed).max(whole);
        let line = asked.line(received, &response, begin.elapsed());
        let now = timestamp::to_the_millisecond(SystemTime::now());
        console.detail(&format!("{now} {line}"));
        response
    }))
}

/// Who asks what.
struct Question {
    text: String,
    /// Observe, if somebody asked with it just now (RFC 7641 §2).
    observe: Option<u32>,
}

impl Question {
    fn of(request: &Request) -> Question {
        let options = request.options.as_options();
        let mut text = request.path.remote.to_string();
        // Writing to a string cannot fail.
        let _ = match request.notification {
            true => write!(text, " NOTIFY "),
            false => write!(text, " {} ", request.method),
        };
        push_location(&mut text, options);
        if request.path.multicast {
            text.push_str(" (to a group)");
        }
        Question {
            text: harmless_line(&text),
            observe: options.observe().filter(|_| !request.notification),
        }
    }

    /// The whole line; `received` is the length of the request's body in bytes.
    fn line(&self, received: u64, response: &Response, took: Duration) -> String {
        let mut line = self.text.clone();
        // Writing to a string cannot fail.
        if received > 0 {
            let _ = write!(line, " with {received} bytes");
        }
        let _ = write!(line, ": {}, {} bytes", response.status, response.payload.len());
        if let Some(window) = response.window {
            let _ = write!(line, " at {} of {}", window.offset, window.total);
        }
        let _ = write!(line, ", {:.1} ms", took.as_secs_f64() * 1000.0);
        match self.observe {
            Some(0) if response.observe.is_some() => line.push_str(", observed from now on"),
            Some(1) => line.push_str(", observed no longer"),
            _ => {}
        }
        if !response.status.is_success() && !response.payload.is_empty() {
            let diagnostic = harmless_line(&String::from_utf8_lossy(&response.payload));
            let _ = write!(line, " ({diagnostic})");
        }
        line
    }
}

/// Path and query as in a URI (RFC 7252 §6.5), but with dots as they came.
fn push_location(text: &mut String, options: Options<'_>) {
    let mut path = options.path().peekable();
    if path.peek().is_none() {
        text.push('/');
    }
    for segment in path {
        text.push('/');
        push_encoded(text, segment, b"");
    }
    for (at, argument) in options.queries().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        push_encoded(text, argument, b"/?");
    }
}

/// Percent-encodes all that does not stand for itself in a segment (RFC 3986 §3.3) or is one of `others`; `&` too, which
/// separates arguments.
fn push_encoded(text: &mut String, bytes: &[u8], others: &[u8]) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~!$'()*+,;=:@".contains(byte) || others.contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle::router::Observable;

    fn question(request: &Request) -> String {
        Question::of(request).text
    }

    #[test]
    fn a_line_says_who_what_and_how_it_went() {
        let request = Request::get("/a\x1b[2J/b c?x=1&y");
        let asked = Question::of(&request);
        assert_eq!(asked.text, "127.0.0.1:5683 GET /a%1B%5B2J/b%20c?x=1&y");
        let took = Duration::from_micros(1500);
        assert_eq!(
            asked.line(0, &Response::success("hello"), took),
            format!("{}: 2.05 Content, 5 bytes, 1.5 ms", asked.text)
        );
        let asked = Question::of(&Request::put("/x"));
        let refused = Response::diagnostic(Status::FORBIDDEN, "no\n");
        assert_eq!(
            asked.line(90_000, &refused, took),
            "127.0.0.1:5683 PUT /x with 90000 bytes: 4.03 Forbidden, 3 bytes, 1.5 ms (no\\n)"
        );
    }

    #[test]
    fn what_is_in_a_segment_is_told_from_what_separates_segments() {
        let request = ["a/b", "..", "%2F", ""]
            .iter()
            .fold(Request::get("/"), |request, segment| {
                request.with_option(OptionNumber::URI_PATH, segment.as_bytes())
            })
            .with_option(OptionNumber::URI_QUERY, b"p=/a&b");
        assert_eq!(question(&request), "127.0.0.1:5683 GET /a%2Fb/../%252F/?p=/a%26b");
    }

    #[test]
    fn the_root_is_a_slash() {
        assert_eq!(question(&Request::put("/")), "127.0.0.1:5683 PUT /");
    }

    #[test]
    fn observations_are_told_from_requests() {
        let observable: Observable = Notifier::new(()).observable();
        let state = Response::success("x").observed(observable);
        let told = |request: &Request| Question::of(request).line(0, &state, Duration::ZERO);
        let begin = Request::get("/a").with_option(OptionNumber::OBSERVE, b"");
        assert!(told(&begin).ends_with(" ms, observed from now on"));
        let end = Request::get("/a").with_option(OptionNumber::OBSERVE, b"\x01");
        assert!(told(&end).ends_with(" ms, observed no longer"));
        let again = told(&begin.with_notification(true));
        assert_eq!(again, "127.0.0.1:5683 NOTIFY /a: 2.05 Content, 1 bytes, 0.0 ms");
        assert!(told(&Request::get("/a")).ends_with(" ms"));
    }
}
