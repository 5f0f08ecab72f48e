//! What is told about a measurement: tables, and goals with their verdicts; as Markdown for people and as JSON.

use serde_json::{Value, json};

use crate::machine;
use crate::statistics::Spread;

/// A part of the report, by one case.
pub(crate) struct Section {
    /// As the case is called.
    pub(crate) name: String,
    /// What was measured, in a sentence or some.
    pub(crate) what: String,
    pub(crate) table: Table,
    pub(crate) goals: Vec<Goal>,
    /// What else is to be known.
    pub(crate) notes: Vec<String>,
}

/// Rows of cells below a head.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// A place in a table.
pub(crate) enum Cell {
    Text(String),
    /// A number and its decimal places.
    Number(f64, usize),
}

/// A bound on a ratio.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// Something to be reached.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) bound: Bound,
    /// What was measured, or why nothing was.
    pub(crate) measured: Result<Spread, String>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Table {
        Table {
            head: head.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    fn markdown(&self) -> String {
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::text).collect());
        let cells: Vec<Vec<String>> = std::iter::once(self.head.clone()).chain(rows).collect();
        let is_number = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.all(|cell| matches!(cell, Cell::Number(..)))
        };
        let mut lines = Vec::new();
        for row in &cells {
            let padded = row.iter().enumerate().map(|(column, cell)| {
                let width = cells.iter().filter_map(|row| row.get(column));
                let width = width
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or_default()
                    .max(2);
                if is_number(column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:width$}")
                }
            });
            let padded: Vec<String> = padded.collect();
            lines.push(format!("| {} |", padded.join(" | ")));
            if lines.len() == 1 {
                let rules = padded.iter().enumerate().map(|(column, cell)| {
                    let dashes = "-".repeat(cell.chars().count() + 1);
                    if is_number(column) {
                        format!("{dashes}:")
                    } else {
                        format!("-{dashes}")
                    }
                });
                lines.push(format!("|{}|", rules.collect::<Vec<_>>().join("|")));
            }
        }
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let row = |row: &Vec<Cell>| {
            let cells = self.head.iter().zip(row);
            Value::Object(cells.map(|(name, cell)| (name.clone(), cell.json())).collect())
        };
        self.rows.iter().map(row).collect()
    }
}

impl Cell {
    pub(crate) fn text_of(text: impl ToString) -> Cell {
        Cell::Text(text.to_string())
    }

    fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Number(number, 0) => grouped(*number),
            Cell::Number(number, places) => format!("{number:.places$}"),
        }
    }

    fn json(&self) -> Value {
        match self {
            Cell::Text(text) => json!(text),
            Cell::Number(number, _) => json!(number),
        }
    }
}

/// A whole number with a comma between thousands.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits.as_str()), |digits| ("-", digits));
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

impl Goal {
    fn verdict(&self) -> String {
        let (sign, bound) = match self.bound {
            Bound::AtMost(bound) => ("<=", bound),
            Bound::AtLeast(bound) => (">=", bound),
        };
        match &self.measured {
            Err(reason) => format!("goal {sign} {bound}: not measured, {reason}"),
            Ok(Spread { median, .. }) => {
                let outcome = if self.is_met() == Some(true) {
                    "met"
                } else {
                    "missed"
                };
                let places = if bound < 0.1 { 4 } else { 2 };
                format!("goal {sign} {bound}: {median:.places$} {outcome}")
            }
        }
    }

    /// `None`: not measured.
    fn is_met(&self) -> Option<bool> {
        let measured = self.measured.as_ref().ok()?;
        Some(match self.bound {
            Bound::AtMost(bound) => measured.median <= bound,
            Bound::AtLeast(bound) => measured.median >= bound,
        })
    }

    fn json(&self) -> Value {
        let (kind, bound) = match self.bound {
            Bound::AtMost(bound) => ("at_most", bound),
            Bound::AtLeast(bound) => ("at_least", bound),
        };
        let mut value = json!({ "what": self.what, kind: bound, "met": self.is_met() });
        if let (Some(fields), Ok(spread)) = (value.as_object_mut(), &self.measured) {
            fields.insert("median".into(), json!(spread.median));
            fields.insert("least".into(), json!(spread.least));
            fields.insert("most".into(), json!(spread.most));
        }
        value
    }
}

impl Section {
    pub(crate) fn markdown(&self, conditions: &str) -> String {
        let mut parts = vec![format!("{} {conditions}", self.what), self.table.markdown()];
        if !self.goals.is_empty() {
            let mut goals = Table::new(&["goal", "verdict", "in the rounds"]);
            for goal in &self.goals {
                let rounds = goal.measured.as_ref().map_or(String::new(), |spread| {
                    let places = if spread.most < 0.1 { 4 } else { 2 };
                    format!("{:.places$} to {:.places$}", spread.least, spread.most)
                });
                goals.row(vec![
                    Cell::Text(goal.what.clone()),
                    Cell::Text(goal.verdict()),
                    Cell::Text(rounds),
                ]);
            }
            parts.push(goals.markdown());
        }
        parts.extend(self.notes.iter().cloned());
        parts.join("\n\n")
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "case": self.name,
            "what": self.what,
            "rows": self.table.json(),
            "goals": self.goals.iter().map(Goal::json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// When and on what it was measured.
pub(crate) fn conditions(load_before: &str) -> String {
    let (day, commit) = machine::day_and_commit();
    format!(
        "Measured on {day} at {commit}: {} cores of {}, {} GiB, {}, load average {load_before} before.",
        machine::cores(),
        machine::cpu(),
        machine::memory(),
        machine::kernel()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(bound: Bound, median: f64) -> Goal {
        Goal {
            what: "a ratio".into(),
            bound,
            measured: Ok(Spread::of([median])),
        }
    }

    #[test]
    fn goals_are_met_or_missed() {
        assert_eq!(goal(Bound::AtMost(1.2), 1.174).verdict(), "goal <= 1.2: 1.17 met");
        assert_eq!(
            goal(Bound::AtMost(1.2), 1.24).verdict(),
            "goal <= 1.2: 1.24 missed"
        );
        assert_eq!(goal(Bound::AtLeast(1.7), 1.9).verdict(), "goal >= 1.7: 1.90 met");
        assert_eq!(
            goal(Bound::AtLeast(1.7), 1.6).verdict(),
            "goal >= 1.7: 1.60 missed"
        );
        assert_eq!(
            goal(Bound::AtMost(0.03), 0.0212).verdict(),
            "goal <= 0.03: 0.0212 met"
        );
        let unknown = Goal {
            measured: Err("libcoap is not installed".into()),
            ..goal(Bound::AtMost(0.4), 0.0)
        };
        assert_eq!(
            unknown.verdict(),
            "goal <= 0.4: not measured, libcoap is not installed"
        );
        assert_eq!(unknown.is_met(), None);
    }

    #[test]
    fn tables_are_markdown() {
        let mut table = Table::new(&["server", "requests/s", "us"]);
        table.row(vec![
            Cell::Text("raw".into()),
            Cell::Number(248_465.2, 0),
            Cell::Number(3.917, 2),
        ]);
        table.row(vec![
            Cell::Text("coracle".into()),
            Cell::Number(999.0, 0),
            Cell::Number(14.0, 2),
        ]);
        let expected = "\
| server  | requests/s |    us |
|---------|-----------:|------:|
| raw     |    248,465 |  3.92 |
| coracle |        999 | 14.00 |";
        assert_eq!(table.markdown(), expected);
        assert_eq!(table.json()[0]["requests/s"], json!(248_465.2));
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!(grouped(0.4), "0");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(1_000.0), "1,000");
        assert_eq!(grouped(-1_234_567.0), "-1,234,567");
    }
}
