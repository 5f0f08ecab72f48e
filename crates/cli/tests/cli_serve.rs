//! `coracle serve` as those who start it see it, and as peers do.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod served;

use std::fs;
use std::net::UdpSocket;
use std::process::Command;

use coracle::client::{Client, Notification, Observation, Response};
use coracle::wire::{ContentFormat, OptionNumber, Status};

use served::{LIMIT, Server, receive};

fn command(arguments: &[&str]) -> Command {
    served::command(&[&["serve"], arguments].concat())
}

fn start(arguments: &[&str]) -> Server {
    Server::start(&[&["serve"], arguments].concat())
}

async fn next(states: &mut Observation) -> Response {
    loop {
        let state = tokio::time::timeout(LIMIT, states.next()).await.unwrap();
        if let Notification::State(state) = state.unwrap().unwrap() {
            return state;
        }
    }
}

fn ok_with_payload(response: &Response) -> &[u8] {
    assert_eq!(response.status(), Status::CONTENT);
    response.payload()
}

#[test]
fn it_says_where_it_listens_how_to_try_it_and_what_is_allowed() {
    let server = start(&["--bind", "127.0.0.1:0"]);
    assert_ne!(server.port, 0);
    server.wait_for(&format!("coracle observe coap://127.0.0.1:{}/clock", server.port));
    server.wait_for("all addresses are on this machine");
}

/// RFC 7252 §5.2.1: a piggybacked response, byte by byte.
#[test]
fn a_datagram_is_answered() {
    let server = start(&["--bind", "127.0.0.1:0"]);
    let socket = server.socket();
    socket.send(b"\x41\x01\x12\x34\xaa\xb5hello").unwrap();
    assert_eq!(receive(&socket), b"\x61\x45\x12\x34\xaa\xc0\xffhello");
}

/// The second datagram repeats the first one (RFC 7252 §4.5): its shard answers from memory, and counts it.
#[test]
fn what_the_shards_did_is_told() {
    let server = start(&["--bind", "127.0.0.1:0", "--shards", "3", "--stats=1"]);
    let socket = server.socket();
    for _ in 0..2 {
        socket.send(b"\x41\x01\x12\x34\xaa\xb5hello").unwrap();
        assert_eq!(receive(&socket), b"\x61\x45\x12\x34\xaa\xc0\xffhello");
    }
    server.wait_for("1 duplicate (RFC 7252 §4.5)");
}

#[test]
fn a_taken_port_and_nonsense_are_told_apart() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let busy = command(&["--bind", &address]).output().unwrap();
    let said = String::from_utf8(busy.stderr).unwrap();
    assert_eq!(busy.status.code(), Some(1), "{said}");
    assert!(
        said.contains("address already in use") && said.contains("--bind 127.0.0.1:0"),
        "{said}"
    );
    for nonsense in [
        &["--bind", "127.0.0.1:0", "--multicast"][..],
        &["--bind", "127.0.0.1:x"],
        &["--store-bytes", "200", "--store-item-bytes", "201"],
    ] {
        let failed = command(nonsense).output().unwrap();
        assert_eq!(failed.status.code(), Some(2), "{nonsense:?}");
    }
    let missing = command(&["--bind", "127.0.0.1:0", "--dir", "/no/such/folder"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
}

/// The empty acknowledgement tells that the request is accepted; its answer comes after the signal.
#[test]
fn what_was_accepted_is_answered_before_it_ends() {
    for signal in ["INT", "TERM"] {
        let mut server = start(&["--bind", "127.0.0.1:0"]);
        let socket = server.socket();
        socket.send(b"\x41\x01\x12\x34\xaa\xb8separate").unwrap();
        assert_eq!(receive(&socket), b"\x60\x00\x12\x34");
        server.signal(signal);
        let response = receive(&socket);
        let (header, rest) = response.split_at(2);
        assert_eq!(header, b"\x41\x45");
        assert!(rest.ends_with(b"separate"));
        socket.send(&[0x60, 0, rest[0], rest[1]]).unwrap();
        assert_eq!(server.end().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = start(&["--bind", "127.0.0.1:0"]);
    let socket = server.socket();
    socket
        .send(b"\x41\x01\x12\x34\xaa\xb8separate\x48ms=60000")
        .unwrap();
    assert_eq!(receive(&socket), b"\x60\x00\x12\x34");
    server.signal("INT");
    server.wait_for("ending");
    server.signal("INT");
    assert_eq!(server.end().code(), Some(1));
}

/// The first of two blocks is there when the server is stopped.
#[test]
fn a_file_that_is_cut_off_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mut server = start(&["--bind", "127.0.0.1:0", "--dir", path, "--write"]);
    let socket = server.socket();
    let mut first = b"\x41\x03\x12\x34\xaa\xb1f\xd1\x03\x08\xff".to_vec();
    first.extend([b'x'; 16]);
    socket.send(&first).unwrap();
    // 2.31 Continue, which asks for the second block.
    assert_eq!(receive(&socket)[..5], *b"\x61\x5f\x12\x34\xaa");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    server.signal("TERM");
    server.wait_for("ending");
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// An upload whose peer has gone holds nothing up: the server ends before the 5 s are over in which it waits for others.
#[test]
fn an_upload_that_was_left_is_told_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mut server = start(&["--bind", "127.0.0.1:0", "--dir", path, "--write"]);
    let socket = server.socket();
    let mut first = b"\x41\x03\x12\x34\xaa\xb1f\xd1\x03\x08\xff".to_vec();
    first.extend([b'x'; 16]);
    socket.send(&first).unwrap();
    assert_eq!(receive(&socket)[..5], *b"\x61\x5f\x12\x34\xaa");
    server.signal("TERM");
    let told = server.wait_for("ending");
    assert!(told.contains("for uploads, while blocks come: 1;"), "{told}");
    assert_eq!(server.end().code(), Some(0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn others_may_read_only_unless_it_is_said() {
    for (arguments, status) in [
        (&["--bind", "0.0.0.0:0"][..], Status::FORBIDDEN),
        (
            &["--bind", "0.0.0.0:0", "--bind", "127.0.0.1:0"],
            Status::FORBIDDEN,
        ),
        (&["--bind", "0.0.0.0:0", "--write"], Status::CREATED),
        (&["--bind", "127.0.0.1:0"], Status::CREATED),
    ] {
        let server = start(arguments);
        let client = Client::new().unwrap();
        // In several blocks: a refusal must not wait for all of them.
        let put = client.put(server.uri("/store/a")).payload(vec![b'x'; 5000]);
        assert_eq!(put.send().await.unwrap().status(), status, "{arguments:?}");
        let hello = client.get(server.uri("/hello")).send().await.unwrap();
        assert_eq!(ok_with_payload(&hello), b"hello");
    }
}

#[tokio::test]
async fn the_store_keeps_bodies_in_blocks_and_can_be_observed() {
    let server = start(&["--bind", "127.0.0.1:0", "--store-item-bytes", "6M"]);
    let client = Client::new().unwrap();
    let uri = server.uri("/store/a");
    let body: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
    let put = client
        .put(&uri)
        .payload(body.clone())
        .content_format(ContentFormat::OCTET_STREAM);
    assert_eq!(put.send().await.unwrap().status(), Status::CREATED);
    let read = client.get(&uri).max_body(10_000_000).send().await.unwrap();
    assert!(ok_with_payload(&read) == body, "the body differs");

    let mut states = client.observe(&uri).max_body(10_000_000).observe().await.unwrap();
    assert!(states.is_observed());
    assert_eq!(next(&mut states).await.payload().len(), body.len());
    let put = client
        .put(&uri)
        .payload("short")
        .content_format(ContentFormat::OCTET_STREAM);
    assert_eq!(put.send().await.unwrap().status(), Status::CHANGED);
    assert_eq!(next(&mut states).await.payload(), "short");
    let deleted = client.delete(&uri).send().await.unwrap();
    assert_eq!(deleted.status(), Status::DELETED);
    assert_eq!(next(&mut states).await.status(), Status::NOT_FOUND);

    let too_long = client.put(&uri).payload(vec![0; (6 << 20) + 1]);
    let refused = too_long.send().await.unwrap();
    assert_eq!(refused.status(), Status::REQUEST_ENTITY_TOO_LARGE);
}

#[tokio::test]
async fn files_are_written_read_and_observed_through_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let arguments = [
        "--bind",
        "127.0.0.1:0",
        "--dir",
        path,
        "--write",
        "--max-file-bytes",
        "3M",
    ];
    let server = start(&arguments);
    let client = Client::new().unwrap();
    let uri = server.uri("/image.bin");
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let put = client.put(&uri).payload(body.clone()).if_none_match();
    assert_eq!(put.send().await.unwrap().status(), Status::CREATED);
    assert!(
        fs::read(folder.path().join("image.bin")).unwrap() == body,
        "the file differs"
    );
    let read = client.get(&uri).max_body(10_000_000).send().await.unwrap();
    assert!(ok_with_payload(&read) == body, "the body differs");
    let etag = read.options().get(OptionNumber::ETAG).unwrap();
    let again = client
        .get(&uri)
        .option(OptionNumber::ETAG, etag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), Status::VALID);

    let too_long = client.put(server.uri("/long")).payload(vec![0; (3 << 20) + 1]);
    let refused = too_long.send().await.unwrap();
    assert_eq!(refused.status(), Status::REQUEST_ENTITY_TOO_LARGE);

    let mut states = client.observe(&uri).max_body(10_000_000).observe().await.unwrap();
    assert_eq!(next(&mut states).await.payload().len(), body.len());
    fs::write(folder.path().join("image.bin"), "changed by others").unwrap();
    while next(&mut states).await.payload() != "changed by others" {}
    fs::remove_file(folder.path().join("image.bin")).unwrap();
    while next(&mut states).await.status() != Status::NOT_FOUND {}
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_folder_is_read_only_by_default_even_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "a").unwrap();
    let path = folder.path().to_str().unwrap();
    let server = start(&["--bind", "127.0.0.1:0", "--dir", path]);
    let client = Client::new().unwrap();
    let list = client.get(server.uri("/")).send().await.unwrap();
    assert_eq!(ok_with_payload(&list), b"</a.txt>;ct=0;sz=1");
    let put = client.put(server.uri("/a.txt")).payload(vec![0; 5000]);
    assert_eq!(put.send().await.unwrap().status(), Status::FORBIDDEN);
    assert_eq!(fs::read(folder.path().join("a.txt")).unwrap(), b"a");
}

/// The bytes of the store are those of names and contents, and nothing else.
#[tokio::test]
async fn a_small_store_is_filled_to_its_last_byte() {
    let server = start(&["--bind", "127.0.0.1:0", "--store-bytes", "200"]);
    let client = Client::new().unwrap();
    for (path, length, status) in [
        ("/store/a", 4, Status::CREATED),
        ("/store/b", 194, Status::CREATED),
        ("/store/c", 0, Status::SERVICE_UNAVAILABLE),
        ("/store/a", 201, Status::REQUEST_ENTITY_TOO_LARGE),
    ] {
        let put = client.put(server.uri(path)).payload(vec![b'x'; length]);
        assert_eq!(put.send().await.unwrap().status(), status, "{path} {length}");
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_said_is_told_once() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    for name in [&b"b\xff"[..], b"b\xfe", b"a"] {
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let mut server = start(&["--bind", "127.0.0.1:0", "--dir", path]);
    let client = Client::new().unwrap();
    for _ in 0..2 {
        let list = client.get(server.uri("/")).send().await.unwrap();
        assert_eq!(ok_with_payload(&list), b"</a>;ct=42;sz=0");
    }
    let line = server.wait_for("not UTF-8");
    assert!(line.contains("b\\xF"), "{line}");
    server.signal("TERM");
    let rest: Vec<String> = server.rest();
    assert!(!rest.iter().any(|line| line.contains("UTF-8")), "{rest:?}");
    assert!(server.end().success());
}

/// The time of day stands before the line.
#[tokio::test]
async fn each_request_is_told_with_v() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let server = start(&["--bind", "127.0.0.1:0", "-v", "--dir", path, "--write"]);
    let client = Client::new().unwrap();
    let uri = server.uri("/none?a=b");
    client.get(&uri).send().await.unwrap();
    let line = server.wait_for("GET");
    assert!(line.contains(" GET /none?a=b: 4.04 Not Found, "), "{line}");
    let (time, rest) = line.split_once(' ').unwrap();
    assert_eq!((time.len(), time.ends_with('Z')), (24, true), "{line}");
    assert!(rest.starts_with("127.0.0.1:"), "{line}");

    let uri = server.uri("/file");
    for length in [5, 5000] {
        client.put(&uri).payload(vec![b'x'; length]).send().await.unwrap();
        let line = server.wait_for("PUT");
        assert!(
            line.contains(&format!(" PUT /file with {length} bytes: 2.0")),
            "{line}"
        );
    }
    let mut states = client.observe(&uri).observe().await.unwrap();
    assert_eq!(next(&mut states).await.payload().len(), 5000);
    let line = server.wait_for("observed from now on");
    assert!(line.contains(" GET /file: 2.05 Content, "), "{line}");
    fs::write(folder.path().join("file"), "new").unwrap();
    while next(&mut states).await.payload() != "new" {}
    server.wait_for(" NOTIFY /file: 2.05 Content, 3 bytes");
}
