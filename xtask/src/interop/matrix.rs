//! The matrix in `docs/interop.md`.

use std::fmt::Write as _;
use std::path::Path;

use super::Column;

const BEGIN: &str = "<!-- The matrix: written by `cargo xtask interop`. -->";
const END: &str = "<!-- End of the matrix. -->";

/// The matrix as Markdown: counts, then a row for each case.
pub(super) fn render(servers: &[Column], clients: &[Column]) -> String {
    let mut text = String::from(
        "`✓` pass, `✗` fail, `?` inconclusive, `–` skipped: not offered, or cannot be told to.\n",
    );
    for (title, columns) in [("Servers", servers), ("Clients", clients)] {
        let _ = writeln!(text, "\n### {title}\n");
        section(&mut text, columns);
    }
    text
}

fn section(text: &mut String, columns: &[Column]) {
    let heads = columns
        .iter()
        .map(|column| format!("{} {}", column.subject.name, column.version));
    let heads: Vec<String> = heads.collect();
    let _ = writeln!(
        text,
        "| case | {} |\n|---|{}",
        heads.join(" | "),
        ":-:|".repeat(columns.len())
    );
    for (sign, outcome) in [
        ("✓", "pass"),
        ("✗", "fail"),
        ("?", "inconclusive"),
        ("–", "skipped"),
    ] {
        let counts: Vec<String> = columns
            .iter()
            .map(|column| column.count(outcome).to_string())
            .collect();
        let _ = writeln!(text, "| **{sign}** | {} |", counts.join(" | "));
    }
    // A case that is judged apart stands where the first peer that has it in its place has it.
    let Some(first) = columns.iter().min_by_key(|column| column.subject.apart.len()) else {
        return;
    };
    for (id, _) in &first.outcomes {
        let signs: Vec<&str> = columns.iter().map(|column| sign(column.outcome(id))).collect();
        if signs.iter().any(|sign| !sign.is_empty()) {
            let _ = writeln!(text, "| {id} | {} |", signs.join(" | "));
        }
    }
}

impl Column {
    fn outcome(&self, id: &str) -> Option<&str> {
        let found = self.outcomes.iter().find(|(of, _)| of == id);
        found.map(|(_, outcome)| outcome.as_str())
    }

    fn count(&self, wanted: &str) -> usize {
        self.outcomes
            .iter()
            .filter(|(_, outcome)| outcome == wanted)
            .count()
    }
}

/// A case that is not judged yet has no sign.
fn sign(outcome: Option<&str>) -> &'static str {
    match outcome {
        Some("pass") => "✓",
        Some("fail") => "✗",
        Some("inconclusive") => "?",
        Some("skipped") => "–",
        _ => "",
    }
}

/// Puts the matrix into the document, and gives the failures that the table above it does not explain: a row is
/// `| role | peer | cases | why |`, with the names of cases separated by commas; `*` ends a beginning.
pub(super) fn write(
    document: &Path,
    matrix: &str,
    servers: &[Column],
    clients: &[Column],
) -> Result<Vec<String>, String> {
    let broken = |error| format!("{}: {error}", document.display());
    let text = std::fs::read_to_string(document).map_err(broken)?;
    let (before, rest) = text
        .split_once(BEGIN)
        .ok_or(format!("docs/interop.md has no line {BEGIN}"))?;
    let (_, after) = rest
        .split_once(END)
        .ok_or(format!("docs/interop.md has no line {END}"))?;
    std::fs::write(document, format!("{before}{BEGIN}\n\n{matrix}\n{END}{after}")).map_err(broken)?;
    let explained = explained(before);
    let unexplained = servers
        .iter()
        .chain(clients)
        .flat_map(|column| unexplained(column, &explained));
    Ok(unexplained.collect())
}

/// Role, peer, and a case or its beginning.
type Explained<'t> = Vec<(&'t str, &'t str, &'t str)>;

fn explained(text: &str) -> Explained<'_> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        match cells.as_slice() {
            [role @ ("server" | "client"), peer, cases, _why] => Some((*role, *peer, *cases)),
            _ => None,
        }
    });
    rows.flat_map(|(role, peer, cases)| cases.split(',').map(move |case| (role, peer, case.trim())))
        .collect()
}

fn unexplained(column: &Column, explained: &Explained<'_>) -> Vec<String> {
    let (role, peer) = (column.subject.role(), column.subject.name);
    let fits = |pattern: &str, id: &str| match pattern.strip_suffix('*') {
        Some(beginning) => id.starts_with(beginning),
        None => id == pattern,
    };
    let failed = column
        .outcomes
        .iter()
        .filter(|(_, outcome)| outcome == "fail")
        .map(|(id, _)| id);
    failed
        .filter(|id| {
            !explained
                .iter()
                .any(|(r, p, case)| *r == role && *p == peer && fits(case, id))
        })
        .map(|id| format!("{peer} as a {role} fails {id}: look at it and say why in docs/interop.md"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::peers::SERVERS;

    fn column(outcome: &str) -> Column {
        Column {
            subject: &SERVERS[1],
            version: "1.0".to_owned(),
            outcomes: vec![("RFC7252-4.3-ping".to_owned(), outcome.to_owned())],
        }
    }

    #[test]
    fn a_row_has_a_sign_for_each_peer() {
        let text = render(&[column("pass"), column("fail")], &[]);
        assert!(text.contains("| case | libcoap 1.0 | libcoap 1.0 |"), "{text}");
        assert!(text.contains("| RFC7252-4.3-ping | ✓ | ✗ |"), "{text}");
    }

    #[test]
    fn failures_have_to_be_explained() {
        let rows = "| server | libcoap | RFC7252-4.2-x, RFC7252-4.3* | rate limit |";
        assert!(unexplained(&column("fail"), &explained(rows)).is_empty());
        assert_eq!(unexplained(&column("fail"), &explained("")).len(), 1);
        assert_eq!(
            unexplained(&column("fail"), &explained("| client | libcoap | * | no |")).len(),
            1
        );
        assert!(unexplained(&column("skipped"), &explained("")).is_empty());
    }
}
