//! The judge as a server of `coaps`: what cases of DTLS for clients are written with.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_dtls::{
    AlertDescription, ClientAuthentication, NoticedBy, OwnKeys, Reason, Secret, ServerConfig, SessionId,
    Trust,
};
use coracle_wire::{MessageType, Method, Status};

use super::{Heard, Line, Outcome};
use crate::command::{self, Running};
use crate::keys;
use crate::message::{Message, Received};
use crate::talk::Frame;
use crate::template::{Stimulus, Template};
use crate::transport::Transport;
use crate::verdict::{Judged, Stop};

/// How long a command may take to send its first message.
const START: Duration = Duration::from_secs(10);

/// How long a command may take to end after its answer.
const END: Duration = Duration::from_secs(5);

/// How often it is looked whether the command still runs.
const LOOK: Duration = Duration::from_millis(100);

/// The judge as a server with one socket on loopback, and the client's command.
#[derive(Debug)]
pub struct Callee {
    line: Line,
    template: Template,
    files: Option<Files>,
    running: Option<Running>,
    commands: Vec<String>,
    output: Vec<u8>,
}

/// What a case wants the client to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum As<'a> {
    /// The identity of the plugtests with a key.
    Psk(&'a str),
    /// RPK_C, and that the server is the owner of this public key.
    RawKey(&'a str),
}

impl Callee {
    pub(crate) fn new(template: &Template, frame: &Frame) -> Judged<Callee> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Callee {
            line: Line::bind(loopback, None, frame)?,
            template: template.clone(),
            files: None,
            running: None,
            commands: Vec::new(),
            output: Vec::new(),
        })
    }

    /// From now on everything of handshakes is lost once.
    pub(crate) fn lose_everything_once(&mut self) {
        self.line.lose_everything_once();
    }

    /// Takes clients with the pre-shared key of the plugtests.
    pub(crate) fn take_psk(&mut self) {
        self.line.psk = Some((keys::IDENTITY.into(), Secret::new(keys::KEY.into())));
        let server = ServerConfig {
            psk: true,
            ..ServerConfig::default()
        };
        self.line.dtls.set_server(Some(server));
    }

    /// Shows RPK_S, and takes clients with this raw public key.
    pub(crate) fn take_raw_key(&mut self, client: &str) -> Judged {
        let unusable =
            |error: &dyn std::fmt::Display| Stop::Inconclusive(format!("a key cannot be used: {error}"));
        let own = keys::private(keys::SERVER_KEY.as_bytes()).map_err(|error| unusable(&error))?;
        let trusted = keys::public(client.as_bytes()).map_err(|error| unusable(&error))?;
        let server = ServerConfig {
            psk: false,
            keys: OwnKeys {
                certificate: None,
                raw_key: Some(Arc::new(own)),
            },
            client_authentication: ClientAuthentication::Required,
            trust: Trust {
                keys: trusted,
                ..Trust::default()
            },
        };
        self.line.dtls.set_server(Some(server));
        Ok(())
    }

    /// Starts the client's command, to GET `/secure`.
    ///
    /// # Errors
    /// [`Stop::Skip`] if the command line has no place for what is wanted, [`Stop::Inconclusive`] if it cannot be
    /// started.
    pub(crate) fn start(&mut self, whom: As<'_>) -> Judged {
        let get = Stimulus::get("/secure");
        let stimulus = match whom {
            As::Psk(key) => get.with("psk", format_args!("{}:{key}", keys::IDENTITY)),
            As::RawKey(server) => {
                let written = Files::write(server);
                let files =
                    written.map_err(|error| Stop::Inconclusive(format!("cannot write keys: {error}")))?;
                let stimulus = get
                    .with("rpk", files.own().display())
                    .with("trust", files.trusted().display());
                self.files = Some(files);
                stimulus
            }
        };
        let authority = self.line.local.to_string();
        let arguments = self
            .template
            .expand(&stimulus, Transport::Dtls.scheme(), &authority)
            .map_err(|place| Stop::Skip(format!("the command cannot be told to: it has no {place}")))?;
        self.commands.push(command::quoted(&arguments));
        let running = Running::start(&arguments).map_err(|error| {
            Stop::Inconclusive(format!("cannot start {:?}: {error}", self.template.program()))
        })?;
        self.running = Some(running);
        Ok(())
    }

    /// Ends the command, if one runs.
    pub(crate) fn end(&mut self) {
        if let Some(mut running) = self.running.take() {
            self.output = running.last_output();
        }
    }

    /// The command lines so far.
    pub(crate) fn commands(&self) -> &[String] {
        &self.commands
    }

    /// What the last command has printed so far.
    pub(crate) fn output(&self) -> String {
        let running = self.running.as_ref().map(Running::output);
        String::from_utf8_lossy(&running.unwrap_or_else(|| self.output.clone())).into_owned()
    }

    /// What the client's handshake comes to.
    ///
    /// # Errors
    /// [`Stop::Inconclusive`] if the command sends nothing or ends before, [`Stop::Fail`] if it crashed or does not come to
    /// an end with it.
    pub(crate) fn handshake(&mut self) -> Judged<Outcome> {
        let within = self.line.handshake_time().max(START);
        let until = Instant::now() + within;
        loop {
            let ended = self.running.as_mut().and_then(Running::ended);
            match self.line.outcome(LOOK)? {
                // Another one is under way.
                Some(Outcome::Failure(failure)) if failure.reason == Reason::BegunAnew => {}
                Some(outcome) => return Ok(outcome),
                None => {}
            }
            if let Some(status) = ended {
                return Err(self.ended_early(status));
            }
            if Instant::now() >= until {
                return Err(self.nothing_came(within));
            }
        }
    }

    fn nothing_came(&self, within: Duration) -> Stop {
        let records = self.line.frame.transcript.records();
        let seconds = within.as_secs();
        if records.iter().any(|record| !record.by_judge) {
            let what = format!("expected the end of the handshake, but it did not come within {seconds} s");
            Stop::fail(what, "RFC 6347 §4.2")
        } else {
            Stop::Inconclusive(format!("the command sent nothing within {seconds} s"))
        }
    }

    fn ended_early(&mut self, status: std::process::ExitStatus) -> Stop {
        self.end();
        let output = self.output();
        let last = output.lines().map(str::trim).rfind(|line| !line.is_empty());
        let what = format!(
            "the command ended ({}) before the end of the handshake; it said: {}",
            command::describe(status),
            last.unwrap_or("nothing")
        );
        if command::crashed(status) {
            Stop::fail(what, None)
        } else {
            Stop::Inconclusive(what)
        }
    }

    /// The client's handshake, which has to come to a session.
    ///
    /// # Errors
    /// As [`handshake`](Self::handshake), and [`Stop::Fail`] if there is none.
    pub(crate) fn session(&mut self) -> Judged<SessionId> {
        match self.handshake()? {
            Outcome::Session(session) => Ok(session),
            Outcome::Failure(failure) => Err(Stop::fail(
                format!("expected a session, but: {failure}"),
                "RFC 7252 §9.1.3",
            )),
        }
    }

    /// The client's handshake, which the judge has to refuse for this reason.
    ///
    /// # Errors
    /// As [`handshake`](Self::handshake), and [`Stop::Fail`] if there is a session, or another reason.
    pub(crate) fn refuse(&mut self, reason: impl Fn(&Reason) -> bool, alert: AlertDescription) -> Judged {
        match self.handshake()? {
            Outcome::Failure(failure) if failure.noticed_by == NoticedBy::Us && reason(&failure.reason) => {
                Ok(())
            }
            Outcome::Failure(failure) => {
                let what = format!("expected what is refused with the alert {alert}, but: {failure}");
                Err(Stop::fail(what, None))
            }
            Outcome::Session(_) => Err(Stop::fail("expected a wrong key, but there is a session", None)),
        }
    }

    /// The client's handshake, which it has to end itself with an alert.
    ///
    /// # Errors
    /// As [`handshake`](Self::handshake), and [`Stop::Fail`] if there is a session, or another alert.
    pub(crate) fn refused(&mut self, alert: AlertDescription) -> Judged {
        match self.handshake()? {
            Outcome::Failure(failure)
                if failure.noticed_by == NoticedBy::Peer && failure.alert == Some(alert) =>
            {
                Ok(())
            }
            Outcome::Failure(failure) => Err(Stop::fail(
                format!("expected the alert {alert}, but: {failure}"),
                None,
            )),
            Outcome::Session(_) => {
                let what = format!("expected the alert {alert}, but there is a session");
                Err(Stop::fail(what, None))
            }
        }
    }

    /// The client's GET of `/secure` by a session, which is answered with a text; the command shows it, and ends.
    ///
    /// # Errors
    /// [`Stop::Fail`] if another request comes or none, [`Stop::Inconclusive`] if the text is not shown.
    pub(crate) fn serve(&mut self, session: SessionId, text: &str) -> Judged {
        let until = Instant::now() + START;
        let mut answered = None;
        loop {
            let ended = self.running.as_mut().and_then(Running::ended);
            if let Some(Heard::Message(by, opened)) = self.line.hear(Instant::now() + LOOK)?
                && by == session
            {
                let request = super::read(opened)?;
                if request.method().is_some() {
                    request.is_request(Method::GET)?;
                    request.expect(request.uri_path() == "/secure", "the path /secure", None)?;
                    self.answer(session, &request, text)?;
                    answered.get_or_insert_with(Instant::now);
                }
            }
            if self.output().contains(text) {
                return Ok(());
            }
            let late = answered.map_or(until, |at: Instant| at + END);
            if ended.is_some() || Instant::now() >= late {
                return Err(match answered {
                    Some(_) => Stop::Inconclusive(format!("the command did not show {text:?}")),
                    None => Stop::fail("expected a request by the session, but none came", None),
                });
            }
        }
    }

    fn answer(&mut self, session: SessionId, request: &Received, text: &str) -> Judged {
        let kind = match request.is_con() {
            true => MessageType::Acknowledgement,
            false => MessageType::NonConfirmable,
        };
        let answer = Message::new(kind, Status::CONTENT, request.mid);
        let answer = answer.token(&request.token).text(text);
        self.line.send(session, &answer.to_bytes())
    }

    /// The command ends, and has nothing to show: no request was answered. It may say what it likes.
    ///
    /// # Errors
    /// [`Stop::Fail`] if it crashed, [`Stop::Inconclusive`] if it had to be ended.
    pub(crate) fn give_up(&mut self) -> Judged {
        let until = Instant::now() + END;
        loop {
            match self.running.as_mut().map(Running::ended) {
                Some(Some(status)) if command::crashed(status) => {
                    self.end();
                    let what = format!("the command was {}", command::describe(status));
                    return Err(Stop::fail(what, None));
                }
                Some(None) if Instant::now() < until => {
                    self.line.hear(Instant::now() + LOOK)?;
                }
                Some(None) => {
                    self.end();
                    let what = "the command did not end after its handshake was refused and was ended";
                    return Err(Stop::Inconclusive(what.to_owned()));
                }
                _ => {
                    self.end();
                    return Ok(());
                }
            }
        }
    }

    /// Everything of the client's handshake that was lost came again.
    ///
    /// # Errors
    /// [`Stop::Fail`] if something did not.
    pub(crate) fn everything_came_again(&self) -> Judged {
        self.line.everything_came_again()
    }
}

/// Keys for the command, in a folder that goes away.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
}

impl Files {
    fn write(server: &str) -> io::Result<Files> {
        let [a, b, c, d, ..] = super::seed();
        let number = u32::from_be_bytes([a, b, c, d]);
        let folder = std::env::temp_dir().join(format!("coracle-plugtest-{number:08x}"));
        fs::create_dir(&folder)?;
        let files = Files { folder };
        write_for_owner(&files.own(), keys::CLIENT_KEY)?;
        fs::write(files.trusted(), server)?;
        Ok(files)
    }

    fn own(&self) -> PathBuf {
        self.folder.join("client-key.pem")
    }

    fn trusted(&self) -> PathBuf {
        self.folder.join("server.pem")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What stays behind holds keys that everybody knows.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Some clients take no private key that others may read.
fn write_for_owner(file: &Path, text: &str) -> io::Result<()> {
    fs::write(file, text)?;
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}
