//! Files that are read and written.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};

use coracle_conformance::fuzz::{Crash, MAX_MESSAGE, reproducer};
use coracle_conformance::report::pcap::Capture;
use coracle_conformance::transcript::Record;

use super::args::FuzzArgs;
use crate::console::harmless;
use crate::error::CliError;

/// The longest file of messages, in bytes.
const MAX_FILE: u64 = 1 << 24;

/// How many messages of a corpus are used.
const MAX_CORPUS: usize = 10_000;

/// How many lines of what a server printed last go into a file.
const OUTPUT_LINES: usize = 20;

/// The messages of a reproducer.
pub(super) fn read_messages(file: &Path) -> Result<Vec<Vec<u8>>, CliError> {
    let cannot = format!("cannot read {}", file.display());
    let content = read(file).map_err(|error| CliError::io(&cannot, &error))?;
    let text = String::from_utf8_lossy(&content);
    reproducer::parse(&text).map_err(|error| CliError::usage(format_args!("{cannot}: {error}")))
}

/// The messages of all files of a folder, in the order of their names.
pub(super) fn read_corpus(folder: &Path) -> Result<Vec<Vec<u8>>, CliError> {
    let cannot =
        |path: &Path, error: io::Error| CliError::io(format_args!("cannot read {}", path.display()), &error);
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| cannot(folder, error))?;
    let mut files: Vec<PathBuf> = entries
        .iter()
        .map(fs::DirEntry::path)
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let mut messages = Vec::new();
    for file in files {
        let content = read(&file).map_err(|error| cannot(&file, error))?;
        let text = std::str::from_utf8(&content).ok();
        match text.and_then(|text| reproducer::parse(text).ok()) {
            Some(parsed) => messages.extend(parsed),
            None => messages.push(content),
        }
    }
    messages.retain(|message| message.len() <= MAX_MESSAGE);
    messages.truncate(MAX_CORPUS);
    match messages.is_empty() {
        true => Err(CliError::usage(format_args!(
            "there is no message in {}",
            folder.display()
        ))),
        false => Ok(messages),
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?.take(MAX_FILE + 1).read_to_end(&mut content)?;
    match content.len() as u64 > MAX_FILE {
        true => Err(io::Error::other("the file is too long")),
        false => Ok(content),
    }
}

/// Where reproducers go, each as soon as it is found.
pub(super) struct Reproducers {
    folder: PathBuf,
    uri: String,
    seed: u64,
    written: Vec<PathBuf>,
    failed: Option<CliError>,
}

impl Reproducers {
    /// Makes the folder, so that it is not missed after hours.
    pub(super) fn new(args: &FuzzArgs, seed: u64) -> Result<Reproducers, CliError> {
        let folder = args.output.clone();
        fs::create_dir_all(&folder)
            .map_err(|error| CliError::io(format_args!("cannot make {}", folder.display()), &error))?;
        Ok(Reproducers {
            folder,
            uri: args.uri.clone(),
            seed,
            written: Vec::new(),
            failed: None,
        })
    }

    /// Writes the messages of a failure.
    pub(super) fn keep(&mut self, crash: &Crash) {
        let number = self.written.len() + 1;
        let file = self.folder.join(format!("fuzz-{}-{number}.txt", self.seed));
        let text = reproducer::write(&self.about(crash, &file), &crash.messages);
        if let Err(error) = fs::write(&file, text) {
            self.failed = Some(CliError::io(
                format_args!("cannot write {}", file.display()),
                &error,
            ));
        }
        self.written.push(file);
    }

    fn about(&self, crash: &Crash, file: &Path) -> String {
        let Reproducers { uri, seed, .. } = self;
        let known = match (crash.reproduced, crash.minimal) {
            (true, true) => "These messages alone made it fail again.",
            (true, false) => {
                "These messages alone made it fail again; fewer or shorter ones were not all tried."
            }
            (false, _) => "These are the last messages before; that they make it fail again was not seen.",
        };
        let mut about = format!(
            "coracle fuzz {uri} --seed {seed}\n{} (after {} messages)\n{known}\n\
             An empty ACK or RST with message ID 0 is sent with the ID of the server's last message.\n\
             Once more: coracle fuzz {uri} --replay {}",
            crash.failure,
            crash.after,
            file.display()
        );
        let output = harmless(crash.output.trim_end());
        if !output.is_empty() {
            about.push_str("\nWhat the server printed last:");
            let lines: Vec<&str> = output.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(OUTPUT_LINES)) {
                about.push_str("\n  ");
                about.push_str(line);
            }
        }
        about
    }

    /// The files.
    ///
    /// # Errors
    /// If one could not be written.
    pub(super) fn end(self) -> Result<Vec<PathBuf>, CliError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.written),
        }
    }
}

/// A capture that is written while the attack goes on.
pub(super) struct Pcap {
    capture: Capture<BufWriter<File>>,
    cannot: String,
    failed: Option<io::Error>,
}

impl Pcap {
    /// Begins the file.
    pub(super) fn create(file: &Path, uri: &str) -> Result<Pcap, CliError> {
        let cannot = format!("cannot write {}", file.display());
        let begun = File::create(file)
            .and_then(|file| Capture::begin(&format!("Fuzzed: {uri}"), BufWriter::new(file)));
        let capture = begun.map_err(|error| CliError::io(&cannot, &error))?;
        Ok(Pcap {
            capture,
            cannot,
            failed: None,
        })
    }

    /// Adds a datagram; nothing more once one could not be written.
    pub(super) fn add(&mut self, record: &Record, comment: &str) {
        if self.failed.is_none() {
            self.failed = self.capture.packet(record, comment).err();
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If not all of it could be written.
    pub(super) fn end(self) -> Result<(), CliError> {
        let written = match self.failed {
            Some(error) => Err(error),
            None => self.capture.end(),
        };
        written.map_err(|error| CliError::io(&self.cannot, &error))
    }
}
