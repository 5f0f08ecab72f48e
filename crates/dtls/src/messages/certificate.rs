//! Certificate in its two forms, a chain (RFC 5246 §7.4.2) or a raw public key (RFC 7250 §3), and CertificateRequest
//! (RFC 5246 §7.4.4).

use super::Malformed;
use super::codec::{Codes, Reader, Writer};

/// Certificates in DER, the one of the sender first. Empty where a client has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CertificateChain<'a>(&'a [u8]);

impl<'a> CertificateChain<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        const WHAT: Malformed = Malformed("certificate_list");
        let mut reader = Reader::new(body);
        let list = reader.vec24().filter(|_| reader.is_empty()).ok_or(WHAT)?;
        let mut certificates = Reader::new(list);
        while !certificates.is_empty() {
            certificates.vec24().filter(|der| !der.is_empty()).ok_or(WHAT)?;
        }
        Ok(Self(list))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let mut reader = Reader::new(self.0);
        core::iter::from_fn(move || reader.vec24())
    }

    pub(crate) fn write<'c>(chain: impl Iterator<Item = &'c [u8]>, w: &mut Writer<'_>) {
        w.prefixed24(|w| {
            for der in chain {
                w.vec24(der);
            }
        });
    }
}

/// The SubjectPublicKeyInfo of the sender in DER. Empty where a client has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawPublicKey<'a>(pub(crate) &'a [u8]);

impl<'a> RawPublicKey<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let key = reader.vec24().filter(|_| reader.is_empty());
        key.map(Self).ok_or(Malformed("ASN.1_subjectPublicKeyInfo"))
    }

    pub(crate) fn write(self, w: &mut Writer<'_>) {
        w.vec24(self.0);
    }
}

/// `ecdsa_sign`, which stands for Ed25519 too (RFC 8422 §5.5).
pub(crate) const CLIENT_CERTIFICATE_ECDSA_SIGN: u8 = 64;

/// What kinds of keys a server takes from a client. The names of authorities are not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CertificateRequest<'a> {
    pub(crate) certificate_types: &'a [u8],
    pub(crate) signature_schemes: Codes<'a>,
}

impl<'a> CertificateRequest<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let types = reader.vec8().filter(|types| !types.is_empty());
        let schemes = reader.vec16().and_then(Codes::new);
        let found = Self {
            certificate_types: types.ok_or(Malformed("certificate_types"))?,
            signature_schemes: schemes.ok_or(Malformed("supported_signature_algorithms"))?,
        };
        let authorities = reader.vec16().filter(|_| reader.is_empty());
        authorities
            .map(|_| found)
            .ok_or(Malformed("certificate_authorities"))
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.vec8(self.certificate_types);
        w.vec16(self.signature_schemes.as_bytes());
        w.vec16(&[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_chain_is_read_and_written() {
        let bytes = [0, 0, 9, 0, 0, 2, 1, 2, 0, 0, 1, 3];
        let chain = CertificateChain::read(&bytes).unwrap();
        assert_eq!(chain.iter().collect::<Vec<_>>(), [&[1, 2][..], &[3]]);
        let mut out = Vec::new();
        CertificateChain::write([&[1, 2][..], &[3]].into_iter(), &mut Writer::new(&mut out));
        assert_eq!(out, bytes);
        assert_eq!(CertificateChain::read(&[0, 0, 0]).unwrap().iter().count(), 0);
        for len in 0..bytes.len() {
            assert!(CertificateChain::read(&bytes[..len]).is_err());
        }
        assert!(
            CertificateChain::read(&[0, 0, 3, 0, 0, 0]).is_err(),
            "an empty certificate"
        );
        assert!(
            CertificateChain::read(&[0, 0, 4, 0, 0, 2, 1]).is_err(),
            "a certificate beyond its list"
        );
    }

    #[test]
    fn a_raw_public_key_is_read_and_written() {
        let bytes = [0, 0, 2, 0x30, 0x00];
        let key = RawPublicKey::read(&bytes).unwrap();
        assert_eq!(key.0, [0x30, 0x00]);
        let mut out = Vec::new();
        key.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
        assert!(RawPublicKey::read(&[0, 0, 1, 1, 1]).is_err());
    }

    #[test]
    fn a_request_is_read_and_written() {
        let bytes = [1, 64, 0, 4, 4, 3, 8, 7, 0, 0];
        let request = CertificateRequest::read(&bytes).unwrap();
        assert_eq!(request.certificate_types, [CLIENT_CERTIFICATE_ECDSA_SIGN]);
        assert!(request.signature_schemes.contains(0x0807));
        let mut out = Vec::new();
        request.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
        for len in 0..bytes.len() {
            assert!(CertificateRequest::read(&bytes[..len]).is_err());
        }
        let with_authority = [1, 64, 0, 2, 4, 3, 0, 3, 0, 1, 0x30];
        assert!(CertificateRequest::read(&with_authority).is_ok());
    }
}
