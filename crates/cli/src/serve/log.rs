//! `-v`: a line for each request.

use std::fmt::Write;
use std::time::{Duration, Instant};

use coracle::prelude::*;
use coracle::router::{Next, from_fn};
use coracle::wire::Options;

use crate::console::{Console, harmless_line};

/// The router, telling each request. Notifications are requests that are run again, and are told too.
pub(super) fn told(router: Router, console: Console) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| async move {
        let asked = question(&request);
        let begin = Instant::now();
        let response = next.run(request).await;
        console.detail(&line(&asked, &response, begin.elapsed()));
        response
    }))
}

/// Who asks what.
fn question(request: &Request) -> String {
    let mut text = format!("{} {} ", request.path.remote, request.method);
    push_location(&mut text, request.options.as_options());
    if request.path.multicast {
        text.push_str(" (to a group)");
    }
    harmless_line(&text)
}

/// Path and query for people: as they came, not encoded.
fn push_location(text: &mut String, options: Options<'_>) {
    let mut path = options.path().map(String::from_utf8_lossy).peekable();
    if path.peek().is_none() {
        text.push('/');
    }
    for segment in path {
        text.push('/');
        text.push_str(&segment);
    }
    for (at, argument) in options.queries().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(&String::from_utf8_lossy(argument));
    }
}

fn line(asked: &str, response: &Response, took: Duration) -> String {
    let mut line = format!("{asked}: {}", response.status);
    // Writing to a string cannot fail.
    let _ = write!(line, ", {} bytes", response.payload.len());
    if let Some(window) = response.window {
        let _ = write!(line, " at {} of {}", window.offset, window.total);
    }
    let _ = write!(line, ", {:.1} ms", took.as_secs_f64() * 1000.0);
    if !response.status.is_success() && !response.payload.is_empty() {
        let _ = write!(
            line,
            " ({})",
            harmless_line(&String::from_utf8_lossy(&response.payload))
        );
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_what_and_how_it_went() {
        let request = Request::get("/a\x1b[2J/b c?x=1&y");
        let asked = question(&request);
        assert_eq!(asked, "127.0.0.1:5683 GET /a\\u{1b}[2J/b c?x=1&y");
        let took = Duration::from_micros(1500);
        assert_eq!(
            line(&asked, &Response::success("hello"), took),
            format!("{asked}: 2.05 Content, 5 bytes, 1.5 ms")
        );
        let refused = Response::diagnostic(Status::FORBIDDEN, "no\n");
        assert_eq!(
            line("x", &refused, took),
            "x: 4.03 Forbidden, 3 bytes, 1.5 ms (no\\n)"
        );
    }

    #[test]
    fn the_root_is_a_slash() {
        assert_eq!(question(&Request::put("/")), "127.0.0.1:5683 PUT /");
    }
}
