//! What is behind sockets and connections: the engine, and the application behind that.

use std::mem;

use coracle_engine::{ConnectionId, Endpoint, Instant, Path, Received};
use coracle_net::Datagram;
use coracle_router::Identity;

use crate::connections::Came;
use crate::secure::Secure;
use crate::serving::Serving;

/// The engine, and the application behind it.
pub(crate) struct Inside<'a> {
    pub(crate) serving: Option<&'a mut Serving>,
    pub(crate) engine: &'a mut Endpoint,
    pub(crate) now: Instant,
    /// Who has sent what is taken in.
    pub(crate) identity: Option<Identity>,
}

impl Inside<'_> {
    /// Takes in the messages at the start of what came on a connection, `most` of them and as long as that one takes any,
    /// and hands what they brought to the application. How many bytes they were.
    pub(crate) fn take_messages(&mut self, id: ConnectionId, came: Came<'_>, most: &mut usize) -> usize {
        let mut rest = came.bytes;
        while !rest.is_empty() && *most > 0 && self.engine.takes_input(id) {
            let before = rest.len();
            let mut received = self.engine.handle_stream(self.now, id, &mut rest);
            let identity = self.identity.clone();
            let serving = self.serving.as_deref_mut();
            serve(serving, self.engine, self.now, (came, identity), &mut received);
            if rest.len() == before {
                break;
            }
            *most -= 1;
        }
        came.bytes.len() - rest.len()
    }

    /// Takes in the message of a datagram, and hands what it brought to the application.
    pub(crate) fn take_datagram(&mut self, path: Path, message: &[u8]) {
        let mut received = self.engine.handle_datagram(self.now, path, message);
        let came = (message.into(), self.identity.take());
        serve(
            self.serving.as_deref_mut(),
            self.engine,
            self.now,
            came,
            &mut received,
        );
    }

    /// A datagram came that is longer than there is room for.
    pub(crate) fn oversize(&mut self, path: &Path, start: &[u8]) {
        tracing::debug!(from = %path.remote, "a datagram is too long");
        self.engine.handle_oversize(path, start);
    }
}

/// Takes a datagram in: as records of sessions, or as a message.
pub(crate) fn take_in(inside: &mut Inside<'_>, secure: Option<&mut Secure>, datagram: Datagram<'_>) {
    let Datagram {
        path,
        payload,
        truncated,
    } = datagram;
    match secure.filter(|secure| secure.takes(payload)) {
        Some(secure) if truncated => secure.oversize(),
        Some(secure) => secure.receive(inside, path, payload),
        None if truncated => inside.oversize(&path, payload),
        None => inside.take_datagram(path, payload),
    }
}

/// Hands what a message brought to the application, and whose it is. Only what is to be kept is moved out of its place.
fn serve(
    serving: Option<&mut Serving>,
    engine: &mut Endpoint,
    now: Instant,
    (came, identity): (Came<'_>, Option<Identity>),
    received: &mut Received<'_>,
) {
    let Some(serving) = serving else {
        return not_a_server(engine, now, received);
    };
    match received {
        Received::Request(id, request) => serving.request(engine, now, *id, request, (came, identity)),
        Received::Body(id, part) => serving.body(now, *id, came.keep(part.payload), part.more),
        assembled @ Received::Assembled(..) => {
            if let Received::Assembled(id, request) = mem::replace(assembled, Received::Nothing) {
                serving.assembled(engine, now, id, request, identity);
            }
        }
        Received::Nothing => {}
    }
}

/// A client is asked: it has no resources (RFC 7252 §5.8).
fn not_a_server(engine: &mut Endpoint, now: Instant, received: &Received<'_>) {
    if let Received::Request(id, _) | Received::Assembled(id, _) = received {
        let answer = coracle_engine::ResponseRef::new(
            coracle_wire::Status::NOT_FOUND,
            coracle_wire::Options::empty(),
            b"this is a client",
        );
        // It was asked just now, so that somebody waits for the answer.
        let _ = engine.respond(now, *id, answer);
    }
}
