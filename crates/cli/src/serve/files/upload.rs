//! A file while it is written: beside its place under another name, until it is whole.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, File, Metadata, OpenOptions};
use coracle::prelude::Preconditions;

use super::folder::{Folder, Print, current};
use super::name::partial_name;
use super::refusal::Refusal;

/// A file that takes its place when it is whole and on the disk. Dropped before, it leaves nothing behind.
pub(super) struct Upload {
    folder: Dir,
    /// Its name now; `None` when it has its place.
    partial: Option<String>,
    file: File,
    /// Its name when it is whole.
    name: String,
    /// The file that it replaces, as it was last seen.
    replaced: Option<Metadata>,
}

/// What an upload did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// There was no such file before.
    pub(super) created: bool,
    /// The state of the file.
    pub(super) print: Print,
}

impl Upload {
    /// Makes an empty file beside the place of `name`. What replaces another file is nobody else's to read until it
    /// has the mode of that file.
    pub(super) fn begin(folder: Dir, name: String, replaced: Option<Metadata>) -> io::Result<Upload> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if replaced.is_some() {
            use cap_std::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        loop {
            let partial = partial_name(NEXT.fetch_add(1, Ordering::Relaxed));
            match folder.open_with(&partial, &options) {
                Ok(file) => {
                    return Ok(Upload {
                        folder,
                        partial: Some(partial),
                        file,
                        name,
                        replaced,
                    });
                }
                // What another process of the same number left behind.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds bytes at the end.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Takes its place, if the conditions still hold: until the name changes, readers get the file that was there
    /// before, whole.
    pub(super) fn place(mut self, folder: &Folder, conditions: &Preconditions) -> Result<Written, Refusal> {
        self.file.sync_all()?;
        let _placing = folder.placing();
        let before = current(&self.folder, &self.name, conditions)?;
        let created = before.is_none();
        self.replaced = before.or(self.replaced.take());
        if let Some(replaced) = &self.replaced {
            keep_access(&self.file, replaced)?;
        }
        if let Some(partial) = &self.partial {
            self.folder.rename(partial, &self.folder, &self.name)?;
        }
        self.partial = None;
        self.sync_folder();
        let print = Print::of(&self.file.metadata()?);
        Ok(Written { created, print })
    }

    /// Makes the new name last. The file has its place whether or not the system can do this.
    fn sync_folder(&self) {
        #[cfg(unix)]
        {
            let _ = self.folder.open(".").and_then(|folder| folder.sync_all());
        }
    }
}

/// Gives a file the mode of the one that it replaces, and its owner and group where the system lets us. Without the
/// group, the new group may no more than all others; the bits that make programs run as somebody else are dropped.
#[cfg(unix)]
fn keep_access(file: &File, replaced: &Metadata) -> io::Result<()> {
    use cap_std::fs::{MetadataExt, Permissions, PermissionsExt};
    use std::os::unix::fs::fchown;
    let now = file.metadata()?;
    let group_kept = now.gid() == replaced.gid() || fchown(file, None, Some(replaced.gid())).is_ok();
    let mode = replaced.mode() & 0o777;
    let mode = match group_kept {
        true => mode,
        false => mode & 0o707 | (mode & 0o007) << 3,
    };
    file.set_permissions(Permissions::from_mode(mode))?;
    if now.uid() != replaced.uid() {
        // Only privileged programs may; the file is ours otherwise, as any that we write.
        let _ = fchown(file, Some(replaced.uid()), None);
    }
    Ok(())
}

/// There is nothing to keep that a new file does not have.
#[cfg(not(unix))]
fn keep_access(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(partial) = self.partial.take() {
            // What cannot be removed is not served either.
            let _ = self.folder.remove_file(partial);
        }
    }
}
