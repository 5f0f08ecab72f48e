//! A server in a process of its own, on a core of its own.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{self, Command, Stdio};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::options::Subject;

/// The core of the server under test.
const SERVER_CORE: usize = 0;

/// The core of the one that asks.
pub(crate) const LOAD_CORE: usize = 1;

/// Units of CPU time in /proc a second: USER_HZ, the same on all machines that Rust knows.
const TICKS: u32 = 100;

/// Keeps this process on one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores)
        .map_err(|error| io::Error::other(format!("core {core} is needed: {error}")))
}

/// Says where a server listens, to the process that started it.
pub(crate) fn announce(address: SocketAddr) {
    println!("{address}");
}

/// CPU time of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Cpu {
    pub(crate) fn since(self, earlier: Cpu) -> Cpu {
        Cpu {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    process: process::Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(subject: Subject) -> io::Result<Server> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", subject.name(), "--core", &SERVER_CORE.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim().parse() {
            Ok(address) => Ok(Server { process, address }),
            Err(_) => {
                let _ = process.kill();
                process.wait()?;
                Err(io::Error::other(format!(
                    "the server {} does not start",
                    subject.name()
                )))
            }
        }
    }

    /// Its CPU time so far, in steps of 10 ms.
    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        parse_stat(&stat).ok_or_else(|| io::Error::other("/proc/PID/stat has another format"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Fields 14 and 15 of proc_pid_stat(5), counted behind the name in parentheses, which is field 2.
fn parse_stat(stat: &str) -> Option<Cpu> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut time = || Some(Duration::from_secs(fields.next()?.parse().ok()?) / TICKS);
    Some(Cpu {
        user: time()?,
        system: time()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 80 0 0 0 153 47 0 0 20 0 1 0 100 2000 50";
        let cpu = parse_stat(stat).unwrap();
        assert_eq!(
            (cpu.user, cpu.system),
            (Duration::from_millis(1530), Duration::from_millis(470))
        );
        assert_eq!(parse_stat("7 (a) S 1"), None);
    }
}
