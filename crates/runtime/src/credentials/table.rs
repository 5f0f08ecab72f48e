//! A file of TOML, read entry by entry, so that whatever is wrong is told with its line, and no key ever.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Why credentials cannot be used, with the file, and the line if it is about one. Keys are never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialsError {
    file: PathBuf,
    line: Option<usize>,
    what: String,
}

impl CredentialsError {
    pub(super) fn of_file(file: &Path, what: impl fmt::Display) -> CredentialsError {
        CredentialsError {
            file: file.to_owned(),
            line: None,
            what: what.to_string(),
        }
    }

    /// The line that it is about, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

/// `credentials.toml:12: ...`
impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}

impl std::error::Error for CredentialsError {}

/// The text of a file, to find lines in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'t> {
    pub(super) file: &'t Path,
    pub(super) text: &'t str,
}

impl<'t> Text<'t> {
    /// What is wrong at a place.
    pub(super) fn wrong(&self, at: &Range<usize>, what: impl fmt::Display) -> CredentialsError {
        let before = self.text.as_bytes().get(..at.start).unwrap_or_default();
        CredentialsError {
            file: self.file.to_owned(),
            line: Some(1 + before.iter().filter(|byte| **byte == b'\n').count()),
            what: what.to_string(),
        }
    }

    /// Reads it as TOML.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'t>>, CredentialsError> {
        DeTable::parse(self.text).map_err(|error| {
            // The library would show the line, in which a key may stand.
            let what = format!("this is not TOML: {}", error.message().replace('\n', ", "));
            match error.span() {
                Some(span) => self.wrong(&span, what),
                None => CredentialsError::of_file(self.file, what),
            }
        })
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A table of the file.
#[derive(Clone, Debug)]
pub(super) struct Table<'t> {
    pub(super) text: Text<'t>,
    /// As it is called in errors: `[[psk]]`.
    name: &'static str,
    entries: &'t DeTable<'t>,
    pub(super) span: Range<usize>,
}

impl<'t> Table<'t> {
    /// The whole file. Only these entries are known in it.
    pub(super) fn root(
        text: Text<'t>,
        entries: &'t Spanned<DeTable<'t>>,
        known: &[&str],
    ) -> Result<Table<'t>, CredentialsError> {
        Table::new(text, "the file", (entries.get_ref(), entries.span()), known)
    }

    fn new(
        text: Text<'t>,
        name: &'static str,
        (entries, span): (&'t DeTable<'t>, Range<usize>),
        known: &[&str],
    ) -> Result<Table<'t>, CredentialsError> {
        for key in entries.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                // What is unknown may be a key that lost its name: it is not told.
                let what = format!(
                    "{name} has an entry that is not known; known are: {}",
                    known.join(", ")
                );
                return Err(text.wrong(&key.span(), what));
            }
        }
        Ok(Table {
            text,
            name,
            entries,
            span,
        })
    }

    pub(super) fn wrong(&self, what: impl fmt::Display) -> CredentialsError {
        self.text.wrong(&self.span, format_args!("{}: {what}", self.name))
    }

    fn get(&self, entry: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entries.get(entry)
    }

    fn expected(&self, entry: &str, what: &str, value: &Spanned<DeValue<'t>>) -> CredentialsError {
        let found = value.get_ref().type_str();
        let told = format!(
            "{}: {entry} is to be {what}, and is {}",
            self.name,
            article(found)
        );
        self.text.wrong(&value.span(), told)
    }

    /// An entry that is text.
    pub(super) fn text(&self, entry: &str) -> Result<Option<At<&'t str>>, CredentialsError> {
        let Some(value) = self.get(entry) else {
            return Ok(None);
        };
        let text = value.get_ref().as_str();
        let text = text.ok_or_else(|| self.expected(entry, "text in quotes", value))?;
        Ok(Some(At {
            value: text,
            span: value.span(),
        }))
    }

    /// An entry that has to be there, as text.
    pub(super) fn needed(&self, entry: &str) -> Result<At<&'t str>, CredentialsError> {
        let text = self.text(entry)?;
        text.ok_or_else(|| self.wrong(format_args!("there has to be `{entry} = \"..\"`")))
    }

    /// An entry that is a list of texts, or one text. `None` if it is not there.
    pub(super) fn texts(&self, entry: &str) -> Result<Option<Vec<At<&'t str>>>, CredentialsError> {
        let Some(value) = self.get(entry) else {
            return Ok(None);
        };
        let wanted = "text in quotes, or a list of it: [\"..\", \"..\"]";
        let one = |value: &'t Spanned<DeValue<'t>>| match value.get_ref().as_str() {
            Some(text) => Ok(At {
                value: text,
                span: value.span(),
            }),
            None => Err(self.expected(entry, wanted, value)),
        };
        match value.get_ref().as_array() {
            Some(list) => list.iter().map(one).collect::<Result<_, _>>().map(Some),
            None => Ok(Some(vec![one(value)?])),
        }
    }

    /// A table in it, with its known entries.
    pub(super) fn table(
        &self,
        entry: &str,
        name: &'static str,
        known: &[&str],
    ) -> Result<Option<Table<'t>>, CredentialsError> {
        let Some(value) = self.get(entry) else {
            return Ok(None);
        };
        let table = value.get_ref().as_table();
        let table = table.ok_or_else(|| self.expected(entry, &format!("a table, {name}"), value))?;
        Table::new(self.text, name, (table, value.span()), known).map(Some)
    }

    /// Tables of the same kind in it.
    pub(super) fn tables(
        &self,
        entry: &str,
        name: &'static str,
        known: &[&str],
    ) -> Result<Vec<Table<'t>>, CredentialsError> {
        let Some(value) = self.get(entry) else {
            return Ok(Vec::new());
        };
        let wrong = |value| self.expected(entry, &format!("tables, each {name}"), value);
        let list = value.get_ref().as_array().ok_or_else(|| wrong(value))?;
        let table = |value: &'t Spanned<DeValue<'t>>| {
            let table = value.get_ref().as_table().ok_or_else(|| wrong(value))?;
            Table::new(self.text, name, (table, value.span()), known)
        };
        list.iter().map(table).collect()
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
