//! Observers of `/state`, each with an address of its own, and one who changes it.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use coracle_wire::{Code, CodeKind, Message, MessageType, Method, OptionNumber, Status};

use crate::crowd::Crowd;
use crate::datagrams::{LONGEST, empty, path, request};

/// Who changes the state.
const CHANGER: Ipv4Addr = Ipv4Addr::new(127, 31, 0, 1);

/// Its token.
const CHANGE: [u8; 4] = *b"POST";

/// Registrations that are outstanding at once.
const WINDOW: usize = 64;

/// When a request is sent again, and how often.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
const ATTEMPTS: u32 = 30;

/// A change is told when so long nothing more comes, or in any case after the longer time.
const QUIET: Duration = Duration::from_millis(1_000);
const PATIENCE: Duration = Duration::from_secs(30);

/// An observer.
#[derive(Clone, Default)]
struct Observer {
    /// What the server wants to see before it trusts the address (RFC 9175 §2).
    echo: Vec<u8>,
    /// The last change that it was told of.
    told: u32,
    /// It answers notifications with Reset.
    rejects: bool,
}

/// What came of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// Observers that were told.
    pub(crate) unique: u32,
    /// Notifications that were confirmable.
    pub(crate) confirmable: u32,
    /// From the change to the last observer.
    pub(crate) elapsed: Duration,
}

/// All of them, behind one socket.
pub(crate) struct Observers {
    crowd: Crowd,
    observers: Vec<Observer>,
    /// Counts changes, the server's and raw ones.
    round: u32,
    changes: u16,
    /// The last notification that came from the server.
    notification: Vec<u8>,
}

/// What comes to an observer.
struct Heard {
    place: u32,
    message_type: MessageType,
    code: Code,
    id: coracle_wire::MessageId,
    observe: bool,
    echo: Vec<u8>,
}

impl Observers {
    /// The address of the first of them.
    pub(crate) const FIRST: Ipv4Addr = Ipv4Addr::new(127, 32, 0, 1);

    /// To be called within a tokio runtime.
    pub(crate) fn new(server: SocketAddr, count: u32) -> io::Result<Observers> {
        Ok(Observers {
            crowd: Crowd::new(server)?,
            observers: vec![Observer::default(); count as usize],
            round: 0,
            changes: 0,
            notification: Vec::new(),
        })
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.observers.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        self.crowd.port()
    }

    /// The first `count` of them answer with Reset from now on (RFC 7641 §3.6).
    pub(crate) fn reject(&mut self, count: u32) {
        let rejecting = self.observers.iter_mut().take(count as usize);
        rejecting.for_each(|observer| observer.rejects = true);
    }

    /// Registers all, and proves their addresses where the server wants to see that.
    pub(crate) async fn register(&mut self) -> io::Result<()> {
        let mut outstanding = BTreeSet::new();
        let mut places = 0..self.count();
        let (mut heard_at, mut attempts) = (Instant::now(), 0);
        loop {
            while outstanding.len() < WINDOW
                && let Some(place) = places.next()
            {
                outstanding.insert(place);
                self.ask(place).await?;
            }
            if outstanding.is_empty() {
                return self.crowd.flush().await;
            }
            self.crowd.flush().await?;
            for heard in self.receive()? {
                (heard_at, attempts) = (Instant::now(), 0);
                self.react(&heard).await?;
                if !outstanding.contains(&heard.place) {
                    continue;
                }
                if self.is_registered(&heard)? {
                    outstanding.remove(&heard.place);
                } else {
                    self.ask(heard.place).await?;
                }
            }
            if heard_at.elapsed() >= AGAIN_AFTER {
                (heard_at, attempts) = (Instant::now(), attempts + 1);
                if attempts == ATTEMPTS {
                    return Err(timed_out("registrations are not answered"));
                }
                for place in &outstanding {
                    self.ask(*place).await?;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether an answer makes an observer of who asked. `false`: it has to ask again, with the Echo option.
    fn is_registered(&mut self, heard: &Heard) -> io::Result<bool> {
        let observer = self.observers.get_mut(heard.place as usize);
        if let Some(observer) = observer.filter(|observer| observer.echo.is_empty() && !heard.echo.is_empty())
        {
            observer.echo.clone_from(&heard.echo);
            return Ok(false);
        }
        if heard.code == Code::from(Status::CONTENT) && heard.observe {
            return Ok(true);
        }
        Err(io::Error::other(format!(
            "observer {} is answered {} instead of being registered",
            heard.place, heard.code
        )))
    }

    async fn ask(&mut self, place: u32) -> io::Result<()> {
        let echo = self
            .observers
            .get(place as usize)
            .map_or(&[][..], |observer| &observer.echo);
        let mut options = path("state");
        options.push_uint(OptionNumber::OBSERVE, 0);
        if !echo.is_empty() {
            options
                .insert(OptionNumber::ECHO, echo)
                .map_err(io::Error::other)?;
        }
        // The request that carries Echo is another one.
        let id = 1 + u16::from(!echo.is_empty());
        let mut datagram = [0; LONGEST];
        let len = request(
            Method::GET,
            id,
            place.to_be_bytes(),
            options.as_options(),
            &[],
            &mut datagram,
        );
        self.crowd
            .send(address_of(place), datagram.get(..len).unwrap_or_default())
            .await
    }

    /// Changes the state and takes what comes of it.
    pub(crate) async fn change(&mut self) -> io::Result<Told> {
        self.round += 1;
        self.changes += 1;
        let mut datagram = [0; 64];
        let options = path("state");
        let len = request(
            Method::POST,
            self.changes,
            CHANGE,
            options.as_options(),
            &[],
            &mut datagram,
        );
        let datagram = datagram.get(..len).unwrap_or_default();
        self.tell(None, datagram).await
    }

    /// Has the last notification sent to all once more, by somebody who does nothing else.
    pub(crate) async fn change_raw(&mut self, raw: SocketAddr) -> io::Result<Told> {
        self.round += 1;
        let notification = self.notification.clone();
        self.tell(Some(raw), &notification).await
    }

    /// Sends what leads to notifications and collects them, until all are told or nothing more comes.
    async fn tell(&mut self, raw: Option<SocketAddr>, datagram: &[u8]) -> io::Result<Told> {
        let started = Instant::now();
        let mut told = Told {
            unique: 0,
            confirmable: 0,
            elapsed: Duration::ZERO,
        };
        let (mut heard_at, mut sent_at, mut is_accepted) = (started, None::<Instant>, false);
        loop {
            let is_due = sent_at.is_none_or(|sent_at| sent_at.elapsed() >= AGAIN_AFTER);
            // A raw one is sent once: it would lead to as many datagrams again.
            if !is_accepted && is_due {
                match raw {
                    Some(raw) => self.crowd.send_to(raw, CHANGER, datagram).await?,
                    None => self.crowd.send(CHANGER, datagram).await?,
                }
                (sent_at, is_accepted) = (Some(Instant::now()), raw.is_some());
            }
            self.crowd.flush().await?;
            for heard in self.receive()? {
                heard_at = Instant::now();
                if heard.place == u32::from_be_bytes(CHANGE) {
                    is_accepted = true;
                } else if self.is_news(&heard) {
                    told.unique += 1;
                    told.elapsed = started.elapsed();
                    told.confirmable += u32::from(heard.message_type == MessageType::Confirmable);
                }
                self.react(&heard).await?;
            }
            let is_over = is_accepted && (told.unique == self.count() || heard_at.elapsed() >= QUIET);
            if is_over || started.elapsed() >= PATIENCE {
                return Ok(told);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether a message is the first notification of this change to its observer.
    fn is_news(&mut self, heard: &Heard) -> bool {
        let is_notification = heard.observe && heard.code == Code::from(Status::CONTENT);
        let Some(observer) = self.observers.get_mut(heard.place as usize) else {
            return false;
        };
        let is_news = is_notification && observer.told != self.round;
        if is_news {
            observer.told = self.round;
        }
        is_news
    }

    /// Acknowledges or rejects, as the observer does.
    async fn react(&mut self, heard: &Heard) -> io::Result<()> {
        let rejects = self
            .observers
            .get(heard.place as usize)
            .is_some_and(|observer| observer.rejects);
        let is_notification = matches!(
            heard.message_type,
            MessageType::Confirmable | MessageType::NonConfirmable
        );
        let answer = match heard.message_type {
            _ if rejects && is_notification => MessageType::Reset,
            MessageType::Confirmable => MessageType::Acknowledgement,
            _ => return Ok(()),
        };
        let datagram = empty(answer, heard.id);
        self.crowd.send(address_of(heard.place), &datagram).await
    }

    /// What came just now, from whomever.
    fn receive(&mut self) -> io::Result<Vec<Heard>> {
        let mut all = Vec::new();
        let notification = &mut self.notification;
        self.crowd.receive(|local, datagram| {
            let Ok(message) = Message::parse(datagram) else {
                return;
            };
            let token = <[u8; 4]>::try_from(message.token);
            let (Ok(token), CodeKind::Response(_)) = (token, message.code.kind()) else {
                return;
            };
            let place = u32::from_be_bytes(token);
            if token != CHANGE && local != address_of(place) {
                return;
            }
            if message.message_type == MessageType::NonConfirmable && notification.len() != datagram.len() {
                datagram.clone_into(notification);
            }
            all.push(Heard {
                place,
                message_type: message.message_type,
                code: message.code,
                id: message.message_id,
                observe: message.options.contains(OptionNumber::OBSERVE),
                echo: message
                    .options
                    .get(OptionNumber::ECHO)
                    .unwrap_or_default()
                    .to_vec(),
            });
        })?;
        Ok(all)
    }
}

fn address_of(place: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Observers::FIRST.to_bits().wrapping_add(place))
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
