//! Where the payload of a request comes from.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use clap::Args;
use coracle::client::Body;
use coracle::prelude::Bytes;

use crate::console::Console;
use crate::error::CliError;
use crate::format_arg::{self, FormatParser};
use crate::wire::ContentFormat;

/// The longest payload, in bytes: 2^20 blocks of 1,024 bytes are all that RFC 7959 can transfer.
const MAX_PAYLOAD: u64 = 1 << 30;

/// The payload and what it is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Request")]
pub(crate) struct PayloadArgs {
    /// The payload; without it and --data it is read from standard input, unless that is a terminal
    #[arg(value_name = "PAYLOAD", allow_negative_numbers = true)]
    text: Option<String>,

    /// The payload, or @FILE to read it from a file, or @- for standard input
    #[arg(
        short,
        long,
        value_name = "TEXT|@FILE",
        conflicts_with = "text",
        allow_negative_numbers = true
    )]
    data: Option<String>,

    /// What the payload is: a content format by name, media type or number [default: by the end of @FILE's name, as
    /// .json or .txt; otherwise none, or text or octets where the method needs one: fetch, patch, ipatch]
    #[arg(short = 'f', long, value_name = "FORMAT", value_parser = FormatParser, hide_possible_values = true)]
    content_format: Option<ContentFormat>,
}

/// A place to take the payload from.
#[derive(Debug, PartialEq, Eq)]
enum Source<'a> {
    Text(&'a str),
    File(&'a str),
    Stdin,
    Nothing,
}

/// A payload, to be sent as often as needed.
#[derive(Debug)]
pub(crate) enum Payload<'a> {
    Bytes(Bytes),
    /// A file that is read while it goes.
    File(&'a str),
}

impl Payload<'_> {
    /// The body of a request.
    ///
    /// # Errors
    /// If the file cannot be read any more.
    pub(crate) fn body(&self) -> Result<Body, CliError> {
        match self {
            Payload::Bytes(bytes) => Ok(bytes.clone().into()),
            Payload::File(name) => Ok(open(name)?.into()),
        }
    }
}

impl PayloadArgs {
    /// Reads the payload. A file is not read yet, but while it goes, if it `may` be.
    ///
    /// # Errors
    /// If a file or standard input cannot be read, or it is longer than CoAP can transfer.
    pub(crate) fn read(&self, may: bool, console: &Console) -> Result<Payload<'_>, CliError> {
        let bytes = match self.source(io::stdin().is_terminal()) {
            Source::Text(text) => text.as_bytes().to_vec(),
            Source::Nothing => Vec::new(),
            Source::Stdin => {
                console.detail("reading the payload from standard input (-d '' sends none)");
                read_all(io::stdin().lock(), "cannot read standard input")?
            }
            Source::File(name) => {
                let file = open(name)?;
                let regular = file.metadata().ok().filter(std::fs::Metadata::is_file);
                match regular.map(|metadata| metadata.len()) {
                    Some(length) if length > MAX_PAYLOAD => return Err(too_long(&cannot_read(name))),
                    Some(length) if may && length > 0 => return Ok(Payload::File(name)),
                    _ => read_all(file, &cannot_read(name))?,
                }
            }
        };
        Ok(Payload::Bytes(bytes.into()))
    }

    /// What the payload is, as the user says or the name of the file tells.
    pub(crate) fn format(&self) -> Option<ContentFormat> {
        let file = self.data.as_deref().and_then(|data| data.strip_prefix('@'));
        self.content_format.or_else(|| format_arg::of_file(file?))
    }

    fn source(&self, stdin_is_terminal: bool) -> Source<'_> {
        let data = self.data.as_deref();
        match (
            self.text.as_deref(),
            data,
            data.and_then(|data| data.strip_prefix('@')),
        ) {
            (Some(text), ..) => Source::Text(text),
            (None, Some(_), Some("-")) => Source::Stdin,
            (None, Some(_), Some(name)) => Source::File(name),
            (None, Some(text), None) => Source::Text(text),
            (None, None, _) if stdin_is_terminal => Source::Nothing,
            (None, None, _) => Source::Stdin,
        }
    }
}

fn cannot_read(name: &str) -> String {
    format!("cannot read {name}")
}

fn open(name: &str) -> Result<File, CliError> {
    File::open(name).map_err(|error| CliError::io(cannot_read(name), &error))
}

fn too_long(what: &str) -> CliError {
    CliError::new(format_args!("{what}: CoAP transfers at most {MAX_PAYLOAD} bytes"))
}

fn read_all(source: impl Read, what: &str) -> Result<Vec<u8>, CliError> {
    let mut content = Vec::new();
    source
        .take(MAX_PAYLOAD + 1)
        .read_to_end(&mut content)
        .map_err(|error| CliError::io(what, &error))?;
    if content.len() as u64 > MAX_PAYLOAD {
        return Err(too_long(what));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: Option<&str>, data: Option<&str>) -> PayloadArgs {
        PayloadArgs {
            text: text.map(String::from),
            data: data.map(String::from),
            content_format: None,
        }
    }

    #[test]
    fn the_payload_comes_from_where_the_user_says() {
        assert_eq!(args(Some("@x"), None).source(false), Source::Text("@x"));
        assert_eq!(args(None, Some("x")).source(false), Source::Text("x"));
        assert_eq!(args(None, Some("")).source(false), Source::Text(""));
        assert_eq!(args(None, Some("@x")).source(false), Source::File("x"));
        assert_eq!(args(None, Some("@-")).source(true), Source::Stdin);
    }

    #[test]
    fn standard_input_is_read_unless_it_is_a_terminal() {
        assert_eq!(args(None, None).source(false), Source::Stdin);
        assert_eq!(args(None, None).source(true), Source::Nothing);
    }
}
