//! Flights 1 to 3, and the beginning of flight 4 (RFC 6347 §4.2.1, RFC 5246 §7.4.1).
//!
//! ```text
//!   ClientHello                        -------->
//!                                      <--------   HelloVerifyRequest
//!   ClientHello with the cookie        -------->
//!                                      <--------   ServerHello
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use rand_core::RngCore;

use super::super::course::Course;
use super::super::{Context, Message, Step};
use super::offer::{Offer, checked_record_size_limit};
use super::{Certificate, PskFlight, Resumed, State};
use crate::config::Config;
use crate::credentials::{ClientCredentials, Connect};
use crate::crypto::{Side, Suite};
use crate::failure::{Failure, Reason};
use crate::limits;
use crate::messages::DTLS_1_2;
use crate::messages::alert::AlertDescription;
use crate::messages::client_hello::{ClientHello, ClientHelloStart};
use crate::messages::codec::Codes;
use crate::messages::extensions::{CERTIFICATE_TYPE_X509, ServerExtensions};
use crate::messages::header::MessageType;
use crate::messages::hello_verify::HelloVerifyRequest;
use crate::messages::server_hello::ServerHello;
use crate::resumption::Kept;

/// A ClientHello is on its way.
pub(crate) struct Hello {
    connect: Box<Connect>,
    offer: Offer,
    /// A session that could be taken up again.
    kept: Option<Box<Kept>>,
    cookie: Vec<u8>,
    verify_requests: u8,
}

/// What ServerHello says that the rest of the handshake needs.
pub(crate) struct Agreed {
    pub(super) connect: Box<Connect>,
    pub(super) suite: Suite,
    pub(super) client_certificate_type: u8,
    pub(super) server_certificate_type: u8,
    /// Of the new session; empty if the server will not take it up again by it.
    pub(super) session_id: Vec<u8>,
    /// A NewSessionTicket will come.
    pub(super) ticket_comes: bool,
}

impl Hello {
    pub(super) const AWAITED: &'static str = "ServerHello";

    /// Says the first ClientHello.
    pub(crate) fn begin(cx: &mut Context<'_>, connect: Connect, kept: Option<Kept>) -> Hello {
        cx.rng.fill_bytes(&mut cx.course.client_random);
        let hello = Hello {
            offer: Offer::new(cx.config, &connect),
            connect: Box::new(connect),
            kept: kept.map(Box::new),
            cookie: Vec::new(),
            verify_requests: 0,
        };
        hello.say(cx);
        hello
    }

    /// Only the cookie differs from one ClientHello to the next (RFC 6347 §4.2.1).
    fn say(&self, cx: &mut Context<'_>) {
        let random = cx.course.client_random;
        let cid = cx.course.our_cid;
        let kept = self.kept.as_deref();
        let hello = ClientHello {
            start: ClientHelloStart {
                version: DTLS_1_2,
                random: &random,
                session_id: kept.map_or(&[], |kept| &kept.session_id),
                cookie: &self.cookie,
            },
            cipher_suites: Codes::new(&self.offer.suites).unwrap_or_default(),
            compression_methods: &[0],
            extensions: self.offer.extensions(cx.config, &self.connect, kept, &cid),
        };
        cx.course.begin_flight();
        cx.course.say(MessageType::CLIENT_HELLO, |w| hello.write(w));
        cx.course.launch(cx.now);
    }

    pub(super) fn receive(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        match message.kind() {
            MessageType::HELLO_VERIFY_REQUEST => self.verify(cx, message),
            MessageType::SERVER_HELLO => self.server_hello(cx, message),
            _ => Err(message.unexpected(Self::AWAITED)),
        }
    }

    /// The transcript begins anew: neither the first ClientHello nor the request is part of it (RFC 6347 §4.2.1).
    fn verify(mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        self.verify_requests += 1;
        if self.verify_requests > limits::HELLO_VERIFY_REQUESTS {
            return Err(message.unexpected(Self::AWAITED));
        }
        let request = message.read(HelloVerifyRequest::read)?;
        self.cookie = request.cookie.to_vec();
        cx.course.restart_script();
        self.say(cx);
        Ok(State::Hello(self).into())
    }

    fn server_hello(mut self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        let hello = message.read(ServerHello::read)?;
        if hello.version != DTLS_1_2 {
            return Err(Failure::ours(Reason::Version(hello.version)));
        }
        if hello.compression_method != 0 {
            return Err(Failure::illegal("a compression method that was not offered"));
        }
        let suite = Suite::from_u16(hello.cipher_suite).filter(|suite| self.offer.has(*suite));
        let suite = suite.ok_or(Failure::illegal("a cipher suite that was not offered"))?;
        self.check_extensions(cx, &hello.extensions)?;
        settle(cx.course, cx.config, &hello.extensions)?;
        cx.course.server_random = *hello.random;
        cx.course.hear(message);
        let agreed = Agreed {
            suite,
            client_certificate_type: hello
                .extensions
                .client_certificate_type
                .unwrap_or(CERTIFICATE_TYPE_X509),
            server_certificate_type: hello
                .extensions
                .server_certificate_type
                .unwrap_or(CERTIFICATE_TYPE_X509),
            session_id: hello.session_id.to_vec(),
            ticket_comes: hello.extensions.session_ticket,
            connect: self.connect,
        };
        let takes_up =
            |kept: &mut Box<Kept>| !kept.session_id.is_empty() && kept.session_id == hello.session_id;
        Ok(match self.kept.take_if(takes_up) {
            Some(kept) => State::Resumed(Resumed::new(cx, agreed, *kept)?).into(),
            None if suite.is_psk() => State::PskFlight(PskFlight::new(agreed)).into(),
            None => State::Certificate(Certificate::new(agreed)).into(),
        })
    }

    /// A server answers extensions, it does not bring its own (RFC 5246 §7.4.1.4).
    fn check_extensions(&self, cx: &Context<'_>, found: &ServerExtensions<'_>) -> Result<(), Failure> {
        let cid = cx.course.our_cid;
        let asked = self
            .offer
            .extensions(cx.config, &self.connect, self.kept.as_deref(), &cid);
        let was_offered = |list: Option<&[u8]>, chosen: Option<u8>| match (list, chosen) {
            (_, None) => true,
            (Some(list), Some(chosen)) => list.contains(&chosen),
            (None, Some(_)) => false,
        };
        let is_unsolicited = found.unknown
            || found.server_name && asked.server_name.is_none()
            || found
                .alpn
                .is_some_and(|name| asked.alpn.is_none_or(|list| !list.contains(name)))
            || found.max_fragment_length.is_some() && asked.max_fragment_length.is_none()
            || found.record_size_limit.is_some() && asked.record_size_limit.is_none()
            || !was_offered(asked.client_certificate_types, found.client_certificate_type)
            || !was_offered(asked.server_certificate_types, found.server_certificate_type)
            || found.session_ticket && asked.session_ticket.is_none()
            || found.connection_id.is_some() && asked.connection_id.is_none();
        if is_unsolicited {
            let reason = Reason::IllegalParameter("an extension that was not asked for");
            return Err(Failure::with_alert(
                reason,
                AlertDescription::UNSUPPORTED_EXTENSION,
            ));
        }
        if found.renegotiation_info.is_some_and(|info| !info.is_empty()) {
            return Err(Failure::ours(Reason::Renegotiation));
        }
        if cx.config.require_extended_master_secret && !found.extended_master_secret {
            return Err(Failure::ours(Reason::NoExtendedMasterSecret));
        }
        Ok(())
    }
}

/// What the answers of the server come to.
fn settle(course: &mut Course, config: &Config, found: &ServerExtensions<'_>) -> Result<(), Failure> {
    let terms = &mut course.terms;
    terms.extended_master_secret = found.extended_master_secret;
    if let (Some(cid), Some(_)) = (found.connection_id, &config.connection_ids) {
        terms.peer_cid = cid.into();
        terms.with_our_cid = !course.our_cid.as_slice().is_empty();
    }
    if let Some(limit) = found.record_size_limit {
        terms.peer_limit = checked_record_size_limit(limit)?;
    }
    Ok(())
}

/// A new handshake of a client.
pub(crate) fn course(connect: &Connect) -> Course {
    // The signature of CertificateVerify is over all messages.
    let keeps_bytes = match &connect.credentials {
        ClientCredentials::Psk { .. } => false,
        ClientCredentials::Keys { own, .. } => !own.types().is_empty(),
    };
    Course::new(Side::Client, 0, 0, keeps_bytes)
}
