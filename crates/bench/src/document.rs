//! The parts of `docs/performance.md` that are written by the measurements, between markers.

use std::io;
use std::path::PathBuf;

use crate::machine::workspace;

/// Writes the texts of cases between their markers.
///
/// # Errors
/// If a marker is missing, or the document cannot be read or written.
pub(crate) fn write(texts: &[(String, String)]) -> io::Result<PathBuf> {
    let path = workspace().join("docs/performance.md");
    let mut document = std::fs::read_to_string(&path)?;
    for (name, text) in texts {
        document = replace(&document, name, text).ok_or_else(|| {
            io::Error::other(format!(
                "{} lacks the lines {} and {}",
                path.display(),
                begin(name),
                end(name)
            ))
        })?;
    }
    std::fs::write(&path, document)?;
    Ok(path)
}

fn begin(name: &str) -> String {
    format!("<!-- written by cargo xtask bench {name} --write -->")
}

fn end(name: &str) -> String {
    format!("<!-- end of {name} -->")
}

fn replace(document: &str, name: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(&begin(name))?;
    let (_, after) = rest.split_once(&end(name))?;
    Some(format!("{before}{}\n{text}\n{}{after}", begin(name), end(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Case;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let document =
            "a\n<!-- written by cargo xtask bench flood --write -->\nold\n<!-- end of flood -->\nz\n";
        let once = replace(document, "flood", "new").unwrap();
        assert_eq!(
            once,
            "a\n<!-- written by cargo xtask bench flood --write -->\nnew\n<!-- end of flood -->\nz\n"
        );
        assert_eq!(replace(&once, "flood", "new").unwrap(), once);
        assert_eq!(replace(document, "fanout", "new"), None);
    }

    #[test]
    fn every_case_has_its_place() {
        let document = include_str!("../../../docs/performance.md");
        for case in Case::ALL {
            assert!(replace(document, &case.name(), "").is_some(), "{}", case.name());
        }
    }
}
