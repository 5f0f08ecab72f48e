//! ServerKeyExchange and ClientKeyExchange with pre-shared keys (RFC 4279 §2) and with ephemeral curves (RFC 8422 §5.4, §5.7).

use super::Malformed;
use super::codec::{Reader, Writer};

/// `named_curve`, the only form of curve parameters left (RFC 8422 §5.4).
const NAMED_CURVE: u8 = 3;

/// The hint of a server about which identity to use; this crate sends none and gives none to the caller (RFC 4279 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PskIdentityHint<'a>(pub(crate) &'a [u8]);

impl<'a> PskIdentityHint<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let hint = reader.vec16().filter(|_| reader.is_empty());
        hint.map(Self).ok_or(Malformed("psk_identity_hint"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PskIdentity<'a>(pub(crate) &'a [u8]);

impl<'a> PskIdentity<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let identity = reader.vec16().filter(|_| reader.is_empty());
        identity.map(Self).ok_or(Malformed("psk_identity"))
    }

    pub(crate) fn write(self, w: &mut Writer<'_>) {
        w.vec16(self.0);
    }
}

/// The server's part of an ephemeral key agreement: its share, and the signature over both randoms and the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerEcdhe<'a> {
    pub(crate) group: u16,
    pub(crate) public: &'a [u8],
    pub(crate) scheme: u16,
    pub(crate) signature: &'a [u8],
}

impl<'a> ServerEcdhe<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let curve_type = reader.u8().filter(|&kind| kind == NAMED_CURVE);
        curve_type.ok_or(Malformed("curve_type"))?;
        let group = reader.u16().ok_or(Malformed("namedcurve"))?;
        let public = reader.vec8().filter(|point| !point.is_empty());
        let public = public.ok_or(Malformed("public"))?;
        let scheme = reader.u16().ok_or(Malformed("algorithm"))?;
        let signature = reader.vec16().filter(|_| reader.is_empty());
        Ok(Self {
            group,
            public,
            scheme,
            signature: signature.ok_or(Malformed("signature"))?,
        })
    }

    /// The part that is signed, after both randoms (RFC 8422 §5.4).
    pub(crate) fn write_parameters(group: u16, public: &[u8], w: &mut Writer<'_>) {
        w.u8(NAMED_CURVE);
        w.u16(group);
        w.vec8(public);
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        Self::write_parameters(self.group, self.public, w);
        w.u16(self.scheme);
        w.vec16(self.signature);
    }
}

/// The client's share of an ephemeral key agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientEcdhe<'a>(pub(crate) &'a [u8]);

impl<'a> ClientEcdhe<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let point = reader.vec8().filter(|point| !point.is_empty());
        point
            .filter(|_| reader.is_empty())
            .map(Self)
            .ok_or(Malformed("ecdh_Yc"))
    }

    pub(crate) fn write(self, w: &mut Writer<'_>) {
        w.vec8(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn identities_are_read_and_written() {
        let bytes = [0, 3, b'd', b'e', b'v'];
        let identity = PskIdentity::read(&bytes).unwrap();
        assert_eq!(identity.0, b"dev");
        let mut out = Vec::new();
        identity.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
        assert_eq!(PskIdentityHint::read(&[0, 0]).unwrap().0, b"");
        assert_eq!(PskIdentity::read(&[0, 3, b'd']), Err(Malformed("psk_identity")));
        assert_eq!(
            PskIdentityHint::read(&[0, 0, 0]),
            Err(Malformed("psk_identity_hint"))
        );
    }

    #[test]
    fn a_share_of_the_server_is_read_and_written() {
        let bytes = [3, 0, 29, 2, 0xAB, 0xCD, 8, 7, 0, 1, 0x55];
        let share = ServerEcdhe::read(&bytes).unwrap();
        assert_eq!((share.group, share.scheme), (29, 0x0807));
        assert_eq!(share.public, [0xAB, 0xCD]);
        assert_eq!(share.signature, [0x55]);
        let mut out = Vec::new();
        share.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
        for len in 0..bytes.len() {
            assert!(ServerEcdhe::read(&bytes[..len]).is_err());
        }
        let explicit_prime = [1, 0, 29, 1, 0, 8, 7, 0, 0];
        assert_eq!(ServerEcdhe::read(&explicit_prime), Err(Malformed("curve_type")));
    }

    #[test]
    fn a_share_of_the_client_is_read_and_written() {
        let share = ClientEcdhe::read(&[2, 4, 5]).unwrap();
        assert_eq!(share.0, [4, 5]);
        let mut out = Vec::new();
        share.write(&mut Writer::new(&mut out));
        assert_eq!(out, [2, 4, 5]);
        for bytes in [&[][..], &[0], &[2, 4], &[1, 4, 5]] {
            assert_eq!(ClientEcdhe::read(bytes), Err(Malformed("ecdh_Yc")));
        }
    }
}
