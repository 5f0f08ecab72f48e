//! What can go wrong, as one line for people and one exit status for scripts.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// How the program ends. The numbers are part of its interface; see [`EXIT_STATUS_HELP`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done, and answered with 2.xx where something was asked.
    Success,
    /// 1: something else failed, for instance a file.
    Failure,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: no answer: silence, a Reset, or nobody there.
    NoAnswer,
    /// 4: the answer was 4.xx.
    ClientError,
    /// 5: the answer was 5.xx.
    ServerError,
    /// 6: the connection broke, and whether the request was carried out is unknown.
    Unknown,
    /// 130: a signal ended it before it was done, as shells tell of SIGINT.
    Interrupted,
}

/// The exit statuses, for the help texts and the manual page.
pub(crate) const EXIT_STATUS_HELP: &str = "\
Exit status:
  0  the answer was 2.xx
  1  something else failed, for instance reading or writing a file
  2  the command line makes no sense
  3  no answer: time-out, reset, unreachable, or no connection
  4  the answer was 4.xx
  5  the answer was 5.xx
  6  the connection broke: whether the request was carried out is unknown
  130  ended by Ctrl-C or SIGTERM before there was an answer, or all of it";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::NoAnswer => 3,
            Exit::ClientError => 4,
            Exit::ServerError => 5,
            Exit::Unknown => 6,
            Exit::Interrupted => 130,
        })
    }
}

/// Why the program gives up: what happened, perhaps a hint what to do about it, and the exit status.
#[derive(Debug)]
pub(crate) struct CliError {
    message: String,
    hint: Option<String>,
    exit: Exit,
    /// Whoever read the output went away; nothing is said about it.
    quiet: bool,
}

impl CliError {
    /// Something failed on this side: exit status 1.
    pub(crate) fn new(message: impl fmt::Display) -> CliError {
        CliError {
            message: message.to_string(),
            hint: None,
            exit: Exit::Failure,
            quiet: false,
        }
    }

    /// The command line makes no sense: exit status 2.
    pub(crate) fn usage(message: impl fmt::Display) -> CliError {
        CliError {
            exit: Exit::Usage,
            ..CliError::new(message)
        }
    }

    /// An input or output failed; `what` tells which, for instance `cannot read x.json`.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> CliError {
        CliError::new(format_args!("{what}: {}", describe(error)))
    }

    /// Standard output failed. A reader that went away is no reason to complain, nor to fail.
    pub(crate) fn stdout(error: &io::Error) -> CliError {
        let gone = error.kind() == io::ErrorKind::BrokenPipe;
        CliError {
            exit: if gone { Exit::Success } else { Exit::Failure },
            quiet: gone,
            ..CliError::io("cannot write to standard output", error)
        }
    }

    /// Adds what the user can do about it.
    pub(crate) fn with_hint(mut self, hint: impl fmt::Display) -> CliError {
        self.hint = Some(hint.to_string());
        self
    }

    /// The same with another message.
    pub(crate) fn with_message(mut self, message: impl fmt::Display) -> CliError {
        self.message = message.to_string();
        self
    }

    /// Ends the program with this status.
    pub(crate) fn with_exit(mut self, exit: Exit) -> CliError {
        self.exit = exit;
        self
    }

    /// The exit status.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether nothing is to be said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CliError {}

/// The system's words without its error number.
fn describe(error: &io::Error) -> String {
    in_words(&error.to_string())
}

/// The same of an error that is a text already.
pub(crate) fn in_words(text: &str) -> String {
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_its_hint() {
        let error = CliError::new("cannot decode").with_hint("try hex");
        assert_eq!(error.to_string(), "cannot decode (try hex)");
        assert_eq!(error.exit(), Exit::Failure);
    }

    #[test]
    fn system_errors_lose_their_number() {
        let missing = io::Error::from_raw_os_error(2);
        let error = CliError::io("cannot read x", &missing);
        assert_eq!(error.to_string(), "cannot read x: no such file or directory");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = CliError::stdout(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(gone.is_quiet());
        assert_eq!(gone.exit(), Exit::Success);
        let full = CliError::stdout(&io::Error::from(io::ErrorKind::StorageFull));
        assert!(!full.is_quiet());
        assert_eq!(full.exit(), Exit::Failure);
    }
}
