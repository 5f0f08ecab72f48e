//! What a server chooses of a client's offer: the suite, and with public keys their form, the group and who shows what.

use crate::config::{ClientAuthentication, Config};
use crate::credentials::Shown;
use crate::crypto::{Group, SignatureScheme, Suite};
use crate::failure::{Failure, Reason};
use crate::handshake::client::offer::RENEGOTIATION_INFO_SCSV;
use crate::messages::client_hello::ClientHello;
use crate::messages::codec::Codes;
use crate::messages::extensions::CERTIFICATE_TYPE_X509;

/// The suite, and what it needs.
pub(super) struct Choice<'c> {
    pub(super) suite: Suite,
    /// Nothing with a pre-shared key.
    pub(super) keys: Option<KeyChoice<'c>>,
}

pub(super) struct KeyChoice<'c> {
    pub(super) shown: Shown<'c>,
    pub(super) group: Group,
    /// In what form the client is asked to show who it is; nothing if it is not asked.
    pub(super) asked: Option<u8>,
}

/// The first of our suites that the client has too, and that what else it says allows.
pub(super) fn choose<'c>(config: &'c Config, hello: &ClientHello<'_>) -> Result<Choice<'c>, Failure> {
    let mut obstacle = None;
    for suite in config.server_suites() {
        if !hello.cipher_suites.contains(suite.id()) {
            continue;
        }
        if suite.is_psk() {
            return Ok(Choice { suite, keys: None });
        }
        match choose_keys(config, hello) {
            Ok(keys) => {
                let keys = Some(keys);
                return Ok(Choice { suite, keys });
            }
            Err(reason) => obstacle = Some(reason),
        }
    }
    let none = || Reason::NoCommonSuite {
        offered: hello
            .cipher_suites
            .iter()
            .filter(|id| *id != RENEGOTIATION_INFO_SCSV)
            .collect(),
        ours: config.server_suites().collect(),
    };
    Err(Failure::ours(obstacle.unwrap_or_else(none)))
}

fn choose_keys<'c>(config: &'c Config, hello: &ClientHello<'_>) -> Result<KeyChoice<'c>, Reason> {
    let server = config.server.as_ref().ok_or(Reason::NoCommonCertificateType)?;
    let asked = &hello.extensions;
    let group = |group: &Group| asked.groups.is_none_or(|groups| groups.contains(group.id()));
    let group = Group::ALL.into_iter().find(group).ok_or(Reason::NoCommonGroup)?;
    // Who does not say takes certificates (RFC 7250 §4.1).
    let types = asked.server_certificate_types.unwrap_or(&[CERTIFICATE_TYPE_X509]);
    let mut forms = types
        .iter()
        .filter_map(|kind| server.keys.shown_as(*kind))
        .peekable();
    forms.peek().ok_or(Reason::NoCommonCertificateType)?;
    let shown = forms.find(|shown| verifies(asked.signature_schemes, shown.key().scheme()));
    let shown = shown.ok_or(Reason::NoCommonSignatureScheme)?;
    let types = asked.client_certificate_types.unwrap_or(&[CERTIFICATE_TYPE_X509]);
    let mut takes = types.iter().copied().filter(|kind| server.trust.takes(*kind));
    let asked = match server.client_authentication {
        ClientAuthentication::None => None,
        ClientAuthentication::Optional => takes.next(),
        ClientAuthentication::Required => Some(takes.next().ok_or(Reason::NoCommonCertificateType)?),
    };
    Ok(KeyChoice { shown, group, asked })
}

fn verifies(schemes: Option<Codes<'_>>, scheme: SignatureScheme) -> bool {
    schemes.is_some_and(|schemes| schemes.contains(scheme.id()))
}
