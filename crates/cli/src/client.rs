//! The library as the commands use it: settings from the command line, errors as exit statuses.

mod failures;
mod tls;

use std::net::Ipv6Addr;
use std::time::Duration;

use clap::Args;
use coracle::client::Family;
use coracle::{Config, Error, TransmissionParameters};

use crate::console::Console;
use crate::error::{CliError, Exit};
use crate::format_arg::FormatParser;
use crate::option_arg::{OptionArg, parse_etag};
use crate::wire::{ContentFormat, Scheme, Status, Uri, UriErrorKind};

pub(crate) use coracle::client::{
    Client, Notification, Observation, RequestBuilder, Response, SentRequest, StreamedResponse,
};
pub(crate) use failures::{explained, failure, interruption, io_failure, silence, unanswered, waits_for};
pub(crate) use tls::{TlsArgs, parse_cid};

/// The longest answer that is taken, in bytes. It is held in memory unless it goes to a file; 2^20 blocks of 1,024 bytes
/// are all that RFC 7959 can transfer.
const MAX_BODY: usize = 1 << 30;

/// How long the end of connections in good order may take: what was asked for is here, and some servers never close.
const FAREWELL: Duration = Duration::from_millis(500);

/// Which addresses to use.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Network")]
pub(crate) struct FamilyArgs {
    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
}

impl FamilyArgs {
    /// Whether addresses of IPv4 and of IPv6 are wanted.
    pub(crate) fn wants(self) -> (bool, bool) {
        (!self.ipv6, !self.ipv4)
    }

    fn family(self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::Ipv4,
            (_, true) => Family::Ipv6,
            _ => Family::Any,
        }
    }

    /// A client with the library's settings.
    pub(crate) fn client(self) -> Result<Client, CliError> {
        Ok(Client::new().map_err(plain)?.with_family(self.family()))
    }
}

/// How messages are transmitted (RFC 7252 §4.8).
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub(crate) struct TransmissionArgs {
    /// Send non-confirmable messages; on connections all are alike
    #[arg(short = 'N', long = "non")]
    non_confirmable: bool,

    /// Give up after this time [default: 93 for an acknowledgement or, with --non, for the answer; 247 for the answer
    /// after an acknowledgement]
    #[arg(long, value_name = "SECS", value_parser = parse_seconds)]
    timeout: Option<Duration>,

    /// Send a confirmable message again at most so often [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=20))]
    retransmit: Option<u8>,

    /// Wait this long for an acknowledgement before sending again [default: 2]
    #[arg(long, value_name = "SECS", value_parser = parse_seconds)]
    ack_timeout: Option<Duration>,

    /// Offer and ask for blocks of this size: 16, 32 ... 1024 bytes [default: 1024, on connections as many of these
    /// at once as the server takes]
    #[arg(long, value_name = "BYTES", value_parser = parse_block_size)]
    block_size: Option<BlockSize>,

    #[command(flatten)]
    family: FamilyArgs,

    #[command(flatten)]
    tls: TlsArgs,
}

/// A block size as its exponent (RFC 7959 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockSize {
    szx: u8,
}

impl TransmissionArgs {
    /// A client with these settings, for what `uri` asks for.
    pub(crate) fn client(&self, uri: &str, console: &Console) -> Result<Client, CliError> {
        let mut config = Config::default();
        if let Some(BlockSize { szx }) = self.block_size {
            config.block_szx = szx;
            config.connections.block_szx = szx;
        }
        let client = Client::with_config(config).map_err(plain)?;
        self.tls
            .protect(client.with_family(self.family.family()), uri, console)
    }

    /// Changes the source port, if that is asked for.
    pub(crate) async fn hop(&self, client: &Client, uri: &str) -> Result<(), CliError> {
        self.tls.hop(client, uri).await
    }

    /// How long the peer of this URI is waited for if it is silent, in words: the user's time, or MAX_TRANSMIT_WAIT
    /// (RFC 7252 §4.8.2), on connections EXCHANGE_LIFETIME.
    pub(crate) fn patience(&self, uri: &str) -> String {
        let parameters = self.parameters().unwrap_or_default();
        let longest = parameters.max_transmit_wait();
        match self.timeout {
            Some(timeout) => up_to(timeout),
            None if is_reliable(uri) => up_to(parameters.exchange_lifetime()),
            None if self.non_confirmable => up_to(longest),
            None => format!("{} for an acknowledgement", up_to(longest)),
        }
    }

    /// The parameters that the user set.
    fn parameters(&self) -> Option<TransmissionParameters> {
        if self.retransmit.is_none() && self.ack_timeout.is_none() {
            return None;
        }
        let mut parameters = TransmissionParameters::default();
        if let Some(times) = self.retransmit {
            parameters = parameters.with_max_retransmit(times);
        }
        if let Some(wait) = self.ack_timeout {
            parameters = parameters.with_ack_timeout(wait);
        }
        Some(parameters)
    }

    /// The request with these settings.
    pub(crate) fn apply(&self, mut request: RequestBuilder) -> RequestBuilder {
        request = request.confirmable(!self.non_confirmable).max_body(MAX_BODY);
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if let Some(parameters) = self.parameters() {
            request = request.retransmission(parameters);
        }
        request
    }
}

/// The scheme of a URI; `None` if it is none.
fn scheme_of(uri: &str) -> Option<Scheme> {
    Uri::parse(uri).ok().map(|uri| uri.scheme)
}

/// Whether messages go on a connection (RFC 8323).
pub(crate) fn is_reliable(uri: &str) -> bool {
    scheme_of(uri).is_some_and(|scheme| !matches!(scheme, Scheme::Coap | Scheme::Coaps))
}

/// Ends the connections of a client in good order (RFC 8323 §5.5), if there are any.
pub(crate) async fn leave(client: &Client) {
    // A server that does not let go matters to nobody any more.
    let _ = tokio::time::timeout(FAREWELL, client.close()).await;
}

/// Options of a request.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Request")]
pub(crate) struct OptionArgs {
    /// Ask for this content format, by name, media type or number
    #[arg(short, long, value_name = "FORMAT", value_parser = FormatParser, hide_possible_values = true)]
    accept: Option<ContentFormat>,

    /// Add an option: a value is text or a number as the option has it, 0x.. bytes, uint:5, or text:..
    #[arg(short = 'O', long = "option", value_name = "NUMBER|NAME[=VALUE]")]
    options: Vec<OptionArg>,

    /// Only if the resource has this ETag, 0x.. or text; only if it exists, with an empty one
    #[arg(long, value_name = "ETAG")]
    if_match: Vec<String>,

    /// Only if the resource does not exist
    #[arg(long)]
    if_none_match: bool,
}

impl OptionArgs {
    /// The request with these options, of which the user is told what is odd about them.
    pub(crate) fn apply(
        &self,
        request: RequestBuilder,
        console: &Console,
    ) -> Result<RequestBuilder, CliError> {
        self.warn(console);
        self.add_to(request)
    }

    /// Tells what is odd about these options.
    pub(crate) fn warn(&self, console: &Console) {
        for warning in self.options.iter().filter_map(OptionArg::warning) {
            console.note(&format!("warning: {warning}; it is sent as given"));
        }
    }

    /// The request with these options.
    pub(crate) fn add_to(&self, mut request: RequestBuilder) -> Result<RequestBuilder, CliError> {
        if let Some(format) = self.accept {
            request = request.accept(format);
        }
        for etag in &self.if_match {
            request = request.if_match(parse_etag(etag).map_err(CliError::usage)?);
        }
        if self.if_none_match {
            request = request.if_none_match();
        }
        for option in &self.options {
            request = request.option(option.number, &option.value);
        }
        Ok(request)
    }
}

/// Checks a URI and gives it the scheme `coap` if it has none.
pub(crate) fn parse_uri(text: &str) -> Result<String, String> {
    let has_scheme = text.contains("://") || text.starts_with("coap:/");
    let before = if has_scheme { "" } else { "coap://" };
    let uri = format!("{before}{text}");
    match Uri::parse(&uri) {
        Ok(_) => Ok(uri),
        Err(error) if error.kind == UriErrorKind::Scheme => {
            let scheme = text.split_once(':').map_or(text, |(scheme, _)| scheme);
            Err(match meant(scheme) {
                Some(meant) => format!("{scheme}:// is not CoAP; did you mean {meant}://?"),
                None => format!("{scheme}:// is not CoAP; a URI begins with coap://"),
            })
        }
        Err(error) => {
            // Where, in what the user typed.
            let at = error.offset.saturating_sub(before.len());
            Err(format!(
                "at byte {at}: {} ({})",
                error.kind,
                uri_hint(text, error.kind)
            ))
        }
    }
}

/// The scheme of CoAP on what another one names.
fn meant(scheme: &str) -> Option<Scheme> {
    match scheme {
        "udp" => Some(Scheme::Coap),
        "dtls" => Some(Scheme::Coaps),
        "tcp" => Some(Scheme::CoapTcp),
        "tls" => Some(Scheme::CoapsTcp),
        "ws" => Some(Scheme::CoapWs),
        "wss" => Some(Scheme::CoapsWs),
        _ => None,
    }
}

/// What to do about a URI that cannot be read.
fn uri_hint(text: &str, kind: UriErrorKind) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let address = host.split('%').next().unwrap_or(host);
    if address.parse::<Ipv6Addr>().is_ok() {
        return format!(
            "IPv6 addresses stand in brackets: {}",
            text.replacen(host, &format!("[{host}]"), 1)
        );
    }
    match kind {
        UriErrorKind::Fragment => "`#` is written %23".to_owned(),
        _ => "an example is coap://[::1]/temp".to_owned(),
    }
}

/// A time in words: `up to 93 s`.
pub(crate) fn up_to(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10.0).round() / 10.0;
    format!("up to {tenths} s")
}

/// A time in seconds, with fractions.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let sensible =
        duration.filter(|duration| !duration.is_zero() && *duration <= Duration::from_hours(24 * 365));
    sensible.ok_or_else(|| "not a number of seconds above 0".to_owned())
}

fn parse_block_size(text: &str) -> Result<BlockSize, String> {
    let sizes = (0..=6).map(|szx| (16_u32 << szx, szx));
    let found = sizes.into_iter().find(|(size, _)| text.parse() == Ok(*size));
    found
        .map(|(_, szx)| BlockSize { szx })
        .ok_or_else(|| "not one of 16, 32, 64, 128, 256, 512, 1024".to_owned())
}

/// A failure that has to do with no URI.
fn plain(error: Error) -> CliError {
    CliError::new(error)
}

/// What a response code means for scripts.
pub(crate) fn exit(status: Status) -> Exit {
    if status.is_success() {
        Exit::Success
    } else if status.is_client_error() {
        Exit::ClientError
    } else if status.is_server_error() {
        Exit::ServerError
    } else {
        Exit::Failure
    }
}

/// Completes when the user or the system asks the program to end.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler the system ends the program by itself.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_exit_statuses() {
        assert_eq!(exit(Status::CONTENT), Exit::Success);
        assert_eq!(exit(Status::NOT_FOUND), Exit::ClientError);
        assert_eq!(exit(Status::GATEWAY_TIMEOUT), Exit::ServerError);
    }

    #[test]
    fn connections_are_told_from_datagrams() {
        assert!(["coap+tcp://a", "coaps+ws://a/b"].into_iter().all(is_reliable));
        assert!(!["coap://a", "coaps://a", "nonsense"].into_iter().any(is_reliable));
    }

    #[test]
    fn a_scheme_may_be_left_out() {
        assert_eq!(
            parse_uri("localhost/temp").as_deref(),
            Ok("coap://localhost/temp")
        );
        assert_eq!(parse_uri("[::1]:61616").as_deref(), Ok("coap://[::1]:61616"));
        assert_eq!(parse_uri("coaps://a/b").as_deref(), Ok("coaps://a/b"));
        assert_eq!(parse_uri("coap:5683/b").as_deref(), Ok("coap://coap:5683/b"));
        let told = parse_uri("ws://a/b").unwrap_err();
        assert!(told.ends_with("did you mean coap+ws://?"), "{told}");
    }

    #[test]
    fn faults_of_uris_are_told_where_the_user_typed_them() {
        let told = |text| parse_uri(text).unwrap_err();
        assert_eq!(
            told("http://a/b"),
            "http:// is not CoAP; a URI begins with coap://"
        );
        assert!(told("coap://a/b#c").contains("%23"));
        assert!(told("a b/c").starts_with("at byte 1: "), "{}", told("a b/c"));
        assert!(told("coap://a b/c").starts_with("at byte 8: "));
        assert!(told("").starts_with("at byte 0: "));
        assert!(told("coap:/a").starts_with("at byte 5: "), "{}", told("coap:/a"));
        for (text, hint) in [
            ("::1/hello", "(IPv6 addresses stand in brackets: [::1]/hello)"),
            (
                "coap://fd00::1",
                "(IPv6 addresses stand in brackets: coap://[fd00::1])",
            ),
            (
                "fe80::1%eth0/a",
                "(IPv6 addresses stand in brackets: [fe80::1%eth0]/a)",
            ),
        ] {
            assert!(told(text).ends_with(hint), "{}", told(text));
        }
    }

    #[test]
    fn times_are_positive_seconds() {
        assert_eq!(parse_seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["0", "-1", "nan", "inf", "1e300", "soon", ""] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn block_sizes_are_powers_of_two() {
        assert_eq!(parse_block_size("16"), Ok(BlockSize { szx: 0 }));
        assert_eq!(parse_block_size("1024"), Ok(BlockSize { szx: 6 }));
        for text in ["0", "100", "2048", "all"] {
            assert!(parse_block_size(text).is_err(), "{text}");
        }
    }
}
