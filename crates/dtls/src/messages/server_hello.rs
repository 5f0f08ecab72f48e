//! ServerHello (RFC 5246 §7.4.1.3).

use super::Malformed;
use super::client_hello::session_id;
use super::codec::{Reader, Writer};
use super::extensions::ServerExtensions;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello<'a> {
    pub(crate) version: u16,
    pub(crate) random: &'a [u8; 32],
    /// At most 32 bytes.
    pub(crate) session_id: &'a [u8],
    pub(crate) cipher_suite: u16,
    pub(crate) compression_method: u8,
    pub(crate) extensions: ServerExtensions<'a>,
}

impl<'a> ServerHello<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        Ok(Self {
            version: reader.u16().ok_or(Malformed("server_version"))?,
            random: reader.array().ok_or(Malformed("random"))?,
            session_id: session_id(&mut reader)?,
            cipher_suite: reader.u16().ok_or(Malformed("cipher_suite"))?,
            compression_method: reader.u8().ok_or(Malformed("compression_method"))?,
            extensions: ServerExtensions::read(&mut reader)?,
        })
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.u16(self.version);
        w.put(self.random);
        w.vec8(self.session_id);
        w.u16(self.cipher_suite);
        w.u8(self.compression_method);
        self.extensions.write(w);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn it_is_read_and_written() {
        let mut bytes = [0xFE, 0xFD].to_vec();
        bytes.extend([0x53; 32]);
        bytes.extend([2, 1, 2, 0xC0, 0xAE, 0]);
        bytes.extend([0, 5, 0xFF, 1, 0, 1, 0]);
        let hello = ServerHello::read(&bytes).unwrap();
        assert_eq!(hello.random, &[0x53; 32]);
        assert_eq!(hello.session_id, [1, 2]);
        assert_eq!(hello.cipher_suite, 0xC0AE);
        assert_eq!(hello.extensions.renegotiation_info, Some(&[][..]));
        let mut out = Vec::new();
        hello.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
        let without_extensions = bytes.len() - 7;
        for len in 0..bytes.len() {
            assert_eq!(
                ServerHello::read(&bytes[..len]).is_ok(),
                len == without_extensions,
                "cut at {len}"
            );
        }
    }
}
