//! What a ClientHello offers, as the bytes of its lists.

use alloc::vec::Vec;

use crate::config::Config;
use crate::credentials::{ClientCredentials, Connect};
use crate::crypto::{Group, SignatureScheme, Suite};
use crate::failure::Failure;
use crate::messages::codec::{Codes, Writer};
use crate::messages::extensions::{
    CERTIFICATE_TYPE_X509, ClientExtensions, POINT_FORMAT_UNCOMPRESSED, ProtocolNames,
};
use crate::resumption::Kept;
use crate::sessions::Cid;

/// The suite that says what an empty renegotiation_info says (RFC 5746 §3.3).
pub(crate) const RENEGOTIATION_INFO_SCSV: u16 = 0x00FF;

#[derive(Default)]
pub(super) struct Offer {
    /// With the suite that is none.
    pub(super) suites: Vec<u8>,
    /// The following are empty where no public keys are used.
    groups: Vec<u8>,
    schemes: Vec<u8>,
    /// In what form we can show who we are, and whom we believe. Empty where it is certificates only, which nobody has to
    /// say (RFC 7250 §4.1).
    client_types: Vec<u8>,
    server_types: Vec<u8>,
    alpn: Vec<u8>,
}

impl Offer {
    pub(super) fn new(config: &Config, connect: &Connect) -> Offer {
        let suites = connect.suites(config).into_iter().map(Suite::id);
        let mut offer = Offer {
            suites: codes(suites.chain([RENEGOTIATION_INFO_SCSV])),
            ..Offer::default()
        };
        let mut alpn = Writer::new(&mut offer.alpn);
        config.alpn.iter().for_each(|name| alpn.vec8(name));
        if let ClientCredentials::Keys { own, trust } = &connect.credentials {
            offer.groups = codes(Group::ALL.into_iter().map(Group::id));
            offer.schemes = codes(SignatureScheme::ALL.into_iter().map(SignatureScheme::id));
            offer.client_types = unless_default(own.types());
            offer.server_types = unless_default(trust.types());
        }
        offer
    }

    pub(super) fn has(&self, suite: Suite) -> bool {
        Codes::new(&self.suites).is_some_and(|suites| suites.contains(suite.id()))
    }

    pub(super) fn extensions<'a>(
        &'a self,
        config: &'a Config,
        connect: &'a Connect,
        kept: Option<&'a Kept>,
        cid: &'a Cid,
    ) -> ClientExtensions<'a> {
        ClientExtensions {
            server_name: connect.told_name().map(str::as_bytes),
            alpn: ProtocolNames::new(&self.alpn),
            groups: Codes::new(&self.groups),
            point_formats: (!self.groups.is_empty()).then_some(&[POINT_FORMAT_UNCOMPRESSED]),
            signature_schemes: Codes::new(&self.schemes),
            client_certificate_types: unless_empty(&self.client_types),
            server_certificate_types: unless_empty(&self.server_types),
            extended_master_secret: true,
            record_size_limit: config.record_size_limit,
            session_ticket: connect.resume.then(|| kept.map_or(&[][..], |kept| &kept.ticket)),
            connection_id: config.connection_ids.as_ref().map(|_| cid.as_slice()),
            ..ClientExtensions::default()
        }
    }
}

fn codes(codes: impl Iterator<Item = u16>) -> Vec<u8> {
    codes.flat_map(u16::to_be_bytes).collect()
}

fn unless_default(types: Vec<u8>) -> Vec<u8> {
    if types == [CERTIFICATE_TYPE_X509] {
        Vec::new()
    } else {
        types
    }
}

fn unless_empty(list: &[u8]) -> Option<&[u8]> {
    (!list.is_empty()).then_some(list)
}

/// RFC 8449 §4: less than 64 is a fault, more than a record holds is cut.
pub(crate) fn checked_record_size_limit(limit: u16) -> Result<u16, Failure> {
    if limit < 64 {
        return Err(Failure::illegal("a record_size_limit below 64"));
    }
    Ok(limit.min(1 << 14))
}
