//! Standard output and standard error: who reads them, and in which colours.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

use crate::error::CliError;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    // Without doc comments, so that help texts stay short.
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    fn decide(self, terminal: bool) -> bool {
        match self {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                terminal && !dumb && !set("NO_COLOR")
            }
        }
    }
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// What matters most in a line.
    Strong,
    /// What can be skipped.
    Dim,
    /// What went well.
    Good,
    /// What went wrong.
    Bad,
    /// Names.
    Name,
}

/// Wraps text in the codes of a style, or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Painter {
    on: bool,
}

impl Painter {
    /// Without colours.
    pub(crate) const PLAIN: Painter = Painter { on: false };

    /// The text in that style.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if !self.on {
            return text.to_owned();
        }
        let code = match style {
            Style::Strong => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Bad => "1;31",
            Style::Name => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The two streams of the program. Data goes to standard output, words about it to standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    /// Tell more.
    pub(crate) verbose: bool,
    /// Tell errors only.
    pub(crate) quiet: bool,
    /// Standard output is a terminal.
    pub(crate) out_is_terminal: bool,
    /// Standard error is a terminal.
    pub(crate) err_is_terminal: bool,
    /// Colours of standard output.
    pub(crate) out: Painter,
    /// Colours of standard error.
    pub(crate) err: Painter,
}

impl Console {
    /// Looks at what the streams lead to.
    pub(crate) fn new(verbose: bool, quiet: bool, color: ColorChoice) -> Console {
        let out_is_terminal = io::stdout().is_terminal();
        let err_is_terminal = io::stderr().is_terminal();
        Console {
            verbose,
            quiet,
            out_is_terminal,
            err_is_terminal,
            out: Painter {
                on: color.decide(out_is_terminal),
            },
            err: Painter {
                on: color.decide(err_is_terminal),
            },
        }
    }

    /// Writes data.
    ///
    /// # Errors
    /// If standard output cannot be written; see [`CliError::stdout`].
    pub(crate) fn write(&self, data: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(data)
            .and_then(|()| out.flush())
            .map_err(|error| CliError::stdout(&error))
    }

    /// Writes lines about the data, unless the user wants quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            tell(text);
        }
    }

    /// Writes lines for those who want to know more.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            tell(text);
        }
    }

    /// Writes an error, also for those who want quiet.
    pub(crate) fn error(&self, error: &CliError) {
        if !error.is_quiet() {
            self.complain(&error.to_string());
        }
    }

    /// Writes one line that something went wrong.
    pub(crate) fn complain(&self, text: &str) {
        tell(&format!("{} {text}", self.err.paint(Style::Bad, "coracle:")));
    }
}

/// Nobody can be told that standard error fails.
fn tell(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{text}");
}

/// Text that a peer sent, with control characters made visible, so that it cannot steer the terminal.
/// Line ends and tabs stay.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            _ if character.is_control() => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}

/// As [`harmless`], and on one line.
pub(crate) fn harmless_line(text: &str) -> String {
    harmless(&text.replace('\n', "\\n").replace('\t', "\\t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_decided_by_choice_then_by_stream() {
        assert!(ColorChoice::Always.decide(false));
        assert!(!ColorChoice::Never.decide(true));
        assert!(!ColorChoice::Auto.decide(false));
    }

    #[test]
    fn painting_wraps_and_plain_does_not() {
        let on = Painter { on: true };
        assert_eq!(on.paint(Style::Good, "a"), "\x1b[32ma\x1b[0m");
        assert_eq!(Painter::PLAIN.paint(Style::Good, "a"), "a");
    }

    #[test]
    fn escape_sequences_of_peers_are_defused() {
        assert_eq!(harmless("a\x1b[2Jb\r\n\tc"), "a\\u{1b}[2Jb\\r\n\tc");
        assert_eq!(harmless("21 °C"), "21 °C");
        assert_eq!(harmless_line("a\nb\tc\u{9b}"), "a\\nb\\tc\\u{9b}");
    }
}
