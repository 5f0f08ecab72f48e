//! The program under test, as server and as client.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Finished, Running, START_LIMIT, run};

/// A command that waits for a peer in vain would take a minute and a half; none here has a reason to.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Exit status for 4.xx.
pub(crate) const CLIENT_ERROR: i32 = 4;

/// The length of `/large` on every server of the suite.
const LARGE_LENGTH: u32 = 200_000;

/// The body of `/large` on every server of the suite.
pub(crate) fn large() -> Vec<u8> {
    (0..LARGE_LENGTH)
        .map(|i| ((i * 7 + i / 256) & 255) as u8)
        .collect()
}

fn command() -> Command {
    match std::env::var_os("COAP_INTEROP_PROGRAM") {
        Some(other) => Command::new(other),
        None => Command::new(env!("CARGO_BIN_EXE_coracle")),
    }
}

/// Starts our server with its site; it listens on the port that this gives.
pub(crate) fn serve() -> (Running, u16) {
    let mut command = command();
    command.args(["serve", "--bind", "127.0.0.1:0"]);
    let server = Running::start("coracle serve", &mut command);
    let listening = |line: &str| {
        line.split_once("listening on coap://127.0.0.1:")
            .and_then(|(_, port)| port.trim().parse().ok())
    };
    let port = server
        .wait_for(START_LIMIT, listening)
        .expect("our server listens");
    (server, port)
}

/// Runs a client command of ours to its end.
pub(crate) fn client(arguments: &[&str]) -> Finished {
    run(command().args(arguments), COMMAND_LIMIT)
}

/// A path for a file of a test, in a folder that cargo keeps for it.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interop-{}-{name}", std::process::id()))
}
