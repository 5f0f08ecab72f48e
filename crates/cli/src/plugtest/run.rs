//! `coracle plugtest run`: judges a server.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};

use clap::Args;
use coracle_conformance::Role;
use coracle_conformance::catalogue;
use coracle_conformance::run::Subject;
use coracle_conformance::transport::Transport;

use super::cases::CaseArgs;
use super::judging::{self, JudgingArgs};
use super::keys::KeyArgs;
use super::reports::ReportArgs;
use crate::client::{self, FamilyArgs};
use crate::console::Console;
use crate::error::{CliError, Exit};
use crate::wire::{Host, Scheme, Uri};

/// What is said below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  coracle plugtest run coap://[fd00::1] --html report.html --pcap report.pcapng
  coracle plugtest run localhost --only CORE,OBS --lossy
  coracle plugtest run coap+tcp://localhost
  coracle plugtest run coap+ws://localhost:8080
  coracle plugtest run coaps://localhost
  coracle plugtest run coaps://localhost --psk device:secret --rpk rpk-key.pem --trust server.pem
  coracle plugtest run localhost:5683 --map /obs=/time --map /test=/hello
  coracle plugtest run localhost --junit junit.xml --json report.json
  coracle plugtest run --list --only 'rfc7959*'
  coracle plugtest run --explain TD_COAP_CORE_21

What the server does not offer is skipped: a case needs resources of the plugtest site, such as
/test, /separate or /large, or others that --map lends. Cases PUT to the resources that they need
or are lent, POST to them and DELETE them: judge no server whose resources matter. In the ladder of
messages below a failure the judge stands on the left, and `>>` marks the message that broke the
rule. -v shows the messages of all cases, and each case that is skipped; -q only the summary.

Exit status: 0 if nothing failed and all could be judged; 1 if something failed or was
inconclusive, if nothing at all could be judged because all was skipped, or if a report could not
be written; 2 if the command line makes no sense; 3 if nothing came from the server at all. Ctrl-C ends the run, and the reports are written.";

/// Options of `coracle plugtest run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The server; `coap://` may be left out. `coap+tcp://` and `coap+ws://` have it judged over TCP and WebSocket,
    /// `coaps://` by DTLS
    #[arg(value_parser = client::parse_uri, required_unless_present_any = ["list", "explain"])]
    uri: Option<String>,

    /// Lend a resource of the server: /obs=/time has /time observed where a case asks for /obs, and also changed and
    /// deleted (PUT, POST, DELETE) where a case does that
    #[arg(long, value_name = "ROLE=PATH", value_parser = parse_map)]
    map: Vec<(String, String)>,

    /// By what the judge proves itself.
    #[command(flatten)]
    keys: KeyArgs,

    /// Which cases.
    #[command(flatten)]
    cases: CaseArgs,

    /// How.
    #[command(flatten)]
    judging: JudgingArgs,

    /// What is written.
    #[command(flatten)]
    reports: ReportArgs,

    /// Which addresses.
    #[command(flatten)]
    family: FamilyArgs,
}

/// Judges, or tells about cases.
pub(super) fn run(args: &RunArgs, console: &Console) -> Result<Exit, CliError> {
    if let Some(told) = args.cases.tell(Role::Server, &args.reports, console) {
        return told;
    }
    check_roles(&args.map)?;
    let uri = args.uri.as_deref().unwrap_or_default();
    let (transport, address) = resolve(uri, args.family)?;
    let cases = args.cases.select(Role::Server, Some(transport))?;
    let keys = args.keys.load(transport)?;
    let subject = Subject::Server {
        transport,
        address,
        uri: uri.to_owned(),
        map: args.map.clone(),
    };
    judging::judge(&subject, (&cases, keys), &args.judging, &args.reports, console)
}

/// Refuses roles that no case knows, and those that are given away twice.
fn check_roles(map: &[(String, String)]) -> Result<(), CliError> {
    let cases = catalogue::all();
    let servers = cases.iter().filter(|case| case.role() == Role::Server);
    let roles: BTreeSet<&str> = servers
        .flat_map(|case| case.needs.iter().chain(case.locks).chain(case.shares).copied())
        .collect();
    let mut given = BTreeSet::new();
    for (role, _) in map {
        if !roles.contains(role.as_str()) {
            let roles: Vec<&str> = roles.into_iter().collect();
            let fault = format!(
                "--map {role}: no case asks for {role}; they ask for {}",
                roles.join(", ")
            );
            return Err(CliError::usage(fault));
        }
        if !given.insert(role) {
            return Err(CliError::usage(format_args!("--map {role} is given twice")));
        }
    }
    Ok(())
}

/// What carries the messages, and the first address of the host.
fn resolve(text: &str, family: FamilyArgs) -> Result<(Transport, SocketAddr), CliError> {
    let uri = Uri::parse(text).map_err(|error| CliError::usage(format_args!("{text}: {error}")))?;
    let transport = match uri.scheme {
        Scheme::Coap => Transport::Udp,
        Scheme::CoapTcp => Transport::Tcp,
        Scheme::CoapWs => Transport::WebSocket,
        Scheme::Coaps => Transport::Dtls,
        scheme => {
            let fault = format!("{text}: the judge has no TLS yet, so that {scheme}:// cannot be judged");
            return Err(CliError::usage(fault).with_hint("coap://, coaps://, coap+tcp:// and coap+ws:// can"));
        }
    };
    if !matches!(uri.path, "" | "/") || uri.query.is_some() {
        let fault = format!("{text}: a server is judged as a whole, without a path");
        return Err(CliError::usage(fault).with_hint("--map names its resources"));
    }
    let host = match uri.host {
        Host::Name(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6 { addr, zone: None } => addr.to_string(),
        Host::Ipv6 {
            addr,
            zone: Some(zone),
        } => format!("{addr}%{zone}"),
    };
    let unknown = |why: &str| CliError::new(format_args!("{text}: {why}")).with_exit(Exit::NoAnswer);
    if uri.port_or_default() == 0 {
        return Err(CliError::usage(format_args!("{text}: no server has port 0")));
    }
    let found = (host.as_str(), uri.port_or_default()).to_socket_addrs();
    let mut found = found.map_err(|_| unknown("the host is unknown"))?;
    let (ipv4, ipv6) = family.wants();
    let address = found
        .find(|address| if address.is_ipv4() { ipv4 } else { ipv6 })
        .ok_or_else(|| unknown("the host has no such address"))?;
    if address.ip().is_multicast() {
        let fault = format!("{text}: a group cannot be judged, only one server");
        return Err(CliError::usage(fault));
    }
    Ok((transport, address))
}

/// Two paths with `=` between them.
fn parse_map(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((role, path)) if role.starts_with('/') && path.starts_with('/') => {
            Ok((role.to_owned(), path.to_owned()))
        }
        _ => Err("not two paths as in /obs=/time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RunArgs,
    }

    fn resolved(text: &str) -> Result<(Transport, SocketAddr), CliError> {
        let line = Line::try_parse_from(["run", text]).map_err(CliError::usage)?;
        resolve(line.args.uri.as_deref().unwrap(), line.args.family)
    }

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        for (text, transport, address) in [
            ("127.0.0.1", Transport::Udp, "127.0.0.1:5683"),
            ("coap://[::1]:9/", Transport::Udp, "[::1]:9"),
            ("coap+tcp://127.0.0.1", Transport::Tcp, "127.0.0.1:5683"),
            ("coap+ws://127.0.0.1", Transport::WebSocket, "127.0.0.1:80"),
            ("coaps://127.0.0.1", Transport::Dtls, "127.0.0.1:5684"),
        ] {
            assert_eq!(resolved(text).unwrap(), (transport, address.parse().unwrap()));
        }
        for wrong in [
            "coaps+tcp://[::1]",
            "coaps+ws://[::1]",
            "[::1]/test",
            "[::1]?a",
            "http://[::1]",
            "224.0.1.187",
            "[ff02::fd]",
            "127.0.0.1:0",
        ] {
            assert_eq!(resolved(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
        assert_eq!(resolved("nobody.invalid").unwrap_err().exit(), Exit::NoAnswer);
    }

    #[test]
    fn a_role_is_one_that_cases_ask_for_and_is_given_once() {
        let check = |roles: &[&str]| {
            let map: Vec<_> = roles
                .iter()
                .map(|&role| (role.to_owned(), "/x".to_owned()))
                .collect();
            check_roles(&map).map_err(|error| error.to_string())
        };
        assert_eq!(check(&["/obs", "/test"]), Ok(()));
        assert!(check(&["/obs", "/obs"]).unwrap_err().contains("twice"));
        let unknown = check(&["/nosuch"]).unwrap_err();
        assert!(
            unknown.contains("/nosuch") && unknown.contains(", /obs, "),
            "{unknown}"
        );
    }

    #[test]
    fn a_map_has_two_paths() {
        assert_eq!(parse_map("/obs=/a=b"), Ok(("/obs".into(), "/a=b".into())));
        for wrong in ["/obs", "obs=/time", "/obs=time", "=", ""] {
            assert!(parse_map(wrong).is_err(), "{wrong}");
        }
    }
}
