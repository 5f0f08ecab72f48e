//! The files that credentials come from: read, and read again when one of them has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::AbortHandle;

use super::book::Book;
use super::file::{self, Read};
use super::{Credentials, CredentialsError};

/// How often it is looked whether a file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When a file was changed, and how long it is; `None` while it is not there.
type Stamp = Option<(SystemTime, u64)>;

/// The file of credentials and those that it names.
#[derive(Clone)]
pub(super) struct Files {
    file: PathBuf,
    /// As they were when they were read.
    stamps: Arc<Mutex<Vec<(PathBuf, Stamp)>>>,
}

impl Files {
    pub(super) fn read(file: &Path) -> Result<(Book, Files), CredentialsError> {
        let files = Files {
            file: file.to_owned(),
            stamps: Arc::default(),
        };
        let book = files.read_again()?;
        Ok((book, files))
    }

    /// What is wrong is told once: until a file changes again it is not read again.
    pub(super) fn read_again(&self) -> Result<Book, CredentialsError> {
        // Before they are read: a change that comes in between is seen at the next look.
        let mut stamps = vec![(self.file.clone(), stamp(&self.file))];
        let mut read = Read::default();
        let book = file::read(&self.file, &mut read);
        stamps.extend(read.files);
        *self.stamps.lock().unwrap_or_else(PoisonError::into_inner) = stamps;
        book
    }

    fn have_changed(&self) -> bool {
        let stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.iter().any(|(path, before)| stamp(path) != *before)
    }
}

pub(super) fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The file is read again when it changes, as long as this is there.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Watching(AbortHandle);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Credentials {
    /// Looks every second whether the file, or one that it names, has changed, and reads it again. What is wrong then is
    /// logged with its line, and what was read before stays in force.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn watch(&self) -> Watching {
        let credentials = self.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let credentials = credentials.clone();
                // It fails where the runtime ends.
                let _ = tokio::task::spawn_blocking(move || credentials.look()).await;
            }
        });
        Watching(task.abort_handle())
    }

    fn look(&self) {
        let Some(files) = self.shared.files.as_ref().filter(|files| files.have_changed()) else {
            return;
        };
        match self.reload() {
            Ok(()) => {
                tracing::info!(file = %files.file.display(), "credentials are read again");
                for warning in self.warnings() {
                    tracing::warn!("{warning}");
                }
            }
            Err(error) => tracing::error!("{error}; the credentials stay as they were"),
        }
    }
}
