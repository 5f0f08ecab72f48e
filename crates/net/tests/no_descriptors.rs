//! A process without file descriptors takes no connections for a while, neither failing nor spinning. The limit is that
//! of the whole process, so that this test has one of its own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod links;

use std::os::fd::AsRawFd;
use std::time::Duration;

use coracle_net::stream::ListenOptions;
use links::{listen, within};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[tokio::test]
async fn a_listener_waits_until_there_are_file_descriptors_again() {
    let (mut listener, address) = listen(&ListenOptions::default());
    let client = std::net::TcpStream::connect(address).unwrap();
    let before = getrlimit(Resource::Nofile);
    // No lower descriptor than the client's is free, and no higher one will be allowed.
    let fillers: Vec<_> = std::iter::repeat_with(|| client.try_clone().unwrap())
        .take_while(|filler| filler.as_raw_fd() < client.as_raw_fd())
        .collect();
    let lowered = Rlimit {
        current: Some(u64::try_from(client.as_raw_fd()).unwrap() + 1),
        ..before
    };
    setrlimit(Resource::Nofile, lowered).unwrap();

    let mut polls = 0;
    let refused = tokio::time::timeout(
        Duration::from_millis(350),
        std::future::poll_fn(|cx| {
            polls += 1;
            listener.poll_accept(cx)
        }),
    );
    assert!(refused.await.is_err(), "a connection without a descriptor");
    let pauses = listener.statistics().pauses;
    assert!((1..=4).contains(&pauses), "{pauses} pauses");
    assert!(polls <= 8, "the wait was woken {polls} times");

    setrlimit(Resource::Nofile, before).unwrap();
    drop(fillers);
    let link = within(listener.accept()).await.unwrap();
    assert_eq!(link.remote(), client.local_addr().unwrap());
}
