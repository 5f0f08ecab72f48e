//! Files that `coracle get` and `put` bring from and to `coracle serve --dir`, and what becomes of them on the way.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "another test uses the rest")]
mod served;

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use coracle::wire::{BlockOption, Message, MessageType, Method, OptionNumber, OptionsBuf, Status};
use served::{LIMIT, Server, command};

/// A folder that is served and may be written to, and one to keep files in.
struct Site {
    server: Server,
    served: tempfile::TempDir,
    kept: tempfile::TempDir,
}

impl Site {
    fn start() -> Site {
        let served = tempfile::tempdir().unwrap();
        let path = served.path().to_str().unwrap();
        let server = Server::start(&["serve", "--bind", "127.0.0.1:0", "--dir", path, "--write"]);
        Site {
            server,
            served,
            kept: tempfile::tempdir().unwrap(),
        }
    }

    fn serve(&self, name: &str, content: &[u8]) {
        fs::write(self.served.path().join(name), content).unwrap();
    }

    fn place(&self) -> PathBuf {
        self.kept.path().join("image")
    }

    fn get(&self, more: &[&str]) -> Command {
        let (uri, place) = (self.server.uri("/image"), self.place());
        let mut get = command(&[&["get", &uri, "-o", place.to_str().unwrap()], more].concat());
        get.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        get
    }

    /// The part that an unfinished transfer has left.
    fn part(&self) -> Option<PathBuf> {
        let mut entries = fs::read_dir(self.kept.path()).unwrap().flatten();
        entries
            .find(|entry| entry.path().extension().is_some_and(|end| end == "part"))
            .map(|entry| entry.path())
    }

    /// Starts a transfer in small blocks, and lets it come past `bytes`.
    fn begin(&self, bytes: u64) -> Child {
        let child = self.get(&["--block-size", "32"]).spawn().unwrap();
        let started = Instant::now();
        let length = || {
            let part = self.part().and_then(|part| fs::metadata(part).ok());
            part.map_or(0, |metadata| metadata.len())
        };
        while length() <= bytes {
            assert!(started.elapsed() < LIMIT, "nothing comes");
            // tidy: a file that another program writes is looked at until it is long enough.
            std::thread::sleep(Duration::from_millis(2));
        }
        child
    }
}

fn content(length: usize, salt: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at * 31 + at / 256 * 7 + salt) & 255).unwrap())
        .collect()
}

fn signal(child: &Child, name: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &child.id().to_string()]);
    assert!(kill.status().unwrap().success());
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn assert_whole(site: &Site, content: &[u8]) {
    assert!(
        fs::read(site.place()).unwrap() == content,
        "the file is another one"
    );
    assert_eq!(site.part(), None);
}

#[test]
fn files_come_and_go() {
    let site = Site::start();
    let first = content(3_000_000, 1);
    site.serve("image", &first);
    let got = site.get(&["-v"]).output().unwrap();
    assert!(got.status.success(), "{}", said(&got));
    assert!(said(&got).contains("3000000 bytes written"), "{}", said(&got));
    assert_whole(&site, &first);
    let (place, uri) = (site.place(), site.server.uri("/copy"));
    let data = format!("@{}", place.to_str().unwrap());
    let put = command(&["put", &uri, "-d", &data]).output().unwrap();
    assert!(put.status.success(), "{}", said(&put));
    assert_eq!(said(&put).trim(), "2.01 Created");
    assert!(fs::read(site.served.path().join("copy")).unwrap() == first);
    let small = b"abc";
    site.serve("image", small);
    assert!(site.get(&[]).output().unwrap().status.success());
    assert_whole(&site, small);
    let put = command(&["put", &uri, "-d", &data]).output().unwrap();
    assert!(put.status.success(), "{}", said(&put));
    assert_eq!(fs::read(site.served.path().join("copy")).unwrap(), small);
}

#[test]
fn an_interrupted_transfer_goes_on_where_it_was() {
    let site = Site::start();
    let image = content(2_000_000, 1);
    site.serve("image", &image);
    let child = site.begin(100_000);
    signal(&child, "INT");
    let broken = child.wait_with_output().unwrap();
    assert_eq!(broken.status.code(), Some(130), "{}", said(&broken));
    assert!(
        said(&broken).contains(" of 2000000 bytes received ("),
        "{}",
        said(&broken)
    );
    assert!(said(&broken).contains("--continue"), "{}", said(&broken));
    assert!(!site.place().exists());
    let left = fs::metadata(site.part().unwrap()).unwrap().len();
    assert!((100_000..2_000_000).contains(&left));
    let rest = site.get(&["-C", "-v"]).output().unwrap();
    assert!(rest.status.success(), "{}", said(&rest));
    let from = (left - 1) / 1024 * 1024;
    assert!(
        said(&rest).contains(&format!("goes on at byte {from}")),
        "{}",
        said(&rest)
    );
    assert_whole(&site, &image);
}

#[test]
fn a_killed_transfer_goes_on_too_and_two_at_once_do_not() {
    let site = Site::start();
    let image = content(2_000_000, 1);
    site.serve("image", &image);
    let mut child = site.begin(50_000);
    let second = site.get(&["--continue"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    assert!(
        said(&second).contains("another transfer writes"),
        "{}",
        said(&second)
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let rest = site.get(&["-C", "-v"]).output().unwrap();
    assert!(rest.status.success(), "{}", said(&rest));
    assert!(said(&rest).contains("goes on at byte"), "{}", said(&rest));
    assert_whole(&site, &image);
}

/// Parts of two states never end up in one file, whether the new one is longer or too short for where the old one was.
#[test]
fn a_file_that_changed_meanwhile_comes_from_its_beginning() {
    for length in [3_000_000, 20_000, 10, 0] {
        let site = Site::start();
        site.serve("image", &content(2_000_000, 1));
        let child = site.begin(100_000);
        signal(&child, "TERM");
        child.wait_with_output().unwrap();
        assert!(site.part().is_some());
        let changed = content(length, 2);
        site.serve("image", &changed);
        let again = site.get(&["-C"]).output().unwrap();
        assert!(again.status.success(), "{length}: {}", said(&again));
        assert!(
            said(&again).contains("from its beginning"),
            "{length}: {}",
            said(&again)
        );
        assert_whole(&site, &changed);
    }
}

#[test]
fn there_is_nothing_to_continue_and_that_is_no_error() {
    let site = Site::start();
    let image = content(5000, 1);
    site.serve("image", &image);
    let got = site.get(&["-C"]).output().unwrap();
    assert!(got.status.success(), "{}", said(&got));
    assert_whole(&site, &image);
    let uri = site.server.uri("/image");
    for nowhere in [&["get", &uri, "-C"][..], &["get", &uri, "-C", "-o", "-"]] {
        let told = command(nowhere).output().unwrap();
        assert_eq!(told.status.code(), Some(2));
        assert!(said(&told).contains("add -o FILE"), "{}", said(&told));
    }
}

/// Answers the first 40 blocks of a transfer in either direction, and no more. That the next one is asked for shows that
/// most of those before have come to where they belong.
fn answer_some(socket: &UdpSocket) {
    let mut buf = [0; 2048];
    for num in 0..=40_u32 {
        let (length, peer) = socket.recv_from(&mut buf).unwrap();
        let request = Message::parse(&buf[..length]).unwrap();
        let is_get = request.code == Method::GET.into();
        let block = BlockOption::new(num, true, 0).unwrap();
        let mut options = OptionsBuf::new();
        let (status, payload) = match is_get {
            true => (Status::CONTENT, &[b'x'; 16][..]),
            false => (Status::CONTINUE, &[][..]),
        };
        let number = match is_get {
            true => OptionNumber::BLOCK2,
            false => OptionNumber::BLOCK1,
        };
        options.insert(number, &block.encode()).unwrap();
        let answer = Message {
            message_type: MessageType::Acknowledgement,
            code: status.into(),
            message_id: request.message_id,
            token: request.token,
            options: options.as_options(),
            payload,
        };
        let mut datagram = [0; 256];
        let length = answer.encode(&mut datagram).unwrap();
        if num < 40 {
            socket.send_to(&datagram[..length], peer).unwrap();
        }
    }
}

/// One line says how far it had come and what can be done.
#[test]
fn what_is_interrupted_says_how_far_it_had_come() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let uri = format!("coap://{}/image", socket.local_addr().unwrap());
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("image");
    fs::write(&file, content(100_000, 1)).unwrap();
    let data = format!("@{}", file.to_str().unwrap());
    let cases = [
        (vec!["get", &uri], " bytes received (with -o FILE"),
        (
            vec!["put", &uri, "-d", &data],
            " of 100000 bytes sent (uploads cannot be resumed",
        ),
    ];
    for (line, expected) in cases {
        let mut transfer = command(&[&line[..], &["--block-size", "16"]].concat());
        transfer.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = transfer.stderr(Stdio::piped()).spawn().unwrap();
        answer_some(&socket);
        signal(&child, "INT");
        let output = child.wait_with_output().unwrap();
        let told = said(&output);
        assert_eq!(output.status.code(), Some(130), "{told}");
        assert!(
            told.starts_with(&format!("coracle: {uri}: interrupted, ")),
            "{told}"
        );
        assert!(told.contains(expected) && told.lines().count() == 1, "{told}");
        assert!(output.stdout.is_empty());
        // What was sent again meanwhile is not part of the next transfer.
        socket.set_nonblocking(true).unwrap();
        while socket.recv_from(&mut [0; 2048]).is_ok() {}
        socket.set_nonblocking(false).unwrap();
    }
}

#[test]
fn a_transfer_that_loses_its_server_keeps_what_it_has() {
    let site = Site::start();
    site.serve("image", &content(2_000_000, 1));
    let child = site.begin(50_000);
    site.server.signal("KILL");
    let broken = child.wait_with_output().unwrap();
    assert_eq!(broken.status.code(), Some(3), "{}", said(&broken));
    assert!(said(&broken).contains("bytes are kept"), "{}", said(&broken));
    assert!(site.part().is_some());
}

#[test]
fn a_file_that_is_not_there_is_told_before_anything_is_sent() {
    let put = command(&["put", "coap://127.0.0.1:9/x", "-d", "@/no/such/file"]).output();
    let put = put.unwrap();
    assert_eq!(put.status.code(), Some(1));
    assert_eq!(
        said(&put).trim(),
        "coracle: cannot read /no/such/file: no such file or directory"
    );
    assert!(!Path::new("/no/such/file").exists());
}
