//! The engine driven by hand over a plain socket: a server with one observable resource, and a client of it.
//!
//! On a microcontroller the socket is the radio and the clock a timer; the loop is the same. Run it with
//! `cargo run -p coracle-engine --example by_hand`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::UdpSocket;
use std::time::{Duration, Instant as Clock};

use coracle_engine::{
    Config, Endpoint, Event, Instant, Path, Received, RequestRef, ResponseRef, Topic, limits,
};
use coracle_wire::{Method, OptionNumber, Options, OptionsBuf, Status};

const TEMPERATURE: Topic = Topic(1);

/// A socket with an engine: what a device has.
struct Node {
    socket: UdpSocket,
    engine: Endpoint,
    started: Clock,
}

impl Node {
    fn new(seed: u8) -> std::io::Result<Node> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // A real device takes the seed from its random number generator.
        let engine = Endpoint::new(Config::constrained(), [seed; 32]);
        Ok(Node {
            socket,
            engine,
            started: Clock::now(),
        })
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.started.elapsed()
    }

    /// Waits for a datagram or for the engine's deadline, then lets everything out that became due.
    fn turn(&mut self, celsius: f32, mut tell: impl FnMut(&Event)) -> std::io::Result<()> {
        let until = self.engine.poll_deadline().map(|deadline| deadline.at);
        let patience = until.map_or(Duration::from_secs(1), |at| at.since(self.now()));
        let shortest = Duration::from_millis(1);
        self.socket
            .set_read_timeout(Some(patience.clamp(shortest, Duration::from_secs(1))))?;
        let mut buf = [0; limits::MAX_DATAGRAM];
        let received = self.socket.recv_from(&mut buf);
        let now = self.now();
        if let Ok((len, from)) = received
            && let Some(datagram) = buf.get(..len)
            && let Received::Request(id, _) = self.engine.handle_datagram(now, Path::to(from), datagram)
        {
            self.answer(now, id, celsius);
        }
        self.engine.handle_timeout(now);
        self.drain(now, celsius, &mut tell)
    }

    /// After any call that changes the engine: first its events, then its datagrams.
    fn drain(&mut self, now: Instant, celsius: f32, tell: &mut impl FnMut(&Event)) -> std::io::Result<()> {
        while let Some(event) = self.engine.poll_event() {
            tell(&event);
            if let Event::Refresh { id, .. } = event {
                // Somebody observes what has changed: the new state, by the same way as an answer.
                self.answer(now, id, celsius);
            }
        }
        let mut buf = [0; limits::MAX_DATAGRAM];
        while let Some(out) = self.engine.poll_transmit(now, &mut buf) {
            let datagram = buf.get(..out.len).unwrap_or_default();
            self.socket.send_to(datagram, out.path.remote)?;
        }
        Ok(())
    }

    fn answer(&mut self, now: Instant, id: coracle_engine::ExchangeId, celsius: f32) {
        let text = format!("{celsius:.1}");
        let response = ResponseRef::new(Status::CONTENT, Options::empty(), text.as_bytes());
        // It fails only when nobody waits any more.
        let _ = self
            .engine
            .respond(now, id, response.with_observe(Some(TEMPERATURE)));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut server, mut client) = (Node::new(1)?, Node::new(2)?);
    let mut options = OptionsBuf::new();
    options.set_uint(OptionNumber::OBSERVE, 0);
    options.push_str(OptionNumber::URI_PATH, "temp")?;
    let way = Path::to(server.socket.local_addr()?);
    let request = RequestRef::new(Method::GET, options.as_options());
    let observation = client.engine.request(client.now(), &way, request)?;
    client.drain(client.now(), 0.0, &mut |_| {})?;

    for celsius in [20.5, 21.0, 21.5] {
        server.turn(celsius, |_| {})?;
        client.turn(0.0, |event| {
            if let Event::Response { response, .. } = event {
                println!("{}", String::from_utf8_lossy(&response.payload));
            }
        })?;
        // The acknowledgement of a notification reaches the server before the next change.
        server.turn(celsius, |_| {})?;
        server.engine.changed(TEMPERATURE);
        server.drain(server.now(), celsius + 0.5, &mut |_| {})?;
    }
    client.engine.cancel(client.now(), observation);
    client.drain(client.now(), 0.0, &mut |_| {})?;
    Ok(())
}
