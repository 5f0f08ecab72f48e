//! The judge as a server: what cases for clients are written with.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use coracle_wire::{MessageType, Status};

use crate::command::{self, Running};
use crate::message::{Message, Received};
use crate::talk::{Frame, Talk};
use crate::template::{Stimulus, Template};
use crate::transcript::Fate;
use crate::transport::{Opening, Transport};
use crate::verdict::{Judged, Stop};

/// How long a command may take to send its first message.
const START: Duration = Duration::from_secs(10);

/// How long a command may take to end after its answer.
const END: Duration = Duration::from_secs(5);

/// How long the first two retransmissions may take: at most 3 s and 6 s by the default parameters of RFC 7252 §4.8.
const RETRANSMISSIONS: Duration = Duration::from_secs(20);

/// How often a client is told again to send a non-confirmable request.
const NON_AGAIN: u32 = 3;

/// How often it is looked whether the command still runs.
const LOOK: Duration = Duration::from_millis(100);

/// The judge as a server with one socket on loopback, and the client's command. It is a [`Talk`], too.
#[derive(Debug)]
pub struct Host {
    talk: Talk,
    opening: Opening,
    template: Template,
    running: Option<Running>,
    commands: Vec<String>,
    output: Vec<u8>,
}

impl Deref for Host {
    type Target = Talk;

    fn deref(&self) -> &Talk {
        &self.talk
    }
}

impl DerefMut for Host {
    fn deref_mut(&mut self) -> &mut Talk {
        &mut self.talk
    }
}

impl Host {
    pub(crate) fn new(
        transport: Transport,
        opening: Opening,
        template: &Template,
        frame: &Frame,
    ) -> Judged<Host> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Host {
            talk: Talk::with_clients(transport, loopback, opening, frame)?,
            opening,
            template: template.clone(),
            running: None,
            commands: Vec::new(),
            output: Vec::new(),
        })
    }

    /// The judge as another server in the same case, with connections that are opened as this one's are.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] if the system has no socket.
    pub fn another(&self) -> Judged<Host> {
        let (transport, opening) = (self.talk.transport(), self.opening);
        Host::new(transport, opening, &self.template, self.talk.frame())
    }

    /// Starts the client's command; one that still runs is ended first.
    ///
    /// # Errors
    /// [`Stop::Skip`] if the command line has no place for what is wanted, [`Stop::Inconclusive`] if it cannot be
    /// started.
    pub fn start(&mut self, stimulus: &Stimulus) -> Judged {
        self.end();
        let authority = self.talk.local().to_string();
        let arguments = self
            .template
            .expand(stimulus, self.talk.transport().scheme(), &authority)
            .map_err(|place| Stop::Skip(format!("the command cannot be told to: it has no {place}")))?;
        self.commands.push(command::quoted(&arguments));
        let running = Running::start(&arguments).map_err(|error| {
            Stop::Inconclusive(format!("cannot start {:?}: {error}", self.template.program()))
        })?;
        self.running = Some(running);
        Ok(())
    }

    /// Ends the command, if one runs.
    pub fn end(&mut self) {
        if let Some(mut running) = self.running.take() {
            self.output = running.last_output();
        }
    }

    /// The command lines so far.
    pub(crate) fn commands(&self) -> &[String] {
        &self.commands
    }

    /// What the last command has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        let output = self
            .running
            .as_ref()
            .map_or_else(|| self.output.clone(), Running::output);
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Starts the client's command and takes its first request. A non-confirmable request that the lossy gateway
    /// takes away stays lost, so that the client is told again.
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`request`](Self::request).
    pub fn provoke(&mut self, stimulus: &Stimulus) -> Judged<Received> {
        let again = self.talk.is_lossy() && stimulus.wish("non").is_some();
        self.start(stimulus)?;
        let mut request = self.request_within(if again { END } else { START });
        for _ in 0..NON_AGAIN {
            if request.is_ok() || !again {
                break;
            }
            self.start(stimulus)?;
            request = self.request_within(END);
        }
        request
    }

    /// Runs other commands beside the one that runs, which goes on.
    ///
    /// # Errors
    /// Those of `others`.
    pub fn beside<T>(&mut self, others: impl FnOnce(&mut Host) -> Judged<T>) -> Judged<T> {
        let first = self.running.take();
        let judged = others(self);
        self.end();
        self.running = first;
        judged
    }

    /// Asks the command to end, as a user does with Ctrl-C. It may do what it has to do before.
    pub fn interrupt(&mut self) {
        if let Some(running) = &self.running {
            running.interrupt();
        }
    }

    /// Whether the command still runs.
    pub fn runs(&mut self) -> bool {
        self.running
            .as_mut()
            .is_some_and(|running| running.ended().is_none())
    }

    /// The next request of the client. Acknowledgements and Resets that come meanwhile are dropped.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] if the command ends without one or never sends anything, [`Stop::Fail`] if it crashed or
    /// sends something else only.
    pub fn request(&mut self) -> Judged<Received> {
        self.request_within(START)
    }

    /// As [`request`](Self::request), with another time.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn request_within(&mut self, within: Duration) -> Judged<Received> {
        self.await_message(within, "a request", |message| message.method().is_some())
    }

    /// The next message of the client that is `wanted`; others that come meanwhile are dropped.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn await_message(
        &mut self,
        within: Duration,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> Judged<Received> {
        let until = Instant::now() + within;
        loop {
            // What the command sent before it ended still lies in the socket.
            let ended = self.running.as_mut().and_then(Running::ended);
            if let Some(message) = self.talk.receive(LOOK)? {
                if wanted(&message) {
                    return Ok(message);
                }
            } else if let Some(status) = ended {
                self.end();
                return Err(self.ended_early(status, what));
            }
            if Instant::now() >= until {
                return Err(self.missing(within, what));
            }
        }
    }

    /// The finding that the command runs, but something is missing.
    fn missing(&mut self, within: Duration, what: &str) -> Stop {
        if self.heard() {
            return self.talk.nothing_came(within, what);
        }
        self.end();
        let seconds = within.as_secs_f64();
        Stop::Inconclusive(format!(
            "the command sent nothing within {seconds:.1} s and was ended"
        ))
    }

    /// Whether anything of the client has ever come.
    fn heard(&self) -> bool {
        let records = self.talk.frame().transcript.records();
        records.iter().any(|record| !record.by_judge)
    }

    fn ended_early(&self, status: std::process::ExitStatus, missing: &str) -> Stop {
        let output = String::from_utf8_lossy(&self.output);
        let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
        let complaint = lines().rfind(|line| line.to_lowercase().contains("error:"));
        let last = complaint.or(lines().next_back()).unwrap_or("nothing");
        let what = format!(
            "the command ended ({}) before {missing}; it said: {last}",
            command::describe(status)
        );
        if command::crashed(status) {
            Stop::fail(what, None)
        } else {
            Stop::Inconclusive(what)
        }
    }

    /// A response to a request, as it is piggybacked on the acknowledgement of a confirmable one, or as a
    /// non-confirmable message with a fresh Message ID. In a connection there is neither type nor Message ID.
    pub fn response_to(&mut self, request: &Received, code: Status) -> Message {
        let (message_type, mid) = if request.is_con() {
            (MessageType::Acknowledgement, request.mid)
        } else if self.talk.transport().is_connected() {
            (MessageType::NonConfirmable, 0)
        } else {
            (MessageType::NonConfirmable, self.talk.fresh_mid())
        };
        Message::new(message_type, code, mid).token(&request.token)
    }

    /// A separate response, or a notification: confirmable, with a fresh Message ID.
    pub fn separate_to(&mut self, request: &Received, code: Status) -> Message {
        let mid = self.talk.fresh_mid();
        Message::new(MessageType::Confirmable, code, mid).token(&request.token)
    }

    /// Answers a request: `response` is sent once, and again to each copy of the request.
    pub fn answer(&mut self, request: &Received, response: &Message) {
        self.talk.transmit_reply(request, response);
    }

    /// Answers a request with 2.05 and a text, as [`response_to`](Self::response_to) has it.
    pub fn answer_text(&mut self, request: &Received, text: &str) {
        let response = self.response_to(request, Status::CONTENT).text(text);
        self.answer(request, &response);
    }

    /// Sends a message to where another came from, once.
    pub fn send(&mut self, to: &Received, message: &Message) {
        self.talk.transmit_message(to.from, message);
    }

    /// Sends any bytes to where a message came from, once.
    pub fn send_bytes(&mut self, to: &Received, bytes: &[u8]) {
        self.talk.transmit(to.from, bytes);
    }

    /// Sends a confirmable message and waits for its acknowledgement; it is repeated as RFC 7252 §4.2 has it.
    /// Other messages that come meanwhile wait for `receive`.
    ///
    /// # Errors
    /// [`Stop::Fail`] if there is none.
    pub fn send_confirmable(&mut self, to: &Received, message: &Message) -> Judged<Received> {
        let reply = self.send_and_hear(to, message)?;
        reply.is_empty_of(MessageType::Acknowledgement, message.mid)?;
        Ok(reply)
    }

    /// Sends a confirmable message and waits for the acknowledgement or Reset with its Message ID.
    ///
    /// # Errors
    /// [`Stop::Fail`] if there is none.
    pub fn send_and_hear(&mut self, to: &Received, message: &Message) -> Judged<Received> {
        self.talk.transmit_reliably(to.from, message);
        let within = Duration::from_secs(if self.talk.is_lossy() { 30 } else { 8 });
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Some(reply) = self.talk.receive_new(left)? else {
                self.talk.give_up(message.mid);
                return Err(self
                    .talk
                    .nothing_came(within, &format!("an acknowledgement of {message}")));
            };
            let is_reply = matches!(
                reply.message_type,
                MessageType::Acknowledgement | MessageType::Reset
            );
            if is_reply && reply.mid == message.mid {
                return Ok(reply);
            }
            self.talk.keep(reply);
        }
    }

    /// Sends a confirmable message to a client that may end as soon as it has it, and waits for the acknowledgement.
    /// One that the lossy gateway took away counts, for a client that has ended cannot repeat it.
    ///
    /// # Errors
    /// [`Stop::Fail`] if there is none, or a Reset instead.
    pub fn deliver(&mut self, to: &Received, message: &Message) -> Judged {
        self.talk.transmit_reliably(to.from, message);
        let within = Duration::from_secs(if self.talk.is_lossy() { 30 } else { 8 });
        let until = Instant::now() + within;
        let acknowledgement = Message::empty(MessageType::Acknowledgement, message.mid);
        while self.copies_of(&acknowledgement).is_empty() {
            if Instant::now() >= until {
                self.talk.give_up(message.mid);
                let what = format!("an acknowledgement of {message}");
                return Err(self.talk.nothing_came(within, &what));
            }
            let Some(reply) = self.talk.receive_new(LOOK)? else {
                continue;
            };
            if reply.message_type == MessageType::Reset && reply.mid == message.mid {
                reply.is_empty_of(MessageType::Acknowledgement, message.mid)?;
            }
            self.talk.keep(reply);
        }
        self.talk.give_up(message.mid);
        Ok(())
    }

    /// When the client sent a message, each time, since the case began: also what the lossy gateway took away.
    #[must_use]
    pub fn copies_of(&self, message: &Message) -> Vec<Duration> {
        let bytes = message.to_bytes();
        let records = self.talk.frame().transcript.records();
        let copies = records
            .iter()
            .filter(|record| !record.by_judge && record.bytes == bytes);
        copies.map(|record| record.at).collect()
    }

    /// The last message of the client that the lossy gateway took away and that is `wanted`.
    #[must_use]
    pub fn lost(&self, wanted: impl Fn(&Message) -> bool) -> Option<Received> {
        let records = self.talk.frame().transcript.records();
        let lost = records.iter().enumerate().rev();
        let mut lost = lost.filter(|(_, record)| !record.by_judge && record.fate == Fate::Lost);
        lost.find_map(|(index, record)| {
            let message = Message::parse(&record.bytes).ok().filter(&wanted)?;
            Some(Received {
                message,
                index,
                at: record.at,
                from: record.from,
            })
        })
    }

    /// Waits until the client has sent a request so often, which is taken for lost each time.
    ///
    /// # Errors
    /// [`Stop::Fail`] if it has not in time, or sends another message instead.
    pub fn await_copies(&mut self, request: &Received, count: usize) -> Judged {
        let until = Instant::now() + RETRANSMISSIONS;
        while self.copies_of(request).len() < count {
            if Instant::now() >= until {
                return Err(self.talk.nothing_came(RETRANSMISSIONS, "the request again"));
            }
            if let Some(message) = self.talk.receive_new(LOOK)? {
                let expected = "the same message again, with the same Message ID";
                message.expect(message.method().is_none(), expected, "RFC 7252 §4.2")?;
            }
        }
        Ok(())
    }

    /// Lets some time pass, in which only copies of requests are answered; other messages wait for `receive`.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] when the case's time is over, [`Stop::Fail`] if something malformed came.
    pub fn pause(&mut self, time: Duration) -> Judged {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.talk.receive_new(left)? {
                Some(message) => self.talk.keep(message),
                None => return Ok(()),
            }
        }
    }

    /// Waits until the command has ended, meanwhile answering copies of requests, and gives what it printed.
    ///
    /// # Errors
    /// [`Stop::Fail`] if it crashed, [`Stop::Inconclusive`] if it had to be ended.
    pub fn finish(&mut self) -> Judged<String> {
        let until = Instant::now() + END * if self.talk.is_lossy() { 4 } else { 1 };
        loop {
            if let Some(status) = self.running.as_mut().and_then(Running::ended) {
                self.end();
                return if command::crashed(status) {
                    Err(Stop::fail(
                        format!("the command was {}", command::describe(status)),
                        None,
                    ))
                } else {
                    Ok(self.output())
                };
            }
            if self.running.is_none() {
                return Ok(self.output());
            }
            if Instant::now() >= until {
                self.end();
                let what = "the command did not end after its answer and was ended";
                return Err(Stop::Inconclusive(what.to_owned()));
            }
            if let Some(message) = self.talk.receive_new(LOOK)? {
                self.talk.keep(message);
            }
        }
    }

    /// The command has shown a text, or does within some seconds. Clients differ in how they show what they got, so
    /// that its absence is no failure.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] if it has not.
    pub fn expect_shown(&mut self, text: &str) -> Judged {
        let until = Instant::now() + END * if self.talk.is_lossy() { 4 } else { 1 };
        while !self.output().contains(text) {
            if Instant::now() >= until || self.running.is_none() {
                return Err(Stop::Inconclusive(format!("the command did not show {text:?}")));
            }
            if let Some(message) = self.talk.receive_new(LOOK)? {
                self.talk.keep(message);
            }
        }
        Ok(())
    }

    /// The command has not shown a text that it must not take for an answer.
    ///
    /// # Errors
    /// [`Stop::Fail`] if it has.
    pub fn expect_not_shown(&mut self, text: &str, section: &'static str) -> Judged {
        if self.output().contains(text) {
            return Err(Stop::fail(format!("the command showed {text:?}"), section));
        }
        Ok(())
    }
}
