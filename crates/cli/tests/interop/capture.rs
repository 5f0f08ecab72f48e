//! What went over the wire, judged by tshark's dissector of CoAP.
//!
//! dumpcap captures one port of loopback; the messages are read with tshark afterwards. The capture includes
//! a port of its own, on which a last datagram tells that everything before it has reached the file.

mod stream;

use std::fmt;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::peers;
use crate::process::{POLL, Running, START_LIMIT, run};

pub(crate) use stream::Segments;

const END_LIMIT: Duration = Duration::from_secs(20);
const DISSECT_LIMIT: Duration = Duration::from_secs(60);
const END_MARK: &[u8] = b"end of the capture of an interoperability test";
/// The fields asked of tshark, in the order of `Message`. The text comes last: it may hold the separator.
const FIELDS: [&str; 9] = [
    "udp.srcport",
    "coap.type",
    "coap.code",
    "coap.mid",
    "coap.token",
    "coap.opt.observe",
    "_ws.malformed",
    "_ws.expert.message",
    "_ws.col.Info",
];

/// A capture of loopback in progress.
pub(crate) struct Capture {
    dumpcap: Running,
    file: PathBuf,
    port: u16,
    mark: UdpSocket,
}

/// Which side of the captured port is the program under test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ours {
    /// Our server has the port.
    Server,
    /// A peer's server has the port, our client talks to it.
    Client,
}

/// One captured message.
pub(crate) struct Message {
    pub(crate) ours: bool,
    /// 0 CON, 1 NON, 2 ACK, 3 RST (RFC 7252 §3).
    pub(crate) message_type: Option<u8>,
    pub(crate) code: Option<u8>,
    pub(crate) message_id: Option<u16>,
    pub(crate) token: String,
    pub(crate) observe: Option<u32>,
    pub(crate) malformed: bool,
    pub(crate) text: String,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.ours { "ours" } else { "peer" };
        write!(f, "{from}: {}", self.text)?;
        self.observe
            .map_or(Ok(()), |observe| write!(f, ", Observe:{observe}"))
    }
}

impl Message {
    pub(crate) fn is_reset(&self) -> bool {
        self.message_type == Some(3)
    }

    pub(crate) fn is_empty_acknowledgement(&self) -> bool {
        self.message_type == Some(2) && self.code == Some(0)
    }

    pub(crate) fn is_response(&self) -> bool {
        self.code.is_some_and(|code| (2..=5).contains(&(code >> 5)))
    }

    /// A confirmable or non-confirmable response with an Observe option (RFC 7641 §3.2).
    pub(crate) fn is_notification(&self) -> bool {
        self.is_response() && self.observe.is_some() && self.message_type.is_some_and(|kind| kind < 2)
    }

    /// A GET with Observe 1 (RFC 7641 §3.6).
    pub(crate) fn is_deregistration(&self) -> bool {
        self.code == Some(1) && self.observe == Some(1)
    }
}

impl Capture {
    /// Starts to capture `port` and returns once the capture is on. `None`, with a line that says why, when
    /// this machine does not let us capture.
    pub(crate) fn start(port: u16) -> Option<Capture> {
        Capture::of("udp", port)
    }

    /// The same of a port of `udp` or `tcp`.
    pub(crate) fn of(protocol: &str, port: u16) -> Option<Capture> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        peers::tool("dumpcap")?;
        peers::tool("tshark")?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("interop-{}-{count}.pcapng", std::process::id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mark = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mark_port = mark.local_addr().unwrap().port();
        let filter = format!("{protocol} port {port} or udp port {mark_port}");
        let mut command = Command::new("dumpcap");
        // Megabytes come at once: the buffer has room for all of them.
        command
            .args(["-q", "-i", "lo", "-B", "64", "-f", &filter, "-w"])
            .arg(&file);
        let dumpcap = Running::start("dumpcap", &mut command);
        // dumpcap names its file after it has opened the interface and set the filter.
        let on = dumpcap.wait_for(START_LIMIT, |line| line.starts_with("File: ").then_some(()));
        if on.is_none() {
            peers::missing(&format!("a capture of loopback: {}", dumpcap.transcript()));
            return None;
        }
        Some(Capture {
            dumpcap,
            file,
            port,
            mark,
        })
    }

    /// Ends the capture, checks that no message of ours is malformed, and gives all messages.
    pub(crate) fn finish(self, ours: Ours) -> Vec<Message> {
        let file = self.file.clone();
        let messages = self.messages(ours);
        let malformed: Vec<&Message> = messages
            .iter()
            .filter(|message| message.ours && message.malformed)
            .collect();
        assert!(
            malformed.is_empty(),
            "malformed by tshark, see {file:?}: {malformed:#?}"
        );
        assert!(
            messages.iter().any(|message| message.ours),
            "no message of ours in {file:?}"
        );
        fs::remove_file(&file).unwrap();
        messages
    }

    fn messages(mut self, ours: Ours) -> Vec<Message> {
        self.end();
        dissect(&self.file, self.port, ours)
    }

    /// Waits until all is in the file.
    fn end(&mut self) {
        self.flush();
        interrupt(self.dumpcap.id());
        self.dumpcap.wait_for_end(END_LIMIT);
    }

    fn flush(&self) {
        self.mark
            .send_to(END_MARK, self.mark.local_addr().unwrap())
            .unwrap();
        let deadline = Instant::now() + END_LIMIT;
        loop {
            let captured = fs::read(&self.file).unwrap();
            if captured.windows(END_MARK.len()).any(|window| window == END_MARK) {
                return;
            }
            assert!(Instant::now() < deadline, "the capture does not reach its end");
            // tidy: looks again at a file that grows, with a bound.
            thread::sleep(10 * POLL);
        }
    }
}

/// Asks a process of ours to end (SIGINT), which the standard library cannot.
fn interrupt(id: u32) {
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -INT {id}"))
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "dumpcap ended too early");
}

fn dissect(file: &Path, port: u16, ours: Ours) -> Vec<Message> {
    let mut command = Command::new("tshark");
    command
        .arg("-r")
        .arg(file)
        .args(["-d", &format!("udp.port=={port},coap")]);
    command.args(["-Y", &format!("udp.port=={port}")]);
    command.args(["-T", "fields", "-E", "separator=|"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let finished = run(&mut command, DISSECT_LIMIT);
    finished.expect_status(0);
    finished
        .stdout_text()
        .lines()
        .map(|line| message(line, port, ours))
        .collect()
}

fn message(line: &str, port: u16, ours: Ours) -> Message {
    let values: Vec<&str> = line.splitn(FIELDS.len(), '|').collect();
    let [
        source,
        message_type,
        code,
        message_id,
        token,
        observe,
        malformed,
        expert,
        text,
    ] = values[..]
    else {
        panic!("a line of tshark with other fields: {line}");
    };
    let from_server = source.parse() == Ok(port);
    Message {
        ours: from_server == (ours == Ours::Server),
        message_type: message_type.parse().ok(),
        code: code.parse().ok(),
        message_id: message_id.parse().ok(),
        token: token.to_owned(),
        observe: observe.parse().ok(),
        // An older tshark does not know Echo, which is number 252 (RFC 9175 §7).
        malformed: !malformed.is_empty() && expert != "Invalid Option Number 252",
        text: text.to_owned(),
    }
}

/// After the client has left an observation, by a deregistration that the server has answered or by a Reset,
/// no notification follows (RFC 7641 §3.6 and §4.2).
pub(crate) fn assert_observation_ended(messages: &[Message]) {
    let left = messages
        .iter()
        .position(|message| message.is_deregistration() || message.is_reset())
        .unwrap_or_else(|| panic!("the observation was never left: {messages:#?}"));
    let reset = messages[left].is_reset();
    let from = if reset { left } else { answered(messages, left) };
    let late: Vec<&Message> = messages[from..]
        .iter()
        .filter(|message| message.is_notification())
        .collect();
    assert!(
        late.is_empty(),
        "notifications after the end of the observation: {late:#?}"
    );
}

fn answered(messages: &[Message], request: usize) -> usize {
    let token = &messages[request].token;
    let answer = |message: &Message| {
        message.is_response() && message.message_type == Some(2) && message.token == *token
    };
    let after = messages[request..].iter().position(answer);
    request + after.unwrap_or_else(|| panic!("the deregistration has no answer: {messages:#?}"))
}

/// A separate response (RFC 7252 §5.2.2): an empty acknowledgement, then a confirmable response, then the
/// acknowledgement of the other side.
pub(crate) fn assert_separate_response(messages: &[Message]) {
    let mut rest = messages
        .iter()
        .skip_while(|message| !message.is_empty_acknowledgement());
    assert!(rest.next().is_some(), "no empty acknowledgement: {messages:#?}");
    let response = rest.find(|message| message.is_response());
    let response = response.unwrap_or_else(|| panic!("no response after it: {messages:#?}"));
    assert_eq!(
        response.message_type,
        Some(0),
        "the separate response is confirmable: {response:?}"
    );
    let acknowledged =
        rest.any(|message| message.is_empty_acknowledgement() && message.message_id == response.message_id);
    assert!(
        acknowledged,
        "the separate response is not acknowledged: {messages:#?}"
    );
}

#[test]
fn a_capture_tells_malformed_messages_from_others() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let Some(capture) = Capture::start(server.local_addr().unwrap().port()) else {
        return;
    };
    let file = capture.file.clone();
    let ping = [0x40, 0, 0, 1];
    let token_cut_off = [0x48, 1, 0, 2, 0xaa];
    let get_with_an_unknown_critical_option = [0x41, 1, 0, 3, 0x0a, 0xe1, 0xfc, 0xdc, 0x01];
    for datagram in [&ping[..], &token_cut_off, &get_with_an_unknown_critical_option] {
        server.send_to(datagram, server.local_addr().unwrap()).unwrap();
    }
    let messages = capture.messages(Ours::Server);
    let malformed: Vec<bool> = messages.iter().map(|message| message.malformed).collect();
    assert_eq!(malformed, [false, true, false], "{messages:#?}");
    fs::remove_file(&file).unwrap();
}
