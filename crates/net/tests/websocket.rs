//! WebSockets that go around the loopback interface, with peers of our own, of another library, and by hand.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod links;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use coracle_net::stream::{
    Authorities, ClientCertificates, ClientTls, ConnectOptions, Identity, ListenOptions, ServerTls, connect,
};
use coracle_wire::{Framing, Scheme};
use links::by_hand::{REQUEST, by_hand, frame};
use links::certificates::self_signed;
use links::{close, listen, pair, pattern, read, read_end, talk_and_close, talk_at_length, within, write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Bytes, Message};

fn server() -> ListenOptions {
    ListenOptions {
        websocket: true,
        ..ListenOptions::default()
    }
}

fn client(host: Option<&str>) -> ConnectOptions {
    ConnectOptions {
        host: host.map(str::to_owned),
        websocket: true,
        ..ConnectOptions::default()
    }
}

/// Both with TLS.
fn secured(host: &str) -> (ListenOptions, ConnectOptions) {
    let own = self_signed(&[host]);
    let identity = Identity::from_pem(own.certificate.as_bytes(), own.key.as_bytes()).unwrap();
    let trusted = Authorities::from_pem(own.certificate.as_bytes()).unwrap();
    let (mut server, mut client) = (server(), client(Some(host)));
    server.tls = Some(ServerTls::new(identity, ClientCertificates::NotAsked).unwrap());
    client.tls = Some(ClientTls::new(trusted, None).unwrap());
    (server, client)
}

#[tokio::test]
async fn messages_go_both_ways_and_both_sides_know_the_host() {
    for (named, host) in [(None, "127.0.0.1"), (Some("LocalHost"), "localhost")] {
        let (mut server, mut client) = pair(&server(), &client(named)).await;
        for link in [&server, &client] {
            assert_eq!(
                (link.scheme(), link.framing()),
                (Scheme::CoapWs, Framing::WebSocket)
            );
            assert_eq!(link.host(), Some(host));
        }
        talk_and_close(&mut server, &mut client).await;
    }
}

#[tokio::test]
async fn messages_go_both_ways_in_tls() {
    let (listen_options, connect_options) = secured("localhost");
    let (mut server, mut client) = pair(&listen_options, &connect_options).await;
    assert_eq!(server.scheme(), Scheme::CoapsWs);
    assert_eq!(
        (server.host(), client.peer_certificates().len()),
        (Some("localhost"), 1)
    );
    talk_at_length(&mut server, &mut client).await;
    talk_and_close(&mut server, &mut client).await;
}

#[tokio::test]
async fn a_megabyte_goes_both_ways_at_once() {
    let (mut server, mut client) = pair(&server(), &client(None)).await;
    talk_at_length(&mut server, &mut client).await;
    talk_and_close(&mut server, &mut client).await;
}

#[tokio::test]
async fn each_read_gives_one_message_however_many_have_come() {
    let (mut server, mut client) = pair(&server(), &client(None)).await;
    let messages = [
        pattern(1),
        pattern(125),
        pattern(126),
        pattern(70_000),
        pattern(2),
    ];
    for message in &messages {
        let mut rest = &message[..];
        while !rest.is_empty() {
            let taken = poll_fn(|cx| client.poll_write(cx, rest)).await.unwrap();
            rest = &rest[taken..];
        }
    }
    let flushed = poll_fn(|cx| client.poll_flush(cx));
    let reading = async {
        for message in &messages {
            assert!(read(&mut server, message.len()).await.unwrap() == *message);
        }
    };
    let (flushed, ()) = within(async { tokio::join!(flushed, reading) }).await;
    flushed.unwrap();
}

/// What a server answers to bytes, until it ends the connection.
async fn answer(options: &ListenOptions, request: &[u8]) -> String {
    let (mut listener, address) = listen(options);
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    within(async {
        tokio::select! {
            link = listener.accept() => panic!("a link: {link:?}"),
            answer = asking => answer,
        }
    })
    .await
}

#[tokio::test]
async fn a_request_for_something_else_is_refused_with_its_status_and_a_reason() {
    let long = format!("Cookie: {}\r\nHost", "x".repeat(9000));
    let many = format!("{}Host", "X: y\r\n".repeat(70));
    let cases = [
        (
            "GET /.well-known/coap",
            "GET /",
            "404 Not Found",
            "CoAP is at /.well-known/coap.",
        ),
        (
            "Upgrade: websocket\r\n",
            "",
            "426 Upgrade Required",
            "sub-protocol coap",
        ),
        (
            "Sec-WebSocket-Protocol: coap\r\n",
            "",
            "400 Bad Request",
            "The sub-protocol coap is missing",
        ),
        (
            "Protocol: coap",
            "Protocol: mqtt",
            "400 Bad Request",
            "The sub-protocol coap is missing",
        ),
        (
            "Host",
            "Origin: http://evil.example\r\nHost",
            "403 Forbidden",
            "Pages of this origin",
        ),
        ("Host", &long, "431 Request Header", "too long"),
        ("Host", &many, "431 Request Header", "too long"),
        (REQUEST, "\x20\x01\x00\x00", "400 Bad Request", "not HTTP"),
    ];
    for (right, wrong, status, reason) in cases {
        let answer = answer(&server(), REQUEST.replace(right, wrong).as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{wrong}: {answer}"
        );
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.contains(reason) && body.ends_with('\n'), "{wrong}: {body}");
        assert!(
            head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())),
            "{head}"
        );
    }
}

#[tokio::test]
async fn pages_that_are_allowed_may_talk() {
    let mut options = server();
    for (allowed, origin) in [
        (vec![], "http://localhost:8000"),
        (vec!["https://example.org".to_owned()], "https://example.org"),
        (vec!["*".to_owned()], "null"),
    ] {
        options.allowed_origins = allowed;
        let request = REQUEST.replace("Host", &format!("Origin: {origin}\r\nHost"));
        let (_, mut stream) = by_hand(&options, request.as_bytes()).await;
        stream.shutdown().await.unwrap();
    }
}

/// A server's link, and its peer that is to be fed by hand.
#[tokio::test]
async fn what_comes_with_the_request_is_heard() {
    let early = [REQUEST.as_bytes(), &frame(0x82, b"early bird")].concat();
    let (mut link, _stream) = by_hand(&server(), &early).await;
    assert_eq!(within(read(&mut link, 10)).await.unwrap(), b"early bird");
}

/// RFC 6455 §5.5.3: pings are answered, and nothing else comes from us unasked.
#[tokio::test]
async fn a_ping_is_answered_between_the_parts_of_a_message() {
    let (mut link, mut stream) = by_hand(&server(), REQUEST.as_bytes()).await;
    let bytes = [
        frame(0x02, b"one "),
        frame(0x89, b"there?"),
        frame(0x80, b"message"),
    ]
    .concat();
    stream.write_all(&bytes).await.unwrap();
    within(async {
        assert_eq!(read(&mut link, 11).await.unwrap(), b"one message");
        let nothing_more = read(&mut link, 1);
        let mut pong = [0; 8];
        tokio::select! {
            message = nothing_more => panic!("{message:?}"),
            answered = stream.read_exact(&mut pong) => assert_eq!(answered.unwrap(), 8),
        }
        assert_eq!(&pong, b"\x8a\x06there?");
    })
    .await;
}

/// RFC 6455 §7.4.1, RFC 8323 §4.2.
#[tokio::test]
async fn what_a_client_must_not_do_ends_with_its_close_code() {
    let options = ListenOptions {
        max_message: 100,
        ..server()
    };
    let cases: [(Vec<u8>, u16, &str); 5] = [
        (frame(0x81, b"hello"), 1003, "binary messages"),
        (frame(0x82, &[7; 101]), 1009, "at most 100 bytes"),
        (
            [frame(0x02, &[7; 60]), frame(0x80, &[7; 41])].concat(),
            1009,
            "at most 100 bytes",
        ),
        (vec![0x82, 0x01, 0x00], 1002, "without a mask"),
        (frame(0xf2, b""), 1002, "reserved bit"),
    ];
    for (bytes, code, why) in cases {
        let (mut link, mut stream) = by_hand(&options, REQUEST.as_bytes()).await;
        // More of the same comes behind it, which nobody reads.
        stream
            .write_all(&[bytes, vec![0; 100_000]].concat())
            .await
            .unwrap();
        within(async {
            let error = read(&mut link, 1).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(why), "{error}");
            let mut told = Vec::new();
            let (closed, heard) = tokio::join!(close(&mut link), async {
                let heard = stream.read_to_end(&mut told).await;
                drop(stream);
                heard
            });
            closed.unwrap();
            heard.unwrap();
            let reason = String::from_utf8_lossy(&told[4..]);
            assert_eq!(
                (told[0], u16::from_be_bytes([told[2], told[3]])),
                (0x88, code),
                "{reason}"
            );
            assert!(
                reason.contains(why) && usize::from(told[1]) == told.len() - 2,
                "{reason}"
            );
        })
        .await;
    }
}

/// RFC 6455 §5.5.1: the answer has the code that came, if it is one.
#[tokio::test]
async fn a_close_frame_is_answered_with_its_code() {
    let cases: [(&[u8], &[u8]); 4] = [
        (&[], &[0x88, 0]),
        (&[0x03, 0xe9], &[0x88, 2, 0x03, 0xe9]),
        (&[0x03, 0xed], &[0x88, 2, 0x03, 0xea]),
        (&[0x03], &[0x88, 2, 0x03, 0xea]),
    ];
    for (reason, wanted) in cases {
        let (mut link, mut stream) = by_hand(&server(), REQUEST.as_bytes()).await;
        stream.write_all(&frame(0x88, reason)).await.unwrap();
        within(async {
            read_end(&mut link).await.unwrap();
            let mut told = Vec::new();
            let (closed, heard) = tokio::join!(close(&mut link), async {
                let heard = stream.read_to_end(&mut told).await;
                drop(stream);
                heard
            });
            closed.unwrap();
            heard.unwrap();
            assert_eq!(told, wanted);
        })
        .await;
    }
}

/// Who asks and closes wants its answer: it comes before our close frame.
#[tokio::test]
async fn what_was_asked_before_a_close_frame_is_answered() {
    let (mut link, mut stream) = by_hand(&server(), REQUEST.as_bytes()).await;
    let said = [frame(0x82, b"question"), frame(0x88, &[0x03, 0xe9])].concat();
    stream.write_all(&said).await.unwrap();
    within(async {
        assert_eq!(read(&mut link, 8).await.unwrap(), b"question");
        read_end(&mut link).await.unwrap();
        write(&mut link, b"answer").await.unwrap();
        let mut told = Vec::new();
        let (closed, heard) = tokio::join!(close(&mut link), async {
            let heard = stream.read_to_end(&mut told).await;
            drop(stream);
            heard
        });
        closed.unwrap();
        heard.unwrap();
        assert_eq!(told, b"\x82\x06answer\x88\x02\x03\xe9");
    })
    .await;
}

#[tokio::test]
async fn a_closing_side_hears_the_peer_out_and_then_ends() {
    let (mut link, mut stream) = by_hand(&server(), REQUEST.as_bytes()).await;
    let talking = async {
        let mut told = [0; 4];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(told, [0x88, 2, 0x03, 0xe8]);
        stream.write_all(&frame(0x82, b"still saying")).await.unwrap();
        stream.write_all(&frame(0x88, &[0x03, 0xe8])).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, []);
        drop(stream);
    };
    let (closed, ()) = within(async { tokio::join!(close(&mut link), talking) }).await;
    closed.unwrap();
    let error = within(write(&mut link, b"late")).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

/// The other library as a client: fragments, pings and the end.
#[tokio::test]
async fn another_library_talks_to_our_server() {
    let (mut listener, address) = listen(&server());
    let peer = std::thread::spawn(move || {
        let mut request = format!("ws://{address}/.well-known/coap")
            .into_client_request()
            .unwrap();
        let protocol = tungstenite::http::HeaderValue::from_static("coap");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let stream = std::net::TcpStream::connect(address).unwrap();
        let (mut socket, answer) = tungstenite::client(request, stream).unwrap();
        assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], "coap");
        socket.send(Message::Ping(Bytes::from_static(b"ping"))).unwrap();
        socket.send(Message::Binary(pattern(70_000).into())).unwrap();
        let mut heard = [socket.read().unwrap(), socket.read().unwrap()];
        heard.sort_by_key(Message::len);
        assert_eq!(heard[0], Message::Pong(Bytes::from_static(b"ping")));
        assert_eq!(heard[1], Message::Binary(pattern(70_000).into()));
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
        assert!(!socket.can_read());
    });
    within(async {
        let mut link = listener.accept().await.unwrap();
        let message = read(&mut link, 70_000).await.unwrap();
        write(&mut link, &message).await.unwrap();
        read_end(&mut link).await.unwrap();
        close(&mut link).await.unwrap();
    })
    .await;
    peer.join().unwrap();
}

/// The other library as a server.
#[tokio::test]
async fn our_client_talks_to_another_library() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        #[allow(clippy::result_large_err, reason = "the signature is the library's")]
        let answer = |request: &tungstenite::handshake::server::Request,
                      mut response: tungstenite::handshake::server::Response| {
            assert_eq!(request.uri().path(), "/.well-known/coap");
            assert_eq!(request.headers()["Sec-WebSocket-Protocol"], "coap");
            assert_eq!(
                request.headers()["Host"],
                format!("localhost:{}", address.port()).as_str()
            );
            let protocol = tungstenite::http::HeaderValue::from_static("coap");
            response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
            Ok(response)
        };
        let mut socket = tungstenite::accept_hdr(stream, answer).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Binary(pattern(70_000).into()));
        socket.send(Message::Ping(Bytes::from_static(b"ping"))).unwrap();
        socket
            .send(Message::Binary(Bytes::from_static(b"answer")))
            .unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong(Bytes::from_static(b"ping")));
        while socket.read().is_ok() {}
        assert!(!socket.can_read());
    });
    within(async {
        let mut link = connect(&[address], &client(Some("localhost"))).await.unwrap();
        write(&mut link, &pattern(70_000)).await.unwrap();
        assert_eq!(read(&mut link, 6).await.unwrap(), b"answer");
        close(&mut link).await.unwrap();
    })
    .await;
    peer.join().unwrap();
}

/// Answers the next request with these bytes.
async fn server_that_says(answer: &'static str) -> (SocketAddr, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let len = stream.read(&mut request).await.unwrap();
        assert!(request.get(..len).unwrap().ends_with(b"\r\n\r\n"));
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    (address, serving)
}

#[tokio::test]
async fn a_client_tells_what_a_server_refuses() {
    let cases = [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nNo CoAP\n",
            "it answers 404 Not Found No CoAP",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "its answer is not HTTP"),
        ("", "without an answer"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: coap\r\n\r\n",
            "does not answer as a WebSocket server",
        ),
    ];
    for (answer, why) in cases {
        let (address, serving) = server_that_says(answer).await;
        let (options, targets) = (client(None), [address]);
        let ((), link) = within(async { tokio::join!(serving, connect(&targets, &options)) }).await;
        let error = link.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{address}: ")), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// Who begins and says nothing, or a byte now and then, holds nobody up.
#[tokio::test]
async fn silent_peers_do_not_delay_others() {
    let (mut listener, address) = listen(&server());
    let mut silent = Vec::new();
    for part in [&b""[..], b"G", b"GET /.well-known/coap HTTP/1.1\r\nHost: "] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(part).await.unwrap();
        silent.push(stream);
    }
    let (targets, options) = ([address], client(None));
    let (server, client) =
        within(async { tokio::join!(listener.accept(), connect(&targets, &options)) }).await;
    talk_and_close(&mut server.unwrap(), &mut client.unwrap()).await;
}
