//! A network of CoAP endpoints that runs on a virtual clock and comes out the same for the same seed.
//!
//! Nodes are [`Endpoint`](coracle_engine::Endpoint)s, each with a small application: a closure that takes what its
//! endpoint hands out. Datagrams travel over [`Link`]s, one for each direction if need be, that lose them one by one
//! and in bursts, double, delay and so reorder them, and lose those that are too long. A NAT may show a node under
//! another address, a node may crash and start anew, and each has a clock of its own. Every datagram is kept in a log,
//! which is printed as a ladder, with the seed, when a test fails.
//!
//! On top of it are whole runs: [`Scenario::draw`] makes one from a seed, [`play()`] plays it and writes down its
//! [`History`], [`judge()`] holds that against what an endpoint promises, and [`shrink()`] makes a scenario that fails
//! small enough to be read. `cargo xtask sim` does this for many seeds.
//!
//! ```
//! use coracle_engine::{Event, RequestRef, ResponseRef};
//! use coracle_sim::{Input, Link, Network};
//! use coracle_wire::{Method, Options, Status};
//! use std::time::Duration;
//!
//! let mut network = Network::new(7);
//! network.set_link(Link::perfect().with_loss(0.3).with_jitter(Duration::from_millis(80)));
//! let server = network.add_server(|io, input| {
//!     if let Input::Request { id, .. } = input {
//!         let _ = io.respond(id, ResponseRef::new(Status::CONTENT, Options::empty(), b"21.5"));
//!     }
//! });
//! let client = network.add_client();
//! let id = network.request(client, server, RequestRef::new(Method::GET, Options::empty()))?;
//! network.run_for(Duration::from_secs(100));
//! let answered = |event: &Event| matches!(event, Event::Response { id: of, .. } if *of == id);
//! assert!(network.take_events(client).iter().any(answered));
//! # Ok::<(), coracle_engine::RequestError>(())
//! ```

mod application;
mod body;
mod clock;
mod forgery;
mod frames;
mod history;
mod judge;
mod ladder;
mod link;
mod messages;
mod network;
mod node;
mod pipe;
mod play;
mod scenario;
mod shrink;
mod stream;
mod traffic;

pub use application::Flaw;
pub use clock::Clock;
pub use forgery::Forgery;
pub use history::{Happening, History, Says, Totals};
pub use judge::{Complaint, judge};
pub use ladder::{Fate, Record};
pub use link::{Bursts, Link};
pub use messages::Rule;
pub use network::{Network, Verdict};
pub use node::{Input, Io, NodeId};
pub use pipe::Pipe;
pub use play::{Run, play};
pub use scenario::{Action, Ask, Connections, Fault, Host, Observes, Operation, Scenario};
pub use shrink::{Shrunk, play_safely, shrink};
pub use stream::{Break, StreamId};
