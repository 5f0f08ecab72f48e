//! The six cipher suites (RFC 7925 §4.2 and §4.4 with their neighbours), strongest habit of devices first.

/// A cipher suite. All of them use the PRF of TLS 1.2 with SHA-256 and AES with keys of 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// TLS_PSK_WITH_AES_128_CCM_8 (RFC 6655 §4): what CoAP over pre-shared keys must have (RFC 7252 §9.1.3.1).
    PskCcm8,
    /// TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 (RFC 7251 §2): what CoAP over keys and certificates must have
    /// (RFC 7252 §9.1.3.2).
    EcdsaCcm8,
    /// TLS_PSK_WITH_AES_128_GCM_SHA256 (RFC 5487 §2).
    PskGcm,
    /// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (RFC 5289 §3.2).
    EcdsaGcm,
    /// TLS_PSK_WITH_AES_128_CCM (RFC 6655 §4).
    PskCcm,
    /// TLS_ECDHE_ECDSA_WITH_AES_128_CCM (RFC 7251 §2).
    EcdsaCcm,
}

/// How a suite protects records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AeadKind {
    Ccm8,
    Ccm,
    Gcm,
}

impl AeadKind {
    /// Bytes of the tag behind what is encrypted.
    pub(crate) const fn tag_len(self) -> usize {
        match self {
            AeadKind::Ccm8 => 8,
            AeadKind::Ccm | AeadKind::Gcm => 16,
        }
    }
}

impl Suite {
    /// All suites, in the order in which a peer without wishes of its own prefers them.
    pub const ALL: [Suite; 6] = [
        Suite::EcdsaCcm8,
        Suite::PskCcm8,
        Suite::EcdsaGcm,
        Suite::PskGcm,
        Suite::EcdsaCcm,
        Suite::PskCcm,
    ];

    /// The suite of a number on the wire.
    #[must_use]
    pub fn from_u16(id: u16) -> Option<Suite> {
        Self::ALL.into_iter().find(|suite| suite.id() == id)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Suite::PskCcm8 => 0xC0A8,
            Suite::EcdsaCcm8 => 0xC0AE,
            Suite::PskGcm => 0x00A8,
            Suite::EcdsaGcm => 0xC02B,
            Suite::PskCcm => 0xC0A4,
            Suite::EcdsaCcm => 0xC0AC,
        }
    }

    /// Whether both sides prove themselves by a key that they share; otherwise by signatures (ECDHE_ECDSA).
    #[must_use]
    pub const fn is_psk(self) -> bool {
        matches!(self, Suite::PskCcm8 | Suite::PskGcm | Suite::PskCcm)
    }

    /// The name of the registry, without `TLS_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Suite::PskCcm8 => "PSK_WITH_AES_128_CCM_8",
            Suite::EcdsaCcm8 => "ECDHE_ECDSA_WITH_AES_128_CCM_8",
            Suite::PskGcm => "PSK_WITH_AES_128_GCM_SHA256",
            Suite::EcdsaGcm => "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            Suite::PskCcm => "PSK_WITH_AES_128_CCM",
            Suite::EcdsaCcm => "ECDHE_ECDSA_WITH_AES_128_CCM",
        }
    }

    pub(crate) const fn aead(self) -> AeadKind {
        match self {
            Suite::PskCcm8 | Suite::EcdsaCcm8 => AeadKind::Ccm8,
            Suite::PskGcm | Suite::EcdsaGcm => AeadKind::Gcm,
            Suite::PskCcm | Suite::EcdsaCcm => AeadKind::Ccm,
        }
    }
}

impl core::fmt::Display for Suite {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_is_found_by_its_number_and_no_other_number_is_a_suite() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_u16(suite.id()), Some(suite));
            assert_eq!(suite.is_psk(), suite.name().starts_with("PSK"));
        }
        let known = (0..=u16::MAX).filter(|id| Suite::from_u16(*id).is_some());
        assert_eq!(known.count(), Suite::ALL.len());
    }

    #[test]
    fn what_a_suite_is_called_says_how_it_protects() {
        for suite in Suite::ALL {
            let said = match suite.aead() {
                AeadKind::Ccm8 => "AES_128_CCM_8",
                AeadKind::Ccm => "AES_128_CCM",
                AeadKind::Gcm => "AES_128_GCM_SHA256",
            };
            assert!(suite.name().ends_with(said), "{suite}");
        }
    }
}
