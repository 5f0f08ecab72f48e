//! NewSessionTicket (RFC 5077 §3.3).

use super::Malformed;
use super::codec::{Reader, Writer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewSessionTicket<'a> {
    /// Seconds; 0 says nothing.
    pub(crate) lifetime_hint: u32,
    /// Empty if the server has thought better of it.
    pub(crate) ticket: &'a [u8],
}

impl<'a> NewSessionTicket<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let lifetime_hint = reader.u32().ok_or(Malformed("ticket_lifetime_hint"))?;
        let ticket = reader.vec16().filter(|_| reader.is_empty());
        let ticket = ticket.ok_or(Malformed("ticket"))?;
        Ok(Self {
            lifetime_hint,
            ticket,
        })
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.u32(self.lifetime_hint);
        w.vec16(self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn it_is_read_and_written() {
        let bytes = [0, 0, 0x0E, 0x10, 0, 2, 5, 6];
        let new = NewSessionTicket::read(&bytes).unwrap();
        assert_eq!((new.lifetime_hint, new.ticket), (3600, &[5, 6][..]));
        let mut out = Vec::new();
        new.write(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
        for len in 0..bytes.len() {
            assert!(NewSessionTicket::read(&bytes[..len]).is_err());
        }
    }
}
