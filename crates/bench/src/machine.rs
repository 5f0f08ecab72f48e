//! On what it was measured.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the whole project.
pub(crate) fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The model of the CPU.
pub(crate) fn cpu() -> String {
    let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

/// The release of the kernel.
pub(crate) fn kernel() -> String {
    let release = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

/// How busy it was in the last minute, as the number of processes that wanted to run.
pub(crate) fn load_average() -> String {
    let averages = read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split(' ').next().unwrap_or("unknown").to_owned()
}

/// The day, and the commit that was measured if it is known.
pub(crate) fn day_and_commit() -> (String, String) {
    let tell = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(workspace())
            .output();
        let text = output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.unwrap_or_else(|| "unknown".to_owned())
    };
    (
        tell("date", &["+%F"]),
        tell("git", &["rev-parse", "--short", "HEAD"]),
    )
}

/// Memory of the machine, in GiB.
pub(crate) fn memory() -> u64 {
    let info = read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> = total.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.unwrap_or_default().div_ceil(1 << 20)
}

/// How many cores there are, whichever of them this process may use.
pub(crate) fn cores() -> usize {
    let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines().filter(|line| line.starts_with("processor")).count()
}

/// Datagrams to a UDP port of IPv4 that the kernel dropped because nobody took them in time.
pub(crate) fn dropped(port: u16) -> u64 {
    parse_dropped(&read_to_string("/proc/net/udp").unwrap_or_default(), port)
}

fn parse_dropped(table: &str, port: u16) -> u64 {
    let port = format!(":{port:04X}");
    let sockets = table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = fields.next()?.ends_with(&port);
        is_it.then(|| fields.last()?.parse::<u64>().ok())?
    });
    sockets.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_those_of_all_sockets_of_a_port() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  321: 0100007F:1633 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 20 2 0 7
  322: 0100007F:1633 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 21 2 0 5
  323: 0100007F:1634 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 22 2 0 9";
        assert_eq!(parse_dropped(table, 0x1633), 12);
        assert_eq!(parse_dropped(table, 1), 0);
    }
}
