//! From a URI to addresses and options.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use coracle_wire::{Host, OptionNumber, OptionsBuf, Scheme, Uri};

use crate::client::pool::Origin;
use crate::error::Error;

/// Which addresses of a host are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// All, in the system's order.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl Family {
    fn has(self, address: IpAddr) -> bool {
        match self {
            Family::Any => true,
            Family::Ipv4 => address.is_ipv4(),
            Family::Ipv6 => address.is_ipv6(),
        }
    }
}

/// A URI taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    host: Name,
    pub(crate) port: u16,
    pub(crate) options: OptionsBuf,
}

#[derive(Clone, Debug)]
enum Name {
    Address(IpAddr, Option<String>),
    Name(String),
}

impl Target {
    /// Takes a URI apart (RFC 7252 §6.4).
    pub(crate) fn parse(text: &str) -> Result<Target, Error> {
        let uri = Uri::parse(text).map_err(|error| Error::Uri(error.to_string()))?;
        if uri.scheme != Scheme::Coap && uri.host.ip().is_some_and(|address| address.is_multicast()) {
            let text = format!("groups are reached with {}:// only", Scheme::Coap);
            return Err(Error::Uri(text));
        }
        let options = uri.to_options().map_err(|error| Error::Uri(error.to_string()))?;
        let host = match uri.host {
            Host::Ipv4(address) => Name::Address(address.into(), None),
            Host::Ipv6 { addr, zone } => Name::Address(addr.into(), zone.map(String::from)),
            Host::Name(_) => Name::Name(
                uri.host
                    .to_name()
                    .map_err(|error| Error::Uri(error.to_string()))?,
            ),
        };
        Ok(Target {
            scheme: uri.scheme,
            host,
            port: uri.port_or_default(),
            options,
        })
    }

    /// Whether messages go on a connection (RFC 8323).
    pub(super) fn is_reliable(&self) -> bool {
        !matches!(self.scheme, Scheme::Coap | Scheme::Coaps)
    }

    /// To whom a connection leads.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            scheme: self.scheme,
            host: match &self.host {
                Name::Address(address, None) => address.to_string(),
                Name::Address(address, Some(zone)) => format!("{address}%{zone}"),
                Name::Name(name) => name.clone(),
            },
            port: self.port,
        }
    }

    /// Asks for `path`, of one or more segments, where the URI has none.
    pub(crate) fn default_path(&mut self, path: &str) -> Result<(), Error> {
        if !self.options.contains(OptionNumber::URI_PATH) {
            for segment in path.split('/') {
                self.options
                    .push_str(OptionNumber::URI_PATH, segment)
                    .map_err(|error| Error::Uri(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// The addresses of the host, at least one.
    pub(crate) async fn resolve(&self, family: Family) -> Result<Vec<SocketAddr>, Error> {
        let (name, addresses) = match &self.host {
            Name::Address(address, zone) => (
                address.to_string(),
                vec![self.literal(*address, zone.as_deref())?],
            ),
            Name::Name(name) => {
                let found = tokio::net::lookup_host((name.as_str(), self.port)).await;
                let found = found.map_err(|error| Error::Resolve {
                    host: name.clone(),
                    source: Some(error),
                })?;
                (name.clone(), found.collect())
            }
        };
        let usable: Vec<_> = addresses
            .into_iter()
            .filter(|address| family.has(address.ip()))
            .collect();
        if usable.is_empty() {
            return Err(Error::Resolve {
                host: name,
                source: None,
            });
        }
        Ok(usable)
    }

    fn literal(&self, address: IpAddr, zone: Option<&str>) -> Result<SocketAddr, Error> {
        match (address, zone) {
            (IpAddr::V6(address), Some(zone)) => {
                let scope = interface_index(zone)?;
                // The system names the scope of link-local addresses only, in what it receives from them.
                let scope = if needs_scope(address) { scope } else { 0 };
                Ok(SocketAddrV6::new(address, self.port, 0, scope).into())
            }
            _ => Ok(SocketAddr::new(address, self.port)),
        }
    }
}

fn needs_scope(address: Ipv6Addr) -> bool {
    let [first, ..] = address.segments();
    address.is_unicast_link_local() || address.is_multicast() && first & 0x000f < 0x000e
}

/// The index of an interface by its number or name.
fn interface_index(zone: &str) -> Result<u32, Error> {
    coracle_net::Interface::from(zone)
        .index()
        .map_err(|error| Error::Uri(format!("interface {zone}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_literal_needs_no_resolver() {
        let target = Target::parse("coap://[2001:db8::1]:61616/a?b").unwrap();
        let expected: SocketAddr = "[2001:db8::1]:61616".parse().unwrap();
        assert_eq!(target.resolve(Family::Any).await.unwrap(), [expected]);
        assert!(matches!(
            target.resolve(Family::Ipv4).await,
            Err(Error::Resolve { .. })
        ));
    }

    #[test]
    fn no_connection_leads_to_a_group() {
        for uri in [
            "coap+tcp://224.0.1.187",
            "coaps+ws://[ff02::fd]",
            "coaps://[ff02::fd]",
        ] {
            let told = Target::parse(uri).unwrap_err().to_string();
            assert!(told.contains("with coap:// only"), "{told}");
        }
        assert!(Target::parse("coap://224.0.1.187").is_ok());
    }

    #[test]
    fn other_schemes_are_refused() {
        assert!(matches!(Target::parse("http://host/"), Err(Error::Uri(_))));
        assert_eq!(Target::parse("coaps://host/").unwrap().port, 5684);
    }

    #[test]
    fn the_default_path_stands_only_where_there_is_none() {
        let mut target = Target::parse("coap://host?rt=a").unwrap();
        target.default_path(".well-known/core").unwrap();
        assert_eq!(
            target.options.as_options().path().collect::<Vec<_>>(),
            [&b".well-known"[..], b"core"]
        );
        let mut target = Target::parse("coap://host/x").unwrap();
        target.default_path(".well-known/core").unwrap();
        assert_eq!(target.options.as_options().path().count(), 1);
    }
}
