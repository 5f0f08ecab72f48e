//! The connections of one endpoint of the judge: bytes in and out, cut into messages, and what is answered by itself.

mod arrivals;

use std::collections::VecDeque;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use coracle_wire::{Csm, Framing, Signal, frame_len};

use self::arrivals::{Acceptor, News};
use crate::connected;
use crate::message::{Message, Received};
use crate::talk::Frame;
use crate::transcript::{Form, Transcript};
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};
use crate::websocket::{self, Head, Opcode, WsFrame};

/// How long a connection and its handshake may take.
const CONNECT: Duration = Duration::from_secs(8);

/// How long a subject may take nothing of what is written to it.
const STALL: Duration = Duration::from_secs(5);

/// How many bytes one endpoint takes in, and how long a message may be: more than any case needs.
const FLOOD: usize = 64 << 20;

/// The key of our handshakes, which need no secret (RFC 6455 §4.1).
const KEY: &str = "Y29yYWNsZSBwbHVndGVzdA==";

/// The mask of our frames.
const MASK: [u8; 4] = [0x5a, 0x17, 0xc3, 0x08];

/// How the subject ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Which record of the transcript shows it.
    pub index: usize,
    /// When, since the case began.
    pub at: Duration,
    /// By a reset, which may take away what was under way.
    pub reset: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its bytes are for the case.
    Bytes,
    /// The handshake of the WebSocket is not over.
    Handshake,
    /// Messages come.
    Messages,
}

#[derive(Debug)]
struct Connection {
    peer: SocketAddr,
    stream: TcpStream,
    stage: Stage,
    /// What came and is no whole message yet.
    unread: Vec<u8>,
    /// The parts of a WebSocket message so far.
    parts: Option<Vec<u8>>,
    /// What the CSMs of the subject said.
    csm: Option<Csm>,
    /// The first Abort of the subject.
    abort: Option<(usize, String)>,
    ending: Option<Ending>,
    /// Frames of the WebSocket that are about itself: close, ping, pong.
    controls: VecDeque<(usize, WsFrame)>,
}

/// All connections of one endpoint of the judge.
#[derive(Debug)]
pub(crate) struct Connections {
    framing: Framing,
    form: Form,
    local: SocketAddr,
    opening: Opening,
    transcript: Transcript,
    connections: Vec<Connection>,
    tell: SyncSender<News>,
    news: Receiver<News>,
    acceptor: Option<Acceptor>,
    /// The case waits for the end of a connection, or does not mind.
    may_end: bool,
    taken: usize,
}

fn broken(what: &str) -> impl Fn(std::io::Error) -> Stop + '_ {
    move |error| Stop::Inconclusive(format!("{what}: {error}"))
}

impl Connections {
    fn new(transport: Transport, local: SocketAddr, opening: Opening, frame: &Frame) -> Connections {
        let (tell, news) = mpsc::sync_channel(arrivals::READ_AHEAD);
        let framing = transport.framing().unwrap_or(Framing::Tcp);
        Connections {
            framing,
            form: match framing {
                Framing::Tcp => Form::Tcp,
                Framing::WebSocket => Form::WebSocket,
            },
            local,
            opening,
            transcript: frame.transcript.clone(),
            connections: Vec::new(),
            tell,
            news,
            acceptor: None,
            may_end: opening == Opening::Bytes,
            taken: 0,
        }
    }

    /// Connects to a server, as far as `opening` has it.
    pub(crate) fn connect(
        transport: Transport,
        server: SocketAddr,
        opening: Opening,
        frame: &Frame,
    ) -> Judged<Connections> {
        let failed = |error| Stop::Inconclusive(format!("cannot connect to {server}: {error}"));
        let stream = TcpStream::connect_timeout(&server, CONNECT).map_err(failed)?;
        let local = stream.local_addr().map_err(failed)?;
        let mut connections = Connections::new(transport, local, opening, frame);
        connections.add(stream, server)?;
        if opening != Opening::Bytes && connections.framing == Framing::WebSocket {
            let host = server.to_string();
            let request = websocket::request(websocket::PATH, &host, Some("coap"), KEY);
            connections.put_out(server, request.as_bytes());
            connections.await_agreement(server)?;
        }
        connections.open(server);
        Ok(connections)
    }

    /// Waits for connections on a port that the system gives.
    pub(crate) fn listen(
        transport: Transport,
        local: SocketAddr,
        opening: Opening,
        frame: &Frame,
    ) -> Judged<Connections> {
        let listener = TcpListener::bind(local).map_err(broken("cannot listen"))?;
        let local = listener.local_addr().map_err(broken("cannot listen"))?;
        let mut connections = Connections::new(transport, local, opening, frame);
        connections.acceptor = Some(Acceptor::start(listener, local, connections.tell.clone()));
        Ok(connections)
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Takes a connection and reads it in a thread of its own.
    fn add(&mut self, stream: TcpStream, peer: SocketAddr) -> Judged {
        let failed = broken("the connection failed");
        stream.set_nodelay(true).map_err(&failed)?;
        stream.set_write_timeout(Some(STALL)).map_err(&failed)?;
        let reader = stream.try_clone().map_err(&failed)?;
        let tell = self.tell.clone();
        arrivals::read(reader, peer, tell);
        let stage = match (self.opening, self.framing) {
            (Opening::Bytes, _) => Stage::Bytes,
            (_, Framing::WebSocket) => Stage::Handshake,
            (_, Framing::Tcp) => Stage::Messages,
        };
        self.connections.push(Connection {
            peer,
            stream,
            stage,
            unread: Vec::new(),
            parts: None,
            csm: None,
            abort: None,
            ending: None,
            controls: VecDeque::new(),
        });
        Ok(())
    }

    /// Messages can be sent: the first one is, if the opening has one.
    fn open(&mut self, peer: SocketAddr) {
        let max_message_size = match self.opening {
            Opening::Csm => None,
            Opening::Announcing(bytes) => Some(bytes),
            Opening::Silent | Opening::Bytes => return,
        };
        let message = connected::csm(&Csm {
            max_message_size,
            block_wise_transfer: true,
            extended_token_length: None,
        });
        self.send(peer, &message.to_frame(self.framing));
    }

    fn of(&mut self, peer: SocketAddr) -> Option<&mut Connection> {
        self.connections.iter_mut().rev().find(|known| known.peer == peer)
    }

    fn known(&self, peer: SocketAddr) -> Option<&Connection> {
        self.connections.iter().rev().find(|known| known.peer == peer)
    }

    /// Sends bytes: in a binary message of a WebSocket, or as they are.
    pub(crate) fn send(&mut self, peer: SocketAddr, bytes: &[u8]) -> usize {
        match self.framing {
            Framing::Tcp => self.put_out(peer, bytes),
            Framing::WebSocket => self.send_websocket(peer, WsFrame::new(Opcode::BINARY, bytes)),
        }
    }

    /// Sends a frame of a WebSocket, with a mask if the judge is its client.
    pub(crate) fn send_websocket(&mut self, peer: SocketAddr, mut frame: WsFrame) -> usize {
        frame.masked = self.acceptor.is_none();
        self.put_out(peer, &frame.to_bytes(MASK))
    }

    /// Sends bytes of the TCP connection.
    pub(crate) fn put_out(&mut self, peer: SocketAddr, bytes: &[u8]) -> usize {
        let index = self
            .transcript
            .push_piece(true, self.local, peer, bytes, self.form);
        if let Some(connection) = self.of(peer) {
            // What the subject does not take is lost; the record shows that it was tried.
            let _ = connection.stream.write_all(bytes);
        }
        index
    }

    /// Closes the judge's side of a connection, or both.
    pub(crate) fn shut(&mut self, peer: SocketAddr, how: Shutdown) {
        let (local, transcript) = (self.local, self.transcript.clone());
        if let Some(connection) = self.of(peer) {
            transcript.push_piece(true, local, peer, &[], Form::End);
            let _ = connection.stream.shutdown(how);
        }
    }

    /// How the subject ended the latest connection with this peer.
    pub(crate) fn ending(&self, peer: SocketAddr) -> Option<Ending> {
        self.known(peer)?.ending
    }

    /// What the CSMs of the subject have said so far.
    pub(crate) fn csm(&self, peer: SocketAddr) -> Option<Csm> {
        self.known(peer)?.csm
    }

    /// The next frame of a WebSocket that is about the WebSocket itself.
    pub(crate) fn next_control(&mut self, peer: SocketAddr) -> Option<(usize, WsFrame)> {
        self.of(peer)?.controls.pop_front()
    }

    /// The head of a request or response of HTTP, if one has come whole.
    pub(crate) fn take_head(&mut self, peer: SocketAddr) -> Option<(usize, Head)> {
        let (local, transcript, form) = (self.local, self.transcript.clone(), self.form);
        let connection = self.of(peer)?;
        let (head, length) = Head::read(&connection.unread)?;
        let bytes: Vec<u8> = connection.unread.drain(..length).collect();
        let index = transcript.push_piece(false, peer, local, &bytes, form);
        Some((index, head))
    }

    /// The first connection that has come.
    pub(crate) fn first(&self) -> Option<SocketAddr> {
        self.connections.first().map(|known| known.peer)
    }

    /// From now on the bytes of a connection are messages.
    pub(crate) fn begin_messages(&mut self, peer: SocketAddr) {
        if let Some(connection) = self.of(peer) {
            connection.stage = Stage::Messages;
        }
    }

    /// The server's part of the handshake, which has to be right.
    fn await_agreement(&mut self, server: SocketAddr) -> Judged {
        let until = Instant::now() + CONNECT;
        loop {
            if let Some((index, head)) = self.take_head(server) {
                return match websocket::refused(&head, KEY) {
                    None => {
                        self.begin_messages(server);
                        Ok(())
                    }
                    Some(expected) => Err(Stop::fail_at(
                        index,
                        format!("expected {expected}"),
                        "RFC 6455 §4.2.2; RFC 8323 §4.1",
                    )),
                };
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.ending(server).is_some() {
                let what = "expected an answer to the handshake of the WebSocket, but nothing came";
                return Err(Stop::fail(what, "RFC 8323 §4.1"));
            }
            self.hear(left)?;
        }
    }

    /// What comes next, or nothing when the time is over or something else than a message happened.
    pub(crate) fn step(&mut self, wait: Duration, raw: bool) -> Judged<Option<Received>> {
        for index in 0..self.connections.len() {
            if let Some(message) = self.cut(index, raw)? {
                return Ok(Some(message));
            }
        }
        if !raw && !self.may_end && self.acceptor.is_none() {
            self.expect_open()?;
        }
        self.hear(wait)?;
        Ok(None)
    }

    /// From now on a server may close the connection.
    pub(crate) fn let_end(&mut self) {
        self.may_end = true;
    }

    /// The server has not ended the connection.
    fn expect_open(&self) -> Judged {
        let ended = |known: &Connection| Some((known.ending?, known.abort.clone()));
        match self.connections.iter().find_map(ended) {
            None => Ok(()),
            Some((_, Some((index, why)))) => {
                let what = format!("expected the connection to go on, but the server aborted it: {why:?}");
                Err(Stop::fail_at(index, what, None))
            }
            Some((ending, None)) => {
                let what = "expected the connection to go on, but the server ended it";
                Err(Stop::fail_at(ending.index, what, None))
            }
        }
    }

    /// Waits for news and notes them.
    fn hear(&mut self, wait: Duration) -> Judged {
        match self.news.recv_timeout(wait) {
            Ok(News::Accepted(stream, peer)) => {
                self.add(stream, peer)?;
                if self.framing == Framing::Tcp {
                    self.open(peer);
                }
            }
            Ok(News::Bytes(peer, bytes)) => {
                self.taken += bytes.len();
                if self.taken > FLOOD {
                    let what = format!("a flood: {} bytes came", self.taken);
                    return Err(Stop::Inconclusive(what));
                }
                if let Some(connection) = self.of(peer) {
                    connection.unread.extend(bytes);
                }
            }
            Ok(News::Ended(peer, reset)) => self.end(peer, reset),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        Ok(())
    }

    fn end(&mut self, peer: SocketAddr, reset: bool) {
        let (local, transcript) = (self.local, self.transcript.clone());
        let form = if reset { Form::Reset } else { Form::End };
        let Some(connection) = self.of(peer) else {
            return;
        };
        let index = transcript.push_piece(false, peer, local, &[], form);
        connection.ending = Some(Ending {
            index,
            at: transcript.elapsed(),
            reset,
        });
    }

    /// Cuts the next message off what has come in a connection.
    fn cut(&mut self, index: usize, raw: bool) -> Judged<Option<Received>> {
        loop {
            let Some(connection) = self.connections.get_mut(index) else {
                return Ok(None);
            };
            let peer = connection.peer;
            let content = match connection.stage {
                Stage::Bytes => return Ok(None),
                Stage::Handshake => {
                    if !self.agree(peer)? {
                        return Ok(None);
                    }
                    continue;
                }
                Stage::Messages => match self.framing {
                    Framing::Tcp => self.next_frame(peer)?,
                    Framing::WebSocket => self.next_binary(peer)?,
                },
            };
            let Some((at, bytes)) = content else {
                return Ok(None);
            };
            let message = Message::parse_frame(self.framing, &bytes).map_err(|error| {
                let section = "RFC 8323 §3.2, §4.2";
                Stop::fail_at(at, format!("expected a well-formed message: {error}"), section)
            })?;
            if let Some(message) = self.handle(peer, at, message, raw)? {
                return Ok(Some(message));
            }
        }
    }

    /// The judge's part of the handshake as a server. Whether it is over.
    fn agree(&mut self, peer: SocketAddr) -> Judged<bool> {
        let Some((index, head)) = self.take_head(peer) else {
            return Ok(false);
        };
        if let Some(expected) = websocket::not_right(&head) {
            let section = "RFC 6455 §4.1; RFC 8323 §4.1, §8.3";
            return Err(Stop::fail_at(index, format!("expected {expected}"), section));
        }
        self.put_out(peer, websocket::agreement(&head, Some("coap")).as_bytes());
        self.begin_messages(peer);
        self.open(peer);
        Ok(true)
    }

    /// The bytes of the next message of a TCP connection, and their record.
    fn next_frame(&mut self, peer: SocketAddr) -> Judged<Option<(usize, Vec<u8>)>> {
        let (local, transcript) = (self.local, self.transcript.clone());
        let Some(connection) = self.of(peer) else {
            return Ok(None);
        };
        let record = |bytes: &[u8]| transcript.push_piece(false, peer, local, bytes, Form::Tcp);
        let length = match frame_len(&connection.unread) {
            Ok(Some(length)) => length,
            Ok(None) => return Ok(None),
            Err(error) => {
                let at = record(&connection.unread);
                let what = format!("expected a well-formed message: {error}");
                return Err(Stop::fail_at(at, what, "RFC 8323 §3.2"));
            }
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > FLOOD {
            let what = format!("a message of {length} bytes was announced");
            return Err(Stop::Inconclusive(what));
        }
        if connection.unread.len() < length {
            return Ok(None);
        }
        let bytes: Vec<u8> = connection.unread.drain(..length).collect();
        Ok(Some((record(&bytes), bytes)))
    }

    /// The content of the next binary message of a WebSocket, and the record of its last frame.
    fn next_binary(&mut self, peer: SocketAddr) -> Judged<Option<(usize, Vec<u8>)>> {
        let (local, transcript) = (self.local, self.transcript.clone());
        let from_client = self.acceptor.is_some();
        loop {
            let Some(connection) = self.of(peer) else {
                return Ok(None);
            };
            let Some((frame, length)) = WsFrame::read(&connection.unread) else {
                return Ok(None);
            };
            let bytes: Vec<u8> = connection.unread.drain(..length).collect();
            let at = transcript.push_piece(false, peer, local, &bytes, Form::WebSocket);
            if frame.masked != from_client {
                let what = "expected a mask in frames of the client, and none in those of the server";
                return Err(Stop::fail_at(at, what, "RFC 6455 §5.1"));
            }
            match (frame.opcode, connection.parts.take()) {
                (Opcode::CLOSE | Opcode::PING | Opcode::PONG, parts) => {
                    connection.parts = parts;
                    connection.controls.push_back((at, frame.clone()));
                    self.answer_control(peer, &frame);
                }
                (Opcode::BINARY, None) if frame.fin => return Ok(Some((at, frame.payload))),
                (Opcode::BINARY, None) => connection.parts = Some(frame.payload),
                (Opcode::CONTINUATION, Some(mut parts)) => {
                    parts.extend(frame.payload);
                    if frame.fin {
                        return Ok(Some((at, parts)));
                    }
                    connection.parts = Some(parts);
                }
                _ => {
                    let what = "expected binary messages only";
                    return Err(Stop::fail_at(at, what, "RFC 8323 §4.2; RFC 6455 §5.4"));
                }
            }
        }
    }

    /// A Ping is answered, and so is the first Close (RFC 6455 §5.5).
    fn answer_control(&mut self, peer: SocketAddr, frame: &WsFrame) {
        let answer = match frame.opcode {
            Opcode::PING => Opcode::PONG,
            Opcode::CLOSE => Opcode::CLOSE,
            _ => return,
        };
        self.send_websocket(peer, WsFrame::new(answer, &frame.payload));
    }

    /// What is done by itself with a message: nothing of it in raw. It is handed out unless all is done.
    fn handle(
        &mut self,
        peer: SocketAddr,
        index: usize,
        message: Message,
        raw: bool,
    ) -> Judged<Option<Received>> {
        let framing = self.framing;
        let received = Received {
            index,
            at: self.transcript.elapsed(),
            from: peer,
            message,
        };
        let Some(connection) = self.of(peer) else {
            return Ok(None);
        };
        let first = connection.csm.is_none() && connection.abort.is_none();
        if received.is_signal(Signal::ABORT) && connection.abort.is_none() {
            let diagnosis = String::from_utf8_lossy(&received.payload).into_owned();
            connection.abort = Some((index, diagnosis));
        } else if first {
            let csm = received.is_signal(Signal::CSM);
            received.expect(
                csm,
                "a CSM as the first message of the connection",
                "RFC 8323 §3.3, §4.3",
            )?;
        }
        if received.is_signal(Signal::CSM) {
            let csm = Csm::read(received.options.as_options()).unwrap_or_default();
            let before = connection.csm.unwrap_or_default();
            connection.csm = Some(Csm {
                max_message_size: csm.max_message_size.or(before.max_message_size),
                block_wise_transfer: csm.block_wise_transfer || before.block_wise_transfer,
                extended_token_length: csm.extended_token_length.or(before.extended_token_length),
            });
            return Ok(raw.then_some(received));
        }
        if raw {
            return Ok(Some(received));
        }
        if received.is_signal(Signal::PING) {
            let mut pong = Message::signal(Signal::PONG).token(&received.token);
            pong.options = received.options.clone();
            self.send(peer, &pong.to_frame(framing));
            return Ok(None);
        }
        Ok((!received.code.is_empty()).then_some(received))
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for connection in &self.connections {
            // Ends the thread that reads it.
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
    }
}
