//! A command for each state.

use std::io::ErrorKind;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::client::Response;
use crate::console::Console;
use crate::error::CliError;
use crate::wire::Code;

/// The exit statuses of a shell that finds no such command, or may not run it (POSIX, XCU §2.8.2).
const NOT_RUN: [i32; 2] = [126, 127];

/// Runs a command of the shell with the payload on its standard input, and waits for it. That it fails is told
/// and ends nothing: the next state may suit it better. Whether it succeeded is returned.
///
/// # Errors
/// If the shell cannot be started or finds no such command, or the payload cannot be written.
pub(super) async fn run(
    command: &str,
    uri: &str,
    response: &Response,
    console: &Console,
) -> Result<bool, CliError> {
    let cannot = |error: std::io::Error| CliError::io(format_args!("cannot run `{command}`"), &error);
    let mut child = shell(command)
        .envs(environment(uri, response))
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(response.payload()).await {
            // A command need not read its input.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(cannot(error)),
            _ => drop(stdin),
        }
    }
    let status = child.wait().await.map_err(cannot)?;
    if cfg!(unix) && status.code().is_some_and(|code| NOT_RUN.contains(&code)) {
        let told = format!("cannot run `{command}`: {status}");
        return Err(CliError::new(told).with_hint("the observation ends"));
    }
    if !status.success() {
        console.complain(&format!("`{command}`: {status}"));
    }
    Ok(status.success())
}

fn shell(command: &str) -> Command {
    let (shell, flag) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("sh", "-c")
    };
    let mut shell = Command::new(shell);
    shell.arg(flag).arg(command);
    shell
}

/// What the command may want to know. A server cannot put anything else than numbers into it.
fn environment(uri: &str, response: &Response) -> Vec<(&'static str, String)> {
    let options = response.options().as_options();
    let format = response.content_format().map(|format| format.0.to_string());
    let observe = options.observe().map(|number| number.to_string());
    vec![
        ("COAP_URI", uri.to_owned()),
        ("COAP_CODE", Code::from(response.status()).to_string()),
        ("COAP_OBSERVE", observe.unwrap_or_default()),
        ("COAP_CONTENT_FORMAT", format.unwrap_or_default()),
    ]
}
