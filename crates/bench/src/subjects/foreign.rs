//! Servers of other projects, where they are installed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::machine::workspace;
use crate::process;

const LIBCOAP: &str = "coap-server-notls";

/// A small package of its own, so that our workspace does not depend on theirs.
const COAP_RS: &str = "crates/bench/coap-rs";

/// Where `.ci/peers` installs aiocoap.
const PYTHON: &str = "target/peers/venv/bin/python";

pub(super) fn libcoap_version() -> Result<String, String> {
    // It has no option for that: a wrong one makes it tell how it is called, and its version with it.
    let output = Command::new(LIBCOAP).arg("-?").stdin(Stdio::null()).output();
    let output = output.map_err(|_| format!("{LIBCOAP} is not installed (Debian: libcoap3-bin)"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let version = text.split_once(&format!("{LIBCOAP} v"));
    let version = version.and_then(|(_, rest)| rest.split_whitespace().next());
    Ok(version.unwrap_or("of unknown version").to_owned())
}

pub(super) fn serve_libcoap() -> io::Result<()> {
    let (address, port) = announced_port()?;
    let mut command = Command::new(LIBCOAP);
    // It may take one resource by PUT, and says nothing about requests.
    command.args(["-A", &address, "-p", &port, "-d", "1", "-v", "0"]);
    Err(take_over(command))
}

/// Builds it as well, which takes some seconds the first time.
pub(super) fn coap_rs_version() -> Result<String, String> {
    let build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(workspace().join(COAP_RS).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(coap_rs_target().map_err(|error| error.to_string())?)
        .stdin(Stdio::null())
        .output();
    let lock = std::fs::read_to_string(workspace().join(COAP_RS).join("Cargo.lock"));
    let version = lock.unwrap_or_default();
    let version = version
        .split_once("name = \"coap\"\nversion = \"")
        .and_then(|(_, rest)| rest.split('"').next());
    match build {
        Ok(output) if output.status.success() => Ok(version.unwrap_or("of unknown version").to_owned()),
        Ok(output) => Err(format!(
            "it cannot be built: {}",
            String::from_utf8_lossy(&output.stderr)
                .lines()
                .next()
                .unwrap_or_default()
        )),
        Err(error) => Err(format!("it cannot be built: {error}")),
    }
}

pub(super) fn serve_coap_rs() -> io::Result<()> {
    let (address, port) = announced_port()?;
    let mut command = Command::new(coap_rs_target()?.join("release/coap-rs-server"));
    command.arg(format!("{address}:{port}"));
    Err(take_over(command))
}

pub(super) fn aiocoap_version() -> Result<String, String> {
    let program = "from importlib.metadata import version; print(version('aiocoap'))";
    let output = Command::new(workspace().join(PYTHON))
        .args(["-c", program])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => Err("aiocoap is not installed (.ci/peers does it)".to_owned()),
    }
}

/// By one of aiocoap's transports.
pub(super) fn serve_aiocoap(transport: &str) -> io::Result<()> {
    let (address, port) = announced_port()?;
    let mut command = Command::new(workspace().join(PYTHON));
    command.args([
        "-c",
        include_str!("aiocoap_server.py"),
        transport,
        &address,
        &port,
    ]);
    Err(take_over(command))
}

/// Beside the other builds of this program.
fn coap_rs_target() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2);
    let target = target.ok_or_else(|| io::Error::other("this program lies in no target directory"))?;
    Ok(target.join("bench-coap-rs"))
}

fn announced_port() -> io::Result<(String, String)> {
    let port = process::free_port()?;
    process::announce(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    Ok((Ipv4Addr::LOCALHOST.to_string(), port.to_string()))
}

/// Runs a server in place of this process, so that the time that is measured is its own. Returns only if it fails.
fn take_over(mut command: Command) -> io::Error {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .exec()
}
