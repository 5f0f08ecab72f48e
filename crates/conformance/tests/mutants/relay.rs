//! A relay in front of a server that is right, which makes it wrong in one way.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use coracle_conformance::message::Message;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToJudge,
}

/// Makes of one datagram those that go on: the same, another one, several, none.
pub(crate) type Fault = Box<dyn FnMut(Way, &[u8]) -> Vec<Vec<u8>> + Send>;

/// Changes the messages of one way that can be read.
pub(crate) fn change(of: Way, mut edit: impl FnMut(&mut Message) + Send + 'static) -> Fault {
    replace(of, move |mut message| {
        edit(&mut message);
        vec![message]
    })
}

/// Puts other messages in the place of each that can be read.
pub(crate) fn replace(of: Way, mut edit: impl FnMut(Message) -> Vec<Message> + Send + 'static) -> Fault {
    Box::new(move |way, bytes| match Message::parse(bytes) {
        Ok(message) if way == of => edit(message).iter().map(Message::to_bytes).collect(),
        _ => vec![bytes.to_vec()],
    })
}

/// Changes the bytes of one way.
pub(crate) fn raw(of: Way, mut edit: impl FnMut(&mut Vec<u8>) + Send + 'static) -> Fault {
    Box::new(move |way, bytes| {
        let mut bytes = bytes.to_vec();
        if way == of {
            edit(&mut bytes);
        }
        vec![bytes]
    })
}

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How often it is looked whether it is over.
const LOOK: Duration = Duration::from_millis(50);

type Shared = Arc<Mutex<Fault>>;

impl Relay {
    pub(crate) fn start(server: SocketAddr, fault: Fault) -> Relay {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        front.set_read_timeout(Some(LOOK)).unwrap();
        let address = front.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&over);
        let thread = thread::spawn(move || relay(&front, server, &Arc::new(Mutex::new(fault)), &done));
        Relay {
            address,
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Each client of the front has a socket of its own behind it, so that the server sees as many as there are.
fn relay(front: &UdpSocket, server: SocketAddr, fault: &Shared, over: &Arc<AtomicBool>) {
    let mut backs: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    let mut buf = [0; 65_536];
    while !over.load(Ordering::Relaxed) {
        let Ok((length, client)) = front.recv_from(&mut buf) else {
            continue;
        };
        let back = backs
            .entry(client)
            .or_insert_with(|| back(front, client, server, fault, over));
        for datagram in fault.lock().unwrap()(Way::ToServer, &buf[..length]) {
            let _ = back.send(&datagram);
        }
    }
}

fn back(
    front: &UdpSocket,
    client: SocketAddr,
    server: SocketAddr,
    fault: &Shared,
    over: &Arc<AtomicBool>,
) -> UdpSocket {
    let back = UdpSocket::bind("127.0.0.1:0").unwrap();
    back.connect(server).unwrap();
    back.set_read_timeout(Some(LOOK)).unwrap();
    let (reader, front) = (back.try_clone().unwrap(), front.try_clone().unwrap());
    let (fault, over) = (Arc::clone(fault), Arc::clone(over));
    thread::spawn(move || {
        let mut buf = [0; 65_536];
        while !over.load(Ordering::Relaxed) {
            let Ok(length) = reader.recv(&mut buf) else {
                continue;
            };
            for datagram in fault.lock().unwrap()(Way::ToJudge, &buf[..length]) {
                let _ = front.send_to(&datagram, client);
            }
        }
    });
    back
}
