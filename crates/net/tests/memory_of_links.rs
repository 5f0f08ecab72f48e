//! What a connection that rests takes of our memory, after large messages have gone over it. It does not count what the
//! kernel and the C part of the cryptography take.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../engine/tests/common/allocator.rs"]
mod allocator;
mod links;

use allocator::held;
use coracle_net::stream::{
    Authorities, ClientCertificates, ClientTls, ConnectOptions, Identity, Link, ListenOptions, ServerTls,
    connect,
};
use links::certificates::self_signed;
use links::{listen, pattern, read, within, write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const LINKS: usize = 100;

/// Links of a server and of its clients, each pair with a message of 100,000 bytes behind it in each direction.
async fn used(listen_options: &ListenOptions, connect_options: &ConnectOptions) -> (Vec<Link>, Vec<Link>) {
    let (mut listener, address) = listen(listen_options);
    let (targets, message) = ([address], pattern(100_000));
    let (mut servers, mut clients) = (Vec::with_capacity(LINKS), Vec::with_capacity(LINKS));
    for _ in 0..LINKS {
        let (server, client) =
            within(async { tokio::join!(listener.accept(), connect(&targets, connect_options)) }).await;
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        for turn in 0..2 {
            let (from, to) = if turn == 0 {
                (&mut server, &mut client)
            } else {
                (&mut client, &mut server)
            };
            let (written, heard) =
                within(async { tokio::join!(write(from, &message), read(to, message.len())) }).await;
            written.unwrap();
            assert_eq!(heard.unwrap().len(), message.len());
        }
        // Looks for more once, as who owns a link does before it rests.
        for link in [&mut server, &mut client] {
            let mut more = Vec::new();
            let wait = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(link.poll_read(cx, &mut more, 1).is_pending())
            });
            assert!(wait.await);
        }
        servers.push(server);
        clients.push(client);
    }
    (servers, clients)
}

/// Bytes for both ends of a connection.
async fn bytes(listen_options: &ListenOptions, connect_options: &ConnectOptions) -> usize {
    // The first ones take also what is made once for all: caches of sessions, the runtime's own.
    let first = used(listen_options, connect_options).await;
    let before = held();
    let second = used(listen_options, connect_options).await;
    let bytes = (held() - before) / LINKS;
    drop((first, second));
    bytes
}

#[tokio::test]
async fn a_link_at_rest_holds_no_buffers() {
    let own = self_signed(&["localhost"]);
    let identity = Identity::from_pem(own.certificate.as_bytes(), own.key.as_bytes()).unwrap();
    let trusted = Authorities::from_pem(own.certificate.as_bytes()).unwrap();
    let server_tls = ServerTls::new(identity, ClientCertificates::NotAsked).unwrap();
    let client_tls = ClientTls::new(trusted, None).unwrap();
    for (tls, websocket, at_most) in [
        (false, false, 1_000),
        (false, true, 1_500),
        (true, false, 18_000),
        (true, true, 18_000),
    ] {
        let listen_options = ListenOptions {
            tls: tls.then(|| server_tls.clone()),
            websocket,
            ..ListenOptions::default()
        };
        let connect_options = ConnectOptions {
            host: Some("localhost".into()),
            tls: tls.then(|| client_tls.clone()),
            websocket,
            ..ConnectOptions::default()
        };
        let bytes = bytes(&listen_options, &connect_options).await;
        println!("TLS {tls}, WebSocket {websocket}: {bytes} bytes for both ends");
        assert!(bytes <= at_most, "{bytes}, more than {at_most}");
    }
}

/// A peer that asks without end and does not listen is answered as far as the system takes the answers, and then for its
/// latest question only.
#[tokio::test]
async fn pings_of_a_peer_that_does_not_listen_do_not_pile_up() {
    let options = ListenOptions {
        websocket: true,
        ..ListenOptions::default()
    };
    let (mut listener, address) = listen(&options);
    let socket = TcpSocket::new_v4().unwrap();
    // Little room for the answers.
    socket.set_recv_buffer_size(4096).unwrap();
    let asking = async {
        let mut stream = socket.connect(address).await.unwrap();
        let request = "GET /.well-known/coap HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Protocol: coap\r\nSec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(stream.read(&mut [0; 500]).await.unwrap() > 100);
        stream
    };
    let (link, mut stream) = within(async { tokio::join!(listener.accept(), asking) }).await;
    let mut link = link.unwrap();
    // A ping with as much as it may carry, and a message that shows that it was heard. The masks change nothing.
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[b'?'; 125]].concat();
    let pair = [&ping[..], &[0x82, 0x81, 0, 0, 0, 0, b'!']].concat();
    let before = held();
    within(async {
        // Together more answers than the system takes.
        for _ in 0..60_000 {
            stream.write_all(&pair).await.unwrap();
            assert_eq!(read(&mut link, 1).await.unwrap(), b"!");
        }
    })
    .await;
    let more = held() - before;
    assert!(more < 100_000, "{more} bytes");
}
