//! The ladder of a case: the judge's line on the left, the subject's on the right.

use std::io::{self, Write};

use super::shown;
use crate::report::CaseReport;
use crate::report::ladder::{self, Rung, Shown};
use crate::report::text::markup;
use crate::transcript::Fate;

/// How many bytes of an offending datagram are shown.
const DUMP: usize = 256;

/// Bytes in a line of them.
const DUMP_LINE: usize = 16;

/// Writes the ladder as a list.
pub(super) fn write(case: &CaseReport, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<ol class=\"ladder\">")?;
    for rung in ladder::rungs(case) {
        match rung {
            Rung::Between { judge, subject } => writeln!(
                out,
                "<li><span class=\"blank\"></span><span class=\"ends\"><span>judge {judge}</span> \
                 <span>subject {subject}</span></span></li>"
            )?,
            Rung::Gap(count) => writeln!(
                out,
                "<li><span class=\"blank\"></span><span class=\"gap\">… {count} more messages …</span></li>"
            )?,
            Rung::Message(message) => write_message(case, &message, out)?,
        }
    }
    writeln!(out, "</ol>")
}

fn write_message(case: &CaseReport, message: &Shown<'_>, out: &mut impl Write) -> io::Result<()> {
    let record = message.record;
    let (side, who, arrow) = match record.by_judge {
        true => ("from-judge", "judge to subject:", "▶"),
        false => ("from-subject", "subject to judge:", "◀"),
    };
    let fate_class = match record.fate {
        Fate::Passed => "",
        Fate::Lost => " lost",
        Fate::Stray => " stray",
    };
    let offending = if message.offending { " offending" } else { "" };
    let head = if record.fate == Fate::Lost { "✗" } else { arrow };
    writeln!(
        out,
        "<li class=\"{side}{fate_class}{offending}\"><time>{:.3}</time><div class=\"rung\">",
        record.at.as_secs_f64(),
    )?;
    write!(out, "<span class=\"said\"><span class=\"hidden\">{who}</span> ")?;
    if let Some(fate) = ladder::fate(record.fate) {
        write!(out, "<span class=\"tag\">{fate}</span> ")?;
    }
    if message.offending {
        let section = shown(case.broken().unwrap_or("here"));
        write!(out, "<span class=\"tag\">✗ {section}</span> ")?;
    }
    writeln!(out, "{}</span>", markup(&message.line))?;
    if message.offending {
        write_dump(&record.bytes, out)?;
    }
    writeln!(
        out,
        "<span class=\"arrow\" aria-hidden=\"true\">{head}</span></div></li>"
    )
}

/// The bytes, for those who do not trust the decoder.
fn write_dump(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<details><summary>{} bytes</summary><pre>", bytes.len())?;
    let shown = bytes.get(..DUMP).unwrap_or(bytes);
    for line in shown.chunks(DUMP_LINE) {
        let line: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{}", line.join(" "))?;
    }
    if bytes.len() > DUMP {
        writeln!(out, "…")?;
    }
    writeln!(out, "</pre></details>")
}
