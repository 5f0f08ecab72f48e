//! Who the peer is.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::certificates::CertificateIdentity;
use crate::messages::codec::{Reader, Writer};

/// What the handshake proved about the peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// It has the key of this identity (RFC 4279 §2). Of a server: the identity under which we are known to it.
    Psk(Vec<u8>),
    /// It has the private key to this SubjectPublicKeyInfo in DER, which we trust (RFC 7250).
    RawPublicKey(Vec<u8>),
    /// It has the private key of this certificate, which comes from an authority that we trust.
    Certificate(Box<CertificateIdentity>),
    /// A client that did not show who it is, where the server does not insist.
    Anonymous,
}

/// How an identity is marked where it is written down, in tickets and in saved state. Other marks are of the future.
const PSK: u8 = 1;
const RAW_PUBLIC_KEY: u8 = 2;
const CERTIFICATE: u8 = 3;
const ANONYMOUS: u8 = 4;

impl Identity {
    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        match self {
            Identity::Psk(identity) => {
                w.u8(PSK);
                w.vec16(identity);
            }
            Identity::RawPublicKey(info) => {
                w.u8(RAW_PUBLIC_KEY);
                w.vec16(info);
            }
            Identity::Certificate(certificate) => {
                w.u8(CERTIFICATE);
                write_certificate(certificate, w);
            }
            Identity::Anonymous => w.u8(ANONYMOUS),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Identity> {
        Some(match reader.u8()? {
            PSK => Identity::Psk(reader.vec16()?.into()),
            RAW_PUBLIC_KEY => Identity::RawPublicKey(reader.vec16()?.into()),
            CERTIFICATE => Identity::Certificate(Box::new(read_certificate(reader)?)),
            ANONYMOUS => Identity::Anonymous,
            _ => return None,
        })
    }
}

fn write_certificate(certificate: &CertificateIdentity, w: &mut Writer<'_>) {
    w.put(&certificate.fingerprint);
    w.vec16(&certificate.public_key_info);
    // No name and an empty name are the same to whoever decides by it.
    w.vec16(certificate.common_name.as_deref().unwrap_or_default().as_bytes());
    w.prefixed16(|w| {
        for name in &certificate.names {
            w.vec16(name.as_bytes());
        }
    });
}

fn read_certificate(reader: &mut Reader<'_>) -> Option<CertificateIdentity> {
    let text = |bytes| core::str::from_utf8(bytes).ok().map(String::from);
    let fingerprint = *reader.array()?;
    let public_key_info = reader.vec16()?.into();
    let common_name = text(reader.vec16()?)?;
    let mut list = Reader::new(reader.vec16()?);
    let mut names = Vec::new();
    while !list.is_empty() {
        names.push(text(list.vec16()?)?);
    }
    Some(CertificateIdentity {
        fingerprint,
        common_name: Some(common_name).filter(|name| !name.is_empty()),
        names,
        public_key_info,
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn each_is_read_as_it_was_written_and_nothing_less() {
        let certificate = CertificateIdentity {
            fingerprint: [7; 32],
            common_name: Some("device".into()),
            names: vec!["a.example".into(), "urn:b".into()],
            public_key_info: vec![1, 2, 3],
        };
        let nameless = CertificateIdentity {
            common_name: None,
            names: Vec::new(),
            ..certificate.clone()
        };
        let identities = [
            Identity::Psk(b"id".to_vec()),
            Identity::RawPublicKey(vec![9; 91]),
            Identity::Certificate(Box::new(certificate)),
            Identity::Certificate(Box::new(nameless)),
            Identity::Anonymous,
        ];
        for identity in identities {
            let mut bytes = Vec::new();
            identity.write(&mut Writer::new(&mut bytes));
            let mut reader = Reader::new(&bytes);
            assert_eq!(Identity::read(&mut reader), Some(identity));
            assert!(reader.is_empty());
            for len in 0..bytes.len() {
                assert_eq!(Identity::read(&mut Reader::new(&bytes[..len])), None);
            }
        }
        assert_eq!(Identity::read(&mut Reader::new(&[5])), None);
    }
}
