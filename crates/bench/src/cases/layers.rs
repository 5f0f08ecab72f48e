//! Single operations.

use std::io;

use crate::instructions;
use crate::micro::{self, Case};
use crate::report::{Cell, Section, Table};

pub(super) fn run() -> io::Result<Section> {
    let counted = instructions::can_be_counted();
    let mut table = Table::new(&["operation", "ns", "instructions"]);
    for case in Case::ALL {
        eprintln!("  {}", case.title());
        let instructions = if counted {
            Cell::Number(instructions::of_case(case)?, 0)
        } else {
            Cell::text_of("-")
        };
        table.row(vec![
            Cell::text_of(case.title()),
            // That of the whole server is told by the requests.
            match case {
                Case::Server | Case::StreamServer => Cell::text_of("-"),
                _ => Cell::Number(micro::nanoseconds(case), 0),
            },
            instructions,
        ]);
    }
    let uncounted = "Instructions were not counted: valgrind is not installed.";
    Ok(Section {
        name: super::Case::Layers.name(),
        what: "Single operations.".to_owned(),
        table,
        goals: Vec::new(),
        notes: (!counted).then(|| uncounted.to_owned()).into_iter().collect(),
    })
}
