//! WebSockets that go around the loopback interface, with peers of our own, of another library, and by hand.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod links;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use coracle_net::stream::{
    Authorities, ClientCertificates, ClientTls, ConnectOptions, Identity, Link, ListenOptions, ServerTls,
    connect,
};
use coracle_wire::{Framing, Scheme};
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
        let taken = poll_fn(|cx| client.poll_write(cx, message)).await.unwrap();
        assert_eq!(taken, message.len());
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

#[tokio::test]
async fn a_writer_is_held_back_by_a_reader_that_does_not_read() {
    let (mut server, mut client) = pair(&server(), &client(None)).await;
    let message = pattern(1 << 16);
    let mut count = 0;
    let full = poll_fn(|cx| {
        while count < 4096 {
            match client.poll_write(cx, &message) {
                std::task::Poll::Ready(taken) => assert_eq!(taken.unwrap(), message.len()),
                std::task::Poll::Pending => return std::task::Poll::Ready(true),
            }
            count += 1;
        }
        std::task::Poll::Ready(false)
    });
    assert!(tokio::task::unconstrained(full).await, "256 MiB and no end");
    within(async {
        let (sent, ()) = tokio::join!(write(&mut client, b"end"), async {
            for _ in 0..count {
                assert!(read(&mut server, message.len()).await.unwrap() == message);
            }
            assert_eq!(read(&mut server, 3).await.unwrap(), b"end");
        });
        sent.unwrap();
    })
    .await;
}

/// The request of RFC 8323 §4.1, figure 9.
const REQUEST: &str = "GET /.well-known/coap HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: coap\r\nSec-WebSocket-Version: 13\r\n\r\n";

const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: coap\r\n\r\n";

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
async fn by_hand(options: &ListenOptions, request: &[u8]) -> (Link, TcpStream) {
    let (mut listener, address) = listen(options);
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; ANSWER.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), ANSWER);
        stream
    };
    let (link, stream) = within(async { tokio::join!(listener.accept(), asking) }).await;
    (link.unwrap(), stream)
}

/// A frame of a client whose mask changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | len, 0, 0, 0, 0], payload].concat()
}

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

/// What was taken goes on its way when the peer listens again, without anybody asking for it a second time.
#[tokio::test]
async fn an_answer_that_had_to_wait_goes_out_by_itself() {
    let (mut link, mut stream) = by_hand(&server(), REQUEST.as_bytes()).await;
    let message = pattern(1000);
    let mut count = 0;
    let blocked = poll_fn(|cx| {
        loop {
            assert!(link.poll_write(cx, &message).is_ready());
            count += 1;
            if link.poll_flush(cx).is_pending() {
                return std::task::Poll::Ready(());
            }
        }
    });
    tokio::task::unconstrained(blocked).await;
    stream.write_all(&frame(0x89, b"there?")).await.unwrap();
    stream.write_all(&frame(0x82, b"heard")).await.unwrap();
    assert_eq!(within(read(&mut link, 5)).await.unwrap(), b"heard");
    let mut told = vec![0; count * (4 + message.len()) + 8];
    within(async {
        tokio::select! {
            message = read(&mut link, 1) => panic!("{message:?}"),
            heard = stream.read_exact(&mut told) => heard.unwrap(),
        }
    })
    .await;
    assert!(told.ends_with(b"\x8a\x06there?"));
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

/// Answers that nobody listens to keep us from nothing; what memory they take is counted elsewhere.
#[tokio::test]
async fn a_peer_may_ask_first_and_listen_later() {
    let (mut link, mut stream) = by_hand(&server(), REQUEST.as_bytes()).await;
    let pings = frame(0x89, &[b'?'; 125]).repeat(1000);
    let reading = async {
        read_end(&mut link).await.unwrap();
        close(&mut link).await.unwrap();
    };
    let asking = async {
        // 32 MiB: more than the system keeps of the answers.
        for _ in 0..256 {
            stream.write_all(&pings).await.unwrap();
        }
        stream.write_all(&frame(0x88, &[])).await.unwrap();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).await.unwrap();
        drop(stream);
        told
    };
    let ((), told) = within(async { tokio::join!(reading, asking) }).await;
    assert!(
        told.ends_with(&[0x88, 0]) && told.len() % 127 == 2,
        "{}",
        told.len()
    );
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
