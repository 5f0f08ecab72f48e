//! Content-Formats of files, by the ends of their names.

use coracle::wire::ContentFormat;

/// Ends of names and what they stand for. What CoAP has no number for (HTML, for instance) is bytes.
const ENDINGS: &[(&str, ContentFormat)] = &[
    ("cbor", ContentFormat::CBOR),
    ("cfg", ContentFormat::TEXT),
    ("conf", ContentFormat::TEXT),
    ("css", ContentFormat::CSS),
    ("csv", ContentFormat::TEXT),
    ("exi", ContentFormat::EXI),
    ("gif", ContentFormat::GIF),
    ("ini", ContentFormat::TEXT),
    ("jpeg", ContentFormat::JPEG),
    ("jpg", ContentFormat::JPEG),
    ("js", ContentFormat::JAVASCRIPT),
    ("json", ContentFormat::JSON),
    ("log", ContentFormat::TEXT),
    ("md", ContentFormat::TEXT),
    ("png", ContentFormat::PNG),
    ("senml", ContentFormat::SENML_JSON),
    ("senmlc", ContentFormat::SENML_CBOR),
    ("senmle", ContentFormat::SENML_EXI),
    ("senmlx", ContentFormat::SENML_XML),
    ("sensml", ContentFormat::SENSML_JSON),
    ("sensmlc", ContentFormat::SENSML_CBOR),
    ("sensmle", ContentFormat::SENSML_EXI),
    ("sensmlx", ContentFormat::SENSML_XML),
    ("svg", ContentFormat::SVG_XML),
    ("text", ContentFormat::TEXT),
    ("toml", ContentFormat::TEXT),
    ("txt", ContentFormat::TEXT),
    ("wlnk", ContentFormat::LINK_FORMAT),
    ("xml", ContentFormat::XML),
    ("yaml", ContentFormat::TEXT),
    ("yml", ContentFormat::TEXT),
];

/// The format of a file of this name; bytes if its end says nothing.
pub(super) fn of(file: &str) -> ContentFormat {
    let end = file.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    let known = ENDINGS.iter().find(|(ending, _)| Some(*ending) == end.as_deref());
    known.map_or(ContentFormat::OCTET_STREAM, |(_, format)| *format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_tells_the_format() {
        assert_eq!(of("a.json"), ContentFormat::JSON);
        assert_eq!(of("A.B.TXT"), ContentFormat::TEXT);
        assert_eq!(of("x.senmlc"), ContentFormat::SENML_CBOR);
        for bytes in ["firmware.bin", "json", "", "a.", ".", "a.html"] {
            assert_eq!(of(bytes), ContentFormat::OCTET_STREAM, "{bytes}");
        }
    }
}
