//! Load for CoAP servers: peers that ask, and a look at every answer.
//!
//! A [`Plan`] says what is asked of which server by how many peers, and at which pace. A [`Load`] carries it out in the
//! caller's tokio runtime and returns a [`Tally`]:
//!
//! - **closed loop**: each peer keeps a number of requests outstanding and sends the next one when an answer comes;
//! - **open loop**: requests are due at moments that are fixed beforehand. Latency counts from the moment that was
//!   intended, so that a server which stops does not hide the requests that it kept from being sent (coordinated
//!   omission).
//!
//! It speaks for itself, with the codec and the sockets of this project but not its engine: requests go out again as
//! RFC 7252 §4.2 says, no message ID is used twice within EXCHANGE_LIFETIME (§4.4), and each answer is held against its
//! request by source, type, message ID, token, code and payload.
//!
//! Peers of a server on an IPv4 loopback address are addresses in 127/8 behind one socket, so that requests and
//! answers move in batches and a hundred thousand peers cost no more than one. For any other server each peer has a
//! socket, and thus a port, of its own.
//!
//! Over TCP, TLS and WebSocket ([`Transport::Connections`]) each peer is a connection, with a CSM either way. What is asked
//! and how answers are judged is the same; nothing is sent again, and a connection that ends is told and opened anew.
//!
//! ```no_run
//! # async fn ask() -> std::io::Result<()> {
//! use coracle_load::{Load, Plan, Until};
//!
//! let mut plan = Plan::get("127.0.0.1:5683".parse().unwrap(), &["temp"]);
//! plan.peers = 64;
//! let mut load = Load::start(plan)?;
//! load.run(Until::Answered(10_000)).await?;
//! let tally = load.run(Until::Passed(std::time::Duration::from_secs(5))).await?;
//! println!("{:.0} requests/s", tally.rate());
//! # Ok(())
//! # }
//! ```
//!
//! It is meant for servers of one's own: it goes as fast as it is told, without regard to congestion.

mod answers;
mod connections;
mod datagrams;
mod exchanges;
mod limits;
mod load;
mod observe;
mod payloads;
mod plan;
mod random;
mod slot;
mod tally;
mod threads;
mod timers;
mod transfer;
mod way;

pub use coracle_net::stream::{Authorities, ClientTls, ConnectOptions};
pub use hdrhistogram::Histogram;
pub use load::Load;
pub use observe::{Fanout, Wave};
pub use plan::{Expect, Pace, Plan, Request, Transport, Until, Work};
pub use tally::{Loss, Sample, Tally, Wrong};
pub use threads::{Course, Outcome, Stage, run};
