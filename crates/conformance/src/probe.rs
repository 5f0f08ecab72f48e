//! The judge as a client: what cases for servers are written with.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_wire::{MessageType, Method, OptionNumber, Status};

use crate::datagrams::mid_of;
use crate::message::{Message, Received};
use crate::talk::{ACK_TIMEOUT, Frame, Talk};
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};

/// How long silence has to last to count as silence.
pub const PATIENCE: Duration = Duration::from_millis(1200);

/// What clocks and schedulers make of a time.
const CLOCKS: Duration = Duration::from_millis(250);

/// How long an answer is waited for on a good path: a confirmable request is sent three times.
const ANSWER: Duration = Duration::from_secs(8);

/// How long an answer is waited for behind the lossy gateway.
const ANSWER_LOSSY: Duration = Duration::from_secs(30);

/// The server that is judged, as far as all cases know it.
#[derive(Clone, Debug)]
pub(crate) struct ServerFacts {
    /// What carries its messages.
    pub(crate) transport: Transport,
    /// Which of its resources plays the role of one of the plugtest site.
    pub(crate) map: HashMap<String, String>,
    /// A resource that answers a GET with 2.05.
    pub(crate) target: String,
    /// It asks whoever comes to prove the address before it gives long answers (RFC 9175 §2.4).
    pub(crate) echoes: bool,
}

/// The resource that is asked for to be asked for a proof of the address: every server has it, and it is long.
pub(crate) const LONG: &str = "/.well-known/core";

/// The judge as a client with one socket. It is a [`Talk`], too.
#[derive(Debug)]
pub struct Probe {
    talk: Talk,
    server: SocketAddr,
    facts: Arc<ServerFacts>,
}

impl Deref for Probe {
    type Target = Talk;

    fn deref(&self) -> &Talk {
        &self.talk
    }
}

impl DerefMut for Probe {
    fn deref_mut(&mut self) -> &mut Talk {
        &mut self.talk
    }
}

impl Probe {
    pub(crate) fn new(server: SocketAddr, facts: &Arc<ServerFacts>, frame: &Frame) -> Judged<Probe> {
        Probe::opened(server, Opening::Csm, facts, frame)
    }

    /// As [`new`](Self::new), with another opening of connections.
    pub(crate) fn opened(
        server: SocketAddr,
        opening: Opening,
        facts: &Arc<ServerFacts>,
        frame: &Frame,
    ) -> Judged<Probe> {
        let mut probe = Probe::stranger(server, opening, facts, frame)?;
        if facts.echoes {
            let gateway = probe.talk.replace_gateway(None);
            // A server that asks for no proof now, or does not answer, will show in the case what it does.
            let _ = probe.prove();
            probe.talk.replace_gateway(gateway);
        }
        Ok(probe)
    }

    /// As [`new`](Self::new), but the server knows nothing of this address yet.
    fn stranger(
        server: SocketAddr,
        opening: Opening,
        facts: &Arc<ServerFacts>,
        frame: &Frame,
    ) -> Judged<Probe> {
        let any: IpAddr = match server.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => ip.into(),
            IpAddr::V6(ip) if ip.is_loopback() => ip.into(),
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Ok(Probe {
            talk: Talk::with_server(facts.transport, SocketAddr::new(any, 0), server, opening, frame)?,
            server,
            facts: Arc::clone(facts),
        })
    }

    /// Shows the server that messages to this address arrive, so that it gives long answers.
    fn prove(&mut self) -> Judged {
        let request = self.get(LONG);
        let answer = self.ask(&request)?;
        if let Some(echo) = answer.options.get(OptionNumber::ECHO) {
            let request = self.get(LONG).option(OptionNumber::ECHO, echo);
            self.ask(&request)?;
        }
        Ok(())
    }

    /// Another client, which has shown the server nothing of itself.
    ///
    /// # Errors
    /// As [`another`](Self::another).
    pub fn another_stranger(&self) -> Judged<Probe> {
        Probe::stranger(self.server, Opening::Csm, &self.facts, self.talk.frame())
    }

    /// Another client, with another socket, in the same case.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] if the system has no socket.
    pub fn another(&self) -> Judged<Probe> {
        Probe::new(self.server, &self.facts, self.talk.frame())
    }

    /// Another client whose connection is opened otherwise.
    ///
    /// # Errors
    /// As [`another`](Self::another).
    pub fn another_opened(&self, opening: Opening) -> Judged<Probe> {
        Probe::opened(self.server, opening, &self.facts, self.talk.frame())
    }

    /// The server that is judged.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// The path of some resource that answers a GET with 2.05: `/test` if it is there.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.facts.target
    }

    /// A confirmable request with a fresh Message ID and token, for a resource of the plugtest site.
    pub fn request(&mut self, method: Method, path: &str) -> Message {
        let (base, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let base = self
            .facts
            .map
            .get(base)
            .cloned()
            .unwrap_or_else(|| base.to_owned());
        self.talk.new_request(method, &(base + query))
    }

    /// A confirmable GET.
    pub fn get(&mut self, path: &str) -> Message {
        self.request(Method::GET, path)
    }

    /// A confirmable PUT of a text.
    pub fn put(&mut self, path: &str, text: &str) -> Message {
        self.request(Method::PUT, path).text(text)
    }

    /// A confirmable POST of a text.
    pub fn post(&mut self, path: &str, text: &str) -> Message {
        self.request(Method::POST, path).text(text)
    }

    /// A confirmable DELETE.
    pub fn delete(&mut self, path: &str) -> Message {
        self.request(Method::DELETE, path)
    }

    /// Sends a message, once.
    pub fn send(&mut self, message: &Message) {
        self.talk.transmit_message(self.server, message);
    }

    /// Sends any bytes, once: a datagram, a binary message of a WebSocket, or bytes of a TCP connection.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.talk.transmit(self.server, bytes);
    }

    /// Sends a confirmable message, and again until it is acknowledged (RFC 7252 §4.2).
    pub fn send_confirmable(&mut self, message: &Message) {
        self.talk.transmit_reliably(self.server, message);
    }

    /// How long [`ask`](Self::ask) waits.
    #[must_use]
    pub fn answer_time(&self) -> Duration {
        if self.talk.is_lossy() {
            ANSWER_LOSSY
        } else {
            ANSWER
        }
    }

    /// Sends a request and waits for its response, piggybacked or separate, which is acknowledged if it asks for it.
    /// A confirmable request is repeated as RFC 7252 §4.2 has it; a non-confirmable one, which may be lost anywhere, is
    /// asked again as a new message. Other messages that come meanwhile wait for `receive`.
    ///
    /// # Errors
    /// [`Stop::Fail`] if no response comes, or a Reset.
    pub fn ask(&mut self, request: &Message) -> Judged<Received> {
        let mut request = request.clone();
        let until = Instant::now() + self.answer_time();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let patience = if request.is_con() || self.talk.transport().is_connected() {
                left
            } else {
                left.min(2 * ACK_TIMEOUT)
            };
            if let Some(response) = self.ask_once(&request, patience)? {
                return Ok(response);
            }
            if Instant::now() >= until {
                let what = format!("a response to {request}");
                return Err(self.talk.nothing_came(self.answer_time(), &what));
            }
            request.mid = self.talk.fresh_mid();
        }
    }

    fn ask_once(&mut self, request: &Message, patience: Duration) -> Judged<Option<Received>> {
        if request.is_con() {
            self.talk.transmit_reliably(self.server, request);
        } else {
            self.send(request);
        }
        let until = Instant::now() + patience;
        let response = loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.talk.receive_new(left)? {
                None => break None,
                Some(message) if is_response_to(&message, request) => break Some(message),
                Some(message) if message.message_type == MessageType::Reset && message.mid == request.mid => {
                    message.expect(false, "a response, no Reset", None)?;
                }
                Some(message)
                    if message.message_type == MessageType::Acknowledgement && message.mid == request.mid =>
                {
                    message.expect(
                        message.code.is_empty(),
                        "an acknowledgement that is empty or has the token of the request",
                        "RFC 7252 §5.2.1, §5.3.1",
                    )?;
                }
                Some(other) => self.talk.keep(other),
            }
        };
        self.talk.give_up(request.mid);
        if let Some(response) = &response
            && response.is_con()
        {
            self.talk.acknowledge(response);
        }
        Ok(response)
    }

    /// Sends bytes that may or may not be answered, and waits for what comes back: nothing after
    /// [`PATIENCE`]. Behind the lossy gateway they are sent up to three times. What has to be answered is
    /// [`demand`](Self::demand)ed.
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn provoke(&mut self, bytes: &[u8]) -> Judged<Option<Received>> {
        let tries = if self.talk.is_lossy() { 3 } else { 1 };
        for _ in 0..tries {
            self.send_bytes(bytes);
            if let Some(message) = self.next_but_late(bytes, PATIENCE)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Sends bytes that have to be answered, as a confirmable message is, and takes what comes back: nothing if the
    /// server is silent for as long as any answer is waited for. They are sent again meanwhile, as RFC 7252 §4.2 has
    /// it, for a datagram may be lost on the way, and the server may be slow or far away.
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn demand(&mut self, bytes: &[u8]) -> Judged<Option<Received>> {
        let mid = mid_of(bytes).unwrap_or_default();
        self.talk.transmit_bytes_reliably(self.server, mid, bytes);
        let answer = self.next_but_late(bytes, self.answer_time());
        self.talk.give_up(mid);
        answer
    }

    /// As [`demand`](Self::demand), but takes the acknowledgement or the Reset; what else comes is acknowledged if it
    /// asks for it, and passed over.
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn demand_reply(&mut self, bytes: &[u8]) -> Judged<Option<Received>> {
        let until = Instant::now() + self.answer_time();
        let mut next = self.demand(bytes)?;
        while let Some(message) = next {
            if [MessageType::Acknowledgement, MessageType::Reset].contains(&message.message_type) {
                return Ok(Some(message));
            }
            if message.is_con() {
                self.talk.acknowledge(&message);
            }
            next = self.next_but_late(bytes, until.saturating_duration_since(Instant::now()))?;
        }
        Ok(None)
    }

    /// The next message, but for replies that come late to earlier bytes than these.
    fn next_but_late(&mut self, bytes: &[u8], within: Duration) -> Judged<Option<Received>> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match (self.talk.receive(left)?, mid_of(bytes)) {
                (Some(message), Some(mid)) if self.talk.is_late(&message, mid) => {}
                (next, _) => return Ok(next),
            }
        }
    }

    /// How much later one datagram may come than another on the way from the server: what clocks and schedulers make of
    /// a time, and as long as a ping takes.
    ///
    /// # Errors
    /// As [`Talk::receive`].
    pub fn jitter(&self) -> Judged<Duration> {
        let mut other = self.another()?;
        // What the lossy gateway takes away says nothing about the way.
        other.lose(0, 0);
        let ping = Message::empty(MessageType::Confirmable, other.fresh_mid());
        let began = Instant::now();
        let pong = other.demand(&ping.to_bytes())?;
        Ok(CLOCKS + pong.map_or(PATIENCE, |_| began.elapsed()))
    }

    /// The server answers as before: a GET of [`target`](Self::target) is answered with 2.05.
    ///
    /// # Errors
    /// [`Stop::Fail`] if it does not.
    pub fn expect_alive(&mut self) -> Judged {
        let target = self.target().to_owned();
        let mut other = self.another()?;
        let request = other.get(&target);
        other.ask(&request)?.code(Status::CONTENT)?;
        Ok(())
    }

    /// The body of a resource, block by block if need be.
    ///
    /// # Errors
    /// [`Stop::Fail`] if a block does not come or does not fit.
    pub fn fetch_body(&mut self, first: &Message) -> Judged<(Received, Vec<u8>)> {
        let first_response = self.ask(first)?;
        let body = self.fetch_rest(first, &first_response)?;
        Ok((first_response, body))
    }

    /// The body of a response, whose further blocks are asked for with the request's options but Observe and Block2
    /// (RFC 7959 §2.4, §3.4).
    ///
    /// # Errors
    /// [`Stop::Fail`] if a block does not come or does not fit.
    pub fn fetch_rest(&mut self, request: &Message, response: &Received) -> Judged<Vec<u8>> {
        let mut body = response.payload.clone();
        let Some(mut block) = response.block2_value() else {
            return Ok(body);
        };
        response.expect(block.num() == 0, "the first block first", "RFC 7959 §2.4")?;
        while block.more() {
            let mut next = request.clone();
            next.message_type = MessageType::Confirmable;
            next.mid = self.talk.fresh_mid();
            next.token = self.talk.fresh_token();
            next.options.remove(OptionNumber::OBSERVE);
            next.options.remove(OptionNumber::BLOCK2);
            next.options.remove(OptionNumber::BLOCK1);
            next.payload.clear();
            let num = u32::try_from(body.len() / block.size()).unwrap_or(u32::MAX);
            let answer = self.ask(&next.block2(num, false, block.szx()))?;
            answer.code(Status::CONTENT)?;
            block = self.check_block(&answer, num, block.szx())?;
            body.extend_from_slice(&answer.payload);
            if body.len() > 1 << 20 {
                return Err(Stop::Inconclusive("the body has more than a MiB".to_owned()));
            }
        }
        Ok(body)
    }

    /// A block is the one that was asked for, and full unless it is the last.
    pub(crate) fn check_block(
        &self,
        answer: &Received,
        num: u32,
        szx: u8,
    ) -> Judged<coracle_wire::BlockOption> {
        let Some(block) = answer.block2_value() else {
            return Err(Stop::fail_at(
                answer.index,
                "expected a Block2 option",
                "RFC 7959 §2.2",
            ));
        };
        answer.expect(
            block.num() == num && block.szx() == szx,
            format!("block {num} of {} bytes", 16 << szx),
            "RFC 7959 §2.3, §2.4",
        )?;
        let length = answer.payload.len();
        let full = if block.more() {
            length == block.size()
        } else {
            length <= block.size()
        };
        answer.expect(full, "a full block, or less if it is the last", "RFC 7959 §2.2")?;
        Ok(block)
    }
}

fn is_response_to(message: &Received, request: &Message) -> bool {
    let acknowledges = message.message_type == MessageType::Acknowledgement;
    message.status().is_some()
        && message.token == request.token
        && (!acknowledges || message.mid == request.mid)
}
