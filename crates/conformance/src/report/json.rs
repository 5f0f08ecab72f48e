//! JSON for programs.
//!
//! The schema is stable: `schema` counts up when something is taken away or changes its meaning; what is new may be
//! added at any time.
//!
//! ```json
//! {
//!   "schema": 1,
//!   "version": "0.1.0",                      // of the judge
//!   "role": "server",                        // which side was judged: server, client
//!   "subject": "coap://127.0.0.1:5683",      // a URI, or a command
//!   "lossy": false,                          // the lossy gateway was between both sides
//!   "began": "2026-01-31T12:00:00.000Z",
//!   "seconds": 12.5,
//!   "counts": {"pass": 1, "fail": 1, "inconclusive": 0, "skipped": 0, "not-yet": 0},
//!   "cases": [{
//!     "id": "TD_COAP_CORE_01",
//!     "group": "CORE",
//!     "objective": "…",
//!     "references": "RFC 7252 §5.8.1",
//!     "outcome": "fail",                     // a key of counts
//!     "reason": "…",                         // absent of a pass
//!     "section": "RFC 7252 §5.3.1",          // of the rule that was broken; of a failure
//!     "offending": 1,                        // which message shows it, from 0; if one does
//!     "seconds": 0.004,
//!     "commands": ["…"],                     // of a client: as they were started
//!     "output": "…",                         // of a client: the end of what they printed
//!     "messages": [{
//!       "at": 0.000123,                      // in seconds, since the case began
//!       "time": "2026-01-31T12:00:00.000Z",
//!       "by": "judge",                       // judge, subject
//!       "form": "datagram",                  // datagram, records (of DTLS, that hold no message); of a connection: tcp, websocket, end, reset
//!       "from": "127.0.0.1:40000",
//!       "to": "127.0.0.1:5683",
//!       "fate": "passed",                    // passed, lost (by the gateway), stray (from an unknown address)
//!       "text": "CON 0.01 GET mid=0x0001 …", // for people
//!       "length": 21,                        // of the datagram or the piece of a connection, in bytes
//!       "hex": "400100…",                    // its first 2,048 bytes
//!       "message": {                         // absent if it is malformed or no message; that of a connection is a NON
//!         "type": "CON", "code": "0.01", "message_id": 1, "token": "6162",
//!         "options": [{"number": 11, "name": "Uri-Path", "text": "Uri-Path: \"test\"", "hex": "74657374"}],
//!         "payload_length": 0
//!       },
//!       "error": "…"                         // only if it is malformed
//!     }]
//!   }]
//! }
//! ```

use std::fmt::Write as _;
use std::io;

use coracle_wire::{Code, Message, OptionRef};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{CaseReport, Report, text};
use crate::case::{Case, Judge, Role};
use crate::timestamp;
use crate::transcript::{Fate, Form, Record};
use crate::verdict::Outcome;

/// The version of the schema.
const SCHEMA: u32 = 1;

/// How many bytes of a datagram are given.
const KEPT: usize = 2_048;

/// How many options of a message are given: more than any sensible message has.
const OPTIONS: usize = 64;

/// Writes a run as one JSON object and a line end.
///
/// # Errors
/// Those of the writer.
pub fn write(report: &Report, out: &mut impl io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &ReportJson::new(report))?;
    out.write_all(b"\n")
}

/// Writes what cases are, as a JSON array and a line end: id, group, role, objective, references, steps, needs, the
/// longest time in seconds, and for what is not there yet why.
///
/// # Errors
/// Those of the writer.
pub fn write_list(cases: &[Case], out: &mut impl io::Write) -> io::Result<()> {
    let cases: Vec<ListedJson> = cases.iter().map(ListedJson::new).collect();
    serde_json::to_writer(&mut *out, &cases)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct ListedJson {
    id: &'static str,
    group: &'static str,
    role: Role,
    objective: &'static str,
    references: &'static str,
    steps: &'static [&'static str],
    needs: &'static [&'static str],
    limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_yet: Option<&'static str>,
}

impl ListedJson {
    fn new(case: &Case) -> ListedJson {
        ListedJson {
            id: case.id,
            group: case.group(),
            role: case.role(),
            objective: case.objective,
            references: case.references,
            steps: case.steps,
            needs: case.needs,
            limit: case.limit.as_secs(),
            not_yet: match case.judge {
                Judge::NotYet(_, why) => Some(why),
                Judge::Server(_) | Judge::Client(_) | Judge::Caller(_) | Judge::Callee(_) => None,
            },
        }
    }
}

#[derive(Serialize)]
struct ReportJson<'a> {
    schema: u32,
    version: &'static str,
    role: Role,
    subject: &'a str,
    lossy: bool,
    began: String,
    seconds: f64,
    #[serde(serialize_with = "counts")]
    counts: &'a Report,
    #[serde(serialize_with = "cases")]
    cases: &'a [CaseReport],
}

impl ReportJson<'_> {
    fn new(report: &Report) -> ReportJson<'_> {
        ReportJson {
            schema: SCHEMA,
            version: super::VERSION,
            role: report.role,
            subject: &report.subject,
            lossy: report.lossy,
            began: timestamp::to_the_millisecond(report.began),
            seconds: report.took.as_secs_f64(),
            counts: report,
            cases: &report.cases,
        }
    }
}

fn counts<S: Serializer>(report: &&Report, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(Outcome::ALL.len()))?;
    for outcome in Outcome::ALL {
        map.serialize_entry(&outcome, &report.count(outcome))?;
    }
    map.end()
}

/// One after the other, so that the whole is never in memory.
fn cases<S: Serializer>(cases: &&[CaseReport], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(cases.iter().map(CaseJson::new))
}

#[derive(Serialize)]
struct CaseJson<'a> {
    id: &'static str,
    group: &'static str,
    objective: &'static str,
    references: &'static str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offending: Option<usize>,
    seconds: f64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    commands: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    output: &'a str,
    #[serde(serialize_with = "messages")]
    messages: &'a [Record],
}

impl CaseJson<'_> {
    fn new(report: &CaseReport) -> CaseJson<'_> {
        CaseJson {
            id: report.case.id,
            group: report.case.group(),
            objective: report.case.objective,
            references: report.case.references,
            outcome: report.outcome,
            reason: &report.reason,
            section: report.broken(),
            offending: report.offending,
            seconds: report.took.as_secs_f64(),
            commands: &report.commands,
            output: &report.output,
            messages: &report.records,
        }
    }
}

fn messages<S: Serializer>(records: &&[Record], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(records.iter().map(RecordJson::new))
}

#[derive(Serialize)]
struct RecordJson {
    at: f64,
    time: String,
    by: &'static str,
    form: &'static str,
    from: String,
    to: String,
    fate: &'static str,
    text: String,
    length: usize,
    hex: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl RecordJson {
    fn new(record: &Record) -> RecordJson {
        let bytes = record.message_bytes();
        let parsed = bytes.as_deref().map(|bytes| record.parse(bytes)).transpose();
        RecordJson {
            at: record.at.as_secs_f64(),
            time: timestamp::to_the_millisecond(record.time),
            by: if record.by_judge { "judge" } else { "subject" },
            form: match record.form {
                Form::Datagram => "datagram",
                Form::Records => "records",
                Form::Tcp => "tcp",
                Form::WebSocket => "websocket",
                Form::End => "end",
                Form::Reset => "reset",
            },
            from: record.from.to_string(),
            to: record.to.to_string(),
            fate: match record.fate {
                Fate::Passed => "passed",
                Fate::Lost => "lost",
                Fate::Stray => "stray",
            },
            text: text::message(record),
            length: record.bytes.len(),
            hex: hex(&record.bytes),
            message: parsed
                .as_ref()
                .ok()
                .and_then(|parsed| Some(MessageJson::new(parsed.as_ref()?))),
            error: parsed.err().map(|error| error.to_string()),
        }
    }
}

#[derive(Serialize)]
struct MessageJson {
    r#type: String,
    code: String,
    message_id: u16,
    token: String,
    options: Vec<OptionJson>,
    payload_length: usize,
}

impl MessageJson {
    fn new(message: &Message<'_>) -> MessageJson {
        MessageJson {
            r#type: message.message_type.to_string(),
            code: message.code.to_string(),
            message_id: message.message_id.0,
            token: hex(message.token),
            options: message
                .options
                .iter()
                .take(OPTIONS)
                .map(|option| OptionJson::new(option, message.code))
                .collect(),
            payload_length: message.payload.len(),
        }
    }
}

#[derive(Serialize)]
struct OptionJson {
    number: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    text: String,
    hex: String,
}

impl OptionJson {
    fn new(option: OptionRef<'_>, code: Code) -> OptionJson {
        OptionJson {
            number: option.number.0,
            name: option
                .number
                .definition_in(code)
                .map(|definition| definition.name),
            text: text::line(&option.of(code).to_string()),
            hex: hex(option.value),
        }
    }
}

/// The first bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(KEPT).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
