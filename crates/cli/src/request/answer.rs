//! What becomes of an answer: standard output, a file, or words on standard error.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::client::{self, Response};
use crate::console::{Console, Painter, harmless_line};
use crate::error::{CliError, Exit};
use crate::hex;
use crate::json::{self, OptionJson, PayloadJson};
use crate::show::{message, payload};
use crate::wire::Status;

/// Where the answer goes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct AnswerArgs {
    /// Write the body to this file; `-` writes it to standard output as it is, even to a terminal
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the answer as one JSON object: code, options, payload
    #[arg(long)]
    json: bool,

    /// Print the body as a dump: offsets, bytes in hexadecimal, characters
    #[arg(long, conflicts_with_all = ["output", "json"])]
    hex: bool,
}

impl AnswerArgs {
    /// Writes the answer to `uri` to where it belongs, and tells the exit status.
    pub(crate) fn deliver(
        &self,
        uri: &str,
        response: &Response,
        console: &Console,
    ) -> Result<Exit, CliError> {
        let exit = client::exit(response.status());
        let body = response.payload();
        if exit == Exit::Success
            && let Some(path) = self.output.as_deref().filter(|path| *path != Path::new("-"))
        {
            write_file(path, body)?;
            console.detail(&format!("{} bytes written to {}", body.len(), path.display()));
        }
        if self.json {
            console.write(json::line(&AnswerJson::new(uri, response))?.as_bytes())?;
        } else if exit != Exit::Success {
            console.complain(&complaint(response));
        } else {
            if is_worth_a_line(response, console) {
                console.note(&outcome(response));
            }
            self.print(response, console)?;
        }
        Ok(exit)
    }

    /// Prints a body where it belongs, unless that is a file.
    fn print(&self, response: &Response, console: &Console) -> Result<(), CliError> {
        let body = response.payload();
        match self.output.as_deref() {
            _ if body.is_empty() => Ok(()),
            None if self.hex => console.write(hex::dump(body, None, console.out).as_bytes()),
            None => print(response, console),
            Some(path) if path == Path::new("-") => console.write(body),
            Some(_) => Ok(()),
        }
    }
}

/// Prints a body: as it is into pipes and files, for people on terminals.
fn print(response: &Response, console: &Console) -> Result<(), CliError> {
    let body = response.payload();
    if !console.out_is_terminal {
        return console.write(body);
    }
    match payload::pretty(response.content_format(), body, console.out) {
        Some(text) => console.write(format!("{text}\n").as_bytes()),
        None => Err(
            CliError::new(format_args!("the body is {} bytes that are not text", body.len()))
                .with_hint("see them with `--hex`, save them with `-o FILE`, or pipe them"),
        ),
    }
}

/// Whether the code itself is news: that something was created, changed or deleted, or that there is no body.
/// Verbose output has it anyway.
fn is_worth_a_line(response: &Response, console: &Console) -> bool {
    let news = match response.status() {
        Status::CONTENT => response.payload().is_empty() && console.err_is_terminal,
        Status::CREATED => true,
        _ => response.payload().is_empty(),
    };
    news && !console.verbose
}

/// A code without a body: `2.01 Created /rd/4521`.
fn outcome(response: &Response) -> String {
    let code = message::code(response.status().into());
    match response.options().as_options().location() {
        Some(Ok(location)) => format!("{code} {}", harmless_line(&location)),
        _ => code,
    }
}

/// A 4.xx or 5.xx with its diagnostic payload (RFC 7252 §5.5.2) on one line.
pub(crate) fn complaint(response: &Response) -> String {
    let code = message::code(response.status().into());
    let body = response.payload();
    if body.is_empty() {
        return code;
    }
    match payload::pretty(response.content_format(), body, Painter::PLAIN) {
        Some(text) => format!("{code}: {}", harmless_line(text.trim())),
        None => format!("{code}: {} bytes that are not text", body.len()),
    }
}

/// Writes to a file beside and renames it, so that there is the old file or the new one but never half of it.
/// What is no regular file, as /dev/null, is written to directly.
fn write_file(path: &Path, body: &[u8]) -> Result<(), CliError> {
    let cannot =
        |error: std::io::Error| CliError::io(format_args!("cannot write {}", path.display()), &error);
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, body).map_err(cannot);
    }
    // Of a symbolic link the file that it leads to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = fs::File::create_new(&beside)
        .and_then(|mut file| file.write_all(body))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // What is left of it is of no use to anybody; that it cannot be removed adds nothing to the error.
        let _ = fs::remove_file(&beside);
        cannot(error)
    })
}

/// An answer as JSON.
#[derive(Serialize)]
struct AnswerJson<'a> {
    uri: &'a str,
    from: String,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    options: Vec<OptionJson>,
    #[serde(flatten)]
    payload: Option<PayloadJson>,
}

impl<'a> AnswerJson<'a> {
    fn new(uri: &'a str, response: &Response) -> AnswerJson<'a> {
        let code = crate::wire::Code::from(response.status());
        AnswerJson {
            uri,
            from: response.remote().to_string(),
            code: code.to_string(),
            name: code.name(),
            options: json::options(response.options().as_options()),
            payload: PayloadJson::new(response.content_format(), response.payload()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside() {
        let directory = std::env::temp_dir().join(format!("coracle-answer-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("body");
        write_file(&path, b"first, and longer").unwrap();
        write_file(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        let error = write_file(&directory.join("none/body"), b"x").unwrap_err();
        assert!(
            error.to_string().ends_with("no such file or directory"),
            "{error}"
        );
        write_file(Path::new("/dev/null"), b"x").unwrap();
        fs::remove_dir_all(&directory).unwrap();
    }
}
