//! The command line.

use clap::{Args, Parser, Subcommand};

use crate::bench;
use crate::console::ColorChoice;
use crate::decode::DecodeArgs;
use crate::discover::DiscoverArgs;
use crate::fuzz;
use crate::keys;
use crate::observe::ObserveArgs;
use crate::pages::{CompletionsArgs, ManArgs};
use crate::ping::PingArgs;
use crate::plugtest;
use crate::request::{GetArgs, PayloadRequestArgs, RequestArgs};
use crate::serve;

/// What is said below the help of a command.
const EXAMPLES: &str = "\
Examples:
  coracle get coap://[fd00::1]/temp
  coracle put localhost/store/x -d @file -f json
  coracle observe coap://localhost/clock --json
  coracle discover coap://[ff02::fd%eth0] --rt temperature-c

`coracle help COMMAND` says more.";

const GET_EXAMPLES: &str = "\
Examples:
  coracle get coap://[fd00::1]/temp
  coracle get localhost/sensors -a senml+json --json | jq .payload
  coracle get coap://localhost/firmware -o image.bin
  coracle get coap://localhost/firmware -o image.bin --continue
  coracle get localhost/temp -O etag=0x0a0b -O 65000=text:hello -v
  coracle get coaps+tcp://localhost/temp --cacert cert.pem
  coracle get coap+ws://localhost:8683/temp
  coracle get coaps://localhost/temp --psk @psk
  coracle get coaps://sensor.example/temp --cacert ca.pem --cert own.pem --key own-key.pem
  coracle get coaps://localhost/temp --rpk rpk-key.pem --trust server.pem

Text and JSON are laid out on a terminal, CBOR is shown in diagnostic notation. Pipes and files
get the body as it is. What is not text is kept away from terminals, but --hex shows it.

A request that nobody acknowledges is given up after 62 to 93 s (MAX_TRANSMIT_WAIT,
RFC 7252 §4.8.2), a non-confirmable one after 93 s without an answer. Once acknowledged, the
answer may take 247 s (EXCHANGE_LIFETIME). --timeout bounds all of it.

With coaps (DTLS 1.2) a session is made first, and the pre-shared key need not be on the command
line: --psk @FILE or the variable CORACLE_PSK have it as ID:KEY. SSLKEYLOGFILE names a file for the
secrets of sessions, with which programs that show captures open them.

With coap+tcp, coaps+tcp, coap+ws and coaps+ws (RFC 8323) a connection is made, which may take 10 s,
and the answer comes within 247 s. If it breaks when the request has left, GET and FETCH are sent
once more, and have no answer if it breaks again (3); of other requests nobody knows then whether
they were carried out: exit status 6.

With -o FILE, what Ctrl-C or a lost connection leaves of a transfer is kept beside FILE, as
.FILE.*.part, if the server tells states of the resource apart by ETags; -C goes on with it, if the
resource is still the same, and asks for all of it if not. By UDP a body of more than 65,000 blocks,
64 MiB in the largest, goes on from another port, because message IDs may not be used again for 247 s
(RFC 7252 §4.4); without an ETag it waits for them.";

const PUT_EXAMPLES: &str = "\
Examples:
  coracle put localhost/led/1 on
  coracle put localhost/store/x -d @image.bin -f octet-stream
  date | coracle put localhost/store/date
  coracle put localhost/store/x --if-none-match new
  coracle put localhost/setpoint -5

A number that follows the URI is a payload, also below zero; -4 and -6 stand before the URI. What
was created, changed or deleted is told on standard error, as `2.01 Created /store/3`, unless -q
is given. A file's name tells the content format (.json, .cbor, .txt, .xml, .senml, .bin and the
like) unless -f does.

An upload that was interrupted cannot be resumed: a server takes the blocks of a body one after
another from the first on, and need not keep what has come (RFC 7959 §2.5). By UDP one of more than
65,000 blocks, 64 MiB in the largest, takes up to 247 s for each further 64 MiB, because message IDs
may not be used again for so long (RFC 7252 §4.4), and servers tell uploads apart by the port that
they come from. It is told while it waits; a block goes each 15 s, so that servers keep what they
have.";

const POST_EXAMPLES: &str = "\
Examples:
  coracle post localhost/store 'a new entry'
  coracle post localhost/rd?ep=node1 -d '</temp>;rt=t' -f link-format
  jq -c . config.json | coracle post localhost/config -f json";

const DELETE_EXAMPLES: &str = "\
Examples:
  coracle delete localhost/store/x
  coracle delete localhost/store/x --if-match 0x0a0b";

const FETCH_EXAMPLES: &str = "\
Examples:
  coracle fetch localhost/sensors '{\"n\": \"temp\"}' -f json -a senml+json";

const PATCH_EXAMPLES: &str = "\
Examples:
  coracle patch localhost/config '[{\"op\": \"remove\", \"path\": \"/a\"}]' -f json-patch+json";

const IPATCH_EXAMPLES: &str = "\
Examples:
  coracle ipatch localhost/config '{\"a\": null}' -f merge-patch+json";

const OBSERVE_EXAMPLES: &str = "\
Examples:
  coracle observe coap://localhost/clock --count 5
  coracle observe localhost/temp --json | jq -r '[.time, .payload] | @tsv'
  coracle observe localhost/door --exec 'notify-send \"door\" \"$(cat)\"'

A command gets the payload on its standard input, and COAP_URI, COAP_CODE, COAP_OBSERVE and
COAP_CONTENT_FORMAT (numbers, or empty) in its environment. The next state waits until it is done.
What is not fresh any more is told on standard error and registered again by itself.

Exit status: 0 after Ctrl-C, --count or --duration, if the last state was 2.xx; 1 if a command
failed for any state (one that cannot be found ends the observation); 3 if no state came at all;
4 or 5 if the server ended it with 4.xx or 5.xx.";

const DISCOVER_EXAMPLES: &str = "\
Examples:
  coracle discover
  coracle discover coap://[ff02::fd%eth0] --rt temperature-c
  coracle discover localhost --filter obs --filter ct=60
  coracle discover --json | jq -r .href

Filters may end in `*`. Without a URI all CoAP nodes of the link are asked. The members of a group
wait a random time of up to 5 s before they answer (RFC 7252 §8.2), so that finding all takes 6 s.";

const PING_EXAMPLES: &str = "\
Examples:
  coracle ping coap://[fd00::1]
  coracle ping localhost:61616 --count 0 --interval 0.2

With -q only the summary is printed. Exit status: 0 if any ping was answered, 3 if none was.";

/// CoAP for the command line.
///
/// Bodies of answers go to standard output and nothing else does; everything about them goes to standard error.
#[derive(Debug, Parser)]
#[command(name = "coracle", version, arg_required_else_help = true, after_help = after_help())]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

/// Options of all commands.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct GlobalArgs {
    /// Tell more, such as what is sent and received
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Tell errors and results only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// When to use colours: auto, always or never; NO_COLOR turns them off too
    #[arg(
        long,
        global = true,
        value_enum,
        hide_possible_values = true,
        hide_default_value = true,
        value_name = "WHEN",
        default_value_t
    )]
    pub(crate) color: ColorChoice,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Get a resource
    #[command(after_help = GET_EXAMPLES)]
    Get(GetArgs),
    /// Put a payload to a resource
    #[command(after_help = PUT_EXAMPLES)]
    Put(PayloadRequestArgs),
    /// Post a payload to a resource
    #[command(after_help = POST_EXAMPLES)]
    Post(PayloadRequestArgs),
    /// Delete a resource
    #[command(after_help = DELETE_EXAMPLES)]
    Delete(RequestArgs),
    /// Get a part of a resource that the payload describes (RFC 8132)
    #[command(after_help = FETCH_EXAMPLES)]
    Fetch(PayloadRequestArgs),
    /// Change a part of a resource (RFC 8132)
    #[command(after_help = PATCH_EXAMPLES)]
    Patch(PayloadRequestArgs),
    /// Change a part of a resource, so that repeating it changes nothing more (RFC 8132)
    #[command(after_help = IPATCH_EXAMPLES)]
    Ipatch(PayloadRequestArgs),
    /// Watch a resource and print its states until Ctrl-C (RFC 7641)
    #[command(after_help = OBSERVE_EXAMPLES)]
    Observe(ObserveArgs),
    /// Find servers and their resources (RFC 6690)
    #[command(after_help = DISCOVER_EXAMPLES)]
    Discover(DiscoverArgs),
    /// Measure round-trip times with empty messages or, on connections, pings
    #[command(after_help = PING_EXAMPLES)]
    Ping(PingArgs),
    /// Serve a site to try clients with, or the files of a folder
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Judge CoAP implementations by the plugtests and the RFCs
    #[command(after_help = plugtest::EXAMPLES)]
    Plugtest(plugtest::PlugtestArgs),
    /// Attack a server with generated messages and see whether it survives
    #[command(after_help = fuzz::EXAMPLES)]
    Fuzz(fuzz::FuzzArgs),
    /// Put load on a server and measure what it does with it
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Make and show certificates and keys for TLS and DTLS
    #[command(after_help = keys::EXAMPLES)]
    Keys(keys::KeysArgs),
    /// Show what a CoAP message says, or what is wrong with it
    Decode(DecodeArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{}", crate::error::EXIT_STATUS_HELP)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        let program = Cli::command();
        let mut commands = vec![("coracle".to_owned(), &program)];
        while let Some((name, command)) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            assert!(
                help.starts_with(&format!("Examples:\n  {name}")),
                "{name}: {help}"
            );
            let below = command.get_subcommands();
            commands.extend(below.map(|command| (format!("{name} {}", command.get_name()), command)));
        }
    }
}
