//! `coracle plugtest serve` as those who start it see it, and as observers do.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod served;

use std::net::UdpSocket;
use std::time::Duration;

use coracle::client::Client;
use coracle::wire::{ContentFormat, Status};

use served::{Server, receive};

/// How often things change, and several times that.
const PERIOD: &str = "0.3";
const SEVERAL_PERIODS: Duration = Duration::from_millis(1500);

const CONTENT: u8 = 0x45;

fn start() -> Server {
    Server::start(&["plugtest", "serve", "--bind", "127.0.0.1:0", "--period", PERIOD])
}

/// GET with Observe and the token 0xaa; `path` is a Uri-Path option.
fn register(socket: &UdpSocket, id: u8, path: &[u8]) -> Vec<u8> {
    socket
        .send(&[b"\x41\x01\x00", &[id][..], b"\xaa\x60", path].concat())
        .unwrap();
    receive(socket)
}

/// Registers for `/obs`, as soon as it can be observed.
fn observe(server: &Server) -> UdpSocket {
    let socket = server.socket();
    for id in 0..=u8::MAX {
        let answer = register(&socket, id, b"\x53obs");
        if answer[1] == CONTENT && is_observed(&answer) {
            return socket;
        }
    }
    panic!("it cannot be observed");
}

/// Whether the first option after the token of one byte is Observe: `/obs` has no ETag.
fn is_observed(datagram: &[u8]) -> bool {
    datagram[5] >> 4 == 6
}

/// Acknowledges notifications until one is not 2.05: the last one.
fn last_notification(socket: &UdpSocket) -> Vec<u8> {
    loop {
        let notification = receive(socket);
        assert_eq!(notification[0], 0x41, "confirmable, token of one byte");
        socket.send(&[0x60, 0, notification[2], notification[3]]).unwrap();
        if notification[1] != CONTENT {
            return notification;
        }
        assert!(is_observed(&notification));
    }
}

/// How many datagrams come before several periods pass without any; those that are confirmable are acknowledged.
fn until_silence(socket: &UdpSocket) -> usize {
    socket.set_read_timeout(Some(SEVERAL_PERIODS)).unwrap();
    let mut buffer = [0; 2048];
    let mut count = 0;
    while socket.recv(&mut buffer).is_ok() {
        socket.send(&[0x60, 0, buffer[2], buffer[3]]).unwrap();
        count += 1;
        assert!(count < 10, "there is no silence");
    }
    count
}

#[test]
fn it_says_where_it_listens_and_ends_with_a_signal() {
    let mut server = start();
    server.wait_for(&format!("coracle observe coap://127.0.0.1:{}/obs", server.port));
    server.wait_for("every 0.3 s");
    let socket = server.socket();
    socket.send(b"\x41\x01\x12\x34\xaa\xb4test").unwrap();
    assert_eq!(receive(&socket), b"\x61\x45\x12\x34\xaa\xc0\xffCON GET /test");
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn notifications_are_confirmable_or_not_as_the_resource_says() {
    let server = start();
    // The other way round than the registration would have it.
    let socket = server.socket();
    socket.send(b"\x51\x01\x00\x01\xaa\x60\x53obs").unwrap();
    assert_eq!(receive(&socket)[..2], [0x51, CONTENT]);
    assert_eq!(receive(&socket)[..2], [0x41, CONTENT]);
    let socket = server.socket();
    assert_eq!(register(&socket, 1, b"\x57obs-non")[..2], [0x61, CONTENT]);
    assert_eq!(receive(&socket)[..2], [0x51, CONTENT]);
}

/// RFC 7641 §4.2: 4.06 and 4.04 are the last notifications, and carry no Observe option.
#[tokio::test(flavor = "multi_thread")]
async fn observers_are_told_why_it_is_over() {
    let server = start();
    let client = Client::new().unwrap();
    let uri = server.uri("/obs");
    for (code, is_over) in [(0x86, Status::CHANGED), (0x84, Status::DELETED)] {
        let socket = observe(&server);
        let answer = if code == 0x86 {
            let put = client.put(&uri).payload("{}");
            put.content_format(ContentFormat::JSON).send().await
        } else {
            client.delete(&uri).send().await
        };
        assert_eq!(answer.unwrap().status(), is_over);
        let last = last_notification(&socket);
        assert_eq!(last[1], code);
        assert!(last.len() == 5 || !is_observed(&last));
        assert_eq!(until_silence(&socket), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_are_forgotten_silently() {
    let server = start();
    let socket = observe(&server);
    let client = Client::new().unwrap();
    let reset = client.post(server.uri("/obs-reset")).payload("sesame");
    assert_eq!(reset.send().await.unwrap().status(), Status::CHANGED);
    // What had left before may still be in the socket.
    assert!(until_silence(&socket) <= 2);
    // They may come back.
    drop(socket);
    observe(&server);
}

/// With the keys of the tests, which neither side has to be told.
#[test]
fn it_passes_the_cases_of_dtls_as_server_and_as_client() {
    let server = Server::start(&["plugtest", "serve", "--bind", "coaps://127.0.0.1:0"]);
    let uri = server.uri("");
    let as_client = ["client", "--profile", "coracle", "--scheme", "coaps"];
    for judge in [&["run", &uri][..], &as_client] {
        let output = served::command(&[&["plugtest"], judge, &["--jobs", "7"]].concat())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{told}");
        assert!(told.contains("7 judged"), "{told}");
    }
}

#[test]
fn it_tells_strangers_from_those_it_knows() {
    let server = Server::start(&[
        "plugtest",
        "serve",
        "--bind",
        "coaps://127.0.0.1:0",
        "--psk",
        "me:secret",
    ]);
    let uri = server.uri("");
    let judge = |psk: &[&str]| {
        let line = [&["plugtest", "run", &uri, "--only", "DTLS_01"], psk].concat();
        served::command(&line).output().unwrap().status.code()
    };
    assert_eq!(
        judge(&[]),
        Some(1),
        "it does not know the key of the tests any more"
    );
    assert_eq!(judge(&["--psk", "me:secret"]), Some(0));
    assert_eq!(judge(&["--psk", "me:secret", "--map", "/secure=/hello"]), Some(0));
    let elsewhere = ["--psk", "me:secret", "--map", "/secure=/nowhere"];
    assert_eq!(judge(&elsewhere), Some(1), "nothing is there to be judged");
}
