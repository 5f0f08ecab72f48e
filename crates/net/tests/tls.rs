//! Connections of TLS that go around the loopback interface.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod links;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coracle_net::stream::{
    Authorities, ClientCertificates, ClientTls, ConnectOptions, Identity, Link, ListenOptions, Listener,
    ListenerStatistics, ServerTls, connect,
};
use coracle_wire::{Framing, Scheme};
use links::certificates::{Authority, Pair, self_signed, self_signed_authority};
use links::{listen, pair, read, talk_and_close, talk_at_length, within, write};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

fn identity(pair: &Pair) -> Identity {
    Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).unwrap()
}

fn trust(certificate: &str) -> Authorities {
    Authorities::from_pem(certificate.as_bytes()).unwrap()
}

fn server(pair: &Pair, clients: ClientCertificates) -> ListenOptions {
    ListenOptions {
        tls: Some(ServerTls::new(identity(pair), clients).unwrap()),
        ..ListenOptions::default()
    }
}

fn client(host: Option<&str>, trusted: &str, own: Option<&Pair>) -> ConnectOptions {
    ConnectOptions {
        host: host.map(str::to_owned),
        tls: Some(ClientTls::new(trust(trusted), own.map(identity)).unwrap()),
        ..ConnectOptions::default()
    }
}

/// Why there is no connection.
async fn refused(server: &ListenOptions, client: &ConnectOptions) -> io::Error {
    let (mut listener, address) = listen(server);
    let targets = [address];
    within(async {
        tokio::select! {
            link = listener.accept() => panic!("the server took it: {link:?}"),
            link = connect(&targets, client) => link.unwrap_err(),
        }
    })
    .await
}

/// What has happened, after a look for the next connection, of which there is none: that is when ends are seen.
async fn statistics(listener: &mut Listener) -> ListenerStatistics {
    let none = poll_fn(|cx| std::task::Poll::Ready(listener.poll_accept(cx).is_pending()));
    assert!(none.await);
    listener.statistics()
}

#[tokio::test]
async fn both_sides_know_the_name_that_was_called() {
    let authority = Authority::new("servers");
    let own = authority.sign(&["localhost"]);
    let client = client(Some("LocalHost"), &authority.certificate, None);
    let (mut server, mut client) = pair(&server(&own, ClientCertificates::NotAsked), &client).await;
    for link in [&server, &client] {
        assert_eq!((link.scheme(), link.framing()), (Scheme::CoapsTcp, Framing::Tcp));
        assert_eq!(link.host(), Some("localhost"));
    }
    assert_eq!(client.peer_certificates().len(), 1);
    assert!(server.peer_certificates().is_empty());
    talk_and_close(&mut server, &mut client).await;
}

#[tokio::test]
async fn an_address_needs_no_name_but_a_certificate_that_has_it() {
    let own = self_signed(&["127.0.0.1"]);
    let client = client(None, &own.certificate, None);
    let (mut server, mut client) = pair(&server(&own, ClientCertificates::NotAsked), &client).await;
    assert_eq!((server.host(), client.host()), (None, None));
    talk_and_close(&mut server, &mut client).await;
}

#[tokio::test]
async fn a_megabyte_goes_both_ways_at_once() {
    let own = self_signed(&["localhost"]);
    let client = client(Some("localhost"), &own.certificate, None);
    let (mut server, mut client) = pair(&server(&own, ClientCertificates::NotAsked), &client).await;
    talk_at_length(&mut server, &mut client).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_it_and_the_error_says_why() {
    let authority = Authority::new("servers");
    let own = authority.sign(&["localhost", "127.0.0.1"]);
    let with = server(&own, ClientCertificates::NotAsked);

    let other = Authority::new("others");
    let error = refused(&with, &client(Some("localhost"), &other.certificate, None)).await;
    assert!(
        error.to_string().contains("signed by nobody who is trusted here"),
        "{error}"
    );

    let namesake = Authority::new("servers");
    let error = refused(&with, &client(Some("localhost"), &namesake.certificate, None)).await;
    assert!(
        error.to_string().contains("another authority of the same name"),
        "{error}"
    );

    let error = refused(&with, &client(Some("example.org"), &authority.certificate, None)).await;
    let text = error.to_string();
    assert!(
        text.ends_with("is for localhost, 127.0.0.1, not for example.org"),
        "{text}"
    );

    let expired = authority.sign_with(&["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let with = server(&expired, ClientCertificates::NotAsked);
    let error = refused(&with, &client(Some("localhost"), &authority.certificate, None)).await;
    assert!(error.to_string().contains("certificate has expired"), "{error}");
}

/// Whoever signed it, and whatever it may sign itself: `openssl req -x509` makes those of authorities.
#[tokio::test]
async fn a_certificate_that_was_named_is_trusted() {
    let signed = Authority::new("nobody here").sign(&["localhost"]);
    let own = self_signed_authority(&["localhost"], |_| ());
    for own in [&signed, &own] {
        let client = client(Some("localhost"), &own.certificate, Some(own));
        let asks = ClientCertificates::Required(trust(&own.certificate));
        let (mut server, mut client) = pair(&server(own, asks), &client).await;
        talk_and_close(&mut server, &mut client).await;
    }
    // The other checks are made all the same.
    let with = server(&own, ClientCertificates::NotAsked);
    let error = refused(&with, &client(Some("example.org"), &own.certificate, None)).await;
    assert!(error.to_string().ends_with("not for example.org"), "{error}");
    let error = refused(&with, &client(Some("localhost"), &signed.certificate, None)).await;
    assert!(
        error
            .to_string()
            .contains("certificate of an authority as its own"),
        "{error}"
    );
    let expired = self_signed_authority(&["localhost"], |params| {
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let with = server(&expired, ClientCertificates::NotAsked);
    let error = refused(&with, &client(Some("localhost"), &expired.certificate, None)).await;
    assert!(error.to_string().contains("certificate has expired"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_not_fit_is_told_with_what_it_lacks() {
    let authority = Authority::new("servers");
    let nameless = authority.sign(&[]);
    let of_clients = authority.sign_with(&["localhost"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    for (own, why) in [
        (nameless, "subjectAltName"),
        (of_clients, "extendedKeyUsage is without serverAuth"),
    ] {
        let with = server(&own, ClientCertificates::NotAsked);
        let error = refused(&with, &client(Some("localhost"), &authority.certificate, None)).await;
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn who_asks_for_it_takes_any_certificate() {
    let own = self_signed(&["example.org"]);
    let options = ConnectOptions {
        host: Some("localhost".into()),
        tls: Some(ClientTls::dangerous_any_certificate(None).unwrap()),
        ..ConnectOptions::default()
    };
    let (mut server, mut client) = pair(&server(&own, ClientCertificates::NotAsked), &options).await;
    talk_and_close(&mut server, &mut client).await;
}

#[tokio::test]
async fn a_client_shows_its_certificate_if_it_is_asked() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let (own, device) = (authority.sign(&["localhost"]), clients.sign(&["device-1"]));
    let trusted = trust(&clients.certificate);
    for asks in [
        ClientCertificates::Optional(trusted.clone()),
        ClientCertificates::Required(trusted.clone()),
    ] {
        let client = client(Some("localhost"), &authority.certificate, Some(&device));
        let (mut server, mut client) = pair(&server(&own, asks), &client).await;
        let shown = rustls::pki_types::CertificateDer::from_pem_slice(device.certificate.as_bytes()).unwrap();
        assert_eq!(server.peer_certificates(), [shown]);
        talk_and_close(&mut server, &mut client).await;
    }
    let without = client(Some("localhost"), &authority.certificate, None);
    let optional = server(&own, ClientCertificates::Optional(trusted));
    let (mut server, mut client) = pair(&optional, &without).await;
    assert!(server.peer_certificates().is_empty());
    talk_and_close(&mut server, &mut client).await;
}

/// In TLS 1.3 the client has its answer only after the handshake.
#[tokio::test]
async fn a_client_without_a_certificate_that_is_wanted_learns_why() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let own = authority.sign(&["localhost"]);
    let stranger = Authority::new("strangers").sign(&["device-1"]);
    let cases = [
        (None, "the peer wants a certificate of ours"),
        (
            Some(&stranger),
            "the peer does not trust who signed our certificate",
        ),
    ];
    for (shown, why) in cases {
        let required = ClientCertificates::Required(trust(&clients.certificate));
        let (mut listener, address) = listen(&server(&own, required));
        let options = client(Some("localhost"), &authority.certificate, shown);
        let targets = [address];
        let connecting = async {
            let mut link = connect(&targets, &options).await?;
            read(&mut link, 1).await
        };
        let error = within(async {
            tokio::select! {
                link = listener.accept() => panic!("the server took it: {link:?}"),
                result = connecting => result.unwrap_err(),
            }
        })
        .await;
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(statistics(&mut listener).await.failed, 1);
    }
}

/// RFC 8323 §8.2: on another port than 5684 both sides have to agree on CoAP.
#[tokio::test]
async fn a_server_that_does_not_speak_of_coap_is_left() {
    let own = self_signed(&["localhost"]);
    for (protocols, why) in [
        (vec![], "did not say that it speaks CoAP"),
        (vec![b"h2".to_vec()], "speaks other protocols on this port"),
    ] {
        let chain =
            vec![rustls::pki_types::CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = protocols;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        };
        let options = client(Some("localhost"), &own.certificate, None);
        let targets = [address];
        let ((), link) = within(async { tokio::join!(server, connect(&targets, &options)) }).await;
        let error = link.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// A client of the library alone, which offers these protocols.
async fn offer(address: SocketAddr, trusted: &str, protocols: &[&[u8]]) -> io::Result<usize> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap())
        .unwrap();
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await?;
    stream.read(&mut [0; 8]).await
}

#[tokio::test]
async fn a_client_that_does_not_speak_of_coap_is_sent_away() {
    let own = self_signed(&["localhost"]);
    let (mut listener, address) = listen(&server(&own, ClientCertificates::NotAsked));
    let offers = async {
        let mut ends = Vec::new();
        let offered: [&[&[u8]]; 3] = [&[], &[b"h2"], &[b"h2", b"coap"]];
        for protocols in offered {
            let asked = offer(address, &own.certificate, protocols);
            ends.push(
                tokio::time::timeout(Duration::from_secs(10), asked)
                    .await
                    .unwrap(),
            );
        }
        ends
    };
    let taking = async {
        let mut link = listener.accept().await.unwrap();
        write(&mut link, b"hi").await.unwrap();
        // Nobody else comes.
        std::future::pending::<Link>().await
    };
    let ends = within(async {
        tokio::select! {
            _ = taking => unreachable!(),
            ends = offers => ends,
        }
    })
    .await;
    for end in &ends[..2] {
        let error = end.as_ref().unwrap_err().to_string();
        assert!(error.contains("NoApplicationProtocol"), "{ends:?}");
    }
    assert_eq!(ends[2].as_ref().unwrap(), &2);
}

#[tokio::test]
async fn one_that_speaks_no_tls_is_told_from_one_that_is_not_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"\x20\xe1\x00\x00 not TLS at all")
            .await
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let own = self_signed(&["localhost"]);
    let options = client(Some("localhost"), &own.certificate, None);
    let targets = [address];
    let ((), link) = within(async { tokio::join!(server, connect(&targets, &options)) }).await;
    let error = link.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{address}: the peer does not speak TLS")
    );
}

/// Who begins and says nothing holds nobody up, and is given up for newer ones.
#[tokio::test]
async fn silent_peers_do_not_delay_others_and_make_room() {
    let own = self_signed(&["localhost"]);
    let options = ListenOptions {
        max_handshakes: 8,
        ..server(&own, ClientCertificates::NotAsked)
    };
    let (mut listener, address) = listen(&options);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let options = client(Some("localhost"), &own.certificate, None);
    let targets = [address];
    let (server, client) =
        within(async { tokio::join!(listener.accept(), connect(&targets, &options)) }).await;
    talk_and_close(&mut server.unwrap(), &mut client.unwrap()).await;
    let statistics = listener.statistics();
    assert_eq!((statistics.accepted, statistics.expired), (21, 0));
    assert!(statistics.displaced >= 12, "{statistics:?}");
    // The first ones are closed, the last ones are still listened to.
    let ended = within(silent.first_mut().unwrap().read(&mut [0; 8])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn a_silent_peer_has_only_so_much_time() {
    let own = self_signed(&["localhost"]);
    let options = ListenOptions {
        handshake_timeout: Duration::from_millis(50),
        ..server(&own, ClientCertificates::NotAsked)
    };
    let (mut listener, address) = listen(&options);
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut buf = [0; 8];
    let ended = within(async {
        tokio::select! {
            link = listener.accept() => panic!("a link: {link:?}"),
            ended = silent.read(&mut buf) => ended,
        }
    })
    .await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert_eq!(statistics(&mut listener).await.expired, 1);
}

/// Many end a connection of TLS without close_notify.
#[tokio::test]
async fn an_end_without_a_word_is_an_end() {
    let own = self_signed(&["localhost"]);
    let client = client(Some("localhost"), &own.certificate, None);
    let (mut server, client) = pair(&server(&own, ClientCertificates::NotAsked), &client).await;
    drop(client);
    let mut received = Vec::new();
    let end = within(poll_fn(|cx| server.poll_read(cx, &mut received, 64))).await;
    assert!(matches!(end, Ok(0)) || end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (one, other) = (self_signed(&["localhost"]), self_signed(&["localhost"]));
    let chain = file("cert.pem", &one.certificate);
    let key = file("key.pem", &one.key);
    assert!(Identity::from_files(&chain, &key).is_ok());
    let both = file("both.pem", &format!("{}{}", one.key, one.certificate));
    assert!(Identity::from_files(&both, &both).is_ok());

    let cases = [
        (
            file("other.pem", &other.certificate),
            key.clone(),
            "other.pem",
            "does not belong",
        ),
        (key.clone(), key.clone(), "key.pem", "no certificate in it"),
        (chain.clone(), chain.clone(), "cert.pem", "no private key in it"),
        (
            folder.path().join("none.pem"),
            key.clone(),
            "none.pem",
            "No such file",
        ),
        (
            file("cut.pem", one.certificate.trim_end().trim_end_matches('-')),
            key.clone(),
            "cut.pem",
            "no PEM",
        ),
        (
            chain.clone(),
            file(
                "secret.pem",
                &one.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
            ),
            "secret.pem",
            "openssl pkey",
        ),
        (
            file(
                "odd.pem",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            ),
            key,
            "odd.pem",
            "damaged",
        ),
    ];
    for (chain, key, name, why) in cases {
        let error = Identity::from_files(&chain, &key).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(why), "{error}");
    }
    let error = Authorities::from_file(&file("empty.pem", ""))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("empty.pem: there is no certificate in it"),
        "{error}"
    );
}

/// Before PKCS #8 it was a field that said so, not the label.
#[test]
fn an_encrypted_key_of_the_old_form_is_told_as_one() {
    let own = self_signed(&["localhost"]);
    let key = own
        .key
        .replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\n\n");
    let error = Identity::from_pem(own.certificate.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("openssl pkey"), "{error}");
}
