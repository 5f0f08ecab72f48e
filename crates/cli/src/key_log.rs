//! `SSLKEYLOGFILE`: the secrets of sessions, for those who look at captures of them.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::console::Console;
use crate::error::CliError;

const VARIABLE: &str = "SSLKEYLOGFILE";

/// What writes lines to the file that the environment names, if it names one.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn of_environment(
    console: &Console,
) -> Result<Option<impl Fn(&str) + Send + Sync + 'static>, CliError> {
    let Some(file) = env::var_os(VARIABLE).filter(|file| !file.is_empty()) else {
        return Ok(None);
    };
    let path = Path::new(&file);
    let opened = open(path);
    let opened =
        opened.map_err(|error| CliError::io(format_args!("cannot write {}", path.display()), &error))?;
    console.complain(&format!(
        "{VARIABLE}: who reads {} can read what is said by coaps://",
        path.display()
    ));
    let file = Mutex::new(opened);
    Ok(Some(move |line: &str| {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // Who looks at secrets sees that a line is missing; the session does not suffer.
        let _ = writeln!(file, "{line}");
    }))
}

/// At its end; what is new is its owner's alone.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}
