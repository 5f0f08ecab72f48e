//! Why a file is not served or not changed, and what the peer is told.

use std::io::{self, ErrorKind};

use coracle::prelude::*;

/// How long a client is asked to stay away when too much is written at once, in seconds.
const BUSY_MAX_AGE: u32 = 5;

/// Why nothing was done. The peer learns the kind, not what the system says.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is none of that name, or the name leads to none. 4.04.
    NoSuchFile,
    /// The folder that it should be in is none. 4.04.
    NoSuchFolder,
    /// No file can have that name. 4.04, or 4.03 for those who write.
    NoName,
    /// The name begins with a dot, and such files are not served. 4.04, or 4.03 for those who write.
    Hidden,
    /// It leads out of the folder, is no file, or the system does not let us. 4.03.
    Forbidden(&'static str),
    /// A folder cannot be written or deleted. 4.05.
    IsFolder,
    /// The name says that the file has this format, and the request says another: it would be lost. 4.15.
    Format(ContentFormat),
    /// The block lies past the end (RFC 7959 §2.4 has no code for it). 5.00: the client's next try can succeed.
    PastEnd,
    /// What the router would say: conditions, lengths, bodies that broke off.
    Rejected(Rejection),
    /// As many files are written as may be at once. 5.03.
    Busy,
    /// It cannot be transferred block-wise. 5.00.
    TooLarge(&'static str),
    /// The system failed. 5.00.
    Failed(io::Error),
}

impl Refusal {
    /// For those who write: it is no secret why a name is not taken.
    pub(super) fn of_write(self) -> Refusal {
        match self {
            Refusal::NoName => Refusal::Forbidden("no file can have this name here"),
            Refusal::Hidden => Refusal::Forbidden("hidden files are not served"),
            other => other,
        }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        Refusal::Rejected(rejection)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Refusal::NoSuchFile,
            ErrorKind::InvalidFilename => Refusal::NoName,
            _ if is_loop(&error) => Refusal::NoSuchFile,
            ErrorKind::PermissionDenied => Refusal::Forbidden("not accessible"),
            ErrorKind::ReadOnlyFilesystem => Refusal::Forbidden("the file system is read-only"),
            ErrorKind::IsADirectory => Refusal::IsFolder,
            _ => Refusal::Failed(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::NoSuchFile | Refusal::NoName | Refusal::Hidden => {
                Response::diagnostic(Status::NOT_FOUND, "no such file")
            }
            Refusal::NoSuchFolder => {
                Response::diagnostic(Status::NOT_FOUND, "no such folder, and none is made")
            }
            Refusal::Format(format) => Response::diagnostic(
                Status::UNSUPPORTED_CONTENT_FORMAT,
                format!("a file of this name is {format}, and no other format can be kept"),
            ),
            Refusal::PastEnd => Response::diagnostic(
                Status::INTERNAL_SERVER_ERROR,
                "past the end: the file became shorter while it was read",
            ),
            Refusal::Forbidden(why) => Response::diagnostic(Status::FORBIDDEN, why),
            Refusal::IsFolder => Response::diagnostic(Status::METHOD_NOT_ALLOWED, "it is a folder"),
            Refusal::Rejected(rejection) => rejection.into_response(),
            Refusal::Busy => Response::diagnostic(Status::SERVICE_UNAVAILABLE, "too much is written at once")
                .with_max_age(BUSY_MAX_AGE),
            Refusal::TooLarge(why) => Response::diagnostic(Status::INTERNAL_SERVER_ERROR, why),
            Refusal::Failed(error) => Response::diagnostic(Status::INTERNAL_SERVER_ERROR, told(&error)),
        }
    }
}

/// Whether links lead round in a circle, for which the standard library has no stable name.
fn is_loop(error: &io::Error) -> bool {
    let number = if cfg!(any(target_os = "linux", target_os = "android")) {
        40
    } else {
        62
    };
    cfg!(unix) && error.raw_os_error() == Some(number)
}

/// What a peer may know of a failure: what it can do something about.
fn told(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => "no room on the disk",
        ErrorKind::UnexpectedEof => "the file changed while it was read",
        _ => "the file system failed",
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_a_status() {
        for (number, status) in [
            (errno::ENOENT, Status::NOT_FOUND),
            (errno::ENOTDIR, Status::NOT_FOUND),
            (errno::ENAMETOOLONG, Status::NOT_FOUND),
            (errno::ELOOP, Status::NOT_FOUND),
            (errno::EACCES, Status::FORBIDDEN),
            (errno::EPERM, Status::FORBIDDEN),
            (errno::EROFS, Status::FORBIDDEN),
            (errno::EISDIR, Status::METHOD_NOT_ALLOWED),
            (errno::ENOSPC, Status::INTERNAL_SERVER_ERROR),
            (errno::EIO, Status::INTERNAL_SERVER_ERROR),
        ] {
            let refusal = Refusal::from(io::Error::from_raw_os_error(number));
            assert_eq!(refusal.into_response().status, status, "{number}");
        }
    }

    mod errno {
        pub(super) const EPERM: i32 = 1;
        pub(super) const ENOENT: i32 = 2;
        pub(super) const EIO: i32 = 5;
        pub(super) const EACCES: i32 = 13;
        pub(super) const ENOTDIR: i32 = 20;
        pub(super) const EISDIR: i32 = 21;
        pub(super) const ENOSPC: i32 = 28;
        pub(super) const EROFS: i32 = 30;
        pub(super) const ENAMETOOLONG: i32 = 36;
        pub(super) const ELOOP: i32 = 40;
    }
}
