//! The judge as a server: what cases for clients are written with.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use coracle_wire::{MessageType, Status};

use crate::command::{self, Running};
use crate::message::{Message, Received};
use crate::talk::{Frame, Talk};
use crate::template::{Stimulus, Template};
use crate::verdict::{Judged, Stop};

/// How long a command may take to send its first message.
const START: Duration = Duration::from_secs(10);

/// How long a command may take to end after its answer.
const END: Duration = Duration::from_secs(5);

/// How often it is looked whether the command still runs.
const LOOK: Duration = Duration::from_millis(100);

/// The judge as a server with one socket on loopback, and the client's command. It is a [`Talk`], too.
#[derive(Debug)]
pub struct Host {
    talk: Talk,
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
    pub(crate) fn new(template: &Template, frame: &Frame) -> Judged<Host> {
        Ok(Host {
            talk: Talk::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None, frame)?,
            template: template.clone(),
            running: None,
            commands: Vec::new(),
            output: Vec::new(),
        })
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
            .expand(stimulus, &authority)
            .map_err(|place| Stop::Skip(format!("the command cannot be told to: it has no {place}")))?;
        self.commands.push(arguments.join(" "));
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

    /// The next request of the client. Acknowledgements and Resets that come meanwhile are dropped.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] if the command ends without one, [`Stop::Fail`] if it crashed or sends none.
    pub fn request(&mut self) -> Judged<Received> {
        self.request_within(START)
    }

    /// As [`request`](Self::request), with another time.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn request_within(&mut self, within: Duration) -> Judged<Received> {
        let until = Instant::now() + within;
        loop {
            if let Some(message) = self.talk.receive(LOOK)? {
                if message.method().is_some() {
                    return Ok(message);
                }
                continue;
            }
            if let Some(status) = self.running.as_mut().and_then(Running::ended) {
                self.end();
                return Err(self.ended_early(status));
            }
            if Instant::now() >= until {
                return Err(self.talk.nothing_came(within, "a request"));
            }
        }
    }

    fn ended_early(&self, status: std::process::ExitStatus) -> Stop {
        let output = String::from_utf8_lossy(&self.output);
        let last = output
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("nothing");
        let what = format!(
            "the command ended ({}) before a request; it said: {last}",
            command::describe(status)
        );
        if command::crashed(status) {
            Stop::fail(what, None)
        } else {
            Stop::Inconclusive(what)
        }
    }

    /// A response to a request, as it is piggybacked on the acknowledgement of a confirmable one, or as a
    /// non-confirmable message with a fresh Message ID.
    pub fn response_to(&mut self, request: &Received, code: Status) -> Message {
        let (message_type, mid) = if request.is_con() {
            (MessageType::Acknowledgement, request.mid)
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
        self.talk.transmit_reply(request, &response.to_bytes());
    }

    /// Answers a request with 2.05 and a text, as [`response_to`](Self::response_to) has it.
    pub fn answer_text(&mut self, request: &Received, text: &str) {
        let response = self.response_to(request, Status::CONTENT).text(text);
        self.answer(request, &response);
    }

    /// Sends a message to where another came from, once.
    pub fn send(&mut self, to: &Received, message: &Message) {
        self.talk.transmit(to.from, &message.to_bytes());
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
        let until = Instant::now() + END;
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
