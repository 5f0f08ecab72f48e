//! CertificateVerify (RFC 5246 §7.4.8).

use super::Malformed;
use super::codec::{Reader, Writer};

/// The signature over all messages before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CertificateVerify<'a> {
    pub(crate) scheme: u16,
    pub(crate) signature: &'a [u8],
}

impl<'a> CertificateVerify<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let scheme = reader.u16().ok_or(Malformed("algorithm"))?;
        let signature = reader.vec16().filter(|_| reader.is_empty());
        let signature = signature.ok_or(Malformed("signature"))?;
        Ok(Self { scheme, signature })
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.u16(self.scheme);
        w.vec16(self.signature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn it_is_read_and_written() {
        let bytes = [4, 3, 0, 2, 9, 8];
        let verify = CertificateVerify::read(&bytes).unwrap();
        assert_eq!((verify.scheme, verify.signature), (0x0403, &[9, 8][..]));
        let mut out = Vec::new();
        verify.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
        for len in 0..bytes.len() {
            assert!(CertificateVerify::read(&bytes[..len]).is_err());
        }
    }
}
