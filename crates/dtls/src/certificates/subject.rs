//! The common name of a certificate's subject, where devices have their identifier (RFC 7925 §4.4.2).

use alloc::string::String;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// UTF8String, PrintableString, IA5String.
const TEXTS: [u8; 3] = [0x0C, 0x13, 0x16];
/// id-at-commonName (RFC 5280 appendix A.1).
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The last, which is the most specific, common name of a subject in DER, given without its outer SEQUENCE.
pub(super) fn common_name(subject: &[u8]) -> Option<String> {
    let mut rest = subject;
    let mut found = None;
    while !rest.is_empty() {
        let mut attributes = element(&mut rest, SET)?;
        while !attributes.is_empty() {
            let mut attribute = element(&mut attributes, SEQUENCE)?;
            if element(&mut attribute, OBJECT_IDENTIFIER)? == COMMON_NAME {
                let (tag, value) = any_element(&mut attribute)?;
                let text = TEXTS.contains(&tag).then_some(value)?;
                found = Some(core::str::from_utf8(text).ok()?);
            }
        }
    }
    found.map(String::from)
}

fn element<'d>(der: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    let (found, content) = any_element(der)?;
    (found == tag).then_some(content)
}

/// Takes one element: its tag and content. Longer ones than 65,535 bytes do not occur in names.
fn any_element<'d>(der: &mut &'d [u8]) -> Option<(u8, &'d [u8])> {
    let ([tag, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match *length {
        0x81 => {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        short if short < 0x80 => (usize::from(short), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *der = rest;
    Some((*tag, content))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::hex;

    #[test]
    fn the_last_common_name_counts() {
        let country = hex("310b 3009 0603550406 1302 4445");
        let first = hex("310a 3008 0603550403 0c01 61");
        let last = hex("310b 3009 0603550403 1302 6263");
        let subject = [&country[..], &first, &last].concat();
        assert_eq!(common_name(&subject).as_deref(), Some("bc"));
        assert_eq!(common_name(&country), None);
        assert_eq!(common_name(b""), None);
        for len in 1..subject.len() {
            let whole = len == country.len() || len == country.len() + first.len();
            assert!(whole || common_name(&subject[..len]).is_none());
        }
    }

    #[test]
    fn long_lengths_are_read() {
        let subject = [hex("3181ce 3081cb 0603550403 0c81c3"), [b'x'; 195].to_vec()].concat();
        assert_eq!(common_name(&subject).map(|name| name.len()), Some(195));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_to_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let name = common_name(&bytes);
            prop_assert!(name.is_none_or(|name| name.len() < bytes.len()));
        }
    }
}
