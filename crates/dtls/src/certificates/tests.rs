//! Certificates made for the moment, each with something wrong, and what is said of it.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, date_time_ymd,
};

use sha2::{Digest, Sha256};

use super::*;
use crate::crypto::{KeyError, Side, SignatureScheme, SigningKey};

/// 2025-06-01, when all certificates here are valid that do not say otherwise.
const NOW: Duration = Duration::from_secs(1_748_736_000);

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(common_name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2026, 1, 1);
    params
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = params(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    fn new(common_name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(common_name);
        let certificate = params.self_signed(&key).unwrap();
        Authority {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn below(&self, common_name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(common_name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Authority {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn issue(&self, params: CertificateParams) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().to_vec()
    }

    fn trusted(&self) -> TrustedAuthorities {
        let mut trusted = TrustedAuthorities::default();
        trusted.add_der(self.certificate.der()).unwrap();
        trusted
    }
}

fn server_params() -> CertificateParams {
    let mut params = params("device-7");
    params.subject_alt_names = vec![
        SanType::DnsName("coap.example.org".try_into().unwrap()),
        SanType::URI("urn:dev:7".try_into().unwrap()),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
    ];
    params
}

fn check(
    chain: &[Vec<u8>],
    side: Side,
    trusted: &TrustedAuthorities,
    name: Option<&str>,
) -> Result<CertificateIdentity, CertificateProblem> {
    verify(chain.iter().map(Vec::as_slice), side, trusted, name, NOW)
}

/// What is said of a server's certificate made from `params`, signed by an authority that is trusted.
fn said(params: CertificateParams) -> String {
    let authority = Authority::new("Root");
    let chain = [authority.issue(params)];
    let trusted = authority.trusted();
    check(&chain, Side::Server, &trusted, Some("coap.example.org"))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_good_certificate_tells_its_names_and_key() {
    let authority = Authority::new("Root");
    let key = KeyPair::generate().unwrap();
    let certificate = server_params().signed_by(&key, &authority.issuer).unwrap();
    let chain = [certificate.der().to_vec()];
    for name in [
        Some("coap.example.org"),
        Some("COAP.example.org"),
        Some("192.0.2.7"),
        None,
    ] {
        for side in [Side::Server, Side::Client] {
            let verified = check(&chain, side, &authority.trusted(), name).unwrap();
            assert_eq!(verified.common_name.as_deref(), Some("device-7"));
            assert_eq!(verified.names, ["coap.example.org", "urn:dev:7"]);
            assert_eq!(verified.fingerprint[..], Sha256::digest(certificate.der())[..]);
            let key = SigningKey::from_der(key.serialized_der()).unwrap();
            assert_eq!(verified.public_key_info, key.public_key_info());
        }
    }
}

#[test]
fn authorities_between_are_sent_along() {
    let root = Authority::new("Root");
    let between = root.below("Between");
    let own = between.issue(server_params());
    let chain = [own.clone(), between.certificate.der().to_vec()];
    assert!(check(&chain, Side::Server, &root.trusted(), None).is_ok());
    let problem = check(&[own], Side::Server, &root.trusted(), None).unwrap_err();
    assert_eq!(problem, CertificateProblem::UnknownAuthority);
}

#[test]
fn times_are_kept() {
    let mut old = server_params();
    old.not_after = date_time_ymd(2025, 5, 31);
    assert_eq!(said(old), "the certificate expired on 2025-05-31T00:00:00Z");
    let mut new = server_params();
    new.not_before = date_time_ymd(2025, 6, 2);
    assert_eq!(
        said(new),
        "the certificate is valid from 2025-06-02T00:00:00Z on, and it is 2025-06-01T00:00:00Z"
    );
}

#[test]
fn another_server_is_not_believed() {
    let mut other = server_params();
    other.subject_alt_names = vec![
        SanType::DnsName("other.example.org".try_into().unwrap()),
        SanType::IpAddress("192.0.2.8".parse().unwrap()),
    ];
    assert_eq!(
        said(other),
        "the certificate is not for coap.example.org, but for other.example.org, 192.0.2.8"
    );
    let mut nameless = server_params();
    nameless.subject_alt_names.clear();
    assert_eq!(
        said(nameless),
        "the certificate has no subjectAltName, so it is not for coap.example.org"
    );
    let authority = Authority::new("Root");
    let chain = [authority.issue(server_params())];
    let problem = check(&chain, Side::Server, &authority.trusted(), Some("a b")).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "no certificate can be for \"a b\", which is neither a host name nor an address"
    );
}

#[test]
fn who_signed_matters() {
    let (root, stranger, namesake) = (
        Authority::new("Root"),
        Authority::new("Other"),
        Authority::new("Root"),
    );
    let chain = [root.issue(server_params())];
    let problem = |trusted: &TrustedAuthorities| check(&chain, Side::Server, trusted, None).unwrap_err();
    assert_eq!(
        problem(&stranger.trusted()).to_string(),
        "the certificate comes from no authority that is trusted"
    );
    assert_eq!(
        problem(&TrustedAuthorities::default()),
        CertificateProblem::UnknownAuthority
    );
    assert_eq!(
        problem(&namesake.trusted()).to_string(),
        "the certificate names an authority that is trusted, but that one did not sign it"
    );
}

#[test]
fn what_is_signed_by_itself_is_believed_only_if_it_is_trusted_itself() {
    let key = KeyPair::generate().unwrap();
    let certificate = server_params().self_signed(&key).unwrap();
    let chain = [certificate.der().to_vec()];
    let stranger = Authority::new("Other").trusted();
    let problem = check(&chain, Side::Server, &stranger, None).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "the certificate is signed by itself, and not among those that are trusted"
    );
    let mut trusted = TrustedAuthorities::default();
    trusted.add_der(certificate.der()).unwrap();
    assert!(check(&chain, Side::Server, &trusted, None).is_ok());
}

#[test]
fn a_certificate_is_for_its_purpose_only() {
    let authority = Authority::new("Root");
    let mut only_client = server_params();
    only_client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let mut only_server = server_params();
    only_server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let trusted = authority.trusted();
    let (client, server) = ([authority.issue(only_client)], [authority.issue(only_server)]);
    assert!(check(&client, Side::Client, &trusted, None).is_ok());
    assert!(check(&server, Side::Server, &trusted, None).is_ok());
    assert_eq!(
        check(&client, Side::Server, &trusted, None)
            .unwrap_err()
            .to_string(),
        "the certificate may not be used as a server's (extended key usage)"
    );
    assert_eq!(
        check(&server, Side::Client, &trusted, None)
            .unwrap_err()
            .to_string(),
        "the certificate may not be used as a client's (extended key usage)"
    );
    let mut authority_itself = server_params();
    authority_itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert!(said(authority_itself).contains("of an authority stands where another belongs"));
}

#[test]
fn keys_of_other_kinds_are_told() {
    let authority = Authority::new("Root");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = server_params().signed_by(&key, &authority.issuer).unwrap();
    let problem = check(
        &[certificate.der().to_vec()],
        Side::Client,
        &authority.trusted(),
        None,
    );
    assert_eq!(problem.unwrap_err(), CertificateProblem::UnsupportedKey);
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = server_params().signed_by(&key, &authority.issuer).unwrap();
    assert!(
        check(
            &[certificate.der().to_vec()],
            Side::Client,
            &authority.trusted(),
            None
        )
        .is_ok()
    );
}

#[test]
fn nothing_and_what_is_cut_off_are_no_certificates() {
    let authority = Authority::new("Root");
    let trusted = authority.trusted();
    assert_eq!(
        check(&[], Side::Client, &trusted, None),
        Err(CertificateProblem::Missing)
    );
    let whole = authority.issue(server_params());
    for len in 0..whole.len() {
        let problem = check(&[whole[..len].to_vec()], Side::Client, &trusted, None);
        assert_eq!(problem, Err(CertificateProblem::Malformed));
    }
}

#[test]
fn a_certificate_of_ours_needs_its_own_key() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = server_params().self_signed(&key).unwrap();
    let (chain, pem) = (certificate.pem(), key.serialize_pem());
    let own = CertifiedKey::from_pem(chain.as_bytes(), pem.as_bytes()).unwrap();
    assert_eq!(own.chain().collect::<Vec<_>>(), [certificate.der().as_ref()]);
    assert_eq!(own.key().scheme(), SignatureScheme::EcdsaSecp256r1Sha256);
    let both = chain.clone() + &pem;
    assert!(CertifiedKey::from_pem(both.as_bytes(), both.as_bytes()).is_ok());

    let error =
        |chain: &str, key: &str| CertifiedKey::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert_eq!(error(&chain, &other.serialize_pem()), CertifiedKeyError::OtherKey);
    assert_eq!(error("", &pem), CertifiedKeyError::Missing);
    assert_eq!(error(&chain, &chain), CertifiedKeyError::Key(KeyError::Missing));
    let key = Arc::new(SigningKey::from_der(key.serialized_der()).unwrap());
    let unreadable = CertifiedKey::from_der(vec![b"x".to_vec()], key);
    assert_eq!(unreadable.unwrap_err(), CertifiedKeyError::Unreadable);
}

#[test]
fn what_is_trusted_is_read_whole_or_not_at_all() {
    let mut trusted = TrustedAuthorities::default();
    assert_eq!(trusted.add_pem(b""), Err(AuthorityError::Missing));
    let (one, two) = (
        Authority::new("One").certificate.pem(),
        Authority::new("Two").certificate.pem(),
    );
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let text = one.clone() + broken;
    assert_eq!(
        trusted.add_pem(text.as_bytes()),
        Err(AuthorityError::Unreadable(1))
    );
    assert!(trusted.is_empty());
    assert_eq!(trusted.add_pem((one + &two).as_bytes()), Ok(2));
    assert!(!trusted.is_empty());
}

#[test]
fn a_raw_key_is_trusted_by_itself() {
    let (known, unknown) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut trusted = TrustedKeys::default();
    assert!(trusted.is_empty());
    assert_eq!(trusted.add_pem(known.public_key_pem().as_bytes()), Ok(1));
    let info = |key: &KeyPair| {
        SigningKey::from_der(key.serialized_der())
            .unwrap()
            .public_key_info()
            .to_vec()
    };
    assert!(trusted.contains(&info(&known)));
    assert!(!trusted.contains(&info(&unknown)));
    assert_eq!(trusted.add_der(b"no key"), Err(AuthorityError::Unreadable(0)));
    let large = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    assert_eq!(
        trusted.add_pem(large.public_key_pem().as_bytes()),
        Err(AuthorityError::Unreadable(0))
    );
    assert_eq!(trusted.add_pem(b"nothing"), Err(AuthorityError::Missing));
}
