//! HelloVerifyRequest (RFC 6347 §4.2.1).

use super::codec::{Reader, Writer};
use super::{DTLS_1_0, Malformed};

/// The version that it names says nothing about the one that will be negotiated, and is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HelloVerifyRequest<'a> {
    pub(crate) cookie: &'a [u8],
}

impl<'a> HelloVerifyRequest<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        reader.u16().ok_or(Malformed("server_version"))?;
        let cookie = reader.vec8().filter(|_| reader.is_empty());
        Ok(Self {
            cookie: cookie.ok_or(Malformed("cookie"))?,
        })
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.u16(DTLS_1_0);
        w.vec8(self.cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn it_is_read_and_written() {
        let bytes = [0xFE, 0xFF, 3, 7, 8, 9];
        let request = HelloVerifyRequest::read(&bytes).unwrap();
        assert_eq!(request.cookie, [7, 8, 9]);
        let mut out = Vec::new();
        request.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
        for len in 0..bytes.len() {
            assert!(HelloVerifyRequest::read(&bytes[..len]).is_err());
        }
        assert_eq!(
            HelloVerifyRequest::read(&[0xFE, 0xFF, 0, 1]),
            Err(Malformed("cookie"))
        );
    }
}
