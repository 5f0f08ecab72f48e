//! Content formats on the command line.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};

use crate::wire::ContentFormat;

/// Reads a content format by name, media type or number, and offers the names to completions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormatParser;

impl TypedValueParser for FormatParser {
    type Value = ContentFormat;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<ContentFormat, Error> {
        let read = |text: &str| text.parse::<ContentFormat>();
        read.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = ContentFormat::registered().filter_map(ContentFormat::name);
        Some(Box::new(names.map(PossibleValue::new)))
    }
}

/// Ends of file names that are not the name of a content format themselves.
const ENDINGS: [(&str, ContentFormat); 12] = [
    ("bin", ContentFormat::OCTET_STREAM),
    ("jpg", ContentFormat::JPEG),
    ("js", ContentFormat::JAVASCRIPT),
    ("senml", ContentFormat::SENML_JSON),
    ("senmlc", ContentFormat::SENML_CBOR),
    ("senmlx", ContentFormat::SENML_XML),
    ("sensml", ContentFormat::SENSML_JSON),
    ("sensmlc", ContentFormat::SENSML_CBOR),
    ("sensmlx", ContentFormat::SENSML_XML),
    ("svg", ContentFormat::SVG_XML),
    ("txt", ContentFormat::TEXT),
    ("wlnk", ContentFormat::LINK_FORMAT),
];

/// The format of a file by the end of its name; `None` if that says nothing.
pub(crate) fn of_file(name: &str) -> Option<ContentFormat> {
    let end = std::path::Path::new(name)
        .extension()?
        .to_str()?
        .to_ascii_lowercase();
    let known = ENDINGS.iter().find(|(ending, _)| *ending == end);
    let named = || ContentFormat::registered().find(|format| format.name() == Some(&end));
    known.map(|(_, format)| *format).or_else(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_tells_the_format() {
        assert_eq!(of_file("a/b.json"), Some(ContentFormat::JSON));
        assert_eq!(of_file("A.B.TXT"), Some(ContentFormat::TEXT));
        assert_eq!(of_file("x.cbor"), Some(ContentFormat::CBOR));
        for unknown in ["json", "", "a.", ".json", "a.50", "b.json/c", "a.unknown"] {
            assert_eq!(of_file(unknown), None, "{unknown}");
        }
    }
}
