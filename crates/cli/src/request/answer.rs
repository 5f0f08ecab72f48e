//! What becomes of an answer: standard output, a file, or words on standard error.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::client::{self, Response};
use crate::console::{Console, Painter, harmless_line};
use crate::error::{CliError, Exit};
use crate::hex;
use crate::json::{self, OptionJson, PayloadJson};
use crate::request::partial::Place;
use crate::show::{message, payload};
use crate::wire::{OptionsBuf, Status};

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
    /// The file that a successful answer goes to, block by block. An answer that is shown as JSON is collected first.
    pub(crate) fn file(&self) -> Option<&Path> {
        let output = self.output.as_deref().filter(|_| !self.json);
        output.filter(|path| *path != Path::new("-"))
    }

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
            let mut file = Place::new(path, 0).begin(None)?;
            file.write(body)?;
            let length = file.finish()?;
            console.detail(&format!("{length} bytes written to {}", path.display()));
        }
        if self.json {
            console.write(json::line(&AnswerJson::new(uri, response))?.as_bytes())?;
        } else if exit != Exit::Success {
            console.complain(&complaint(response));
        } else {
            if is_worth_a_line(response, console) {
                console.note(&outcome(response.status(), response.options()));
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
pub(crate) fn outcome(status: Status, options: &OptionsBuf) -> String {
    let code = message::code(status.into());
    match options.as_options().location() {
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
            options: json::options(code, response.options().as_options()),
            payload: PayloadJson::new(response.content_format(), response.payload()),
        }
    }
}
