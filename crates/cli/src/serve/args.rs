//! The command line of `coracle serve`.

use std::num::NonZeroU8;
use std::path::PathBuf;

use clap::Args;
use coracle::{Config, RateLimit};

use super::connections::ConnectionArgs;
use super::credentials::CredentialArgs;
use super::tls::TlsArgs;
use crate::error::CliError;

/// How long an item of the store may be if nothing else is said, in bytes.
const ITEM_BYTES: u64 = 1 << 20;

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle serve
  coracle serve --bind 127.0.0.1:0 -v
  coracle serve --bind [::] --multicast eth0
  coracle serve --bind 0.0.0.0 --stats 5
  coracle serve --bind coap://[::] --bind coap+tcp://[::] --bind coap+ws://[::]:8683
  coracle serve --tls-cert cert.pem --tls-key key.pem
  coracle serve --credentials credentials.toml
  coracle serve --bind coaps://[::] --psk @psk
  coracle serve --dir ./firmware --bind 0.0.0.0:5683
  coracle serve --dir ./inbox --write --max-file-bytes 16M

Without --bind it listens on this machine only: by UDP and TCP at port 5683, by WebSocket at 8683,
and
with a certificate by TLS at 5684 and 8684, with --credentials or --psk by DTLS (coaps) at 5684. It begins by telling the URIs. URIs of WebSockets
name the port, as the usual ones, 80 and 443, are web servers'. The site has a store, a clock and
some resources to try; the store takes changes when all addresses are on this machine, and
otherwise with --write. Files of --dir are changed with --write only, and take the place of the
site. Content-Formats of files are told by the ends of their names: what is put as another format
than its name says is refused, and what has an end that says nothing is read as bytes. A file that
is replaced keeps its mode, and its owner where possible; folders are not made. An upload is written
beside its place, as .coracle-*.part, which is never served and goes when no block has come for
93 s, or when the server ends; only one that is killed leaves it behind.

--stats tells what was done since the line before: requests, bytes in and bytes out, a second;
notifications and observers; amplification, which is bytes that went to addresses that have not
proved themselves for each byte from them, at most 3 (--amplification); then counts, of those that
are not 0: refused (answered 4.xx or 5.xx before the site was asked), challenged (asked to prove
the address), withheld (not sent, as no request had paid for it), sent again and given up (for
want of an acknowledgement), handed over and lost between shards, and dropped, with the reason.
Connections are those that are open, with those that came since; where there are too many of them,
further ones are turned away. Handshakes of TLS and WebSocket that fail never become connections.
Sessions are those of coaps; handshakes and sessions that failed are told with the reason, and each in
a line of its own.

A file for --credentials is TOML; names of files in it are relative to its folder:
  [own]
  certificate = \"cert.pem\"             # of P-256 or Ed25519; key = \"key.pem\", raw-key = \"rpk-key.pem\"
  [trust]
  authorities = [\"ca.pem\"]             # of clients; clients = \"optional\" takes those without, too
  [[psk]]
  identity = \"meter-7\"
  key = \"0x7b2f...\"                    # bytes, or text
  allow = [\"GET /sensors/**\", \"PUT,POST /led/*\"]
  [[raw-public-key]]
  file = \"gateway.pem\"
  [[certificate]]
  name = \"*.sensors.example\"
  allow = \"GET\"
  [anonymous]
  allow = \"GET /.well-known/core\"
Who has no `allow` may do everything; where anybody has one, who has proved nothing may do what
[anonymous] has. `coracle keys show credentials.toml` says whether it can be used. Whose key is
changed or taken away loses its session.

Ctrl-C or SIGTERM ends it: what was accepted is answered, for up to 5 s. An upload is waited for
while its blocks come. A second signal ends it at once, with exit status 1.";

/// Options of `coracle serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Where to listen.
    #[command(flatten)]
    pub(crate) listen: ListenArgs,

    /// Let peers change what is served, from wherever they can reach it
    #[arg(long, help_heading = None)]
    pub(crate) write: bool,

    /// What files are served, and how.
    #[command(flatten)]
    pub(crate) files: FilesArgs,

    /// Bounds of the store.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Where a server listens.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListenArgs {
    /// Listen on this address and no other, by UDP or as the scheme says: 127.0.0.1:5684, [::] (IPv4 too),
    /// coap+tcp://0.0.0.0, coap+ws://[::]:8683, coaps+tcp://localhost; 5684 is on this machine only, port 0 any that is
    /// free
    #[arg(short, long, value_name = "[SCHEME://]ADDR:PORT")]
    pub(crate) bind: Vec<String>,

    /// Join the group All CoAP Nodes on this interface; needs --bind [::] or 0.0.0.0
    #[arg(long, value_name = "IFACE", num_args = 0..=1, default_missing_value = "")]
    pub(crate) multicast: Vec<String>,

    /// Share the peers among this many engines, which work at once [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) shards: Option<u16>,

    /// Tell every so many seconds, 10 if no number is given, what was done: requests, bytes, observers, what was
    /// dropped and why; a line when it becomes quiet, and none until there is something new
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = parse_interval
    )]
    pub(crate) stats: Option<u32>,

    /// Let each peer, which is an address with its port, ask so many times a second on average; more is
    /// answered 4.29. As many may come at once, so that up to twice as many pass in a first second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate_limit: Option<u32>,

    /// The same for all addresses of a network together, whatever their ports: those with the same
    /// first 24 bits, or 56 with IPv6
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate_limit_prefix: Option<u32>,

    /// Send at most so many bytes for each that came, until an address has proved with an Echo
    /// option that it is the sender's own; 3 to 255, as with less it could not even be asked to; 0 for
    /// closed networks, where nobody has to [default: 3, of plugtest serve 0]
    #[arg(long, value_name = "N", value_parser = parse_amplification)]
    pub(crate) amplification: Option<u8>,

    /// Certificates.
    #[command(flatten)]
    pub(super) tls: TlsArgs,

    /// What coaps:// proves itself by, and who may do what.
    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,

    /// What holds for connections.
    #[command(flatten)]
    pub(super) connections: ConnectionArgs,
}

impl ListenArgs {
    /// `config` with what was said about it here.
    pub(crate) fn configured(&self, mut config: Config, descriptors: Option<u64>) -> Config {
        if let Some(times) = self.amplification {
            config.amplification = NonZeroU8::new(times);
        }
        self.connections.configure(&mut config, descriptors);
        config
    }

    /// The limits of requests, if there are any.
    pub(crate) fn rate_limit(&self) -> Option<RateLimit> {
        match (self.rate_limit, self.rate_limit_prefix) {
            (None, None) => None,
            (Some(peer), None) => Some(RateLimit::per_peer(peer)),
            (None, Some(prefix)) => Some(RateLimit::per_prefix(prefix)),
            (Some(peer), Some(prefix)) => Some(RateLimit::per_peer(peer).and_per_prefix(prefix)),
        }
    }
}

/// Options for files.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Files")]
pub(crate) struct FilesArgs {
    /// Serve the files of this folder, and nothing outside of it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["store_items", "store_bytes", "store_item_bytes"])]
    pub(crate) dir: Option<PathBuf>,

    /// Serve files whose name begins with a dot too
    #[arg(long, requires = "dir")]
    pub(crate) hidden: bool,

    /// Take files of this size at most
    #[arg(long, value_name = "BYTES", requires = "dir", default_value = "1G", value_parser = parse_size)]
    pub(crate) max_file_bytes: u64,
}

/// Bounds of the store.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    /// Keep this many items at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) store_items: usize,

    /// Keep this much at most, names included
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = parse_size)]
    pub(crate) store_bytes: u64,

    /// Take items of this size at most [default: 1M, or --store-bytes if that is less]
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    pub(crate) store_item_bytes: Option<u64>,
}

impl StoreArgs {
    /// The size of an item at most, in bytes.
    pub(super) fn item_bytes(&self) -> u64 {
        self.store_item_bytes
            .unwrap_or_else(|| self.store_bytes.min(ITEM_BYTES))
    }

    /// Whether the bounds go together.
    ///
    /// # Errors
    /// If the store could never hold an item that it takes.
    pub(super) fn check(&self) -> Result<(), CliError> {
        if self.item_bytes() <= self.store_bytes {
            return Ok(());
        }
        Err(CliError::usage(
            "--store-item-bytes is more than --store-bytes: no such item would fit",
        ))
    }
}

/// Whole seconds, up to a day: `5`, `5s`.
fn parse_interval(text: &str) -> Result<u32, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let sensible = seconds.filter(|seconds| (1..=86_400).contains(seconds));
    sensible.ok_or_else(|| "not a number of whole seconds from 1 to 86400, such as 5".to_owned())
}

fn parse_amplification(text: &str) -> Result<u8, String> {
    let times = text.parse().ok().filter(|times| !matches!(times, 1..3));
    times.ok_or_else(|| {
        "expected 0, or 3 to 255: with less nobody could be asked to prove an address".to_owned()
    })
}

/// A number of bytes: `1048576`, `1024K`, `1M`, `1MiB`; K, M and G are powers of 1,024.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => Some(0),
        "k" | "kib" => Some(10),
        "m" | "mib" => Some(20),
        "g" | "gib" => Some(30),
        _ => None,
    };
    let bytes = digits.parse::<u64>().ok().zip(shift);
    let bytes = bytes.and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "not a size such as 65536, 64K, 16M or 1G".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::error::Exit;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn parse(line: &[&str]) -> Result<ServeArgs, clap::Error> {
        let line = ["serve"].into_iter().chain(line.iter().copied());
        Line::try_parse_from(line).map(|line| line.args)
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("64K"), Ok(65_536));
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("1g"), Ok(1 << 30));
        for text in [
            "",
            "M",
            "-1",
            "1.5M",
            "1T",
            "99999999999999999999",
            "20000000000G",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn items_fit_into_the_store() {
        let small = parse(&["--store-bytes", "200"]).unwrap().store;
        assert_eq!(small.item_bytes(), 200);
        assert!(small.check().is_ok());
        assert_eq!(parse(&[]).unwrap().store.item_bytes(), 1 << 20);
        let line = ["--store-bytes", "200", "--store-item-bytes", "201"];
        let told = parse(&line).unwrap().store.check().unwrap_err();
        assert_eq!(told.exit(), Exit::Usage);
    }

    #[test]
    fn multicast_may_name_an_interface() {
        assert_eq!(parse(&["--multicast"]).unwrap().listen.multicast, [""]);
        let two = parse(&["--multicast", "eth0", "--multicast", "eth1"]).unwrap();
        assert_eq!(two.listen.multicast, ["eth0", "eth1"]);
        assert!(parse(&[]).unwrap().listen.multicast.is_empty());
    }

    #[test]
    fn statistics_are_told_every_ten_seconds_if_nothing_else_is_said() {
        let stats = |line: &[&str]| parse(line).map(|args| args.listen.stats);
        assert_eq!(stats(&[]).unwrap(), None);
        assert_eq!(stats(&["--stats"]).unwrap(), Some(10));
        assert_eq!(stats(&["--stats=1", "--shards", "4"]).unwrap(), Some(1));
        assert_eq!(stats(&["--stats", "5"]).unwrap(), Some(5));
        assert_eq!(stats(&["--stats", "5s", "--shards", "4"]).unwrap(), Some(5));
        assert_eq!(stats(&["--stats", "--shards", "4"]).unwrap(), Some(10));
        for nonsense in ["0", "1.5", "5m", "86401"] {
            let told = stats(&["--stats", nonsense]).unwrap_err().to_string();
            assert!(told.contains("whole seconds"), "{told}");
        }
        assert!(stats(&["--shards", "0"]).is_err());
    }

    #[test]
    fn limits_are_off_and_addresses_are_proved_if_nothing_else_is_said() {
        let none = parse(&[]).unwrap().listen;
        assert!(none.rate_limit().is_none());
        let both = parse(&["--rate-limit", "5", "--rate-limit-prefix", "50"]).unwrap();
        assert!(both.listen.rate_limit().is_some());
        assert!(parse(&["--rate-limit", "0"]).is_err());
        let times = |line: &[&str]| {
            let config = parse(line).unwrap().listen.configured(Config::default(), None);
            config.amplification.map_or(0, NonZeroU8::get)
        };
        assert_eq!((times(&[]), times(&["--amplification", "0"])), (3, 0));
        assert_eq!(times(&["--amplification", "255"]), 255);
        for nonsense in ["1", "2", "0.5", "256"] {
            assert!(parse(&["--amplification", nonsense]).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_folder_and_bounds_of_the_store_do_not_go_together() {
        assert!(parse(&["--dir", "x"]).is_ok());
        assert!(parse(&["--dir", "x", "--store-items", "3"]).is_err());
        assert!(parse(&["--hidden"]).is_err());
        assert!(parse(&["--max-file-bytes", "1M"]).is_err());
    }

    /// What the system does not give cannot be promised, and no host gets all of it.
    #[test]
    fn connections_are_no_more_than_there_are_descriptors() {
        let bounds = |line: &[&str], descriptors| {
            let listen = parse(line).unwrap().listen;
            let bounds = listen.configured(Config::default(), descriptors).connections;
            (bounds.max_connections, bounds.max_connections_per_address)
        };
        assert_eq!(bounds(&[], None), (65_536, 16_384));
        assert_eq!(bounds(&[], Some(1 << 20)), (65_536, 16_384));
        assert_eq!(bounds(&[], Some(20_000)), (17_952, 4_488));
        assert_eq!(bounds(&[], Some(400)), (300, 75));
        assert_eq!(bounds(&["--max-connections", "100"], Some(400)), (100, 25));
        assert_eq!(bounds(&["--max-connections", "8"], Some(400)), (8, 16));
    }
}
