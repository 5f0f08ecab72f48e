//! What went over a connection (RFC 8323), judged by the same dissector: frames of TCP, and messages of WebSockets.

use std::fs;
use std::process::Command;

use super::{Capture, DISSECT_LIMIT, Ours};
use crate::process::run;
use crate::program::Transport;

/// The fields asked of tshark, in the order of `Segment`. The text comes last: it may hold the separator.
const FIELDS: [&str; 7] = [
    "tcp.srcport",
    "tcp.flags.reset",
    "coap.code",
    "coap.opt.block_size",
    "_ws.malformed",
    "_ws.expert.message",
    "_ws.col.Info",
];

/// What tshark 4.0 says of options that it does not know: Echo and Request-Tag (RFC 9175), and those of signaling
/// messages, which it takes for those of other messages (RFC 8323 §5.2).
const UNKNOWN_OPTIONS: [&str; 2] = ["Invalid Option Number 252", "Invalid Option Number 292"];
const SIGNALING_OPTIONS: [&str; 3] = [
    "Invalid Option Number 2",
    "Invalid Option Number 6",
    "Invalid Option Range: 0 (1 < x < 8)",
];

const RELEASE: u8 = 0xe4;
const ABORT: u8 = 0xe5;

/// One segment of TCP in which messages end, or the connection.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) ours: bool,
    /// The codes of its messages.
    pub(crate) codes: Vec<u8>,
    /// A block of BERT is among them (RFC 8323 §6).
    pub(crate) bert: bool,
    /// It resets the connection instead of closing it.
    reset: bool,
    malformed: bool,
    // What a failure shows.
    #[allow(dead_code, reason = "shown by Debug")]
    text: String,
}

/// All of them, on all connections to the port.
pub(crate) struct Segments(pub(crate) Vec<Segment>);

impl Capture {
    /// Ends the capture of connections and gives their segments. No message of ours is malformed, each side begins with
    /// its CSM (RFC 8323 §5.3), nobody aborts, and we reset no connection.
    pub(crate) fn finish_stream(mut self, ours: Ours, transport: Transport) -> Segments {
        self.end();
        let segments = dissect(&self, ours, transport);
        let file = &self.file;
        let wrong = |segment: &&Segment| {
            let of_ours = segment.malformed || segment.reset;
            segment.ours && of_ours || segment.codes.contains(&ABORT)
        };
        let wrong: Vec<&Segment> = segments.iter().filter(wrong).collect();
        assert!(wrong.is_empty(), "see {file:?}: {wrong:#?}");
        for side in [true, false] {
            let mut of_side = segments.iter().filter(|segment| segment.ours == side);
            let first = of_side.find_map(|segment| segment.codes.first());
            assert_eq!(first, Some(&0xe1), "ours: {side}, see {file:?}: {segments:#?}");
        }
        fs::remove_file(file).unwrap();
        Segments(segments)
    }
}

impl Segments {
    /// One side has released a connection (RFC 8323 §5.5).
    pub(crate) fn assert_released(&self, by_ours: bool) {
        let releases = |segment: &Segment| segment.ours == by_ours && segment.codes.contains(&RELEASE);
        assert!(self.0.iter().any(releases), "by ours: {by_ours}: {:#?}", self.0);
    }

    /// Both sides have sent blocks of BERT, in requests and answers.
    pub(crate) fn assert_bert(&self) {
        for side in [true, false] {
            let sends = |segment: &Segment| segment.ours == side && segment.bert;
            assert!(self.0.iter().any(sends), "ours: {side}: {:#?}", self.0);
        }
    }
}

fn dissect(capture: &Capture, ours: Ours, transport: Transport) -> Vec<Segment> {
    let port = capture.port;
    let protocol = match transport {
        Transport::WebSocket => "http",
        _ => "coap",
    };
    let mut command = Command::new("tshark");
    command
        .arg("-r")
        .arg(&capture.file)
        .args(["-d", &format!("tcp.port=={port},{protocol}")])
        .args(["-Y", "coap || tcp.flags.reset == 1"])
        .args(["-T", "fields", "-E", "separator=|"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let finished = run(&mut command, DISSECT_LIMIT);
    finished.expect_status(0);
    finished
        .stdout_text()
        .lines()
        .map(|line| segment(line, port, ours))
        .collect()
}

fn segment(line: &str, port: u16, ours: Ours) -> Segment {
    let values: Vec<&str> = line.splitn(FIELDS.len(), '|').collect();
    let [source, reset, codes, block_sizes, malformed, expert, text] = values[..] else {
        panic!("a line of tshark with other fields: {line}");
    };
    let from_server = source.parse() == Ok(port);
    let codes: Vec<u8> = codes.split(',').filter_map(|code| code.parse().ok()).collect();
    let signals = codes.iter().any(|code| code >> 5 == 7);
    let excused =
        |what: &str| UNKNOWN_OPTIONS.contains(&what) || signals && SIGNALING_OPTIONS.contains(&what);
    Segment {
        ours: from_server == (ours == Ours::Server),
        bert: block_sizes.split(',').any(|size| size == "7"),
        reset: reset == "1" || reset == "True",
        malformed: !malformed.is_empty() && !expert.split(',').all(excused),
        codes,
        text: text.to_owned(),
    }
}
