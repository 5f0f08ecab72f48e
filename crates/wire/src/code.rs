//! Codes: what a message is (RFC 7252 §3, §12.1; RFC 8132, RFC 8323 and others register more of them).
//!
//! The code byte is a class of 3 bits and a detail of 5 bits. A method cannot be passed as a status: the three
//! meanings have three types, each keeping values that nobody has registered yet.

use core::fmt;
use core::str::FromStr;

/// The code byte of a message, whatever it means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Code(u8);

impl Code {
    /// 0.00, the code of an Empty message (RFC 7252 §4.1).
    pub const EMPTY: Code = Code(0);

    /// Puts a code together from its class (0 to 7) and detail (0 to 31); higher bits are cut off.
    #[must_use]
    pub const fn new(class: u8, detail: u8) -> Code {
        Code((class & 0x07) << 5 | detail & 0x1f)
    }

    /// The code that a byte stands for.
    #[inline]
    #[must_use]
    pub const fn from_byte(byte: u8) -> Code {
        Code(byte)
    }

    /// The byte on the wire.
    #[inline]
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// The part before the dot, 0 to 7.
    #[inline]
    #[must_use]
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// The part after the dot, 0 to 31.
    #[inline]
    #[must_use]
    pub const fn detail(self) -> u8 {
        self.0 & 0x1f
    }

    /// Whether this is 0.00.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What the code means (RFC 7252 §12.1; class 7: RFC 8323 §11.1).
    #[inline]
    #[must_use]
    pub const fn kind(self) -> CodeKind {
        match self.class() {
            0 if self.is_empty() => CodeKind::Empty,
            0 => CodeKind::Request(Method(self)),
            2..=5 => CodeKind::Response(Status(self)),
            7 => CodeKind::Signal(Signal(self)),
            _ => CodeKind::Reserved,
        }
    }

    /// The registered name: `GET`, `Content`, `CSM`; `None` for unregistered codes and 0.00.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.kind() {
            CodeKind::Request(method) => method.name(),
            CodeKind::Response(status) => status.name(),
            CodeKind::Signal(signal) => signal.name(),
            CodeKind::Empty | CodeKind::Reserved => None,
        }
    }
}

impl fmt::Display for Code {
    /// `c.dd`, for instance `2.05`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

impl FromStr for Code {
    type Err = ParseCodeError;

    /// Reads `c.dd`: one digit up to 7, a dot, two digits up to 31.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let &[class @ b'0'..=b'7', b'.', tens @ b'0'..=b'3', ones @ b'0'..=b'9'] = text.as_bytes() else {
            return Err(ParseCodeError(()));
        };
        let detail = (tens - b'0') * 10 + (ones - b'0');
        if detail > 31 {
            return Err(ParseCodeError(()));
        }
        Ok(Code::new(class - b'0', detail))
    }
}

/// What a [`Code`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeKind {
    /// 0.00: only a message, neither request nor response.
    Empty,
    /// 0.01 to 0.31.
    Request(Method),
    /// 2.00 to 5.31.
    Response(Status),
    /// 7.00 to 7.31, on reliable transports only.
    Signal(Signal),
    /// Classes 1 and 6.
    Reserved,
}

/// A request's method (RFC 7252 §5.8, RFC 8132 §2 to §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method(Code);

impl Method {
    /// 0.01 (RFC 7252).
    pub const GET: Method = Method(Code::new(0, 1));
    /// 0.02 (RFC 7252).
    pub const POST: Method = Method(Code::new(0, 2));
    /// 0.03 (RFC 7252).
    pub const PUT: Method = Method(Code::new(0, 3));
    /// 0.04 (RFC 7252).
    pub const DELETE: Method = Method(Code::new(0, 4));
    /// 0.05 (RFC 8132).
    pub const FETCH: Method = Method(Code::new(0, 5));
    /// 0.06 (RFC 8132).
    pub const PATCH: Method = Method(Code::new(0, 6));
    /// 0.07 (RFC 8132).
    pub const IPATCH: Method = Method(Code::new(0, 7));

    /// Whether it only reads (RFC 7252 §5.1, RFC 8132 §2.1). Unregistered methods count as unsafe.
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Method::GET | Method::FETCH)
    }

    /// Whether doing it twice is the same as doing it once (RFC 7252 §5.1, RFC 8132 §2.1, §3.1).
    /// Unregistered methods count as not idempotent.
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        matches!(
            self,
            Method::GET | Method::PUT | Method::DELETE | Method::FETCH | Method::IPATCH
        )
    }

    /// The registered name, for instance `GET`.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            Method::FETCH => "FETCH",
            Method::PATCH => "PATCH",
            Method::IPATCH => "iPATCH",
            _ => return None,
        })
    }

    const REGISTERED: [Method; 7] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::FETCH,
        Method::PATCH,
        Method::IPATCH,
    ];
}

impl fmt::Display for Method {
    /// The name, or the code if it has none: `GET`, `0.09`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Method({self})")
    }
}

impl FromStr for Method {
    type Err = ParseCodeError;

    /// Reads a name in any case (`get`) or a code (`0.09`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |method: &Method| method.name().is_some_and(|name| name.eq_ignore_ascii_case(text));
        match Method::REGISTERED.into_iter().find(named) {
            Some(method) => Ok(method),
            None => Method::try_from(text.parse::<Code>()?),
        }
    }
}

/// A response's code (RFC 7252 §5.9 and later registrations).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(Code);

impl Status {
    /// 2.01 Created (RFC 7252).
    pub const CREATED: Status = Status(Code::new(2, 1));
    /// 2.02 Deleted (RFC 7252).
    pub const DELETED: Status = Status(Code::new(2, 2));
    /// 2.03 Valid (RFC 7252).
    pub const VALID: Status = Status(Code::new(2, 3));
    /// 2.04 Changed (RFC 7252).
    pub const CHANGED: Status = Status(Code::new(2, 4));
    /// 2.05 Content (RFC 7252).
    pub const CONTENT: Status = Status(Code::new(2, 5));
    /// 2.31 Continue (RFC 7959).
    pub const CONTINUE: Status = Status(Code::new(2, 31));
    /// 4.00 Bad Request (RFC 7252).
    pub const BAD_REQUEST: Status = Status(Code::new(4, 0));
    /// 4.01 Unauthorized (RFC 7252).
    pub const UNAUTHORIZED: Status = Status(Code::new(4, 1));
    /// 4.02 Bad Option (RFC 7252).
    pub const BAD_OPTION: Status = Status(Code::new(4, 2));
    /// 4.03 Forbidden (RFC 7252).
    pub const FORBIDDEN: Status = Status(Code::new(4, 3));
    /// 4.04 Not Found (RFC 7252).
    pub const NOT_FOUND: Status = Status(Code::new(4, 4));
    /// 4.05 Method Not Allowed (RFC 7252).
    pub const METHOD_NOT_ALLOWED: Status = Status(Code::new(4, 5));
    /// 4.06 Not Acceptable (RFC 7252).
    pub const NOT_ACCEPTABLE: Status = Status(Code::new(4, 6));
    /// 4.08 Request Entity Incomplete (RFC 7959).
    pub const REQUEST_ENTITY_INCOMPLETE: Status = Status(Code::new(4, 8));
    /// 4.09 Conflict (RFC 8132).
    pub const CONFLICT: Status = Status(Code::new(4, 9));
    /// 4.12 Precondition Failed (RFC 7252).
    pub const PRECONDITION_FAILED: Status = Status(Code::new(4, 12));
    /// 4.13 Request Entity Too Large (RFC 7252, RFC 7959).
    pub const REQUEST_ENTITY_TOO_LARGE: Status = Status(Code::new(4, 13));
    /// 4.15 Unsupported Content-Format (RFC 7252).
    pub const UNSUPPORTED_CONTENT_FORMAT: Status = Status(Code::new(4, 15));
    /// 4.22 Unprocessable Entity (RFC 8132).
    pub const UNPROCESSABLE_ENTITY: Status = Status(Code::new(4, 22));
    /// 4.29 Too Many Requests (RFC 8516).
    pub const TOO_MANY_REQUESTS: Status = Status(Code::new(4, 29));
    /// 5.00 Internal Server Error (RFC 7252).
    pub const INTERNAL_SERVER_ERROR: Status = Status(Code::new(5, 0));
    /// 5.01 Not Implemented (RFC 7252).
    pub const NOT_IMPLEMENTED: Status = Status(Code::new(5, 1));
    /// 5.02 Bad Gateway (RFC 7252).
    pub const BAD_GATEWAY: Status = Status(Code::new(5, 2));
    /// 5.03 Service Unavailable (RFC 7252).
    pub const SERVICE_UNAVAILABLE: Status = Status(Code::new(5, 3));
    /// 5.04 Gateway Timeout (RFC 7252).
    pub const GATEWAY_TIMEOUT: Status = Status(Code::new(5, 4));
    /// 5.05 Proxying Not Supported (RFC 7252).
    pub const PROXYING_NOT_SUPPORTED: Status = Status(Code::new(5, 5));
    /// 5.08 Hop Limit Reached (RFC 8768).
    pub const HOP_LIMIT_REACHED: Status = Status(Code::new(5, 8));

    /// The class: 2 success, 4 client error, 5 server error; 3 is not used yet.
    #[must_use]
    pub const fn class(self) -> u8 {
        self.0.class()
    }

    /// Class 2 (RFC 7252 §5.9.1).
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// Class 4 (RFC 7252 §5.9.2).
    #[must_use]
    pub const fn is_client_error(self) -> bool {
        self.class() == 4
    }

    /// Class 5 (RFC 7252 §5.9.3).
    #[must_use]
    pub const fn is_server_error(self) -> bool {
        self.class() == 5
    }

    /// The registered name, for instance `Content`.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Status::CREATED => "Created",
            Status::DELETED => "Deleted",
            Status::VALID => "Valid",
            Status::CHANGED => "Changed",
            Status::CONTENT => "Content",
            Status::CONTINUE => "Continue",
            Status::BAD_REQUEST => "Bad Request",
            Status::UNAUTHORIZED => "Unauthorized",
            Status::BAD_OPTION => "Bad Option",
            Status::FORBIDDEN => "Forbidden",
            Status::NOT_FOUND => "Not Found",
            Status::METHOD_NOT_ALLOWED => "Method Not Allowed",
            Status::NOT_ACCEPTABLE => "Not Acceptable",
            Status::REQUEST_ENTITY_INCOMPLETE => "Request Entity Incomplete",
            Status::CONFLICT => "Conflict",
            Status::PRECONDITION_FAILED => "Precondition Failed",
            Status::REQUEST_ENTITY_TOO_LARGE => "Request Entity Too Large",
            Status::UNSUPPORTED_CONTENT_FORMAT => "Unsupported Content-Format",
            Status::UNPROCESSABLE_ENTITY => "Unprocessable Entity",
            Status::TOO_MANY_REQUESTS => "Too Many Requests",
            Status::INTERNAL_SERVER_ERROR => "Internal Server Error",
            Status::NOT_IMPLEMENTED => "Not Implemented",
            Status::BAD_GATEWAY => "Bad Gateway",
            Status::SERVICE_UNAVAILABLE => "Service Unavailable",
            Status::GATEWAY_TIMEOUT => "Gateway Timeout",
            Status::PROXYING_NOT_SUPPORTED => "Proxying Not Supported",
            Status::HOP_LIMIT_REACHED => "Hop Limit Reached",
            _ => return None,
        })
    }

    /// All codes that a response can have, registered or not.
    fn all() -> impl Iterator<Item = Status> {
        (0x40..=0xbf).map(|byte| Status(Code(byte)))
    }
}

impl fmt::Display for Status {
    /// The code and its name, if it has one: `2.05 Content`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({self})")
    }
}

impl FromStr for Status {
    type Err = ParseCodeError;

    /// Reads a code (`2.05`), a name in any case (`content`), or both as displayed (`2.05 Content`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(code) = text.get(..4).and_then(|head| head.parse::<Code>().ok()) {
            let status = Status::try_from(code)?;
            let name = text.get(4..).unwrap_or_default().trim_start();
            let known = name.is_empty() || status.name().is_some_and(|own| own.eq_ignore_ascii_case(name));
            return if known {
                Ok(status)
            } else {
                Err(ParseCodeError(()))
            };
        }
        let named = |status: &Status| status.name().is_some_and(|name| name.eq_ignore_ascii_case(text));
        Status::all().find(named).ok_or(ParseCodeError(()))
    }
}

/// A signaling code of reliable transports (RFC 8323 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(Code);

impl Signal {
    /// 7.01 Capabilities and Settings (RFC 8323 §5.3).
    pub const CSM: Signal = Signal(Code::new(7, 1));
    /// 7.02 (RFC 8323 §5.4).
    pub const PING: Signal = Signal(Code::new(7, 2));
    /// 7.03 (RFC 8323 §5.4).
    pub const PONG: Signal = Signal(Code::new(7, 3));
    /// 7.04 (RFC 8323 §5.5).
    pub const RELEASE: Signal = Signal(Code::new(7, 4));
    /// 7.05 (RFC 8323 §5.6).
    pub const ABORT: Signal = Signal(Code::new(7, 5));

    /// The registered name, for instance `CSM`.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Signal::CSM => "CSM",
            Signal::PING => "Ping",
            Signal::PONG => "Pong",
            Signal::RELEASE => "Release",
            Signal::ABORT => "Abort",
            _ => return None,
        })
    }
}

impl fmt::Display for Signal {
    /// The code and its name, if it has one: `7.01 CSM`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({self})")
    }
}

impl From<Method> for Code {
    fn from(method: Method) -> Code {
        method.0
    }
}

impl From<Status> for Code {
    fn from(status: Status) -> Code {
        status.0
    }
}

impl From<Signal> for Code {
    fn from(signal: Signal) -> Code {
        signal.0
    }
}

impl TryFrom<Code> for Method {
    type Error = ParseCodeError;

    fn try_from(code: Code) -> Result<Self, Self::Error> {
        match code.kind() {
            CodeKind::Request(method) => Ok(method),
            _ => Err(ParseCodeError(())),
        }
    }
}

impl TryFrom<Code> for Status {
    type Error = ParseCodeError;

    fn try_from(code: Code) -> Result<Self, Self::Error> {
        match code.kind() {
            CodeKind::Response(status) => Ok(status),
            _ => Err(ParseCodeError(())),
        }
    }
}

impl TryFrom<Code> for Signal {
    type Error = ParseCodeError;

    fn try_from(code: Code) -> Result<Self, Self::Error> {
        match code.kind() {
            CodeKind::Signal(signal) => Ok(signal),
            _ => Err(ParseCodeError(())),
        }
    }
}

/// The text or code is not of the kind that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseCodeError(());

impl fmt::Display for ParseCodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither a registered name nor a code of this kind such as 0.01 or 2.05 (RFC 7252 §12.1)")
    }
}

impl core::error::Error for ParseCodeError {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_byte_survives_and_has_its_kind() {
        for byte in 0..=255 {
            let code = Code::from_byte(byte);
            assert_eq!(code.to_byte(), byte);
            assert_eq!(Code::new(code.class(), code.detail()), code);
            assert_eq!(code.to_string().parse(), Ok(code));
            let back = match code.kind() {
                CodeKind::Empty => Code::EMPTY,
                CodeKind::Request(method) => method.into(),
                CodeKind::Response(status) => status.into(),
                CodeKind::Signal(signal) => signal.into(),
                CodeKind::Reserved => {
                    assert!(code.class() == 1 || code.class() == 6);
                    code
                }
            };
            assert_eq!(back, code);
        }
    }

    #[test]
    fn names_read_and_print() {
        assert_eq!("get".parse(), Ok(Method::GET));
        assert_eq!("iPatch".parse(), Ok(Method::IPATCH));
        assert_eq!("0.09".parse::<Method>().unwrap().to_string(), "0.09");
        assert!("2.05".parse::<Method>().is_err());
        assert!("0.00".parse::<Method>().is_err());
        assert_eq!("2.05".parse(), Ok(Status::CONTENT));
        assert_eq!("not found".parse(), Ok(Status::NOT_FOUND));
        assert_eq!("4.29 Too Many Requests".parse(), Ok(Status::TOO_MANY_REQUESTS));
        assert!("4.29 Content".parse::<Status>().is_err());
        for wrong in ["", "2", "2.5", "2.32", "8.00", "2.005", "0.01", "2.0\u{fc}"] {
            assert!(wrong.parse::<Status>().is_err(), "{wrong}");
        }
        assert_eq!(
            Status::REQUEST_ENTITY_INCOMPLETE.to_string(),
            "4.08 Request Entity Incomplete"
        );
        assert_eq!(Signal::ABORT.to_string(), "7.05 Abort");
    }

    #[test]
    fn safe_methods_are_idempotent() {
        for method in Method::REGISTERED {
            assert!(!method.is_safe() || method.is_idempotent(), "{method}");
        }
        assert!(!Method::POST.is_idempotent() && !Method::PATCH.is_idempotent());
    }
}
