//! The addresses to listen on.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use coracle::wire::{Host, Scheme, Uri};
use coracle::{Bound, Config, Endpoint, Error, Interface};

use super::args::ListenArgs;
use crate::client;
use crate::console::Console;
use crate::error::CliError;

/// Ports that are no schemes' own: those of WebSockets are 80 and 443 (RFC 8323 §8.3), where only privileged programs may
/// listen, and web servers do.
const WEBSOCKET_PORT: u16 = 8683;
const SECURE_WEBSOCKET_PORT: u16 = 8684;

/// A place to listen at.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    uri: String,
    /// Nobody asked for it: it is left out, with a word, where another program has it.
    if_free: Option<SocketAddr>,
}

/// Binds all addresses, of this machine only if none is given, and joins groups.
///
/// # Errors
/// If an address makes no sense, cannot be bound, or a group cannot be joined, or what TLS needs cannot be read. Call it
/// within a tokio runtime.
pub(super) fn bind(args: &ListenArgs, config: Config, console: &Console) -> Result<Endpoint, CliError> {
    let tls = args.tls.load()?;
    let endpoint = bind_places(places(args, console)?, console)?;
    let endpoint = match tls {
        Some(tls) => endpoint.with_tls(tls),
        None => endpoint,
    };
    let endpoint = args.credentials.protect(endpoint, console)?;
    join(&endpoint, &args.multicast)?;
    let endpoint = endpoint.with_allowed_origins(&args.connections.allow_origin);
    Ok(endpoint.with_config(config))
}

fn bind_places(places: Vec<Place>, console: &Console) -> Result<Endpoint, CliError> {
    let mut endpoint: Option<Endpoint> = None;
    for Place { uri, if_free } in places {
        if let Some(address) = if_free
            && let Err(error) = TcpListener::bind(address)
        {
            let left_out = CliError::io(format_args!("not listening on {uri}"), &error);
            console.note(&left_out.to_string());
            continue;
        }
        let taken = endpoint.as_ref().map(Endpoint::bound).unwrap_or_default();
        let bound = match endpoint {
            None => Endpoint::bind(&uri),
            Some(endpoint) => endpoint.and_bind(&uri),
        };
        endpoint = Some(bound.map_err(|error| explain(&uri, error, &taken))?);
    }
    // There is at least one place that somebody asked for.
    endpoint.ok_or_else(|| CliError::usage("no address to listen on"))
}

/// Whether peers on other hosts can reach none of the addresses.
pub(super) fn is_local(bound: &[Bound]) -> bool {
    bound
        .iter()
        .all(|bound| bound.address.ip().to_canonical().is_loopback())
}

/// What was asked for, or what is usual.
fn places(args: &ListenArgs, console: &Console) -> Result<Vec<Place>, CliError> {
    let has_tls = args.tls.is_there();
    if args.bind.is_empty() {
        return Ok(usual(has_tls, args.credentials.are_there(), console));
    }
    let mut uris = Vec::new();
    for bind in &args.bind {
        match bind.strip_prefix(':').unwrap_or(bind).parse::<u16>() {
            Ok(port) => {
                let addresses = loopback(console).into_iter();
                uris.extend(addresses.map(|address| format!("coap://{}", SocketAddr::new(address, port))));
            }
            Err(_) => uris.push(uri(bind)?),
        }
    }
    let session = uris.iter().find(|uri| uri.starts_with("coaps://"));
    if let Some(uri) = session.filter(|_| !args.credentials.are_there()) {
        return Err(
            CliError::usage(format_args!("--bind {uri} needs keys")).with_hint(
                "--psk ID:KEY is a pre-shared key, --credentials FILE has others; `coracle keys` makes them",
            ),
        );
    }
    let is_secure = |uri: &String| uri.starts_with("coaps+");
    match uris.iter().find(|uri| is_secure(uri)) {
        Some(uri) if !has_tls => {
            return Err(CliError::usage(format_args!("--bind {uri} needs a certificate"))
                .with_hint("--tls-cert and --tls-key name one, `coracle keys self-signed` makes one"));
        }
        None if has_tls => {
            return Err(
                CliError::usage("--tls-cert is of no use without an address with TLS").with_hint(
                    "add --bind coaps+tcp://ADDR:PORT or coaps+ws://ADDR:PORT, or leave all --bind out",
                ),
            );
        }
        _ => {}
    }
    if let Some(given) = args.connections.given()
        && !uris.iter().any(|uri| client::is_reliable(uri))
    {
        let told = format_args!("{given} is of no use without an address for connections");
        return Err(
            CliError::usage(told).with_hint("add --bind coap+tcp://ADDR:PORT, or leave all --bind out")
        );
    }
    let place = |uri| Place { uri, if_free: None };
    Ok(uris.into_iter().map(place).collect())
}

/// All transports, on this machine only. Datagrams and, with a certificate, TLS are what one starts it for.
fn usual(has_tls: bool, has_credentials: bool, console: &Console) -> Vec<Place> {
    let addresses = loopback(console);
    let mut schemes = vec![
        (Scheme::Coap, Scheme::Coap.default_port(), true),
        (Scheme::CoapTcp, Scheme::CoapTcp.default_port(), false),
        (Scheme::CoapWs, WEBSOCKET_PORT, false),
    ];
    if has_credentials {
        schemes.push((Scheme::Coaps, Scheme::Coaps.default_port(), true));
    }
    if has_tls {
        schemes.push((Scheme::CoapsTcp, Scheme::CoapsTcp.default_port(), true));
        schemes.push((Scheme::CoapsWs, SECURE_WEBSOCKET_PORT, false));
    }
    let mut places = Vec::new();
    for (scheme, port, is_needed) in schemes {
        for address in addresses.iter().map(|address| SocketAddr::new(*address, port)) {
            places.push(Place {
                uri: format!("{scheme}://{address}"),
                if_free: (!is_needed).then_some(address),
            });
        }
    }
    places
}

fn uri(bind: &str) -> Result<String, CliError> {
    if bind.is_empty() {
        return Err(CliError::usage("--bind needs an address, such as 127.0.0.1:5683"));
    }
    Ok(match bind.parse() {
        _ if bind.contains("://") => bind.to_owned(),
        Ok(IpAddr::V6(address)) => format!("coap://[{address}]"),
        _ => format!("coap://{bind}"),
    })
}

/// This machine by IPv4 and, if it has it, IPv6.
fn loopback(console: &Console) -> Vec<IpAddr> {
    let mut addresses = vec![Ipv4Addr::LOCALHOST.into()];
    match UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => addresses.push(Ipv6Addr::LOCALHOST.into()),
        Err(error) => console.note(&format!(
            "without IPv6, which this machine does not have: {error}"
        )),
    }
    addresses
}

/// What can be done about an address that cannot be bound when these are.
fn explain(uri: &str, error: Error, bound: &[Bound]) -> CliError {
    let error = match error {
        Error::Io(error) => error,
        Error::Uri(_) => {
            let example = "an address is 127.0.0.1:5683, [::1]:5683, coap://localhost or coap+tcp://0.0.0.0";
            return CliError::usage(format_args!("--bind {uri}: {error}")).with_hint(example);
        }
        other => return CliError::new(format_args!("cannot listen on {uri}: {other}")),
    };
    let failure = CliError::io(format_args!("cannot listen on {uri}"), &error);
    match error.kind() {
        ErrorKind::AddrInUse if bound.iter().any(|bound| covers(uri, *bound)) => failure.with_hint(
            "this command itself has the port already: [::] takes all addresses of this machine, those of IPv4 too, \
             and 0.0.0.0 all of IPv4; leave one --bind out",
        ),
        ErrorKind::AddrInUse => {
            let (who, scheme) = match uri.split_once("://") {
                Some((scheme, _)) if scheme != "coap" => ("program", format!("{scheme}://")),
                _ => ("CoAP server", String::new()),
            };
            failure.with_hint(format_args!(
                "another {who} has the port, perhaps another coracle serve: `ss -tulnp` tells which; \
                 --bind {scheme}127.0.0.1:0 takes a free port"
            ))
        }
        ErrorKind::AddrNotAvailable => {
            failure.with_hint("this machine does not have the address: `ip address` lists those it has")
        }
        ErrorKind::PermissionDenied => failure.with_hint(
            "ports below 1024 are for privileged programs; WebSockets use 80 and 443 if no other is named",
        ),
        _ => failure,
    }
}

/// Whether an address that is bound takes the port of another one, because one of the two is all addresses or both
/// are the same.
fn covers(uri: &str, bound: Bound) -> bool {
    let Ok(uri) = Uri::parse(uri) else {
        return false;
    };
    let is_datagrams = |scheme: Scheme| matches!(scheme, Scheme::Coap | Scheme::Coaps);
    if is_datagrams(uri.scheme) != is_datagrams(bound.scheme) {
        return false;
    }
    let bound = bound.address;
    let address = match uri.host {
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6 { addr, .. } => IpAddr::V6(addr),
        _ => return false,
    };
    let includes = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    let both = includes(address, bound.ip()) || includes(bound.ip(), address);
    uri.port_or_default() == bound.port() && (both || address == bound.ip())
}

fn join(endpoint: &Endpoint, groups: &[String]) -> Result<(), CliError> {
    let takes = |bound: &Bound| bound.scheme == Scheme::Coap && bound.address.ip().is_unspecified();
    if !groups.is_empty() && !endpoint.bound().iter().any(takes) {
        return Err(
            CliError::usage("--multicast needs an address that takes what is sent to groups")
                .with_hint("add --bind [::] or --bind 0.0.0.0"),
        );
    }
    for group in groups {
        let interface = match group.as_str() {
            "" => Interface::Any,
            name => Interface::from(name),
        };
        endpoint.join_all_coap_nodes(&interface).map_err(|error| {
            let what = format!("cannot join All CoAP Nodes on {}", on(group));
            let failure = match error {
                Error::Io(error) => CliError::io(what, &error),
                error => CliError::new(format_args!("{what}: {error}")),
            };
            failure.with_hint("`ip link` lists the interfaces")
        })?;
    }
    Ok(())
}

fn on(group: &str) -> &str {
    if group.is_empty() {
        "the system's choice of interface"
    } else {
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ColorChoice;
    use crate::error::Exit;

    fn quiet() -> Console {
        Console::new(false, true, ColorChoice::Never)
    }

    #[test]
    fn addresses_become_uris() {
        for (bind, expected) in [
            ("127.0.0.1:5684", "coap://127.0.0.1:5684"),
            ("coaps://127.0.0.1", "coaps://127.0.0.1"),
            ("0.0.0.0", "coap://0.0.0.0"),
            ("::1", "coap://[::1]"),
            ("[::]", "coap://[::]"),
            ("[::1]:0", "coap://[::1]:0"),
            ("localhost:5684", "coap://localhost:5684"),
            ("coap://localhost", "coap://localhost"),
        ] {
            assert_eq!(uri(bind).unwrap(), expected);
        }
        assert_eq!(uri("").unwrap_err().exit(), Exit::Usage);
    }

    fn args(line: &[&str]) -> ListenArgs {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            listen: ListenArgs,
        }
        use clap::Parser;
        Line::parse_from([&["serve"], line].concat()).listen
    }

    fn uris(line: &[&str]) -> Vec<String> {
        let places = places(&args(line), &quiet()).unwrap();
        places.into_iter().map(|place| place.uri).collect()
    }

    #[test]
    fn without_an_address_it_is_this_machine_by_all_transports() {
        let of = |scheme: &str, uris: &[String]| {
            let mine = uris.iter().filter(|uri| uri.starts_with(&format!("{scheme}://")));
            mine.cloned().collect::<Vec<_>>()
        };
        let plain = uris(&[]);
        assert_eq!(of("coap", &plain)[0], "coap://127.0.0.1:5683");
        assert_eq!(of("coap+tcp", &plain)[0], "coap+tcp://127.0.0.1:5683");
        assert_eq!(of("coap+ws", &plain)[0], "coap+ws://127.0.0.1:8683");
        let local = |uri: &String| uri.contains("127.0.0.1") || uri.contains("[::1]");
        assert!(plain.iter().all(local), "{plain:?}");
        assert!(!plain.iter().any(|uri| uri.starts_with("coaps")), "{plain:?}");
        let session = uris(&["--psk", "a:b"]);
        assert_eq!(session[..plain.len()], plain);
        assert_eq!(of("coaps", &session)[0], "coaps://127.0.0.1:5684");
        let secure = uris(&["--tls-cert", "cert.pem"]);
        assert_eq!(secure[..plain.len()], plain);
        assert_eq!(of("coaps+tcp", &secure)[0], "coaps+tcp://127.0.0.1:5684");
        assert_eq!(of("coaps+ws", &secure)[0], "coaps+ws://127.0.0.1:8684");
    }

    #[test]
    fn with_a_port_only_it_is_this_machine_by_datagrams() {
        for port in [":5684", "5684"] {
            let port = uris(&["--bind", port]);
            assert_eq!(port[0], "coap://127.0.0.1:5684");
            assert!(port[1..].iter().all(|uri| uri == "coap://[::1]:5684"), "{port:?}");
        }
    }

    #[test]
    fn what_was_asked_for_is_all_there_is() {
        let binds = ["--bind", "coap+tcp://127.0.0.1:0", "--bind", "coap+ws://[::1]:0"];
        assert_eq!(uris(&binds), ["coap+tcp://127.0.0.1:0", "coap+ws://[::1]:0"]);
    }

    #[test]
    fn a_certificate_and_addresses_with_tls_go_together() {
        let told = |line: &[&str]| {
            let error = places(&args(line), &quiet()).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            error.to_string()
        };
        let without = told(&["--bind", "coaps+tcp://127.0.0.1:0"]);
        assert!(without.contains("coracle keys self-signed"), "{without}");
        let keyless = told(&["--bind", "coaps://127.0.0.1:0"]);
        assert!(keyless.contains("--psk ID:KEY"), "{keyless}");
        let useless = told(&["--bind", "127.0.0.1:0", "--tls-cert", "cert.pem"]);
        assert!(useless.contains("of no use"), "{useless}");
    }

    #[test]
    fn one_address_beyond_this_machine_is_enough() {
        let bound = |addresses: &[&str]| -> Vec<Bound> {
            let bound = |text: &&str| Bound {
                scheme: Scheme::CoapTcp,
                address: text.parse().unwrap(),
            };
            addresses.iter().map(bound).collect()
        };
        assert!(is_local(&bound(&[
            "127.0.0.1:1",
            "[::1]:1",
            "127.9.9.9:1",
            "[::ffff:127.0.0.1]:1"
        ])));
        for beyond in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            assert!(!is_local(&bound(&["127.0.0.1:1", beyond])), "{beyond}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_explained() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = bind(&args(&["--bind", &address]), Config::default(), &quiet()).unwrap_err();
        let told = error.to_string();
        assert_eq!(error.exit(), Exit::Failure);
        assert!(told.starts_with(&format!(
            "cannot listen on coap://{address}: address already in use"
        )));
        assert!(told.contains("--bind 127.0.0.1:0"), "{told}");
    }

    /// Another program has a port that nobody asked for: the others are served.
    #[tokio::test]
    async fn a_usual_port_that_is_taken_is_left_out() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = |uri: String, if_free| Place { uri, if_free };
        let asked = || place("coap://127.0.0.1:0".to_owned(), None);
        let address = taken.local_addr().unwrap();
        let usual = || place(format!("coap+tcp://{address}"), Some(address));
        let schemes = |places| -> Vec<Scheme> {
            let endpoint = bind_places(places, &quiet()).unwrap();
            endpoint.bound().iter().map(|bound| bound.scheme).collect()
        };
        assert_eq!(schemes(vec![asked(), usual()]), [Scheme::Coap]);
        drop(taken);
        assert_eq!(schemes(vec![asked(), usual()]), [Scheme::Coap, Scheme::CoapTcp]);
    }

    #[test]
    fn a_port_that_is_bound_twice_is_told_as_such() {
        let bound = [Bound {
            scheme: Scheme::Coap,
            address: "0.0.0.0:5683".parse().unwrap(),
        }];
        let told =
            |uri, bound: &[Bound]| explain(uri, Error::Io(ErrorKind::AddrInUse.into()), bound).to_string();
        for uri in ["coap://[::]", "coap://[::]:5683", "coap://0.0.0.0"] {
            assert!(told(uri, &bound).contains("leave one --bind out"), "{uri}");
        }
        assert!(told("coap://[::]:5684", &bound).contains("another CoAP server"));
        let by_tcp = told("coap+tcp://[::]", &bound);
        assert!(by_tcp.contains("--bind coap+tcp://127.0.0.1:0 takes"), "{by_tcp}");
        assert!(told("coap://[::1]", &bound).contains("another CoAP server"));
        assert!(told("coap://[::]", &[]).contains("another CoAP server"));
    }

    #[tokio::test]
    async fn nonsense_is_a_fault_of_the_command_line() {
        for line in [
            &["--bind", "coap+nope://x"][..],
            &["--bind", "127.0.0.1:99999"],
            &["--bind", "127.0.0.1:0", "--multicast"],
            &["--bind", "coap+tcp://0.0.0.0:0", "--multicast"],
        ] {
            let error = bind(&args(line), Config::default(), &quiet()).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{line:?}: {error}");
        }
    }
}
