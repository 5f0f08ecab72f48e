//! Tokens of up to 8 bytes, held inline (RFC 7252 §5.3.1).

use core::fmt;
use core::hash::{Hash, Hasher};

/// The longest token that the extended token lengths can express (RFC 8974 §2.1), in bytes.
pub const MAX_EXTENDED_TOKEN_LEN: usize = 65804;

/// A token of 0 to 8 bytes that owns its bytes.
///
/// This is what an endpoint chooses for its own requests. The token of a received message may be longer
/// (RFC 8974) and is read as a slice from [`Message::token`](crate::Message::token).
#[derive(Clone, Copy, Default)]
pub struct Token {
    bytes: [u8; 8],
    len: u8,
}

impl Token {
    /// The token of no bytes.
    pub const EMPTY: Token = Token {
        bytes: [0; 8],
        len: 0,
    };

    /// The longest token of RFC 7252 §3, in bytes.
    pub const MAX_LEN: usize = 8;

    /// Copies a token; `None` if it has more than 8 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Token> {
        let mut token = Token {
            bytes: [0; 8],
            len: u8::try_from(bytes.len()).ok()?,
        };
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(token)
    }

    /// The token's bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl From<[u8; 8]> for Token {
    fn from(bytes: [u8; 8]) -> Self {
        Token { bytes, len: 8 }
    }
}

impl From<[u8; 4]> for Token {
    fn from([a, b, c, d]: [u8; 4]) -> Self {
        Token {
            bytes: [a, b, c, d, 0, 0, 0, 0],
            len: 4,
        }
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Token {}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl AsRef<[u8]> for Token {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}
