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
use super::{ServerFlight, State};
use crate::config::{ClientCredentials, Connect};
use crate::crypto::{Side, Suite};
use crate::failure::{Failure, Reason};
use crate::limits;
use crate::messages::DTLS_1_2;
use crate::messages::alert::AlertDescription;
use crate::messages::client_hello::{ClientHello, ClientHelloStart};
use crate::messages::codec::Codes;
use crate::messages::extensions::{ClientExtensions, ServerExtensions};
use crate::messages::header::MessageType;
use crate::messages::hello_verify::HelloVerifyRequest;
use crate::messages::server_hello::ServerHello;
use crate::sessions::Cid;

/// The suite that says what an empty renegotiation_info says (RFC 5746 §3.3).
pub(crate) const RENEGOTIATION_INFO_SCSV: u16 = 0x00FF;

/// A ClientHello is on its way.
pub(crate) struct Hello {
    pub(super) connect: Box<Connect>,
    suites: Vec<Suite>,
    cookie: Vec<u8>,
    verify_requests: u8,
}

impl Hello {
    pub(super) const AWAITED: &'static str = "ServerHello";

    /// Says the first ClientHello.
    pub(crate) fn begin(cx: &mut Context<'_>, connect: Connect) -> Hello {
        cx.rng.fill_bytes(&mut cx.course.client_random);
        let hello = Hello {
            suites: connect.suites(cx.config),
            connect: Box::new(connect),
            cookie: Vec::new(),
            verify_requests: 0,
        };
        hello.say(cx);
        hello
    }

    /// Only the cookie differs from one ClientHello to the next (RFC 6347 §4.2.1).
    fn say(&self, cx: &mut Context<'_>) {
        let mut suites: Vec<u8> = Vec::with_capacity(2 * self.suites.len() + 2);
        for suite in &self.suites {
            suites.extend(suite.id().to_be_bytes());
        }
        suites.extend(RENEGOTIATION_INFO_SCSV.to_be_bytes());
        let random = cx.course.client_random;
        let cid = cx.course.our_cid;
        let extensions = self.extensions(cx, &cid);
        let hello = ClientHello {
            start: ClientHelloStart {
                version: DTLS_1_2,
                random: &random,
                session_id: &[],
                cookie: &self.cookie,
            },
            cipher_suites: Codes::new(&suites).unwrap_or_default(),
            compression_methods: &[0],
            extensions,
        };
        cx.course.begin_flight();
        cx.course.say(MessageType::CLIENT_HELLO, |w| hello.write(w));
        cx.course.launch(cx.now);
    }

    fn extensions<'a>(&'a self, cx: &Context<'a>, cid: &'a Cid) -> ClientExtensions<'a> {
        ClientExtensions {
            server_name: self.connect.server_name.as_deref().map(str::as_bytes),
            extended_master_secret: true,
            record_size_limit: cx.config.record_size_limit,
            connection_id: cx.config.connection_ids.as_ref().map(|_| cid.as_slice()),
            ..ClientExtensions::default()
        }
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

    fn server_hello(self, cx: &mut Context<'_>, message: &Message<'_>) -> Result<Step, Failure> {
        let hello = message.read(ServerHello::read)?;
        if hello.version != DTLS_1_2 {
            return Err(Failure::ours(Reason::Version(hello.version)));
        }
        if hello.compression_method != 0 {
            return Err(Failure::illegal("a compression method that was not offered"));
        }
        let offered = |suite: &Suite| self.suites.contains(suite);
        let suite = Suite::from_u16(hello.cipher_suite).filter(offered);
        let suite = suite.ok_or(Failure::illegal("a cipher suite that was not offered"))?;
        self.check_extensions(cx, &hello.extensions)?;
        settle(cx.course, cx.config.connection_ids.is_some(), &hello.extensions)?;
        cx.course.server_random = *hello.random;
        cx.course.hear(message);
        Ok(State::ServerFlight(ServerFlight::new(self.connect, suite)).into())
    }

    /// A server answers extensions, it does not bring its own (RFC 5246 §7.4.1.4).
    fn check_extensions(&self, cx: &Context<'_>, found: &ServerExtensions<'_>) -> Result<(), Failure> {
        let cid = cx.course.our_cid;
        let asked = self.extensions(cx, &cid);
        let is_unsolicited = found.unknown
            || found.server_name && asked.server_name.is_none()
            || found.alpn.is_some() && asked.alpn.is_none()
            || found.max_fragment_length.is_some() && asked.max_fragment_length.is_none()
            || found.record_size_limit.is_some() && asked.record_size_limit.is_none()
            || found.client_certificate_type.is_some() && asked.client_certificate_types.is_none()
            || found.server_certificate_type.is_some() && asked.server_certificate_types.is_none()
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
fn settle(course: &mut Course, asked_for_cid: bool, found: &ServerExtensions<'_>) -> Result<(), Failure> {
    let terms = &mut course.terms;
    terms.extended_master_secret = found.extended_master_secret;
    if let Some(cid) = found.connection_id {
        terms.peer_cid = cid.into();
        terms.with_our_cid = asked_for_cid && !course.our_cid.as_slice().is_empty();
    }
    if let Some(limit) = found.record_size_limit {
        terms.peer_limit = checked_record_size_limit(limit)?;
    }
    Ok(())
}

/// RFC 8449 §4: less than 64 is a fault, more than a record holds is cut.
pub(crate) fn checked_record_size_limit(limit: u16) -> Result<u16, Failure> {
    if limit < 64 {
        return Err(Failure::illegal("a record_size_limit below 64"));
    }
    Ok(limit.min(1 << 14))
}

/// A new handshake of a client.
pub(crate) fn course(connect: &Connect) -> Course {
    let keeps_bytes = match &connect.credentials {
        ClientCredentials::Psk { .. } => false,
    };
    Course::new(Side::Client, 0, 0, keeps_bytes)
}
