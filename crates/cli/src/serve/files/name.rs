//! Names of files as they come in requests.

use std::path::{Component, Path, PathBuf};

use coracle::prelude::{OptionNumber, OptionsBuf};

use super::refusal::Refusal;

/// The longest path, in bytes; Linux takes no longer one (PATH_MAX). The system has the last word.
const MAX_PATH: usize = 4095;

/// What files have at the beginning and end of their name while they are written. They are never served.
const PARTIAL: (&str, &str) = (".coracle-", ".part");

/// The name of a file while it is written.
pub(super) fn partial_name(number: u64) -> String {
    let (prefix, suffix) = PARTIAL;
    format!("{prefix}{}-{number}{suffix}", std::process::id())
}

/// A relative path without `.`, `..` and the like; empty for the folder itself. What links along it lead to is
/// found out when it is opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    path: PathBuf,
    /// It ends with a slash: no file is meant.
    slash: bool,
}

impl Name {
    /// The name that these segments of a path make.
    ///
    /// # Errors
    /// [`Refusal::NoName`] for what no file of the folder is called: an empty segment before the last, `.`, `..`, one
    /// with a separator or NUL. [`Refusal::Hidden`] unless `hidden` for one that begins with a dot.
    pub(super) fn of(segments: &[String], hidden: bool) -> Result<Name, Refusal> {
        let (segments, slash) = match segments.split_last() {
            Some((last, before)) if last.is_empty() => (before, true),
            _ => (segments, false),
        };
        let mut path = PathBuf::new();
        for segment in segments {
            if !is_name(segment) {
                return Err(Refusal::NoName);
            }
            if !is_served(segment, hidden) {
                return Err(Refusal::Hidden);
            }
            path.push(segment);
            if path.as_os_str().len() > MAX_PATH {
                return Err(Refusal::NoName);
            }
        }
        Ok(Name { path, slash })
    }

    /// Whether it can be that of a file: it does not end with a slash.
    pub(super) fn may_be_file(&self) -> bool {
        !self.slash
    }

    /// Its last part; empty for the folder itself.
    pub(super) fn file(&self) -> &str {
        let last = self.path.file_name().and_then(|name| name.to_str());
        last.unwrap_or_default()
    }

    /// Relative to the folder; `.` for the folder itself.
    pub(super) fn path(&self) -> &Path {
        match self.path.as_os_str().is_empty() {
            true => Path::new("."),
            false => &self.path,
        }
    }

    /// The folder that it is in, and its name there; `None` for the folder itself, and for what is no file.
    pub(super) fn split(&self) -> Option<(Name, String)> {
        if self.slash {
            return None;
        }
        let file = self.path.file_name()?.to_str()?.to_owned();
        let path = self.path.parent().unwrap_or(Path::new("")).to_owned();
        Some((Name { path, slash: true }, file))
    }

    /// The path of what is called `file` in this folder, percent-encoded for links; `None` for what has no URI.
    pub(super) fn link_to(&self, file: &str) -> Option<String> {
        let mut options = OptionsBuf::new();
        let parents = self.path.iter().map(|segment| segment.to_str());
        for segment in parents.chain([Some(file)]) {
            options.push_str(OptionNumber::LOCATION_PATH, segment?).ok()?;
        }
        options.as_options().location()?.ok()
    }
}

/// Whether a name of a folder's list is served.
pub(super) fn is_served(file: &str, hidden: bool) -> bool {
    let partial = file.starts_with(PARTIAL.0) && file.ends_with(PARTIAL.1);
    (hidden || !file.starts_with('.')) && !partial
}

/// Whether the system would take it for one name and nothing else.
fn is_name(segment: &str) -> bool {
    let mut components = Path::new(segment).components();
    let one = matches!(components.next(), Some(Component::Normal(name)) if name == segment);
    one && components.next().is_none() && !segment.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(segments: &[&str], hidden: bool) -> Result<Name, Refusal> {
        let segments: Vec<String> = segments.iter().map(|segment| (*segment).to_owned()).collect();
        Name::of(&segments, hidden)
    }

    #[test]
    fn what_leads_elsewhere_is_no_name() {
        for segments in [
            &[".."][..],
            &["."],
            &["a", ".."],
            &["a", "..", "..", "etc"],
            &["../etc"],
            &["a/../../etc"],
            &["/etc/passwd"],
            &["/"],
            &["", ""],
            &["", "etc"],
            &["a", "", ""],
            &["a", "", "b"],
            &["a/b"],
            &["a/"],
            &["a/."],
            &["a\0b"],
            &["\0"],
        ] {
            for hidden in [false, true] {
                assert!(
                    matches!(name(segments, hidden), Err(Refusal::NoName)),
                    "{segments:?}"
                );
            }
        }
    }

    #[test]
    fn dots_hide_unless_hidden_files_are_served() {
        for segments in [&[".git"][..], &[".git", "config"], &["a", ".b"], &["..."]] {
            assert!(
                matches!(name(segments, false), Err(Refusal::Hidden)),
                "{segments:?}"
            );
            assert!(name(segments, true).is_ok(), "{segments:?}");
        }
        assert!(name(&[&partial_name(7)], true).is_err());
    }

    #[test]
    fn a_name_is_a_relative_path() {
        assert_eq!(name(&[], false).unwrap().path(), Path::new("."));
        let nested = name(&["a", "b c", "ü"], false).unwrap();
        assert_eq!(nested.path(), Path::new("a/b c/ü"));
        let (folder, file) = nested.split().unwrap();
        assert_eq!((folder.path(), file.as_str()), (Path::new("a/b c"), "ü"));
        assert!(name(&[], false).unwrap().split().is_none());
    }

    #[test]
    fn a_slash_at_the_end_means_a_folder() {
        for (segments, path) in [(&["a", ""][..], "a"), (&[""], ".")] {
            let folder = name(segments, false).unwrap();
            assert_eq!(folder.path(), Path::new(path));
            assert!(!folder.may_be_file() && folder.split().is_none());
        }
        assert!(name(&["a"], false).unwrap().may_be_file());
    }

    #[test]
    fn a_path_has_a_bound() {
        let segment = "x".repeat(250);
        let segments = vec![segment; 17];
        assert!(Name::of(&segments[..16], false).is_ok());
        assert!(matches!(Name::of(&segments, false), Err(Refusal::NoName)));
    }

    #[test]
    fn links_are_encoded() {
        let folder = name(&["a b"], false).unwrap();
        assert_eq!(folder.link_to("ü?").as_deref(), Some("/a%20b/%C3%BC%3F"));
    }
}
