//! URIs to options and back (RFC 7252 §6.4, §6.5).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::number::OptionNumber;
use crate::options::Options;
use crate::options_buf::OptionsBuf;
use crate::uri::{Host, Scheme, Uri, UriError, UriErrorKind};
use crate::uri::{is_name_character, is_query_character, is_segment_character};

/// The longest Uri-Host, Uri-Path and Uri-Query, in bytes (RFC 7252 §5.10.1).
const MAX_COMPONENT_LEN: usize = 255;

impl Uri<'_> {
    /// The options of a request that is sent to the URI's own host and port (RFC 7252 §6.4): Uri-Host if the
    /// host is a name, Uri-Path and Uri-Query; never Uri-Port.
    ///
    /// Segments `.` and `..` are resolved, percent-encoded or not; everything is percent-decoded once.
    ///
    /// # Errors
    /// If a part has more than 255 bytes or is not UTF-8. Offsets count from the start of that part.
    pub fn to_options(&self) -> Result<OptionsBuf, UriError> {
        let mut options = OptionsBuf::new();
        if let Host::Name(_) = self.host {
            push(
                &mut options,
                OptionNumber::URI_HOST,
                Cow::Owned(self.host.to_name()?),
            )?;
        }
        self.push_resource(&mut options)?;
        Ok(options)
    }

    /// The options of a request that is sent somewhere else, for instance to a proxy or a group
    /// (RFC 7252 §6.4): Uri-Host unless the host is the destination's address, Uri-Port unless the port is
    /// the destination's, Uri-Path and Uri-Query.
    ///
    /// # Errors
    /// As [`to_options`](Self::to_options).
    pub fn to_options_via(&self, destination: SocketAddr) -> Result<OptionsBuf, UriError> {
        let mut options = OptionsBuf::new();
        if self.host.ip() != Some(destination.ip()) {
            push(
                &mut options,
                OptionNumber::URI_HOST,
                Cow::Owned(self.host.to_name()?),
            )?;
        }
        if self.port_or_default() != destination.port() {
            options.push_uint(OptionNumber::URI_PORT, u64::from(self.port_or_default()));
        }
        self.push_resource(&mut options)?;
        Ok(options)
    }

    /// The URI of a request (RFC 7252 §6.5), in normal form. `host` and `port` are the request's destination;
    /// Uri-Host and Uri-Port take precedence.
    ///
    /// # Errors
    /// If Uri-Host is no host, Uri-Port is too long, an option is not UTF-8, or a Uri-Path is `.` or `..`.
    pub fn from_options(
        scheme: Scheme,
        host: Host<'_>,
        port: u16,
        options: Options<'_>,
    ) -> Result<String, UriError> {
        let mut uri = String::new();
        // Writing to a string cannot fail.
        let _ = write!(uri, "{scheme}://");
        match options.get(OptionNumber::URI_HOST) {
            Some(value) => push_host(&mut uri, value)?,
            None => drop(write!(uri, "{host}")),
        }
        let port = match options.get_uint(OptionNumber::URI_PORT).map(u16::try_from) {
            Some(Ok(port)) => port,
            Some(Err(_)) => return Err(UriError::new(UriErrorKind::InvalidPort, 0)),
            None => port,
        };
        if port != scheme.default_port() {
            let _ = write!(uri, ":{port}");
        }
        push_reference(&mut uri, options.path(), options.queries())?;
        Ok(uri)
    }

    /// Uri-Path and Uri-Query (RFC 7252 §6.4 steps 8 and 9).
    fn push_resource(&self, options: &mut OptionsBuf) -> Result<(), UriError> {
        for segment in resolved_segments(self.path)? {
            push(options, OptionNumber::URI_PATH, segment)?;
        }
        for argument in self.query.into_iter().flat_map(|query| query.split('&')) {
            push(options, OptionNumber::URI_QUERY, percent_decode(argument)?)?;
        }
        Ok(())
    }
}

impl Host<'_> {
    /// The value of Uri-Host: a name in lower case and decoded (RFC 7252 §6.4 step 5), an address as in a URI
    /// but without its zone.
    ///
    /// # Errors
    /// If the name is not UTF-8 or not percent-encoded correctly.
    pub fn to_name(&self) -> Result<String, UriError> {
        let mut name = String::new();
        match *self {
            Host::Name(raw) => name.push_str(&percent_decode(&raw.to_ascii_lowercase())?),
            Host::Ipv4(addr) => drop(write!(name, "{addr}")),
            Host::Ipv6 { addr, .. } => drop(write!(name, "[{addr}]")),
        }
        Ok(name)
    }
}

impl Options<'_> {
    /// The relative reference in Location-Path and Location-Query (RFC 7252 §5.10.7), percent-encoded:
    /// `/rd/4521`; `None` if there is neither.
    ///
    /// # Errors
    /// If an option is not UTF-8, or a Location-Path is `.` or `..`.
    pub fn location(self) -> Option<Result<String, UriError>> {
        let path = self.get_all(OptionNumber::LOCATION_PATH);
        let queries = self.get_all(OptionNumber::LOCATION_QUERY);
        path.clone().chain(queries.clone()).next()?;
        let mut location = String::new();
        Some(push_reference(&mut location, path, queries).map(|()| location))
    }
}

fn push(options: &mut OptionsBuf, number: OptionNumber, value: Cow<'_, str>) -> Result<(), UriError> {
    let too_long = UriError::new(
        UriErrorKind::TooLong {
            number,
            len: value.len(),
        },
        0,
    );
    if value.len() > MAX_COMPONENT_LEN {
        return Err(too_long);
    }
    options.push_str(number, &value).map_err(|_| too_long)
}

/// The decoded segments of a path without dot segments (RFC 3986 §5.2.4); none for the root.
///
/// `%2e` is a dot as well (RFC 3986 §6.2.2.2): a server never sees a Uri-Path of `..`, which RFC 7252 §5.10.1
/// forbids.
fn resolved_segments(path: &str) -> Result<Vec<Cow<'_, str>>, UriError> {
    let mut segments = Vec::new();
    let Some(path) = path.strip_prefix('/') else {
        return Ok(segments);
    };
    let mut ends_in_directory = false;
    for raw in path.split('/') {
        let segment = percent_decode(raw)?;
        ends_in_directory = matches!(&*segment, "." | "..");
        match &*segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    if ends_in_directory {
        segments.push(Cow::Borrowed(""));
    }
    if let [only] = segments.as_slice()
        && only.is_empty()
    {
        segments.clear();
    }
    Ok(segments)
}

/// Replaces each percent sign and two digits by the byte that they stand for.
fn percent_decode(text: &str) -> Result<Cow<'_, str>, UriError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let offset = text.len() - bytes.len() - 1;
        let malformed = UriError::new(UriErrorKind::PercentEncoding, offset);
        let high = bytes.next().and_then(hex_digit).ok_or(malformed)?;
        let low = bytes.next().and_then(hex_digit).ok_or(malformed)?;
        decoded.push(high << 4 | low);
    }
    let decoded = String::from_utf8(decoded);
    decoded
        .map(Cow::Owned)
        .map_err(|_| UriError::new(UriErrorKind::NotUtf8, 0))
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Path and query (RFC 7252 §6.5 steps 6 to 9).
fn push_reference<'a>(
    out: &mut String,
    path: impl Iterator<Item = &'a [u8]>,
    queries: impl Iterator<Item = &'a [u8]>,
) -> Result<(), UriError> {
    let before = out.len();
    for segment in path {
        if matches!(segment, b"." | b"..") {
            return Err(UriError::new(UriErrorKind::DotSegment, 0));
        }
        out.push('/');
        percent_encode(out, utf8(segment)?, is_segment_character);
    }
    if out.len() == before {
        out.push('/');
    }
    for (index, argument) in queries.enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        percent_encode(out, utf8(argument)?, is_argument_character);
    }
    Ok(())
}

/// A Uri-Host (RFC 7252 §6.5 step 2), in lower case (§6.3).
///
/// Characters that a name cannot have are percent-encoded, which §6.5 asks for those outside of ASCII only:
/// decoding gave them (§6.4 step 5), so that encoding them gives the URI back.
fn push_host(out: &mut String, value: &[u8]) -> Result<(), UriError> {
    let host = utf8(value)?;
    let is_address = host.parse::<Ipv4Addr>().is_ok()
        || host
            .strip_prefix('[')
            .and_then(|literal| literal.strip_suffix(']'))
            .is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok());
    if is_address {
        out.push_str(host);
    } else if host.is_empty() || host.contains(['[', ']']) {
        return Err(UriError::new(UriErrorKind::InvalidHost, 0));
    } else {
        percent_encode(out, &host.to_ascii_lowercase(), is_name_character);
    }
    Ok(())
}

fn utf8(value: &[u8]) -> Result<&str, UriError> {
    core::str::from_utf8(value).map_err(|error| UriError::new(UriErrorKind::NotUtf8, error.valid_up_to()))
}

const fn is_argument_character(byte: u8) -> bool {
    is_query_character(byte) && byte != b'&'
}

fn percent_encode(out: &mut String, text: &str, permitted: fn(u8) -> bool) {
    for byte in text.bytes() {
        if permitted(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
