//! What a runtime does for the connections of a node: it connects, reads, writes and closes, in the order of calls that
//! [`Endpoint`](coracle_engine::Endpoint) asks for.

use std::time::Duration;

use coracle_wire::Framing;

use crate::network::{Due, Network};
use crate::node::{Node, NodeId};
use crate::stream::{Happens, Side};

/// How long a connection that ends waits for what is to be written before.
const LINGERS: Duration = Duration::from_secs(10);

impl Network {
    /// Lets all ends write, read and close as far as they can; whether any did.
    pub(super) fn flow(&mut self) -> bool {
        let mut any = self.dial();
        any |= self.take_lines();
        for (number, side) in self.streams.all() {
            any |= self.flow_out(number, side);
            any |= self.flow_in(number, side);
        }
        any
    }

    /// Connects where applications want it.
    fn dial(&mut self) -> bool {
        let take = |(index, node): (usize, &mut Node)| {
            let dials = std::mem::take(&mut node.dials);
            dials.into_iter().map(move |to| (NodeId(index), to))
        };
        let dials: Vec<_> = self.nodes.iter_mut().enumerate().flat_map(take).collect();
        for (from, to) in &dials {
            self.connect(*from, *to);
        }
        !dials.is_empty()
    }

    /// Asks the endpoints which connections have something new to write, and which are to be closed.
    fn take_lines(&mut self) -> bool {
        let mut any = false;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let mut writes = Vec::new();
            while let Some(id) = node.endpoint.poll_stream() {
                writes.push(id);
            }
            let closing = std::mem::take(&mut node.closing);
            any |= !writes.is_empty() || !closing.is_empty();
            for id in writes {
                if let Some((number, side)) = self.streams.side_of(index, id)
                    && let Some(end) = self.streams.end_mut(number, side)
                {
                    end.writes = true;
                }
            }
            for id in closing {
                let place = self.streams.side_of(index, id);
                let end = place.and_then(|(number, side)| self.streams.end_mut(number, side));
                if let Some((end, place)) = end.zip(place) {
                    let by = self.now + LINGERS;
                    end.closes_by = Some(by);
                    self.sent += 1;
                    let due = Due::Stream(place.0, place.1, Happens::Wake);
                    self.under_way.insert((by, self.sent), due);
                }
            }
        }
        any
    }

    /// Writes what there is room for, and closes what is to be closed.
    fn flow_out(&mut self, number: usize, side: Side) -> bool {
        let Some(stream) = self.streams.alive.get_mut(&number) else {
            return false;
        };
        let pipe = stream.pipe;
        let reader = stream.end(side.other());
        let room = pipe
            .capacity
            .saturating_sub(reader.under_way + reader.unread.len());
        let end = stream.end_mut(side);
        let Some(id) = end.up() else { return false };
        let (index, closes_by) = (end.node, end.closes_by);
        let Some(node) = self.nodes.get_mut(index) else {
            return false;
        };
        let output = match end.writes {
            true => node.endpoint.stream_output(id),
            false => &[],
        };
        end.writes = !output.is_empty();
        if closes_by.is_some_and(|at| at <= self.now || !end.writes) {
            self.over(number, side, false);
            return true;
        }
        if output.is_empty() || room == 0 {
            return false;
        }
        let len = match pipe.framing {
            Framing::Tcp => output.len().min(room),
            Framing::WebSocket => output.len(),
        };
        let bytes = output.get(..len).unwrap_or_default().to_vec();
        let now = node.time(self.now);
        node.endpoint.stream_written(now, id, len);
        self.write(number, side, bytes);
        self.settle_node(index);
        true
    }

    /// Reads what there is, if the endpoint takes it.
    fn flow_in(&mut self, number: usize, side: Side) -> bool {
        let now = self.now;
        let Some(stream) = self.streams.alive.get_mut(&number) else {
            return false;
        };
        let pipe = stream.pipe;
        let end = stream.end_mut(side);
        let Some(id) = end.up() else { return false };
        let index = end.node;
        let Some(node) = self.nodes.get_mut(index) else {
            return false;
        };
        if !node.endpoint.takes_input(id) {
            return false;
        }
        if !end.needs_more {
            end.needs_more = !take_message(pipe.framing, &mut end.read, |bytes| {
                node.receive_stream(now, id, bytes)
            });
            if !end.needs_more {
                self.frames.took(number, side);
                self.settle_node(index);
            }
            return true;
        }
        if end.unread.is_empty() {
            let tells = end.eof && !end.eof_told;
            if tells {
                end.eof_told = true;
                node.endpoint.peer_ended(node.time(now), id);
                self.settle_node(index);
            }
            return tells;
        }
        if end.reads_at.is_some_and(|at| at > now) {
            return false;
        }
        let len = end.unread.len().min(pipe.reads.max(1));
        end.read.extend(end.unread.drain(..len));
        end.needs_more = false;
        if !pipe.pause.is_zero() {
            let at = now + pipe.pause;
            end.reads_at = Some(at);
            self.happens(at, (number, side), Happens::Wake);
        }
        true
    }
}

/// Gives the engine the first message of what was read; `false` when there is no whole one.
fn take_message(framing: Framing, read: &mut Vec<u8>, give: impl FnOnce(&[u8]) -> usize) -> bool {
    match framing {
        Framing::Tcp => {
            let used = if read.is_empty() { 0 } else { give(read) };
            read.drain(..used);
            used > 0
        }
        Framing::WebSocket => {
            let Some((head, rest)) = read.split_first_chunk() else {
                return false;
            };
            let len = usize::try_from(u64::from_be_bytes(*head)).unwrap_or(usize::MAX);
            let Some(message) = rest.get(..len) else {
                return false;
            };
            give(message);
            read.drain(..head.len() + len);
            true
        }
    }
}
