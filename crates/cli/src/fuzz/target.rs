//! Whom to attack.

use std::net::{SocketAddr, ToSocketAddrs};

use super::args::FuzzArgs;
use crate::error::{CliError, Exit};
use crate::wire::{Host, Scheme, Uri};

/// Where the server is.
pub(super) struct Target {
    /// In the order of the system's preference; not empty.
    pub(super) addresses: Vec<SocketAddr>,
    /// The path of the URI, if it has one.
    pub(super) path: Option<String>,
}

/// Resolves the host of the URI.
pub(super) fn read(args: &FuzzArgs) -> Result<Target, CliError> {
    let uri = Uri::parse(&args.uri).map_err(CliError::usage)?;
    if uri.scheme != Scheme::Coap {
        return Err(CliError::usage(format_args!(
            "{}: only coap:// can be attacked yet",
            args.uri
        )));
    }
    if uri.query.is_some() {
        return Err(CliError::usage("a query makes no sense here"));
    }
    let mut addresses = resolve(&uri).map_err(|error| {
        CliError::io(format_args!("cannot find {}", uri.host), &error).with_exit(Exit::NoAnswer)
    })?;
    let (ipv4, ipv6) = args.family.wants();
    addresses.retain(|address| if address.is_ipv4() { ipv4 } else { ipv6 });
    if addresses.is_empty() {
        let told = CliError::new(format_args!("{} has no address of that family", uri.host));
        return Err(told.with_exit(Exit::NoAnswer));
    }
    if addresses.iter().any(|address| address.ip().is_multicast()) {
        return Err(CliError::usage("a group cannot be attacked: name one server"));
    }
    let path = Some(uri.path.to_owned()).filter(|path| !matches!(path.as_str(), "" | "/"));
    Ok(Target { addresses, path })
}

/// The system knows names, and zones by their names.
fn resolve(uri: &Uri<'_>) -> std::io::Result<Vec<SocketAddr>> {
    let host = match uri.host {
        Host::Ipv6 {
            addr,
            zone: Some(zone),
        } => format!("{addr}%{zone}"),
        Host::Ipv6 { addr, zone: None } => addr.to_string(),
        Host::Ipv4(addr) => addr.to_string(),
        Host::Name(name) => name.to_owned(),
    };
    Ok((host.as_str(), uri.port_or_default())
        .to_socket_addrs()?
        .collect())
}
