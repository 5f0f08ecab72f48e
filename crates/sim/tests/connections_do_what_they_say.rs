//! Connections between nodes: what is written arrives in order, and breaks, vanishes and is held back as it should.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::time::Duration;

use coracle_engine::{ConnectionId, Event, ExchangeError, RequestRef, ResponseRef};
use coracle_sim::{Break, Input, Io, Network, NodeId, Pipe};
use coracle_wire::{Framing, Method, Options, Status};

const SECOND: Duration = Duration::from_secs(1);

/// Answers with what it is sent.
fn echo(io: &mut Io<'_>, input: Input) {
    if let Input::Request { id, payload, .. } = input {
        io.respond(id, ResponseRef::new(Status::CONTENT, Options::empty(), &payload))
            .unwrap();
    }
}

struct Pair {
    network: Network,
    client: NodeId,
    server: NodeId,
    connection: ConnectionId,
}

/// A client that is connected to a server that echoes.
fn connected(pipe: Pipe) -> Pair {
    let mut network = Network::new(3);
    network.set_pipe(pipe);
    let (server, client) = (network.add_server(echo), network.add_client());
    network.connect(client, server);
    network.run_for(5 * SECOND);
    let inputs = network.take_inbox(client);
    let [
        Input::Connected { connection, .. },
        Input::Event(Event::Opened { .. }),
    ] = inputs[..]
    else {
        panic!("{inputs:?}")
    };
    Pair {
        network,
        client,
        server,
        connection,
    }
}

impl Pair {
    fn ask(&mut self, payload: &[u8]) {
        let request = RequestRef::new(Method::FETCH, Options::empty()).with_payload(payload);
        let connection = self.connection;
        let begun = self.network.with_io(self.client, |io| {
            let path = io.endpoint.connection_path(connection).unwrap();
            io.endpoint.request(io.now, &path, request)
        });
        begun.unwrap();
    }

    /// What the client was told in this time: answers by their length, and failures.
    fn told_in(&mut self, time: Duration) -> Vec<Result<usize, ExchangeError>> {
        self.network.run_for(time);
        let told = |event| match event {
            Event::Response { response, .. } => Some(Ok(response.payload.len())),
            Event::Failed { error, .. } => Some(Err(error)),
            _ => None,
        };
        let events = self.network.take_events(self.client);
        events.into_iter().filter_map(told).collect()
    }

    fn connections(&mut self) -> [usize; 2] {
        [self.client, self.server].map(|node| self.network.endpoint(node).connections())
    }
}

#[test]
fn what_is_written_arrives_in_order_however_it_is_cut_and_held_back() {
    for framing in [Framing::Tcp, Framing::WebSocket] {
        let pipe = Pipe::perfect(framing)
            .with_travel(Duration::from_millis(20), SECOND)
            .with_capacity(100, 13)
            .with_slow_readers(70, Duration::from_millis(10));
        let mut pair = connected(pipe);
        pair.ask(&[1; 3000]);
        pair.ask(&[2; 7]);
        let told = pair.told_in(600 * SECOND);
        assert_eq!(told, [Ok(3000), Ok(7)], "{framing:?}");
    }
}

#[test]
fn a_slow_reader_is_waited_for() {
    let pipe = Pipe::perfect(Framing::Tcp)
        .with_capacity(1000, 1000)
        .with_slow_readers(1000, SECOND);
    let mut pair = connected(pipe);
    pair.ask(&[1; 20_000]);
    assert_eq!(pair.told_in(18 * SECOND), []);
    let waits = |pair: &mut Pair| {
        let (client, connection) = (pair.client, pair.connection);
        pair.network.endpoint(client).stream_output(connection).len()
    };
    assert!((1..5_000).contains(&waits(&mut pair)));
    assert_eq!(pair.told_in(30 * SECOND), [Ok(20_000)]);
}

#[test]
fn a_reset_tells_both_sides_and_a_part_of_what_was_under_way_is_lost() {
    let mut pair = connected(Pipe::perfect(Framing::Tcp).with_travel(SECOND, Duration::ZERO));
    pair.ask(&[1; 500]);
    pair.network.run_for(SECOND / 2);
    pair.network.break_between(pair.client, pair.server, Break::Reset);
    assert_eq!(pair.connections(), [1, 1], "not at once");
    let told = pair.told_in(4 * SECOND);
    assert_eq!(told, [Err(ExchangeError::Disconnected { sent: true })]);
    assert_eq!(pair.connections(), [0, 0]);
}

#[test]
fn a_connection_breaks_at_a_byte() {
    let mut pair = connected(Pipe::perfect(Framing::Tcp).with_breaks(1.0, 3000));
    pair.ask(&[1; 4000]);
    let told = pair.told_in(5 * SECOND);
    assert_eq!(told, [Err(ExchangeError::Disconnected { sent: true })]);
    assert_eq!(pair.connections(), [0, 0]);
}

#[test]
fn what_vanishes_tells_nobody_and_pings_find_it() {
    let mut pair = connected(Pipe::perfect(Framing::Tcp));
    pair.network
        .break_between(pair.client, pair.server, Break::Vanish);
    pair.ask(b"hello");
    assert_eq!(pair.told_in(200 * SECOND), []);
    assert_eq!(pair.connections(), [1, 1]);
    let told = pair.told_in(300 * SECOND);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(pair.connections(), [0, 0]);
}

#[test]
fn an_outage_delays_and_loses_nothing() {
    let mut pair = connected(Pipe::perfect(Framing::Tcp));
    pair.network.begin_outage();
    pair.ask(b"hello");
    assert_eq!(pair.told_in(60 * SECOND), []);
    pair.network.end_outage();
    assert_eq!(pair.told_in(SECOND), [Ok(5)]);
}

#[test]
fn who_has_crashed_resets_what_it_does_not_know() {
    let mut pair = connected(Pipe::perfect(Framing::Tcp));
    pair.network.crash(pair.server);
    pair.network.run_for(10 * SECOND);
    pair.network.restart(pair.server);
    if pair.connections()[0] == 1 {
        pair.ask(b"hello");
        let told = pair.told_in(SECOND);
        assert_eq!(told, [Err(ExchangeError::Disconnected { sent: true })]);
    }
    assert_eq!(pair.connections(), [0, 0]);
}

#[test]
fn nobody_accepts_who_is_down() {
    let mut network = Network::new(1);
    let (server, client) = (network.add_server(echo), network.add_client());
    network.crash(server);
    network.connect(client, server);
    network.run_for(20 * SECOND);
    let inputs = network.take_inbox(client);
    assert!(matches!(inputs[..], [Input::NotConnected { with, .. }] if with == server));
}
