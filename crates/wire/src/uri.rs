//! CoAP URIs: taken apart and put together (RFC 7252 §6, RFC 8323 §8, syntax of RFC 3986).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::number::OptionNumber;

/// A URI scheme, which chooses the transport (RFC 7252 §6.1, §6.2; RFC 8323 §8.1 to §8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// UDP.
    Coap,
    /// DTLS over UDP.
    Coaps,
    /// TCP.
    CoapTcp,
    /// TLS over TCP.
    CoapsTcp,
    /// WebSocket.
    CoapWs,
    /// WebSocket over TLS.
    CoapsWs,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Scheme; 6] = [
        Scheme::Coap,
        Scheme::Coaps,
        Scheme::CoapTcp,
        Scheme::CoapsTcp,
        Scheme::CoapWs,
        Scheme::CoapsWs,
    ];

    /// The port of a URI that names none.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Coap | Scheme::CoapTcp => 5683,
            Scheme::Coaps | Scheme::CoapsTcp => 5684,
            Scheme::CoapWs => 80,
            Scheme::CoapsWs => 443,
        }
    }

    /// As it stands in a URI, without the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Coap => "coap",
            Scheme::Coaps => "coaps",
            Scheme::CoapTcp => "coap+tcp",
            Scheme::CoapsTcp => "coaps+tcp",
            Scheme::CoapWs => "coap+ws",
            Scheme::CoapsWs => "coaps+ws",
        }
    }

    /// Whether the transport is protected by DTLS or TLS.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Scheme::Coaps | Scheme::CoapsTcp | Scheme::CoapsWs)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Scheme {
    type Err = UriError;

    /// Reads a scheme in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |scheme: &Scheme| scheme.as_str().eq_ignore_ascii_case(text);
        Scheme::ALL
            .into_iter()
            .find(named)
            .ok_or(UriError::new(UriErrorKind::Scheme, 0))
    }
}

/// The host of a URI, or of a request's destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// A registered name as it stands in the URI: any case, perhaps percent-encoded.
    Name(&'a str),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6 {
        /// The address.
        addr: Ipv6Addr,
        /// The zone of a link-local address, for instance `eth0` (RFC 6874). It means nothing to anybody but
        /// this host and is never sent.
        zone: Option<&'a str>,
    },
}

impl Host<'_> {
    /// The address, unless the host is a name.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match *self {
            Host::Name(_) => None,
            Host::Ipv4(addr) => Some(IpAddr::V4(addr)),
            Host::Ipv6 { addr, .. } => Some(IpAddr::V6(addr)),
        }
    }
}

impl From<IpAddr> for Host<'_> {
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => Host::Ipv4(addr),
            IpAddr::V6(addr) => Host::Ipv6 { addr, zone: None },
        }
    }
}

impl fmt::Display for Host<'_> {
    /// As it stands in a URI; addresses in the form of RFC 5952, zones in that of RFC 6874.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ipv4(addr) => addr.fmt(f),
            Host::Ipv6 { addr, zone: None } => write!(f, "[{addr}]"),
            Host::Ipv6 {
                addr,
                zone: Some(zone),
            } => write!(f, "[{addr}%25{zone}]"),
        }
    }
}

/// A URI of one of the CoAP schemes, checked.
///
/// ```
/// use coracle_wire::{Host, Scheme, Uri};
///
/// let uri = Uri::parse("coap://[fe80::1%25eth0]:61616/sensors/temp?unit=c")?;
/// assert_eq!(uri.scheme, Scheme::Coap);
/// assert_eq!(uri.port_or_default(), 61616);
/// assert!(matches!(uri.host, Host::Ipv6 { zone: Some("eth0"), .. }));
/// assert_eq!((uri.path, uri.query), ("/sensors/temp", Some("unit=c")));
/// # Ok::<(), coracle_wire::UriError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uri<'a> {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: Host<'a>,
    /// The port, if there is one.
    pub port: Option<u16>,
    /// The path as it stands in the URI: empty, or a slash and more.
    pub path: &'a str,
    /// The query as it stands in the URI, without the question mark.
    pub query: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Reads an absolute URI.
    ///
    /// What is checked: syntax (RFC 3986), a known scheme, a host, no user information, no fragment. Zones
    /// are taken as RFC 6874 writes them (`[fe80::1%25eth0]`) and as people do (`[fe80::1%eth0]`).
    ///
    /// # Errors
    /// [`UriError`] says what is wrong and where.
    pub fn parse(text: &'a str) -> Result<Uri<'a>, UriError> {
        let (scheme_text, rest) = text
            .split_once(':')
            .ok_or(UriError::new(UriErrorKind::NotAbsolute, 0))?;
        let scheme = scheme_text.parse()?;
        let rest = rest
            .strip_prefix("//")
            .ok_or(UriError::new(UriErrorKind::HostMissing, scheme_text.len() + 1))?;
        let offset = |part: &str| text.len() - part.len();
        let (authority, rest) = split_before(rest, &['/', '?', '#']);
        let (path, tail) = split_before(rest, &['?', '#']);
        let (query, fragment) = split_before(tail, &['#']);
        if !fragment.is_empty() {
            return Err(UriError::new(UriErrorKind::Fragment, offset(fragment)));
        }
        let (host, port) = parse_authority(authority, scheme_text.len() + 3)?;
        check_characters(path, offset(rest), is_path_character)?;
        let query_offset = offset(tail) + 1;
        let query = query.strip_prefix('?');
        check_characters(query.unwrap_or_default(), query_offset, is_query_character)?;
        Ok(Uri {
            scheme,
            host,
            port,
            path,
            query,
        })
    }

    /// The port of the URI or of its scheme.
    #[must_use]
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }
}

impl fmt::Display for Uri<'_> {
    /// The URI as it was read, but for the case of the scheme and the form of addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.path)?;
        match self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

/// Why a text is no CoAP URI, or cannot become options, or options cannot become one; and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriError {
    /// What is wrong.
    pub kind: UriErrorKind,
    /// Where, in bytes from the start of the text; when options are composed, from the start of the value.
    pub offset: usize,
}

impl UriError {
    pub(crate) const fn new(kind: UriErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }
}

/// What can be wrong with a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UriErrorKind {
    /// There is no scheme (RFC 7252 §6.4 step 1).
    NotAbsolute,
    /// The scheme is not one of CoAP's (RFC 7252 §6.4 step 3).
    Scheme,
    /// There is no host (RFC 7252 §6.1).
    HostMissing,
    /// There is user information, which CoAP URIs do not have (RFC 7252 §6.1).
    UserInformation,
    /// The brackets hold no IPv6 address.
    Ipv6Address,
    /// The zone of an IPv6 address is empty or has characters other than letters, digits and `-._~`.
    Zone,
    /// The port is not a number from 0 to 65535.
    Port,
    /// There is a fragment (RFC 7252 §6.4 step 4).
    Fragment,
    /// A character that must be percent-encoded.
    Character(char),
    /// A percent sign without two hexadecimal digits.
    PercentEncoding,
    /// A host, path segment or query argument that is not UTF-8 (RFC 7252 §6.4 step 2).
    NotUtf8,
    /// A host, path segment or query argument of more than 255 bytes (RFC 7252 §5.10.1).
    TooLong {
        /// The option that would hold it.
        number: OptionNumber,
        /// Its length in bytes, decoded.
        len: usize,
    },
    /// A Uri-Host that is no host (RFC 7252 §6.5 step 2).
    InvalidHost,
    /// A Uri-Port of more than 2 bytes (RFC 7252 §5.10.1).
    InvalidPort,
    /// A Uri-Path of `.` or `..`, which no URI can express (RFC 7252 §5.10.1).
    DotSegment,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.kind)
    }
}

impl core::error::Error for UriError {}

impl fmt::Display for UriErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "a URI begins with a scheme, for instance coap:// (RFC 7252 §6.4)",
            Self::Scheme => "the scheme is none of coap, coaps, coap+tcp, coaps+tcp, coap+ws and coaps+ws",
            Self::HostMissing => "// and a host are missing (RFC 7252 §6.1)",
            Self::UserInformation => "CoAP URIs have no user information (RFC 7252 §6.1)",
            Self::Ipv6Address => "no IPv6 address in brackets (RFC 3986 §3.2.2)",
            Self::Zone => "no zone such as %25eth0 (RFC 6874 §2)",
            Self::Port => "the port is no number up to 65535",
            Self::Fragment => "CoAP URIs have no fragment (RFC 7252 §6.4)",
            Self::Character(character) => {
                return write!(f, "{character:?} must be percent-encoded here (RFC 3986 §2)");
            }
            Self::PercentEncoding => "% is not followed by two hexadecimal digits (RFC 3986 §2.1)",
            Self::NotUtf8 => "the decoded bytes are not UTF-8 (RFC 7252 §6.4)",
            Self::TooLong { number, len } => {
                return write!(
                    f,
                    "{number} of {len} bytes, where at most 255 are permitted (RFC 7252 §5.10.1)"
                );
            }
            Self::InvalidHost => "the Uri-Host is no host (RFC 7252 §6.5)",
            Self::InvalidPort => "the Uri-Port has more than 2 bytes (RFC 7252 §5.10.1)",
            Self::DotSegment => "a Uri-Path cannot be . or .. (RFC 7252 §5.10.1)",
        })
    }
}

/// Splits before the first of some characters.
fn split_before<'a>(text: &'a str, ends: &[char]) -> (&'a str, &'a str) {
    let at = text.find(ends).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// Host and port; `start` is where the authority stands in the URI.
fn parse_authority(authority: &str, start: usize) -> Result<(Host<'_>, Option<u16>), UriError> {
    let fail = |kind, at: usize| Err(UriError::new(kind, start + at));
    if authority.contains('@') {
        return fail(UriErrorKind::UserInformation, 0);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => {
            let Some((literal, after)) = literal.split_once(']') else {
                return fail(UriErrorKind::Ipv6Address, 0);
            };
            (parse_ipv6(literal, start + 1)?, after)
        }
        None => {
            let (name, after) = split_before(authority, &[':']);
            (parse_name(name, start)?, after)
        }
    };
    let port_at = authority.len() - port.len();
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok((host, None)),
        None => fail(UriErrorKind::Port, port_at),
        Some("") => Ok((host, None)),
        // The digits are checked because `parse` would take a plus sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
            Ok(port) => Ok((host, Some(port))),
            Err(_) => fail(UriErrorKind::Port, port_at + 1),
        },
        Some(_) => fail(UriErrorKind::Port, port_at + 1),
    }
}

/// What stands in brackets; `start` is where it stands in the URI.
fn parse_ipv6(literal: &str, start: usize) -> Result<Host<'_>, UriError> {
    let (addr, zone) = match literal.split_once('%') {
        None => (literal, None),
        Some((addr, zone)) => (addr, Some(zone.strip_prefix("25").unwrap_or(zone))),
    };
    let is_zone = |zone: &str| !zone.is_empty() && zone.bytes().all(is_unreserved);
    if !zone.is_none_or(is_zone) {
        return Err(UriError::new(UriErrorKind::Zone, start + addr.len()));
    }
    let addr = addr
        .parse()
        .map_err(|_| UriError::new(UriErrorKind::Ipv6Address, start))?;
    Ok(Host::Ipv6 { addr, zone })
}

/// A name or an IPv4 address; `start` is where it stands in the URI.
fn parse_name(name: &str, start: usize) -> Result<Host<'_>, UriError> {
    if name.is_empty() {
        return Err(UriError::new(UriErrorKind::HostMissing, start));
    }
    check_characters(name, start, is_name_character)?;
    Ok(name.parse().map_or(Host::Name(name), Host::Ipv4))
}

/// Checks that all characters are permitted and that percent signs are followed by two digits.
fn check_characters(text: &str, start: usize, permitted: fn(u8) -> bool) -> Result<(), UriError> {
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        let kind = match u8::try_from(character) {
            Ok(b'%') => {
                let digits = [characters.next(), characters.next()];
                let is_digit =
                    |digit: Option<(usize, char)>| digit.is_some_and(|(_, d)| d.is_ascii_hexdigit());
                if digits.into_iter().all(is_digit) {
                    continue;
                }
                UriErrorKind::PercentEncoding
            }
            Ok(byte) if permitted(byte) => continue,
            _ => UriErrorKind::Character(character),
        };
        return Err(UriError::new(kind, start + at));
    }
    Ok(())
}

/// RFC 3986 §2.3.
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 §2.2.
const fn is_sub_delim(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    )
}

/// Characters of a registered name (RFC 3986 §3.2.2).
pub(crate) const fn is_name_character(byte: u8) -> bool {
    is_unreserved(byte) || is_sub_delim(byte)
}

/// Characters of a path segment (RFC 3986 §3.3).
pub(crate) const fn is_segment_character(byte: u8) -> bool {
    is_name_character(byte) || matches!(byte, b':' | b'@')
}

const fn is_path_character(byte: u8) -> bool {
    is_segment_character(byte) || byte == b'/'
}

/// Characters of a query (RFC 3986 §3.4).
pub(crate) const fn is_query_character(byte: u8) -> bool {
    is_path_character(byte) || byte == b'?'
}
