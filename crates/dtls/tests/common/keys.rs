//! Keys and certificates made for the moment.

use std::sync::Arc;
use std::time::Duration;

use coracle_dtls::{
    CertifiedKey, ClientAuthentication, Config, Connect, OwnKeys, ServerConfig, SignatureScheme, SigningKey,
    Trust, TrustedAuthorities, TrustedKeys,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    date_time_ymd,
};

/// 2025-06-01, when the certificates are valid.
pub const UNIX_TIME: Duration = Duration::from_secs(1_748_736_000);

pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Authority {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    pub fn issue(&self, name: &str, scheme: SignatureScheme, until: i32) -> Issued {
        let algorithm = match scheme {
            SignatureScheme::Ed25519 => &PKCS_ED25519,
            SignatureScheme::EcdsaSecp256r1Sha256 => &PKCS_ECDSA_P256_SHA256,
        };
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        Issued {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn trusted(&self) -> TrustedAuthorities {
        let mut trusted = TrustedAuthorities::default();
        trusted.add_pem(self.pem.as_bytes()).unwrap();
        trusted
    }
}

impl Issued {
    pub fn certified(&self) -> CertifiedKey {
        CertifiedKey::from_pem(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

pub fn raw_key(scheme: SignatureScheme) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(scheme).unwrap())
}

pub fn trusting(key: &SigningKey) -> TrustedKeys {
    let mut keys = TrustedKeys::default();
    keys.add_der(key.public_key_info()).unwrap();
    keys
}

/// Both sides of a world of public keys.
pub struct Parties {
    pub server: Config,
    pub client: Config,
    pub connect: Connect,
}

/// Both show raw keys of this scheme, and know each other's.
pub fn raw_parties(scheme: SignatureScheme) -> Parties {
    let (ours, theirs) = (raw_key(scheme), raw_key(scheme));
    let mut server = Config::default();
    server.server = Some(ServerConfig {
        keys: OwnKeys {
            raw_key: Some(theirs.clone()),
            ..OwnKeys::default()
        },
        client_authentication: ClientAuthentication::Required,
        trust: Trust {
            keys: trusting(&ours),
            ..Trust::default()
        },
        ..ServerConfig::default()
    });
    let own = OwnKeys {
        raw_key: Some(ours),
        ..OwnKeys::default()
    };
    let trust = Trust {
        keys: trusting(&theirs),
        ..Trust::default()
    };
    Parties {
        server,
        client: Config::default(),
        connect: Connect::with_keys(own, Arc::new(trust)),
    }
}

/// Both show certificates of one authority.
pub fn certified_parties(scheme: SignatureScheme) -> Parties {
    let authority = Authority::new("root");
    let server_key = authority.issue("coap.example.org", scheme, 2040);
    let client_key = authority.issue("device-7.example.org", scheme, 2040);
    let mut server = Config::default();
    server.unix_time = Some(UNIX_TIME);
    server.server = Some(ServerConfig {
        keys: OwnKeys {
            certificate: Some(server_key.certified()),
            ..OwnKeys::default()
        },
        client_authentication: ClientAuthentication::Required,
        trust: Trust {
            authorities: authority.trusted(),
            ..Trust::default()
        },
        ..ServerConfig::default()
    });
    let mut client = Config::default();
    client.unix_time = Some(UNIX_TIME);
    let own = OwnKeys {
        certificate: Some(client_key.certified()),
        ..OwnKeys::default()
    };
    let trust = Trust {
        authorities: authority.trusted(),
        ..Trust::default()
    };
    Parties {
        server,
        client,
        connect: Connect::with_keys(own, Arc::new(trust)).to("coap.example.org"),
    }
}
