//! The course of an attack.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::minimise::{Minimised, Trial, When, minimise};
use super::pacer::Pacer;
use super::sender::Sender;
use super::server::Server;
use super::tally::Tally;
use super::{
    Crash, Ending, Event, Failure, Family, FuzzError, Generator, MAX_FAILURES, MINIMISING, Outcome, Plan,
    discover,
};

/// How many of the last messages may have to do with a failure.
const SUSPECTS: usize = 5_000;

/// How long after its cause a failure is waited for, and how much longer than it took before.
const DELAY: Duration = Duration::from_secs(3);
const MARGIN: Duration = Duration::from_millis(500);

/// How often the server is tried, at most, to minimise one reproducer.
const MAX_TRIES: usize = 400;

/// Attacks the server at an address until all is sent, the time is over, or `stop` is set. Blocks.
///
/// # Errors
/// See [`FuzzError`]. That the server fails is none.
pub fn run(
    address: SocketAddr,
    plan: &Plan,
    stop: &AtomicBool,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, FuzzError> {
    let server = Server::new(address, plan.exec.as_deref(), plan.probe_path.as_deref(), stop);
    let mut attack = Attack {
        plan,
        stop,
        server,
        pacer: Pacer::new(plan.rate),
        tally: Tally::default(),
        suspects: VecDeque::new(),
        crashes: Vec::new(),
        events,
    };
    attack.server.begin()?;
    let paths = match plan.paths.as_slice() {
        [] => discover::paths(&attack.server.socket()?),
        given => given.to_vec(),
    };
    (attack.events)(Event::Begun(&paths));
    let generator = Generator::new(plan.seed, &paths, plan.corpus.clone());
    let ending = attack.batches(&generator)?;
    Ok(Outcome {
        seed: plan.seed,
        ending,
        tally: attack.tally,
        crashes: attack.crashes,
    })
}

/// Sends messages in their order, and says how the server failed of them; nothing if it survives.
///
/// # Errors
/// See [`FuzzError`].
pub fn replay(
    address: SocketAddr,
    plan: &Plan,
    messages: &[Vec<u8>],
    stop: &AtomicBool,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<(Option<Failure>, Tally), FuzzError> {
    let mut server = Server::new(address, plan.exec.as_deref(), plan.probe_path.as_deref(), stop);
    server.begin()?;
    let mut tally = Tally::default();
    let pacer = Pacer::new(plan.rate);
    let failure = send_all(
        &mut server,
        pacer,
        plan.record,
        messages,
        &mut tally,
        stop,
        events,
    )?;
    let failure = match failure {
        // Some failures come later.
        None => server.fails_within(DELAY)?,
        failed => failed,
    };
    Ok((failure, tally))
}

/// Sends messages, from a port of its own each batch as they were sent first, and looks after the server.
fn send_all(
    server: &mut Server<'_>,
    pacer: Pacer,
    record: bool,
    messages: &[Vec<u8>],
    tally: &mut Tally,
    stop: &AtomicBool,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<Option<Failure>, FuzzError> {
    let size = usize::try_from(pacer.batch()).unwrap_or(usize::MAX);
    for part in messages.chunks(size) {
        let mut sender = Sender::new(server.socket()?, pacer, record).map_err(FuzzError::Socket)?;
        for message in part {
            while !sender.is_due(tally, events) {
                if let Some(failure) = server.ended() {
                    return Ok(Some(failure));
                }
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if sender.refused {
                break;
            }
            sender.send(message, None, tally, events);
        }
        let failure = server.failure(sender.refused)?;
        sender.receive(tally, events);
        if failure.is_some() {
            return Ok(failure);
        }
    }
    Ok(None)
}

/// An attack that is under way.
struct Attack<'a> {
    plan: &'a Plan,
    stop: &'a AtomicBool,
    server: Server<'a>,
    pacer: Pacer,
    tally: Tally,
    /// The last messages, since the server was started if we do so.
    suspects: VecDeque<Vec<u8>>,
    crashes: Vec<Crash>,
    events: &'a mut dyn FnMut(Event<'_>),
}

impl Attack<'_> {
    /// Sends batch after batch until there is a reason to end.
    fn batches(&mut self, generator: &Generator) -> Result<Ending, FuzzError> {
        let deadline = Instant::now() + self.plan.at_most();
        let mut scripts = Scripts::new(generator, &self.plan.families);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Ending::Interrupted);
            }
            if self.tally.messages() >= self.plan.count {
                return Ok(Ending::Done);
            }
            if Instant::now() >= deadline {
                return Ok(Ending::TimeOver);
            }
            let (messages, failure) = self.batch(&mut scripts)?;
            self.suspects.extend(messages.iter().cloned());
            let excess = self.suspects.len().saturating_sub(SUSPECTS.max(messages.len()));
            self.suspects.drain(..excess);
            match failure {
                None => (self.events)(Event::Progress(&self.tally)),
                Some(_) if self.stop.load(Ordering::Relaxed) => return Ok(Ending::Interrupted),
                Some(failure) => {
                    if !self.failed(failure, &messages) {
                        return Ok(Ending::Gone);
                    }
                    if self.crashes.len() == MAX_FAILURES {
                        return Ok(Ending::TooManyFailures);
                    }
                }
            }
        }
    }

    /// Sends a batch from a new port, so that no message is taken for a duplicate of an old one.
    fn batch(&mut self, scripts: &mut Scripts<'_>) -> Result<(Vec<Vec<u8>>, Option<Failure>), FuzzError> {
        let size = self
            .pacer
            .batch()
            .min(self.plan.count.saturating_sub(self.tally.messages()));
        let socket = self.server.socket()?;
        let mut sender = Sender::new(socket, self.pacer, self.plan.record).map_err(FuzzError::Socket)?;
        for _ in 0..size {
            while !sender.is_due(&mut self.tally, self.events) {
                if let Some(failure) = self.server.ended() {
                    return Ok((sender.scripted, Some(failure)));
                }
            }
            // What comes after the end of a server had no part in it.
            if self.stop.load(Ordering::Relaxed) || sender.refused {
                break;
            }
            let Some((family, message)) = scripts.next() else {
                break;
            };
            sender.send(&message, Some(family), &mut self.tally, self.events);
        }
        let failure = self.server.failure(sender.refused)?;
        sender.receive(&mut self.tally, self.events);
        Ok((sender.scripted, failure))
    }

    /// Finds out what did it. Whether the server lives again.
    fn failed(&mut self, failure: Failure, batch: &[Vec<u8>]) -> bool {
        let after = self.tally.messages();
        (self.events)(Event::Failed(&failure, after));
        let output = self.server.output();
        let suspects: Vec<Vec<u8>> = self.suspects.drain(..).collect();
        let mut lives = self.revive();
        let found = match lives {
            true => self.minimise(&suspects),
            false => Minimised {
                messages: Vec::new(),
                reproduced: false,
                complete: false,
            },
        };
        let crash = Crash {
            failure,
            after,
            output,
            messages: if found.reproduced {
                found.messages
            } else {
                batch.to_vec()
            },
            reproduced: found.reproduced,
            minimal: found.reproduced && found.complete,
        };
        (self.events)(Event::Found(&crash));
        self.crashes.push(crash);
        if lives && self.crashes.len() < MAX_FAILURES && !self.stop.load(Ordering::Relaxed) {
            lives = self.revive();
        }
        lives
    }

    /// Whether the server lives again. One of ours that does not start any more is as gone as any other.
    fn revive(&mut self) -> bool {
        self.server.revive(self.plan.recovery).unwrap_or(false)
    }

    /// Tries ever fewer messages. What comes back meanwhile is not counted: it says nothing about the run.
    fn minimise(&mut self, suspects: &[Vec<u8>]) -> Minimised {
        let deadline = Instant::now() + MINIMISING;
        let (mut tries, mut delay) = (0, DELAY);
        minimise(suspects, &mut |messages, when| {
            tries += 1;
            (self.events)(Event::Minimising(messages.len()));
            let over = tries > MAX_TRIES || Instant::now() > deadline;
            if over || self.stop.load(Ordering::Relaxed) || !self.revive() {
                return Trial::Ended;
            }
            match self.attempt(messages, when, &mut delay) {
                _ if self.stop.load(Ordering::Relaxed) => Trial::Ended,
                Ok(None) => Trial::Survives,
                Ok(Some(_)) => Trial::Fails,
                Err(_) => Trial::Ended,
            }
        })
    }

    /// Sends messages to a server that was just started, and gives it time to fail if need be: no more than it took
    /// before, from the first message on.
    fn attempt(
        &mut self,
        messages: &[Vec<u8>],
        when: When,
        delay: &mut Duration,
    ) -> Result<Option<Failure>, FuzzError> {
        let mut tally = Tally::default();
        let record = self.plan.record;
        let server = &mut self.server;
        let pacer = match server.is_ours() {
            true => self.pacer.hurried(),
            false => self.pacer,
        };
        let began = Instant::now();
        let failure = send_all(
            server,
            pacer,
            record,
            messages,
            &mut tally,
            self.stop,
            self.events,
        )?;
        if when == When::AtOnce {
            return Ok(failure);
        }
        let failure = match failure {
            None => server.fails_within(*delay)?,
            failed => failed,
        };
        if failure.is_some() {
            // Any of the messages may have been the cause, also the first.
            *delay = (*delay).min(began.elapsed() + MARGIN);
        }
        Ok(failure)
    }
}

/// The messages of all families in turn.
struct Scripts<'a> {
    generator: &'a Generator,
    families: &'a [Family],
    next: u64,
    /// The rest of a script.
    rest: VecDeque<Vec<u8>>,
    family: Family,
}

impl<'a> Scripts<'a> {
    fn new(generator: &'a Generator, families: &'a [Family]) -> Scripts<'a> {
        Scripts {
            generator,
            families: if families.is_empty() {
                &Family::ALL
            } else {
                families
            },
            next: 0,
            rest: VecDeque::new(),
            family: Family::Random,
        }
    }
}

impl Iterator for Scripts<'_> {
    type Item = (Family, Vec<u8>);

    fn next(&mut self) -> Option<(Family, Vec<u8>)> {
        if self.rest.is_empty() {
            // Each family counts its own scripts, so that leaving one out does not change the others.
            let count = self.families.len() as u64;
            let turn = usize::try_from(self.next % count).unwrap_or_default();
            self.family = self.families.get(turn).copied().unwrap_or(Family::Random);
            self.rest = self.generator.script(self.family, self.next / count).into();
            self.next += 1;
        }
        self.rest.pop_front().map(|message| (self.family, message))
    }
}
