//! A folder of files, and nothing outside of it.
//!
//! Everything goes through [`cap_std::fs::Dir`], which resolves paths below the folder however links and other
//! programs change meanwhile. All of it waits for the disk: call it where waiting is allowed.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use cap_fs_ext::OpenOptionsSyncExt;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, Metadata, OpenOptions};
use coracle::formats::link_format::{Link, write_links};
use coracle::prelude::{Bytes, ContentFormat, Preconditions};

use super::ahead::{AHEAD, begin};
use super::format;
use super::lists::Lists;
use super::name::{Name, is_served};
use super::refusal::Refusal;
use super::upload::Upload;
use crate::console::Console;
use crate::serve::window::{Asked, LARGEST_BLOCK};

/// The longest list of a folder's files, in bytes. It is held in memory while it is transferred.
const MAX_LIST: usize = 1 << 20;

/// How many blocks a body can have (RFC 7959 §2.2).
const MAX_BLOCKS: u64 = 1 << 20;

/// A folder that is served.
pub(super) struct Folder {
    root: Dir,
    hidden: bool,
    /// Held while a file takes its place or goes, so that conditions hold when it does.
    placing: Mutex<()>,
    lists: Lists,
    /// Done when somebody was told of a name that cannot be served.
    unsayable: Once,
    console: Console,
}

/// What is found under a name.
#[derive(Debug)]
pub(super) enum Found {
    /// A part of a file.
    File(Part),
    /// A folder's list as link-format, and the state of the folder.
    Folder(String, Print),
}

/// A part of a file.
#[derive(Debug)]
pub(super) struct Part {
    /// What is asked for, and as much as a block may have more.
    pub(super) payload: Bytes,
    /// Where it begins, in bytes.
    pub(super) offset: u64,
    /// The length of the file in bytes.
    pub(super) total: u64,
    /// What the end of its name stands for.
    pub(super) format: ContentFormat,
    /// The state of the file.
    pub(super) print: Print,
}

/// Tells states of a file from each other: made of size, times and the file's number in the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print(pub(super) u64);

impl Print {
    pub(super) fn of(metadata: &Metadata) -> Print {
        let mut hasher = DefaultHasher::new();
        metadata.len().hash(&mut hasher);
        let modified = metadata.modified().ok();
        modified.map(|time| time.into_std()).hash(&mut hasher);
        #[cfg(unix)]
        {
            use cap_std::fs::MetadataExt;
            let changed = (metadata.ctime(), metadata.ctime_nsec());
            (metadata.dev(), metadata.ino(), changed).hash(&mut hasher);
        }
        Print(hasher.finish())
    }

    /// As an ETag.
    pub(super) fn etag(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// If there is none, or it must not be read.
    pub(super) fn open(path: &Path, hidden: bool, console: Console) -> io::Result<Folder> {
        let root = Dir::open_ambient_dir(path, ambient_authority())?;
        // Opening needs no right to read.
        root.entries()?;
        Ok(Folder {
            root,
            hidden,
            placing: Mutex::new(()),
            lists: Lists::default(),
            unsayable: Once::new(),
            console,
        })
    }

    /// The name that these segments of a path make.
    ///
    /// # Errors
    /// See [`Name::of`].
    pub(super) fn name(&self, segments: &[String]) -> Result<Name, Refusal> {
        Name::of(segments, self.hidden)
    }

    /// Reads the part of a file that holds what is asked for, from its [beginning](begin) on, or lists a folder.
    ///
    /// # Errors
    /// If there is nothing that can be read.
    pub(super) fn look(&self, name: &Name, asked: Asked) -> Result<Found, Refusal> {
        let metadata = self.root.metadata(name.path())?;
        match Kind::of(metadata.file_type()) {
            Kind::File if name.may_be_file() => self.read(name, asked).map(Found::File),
            Kind::File => Err(Refusal::NoSuchFile),
            Kind::Folder => {
                let print = Print::of(&metadata);
                let list = self.lists.get(name, print, || self.list(name));
                list.map(|list| Found::Folder(list, print))
            }
            Kind::Other => Err(Refusal::Forbidden("neither a file nor a folder")),
        }
    }

    /// The state of what has that name; `None` if nothing has.
    pub(super) fn print(&self, name: &Name) -> Option<Print> {
        let metadata = self.root.metadata(name.path()).ok()?;
        Some(Print::of(&metadata))
    }

    /// Begins to write a file.
    ///
    /// # Errors
    /// If it must not be written: conditions, links, folders.
    pub(super) fn begin(&self, name: &Name, conditions: &Preconditions) -> Result<Upload, Refusal> {
        let (folder, file) = self.place(name)?;
        let replaced = current(&folder, &file, conditions)?;
        Ok(Upload::begin(folder, file, replaced)?)
    }

    /// Deletes a file. That there is none is no reason to refuse (RFC 7252 §5.8.4).
    ///
    /// # Errors
    /// As [`Folder::begin`].
    pub(super) fn delete(&self, name: &Name, conditions: &Preconditions) -> Result<(), Refusal> {
        let (folder, file) = match self.place(name) {
            Ok(place) => place,
            Err(Refusal::NoSuchFolder) => return Ok(conditions.check(false, None)?),
            Err(refusal) => return Err(refusal),
        };
        let _placing = self.placing();
        if current(&folder, &file, conditions)?.is_some() {
            folder.remove_file(&file)?;
        }
        Ok(())
    }

    /// Hold it while a file takes its place or goes.
    pub(super) fn placing(&self) -> MutexGuard<'_, ()> {
        self.placing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder that a file is in or comes into, and its name there.
    fn place(&self, name: &Name) -> Result<(Dir, String), Refusal> {
        let (folder, file) = name.split().ok_or(Refusal::IsFolder)?;
        match self.root.open_dir(folder.path()).map_err(Refusal::from) {
            Ok(folder) => Ok((folder, file)),
            Err(Refusal::NoSuchFile) => Err(Refusal::NoSuchFolder),
            Err(refusal) => Err(refusal),
        }
    }

    fn read(&self, name: &Name, asked: Asked) -> Result<Part, Refusal> {
        let mut options = OpenOptions::new();
        // Should a pipe have come in place of the file, this does not wait for somebody to write into it.
        options.read(true).nonblock(true);
        let mut file = self.root.open_with(name.path(), &options)?;
        let metadata = file.metadata()?;
        if Kind::of(metadata.file_type()) != Kind::File {
            return Err(Refusal::Forbidden("neither a file nor a folder"));
        }
        let total = metadata.len();
        if total.div_ceil(asked.size.clamp(1, LARGEST_BLOCK)) > MAX_BLOCKS {
            return Err(Refusal::TooLarge("longer than 2^20 blocks (RFC 7959 §2.2)"));
        }
        if asked.offset > 0 && asked.offset >= total {
            return Err(Refusal::PastEnd);
        }
        // Small blocks are read some at a time, larger ones as they are asked for.
        let (offset, len) = match asked.part {
            ..=AHEAD => (begin(asked.offset), AHEAD),
            part => (asked.offset, part),
        };
        let mut payload = vec![0; usize::try_from(len.min(total - offset)).unwrap_or(0)];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut payload)?;
        Ok(Part {
            payload: payload.into(),
            offset,
            total,
            format: format::of(name.file()),
            print: Print::of(&metadata),
        })
    }

    /// What lies in a folder and can be served, in the order of the names.
    fn list(&self, name: &Name) -> Result<String, Refusal> {
        let folder = self.root.open_dir(name.path())?;
        let mut names = Vec::new();
        let mut bytes = 0;
        for entry in folder.entries()? {
            let file = match entry?.file_name().into_string() {
                Ok(file) => file,
                Err(file) => {
                    self.tell_of_unsayable(name, &file);
                    continue;
                }
            };
            if is_served(&file, self.hidden) {
                bytes += file.len();
                names.push(file);
            }
            if bytes > MAX_LIST {
                return Err(Refusal::TooLarge("the list of the folder is too long"));
            }
        }
        names.sort_unstable();
        let links = names.iter().filter_map(|file| link(&folder, name, file));
        // Paths are percent-encoded, and numbers need no quotes: all of it can be expressed.
        Ok(write_links(&links.collect::<Vec<_>>()).unwrap_or_default())
    }
}

impl Folder {
    /// Says once that a name is left out because Uri-Path cannot say what is not UTF-8 (RFC 7252 §5.10.1).
    fn tell_of_unsayable(&self, folder: &Name, file: &OsStr) {
        let told = &self.unsayable;
        told.call_once(|| {
            let place = folder.path().join(file);
            self.console.note(&format!(
                "not served, as others like it, because its name is not UTF-8: {place:?}"
            ));
        });
    }
}

/// The link to a file or folder; `None` for what is not served or went away.
fn link(folder: &Dir, name: &Name, file: &str) -> Option<Link> {
    let metadata = folder.metadata(file).ok()?;
    let link = Link::new(name.link_to(file)?);
    match Kind::of(metadata.file_type()) {
        Kind::File => {
            let format = format::of(file).0.to_string();
            Some(link.attr("ct", format).attr("sz", metadata.len().to_string()))
        }
        Kind::Folder => Some(link.attr("ct", ContentFormat::LINK_FORMAT.0.to_string())),
        Kind::Other => None,
    }
}

/// What the system says that something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    /// A device, a pipe, a socket, or a link that is not followed.
    Other,
}

impl Kind {
    fn of(file_type: FileType) -> Kind {
        if file_type.is_file() {
            Kind::File
        } else if file_type.is_dir() {
            Kind::Folder
        } else {
            Kind::Other
        }
    }
}

/// The file that is to be replaced or deleted, if there is one and the conditions hold. Links are not
/// followed: what a link leads to may have to stay as it is, and a link is not a file.
pub(super) fn current(
    folder: &Dir,
    file: &str,
    conditions: &Preconditions,
) -> Result<Option<Metadata>, Refusal> {
    let found = match folder.symlink_metadata(file) {
        Ok(metadata) => match Kind::of(metadata.file_type()) {
            Kind::File => Some(metadata),
            Kind::Folder => return Err(Refusal::IsFolder),
            Kind::Other => return Err(Refusal::Forbidden("only files can be changed, and no links")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let etag = found.as_ref().map(|metadata| Print::of(metadata).etag());
    conditions.check(etag.is_some(), etag.as_ref().map(<[u8; 8]>::as_slice))?;
    Ok(found)
}
