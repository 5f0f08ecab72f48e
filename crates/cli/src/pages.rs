//! `coracle completions` and `coracle man`: what packagers install beside the program.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;
use crate::console::Console;
use crate::error::{CliError, Exit};

/// The program's name in completions and manual pages.
const NAME: &str = "coracle";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  coracle completions bash > ~/.local/share/bash-completion/completions/coracle
  coracle completions zsh > ~/.zfunc/_coracle
  coracle completions fish > ~/.config/fish/completions/coracle.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  coracle man | man -l -
  coracle man --out /usr/local/share/man/man1";

/// Print completions for a shell.
#[derive(Args, Debug)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write those of all commands to a directory.
#[derive(Args, Debug)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// Write a page for every command to this directory
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints completions.
pub(crate) fn completions(args: &CompletionsArgs, console: &Console) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    console.write(&script)?;
    Ok(Exit::Success)
}

/// Prints or writes manual pages.
pub(crate) fn man(args: &ManArgs, console: &Console) -> Result<Exit, CliError> {
    match &args.out {
        Some(directory) => write_pages(directory, console)?,
        None => console.write(&render(Cli::command())?)?,
    }
    Ok(Exit::Success)
}

fn write_pages(directory: &Path, console: &Console) -> Result<(), CliError> {
    let cannot =
        |path: &Path, error: io::Error| CliError::io(format_args!("cannot write {}", path.display()), &error);
    std::fs::create_dir_all(directory).map_err(|error| cannot(directory, error))?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut commands = vec![&program];
    while let Some(command) = commands.pop() {
        let path = directory.join(Man::new(command.clone()).get_filename());
        std::fs::write(&path, render(command.clone())?).map_err(|error| cannot(&path, error))?;
        console.detail(&path.display().to_string());
        commands.extend(command.get_subcommands());
    }
    Ok(())
}

/// A page, with the examples and the exit statuses of the help text as sections of their own, unfilled.
fn render(command: Command) -> Result<Vec<u8>, CliError> {
    let mut page = Vec::new();
    Man::new(command)
        .manual("Coracle")
        .render(&mut page)
        .map_err(|error| CliError::io("cannot compose the manual page", &error))?;
    let page = String::from_utf8_lossy(&page)
        .replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n.nf\n")
        .replace("\nExit status:\n", "\n.fi\n.SH \"EXIT STATUS\"\n.nf\n")
        .replace("\n.SH VERSION\n", "\n.fi\n.SH VERSION\n");
    Ok(page.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_the_exit_statuses() {
        let page = String::from_utf8(render(Cli::command()).unwrap()).unwrap();
        assert!(page.starts_with(".ie"), "{page}");
        assert!(
            page.contains("no answer: time\\-out, reset, unreachable, or no connection"),
            "{page}"
        );
    }
}
