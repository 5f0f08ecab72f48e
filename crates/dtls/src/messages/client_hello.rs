//! ClientHello (RFC 6347 §4.2.1, RFC 5246 §7.4.1.2).

use super::Malformed;
use super::codec::{Codes, Reader, Writer};
use super::extensions::ClientExtensions;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientHello<'a> {
    pub(crate) start: ClientHelloStart<'a>,
    pub(crate) cipher_suites: Codes<'a>,
    pub(crate) compression_methods: &'a [u8],
    pub(crate) extensions: ClientExtensions<'a>,
}

/// The fields up to the cookie: all that is looked at before an address is proved. The first fragment of a ClientHello is
/// enough for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientHelloStart<'a> {
    pub(crate) version: u16,
    pub(crate) random: &'a [u8; 32],
    /// At most 32 bytes.
    pub(crate) session_id: &'a [u8],
    pub(crate) cookie: &'a [u8],
}

impl<'a> ClientHelloStart<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            version: reader.u16().ok_or(Malformed("client_version"))?,
            random: reader.array().ok_or(Malformed("random"))?,
            session_id: session_id(reader)?,
            cookie: reader.vec8().ok_or(Malformed("cookie"))?,
        })
    }
}

/// The session_id of a hello: 0 to 32 bytes.
pub(super) fn session_id<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let id = reader.vec8().filter(|id| id.len() <= 32);
    id.ok_or(Malformed("session_id"))
}

impl<'a> ClientHello<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let start = ClientHelloStart::read(&mut reader)?;
        let suites = reader.vec16().and_then(Codes::new);
        let compression = reader.vec8().filter(|methods| !methods.is_empty());
        Ok(Self {
            start,
            cipher_suites: suites.ok_or(Malformed("cipher_suites"))?,
            compression_methods: compression.ok_or(Malformed("compression_methods"))?,
            extensions: ClientExtensions::read(&mut reader)?,
        })
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.u16(self.start.version);
        w.put(self.start.random);
        w.vec8(self.start.session_id);
        w.vec8(self.start.cookie);
        w.vec16(self.cipher_suites.as_bytes());
        w.vec8(self.compression_methods);
        self.extensions.write(w);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A ClientHello with one suite, a cookie and the extended master secret.
    fn bytes() -> Vec<u8> {
        let mut bytes = [0xFE, 0xFD].to_vec();
        bytes.extend([0x52; 32]);
        bytes.extend([1, 0xAA]); // session_id
        bytes.extend([2, 0xC0, 0x0C]); // cookie
        bytes.extend([0, 2, 0xC0, 0xA8]); // cipher_suites
        bytes.extend([1, 0]); // compression_methods
        bytes.extend([0, 4, 0, 23, 0, 0]);
        bytes
    }

    #[test]
    fn it_is_read_and_written() {
        let bytes = bytes();
        let hello = ClientHello::read(&bytes).unwrap();
        assert_eq!(hello.start.version, 0xFEFD);
        assert_eq!(hello.start.random, &[0x52; 32]);
        assert_eq!(hello.start.session_id, [0xAA]);
        assert_eq!(hello.start.cookie, [0xC0, 0x0C]);
        assert_eq!(hello.cipher_suites.iter().collect::<Vec<_>>(), [0xC0A8]);
        assert_eq!(hello.compression_methods, [0]);
        assert!(hello.extensions.extended_master_secret);
        let mut out = Vec::new();
        hello.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
    }

    #[test]
    fn what_is_cut_is_malformed() {
        let bytes = bytes();
        let without_extensions = bytes.len() - 6;
        for len in 0..bytes.len() {
            let found = ClientHello::read(&bytes[..len]);
            assert_eq!(found.is_ok(), len == without_extensions, "cut at {len}");
        }
    }

    #[test]
    fn a_session_id_has_at_most_32_bytes() {
        let mut long = [0xFE, 0xFD].to_vec();
        long.extend([0; 32]);
        long.push(33);
        long.extend([0; 33]);
        long.extend([0, 0, 2, 0xC0, 0xA8, 1, 0]);
        assert_eq!(ClientHello::read(&long), Err(Malformed("session_id")));
    }
}
