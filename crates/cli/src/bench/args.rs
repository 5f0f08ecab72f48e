//! The command line of `coracle bench`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use coracle_load::{ConnectOptions, Course, Expect, Pace, Plan, Request, Transport, Until, Work};
use indicatif::{HumanCount, HumanFloatCount};

use crate::client::{self, FamilyArgs, TlsArgs};
use crate::error::CliError;
use crate::format_arg::FormatParser;
use crate::option_arg::OptionArg;
use crate::plugtest::parse_file;
use crate::wire::{ContentFormat, Method, OptionNumber, OptionsBuf, Scheme, Uri};

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle bench localhost/hello --peers 64
  coracle bench localhost/hello --peers 1000 --rate 20000 --svg latency.svg
  coracle bench localhost/store/x -m put --payload-size 64 --non --json
  coracle bench localhost/firmware --transfer --peers 8
  coracle bench localhost/store/x -m put --transfer --payload-size 1000000
  coracle bench localhost/store/x --observe --peers 10000 --change 1
  coracle bench coap+tcp://localhost/hello --peers 64 --outstanding 8

Put load on servers of your own only: nothing holds it back.

Without --rate each peer sends its next request when the one before is answered (closed loop):
that finds the highest rate. With --rate requests are due at fixed moments, and latencies count
from these moments, so that a server which stops for a while cannot hide it (no coordinated
omission); use it to compare latencies.

A peer of a server on 127.0.0.1 is a source address in 127/8, and thousands cost nothing. For
other servers each peer is a socket. No message ID is used twice within 247 s; a peer that has
used all goes on from another address or port.

With coap+tcp, coaps+tcp, coap+ws and coaps+ws each peer is a connection (RFC 8323). All are open
before anything is measured; how long that took is told. Nothing is sent again on them. One that
ends is told, with its reason, and opened anew. Blocks of --transfer are as large as the server
takes (BERT).

Every answer is held against its request: source, type, message ID, token, and the payload that
you --expect. Without that payloads may change, but not under one ETag; those that are not the
first one are counted. What the server sends again, sends late, sends to nobody, or gets wrong is
counted and told. Challenges by Echo (RFC 9175) are met.

What is told covers the measured time: --duration after --warmup. An answer counts if it came in
it. What is outstanding at its end is waited for, for up to 4 s, and told apart.

With --observe each of the peers registers observers, which listen. --change has the resource
changed by a PUT every so often; it then measures from the PUT to the first and the last one that
is told. With --transfer bodies go block by block, those of answers or, with put and the like,
those of requests.

Ctrl-C ends the run and tells what came so far. Exit status: 0 answers came, none was wrong or an
error; 1 some were wrong; 2 the command line makes no sense; 3 nothing was answered; 4 or 5 some
answers were 4.xx or 5.xx, whichever code came most; 130 a signal ended the run.";

/// Put load on a server and measure what it does with it.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// What to ask for; `coap://` may be left out
    #[arg(value_parser = client::parse_uri)]
    pub(super) uri: String,

    /// get, put, post, delete, fetch, patch or ipatch
    #[arg(short, long, value_name = "METHOD", default_value = "get", value_parser = parse_method, help_heading = "Request")]
    method: Method,

    /// The payload of requests, or @FILE
    #[arg(
        short,
        long,
        value_name = "TEXT|@FILE",
        help_heading = "Request",
        allow_negative_numbers = true
    )]
    data: Option<String>,

    /// A payload of so many bytes
    #[arg(
        short = 's',
        long,
        value_name = "BYTES",
        help_heading = "Request",
        conflicts_with = "data"
    )]
    payload_size: Option<usize>,

    /// What the payload is: a content format by name, media type or number
    #[arg(short = 'f', long, value_name = "FORMAT", value_parser = FormatParser, hide_possible_values = true, help_heading = "Request")]
    content_format: Option<ContentFormat>,

    /// Ask for this content format
    #[arg(short, long, value_name = "FORMAT", value_parser = FormatParser, hide_possible_values = true, help_heading = "Request")]
    accept: Option<ContentFormat>,

    /// Add an option, as with `coracle get`
    #[arg(
        short = 'O',
        long = "option",
        value_name = "NUMBER|NAME[=VALUE]",
        help_heading = "Request"
    )]
    options: Vec<OptionArg>,

    /// Send non-confirmable requests (coap only)
    #[arg(short = 'N', long = "non", help_heading = "Request")]
    non_confirmable: bool,

    /// How many peers ask, each from an address or port, or on a connection, of its own
    #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(super) peers: u32,

    /// How many requests a peer has outstanding; of observers, how many a peer registers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) outstanding: u16,

    /// Send so many requests a second in all, whatever the server does (open loop)
    #[arg(short, long, value_name = "N", value_parser = parse_rate, conflicts_with_all = ["transfer", "observe"])]
    pub(super) rate: Option<f64>,

    /// Transfer whole bodies block by block (RFC 7959)
    #[arg(long, conflicts_with_all = ["observe", "outstanding"])]
    pub(super) transfer: bool,

    /// Register observers and listen (RFC 7641)
    #[arg(long, conflicts_with_all = ["requests", "warmup", "data", "method", "non_confirmable"])]
    pub(super) observe: bool,

    /// Change the observed resource by a PUT every so often
    #[arg(long, value_name = "SECS", value_parser = client::parse_seconds, requires = "observe")]
    pub(super) change: Option<Duration>,

    /// End after this time
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = client::parse_seconds, help_heading = "Course")]
    duration: Duration,

    /// Send so many requests in all instead, and end when they are over
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "duration", help_heading = "Course")]
    pub(super) requests: Option<u64>,

    /// Ask for this time before it counts; 0 for none
    #[arg(long, value_name = "SECS", default_value = "1", value_parser = parse_seconds_or_none, help_heading = "Course")]
    warmup: Duration,

    /// How many threads share the peers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Course")]
    pub(super) threads: u32,

    /// Give a request up after this time
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = client::parse_seconds, help_heading = "Course")]
    timeout: Duration,

    /// Send a confirmable request again after this time to half as much more, and then twice that, and so on (coap only)
    #[arg(long, value_name = "SECS", default_value = "2", value_parser = client::parse_seconds, help_heading = "Course")]
    ack_timeout: Duration,

    /// The payload that answers must have, or @FILE
    #[arg(short, long, value_name = "TEXT|@FILE", help_heading = "Answers")]
    expect: Option<String>,

    /// All answers must have the same payload
    #[arg(long, conflicts_with = "expect", help_heading = "Answers")]
    same_payload: bool,

    /// Do not look at payloads at all
    #[arg(long, conflicts_with_all = ["expect", "same_payload"], help_heading = "Answers")]
    any_payload: bool,

    /// Print one JSON object
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,

    /// Draw latencies and rates into this file
    #[arg(long, value_name = "FILE", value_parser = parse_file, help_heading = "Output")]
    pub(super) svg: Option<PathBuf>,

    #[command(flatten)]
    pub(super) family: FamilyArgs,

    #[command(flatten)]
    pub(super) tls: TlsArgs,
}

impl BenchArgs {
    /// The messages go on connections.
    pub(super) fn is_on_connections(&self) -> bool {
        !self.uri.starts_with("coap:")
    }

    /// # Errors
    /// If something is asked for that connections do not have.
    pub(super) fn check(&self) -> Result<(), CliError> {
        match self.is_on_connections() && self.non_confirmable {
            true => Err(CliError::usage(
                "--non is for coap://: messages on connections have no type (RFC 8323 §2.2)",
            )),
            false => Ok(()),
        }
    }

    /// What is asked of the server there.
    pub(super) fn plan(&self, uri: &Uri<'_>, server: SocketAddr) -> Result<Plan, CliError> {
        let mut options = self.resource(uri)?;
        if let Some(format) = self.content_format {
            options.push_uint(OptionNumber::CONTENT_FORMAT, format.0.into());
        }
        if let Some(format) = self.accept {
            options.push_uint(OptionNumber::ACCEPT, format.0.into());
        }
        for option in &self.options {
            options
                .insert(option.number, &option.value)
                .map_err(CliError::usage)?;
        }
        let mut request = Request::new(self.method, options);
        request.confirmable = !self.non_confirmable;
        if !self.observe {
            request.payload = self.payload()?;
        }
        let mut plan = Plan::new(server, request);
        plan.transport = transport(uri, &self.tls)?;
        plan.peers = self.peers;
        plan.outstanding = self.outstanding;
        plan.work = match (self.observe, self.transfer) {
            (true, _) => Work::Observe,
            (_, true) if [Method::GET, Method::FETCH, Method::DELETE].contains(&self.method) => {
                Work::Download
            }
            (_, true) => Work::Upload,
            _ => Work::Requests,
        };
        plan.pace = self.rate.map_or(Pace::Closed, Pace::Open);
        plan.expect = match &self.expect {
            _ if self.any_payload => Expect::Anything,
            _ if self.same_payload => Expect::same(),
            Some(payload) => Expect::Payload(read(payload)?),
            None => Expect::noted(),
        };
        (plan.timeout, plan.ack_timeout) = (self.timeout, self.ack_timeout);
        Ok(plan)
    }

    /// The request that changes the observed resource: a PUT whose payload is still to come.
    pub(super) fn changing(&self, uri: &Uri<'_>, server: SocketAddr) -> Result<Plan, CliError> {
        let mut plan = Plan::new(server, Request::new(Method::PUT, self.resource(uri)?));
        plan.transport = transport(uri, &self.tls)?;
        plan.expect = Expect::Anything;
        (plan.timeout, plan.ack_timeout) = (self.timeout, self.ack_timeout);
        Ok(plan)
    }

    /// How many bytes a change has at least.
    pub(super) fn change_size(&self) -> usize {
        self.payload_size.unwrap_or_default()
    }

    /// How the plan is carried out.
    pub(super) fn course(&self) -> Course {
        Course {
            threads: self.threads,
            warm_up: match (self.requests, self.transfer) {
                (None, false) => self.warmup,
                _ => Duration::ZERO,
            },
            until: self.requests.map_or(Until::Passed(self.duration), Until::Over),
        }
    }

    /// What is asked, in words: `CON GET, 64 peers, closed loop`.
    pub(super) fn outline(&self) -> String {
        let is_connection = self.is_on_connections();
        let kind = match (is_connection, self.non_confirmable) {
            (true, _) => "",
            (false, true) => "NON ",
            (false, false) => "CON ",
        };
        let plural = if self.peers == 1 { "" } else { "s" };
        let what = if is_connection { "connection" } else { "peer" };
        let peers = format!("{} {what}{plural}", HumanCount(self.peers.into()));
        let each = match self.outstanding {
            1 => String::new(),
            count if self.observe => format!(" with {count} observers each"),
            count => format!(" with {count} outstanding"),
        };
        let pace = match (self.observe, self.transfer, self.rate) {
            (true, ..) if self.outstanding == 1 => return format!("{peers} observing"),
            (true, ..) => return format!("{peers}{each}"),
            (_, true, _) => "block by block".to_owned(),
            (.., Some(rate)) => format!("open loop, {} a second", HumanFloatCount(rate)),
            _ => "closed loop".to_owned(),
        };
        format!("{kind}{}, {peers}{each}, {pace}", self.method)
    }

    fn resource(&self, uri: &Uri<'_>) -> Result<OptionsBuf, CliError> {
        uri.to_options().map_err(CliError::usage)
    }

    fn payload(&self) -> Result<Arc<[u8]>, CliError> {
        match (&self.data, self.payload_size) {
            (Some(data), _) => read(data),
            (None, Some(size)) if size > MAX_BODY => Err(CliError::usage(format_args!(
                "CoAP transfers at most {MAX_BODY} bytes"
            ))),
            // Letters, so that it is harmless wherever it is shown.
            (None, Some(size)) => Ok((b'a'..=b'z').cycle().take(size).collect()),
            (None, None) => Ok(Arc::from([])),
        }
    }
}

/// What carries the messages to a resource.
fn transport(uri: &Uri<'_>, tls: &TlsArgs) -> Result<Transport, CliError> {
    let (is_tls, websocket) = match uri.scheme {
        Scheme::Coap | Scheme::Coaps => return Ok(Transport::Datagrams),
        Scheme::CoapTcp => (false, false),
        Scheme::CoapsTcp => (true, false),
        Scheme::CoapWs => (false, true),
        Scheme::CoapsWs => (true, true),
    };
    Ok(Transport::Connections(ConnectOptions {
        host: Some(uri.host.to_string()),
        tls: is_tls.then(|| tls.load()).transpose()?,
        websocket,
        ..ConnectOptions::default()
    }))
}

/// The longest payload: 2^20 blocks of 1,024 bytes are all that RFC 7959 can transfer.
const MAX_BODY: usize = 1 << 30;

/// What the user gives as text, or in a file.
fn read(text: &str) -> Result<Arc<[u8]>, CliError> {
    match text.strip_prefix('@') {
        None => Ok(text.as_bytes().into()),
        Some(file) => std::fs::read(file)
            .map(Arc::from)
            .map_err(|error| CliError::io(format_args!("cannot read {file}"), &error)),
    }
}

fn parse_method(text: &str) -> Result<Method, String> {
    let methods = [
        Method::GET,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::FETCH,
        Method::PATCH,
        Method::IPATCH,
    ];
    let named = |method: &Method| method.to_string().eq_ignore_ascii_case(text);
    let method = methods.into_iter().find(named);
    method.ok_or_else(|| "one of get, put, post, delete, fetch, patch, ipatch".to_owned())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match rate > 0.0 && rate <= 1e8 {
        true => Ok(rate),
        false => Err("a rate is more than 0 and at most 100000000 a second".to_owned()),
    }
}

fn parse_seconds_or_none(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        text => client::parse_seconds(text),
    }
}
