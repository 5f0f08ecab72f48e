//! Flight 3 as it comes in, and flight 4 (RFC 5246 §7.4.1 to §7.4.5).
//!
//! ```text
//!   ClientHello with the cookie   -------->
//!                                 <--------   ServerHello
//!                                            [Certificate]           with public keys:
//!                                            [ServerKeyExchange]     our share, signed
//!                                            [CertificateRequest]    if we want to know
//!                                             ServerHelloDone
//! ```

use alloc::vec::Vec;

use rand_core::RngCore;

use super::super::{Context, Message, Step};
use super::choice::{Choice, KeyChoice, choose};
use super::resumed::{self, find};
use super::{ClientCertificate, EcdheExchange, PskExchange, State};
use crate::config::Config;
use crate::crypto::{EphemeralKey, SignatureScheme};
use crate::failure::{Failure, Reason};
use crate::handshake::client::offer::{RENEGOTIATION_INFO_SCSV, checked_record_size_limit};
use crate::handshake::client::server_flight::signed_share;
use crate::messages::DTLS_1_2;
use crate::messages::certificate::{CLIENT_CERTIFICATE_ECDSA_SIGN, CertificateRequest};
use crate::messages::client_hello::ClientHello;
use crate::messages::codec::Codes;
use crate::messages::extensions::{POINT_FORMAT_UNCOMPRESSED, ServerExtensions};
use crate::messages::header::MessageType;
use crate::messages::key_exchange::ServerEcdhe;
use crate::messages::server_hello::ServerHello;

/// The first fragment of a ClientHello has brought a valid cookie; the whole may still be under way.
pub(crate) struct Hello;

/// How the session can be taken up again, if the client wants that.
#[derive(Clone)]
pub(crate) struct Later {
    pub(super) server_name: Option<Vec<u8>>,
    /// Under which it is remembered.
    pub(super) session_id: Option<[u8; 32]>,
    /// The client keeps it itself.
    pub(super) with_ticket: bool,
}

impl Hello {
    pub(super) const AWAITED: &'static str = "ClientHello";

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        if message.kind() != MessageType::CLIENT_HELLO {
            return Err(message.unexpected(Self::AWAITED));
        }
        let hello = message.read(ClientHello::read)?;
        check(cx.config, &hello)?;
        cx.course.client_random = *hello.start.random;
        cx.rng.fill_bytes(&mut cx.course.server_random);
        settle(cx, &hello)?;
        if let Some(session) = find(cx, &hello) {
            return resumed::take_up(cx, message, &hello, &session);
        }
        let config = cx.config;
        let choice = choose(config, &hello)?;
        cx.course.hear(message);
        let later = later(cx, &hello);
        let answer = Answer {
            suite: choice.suite.id(),
            session_id: later.session_id.as_ref().map_or(&[], |id| &id[..]),
            keys: choice.keys.as_ref(),
            with_ticket: later.with_ticket,
        };
        cx.course.begin_flight();
        say_hello(cx, &hello, &answer)?;
        let next = match choice.keys {
            None => State::PskExchange(PskExchange {
                suite: choice.suite,
                later,
            }),
            Some(_) => say_keys(cx, choice, later)?,
        };
        cx.course.say(MessageType::SERVER_HELLO_DONE, |_| {});
        cx.course.launch(cx.now);
        Ok(next.into())
    }
}

/// What has to be so whatever is chosen.
fn check(config: &Config, hello: &ClientHello<'_>) -> Result<(), Failure> {
    // The numbers of versions go down (RFC 6347 §4.1).
    if hello.start.version > DTLS_1_2 {
        return Err(Failure::ours(Reason::Version(hello.start.version)));
    }
    if !hello.compression_methods.contains(&0) {
        return Err(Failure::illegal("no compression is not offered"));
    }
    if hello
        .extensions
        .renegotiation_info
        .is_some_and(|info| !info.is_empty())
    {
        return Err(Failure::ours(Reason::Renegotiation));
    }
    if config.require_extended_master_secret && !hello.extensions.extended_master_secret {
        return Err(Failure::ours(Reason::NoExtendedMasterSecret));
    }
    Ok(())
}

/// What the extensions of the client come to.
fn settle(cx: &mut Context<'_>, hello: &ClientHello<'_>) -> Result<(), Failure> {
    let asked = &hello.extensions;
    let terms = &mut cx.course.terms;
    terms.extended_master_secret = asked.extended_master_secret;
    if let (Some(cid), Some(_)) = (asked.connection_id, &cx.config.connection_ids) {
        terms.peer_cid = cid.into();
        terms.with_our_cid = !cx.course.our_cid.as_slice().is_empty();
    }
    // RFC 8449 §5: who sends both means this one.
    if let Some(limit) = asked.record_size_limit {
        terms.peer_limit = checked_record_size_limit(limit)?;
    } else if let Some(code) = asked.max_fragment_length {
        let is_known = (1..=4).contains(&code);
        let known = is_known.then(|| 1 << (8 + code));
        terms.peer_limit = known.ok_or(Failure::illegal("a max_fragment_length that is none"))?;
    }
    Ok(())
}

fn later(cx: &mut Context<'_>, hello: &ClientHello<'_>) -> Later {
    let with_ticket = hello.extensions.session_ticket.is_some() && cx.config.resumption.tickets;
    let remembers = !with_ticket && cx.config.resumption.sessions > 0;
    let mut id = [0; 32];
    cx.rng.fill_bytes(&mut id);
    Later {
        server_name: hello.extensions.server_name.map(Vec::from),
        session_id: remembers.then_some(id),
        with_ticket,
    }
}

/// What of a ServerHello depends on the kind of the handshake.
pub(super) struct Answer<'a> {
    pub(super) suite: u16,
    pub(super) session_id: &'a [u8],
    pub(super) keys: Option<&'a KeyChoice<'a>>,
    pub(super) with_ticket: bool,
}

pub(super) fn say_hello(
    cx: &mut Context<'_>,
    hello: &ClientHello<'_>,
    answer: &Answer<'_>,
) -> Result<(), Failure> {
    let asked = &hello.extensions;
    let knows_renegotiation_info =
        asked.renegotiation_info.is_some() || hello.cipher_suites.contains(RENEGOTIATION_INFO_SCSV);
    let our_cid = cx.course.our_cid;
    let random = cx.course.server_random;
    let with_keys = answer.keys.is_some();
    let server_type = answer.keys.map(|keys| keys.shown.certificate_type());
    let client_type = answer.keys.and_then(|keys| keys.asked);
    let message = ServerHello {
        version: DTLS_1_2,
        random: &random,
        session_id: answer.session_id,
        cipher_suite: answer.suite,
        compression_method: 0,
        extensions: ServerExtensions {
            server_name: asked.server_name.is_some(),
            max_fragment_length: asked
                .max_fragment_length
                .filter(|_| asked.record_size_limit.is_none()),
            point_formats: (with_keys && asked.point_formats.is_some())
                .then_some(&[POINT_FORMAT_UNCOMPRESSED]),
            alpn: choose_protocol(cx.config, hello)?,
            client_certificate_type: asked.client_certificate_types.and(client_type),
            server_certificate_type: asked.server_certificate_types.and(server_type),
            extended_master_secret: asked.extended_master_secret,
            record_size_limit: asked.record_size_limit.and(cx.config.record_size_limit),
            session_ticket: answer.with_ticket,
            connection_id: asked
                .connection_id
                .and(cx.config.connection_ids.as_ref())
                .map(|_| our_cid.as_slice()),
            renegotiation_info: knows_renegotiation_info.then_some(&[]),
            unknown: false,
        },
    };
    cx.course.say(MessageType::SERVER_HELLO, |w| message.write(w));
    Ok(())
}

/// RFC 7301 §3.2: nothing in common is a fault, unless one side does not ask for anything.
fn choose_protocol<'c>(config: &'c Config, hello: &ClientHello<'_>) -> Result<Option<&'c [u8]>, Failure> {
    let Some(names) = hello.extensions.alpn.filter(|_| !config.alpn.is_empty()) else {
        return Ok(None);
    };
    let common = config.alpn.iter().find(|name| names.contains(name));
    let common = common.ok_or(Failure::ours(Reason::NoCommonProtocol))?;
    Ok(Some(common))
}

/// Our certificate or key, our share, and whether we want to know who the client is.
fn say_keys(cx: &mut Context<'_>, choice: Choice<'_>, later: Later) -> Result<State, Failure> {
    let failed = |what| move |_| Failure::ours(Reason::Internal(what));
    let Some(keys) = choice.keys else {
        return Err(failed("no keys")(()));
    };
    let key = keys.shown.key();
    let ephemeral = EphemeralKey::generate(keys.group, cx.rng);
    let ephemeral = ephemeral.map_err(|_| failed("no ephemeral key")(()))?;
    let (group, public) = (keys.group.id(), ephemeral.public());
    let signature = key.sign(&signed_share(cx, group, public));
    let signature = signature.map_err(|_| failed("no signature")(()))?;
    cx.course.say(MessageType::CERTIFICATE, |w| keys.shown.write(w));
    let share = ServerEcdhe {
        group,
        public,
        scheme: key.scheme().id(),
        signature: &signature,
    };
    cx.course
        .say(MessageType::SERVER_KEY_EXCHANGE, |w| share.write(w));
    if keys.asked.is_some() {
        say_request(cx);
    } else {
        cx.course.script.drop_bytes();
    }
    let exchange = EcdheExchange {
        suite: choice.suite,
        later,
        ephemeral: ephemeral.into(),
        client: None,
    };
    Ok(match keys.asked {
        Some(kind) => State::ClientCertificate(ClientCertificate { kind, exchange }),
        None => State::EcdheExchange(exchange),
    })
}

fn say_request(cx: &mut Context<'_>) {
    let schemes: Vec<u8> = SignatureScheme::ALL
        .into_iter()
        .flat_map(|scheme| scheme.id().to_be_bytes())
        .collect();
    let request = CertificateRequest {
        certificate_types: &[CLIENT_CERTIFICATE_ECDSA_SIGN],
        signature_schemes: Codes::new(&schemes).unwrap_or_default(),
    };
    cx.course
        .say(MessageType::CERTIFICATE_REQUEST, |w| request.write(w));
}
