//! Connections of plain TCP that go around the loopback interface.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod links;

use std::io;
use std::net::SocketAddr;

use coracle_net::stream::{ConnectOptions, ListenOptions, Listener, connect};
use coracle_wire::{Framing, Scheme};
use links::{close, listen, pair, pattern, read, read_end, talk_and_close, talk_at_length, within, write};

async fn plain() -> (coracle_net::stream::Link, coracle_net::stream::Link) {
    pair(&ListenOptions::default(), &ConnectOptions::default()).await
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_side_knows_both_addresses() {
    let (mut server, mut client) = plain().await;
    assert_eq!(
        (server.remote(), server.local()),
        (client.local(), client.remote())
    );
    for link in [&server, &client] {
        assert_eq!((link.scheme(), link.framing()), (Scheme::CoapTcp, Framing::Tcp));
    }
    talk_and_close(&mut server, &mut client).await;
}

#[tokio::test]
async fn a_megabyte_goes_both_ways_at_once() {
    let (mut server, mut client) = plain().await;
    talk_at_length(&mut server, &mut client).await;
}

#[tokio::test]
async fn a_read_appends_takes_no_more_than_its_limit_and_keeps_the_buffer() {
    let (mut server, mut client) = plain().await;
    write(&mut client, b"0123456789").await.unwrap();
    let mut buf = Vec::with_capacity(64);
    buf.extend_from_slice(b"kept ");
    let place = buf.as_ptr();
    for limit in [4, 1] {
        let count = within(std::future::poll_fn(|cx| server.poll_read(cx, &mut buf, limit))).await;
        assert_eq!(count.unwrap(), limit);
    }
    assert_eq!(buf, b"kept 01234");
    assert_eq!(buf.as_ptr(), place);
}

#[tokio::test]
async fn a_writer_is_held_back_by_a_reader_that_does_not_read() {
    let (mut server, mut client) = plain().await;
    let body = pattern(1 << 16);
    let mut written = 0;
    let full = std::future::poll_fn(|cx| {
        // More than any buffer of the system takes.
        while written < 1 << 28 {
            match client.poll_write(cx, &body) {
                std::task::Poll::Ready(taken) => written += taken.unwrap(),
                std::task::Poll::Pending => return std::task::Poll::Ready(true),
            }
        }
        std::task::Poll::Ready(false)
    });
    // Only the system's buffers are to end it, not the fairness of the runtime.
    assert!(
        tokio::task::unconstrained(full).await,
        "{written} bytes and no end"
    );
    within(async {
        let (sent, received) = tokio::join!(write(&mut client, b"end"), read(&mut server, written + 3));
        sent.unwrap();
        assert!(received.unwrap().ends_with(b"end"));
    })
    .await;
}

/// The system resets a connection that is dropped with unread bytes, and what was written last can be lost with it.
#[tokio::test]
async fn last_words_arrive_although_the_peer_was_still_talking() {
    let (mut server, mut client) = plain().await;
    within(async {
        write(&mut client, &pattern(100_000)).await.unwrap();
        write(&mut server, b"go away").await.unwrap();
        let (closed, heard) = tokio::join!(close(&mut server), async {
            let heard = read(&mut client, 7).await?;
            read_end(&mut client).await?;
            close(&mut client).await.map(|()| heard)
        });
        closed.unwrap();
        assert_eq!(heard.unwrap(), b"go away");
    })
    .await;
}

#[tokio::test]
async fn a_reset_is_an_error() {
    let (mut server, client) = plain().await;
    write(&mut server, b"unread").await.unwrap();
    drop(client);
    let error = within(read_end(&mut server)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_address_that_refuses_costs_nothing_when_another_answers() {
    let (mut listener, address) = listen(&ListenOptions::default());
    // Nobody listens there: the listener has the address of another host of the loopback network.
    let dead = SocketAddr::from(([127, 0, 0, 99], address.port()));
    let targets = [dead, address];
    let options = ConnectOptions::default();
    let (accepted, link) =
        within(async { tokio::join!(listener.accept(), connect(&targets, &options)) }).await;
    assert_eq!(link.unwrap().remote(), address);
    accepted.unwrap();

    let error = connect(&[dead], &options).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with(&dead.to_string()), "{error}");
}

#[tokio::test]
async fn one_listener_takes_both_families_and_shows_each_as_it_is() {
    let Ok(mut listener) = Listener::bind("[::]:0".parse().unwrap(), &ListenOptions::default()) else {
        println!("skipped: no IPv6 here");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "::1"] {
        let target = SocketAddr::new(host.parse().unwrap(), port);
        let client = within(connect(&[target], &ConnectOptions::default()))
            .await
            .unwrap();
        let server = within(listener.accept()).await.unwrap();
        assert_eq!((server.remote(), server.local()), (client.local(), target));
    }
}

#[tokio::test]
async fn an_address_that_is_taken_stays_taken_by_shards_too() {
    let (listener, address) = listen(&ListenOptions::default());
    let other = Listener::bind(address, &ListenOptions::default()).unwrap_err();
    assert_eq!(other.kind(), io::ErrorKind::AddrInUse);
    let shards = listener.into_shards(2).unwrap();
    let other = Listener::bind(address, &ListenOptions::default()).unwrap_err();
    assert_eq!(other.kind(), io::ErrorKind::AddrInUse);
    drop(shards);
    Listener::bind(address, &ListenOptions::default()).unwrap();
}

/// Connections go to either listener, and none is lost.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn shards_share_the_connections_of_an_address() {
    let (listener, address) = listen(&ListenOptions::default());
    let [mut one, mut two] = <[Listener; 2]>::try_from(listener.into_shards(2).unwrap()).unwrap();
    let mut clients = Vec::new();
    for _ in 0..64 {
        clients.push(
            within(connect(&[address], &ConnectOptions::default()))
                .await
                .unwrap(),
        );
    }
    let (mut links, mut counts) = (Vec::new(), [0, 0]);
    while links.len() < clients.len() {
        let (link, place) = within(async {
            tokio::select! {
                link = one.accept() => (link, 0),
                link = two.accept() => (link, 1),
            }
        })
        .await;
        counts[place] += 1;
        links.push(link.unwrap());
    }
    assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
}

/// Each end of a connection is one descriptor of this process, which has more to do with others.
#[tokio::test]
async fn five_thousand_connections_at_once_are_taken() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let many = limit.map_or(5000, |limit| (limit.saturating_sub(200) / 2).min(5000));
    assert!(
        many > 100,
        "the limit of file descriptors leaves no room for the test"
    );
    let (mut listener, address) = listen(&ListenOptions::default());
    let taking = async {
        let mut links = Vec::new();
        for _ in 0..many {
            links.push(listener.accept().await.unwrap());
        }
        links
    };
    let connecting = async {
        let mut links = Vec::new();
        for _ in 0..many {
            links.push(connect(&[address], &ConnectOptions::default()).await.unwrap());
        }
        links
    };
    let (servers, clients) = within(async { tokio::join!(taking, connecting) }).await;
    assert_eq!(servers.len(), clients.len());
    assert_eq!(listener.statistics().accepted, many);
    assert_eq!(listener.statistics().pauses, 0);
}
