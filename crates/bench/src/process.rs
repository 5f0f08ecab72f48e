//! A server in a process of its own, on cores of its own.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coracle_wire::{CodeKind, Message, Method};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::datagrams::{path, request};

/// The core of the server under test.
pub(crate) const SERVER_CORE: usize = 0;

/// The core of the one that asks.
pub(crate) const LOAD_CORE: usize = 1;

/// Units of CPU time in /proc a second: USER_HZ, the same on all machines that Rust knows.
const TICKS: u32 = 100;

/// How long a server may take to start, and how long it may take to answer one request of it then.
const STARTING: Duration = Duration::from_secs(10);
const ANSWERING: Duration = Duration::from_millis(100);

/// Has this process, or what takes its place, end with the one that started it, however that ends.
pub(crate) fn end_with_parent() -> io::Result<()> {
    Ok(set_pdeathsig(Signal::SIGKILL)?)
}

/// Keeps this process, and those that it starts, on some cores.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
        .map_err(|error| io::Error::other(format!("cores {cores:?} are needed: {error}")))
}

/// A runtime of one thread.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Says where a server listens, to the process that started it.
pub(crate) fn announce(address: SocketAddr) {
    println!("{address}");
}

/// A port that is free now, for servers that do not tell which one the system gave them.
pub(crate) fn free_port() -> io::Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket.local_addr()?.port())
}

/// CPU time of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// Exact.
    pub(crate) total: Duration,
    /// The part outside of the kernel, in steps of 10 ms.
    pub(crate) user: Duration,
}

impl Cpu {
    pub(crate) fn since(self, earlier: Cpu) -> Cpu {
        Cpu {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
        }
    }
}

/// Resident memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    pub(crate) most: u64,
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this program with a command and its arguments, and waits until it says where it listens.
    pub(crate) fn start<S: AsRef<OsStr>>(command: &[S], cores: &[usize]) -> io::Result<Server> {
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        let mut process = Command::new(std::env::current_exe()?)
            .args(command)
            .args(["--cores", &cores.join(",")])
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
                Err(io::Error::other("a server does not start"))
            }
        }
    }

    /// Waits until the server answers a request for `/temp`, after a PUT of it if there is a `payload` to put.
    pub(crate) fn furnish(&mut self, payload: Option<&[u8]>) -> io::Result<()> {
        let started = Instant::now();
        while started.elapsed() < STARTING {
            if let Some(status) = self.process.try_wait()? {
                return Err(io::Error::other(format!("the server ended: {status}")));
            }
            let put = payload.is_none_or(|payload| ask(self.address, Method::PUT, payload).unwrap_or(false));
            if put && ask(self.address, Method::GET, &[]).unwrap_or(false) {
                return Ok(());
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the server does not answer",
        ))
    }

    /// Its CPU time so far, of all its threads.
    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        let id = i32::try_from(self.process.id()).map_err(io::Error::other)?;
        let total = clock_getcpuclockid(Pid::from_raw(id))?.now()?.into();
        let user = parse_user_time(&self.read("stat")?);
        let user = user.ok_or_else(|| io::Error::other("/proc/PID/stat has another format"))?;
        Ok(Cpu { total, user })
    }

    /// Its memory in bytes: what it has now, and the most that it had.
    pub(crate) fn memory(&self) -> io::Result<Memory> {
        parse_memory(&self.read("status")?)
    }

    fn read(&self, name: &str) -> io::Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.process.id()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether the server answers a request for `/temp` with a code of success.
fn ask(server: SocketAddr, method: Method, payload: &[u8]) -> io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(ANSWERING))?;
    let mut datagram = [0; 64];
    let len = request(
        method,
        1,
        *b"wait",
        path("temp").as_options(),
        payload,
        &mut datagram,
    );
    socket.send(datagram.get(..len).unwrap_or_default())?;
    let len = match socket.recv(&mut datagram) {
        Ok(len) => len,
        Err(error) => {
            // Nobody listens yet, which the system tells at once.
            if error.kind() == io::ErrorKind::ConnectionRefused {
                std::thread::sleep(ANSWERING / 4);
            }
            return Err(error);
        }
    };
    let answer = Message::parse(datagram.get(..len).unwrap_or_default());
    Ok(answer
        .is_ok_and(|answer| matches!(answer.code.kind(), CodeKind::Response(status) if status.is_success())))
}

/// Field 14 of proc_pid_stat(5), counted behind the name in parentheses, which is field 2.
fn parse_user_time(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: u64 = rest.split_ascii_whitespace().nth(11)?.parse().ok()?;
    Some(Duration::from_secs(ticks) / TICKS)
}

/// The memory of this process.
pub(crate) fn own_memory() -> io::Result<Memory> {
    parse_memory(&std::fs::read_to_string("/proc/self/status")?)
}

/// CPU time of this process so far.
pub(crate) fn own_cpu() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// Runs this program with a command, on the cores of this process, and returns what it prints.
pub(crate) fn output<S: AsRef<OsStr>>(command: &[S], patience: Duration) -> io::Result<String> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() >= patience {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "a client takes too long"));
        }
        std::thread::sleep(ANSWERING / 10);
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(io::Error::other(format!("a client failed: {}", output.status)))
    }
}

fn parse_memory(status: &str) -> io::Result<Memory> {
    let bytes = |name| parse_size(status, name);
    let memory = bytes("VmRSS:")
        .zip(bytes("VmHWM:"))
        .map(|(now, most)| Memory { now, most });
    memory.ok_or_else(|| io::Error::other("/proc/PID/status has another format"))
}

/// A line of proc_pid_status(5) such as `VmRSS:     1234 kB`, in bytes.
fn parse_size(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_name() {
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(parse_size(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(parse_size(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(parse_size(status, "VmSwap:"), None);
    }

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 80 0 0 0 153 47 0 0 20 0 1 0 100 2000 50";
        assert_eq!(parse_user_time(stat), Some(Duration::from_millis(1530)));
        assert_eq!(parse_user_time("7 (a) S 1"), None);
    }
}
