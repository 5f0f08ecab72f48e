//! Files that are made, not changed, and read by their owner alone where they are secret.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::error::CliError;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Whoever may read other files of this user.
    Others,
    /// This user alone.
    Owner,
}

/// Writes all of these files; none if one of them is there already, unless they are to be replaced.
///
/// # Errors
/// Names the file that is there, or cannot be written.
pub(super) fn write_all(files: &[(&Path, &str, Readers)], replace: bool) -> Result<(), CliError> {
    let there = files.iter().find(|(path, ..)| path.symlink_metadata().is_ok());
    if let Some((path, ..)) = there
        && !replace
    {
        return Err(already_there(path));
    }
    for (path, text, readers) in files {
        if let Err(error) = write(path, text, *readers, replace) {
            return Err(match error.kind() {
                ErrorKind::AlreadyExists => already_there(path),
                _ => CliError::io(format_args!("cannot write {}", path.display()), &error),
            });
        }
    }
    Ok(())
}

/// A path as a word of a shell.
pub(crate) fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+:@%,".contains(character);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn already_there(path: &Path) -> CliError {
    CliError::new(format_args!("{} is there already", path.display()))
        .with_hint("--force replaces it; a key that is in use is lost then")
}

/// A file that is replaced is removed first, so that the new one has the mode that it should, and so that a link does not
/// lead the key to somewhere else.
fn write(path: &Path, text: &str, readers: Readers, replace: bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if replace {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if readers == Readers::Owner {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_where_one_of_the_files_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        fs::write(&old, "old").unwrap();
        let files = [
            (new.as_path(), "1", Readers::Others),
            (old.as_path(), "2", Readers::Owner),
        ];
        let told = write_all(&files, false).unwrap_err().to_string();
        assert!(told.contains("old is there already"), "{told}");
        assert!(!new.exists());
        write_all(&files, true).unwrap();
        assert_eq!(fs::read_to_string(&new).unwrap(), "1");
        assert_eq!(fs::read_to_string(&old).unwrap(), "2");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_is_its_owners_alone_also_where_a_file_of_all_was_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (key, elsewhere) = (folder.path().join("key"), folder.path().join("elsewhere"));
        fs::write(&elsewhere, "mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &key).unwrap();
        write_all(&[(key.as_path(), "secret", Readers::Owner)], true).unwrap();
        let mode = fs::symlink_metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine");
    }

    #[test]
    fn paths_with_spaces_are_one_word() {
        assert_eq!(word(Path::new("keys/cert.pem")), "keys/cert.pem");
        assert_eq!(word(Path::new("my keys/it's.pem")), r"'my keys/it'\''s.pem'");
    }
}
