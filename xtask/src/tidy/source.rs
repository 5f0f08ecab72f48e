//! Rust source as the rules want to see it: line by line, code apart from comments, literals blanked out.

/// One line of a file.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The code; the content of strings and characters is left out.
    pub(super) code: String,
    /// The text of the comments, with their slashes.
    pub(super) comment: String,
    /// Whether it belongs to an item under `#[cfg(test)]`, or the whole file is a test.
    pub(super) test: bool,
    /// Whether it belongs to a statement or item that a `// tidy: <reason>` excuses.
    pub(super) excused: bool,
}

impl Line {
    /// Whether the line holds nothing but a comment.
    pub(super) fn is_comment(&self) -> bool {
        self.code.trim().is_empty() && !self.comment.is_empty()
    }
}

/// Splits a file into lines.
pub(super) fn lines(path: &str, text: &str) -> Vec<Line> {
    let mut scanner = Scanner {
        rest: text,
        lines: vec![Line::default()],
    };
    scanner.scan();
    let mut lines = scanner.lines;
    if is_test_file(path) {
        lines.iter_mut().for_each(|line| line.test = true);
    } else {
        mark(&mut lines, is_test_attribute, |line| line.test = true);
    }
    mark(&mut lines, gives_reason, |line| line.excused = true);
    lines
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn is_test_attribute(line: &Line) -> bool {
    let code = line.code.trim();
    code.starts_with("#[cfg(test)]") || code.starts_with("#[cfg(all(test")
}

fn gives_reason(line: &Line) -> bool {
    let reason = line
        .comment
        .split_once("// tidy:")
        .map(|(_, reason)| reason.trim());
    reason.is_some_and(|reason| !reason.is_empty())
}

/// Marks each statement or item that has a line that `starts`: from there to the brace that closes it, or to a
/// semicolon outside of any brace.
fn mark(lines: &mut [Line], starts: impl Fn(&Line) -> bool, set: impl Fn(&mut Line)) {
    let mut depth = 0_usize;
    let mut inside = false;
    for line in lines {
        if !inside && starts(line) {
            (inside, depth) = (true, 0);
        }
        if !inside {
            continue;
        }
        set(line);
        for char in line.code.chars() {
            match char {
                '{' => depth += 1,
                '}' if depth <= 1 => inside = false,
                '}' => depth -= 1,
                ';' if depth == 0 => inside = false,
                _ => {}
            }
        }
    }
}

/// Reads forward only; sorts characters into code and comment.
struct Scanner<'t> {
    rest: &'t str,
    lines: Vec<Line>,
}

/// Where a character goes.
#[derive(Clone, Copy)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        while !self.rest.is_empty() {
            if self.rest.starts_with("//") {
                self.take_until(Kind::Comment, |rest| rest.starts_with('\n'));
            } else if self.rest.starts_with("/*") {
                self.block_comment();
            } else if let Some(hashes) = self.raw_string() {
                self.take_raw_string(hashes);
            } else if self.rest.starts_with('"') {
                self.take(Kind::Code);
                self.literal('"');
            } else if self.rest.starts_with('\'') {
                self.quote();
            } else {
                self.take(Kind::Code);
            }
        }
    }

    fn take(&mut self, kind: Kind) {
        let mut chars = self.rest.chars();
        let Some(char) = chars.next() else { return };
        self.rest = chars.as_str();
        if char == '\n' {
            self.lines.push(Line::default());
        } else if let Some(line) = self.lines.last_mut() {
            match kind {
                Kind::Code => line.code.push(char),
                Kind::Comment => line.comment.push(char),
                Kind::Literal => {}
            }
        }
    }

    fn take_until(&mut self, kind: Kind, end: impl Fn(&str) -> bool) {
        while !self.rest.is_empty() && !end(self.rest) {
            self.take(kind);
        }
    }

    fn take_count(&mut self, kind: Kind, count: usize) {
        for _ in 0..count {
            self.take(kind);
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while !self.rest.is_empty() {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.take_count(Kind::Comment, 2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.take_count(Kind::Comment, 2);
                if depth == 0 {
                    return;
                }
            } else {
                self.take(Kind::Comment);
            }
        }
    }

    /// The number of hashes, if a raw string begins here, and not an identifier that ends in `r`.
    fn raw_string(&self) -> Option<usize> {
        let before = self.lines.last().and_then(|line| line.code.chars().next_back());
        let within_word = before.is_some_and(|char| is_word(char) && char != 'b' && char != 'c');
        let after = self.rest.strip_prefix('r').filter(|_| !within_word)?;
        let content = after.trim_start_matches('#');
        content.starts_with('"').then(|| after.len() - content.len())
    }

    fn take_raw_string(&mut self, hashes: usize) {
        let end = format!("\"{}", "#".repeat(hashes));
        self.take_count(Kind::Code, hashes + 2);
        self.take_until(Kind::Literal, |rest| rest.starts_with(&end));
        self.take_count(Kind::Code, hashes + 1);
    }

    /// The content and the end of a string or character whose first quote is taken.
    fn literal(&mut self, quote: char) {
        while !self.rest.is_empty() && !self.rest.starts_with(quote) {
            let escape = self.rest.starts_with('\\');
            self.take_count(Kind::Literal, if escape { 2 } else { 1 });
        }
        self.take(Kind::Code);
    }

    /// A character, or a lifetime: only the former has its second quote after one character or an escape.
    fn quote(&mut self) {
        self.take(Kind::Code);
        let mut ahead = self.rest.chars();
        let escape = ahead.next() == Some('\\');
        if escape || ahead.next() == Some('\'') {
            self.literal('\'');
        }
    }
}

/// Whether the character can be part of an identifier.
fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// What stands before and after each occurrence of `word` in `code`, as a whole word.
pub(super) fn words<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = (&'c str, &'c str)> {
    let around = code.match_indices(word).filter_map(|(at, _)| {
        let before = code.get(..at)?;
        let after = code.get(at + word.len()..)?;
        Some((before, after))
    });
    around.filter(|(before, after)| !before.ends_with(is_word) && !after.starts_with(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        lines("crates/a/src/a.rs", text)
            .into_iter()
            .map(|line| line.code)
            .collect()
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        assert_eq!(code("a // todo!\nb"), ["a ", "b"]);
        assert_eq!(code("a /* x /* y */ z\n */ b"), ["a ", " b"]);
        assert_eq!(
            code(r#"f("todo!(\"x\")", 'a', '\'', '"')"#),
            [r#"f("", '', '', '')"#]
        );
        assert_eq!(
            code("r#\"a \" b\"# c br\"x\" for\"y\""),
            ["r#\"\"# c br\"\" for\"\""]
        );
        assert_eq!(
            code("fn f<'a>(x: &'a str) { 'b: loop {} }"),
            ["fn f<'a>(x: &'a str) { 'b: loop {} }"]
        );
        assert_eq!(code("\"two\nlines\" x"), ["\"", "\" x"]);
    }

    #[test]
    fn items_under_cfg_test_are_tests() {
        let text = "a\n#[cfg(test)]\nmod tests {\n fn f() {}\n}\nb\n#[cfg(test)]\nmod more;\nc\n";
        let tests: Vec<bool> = lines("crates/a/src/a.rs", text)
            .iter()
            .map(|line| line.test)
            .collect();
        assert_eq!(
            tests,
            [false, true, true, true, true, false, true, true, false, false]
        );
        assert!(lines("crates/a/tests/a.rs", text).iter().all(|line| line.test));
    }

    #[test]
    fn a_reason_excuses_its_statement_or_item() {
        let text = "// tidy: so\n// and so\nimpl A {\n  f();\n}\nb;\nc; // tidy: so\nd;\n// tidy:\ne;";
        let excused: Vec<bool> = lines("crates/a/tests/a.rs", text)
            .iter()
            .map(|line| line.excused)
            .collect();
        assert_eq!(
            excused,
            [true, true, true, true, true, false, true, false, false, false]
        );
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(words("unsafe_code unsafe { not_unsafe }", "unsafe").count(), 1);
        assert_eq!(words("(sleep)", "sleep").next(), Some(("(", ")")));
    }
}
