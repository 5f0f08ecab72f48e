//! The extensions of hellos (RFC 5246 §7.4.1.4): those that this crate knows, each as its RFC writes it in a ClientHello and in
//! a ServerHello. Others are skipped in a ClientHello; in a ServerHello they are an answer to nothing and told apart.

use super::Malformed;
use super::codec::{Codes, Reader, Writer};

/// Type numbers of the IANA registry "TLS ExtensionType Values".
mod number {
    pub(super) const SERVER_NAME: u16 = 0;
    pub(super) const MAX_FRAGMENT_LENGTH: u16 = 1;
    pub(super) const SUPPORTED_GROUPS: u16 = 10;
    pub(super) const EC_POINT_FORMATS: u16 = 11;
    pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(super) const ALPN: u16 = 16;
    pub(super) const CLIENT_CERTIFICATE_TYPE: u16 = 19;
    pub(super) const SERVER_CERTIFICATE_TYPE: u16 = 20;
    pub(super) const EXTENDED_MASTER_SECRET: u16 = 23;
    pub(super) const RECORD_SIZE_LIMIT: u16 = 28;
    pub(super) const SESSION_TICKET: u16 = 35;
    pub(super) const CONNECTION_ID: u16 = 54;
    pub(super) const RENEGOTIATION_INFO: u16 = 0xFF01;
}

/// The certificate types of RFC 7250 §3.
pub(crate) const CERTIFICATE_TYPE_X509: u8 = 0;
/// A SubjectPublicKeyInfo in place of a certificate (RFC 7250 §3).
pub(crate) const CERTIFICATE_TYPE_RAW_PUBLIC_KEY: u8 = 2;
/// The only point format left (RFC 8422 §5.1.2).
pub(crate) const POINT_FORMAT_UNCOMPRESSED: u8 = 0;

/// What a ClientHello asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientExtensions<'a> {
    /// The host_name (RFC 6066 §3).
    pub(crate) server_name: Option<&'a [u8]>,
    /// The code of the length: 2^(8 + code), 1 to 4 (RFC 6066 §4).
    pub(crate) max_fragment_length: Option<u8>,
    pub(crate) groups: Option<Codes<'a>>,
    pub(crate) point_formats: Option<&'a [u8]>,
    pub(crate) signature_schemes: Option<Codes<'a>>,
    pub(crate) alpn: Option<ProtocolNames<'a>>,
    pub(crate) client_certificate_types: Option<&'a [u8]>,
    pub(crate) server_certificate_types: Option<&'a [u8]>,
    pub(crate) extended_master_secret: bool,
    pub(crate) record_size_limit: Option<u16>,
    /// Empty asks for a ticket, otherwise it is one (RFC 5077 §3.2).
    pub(crate) session_ticket: Option<&'a [u8]>,
    /// What the client wants to find in the records that it receives (RFC 9146 §3).
    pub(crate) connection_id: Option<&'a [u8]>,
    pub(crate) renegotiation_info: Option<&'a [u8]>,
}

/// What a ServerHello answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerExtensions<'a> {
    pub(crate) server_name: bool,
    pub(crate) max_fragment_length: Option<u8>,
    pub(crate) point_formats: Option<&'a [u8]>,
    /// The one protocol that was chosen.
    pub(crate) alpn: Option<&'a [u8]>,
    pub(crate) client_certificate_type: Option<u8>,
    pub(crate) server_certificate_type: Option<u8>,
    pub(crate) extended_master_secret: bool,
    pub(crate) record_size_limit: Option<u16>,
    /// A NewSessionTicket will come.
    pub(crate) session_ticket: bool,
    pub(crate) connection_id: Option<&'a [u8]>,
    pub(crate) renegotiation_info: Option<&'a [u8]>,
    /// There was one that this crate never asks for (RFC 5246 §7.4.1.4: `unsupported_extension`).
    pub(crate) unknown: bool,
}

/// The protocol names of ALPN, each of 1 to 255 bytes (RFC 7301 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProtocolNames<'a>(&'a [u8]);

impl<'a> ProtocolNames<'a> {
    /// Nothing unless it is a list of at least one name and no empty one.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.is_empty() {
            return None;
        }
        while !reader.is_empty() {
            reader.vec8().filter(|name| !name.is_empty())?;
        }
        Some(Self(bytes))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let mut reader = Reader::new(self.0);
        core::iter::from_fn(move || reader.vec8())
    }

    pub(crate) fn contains(self, name: &[u8]) -> bool {
        self.iter().any(|listed| listed == name)
    }
}

/// Which known extensions have been seen, so that a second one is noticed (RFC 5246 §7.4.1.4).
#[derive(Default)]
struct Seen(u64);

impl Seen {
    fn first_time(&mut self, kind: u16) -> Option<()> {
        let bit = match kind {
            number::RENEGOTIATION_INFO => 1 << 63,
            0..63 => 1 << kind,
            _ => return Some(()),
        };
        if self.0 & bit != 0 {
            return None;
        }
        self.0 |= bit;
        Some(())
    }
}

/// Calls `each` for the extensions that follow a hello, if there are any.
fn for_each<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(u16, &mut Reader<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    if reader.is_empty() {
        return Ok(());
    }
    let mut list = Reader::new(reader.vec16().ok_or(Malformed("extensions"))?);
    reader.end().ok_or(Malformed("bytes after the extensions"))?;
    let mut seen = Seen::default();
    while !list.is_empty() {
        let kind = list.u16().ok_or(Malformed("extension type"))?;
        let mut data = Reader::new(list.vec16().ok_or(Malformed("extension data"))?);
        seen.first_time(kind)
            .ok_or(Malformed("an extension that comes twice"))?;
        each(kind, &mut data)?;
    }
    Ok(())
}

/// A list of bytes with its length before it that is the whole extension and not empty.
fn whole_vec8<'a>(data: &mut Reader<'a>, what: &'static str) -> Result<&'a [u8], Malformed> {
    let bytes = data.vec8().filter(|bytes| !bytes.is_empty());
    bytes.filter(|_| data.is_empty()).ok_or(Malformed(what))
}

fn whole_codes<'a>(data: &mut Reader<'a>, what: &'static str) -> Result<Codes<'a>, Malformed> {
    let codes = data.vec16().and_then(Codes::new);
    codes.filter(|_| data.is_empty()).ok_or(Malformed(what))
}

fn whole_u8(data: &mut Reader<'_>, what: &'static str) -> Result<u8, Malformed> {
    data.u8().filter(|_| data.is_empty()).ok_or(Malformed(what))
}

fn whole_u16(data: &mut Reader<'_>, what: &'static str) -> Result<u16, Malformed> {
    data.u16().filter(|_| data.is_empty()).ok_or(Malformed(what))
}

/// A connection ID may be empty (RFC 9146 §3), and so may the renegotiation info of a first handshake (RFC 5746 §3.2).
fn whole_vec8_or_empty<'a>(data: &mut Reader<'a>, what: &'static str) -> Result<&'a [u8], Malformed> {
    data.vec8().filter(|_| data.is_empty()).ok_or(Malformed(what))
}

fn nothing(data: &Reader<'_>, what: &'static str) -> Result<(), Malformed> {
    data.end().ok_or(Malformed(what))
}

/// The host_name of a server name list; other kinds of names are skipped (RFC 6066 §3).
fn host_name<'a>(data: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    const WHAT: Malformed = Malformed("server_name");
    let mut list = Reader::new(data.vec16().ok_or(WHAT)?);
    data.end().ok_or(WHAT)?;
    let mut found = None;
    while !list.is_empty() {
        let kind = list.u8().ok_or(WHAT)?;
        let name = list.vec16().filter(|name| !name.is_empty()).ok_or(WHAT)?;
        if kind == 0 && found.replace(name).is_some() {
            return Err(WHAT);
        }
    }
    Ok(found)
}

fn protocol_names<'a>(data: &mut Reader<'a>) -> Result<ProtocolNames<'a>, Malformed> {
    let names = data.vec16().and_then(ProtocolNames::new);
    names
        .filter(|_| data.is_empty())
        .ok_or(Malformed("application_layer_protocol_negotiation"))
}

impl<'a> ClientExtensions<'a> {
    /// The rest of a ClientHello.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut found = Self::default();
        for_each(reader, |kind, data| found.take(kind, data))?;
        Ok(found)
    }

    fn take(&mut self, kind: u16, data: &mut Reader<'a>) -> Result<(), Malformed> {
        match kind {
            number::SERVER_NAME => self.server_name = host_name(data)?,
            number::MAX_FRAGMENT_LENGTH => {
                self.max_fragment_length = Some(whole_u8(data, "max_fragment_length")?);
            }
            number::SUPPORTED_GROUPS => self.groups = Some(whole_codes(data, "supported_groups")?),
            number::EC_POINT_FORMATS => self.point_formats = Some(whole_vec8(data, "ec_point_formats")?),
            number::SIGNATURE_ALGORITHMS => {
                self.signature_schemes = Some(whole_codes(data, "signature_algorithms")?);
            }
            number::ALPN => self.alpn = Some(protocol_names(data)?),
            number::CLIENT_CERTIFICATE_TYPE => {
                self.client_certificate_types = Some(whole_vec8(data, "client_certificate_type")?);
            }
            number::SERVER_CERTIFICATE_TYPE => {
                self.server_certificate_types = Some(whole_vec8(data, "server_certificate_type")?);
            }
            number::EXTENDED_MASTER_SECRET => {
                nothing(data, "extended_master_secret")?;
                self.extended_master_secret = true;
            }
            number::RECORD_SIZE_LIMIT => self.record_size_limit = Some(whole_u16(data, "record_size_limit")?),
            number::SESSION_TICKET => self.session_ticket = Some(data.rest()),
            number::CONNECTION_ID => self.connection_id = Some(whole_vec8_or_empty(data, "connection_id")?),
            number::RENEGOTIATION_INFO => {
                self.renegotiation_info = Some(whole_vec8_or_empty(data, "renegotiation_info")?);
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.prefixed16(|w| {
            self.write_names(w);
            self.write_cryptography(w);
            self.write_session(w);
        });
    }

    fn write_names(&self, w: &mut Writer<'_>) {
        put(w, number::SERVER_NAME, self.server_name, |w, name| {
            w.prefixed16(|w| {
                w.u8(0);
                w.vec16(name);
            });
        });
        put(w, number::ALPN, self.alpn, |w, names| w.vec16(names.0));
        put_vec8(w, number::CLIENT_CERTIFICATE_TYPE, self.client_certificate_types);
        put_vec8(w, number::SERVER_CERTIFICATE_TYPE, self.server_certificate_types);
    }

    fn write_cryptography(&self, w: &mut Writer<'_>) {
        put(w, number::SUPPORTED_GROUPS, self.groups, |w, codes| {
            w.vec16(codes.as_bytes());
        });
        put_vec8(w, number::EC_POINT_FORMATS, self.point_formats);
        put(
            w,
            number::SIGNATURE_ALGORITHMS,
            self.signature_schemes,
            |w, codes| w.vec16(codes.as_bytes()),
        );
        put_flag(w, number::EXTENDED_MASTER_SECRET, self.extended_master_secret);
        put_vec8(w, number::RENEGOTIATION_INFO, self.renegotiation_info);
    }

    fn write_session(&self, w: &mut Writer<'_>) {
        put_u8(w, number::MAX_FRAGMENT_LENGTH, self.max_fragment_length);
        put_u16(w, number::RECORD_SIZE_LIMIT, self.record_size_limit);
        put(w, number::SESSION_TICKET, self.session_ticket, |w, bytes| {
            w.put(bytes)
        });
        put_vec8(w, number::CONNECTION_ID, self.connection_id);
    }
}

impl<'a> ServerExtensions<'a> {
    /// The rest of a ServerHello.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut found = Self::default();
        for_each(reader, |kind, data| found.take(kind, data))?;
        Ok(found)
    }

    fn take(&mut self, kind: u16, data: &mut Reader<'a>) -> Result<(), Malformed> {
        match kind {
            number::SERVER_NAME => {
                nothing(data, "server_name")?;
                self.server_name = true;
            }
            number::MAX_FRAGMENT_LENGTH => {
                self.max_fragment_length = Some(whole_u8(data, "max_fragment_length")?);
            }
            number::EC_POINT_FORMATS => self.point_formats = Some(whole_vec8(data, "ec_point_formats")?),
            number::ALPN => {
                let mut names = protocol_names(data)?.iter();
                self.alpn = names.next();
                if names.next().is_some() {
                    return Err(Malformed("application_layer_protocol_negotiation"));
                }
            }
            number::CLIENT_CERTIFICATE_TYPE => {
                self.client_certificate_type = Some(whole_u8(data, "client_certificate_type")?);
            }
            number::SERVER_CERTIFICATE_TYPE => {
                self.server_certificate_type = Some(whole_u8(data, "server_certificate_type")?);
            }
            number::EXTENDED_MASTER_SECRET => {
                nothing(data, "extended_master_secret")?;
                self.extended_master_secret = true;
            }
            number::RECORD_SIZE_LIMIT => self.record_size_limit = Some(whole_u16(data, "record_size_limit")?),
            number::SESSION_TICKET => {
                nothing(data, "session_ticket")?;
                self.session_ticket = true;
            }
            number::CONNECTION_ID => self.connection_id = Some(whole_vec8_or_empty(data, "connection_id")?),
            number::RENEGOTIATION_INFO => {
                self.renegotiation_info = Some(whole_vec8_or_empty(data, "renegotiation_info")?);
            }
            _ => self.unknown = true,
        }
        Ok(())
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.prefixed16(|w| {
            put_flag(w, number::SERVER_NAME, self.server_name);
            put_u8(w, number::MAX_FRAGMENT_LENGTH, self.max_fragment_length);
            put_vec8(w, number::EC_POINT_FORMATS, self.point_formats);
            put(w, number::ALPN, self.alpn, |w, name| {
                w.prefixed16(|w| w.vec8(name));
            });
            put_u8(w, number::CLIENT_CERTIFICATE_TYPE, self.client_certificate_type);
            put_u8(w, number::SERVER_CERTIFICATE_TYPE, self.server_certificate_type);
            put_flag(w, number::EXTENDED_MASTER_SECRET, self.extended_master_secret);
            put_u16(w, number::RECORD_SIZE_LIMIT, self.record_size_limit);
            put_flag(w, number::SESSION_TICKET, self.session_ticket);
            put_vec8(w, number::CONNECTION_ID, self.connection_id);
            put_vec8(w, number::RENEGOTIATION_INFO, self.renegotiation_info);
        });
    }
}

/// One extension, if it is to be sent.
fn put<T>(w: &mut Writer<'_>, kind: u16, value: Option<T>, content: impl FnOnce(&mut Writer<'_>, T)) {
    if let Some(value) = value {
        w.u16(kind);
        w.prefixed16(|w| content(w, value));
    }
}

fn put_u8(w: &mut Writer<'_>, kind: u16, value: Option<u8>) {
    put(w, kind, value, |w, value| w.u8(value));
}

fn put_u16(w: &mut Writer<'_>, kind: u16, value: Option<u16>) {
    put(w, kind, value, |w, value| w.u16(value));
}

fn put_vec8(w: &mut Writer<'_>, kind: u16, value: Option<&[u8]>) {
    put(w, kind, value, |w, bytes| w.vec8(bytes));
}

/// An extension that says all by being there.
fn put_flag(w: &mut Writer<'_>, kind: u16, is_set: bool) {
    put(w, kind, is_set.then_some(()), |_, ()| {});
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn client(bytes: &[u8]) -> Result<ClientExtensions<'_>, Malformed> {
        ClientExtensions::read(&mut Reader::new(bytes))
    }

    /// All extensions that a ClientHello can have, as bytes.
    const CLIENT: &[u8] = &[
        0, 89, // length
        0, 0, 0, 8, 0, 6, 0, 0, 3, b'a', b'.', b'b', // server_name
        0, 16, 0, 5, 0, 3, 2, b'c', b'o', // ALPN
        0, 19, 0, 3, 2, 2, 0, // client_certificate_type: raw public key, X.509
        0, 20, 0, 2, 1, 2, // server_certificate_type
        0, 10, 0, 6, 0, 4, 0, 29, 0, 23, // supported_groups
        0, 11, 0, 2, 1, 0, // ec_point_formats
        0, 13, 0, 4, 0, 2, 4, 3, // signature_algorithms
        0, 23, 0, 0, // extended_master_secret
        0xFF, 1, 0, 1, 0, // renegotiation_info
        0, 1, 0, 1, 2, // max_fragment_length
        0, 28, 0, 2, 1, 0, // record_size_limit
        0, 35, 0, 1, 9, // session_ticket
        0, 54, 0, 2, 1, 7, // connection_id
    ];

    #[test]
    fn client_extensions_are_read_and_written() {
        let found = client(CLIENT).unwrap();
        assert_eq!(found.server_name, Some(&b"a.b"[..]));
        assert_eq!(found.alpn.unwrap().iter().collect::<Vec<_>>(), [b"co"]);
        assert_eq!(found.client_certificate_types, Some(&[2, 0][..]));
        assert_eq!(found.server_certificate_types, Some(&[2][..]));
        assert_eq!(found.groups.unwrap().iter().collect::<Vec<_>>(), [29, 23]);
        assert_eq!(found.point_formats, Some(&[0][..]));
        assert!(found.signature_schemes.unwrap().contains(0x0403));
        assert!(found.extended_master_secret);
        assert_eq!(found.renegotiation_info, Some(&[][..]));
        assert_eq!(found.max_fragment_length, Some(2));
        assert_eq!(found.record_size_limit, Some(256));
        assert_eq!(found.session_ticket, Some(&[9][..]));
        assert_eq!(found.connection_id, Some(&[7][..]));
        let mut out = Vec::new();
        found.write(&mut Writer::new(&mut out));
        assert_eq!(out, CLIENT);
    }

    #[test]
    fn server_extensions_are_read_and_written() {
        let bytes = [
            0, 58, // length
            0, 0, 0, 0, // server_name
            0, 1, 0, 1, 1, // max_fragment_length
            0, 11, 0, 2, 1, 0, // ec_point_formats
            0, 16, 0, 5, 0, 3, 2, b'c', b'o', // ALPN
            0, 19, 0, 1, 2, // client_certificate_type
            0, 20, 0, 1, 0, // server_certificate_type
            0, 23, 0, 0, // extended_master_secret
            0, 28, 0, 2, 2, 0, // record_size_limit
            0, 35, 0, 0, // session_ticket
            0, 54, 0, 1, 0, // connection_id
            0xFF, 1, 0, 1, 0, // renegotiation_info
        ];
        let found = ServerExtensions::read(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(found.alpn, Some(&b"co"[..]));
        assert_eq!(found.client_certificate_type, Some(2));
        assert_eq!(found.server_certificate_type, Some(0));
        assert_eq!(found.connection_id, Some(&[][..]));
        assert_eq!(found.record_size_limit, Some(512));
        assert!(found.server_name && found.session_ticket && found.extended_master_secret && !found.unknown);
        let mut out = Vec::new();
        found.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
    }

    #[test]
    fn none_is_as_good_as_an_empty_list() {
        assert_eq!(client(&[]), Ok(ClientExtensions::default()));
        assert_eq!(client(&[0, 0]), Ok(ClientExtensions::default()));
    }

    #[test]
    fn twice_the_same_is_an_error_and_the_unknown_is_skipped() {
        assert_eq!(
            client(&[0, 8, 0, 23, 0, 0, 0, 23, 0, 0]),
            Err(Malformed("an extension that comes twice"))
        );
        assert_eq!(
            client(&[0, 5, 0x0A, 0x0A, 0, 1, 0]),
            Ok(ClientExtensions::default())
        );
        let server = ServerExtensions::read(&mut Reader::new(&[0, 5, 0x0A, 0x0A, 0, 1, 0])).unwrap();
        assert!(server.unknown);
    }

    #[test]
    fn what_is_cut_names_its_field() {
        for (len, byte) in CLIENT.iter().enumerate() {
            let mut cut = CLIENT.to_vec();
            cut.truncate(len);
            assert!(len == 0 || client(&cut).is_err(), "cut at {len} before {byte}");
        }
        assert_eq!(
            client(&[0, 6, 0, 54, 0, 2, 2, 7]),
            Err(Malformed("connection_id"))
        );
        assert_eq!(
            client(&[0, 6, 0, 10, 0, 2, 0, 0]),
            Err(Malformed("supported_groups"))
        );
        assert_eq!(
            client(&[0, 7, 0, 10, 0, 3, 0, 1, 0]),
            Err(Malformed("supported_groups"))
        );
        assert_eq!(
            client(&[0, 5, 0, 16, 0, 1, 0]),
            Err(Malformed("application_layer_protocol_negotiation"))
        );
        assert_eq!(
            client(&[0, 5, 0, 23, 0, 1, 0]),
            Err(Malformed("extended_master_secret"))
        );
        assert_eq!(client(&[0, 0, 9]), Err(Malformed("bytes after the extensions")));
    }
}
