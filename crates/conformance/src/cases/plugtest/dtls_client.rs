//! TD_COAP_DTLS for clients.

use coracle_dtls::{AlertDescription, Reason};

use crate::case::{Case, Judge};
use crate::keys;
use crate::plugtests::plugtest;
use crate::sessions::{As, Callee};
use crate::transport::Transport;
use crate::verdict::Judged;

/// The cases. Where everything is lost once, the waits of both sides add up.
pub(super) const CASES: &[Case] = &[
    plugtest("TD_COAP_DTLS_01", Judge::Callee(dtls_01)).over(Transport::SESSIONS),
    plugtest("TD_COAP_DTLS_02", Judge::Callee(dtls_02)).over(Transport::SESSIONS),
    plugtest("TD_COAP_DTLS_03", Judge::Callee(dtls_03))
        .over(Transport::SESSIONS)
        .within(90),
    plugtest("TD_COAP_DTLS_04", Judge::Callee(dtls_04)).over(Transport::SESSIONS),
    plugtest("TD_COAP_DTLS_05", Judge::Callee(dtls_05)).over(Transport::SESSIONS),
    plugtest("TD_COAP_DTLS_06", Judge::Callee(dtls_06)).over(Transport::SESSIONS),
    plugtest("TD_COAP_DTLS_07", Judge::Callee(dtls_07))
        .over(Transport::SESSIONS)
        .within(90),
];

/// What `/secure` says.
const TEXT: &str = "plugtest secure";

fn dtls_01(callee: &mut Callee) -> Judged {
    callee.take_psk();
    callee.start(As::Psk(keys::KEY))?;
    let session = callee.session()?;
    callee.serve(session, TEXT)
}

fn dtls_02(callee: &mut Callee) -> Judged {
    callee.take_psk();
    callee.start(As::Psk("wrong"))?;
    let wrong = |reason: &Reason| matches!(reason, Reason::WrongPsk { .. });
    callee.refuse(wrong, AlertDescription::DECRYPT_ERROR)?;
    callee.give_up()
}

fn dtls_03(callee: &mut Callee) -> Judged {
    callee.lose_everything_once();
    dtls_01(callee)?;
    callee.everything_came_again()
}

fn dtls_04(callee: &mut Callee) -> Judged {
    callee.take_raw_key(keys::CLIENT)?;
    callee.start(As::RawKey(keys::SERVER))?;
    let session = callee.session()?;
    callee.serve(session, TEXT)
}

/// The client is told to believe another server than this one.
fn dtls_05(callee: &mut Callee) -> Judged {
    callee.take_raw_key(keys::CLIENT)?;
    callee.start(As::RawKey(keys::CLIENT))?;
    callee.refused(AlertDescription::CERTIFICATE_UNKNOWN)?;
    callee.give_up()
}

/// The judge knows another client than this one.
fn dtls_06(callee: &mut Callee) -> Judged {
    callee.take_raw_key(keys::SERVER)?;
    callee.start(As::RawKey(keys::SERVER))?;
    let unknown = |reason: &Reason| matches!(reason, Reason::UntrustedKey);
    callee.refuse(unknown, AlertDescription::CERTIFICATE_UNKNOWN)?;
    callee.give_up()
}

fn dtls_07(callee: &mut Callee) -> Judged {
    callee.lose_everything_once();
    dtls_04(callee)?;
    callee.everything_came_again()
}
