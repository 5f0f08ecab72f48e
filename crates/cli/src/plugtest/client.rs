//! `coracle plugtest client`: judges a client, a command that is started for each case.

use std::path::Path;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use coracle_conformance::Role;
use coracle_conformance::keys::Keys;
use coracle_conformance::run::Subject;
use coracle_conformance::template::Template;
use coracle_conformance::transport::Transport;

use super::cases::CaseArgs;
use super::judging::{self, JudgingArgs};
use super::reports::ReportArgs;
use crate::console::Console;
use crate::error::{CliError, Exit};

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle plugtest client --profile coap-client --html report.html
  coracle plugtest client --exec 'my-client --method {method} {payload:--data %} {uri}'
  coracle plugtest client --exec 'my-client {uri}' --only CORE_01
  coracle plugtest client --profile coap-client --scheme coap+tcp
  coracle plugtest client --profile coracle --scheme coaps
  coracle plugtest client --list

The command is split into words at blanks, and no shell sees it. In it stand
  {uri}            the URI to ask for
  {method}         get, put, post, delete, fetch, patch or ipatch; {verb} is also observe and ping
  {name:words}     words that are put in only if a case wants this, with % for the value:
                   non, payload, format (number), accept (number), etag and if-match
                   (hexadecimal), if-none-match, observe (seconds), block (bytes), ping.
                   psk (IDENTITY:KEY, also %id and %key), rpk and trust (files with a private
                   key and with the server's public key, PEM), for --scheme coaps.
                   %hex is a number as the bytes of an option, %szx a block size as its exponent
A case that wants what the command has no place for is skipped. A command that hangs is ended.
-v shows the messages of all cases, and each case that is skipped; -q only the summary.

Exit status: 0 if nothing failed and all could be judged; 1 if something failed or was
inconclusive, if nothing at all could be judged because all was skipped, or if a report could not
be written; 2 if the command line makes no sense; 3 if there is no such program, or it sent nothing
at all. Ctrl-C ends the run, and the reports are written.";

/// Options of `coracle plugtest client`.
#[derive(Args, Debug)]
pub(crate) struct ClientArgs {
    /// The command, with {uri} in it
    #[arg(long, value_name = "COMMAND", value_parser = parse_template)]
    exec: Option<Template>,

    /// A client that is known
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Template::names()), conflicts_with = "exec")]
    profile: Option<String>,

    /// The scheme of the URIs that it is given, which chooses what carries the messages
    #[arg(long, value_name = "SCHEME", default_value = "coap")]
    scheme: Judged,

    /// Which cases.
    #[command(flatten)]
    cases: CaseArgs,

    /// How.
    #[command(flatten)]
    judging: JudgingArgs,

    /// What is written.
    #[command(flatten)]
    reports: ReportArgs,
}

/// The schemes of URIs whose clients can be judged; there is no TLS in the judge yet.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Judged {
    /// UDP.
    #[value(name = "coap")]
    Coap,
    /// TCP.
    #[value(name = "coap+tcp")]
    CoapTcp,
    /// WebSocket.
    #[value(name = "coap+ws")]
    CoapWs,
    /// DTLS.
    #[value(name = "coaps")]
    Coaps,
}

impl Judged {
    const fn transport(self) -> Transport {
        match self {
            Judged::Coap => Transport::Udp,
            Judged::CoapTcp => Transport::Tcp,
            Judged::CoapWs => Transport::WebSocket,
            Judged::Coaps => Transport::Dtls,
        }
    }
}

/// Judges, or tells about cases.
pub(super) fn run(args: &ClientArgs, console: &Console) -> Result<Exit, CliError> {
    if let Some(told) = args.cases.tell(Role::Client, &args.reports, console) {
        return told;
    }
    let transport = args.scheme.transport();
    let cases = args.cases.select(Role::Client, Some(transport))?;
    let named = || known(args.profile.as_deref()?);
    let template = args.exec.clone().or_else(named);
    let template = template.ok_or_else(no_command)?;
    find_program(template.program())?;
    let subject = Subject::Client { transport, template };
    judging::judge(
        &subject,
        (&cases, Keys::default()),
        &args.judging,
        &args.reports,
        console,
    )
}

fn no_command() -> CliError {
    let known: Vec<&str> = Template::names().collect();
    CliError::usage("which client? --exec 'COMMAND {uri}' gives its command, --profile one that is known")
        .with_hint(format_args!("known are {}", known.join(", ")))
}

/// Refuses a program that is not there, before each case says so.
fn find_program(program: &str) -> Result<(), CliError> {
    let found = if program.contains('{') || cfg!(not(unix)) {
        // What it is called depends on the case, or on the system's rules about endings of names.
        true
    } else if program.contains('/') {
        Path::new(program).is_file()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    match (program, found) {
        ("", _) => Err(CliError::usage("the command does not begin with a program")),
        (_, true) => Ok(()),
        (_, false) => {
            let fault = format!("there is no program {program:?}");
            Err(CliError::new(fault).with_exit(Exit::NoAnswer))
        }
    }
}

/// The command line of a client that is known; that of this program is this very program.
fn known(name: &str) -> Option<Template> {
    let template = Template::named(name)?;
    let own = std::env::current_exe().ok();
    match own.as_deref().and_then(Path::to_str) {
        Some(program) if name == "coracle" => Some(template.with_program(program)),
        _ => Some(template),
    }
}

fn parse_template(text: &str) -> Result<Template, String> {
    Template::parse(text).map_err(|error| error.to_string())
}
