//! Flight 3 as it comes in, and flight 4 (RFC 5246 §7.4.1 to §7.4.5).
//!
//! ```text
//!   ClientHello with the cookie   -------->
//!                                 <--------   ServerHello
//!                                             ServerHelloDone
//! ```

use alloc::vec::Vec;

use rand_core::RngCore;

use super::super::{Context, Message, Step};
use super::{KeyExchange, State};
use crate::config::Config;
use crate::crypto::Suite;
use crate::failure::{Failure, Reason};
use crate::handshake::client::hello::{RENEGOTIATION_INFO_SCSV, checked_record_size_limit};
use crate::messages::DTLS_1_2;
use crate::messages::client_hello::ClientHello;
use crate::messages::extensions::ServerExtensions;
use crate::messages::header::MessageType;
use crate::messages::server_hello::ServerHello;

/// The first fragment of a ClientHello has brought a valid cookie; the whole may still be under way.
pub(crate) struct Hello;

impl Hello {
    pub(super) const AWAITED: &'static str = "ClientHello";

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        if message.kind() != MessageType::CLIENT_HELLO {
            return Err(message.unexpected(Self::AWAITED));
        }
        let hello = message.read(ClientHello::read)?;
        check(cx.config, &hello)?;
        let suite = choose_suite(cx.config, &hello)?;
        cx.course.client_random = *hello.start.random;
        cx.rng.fill_bytes(&mut cx.course.server_random);
        settle(cx, &hello)?;
        cx.course.hear(message);
        say_hello(cx, &hello, suite);
        cx.course.say(MessageType::SERVER_HELLO_DONE, |_| {});
        cx.course.launch(cx.now);
        let server_name = hello.extensions.server_name.map(Vec::from);
        Ok(State::KeyExchange(KeyExchange { suite, server_name }).into())
    }
}

/// What has to be so whatever the suite is.
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

/// The first of our suites that the client has too.
fn choose_suite(config: &Config, hello: &ClientHello<'_>) -> Result<Suite, Failure> {
    let ours = || config.server_suites();
    let common = ours().find(|suite| hello.cipher_suites.contains(suite.id()));
    common.ok_or_else(|| {
        Failure::ours(Reason::NoCommonSuite {
            offered: hello
                .cipher_suites
                .iter()
                .filter(|id| *id != RENEGOTIATION_INFO_SCSV)
                .collect(),
            ours: ours().collect(),
        })
    })
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
    if let Some(limit) = asked.record_size_limit {
        terms.peer_limit = checked_record_size_limit(limit)?;
    }
    Ok(())
}

fn say_hello(cx: &mut Context<'_>, hello: &ClientHello<'_>, suite: Suite) {
    let asked = &hello.extensions;
    let knows_renegotiation_info =
        asked.renegotiation_info.is_some() || hello.cipher_suites.contains(RENEGOTIATION_INFO_SCSV);
    let our_cid = cx.course.our_cid;
    let random = cx.course.server_random;
    let answer = ServerHello {
        version: DTLS_1_2,
        random: &random,
        session_id: &[],
        cipher_suite: suite.id(),
        compression_method: 0,
        extensions: ServerExtensions {
            server_name: asked.server_name.is_some(),
            extended_master_secret: asked.extended_master_secret,
            record_size_limit: asked.record_size_limit.and(cx.config.record_size_limit),
            connection_id: asked
                .connection_id
                .and(cx.config.connection_ids.as_ref())
                .map(|_| our_cid.as_slice()),
            renegotiation_info: knows_renegotiation_info.then_some(&[]),
            ..ServerExtensions::default()
        },
    };
    cx.course.begin_flight();
    cx.course.say(MessageType::SERVER_HELLO, |w| answer.write(w));
}
