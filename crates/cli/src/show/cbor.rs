//! CBOR in diagnostic notation (RFC 8949 §8), with numbers as people write them.

use std::fmt::Write;

use minicbor::Decoder;
use minicbor::data::Token;

/// Items one after another, each as a text of its own; `None` if they are not well-formed.
pub(super) fn diagnostic(bytes: &[u8]) -> Option<Vec<String>> {
    let mut writer = Writer::default();
    let mut decoder = Decoder::new(bytes);
    while decoder.position() < bytes.len() {
        writer.put(&decoder.decode().ok()?)?;
    }
    writer.open.is_empty().then_some(writer.items)
}

/// Something that holds further items and is not closed yet.
struct Frame {
    close: &'static str,
    /// How many items it holds; `None`: as many as come before a break.
    len: Option<u64>,
    /// How many came.
    count: u64,
    holds: Holds,
}

/// What may stand within something that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Items,
    Pairs,
    /// Byte strings that are whole: the parts of a longer one (RFC 8949 §3.2.3).
    Bytes,
    /// Text strings that are whole.
    Text,
}

/// Writes tokens; what is nested lies on a stack, so that depth is no danger.
#[derive(Default)]
struct Writer {
    items: Vec<String>,
    item: String,
    open: Vec<Frame>,
}

impl Writer {
    fn put(&mut self, token: &Token<'_>) -> Option<()> {
        if let Token::Break = token {
            return self.put_break();
        }
        self.is_in_place(token).then_some(())?;
        self.separate();
        match token {
            Token::Array(len) => self.begin("[", "]", Some(*len), Holds::Items),
            Token::Map(len) => self.begin("{", "}", Some(len.checked_mul(2)?), Holds::Pairs),
            Token::BeginArray => self.begin("[_ ", "]", None, Holds::Items),
            Token::BeginMap => self.begin("{_ ", "}", None, Holds::Pairs),
            Token::BeginBytes => self.begin("(_ ", ")", None, Holds::Bytes),
            Token::BeginString => self.begin("(_ ", ")", None, Holds::Text),
            Token::Tag(tag) => {
                let _ = write!(self.item, "{}", tag.as_u64());
                self.begin("(", ")", Some(1), Holds::Items);
            }
            simple => {
                self.scalar(simple);
                self.end_item();
            }
        }
        Some(())
    }

    fn is_in_place(&self, token: &Token<'_>) -> bool {
        match self.open.last().map(|frame| frame.holds) {
            Some(Holds::Bytes) => matches!(token, Token::Bytes(_)),
            Some(Holds::Text) => matches!(token, Token::String(_)),
            Some(Holds::Items | Holds::Pairs) | None => true,
        }
    }

    fn put_break(&mut self) -> Option<()> {
        let frame = self.open.pop()?;
        if frame.len.is_some() || frame.holds == Holds::Pairs && !frame.count.is_multiple_of(2) {
            return None;
        }
        self.item.push_str(frame.close);
        self.end_item();
        Some(())
    }

    fn separate(&mut self) {
        let Some(frame) = self.open.last() else {
            return;
        };
        self.item.push_str(match frame.count {
            0 => "",
            count if frame.holds == Holds::Pairs && !count.is_multiple_of(2) => ": ",
            _ => ", ",
        });
    }

    fn begin(&mut self, open: &str, close: &'static str, len: Option<u64>, holds: Holds) {
        self.item.push_str(open);
        if len == Some(0) {
            self.item.push_str(close);
            return self.end_item();
        }
        let count = 0;
        self.open.push(Frame {
            close,
            len,
            count,
            holds,
        });
    }

    /// An item is complete, and with it perhaps what holds it.
    fn end_item(&mut self) {
        while let Some(frame) = self.open.last_mut() {
            frame.count += 1;
            if frame.len != Some(frame.count) {
                return;
            }
            self.item.push_str(frame.close);
            self.open.pop();
        }
        self.items.push(std::mem::take(&mut self.item));
    }

    fn scalar(&mut self, token: &Token<'_>) {
        // Writing to a string cannot fail.
        let _ = match token {
            Token::String(text) => write!(self.item, "{}", serde_json::Value::from(*text)),
            Token::Bytes(bytes) => write!(self.item, "h'{}'", crate::hex::digits(bytes)),
            Token::F16(number) | Token::F32(number) if number.is_finite() => write!(self.item, "{number:?}"),
            Token::F64(number) if number.is_finite() => write!(self.item, "{number:?}"),
            Token::F16(number) | Token::F32(number) => self.item.write_str(odd_float(f64::from(*number))),
            Token::F64(number) => self.item.write_str(odd_float(*number)),
            simple => write!(self.item, "{simple}"),
        };
    }
}

fn odd_float(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(hex: &str) -> String {
        let items = diagnostic(&crate::hex::parse(hex).unwrap()).unwrap();
        assert_eq!(items.len(), 1, "{items:?}");
        items.concat()
    }

    #[test]
    fn examples_of_the_rfc_are_written_as_it_does() {
        // RFC 8949 appendix A.
        for (hex, expected) in [
            ("00", "0"),
            ("1bffffffffffffffff", "18446744073709551615"),
            ("3863", "-100"),
            ("3bffffffffffffffff", "-18446744073709551616"),
            ("f93e00", "1.5"),
            ("fa47c35000", "100000.0"),
            ("fb3ff199999999999a", "1.1"),
            ("fb7e37e43c8800759c", "1e300"),
            ("f97c00", "Infinity"),
            ("f97e00", "NaN"),
            ("fbfff0000000000000", "-Infinity"),
            ("f4", "false"),
            ("f6", "null"),
            ("f7", "undefined"),
            ("f8ff", "simple(255)"),
            ("c11a514b67b0", "1(1363896240)"),
            ("d818456449455446", "24(h'6449455446')"),
            ("40", "h''"),
            ("62225c", r#""\"\\""#),
            ("62c3bc", "\"ü\""),
            ("80", "[]"),
            ("8301820203820405", "[1, [2, 3], [4, 5]]"),
            ("a0", "{}"),
            ("a201020304", "{1: 2, 3: 4}"),
            ("a26161016162820203", r#"{"a": 1, "b": [2, 3]}"#),
            ("5f42010243030405ff", "(_ h'0102', h'030405')"),
            ("7f657374726561646d696e67ff", r#"(_ "strea", "ming")"#),
            ("9f018202039f0405ffff", "[_ 1, [2, 3], [_ 4, 5]]"),
            ("bf61610161629f0203ffff", r#"{_ "a": 1, "b": [_ 2, 3]}"#),
        ] {
            assert_eq!(one(hex), expected, "{hex}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_nothing() {
        for hex in [
            "ff",
            "81",
            "8201",
            "a101",
            "a1ff",
            "bf01ff",
            "c1",
            "61",
            "1c",
            "9f01",
            "bbffffffffffffffff",
            "5f01ff",
            "5f6161ff",
            "7f4100ff",
            "5f5f4100ffff",
            "7fc16161ff",
        ] {
            assert_eq!(diagnostic(&crate::hex::parse(hex).unwrap()), None, "{hex}");
        }
    }

    #[test]
    fn a_sequence_has_several_items() {
        assert_eq!(
            diagnostic(b"\x01\x80\x02"),
            Some(vec!["1".into(), "[]".into(), "2".into()])
        );
        assert_eq!(diagnostic(b""), Some(Vec::new()));
    }
}
