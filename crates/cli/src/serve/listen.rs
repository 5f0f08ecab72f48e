//! The addresses to listen on.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use coracle::wire::{Host, Uri};
use coracle::{Config, Endpoint, Error, Interface};

use crate::console::Console;
use crate::error::CliError;

/// Binds all addresses, of this machine only if none is given, and joins groups.
///
/// # Errors
/// If an address makes no sense, cannot be bound, or a group cannot be joined. Call it within a tokio runtime.
pub(super) fn bind(
    binds: &[String],
    groups: &[String],
    config: Config,
    console: &Console,
) -> Result<Endpoint, CliError> {
    let mut endpoint: Option<Endpoint> = None;
    for uri in uris(binds, console)? {
        let taken = endpoint.as_ref().map(Endpoint::local_addrs).unwrap_or_default();
        let bound = match endpoint {
            None => Endpoint::bind(&uri),
            Some(endpoint) => endpoint.and_bind(&uri),
        };
        endpoint = Some(bound.map_err(|error| explain(&uri, error, &taken))?);
    }
    // `uris` gives at least one.
    let endpoint = endpoint.ok_or_else(|| CliError::usage("no address to listen on"))?;
    join(&endpoint, groups)?;
    Ok(endpoint.with_config(config))
}

/// Whether peers on other hosts can reach none of the addresses.
pub(super) fn is_local(addresses: &[SocketAddr]) -> bool {
    addresses
        .iter()
        .all(|address| address.ip().to_canonical().is_loopback())
}

/// What was asked for as URIs.
fn uris(binds: &[String], console: &Console) -> Result<Vec<String>, CliError> {
    if binds.is_empty() {
        return Ok(loopback("", console));
    }
    let mut uris = Vec::new();
    for bind in binds {
        match bind.strip_prefix(':').unwrap_or(bind).parse::<u16>() {
            Ok(port) => uris.extend(loopback(&format!(":{port}"), console)),
            Err(_) => uris.push(uri(bind)?),
        }
    }
    Ok(uris)
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

/// This machine by IPv4 and, if it has it, IPv6; `port` begins with a colon or is empty.
fn loopback(port: &str, console: &Console) -> Vec<String> {
    let mut uris = vec![format!("coap://{}{port}", Ipv4Addr::LOCALHOST)];
    match UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => uris.push(format!("coap://[{}]{port}", Ipv6Addr::LOCALHOST)),
        Err(error) => console.note(&format!(
            "without IPv6, which this machine does not have: {error}"
        )),
    }
    uris
}

/// What can be done about an address that cannot be bound when these are.
fn explain(uri: &str, error: Error, bound: &[SocketAddr]) -> CliError {
    let error = match error {
        Error::Io(error) => error,
        Error::Uri(_) => {
            let example = "an address is 127.0.0.1:5683, [::1]:5683 or coap://localhost";
            return CliError::usage(format_args!("--bind {uri}: {error}")).with_hint(example);
        }
        other => return CliError::new(format_args!("cannot listen on {uri}: {other}")),
    };
    let failure = CliError::io(format_args!("cannot listen on {uri}"), &error);
    match error.kind() {
        ErrorKind::AddrInUse if bound.iter().any(|address| covers(uri, *address)) => failure.with_hint(
            "this command itself has the port already: [::] takes all addresses of this machine, those of IPv4 too, \
             and 0.0.0.0 all of IPv4; leave one --bind out",
        ),
        ErrorKind::AddrInUse => failure.with_hint(
            "another CoAP server has the port, perhaps another coracle serve: `ss -lunp` tells which; \
             --bind 127.0.0.1:0 takes a free port",
        ),
        ErrorKind::AddrNotAvailable => {
            failure.with_hint("this machine does not have the address: `ip address` lists those it has")
        }
        ErrorKind::PermissionDenied => failure.with_hint("ports below 1024 are for privileged programs"),
        _ => failure,
    }
}

/// Whether an address that is bound takes the port of another one, because one of the two is all addresses or both
/// are the same.
fn covers(uri: &str, bound: SocketAddr) -> bool {
    let Ok(uri) = Uri::parse(uri) else {
        return false;
    };
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
    let unspecified = |address: &SocketAddr| address.ip().is_unspecified();
    if !groups.is_empty() && !endpoint.local_addrs().iter().any(unspecified) {
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

    #[test]
    fn without_an_address_and_with_a_port_only_it_is_this_machine() {
        let default = uris(&[], &quiet()).unwrap();
        assert_eq!(default[0], "coap://127.0.0.1");
        for port in [":5684", "5684"] {
            let port = uris(&[port.into()], &quiet()).unwrap();
            assert_eq!(port[0], "coap://127.0.0.1:5684");
            assert!(
                port.iter()
                    .chain(&default)
                    .all(|uri| uri.contains("127.0.0.1") || uri.contains("[::1]"))
            );
        }
    }

    #[test]
    fn one_address_beyond_this_machine_is_enough() {
        let addresses =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        assert!(is_local(&addresses(&[
            "127.0.0.1:1",
            "[::1]:1",
            "127.9.9.9:1",
            "[::ffff:127.0.0.1]:1"
        ])));
        for beyond in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            assert!(!is_local(&addresses(&["127.0.0.1:1", beyond])), "{beyond}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_explained() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = bind(std::slice::from_ref(&address), &[], Config::default(), &quiet()).unwrap_err();
        let told = error.to_string();
        assert_eq!(error.exit(), Exit::Failure);
        assert!(told.starts_with(&format!(
            "cannot listen on coap://{address}: address already in use"
        )));
        assert!(told.contains("--bind 127.0.0.1:0"), "{told}");
    }

    #[test]
    fn a_port_that_is_bound_twice_is_told_as_such() {
        let bound: [SocketAddr; 1] = ["0.0.0.0:5683".parse().unwrap()];
        let told = |uri, bound: &[SocketAddr]| {
            explain(uri, Error::Io(ErrorKind::AddrInUse.into()), bound).to_string()
        };
        for uri in ["coap://[::]", "coap://[::]:5683", "coap://0.0.0.0"] {
            assert!(told(uri, &bound).contains("leave one --bind out"), "{uri}");
        }
        assert!(told("coap://[::]:5684", &bound).contains("another CoAP server"));
        assert!(told("coap://[::1]", &bound).contains("another CoAP server"));
        assert!(told("coap://[::]", &[]).contains("another CoAP server"));
    }

    #[tokio::test]
    async fn nonsense_is_a_fault_of_the_command_line() {
        for (binds, groups) in [
            ("coap+nope://x", None),
            ("127.0.0.1:99999", None),
            ("127.0.0.1:0", Some("")),
        ] {
            let groups: Vec<String> = groups.into_iter().map(String::from).collect();
            let error = bind(&[binds.into()], &groups, Config::default(), &quiet()).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{binds}: {error}");
        }
    }
}
