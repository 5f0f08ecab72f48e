//! What can be measured, each by itself.

mod bert;
mod blockwise;
mod fanout;
mod flood;
mod idle;
mod latency;
mod layers;
mod requests;
mod shards;
mod streams;

use std::io;

use clap::ValueEnum;
use coracle_load::Tally;

use crate::options::Measure;
use crate::report::Section;
use crate::{document, machine, report};

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// CPU time of a confirmable GET beside the raw limit and other servers, with 64 and with 10,000 peers
    Requests,
    /// Rate and CPU time with one and with two shards
    Shards,
    /// Latency at half of the maximum rate, in open loop
    Latency,
    /// A notification to 100,000 observers beside a raw sendmmsg of the same datagrams
    Fanout,
    /// 100 MB down and up beside a bare stop-and-wait exchange of the same datagrams
    Blockwise,
    /// A million datagrams from spoofed sources: memory, bytes sent, and how peers fare meanwhile
    Flood,
    /// Pipelined GETs on 64 connections of TCP beside a bare responder on tokio
    Streams,
    /// 10,000 connections of TCP that say nothing: memory for each, and how soon they are taken
    Idle,
    /// 100 MB down and up by BERT beside a plain copy over TCP
    Bert,
    /// Single operations: their time and their instructions
    Layers,
}

impl Case {
    pub(crate) const ALL: [Case; 10] = [
        Case::Requests,
        Case::Shards,
        Case::Latency,
        Case::Fanout,
        Case::Blockwise,
        Case::Flood,
        Case::Streams,
        Case::Idle,
        Case::Bert,
        Case::Layers,
    ];

    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn run(self, measure: &Measure) -> io::Result<Section> {
        match self {
            Case::Requests => requests::run(measure),
            Case::Shards => shards::run(measure),
            Case::Latency => latency::run(measure),
            Case::Fanout => fanout::run(measure),
            Case::Blockwise => blockwise::run(measure),
            Case::Flood => flood::run(measure),
            Case::Streams => streams::run(measure),
            Case::Idle => idle::run(measure),
            Case::Bert => bert::run(measure),
            Case::Layers => layers::run(),
        }
    }
}

/// Requests before a turn of our server: more than it remembers by default (32 MiB, some 57 bytes each), so that
/// forgetting is measured with the rest, and memory that the machine has yet to find is not.
fn warm_up(measure: &Measure) -> u64 {
    if measure.quick { 20_000 } else { 700_000 }
}

/// A server that does not answer, or wrongly, has nothing to be measured.
fn check(server: &str, tally: &Tally) -> io::Result<()> {
    match &tally.first_wrong {
        Some(wrong) => Err(io::Error::other(format!("{server} answers wrongly: {wrong}"))),
        None if tally.answered == 0 => Err(io::Error::other(format!("{server} does not answer"))),
        None => Ok(()),
    }
}

/// Measures and reports. A case that fails keeps no other from being measured.
///
/// # Errors
/// If a case failed, or the results cannot be written.
pub(crate) fn run(measure: &Measure) -> io::Result<()> {
    let (mut texts, mut values, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for case in measure.cases() {
        let conditions = report::conditions(&machine::load_average());
        eprintln!("{}:", case.name());
        let section = match case.run(measure) {
            Ok(section) => section,
            Err(error) => {
                eprintln!("  {} failed: {error}", case.name());
                failed.push(case.name());
                continue;
            }
        };
        let text = section.markdown(&conditions);
        println!("\n## {}\n\n{text}\n", case.name());
        let mut value = section.json();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("conditions".into(), conditions.into());
        }
        texts.push((case.name(), text));
        values.push(value);
    }
    if let Some(file) = &measure.json {
        let json = serde_json::Value::Array(values);
        std::fs::write(file, format!("{json:#}\n"))?;
    }
    if measure.write {
        println!("\nwritten to {}", document::write(&texts)?.display());
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!("not measured: {}", failed.join(", "))))
}
