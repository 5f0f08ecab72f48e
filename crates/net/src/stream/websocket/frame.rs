//! The frames of a WebSocket as bytes (RFC 6455 §5).

/// What a frame is (RFC 6455 §5.2, §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xa,
        }
    }

    /// Control frames may stand between the fragments of a message (RFC 6455 §5.5).
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// Bytes that a control frame may carry (RFC 6455 §5.5).
pub(super) const MAX_CONTROL: usize = 125;

/// The longest header: two bytes, a length of eight, a mask of four.
pub(super) const MAX_HEADER: usize = 14;

/// What stands before the payload of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The last fragment of its message, or the only one.
    pub(super) last: bool,
    pub(super) opcode: Opcode,
    /// What the payload is mixed with; clients do, servers do not (RFC 6455 §5.1).
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub(super) len: u64,
}

impl Header {
    /// The header at the start of `bytes` and its own length; `None` if more bytes are needed to tell.
    ///
    /// # Errors
    /// What breaks the protocol, for the close frame.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, &'static str> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err("a reserved bit is set");
        }
        let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
            return Err("an unknown kind of frame");
        };
        let (len, rest) = match second & 0x7f {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            len => (u64::from(len), rest),
        };
        let header = Header {
            last: first & 0x80 != 0,
            opcode,
            mask: None,
            len,
        };
        header.check(second & 0x7f)?;
        if second & 0x80 == 0 {
            return Ok(Some((header, bytes.len() - rest.len())));
        }
        Ok(rest.split_first_chunk().map(|(mask, rest)| {
            let mask = Some(*mask);
            (Header { mask, ..header }, bytes.len() - rest.len())
        }))
    }

    /// RFC 6455 §5.2: a length takes as few bytes as it can, and its first bit is 0; §5.5: control frames are short and
    /// whole.
    fn check(&self, short_len: u8) -> Result<(), &'static str> {
        let least = match short_len {
            126 => 126,
            127 => 1 << 16,
            _ => 0,
        };
        if self.len < least || self.len >> 63 != 0 {
            return Err("a length in a wrong form");
        }
        if self.opcode.is_control() && (!self.last || self.len > MAX_CONTROL as u64) {
            return Err("a control frame that is too long or in pieces");
        }
        Ok(())
    }
}

/// Appends a whole message or control frame.
pub(super) fn append(bytes: &mut Vec<u8>, opcode: Opcode, mask: Option<[u8; 4]>, payload: &[u8]) {
    bytes.reserve(MAX_HEADER + payload.len());
    append_header(bytes, opcode, mask, payload.len());
    append_mixed(bytes, payload, mask.unwrap_or_default());
}

/// Appends what stands before a payload of `len` bytes.
pub(super) fn append_header(bytes: &mut Vec<u8>, opcode: Opcode, mask: Option<[u8; 4]>, len: usize) {
    bytes.push(0x80 | opcode.bits());
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ ..126), _) => bytes.push(masked | len),
        (_, Ok(len)) => {
            bytes.push(masked | 126);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            bytes.push(masked | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if let Some(mask) = mask {
        bytes.extend_from_slice(&mask);
    }
}

/// Appends a payload mixed with the mask, which begins at its first byte (RFC 6455 §5.3). The same undoes it.
pub(super) fn append_mixed(bytes: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    if mask == [0; 4] {
        return;
    }
    let (words, rest) = bytes.get_mut(start..).unwrap_or_default().as_chunks_mut::<4>();
    let word = u32::from_ne_bytes(mask);
    for mixed in words {
        *mixed = (u32::from_ne_bytes(*mixed) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of RFC 6455 §5.7 that are whole.
    #[test]
    fn the_examples_of_the_rfc_come_out() {
        let built = |opcode, mask, payload: &[u8]| {
            let mut bytes = Vec::new();
            append(&mut bytes, opcode, mask, payload);
            bytes
        };
        assert_eq!(
            built(Opcode::Text, None, b"Hello"),
            [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
        );
        assert_eq!(
            built(Opcode::Text, Some([0x37, 0xfa, 0x21, 0x3d]), b"Hello"),
            [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );
        assert_eq!(built(Opcode::Ping, None, b"Hello")[..2], [0x89, 0x05]);
        assert_eq!(
            built(Opcode::Binary, None, &[0; 256])[..4],
            [0x82, 0x7e, 0x01, 0x00]
        );
        assert_eq!(
            built(Opcode::Binary, None, &[0; 65536])[..10],
            [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]
        );
    }

    #[test]
    fn a_header_reads_as_it_was_written_and_is_not_guessed_before() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut bytes = Vec::new();
                append(&mut bytes, Opcode::Binary, mask, &vec![0; len]);
                let wanted = Header {
                    last: true,
                    opcode: Opcode::Binary,
                    mask,
                    len: len as u64,
                };
                let header_len = bytes.len() - len;
                assert_eq!(Header::parse(&bytes), Ok(Some((wanted, header_len))), "{len}");
                for cut in 0..header_len {
                    assert_eq!(Header::parse(&bytes[..cut]), Ok(None), "{len} cut to {cut}");
                }
            }
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_told() {
        let broken: [(&[u8], &str); 8] = [
            (&[0xc2, 0], "a reserved bit is set"),
            (&[0x83, 0], "an unknown kind of frame"),
            (&[0x8b, 0], "an unknown kind of frame"),
            (&[0x82, 126, 0, 125], "a length in a wrong form"),
            (
                &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
                "a length in a wrong form",
            ),
            (
                &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
                "a length in a wrong form",
            ),
            (&[0x09, 0], "a control frame that is too long or in pieces"),
            (
                &[0x88, 126, 0, 126],
                "a control frame that is too long or in pieces",
            ),
        ];
        for (bytes, what) in broken {
            assert_eq!(Header::parse(bytes), Err(what), "{bytes:x?}");
        }
    }

    #[test]
    fn the_mask_goes_on_through_any_length() {
        let payload: Vec<u8> = (0..23).collect();
        for len in 0..payload.len() {
            let mut mixed = vec![9];
            append_mixed(&mut mixed, &payload[..len], [1, 2, 3, 4]);
            let wanted = (0..len).map(|at| payload[at] ^ [1, 2, 3, 4][at % 4]);
            assert!(mixed[1..].iter().copied().eq(wanted), "{len}");
        }
    }
}
