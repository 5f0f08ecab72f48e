//! Payloads of answers, held against what they should be.

use coracle_wire::{Message, OptionNumber, Status};

use crate::plan::Expect;

/// What was seen of the answers so far.
#[derive(Default)]
pub(crate) struct Payloads {
    /// The newest ETag, and what came under it.
    tagged: Option<(Box<[u8]>, Vec<u8>)>,
}

/// What a payload is beside those that came before, or beside the one that was asked for, which is given.
pub(crate) enum Verdict<'a> {
    Right,
    /// It may be another one.
    Changed(&'a [u8]),
    Wrong(&'a [u8]),
}

impl Payloads {
    /// Judges the payload of this answer, or what stands for its whole body.
    pub(crate) fn judge<'a>(
        &'a mut self,
        expect: &'a Expect,
        message: &Message<'_>,
        payload: &[u8],
    ) -> Verdict<'a> {
        match expect {
            Expect::Anything => Verdict::Right,
            Expect::Payload(right) if **right == *payload => Verdict::Right,
            Expect::Payload(right) => Verdict::Wrong(right),
            Expect::Same(first) => match first.get_or_init(|| payload.to_vec()) {
                first if first == payload => Verdict::Right,
                first => Verdict::Wrong(first),
            },
            Expect::Noted(first) => {
                let first = first.get_or_init(|| payload.to_vec());
                match self.under_its_tag(message, payload) {
                    Some(right) => Verdict::Wrong(right),
                    None if first == payload => Verdict::Right,
                    None => Verdict::Changed(first),
                }
            }
        }
    }

    /// What came under the ETag of this answer before, if that was something else. An ETag is that of one
    /// representation (RFC 7252 §5.10.6).
    fn under_its_tag(&mut self, message: &Message<'_>, payload: &[u8]) -> Option<&[u8]> {
        let etag = message.options.get(OptionNumber::ETAG);
        // A 2.03 has the ETag but not the representation.
        let etag = etag.filter(|_| message.code == Status::CONTENT.into())?;
        let known = self.tagged.as_ref().is_some_and(|(tag, _)| **tag == *etag);
        if !known {
            self.tagged = Some((etag.into(), payload.to_vec()));
        }
        let (_, before) = self.tagged.as_ref()?;
        (before != payload).then_some(before)
    }
}

/// How two payloads differ, for people.
pub(crate) fn difference(got: &[u8], right: &[u8]) -> String {
    let place = got.iter().zip(right).position(|(a, b)| a != b);
    let place = place.unwrap_or_else(|| got.len().min(right.len()));
    let about = |payload: &[u8]| {
        let from = payload.get(place..).unwrap_or_default();
        match from.get(..24) {
            _ if from.is_empty() => "the end".to_owned(),
            Some(shown) if shown.len() < from.len() => format!("{:?}...", String::from_utf8_lossy(shown)),
            _ => format!("{:?}", String::from_utf8_lossy(from)),
        }
    };
    let length = match (got.len(), right.len()) {
        (got, right) if got == right => String::new(),
        (got, right) => format!("{} instead of {right}, ", bytes(got)),
    };
    format!(
        "{length}from byte {place} on {} instead of {}",
        about(got),
        about(right)
    )
}

fn bytes(count: usize) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_from_their_first_byte() {
        for (got, right, told) in [
            ("22.5", "21.5", r#"from byte 1 on "2.5" instead of "1.5""#),
            ("1", "2", r#"from byte 0 on "1" instead of "2""#),
            (
                "1",
                "",
                r#"1 byte instead of 0, from byte 0 on "1" instead of the end"#,
            ),
            (
                "ab",
                "abc",
                r#"2 bytes instead of 3, from byte 2 on the end instead of "c""#,
            ),
        ] {
            assert_eq!(difference(got.as_bytes(), right.as_bytes()), told);
        }
        let long = difference(&[b'a'; 25], b"b");
        assert_eq!(
            long,
            format!(
                "25 bytes instead of 1, from byte 0 on \"{}\"... instead of \"b\"",
                "a".repeat(24)
            )
        );
    }
}
