//! Whom to attack.

use std::net::SocketAddr;

use super::args::FuzzArgs;
use crate::addresses;
use crate::error::CliError;
use crate::wire::{Scheme, Uri};

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
    let addresses = addresses::of(&uri, args.family)?;
    if addresses.iter().any(|address| address.ip().is_multicast()) {
        return Err(CliError::usage("a group cannot be attacked: name one server"));
    }
    let path = Some(uri.path.to_owned()).filter(|path| !matches!(path.as_str(), "" | "/"));
    Ok(Target { addresses, path })
}
