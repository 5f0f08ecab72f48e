//! `--dir`: the files of a folder as resources, block by block from the disk.
//!
//! `/.well-known/core` is the router's own, whatever the folder holds.

mod ahead;
mod folder;
mod format;
mod lists;
mod name;
mod refusal;
mod turns;
mod upload;
mod watch;

use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;

use coracle::engine::{Peer, Window};
use coracle::prelude::*;
use coracle::router::MethodRouter;
use tokio::sync::Semaphore;

use self::ahead::Ahead;
use self::folder::{Folder, Found, Part, Print};
use self::name::Name;
use self::refusal::Refusal;
use self::turns::Turns;
use self::upload::Written;
use self::watch::Watches;
use super::access::{Access, refuse};
use super::log::Received;
use super::window::Asked;
use crate::console::Console;

/// How many reads wait for the disk at once; others wait for their turn.
const MAX_READS: usize = 32;

/// How much of a file is collected before it is written to the disk, in bytes: some blocks, so that several hundred
/// uploads take little memory.
const BUFFER: usize = 8 << 10;

/// A folder with what is going on in it.
#[derive(Clone)]
struct Files {
    folder: Arc<Folder>,
    watches: Arc<Watches>,
    ahead: Arc<Ahead>,
    uploads: Turns,
    reads: Arc<Semaphore>,
    max_bytes: u64,
}

/// The files of `path` as resources. Call it within a tokio runtime: files that are observed are watched from it.
///
/// # Errors
/// If there is no such folder, or it cannot be read.
pub(super) fn router(
    path: &FilePath,
    hidden: bool,
    access: Access,
    max_bytes: u64,
    console: Console,
) -> io::Result<Router> {
    let files = Files {
        folder: Arc::new(Folder::open(path, hidden, console)?),
        watches: Arc::default(),
        ahead: Arc::default(),
        uploads: Turns::default(),
        reads: Arc::new(Semaphore::new(MAX_READS)),
        max_bytes,
    };
    tokio::spawn(files.watches.clone().run(files.folder.clone()));
    let root = resource(access)
        .rt("directory")
        .title("Files")
        .attribute("ct", &ContentFormat::LINK_FORMAT.0.to_string())
        .observable();
    Ok(Router::new()
        .route("/", root)
        .route("/{*name}", resource(access))
        .with_state(files))
}

/// Conditions are checked when a file takes its place.
fn resource(access: Access) -> MethodRouter<Files> {
    let resource = match access {
        Access::Write => get(read).put(write).delete(remove),
        Access::ReadOnly => get(read).put(refuse).delete(refuse),
    };
    resource.conditional()
}

async fn read(
    State(files): State<Files>,
    Path(segments): Path<Vec<String>>,
    part: PartLen,
    options: OptionsBuf,
) -> Result<Response, Refusal> {
    let name = files.folder.name(&segments)?;
    let asked = Asked::of(&options, part);
    // The first block, and what is observed, is always looked for on the disk.
    if asked.offset > 0
        && options.as_options().observe().is_none()
        && let Some(part) = files.ahead.get(&name, asked)
    {
        return Ok(response(part));
    }
    let _turn = files.reads.acquire().await.map_err(|_| Refusal::Busy)?;
    let (folder, looked_for) = (files.folder.clone(), name.clone());
    let (print, response) = match waiting(move || folder.look(&looked_for, asked)).await? {
        Found::File(read) => {
            let part = files.ahead.keep(&name, asked, read);
            (part.print, response(part))
        }
        // What a folder lists may change without the folder; the engine makes an ETag of the list itself.
        Found::Folder(list, print) => (print, (ContentFormat::LINK_FORMAT, list).into_response()),
    };
    Ok(files.observed(&name, print, &options, response))
}

/// A part of a file as an answer.
fn response(part: Part) -> Response {
    let (offset, total) = (part.offset, part.total);
    Response::success(part.payload)
        .with_window(Window { offset, total })
        .with_content_format(part.format)
        .with_etag(&part.print.etag())
}

async fn write(
    State(files): State<Files>,
    peer: Peer,
    Path(segments): Path<Vec<String>>,
    conditions: Preconditions,
    options: OptionsBuf,
    received: Option<Extension<Received>>,
    body: BodyStream,
) -> Result<Response, Refusal> {
    let name = files.folder.name(&segments).map_err(Refusal::of_write)?;
    if let Some(told) = options.as_options().content_format() {
        let kept = format::of(name.file());
        if kept != told && kept != ContentFormat::OCTET_STREAM {
            return Err(Refusal::Format(kept));
        }
    }
    if options
        .get_uint(OptionNumber::SIZE1)
        .is_some_and(|size| size > files.max_bytes)
    {
        return Err(files.too_long());
    }
    let _turn = files.uploads.take(peer.address.ip()).ok_or(Refusal::Busy)?;
    let written = files
        .upload(
            name.clone(),
            conditions,
            received.map(|Extension(received)| received),
            body,
        )
        .await
        .map_err(Refusal::of_write)?;
    files.ahead.forget(&name);
    let status = if written.created {
        Status::CREATED
    } else {
        Status::CHANGED
    };
    Ok(Response::new(status).with_etag(&written.print.etag()))
}

async fn remove(
    State(files): State<Files>,
    Path(segments): Path<Vec<String>>,
    conditions: Preconditions,
) -> Result<Deleted, Refusal> {
    let name = files.folder.name(&segments)?;
    waiting(move || {
        files.folder.delete(&name, &conditions)?;
        files.ahead.forget(&name);
        Ok(Deleted)
    })
    .await
}

impl Files {
    /// The response, observed if that was asked for (RFC 7641 §4.1).
    fn observed(&self, name: &Name, print: Print, options: &OptionsBuf, response: Response) -> Response {
        let wants = options.as_options().observe() == Some(0);
        match wants.then(|| self.watches.watch(name, print)).flatten() {
            Some(observable) => response.observed(observable),
            None => response,
        }
    }

    /// Writes a body as it comes, some of it at a time: no more than [`BUFFER`] and a block of it is in memory.
    async fn upload(
        &self,
        name: Name,
        conditions: Preconditions,
        received: Option<Received>,
        mut body: BodyStream,
    ) -> Result<Written, Refusal> {
        let (folder, checked) = (self.folder.clone(), conditions.clone());
        let mut upload = waiting(move || folder.begin(&name, &checked)).await?;
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut length = 0_u64;
        while let Some(part) = body.next().await {
            let part = part.map_err(|_| Rejection::BodyInterrupted)?;
            length += part.len() as u64;
            if let Some(received) = &received {
                received.add(part.len());
            }
            if length > self.max_bytes {
                return Err(self.too_long());
            }
            buffer.extend_from_slice(&part);
            if buffer.len() >= BUFFER {
                (upload, buffer) = waiting(move || {
                    upload.write(&buffer)?;
                    buffer.clear();
                    Ok((upload, buffer))
                })
                .await?;
            }
        }
        let folder = self.folder.clone();
        waiting(move || {
            upload.write(&buffer)?;
            upload.place(&folder, &conditions)
        })
        .await
    }

    fn too_long(&self) -> Refusal {
        let limit = usize::try_from(self.max_bytes).unwrap_or(usize::MAX);
        Rejection::BodyTooLong { limit }.into()
    }
}

/// Runs what waits for the disk beside the tasks that must not wait.
async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Refusal::Failed(io::Error::other(error))))
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
