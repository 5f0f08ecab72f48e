//! TD_COAP_DTLS for servers.

use coracle_dtls::{
    AlertDescription, Connect, NoticedBy, Reason, SessionId, SignatureScheme, SigningKey, TrustedKeys,
};
use coracle_wire::Status;

use super::server_steps::offered;
use crate::case::{Case, Judge};
use crate::plugtests::plugtest;
use crate::sessions::{Caller, Outcome, raw};
use crate::transport::Transport;
use crate::verdict::{Judged, Stop};

/// The cases. Where everything is lost once, the waits of both sides add up.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_DTLS_01", Judge::Caller(dtls_01))
        .over(Transport::SESSIONS)
        .needs(&["/secure"]),
    plugtest("TD_COAP_DTLS_02", Judge::Caller(dtls_02)).over(Transport::SESSIONS),
    plugtest("TD_COAP_DTLS_03", Judge::Caller(dtls_03))
        .over(Transport::SESSIONS)
        .needs(&["/secure"])
        .within(90),
    plugtest("TD_COAP_DTLS_04", Judge::Caller(dtls_04))
        .over(Transport::SESSIONS)
        .needs(&["/secure"]),
    plugtest("TD_COAP_DTLS_05", Judge::Caller(dtls_05))
        .over(Transport::SESSIONS)
        .needs(&["/secure"]),
    plugtest("TD_COAP_DTLS_06", Judge::Caller(dtls_06)).over(Transport::SESSIONS),
    plugtest("TD_COAP_DTLS_07", Judge::Caller(dtls_07))
        .over(Transport::SESSIONS)
        .needs(&["/secure"])
        .within(90),
];

/// The key of `TD_COAP_DTLS_02`.
const WRONG: &str = "wrong";

fn dtls_01(caller: &mut Caller) -> Judged {
    let session = caller.session(caller.psk(None))?;
    secure(caller, session)
}

fn dtls_02(caller: &mut Caller) -> Judged {
    caller.refusal(caller.psk(Some(WRONG)), AlertDescription::DECRYPT_ERROR)
}

fn dtls_03(caller: &mut Caller) -> Judged {
    lossy(caller, caller.psk(None))
}

fn dtls_04(caller: &mut Caller) -> Judged {
    let session = caller.session(raw(caller.own()?, caller.trusted()?))?;
    secure(caller, session)
}

/// It is the judge that refuses the server's key; the server has shown it, and is ready for the next handshake.
fn dtls_05(caller: &mut Caller) -> Judged {
    let stranger = raw(caller.own()?, only(&another()?)?);
    match caller.handshake(stranger)? {
        Outcome::Failure(failure)
            if failure.noticed_by == NoticedBy::Us && failure.reason == Reason::UntrustedKey => {}
        Outcome::Failure(failure) => return Err(caller.not_established(&failure)),
        Outcome::Session(_) => return Err(Stop::Inconclusive("the judge believed a stranger".to_owned())),
    }
    dtls_04(caller)
}

fn dtls_06(caller: &mut Caller) -> Judged {
    let own = another()?.into();
    caller.refusal(raw(own, caller.trusted()?), AlertDescription::CERTIFICATE_UNKNOWN)
}

fn dtls_07(caller: &mut Caller) -> Judged {
    lossy(caller, raw(caller.own()?, caller.trusted()?))
}

/// A handshake of which everything is lost once.
fn lossy(caller: &mut Caller, connect: Connect) -> Judged {
    caller.lose_everything_once();
    let session = caller.session(connect)?;
    secure(caller, session)?;
    caller.everything_came_again()
}

/// `/secure` by a session.
fn secure(caller: &mut Caller, session: SessionId) -> Judged {
    let response = offered(caller.get(session, "/secure")?, "/secure")?;
    response.code(Status::CONTENT)?.has_payload()?;
    Ok(())
}

/// A key that nobody knows.
fn another() -> Judged<SigningKey> {
    let made = SigningKey::generate(SignatureScheme::EcdsaSecp256r1Sha256);
    made.map_err(|error| Stop::Inconclusive(error.to_string()))
}

fn only(key: &SigningKey) -> Judged<TrustedKeys> {
    let mut keys = TrustedKeys::default();
    let added = keys.add_der(key.public_key_info());
    added.map_err(|error| Stop::Inconclusive(error.to_string()))?;
    Ok(keys)
}
