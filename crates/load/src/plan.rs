//! What is asked of whom.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use coracle_net::stream::ConnectOptions;
use coracle_wire::{Method, OptionNumber, OptionsBuf};

use crate::limits;

/// What is asked of which server, by how many peers and at which pace.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server; never a group.
    pub server: SocketAddr,
    /// What carries the messages.
    pub transport: Transport,
    /// How many peers, each with a source address or port, or a connection, of its own: 1 to 2^20.
    pub peers: u32,
    /// How many requests a peer may have outstanding. NSTART (RFC 7252 §4.7) would have it be 1.
    pub outstanding: u16,
    /// How many requests may be outstanding in all; peers then have their turns one after the other.
    pub window: u32,
    /// The request that all send.
    pub request: Request,
    /// What the request is part of.
    pub work: Work,
    /// When requests are sent.
    pub pace: Pace,
    /// Which payload is right.
    pub expect: Expect,
    /// ACK_TIMEOUT (RFC 7252 §4.8), after which a confirmable request is sent again. On one machine, where nothing
    /// takes that long, a shorter one keeps the load up.
    pub ack_timeout: Duration,
    /// A request without an answer is given up after that time.
    pub timeout: Duration,
    /// Never sleeps, so that the server does not pay for waking the load. It keeps a core busy.
    pub awake: bool,
    /// The first source address for a server in 127/8; the others follow.
    pub(crate) first_address: Ipv4Addr,
}

impl Plan {
    /// One peer that gets the resource at `path`, confirmable, in a closed loop.
    #[must_use]
    pub fn get(server: SocketAddr, path: &[&str]) -> Plan {
        let mut options = OptionsBuf::new();
        for segment in path {
            // What is too long for an option is too long for a plan, which is checked at the start.
            let _ = options.insert(OptionNumber::URI_PATH, segment.as_bytes());
        }
        Plan::new(server, Request::new(Method::GET, options))
    }

    /// One peer that sends this request in a closed loop.
    #[must_use]
    pub fn new(server: SocketAddr, request: Request) -> Plan {
        Plan {
            server,
            transport: Transport::Datagrams,
            peers: 1,
            outstanding: 1,
            window: u32::MAX,
            request,
            work: Work::Requests,
            pace: Pace::Closed,
            expect: Expect::same(),
            ack_timeout: limits::ACK_TIMEOUT,
            timeout: limits::TIMEOUT,
            awake: false,
            first_address: Ipv4Addr::new(127, 1, 0, 1),
        }
    }

    /// The part of thread `index` of `threads`: of the peers and of the rate. `None` if no peer is left for it.
    #[must_use]
    pub fn share(&self, index: u32, threads: u32) -> Option<Plan> {
        let threads = threads.max(1);
        let peers = self.peers / threads + u32::from(index < self.peers % threads);
        let pace = match self.pace {
            Pace::Closed => Pace::Closed,
            Pace::Open(rate) => Pace::Open(rate * f64::from(peers) / f64::from(self.peers.max(1))),
        };
        // Of the 254 blocks of 2^16 addresses that follow 127.0/16 each thread has as many.
        let block = 1 + index * (254 / threads).max(1);
        let block = u8::try_from(block).unwrap_or(u8::MAX);
        (peers > 0).then(|| Plan {
            peers,
            window: (self.window / threads).max(1),
            pace,
            first_address: Ipv4Addr::new(127, block, 0, 1),
            ..self.clone()
        })
    }

    /// Whether the peers are addresses behind one socket.
    pub(crate) fn many_addresses(&self) -> bool {
        cfg!(target_os = "linux") && matches!(self.server.ip(), IpAddr::V4(address) if address.is_loopback())
    }

    /// How many requests may be outstanding in all.
    pub(crate) fn slots(&self) -> u64 {
        u64::from(self.peers) * u64::from(self.outstanding)
    }

    /// What a server takes on a connection shows when it has told (RFC 8323 §5.3.1).
    fn longest_payload(&self) -> usize {
        match (self.work, &self.transport) {
            (Work::Upload, _) | (_, Transport::Connections(_)) => limits::MAX_BODY,
            (_, Transport::Datagrams) => limits::MAX_PAYLOAD,
        }
    }

    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] with what is wrong.
    pub(crate) fn check(&self) -> io::Result<()> {
        let problem = match self.server.ip() {
            address if address.is_multicast() => Some("a group is no place for load: name one server"),
            IpAddr::V4(Ipv4Addr::BROADCAST) => Some("a broadcast is no place for load: name one server"),
            address if address.is_unspecified() || self.server.port() == 0 => {
                Some("the server has no address or no port")
            }
            _ if self.peers == 0 || self.peers > limits::MAX_PEERS => Some("there are 1 to 1048576 peers"),
            _ if self.outstanding == 0 || self.window == 0 || self.slots() > limits::MAX_OUTSTANDING => {
                Some("there are 1 to 1048576 requests outstanding in all")
            }
            _ if self.request.payload.len() > self.longest_payload() => {
                Some("the payload of one datagram has at most 1024 bytes, that of an upload at most 2^30")
            }
            _ if self.work.is_transfer() && self.outstanding != 1 => {
                Some("a peer has one transfer under way at a time")
            }
            _ if self.request.options.as_options().as_bytes().len() > limits::MAX_OPTIONS => {
                Some("the options of the request have more than 900 bytes")
            }
            _ if matches!(self.pace, Pace::Open(rate) if !(rate > 0.0 && rate <= 1e8)) => {
                Some("a rate is more than 0 and at most 100000000 a second")
            }
            _ => None,
        };
        problem.map_or(Ok(()), |problem| {
            Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
        })
    }
}

/// What carries the messages.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Datagrams of UDP.
    Datagrams,
    /// A connection for each peer (RFC 8323), as these options say: TCP, TLS, WebSocket. What they say of the longest
    /// message does not count.
    Connections(ConnectOptions),
}

/// What the requests are part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Single requests, each with its answer.
    Requests,
    /// Whole bodies of answers, block by block (RFC 7959 §2.4).
    Download,
    /// The request's payload, block by block (RFC 7959 §2.5).
    Upload,
    /// Registrations of observers (RFC 7641), `outstanding` of each peer; see [`Load::register`](crate::Load::register).
    Observe,
}

impl Work {
    fn is_transfer(self) -> bool {
        matches!(self, Work::Download | Work::Upload)
    }
}

/// The request that all peers send, again and again.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Confirmable, or non-confirmable and never sent again; nothing of the kind on connections.
    pub confirmable: bool,
    /// Its options; at most 900 bytes.
    pub options: OptionsBuf,
    /// Its payload; in a datagram at most 1024 bytes, unless it is uploaded block by block.
    pub payload: Arc<[u8]>,
}

impl Request {
    /// A confirmable request without payload.
    #[must_use]
    pub fn new(method: Method, options: OptionsBuf) -> Request {
        Request {
            method,
            confirmable: true,
            options,
            payload: Arc::from([]),
        }
    }
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as the one before is answered or given up.
    Closed,
    /// So many a second in all, evenly. One that is due while every peer has its requests outstanding is sent as soon
    /// as one is free, and its latency counts from when it was due.
    Open(f64),
}

/// Which payload a successful answer must have.
#[derive(Clone, Debug)]
pub enum Expect {
    /// The same as the first that came, over all clones of the plan.
    Same(Arc<OnceLock<Vec<u8>>>),
    /// This one.
    Payload(Arc<[u8]>),
    /// Any. One that is not the first that came, over all clones of the plan, is noted: the resource may have
    /// changed. One under the ETag of the answer before and yet another payload is wrong (RFC 7252 §5.10.6).
    Noted(Arc<OnceLock<Vec<u8>>>),
    /// Any.
    Anything,
}

impl Expect {
    /// The same payload in all answers, whatever it is.
    #[must_use]
    pub fn same() -> Expect {
        Expect::Same(Arc::default())
    }

    /// Whatever it is, and a note where it changes.
    #[must_use]
    pub fn noted() -> Expect {
        Expect::Noted(Arc::default())
    }

    /// What is told of a wrong payload, with why it is wrong.
    pub(crate) fn explained(&self, told: String) -> String {
        match self {
            Expect::Noted(_) => told + ", under the same ETag",
            Expect::Same(_) | Expect::Payload(_) | Expect::Anything => told,
        }
    }
}

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So many requests were answered as they should be.
    Answered(u64),
    /// So many requests were begun, no more, and are over: answered, rejected or given up.
    Over(u64),
    /// That time has passed.
    Passed(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::get("127.0.0.1:5683".parse().unwrap(), &["temp"])
    }

    #[test]
    fn shares_add_up() {
        let plan = Plan {
            peers: 10,
            pace: Pace::Open(1000.0),
            ..plan()
        };
        let shares: Vec<_> = (0..4).filter_map(|index| plan.share(index, 4)).collect();
        assert_eq!(
            shares.iter().map(|share| share.peers).collect::<Vec<_>>(),
            [3, 3, 2, 2]
        );
        let rates = shares.iter().map(|share| match share.pace {
            Pace::Open(rate) => rate,
            Pace::Closed => 0.0,
        });
        assert!((rates.sum::<f64>() - 1000.0).abs() < 1e-6);
        assert_eq!(shares[1].first_address, Ipv4Addr::new(127, 64, 0, 1));
        assert!(plan.share(11, 12).is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |change: fn(&mut Plan)| {
            let mut plan = plan();
            change(&mut plan);
            plan.check().is_err()
        };
        assert!(plan().check().is_ok());
        assert!(refused(|plan| plan.server = "224.0.1.187:5683".parse().unwrap()));
        assert!(refused(|plan| plan.server = "[ff02::fd]:5683".parse().unwrap()));
        assert!(refused(
            |plan| plan.server = "255.255.255.255:5683".parse().unwrap()
        ));
        assert!(refused(|plan| plan.server.set_port(0)));
        assert!(refused(|plan| plan.peers = 0));
        assert!(refused(|plan| plan.outstanding = 0));
        assert!(refused(|plan| plan.window = 0));
        assert!(refused(|plan| (plan.peers, plan.outstanding) = (1 << 20, 2)));
        assert!(refused(|plan| plan.pace = Pace::Open(0.0)));
        assert!(refused(|plan| plan.pace = Pace::Open(f64::NAN)));
        assert!(refused(|plan| plan.request.payload = Arc::from([0; 1025])));
    }
}
