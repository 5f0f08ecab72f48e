//! Where reports go.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use coracle_conformance::report::{Report, html, json, junit, pcap};

use crate::console::Console;
use crate::error::CliError;

/// Which reports are wanted.
#[derive(Args, Debug)]
#[command(next_help_heading = "Reports")]
pub(super) struct ReportArgs {
    /// Write JSON, to standard output if no file is given; lines for people then go to standard error
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", value_parser = parse_destination)]
    pub(super) json: Option<Destination>,

    /// Write JUnit XML
    #[arg(long, value_name = "FILE", value_parser = parse_file)]
    junit: Option<PathBuf>,

    /// Write a page with a matrix and the messages of each case
    #[arg(long, value_name = "FILE", value_parser = parse_file)]
    html: Option<PathBuf>,

    /// Write all messages for Wireshark and tshark (pcapng)
    #[arg(long, value_name = "FILE", value_parser = parse_file)]
    pcap: Option<PathBuf>,
}

/// Where JSON goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// To standard output.
    Output,
    /// To a file.
    File(PathBuf),
}

fn parse_destination(text: &str) -> Result<Destination, String> {
    match text {
        "-" => Ok(Destination::Output),
        uri if uri.contains("://") => {
            Err("not a file; the URI stands before --json, or other options between".to_owned())
        }
        path => Ok(Destination::File(path.into())),
    }
}

/// A file whose format does not go to standard output.
pub(crate) fn parse_file(text: &str) -> Result<PathBuf, String> {
    match text {
        "-" => Err("this needs a file; only JSON goes to standard output".to_owned()),
        path => Ok(path.into()),
    }
}

/// Writes a report in one format.
type Format = fn(&Report, &mut BufWriter<File>) -> io::Result<()>;

/// Files that are open from before the run, so that one that cannot be written is told at once.
pub(super) struct Reports {
    files: Vec<(PathBuf, BufWriter<File>, Format)>,
    json_to_output: bool,
}

impl ReportArgs {
    /// Standard output is taken by JSON.
    pub(super) fn takes_output(&self) -> bool {
        self.json == Some(Destination::Output)
    }

    /// Opens the files.
    pub(super) fn open(&self) -> Result<Reports, CliError> {
        let json = match &self.json {
            Some(Destination::File(path)) => Some(path),
            Some(Destination::Output) | None => None,
        };
        let wanted: [(Option<&PathBuf>, Format); 4] = [
            (json, json::write),
            (self.junit.as_ref(), junit::write),
            (self.html.as_ref(), html::write),
            (self.pcap.as_ref(), pcap::write),
        ];
        let mut paths = HashSet::new();
        for path in wanted.iter().filter_map(|(path, _)| *path) {
            if !paths.insert(std::path::absolute(path).unwrap_or_else(|_| path.clone())) {
                let fault = format!("two reports cannot both go to {}", path.display());
                return Err(CliError::usage(fault));
            }
        }
        let mut files = Vec::new();
        for (path, format) in wanted {
            if let Some(path) = path {
                let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
                files.push((path.clone(), BufWriter::new(file), format));
            }
        }
        Ok(Reports {
            files,
            json_to_output: self.takes_output(),
        })
    }
}

impl Reports {
    /// Writes all of them; one that fails does not keep the others from being written.
    pub(super) fn write(self, report: &Report, console: &Console) -> Result<(), CliError> {
        let mut result = Ok(());
        for (path, mut file, format) in self.files {
            let written = format(report, &mut file).and_then(|()| file.flush());
            result = result.and(written.map_err(|error| cannot_write(&path, &error)));
        }
        if self.json_to_output {
            let mut written = Vec::new();
            json::write(report, &mut written).map_err(|error| CliError::io("cannot write JSON", &error))?;
            console.write(&written)?;
        }
        result
    }
}

fn cannot_write(path: &std::path::Path, error: &io::Error) -> CliError {
    CliError::io(format_args!("cannot write {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_goes_to_standard_output() {
        assert_eq!(parse_file("a.html"), Ok("a.html".into()));
        assert!(parse_file("-").is_err());
    }

    #[test]
    fn a_uri_is_not_taken_for_a_file() {
        assert_eq!(parse_destination("-"), Ok(Destination::Output));
        assert_eq!(
            parse_destination("a.json"),
            Ok(Destination::File("a.json".into()))
        );
        assert!(parse_destination("coap://localhost").is_err());
    }
}
