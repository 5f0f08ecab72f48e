//! A file on its way: beside its place until it is whole, so that there is the old file or the new one but never half of
//! it, under a name that tells what it is a part of, so that a transfer that broke off can go on.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// A transfer goes on at a multiple of this many bytes, the largest block (RFC 7959 §2.2), so that every block size will
/// do.
const STEP: u64 = 1024;

/// The place of a file, and what is asked for to fill it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    /// Tells what is asked for from other things that the same file was to hold.
    asked: u64,
    /// It is no regular file, as /dev/null, and is written to directly.
    direct: bool,
}

/// What is there of a file. Other programs that would write the same part are kept out as long as it is open.
#[derive(Debug)]
pub(crate) struct Partial {
    place: Place,
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
    etag: Option<Vec<u8>>,
}

impl Place {
    /// The file of this name, or the one that it links to.
    pub(crate) fn new(path: &Path, asked: u64) -> Place {
        let direct = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        Place {
            path: match direct {
                true => path.to_owned(),
                false => fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            },
            asked,
            direct,
        }
    }

    /// What an earlier transfer of the same has left, if it left anything.
    ///
    /// # Errors
    /// If it cannot be opened, or another program writes it.
    pub(crate) fn left(&self) -> Result<Option<Partial>, CliError> {
        let Some((path, etag)) = self.parts().into_iter().next() else {
            return Ok(None);
        };
        let file = self.open(&path)?;
        let length = file.metadata().map_err(|error| self.cannot_write(&error))?.len();
        Ok(Some(Partial {
            place: self.clone(),
            path,
            file: BufWriter::new(file),
            length,
            etag: Some(etag),
        }))
    }

    /// Begins the file. One whose state has an ETag can be gone on with; what is left of other states is removed.
    ///
    /// # Errors
    /// If it cannot be written, or another program writes it.
    pub(crate) fn begin(&self, etag: Option<&[u8]>) -> Result<Partial, CliError> {
        let (path, file) = match etag {
            _ if self.direct => (self.path.clone(), File::create(&self.path)),
            Some(etag) => {
                let path = self.beside(&format!("{}.{}", self.mark(), hex(etag)));
                for (other, _) in self.parts() {
                    if other != path && self.open(&other).is_ok() {
                        // What cannot be removed is in nobody's way.
                        let _ = fs::remove_file(other);
                    }
                }
                let file = self.open(&path)?;
                (path, file.set_len(0).map(|()| file))
            }
            None => {
                let path = self.beside(&std::process::id().to_string());
                let file = File::create_new(&path);
                (path, file)
            }
        };
        Ok(Partial {
            place: self.clone(),
            path,
            file: BufWriter::new(file.map_err(|error| self.cannot_write(&error))?),
            length: 0,
            etag: etag.filter(|_| !self.direct).map(<[u8]>::to_vec),
        })
    }

    /// Opens a part for this program alone.
    fn open(&self, path: &Path) -> Result<File, CliError> {
        let opened = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = opened.map_err(|error| self.cannot_write(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(CliError::new(format_args!(
                "another transfer writes {}",
                self.path.display()
            ))),
            // A file system without locks.
            Err(TryLockError::Error(_)) => Ok(file),
        }
    }

    /// The parts of the same that lie beside, with their ETags.
    fn parts(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let before = format!(".{}.{}.", self.name(), self.mark());
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let part = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let etag = unhex(name.strip_prefix(&before)?.strip_suffix(".part")?)?;
            Some((self.path.with_file_name(name), etag))
        };
        entries.filter_map(part).collect()
    }

    fn mark(&self) -> String {
        format!("{:016x}", self.asked)
    }

    fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    fn beside(&self, mark: &str) -> PathBuf {
        self.path.with_file_name(format!(".{}.{mark}.part", self.name()))
    }

    fn cannot_write(&self, error: &io::Error) -> CliError {
        CliError::io(format_args!("cannot write {}", self.path.display()), error)
    }
}

impl Partial {
    /// Where a transfer can go on: at a whole block before the end, so that there is something to ask for in any case.
    pub(crate) fn resumes_at(&self) -> u64 {
        self.length.saturating_sub(1) / STEP * STEP
    }

    /// Whether this is a part of the state that the ETag tells.
    pub(crate) fn is_of(&self, etag: Option<&[u8]>) -> bool {
        self.etag.is_some() && self.etag.as_deref() == etag
    }

    /// Goes on at this byte.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn resume_at(&mut self, offset: u64) -> Result<(), CliError> {
        let file = self.file.get_mut();
        let placed = file
            .set_len(offset)
            .and_then(|()| file.seek(SeekFrom::Start(offset)));
        placed.map_err(|error| self.place.cannot_write(&error))?;
        self.length = offset;
        Ok(())
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| self.place.cannot_write(&error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The file is whole and takes its place; its length in bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn finish(mut self) -> Result<u64, CliError> {
        let placed = match self.place.direct {
            true => self.file.flush(),
            false => self
                .file
                .flush()
                .and_then(|()| fs::rename(&self.path, &self.place.path)),
        };
        match placed {
            Ok(()) => Ok(self.length),
            Err(error) => {
                let told = self.place.cannot_write(&error);
                self.remove();
                Err(told)
            }
        }
    }

    /// The transfer broke off: how many bytes are kept to go on with. Without an ETag it could not be told whether what
    /// follows belongs to them, and nothing is kept.
    pub(crate) fn keep(mut self) -> Option<u64> {
        let flushed = self.file.flush().is_ok();
        if flushed && self.etag.is_some() && self.resumes_at() > 0 {
            return Some(self.length);
        }
        self.remove();
        None
    }

    /// What is there is of no use.
    pub(crate) fn remove(self) {
        if !self.place.direct {
            // That it cannot be removed adds nothing for the user.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
    bytes.filter(|_| digits.len().is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn files(folder: &tempfile::TempDir) -> usize {
        fs::read_dir(folder.path()).unwrap().count()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside() {
        let folder = folder();
        let path = folder.path().join("body");
        for (etag, body) in [(None, &b"first, and longer"[..]), (Some(&b"\x01"[..]), b"second")] {
            let mut partial = Place::new(&path, 1).begin(etag).unwrap();
            partial.write(body).unwrap();
            assert_eq!(files(&folder), if etag.is_some() { 2 } else { 1 });
            assert_eq!(partial.finish().unwrap(), body.len() as u64);
            assert_eq!(fs::read(&path).unwrap(), body);
        }
        assert_eq!(files(&folder), 1);
        let nowhere = Place::new(&folder.path().join("none/body"), 1);
        let error = nowhere.begin(None).unwrap_err();
        assert!(
            error.to_string().ends_with("no such file or directory"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_regular_file_is_written_to_directly() {
        let mut partial = Place::new(Path::new("/dev/null"), 1).begin(Some(b"1")).unwrap();
        partial.write(&[0; 5000]).unwrap();
        assert_eq!(partial.keep(), None);
        assert!(fs::metadata("/dev/null").is_ok());
    }

    #[test]
    fn what_broke_off_is_found_again_by_what_was_asked_for() {
        let folder = folder();
        let place = Place::new(&folder.path().join("body"), 1);
        let mut partial = place.begin(Some(b"\xab\x01")).unwrap();
        partial.write(&[b'x'; 3000]).unwrap();
        assert!(place.left().is_err(), "another transfer writes it");
        assert_eq!(partial.keep(), Some(3000));
        assert!(
            Place::new(&folder.path().join("body"), 2)
                .left()
                .unwrap()
                .is_none()
        );
        let mut again = place.left().unwrap().unwrap();
        assert!(again.is_of(Some(b"\xab\x01")) && !again.is_of(Some(b"\xab")) && !again.is_of(None));
        assert_eq!(again.resumes_at(), 2048);
        again.resume_at(2048).unwrap();
        again.write(b"the end").unwrap();
        assert_eq!(again.finish().unwrap(), 2055);
        let body = fs::read(folder.path().join("body")).unwrap();
        assert_eq!(body, [&[b'x'; 2048][..], b"the end"].concat());
        assert_eq!(files(&folder), 1);
    }

    #[test]
    fn only_what_can_be_gone_on_with_is_kept() {
        let folder = folder();
        let place = Place::new(&folder.path().join("body"), 1);
        for (etag, length) in [(None, 5000), (Some(&b"1"[..]), 1024)] {
            let mut partial = place.begin(etag).unwrap();
            partial.write(&vec![0; length]).unwrap();
            assert_eq!(partial.keep(), None);
            assert_eq!(files(&folder), 0);
        }
    }

    #[test]
    fn a_new_state_takes_the_place_of_what_is_left_of_an_old_one() {
        let folder = folder();
        let place = Place::new(&folder.path().join("body"), 1);
        let mut old = place.begin(Some(b"old")).unwrap();
        old.write(&[0; 5000]).unwrap();
        old.keep();
        let new = place.begin(Some(b"new")).unwrap();
        assert_eq!(files(&folder), 1);
        new.remove();
        assert_eq!(files(&folder), 0);
    }
}
