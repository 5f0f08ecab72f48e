//! Flight 5 (RFC 5246 §7.4.6 to §7.4.9).
//!
//! ```text
//!  [Certificate]                       if the server asked
//!   ClientKeyExchange
//!  [CertificateVerify]                 if we have shown something
//!   ChangeCipherSpec
//!   Finished                  -------->
//! ```

use alloc::sync::Arc;

use super::super::{Context, Step};
use super::hello::Agreed;
use super::server_flight::Request;
use super::{Finished, State};
use crate::credentials::{ClientCredentials, OwnKeys, Shown};
use crate::crypto::{EphemeralKey, MasterSecret, SigningKey, psk_premaster};
use crate::failure::{Failure, Reason};
use crate::identity::Identity;
use crate::messages::certificate::{CertificateChain, RawPublicKey};
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::extensions::CERTIFICATE_TYPE_RAW_PUBLIC_KEY;
use crate::messages::header::MessageType;
use crate::messages::key_exchange::{ClientEcdhe, PskIdentity};

/// The identity, and the keys that come of the PSK.
pub(super) fn with_psk(cx: &mut Context<'_>, agreed: Agreed) -> Result<Step, Failure> {
    let ClientCredentials::Psk { identity, key } = &agreed.connect.credentials else {
        return Err(Failure::ours(Reason::Internal("no PSK")));
    };
    cx.course.begin_flight();
    cx.course.say(MessageType::CLIENT_KEY_EXCHANGE, |w| {
        PskIdentity(identity).write(w)
    });
    let session_hash = cx.course.script.hash();
    let master = cx.course.master(&psk_premaster(key), &session_hash);
    let identity = Arc::new(Identity::Psk(identity.clone()));
    Ok(finish(cx, agreed, master, identity))
}

/// Our share, and what we show of ourselves if we were asked.
pub(super) fn with_ecdhe(cx: &mut Context<'_>, request: Request) -> Result<Step, Failure> {
    let ClientCredentials::Keys { own, .. } = &request.agreed.connect.credentials else {
        return Err(Failure::ours(Reason::Internal("no keys")));
    };
    cx.course.begin_flight();
    let shown = show(cx, &request, own);
    let failed = |_| Failure::ours(Reason::Internal("no ephemeral key"));
    let ephemeral = EphemeralKey::generate(request.group, cx.rng).map_err(failed)?;
    let premaster = ephemeral.agree(&request.public);
    let premaster = premaster.map_err(|_| Failure::ours(Reason::KeyShare))?;
    cx.course.say(MessageType::CLIENT_KEY_EXCHANGE, |w| {
        ClientEcdhe(ephemeral.public()).write(w);
    });
    let session_hash = cx.course.script.hash();
    let master = cx.course.master(&premaster, &session_hash);
    if let Some(key) = shown {
        sign(cx, &key)?;
    }
    cx.course.script.drop_bytes();
    Ok(finish(cx, request.agreed, master, request.identity))
}

/// Shows who we are if we were asked, and tells the key that has to sign. An empty message says that we have nothing that
/// the server could take (RFC 5246 §7.4.6).
fn show(cx: &mut Context<'_>, request: &Request, own: &OwnKeys) -> Option<Arc<SigningKey>> {
    request.asked.as_ref()?;
    let kind = request.agreed.client_certificate_type;
    let shown = own
        .shown_as(kind)
        .filter(|shown| request.takes(shown.key().scheme()));
    cx.course.say(MessageType::CERTIFICATE, |w| match shown {
        Some(shown) => shown.write(w),
        None if kind == CERTIFICATE_TYPE_RAW_PUBLIC_KEY => RawPublicKey(&[]).write(w),
        None => CertificateChain::write(core::iter::empty(), w),
    });
    shown.map(Shown::key).cloned()
}

/// RFC 5246 §7.4.8: the signature is over all messages so far.
fn sign(cx: &mut Context<'_>, key: &SigningKey) -> Result<(), Failure> {
    let signature = key.sign(cx.course.script.bytes());
    let signature = signature.map_err(|_| Failure::ours(Reason::Internal("no signature")))?;
    let scheme = key.scheme().id();
    cx.course.say(MessageType::CERTIFICATE_VERIFY, |w| {
        CertificateVerify {
            scheme,
            signature: &signature,
        }
        .write(w);
    });
    Ok(())
}

fn finish(cx: &mut Context<'_>, agreed: Agreed, master: MasterSecret, identity: Arc<Identity>) -> Step {
    cx.config.log_keys(&master, &cx.course.client_random);
    cx.course.take_keys(agreed.suite, &master);
    cx.course.say_finished(&master);
    cx.course.launch(cx.now);
    State::Finished(Finished::new(agreed, master, identity)).into()
}
