//! TLS: who we are, whom we trust, and the protocol that is spoken inside (RFC 8323 §9.1, §8.2).

mod credentials;
mod explain;
mod trust;

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};

pub use credentials::{Authorities, Identity, TlsError};
pub(super) use explain::explained;
use trust::{Clients, Servers};

/// CoAP in TLS (RFC 8323 §11.7).
const COAP: &[u8] = b"coap";
/// What carries a WebSocket.
const HTTP: &[u8] = b"http/1.1";
/// The port on which CoAP is meant where ALPN says nothing (RFC 8323 §8.2).
const COAPS_PORT: u16 = 5684;
/// A fatal alert of this name, before there are keys (RFC 8446 §5.1, §6; RFC 7301 §3.2).
const NO_APPLICATION_PROTOCOL: &[u8] = &[21, 3, 3, 0, 2, 2, 120];

/// What a server does about certificates of its clients.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// It does not ask for them.
    #[default]
    NotAsked,
    /// It asks, and goes on with a client that has none. One that is none of these and signed by nobody of them ends the
    /// handshake.
    Optional(Authorities),
    /// It takes only clients with a certificate that is one of these or signed by one of them.
    Required(Authorities),
}

/// How a server speaks TLS: 1.2 and 1.3, with the cipher suites of RFC 9325. CCM_8, which RFC 7252 §9 asks of devices, is
/// not among them.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// A server with this certificate.
    ///
    /// # Errors
    /// The authorities are none.
    pub fn new(identity: Identity, clients: ClientCertificates) -> Result<ServerTls, TlsError> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = match clients {
            ClientCertificates::NotAsked => builder.with_no_client_auth(),
            ClientCertificates::Optional(authorities) => {
                builder.with_client_cert_verifier(Arc::new(Clients::new(authorities, true)?))
            }
            ClientCertificates::Required(authorities) => {
                builder.with_client_cert_verifier(Arc::new(Clients::new(authorities, false)?))
            }
        };
        let config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.into_key())));
        Ok(ServerTls {
            config: Arc::new(config),
        })
    }

    /// The same, for connections to `port` of ours.
    pub(super) fn at(&self, port: u16, websocket: bool) -> Acceptor {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = protocols(websocket);
        Acceptor {
            config: Arc::new(config),
            port: (!websocket).then_some(port),
        }
    }
}

/// Takes connections of TLS.
#[derive(Clone)]
pub(super) struct Acceptor {
    config: Arc<ServerConfig>,
    /// Where CoAP is to be agreed on.
    port: Option<u16>,
}

impl Acceptor {
    /// Speaks TLS with a client.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream)
            .await
            .map_err(explained)?;
        // The library refuses who offers other protocols, but not who offers none.
        if let Some(port) = self.port.filter(|port| *port != COAPS_PORT)
            && begun.client_hello().alpn().is_none()
        {
            begun.io.write_all(NO_APPLICATION_PROTOCOL).await?;
            return Err(no_protocol(port));
        }
        let stream = begun.into_stream(Arc::clone(&self.config)).await;
        Ok(stream.map_err(explained)?.into())
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

/// How a client speaks TLS: 1.2 and 1.3, with the cipher suites of RFC 9325.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// A client that trusts servers whose certificate is one of `authorities` or signed by one of them, and which shows a certificate of
    /// its own if a server asks for one.
    ///
    /// # Errors
    /// The library does not take the configuration.
    pub fn new(authorities: Authorities, identity: Option<Identity>) -> Result<ClientTls, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Servers::new(authorities)?));
        Ok(ClientTls::with_identity(builder, identity))
    }

    /// A client that takes any certificate: everybody on the way can read along, change what is said, and answer instead
    /// of the server. For trying things out only.
    ///
    /// # Errors
    /// The library does not take the configuration.
    pub fn dangerous_any_certificate(identity: Option<Identity>) -> Result<ClientTls, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())));
        Ok(ClientTls::with_identity(builder, identity))
    }

    fn with_identity(
        builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
        identity: Option<Identity>,
    ) -> ClientTls {
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.into_key())))
            }
        };
        ClientTls {
            config: Arc::new(config),
        }
    }

    /// Speaks TLS with the server called `host` at `port`.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
        port: u16,
        websocket: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let text = format!("{host} is no name that a certificate can be for");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols(websocket);
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(explained)?;
        tell(stream.get_ref().1);
        if !websocket {
            check_protocol(stream.get_ref().1.alpn_protocol(), port)?;
        }
        Ok(stream.into())
    }
}

/// Tells what was agreed on with a server.
fn tell(session: &ClientConnection) {
    let version = session.protocol_version().and_then(|version| version.as_str());
    let cipher = session
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str());
    let protocol = session.alpn_protocol().map(String::from_utf8_lossy);
    tracing::debug!(
        version = version.unwrap_or("of another name"),
        cipher = cipher.unwrap_or("of another name"),
        protocol = protocol.as_deref().unwrap_or("not told (ALPN)"),
        "TLS is agreed on"
    );
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// What is offered, and what is taken. A peer that offers others only is refused by the library.
fn protocols(websocket: bool) -> Vec<Vec<u8>> {
    vec![if websocket { HTTP.to_vec() } else { COAP.to_vec() }]
}

/// CoAP has been agreed on, or the port says that it is meant (RFC 8323 §8.2).
fn check_protocol(agreed: Option<&[u8]>, port: u16) -> io::Result<()> {
    if agreed == Some(COAP) || agreed.is_none() && port == COAPS_PORT {
        return Ok(());
    }
    Err(no_protocol(port))
}

fn no_protocol(port: u16) -> io::Error {
    let text = format!(
        "the peer did not say that it speaks CoAP (ALPN), which it has to on port {port} (RFC 8323 §8.2)"
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Takes the certificate of any server, but not a handshake that its owner did not sign.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_5684_alone_does_without_alpn() {
        assert!(check_protocol(Some(b"coap"), 5684).is_ok());
        assert!(check_protocol(Some(b"coap"), 15684).is_ok());
        assert!(check_protocol(None, 5684).is_ok());
        assert!(check_protocol(None, 15684).is_err());
        assert!(check_protocol(Some(b"h2"), 5684).is_err());
    }
}
