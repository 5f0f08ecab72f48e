//! Where the server of a URI is.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::client::FamilyArgs;
use crate::error::{CliError, Exit};
use crate::wire::{Host, Uri};

/// The addresses of the URI's host that the user wants, in the order of the system's preference; not empty.
pub(crate) fn of(uri: &Uri<'_>, family: FamilyArgs) -> Result<Vec<SocketAddr>, CliError> {
    let mut addresses = resolve(uri).map_err(|error| {
        CliError::io(format_args!("cannot find {}", uri.host), &error).with_exit(Exit::NoAnswer)
    })?;
    let (ipv4, ipv6) = family.wants();
    addresses.retain(|address| if address.is_ipv4() { ipv4 } else { ipv6 });
    if addresses.is_empty() {
        let told = CliError::new(format_args!("{} has no address of that family", uri.host));
        return Err(told.with_exit(Exit::NoAnswer));
    }
    Ok(addresses)
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
