//! Finished (RFC 5246 §7.4.9).

use super::Malformed;
use super::codec::Writer;

/// The proof that the sender has the keys and saw the same messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finished<'a> {
    pub(crate) verify_data: &'a [u8; 12],
}

impl<'a> Finished<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let verify_data = body.try_into().map_err(|_| Malformed("verify_data"))?;
        Ok(Self { verify_data })
    }

    pub(crate) fn write(self, w: &mut Writer<'_>) {
        w.put(self.verify_data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn it_has_twelve_bytes() {
        let finished = Finished::read(&[7; 12]).unwrap();
        let mut out = Vec::new();
        finished.write(&mut Writer::new(&mut out));
        assert_eq!(out, [7; 12]);
        assert!(Finished::read(&[7; 11]).is_err() && Finished::read(&[7; 13]).is_err());
    }
}
