//! Against `openssl s_client` and `openssl s_server` over loopback. Without the program these tests only say so, unless
//! COAP_INTEROP=required.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::keys::{Authority, UNIX_TIME};
use common::{IDENTITY, KEY, psk};
use coracle_dtls::{
    ClientAuthentication, Config, Connect, Dtls, Event, Failure, Identity, OwnKeys, Path, Received,
    ServerConfig, SessionId, SignatureScheme, SigningKey, Trust,
};

/// The longest that a test waits for the other side.
const PATIENCE: Duration = Duration::from_secs(20);

fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    if !found {
        let required = std::env::var("COAP_INTEROP").is_ok_and(|value| value == "required");
        assert!(!required, "COAP_INTEROP=required, and there is no openssl");
        println!("no openssl here: nothing was tested");
    }
    found
}

fn clock() -> Instant {
    Instant::now() // tidy: the other side is a process with a clock of its own
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A running openssl, which ends with the test.
struct OpenSsl {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl OpenSsl {
    fn start(args: &[&str]) -> OpenSsl {
        let mut child = Command::new("openssl")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        OpenSsl {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    fn has_said(&mut self, what: &str) -> bool {
        self.seen.extend(self.lines.try_iter());
        self.seen.iter().any(|line| line.contains(what))
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our machine on a socket.
struct Ours {
    dtls: Dtls,
    socket: UdpSocket,
    begin: Instant,
    connected: Vec<SessionId>,
    failures: Vec<Failure>,
    received: Vec<Vec<u8>>,
    closed: usize,
    echoes: bool,
}

impl Ours {
    fn new(config: Config) -> Ours {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Ours {
            dtls: Dtls::new(config, [7; 32]),
            socket,
            begin: clock(),
            connected: Vec::new(),
            failures: Vec::new(),
            received: Vec::new(),
            closed: 0,
            echoes: false,
        }
    }

    fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    fn connect(&mut self, port: u16, connect: Connect) {
        let remote: SocketAddr = ([127, 0, 0, 1], port).into();
        self.dtls
            .connect(self.begin.elapsed(), Path::to(remote), connect)
            .unwrap();
    }

    fn send(&mut self, session: SessionId, text: &[u8]) {
        let mut buf = [0; 2048];
        let sealed = self
            .dtls
            .protect(self.begin.elapsed(), session, text, &mut buf)
            .unwrap();
        self.socket
            .send_to(&buf[..sealed.len], sealed.path.remote)
            .unwrap();
    }

    fn turn(&mut self) {
        let mut buf = [0; 4096];
        if let Ok((len, from)) = self.socket.recv_from(&mut buf) {
            let mut rest = &mut buf[..len];
            while !rest.is_empty() {
                let now = self.begin.elapsed();
                let (used, received) = self.dtls.handle_datagram(now, Path::to(from), rest);
                if let Received::Data { session, range } = received {
                    let text = rest[range].to_vec();
                    if self.echoes {
                        self.send(session, &text);
                    }
                    self.received.push(text);
                }
                rest = &mut rest[used..];
                self.events();
            }
        }
        let now = self.begin.elapsed();
        if self.dtls.poll_deadline().is_some_and(|deadline| deadline <= now) {
            self.dtls.handle_timeout(now);
        }
        self.events();
        while let Some(transmit) = self.dtls.poll_transmit(now, &mut buf) {
            // Nobody may listen yet, or any more.
            let _ = self.socket.send_to(&buf[..transmit.len], transmit.path.remote);
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.dtls.poll_event() {
            match event {
                Event::Connected { session, .. } => self.connected.push(session),
                Event::PskWanted { lookup, identity, .. } => {
                    let key = (identity == IDENTITY).then_some(KEY);
                    self.dtls.provide_psk(self.begin.elapsed(), lookup, key);
                }
                Event::Failed { failure, .. } => self.failures.push(*failure),
                Event::Closed { .. } => self.closed += 1,
                _ => {}
            }
        }
    }

    fn run_until(&mut self, what: &str, mut is_so: impl FnMut(&mut Ours) -> bool) {
        let end = clock() + PATIENCE;
        while !is_so(self) {
            assert!(clock() < end, "{what}; failures: {:?}", self.failures);
            self.turn();
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

const PSK_CIPHERS: [&str; 3] = ["PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES128-GCM-SHA256"];

/// Our client says a line, and the server says another.
fn talk_to_server(args: &[&str], config: Config, connect: &Connect) -> Identity {
    let port = free_port().to_string();
    let mut all = vec!["s_server", "-dtls1_2", "-accept", &port];
    all.extend(args);
    let mut server = OpenSsl::start(&all);
    let mut ours = Ours::new(config);
    ours.run_until("s_server is ready", |_| server.has_said("ACCEPT"));
    ours.connect(port.parse().unwrap(), connect.clone());
    ours.run_until("connected", |ours| !ours.connected.is_empty());
    let session = ours.connected[0];
    ours.send(session, b"hello\n");
    ours.run_until("what we said", |_| server.has_said("hello"));
    server.say("answer\n");
    ours.run_until("the answer", |ours| ours.received == [b"answer\n"]);
    Identity::clone(ours.dtls.peer(session).unwrap())
}

/// A client of openssl says a line, and gets it back.
fn serve_client(args: &[&str], config: Config) -> Identity {
    let mut ours = Ours::new(config);
    ours.echoes = true;
    let address = format!("127.0.0.1:{}", ours.port());
    let mut all = vec!["s_client", "-dtls1_2", "-quiet", "-connect", &address];
    all.extend(args);
    let mut client = OpenSsl::start(&all);
    ours.run_until("connected", |ours| !ours.connected.is_empty());
    client.say("hello from openssl\n");
    ours.run_until("the echo", |_| client.has_said("hello from openssl"));
    assert_eq!(ours.received, [b"hello from openssl\n"]);
    let peer = Identity::clone(ours.dtls.peer(ours.connected[0]).unwrap());
    drop(client.child.stdin.take());
    peer
}

#[test]
fn our_client_and_s_server_with_a_psk() {
    if !has_openssl() {
        return;
    }
    let (key, identity) = (hex(KEY), String::from_utf8(IDENTITY.to_vec()).unwrap());
    for cipher in PSK_CIPHERS {
        for extra in [&[][..], &["-listen"]] {
            let cipher = format!("{cipher}:@SECLEVEL=0");
            let mut args = vec![
                "-nocert",
                "-psk",
                &key,
                "-psk_identity",
                &identity,
                "-cipher",
                &cipher,
            ];
            args.extend(extra);
            let peer = talk_to_server(&args, Config::default(), &psk());
            assert_eq!(peer, Identity::Psk(IDENTITY.to_vec()));
        }
    }
}

#[test]
fn s_client_and_our_server_with_a_psk() {
    if !has_openssl() {
        return;
    }
    let (key, identity) = (hex(KEY), String::from_utf8(IDENTITY.to_vec()).unwrap());
    for cipher in PSK_CIPHERS {
        let cipher = format!("{cipher}:@SECLEVEL=0");
        let args = ["-psk", &key, "-psk_identity", &identity, "-cipher", &cipher];
        let peer = serve_client(&args, Config::psk_server());
        assert_eq!(peer, Identity::Psk(IDENTITY.to_vec()));
    }
}

#[test]
fn s_client_with_a_small_mtu() {
    if !has_openssl() {
        return;
    }
    let (key, identity) = (hex(KEY), String::from_utf8(IDENTITY.to_vec()).unwrap());
    let mut config = Config::psk_server();
    config.mtu = 256;
    let args = [
        "-mtu",
        "256",
        "-psk",
        &key,
        "-psk_identity",
        &identity,
        "-cipher",
        "PSK-AES128-CCM8:@SECLEVEL=0",
    ];
    serve_client(&args, config);
}

#[test]
fn s_client_with_a_wrong_key_is_told() {
    if !has_openssl() {
        return;
    }
    let mut ours = Ours::new(Config::psk_server());
    let address = format!("127.0.0.1:{}", ours.port());
    let args = [
        "s_client",
        "-dtls1_2",
        "-connect",
        &address,
        "-psk",
        "00ff",
        "-psk_identity",
        "device-1",
    ];
    let _client = OpenSsl::start(&[&args[..], &["-cipher", "PSK-AES128-CCM8:@SECLEVEL=0"]].concat());
    ours.run_until("the failure", |ours| !ours.failures.is_empty());
    assert!(
        ours.failures[0]
            .to_string()
            .starts_with("the client's key for the PSK identity \"device-1\" is wrong")
    );
}

const ECDSA_CIPHERS: [&str; 3] = [
    "ECDHE-ECDSA-AES128-CCM8",
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
];

/// What both sides need of one authority: files for openssl, values for us.
struct Certificates {
    folder: tempfile::TempDir,
    authority: Authority,
    ours: OwnKeys,
}

impl Certificates {
    fn new(scheme: SignatureScheme) -> Certificates {
        let authority = Authority::new("root");
        let folder = tempfile::tempdir().unwrap();
        let theirs = authority.issue("openssl.example.org", scheme, 2040);
        let ours = authority.issue("ours.example.org", scheme, 2040);
        // OpenSSL reads the first version of PKCS#8 only.
        let key = SigningKey::from_pem(theirs.key.as_bytes()).unwrap();
        let key = key.to_pkcs8_der().unwrap();
        let files: [(&str, &[u8]); 3] = [
            ("ca", authority.pem.as_bytes()),
            ("cert", theirs.certificate.as_bytes()),
            ("key", &key),
        ];
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let ours = OwnKeys {
            certificate: Some(ours.certified()),
            ..OwnKeys::default()
        };
        Certificates {
            folder,
            authority,
            ours,
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn trust(&self) -> Trust {
        Trust {
            authorities: self.authority.trusted(),
            ..Trust::default()
        }
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.unix_time = Some(UNIX_TIME);
        config
    }

    fn connect(&self) -> Connect {
        Connect::with_keys(self.ours.clone(), self.trust().into()).to("openssl.example.org")
    }
}

fn is_openssl(peer: &Identity) -> bool {
    matches!(peer, Identity::Certificate(certificate) if certificate.names == ["openssl.example.org"])
}

#[test]
fn our_client_and_s_server_with_certificates_both_ways() {
    if !has_openssl() {
        return;
    }
    // As a server of DTLS 1.2 openssl does not use a certificate with a key of Ed25519.
    let made = Certificates::new(SignatureScheme::EcdsaSecp256r1Sha256);
    let [ca, cert, key] = ["ca", "cert", "key"].map(|name| made.file(name));
    for cipher in ECDSA_CIPHERS {
        let cipher = format!("{cipher}:@SECLEVEL=0");
        let args = [
            "-cert", &cert, "-key", &key, "-keyform", "DER", "-CAfile", &ca, "-Verify", "2",
        ];
        let args = [&args[..], &["-verify_return_error", "-cipher", &cipher]].concat();
        assert!(is_openssl(&talk_to_server(&args, made.config(), &made.connect())));
    }
}

#[test]
fn s_client_and_our_server_with_certificates_both_ways() {
    if !has_openssl() {
        return;
    }
    for scheme in SignatureScheme::ALL {
        let made = Certificates::new(scheme);
        let [ca, cert, key] = ["ca", "cert", "key"].map(|name| made.file(name));
        for cipher in ECDSA_CIPHERS {
            let cipher = format!("{cipher}:@SECLEVEL=0");
            let mut config = made.config();
            config.server = Some(ServerConfig {
                keys: made.ours.clone(),
                client_authentication: ClientAuthentication::Required,
                trust: made.trust(),
                ..ServerConfig::default()
            });
            let args = [
                "-cert",
                &cert,
                "-key",
                &key,
                "-keyform",
                "DER",
                "-CAfile",
                &ca,
                "-verify_return_error",
            ];
            let args = [
                &args[..],
                &["-verify_hostname", "ours.example.org", "-cipher", &cipher],
            ]
            .concat();
            assert!(is_openssl(&serve_client(&args, config)));
        }
    }
}

#[test]
fn s_client_takes_a_session_up_again_by_ticket_and_by_id() {
    if !has_openssl() {
        return;
    }
    let (key, identity) = (hex(KEY), String::from_utf8(IDENTITY.to_vec()).unwrap());
    for tickets in [true, false] {
        let mut config = Config::psk_server();
        config.resumption.tickets = tickets;
        let mut ours = Ours::new(config);
        let address = format!("127.0.0.1:{}", ours.port());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session").to_str().unwrap().to_owned();
        let base = [
            "s_client",
            "-dtls1_2",
            "-connect",
            &address,
            "-psk",
            &key,
            "-psk_identity",
            &identity,
        ];
        let base = [&base[..], &["-cipher", "PSK-AES128-CCM8:@SECLEVEL=0"]].concat();
        for (round, option) in ["-sess_out", "-sess_in"].into_iter().enumerate() {
            let mut client = OpenSsl::start(&[&base[..], &[option, &file]].concat());
            ours.run_until("connected", |ours| ours.connected.len() > round);
            ours.run_until("what s_client says", |_| client.has_said("Verify return code"));
            client.say("Q\n");
            ours.run_until("the end", |ours| ours.closed > round);
            ours.run_until("the file", |_| client.child.try_wait().unwrap().is_some());
        }
        assert_eq!(ours.dtls.stats().handshakes_resumed, 1, "with tickets: {tickets}");
    }
}

#[test]
fn our_client_takes_a_session_up_again_with_s_server() {
    if !has_openssl() {
        return;
    }
    let (key, identity) = (hex(KEY), String::from_utf8(IDENTITY.to_vec()).unwrap());
    for extra in [&[][..], &["-no_ticket"]] {
        let port = free_port().to_string();
        let mut args = vec!["s_server", "-dtls1_2", "-accept", &port, "-nocert", "-psk", &key];
        args.extend([
            "-psk_identity",
            &identity,
            "-cipher",
            "PSK-AES128-CCM8:@SECLEVEL=0",
        ]);
        args.extend(extra);
        let mut server = OpenSsl::start(&args);
        let mut ours = Ours::new(Config::default());
        ours.run_until("s_server is ready", |_| server.has_said("ACCEPT"));
        ours.connect(port.parse().unwrap(), psk());
        ours.run_until("connected", |ours| ours.connected.len() == 1);
        let (now, first) = (ours.begin.elapsed(), ours.connected[0]);
        ours.dtls.close(now, first);
        ours.turn();
        ours.connect(port.parse().unwrap(), psk());
        ours.run_until("connected again", |ours| ours.connected.len() == 2);
        assert_eq!(ours.dtls.stats().handshakes_resumed, 1, "{extra:?}");
    }
}
